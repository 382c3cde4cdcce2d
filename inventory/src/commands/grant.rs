//! `grant` and `revoke`: units of an item at a location are kept for a campaign, or not any more.

use serde::{Deserialize, Serialize};

use super::FULL_RETRY_MS;
use crate::state::{AllocationRecord, CampaignNo, LocationNo, SkuNo};
use crate::turn::Turn;
use crate::{
    CampaignId, CampaignPhase, EventKind, Field, InvalidArgument, LocationId, MAX_ALLOCATIONS,
    MAX_ALLOCATIONS_OF_PLACE, Refusal, Sku, Subject, Success, Units,
};

/// Keeps units for a campaign that may be promised to anybody now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The campaign, which is not over.
    pub campaign: CampaignId,
    /// The item, which is counted.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// How many more.
    pub units: Units,
}

/// Takes units back that a campaign neither holds nor has sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoke {
    /// The campaign, which is not over.
    pub campaign: CampaignId,
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// How many.
    pub units: Units,
}

impl Grant {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.units.is_askable() { Ok(()) } else { Err(InvalidArgument::of(Field::Units)) }
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let sku = turn.sku(&self.sku)?;
        let location = turn.active_location(&self.location)?;
        if !turn.state.item(sku).spec.tracked {
            return Err(InvalidArgument::of(Field::Sku).into());
        }
        let campaign = live_campaign(turn, &self.campaign)?;
        turn.end_what_is_due_of(sku);
        let available = turn.atp(sku, location);
        if self.units.count() > available {
            return Err(Refusal::AllocationExceedsAvailable { available });
        }
        let place = turn.state.stock(sku).place(location);
        let is_new = place.is_none_or(|place| place.allocation(campaign).is_none());
        let here = place.map_or(0, |place| place.allocations.iter().filter(|of| of.open).count());
        let full = Refusal::Overloaded { retry_after_ms: FULL_RETRY_MS };
        if is_new && here >= MAX_ALLOCATIONS_OF_PLACE {
            return Err(full);
        }
        if is_new && turn.state.allocation_count() >= MAX_ALLOCATIONS && !turn.state.forget_oldest_allocations() {
            return Err(full);
        }
        turn.change_place(sku, location, |_| {});
        turn.state.change_allocations(sku, location, |allocations| {
            if is_new {
                allocations.push(AllocationRecord { campaign, granted: 0, held: 0, sold: 0, open: true });
            }
            let of_campaign = allocations.iter_mut().filter(|of| of.campaign == campaign);
            of_campaign.for_each(|of| of.granted += self.units.count());
        });
        Ok(record(turn, EventKind::CampaignGranted, campaign, sku, location))
    }
}

impl Revoke {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.units.is_askable() { Ok(()) } else { Err(InvalidArgument::of(Field::Units)) }
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let (sku, location) = (turn.sku(&self.sku)?, turn.location(&self.location)?);
        let campaign = live_campaign(turn, &self.campaign)?;
        turn.end_what_is_due_of(sku);
        let place = turn.state.stock(sku).place(location);
        let available = place.and_then(|place| place.allocation(campaign)).map_or(0, AllocationRecord::left);
        if self.units.count() > available {
            return Err(Refusal::AllocationExhausted { available, line: 0 });
        }
        turn.change_place(sku, location, |_| {});
        turn.state.change_allocations(sku, location, |allocations| {
            let of_campaign = allocations.iter_mut().filter(|of| of.campaign == campaign);
            of_campaign.for_each(|of| of.granted -= self.units.count());
            allocations.retain(|of| of.granted > 0 || of.campaign != campaign);
        });
        Ok(record(turn, EventKind::CampaignRevoked, campaign, sku, location))
    }
}

/// The campaign, which is not over.
fn live_campaign(turn: &Turn<'_>, id: &CampaignId) -> Result<CampaignNo, Refusal> {
    let (no, record) = turn.campaign(id)?;
    if record.phase == CampaignPhase::Closed { Err(Refusal::SaleEnded { campaign: id.clone() }) } else { Ok(no) }
}

fn record(turn: &mut Turn<'_>, kind: EventKind, campaign: CampaignNo, sku: SkuNo, location: LocationNo) -> Success {
    let place = turn.state.stock(sku).place(location);
    let of = place.and_then(|place| place.allocation(campaign));
    let (granted, held, sold) = of.map_or((0, 0, 0), |of| (of.granted, of.held, of.sold));
    let subject = Subject::Allocation {
        campaign: turn.state.campaign(campaign).id.clone(),
        sku: turn.state.item(sku).sku.clone(),
        location: turn.state.location(location).id.clone(),
        granted,
        held,
        sold,
    };
    turn.record(kind, None, Some(subject));
    turn.stock_success(sku, location)
}

#[cfg(test)]
mod tests {
    use super::{Grant, Revoke};
    use crate::commands::{IfExpired, MoveUnits, PutCampaign, PutItem, Receive};
    use crate::test_shop::{DAY_S, OPENING, Shop, reserve};
    use crate::*;

    const MINUTE: u64 = 60_000;

    /// 10 units of `rouge`, of which a campaign has 4 that sells from the first to the tenth minute.
    fn shop() -> Shop {
        let mut shop = Shop::with_rouge(10);
        shop.put_campaign("drop", 60, 600).unwrap();
        shop.grant("drop", "rouge", 4).unwrap();
        shop
    }

    fn buy(shop: &mut Shop, number: u64, lines: &[(&str, u32)]) -> Result<Success, Refusal> {
        let Operation::Reserve(mut reserve) = reserve(number, lines) else { unreachable!() };
        reserve.campaign = Some("drop".parse().unwrap());
        shop.run(Operation::Reserve(reserve))
    }

    fn revoke(shop: &mut Shop, units: u32) -> Result<Success, Refusal> {
        let (campaign, sku) = ("drop".parse().unwrap(), "rouge".parse().unwrap());
        let revoke = Revoke { campaign, sku, location: "PAR".parse().unwrap(), units: Units(units) };
        shop.run(Operation::Revoke(Box::new(revoke)))
    }

    /// Granted, held, sold.
    fn allocation(shop: &Shop) -> (u64, u64, u64) {
        let of = shop.inventory.allocations_of(&"rouge".parse().unwrap()).unwrap().remove(0);
        (of.granted, of.held, of.sold)
    }

    fn lack(available: u64) -> Result<Success, Refusal> {
        Err(Refusal::InsufficientStock { available, line: 0, recorded: true })
    }

    fn exhausted(available: u64) -> Result<Success, Refusal> {
        Err(Refusal::AllocationExhausted { available, line: 0 })
    }

    fn over() -> Result<Success, Refusal> {
        Err(Refusal::SaleEnded { campaign: "drop".parse().unwrap() })
    }

    #[test]
    fn what_a_campaign_has_nobody_else_gets_and_it_gets_no_more() {
        let mut shop = shop();
        assert_eq!((shop.stock("rouge").atp, shop.stock("rouge").allocated), (6, 4));
        assert_eq!(shop.reserve(1, &[("rouge", 7)]), lack(6));
        shop.after_s(60);
        assert_eq!(buy(&mut shop, 2, &[("rouge", 5)]), exhausted(4));
        assert_eq!(
            buy(&mut shop, 2, &[("rouge", 3), ("rouge", 2)]),
            Err(Refusal::AllocationExhausted { available: 4, line: 1 })
        );
        buy(&mut shop, 3, &[("rouge", 3)]).unwrap();
        assert_eq!((allocation(&shop), shop.stock("rouge").atp), ((4, 3, 0), 6));
        shop.reserve(4, &[("rouge", 6)]).unwrap();
        buy(&mut shop, 5, &[("rouge", 1)]).unwrap();
        assert_eq!(shop.events(), [EventKind::ReservationHeld, EventKind::CampaignExhausted]);
        assert_eq!(buy(&mut shop, 6, &[("rouge", 1)]), exhausted(0));
        assert_eq!(buy(&mut shop, 6, &[("mascara", 1)]), exhausted(0), "it was given none");
    }

    #[test]
    fn it_sells_in_its_window_alone_and_a_hold_of_it_is_sold_after_it() {
        let mut shop = shop();
        let early = Refusal::SaleNotStarted { campaign: "drop".parse().unwrap(), starts_at: LogTime(OPENING + MINUTE) };
        assert_eq!(buy(&mut shop, 1, &[("rouge", 1)]), Err(early));
        shop.after_s(60).tick();
        assert_eq!(shop.events(), [EventKind::CampaignOpened]);
        buy(&mut shop, 1, &[("rouge", 1)]).unwrap();
        shop.after_s(539);
        buy(&mut shop, 2, &[("rouge", 2)]).unwrap();
        assert_eq!(shop.inventory.next_due(), Some(LogTime(OPENING + 10 * MINUTE)));
        shop.after_s(1);
        assert_eq!(buy(&mut shop, 3, &[("rouge", 1)]), over());
        assert_eq!(shop.events(), [EventKind::CampaignClosed]);
        assert_eq!(shop.stock("rouge").atp, 7, "what is not sold is on sale again");
        shop.commit(1).unwrap();
        assert_eq!(allocation(&shop), (4, 2, 1));
        shop.release(2).unwrap();
        assert_eq!((allocation(&shop), shop.stock("rouge").atp), ((4, 0, 1), 9));
        shop.cancel(1).unwrap();
        assert_eq!((allocation(&shop), shop.stock("rouge").atp), ((4, 0, 0), 10));
        assert_eq!(shop.grant("drop", "rouge", 1), over());
        assert_eq!(revoke(&mut shop, 1), over());
    }

    #[test]
    fn what_is_given_back_comes_back_to_the_campaign_as_long_as_it_is_not_over() {
        let mut shop = shop();
        shop.after_s(60);
        (1..=3).for_each(|number| drop(buy(&mut shop, number, &[("rouge", 1)]).unwrap()));
        shop.commit(3).unwrap();
        shop.release(1).unwrap();
        assert_eq!((allocation(&shop), shop.stock("rouge").atp), ((4, 1, 1), 6));
        shop.cancel(3).unwrap();
        assert_eq!((allocation(&shop), shop.stock("rouge").atp), ((4, 1, 0), 6));
        shop.amend(2, &[("rouge", 5)]).unwrap_err();
        shop.amend(2, &[("rouge", 4)]).unwrap();
        assert_eq!((allocation(&shop), shop.stock("rouge").atp), ((4, 4, 0), 6));
        shop.amend(2, &[("rouge", 2)]).unwrap();
        assert_eq!((allocation(&shop), shop.stock("rouge").atp), ((4, 2, 0), 6));
        shop.after_s(540).tick();
        assert_eq!(shop.amend(2, &[("rouge", 3)]), over());
        shop.amend(2, &[("rouge", 1)]).unwrap();
        assert_eq!((allocation(&shop), shop.stock("rouge").atp), ((4, 1, 0), 9));
    }

    #[test]
    fn a_campaign_is_given_what_may_be_promised_and_gives_back_what_it_has_left() {
        let mut shop = shop();
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        assert_eq!(shop.grant("drop", "rouge", 5), Err(Refusal::AllocationExceedsAvailable { available: 4 }));
        shop.grant("drop", "rouge", 4).unwrap();
        assert_eq!(shop.events(), [EventKind::CampaignGranted, EventKind::AvailabilityOut]);
        shop.after_s(60);
        buy(&mut shop, 2, &[("rouge", 3)]).unwrap();
        assert_eq!(revoke(&mut shop, 6), exhausted(5));
        revoke(&mut shop, 5).unwrap();
        assert_eq!((allocation(&shop), shop.stock("rouge").atp), ((3, 3, 0), 5));
        let unknown = Refusal::UnknownCampaign { campaign: "other".parse().unwrap() };
        assert_eq!(shop.grant("other", "rouge", 1), Err(unknown));
        shop.put_item("card", ItemSpec { tracked: false, ..ItemSpec::default() }).unwrap();
        assert_eq!(shop.grant("drop", "card", 1), Err(InvalidArgument::of(Field::Sku).into()));
    }

    #[test]
    fn what_a_campaign_has_is_read_page_by_page() {
        let mut shop = shop();
        let id: CampaignId = "drop".parse().unwrap();
        for sku in ["blush", "rouge", "mascara"] {
            shop.put_item(sku, ItemSpec::default()).unwrap();
            shop.receive(sku, "PAR", 5).unwrap();
            shop.grant("drop", sku, 1).unwrap();
        }
        let page = |from, limit| shop.inventory.some_allocations_of_campaign(&id, from, limit).unwrap();
        let (mut found, next) = page(AllocationCursor::default(), 2);
        let next = next.unwrap();
        assert_eq!((found.len(), next.to_string().parse()), (2, Ok(next)));
        let (rest, last) = page(next, 2);
        found.extend(rest);
        assert_eq!((Some(found), last), (shop.inventory.allocations_of_campaign(&id), None));
        assert!(["", "1", "1.x", "-1.2", "1.2.3"].iter().all(|bad| bad.parse::<AllocationCursor>().is_err()));
    }

    #[test]
    fn ended_by_hand_it_gives_back_at_once_and_its_name_may_be_given_to_another() {
        let mut shop = shop();
        shop.after_s(60);
        buy(&mut shop, 1, &[("rouge", 1)]).unwrap();
        shop.close_campaign("drop").unwrap();
        assert_eq!(shop.events(), [EventKind::CampaignClosed]);
        assert_eq!((shop.stock("rouge").atp, shop.stock("rouge").allocated), (9, 0));
        assert_eq!(buy(&mut shop, 2, &[("rouge", 1)]), over());
        shop.commit(1).unwrap();
        let id: CampaignId = "drop".parse().unwrap();
        let known = shop.inventory.campaign(&id).unwrap();
        let spec = CampaignSpec { closed: false, ..known.spec };
        let put = PutCampaign { campaign: id.clone(), spec, revision: Revision(9) };
        shop.run(Operation::PutCampaign(Box::new(put))).unwrap();
        assert_eq!(shop.inventory.campaign(&id).unwrap().phase, CampaignPhase::Open, "another one has the name");
        assert_eq!(shop.inventory.allocations_of_campaign(&id), Some(vec![]));
        shop.grant("drop", "rouge", 1).unwrap();
        shop.cancel(1).unwrap();
        assert_eq!((allocation(&shop), shop.stock("rouge").atp), ((1, 0, 0), 9));
    }

    #[test]
    fn who_waits_for_units_does_not_get_those_of_a_campaign() {
        let mut shop = shop();
        shop.put_item("rouge", ItemSpec { backorder: Backorder::UpTo { cap: 5 }, ..ItemSpec::default() }).unwrap();
        let backordered = |shop: &Shop| shop.stock("rouge").backordered;
        shop.reserve(1, &[("rouge", 8)]).unwrap();
        assert_eq!(backordered(&shop), 2);
        shop.after_s(60);
        buy(&mut shop, 2, &[("rouge", 3)]).unwrap();
        shop.release(2).unwrap();
        assert_eq!(backordered(&shop), 2);
        assert_eq!(buy(&mut shop, 3, &[("rouge", 5)]), exhausted(4), "nothing of a campaign is promised without stock");
        revoke(&mut shop, 1).unwrap();
        assert_eq!(backordered(&shop), 1);
        shop.close_campaign("drop").unwrap();
        assert_eq!((backordered(&shop), shop.stock("rouge").atp), (0, 2));
    }

    #[test]
    fn what_a_campaign_has_is_not_moved_or_sent_away() {
        let mut shop = shop();
        assert_eq!(shop.send(1, "rouge", &[(None, 7)]), lack(6));
        let spoil = |units| MoveUnits {
            sku: "rouge".parse().unwrap(),
            location: "PAR".parse().unwrap(),
            lot: None,
            units: Units(units),
            from: Condition::Resellable,
            to: Condition::Damaged,
        };
        let refused = Refusal::TooFewOfCondition { condition: Condition::Resellable, available: 6 };
        assert_eq!(shop.run(Operation::MoveUnits(spoil(7))), Err(refused));
        shop.send(1, "rouge", &[(None, 6)]).unwrap();
        assert_eq!(shop.stock("rouge").atp, 0);
        // What is lost is lost, whoever it was kept for.
        shop.adjust("rouge", -3, Condition::Resellable).unwrap();
        shop.after_s(60);
        let lost = buy(&mut shop, 2, &[("rouge", 2)]);
        assert_eq!(lost, lack(1), "it was given 4, and 1 is there");
    }

    #[test]
    fn of_stock_by_lot_it_gets_what_lives_long_enough() {
        let mut shop = Shop::with_cream(&[("A", 1, 2), ("B", 20, 2)]);
        shop.put_campaign("drop", 0, 9 * DAY_S).unwrap();
        shop.grant("drop", "cream", 3).unwrap();
        assert_eq!(shop.stock("cream").atp, 1);
        buy(&mut shop, 1, &[("cream", 1)]).unwrap();
        shop.commit(1).unwrap();
        shop.fulfil(1, &[]).unwrap();
        shop.after_s(DAY_S + 1).tick();
        let refused = buy(&mut shop, 2, &[("cream", 3)]);
        assert_eq!(refused, exhausted(2));
        assert_eq!(shop.stock("cream").atp, 0);
        buy(&mut shop, 3, &[("cream", 2)]).unwrap();
    }

    #[test]
    fn a_hold_that_expired_is_taken_anew_only_while_the_campaign_sells() {
        let mut shop = shop();
        shop.after_s(60);
        let Operation::Reserve(mut short_lived) = reserve(1, &[("rouge", 2)]) else { unreachable!() };
        (short_lived.campaign, short_lived.ttl_s) = (Some("drop".parse().unwrap()), 10);
        shop.run(Operation::Reserve(short_lived.clone())).unwrap();
        short_lived.reservation = crate::test_shop::id(2);
        shop.run(Operation::Reserve(short_lived)).unwrap();
        shop.after_s(10).tick();
        shop.commit_with(1, |commit| commit.if_expired = IfExpired::Retake).unwrap();
        assert_eq!(allocation(&shop), (4, 0, 2));
        shop.after_s(600).tick();
        assert_eq!(shop.commit_with(2, |commit| commit.if_expired = IfExpired::Retake), over());
    }

    #[test]
    fn a_campaign_that_is_over_makes_room_for_another_and_counts_nothing_of_it() {
        let mut shop = Shop::with_rouge(10);
        shop.put_campaign("drop", 0, 600).unwrap();
        shop.grant("drop", "rouge", 4).unwrap();
        buy(&mut shop, 1, &[("rouge", 1)]).unwrap();
        shop.commit(1).unwrap();
        (1..MAX_CAMPAIGNS).for_each(|number| drop(shop.put_campaign(&number.to_string(), 0, 9_000).unwrap()));
        let full = Err(Refusal::Overloaded { retry_after_ms: 1_000 });
        assert_eq!(shop.put_campaign("late", 0, 9_000), full);
        shop.close_campaign("drop").unwrap();
        shop.put_campaign("late", 0, 9_000).unwrap();
        assert!(shop.inventory.campaign(&"drop".parse().unwrap()).is_none());
        shop.grant("late", "rouge", 2).unwrap();
        shop.cancel(1).unwrap();
        assert_eq!((allocation(&shop), shop.stock("rouge").atp), ((2, 0, 0), 8));
    }

    #[test]
    fn where_allocations_are_full_what_a_campaign_had_that_is_over_is_forgotten() {
        let mut shop = Shop::with_rouge(10);
        shop.put_campaign("drop", 0, 600).unwrap();
        shop.grant("drop", "rouge", 4).unwrap();
        buy(&mut shop, 1, &[("rouge", 1)]).unwrap();
        shop.commit(1).unwrap();
        shop.put_campaign("many", 0, 9_000).unwrap();
        let all = |shop: &mut Shop, operation: fn(Sku) -> Operation| {
            let skus = (1..MAX_ALLOCATIONS).map(|number| format!("SKU-{number}").parse().unwrap());
            let commands = skus.map(|sku| shop.command(operation(sku))).collect();
            assert!(shop.apply(commands).iter().all(|answer| answer.outcome.is_ok()));
        };
        all(&mut shop, |sku| {
            let spec = ItemSpec::default();
            Operation::PutItem(Box::new(PutItem { sku, spec, if_revision: None, if_absent: false }))
        });
        all(&mut shop, |sku| {
            let (location, units) = ("PAR".parse().unwrap(), Units(1));
            Operation::Receive(Receive { sku, location, lot: None, lot_spec: None, units, receipt: None })
        });
        all(&mut shop, |sku| {
            let (campaign, location, units) = ("many".parse().unwrap(), "PAR".parse().unwrap(), Units(1));
            Operation::Grant(Box::new(Grant { campaign, sku, location, units }))
        });
        assert_eq!(shop.grant("many", "rouge", 1), Err(Refusal::Overloaded { retry_after_ms: 1_000 }));
        shop.close_campaign("drop").unwrap();
        shop.grant("many", "rouge", 1).unwrap();
        assert_eq!(allocation(&shop), (1, 0, 0));
        shop.cancel(1).unwrap();
        assert_eq!((allocation(&shop), shop.stock("rouge").atp), ((1, 0, 0), 9));
    }

    #[test]
    fn a_chain_that_fails_leaves_what_a_campaign_has_as_it_was() {
        let mut shop = shop();
        shop.after_s(60).tick();
        let Operation::Reserve(mut first) = reserve(1, &[("rouge", 1)]) else { unreachable!() };
        first.campaign = Some("drop".parse().unwrap());
        let chain = shop.chain(vec![Operation::Reserve(first), reserve(2, &[("rouge", 7)])]);
        assert!(shop.apply(chain).iter().all(|answer| answer.outcome.is_err()));
        assert_eq!(allocation(&shop), (4, 0, 0));
        assert_eq!(shop.stock("rouge").atp, 6);
    }
}
