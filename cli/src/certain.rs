//! Asks until it is known what became of a command: an unknown outcome is asked again under the same id.

use std::time::Duration;

use holdfast_client::{Client, Command, CommandKey, Error, ExecuteOptions, Failure as Told};
use holdfast_proto::v1::Retry;
use tokio::time::{Instant, sleep};

use crate::connect::failure_of;
use crate::failure::Failure;

const PAUSE: Duration = Duration::from_millis(50);

/// What became of a command: one of two.
pub enum Outcome {
    /// It was done.
    Done,
    /// It was decided against, for good.
    Refused(Box<Told>),
}

/// Asks until the command is decided, at most so long. A `reserve` must name its reservation, so that every attempt means
/// the same one. An error: wrong input, or no certainty in time.
pub async fn ask_until_certain(
    client: &Client,
    command: Command,
    key: CommandKey,
    within: Duration,
) -> Result<Outcome, Failure> {
    let deadline = Instant::now() + within;
    let mut key = key;
    loop {
        let options = ExecuteOptions { key, ..ExecuteOptions::default() };
        let error = match client.execute_with(command.clone(), options).await {
            Ok(_) => return Ok(Outcome::Done),
            Err(Error::Refused(told)) => return Ok(Outcome::Refused(told)),
            Err(error) => error,
        };
        let told = error.failure();
        if let Some(id) = told.command_id.filter(|_| key == CommandKey::Minted && error.is_unknown()) {
            key = CommandKey::Id(id);
        }
        let is_hopeless = told.retry != Retry::SameKey;
        if is_hopeless || Instant::now() >= deadline {
            return Err(failure_of(error));
        }
        sleep(told.retry_after.unwrap_or(PAUSE)).await;
    }
}
