//! Carries an operation to the shard of a slot, wherever that is led.

use holdfast_inventory::{Answer, BodyHash, Cause, Command, CommandId, LogTime, Operation, Refusal, Slot, Success};
use holdfast_proto::peer::v1::DecideRequest;
use holdfast_proto::peer::v1::decide_response::Outcome;
use holdfast_raft::encode::encode_command;
use tokio::time::Instant;

use crate::core::Core;
use crate::leaders::{Leader, leader_of, until_answered};
use crate::shard::{Decided, EncodedCommand, ShardHandle};

/// What the shard of that slot decides, asked again until the deadline while it has no leader that answers.
///
/// # Errors
///
/// No answer came: the operation may be done or not.
pub(super) async fn carry(
    core: &Core,
    slot: Slot,
    operation: Operation,
    deadline: Instant,
) -> Result<Result<Success, Refusal>, String> {
    let shard = core.routes().map_err(|error| error.message)?.shard_of(slot);
    carry_to_shard(core, shard, operation, None, deadline).await
}

/// What the shard decides, asked again until the deadline while it has no leader that answers.
///
/// # Errors
///
/// No answer came: the operation may be done or not.
pub(crate) async fn carry_to_shard(
    core: &Core,
    shard: u32,
    operation: Operation,
    cause: Option<Box<Cause>>,
    deadline: Instant,
) -> Result<Result<Success, Refusal>, String> {
    let mut command = Command {
        id: CommandId(core.world.entropy.next_u128()),
        minted_at: LogTime(0),
        keyed: false,
        body: BodyHash::default(),
        linked: false,
        cause,
        operation,
    };
    let bytes = encode_command(&mut command);
    let decided = carry_command(core, shard, &EncodedCommand { command, bytes }, deadline).await?;
    outcome_of(decided)
}

/// What the shard decides of a caller's own command, asked again until the deadline while it has no leader that answers.
///
/// # Errors
///
/// No answer came: the command may be done or not.
pub(super) async fn carry_command(
    core: &Core,
    shard: u32,
    command: &EncodedCommand,
    deadline: Instant,
) -> Result<Decided, String> {
    let decided = until_answered(deadline, |until| attempt(core, shard, command, until)).await;
    decided.map_err(|why| format!("shard {shard} did not answer: {why}"))
}

fn outcome_of(mut decided: Decided) -> Result<Result<Success, Refusal>, String> {
    decided.answers.pop().map(|answer| answer.outcome).ok_or_else(|| "the shard gave no answer".to_owned())
}

async fn attempt(core: &Core, shard: u32, command: &EncodedCommand, deadline: Instant) -> Result<Decided, String> {
    let leader = match leader_of(core, shard)? {
        Leader::Here(handle) => {
            let command = EncodedCommand { command: command.command.clone(), bytes: command.bytes.clone() };
            return decide_here(&handle, command, deadline).await;
        }
        Leader::There(leader) => leader,
    };
    let request = DecideRequest { cluster_id: core.config.cluster_id.clone(), shard, command: command.bytes.clone() };
    let response = leader.ask(deadline, |mut orders| async move { orders.decide(request).await }).await?;
    match response.outcome {
        Some(Outcome::Decided(bytes)) => {
            let outcome = Answer::decode_outcome(&bytes).ok_or_else(|| leader.says("its answer is no outcome"))?;
            let answer = Answer { id: command.command.id, outcome, replayed: response.replayed };
            let (index, log_time) = (response.applied_index, LogTime(response.log_time_ms));
            Ok(Decided { index, log_time, answers: vec![answer] })
        }
        Some(Outcome::NotDecided(why)) => Err(leader.says(why)),
        None => Err(leader.says("it gave no outcome")),
    }
}

/// Has a shard that this node leads decide one command that another shard's leader brings.
pub(super) async fn decide_here(
    handle: &ShardHandle,
    command: EncodedCommand,
    deadline: Instant,
) -> Result<Decided, String> {
    let submitted = handle.submit(vec![command], deadline).map_err(|why| format!("{why:?}"))?;
    let (_, outcome) = submitted.outcomes().await.pop().ok_or("the shard gave no answer")?;
    outcome.map_err(|why| format!("{why:?}"))
}
