//! How the lines of a reserve were worked out from what was asked for: a kit became its components, a line was split over
//! locations.
//!
//! Whoever serves the request works the lines out from what it reads, before the log; the log has both, and only the request is
//! what a retry must repeat. Lines that come from one asked line are one: all of them are held, or none.

use serde::{Deserialize, Serialize};

use holdfast_mutation::{Mutation, is_on};

use super::{Line, MAX_LINES};
use crate::{BodyHash, Field, InvalidArgument, LimitId, LocationId, MAX_CHANNEL_LOCATIONS, Revision, Sku, Units};

/// Most lines that the lines of one request may become.
pub const MAX_PLANNED_LINES: usize = 256;

/// The way from the lines that were asked for to those that are held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// A hash of the lines as the caller sent them: what a retry must repeat, whatever lines they become then.
    pub request: BodyHash,
    /// What was asked for.
    pub asked: Vec<AskedLine>,
    /// For each line that is held the number of the asked one that it comes from, in ascending order.
    pub of: Vec<u16>,
    /// How the reserve's channel chose the locations, where it did.
    pub sourced: Option<Sourced>,
    /// The counters of limits over several items that are asked for: the last lines of the whole, in this order.
    pub counters: Vec<CounterLine>,
}

/// What a line that is a counter counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterLine {
    /// The limit.
    pub limit: LimitId,
    /// The numbers of the lines of the whole that it counts, ascending: all those of one asked line whose items are under the limit.
    pub lines: Vec<u16>,
}

/// Lines whose locations a channel chose: each at one of its locations, and none of what it keeps back there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sourced {
    /// A line may have become several, at several locations.
    pub allow_split: bool,
    /// It is not planned anew: where another plan might do, that is a refusal for good. Else such a plan is not decided, and nothing is
    /// kept under the command's id.
    pub last: bool,
    /// Only these of the channel's locations; empty: all.
    pub nearest: Vec<LocationId>,
}

/// A line as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedLine {
    /// How many: of a kit, so many kits.
    pub units: Units,
    /// Its lack does not fail the rest.
    pub optional: bool,
    /// The kit that was asked for.
    pub kit: Option<KitOf>,
    /// No fewer than these, where fewer than `units` can be had; `None`: all or nothing.
    pub min_units: Option<Units>,
}

impl AskedLine {
    /// The least that may be held of it, if anything is.
    pub(super) fn least(&self) -> u64 {
        self.min_units.unwrap_or(self.units).count()
    }
}

/// A kit as it was sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KitOf {
    /// The kit's SKU.
    pub sku: Sku,
    /// The recipe that its components are of.
    pub revision: Revision,
}

impl Plan {
    /// Whether it is one of so many lines.
    pub(crate) fn validate(&self, lines: usize) -> Result<(), InvalidArgument> {
        let fits = self.of.len() == lines
            && !self.asked.is_empty()
            && self.asked.len() <= MAX_LINES
            // Once more from the beginning, for the counters.
            && self.of.windows(2).filter(|pair| pair[0] > pair[1]).count() <= 1
            && self.of.iter().all(|of| usize::from(*of) < self.asked.len());
        if !fits {
            return Err(InvalidArgument::of(Field::Lines));
        }
        match self.asked.iter().position(|asked| !asked.units.is_askable()) {
            Some(at) => Err(InvalidArgument::in_line(Field::Units, at)),
            None => {
                let mut lines = self.asked.iter().enumerate();
                lines.try_for_each(|(at, asked)| Line::check_min_units(asked.min_units, asked.units, at))
            }
        }
    }

    /// Whether lines that a channel sources are what was asked for: each whole, and at one location where it may not be split.
    pub(crate) fn validate_sources(&self, lines: &[Line]) -> Result<(), InvalidArgument> {
        let Some(sourced) = &self.sourced else { return Ok(()) };
        if sourced.nearest.len() > MAX_CHANNEL_LOCATIONS {
            return Err(InvalidArgument::of(Field::ChannelLocations));
        }
        let mut rest = lines.iter().zip(&self.of).filter(|(line, _)| !line.sku.is_counter()).peekable();
        while let Some((first, of)) = rest.next() {
            let (mut units, mut is_split, mut is_one) = (first.units.count(), false, true);
            while let Some((line, _)) = rest.next_if(|(_, other)| *other == of) {
                units += line.units.count();
                is_split |= line.location != first.location;
                is_one &= (&line.sku, &line.lot, line.optional) == (&first.sku, &first.lot, first.optional);
            }
            let asked = &self.asked[usize::from(*of)];
            // What becomes of a kit is for its recipe to say.
            let is_as_many = (asked.least()..=asked.units.count()).contains(&units);
            if asked.kit.is_none() && !(is_as_many && is_one) {
                return Err(InvalidArgument::in_line(Field::Lines, usize::from(*of)));
            }
            if is_split && asked.kit.is_none() && !sourced.allow_split && !is_on(Mutation::SplitWithoutLeave) {
                return Err(InvalidArgument::in_line(Field::LocationId, usize::from(*of)));
            }
        }
        Ok(())
    }

    /// Whether those of the lines of a whole that are counters are the ones it says, and count what they say: as many units, of lines of
    /// the same asked line.
    pub(crate) fn validate_counters(&self, lines: &[Line]) -> Result<(), InvalidArgument> {
        let invalid = |at: usize| InvalidArgument::in_line(Field::Sku, at);
        let first =
            lines.len().checked_sub(self.counters.len()).filter(|first| *first > 0).ok_or_else(|| invalid(0))?;
        if let Some(at) = lines[..first].iter().position(|line| line.sku.is_counter()) {
            return Err(invalid(at));
        }
        for (at, counter) in (first..).zip(&self.counters) {
            let is_of_it = |number: &u16| usize::from(*number) < first && self.of[usize::from(*number)] == self.of[at];
            let is_named = lines[at].sku.counter().is_some_and(|(limit, _)| limit == counter.limit);
            let is_sorted = !counter.lines.is_empty() && counter.lines.is_sorted_by(|a, b| a < b);
            if !is_named || !is_sorted || !counter.lines.iter().all(is_of_it) {
                return Err(invalid(at));
            }
            let units: u64 = counter.lines.iter().map(|number| lines[usize::from(*number)].units.count()).sum();
            if units != lines[at].units.count() {
                return Err(InvalidArgument::in_line(Field::Units, at));
            }
        }
        Ok(())
    }

    /// The same without the counters: what is shown.
    pub(crate) fn of_items(&self) -> Self {
        let of = self.of[..self.item_lines()].to_vec();
        Self { of, counters: Vec::new(), ..self.clone() }
    }

    /// How many lines of the whole are of items.
    pub(crate) fn item_lines(&self) -> usize {
        self.of.len().saturating_sub(self.counters.len())
    }

    /// Whether the units of a line of the whole are asked of that limit's counter.
    pub(crate) fn is_counted(&self, number: u16, limit: &LimitId) -> bool {
        self.counters.iter().any(|counter| counter.limit == *limit && counter.lines.contains(&number))
    }

    /// The same of some of the lines, by their numbers.
    pub(crate) fn of_lines(&self, numbers: &[u16]) -> Self {
        let of = numbers.iter().filter_map(|number| self.of.get(usize::from(*number)).copied()).collect();
        Self { of, ..self.clone() }
    }

    /// Whether a line is a component of a kit that was asked for.
    pub(crate) fn is_of_kit(&self, line: usize) -> bool {
        let of = self.of.get(line).filter(|_| line < self.item_lines());
        of.is_some_and(|of| self.asked[usize::from(*of)].kit.is_some())
    }

    /// Units held and units promised without stock of each asked line, by those of the lines that it became. A kit waits for the
    /// component that waits for most.
    pub(super) fn of_asked(&self, lines: &[Line], held: &[u32], backordered: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let (mut of_held, mut of_backordered) = (vec![0; self.asked.len()], vec![0; self.asked.len()]);
        for (at, number) in self.of.iter().map(|number| usize::from(*number)).enumerate() {
            let asked = &self.asked[number];
            if (held[at] == 0 && backordered[at] == 0) || lines[at].sku.is_counter() {
                continue;
            }
            let (of_held, waits): (&mut u32, &mut u32) = (&mut of_held[number], &mut of_backordered[number]);
            if asked.kit.is_none() {
                *of_held += held[at];
                *waits += backordered[at];
                continue;
            }
            let kits_of = |units: u64| units * asked.units.count();
            let of_all = lines[at].units.count().max(1);
            let kits = (kits_of(u64::from(held[at]) + u64::from(backordered[at])) / of_all) as u32;
            *waits = (*waits).max(kits_of(backordered[at].into()).div_ceil(of_all) as u32);
            *of_held = kits.saturating_sub(*waits);
        }
        (of_held, of_backordered)
    }
}

#[cfg(test)]
mod tests {
    use super::{AskedLine, KitOf, Plan};
    use crate::commands::{PreparedPart, Reserve, ReserveSpread, Told};
    use crate::test_shop::{OPENING, Shop, id, parts_of, reserve, spread_of};
    use crate::*;

    /// An asked line, optional or not, and the lines that it became.
    type Asked<'a> = (bool, &'a [(&'a str, u32)]);

    fn planned(asked: &[Asked<'_>]) -> Reserve {
        let lines: Vec<(&str, u32)> = asked.iter().flat_map(|(_, lines)| lines.iter().copied()).collect();
        let Operation::Reserve(mut reserve) = reserve(1, &lines) else { unreachable!() };
        let of: Vec<u16> =
            asked.iter().enumerate().flat_map(|(at, (_, lines))| lines.iter().map(move |_| at as u16)).collect();
        for (line, of) in reserve.lines.iter_mut().zip(&of) {
            line.optional = asked[usize::from(*of)].0;
        }
        let asked = asked.iter().map(|(optional, lines)| AskedLine {
            units: Units(lines.iter().map(|(_, units)| units).sum()),
            optional: *optional,
            kit: None,
            min_units: None,
        });
        reserve.plan = Some(Box::new(Plan {
            request: BodyHash(1),
            asked: asked.collect(),
            of,
            sourced: None,
            counters: Vec::new(),
        }));
        reserve
    }

    fn shop() -> Shop {
        let mut shop = Shop::with_rouge(5);
        shop.receive("mascara", "PAR", 2).unwrap();
        shop
    }

    #[test]
    fn lines_that_come_from_one_are_held_together_or_not_at_all() {
        let mut shop = shop();
        let asked: &[Asked<'_>] = &[(false, &[("rouge", 2)]), (true, &[("rouge", 1), ("mascara", 3)])];
        let success = shop.run(Operation::Reserve(planned(asked))).unwrap();
        assert_eq!(success.held.as_deref(), Some([2, 0].as_slice()), "told by the lines that were asked for");
        assert_eq!((shop.stock("rouge").counts.reserved, shop.stock("mascara").counts.reserved), (2, 0));
    }

    #[test]
    fn what_is_left_out_of_one_line_is_there_for_the_next() {
        let mut shop = shop();
        let asked: &[Asked<'_>] = &[(true, &[("rouge", 5), ("mascara", 3)]), (true, &[("rouge", 5)])];
        let success = shop.run(Operation::Reserve(planned(asked))).unwrap();
        assert_eq!(success.held.as_deref(), Some([0, 5].as_slice()));
    }

    #[test]
    fn a_lack_is_told_of_the_line_that_was_asked_for() {
        let asked: &[Asked<'_>] = &[(false, &[("rouge", 1), ("rouge", 1)]), (false, &[("mascara", 3)])];
        let refused = shop().run(Operation::Reserve(planned(asked)));
        assert_eq!(refused, Err(Refusal::InsufficientStock { available: 2, line: 1, recorded: true }));
    }

    #[test]
    fn what_another_shard_holds_of_a_line_that_lacks_something_here_is_given_back() {
        let mut shop = shop();
        let asked: &[Asked<'_>] = &[(false, &[("rouge", 2)]), (true, &[("far", 3), ("mascara", 3)])];
        let spread = spread_of(planned(asked), &[1], &[3]);
        let success = shop.run(Operation::ReserveSpread(Box::new(spread.clone()))).unwrap();
        assert_eq!(success.held.as_deref(), Some([2, 0].as_slice()));
        let behind = shop.inventory.parts_behind(9);
        assert_eq!((behind.len(), behind[0].1.version, behind[0].1.lines[0].held), (1, 2, 0));

        // And the other way round: what the other shard lacks is not held here.
        let mut shop = Shop::with_rouge(5);
        shop.receive("mascara", "PAR", 9).unwrap();
        let parts = vec![PreparedPart { held: vec![0], ..spread.parts[0].clone() }];
        shop.run(Operation::ReserveSpread(Box::new(ReserveSpread { parts, ..spread }))).unwrap();
        assert_eq!((shop.stock("mascara").counts.reserved, shop.stock("rouge").counts.reserved), (0, 2));
        assert_eq!(shop.inventory.parts_behind(9), []);
    }

    #[test]
    fn a_reservation_of_which_lines_were_worked_out_is_not_amended_line_by_line() {
        let mut shop = shop();
        shop.run(Operation::Reserve(planned(&[(false, &[("rouge", 1), ("mascara", 1)])]))).unwrap();
        assert_eq!(shop.amend(1, &[("rouge", 2)]), Err(Refusal::LinesMoveTogether));
        let plan = shop.inventory.reservation(id(1)).unwrap().plan.unwrap();
        assert_eq!(plan.of, [0, 0]);
    }

    /// Three kits of two of `rouge` and one of `mascara`, and beside them two of `rouge`.
    fn kits() -> Reserve {
        let mut reserve = planned(&[(false, &[("rouge", 6), ("mascara", 3)]), (true, &[("rouge", 2)])]);
        let plan = reserve.plan.as_mut().unwrap();
        (plan.asked[0].units, plan.asked[1].units) = (Units(3), Units(2));
        plan.asked[0].kit = Some(KitOf { sku: "set".parse().unwrap(), revision: Revision(4) });
        reserve
    }

    fn shop_of_kits(mascara: u32) -> Shop {
        let mut shop = Shop::with_rouge(8);
        shop.receive("mascara", "PAR", mascara).unwrap();
        shop
    }

    #[test]
    fn what_a_kit_lacks_is_a_component() {
        let refused = shop_of_kits(2).run(Operation::Reserve(kits()));
        let sku = "mascara".parse().unwrap();
        assert_eq!(refused, Err(Refusal::ComponentUnavailable { sku, available: 2, line: 0 }));
    }

    #[test]
    fn some_kits_are_sold_and_shipped_whole_and_come_back_by_component() {
        let mut shop = shop_of_kits(3);
        shop.run(Operation::Reserve(kits())).unwrap();
        let mut sell = |parts: &[(u32, u32)]| shop.commit_with(1, |commit| commit.parts = parts_of(parts));
        assert_eq!(sell(&[(0, 2)]), Err(Refusal::LinesMoveTogether));
        assert_eq!(sell(&[(0, 2), (1, 2)]), Err(Refusal::LinesMoveTogether));
        assert_eq!(sell(&[(0, 3), (1, 1)]), Err(Refusal::LinesMoveTogether));
        sell(&[(2, 1)]).unwrap();
        sell(&[(0, 4), (1, 2)]).unwrap();
        assert_eq!(shop.fulfil(1, &[(0, 2)]), Err(Refusal::LinesMoveTogether));
        shop.fulfil(1, &[(0, 2), (1, 1)]).unwrap();
        shop.take_back(1, &[(1, 1)], None, Condition::Resellable).unwrap();
        shop.fulfil(1, &[]).unwrap();
        let units: Vec<_> =
            shop.reservation(1).lines.iter().map(|line| (line.units.fulfilled, line.units.held)).collect();
        assert_eq!(units, [(4, 2), (2, 1), (1, 1)]);
    }

    #[test]
    fn of_kits_of_which_a_component_is_waited_for_those_are_shipped_that_are_whole() {
        let mut shop = Shop::with_rouge(8);
        shop.put_item("mascara", ItemSpec { backorder: Backorder::UpTo { cap: 5 }, ..ItemSpec::default() }).unwrap();
        shop.receive("mascara", "PAR", 2).unwrap();
        let success = shop.run(Operation::Reserve(kits())).unwrap();
        assert_eq!((success.held.as_deref(), success.backordered.as_deref()), (Some(&[2, 2][..]), Some(&[1, 0][..])));
        shop.commit(1).unwrap();
        shop.fulfil(1, &[]).unwrap();
        let shipped =
            |shop: &Shop| -> Vec<u64> { shop.reservation(1).lines.iter().map(|line| line.units.fulfilled).collect() };
        assert_eq!(shipped(&shop), [4, 2, 2], "what is sold beside the kits goes with them");
        assert_eq!(shop.fulfil(1, &[]), Err(Refusal::HoldShort { units: 1 }));
        shop.receive("mascara", "PAR", 1).unwrap();
        shop.fulfil(1, &[]).unwrap();
        assert_eq!(shipped(&shop), [6, 3, 2]);
    }

    #[test]
    fn a_reservation_of_which_all_lines_lie_on_other_shards_is_decided_where_it_was_asked_for() {
        let mut shop = Shop::with_limits(Limits { keep_ended_ms: 1_000, ..Limits::default() });
        let slot = Slot::new(77).unwrap();
        let asked: &[Asked<'_>] = &[(false, &[("far", 2), ("farther", 1)])];
        let spread = |held: Vec<u32>| spread_of(planned(asked), &[0, 1], &held);
        let success = shop.run(Operation::ReserveSpread(Box::new(spread(vec![2, 1])))).unwrap();
        assert_eq!((success.state, success.held), (Some(ReservationState::Held), None));
        assert_eq!(shop.inventory.reservations(ReservationCursor::default(), None, 9).0.len(), 1);
        // Its time ends it, its part is told, and it is forgotten.
        shop.after_s(60).tick();
        assert_eq!(shop.reservation(1).state, ReservationState::Expired);
        let behind = shop.inventory.parts_behind(9);
        assert_eq!((behind[0].1.lines[0].expired, behind[0].1.lines[1].expired), (2, 1));
        let version = behind[0].1.version;
        shop.run(Operation::Told(Told { reservation: id(1), slot, attempt: AttemptId(3), version })).unwrap();
        shop.after_s(2).tick();
        assert!(shop.inventory.reservation(id(1)).is_none());
    }

    #[test]
    fn a_reservation_of_which_nothing_is_held_anywhere_is_refused() {
        let mut shop = Shop::new();
        let slots = [Slot::new(77).unwrap(), Slot::new(78).unwrap()];
        let asked: &[Asked<'_>] = &[(true, &[("far", 2), ("farther", 1)])];
        let part = |slot: usize, held| PreparedPart {
            slot: slots[slot],
            numbers: vec![slot as u16],
            held: vec![held],
            backordered: vec![],
            release_at: None,
        };
        let spread = ReserveSpread {
            reserve: planned(asked),
            parts: vec![part(0, 2), part(1, 0)],
            refused: None,
            attempt: AttemptId(3),
            deadline: LogTime(OPENING + 10_000),
            not_after: LogTime(OPENING + 60_000),
        };
        let refused = shop.run(Operation::ReserveSpread(Box::new(spread)));
        assert_eq!(refused, Err(Refusal::InsufficientStock { available: 0, line: 0, recorded: true }));
        assert!(shop.inventory.reservation(id(1)).is_none());
    }

    #[test]
    fn a_plan_that_is_none_of_the_lines_is_refused() {
        let good = planned(&[(false, &[("rouge", 1), ("mascara", 1)])]);
        let refused = |change: fn(&mut Plan)| {
            let mut bad = good.clone();
            change(bad.plan.as_mut().unwrap());
            bad.validate().unwrap_err().field
        };
        assert_eq!(good.validate(), Ok(()));
        assert_eq!(refused(|plan| plan.of = vec![0]), Field::Lines);
        assert_eq!(refused(|plan| plan.of = vec![0, 1]), Field::Lines);
        assert_eq!(refused(|plan| plan.asked.clear()), Field::Lines);
        assert_eq!(refused(|plan| plan.asked[0].units = Units(0)), Field::Units);
    }
}
