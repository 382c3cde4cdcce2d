//! How much one client may have under way. Past the limit callers wait, and are not admitted at their deadline.

use holdfast_proto::v1::{CommandError, ErrorReason};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use crate::answer::Error;

/// The places of a client: for commands, and for their bytes.
#[derive(Debug)]
pub(crate) struct Gate {
    commands: Semaphore,
    bytes: Semaphore,
    max_commands: usize,
    max_bytes: usize,
}

/// Places taken; given back when dropped.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    _commands: SemaphorePermit<'a>,
    _bytes: SemaphorePermit<'a>,
}

impl Gate {
    pub(crate) fn new(max_commands: usize, max_bytes: usize) -> Self {
        let max_commands = max_commands.clamp(1, Semaphore::MAX_PERMITS);
        let max_bytes = max_bytes.clamp(1, (u32::MAX as usize).min(Semaphore::MAX_PERMITS));
        Self { commands: Semaphore::new(max_commands), bytes: Semaphore::new(max_bytes), max_commands, max_bytes }
    }

    /// Waits for places until the deadline.
    pub(crate) async fn enter(&self, commands: usize, bytes: usize, deadline: Instant) -> Result<Places<'_>, Error> {
        if commands > self.max_commands || bytes > self.max_bytes {
            let error =
                CommandError::of(ErrorReason::BatchTooLarge, "more than this client may have under way at once")
                    .with("max_commands", self.max_commands)
                    .with("max_bytes", self.max_bytes);
            return Err(error.into());
        }
        if let (Ok(commands), Ok(bytes)) =
            (self.commands.try_acquire_many(count(commands)), self.bytes.try_acquire_many(count(bytes)))
        {
            return Ok(Places { _commands: commands, _bytes: bytes });
        }
        let taken = async {
            let commands = self.commands.acquire_many(count(commands)).await.ok()?;
            let bytes = self.bytes.acquire_many(count(bytes)).await.ok()?;
            Some(Places { _commands: commands, _bytes: bytes })
        };
        if let Ok(Some(places)) = timeout_at(deadline, taken).await {
            return Ok(places);
        }
        let error = CommandError::of(ErrorReason::Overloaded, "this client has as much under way as it may")
            .with("max_commands", self.max_commands)
            .with("max_bytes", self.max_bytes);
        Err(error.into())
    }
}

fn count(places: usize) -> u32 {
    u32::try_from(places).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_caller_past_the_limit_waits_and_is_not_admitted_at_its_deadline() {
        let gate = Gate::new(2, 100);
        let soon = || Instant::now() + Duration::from_secs(1);
        let first = gate.enter(2, 10, soon()).await.unwrap();
        let error = gate.enter(1, 10, soon()).await.unwrap_err();
        assert!(error.is_not_admitted());
        assert_eq!(error.reason(), ErrorReason::Overloaded);
        drop(first);
        let held = gate.enter(1, 100, soon()).await.unwrap();
        assert_eq!(gate.enter(1, 1, soon()).await.unwrap_err().reason(), ErrorReason::Overloaded);
        drop(held);
        assert!(gate.enter(1, 1, soon()).await.is_ok());
    }

    #[tokio::test]
    async fn what_could_never_enter_is_refused_at_once() {
        let gate = Gate::new(2, 100);
        let error = gate.enter(3, 1, Instant::now() + Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.reason(), ErrorReason::BatchTooLarge);
    }
}
