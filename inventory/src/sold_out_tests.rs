//! What is told as sold out: that deciding it would refuse it for the same lack, and that nothing else is told.

use proptest::prelude::*;

use crate::commands::{PutLimit, Reserve, SetSafetyStock};
use crate::test_shop::{Shop, reserve};
use crate::*;

/// A reserve as the shop would ask it next, changed.
fn asked(shop: &mut Shop, lines: &[(&str, u32)], change: impl FnOnce(&mut Reserve)) -> Command {
    let Operation::Reserve(mut it) = reserve(900, lines) else { unreachable!("it is one") };
    change(&mut it);
    shop.command(Operation::Reserve(it))
}

fn told(shop: &Shop, command: &Command) -> Option<Refusal> {
    shop.inventory.sold_out(command, shop.inventory.now())
}

fn lack(available: u64, line: u32) -> Option<Refusal> {
    Some(Refusal::InsufficientStock { available, line, recorded: false })
}

#[test]
fn what_is_sold_out_is_told_with_what_is_left_and_changes_nothing() {
    let mut shop = Shop::with_rouge(3);
    let before = shop.digest();
    let command = asked(&mut shop, &[("rouge", 2), ("rouge", 2)], |_| {});
    assert_eq!(told(&shop, &command), lack(3, 1));
    let command = asked(&mut shop, &[("mascara", 1)], |_| {});
    assert_eq!(told(&shop, &command), lack(0, 0));
    assert_eq!(shop.digest(), before);
    let command = asked(&mut shop, &[("rouge", 3)], |_| {});
    assert_eq!(told(&shop, &command), None);
}

#[test]
fn the_id_is_unused_and_may_have_the_units_that_come() {
    let mut shop = Shop::new();
    let command = asked(&mut shop, &[("rouge", 1)], |_| {});
    assert_eq!(told(&shop, &command), lack(0, 0));
    shop.receive("rouge", "PAR", 1).unwrap();
    assert_eq!(told(&shop, &command), None);
    let answer = shop.apply(vec![command]).remove(0);
    assert!(answer.outcome.is_ok() && !answer.replayed);
}

#[test]
fn what_was_decided_under_the_id_is_for_the_log_to_tell() {
    let mut shop = Shop::with_rouge(1);
    let held = asked(&mut shop, &[("rouge", 1)], |_| {});
    assert!(shop.apply(vec![held.clone()])[0].outcome.is_ok());
    assert_eq!(told(&shop, &held), None);
    // Another id for the reservation that there is.
    let again = asked(&mut shop, &[("rouge", 1)], |_| {});
    assert_eq!(told(&shop, &again), None);
    let refused = asked(&mut shop, &[("rouge", 1)], |it| it.reservation = crate::test_shop::id(901));
    assert!(shop.apply(vec![refused.clone()])[0].outcome.is_err());
    assert_eq!(told(&shop, &refused), None);
}

#[test]
fn an_id_that_is_too_old_or_from_the_future_is_for_the_log_to_refuse() {
    let mut shop = Shop::new();
    let mut command = asked(&mut shop, &[("rouge", 1)], |_| {});
    let ahead = shop.inventory.limits().mint_ahead_ms;
    command.minted_at = shop.inventory.now().plus_ms(ahead + 1);
    assert_eq!(told(&shop, &command), None);
    command.minted_at = shop.inventory.now().plus_ms(ahead);
    assert_eq!(told(&shop, &command), lack(0, 0));
    shop.inventory.state.header.horizon = Some(command.minted_at);
    assert_eq!(told(&shop, &command), None);
}

#[test]
fn what_leaves_the_results_raises_the_horizon_before_anything_is_told() {
    let mut shop = Shop::with_limits(Limits { result_window_ms: 100_000, ..Limits::default() });
    shop.put_item("mascara", ItemSpec::default()).unwrap();
    let command = asked(&mut shop, &[("rouge", 1)], |_| {});
    let fresh = |now: LogTime| Command { minted_at: LogTime(now.0 - 1_000), ..command.clone() };
    let until = shop.inventory.now().plus_ms(100_000);
    let just_before = LogTime(until.0 - 1);
    assert_eq!(shop.inventory.sold_out(&command, just_before), lack(0, 0));
    // Results of its time are due to be forgotten, after which the log would not decide it; younger ones it would.
    assert_eq!(shop.inventory.sold_out(&command, until), None);
    assert_eq!(shop.inventory.sold_out(&fresh(until), until), lack(0, 0));
}

#[test]
fn what_is_granted_to_a_campaign_is_sold_out_for_others() {
    let mut shop = Shop::with_rouge(3);
    shop.put_campaign("drop", 60, 900).unwrap();
    shop.grant("drop", "rouge", 2).unwrap();
    let command = asked(&mut shop, &[("rouge", 2)], |_| {});
    let (now, ends_at) = (shop.inventory.now(), shop.inventory.now().plus_seconds(900));
    assert_eq!(told(&shop, &command), lack(1, 0));
    assert_eq!(shop.inventory.sold_out(&command, now.plus_seconds(30)), lack(1, 0));
    // What is unsold comes back then.
    assert_eq!(shop.inventory.sold_out(&command, ends_at), None);
}

#[test]
fn nothing_is_told_while_something_is_due() {
    let mut shop = Shop::with_rouge(1);
    shop.reserve(1, &[("rouge", 1)]).unwrap();
    let command = asked(&mut shop, &[("rouge", 1)], |_| {});
    let due = shop.inventory.next_due().unwrap();
    assert_eq!(shop.inventory.sold_out(&command, LogTime(due.0 - 1)), lack(0, 0));
    assert_eq!(shop.inventory.sold_out(&command, due), None);
}

#[test]
fn only_reserves_that_nothing_else_may_refuse_are_told() {
    let mut shop = Shop::with_rouge(1);
    let changes: [fn(&mut Reserve); 6] = [
        |it| it.partial_ok = true,
        |it| it.lines[0].optional = true,
        |it| it.lines[0].min_units = Some(Units(1)),
        |it| it.lines[0].lot = Some("lot".parse().unwrap()),
        |it| it.campaign = Some("drop".parse().unwrap()),
        |it| it.lines[0].location = "NYC".parse().unwrap(),
    ];
    for change in changes {
        let command = asked(&mut shop, &[("rouge", 5)], change);
        assert_eq!(told(&shop, &command), None, "{command:?}");
    }
    let command = asked(&mut shop, &[("rouge", 5), ("unknown", 1)], |_| {});
    assert_eq!(told(&shop, &command), None);
    let linked = Command { linked: true, ..asked(&mut shop, &[("rouge", 5)], |_| {}) };
    assert_eq!(told(&shop, &linked), None);
    let specs: [fn(&mut ItemSpec); 4] = [
        |it| it.status = ItemStatus::Paused,
        |it| it.tracked = false,
        |it| it.backorder = Backorder::UpTo { cap: 2 },
        |it| it.max_per_order = Some(9),
    ];
    for change in specs {
        let mut spec = ItemSpec::default();
        change(&mut spec);
        shop.put_item("mascara", spec).unwrap();
        let command = asked(&mut shop, &[("mascara", 5)], |_| {});
        assert_eq!(told(&shop, &command), None, "{command:?}");
    }
}

/// Something that happens in the shop.
#[derive(Clone, Debug)]
enum Deed {
    Receive(usize, u32),
    Reserve(u64, Vec<(usize, u32)>),
    Commit(u64),
    Release(u64),
    SafetyStock(usize, u64),
    PutItem(usize, u8),
    Limit(usize),
    Open(bool),
    Channel(u32),
    Campaign,
    Grant(usize, u32),
    CloseCampaign,
    ReserveOfCampaign(u64, usize, u32),
    Pass(u64),
}

const SKUS: [&str; 3] = ["rouge", "mascara", "serum"];

fn deeds() -> impl Strategy<Value = Deed> {
    let lines = prop::collection::vec((0..3_usize, 1..6_u32), 1..4);
    prop_oneof![
        4 => (0..2_usize, 1..6_u32).prop_map(|(sku, units)| Deed::Receive(sku, units)),
        6 => (1..30_u64, lines).prop_map(|(number, lines)| Deed::Reserve(number, lines)),
        1 => (1..30_u64).prop_map(Deed::Commit),
        2 => (1..30_u64).prop_map(Deed::Release),
        1 => (0..2_usize, 0..4_u64).prop_map(|(sku, units)| Deed::SafetyStock(sku, units)),
        1 => (0..3_usize, 0..7_u8).prop_map(|(sku, kind)| Deed::PutItem(sku, kind)),
        1 => (1..2_usize).prop_map(Deed::Limit),
        1 => prop::bool::weighted(0.7).prop_map(Deed::Open),
        1 => (0..3_u32).prop_map(Deed::Channel),
        1 => Just(Deed::Campaign),
        1 => (0..2_usize, 1..5_u32).prop_map(|(sku, units)| Deed::Grant(sku, units)),
        1 => Just(Deed::CloseCampaign),
        1 => (1..30_u64, 0..2_usize, 1..4_u32)
            .prop_map(|(number, sku, units)| Deed::ReserveOfCampaign(number, sku, units)),
        3 => (1..500_u64).prop_map(Deed::Pass),
    ]
}

fn happen(shop: &mut Shop, deed: &Deed) {
    let item = |sku: &usize| -> Sku { SKUS[*sku].parse().expect("a name") };
    let location: LocationId = "PAR".parse().expect("a name");
    // What the rules refuse is refused.
    let _told = match deed {
        Deed::Receive(sku, units) => shop.receive(SKUS[*sku], "PAR", *units),
        Deed::Reserve(number, lines) => {
            let lines: Vec<(&str, u32)> = lines.iter().map(|(sku, units)| (SKUS[*sku], *units)).collect();
            shop.reserve(*number, &lines)
        }
        Deed::Commit(number) => shop.commit(*number),
        Deed::Release(number) => shop.release(*number),
        Deed::SafetyStock(sku, units) => {
            let set = SetSafetyStock { sku: item(sku), location, units: *units, if_revision: None };
            shop.run(Operation::SetSafetyStock(set))
        }
        Deed::PutItem(sku, kind) => shop.put_item(SKUS[*sku], spec(*kind)),
        Deed::Limit(sku) => {
            let (limit, sku) = ("two-each".parse().expect("a name"), item(sku));
            let window = LimitWindow::ForEver;
            let spec = LimitSpec { units: 2, window, returns_restore: false, active: true };
            shop.run(Operation::PutLimit(PutLimit { limit, sku, spec, if_revision: None, campaign: None }))
        }
        Deed::Open(active) => shop.put_location("PAR", *active),
        Deed::Channel(buffer) => shop.put_channel("web", &["PAR"], *buffer),
        Deed::Campaign => shop.put_campaign("drop", 60, 900),
        Deed::Grant(sku, units) => shop.grant("drop", SKUS[*sku], *units),
        Deed::CloseCampaign => {
            if shop.inventory.campaign(&"drop".parse().expect("a name")).is_none() {
                return;
            }
            shop.close_campaign("drop")
        }
        Deed::ReserveOfCampaign(number, sku, units) => {
            let Operation::Reserve(mut it) = reserve(*number, &[(SKUS[*sku], *units)]) else {
                unreachable!("it is one")
            };
            it.campaign = Some("drop".parse().expect("a name"));
            shop.run(Operation::Reserve(it))
        }
        Deed::Pass(seconds) => {
            shop.after_s(*seconds);
            return;
        }
    };
}

/// An item of each kind that makes a difference.
fn spec(kind: u8) -> ItemSpec {
    let plain = ItemSpec::default();
    match kind {
        0 => ItemSpec { status: ItemStatus::Paused, ..plain },
        1 => ItemSpec { backorder: Backorder::UpTo { cap: 2 }, ..plain },
        2 => ItemSpec { max_per_order: Some(3), ..plain },
        3 => ItemSpec { tracked: false, ..plain },
        4 => ItemSpec { lot_tracked: true, ..plain },
        _ => plain,
    }
}

/// A reserve that is asked, as a caller might.
#[derive(Clone, Debug)]
struct Asked {
    number: u64,
    lines: Vec<(usize, u32)>,
    change: u8,
    customer: bool,
    minted_ago_s: u64,
    after_s: u64,
}

fn asked_for() -> impl Strategy<Value = Asked> {
    let lines = prop::collection::vec((0..3_usize, 1..6_u32), 1..5);
    (1..60_u64, lines, 0..12_u8, any::<bool>(), 0..3_000_u64, prop_oneof![Just(0_u64), 0..700_u64]).prop_map(
        |(number, lines, change, customer, minted_ago_s, after_s)| Asked {
            number,
            lines,
            change,
            customer,
            minted_ago_s,
            after_s,
        },
    )
}

impl Asked {
    fn command(&self, shop: &mut Shop) -> Command {
        let lines: Vec<(&str, u32)> = self.lines.iter().map(|(sku, units)| (SKUS[*sku], *units)).collect();
        let Operation::Reserve(mut it) = reserve(self.number, &lines) else { unreachable!("it is one") };
        match self.change {
            0 => it.partial_ok = true,
            1 => it.lines[0].optional = true,
            2 => it.lines[0].min_units = Some(Units(1)),
            3 => it.lines[0].no_backorder = true,
            4 => it.channel = Some("web".parse().expect("a name")),
            5 => it.campaign = Some("drop".parse().expect("a name")),
            _ => {}
        }
        it.customer = self.customer.then_some(CustomerHash(7));
        let mut command = shop.command(Operation::Reserve(it));
        command.minted_at = LogTime(command.minted_at.0.saturating_sub(self.minted_ago_s * 1_000));
        command.keyed = self.change == 6;
        command
    }
}

/// Few results and holds, so that a shop comes to forget some and to have no room for more.
fn narrow() -> Limits {
    Limits { results: 24, live_reservations: 8, result_window_ms: 2_000_000, sweep: 2, ..Limits::default() }
}

proptest! {
    #[test]
    fn deciding_what_is_told_as_sold_out_refuses_it_for_the_same_lack(
        is_narrow in any::<bool>(),
        deeds in prop::collection::vec(deeds(), 0..40),
        asked in prop::collection::vec(asked_for(), 1..8),
    ) {
        let mut shop = if is_narrow { Shop::with_limits(narrow()) } else { Shop::new() };
        for deed in &deeds {
            happen(&mut shop, deed);
        }
        for asked in &asked {
            let command = asked.command(&mut shop);
            let now = shop.inventory.now().plus_seconds(asked.after_s as u32);
            let Some(told) = shop.inventory.sold_out(&command, now) else { continue };
            let mut decided = shop.inventory.clone();
            let mut applied = Applied::default();
            decided.apply(&Entry { time: now, commands: vec![command] }, &mut applied);
            let Refusal::InsufficientStock { available, line, recorded: false } = told else { panic!("{told:?}") };
            let recorded = Err(Refusal::InsufficientStock { available, line, recorded: true });
            prop_assert_eq!(&applied.answers[0].outcome, &recorded);
        }
    }

    #[test]
    fn whatever_is_plain_and_decided_so_is_told(
        units in 1..5_u32,
        holds in prop::collection::vec(1..3_u32, 0..4),
        lines in prop::collection::vec((0..2_usize, 1..4_u32), 1..4),
    ) {
        let mut shop = Shop::with_rouge(units);
        for (number, units) in (1..).zip(&holds) {
            let _told = shop.reserve(number, &[("rouge", *units)]);
        }
        let lines: Vec<(&str, u32)> = lines.iter().map(|(sku, units)| (SKUS[*sku], *units)).collect();
        let command = asked(&mut shop, &lines, |_| {});
        let told = told(&shop, &command).is_some();
        prop_assert_eq!(told, shop.apply(vec![command])[0].outcome.is_err());
    }
}
