//! How old what a replica shows may be: since when it has not heard that it has everything.
//!
//! A leader tells with each heartbeat what it knows to be committed, and how long ago a majority confirmed it last. What was
//! acknowledged before that confirmation lies at or below what it tells. So a replica that has applied that much is, at the
//! instant of the heartbeat, as old as the confirmation; but for the way of the heartbeat, which nobody can measure without
//! equal clocks.

use std::time::Duration;

use tokio::time::Instant;

use crate::log::LogId;

/// What a replica has heard of leaders.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Nothing that was acknowledged before is missing here.
    complete: Option<Instant>,
    /// The last heartbeat: nothing that was acknowledged before is missing where this much is applied.
    last: Option<(Instant, LogId)>,
}

impl Heard {
    /// A leader in `term` was heard. `confirmed`: how long ago a majority last confirmed it, at most; `None`: it does not know.
    pub(super) fn hear(
        &mut self,
        term: u64,
        committed: Option<LogId>,
        confirmed: Option<Duration>,
        applied: Option<LogId>,
    ) {
        self.settle(applied);
        // A fresh leader knows what is committed only once something of its own is.
        let Some(committed) = committed.filter(|committed| committed.term == term) else { return };
        if let Some(since) = confirmed.and_then(|confirmed| Instant::now().checked_sub(confirmed)) {
            self.last = Some((since, committed));
        }
    }

    /// How old what is applied here is, at most; `None`: nothing is known.
    pub(super) fn age(&mut self, applied: Option<LogId>) -> Option<Duration> {
        self.settle(applied);
        self.complete.map(|since| since.elapsed())
    }

    fn settle(&mut self, applied: Option<LogId>) {
        if let Some((since, _)) = self.last.filter(|(_, committed)| applied >= Some(*committed)) {
            self.complete = self.complete.max(Some(since));
            self.last = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn id(term: u64, index: u64) -> Option<LogId> {
        Some(LogId { term, leader_node: 1, index })
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn an_idle_replica_is_as_old_as_the_last_heartbeat_and_what_the_leader_says_of_itself() {
        let mut heard = Heard::default();
        tokio::time::advance(10 * SECOND).await;
        assert_eq!(heard.age(id(2, 7)), None);
        heard.hear(2, id(2, 7), Some(SECOND), id(2, 7));
        assert_eq!(heard.age(id(2, 7)), Some(SECOND));
        tokio::time::advance(5 * SECOND).await;
        assert_eq!(heard.age(id(2, 7)), Some(6 * SECOND));
        heard.hear(2, id(2, 7), Some(Duration::ZERO), id(2, 7));
        assert_eq!(heard.age(id(2, 7)), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_lags_is_as_old_as_the_last_heartbeat_that_it_has_caught_up_with() {
        let mut heard = Heard::default();
        heard.hear(2, id(2, 7), Some(Duration::ZERO), id(2, 7));
        tokio::time::advance(SECOND).await;
        heard.hear(2, id(2, 9), Some(Duration::ZERO), id(2, 8));
        assert_eq!(heard.age(id(2, 8)), Some(SECOND));
        tokio::time::advance(SECOND).await;
        // It lags behind the third, and has caught up with the second meanwhile.
        heard.hear(2, id(2, 12), Some(Duration::ZERO), id(2, 10));
        assert_eq!(heard.age(id(2, 10)), Some(SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_has_committed_nothing_or_was_not_confirmed_says_nothing() {
        let mut heard = Heard::default();
        heard.hear(3, id(2, 7), Some(Duration::ZERO), id(2, 7));
        heard.hear(2, id(2, 7), None, id(2, 7));
        assert_eq!(heard.age(id(2, 7)), None);
    }
}
