//! One command: sealed, sent to its shard's leader, and sent again, the same, until it is decided or the deadline comes.

use holdfast_proto::v1::{self, CommandError, ErrorReason, command_result::Outcome};
use tokio::time::Instant;

use crate::answer::{Error, Success};
use crate::command::{Command, Sealed, seal};
use crate::core::Core;
use crate::node::Answered;
use crate::retry::Standing;
use crate::wire::{FRAME_BYTES, MAX_BYTES};

pub(crate) async fn execute(core: &Core, command: Command, deadline: Instant) -> Result<Success, Error> {
    let sealed = seal(command, &core.minter());
    let decided = decide(core, &sealed, deadline).await;
    match decided {
        Ok(success) => {
            core.budget.succeeded();
            Ok(success)
        }
        Err(error) => Err(named(error, &sealed)),
    }
}

async fn decide(core: &Core, sealed: &Sealed, deadline: Instant) -> Result<Success, Error> {
    check_size(sealed)?;
    let _places = core.gate.enter(1, sealed.encoded.len(), deadline).await?;
    let mut pacer = core.pacer(deadline);
    let mut standing = Standing::default();
    loop {
        let (error, hinted) = match attempt(core, sealed, standing.may_be_done(), pacer.attempt_ends()).await {
            Ok(success) => return Ok(success),
            Err(failed) => failed,
        };
        let error = standing.judge(error)?;
        if !pacer.pause(hinted, error.failure().retry_after).await {
            return Err(standing.told(error));
        }
    }
}

/// One attempt, and whether its error named another leader.
async fn attempt(core: &Core, sealed: &Sealed, may_be_done: bool, ends: Instant) -> Result<Success, (Error, bool)> {
    let way = core.way(sealed.slot).map_err(|error| (error, false))?;
    let commands = vec![sealed.attempt(may_be_done)];
    let answered = way.node.attempt(commands, way.epoch, ends, &core.options, &core.life).await;
    let decided = answered.and_then(|Answered { mut results, tokens }| {
        let result = results.pop().ok_or_else(nothing_said)?;
        let token = tokens.iter().find(|token| token.shard == way.shard).copied();
        outcome(result, sealed, token)
    });
    decided.map_err(|error| {
        let hinted = core.mend(&error, Some(way.shard), way.node.node_id);
        (error, hinted)
    })
}

/// What one result says.
pub(crate) fn outcome(
    result: v1::CommandResult,
    sealed: &Sealed,
    token: Option<v1::ConsistencyToken>,
) -> Result<Success, Error> {
    match result.outcome {
        Some(Outcome::Success(success)) => {
            Ok(Success::from_wire(success, result.replayed, sealed.command_id, sealed.about, token))
        }
        Some(Outcome::Error(error)) => {
            let mut error = Error::from(error);
            error.failure_mut().replayed = result.replayed;
            Err(error)
        }
        None => Err(nothing_said()),
    }
}

fn nothing_said() -> Error {
    CommandError::of(ErrorReason::OutcomeUnknown, "a result without an outcome").into()
}

/// A command that no request could carry.
pub(crate) fn check_size(sealed: &Sealed) -> Result<(), Error> {
    if sealed.encoded.len() + FRAME_BYTES <= MAX_BYTES {
        return Ok(());
    }
    let error = CommandError::of(ErrorReason::BatchTooLarge, "a command of more bytes than a request may have")
        .with("bytes", sealed.encoded.len())
        .with("max_bytes", MAX_BYTES);
    Err(error.into())
}

/// An error that says which ids another attempt must repeat.
pub(crate) fn named(mut error: Error, sealed: &Sealed) -> Error {
    let failure = error.failure_mut();
    failure.command_id = Some(sealed.command_id);
    failure.reservation_id = sealed.about.reservation_id;
    failure.transfer_id = sealed.about.transfer_id;
    failure.receipt_id = sealed.about.receipt_id;
    failure.count_id = sealed.about.count_id;
    error
}
