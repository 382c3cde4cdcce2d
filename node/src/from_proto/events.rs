//! Which events a reader wants.

use holdfast_inventory::{CommandId, LogTime};
use holdfast_proto::v1::{self, CommandError};

use super::{id_of, invalid, reads, reservation_id};
use crate::events::EventFilter;

/// The most kinds that a filter names.
const MAX_KINDS: usize = 64;
/// The longest word of a filter, in bytes: as long as a cause may be.
const MAX_WORD_BYTES: usize = 255;

/// Which events; all of them where nothing is said.
pub(crate) fn event_filter(wire: Option<v1::EventFilter>) -> Result<EventFilter, CommandError> {
    let wire = wire.unwrap_or_default();
    let sku = match wire.sku.as_str() {
        "" => None,
        text => Some(reads::sku("filter.sku", text)?),
    };
    let command = match wire.command_id {
        None => None,
        some => {
            let hint = "send the id of a command, or leave it out";
            Some(id_of(some).ok_or_else(|| invalid("filter.command_id", "is empty", hint))?)
        }
    };
    for (field, word) in [("filter.actor", &wire.actor), ("filter.reference", &wire.reference)] {
        if word.len() > MAX_WORD_BYTES {
            return Err(invalid(field, &format!("has {} bytes", word.len()), "at most 255, as a cause has"));
        }
    }
    if wire.kinds.len() > MAX_KINDS {
        return Err(invalid("filter.kinds", &format!("names {}", wire.kinds.len()), "at most 64"));
    }
    for (at, kind) in wire.kinds.iter().enumerate() {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'.' || byte == b'_';
        if kind.is_empty() || kind.len() > MAX_WORD_BYTES || !kind.bytes().all(is_word) {
            let hint = "a kind such as stock.received, or a family such as stock. (with the dot)";
            return Err(invalid(format!("filter.kinds[{at}]"), &format!("is {kind:?}"), hint));
        }
    }
    if wire.until_ms != 0 && wire.until_ms <= wire.from_ms {
        return Err(invalid("filter.until_ms", "is not after from_ms", "a later time, or 0 for no end"));
    }
    Ok(EventFilter {
        sku,
        reservation: wire.reservation_id.map(|id| reservation_id(Some(id))).transpose()?,
        command: command.map(CommandId),
        actor: wire.actor,
        reference: wire.reference,
        kinds: wire.kinds,
        from: LogTime(wire.from_ms),
        until: Some(wire.until_ms).filter(|until| *until != 0).map(LogTime),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_can_match_nothing_is_refused_with_its_field() {
        let of = |filter| event_filter(Some(filter)).err().map(|error: CommandError| error.field);
        let empty = v1::EventFilter::default;
        let cases = [
            (v1::EventFilter { sku: "a\n".to_owned(), ..empty() }, "filter.sku"),
            (v1::EventFilter { command_id: Some(v1::Id::default()), ..empty() }, "filter.command_id"),
            (v1::EventFilter { reservation_id: Some(v1::Id::default()), ..empty() }, "reservation_id"),
            (v1::EventFilter { actor: "a".repeat(256), ..empty() }, "filter.actor"),
            (v1::EventFilter { reference: "a".repeat(256), ..empty() }, "filter.reference"),
            (v1::EventFilter { kinds: vec![String::new()], ..empty() }, "filter.kinds[0]"),
            (v1::EventFilter { kinds: vec!["stock.".to_owned(), "Stock".to_owned()], ..empty() }, "filter.kinds[1]"),
            (v1::EventFilter { kinds: vec!["stock.".to_owned(); 65], ..empty() }, "filter.kinds"),
            (v1::EventFilter { from_ms: 5, until_ms: 5, ..empty() }, "filter.until_ms"),
        ];
        for (filter, field) in cases {
            assert_eq!(of(filter.clone()).as_deref(), Some(field), "{filter:?}");
        }
        assert_eq!(event_filter(None), Ok(EventFilter::default()));
    }
}
