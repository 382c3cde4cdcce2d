//! An acknowledged hold is neither lost nor ended early, and nothing is sold from it after its time, by log time. Looks at
//! each reservation for itself, over the whole run, however many operations there are: less sharp than `linearizable`, and
//! never undecided.

use std::collections::BTreeMap;

use super::{Finding, LogTimeBound};
use crate::history::{
    Answer, Asked, Freshness, History, Id, Operation, Phase, Request, Seen, Standing, Subject, operations,
};

const NAME: &str = "holds";

/// What is known of one reservation.
#[derive(Debug, Default)]
struct Life<'a> {
    /// Its hold was acknowledged at that instant, with that expiry.
    held: Option<(u64, u64)>,
    /// Acknowledged extensions: when they were answered, and the expiry told.
    extended: Vec<(u64, u64)>,
    /// An extension may have been done of which nobody knows.
    may_be_extended: bool,
    /// When it was first asked to be committed, and to be given back or shipped; at any time, with any outcome.
    commit_asked: Option<u64>,
    give_back_asked: Option<u64>,
    fulfil_asked: Option<u64>,
    /// The least log time at which it may be cancelled as not shipped by then.
    cancel_at: Option<u64>,
    /// What was said of it, by instants of call and return.
    said: Vec<Said<'a>>,
}

#[derive(Debug)]
struct Said<'a> {
    call_us: u64,
    return_us: u64,
    what: What<'a>,
    operation: &'a Operation<'a>,
}

#[derive(Debug)]
enum What<'a> {
    Done(&'a Request),
    Refused(&'a str),
    Seen(Option<Phase>, Option<u64>),
}

/// Checks the life of every reservation.
#[must_use]
pub fn check(history: &History, bound: &LogTimeBound) -> Vec<Finding> {
    let operations = operations(history);
    let mut lives: BTreeMap<Id, Life<'_>> = BTreeMap::new();
    for operation in &operations {
        take(&mut lives, operation);
    }
    let mut findings = Vec::new();
    for (id, life) in &lives {
        for said in &life.said {
            if let Some(what) = life.breach(said, bound) {
                let record = said.operation.records.last().map(|record| format!("\n    {record}")).unwrap_or_default();
                findings.push(Finding::new(NAME, format!("reservation {id}: {what}{record}")));
            }
        }
    }
    findings
}

fn take<'a>(lives: &mut BTreeMap<Id, Life<'a>>, operation: &'a Operation<'a>) {
    let (call_us, return_us) = (operation.call_us, operation.return_us.unwrap_or(u64::MAX));
    let commands = match (operation.asked, &operation.standing) {
        (Asked::Read(Subject::Reservation(id), Freshness::Linearizable), Standing::Seen { seen, log_time_ms }) => {
            if let Seen::Reservation(seen) = seen {
                let what = What::Seen(seen.as_ref().map(|seen| seen.phase), *log_time_ms);
                lives.entry(*id).or_default().said.push(Said { call_us, return_us, what, operation });
            }
            return;
        }
        (Asked::Read(..), _) => return,
        (Asked::Commands(commands), _) => commands,
    };
    let answers = match &operation.standing {
        Standing::Decided(answers) => Some(answers),
        Standing::Unknown => None,
        Standing::Nothing | Standing::Seen { .. } => return,
    };
    for (at, command) in commands.iter().enumerate() {
        let Some(id) = command.request.reservation() else { continue };
        let life = lives.entry(id).or_default();
        let answer = answers.and_then(|answers| answers.get(at));
        let earliest = |asked: &mut Option<u64>| *asked = Some(asked.map_or(call_us, |before| before.min(call_us)));
        match &command.request {
            Request::Commit { .. } | Request::Retake { .. } => earliest(&mut life.commit_asked),
            Request::CommitUntil { cancel_at_ms, .. } => {
                earliest(&mut life.commit_asked);
                life.cancel_at = Some(life.cancel_at.map_or(*cancel_at_ms, |at| at.min(*cancel_at_ms)));
            }
            Request::Release { .. } | Request::Cancel { .. } => earliest(&mut life.give_back_asked),
            Request::Fulfil { .. } | Request::Ship { .. } => earliest(&mut life.fulfil_asked),
            _ => {}
        }
        match (&command.request, answer) {
            (
                Request::Reserve { .. }
                | Request::ReserveThrough { .. }
                | Request::ReserveKits { .. }
                | Request::ReserveIn { .. },
                Some(Answer::Done(done)),
            ) => life.held = Some((return_us, done.expires_at_ms)),
            (Request::Extend { .. }, Some(Answer::Done(done))) => life.extended.push((return_us, done.expires_at_ms)),
            (Request::Extend { .. }, None) => life.may_be_extended = true,
            _ => {}
        }
        let what = match answer {
            Some(Answer::Done(_)) => What::Done(&command.request),
            Some(Answer::Refused(refused)) => What::Refused(&refused.reason),
            None => continue,
        };
        life.said.push(Said { call_us, return_us, what, operation });
    }
}

impl Life<'_> {
    /// What is wrong with something that was said, if anything is.
    fn breach(&self, said: &Said<'_>, bound: &LogTimeBound) -> Option<String> {
        let (acknowledged_us, held_until) = self.held?;
        if said.call_us <= acknowledged_us {
            return None;
        }
        let known = self.extended.iter().filter(|(answered_us, _)| *answered_us < said.call_us);
        let at_least = known.map(|(_, expires)| *expires).max().unwrap_or(0).max(held_until);
        let at_most = self.extended.iter().map(|(_, expires)| *expires).max().unwrap_or(0).max(held_until);
        let is_over = !self.may_be_extended && bound.least(said.call_us) >= at_most;
        let is_running = bound.most(said.return_us) < at_least;
        let may_be_cancelled = self.cancel_at.is_some_and(|at| bound.most(said.return_us) >= at);
        let was = |asked: Option<u64>| asked.is_some_and(|asked_us| asked_us < said.return_us);
        let ended = |phase: Phase| match phase {
            Phase::Held => None,
            Phase::Expired => is_running.then(|| format!("ended before {at_least}, which is its expiry")),
            Phase::Committed if !was(self.commit_asked) => Some("sold, and nobody asked for it".to_owned()),
            Phase::Released | Phase::Cancelled if !was(self.give_back_asked) && !may_be_cancelled => {
                Some("given back, and nobody asked for it".to_owned())
            }
            Phase::Fulfilled if !was(self.fulfil_asked) => Some("shipped, and nobody asked for it".to_owned()),
            Phase::Committed | Phase::Released | Phase::Cancelled | Phase::Fulfilled => None,
        };
        match &said.what {
            What::Refused("RESERVATION_NOT_FOUND") | What::Seen(None, _) => Some("lost".to_owned()),
            What::Refused("RESERVATION_EXPIRED") => ended(Phase::Expired),
            What::Refused("ALREADY_COMMITTED") => ended(Phase::Committed),
            What::Refused("ALREADY_RELEASED") => ended(Phase::Released),
            What::Refused("ALREADY_FULFILLED") => ended(Phase::Fulfilled),
            What::Refused("INVALID_ARGUMENT") if self.cancel_at.is_some() && !may_be_cancelled => {
                Some("the end of its payment window was taken for over".to_owned())
            }
            What::Refused(_) => None,
            What::Seen(Some(Phase::Held), Some(log_time)) if !self.may_be_extended && *log_time >= at_most => {
                Some(format!("held still at {log_time}, when its time was over"))
            }
            What::Seen(Some(phase), _) => ended(*phase),
            What::Done(
                Request::Commit { .. } | Request::CommitUntil { .. } | Request::Release { .. } | Request::Extend { .. },
            ) if is_over => Some(format!("taken from after {at_most}, when its time was over")),
            What::Done(..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{BOUND, Story, TTL_S, commit, phase, refused, release, unknown};
    use crate::history::{Outcome, ReservationSeen};

    const OVER: u64 = 10 + TTL_S as u64 * 1_000;

    fn held() -> Story {
        Story::stocked().held(2, 10, 12, 3, 7)
    }

    fn findings(story: Story) -> usize {
        check(&story.0, &BOUND).len()
    }

    #[test]
    fn a_hold_that_is_sold_in_time_or_refused_after_it_is_good() {
        assert_eq!(findings(held().command(3, 20, 22, commit(2), phase(2, 7, Phase::Committed))), 0);
        assert_eq!(findings(held().command(3, OVER, OVER + 1, commit(2), refused("RESERVATION_EXPIRED", &[]))), 0);
    }

    #[test]
    fn a_hold_that_is_lost_or_ended_early_is_found() {
        assert_eq!(findings(held().command(3, 20, 22, commit(2), refused("RESERVATION_NOT_FOUND", &[]))), 1);
        assert_eq!(findings(held().command(3, 20, 22, commit(2), refused("RESERVATION_EXPIRED", &[]))), 1);
        assert_eq!(findings(held().command(3, 20, 22, commit(2), refused("ALREADY_RELEASED", &[]))), 1);
        let given_back = held().command(4, 14, 0, release(2), unknown());
        assert_eq!(findings(given_back.command(3, 20, 22, commit(2), refused("ALREADY_RELEASED", &[]))), 0);
    }

    #[test]
    fn a_sale_at_or_after_the_expiry_is_found() {
        let sold = |call, back| held().command(3, call, back, commit(2), phase(2, 7, Phase::Committed));
        assert_eq!(findings(sold(OVER - 1, OVER + 5)), 0);
        assert_eq!(findings(sold(OVER, OVER + 5)), 1);
        let extended = || {
            let extend = Request::Extend { reservation: Id(2), ttl_s: TTL_S };
            held().command(5, 100, 0, extend, unknown())
        };
        assert_eq!(findings(extended().command(3, OVER, OVER + 5, commit(2), phase(3, 7, Phase::Committed))), 0);
    }

    #[test]
    fn a_hold_that_outlives_its_time_is_found() {
        let seen = |log_time| {
            let seen = ReservationSeen { phase: Phase::Held, expires_at_ms: OVER, revision: 1, lines: Vec::new() };
            let asked = Asked::Read(Subject::Reservation(Id(2)), Freshness::Linearizable);
            let seen = Seen::Reservation(Some(seen));
            held().tell(
                OVER + 10,
                OVER + 12,
                asked,
                Outcome::Seen { seen, position: None, log_time_ms: Some(log_time) },
            )
        };
        assert_eq!(findings(seen(OVER - 1)), 0);
        assert_eq!(findings(seen(OVER)), 1);
    }
}
