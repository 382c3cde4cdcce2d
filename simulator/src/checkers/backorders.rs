//! The model's units that are promised without stock: reservations of one line of a SKU that allows it, and what fills them. Of each
//! unit that is free who has paid gets it first, then who has not, the oldest before the others, and nobody else before them.

use super::model::{Model, Sale, State, Stock, holding};
use super::told::{Refusal, Told};
use crate::history::{LineSeen, Phase};

/// What a SKU allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Terms {
    pub(super) cap: u64,
    /// It is out only long after any run.
    pub(super) is_preorder: bool,
}

/// What a reservation of one line has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HoldThatWaits {
    sku: usize,
    /// The how-manieth it is.
    pub(super) number: u64,
    /// Held, or sold where it is paid.
    there: u64,
    waits: u64,
    shipped: u64,
}

impl HoldThatWaits {
    /// Whether this is what was seen of its line.
    pub(super) fn fits(&self, phase: Phase, units: u64, seen: &LineSeen) -> bool {
        let is_over = matches!(phase, Phase::Cancelled | Phase::Released | Phase::Expired);
        let (held, committed) = if phase == Phase::Held { (self.there, 0) } else { (0, self.there) };
        (seen.held, seen.committed, seen.fulfilled) == (held, committed, self.shipped)
            && (seen.backordered, seen.given_back) == (self.waits, if is_over { units } else { 0 })
    }
}

impl Model {
    /// Takes a hold of one line: what is there, and the rest within the cap.
    pub(super) fn promise(
        state: &mut State,
        sku: usize,
        line: usize,
        units: u64,
    ) -> Result<Option<HoldThatWaits>, Refusal> {
        let stock = &mut state.stocks[sku];
        let Some(terms) = stock.terms else { return Ok(None) };
        let there = units.min(stock.atp());
        let (waits, more) = (units - there, terms.cap.saturating_sub(stock.backordered));
        if waits > more {
            return Err(Refusal::BackorderCapExceeded { line, available: stock.atp() + more });
        }
        stock.reserved += there;
        stock.backordered += waits;
        stock.revision += u64::from(there > 0);
        state.made += 1;
        Ok(Some(HoldThatWaits { sku, number: state.made, there, waits, shipped: 0 }))
    }

    /// What is promised without stock by a hold that was taken.
    pub(super) fn waits_of(state: &State, at: usize) -> u64 {
        state.holds.get(at).and_then(|hold| hold.waits.as_ref()).map_or(0, |hold| hold.waits)
    }

    fn change_waiting(state: &mut State, at: usize, change: impl FnOnce(&mut HoldThatWaits, &mut Stock) -> u64) {
        let Some(hold) = state.holds.get_mut(at) else { return };
        let Some(waits) = &mut hold.waits else { return };
        let stock = &mut state.stocks[waits.sku];
        // Of the place only what lies there counts as a change.
        stock.revision += u64::from(change(waits, stock) > 0);
        hold.revision += 1;
    }

    /// Sells what is held, of whichever kind of stock.
    pub(super) fn commit(&self, state: &mut State, at: usize, how: Sale) -> Result<Told, Refusal> {
        if how.cancel_at.is_some_and(|cancel_at| cancel_at <= state.now) {
            return Err(Refusal::WindowOver);
        }
        if how.retakes && self.retake(state, at)? {
            return Ok(self.told_of_hold(state, at));
        }
        let hold = holding(state, at)?;
        hold.cancel_at = how.cancel_at;
        if hold.of_lots.is_some() {
            self.commit_lots(state, at).map_err(|units| Refusal::HoldShort { units })?;
        } else if hold.waits.is_some() {
            Self::commit_waiting(state, at);
        } else {
            (hold.phase, hold.revision) = (Phase::Committed, hold.revision + 1);
            let lines = hold.lines;
            self.change_stocks(state, lines, |stock, units| {
                stock.reserved -= units;
                stock.committed += units;
            });
        }
        Ok(self.told_of_hold(state, at))
    }

    /// Sells what has expired, where all of it may be promised anew. False: it has not expired.
    fn retake(&self, state: &mut State, at: usize) -> Result<bool, Refusal> {
        let Some(hold) = state.holds.get(at).filter(|hold| hold.phase == Phase::Expired) else { return Ok(false) };
        let lines = hold.lines;
        for line in &self.lines[lines].lines {
            let available = state.stocks[line.sku].atp();
            if line.units > available {
                return Err(Refusal::InsufficientStock { line: line.number, available });
            }
        }
        self.change_stocks(state, lines, |stock, units| stock.committed += units);
        if let Some(hold) = state.holds.get_mut(at) {
            (hold.phase, hold.revision) = (Phase::Committed, hold.revision + 1);
        }
        Ok(true)
    }

    fn commit_waiting(state: &mut State, at: usize) {
        Self::change_waiting(state, at, |hold, stock| {
            stock.reserved -= hold.there;
            stock.committed += hold.there;
            hold.there
        });
        if let Some(hold) = state.holds.get_mut(at) {
            hold.phase = Phase::Committed;
        }
    }

    /// Ships what is there; the model knows of no shipment of a part.
    pub(super) fn fulfil_waiting(&self, state: &mut State, at: usize) -> Result<(), Refusal> {
        let found = state.holds.get(at).and_then(|hold| hold.waits.as_ref());
        let (sku, there) = found.map_or((0, 0), |hold| (hold.sku, hold.there));
        if there == 0 {
            return Err(Refusal::ExceedsHeld);
        }
        if state.stocks[sku].terms.is_some_and(|terms| terms.is_preorder) {
            return Err(Refusal::NotReleased);
        }
        Self::change_waiting(state, at, |hold, stock| {
            let units = std::mem::take(&mut hold.there);
            hold.shipped += units;
            stock.ship(units);
            units
        });
        if let Some(hold) = state.holds.get_mut(at) {
            hold.phase = Phase::Fulfilled;
        }
        Ok(())
    }

    pub(super) fn give_back_waiting(&self, state: &mut State, at: usize, phase: Phase) {
        let is_held = state.holds.get(at).is_some_and(|hold| hold.phase == Phase::Held);
        let sku = state.holds.get(at).and_then(|hold| hold.waits.as_ref()).map(|hold| hold.sku);
        Self::change_waiting(state, at, |hold, stock| {
            let units = std::mem::take(&mut hold.there);
            *(if is_held { &mut stock.reserved } else { &mut stock.committed }) -= units;
            stock.backordered -= std::mem::take(&mut hold.waits);
            units
        });
        if let Some(hold) = state.holds.get_mut(at) {
            hold.phase = phase;
        }
        if let Some(sku) = sku {
            self.fill(state, sku);
        }
    }

    /// Gives what is free to who waits.
    pub(super) fn fill(&self, state: &mut State, sku: usize) {
        if state.stocks[sku].backordered == 0 {
            return;
        }
        let mut waiting: Vec<(bool, u64, usize)> = Vec::new();
        state.holds.each(|at, hold| {
            if let Some(waits) = hold.waits.as_ref().filter(|waits| waits.sku == sku && waits.waits > 0)
                && matches!(hold.phase, Phase::Held | Phase::Committed)
            {
                waiting.push((hold.phase == Phase::Held, waits.number, at));
            }
        });
        waiting.sort_unstable();
        for (is_unpaid, _, at) in waiting {
            if state.stocks[sku].atp() == 0 {
                return;
            }
            Self::change_waiting(state, at, |hold, stock| {
                let units = hold.waits.min(stock.atp());
                (hold.waits, hold.there) = (hold.waits - units, hold.there + units);
                stock.backordered -= units;
                *(if is_unpaid { &mut stock.reserved } else { &mut stock.committed }) += units;
                units
            });
        }
    }

    pub(super) fn put_terms(&self, state: &mut State, sku: usize, terms: Terms) -> Told {
        state.stocks[sku].terms = Some(terms);
        self.fill(state, sku);
        Told::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::checkers::linearizable::{Effort, check};
    use crate::checkers::stories::{BOUND, Story, cancel, commit, done, phase, refused, release, reserve};
    use crate::history::{
        Answer, Asked, Done, Freshness, Id, LineSeen, Outcome, Phase, Request, ReservationSeen, Seen, Subject,
    };

    const SKU: &str = "WAIT";

    /// One unit on the shelf, and four more may be promised; each hold is taken in its own two instants.
    fn shop(is_preorder: bool) -> Story {
        let release_at_ms = if is_preorder { 9_999_999_999_999 } else { 0 };
        let put = Request::PutItemToWaitFor { sku: SKU.to_owned(), cap: 4, release_at_ms };
        let receive = Request::Receive { sku: SKU.to_owned(), units: 1 };
        Story::default().command(1, 1, 2, put, done(1, 0)).command(2, 3, 4, receive, done(1, 1))
    }

    fn held(at_ms: u64, backordered: u64) -> Outcome {
        Outcome::Answered(vec![Answer::Done(Done {
            revision: 1,
            expires_at_ms: at_ms + 10_000,
            phase: Some(Phase::Held),
            backordered,
            ..Done::default()
        })])
    }

    fn seen(id: u128, at: u64, phase: Phase, revision: u64, there: u64, backordered: u64) -> impl Fn(Story) -> Story {
        let (held, committed) = if phase == Phase::Held { (there, 0) } else { (0, there) };
        let line = LineSeen { sku: SKU.to_owned(), held, committed, backordered, ..LineSeen::default() };
        let expires_at_ms = if phase == Phase::Held { 5 + 2 * (id as u64 - 5) + 10_000 } else { 0 };
        let seen = ReservationSeen { phase, expires_at_ms, revision, lines: vec![line] };
        let outcome = Outcome::Seen { seen: Seen::Reservation(Some(seen)), position: None, log_time_ms: None };
        move |story| {
            let asked = Asked::Read(Subject::Reservation(Id(id)), Freshness::Linearizable);
            story.tell(at, at + 1, asked, outcome.clone())
        }
    }

    fn is_good(story: &Story) -> bool {
        let findings = check(&story.0, &BOUND, &Effort::default());
        findings.is_empty()
    }

    /// Two holds, of three units and of two, of which the second is paid.
    fn two() -> Story {
        shop(false)
            .command(5, 5, 6, reserve(5, SKU, 3), held(5, 2))
            .command(6, 7, 8, reserve(6, SKU, 2), held(7, 2))
            .command(7, 9, 10, commit(6), phase(2, 0, Phase::Committed))
    }

    fn receive(units: u32) -> Request {
        Request::Receive { sku: SKU.to_owned(), units }
    }

    #[test]
    fn what_is_promised_beyond_the_cap_is_found() {
        assert!(is_good(&two()));
        let beyond = |outcome| two().command(8, 11, 12, reserve(8, SKU, 1), outcome);
        let details = [("available", 0)];
        let Outcome::Answered(mut answers) = refused("BACKORDER_CAP_EXCEEDED", &details) else { unreachable!() };
        if let Answer::Refused(refused) = &mut answers[0] {
            refused.field = "lines[0].units".to_owned();
        }
        assert!(is_good(&beyond(Outcome::Answered(answers))));
        assert!(!is_good(&beyond(held(11, 1))));
    }

    #[test]
    fn what_is_filled_out_of_order_is_found() {
        let came = || two().command(8, 11, 12, receive(3), done(5, 0));
        let paid_first = seen(6, 13, Phase::Committed, 3, 2, 0)(came());
        assert!(is_good(&seen(5, 15, Phase::Held, 2, 2, 1)(paid_first)));
        assert!(!is_good(&seen(6, 13, Phase::Committed, 3, 1, 1)(came())));
    }

    #[test]
    fn what_waits_and_is_given_back_as_if_it_were_there_is_found() {
        let given = |atp| two().command(8, 11, 12, release(5), phase(2, atp, Phase::Released));
        let given =
            |atp| given(atp).command(9, 13, 14, cancel(6), phase(if atp == 0 { 4 } else { 3 }, 1, Phase::Cancelled));
        assert!(is_good(&given(0)));
        assert!(!is_good(&given(1)));
    }

    #[test]
    fn what_is_shipped_before_it_is_out_is_found() {
        let sold = |outcome| {
            shop(true)
                .command(5, 5, 6, reserve(5, SKU, 1), held(5, 0))
                .command(6, 7, 8, commit(5), phase(2, 0, Phase::Committed))
                .command(7, 9, 10, Request::Fulfil { reservation: Id(5) }, outcome)
        };
        assert!(is_good(&sold(refused("NOT_RELEASED", &[]))));
        assert!(!is_good(&sold(phase(3, 0, Phase::Fulfilled))));
    }
}
