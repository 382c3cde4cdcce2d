//! Campaigns, by a second specification: a campaign never has more units held and sold than it was given, nobody outside of it gets
//! what it has, nothing is held in it before it begins or when it is over, and nobody is refused what there surely is.
//!
//! Everything is a sum over intervals: what was surely done by an instant, and what may have been. No order is searched for, so that
//! nothing is missed for want of effort, and what only an order could tell is not seen.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, LogTimeBound};
use crate::history::{Answer, Asked, History, Id, Operation, Request, Sale, Standing, operations};

const NAME: &str = "campaigns";

/// Something that was done, or may have been.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// Not before then.
    call_us: u64,
    /// By then for sure; `None`: nobody knows whether it was done.
    sure_us: Option<u64>,
    units: u64,
}

impl Step {
    fn may_be_by(&self, at_us: u64) -> bool {
        self.call_us <= at_us
    }

    fn is_by(&self, at_us: u64) -> bool {
        self.sure_us.is_some_and(|sure| sure <= at_us)
    }
}

#[derive(Debug)]
struct Hold<'a> {
    taken: Step,
    sale: Option<&'a Sale>,
    /// Where it is known.
    expires_at_ms: Option<u64>,
    commit: Option<Step>,
    give_backs: Vec<Step>,
}

/// What was asked of one SKU.
#[derive(Debug, Default)]
struct Told<'a> {
    received: Vec<Step>,
    granted: BTreeMap<&'a Sale, Vec<Step>>,
    revoked: BTreeMap<&'a Sale, Vec<Step>>,
    holds: BTreeMap<Id, Hold<'a>>,
    /// Units, whose campaign, the call and the return.
    lacking: Vec<(u64, Option<&'a Sale>, u64, u64)>,
}

fn sum<'a>(steps: impl IntoIterator<Item = &'a Step>, counts: impl Fn(&Step) -> bool) -> u64 {
    steps.into_iter().filter(|step| counts(step)).map(|step| step.units).sum()
}

/// Checks what customers of campaigns were told.
#[must_use]
pub fn check(history: &History, bound: &LogTimeBound) -> Vec<Finding> {
    let operations = operations(history);
    let mut findings = Vec::new();
    let mut by_sku: BTreeMap<&str, Told<'_>> = BTreeMap::new();
    let mut sku_of: BTreeMap<Id, &str> = BTreeMap::new();
    for (operation, request, answer) in decided(&operations) {
        let step = |units: u64| Step {
            call_us: operation.call_us,
            sure_us: operation.return_us.filter(|_| matches!(answer, Some(Answer::Done(_)))),
            units,
        };
        let returned = operation.return_us.unwrap_or(u64::MAX);
        let is_refused = matches!(answer, Some(Answer::Refused(_)));
        match request {
            Request::Receive { sku, units } if !is_refused => {
                by_sku.entry(sku).or_default().received.push(step(u64::from(*units)));
            }
            Request::Allocate { sku, units, sale, back } if !is_refused => {
                let told = by_sku.entry(sku).or_default();
                let steps = if *back { &mut told.revoked } else { &mut told.granted };
                steps.entry(sale).or_default().push(step(u64::from(*units)));
            }
            Request::ReserveIn { reservation, sku, units, sale, .. } => {
                sku_of.insert(*reservation, sku);
                let (told, units) = (by_sku.entry(sku).or_default(), u64::from(*units));
                let expires_at_ms = match answer {
                    Some(Answer::Done(done)) => Some(done.expires_at_ms),
                    Some(Answer::Refused(refused)) => {
                        if ["INSUFFICIENT_STOCK", "ALLOCATION_EXHAUSTED"].contains(&refused.reason.as_str()) {
                            told.lacking.push((units, sale.as_ref(), operation.call_us, returned));
                        }
                        findings.extend(window_breach(operation, sale.as_ref(), Some(&refused.reason), bound));
                        continue;
                    }
                    None => None,
                };
                if expires_at_ms.is_some() {
                    findings.extend(window_breach(operation, sale.as_ref(), None, bound));
                }
                let (taken, sale) = (step(units), sale.as_ref());
                let hold = Hold { taken, sale, expires_at_ms, commit: None, give_backs: Vec::new() };
                told.holds.insert(*reservation, hold);
            }
            _ => {}
        }
    }
    for (operation, request, answer) in decided(&operations) {
        let Some(id) = request.reservation().filter(|_| !matches!(answer, Some(Answer::Refused(_)))) else { continue };
        let told = sku_of.get(&id).and_then(|sku| by_sku.get_mut(sku));
        let Some(hold) = told.and_then(|told| told.holds.get_mut(&id)) else { continue };
        let sure_us = operation.return_us.filter(|_| answer.is_some());
        let step = Step { call_us: operation.call_us, sure_us, units: 0 };
        match request {
            Request::Commit { .. } => hold.commit = Some(step),
            Request::Release { .. } | Request::Cancel { .. } => hold.give_backs.push(step),
            _ => {}
        }
    }
    for (sku, told) in by_sku.iter().filter(|(_, told)| told.is_of_campaigns()) {
        findings.extend(told.breaches(bound).into_iter().map(|what| Finding::new(NAME, format!("{sku}: {what}"))));
    }
    findings
}

/// Every command that was done, refused or may have been done; `None`: nobody knows.
fn decided<'a>(
    operations: &'a [Operation<'a>],
) -> impl Iterator<Item = (&'a Operation<'a>, &'a Request, Option<&'a Answer>)> {
    operations.iter().flat_map(|operation| {
        let Asked::Commands(commands) = operation.asked else { return Vec::new() };
        let answers = match &operation.standing {
            Standing::Decided(answers) => Some(answers),
            Standing::Unknown => None,
            Standing::Nothing | Standing::Seen { .. } => return Vec::new(),
        };
        let answer = |at: usize| answers.and_then(|answers| answers.get(at));
        commands.iter().enumerate().map(|(at, command)| (operation, &command.request, answer(at))).collect()
    })
}

/// A hold that was taken, or refused for that reason, where its campaign surely did otherwise.
fn window_breach(
    operation: &Operation<'_>,
    sale: Option<&Sale>,
    refused: Option<&str>,
    bound: &LogTimeBound,
) -> Option<Finding> {
    let sale = sale?;
    let (least, most) = (bound.least(operation.call_us), bound.most(operation.return_us?));
    let (is_before, is_after) = (most < sale.starts_at_ms, least >= sale.ends_at_ms);
    let is_wrong = match refused {
        None => is_before || is_after,
        Some("SALE_NOT_STARTED") => least >= sale.starts_at_ms,
        Some("SALE_ENDED") => most < sale.ends_at_ms,
        Some(_) => false,
    };
    let told = refused.unwrap_or("held");
    is_wrong.then(|| Finding::new(NAME, format!("{sale:?} was told {told} between {least} and {most}")))
}

impl Hold<'_> {
    /// Whether its units are nobody else's at that instant, for sure.
    fn is_live(&self, at_us: u64, bound: &LogTimeBound) -> bool {
        let is_sold = self.commit.is_some_and(|commit| commit.sure_us.is_some());
        let may_be_over = self.expires_at_ms.is_none_or(|expires_at| bound.most(at_us) >= expires_at);
        self.taken.is_by(at_us)
            && (is_sold || !may_be_over)
            && !self.give_backs.iter().any(|give_back| give_back.may_be_by(at_us))
    }

    /// Whether it may have units for whoever decides between those two.
    fn may_live(&self, from_us: u64, to_us: u64, bound: &LogTimeBound) -> bool {
        let is_over =
            self.commit.is_none() && self.expires_at_ms.is_some_and(|expires_at| bound.least(from_us) >= expires_at);
        self.taken.may_be_by(to_us) && !is_over && !self.give_backs.iter().any(|give_back| give_back.is_by(from_us))
    }
}

impl Told<'_> {
    fn is_of_campaigns(&self) -> bool {
        !self.granted.is_empty() || self.holds.values().any(|hold| hold.sale.is_some())
    }

    fn breaches(&self, bound: &LogTimeBound) -> Vec<String> {
        let instants: BTreeSet<u64> = self.holds.values().filter_map(|hold| hold.taken.sure_us).collect();
        let mut breaches: Vec<String> = instants.iter().flat_map(|at| self.breaches_at(*at, bound)).collect();
        for &(units, sale, call_us, return_us) in &self.lacking {
            let there = self.surely_there(sale, call_us, return_us, bound);
            if there >= units {
                let whose = sale.map_or("outside", |sale| sale.campaign.as_str());
                breaches.push(format!("{units} were refused {whose} at {call_us} µs, and {there} were there"));
            }
        }
        breaches
    }

    fn live_in(&self, sale: Option<&Sale>, at_us: u64, bound: &LogTimeBound) -> u64 {
        let live = self.holds.values().filter(|hold| hold.sale == sale && hold.is_live(at_us, bound));
        live.map(|hold| hold.taken.units).sum()
    }

    /// Too many in a campaign, or outside.
    fn breaches_at(&self, at_us: u64, bound: &LogTimeBound) -> Vec<String> {
        let mut breaches = Vec::new();
        let sales: BTreeSet<&Sale> =
            self.granted.keys().copied().chain(self.holds.values().filter_map(|hold| hold.sale)).collect();
        let mut taken = self.live_in(None, at_us, bound);
        for sale in sales {
            let granted = || self.granted.get(sale).into_iter().flatten();
            let revoked = || self.revoked.get(sale).into_iter().flatten();
            let live = self.live_in(Some(sale), at_us, bound);
            let most = sum(granted(), |it| it.may_be_by(at_us)).saturating_sub(sum(revoked(), |it| it.is_by(at_us)));
            if live > most {
                breaches.push(format!("{live} are held and sold in {} at {at_us} µs, which has {most}", sale.campaign));
            }
            let least = sum(granted(), |it| it.is_by(at_us)).saturating_sub(sum(revoked(), |it| it.may_be_by(at_us)));
            let is_over = bound.most(at_us) >= sale.ends_at_ms;
            taken += if is_over { live } else { least.max(live) };
        }
        let received = sum(&self.received, |it| it.may_be_by(at_us));
        if taken > received {
            breaches.push(format!("{taken} are taken at {at_us} µs, what campaigns have included, of {received}"));
        }
        breaches
    }

    /// Units that there were for sure for one who asked between those two.
    fn surely_there(&self, sale: Option<&Sale>, call_us: u64, return_us: u64, bound: &LogTimeBound) -> u64 {
        let used = |counts: &dyn Fn(&Hold<'_>) -> bool| -> u64 {
            let may = self.holds.values().filter(|hold| counts(hold) && hold.may_live(call_us, return_us, bound));
            may.map(|hold| hold.taken.units).sum()
        };
        if let Some(sale) = sale {
            let granted = sum(self.granted.get(sale).into_iter().flatten(), |it| it.is_by(call_us));
            let revoked = sum(self.revoked.get(sale).into_iter().flatten(), |it| it.may_be_by(return_us));
            return granted.saturating_sub(revoked).saturating_sub(used(&|hold| hold.sale == Some(sale)));
        }
        let fence = |(sale, granted): (&&Sale, &Vec<Step>)| {
            if bound.least(call_us) >= sale.ends_at_ms {
                return 0;
            }
            let revoked = sum(self.revoked.get(sale).into_iter().flatten(), |it| it.is_by(call_us));
            sum(granted, |it| it.may_be_by(return_us)).saturating_sub(revoked)
        };
        let fenced: u64 = self.granted.iter().map(fence).sum();
        sum(&self.received, |it| it.is_by(call_us)).saturating_sub(fenced).saturating_sub(used(&|_| true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{BOUND, Story, cancel, commit, done, held, phase, refused, release, unknown};
    use crate::history::{Outcome, Phase};

    /// It sells from the first to the fifth second.
    fn sale() -> Sale {
        Sale { campaign: "drop".to_owned(), starts_at_ms: 1_000, ends_at_ms: 5_000 }
    }

    fn allocate(units: u32, back: bool) -> Request {
        Request::Allocate { sku: "A".to_owned(), units, sale: sale(), back }
    }

    fn buy(id: u128, units: u32, sale: Option<Sale>) -> Request {
        Request::ReserveIn { reservation: Id(id), sku: "A".to_owned(), units, ttl_s: 10, sale, showing: None }
    }

    /// Ten units, of which the campaign has four.
    fn shop() -> Story {
        Story::stocked().command(2, 10, 12, allocate(4, false), done(1, 6))
    }

    fn taken() -> Outcome {
        held(1, 0, 60_000)
    }

    fn found(story: &Story) -> usize {
        check(&story.0, &BOUND).len()
    }

    #[test]
    fn what_is_sold_within_the_window_and_the_grant_is_good() {
        let story = shop()
            .command(3, 1_000, 1_002, buy(3, 4, Some(sale())), taken())
            .command(4, 1_003, 1_004, buy(4, 6, None), taken())
            .command(5, 1_005, 1_006, buy(5, 1, Some(sale())), refused("ALLOCATION_EXHAUSTED", &[]))
            .command(6, 1_007, 1_008, buy(6, 1, None), refused("INSUFFICIENT_STOCK", &[]));
        assert_eq!(found(&story), 0);
    }

    #[test]
    fn more_in_a_campaign_than_it_has_is_found_and_what_it_may_have_is_not() {
        assert_eq!(found(&shop().command(3, 2_000, 2_002, buy(3, 5, Some(sale())), taken())), 1);
        let granted = shop().command(7, 20, 0, allocate(1, false), unknown());
        assert_eq!(found(&granted.command(3, 2_000, 2_002, buy(3, 5, Some(sale())), taken())), 0);
        let revoked = shop().command(7, 20, 21, allocate(1, true), done(1, 7));
        assert_eq!(found(&revoked.command(3, 2_000, 2_002, buy(3, 4, Some(sale())), taken())), 1);
    }

    #[test]
    fn what_a_campaign_has_and_others_got_is_found_until_it_is_over() {
        let outside = |call, units| shop().command(3, call, call + 2, buy(3, units, None), taken());
        assert_eq!((found(&outside(100, 6)), found(&outside(100, 7)), found(&outside(5_000, 10))), (0, 1, 0));
        assert_eq!(found(&outside(4_999, 10)), 0, "it may have been over");
    }

    #[test]
    fn what_is_held_outside_of_the_window_is_found_and_what_is_refused_within_it() {
        let bought = |call, back, outcome| found(&shop().command(3, call, back, buy(3, 1, Some(sale())), outcome));
        assert_eq!((bought(900, 999, taken()), bought(900, 1_000, taken())), (1, 0));
        assert_eq!((bought(4_999, 5_100, taken()), bought(5_000, 5_100, taken())), (0, 1));
        let early = || refused("SALE_NOT_STARTED", &[]);
        assert_eq!((bought(999, 1_010, early()), bought(1_000, 1_010, early())), (0, 1));
        let late = || refused("SALE_ENDED", &[]);
        assert_eq!((bought(4_000, 4_999, late()), bought(4_000, 5_000, late())), (1, 0));
    }

    #[test]
    fn what_came_back_to_a_campaign_and_was_refused_is_found() {
        let back = |outcome| {
            shop()
                .command(3, 1_000, 1_002, buy(3, 4, Some(sale())), taken())
                .command(4, 1_100, 1_102, release(3), outcome)
                .command(5, 1_200, 1_202, buy(5, 2, Some(sale())), refused("ALLOCATION_EXHAUSTED", &[]))
        };
        assert_eq!((found(&back(phase(2, 0, Phase::Released))), found(&back(unknown()))), (1, 0));
        let sold = shop()
            .command(3, 1_000, 1_002, buy(3, 4, Some(sale())), taken())
            .command(4, 1_100, 1_102, commit(3), phase(2, 0, Phase::Committed))
            .command(5, 1_200, 1_202, buy(5, 2, Some(sale())), refused("ALLOCATION_EXHAUSTED", &[]));
        assert_eq!(found(&sold), 0);
        let cancelled = sold.command(6, 1_300, 1_302, cancel(3), phase(3, 0, Phase::Cancelled)).command(
            7,
            1_400,
            1_402,
            buy(7, 2, Some(sale())),
            refused("ALLOCATION_EXHAUSTED", &[]),
        );
        assert_eq!(found(&cancelled), 1);
    }

    #[test]
    fn what_was_not_sold_and_is_refused_to_others_when_it_is_over_is_found() {
        let refused_at = |call| {
            shop().command(3, call, call + 2, buy(3, 8, None), refused("INSUFFICIENT_STOCK", &[("available", 6)]))
        };
        assert_eq!((found(&refused_at(4_000)), found(&refused_at(4_999)), found(&refused_at(5_000))), (0, 0, 1));
    }
}
