//! What is read from outside, for those who try to break it: the property tests beside the decoders, and the targets of `fuzz/`.
//! A reader takes any bytes and must refuse them or read something whole; each has a valid input to begin with.

#![allow(clippy::unwrap_used, reason = "a failure is what is looked for")]

/// A client's command.
pub mod command {
    use holdfast_inventory::{LocationId, ReservationId, Sku, slot_of};
    use holdfast_proto::v1::{self, ErrorReason};
    use prost::Message;

    use crate::from_proto::{Words, Zones, command, slot_of_command, slots_of_lines};

    /// A valid input: a reservation of two lines.
    #[must_use]
    pub fn valid() -> Vec<u8> {
        let line = |sku: &str, units| v1::Line { sku: sku.into(), units, ..v1::Line::default() };
        let reservation = ReservationId::mint(1_790_000_000_000, slot_of(&Sku::new("A").unwrap()), 9).0;
        let reserve = v1::Reserve {
            reservation_id: Some(v1::Id { high: (reservation >> 64) as u64, low: reservation as u64 }),
            lines: vec![line("A", 1), line("B", 2)],
            customer: "jane".into(),
            order_ref: "web-1".into(),
            ttl_s: 60,
            ..v1::Reserve::default()
        };
        let cause = v1::Cause { actor: "till".into(), reason: "sale".into(), reference: "7".into() };
        let command = v1::Command {
            command_id: Some(v1::Id { high: 0, low: 1 }),
            minted_at_ms: 1_790_000_000_000,
            linked: true,
            cause: Some(cause),
            operation: Some(v1::command::Operation::Reserve(reserve)),
            ..v1::Command::default()
        };
        command.encode_to_vec()
    }

    /// Refuses it with a reason, or reads it: true.
    pub fn read(bytes: &[u8]) -> bool {
        let zones = Zones::default();
        let words = Words { default_location: LocationId::new("main").unwrap(), zones, customer_key: [7; 32] };
        let Ok(wire) = v1::Command::decode(bytes) else { return false };
        match command(wire, &words) {
            Ok(command) => {
                let _ = slot_of_command(&command);
                let _ = slots_of_lines(&command).count();
                true
            }
            Err(error) => {
                assert!(!error.message.is_empty() && error.reason() != ErrorReason::Unspecified, "{error:?}");
                false
            }
        }
    }
}

/// A configuration.
pub mod configuration {
    use crate::{NodeConfig, Overrides};

    /// A valid input: the file at the root.
    #[must_use]
    pub fn valid() -> Vec<u8> {
        include_bytes!("../../cluster.toml").to_vec()
    }

    /// Refuses it in words, or reads it: true.
    pub fn read(bytes: &[u8]) -> bool {
        let first = Overrides { node_id: Some(1), ..Overrides::default() };
        match NodeConfig::from_text(&String::from_utf8_lossy(bytes), &first) {
            Ok(config) => {
                config.check().unwrap();
                true
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_valid_inputs_are_read() {
        assert!(super::command::read(&super::command::valid()));
        assert!(super::configuration::read(&super::configuration::valid()));
    }
}
