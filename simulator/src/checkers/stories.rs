//! Histories as the checkers' tests tell them: instants in milliseconds, log time equal to simulated time.

use std::collections::BTreeMap;

use super::LogTimeBound;
use crate::history::{
    Answer, Asked, Command, Done, Freshness, History, Id, Line, Outcome, Phase, Position, Record, Refused, Request,
    Seen, StockSeen, Subject,
};

pub(crate) const BOUND: LogTimeBound = LogTimeBound { zero_ms: 0, behind_ms: 0, ahead_ms: 0 };

/// The time to live of the stories' holds.
pub(crate) const TTL_S: u32 = 10;

#[derive(Debug, Default)]
pub(crate) struct Story(pub(crate) History);

impl Story {
    /// One attempt from `call` to `back` (0: it never came back), each by a client of its own.
    pub(crate) fn tell(mut self, call: u64, back: u64, asked: Asked, outcome: Outcome) -> Self {
        let client = self.0.records.len() as u64;
        let return_us = (back > 0).then_some(back * 1_000);
        self.0.records.push(Record { client, call_us: call * 1_000, return_us, asked, outcome });
        self
    }

    /// A command of that id.
    pub(crate) fn command(self, id: u128, call: u64, back: u64, request: Request, outcome: Outcome) -> Self {
        self.tell(call, back, Asked::Commands(vec![Command { id: Id(id), request }]), outcome)
    }

    /// The first thing of most stories: ten units of A arrive.
    pub(crate) fn stocked() -> Self {
        Self::default().command(1, 1, 2, receive("A", 10), done(1, 10))
    }

    /// A hold of units of A under a command and a reservation of that id, at the log time of its call.
    pub(crate) fn held(self, id: u128, call: u64, back: u64, units: u32, atp_after: u64) -> Self {
        let outcome = held(1, atp_after, call + u64::from(TTL_S) * 1_000);
        self.command(id, call, back, reserve(id, "A", units), outcome)
    }

    /// A linearizable read of A.
    pub(crate) fn reads(self, call: u64, back: u64, seen: StockSeen) -> Self {
        let asked = Asked::Read(Subject::Stock("A".to_owned()), Freshness::Linearizable);
        self.tell(call, back, asked, Outcome::Seen { seen: Seen::Stock(Some(seen)), position: None, log_time_ms: None })
    }
}

pub(crate) fn receive(sku: &str, units: u32) -> Request {
    Request::Receive { sku: sku.to_owned(), units }
}

pub(crate) fn reserve(id: u128, sku: &str, units: u32) -> Request {
    Request::Reserve {
        reservation: Id(id),
        lines: vec![Line { sku: sku.to_owned(), units }],
        ttl_s: TTL_S,
        over_shards: false,
        customer: 0,
        together: 0,
    }
}

pub(crate) fn commit(id: u128) -> Request {
    Request::Commit { reservation: Id(id) }
}

pub(crate) fn cancel(id: u128) -> Request {
    Request::Cancel { reservation: Id(id) }
}

pub(crate) fn release(id: u128) -> Request {
    Request::Release { reservation: Id(id) }
}

pub(crate) fn done(revision: u64, atp_after: u64) -> Outcome {
    Outcome::Answered(vec![Answer::Done(Done { revision, atp_after, ..Done::default() })])
}

pub(crate) fn done_at(revision: u64, atp_after: u64, index: u64) -> Outcome {
    let position = Some(Position { shard: 0, index });
    Outcome::Answered(vec![Answer::Done(Done { revision, atp_after, position, ..Done::default() })])
}

pub(crate) fn held(revision: u64, atp_after: u64, expires_at_ms: u64) -> Outcome {
    let done = Done { revision, atp_after, expires_at_ms, phase: Some(Phase::Held), ..Done::default() };
    Outcome::Answered(vec![Answer::Done(done)])
}

pub(crate) fn phase(revision: u64, atp_after: u64, phase: Phase) -> Outcome {
    Outcome::Answered(vec![Answer::Done(Done { revision, atp_after, phase: Some(phase), ..Done::default() })])
}

pub(crate) fn refused(reason: &str, details: &[(&str, u64)]) -> Outcome {
    let details: BTreeMap<String, String> =
        details.iter().map(|(name, number)| ((*name).to_owned(), number.to_string())).collect();
    let field = if reason == "INSUFFICIENT_STOCK" { "lines[0].units" } else { "" };
    Outcome::Answered(vec![Answer::Refused(Refused {
        reason: reason.to_owned(),
        field: field.to_owned(),
        details,
        is_final: true,
    })])
}

/// The same with nothing written.
pub(crate) fn unrecorded(mut outcome: Outcome) -> Outcome {
    if let Outcome::Answered(answers) = &mut outcome
        && let Some(Answer::Refused(refused)) = answers.first_mut()
    {
        refused.is_final = false;
    }
    outcome
}

pub(crate) fn unknown() -> Outcome {
    Outcome::Unknown("OUTCOME_UNKNOWN".to_owned())
}

/// What is seen of ten units of which some are held and some sold.
pub(crate) fn stock(reserved: u64, committed: u64, revision: u64) -> StockSeen {
    let free = 10 - reserved - committed;
    StockSeen { on_hand: 10, reserved, committed, free, atp: free, received: 10, revision, ..StockSeen::default() }
}
