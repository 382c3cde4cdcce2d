//! The model's memory of what it decided: a list, searched from its start.

use holdfast_inventory::{Command, CommandId, DifferentField, Limits, LogTime, Refusal, Success};

/// What a command was decided to.
#[derive(Clone, Debug)]
pub struct Kept {
    id: CommandId,
    command: Command,
    decided_at: LogTime,
    outcome: Result<Success, Refusal>,
}

/// What the model remembers, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    kept: Vec<Kept>,
    horizon: Option<LogTime>,
}

/// What a command may do.
pub enum Admission {
    New,
    Decided(Result<Success, Refusal>),
    Refused(Refusal),
}

impl Memory {
    fn count(&self, keyed: bool) -> u64 {
        self.kept.iter().filter(|kept| kept.command.keyed == keyed).count() as u64
    }

    pub fn exceeds(&self, limits: &Limits) -> bool {
        let for_keyed = limits.results / 4;
        self.count(true) >= for_keyed || self.count(false) > limits.results - for_keyed
    }

    fn forget_oldest(&mut self, keyed: bool) {
        let at = self.kept.iter().position(|kept| kept.command.keyed == keyed).unwrap();
        let gone = self.kept.remove(at);
        if !keyed {
            self.horizon = self.horizon.max(Some(gone.command.minted_at));
        }
    }

    pub fn forget_old(&mut self, now: LogTime, limits: &Limits) {
        for keyed in [false, true] {
            while let Some(oldest) = self.kept.iter().find(|kept| kept.command.keyed == keyed) {
                if oldest.decided_at.0 + limits.result_window_ms > now.0 {
                    break;
                }
                self.forget_oldest(keyed);
            }
        }
    }

    pub fn admit(&mut self, command: &Command, more_keyed: u64, now: LogTime, limits: &Limits) -> Admission {
        if let Some(kept) = self.kept.iter().find(|kept| kept.id == command.id) {
            return if kept.command.body == command.body {
                Admission::Decided(kept.outcome.clone())
            } else {
                Admission::Refused(Refusal::ExistsWithDifferent { field: DifferentField::Body })
            };
        }
        if command.keyed {
            while self.count(true) + more_keyed >= limits.results / 4 {
                let oldest = self.kept.iter().find(|kept| kept.command.keyed);
                let free_at =
                    oldest.map_or(now.0 + limits.keyed_minimum_ms, |kept| kept.decided_at.0 + limits.keyed_minimum_ms);
                if free_at > now.0 || oldest.is_none() {
                    return Admission::Refused(Refusal::Overloaded { retry_after_ms: free_at - now.0 });
                }
                self.forget_oldest(true);
            }
            return Admission::New;
        }
        if let Some(horizon) = self.horizon
            && command.minted_at <= horizon
        {
            return Admission::Refused(Refusal::IdTooOld { horizon });
        }
        if command.minted_at.0 > now.0 + limits.mint_ahead_ms {
            return Admission::Refused(Refusal::IdFromFuture { now });
        }
        Admission::New
    }

    pub fn keep(&mut self, command: &Command, outcome: &Result<Success, Refusal>, now: LogTime, limits: &Limits) {
        while !command.keyed && self.count(false) >= limits.results - limits.results / 4 {
            self.forget_oldest(false);
        }
        let (command, outcome) = (command.clone(), outcome.clone());
        self.kept.push(Kept { id: command.id, command, decided_at: now, outcome });
    }
}
