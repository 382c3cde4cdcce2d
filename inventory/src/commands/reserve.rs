//! `reserve`: units are held for a while, all lines or none.

use holdfast_mutation::{Mutation, is_on};
use serde::{Deserialize, Serialize};

use super::role::Role;
use super::{FULL_RETRY_MS, MAX_PLANNED_LINES, Plan, Sourced};
use crate::state::{
    CountedLine, LineLots, LineRecord, ReservationDetails, ReservationRecord, RoomEntry, RoomRecord, SaleNo, State,
};
use crate::turn::Turn;
use crate::{
    CampaignAdmission, CampaignId, ChannelId, CustomerHash, EventKind, Field, InvalidArgument, LineCounts, LocationId,
    LotId, OrderRef, Pass, Refusal, ReservationId, Revision, Sku, Success, TokenFault, Units,
};

/// Most lines of one reservation.
pub const MAX_LINES: usize = 100;
/// How long a hold lives where the caller does not say, in seconds.
pub const DEFAULT_TTL_S: u32 = 600;
/// The longest time to live a caller may ask for, in seconds.
pub const MAX_TTL_S: u32 = 14_400;

/// Units of one item at one location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// How many. Only an amend may say 0.
    pub units: Units,
    /// A lot bound by name; `None`: bound late.
    pub lot: Option<LotId>,
    /// Its lack does not fail the rest.
    pub optional: bool,
    /// All of it must be there, whatever the item allows to be promised without stock.
    pub no_backorder: bool,
    /// Where fewer can be had, as many as there are, but no fewer than these; `None`: all or nothing. Of a planned line its asked line
    /// says so.
    pub min_units: Option<Units>,
}

impl Line {
    /// Refuses a least number of units that is none, or more than are asked for.
    pub(super) fn check_min_units(min_units: Option<Units>, units: Units, at: usize) -> Result<(), InvalidArgument> {
        let is_in_range = min_units.is_none_or(|least| least.is_askable() && least <= units);
        if is_in_range { Ok(()) } else { Err(InvalidArgument::in_line(Field::MinUnits, at)) }
    }
}

/// Takes a hold on 1 to [`MAX_LINES`] lines, all or nothing but for what is optional.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserve {
    /// The reservation to make.
    pub reservation: ReservationId,
    /// What is asked for. Lines of the same item, location and lot are summed before they are checked.
    pub lines: Vec<Line>,
    /// How long the hold lives, in seconds, 1 to [`MAX_TTL_S`]; never beyond the items' `max_hold_s`.
    pub ttl_s: u32,
    /// Every line is optional.
    pub partial_ok: bool,
    /// The caller's own word for the order.
    pub order_ref: Option<OrderRef>,
    /// For whom.
    pub customer: Option<CustomerHash>,
    /// Through which channel.
    pub channel: Option<ChannelId>,
    /// In which flash sale.
    pub campaign: Option<CampaignId>,
    /// How the lines were worked out, where they are not those that were asked for.
    pub plan: Option<Box<Plan>>,
    /// What lets the customer into the campaign.
    pub pass: Option<Pass>,
}

impl Reserve {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        self.validate_part()?;
        match &self.plan {
            Some(plan) => plan.validate_counters(&self.lines),
            None => Ok(()),
        }
    }

    /// The same of those lines that lie on one of several shards.
    pub(super) fn validate_part(&self) -> Result<(), InvalidArgument> {
        if !self.reservation.is_well_formed() {
            return Err(InvalidArgument::of(Field::ReservationId));
        }
        let most = if self.plan.is_some() { MAX_PLANNED_LINES } else { MAX_LINES };
        if self.lines.is_empty() || self.lines.len() > most {
            return Err(InvalidArgument::of(Field::Lines));
        }
        if let Some(plan) = &self.plan {
            plan.validate(self.lines.len())?;
            plan.validate_sources(&self.lines)?;
            if plan.sourced.is_some() && self.channel.is_none() {
                return Err(InvalidArgument::of(Field::ChannelId));
            }
        }
        let may_count = self.plan.as_ref().is_some_and(|plan| !plan.counters.is_empty());
        if let Some(at) = self.lines.iter().position(|line| line.sku.is_counter() && !may_count) {
            return Err(InvalidArgument::in_line(Field::Sku, at));
        }
        if let Some(at) = self.lines.iter().position(|line| !line.units.is_askable()) {
            return Err(InvalidArgument::in_line(Field::Units, at));
        }
        for (at, line) in self.lines.iter().enumerate() {
            Line::check_min_units(line.min_units, line.units, at)?;
        }
        if self.ttl_s == 0 || self.ttl_s > MAX_TTL_S {
            return Err(InvalidArgument::of(Field::Ttl));
        }
        Ok(())
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        self.decide_as(turn, Role::Alone).map_err(|refusal| self.of_asked(refusal))
    }

    /// A refusal of one of the lines, told of the line that was asked for: what a kit lacks is a component.
    pub(super) fn of_asked(&self, refusal: Refusal) -> Refusal {
        let Some(plan) = &self.plan else { return refusal };
        let refusal = match refusal {
            Refusal::InsufficientStock { available, line, recorded: true } if plan.is_of_kit(line as usize) => {
                let sku = self.lines[line as usize].sku.clone();
                Refusal::ComponentUnavailable { sku, available, line }
            }
            other => other,
        };
        refusal.of_lines(&plan.of)
    }

    /// The same for a reservation of which these lines are all, or those of one of several shards.
    pub(super) fn decide_as(&self, turn: &mut Turn<'_>, role: Role<'_>) -> Result<Success, Refusal> {
        if turn.state.find_reservation(self.reservation).is_some() {
            return Err(Refusal::Exists);
        }
        if !turn.state.has_room_for_a_hold() {
            return Err(Refusal::Overloaded { retry_after_ms: FULL_RETRY_MS });
        }
        let mut max_hold_s = turn.state.header.limits.max_hold_s;
        let mut lines = Vec::with_capacity(self.lines.len());
        for (at, line) in self.lines.iter().enumerate() {
            let record =
                self.new_line(turn, line).map_err(|refusal| self.planned_anew(refusal.of_no_decision(), at))?;
            self.check_counters(turn, &record, role.number_of(at))?;
            let spec = &turn.state.item(record.sku).spec;
            max_hold_s = max_hold_s.min(spec.max_hold_s.unwrap_or(u32::MAX));
            if let Some(limit) = spec.max_per_order {
                let before =
                    lines.iter().zip(&self.lines[..at]).filter(|(other, _): &(&LineRecord, _)| other.sku == record.sku);
                let asked: u64 = before.map(|(_, line)| line.units.count()).sum::<u64>() + line.units.count();
                if asked > u64::from(limit) {
                    return Err(Refusal::OrderLimitExceeded { sku: line.sku.clone(), limit });
                }
            }
            lines.push(record);
        }
        for record in &lines {
            turn.end_what_is_due_of(record.sku);
        }
        let role = self.take(turn, &mut lines, role)?;
        Ok(self.hold(turn, lines, max_hold_s, role))
    }

    /// Whether the customer is let into the campaign. The shard that decides the whole asks; its parts follow.
    pub(super) fn check_pass(&self, turn: &Turn<'_>, sale: Option<SaleNo>) -> Result<(), Refusal> {
        let Some(sale) = sale else { return Ok(()) };
        if turn.state.campaign(sale.campaign).spec.admission == CampaignAdmission::None {
            return Ok(());
        }
        let invalid = |why| Err(Refusal::AdmissionTokenInvalid { why });
        match self.pass {
            None => invalid(TokenFault::Missing),
            Some(pass) if turn.state.is_spent_here(sale, pass.ticket) && !is_on(Mutation::TokenSpentTwice) => {
                invalid(TokenFault::Spent)
            }
            Some(pass) if pass.expires_at <= turn.now() => invalid(TokenFault::Expired),
            Some(_) if turn.state.is_full_of_spent() => Err(Refusal::Overloaded { retry_after_ms: FULL_RETRY_MS }),
            Some(_) => Ok(()),
        }
    }

    /// Notes that the token let somebody in, in the entry in which it did.
    fn spend_pass(&self, turn: &mut Turn<'_>, sale: Option<SaleNo>) {
        let (Some(pass), Some(sale)) = (self.pass, sale) else { return };
        if turn.state.campaign(sale.campaign).spec.admission != CampaignAdmission::None {
            let spent = RoomRecord { sale, ticket: pass.ticket, what: RoomEntry::SpentHere };
            let no = turn.state.add_to_room(spent);
            turn.tell_of_ticket(EventKind::TokenSpent, sale.campaign, no);
        }
    }

    pub(super) fn sourced(&self) -> Option<&Sourced> {
        self.plan.as_ref()?.sourced.as_ref()
    }

    /// A location that its channel chose and that is not active any more: another one may do.
    fn planned_anew(&self, refusal: Refusal, line: usize) -> Refusal {
        match (refusal, self.sourced()) {
            (Refusal::UnknownLocation { .. }, Some(sourced)) if !sourced.last => {
                Refusal::InsufficientStock { available: 0, line: line as u32, recorded: false }
            }
            (refusal, _) => refusal,
        }
    }

    fn hold(&self, turn: &mut Turn<'_>, lines: Vec<LineRecord>, max_hold_s: u32, role: Role<'_>) -> Success {
        let taken = if is_on(Mutation::SecondLineNotHeld) { 1 } else { lines.len() };
        for line in lines.iter().take(taken) {
            turn.change_held(line, line.units.held as i64);
            turn.promise_backorder(line, line.units.backordered);
        }
        let (held, backordered) = self.told(&lines, &role);
        let release_at = role.release_at(turn, &lines);
        let now = turn.now();
        let allowed = now.plus_seconds(max_hold_s);
        let is_part = matches!(role, Role::Part(_));
        let counted = match self.customer {
            Some(_) => turn.counted_lines(&lines, self.campaign.as_ref()),
            None => Vec::new(),
        };
        let campaign = self.campaign.as_ref().and_then(|id| turn.campaign(id).ok());
        let sale = campaign.map(|(no, record)| SaleNo { campaign: no, generation: record.generation });
        let details = self.details(role.plan_of(self, &lines), counted, sale);
        let (max_expires_at, kind, spread) = role.taken(allowed);
        let no = turn.state.add_reservation(ReservationRecord {
            id: self.reservation,
            created_at: now,
            expires_at: if is_part && !is_on(Mutation::PartEndsByItself) {
                max_expires_at
            } else {
                now.plus_seconds(self.ttl_s).min(max_expires_at)
            },
            max_expires_at,
            cancel_at: None,
            ended_at: None,
            revision: Revision::default().next(),
            details,
            lines,
            spread,
            order: None,
        });
        turn.record_changes(kind, Some(no), None);
        if !is_part {
            self.spend_pass(turn, sale);
        }
        turn.record_backorders(no, &[]);
        turn.finish();
        let success = turn.reservation_success(no);
        // A part ends when the deciding shard says so; how long its items would allow a hold is for that shard to know.
        let expires_at = if is_part { Some(allowed) } else { success.expires_at };
        Success { held, backordered, release_at, expires_at, ..success }
    }

    /// Units held of each line as it was asked for, where some have less, and units promised without stock, where any are. A part
    /// tells each of its lines, and the whole is told by whoever decides it.
    fn told(&self, lines: &[LineRecord], role: &Role<'_>) -> (UnitsOfLines, UnitsOfLines) {
        let is_all = |(line, asked): (&LineRecord, &Line)| line.units.held == asked.units.count();
        if lines.iter().zip(&self.lines).all(is_all) && self.is_of_all() {
            return (None, None);
        }
        let each = |of: fn(&LineCounts) -> u64| lines.iter().map(|line| of(&line.units) as u32).collect();
        let (held, backordered): (Vec<u32>, Vec<u32>) = (each(|units| units.held), each(|units| units.backordered));
        self.told_of(held, backordered, matches!(role, Role::Alone))
    }

    /// Whether its lines are of all that was asked for: where fewer will do, a channel may have chosen for fewer.
    pub(super) fn is_of_all(&self) -> bool {
        let Some(plan) = self.plan.as_ref().filter(|plan| plan.sourced.is_some()) else { return true };
        let of_items = self.lines.iter().zip(&plan.of).filter(|(line, _)| !line.sku.is_counter());
        let planned: u64 = of_items.map(|(line, _)| line.units.count()).sum();
        planned == plan.asked.iter().map(|asked| asked.units.count()).sum::<u64>()
    }

    /// The same of all lines, by their units.
    pub(super) fn told_of(&self, held: Vec<u32>, backordered: Vec<u32>, is_all: bool) -> (UnitsOfLines, UnitsOfLines) {
        let (held, backordered) = match &self.plan {
            Some(plan) if is_all => plan.of_asked(&self.lines, &held, &backordered),
            _ => (held, backordered),
        };
        let is_backordered = backordered.iter().any(|units| *units > 0);
        (Some(held.into()), is_backordered.then(|| backordered.into()))
    }

    fn details(
        &self,
        plan: Option<Plan>,
        counted: Vec<CountedLine>,
        sale: Option<SaleNo>,
    ) -> Option<Box<ReservationDetails>> {
        let details = ReservationDetails {
            plan,
            counted,
            order_ref: self.order_ref.clone(),
            customer: self.customer,
            channel: self.channel.clone(),
            campaign: self.campaign.clone(),
            sale,
        };
        let is_said = details.order_ref.is_some()
            || details.customer.is_some()
            || details.channel.is_some()
            || details.campaign.is_some()
            || details.plan.is_some();
        is_said.then(|| Box::new(details))
    }
}

impl State {
    /// Whether one more reservation may be live.
    pub(crate) fn has_room_for_a_hold(&self) -> bool {
        self.reservation_count() - (self.indexes.ended.len() as u64) < self.header.limits.live_reservations
    }
}

/// Units of each line; `None` where there is nothing to tell of them.
type UnitsOfLines = Option<Box<[u32]>>;

impl Turn<'_> {
    /// The lines that limits count of a reservation in that campaign, or in none, by line and limit.
    pub(super) fn counted_lines(&self, lines: &[LineRecord], campaign: Option<&CampaignId>) -> Vec<CountedLine> {
        if is_on(Mutation::LimitNotCounted) {
            return Vec::new();
        }
        let mut counted = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            counted.extend(self.state.active_limits_of(line.sku, campaign).map(|(limit, record)| CountedLine {
                line: number as u16,
                limit,
                returns_restore: record.spec.returns_restore,
            }));
        }
        counted
    }

    /// A line that holds nothing yet, where its item is on sale at an active location.
    pub(super) fn new_line(&self, line: &Line) -> Result<LineRecord, Refusal> {
        let sku = self.sku(&line.sku)?;
        let location = self.active_location(&line.location)?;
        let spec = &self.state.item(sku).spec;
        self.check_sellable(sku)?;
        let by_lot = match (&line.lot, spec.lot_tracked) {
            (None, false) => None,
            (Some(_), false) => return Err(InvalidArgument::of(Field::LotId).into()),
            (lot, true) => {
                let need = spec.need_at(self.now());
                let named = lot.as_ref().map(|lot| self.lot(sku, lot)).transpose()?;
                if let Some(lot) = named {
                    self.check_lot_sellable(lot, need)?;
                }
                Some(Box::new(LineLots { named, need, bound: Vec::new() }))
            }
        };
        Ok(LineRecord {
            sku,
            location,
            by_lot,
            optional: line.optional,
            counted: spec.tracked,
            units: LineCounts::default(),
            stock_only: line.no_backorder,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Reserve};
    use crate::test_shop::{DAY_S, OPENING, Shop, reserve};
    use crate::*;

    #[test]
    fn the_last_unit_is_held_once() {
        let mut shop = Shop::with_rouge(1);
        let held = shop.reserve(1, &[("rouge", 1)]).unwrap();
        assert_eq!((held.atp_after, held.expires_at), (0, Some(LogTime(OPENING + 600_000))));
        assert_eq!(shop.events(), [EventKind::ReservationHeld, EventKind::AvailabilityOut]);
        let refused = shop.reserve(2, &[("rouge", 1)]);
        assert_eq!(refused, Err(Refusal::InsufficientStock { available: 0, line: 0, recorded: true }));
    }

    #[test]
    fn lines_of_the_same_item_are_summed_before_they_are_checked() {
        let mut shop = Shop::with_rouge(3);
        let refused = shop.reserve(1, &[("rouge", 2), ("rouge", 2)]);
        assert_eq!(refused, Err(Refusal::InsufficientStock { available: 3, line: 1, recorded: true }));
        shop.reserve(2, &[("rouge", 2), ("rouge", 1)]).unwrap();
    }

    #[test]
    fn the_reservations_of_an_order_are_read_page_by_page_and_a_state_is_looked_for_on_all_of_them() {
        let mut shop = Shop::with_rouge(9);
        let order: OrderRef = "order-1".parse().unwrap();
        for number in 1..=5 {
            let Operation::Reserve(mut reserve) = reserve(number, &[("rouge", 1)]) else { unreachable!() };
            reserve.order_ref = (number != 2).then(|| order.clone());
            shop.run(Operation::Reserve(reserve)).unwrap();
        }
        shop.release(1).unwrap();
        shop.release(3).unwrap();
        let page = |from, state| shop.inventory.reservations_of_order(&order, from, state, 1);
        let (first, next) = page(ReservationCursor::default(), None);
        let (second, next) = page(next.unwrap(), None);
        assert_eq!([&first[0].id, &second[0].id], [1, 3].map(crate::test_shop::id).each_ref());
        let rest = shop.inventory.reservations_of_order(&order, next.unwrap(), None, 9);
        assert_eq!((rest.0.len(), rest.1), (2, None));
        let (held, next) = page(ReservationCursor::default(), Some(ReservationState::Held));
        assert_eq!((held[0].id, next.is_some()), (crate::test_shop::id(4), true), "the first two are no more held");
    }

    #[test]
    fn a_refused_line_holds_nothing_of_the_others() {
        let mut shop = Shop::with_rouge(3);
        let before = shop.stock("rouge");
        let refused = shop.reserve(1, &[("rouge", 1), ("mascara", 1)]);
        assert_eq!(refused, Err(Refusal::InsufficientStock { available: 0, line: 1, recorded: true }));
        assert_eq!(shop.stock("rouge"), before);
    }

    #[test]
    fn an_optional_line_does_not_fail_the_rest() {
        let mut shop = Shop::with_rouge(3);
        let Operation::Reserve(mut reserve) = reserve(1, &[("mascara", 1), ("rouge", 3)]) else { unreachable!() };
        reserve.lines[0].optional = true;
        let success = shop.run(Operation::Reserve(reserve)).unwrap();
        assert_eq!(success.held.as_deref(), Some([0, 3].as_slice()));
        assert_eq!(shop.reservation(1).lines.len(), 2);
    }

    #[test]
    fn a_partial_reserve_of_nothing_is_refused() {
        let mut shop = Shop::new();
        let Operation::Reserve(mut reserve) = reserve(1, &[("mascara", 1), ("rouge", 3)]) else { unreachable!() };
        reserve.partial_ok = true;
        let refused = shop.run(Operation::Reserve(reserve));
        assert_eq!(refused, Err(Refusal::InsufficientStock { available: 0, line: 0, recorded: true }));
    }

    #[test]
    fn an_order_may_not_have_more_than_the_item_allows_over_all_lines() {
        let mut shop = Shop::with_rouge(10);
        shop.put_item("rouge", ItemSpec { max_per_order: Some(3), ..ItemSpec::default() }).unwrap();
        let sku: Sku = "rouge".parse().unwrap();
        let refused = shop.reserve(1, &[("rouge", 2), ("rouge", 2)]);
        assert_eq!(refused, Err(Refusal::OrderLimitExceeded { sku, limit: 3 }));
        shop.reserve(2, &[("rouge", 3)]).unwrap();
    }

    #[test]
    fn what_is_not_on_sale_is_not_held() {
        let mut shop = Shop::with_rouge(10);
        shop.put_item("rouge", ItemSpec { status: ItemStatus::Paused, ..ItemSpec::default() }).unwrap();
        let (sku, status) = ("rouge".parse().unwrap(), ItemStatus::Paused);
        assert_eq!(shop.reserve(1, &[("rouge", 1)]), Err(Refusal::ItemNotSellable { sku, status }));
    }

    #[test]
    fn an_untracked_item_is_never_refused_and_never_counted() {
        let mut shop = Shop::with_rouge(1);
        shop.put_item("rouge", ItemSpec { tracked: false, ..ItemSpec::default() }).unwrap();
        shop.reserve(1, &[("rouge", 1_000_000)]).unwrap();
        shop.commit(1).unwrap();
        shop.fulfil(1, &[]).unwrap();
        assert_eq!(shop.stock("rouge").counts, StockCounts { on_hand: 1, ..StockCounts::default() });
    }

    #[test]
    fn a_hold_lasts_no_longer_than_the_item_allows() {
        let mut shop = Shop::with_rouge(1);
        shop.put_item("rouge", ItemSpec { max_hold_s: Some(60), ..ItemSpec::default() }).unwrap();
        assert_eq!(shop.reserve(1, &[("rouge", 1)]).unwrap().expires_at, Some(LogTime(OPENING + 60_000)));
    }

    #[test]
    fn a_hold_ends_at_its_expiry_and_not_before() {
        let mut shop = Shop::with_rouge(1);
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        assert_eq!(shop.inventory.next_due(), Some(LogTime(OPENING + 600_000)));
        shop.after_s(599).tick();
        assert_eq!(shop.reservation(1).state, ReservationState::Held);
        shop.after_s(1).tick();
        assert_eq!(shop.reservation(1).state, ReservationState::Expired);
        assert_eq!(shop.events(), [EventKind::ReservationExpired, EventKind::AvailabilityBack]);
        assert_eq!((shop.stock("rouge").atp, shop.inventory.next_due()), (1, None));
    }

    #[test]
    fn what_expired_is_sold_again_even_before_the_sweep_comes_to_it() {
        let mut shop = Shop::with_limits(Limits { sweep: 1, ..Limits::default() });
        shop.receive("mascara", "PAR", 1).unwrap();
        shop.receive("rouge", "PAR", 1).unwrap();
        shop.reserve(1, &[("mascara", 1)]).unwrap();
        shop.reserve(2, &[("rouge", 1)]).unwrap();
        // The entry's sweep ends the first hold only; deciding the item ends the second.
        shop.after_s(600).reserve(3, &[("rouge", 1)]).unwrap();
    }

    #[test]
    fn one_command_ends_a_bounded_number_of_holds_and_is_decided_by_what_is_free_then() {
        let mut shop = Shop::with_limits(Limits { sweep: 2, ..Limits::default() });
        shop.receive("rouge", "PAR", 5).unwrap();
        for number in 1..=5 {
            shop.reserve(number, &[("rouge", 1)]).unwrap();
        }
        // Two end with the entry and two with the command.
        let refused = shop.after_s(600).reserve(6, &[("rouge", 5)]);
        assert_eq!(refused, Err(Refusal::InsufficientStock { available: 4, line: 0, recorded: true }));
        shop.reserve(7, &[("rouge", 5)]).unwrap();
    }

    #[test]
    fn a_reservation_is_made_once() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        assert_eq!(shop.reserve(1, &[("rouge", 1)]), Err(Refusal::Exists));
    }

    #[test]
    fn a_shape_that_cannot_be_right_is_refused_by_its_field() {
        let Operation::Reserve(good) = reserve(1, &[("rouge", 1)]) else { unreachable!() };
        let line = good.lines[0].clone();
        let field = |reserve: Reserve| reserve.validate().unwrap_err().field;
        assert_eq!(good.validate(), Ok(()));
        assert_eq!(field(Reserve { lines: vec![], ..good.clone() }), Field::Lines);
        assert_eq!(field(Reserve { lines: vec![line.clone(); 101], ..good.clone() }), Field::Lines);
        assert_eq!(field(Reserve { ttl_s: 14_401, ..good.clone() }), Field::Ttl);
        assert_eq!(field(Reserve { ttl_s: 0, ..good.clone() }), Field::Ttl);
        assert_eq!(field(Reserve { reservation: ReservationId(1), ..good.clone() }), Field::ReservationId);
        for units in [0, MAX_UNITS + 1] {
            let bad = Line { units: Units(units), ..line.clone() };
            let lines = vec![line.clone(), bad];
            let refused = Reserve { lines, ..good.clone() }.validate();
            assert_eq!(refused, Err(InvalidArgument::in_line(Field::Units, 1)));
        }
    }

    #[test]
    fn a_lot_is_sold_up_to_its_last_day_and_not_after() {
        let mut shop = Shop::with_cream(&[("A", 1, 5)]);
        shop.after_s(DAY_S).reserve(1, &[("cream", 1)]).unwrap();
        shop.release(1).unwrap();
        let refused = shop.after_s(1).reserve(2, &[("cream", 1)]);
        assert_eq!(refused, Err(Refusal::InsufficientStock { available: 0, line: 0, recorded: true }));
        let removal_at = LogTime(OPENING + DAY_S * 1_000);
        assert_eq!(shop.reserve_of(3, "A", 1), Err(Refusal::LotExpired { removal_at }));
    }

    #[test]
    fn units_that_do_not_live_long_enough_are_not_promised() {
        let mut shop = Shop::with_cream(&[("early", 10, 5), ("late", 100, 2)]);
        let spec = ItemSpec { lot_tracked: true, min_remaining_days: 30, ..ItemSpec::default() };
        shop.put_item("cream", spec).unwrap();
        assert_eq!(shop.stock("cream").atp, 2);
        let refused = shop.reserve(1, &[("cream", 3)]);
        assert_eq!(refused, Err(Refusal::InsufficientStock { available: 2, line: 0, recorded: true }));
        assert!(matches!(shop.reserve_of(2, "early", 1), Err(Refusal::ShelfLifeTooShort { .. })));
        shop.reserve(3, &[("cream", 2)]).unwrap();
        shop.commit(3).unwrap();
        assert_eq!(shop.reservation(3).lines[0].lots[0].lot.as_str(), "late");
    }

    #[test]
    fn a_lot_by_name_does_not_take_what_others_were_promised() {
        let mut shop = Shop::with_cream(&[("early", 10, 5), ("late", 100, 2)]);
        let spec = ItemSpec { lot_tracked: true, min_remaining_days: 30, ..ItemSpec::default() };
        shop.put_item("cream", spec).unwrap();
        shop.reserve(1, &[("cream", 1)]).unwrap();
        let refused = shop.reserve_of(2, "late", 2);
        assert_eq!(refused, Err(Refusal::InsufficientStock { available: 1, line: 0, recorded: true }));
        shop.reserve_of(3, "late", 1).unwrap();
        assert_eq!(shop.stock("cream").atp, 0);
        shop.commit(1).unwrap();
        shop.commit(3).unwrap();
    }

    #[test]
    fn lines_by_name_and_lines_without_are_summed_before_they_are_checked() {
        let mut shop = Shop::with_cream(&[("A", 10, 3), ("B", 20, 3)]);
        let Operation::Reserve(mut reserve) = reserve(1, &[("cream", 2), ("cream", 5)]) else { unreachable!() };
        reserve.lines[0].lot = Some("A".parse().unwrap());
        let refused = shop.run(Operation::Reserve(reserve));
        assert_eq!(refused, Err(Refusal::InsufficientStock { available: 6, line: 1, recorded: true }));
    }

    #[test]
    fn a_lot_is_named_only_of_an_item_that_has_lots_and_only_one_it_has() {
        let mut shop = Shop::with_cream(&[("A", 10, 3)]);
        let lot: LotId = "Z".parse().unwrap();
        assert_eq!(shop.reserve_of(1, "Z", 1), Err(Refusal::UnknownLot { lot: lot.clone() }));
        shop.receive("rouge", "PAR", 1).unwrap();
        let Operation::Reserve(mut reserve) = reserve(2, &[("rouge", 1)]) else { unreachable!() };
        reserve.lines[0].lot = Some(lot);
        let refused = shop.run(Operation::Reserve(reserve));
        assert_eq!(refused, Err(Refusal::InvalidArgument(InvalidArgument::of(Field::LotId))));
    }
}
