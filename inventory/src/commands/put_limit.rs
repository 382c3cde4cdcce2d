//! `put_limit`: how many units of an item one customer may hold and buy.

use serde::{Deserialize, Serialize};

use super::FULL_RETRY_MS;
use crate::state::LimitRecord;
use crate::turn::Turn;
use crate::{
    CampaignId, EventKind, Field, InvalidArgument, LimitId, LimitSpec, LimitWindow, MAX_LIMITS_OF_ITEM, Refusal,
    Revision, Sku, Subject, Success,
};

/// Creates a limit or changes it. Only new holds feel it: those that are there are not counted by a new one, and stand whatever it
/// says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutLimit {
    /// Its name, one in the shard.
    pub limit: LimitId,
    /// The item. It does not change.
    pub sku: Sku,
    /// What is said of it.
    pub spec: LimitSpec,
    /// Only if its revision is this; 0: only if there is none.
    pub if_revision: Option<Revision>,
    /// Its window is this campaign: only reservations made in it are checked and counted, all there ever were. It does not change.
    pub campaign: Option<CampaignId>,
}

impl PutLimit {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.campaign.is_some() && self.spec.window != LimitWindow::ForEver {
            return Err(InvalidArgument::of(Field::LimitWindow));
        }
        self.spec.validate()
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let sku = turn.sku(&self.sku)?;
        let known = turn.state.find_limit(&self.limit);
        let actual = known.map(|no| turn.state.limit(no).revision).unwrap_or_default();
        if self.if_revision.is_some_and(|expected| expected != actual) {
            return Err(Refusal::RevisionMismatch { actual });
        }
        let full = Refusal::Overloaded { retry_after_ms: FULL_RETRY_MS };
        let is_active = known.is_some_and(|no| turn.state.limit(no).spec.active);
        let has_room = !self.spec.active || is_active || turn.state.live_limit_count(sku) < MAX_LIMITS_OF_ITEM;
        let Some(no) = known else {
            if !has_room || turn.state.limit_count() >= turn.state.header.limits.items.min(u64::from(u32::MAX)) {
                return Err(full);
            }
            if let Some(campaign) = &self.campaign {
                turn.campaign(campaign)?;
            }
            let revision = actual.next();
            turn.state.add_limit(LimitRecord {
                id: self.limit.clone(),
                sku,
                spec: self.spec,
                revision,
                skus: Vec::new(),
                campaign: self.campaign.clone(),
            });
            return Ok(self.record(turn, revision));
        };
        let record = turn.state.limit(no);
        if record.sku != sku {
            return Err(InvalidArgument::of(Field::Sku).into());
        }
        if record.spec.window != self.spec.window || record.campaign != self.campaign {
            return Err(InvalidArgument::of(Field::LimitWindow).into());
        }
        if record.spec == self.spec {
            return Ok(Success { revision: actual, ..Success::default() });
        }
        if !has_room {
            return Err(full);
        }
        turn.state.change_limit(no, |record| {
            record.spec = self.spec;
            record.revision = record.revision.next();
        });
        Ok(self.record(turn, actual.next()))
    }

    fn record(&self, turn: &mut Turn<'_>, revision: Revision) -> Success {
        let subject =
            Subject::Limit { limit: self.limit.clone(), sku: self.sku.clone(), units: self.spec.units, revision };
        turn.record(EventKind::LimitChanged, None, Some(subject));
        Success { revision, ..Success::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::PutLimit;
    use crate::commands::{Line, Prepare};
    use crate::test_shop::{DAY_S, OPENING, Shop, id, reserve};
    use crate::*;

    const ANNA: CustomerHash = CustomerHash(1);
    const BERTA: CustomerHash = CustomerHash(2);

    fn spec(units: u32) -> LimitSpec {
        LimitSpec { units, window: LimitWindow::ForEver, returns_restore: false, active: true }
    }

    fn put(shop: &mut Shop, name: &str, spec: LimitSpec) -> Result<Success, Refusal> {
        let (limit, sku) = (name.parse().unwrap(), "rouge".parse().unwrap());
        shop.run(Operation::PutLimit(PutLimit { limit, sku, spec, if_revision: None, campaign: None }))
    }

    fn shop(spec: LimitSpec) -> Shop {
        let mut shop = Shop::with_rouge(100);
        put(&mut shop, "two-each", spec).unwrap();
        shop
    }

    fn reserve_for(number: u64, customer: CustomerHash, units: u32) -> Operation {
        let Operation::Reserve(mut reserve) = reserve(number, &[("rouge", units)]) else { unreachable!() };
        reserve.customer = Some(customer);
        Operation::Reserve(reserve)
    }

    fn hold(shop: &mut Shop, number: u64, customer: CustomerHash, units: u32) -> Result<Success, Refusal> {
        shop.run(reserve_for(number, customer, units))
    }

    fn exceeds(remaining: u64) -> Result<Success, Refusal> {
        Err(Refusal::CustomerLimitExceeded { limit: "two-each".parse().unwrap(), remaining, line: 0 })
    }

    fn count(shop: &Shop, customer: CustomerHash) -> (u64, u64, u64) {
        let of = shop.inventory.limits_of(&"rouge".parse().unwrap(), Some(customer)).unwrap();
        let count = of[0].1.unwrap();
        (count.held, count.bought, count.remaining)
    }

    #[test]
    fn limits_that_are_over_leave_room_for_others() {
        let mut shop = shop(spec(2));
        let full = Err(Refusal::Overloaded { retry_after_ms: 1_000 });
        let of_sale = |shop: &mut Shop, sale: u32| {
            let id = format!("sale-{sale}");
            shop.put_campaign(&id, 0, 600).unwrap();
            let (limit, campaign) = (id.parse().unwrap(), Some(id.parse().unwrap()));
            let sku = "rouge".parse().unwrap();
            shop.run(Operation::PutLimit(PutLimit { limit, sku, spec: spec(1), if_revision: None, campaign }))
        };
        (2..=8).for_each(|sale| drop(of_sale(&mut shop, sale).unwrap()));
        assert_eq!(of_sale(&mut shop, 9), full);
        assert_eq!(put(&mut shop, "other", LimitSpec { active: false, ..spec(1) }).map(|_| ()), Ok(()));
        assert_eq!(put(&mut shop, "other", spec(1)), full, "it would be one too many that checks");
        put(&mut shop, "two-each", LimitSpec { active: false, ..spec(2) }).unwrap();
        put(&mut shop, "other", spec(1)).unwrap();
        shop.after_s(600).tick();
        (10..=16).for_each(|sale| drop(of_sale(&mut shop, sale).unwrap()));
        assert_eq!(of_sale(&mut shop, 17), full);
        assert_eq!(shop.inventory.limits_of(&"rouge".parse().unwrap(), None).unwrap().len(), 16);
    }

    #[test]
    fn a_customer_holds_no_more_than_the_limit_over_all_reservations() {
        let mut shop = shop(spec(2));
        hold(&mut shop, 1, ANNA, 1).unwrap();
        assert_eq!(hold(&mut shop, 2, ANNA, 2), exceeds(1));
        hold(&mut shop, 3, ANNA, 1).unwrap();
        assert_eq!(hold(&mut shop, 4, ANNA, 1), exceeds(0));
        hold(&mut shop, 5, BERTA, 2).unwrap();
    }

    #[test]
    fn lines_of_the_same_item_are_summed_before_the_limit_is_checked() {
        let mut shop = shop(spec(2));
        let Operation::Reserve(mut reserve) = reserve_for(1, ANNA, 1) else { unreachable!() };
        reserve.lines.push(Line { units: Units(2), ..reserve.lines[0].clone() });
        let limit = "two-each".parse().unwrap();
        let refused = shop.run(Operation::Reserve(reserve));
        assert_eq!(refused, Err(Refusal::CustomerLimitExceeded { limit, remaining: 1, line: 1 }));
    }

    #[test]
    fn without_a_customer_nothing_of_a_limited_item_is_held() {
        let mut shop = shop(spec(2));
        let sku: Sku = "rouge".parse().unwrap();
        assert_eq!(shop.reserve(1, &[("rouge", 1)]), Err(Refusal::CustomerRequired { sku }));
    }

    #[test]
    fn what_is_given_back_may_be_held_again_and_what_is_bought_may_not() {
        let mut shop = shop(spec(2));
        hold(&mut shop, 1, ANNA, 2).unwrap();
        shop.release(1).unwrap();
        hold(&mut shop, 2, ANNA, 2).unwrap();
        shop.after_s(600).tick();
        hold(&mut shop, 3, ANNA, 2).unwrap();
        shop.commit(3).unwrap();
        assert_eq!(count(&shop, ANNA), (0, 2, 0));
        shop.cancel(3).unwrap();
        hold(&mut shop, 4, ANNA, 2).unwrap();
        shop.commit(4).unwrap();
        shop.fulfil(4, &[]).unwrap();
        shop.take_back(4, &[(0, 1)], None, Condition::Resellable).unwrap();
        assert_eq!(hold(&mut shop, 5, ANNA, 1), exceeds(0), "a return does not restore it");
    }

    #[test]
    fn a_return_restores_where_the_limit_says_so() {
        let mut shop = shop(LimitSpec { returns_restore: true, ..spec(2) });
        hold(&mut shop, 1, ANNA, 2).unwrap();
        shop.commit(1).unwrap();
        shop.fulfil(1, &[]).unwrap();
        shop.take_back(1, &[(0, 1)], None, Condition::Resellable).unwrap();
        assert_eq!(count(&shop, ANNA), (0, 1, 1));
        hold(&mut shop, 2, ANNA, 1).unwrap();
    }

    #[test]
    fn a_rolling_window_counts_what_was_reserved_within_it() {
        let mut shop = shop(LimitSpec { window: LimitWindow::RollingSeconds(DAY_S as u32), ..spec(2) });
        hold(&mut shop, 1, ANNA, 1).unwrap();
        shop.commit(1).unwrap();
        shop.after_s(DAY_S / 2);
        hold(&mut shop, 2, ANNA, 1).unwrap();
        shop.commit(2).unwrap();
        assert_eq!(hold(&mut shop, 3, ANNA, 1), exceeds(0));
        shop.after_s(DAY_S / 2);
        hold(&mut shop, 4, ANNA, 1).unwrap();
        assert_eq!(hold(&mut shop, 5, ANNA, 1), exceeds(0));
    }

    #[test]
    fn customers_of_whom_nothing_counts_any_more_are_forgotten() {
        let mut shop = shop(LimitSpec { window: LimitWindow::RollingSeconds(1_000), ..spec(2) });
        hold(&mut shop, 1, ANNA, 1).unwrap();
        shop.release(1).unwrap();
        hold(&mut shop, 2, BERTA, 1).unwrap();
        shop.commit(2).unwrap();
        shop.tick();
        assert_eq!(shop.inventory.state.counters().count(), 1);
        shop.after_s(1_000).tick();
        assert_eq!(shop.inventory.state.counters().count(), 0);
    }

    #[test]
    fn a_limit_feels_new_holds_only() {
        let mut shop = Shop::with_rouge(100);
        hold(&mut shop, 1, ANNA, 5).unwrap();
        put(&mut shop, "two-each", spec(2)).unwrap();
        assert_eq!(count(&shop, ANNA), (0, 0, 2));
        hold(&mut shop, 2, ANNA, 2).unwrap();
        put(&mut shop, "two-each", spec(1)).unwrap();
        assert_eq!((count(&shop, ANNA), shop.reservation(2).lines[0].units.held), ((2, 0, 0), 2));
        shop.release(1).unwrap();
        assert_eq!(count(&shop, ANNA), (2, 0, 0), "what was not counted is not given back");
        put(&mut shop, "two-each", LimitSpec { active: false, ..spec(1) }).unwrap();
        shop.reserve(3, &[("rouge", 9)]).unwrap();
    }

    #[test]
    fn an_amend_and_a_retake_ask_for_what_they_add() {
        let mut shop = shop(spec(3));
        hold(&mut shop, 1, ANNA, 2).unwrap();
        assert_eq!(shop.amend(1, &[("rouge", 4)]), exceeds(1));
        shop.amend(1, &[("rouge", 3)]).unwrap();
        assert_eq!(count(&shop, ANNA), (3, 0, 0));
        shop.after_s(600).tick();
        hold(&mut shop, 2, ANNA, 1).unwrap();
        let retake =
            |shop: &mut Shop| shop.commit_with(1, |commit| commit.if_expired = crate::commands::IfExpired::Retake);
        assert_eq!(retake(&mut shop), exceeds(2));
        shop.release(2).unwrap();
        retake(&mut shop).unwrap();
        assert_eq!(count(&shop, ANNA), (0, 3, 0));
    }

    #[test]
    fn an_optional_line_beyond_the_limit_is_left_out() {
        let mut shop = shop(spec(1));
        shop.receive("mascara", "PAR", 5).unwrap();
        let Operation::Reserve(mut reserve) = reserve(1, &[("mascara", 1), ("rouge", 2)]) else { unreachable!() };
        (reserve.customer, reserve.lines[1].optional) = (Some(ANNA), true);
        assert_eq!(shop.run(Operation::Reserve(reserve)).unwrap().held.as_deref(), Some([1, 0].as_slice()));
        assert_eq!(count(&shop, ANNA), (0, 0, 1));
    }

    #[test]
    fn a_part_of_a_reservation_that_another_shard_decides_is_counted_here() {
        let mut shop = shop(spec(2));
        let Operation::Reserve(reserve) = reserve_for(1, ANNA, 2) else { unreachable!() };
        let deadline = LogTime(OPENING + 10_000);
        let prepare = Prepare { reserve, numbers: vec![1], command: CommandId(9), attempt: AttemptId(3), deadline };
        shop.run(Operation::Prepare(Box::new(prepare))).unwrap();
        assert_eq!(hold(&mut shop, 2, ANNA, 1), exceeds(0));
        let attempts = vec![AttemptId(3)];
        shop.run(Operation::Abandon(crate::commands::Abandon { reservation: id(1), attempts })).unwrap();
        hold(&mut shop, 2, ANNA, 2).unwrap();
    }

    #[test]
    fn a_chain_that_fails_counts_nothing() {
        let mut shop = shop(spec(2));
        let first = Command { linked: true, ..shop.command(reserve_for(1, ANNA, 2)) };
        let second = shop.command(reserve_for(2, ANNA, 1));
        let answers = shop.apply(vec![first, second]);
        assert!(answers.iter().all(|answer| answer.outcome.is_err()), "{answers:?}");
        assert_eq!(count(&shop, ANNA), (0, 0, 2));
    }

    #[test]
    fn a_limit_stays_with_its_item_and_its_window_and_is_changed_at_the_revision_that_was_seen() {
        let mut shop = shop(spec(2));
        let rolling = LimitSpec { window: LimitWindow::RollingSeconds(60), ..spec(2) };
        let refused = |field| Err(Refusal::InvalidArgument(InvalidArgument::of(field)));
        assert_eq!(put(&mut shop, "two-each", rolling), refused(Field::LimitWindow));
        let elsewhere = PutLimit {
            limit: "two-each".parse().unwrap(),
            sku: "mascara".parse().unwrap(),
            spec: spec(2),
            if_revision: None,
            campaign: None,
        };
        assert_eq!(shop.run(Operation::PutLimit(elsewhere.clone())), refused(Field::Sku));
        let stale = PutLimit { sku: "rouge".parse().unwrap(), if_revision: Some(Revision(7)), ..elsewhere };
        assert_eq!(shop.run(Operation::PutLimit(stale)), Err(Refusal::RevisionMismatch { actual: Revision(1) }));
        assert_eq!(put(&mut shop, "two-each", spec(3)).unwrap().revision, Revision(2));
        assert_eq!(shop.events(), [EventKind::LimitChanged]);
        assert_eq!(
            put(&mut shop, "two-each", spec(3)).unwrap().revision,
            Revision(2),
            "the same again changes nothing"
        );
        assert_eq!(put(&mut shop, "none", spec(0)), refused(Field::Units));
    }

    /// 50 of 100 are a campaign's, in which a customer may have two.
    fn shop_with_drop() -> Shop {
        let mut shop = Shop::with_rouge(100);
        shop.put_campaign("drop", 0, 10_000).unwrap();
        shop.grant("drop", "rouge", 50).unwrap();
        put_in(&mut shop, Some("drop"), spec(2)).unwrap();
        shop
    }

    fn put_in(shop: &mut Shop, campaign: Option<&str>, spec: LimitSpec) -> Result<Success, Refusal> {
        let (limit, sku) = ("two-each".parse().unwrap(), "rouge".parse().unwrap());
        let campaign = campaign.map(|id| id.parse().unwrap());
        shop.run(Operation::PutLimit(PutLimit { limit, sku, spec, if_revision: None, campaign }))
    }

    fn in_drop(reserve: Operation) -> Operation {
        let Operation::Reserve(mut reserve) = reserve else { unreachable!() };
        reserve.campaign = Some("drop".parse().unwrap());
        Operation::Reserve(reserve)
    }

    #[test]
    fn a_limit_of_a_campaign_is_one_of_the_reservations_made_in_it_alone() {
        let mut shop = shop_with_drop();
        shop.reserve(1, &[("rouge", 9)]).unwrap();
        hold(&mut shop, 2, ANNA, 9).unwrap();
        assert_eq!(count(&shop, ANNA), (0, 0, 2), "outside of it nobody is counted, nor has to say who she is");
        let Operation::Reserve(unnamed) = reserve(3, &[("rouge", 1)]) else { unreachable!() };
        let unnamed = in_drop(Operation::Reserve(unnamed));
        assert_eq!(shop.run(unnamed), Err(Refusal::CustomerRequired { sku: "rouge".parse().unwrap() }));
        shop.run(in_drop(reserve_for(4, ANNA, 2))).unwrap();
        assert_eq!(shop.run(in_drop(reserve_for(5, ANNA, 1))), exceeds(0));
        shop.run(in_drop(reserve_for(6, BERTA, 2))).unwrap();
        hold(&mut shop, 7, ANNA, 9).unwrap();
        shop.commit(4).unwrap();
        assert_eq!(count(&shop, ANNA), (0, 2, 0));
        shop.cancel(4).unwrap();
        shop.run(in_drop(reserve_for(8, ANNA, 1))).unwrap();
        shop.inventory.mark_all_changed();
        let cut = shop.inventory.cut();
        let loaded = Inventory::load(&cut.header(), cut.encode()).unwrap();
        let limits = loaded.limits_of(&"rouge".parse().unwrap(), Some(ANNA)).unwrap();
        assert_eq!(limits[0].0.campaign, Some("drop".parse().unwrap()));
        assert_eq!(limits[0].1.unwrap().held, 1);
    }

    #[test]
    fn what_is_asked_for_more_and_taken_again_in_a_campaign_is_under_its_limit() {
        let mut shop = shop_with_drop();
        hold(&mut shop, 1, ANNA, 1).unwrap();
        shop.amend(1, &[("rouge", 5)]).unwrap();
        shop.run(in_drop(reserve_for(2, ANNA, 1))).unwrap();
        assert_eq!(shop.amend(2, &[("rouge", 3)]), exceeds(1));
        shop.amend(2, &[("rouge", 2)]).unwrap();
        assert_eq!(count(&shop, ANNA), (2, 0, 0));
        shop.after_s(700).tick();
        shop.run(in_drop(reserve_for(3, ANNA, 2))).unwrap();
        let retake = |commit: &mut crate::commands::Commit| commit.if_expired = crate::commands::IfExpired::Retake;
        assert_eq!(shop.commit_with(2, retake), exceeds(0));
        shop.release(3).unwrap();
        shop.commit_with(2, retake).unwrap();
        assert_eq!(count(&shop, ANNA), (0, 2, 0));
    }

    #[test]
    fn a_part_in_a_campaign_is_counted_under_its_limit_too() {
        let mut shop = shop_with_drop();
        let Operation::Reserve(reserve) = in_drop(reserve_for(1, ANNA, 2)) else { unreachable!() };
        let deadline = LogTime(OPENING + 10_000);
        let prepare = Prepare { reserve, numbers: vec![1], command: CommandId(9), attempt: AttemptId(3), deadline };
        shop.run(Operation::Prepare(Box::new(prepare))).unwrap();
        assert_eq!(shop.run(in_drop(reserve_for(2, ANNA, 1))), exceeds(0));
    }

    #[test]
    fn a_limits_campaign_is_known_and_stays_and_goes_without_a_window() {
        let mut shop = Shop::with_rouge(9);
        let refused = || Err(Refusal::InvalidArgument(InvalidArgument::of(Field::LimitWindow)));
        assert_eq!(
            put_in(&mut shop, Some("drop"), spec(2)),
            Err(Refusal::UnknownCampaign { campaign: "drop".parse().unwrap() })
        );
        shop.put_campaign("drop", 0, 10).unwrap();
        let rolling = LimitSpec { window: LimitWindow::RollingSeconds(60), ..spec(2) };
        assert_eq!(put_in(&mut shop, Some("drop"), rolling), refused());
        put_in(&mut shop, Some("drop"), spec(2)).unwrap();
        assert_eq!(put_in(&mut shop, None, spec(2)), refused());
        assert_eq!(put_in(&mut shop, Some("other"), spec(2)), refused());
        assert_eq!(put_in(&mut shop, Some("drop"), spec(3)).unwrap().revision, Revision(2));
        shop.after_s(20).tick();
        put_in(&mut shop, Some("drop"), spec(4)).unwrap();
    }

    #[test]
    fn limits_and_counts_come_back_from_a_cut() {
        let mut shop = shop(LimitSpec { window: LimitWindow::RollingSeconds(1_000), ..spec(5) });
        hold(&mut shop, 1, ANNA, 2).unwrap();
        hold(&mut shop, 2, BERTA, 1).unwrap();
        shop.commit(2).unwrap();
        shop.inventory.mark_all_changed();
        let cut = shop.inventory.cut();
        let loaded = Inventory::load(&cut.header(), cut.encode()).unwrap();
        assert_eq!(loaded.digest(), shop.inventory.digest());
        shop.inventory = loaded;
        assert_eq!((count(&shop, ANNA), count(&shop, BERTA)), ((2, 0, 3), (0, 1, 4)));
        shop.after_s(1_000).tick();
        shop.tick();
        assert_eq!(shop.inventory.state.counters().count(), 0);
    }
}
