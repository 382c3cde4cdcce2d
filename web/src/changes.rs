//! Commands, carried out under the request's key, and their answers.

use axum::http::{StatusCode, header};
use holdfast_client::{Command, CommandKey, Success};
use holdfast_proto::v1::command::Operation;
use holdfast_proto::v1::{CommandError, ErrorReason};
use serde::Serialize;
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::idempotency::{Answer, Change, Changed, id_of};
use crate::problem::Problem;
use crate::reply::{Answered, Done, Reply};
use crate::wire::CauseSaid;

impl Asked {
    /// Has a command decided and replies what came of it.
    pub(crate) async fn execute(
        &self,
        key: Option<CommandKey>,
        operation: Operation,
        cause: Option<CauseSaid>,
        status: StatusCode,
    ) -> Answered {
        let (success, is_replayed) = self.decide(key, operation, cause).await?;
        Ok(reply_of(&success, status).replayed(is_replayed))
    }

    /// Has a command decided; and whether it was decided before.
    pub(crate) async fn decide(
        &self,
        key: Option<CommandKey>,
        operation: Operation,
        cause: Option<CauseSaid>,
    ) -> Result<(Success, bool), Problem> {
        let client = self.client()?;
        let command = command_of(operation, cause, key);
        let (answer, is_anothers) = match key.and_then(id_of) {
            None => (client.execute(command).await.map(|success| Changed::Command(Box::new(success))), false),
            Some(id) => {
                let change = Change::Command(Box::new(command.clone()));
                let carry_out =
                    || async move { client.execute(command).await.map(|success| Changed::Command(Box::new(success))) };
                self.web.keys.once(id, change, carry_out).await?
            }
        };
        let success = success_of(answer, is_anothers).map_err(|problem| self.of_conditions(problem))?;
        let is_replayed = success.replayed || is_anothers;
        Ok((success, is_replayed))
    }

    /// A condition that failed is 412 only where it came as a header.
    fn of_conditions(&self, mut problem: Problem) -> Problem {
        let has = |name| self.headers.contains_key(name);
        match problem.field.as_str() {
            "if_revision" if has(header::IF_MATCH) => "If-Match".clone_into(&mut problem.field),
            // That there is none yet is a revision, too, where a limit is put.
            "if_revision" if has(header::IF_NONE_MATCH) => "If-None-Match".clone_into(&mut problem.field),
            "if_absent" => "If-None-Match".clone_into(&mut problem.field),
            _ => {}
        }
        match problem.reason() {
            ErrorReason::RevisionMismatch | ErrorReason::KitRevisionMismatch
                if !has(header::IF_MATCH) && !has(header::IF_NONE_MATCH) =>
            {
                problem.with_status(409)
            }
            ErrorReason::Exists if has(header::IF_NONE_MATCH) => problem.with_status(412),
            _ => problem,
        }
    }
}

/// A command under a key, with who did it and why.
pub(crate) fn command_of(operation: Operation, cause: Option<CauseSaid>, key: Option<CommandKey>) -> Command {
    let command = Command::from(operation).with_key(key.unwrap_or_default());
    match cause {
        Some(cause) => command.because(cause.wire()),
        None => command,
    }
}

/// What a command was answered.
pub(crate) fn success_of(answer: Answer, is_anothers: bool) -> Result<Success, Problem> {
    match answer {
        Ok(Changed::Command(success)) => Ok(*success),
        Ok(Changed::Record(_)) => {
            Err(CommandError::of(ErrorReason::OutcomeUnknown, "the key was answered for something else").into())
        }
        Err(error) => {
            let problem = Problem::from(error);
            Err(Problem { replayed: problem.replayed || is_anothers, ..problem })
        }
    }
}

/// The reply to a command that was done.
pub(crate) fn reply_of(success: &Success, status: StatusCode) -> Reply {
    reply_with(success, status, &Done::from(success))
}

/// The same, which says more than most.
pub(crate) fn reply_with(success: &Success, status: StatusCode, told: &impl Serialize) -> Reply {
    let reply = Reply::of(status, told).seen(success.token);
    if success.revision > 0 { reply.tagged(success.revision) } else { reply }
}

/// What became of one item of a batch: its result, or its problem.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Each<T> {
    /// The status that it would have by itself.
    #[schema(example = 200)]
    pub(crate) status: u16,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) result: Option<T>,
    /// Why it was not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) problem: Option<Problem>,
}

impl<T> Each<T> {
    pub(crate) fn of(result: Result<T, Problem>, status: u16) -> Self {
        match result {
            Ok(result) => Self { status, result: Some(result), problem: None },
            Err(problem) => Self { status: problem.status, result: None, problem: Some(problem) },
        }
    }
}

/// What became of a batch: an answer an item, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchAnswer<T> {
    /// One an item, in order.
    pub(crate) results: Vec<Each<T>>,
}
