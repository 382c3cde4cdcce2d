//! What each line of a reserve gets.

use std::collections::BTreeMap;

use holdfast_mutation::{Mutation, is_on};

use super::Reserve;
use super::role::Role;
use crate::demand::{Demand, Promise};
use crate::state::LineRecord;
use crate::turn::Turn;
use crate::{Refusal, Units};

/// How many of one asked line there may be: of a kit, so many kits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) asked: u64,
    /// If any, no fewer than these.
    pub(super) least: u64,
}

impl Share {
    /// The units of a line for so many of the asked one that it comes from, where it has `all` for all of them.
    pub(super) fn units_of(&self, number: u64, all: Units) -> u64 {
        all.count() * number / self.asked.max(1)
    }

    /// The other way round: for how many of the asked line so many units do.
    pub(super) fn asked_of(&self, units: u64, all: Units) -> u64 {
        units.saturating_mul(self.asked) / all.count().max(1)
    }
}

impl Reserve {
    /// Decides what each line gets: what is required first, summed, and then in order what is optional. Lines that come from one
    /// asked line get all, nothing or as large a part of it each, those of other shards included.
    pub(super) fn take<'b>(
        &self,
        turn: &Turn<'_>,
        lines: &mut [LineRecord],
        mut role: Role<'b>,
    ) -> Result<Role<'b>, Refusal> {
        let sale = turn.sale(self.campaign.as_ref())?;
        if !matches!(role, Role::Part(_)) {
            self.check_pass(turn, sale)?;
        }
        let demand = Demand::of(self.customer, turn.through(self.channel.as_ref(), self.sourced())?, sale);
        let mut demand = demand.in_campaign(self.campaign.as_ref());
        let mut fewer = role.fewer();
        let mut first_lack = None;
        let groups = self.groups();
        let count = groups.as_ref().map_or(lines.len(), Vec::len);
        for is_optional in [false, true] {
            for at in 0..count {
                let alone = [at];
                let group = groups.as_ref().map_or(alone.as_slice(), |groups| groups[at].as_slice());
                let first = group[0];
                if (self.partial_ok || lines[first].optional) != is_optional {
                    continue;
                }
                let (number, share) = (self.asked_number(&role, first), self.share_of(first as u16));
                let got = match fewer.get(&number).copied().unwrap_or(share.asked) {
                    0 => Err(Refusal::InsufficientStock { available: 0, line: first as u32, recorded: true }),
                    most => self.promise_most(turn, &mut demand, lines, group, share, most),
                };
                match got {
                    Ok((units, promises)) => {
                        group.iter().zip(promises).for_each(|(at, promise)| promise.count(&mut lines[*at].units));
                        if units < share.asked {
                            fewer.insert(number, units);
                        }
                    }
                    Err(lack) if is_optional && lack.is_recorded() => {
                        fewer.insert(number, 0);
                        first_lack.get_or_insert(lack);
                    }
                    Err(lack) => return Err(lack),
                }
            }
        }
        role.make_do(&fewer);
        if role.holds_elsewhere() || lines.iter().any(|line| line.units.unsold() > 0) {
            return Ok(role);
        }
        // Nothing is held at all. Where no line is of this shard, its own say nothing of what is lacking.
        let of_others = || fewer.keys().next().map(|number| role.first_line_of(*number));
        match first_lack {
            Some(lack) => Err(lack),
            None if lines.is_empty() => {
                let line = of_others().map_or(0, u32::from);
                Err(Refusal::InsufficientStock { available: 0, line, recorded: true })
            }
            None => Ok(role),
        }
    }

    /// Asks for those lines of so many of their asked line, or of as many as there are.
    fn promise_most(
        &self,
        turn: &Turn<'_>,
        demand: &mut Demand,
        lines: &[LineRecord],
        group: &[usize],
        share: Share,
        most: u64,
    ) -> Result<(u64, Vec<Promise>), Refusal> {
        let mut number = most;
        // Each turn finds a line that lacks something and asks for so few that this one lacks nothing any more.
        loop {
            let units = |at: usize| share.units_of(number, self.lines[at].units);
            match self.promise(turn, demand, lines, group, units) {
                Ok(promises) => return Ok((number, promises)),
                Err(Lack { refusal, at, left }) => {
                    let can = share.asked_of(left, self.lines[at].units);
                    if can < share.least || can >= number {
                        return Err(refusal);
                    }
                    number = can;
                }
            }
        }
    }

    /// Asks for so many units of those lines, of all or of none.
    fn promise(
        &self,
        turn: &Turn<'_>,
        demand: &mut Demand,
        lines: &[LineRecord],
        group: &[usize],
        units: impl Fn(usize) -> u64,
    ) -> Result<Vec<Promise>, Lack> {
        let before = (group.len() > 1).then(|| demand.clone());
        let mut promises = Vec::with_capacity(group.len());
        for &at in group {
            let promise = self.check_customer(turn, &lines[at]);
            match promise.and_then(|()| demand.promise(turn, &lines[at], at, units(at))) {
                Ok(promise) => promises.push(promise),
                Err(refusal) => {
                    let left = demand.left_of(turn, &lines[at]);
                    if let Some(before) = before {
                        *demand = before;
                    }
                    let refusal = self.lack_through_channel(turn, demand, lines, group, refusal);
                    return Err(Lack { refusal, at, left });
                }
            }
        }
        Ok(promises)
    }

    /// A lack of a line whose location its channel chose is told of all its locations. Where they have enough the plan has lost a
    /// race, which is no decision as long as another plan is tried.
    fn lack_through_channel(
        &self,
        turn: &Turn<'_>,
        demand: &mut Demand,
        lines: &[LineRecord],
        group: &[usize],
        lack: Refusal,
    ) -> Refusal {
        let (Some(sourced), Refusal::InsufficientStock { line, .. }) = (self.sourced(), &lack) else { return lack };
        let lacking = &lines[*line as usize];
        let is_same = |at: &&usize| (lines[**at].sku, lines[**at].named_lot()) == (lacking.sku, lacking.named_lot());
        let asked: u64 = group.iter().filter(is_same).map(|at| self.lines[*at].units.count()).sum();
        let least = self.plan.as_ref().map_or(asked, |plan| plan.asked[usize::from(plan.of[*line as usize])].least());
        let available = demand.left_through(turn.state, lacking, sourced.allow_split);
        let recorded = available < asked.min(least) || sourced.last || is_on(Mutation::LostRaceRecorded);
        Refusal::InsufficientStock { available, line: *line, recorded }
    }

    /// The lines that are held together or not at all: those that come from one asked line, its counters with them. `None`: each by
    /// itself.
    fn groups(&self) -> Option<Vec<Vec<usize>>> {
        let plan = self.plan.as_ref().filter(|_| !is_on(Mutation::ComponentTakenAlone))?;
        let mut groups: Vec<Vec<usize>> = Vec::with_capacity(plan.of.len());
        let mut found = BTreeMap::new();
        for (at, of) in plan.of.iter().enumerate() {
            let number = *found.entry(*of).or_insert_with(|| {
                groups.push(Vec::with_capacity(1));
                groups.len() - 1
            });
            groups[number].push(at);
        }
        Some(groups)
    }

    /// How many there may be of the asked line that a line comes from. Where a channel chose the locations, it chose for how many too.
    pub(super) fn share_of(&self, number: u16) -> Share {
        let (asked, least) = match &self.plan {
            Some(plan) => {
                let asked = &plan.asked[usize::from(plan.of[usize::from(number)])];
                let least = asked.min_units.filter(|_| plan.sourced.is_none());
                (asked.units, least)
            }
            None => {
                let line = &self.lines[usize::from(number)];
                (line.units, line.min_units)
            }
        };
        let least = if is_on(Mutation::MinimumIgnored) { least.map(|_| Units(1)) } else { least };
        Share { asked: asked.count(), least: least.unwrap_or(asked).count() }
    }

    /// The number of the asked line that a line comes from.
    pub(super) fn asked_of(&self, number: u16) -> u16 {
        self.plan.as_ref().map_or(number, |plan| plan.of[usize::from(number)])
    }

    /// The same of a line of the deciding shard, by its place among those.
    fn asked_number(&self, role: &Role<'_>, at: usize) -> u16 {
        match role {
            Role::Alone | Role::Part(_) => self.asked_of(at as u16),
            Role::Whole { whole, reserve, .. } => reserve.asked_of(whole.own[at]),
        }
    }
}

/// A line that cannot be promised what is asked for.
struct Lack {
    refusal: Refusal,
    /// Which.
    at: usize,
    /// Units that it might be promised.
    left: u64,
}

#[cfg(test)]
mod tests {
    use crate::commands::{AskedLine, KitOf, Plan, Reserve};
    use crate::test_shop::{DAY_S, Shop, reserve, spread_of};
    use crate::*;

    /// Lines of which fewer will do: SKU, units, the least of them or 0.
    fn at_least(number: u64, lines: &[(&str, u32, u32)]) -> Reserve {
        let asked: Vec<(&str, u32)> = lines.iter().map(|(sku, units, _)| (*sku, *units)).collect();
        let Operation::Reserve(mut reserve) = reserve(number, &asked) else { unreachable!() };
        for (line, (_, _, least)) in reserve.lines.iter_mut().zip(lines) {
            line.min_units = (*least > 0).then_some(Units(*least));
        }
        reserve
    }

    fn run(shop: &mut Shop, reserve: Reserve) -> Result<Success, Refusal> {
        shop.run(Operation::Reserve(reserve))
    }

    fn lack(available: u64, line: u32) -> Refusal {
        Refusal::InsufficientStock { available, line, recorded: true }
    }

    #[test]
    fn of_a_line_with_a_least_number_as_many_are_held_as_there_are() {
        let mut shop = Shop::with_rouge(5);
        let success = run(&mut shop, at_least(1, &[("rouge", 9, 2)])).unwrap();
        assert_eq!((success.held.as_deref(), success.atp_after), (Some([5].as_slice()), 0));
        shop.commit(1).unwrap();
        assert_eq!(shop.stock("rouge").counts.committed, 5);
    }

    #[test]
    fn fewer_than_the_least_number_are_not_held() {
        let mut shop = Shop::with_rouge(5);
        assert_eq!(run(&mut shop, at_least(1, &[("rouge", 9, 6)])), Err(lack(5, 0)));
        let mut optional = at_least(2, &[("rouge", 9, 6), ("rouge", 3, 0)]);
        optional.partial_ok = true;
        let success = run(&mut shop, optional).unwrap();
        assert_eq!(success.held.as_deref(), Some([0, 3].as_slice()), "what was left out is there for the next");
    }

    #[test]
    fn lines_of_one_item_share_what_there_is_in_their_order() {
        let mut shop = Shop::with_rouge(5);
        let success = run(&mut shop, at_least(1, &[("rouge", 4, 1), ("rouge", 4, 1)])).unwrap();
        assert_eq!(success.held.as_deref(), Some([4, 1].as_slice()));
        assert_eq!(run(&mut Shop::with_rouge(4), at_least(1, &[("rouge", 4, 1), ("rouge", 4, 1)])), Err(lack(4, 1)));
    }

    #[test]
    fn units_that_live_long_enough_and_that_a_limit_leaves_are_as_many_as_there_are() {
        let mut shop = Shop::with_cream(&[("early", 10, 5), ("late", 100, 2)]);
        let spec = ItemSpec { lot_tracked: true, min_remaining_days: 30, ..ItemSpec::default() };
        shop.put_item("cream", spec).unwrap();
        assert_eq!(run(&mut shop, at_least(1, &[("cream", 4, 1)])).unwrap().held.as_deref(), Some([2].as_slice()));

        let mut shop = Shop::with_rouge(9);
        shop.limit("two-each", "rouge", 2);
        let of =
            |number, least| Reserve { customer: Some(CustomerHash(7)), ..at_least(number, &[("rouge", 5, least)]) };
        let limit = "two-each".parse().unwrap();
        assert_eq!(run(&mut shop, of(1, 3)), Err(Refusal::CustomerLimitExceeded { limit, remaining: 2, line: 0 }));
        assert_eq!(run(&mut shop, of(2, 1)).unwrap().held.as_deref(), Some([2].as_slice()));
    }

    #[test]
    fn a_campaign_gives_what_it_has_left_of_a_line_with_a_least_number() {
        let mut shop = Shop::with_rouge(9);
        shop.put_campaign("drop", 0, DAY_S).unwrap();
        shop.grant("drop", "rouge", 3).unwrap();
        let in_drop = |number| Reserve { campaign: "drop".parse().ok(), ..at_least(number, &[("rouge", 5, 2)]) };
        assert_eq!(run(&mut shop, in_drop(1)).unwrap().held.as_deref(), Some([3].as_slice()));
        assert_eq!(run(&mut shop, in_drop(2)), Err(Refusal::AllocationExhausted { available: 0, line: 0 }));
    }

    #[test]
    fn what_may_be_promised_without_stock_counts_with_what_there_is() {
        let mut shop = Shop::with_rouge(2);
        shop.put_item("rouge", ItemSpec { backorder: Backorder::UpTo { cap: 1 }, ..ItemSpec::default() }).unwrap();
        let success = run(&mut shop, at_least(1, &[("rouge", 9, 3)])).unwrap();
        assert_eq!(
            (success.held.as_deref(), success.backordered.as_deref()),
            (Some([2].as_slice()), Some([1].as_slice()))
        );
    }

    /// Five kits of two of `rouge` and one of `mascara`, of which so many will do.
    fn kits(number: u64, least: u32) -> Reserve {
        let mut reserve = at_least(number, &[("rouge", 10, 0), ("mascara", 5, 0)]);
        let kit = Some(KitOf { sku: "set".parse().unwrap(), revision: Revision(4) });
        let asked = AskedLine { units: Units(5), optional: false, kit, min_units: Some(Units(least)) };
        let (request, of) = (BodyHash(1), vec![0, 0]);
        reserve.plan = Some(Box::new(Plan { request, asked: vec![asked], of, sourced: None, counters: vec![] }));
        reserve
    }

    #[test]
    fn of_a_kit_as_many_whole_kits_are_held_as_its_scarcest_component_allows() {
        let mut shop = Shop::with_rouge(7);
        shop.receive("mascara", "PAR", 4).unwrap();
        let sku = "rouge".parse().unwrap();
        assert_eq!(run(&mut shop, kits(1, 4)), Err(Refusal::ComponentUnavailable { sku, available: 7, line: 0 }));
        assert_eq!(run(&mut shop, kits(2, 2)).unwrap().held.as_deref(), Some([3].as_slice()));
        let units = |sku| shop.stock(sku).counts.reserved;
        assert_eq!((units("rouge"), units("mascara")), (6, 3));
        // Whole kits are sold of those that are held.
        let parts = |parts| move |commit: &mut commands::Commit| commit.parts = crate::test_shop::parts_of(parts);
        assert_eq!(shop.commit_with(2, parts(&[(0, 3), (1, 1)])), Err(Refusal::LinesMoveTogether));
        shop.commit_with(2, parts(&[(0, 4), (1, 2)])).unwrap();
    }

    #[test]
    fn what_another_shard_holds_beyond_the_kits_that_can_be_had_here_is_given_back_and_the_other_way_round() {
        let spread = |held: Vec<u32>| {
            let mut reserve = kits(1, 2);
            reserve.lines[0].sku = "far".parse().unwrap();
            Operation::ReserveSpread(Box::new(spread_of(reserve, &[0], &held)))
        };
        let mut shop = Shop::new();
        shop.receive("mascara", "PAR", 3).unwrap();
        let success = shop.run(spread(vec![10])).unwrap();
        assert_eq!(success.held.as_deref(), Some([3].as_slice()));
        let behind = shop.inventory.parts_behind(9);
        assert_eq!((behind[0].1.version, behind[0].1.lines[0].held), (2, 6));

        let mut shop = Shop::new();
        shop.receive("mascara", "PAR", 9).unwrap();
        let success = shop.run(spread(vec![4])).unwrap();
        assert_eq!((success.held.as_deref(), shop.stock("mascara").counts.reserved), (Some([2].as_slice()), 2));
        assert_eq!(shop.inventory.parts_behind(9), [], "the other shard holds no more than that");
    }

    #[test]
    fn a_least_number_is_one_at_least_and_no_more_than_is_asked_for() {
        for least in [0, 4] {
            let mut reserve = at_least(1, &[("rouge", 3, 1)]);
            reserve.lines[0].min_units = Some(Units(least));
            assert_eq!(reserve.validate(), Err(InvalidArgument::in_line(Field::MinUnits, 0)));
            let mut planned = kits(1, 1);
            planned.plan.as_mut().unwrap().asked[0].min_units = Some(Units(least * 2));
            assert_eq!(planned.validate(), Err(InvalidArgument::in_line(Field::MinUnits, 0)));
        }
    }
}
