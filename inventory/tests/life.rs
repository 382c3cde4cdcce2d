//! A reservation's life from receipt to shipment, through the public API alone.

use holdfast_inventory::commands::{Commit, Fulfil, IfExpired, Line, PutItem, PutLocation, Receive, Reserve};
use holdfast_inventory::{
    Applied, BodyHash, Command, CommandId, Entry, Inventory, ItemSpec, Limits, LocationSpec, LogTime, Operation,
    ReservationId, ReservationState, Units, slot_of,
};

fn run(inventory: &mut Inventory, at: u64, operations: Vec<Operation>) -> Applied {
    let decided = u128::from(inventory.counts().decided);
    let command = |(number, operation)| Command {
        id: CommandId(decided + number as u128 + 1),
        minted_at: LogTime(at),
        keyed: false,
        body: BodyHash(7),
        linked: false,
        cause: None,
        operation,
    };
    let entry = Entry { time: LogTime(at), commands: operations.into_iter().enumerate().map(command).collect() };
    let mut applied = Applied::default();
    inventory.apply(&entry, &mut applied);
    applied
}

#[test]
fn a_reservation_is_held_sold_and_shipped() {
    let mut inventory = Inventory::new(Limits::default());
    let (sku, location): (_, holdfast_inventory::LocationId) = ("ROUGE-1".parse().unwrap(), "PAR".parse().unwrap());
    let id = ReservationId::mint(1_000, slot_of(&sku), 42);
    let line = Line {
        sku: sku.clone(),
        location: location.clone(),
        units: Units(3),
        lot: None,
        optional: false,
        no_backorder: false,
        min_units: None,
    };
    let applied = run(
        &mut inventory,
        1_000,
        vec![
            Operation::PutLocation(Box::new(PutLocation {
                location: location.clone(),
                spec: LocationSpec::default(),
                if_revision: None,
            })),
            Operation::PutItem(Box::new(PutItem {
                sku: sku.clone(),
                spec: ItemSpec::default(),
                if_revision: None,
                if_absent: true,
            })),
            Operation::Receive(Receive {
                sku: sku.clone(),
                location,
                lot: None,
                lot_spec: None,
                units: Units(10),
                receipt: None,
            }),
            Operation::Reserve(Reserve {
                reservation: id,
                lines: vec![line],
                ttl_s: 600,
                partial_ok: false,
                order_ref: None,
                customer: None,
                channel: None,
                campaign: None,
                plan: None,
                pass: None,
            }),
        ],
    );
    assert!(applied.answers.iter().all(|answer| answer.outcome.is_ok()), "{:?}", applied.answers);
    assert_eq!(inventory.atp(&sku, None), Some(7));
    assert_eq!(inventory.next_due(), Some(LogTime(601_000)));
    let commit = Commit { reservation: id, parts: vec![], last: false, if_expired: IfExpired::Fail, cancel_at: None };
    let fulfil = Fulfil { reservation: id, parts: vec![] };
    let applied = run(&mut inventory, 2_000, vec![Operation::Commit(commit), Operation::Fulfil(fulfil)]);
    assert!(applied.answers.iter().all(|answer| answer.outcome.is_ok()), "{:?}", applied.answers);
    assert_eq!(inventory.reservation(id).unwrap().state, ReservationState::Fulfilled);
    let totals = inventory.totals(&sku).unwrap();
    assert_eq!((totals.counts.on_hand, totals.flow.shipped, inventory.last_event().0), (7, 3, 7));
    assert_eq!(inventory.digest(), inventory.recompute_digest());
}
