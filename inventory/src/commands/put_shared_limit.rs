//! `put_limit` over several items: what the cluster's own records say of it, told to every shard.

use serde::{Deserialize, Serialize};

use super::FULL_RETRY_MS;
use crate::state::LimitRecord;
use crate::turn::Turn;
use crate::{
    CustomerHash, EventKind, Field, InvalidArgument, LimitId, MAX_SHARED_LIMITS, Refusal, Revision, SharedLimitSpec,
    Sku, Subject, Success,
};

/// Makes a limit over several items known, or what is said of it since. Every shard knows all of them: those of the items refuse what does
/// not ask for the counter, and any of them may be that of a counter. What is said at a revision that the shard has, or at an earlier
/// one, changes nothing: the cluster's own records give the revision, and a shard may hear of them late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutSharedLimit {
    /// Its name, one among those over several items.
    pub limit: LimitId,
    /// Its items and its rule. The window does not change.
    pub spec: SharedLimitSpec,
    /// Of the limit in the cluster's own records; 1 for the first.
    pub revision: Revision,
}

impl PutSharedLimit {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        self.spec.validate()?;
        Sku::of_counter(&self.limit, CustomerHash(0)).map(|_| ()).ok_or(InvalidArgument::of(Field::Name))
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let known = turn.state.find_shared_limit(&self.limit);
        if let Some(record) = known.map(|no| turn.state.limit(no)).filter(|known| known.revision >= self.revision) {
            return Ok(Success { revision: record.revision, ..Success::default() });
        }
        match known {
            Some(no) => {
                if turn.state.limit(no).spec.window != self.spec.rule.window {
                    return Err(InvalidArgument::of(Field::LimitWindow).into());
                }
                turn.state.change_limit(no, |record| {
                    record.skus = self.spec.skus.clone();
                    record.spec = self.spec.rule;
                    record.revision = self.revision;
                });
            }
            None if turn.state.shared_limits().count() >= MAX_SHARED_LIMITS => {
                return Err(Refusal::Overloaded { retry_after_ms: FULL_RETRY_MS });
            }
            None => self.add(turn)?,
        }
        let (limit, sku) = (self.limit.clone(), self.spec.skus[0].clone());
        let subject = Subject::Limit { limit, sku, units: self.spec.rule.units, revision: self.revision };
        turn.record(EventKind::LimitChanged, None, Some(subject));
        Ok(Success { revision: self.revision, ..Success::default() })
    }

    fn add(&self, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let name = Sku::of_counter(&self.limit, CustomerHash(0)).ok_or(InvalidArgument::of(Field::Name))?;
        let sku = turn.state.add_counted(name);
        turn.state.add_limit(LimitRecord {
            id: self.limit.clone(),
            sku,
            spec: self.spec.rule,
            revision: self.revision,
            skus: self.spec.skus.clone(),
            campaign: None,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::PutSharedLimit;
    use crate::commands::{Abandon, Follow, Prepare, Reserve};
    use crate::test_shop::{DAY_S, OPENING, Shop, id, parts_of, reserve};
    use crate::*;

    const ANNA: CustomerHash = CustomerHash(1);
    const BERTA: CustomerHash = CustomerHash(2);

    fn rule(units: u32) -> LimitSpec {
        LimitSpec { units, window: LimitWindow::ForEver, returns_restore: false, active: true }
    }

    fn put(shop: &mut Shop, rule: LimitSpec, skus: &[&str], revision: u64) -> Result<Success, Refusal> {
        let skus = skus.iter().map(|sku| sku.parse().unwrap()).collect();
        let spec = SharedLimitSpec { skus, rule };
        let put = PutSharedLimit { limit: limit(), spec, revision: Revision(revision) };
        shop.run(Operation::PutSharedLimit(Box::new(put)))
    }

    fn limit() -> LimitId {
        "make-up".parse().unwrap()
    }

    /// 100 of each, of which one customer may have so many of both together.
    fn shop(rule: LimitSpec) -> Shop {
        let mut shop = Shop::with_rouge(100);
        shop.receive("mascara", "PAR", 100).unwrap();
        put(&mut shop, rule, &["far", "mascara", "rouge"], 1).unwrap();
        shop
    }

    fn asked(number: u64, customer: Option<CustomerHash>, lines: &[(&str, u32)]) -> Reserve {
        let Operation::Reserve(mut reserve) = reserve(number, lines) else { unreachable!() };
        reserve.customer = customer;
        reserve
    }

    /// The same with the counters.
    fn counted(number: u64, customer: CustomerHash, lines: &[(&str, u32)]) -> Reserve {
        let mut reserve = asked(number, Some(customer), lines);
        reserve.count_under(BodyHash(1), |sku| if sku.as_str() == "free" { vec![] } else { vec![limit()] }).unwrap();
        reserve
    }

    fn hold(shop: &mut Shop, number: u64, customer: CustomerHash, lines: &[(&str, u32)]) -> Result<Success, Refusal> {
        shop.run(Operation::Reserve(counted(number, customer, lines)))
    }

    fn exceeds(remaining: u64, line: u32) -> Result<Success, Refusal> {
        Err(Refusal::CustomerLimitExceeded { limit: limit(), remaining, line })
    }

    fn count(shop: &Shop, customer: CustomerHash) -> (u64, u64, u64) {
        let count = shop.inventory.shared_count(&limit(), customer).unwrap();
        (count.held, count.bought, count.remaining)
    }

    #[test]
    fn a_customer_has_no_more_than_the_limit_of_all_its_items_together() {
        let mut shop = shop(rule(3));
        hold(&mut shop, 1, ANNA, &[("rouge", 1), ("mascara", 1)]).unwrap();
        assert_eq!(hold(&mut shop, 2, ANNA, &[("mascara", 1), ("rouge", 1)]), exceeds(0, 1), "told of the asked line");
        hold(&mut shop, 3, ANNA, &[("mascara", 1)]).unwrap();
        assert_eq!(hold(&mut shop, 4, ANNA, &[("rouge", 1)]), exceeds(0, 0));
        hold(&mut shop, 5, BERTA, &[("rouge", 3)]).unwrap();
        assert_eq!((count(&shop, ANNA), count(&shop, BERTA)), ((3, 0, 0), (3, 0, 0)));
    }

    #[test]
    fn a_line_without_its_counter_is_not_decided_and_without_a_customer_it_is_refused() {
        let mut shop = shop(rule(3));
        let of = |customer| Operation::Reserve(asked(1, customer, &[("rouge", 1)]));
        assert_eq!(shop.run(of(Some(ANNA))), Err(Refusal::LimitNotAsked { limit: limit() }));
        assert_eq!(shop.run(of(None)), Err(Refusal::CustomerRequired { sku: "rouge".parse().unwrap() }));
        assert_eq!(shop.stock("rouge").counts.reserved, 0);
    }

    #[test]
    fn an_amend_gets_no_units_that_no_counter_counts() {
        let mut shop = shop(rule(3));
        shop.put_item("free", ItemSpec::default()).unwrap();
        shop.receive("free", "PAR", 9).unwrap();
        shop.run(Operation::Reserve(asked(1, Some(ANNA), &[("free", 1)]))).unwrap();
        assert_eq!(shop.amend(1, &[("rouge", 9)]), Err(Refusal::LinesMoveTogether));
        shop.amend(1, &[("free", 2)]).unwrap();
        // What was held before the limit was known is not counted, and may become less.
        let mut shop = Shop::with_rouge(9);
        shop.run(Operation::Reserve(asked(1, Some(ANNA), &[("rouge", 5)]))).unwrap();
        put(&mut shop, rule(3), &["mascara", "rouge"], 1).unwrap();
        assert_eq!(shop.amend(1, &[("rouge", 6)]), Err(Refusal::LinesMoveTogether));
        shop.amend(1, &[("rouge", 4)]).unwrap();
        assert_eq!(count(&shop, ANNA), (0, 0, 3));
    }

    #[test]
    fn what_is_sold_without_stock_is_counted_and_not_shipped() {
        let mut shop = shop(rule(3));
        let spec = ItemSpec { backorder: Backorder::UpTo { cap: 5 }, ..ItemSpec::default() };
        shop.put_item("late", spec).unwrap();
        put(&mut shop, rule(3), &["late", "rouge"], 2).unwrap();
        hold(&mut shop, 1, ANNA, &[("late", 2)]).unwrap();
        shop.commit(1).unwrap();
        assert_eq!(count(&shop, ANNA), (0, 2, 1));
        let nothing = Err(Refusal::ExceedsHeldQuantity { line: 0, available: 0 });
        assert_eq!(shop.fulfil(1, &[]), nothing);
        shop.receive("late", "PAR", 1).unwrap();
        shop.fulfil(1, &[]).unwrap();
        assert_eq!(shop.fulfil(1, &[]), nothing);
        assert_eq!(count(&shop, ANNA), (0, 2, 1));
    }

    #[test]
    fn an_optional_line_goes_without_where_no_customer_is_named() {
        let mut shop = shop(rule(3));
        shop.put_item("free", ItemSpec::default()).unwrap();
        shop.receive("free", "PAR", 9).unwrap();
        let mut reserve = asked(1, None, &[("free", 1), ("rouge", 1)]);
        reserve.lines[1].optional = true;
        let held = shop.run(Operation::Reserve(reserve)).unwrap().held;
        assert_eq!(held.as_deref(), Some([1, 0].as_slice()));
        assert_eq!(shop.stock("rouge").counts.reserved, 0);
    }

    #[test]
    fn a_shard_that_does_not_know_the_limit_counts_nothing_under_it_and_decides_nothing() {
        let mut shop = Shop::with_rouge(5);
        let outcome = hold(&mut shop, 1, ANNA, &[("rouge", 1)]);
        assert_eq!(outcome, Err(Refusal::LimitNotAsked { limit: limit() }));
        let other = counted(2, BERTA, &[("rouge", 1)]);
        put(&mut shop, rule(3), &["mascara", "rouge"], 1).unwrap();
        let outcome = shop.run(Operation::Reserve(Reserve { customer: Some(ANNA), ..other }));
        assert!(matches!(outcome, Err(Refusal::InvalidArgument(_))), "nobody pays with another's: {outcome:?}");
    }

    #[test]
    fn a_counter_is_asked_for_as_many_units_as_the_lines_that_it_counts() {
        let good = counted(1, ANNA, &[("rouge", 2), ("mascara", 1)]);
        assert_eq!(good.validate(), Ok(()));
        let mut fewer = good.clone();
        fewer.lines[2].units = Units(1);
        assert_eq!(fewer.validate(), Err(InvalidArgument::in_line(Field::Units, 2)));
        let mut swapped = good.clone();
        swapped.plan.as_mut().unwrap().counters.swap(0, 1);
        assert!(swapped.validate().is_err());
        let unplanned = Reserve { plan: None, ..good.clone() };
        assert_eq!(unplanned.validate(), Err(InvalidArgument::in_line(Field::Sku, 2)));
        let mut twice = good.clone();
        twice.count_under(BodyHash(1), |_| vec![limit()]).unwrap();
        assert_eq!(twice, good, "asked anew, not once more");
    }

    #[test]
    fn counters_are_no_lines_and_no_items_to_anyone() {
        let mut shop = shop(rule(3));
        hold(&mut shop, 1, ANNA, &[("rouge", 2)]).unwrap();
        let reservation = shop.reservation(1);
        assert_eq!(reservation.lines.len(), 1);
        assert_eq!(reservation.plan.unwrap().of, [0]);
        let skus: Vec<_> = shop.inventory.items(None, 9).into_iter().map(|item| item.sku.to_string()).collect();
        assert_eq!((skus, shop.inventory.counts().items), (vec!["mascara".to_owned(), "rouge".to_owned()], 2));
        let name = Sku::of_counter(&limit(), CustomerHash(0)).unwrap();
        assert_eq!(shop.receive(name.as_str(), "PAR", 1), Err(Refusal::UnknownSku { sku: name.clone() }));
        let put =
            crate::commands::PutItem { sku: name, spec: ItemSpec::default(), if_revision: None, if_absent: false };
        assert!(matches!(shop.run(Operation::PutItem(Box::new(put))), Err(Refusal::InvalidArgument(_))));
        assert_eq!(shop.fulfil(1, &[(1, 1)]), Err(Refusal::ExceedsHeldQuantity { line: 0, available: 0 }));
        let parts = |commit: &mut crate::commands::Commit| commit.parts = parts_of(&[(1, 1)]);
        assert!(matches!(shop.commit_with(1, parts), Err(Refusal::InvalidArgument(_))));
    }

    #[test]
    fn what_is_given_back_counts_no_more_and_what_is_bought_does() {
        let mut shop = shop(rule(3));
        hold(&mut shop, 1, ANNA, &[("rouge", 3)]).unwrap();
        shop.release(1).unwrap();
        hold(&mut shop, 2, ANNA, &[("rouge", 3)]).unwrap();
        shop.after_s(600).tick();
        assert_eq!(count(&shop, ANNA), (0, 0, 3));
        hold(&mut shop, 3, ANNA, &[("rouge", 1), ("mascara", 2)]).unwrap();
        shop.commit_with(3, |commit| (commit.parts, commit.last) = (parts_of(&[(1, 1)]), true)).unwrap();
        assert_eq!(count(&shop, ANNA), (0, 1, 2), "one is bought, and the others were given back with it");
        shop.fulfil(3, &[(1, 1)]).unwrap();
        shop.take_back(3, &[(1, 1)], None, Condition::Resellable).unwrap();
        assert_eq!(count(&shop, ANNA), (0, 1, 2), "a return does not restore it");
    }

    #[test]
    fn a_return_restores_where_the_limit_says_so() {
        let mut shop = shop(LimitSpec { returns_restore: true, ..rule(3) });
        hold(&mut shop, 1, ANNA, &[("rouge", 3)]).unwrap();
        shop.commit(1).unwrap();
        shop.fulfil(1, &[]).unwrap();
        shop.take_back(1, &[(0, 2)], None, Condition::Resellable).unwrap();
        assert_eq!(count(&shop, ANNA), (0, 1, 2));
    }

    #[test]
    fn an_amend_is_refused_and_a_retake_asks_the_counter_again() {
        let mut shop = shop(rule(3));
        hold(&mut shop, 1, ANNA, &[("rouge", 2)]).unwrap();
        assert_eq!(shop.amend(1, &[("rouge", 1)]), Err(Refusal::LinesMoveTogether));
        shop.after_s(600).tick();
        hold(&mut shop, 2, ANNA, &[("mascara", 2)]).unwrap();
        let retake = |shop: &mut Shop, parts: &[(u32, u32)]| {
            shop.commit_with(1, |commit| {
                (commit.parts, commit.if_expired) = (parts_of(parts), crate::commands::IfExpired::Retake);
            })
        };
        assert_eq!(retake(&mut shop, &[]), exceeds(1, 1));
        retake(&mut shop, &[(0, 1)]).unwrap();
        assert_eq!(count(&shop, ANNA), (2, 1, 0));
    }

    #[test]
    fn a_retake_does_not_get_round_a_limit_that_came_after_the_hold() {
        let mut shop = shop(rule(1));
        put(&mut shop, LimitSpec { active: false, ..rule(1) }, &["mascara", "rouge"], 2).unwrap();
        shop.run(Operation::Reserve(asked(1, Some(ANNA), &[("rouge", 2)]))).unwrap();
        shop.after_s(600).tick();
        put(&mut shop, rule(1), &["mascara", "rouge"], 3).unwrap();
        let retake = |commit: &mut crate::commands::Commit| commit.if_expired = crate::commands::IfExpired::Retake;
        assert!(matches!(shop.commit_with(1, retake), Err(Refusal::ReservationExpired { .. })));
        put(&mut shop, LimitSpec { active: false, ..rule(1) }, &["mascara", "rouge"], 4).unwrap();
        shop.commit_with(1, retake).unwrap();
    }

    #[test]
    fn an_optional_line_beyond_the_limit_is_left_out() {
        let mut shop = shop(rule(1));
        let mut reserve = counted(1, ANNA, &[("mascara", 1), ("rouge", 2)]);
        reserve.lines.iter_mut().filter(|line| line.units.0 == 2).for_each(|line| line.optional = true);
        let success = shop.run(Operation::Reserve(reserve)).unwrap();
        assert_eq!(success.held.as_deref(), Some([1, 0].as_slice()));
        assert_eq!((count(&shop, ANNA), shop.stock("rouge").counts.reserved), ((1, 0, 0), 0));
    }

    #[test]
    fn a_rolling_window_counts_what_was_reserved_within_it() {
        let mut shop = shop(LimitSpec { window: LimitWindow::RollingSeconds(DAY_S as u32), ..rule(2) });
        hold(&mut shop, 1, ANNA, &[("rouge", 2)]).unwrap();
        shop.commit(1).unwrap();
        assert_eq!(hold(&mut shop, 2, ANNA, &[("mascara", 1)]), exceeds(0, 0));
        shop.after_s(DAY_S);
        hold(&mut shop, 3, ANNA, &[("mascara", 2)]).unwrap();
    }

    #[test]
    fn a_counter_by_itself_is_a_part_of_a_reservation_that_another_shard_decides() {
        let mut shop = shop(LimitSpec { returns_restore: true, ..rule(3) });
        let deadline = LogTime(OPENING + 10_000);
        let prepare = |number| {
            let mut reserve = counted(number, ANNA, &[("far", 2)]);
            let plan = reserve.plan.as_ref().unwrap().of_lines(&[1]);
            (reserve.lines, reserve.plan) = (reserve.lines.split_off(1), Some(Box::new(plan)));
            let command = CommandId(number.into());
            let prepare = Prepare { reserve, numbers: vec![1], command, attempt: AttemptId(3), deadline };
            Operation::Prepare(Box::new(prepare))
        };
        shop.run(prepare(1)).unwrap();
        shop.run(prepare(1)).unwrap();
        assert_eq!(count(&shop, ANNA), (2, 0, 1), "asked again it is not counted again");
        assert_eq!(shop.run(prepare(2)), exceeds(1, 1));
        let asks = shop.inventory.parts_in_doubt(deadline.plus_ms(1), 9);
        assert_eq!(asks[0].slot, slot_of(&Sku::of_counter(&limit(), ANNA).unwrap()), "as the deciding shard knows it");
        let sold = LineCounts { fulfilled: 2, returned: 1, ..LineCounts::default() };
        let (attempt, attempts) = (AttemptId(3), vec![AttemptId(3)]);
        let follow = Follow { reservation: id(1), attempt, version: 2, lines: vec![sold], filled: vec![] };
        shop.run(Operation::Follow(Box::new(follow))).unwrap();
        assert_eq!(count(&shop, ANNA), (0, 1, 2));
        shop.run(Operation::Abandon(Abandon { reservation: id(1), attempts })).unwrap();
        assert_eq!(count(&shop, ANNA), (0, 1, 2), "what is decided is not given back");
    }

    #[test]
    fn a_refusal_by_a_limit_is_told_once_by_its_item_and_never_of_whom() {
        let mut shop = shop(rule(1));
        shop.tick();
        shop.run(Operation::Reserve(counted(1, ANNA, &[("mascara", 1), ("rouge", 1)]))).unwrap_err();
        assert_eq!(shop.events(), [EventKind::LimitHit]);
        let event = shop.applied.events[0].body.subject.clone();
        let (limit, sku) = (limit(), "rouge".parse().unwrap());
        assert_eq!(event, Some(Subject::LimitHit { limit, sku, customer: ANNA, remaining: 0 }));
        let command = shop.command(Operation::Reserve(counted(2, ANNA, &[("mascara", 2)])));
        shop.apply(vec![command.clone()]);
        assert_eq!(shop.events(), [EventKind::LimitHit]);
        shop.apply(vec![command]);
        assert_eq!(shop.events(), [], "the stored result tells nothing anew");
    }

    #[test]
    fn a_shard_that_hears_of_an_earlier_revision_keeps_the_later_one() {
        let mut shop = shop(rule(3));
        put(&mut shop, rule(5), &["mascara", "rouge", "third"], 3).unwrap();
        put(&mut shop, rule(4), &["far", "rouge"], 2).unwrap();
        let known = shop.inventory.shared_limit(&limit()).unwrap();
        assert_eq!((known.revision, known.spec.rule.units, known.spec.skus.len()), (Revision(3), 5, 3));
        let rolling = LimitSpec { window: LimitWindow::RollingSeconds(9), ..rule(5) };
        let refused = |field| Err(Refusal::InvalidArgument(InvalidArgument::of(field)));
        assert_eq!(put(&mut shop, rolling, &["mascara", "rouge"], 4), refused(Field::LimitWindow));
        assert_eq!(put(&mut shop, rule(5), &["rouge"], 4), refused(Field::LimitSkus));
        assert_eq!(put(&mut shop, rule(5), &["rouge", "mascara"], 4), refused(Field::LimitSkus));
        put(&mut shop, LimitSpec { active: false, ..rule(5) }, &["mascara", "rouge"], 4).unwrap();
        shop.reserve(1, &[("rouge", 9)]).unwrap();
    }

    #[test]
    fn a_limit_over_one_item_may_have_the_same_name_and_counts_beside_it() {
        let mut shop = shop(rule(3));
        let single = crate::commands::PutLimit {
            limit: limit(),
            sku: "rouge".parse().unwrap(),
            spec: rule(1),
            if_revision: None,
            campaign: None,
        };
        shop.run(Operation::PutLimit(single)).unwrap();
        hold(&mut shop, 1, ANNA, &[("rouge", 1)]).unwrap();
        assert_eq!(hold(&mut shop, 2, ANNA, &[("rouge", 1)]), exceeds(0, 0));
        hold(&mut shop, 3, ANNA, &[("mascara", 2)]).unwrap();
        assert_eq!(count(&shop, ANNA), (3, 0, 0));
    }

    #[test]
    fn a_chain_that_fails_leaves_limit_and_counters_as_they_were_and_both_come_back_from_a_cut() {
        let mut shop = shop(rule(3));
        let spec = SharedLimitSpec { skus: vec!["a".parse().unwrap(), "rouge".parse().unwrap()], rule: rule(9) };
        let change = PutSharedLimit { limit: limit(), spec: spec.clone(), revision: Revision(2) };
        let new = PutSharedLimit { limit: "other".parse().unwrap(), spec, revision: Revision(1) };
        let hold_one = Operation::Reserve(counted(1, ANNA, &[("mascara", 1)]));
        let chain = vec![
            hold_one,
            Operation::PutSharedLimit(Box::new(change)),
            Operation::PutSharedLimit(Box::new(new)),
            Operation::Release(crate::commands::Release { reservation: id(9) }),
        ];
        let chain = shop.chain(chain);
        assert!(shop.apply(chain).iter().all(|answer| answer.outcome.is_err()));
        assert_eq!(shop.inventory.shared_limit(&"other".parse().unwrap()), None);
        assert_eq!(count(&shop, ANNA), (0, 0, 3));
        hold(&mut shop, 2, ANNA, &[("mascara", 1), ("rouge", 1)]).unwrap();
        shop.inventory.mark_all_changed();
        let cut = shop.inventory.cut();
        let loaded = Inventory::load(&cut.header(), cut.encode()).unwrap();
        assert_eq!(loaded.digest(), shop.inventory.digest());
        shop.inventory = loaded;
        assert_eq!(hold(&mut shop, 3, ANNA, &[("rouge", 2)]), exceeds(1, 0));
    }
}
