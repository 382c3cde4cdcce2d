//! What is looked at before a command reaches its shard: its form, and whatever only the cluster's records and the other commands of the
//! request can say. Leaves stock, and all that changes from one entry to the next, to the shards.

use std::time::Duration;

use holdfast_inventory::commands::Line;
use holdfast_inventory::{Command, MAX_CHAIN, Operation, slot_of};
use holdfast_proto::v1::{self, CommandError, ErrorReason};
use holdfast_raft::encode::{MAX_COMMAND_BYTES, encode_command};
use tokio::time::{Instant, sleep};

use crate::calls;
use crate::config::MAX_CHAIN_BYTES;
use crate::core::Core;
use crate::from_proto::{self, Freshness, invalid, slot_of_command, slots_of_lines};
use crate::planning::Sourcing;
use crate::routing::Routes;
use crate::shard::EncodedCommand;

/// How long it is waited for this node's copy of the cluster's records to have the endpoints that orders name.
const ENDPOINT_KNOWN_WITHIN: Duration = Duration::from_millis(500);
/// Between two looks at whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A command that is ready for its shard.
pub(super) struct Ready {
    pub(super) shard: u32,
    pub(super) command: EncodedCommand,
    /// A channel chooses the locations of its lines: they are planned when it is decided.
    pub(super) sourcing: Option<Sourcing>,
}

/// A command that is ready, or the error that is its answer.
pub(super) type Checked = Result<Ready, CommandError>;

/// A command as it was sent, with the shard that decides it.
///
/// # Errors
///
/// Something of it is out of form or range, or names what there is not.
pub(super) fn check(wire: v1::Command, routes: &Routes) -> Checked {
    let sourcing = from_proto::sourcing(&wire, &routes.channels)?;
    let command = from_proto::command(wire, &routes.words)?;
    let shard = routes.shard_of(slot_of_command(&command));
    check_lines(&command, shard, routes)?;
    Ok(Ready { shard, command: encoded(command)?, sourcing })
}

/// A reserve may have lines on several shards, one of which decides it.
fn check_lines(command: &Command, shard: u32, routes: &Routes) -> Result<(), CommandError> {
    let mut elsewhere = slots_of_lines(command).map(|slot| routes.shard_of(slot) != shard);
    if matches!(command.operation, Operation::Reserve(_)) && elsewhere.all(|elsewhere| elsewhere) {
        let hint = "mint it with the slot of one of the lines, whose shard decides the reservation";
        return Err(invalid("reservation_id", "has the slot of a shard that has none of the lines", hint));
    }
    Ok(())
}

/// An order calls no endpoint that there is not. This node's copy of the cluster's records may lag a little behind who has just put one,
/// so that it is waited for, once for all orders; and who asks again for what was decided is told what was.
pub(super) async fn check_steps(core: &Core, checked: &mut [Checked], deadline: Instant) {
    let unknown = |checked: &Checked| match checked {
        Ok(Ready { command, .. }) => match &command.command.operation {
            Operation::StartOrder(order) => calls::find_unknown_endpoint(core, order),
            _ => None,
        },
        Err(_) => None,
    };
    let until = deadline.min(Instant::now() + ENDPOINT_KNOWN_WITHIN);
    while Instant::now() < until && checked.iter().any(|checked| unknown(checked).is_some()) {
        sleep(LOOK_AGAIN).await;
    }
    for checked in checked {
        let Some(error) = unknown(checked) else { continue };
        let Ok(Ready { shard, command, .. }) = checked else { continue };
        // By one who leads the shard for sure; another one would refuse the command for that.
        let id = command.command.id;
        let decided = core.read(*shard, Freshness::Linearizable, deadline, |shard| shard.result_of(id).is_some()).await;
        if matches!(decided, Ok((false, _))) {
            *checked = Err(error);
        }
    }
}

/// An amend of a reservation that this node knows adds no line of another shard than the deciding one, which does not know such items.
pub(super) fn check_amends(core: &Core, routes: &Routes, checked: &mut [Checked]) {
    for slot in checked {
        let Ok(Ready { shard, command, .. }) = slot else { continue };
        let Operation::Amend(amend) = &command.command.operation else { continue };
        let is_elsewhere = |line: &Line| routes.shard_of(slot_of(&line.sku)) != *shard;
        if !amend.lines.iter().any(is_elsewhere) {
            continue;
        }
        let known = core.shard(*shard, routes).ok().and_then(|handle| {
            handle.group().read_shard(|inventory| inventory.reservation(amend.reservation)).flatten()
        });
        let Some(known) = known else { continue };
        let is_new = |line: &Line| is_elsewhere(line) && known.lines.iter().all(|it| it.sku != line.sku);
        if let Some(line) = amend.lines.iter().position(is_new) {
            *slot = Err(lines_span_shards(&command.command, line, *shard));
        }
    }
}

fn lines_span_shards(command: &Command, line: usize, shard: u32) -> CommandError {
    let message = format!(
        "line {line} of command {} lies on another shard than shard {shard}, which decides the reservation; \
         reserve it by a reservation of its own",
        command.id
    );
    CommandError::of(ErrorReason::LinesSpanShards, message).at(format!("lines[{line}].sku"))
}

/// Refuses chains that cannot be decided together: each command of one has an error, or none.
pub(super) fn check_chains(checked: &mut [Checked], linked: &[bool], spans_shards: impl Fn(&Command) -> bool) {
    let mut start = 0;
    while start < checked.len() {
        let end = linked[start..].iter().position(|linked| !linked).map_or(checked.len(), |at| start + at + 1);
        if linked[start] {
            let is_open = linked[end - 1];
            check_chain(&mut checked[start..end], is_open, &spans_shards);
        }
        start = end;
    }
}

fn check_chain(chain: &mut [Checked], is_open: bool, spans_shards: &impl Fn(&Command) -> bool) {
    let refuse_all =
        |chain: &mut [Checked], error: CommandError| chain.iter_mut().for_each(|it| *it = Err(error.clone()));
    if is_open {
        let hint = "the last command of a chain, and of a request, has it unset";
        return refuse_all(chain, invalid("linked", "is set on the last command of the request", hint));
    }
    let bytes: usize = chain.iter().flatten().map(|ready| ready.command.bytes.len()).sum();
    if chain.len() > MAX_CHAIN || bytes > MAX_CHAIN_BYTES {
        let message =
            format!("a chain of {} commands and {bytes} bytes; at most {MAX_CHAIN} and {MAX_CHAIN_BYTES}", chain.len());
        return refuse_all(chain, CommandError::of(ErrorReason::BatchTooLarge, message).at("linked"));
    }
    if chain.iter().any(Result::is_err) {
        let failed = CommandError::of(ErrorReason::LinkedCommandFailed, "a command linked to this one is refused");
        for it in chain.iter_mut().filter(|it| it.is_ok()) {
            *it = Err(failed.clone());
        }
        return;
    }
    if chain.iter().flatten().any(|ready| ready.sourcing.is_some()) {
        let hint = "a plan may have to be made anew: reserve first, then chain what follows, or name the locations";
        return refuse_all(chain, invalid("linked", "is set in a chain with a reserve whose channel chooses", hint));
    }
    if chain.iter().flatten().any(|ready| spans_shards(&ready.command.command)) {
        let message = "a reserve of the chain has lines on several shards; chain only what one shard decides";
        return refuse_all(chain, CommandError::of(ErrorReason::ChainSpansShards, message).at("linked"));
    }
    let mut shards = chain.iter().flatten().map(|ready| ready.shard);
    let first = shards.next();
    if let Some(other) = shards.find(|shard| Some(*shard) != first) {
        let message = format!(
            "the chain's commands lie on shards {} and {other}; chain only what one shard decides",
            first.unwrap_or(0)
        );
        refuse_all(chain, CommandError::of(ErrorReason::ChainSpansShards, message).at("linked"));
    }
}

/// The command as the log has it.
///
/// # Errors
///
/// It is too large.
pub(super) fn encoded(mut command: Command) -> Result<EncodedCommand, CommandError> {
    let bytes = encode_command(&mut command);
    if bytes.len() > MAX_COMMAND_BYTES {
        let message = format!("the command has {} bytes; at most {MAX_COMMAND_BYTES}", bytes.len());
        return Err(CommandError::of(ErrorReason::BatchTooLarge, message));
    }
    Ok(EncodedCommand { command, bytes })
}

#[cfg(test)]
mod tests {
    use holdfast_inventory::commands::Release;
    use holdfast_inventory::{BodyHash, CommandId, LogTime, ReservationId};

    use super::*;

    fn on_shard(shard: u32, linked: bool) -> (Checked, bool) {
        let operation = Operation::Release(Release { reservation: ReservationId(9) });
        let mut command = Command {
            id: CommandId(1),
            minted_at: LogTime(1),
            keyed: false,
            body: BodyHash::default(),
            linked,
            cause: None,
            operation,
        };
        let bytes = encode_command(&mut command);
        (Ok(Ready { shard, command: EncodedCommand { command, bytes }, sourcing: None }), linked)
    }

    fn reasons(commands: Vec<(Checked, bool)>) -> Vec<&'static str> {
        let (mut checked, linked): (Vec<Checked>, Vec<bool>) = commands.into_iter().unzip();
        check_chains(&mut checked, &linked, |_| false);
        checked.iter().map(|it| it.as_ref().map_or_else(|error| error.reason().name(), |_| "ok")).collect()
    }

    #[test]
    fn commands_that_are_not_linked_stand_alone() {
        let bad = (Err(invalid("sku", "is empty", "")), false);
        assert_eq!(reasons(vec![on_shard(0, false), bad, on_shard(1, false)]), ["ok", "INVALID_ARGUMENT", "ok"]);
    }

    #[test]
    fn a_refused_command_fails_its_chain_and_nothing_else() {
        let bad = (Err(invalid("sku", "is empty", "")), true);
        let commands = vec![on_shard(0, false), on_shard(0, true), bad, on_shard(0, false), on_shard(0, false)];
        let linked = "LINKED_COMMAND_FAILED";
        assert_eq!(reasons(commands), ["ok", linked, "INVALID_ARGUMENT", linked, "ok"]);
    }

    #[test]
    fn a_chain_over_two_shards_is_refused_whole() {
        let spans = "CHAIN_SPANS_SHARDS";
        assert_eq!(reasons(vec![on_shard(0, true), on_shard(1, false), on_shard(1, false)]), [spans, spans, "ok"]);
    }

    #[test]
    fn a_reserve_whose_channel_chooses_is_in_no_chain() {
        let (mut first, linked) = on_shard(0, true);
        if let Ok(ready) = &mut first {
            let locations = vec!["main".parse().unwrap()];
            let channel = "web".parse().unwrap();
            let strategy = crate::planning::Strategy::Priority;
            ready.sourcing = Some(Sourcing { channel, locations, strategy, allow_split: false });
        }
        let bad = "INVALID_ARGUMENT";
        assert_eq!(reasons(vec![(first, linked), on_shard(0, false), on_shard(0, false)]), [bad, bad, "ok"]);
    }

    #[test]
    fn a_chain_that_does_not_end_in_the_request_is_refused() {
        let open = "INVALID_ARGUMENT";
        assert_eq!(reasons(vec![on_shard(0, false), on_shard(0, true), on_shard(0, true)]), ["ok", open, open]);
    }

    #[test]
    fn a_chain_has_at_most_256_commands() {
        let chain = |length: usize| (0..length).map(|at| on_shard(0, at + 1 < length)).collect::<Vec<_>>();
        assert!(reasons(chain(256)).iter().all(|reason| *reason == "ok"));
        assert!(reasons(chain(257)).iter().all(|reason| *reason == "BATCH_TOO_LARGE"));
    }
}
