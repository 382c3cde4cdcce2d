//! Each command id is decided once [H-ONCE]: the results that are kept, for how long, and what an id that is not among them
//! may still do.
//!
//! A result is kept for a window of log time, within a budget. What falls out raises the horizon, and an id minted at or
//! before the horizon is never decided again: it may have been decided before. Ids that are the callers' own keys have no
//! mint time; their results have a quarter of the budget of their own and a minimum time that nothing shortens.

use holdfast_mutation::{Mutation, is_on};

use crate::inventory::forgotten_by;
use crate::state::{KeyedResultRecord, ResultRecord, State, hash_id};
use crate::{Command, CommandId, DifferentField, Limits, LogTime, Refusal, Success};

/// What an id may do.
#[derive(Debug)]
pub(crate) enum Admission {
    /// Decide it.
    New,
    /// It was decided: this is the answer.
    Decided(Result<Success, Refusal>),
    /// Decide nothing, keep nothing.
    Refused(Refusal),
}

/// What the shard remembers of the commands it decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultWindow {
    /// Results kept under minted ids.
    pub results: u64,
    /// Results kept under the callers' own keys.
    pub keyed_results: u64,
    /// When the oldest kept result under a minted id was decided.
    pub oldest_decided_at: Option<LogTime>,
    /// Ids minted at or before this are no longer decided.
    pub horizon: Option<LogTime>,
}

const fn keyed_budget(limits: &Limits) -> u64 {
    limits.results / 4
}

fn minted_budget(limits: &Limits) -> u64 {
    (limits.results - keyed_budget(limits)).max(1)
}

impl State {
    pub(crate) fn find_result(&self, id: CommandId) -> Option<&ResultRecord> {
        let record = |place: u64| match place & 1 {
            0 => self.results.get(place >> 1),
            _ => self.keyed_results.get(place >> 1).map(|record| &record.0),
        };
        let place =
            self.indexes.results.find(hash_id(id.0), |place| record(place).is_some_and(|kept| kept.id == id))?;
        record(place)
    }

    pub(crate) fn result_window(&self) -> ResultWindow {
        ResultWindow {
            results: self.results.live(),
            keyed_results: self.keyed_results.live(),
            oldest_decided_at: self.results.oldest().map(|(_, record)| record.decided_at),
            horizon: self.header.horizon,
        }
    }

    fn keyed_budget(&self) -> u64 {
        keyed_budget(&self.header.limits)
    }

    fn minted_budget(&self) -> u64 {
        minted_budget(&self.header.limits)
    }

    /// Whether no result would have to be forgotten under these limits, with room for one more.
    pub(crate) fn would_keep_all_results(&self, limits: &Limits) -> bool {
        self.keyed_results.live() < keyed_budget(limits) && self.results.live() <= minted_budget(limits)
    }

    /// What a command may do. `more_keyed`: keyed ids that are to be decided along with it, before it.
    pub(crate) fn admit(&mut self, command: &Command, more_keyed: u64) -> Admission {
        if let Some(kept) = self.find_result(command.id) {
            return if kept.body == command.body || is_on(Mutation::OtherBodyTaken) {
                Admission::Decided(kept.outcome.clone())
            } else {
                Admission::Refused(Refusal::ExistsWithDifferent { field: DifferentField::Body })
            };
        }
        if command.keyed {
            return self.admit_keyed(more_keyed);
        }
        let now = self.header.now;
        match self.header.horizon {
            Some(horizon) if command.minted_at <= horizon => Admission::Refused(Refusal::IdTooOld { horizon }),
            _ if command.minted_at > now.plus_ms(self.header.limits.mint_ahead_ms) => {
                Admission::Refused(Refusal::IdFromFuture { now })
            }
            _ => Admission::New,
        }
    }

    /// Whether a command by itself would be decided by an entry at `now`, not before. False where that is not known for certain.
    pub(crate) fn would_be_new(&self, command: &Command, now: LogTime) -> bool {
        if self.find_result(command.id).is_some() {
            return false;
        }
        if command.keyed {
            // What the entry forgets first makes more room.
            return self.keyed_results.live() < self.keyed_budget();
        }
        let is_too_old = self.horizon_at(now).is_some_and(|horizon| command.minted_at <= horizon);
        !is_too_old && command.minted_at <= now.plus_ms(self.header.limits.mint_ahead_ms)
    }

    /// The horizon by which an entry of one command at `now` decides: where results are due to be forgotten, which under load is
    /// nearly always, it forgets some first.
    fn horizon_at(&self, now: LogTime) -> Option<LogTime> {
        let window = self.header.limits.result_window_ms;
        let Some((oldest, _)) = self.results.oldest() else { return self.header.horizon };
        let kept = (oldest..).take(forgotten_by(1)).map_while(|ordinal| self.results.get(ordinal));
        let forgotten = kept.take_while(|record| record.decided_at.plus_ms(window) <= now);
        forgotten.map(|record| Some(record.minted_at)).fold(self.header.horizon, Option::max)
    }

    /// Makes room among the keyed results, of which none younger than the minimum may go.
    fn admit_keyed(&mut self, more_keyed: u64) -> Admission {
        let now = self.header.now;
        while self.keyed_results.live() + more_keyed >= self.keyed_budget() {
            let oldest = self.keyed_results.oldest();
            let free_at = oldest.map(|(_, oldest)| oldest.0.decided_at.plus_ms(self.header.limits.keyed_minimum_ms));
            match free_at {
                Some(free_at) if free_at <= now => self.forget_oldest_keyed(),
                _ => {
                    let retry_after_ms = free_at.map_or(self.header.limits.keyed_minimum_ms, |at| at.0 - now.0);
                    return Admission::Refused(Refusal::Overloaded { retry_after_ms });
                }
            }
        }
        Admission::New
    }

    /// Keeps what a command was decided to.
    pub(crate) fn keep_result(&mut self, command: &Command, outcome: &Result<Success, Refusal>) {
        let record = ResultRecord {
            id: command.id,
            body: command.body,
            minted_at: command.minted_at,
            decided_at: self.header.now,
            outcome: outcome.clone(),
        };
        self.header.decided += 1;
        if is_on(Mutation::ForgottenId) {
            return;
        }
        let hash = hash_id(record.id.0);
        if command.keyed {
            let ordinal = self.keyed_results.push(KeyedResultRecord(record));
            self.indexes.results.insert(hash, ordinal << 1 | 1);
            return;
        }
        while self.results.live() >= self.minted_budget() {
            self.forget_oldest();
        }
        let ordinal = self.results.push(record);
        self.indexes.results.insert(hash, ordinal << 1);
    }

    /// Forgets results that are older than the window, oldest first, at most `most`.
    pub(crate) fn forget_old_results(&mut self, most: usize) {
        let (now, window) = (self.header.now, self.header.limits.result_window_ms);
        let is_old = |decided_at: LogTime| decided_at.plus_ms(window) <= now;
        for _ in 0..most {
            if !self.results.oldest().is_some_and(|(_, record)| is_old(record.decided_at)) {
                break;
            }
            self.forget_oldest();
        }
        for _ in 0..most {
            if !self.keyed_results.oldest().is_some_and(|(_, record)| is_old(record.0.decided_at)) {
                break;
            }
            self.forget_oldest_keyed();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((ordinal, _)) = self.results.oldest() else { return };
        if let Some(record) = self.results.remove(ordinal) {
            self.indexes.results.remove(hash_id(record.id.0), ordinal << 1);
            self.header.horizon = self.header.horizon.max(Some(record.minted_at));
        }
    }

    fn forget_oldest_keyed(&mut self) {
        let Some((ordinal, _)) = self.keyed_results.oldest() else { return };
        if let Some(KeyedResultRecord(record)) = self.keyed_results.remove(ordinal) {
            self.indexes.results.remove(hash_id(record.id.0), ordinal << 1 | 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::{OPENING, Shop, receive, reserve};
    use crate::*;

    fn small() -> Limits {
        // 9 results under minted ids, 3 under keys.
        Limits { results: 12, result_window_ms: 100_000, keyed_minimum_ms: 10_000, ..Limits::default() }
    }

    #[test]
    fn a_retry_gets_the_first_answer_and_does_nothing() {
        let mut shop = Shop::with_rouge(5);
        let command = shop.command(reserve(1, &[("rouge", 1)]));
        let first = shop.apply(vec![command.clone()]).remove(0);
        shop.commit(1).unwrap();
        let again = shop.after_s(60).apply(vec![command.clone()]).remove(0);
        assert_eq!(again, Answer { replayed: true, ..first });
        assert_eq!(shop.inventory.result_of(command.id), Some(again));
        assert_eq!(shop.stock("rouge").counts.committed, 1);
    }

    #[test]
    fn a_refusal_stays_refused_under_its_id() {
        let mut shop = Shop::new();
        shop.receive("rouge", "PAR", 1).unwrap();
        let command = shop.command(reserve(1, &[("rouge", 2)]));
        let first = shop.apply(vec![command.clone()]).remove(0);
        shop.receive("rouge", "PAR", 1).unwrap();
        assert_eq!(shop.apply(vec![command]).remove(0), Answer { replayed: true, ..first });
    }

    #[test]
    fn the_same_id_with_another_body_is_another_command() {
        let mut shop = Shop::with_rouge(5);
        let command = shop.command(reserve(1, &[("rouge", 1)]));
        shop.apply(vec![command.clone()]);
        let other = Command { body: BodyHash(99), ..command.clone() };
        let refused = Err(Refusal::ExistsWithDifferent { field: DifferentField::Body });
        assert_eq!(shop.apply(vec![other]).remove(0).outcome, refused);
        assert!(shop.apply(vec![command]).remove(0).replayed);
    }

    #[test]
    fn what_falls_out_of_the_budget_is_never_decided_again() {
        let mut shop = Shop::with_limits(small());
        let command = shop.command(receive("rouge", "PAR", 1));
        shop.apply(vec![command.clone()]);
        for _ in 0..9 {
            shop.after_s(1).receive("rouge", "PAR", 1).unwrap();
        }
        let refused = shop.apply(vec![command.clone()]).remove(0).outcome;
        assert_eq!(refused, Err(Refusal::IdTooOld { horizon: command.minted_at }));
        assert_eq!(shop.stock("rouge").counts.on_hand, 10);
        assert_eq!(shop.inventory.result_window().results, 9);
    }

    #[test]
    fn results_are_forgotten_after_the_window() {
        let mut shop = Shop::with_limits(small());
        let command = shop.command(receive("rouge", "PAR", 1));
        shop.apply(vec![command.clone()]);
        assert!(shop.after_s(99).apply(vec![command.clone()])[0].replayed);
        let refused = shop.after_s(1).apply(vec![command]).remove(0).outcome;
        assert!(matches!(refused, Err(Refusal::IdTooOld { .. })), "{refused:?}");
    }

    #[test]
    fn an_id_from_too_far_ahead_is_not_decided_and_may_come_again() {
        let mut shop = Shop::new();
        let mut command = shop.command(receive("rouge", "PAR", 1));
        command.minted_at = LogTime(OPENING + 300_001);
        let refused = shop.apply(vec![command.clone()]).remove(0).outcome;
        assert_eq!(refused, Err(Refusal::IdFromFuture { now: LogTime(OPENING) }));
        let answer = shop.after_s(1).apply(vec![command]).remove(0);
        assert!(answer.outcome.is_ok() && !answer.replayed);
    }

    #[test]
    fn a_key_without_a_time_is_kept_its_minimum_or_not_decided() {
        let mut shop = Shop::with_limits(small());
        let keyed = |shop: &mut Shop| Command { keyed: true, ..shop.command(receive("rouge", "PAR", 1)) };
        let commands: Vec<Command> = (0..4).map(|_| keyed(&mut shop)).collect();
        let answers = shop.apply(commands.clone());
        assert!(answers[..3].iter().all(|answer| answer.outcome.is_ok()));
        assert_eq!(answers[3].outcome, Err(Refusal::Overloaded { retry_after_ms: 10_000 }));
        assert!(shop.after_s(9).apply(vec![commands[0].clone()])[0].replayed);
        let answer = shop.after_s(1).apply(vec![commands[3].clone()]).remove(0);
        assert!(answer.outcome.is_ok() && !answer.replayed);
        assert_eq!(shop.stock("rouge").counts.on_hand, 4);
    }
}
