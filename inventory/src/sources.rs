//! What may be had through a channel: at its locations, less the buffer that it keeps back at each of them.

use holdfast_mutation::{Mutation, is_on};

use crate::commands::Sourced;
use crate::demand::Demand;
use crate::state::{ChannelRecord, LineLots, LineRecord, LocationNo, State};
use crate::turn::Turn;
use crate::{ChannelId, Inventory, LineCounts, LocationId, LotId, Refusal, Sku};

/// Of what units are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedUnits {
    /// The item.
    pub sku: Sku,
    /// A lot by name.
    pub lot: Option<LotId>,
}

/// A location, and what could be had there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where.
    pub location: LocationId,
    /// Units above the channel's buffer; the greatest number for an item that is not tracked.
    pub available: u64,
}

/// A channel, as lines are checked against it.
#[derive(Clone, Debug)]
pub(crate) struct Through {
    locations: Vec<LocationNo>,
    buffer: u64,
}

impl Through {
    fn of(state: &State, record: &ChannelRecord) -> Self {
        let buffer = if is_on(Mutation::BufferIgnored) { 0 } else { u64::from(record.buffer) };
        // Every location there is, for whoever chooses too.
        let locations = if is_on(Mutation::ChannelLocationIgnored) {
            (0..state.location_count() as u32).map(LocationNo).collect()
        } else {
            record.locations.clone()
        };
        Self { locations, buffer }
    }

    /// What may be sold through it of units that could be promised at a location: nothing where it does not sell from.
    pub(crate) fn left_of(&self, left: u64, location: LocationNo) -> u64 {
        if self.locations.contains(&location) { left.saturating_sub(self.buffer) } else { 0 }
    }

    /// Its locations that are active, in its order.
    pub(crate) fn active<'a>(&'a self, state: &'a State) -> impl Iterator<Item = LocationNo> + 'a {
        self.locations.iter().copied().filter(|no| state.location(*no).spec.active)
    }
}

impl Turn<'_> {
    /// The channel that a reserve names, where it chose the locations.
    pub(crate) fn through(
        &self,
        channel: Option<&ChannelId>,
        sourced: Option<&Sourced>,
    ) -> Result<Option<Through>, Refusal> {
        let (Some(channel), Some(sourced)) = (channel, sourced) else { return Ok(None) };
        let unknown = || Refusal::UnknownChannel { channel: channel.clone() };
        let mut through = self.state.through(channel).ok_or_else(unknown)?;
        if !sourced.nearest.is_empty() {
            through.locations.retain(|location| sourced.nearest.contains(&self.state.location(*location).id));
        }
        Ok(Some(through))
    }
}

impl State {
    fn through(&self, channel: &ChannelId) -> Option<Through> {
        let record = self.channel(self.find_channel(channel)?);
        record.active.then(|| Through::of(self, record))
    }

    /// A line as it would be held at that location; `None` where there is no such item or lot.
    fn line_at(&self, asked: &AskedUnits, location: LocationNo) -> Option<LineRecord> {
        let sku = self.find_sku(&asked.sku)?;
        let spec = &self.item(sku).spec;
        let named = asked.lot.as_ref().map(|lot| self.find_lot(sku, lot));
        let by_lot = match (named, spec.lot_tracked) {
            (None, false) => None,
            (Some(_), false) | (Some(None), true) => return None,
            (named, true) => Some(Box::new(LineLots {
                named: named.flatten(),
                need: spec.need_at(self.header.now),
                bound: Vec::new(),
            })),
        };
        let units = LineCounts::default();
        Some(LineRecord { sku, location, by_lot, optional: false, counted: spec.tracked, units, stock_only: true })
    }
}

impl Inventory {
    /// For each of those what could be had at each active location of the channel, in its order, by what is known now: each as if it
    /// were asked for alone. `None` where there is no such channel, or it is not active.
    #[must_use]
    pub fn sources(&self, channel: &ChannelId, asked: &[AskedUnits]) -> Option<Vec<Vec<Source>>> {
        let through = self.state.through(channel)?;
        let of = |asked: &AskedUnits| {
            let at = |location: LocationNo| Source {
                location: self.state.location(location).id.clone(),
                available: self.state.line_at(asked, location).map_or(0, |line| {
                    if line.counted {
                        Demand::of(None, Some(through.clone()), None).left_at(&self.state, &line)
                    } else {
                        u64::MAX
                    }
                }),
            };
            through.active(&self.state).map(at).collect()
        };
        Some(asked.iter().map(of).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::AskedUnits;
    use crate::commands::{AskedLine, IfExpired, Line, Plan, Reserve, Sourced};
    use crate::test_shop::{Shop, id, reserve, spread_of};
    use crate::*;

    /// An asked line: optional or not, its item, and from which locations how many units.
    type Asked<'a> = (bool, &'a str, &'a [(&'a str, u32)]);

    const SPLIT: Sourced = Sourced { allow_split: true, last: false, nearest: Vec::new() };
    const WHOLE: Sourced = Sourced { allow_split: false, last: false, nearest: Vec::new() };

    fn sourced(number: u64, how: Sourced, asked: &[Asked<'_>]) -> Reserve {
        let Operation::Reserve(reserve) = reserve(number, &[]) else { unreachable!() };
        let (mut lines, mut of) = (Vec::new(), Vec::new());
        for (at, (optional, sku, parts)) in asked.iter().enumerate() {
            lines.extend(parts.iter().map(|(location, units)| Line {
                sku: sku.parse().unwrap(),
                location: location.parse().unwrap(),
                units: Units(*units),
                lot: None,
                optional: *optional,
                no_backorder: true,
                min_units: None,
            }));
            of.extend(parts.iter().map(|_| at as u16));
        }
        let asked_line = |(optional, _, parts): &Asked<'_>| AskedLine {
            units: Units(parts.iter().map(|(_, units)| units).sum()),
            optional: *optional,
            kit: None,
            min_units: None,
        };
        let plan = Plan {
            request: BodyHash(1),
            asked: asked.iter().map(asked_line).collect(),
            of,
            sourced: Some(how),
            counters: Vec::new(),
        };
        Reserve { lines, channel: "web".parse().ok(), plan: Some(Box::new(plan)), ..reserve }
    }

    /// 5 units at `PAR`, 4 at `LYO`, and a channel that keeps 1 back at each.
    fn shop() -> Shop {
        let mut shop = Shop::with_rouge(5);
        shop.receive("rouge", "LYO", 4).unwrap();
        shop.put_channel("web", &["LYO", "PAR"], 1).unwrap();
        shop
    }

    fn run(shop: &mut Shop, reserve: Reserve) -> Result<Success, Refusal> {
        shop.run(Operation::Reserve(reserve))
    }

    fn lack(available: u64, recorded: bool) -> Result<Success, Refusal> {
        Err(Refusal::InsufficientStock { available, line: 0, recorded })
    }

    #[test]
    fn what_a_channel_keeps_back_is_not_sold_through_it_and_is_sold_otherwise() {
        let mut shop = shop();
        let beyond = sourced(1, WHOLE, &[(false, "rouge", &[("LYO", 4)])]);
        assert_eq!(run(&mut shop, beyond.clone()), lack(4, false), "`PAR` has them");
        run(&mut shop, sourced(2, WHOLE, &[(false, "rouge", &[("PAR", 4)])])).unwrap();
        assert_eq!(run(&mut shop, beyond), lack(3, true), "no location has them any more");
        shop.reserve(3, &[("rouge", 1)]).unwrap();
    }

    #[test]
    fn lines_of_one_item_are_summed_before_the_buffer_is_looked_at() {
        let mut shop = shop();
        let twice: &[Asked<'_>] = &[(false, "rouge", &[("PAR", 2)]), (false, "rouge", &[("PAR", 3)])];
        let refused = Refusal::InsufficientStock { available: 3, line: 1, recorded: false };
        assert_eq!(run(&mut shop, sourced(1, WHOLE, twice)), Err(refused), "`LYO` would do for the second one");
        let other: &[Asked<'_>] = &[(false, "rouge", &[("PAR", 2)]), (false, "rouge", &[("LYO", 3)])];
        run(&mut shop, sourced(1, WHOLE, other)).unwrap();
    }

    #[test]
    fn a_plan_that_lost_its_race_leaves_its_id_unused_and_the_last_one_is_final() {
        let mut shop = shop();
        let command = shop.command(Operation::Reserve(sourced(1, WHOLE, &[(false, "rouge", &[("LYO", 4)])])));
        let answer = shop.apply(vec![command.clone()]).remove(0);
        assert_eq!((answer.outcome, answer.replayed), (lack(4, false), false));
        assert_eq!(shop.inventory.result_of(command.id), None);
        let mut last = command.clone();
        let Operation::Reserve(reserve) = &mut last.operation else { unreachable!() };
        reserve.plan.as_mut().unwrap().sourced = Some(Sourced { last: true, ..WHOLE });
        assert_eq!(shop.apply(vec![last]).remove(0).outcome, lack(4, true));
        let answer = shop.apply(vec![command]).remove(0);
        assert_eq!((answer.outcome, answer.replayed), (lack(4, true), true));
    }

    #[test]
    fn an_optional_line_that_lost_its_race_is_planned_anew_before_it_is_left_out() {
        let mut shop = shop();
        let asked: &[Asked<'_>] = &[(false, "rouge", &[("PAR", 1)]), (true, "rouge", &[("LYO", 4)])];
        assert_eq!(run(&mut shop, sourced(1, WHOLE, asked)).unwrap().held.as_deref(), Some([1, 0].as_slice()));
        shop.release(1).unwrap();
        let asked: &[Asked<'_>] = &[(true, "rouge", &[("LYO", 4)]), (true, "rouge", &[("LYO", 1)])];
        assert_eq!(run(&mut shop, sourced(2, WHOLE, asked)), lack(4, false), "`PAR` has what the first one asks for");
        let alone: &[Asked<'_>] = &[(true, "mascara", &[("PAR", 1)]), (true, "rouge", &[("LYO", 9)])];
        let nothing = run(&mut shop, sourced(3, WHOLE, alone));
        assert_eq!(nothing, lack(0, true));
    }

    #[test]
    fn a_line_that_is_split_is_held_whole_or_not_at_all() {
        let mut shop = shop();
        let success = run(&mut shop, sourced(1, SPLIT, &[(false, "rouge", &[("LYO", 3), ("PAR", 4)])])).unwrap();
        assert_eq!(success.held, None);
        assert_eq!(shop.stock("rouge").counts.reserved, 4);
        shop.release(1).unwrap();
        let beyond = sourced(2, SPLIT, &[(false, "rouge", &[("LYO", 3), ("PAR", 5)])]);
        assert_eq!(run(&mut shop, beyond), lack(7, true));
        let lost = sourced(3, SPLIT, &[(false, "rouge", &[("LYO", 2), ("PAR", 5)])]);
        assert_eq!(run(&mut shop, lost), lack(7, false));
        assert_eq!(shop.stock("rouge").counts.reserved, 0);
    }

    #[test]
    fn a_line_is_split_only_where_the_caller_allows_it() {
        let mut shop = shop();
        let split = sourced(1, WHOLE, &[(false, "rouge", &[("LYO", 1), ("PAR", 1)])]);
        let refused = Refusal::InvalidArgument(InvalidArgument::in_line(Field::LocationId, 0));
        assert_eq!(run(&mut shop, split), Err(refused));
        let mut other = sourced(1, SPLIT, &[(false, "rouge", &[("LYO", 1), ("PAR", 1)])]);
        other.plan.as_mut().unwrap().asked[0].units = Units(3);
        let refused = Refusal::InvalidArgument(InvalidArgument::in_line(Field::Lines, 0));
        assert_eq!(run(&mut shop, other), Err(refused), "less than was asked for");
        let mut nameless = sourced(1, SPLIT, &[(false, "rouge", &[("LYO", 1)])]);
        nameless.channel = None;
        assert_eq!(run(&mut shop, nameless), Err(InvalidArgument::of(Field::ChannelId).into()));
    }

    #[test]
    fn nothing_is_sold_from_a_location_that_is_none_of_the_channels_or_not_active() {
        let mut shop = shop();
        shop.put_channel("web", &["LYO"], 0).unwrap();
        assert_eq!(run(&mut shop, sourced(1, WHOLE, &[(false, "rouge", &[("PAR", 1)])])), lack(4, false));
        shop.put_location("LYO", false).unwrap();
        assert_eq!(run(&mut shop, sourced(2, WHOLE, &[(false, "rouge", &[("LYO", 1)])])), lack(0, false));
        let last = Sourced { last: true, ..WHOLE };
        let refused = run(&mut shop, sourced(2, last, &[(false, "rouge", &[("LYO", 1)])]));
        assert_eq!(refused, Err(Refusal::UnknownLocation { location: "LYO".parse().unwrap() }));
    }

    #[test]
    fn of_a_list_of_nearest_locations_no_other_is_sold_from_or_counted() {
        let mut shop = shop();
        let near = || Sourced { nearest: vec!["LYO".parse().unwrap()], ..SPLIT };
        assert_eq!(run(&mut shop, sourced(1, near(), &[(false, "rouge", &[("LYO", 4)])])), lack(3, true));
        assert_eq!(run(&mut shop, sourced(2, near(), &[(false, "rouge", &[("PAR", 2)])])), lack(3, false));
        run(&mut shop, sourced(3, near(), &[(false, "rouge", &[("LYO", 3)])])).unwrap();
    }

    #[test]
    fn a_channel_that_is_not_there_or_not_active_sells_nothing() {
        let mut shop = Shop::with_rouge(5);
        let refused = Refusal::UnknownChannel { channel: "web".parse().unwrap() };
        let asked: &[Asked<'_>] = &[(false, "rouge", &[("PAR", 1)])];
        assert_eq!(run(&mut shop, sourced(1, WHOLE, asked)), Err(refused));
        // As a word alone it needs to be none.
        run(&mut shop, Reserve { plan: None, ..sourced(1, WHOLE, asked) }).unwrap();
    }

    #[test]
    fn a_sale_that_is_tried_for_anew_leaves_the_buffer_too() {
        let mut shop = shop();
        run(&mut shop, sourced(1, WHOLE, &[(false, "rouge", &[("PAR", 4)])])).unwrap();
        shop.after_s(600).tick();
        shop.reserve(2, &[("rouge", 1)]).unwrap();
        let retake = shop.commit_with(1, |commit| commit.if_expired = IfExpired::Retake);
        assert_eq!(retake, lack(3, true));
        shop.release(2).unwrap();
        shop.commit_with(1, |commit| commit.if_expired = IfExpired::Retake).unwrap();
    }

    #[test]
    fn a_part_on_another_shard_and_the_whole_know_a_lost_race_too() {
        let mut shop = shop();
        let asked: &[Asked<'_>] = &[(false, "far", &[("LYO", 2)]), (false, "rouge", &[("LYO", 4)])];
        let spread = spread_of(sourced(1, WHOLE, asked), &[0], &[2]);
        let lost = Err(Refusal::InsufficientStock { available: 4, line: 1, recorded: false });
        assert_eq!(shop.run(Operation::ReserveSpread(Box::new(spread.clone()))), lost);
        assert!(shop.inventory.reservation(id(1)).is_none());

        let plan = SpreadPlan::of(CommandId(9), &spread.reserve, spread.attempt, spread.deadline, |slot| {
            u32::from(slot == slot_of(&"rouge".parse().unwrap()))
        });
        let (_, mut prepare) = plan.unwrap().prepares.remove(0);
        assert_eq!(shop.run(Operation::Prepare(Box::new(prepare.clone()))), lost);
        prepare.reserve.lines[0].location = "PAR".parse().unwrap();
        shop.run(Operation::Prepare(Box::new(prepare))).unwrap();
        assert_eq!(shop.stock("rouge").counts.reserved, 4);
    }

    #[test]
    fn what_could_be_had_is_told_of_every_active_location_in_the_channels_order() {
        let mut shop = shop();
        let cream = ItemSpec { lot_tracked: true, ..ItemSpec::default() };
        shop.put_item("cream", cream).unwrap();
        shop.receive_lot("cream", "A", 10, 3).unwrap();
        shop.receive_lot("cream", "B", 20, 4).unwrap();
        shop.put_item("card", ItemSpec { tracked: false, ..ItemSpec::default() }).unwrap();
        let look = |shop: &Shop, sku: &str, lot: Option<&str>| {
            let asked = AskedUnits { sku: sku.parse().unwrap(), lot: lot.map(|lot| lot.parse().unwrap()) };
            let found = shop.inventory.sources(&"web".parse().unwrap(), &[asked])?.remove(0);
            Some(found.iter().map(|source| (source.location.to_string(), source.available)).collect::<Vec<_>>())
        };
        let both = |lyo, par| Some(vec![("LYO".to_owned(), lyo), ("PAR".to_owned(), par)]);
        assert_eq!(look(&shop, "rouge", None), both(3, 4));
        assert_eq!(look(&shop, "cream", None), both(0, 6));
        assert_eq!(look(&shop, "cream", Some("A")), both(0, 2));
        assert_eq!(look(&shop, "cream", Some("Z")), both(0, 0));
        assert_eq!(look(&shop, "nothing", None), both(0, 0));
        assert_eq!(look(&shop, "card", None), both(u64::MAX, u64::MAX));
        shop.put_location("LYO", false).unwrap();
        assert_eq!(look(&shop, "rouge", None), Some(vec![("PAR".to_owned(), 4)]));
    }
}
