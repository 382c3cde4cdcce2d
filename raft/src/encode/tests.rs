//! Every command comes back from the log as it went in.

use holdfast_inventory::commands::{
    Adjust, Amend, Cancel, Commit, Extend, Fulfil, IfExpired, Line, PutItem, PutLocation, Receive, Release, Reserve,
    Return, Set, SetLimits,
};
use holdfast_inventory::{
    Backorder, Cause, CommandId, Condition, CustomerHash, ItemSpec, ItemStatus, Limits, LineUnits, LocationId,
    LocationKind, LocationSpec, LotId, Operation, OrderRef, ReservationId, Revision, Sku, Slot, Units,
};

use super::*;

fn sku() -> Sku {
    Sku::new("LIP-01").unwrap()
}

fn location() -> LocationId {
    LocationId::new("main").unwrap()
}

fn reservation() -> ReservationId {
    ReservationId::mint(1_790_000_000_000, Slot::new(12).unwrap(), 99)
}

fn line() -> Line {
    Line { sku: sku(), location: location(), units: Units(2), lot: LotId::new("L1").ok(), optional: true }
}

fn parts() -> Vec<LineUnits> {
    vec![LineUnits { line: 0, units: Units(1) }]
}

/// Limits of which no two are alike.
fn odd_limits() -> Limits {
    Limits {
        results: 1,
        result_window_ms: 2,
        keyed_minimum_ms: 3,
        mint_ahead_ms: 4,
        live_reservations: 5,
        ended_reservations: 6,
        keep_ended_ms: 7,
        items: 8,
        sweep: 9,
        max_hold_s: 10,
    }
}

fn every_operation() -> Vec<Operation> {
    let spec = ItemSpec {
        name: "Velvet lipstick".into(),
        status: ItemStatus::Paused,
        tracked: false,
        max_per_order: Some(2),
        backorder: Backorder::Preorder { release_at: LogTime(5), cap: 3 },
        ..ItemSpec::default()
    };
    let place = LocationSpec { kind: LocationKind::Store, active: false, priority: 4, ..LocationSpec::default() };
    vec![
        Operation::PutItem(Box::new(PutItem { sku: sku(), spec, if_revision: Some(Revision(3)), if_absent: true })),
        Operation::PutLocation(Box::new(PutLocation { location: location(), spec: place, if_revision: None })),
        Operation::SetLimits(Box::new(SetLimits { limits: odd_limits() })),
        Operation::Receive(Receive { sku: sku(), location: location(), lot: None, units: Units(7) }),
        Operation::Adjust(Adjust {
            sku: sku(),
            location: location(),
            lot: None,
            delta: -3,
            condition: Condition::Damaged,
        }),
        Operation::Set(Set { sku: sku(), location: location(), lot: None, on_hand: 9, if_revision: Revision(0) }),
        Operation::Reserve(Reserve {
            reservation: reservation(),
            lines: vec![line(), line()],
            ttl_s: 30,
            partial_ok: true,
            order_ref: OrderRef::new("web-1").ok(),
            customer: Some(CustomerHash(u128::MAX - 7)),
            channel: None,
            campaign: None,
        }),
        Operation::Amend(Amend { reservation: reservation(), lines: vec![line()] }),
        Operation::Extend(Extend { reservation: reservation(), ttl_s: 60 }),
        Operation::Commit(Commit {
            reservation: reservation(),
            parts: parts(),
            last: true,
            if_expired: IfExpired::Retake,
            cancel_at: Some(LogTime(77)),
        }),
        Operation::Release(Release { reservation: reservation() }),
        Operation::Fulfil(Fulfil { reservation: reservation(), parts: Vec::new() }),
        Operation::Cancel(Cancel { reservation: reservation() }),
        Operation::Return(Return {
            reservation: reservation(),
            parts: parts(),
            location: Some(location()),
            condition: Condition::QualityControl,
        }),
    ]
}

fn command(number: u128, operation: Operation) -> Command {
    let cause = Cause { actor: "till 4".into(), reason: "sale".into(), reference: String::new() };
    Command {
        id: CommandId(number << 64 | number),
        minted_at: LogTime(1_790_000_000_000),
        keyed: false,
        body: BodyHash(0),
        linked: number % 2 == 1,
        cause: Some(Box::new(cause)),
        operation,
    }
}

#[test]
fn every_command_comes_back_from_the_log_as_it_went_in() {
    let mut commands: Vec<Command> =
        every_operation().into_iter().zip(1..).map(|(operation, number)| command(number, operation)).collect();
    let mut builder = EntryBuilder::new(LogTime(1_790_000_000_001));
    for command in &mut commands {
        builder.push(&encode_command(command));
        assert_ne!(command.body, BodyHash(0));
    }
    let decoded = decode_entry(&builder.finish()).unwrap();
    assert_eq!(decoded, Entry { time: LogTime(1_790_000_000_001), commands });
}

#[test]
fn the_body_hash_is_of_all_that_a_retry_must_repeat_and_not_of_the_id() {
    let operation = || Operation::Receive(Receive { sku: sku(), location: location(), lot: None, units: Units(7) });
    let hash = |change: fn(&mut Command)| {
        let mut command = command(2, operation());
        change(&mut command);
        let _ = encode_command(&mut command);
        command.body
    };
    let first = hash(|_| {});
    assert_eq!(first, hash(|command| command.id = CommandId(5)));
    assert_ne!(first, hash(|command| command.minted_at = LogTime(1)));
    assert_ne!(first, hash(|command| command.linked = true));
    assert_ne!(first, hash(|command| command.cause = None));
    assert_ne!(first, hash(|command| command.operation = Operation::Release(Release { reservation: reservation() })));
}

#[test]
fn an_entry_of_a_later_schema_is_refused_by_name() {
    let bytes = log::Entry { schema: SCHEMA + 1, time_ms: 1, commands: Vec::new() }.encode_to_vec();
    assert_eq!(decode_entry(&bytes), Err(DecodeError::UnknownSchema { found: SCHEMA + 1 }));
    assert_eq!(decode_entry(&[]), Err(DecodeError::UnknownSchema { found: 0 }));
}

#[test]
fn bytes_that_are_no_entry_are_an_error_and_never_a_panic() {
    for length in 0..64_u8 {
        let bytes: Vec<u8> = (0..length).map(|n| n.wrapping_mul(37) ^ length).collect();
        assert!(decode_entry(&bytes).is_err());
    }
}

fn full_entry() -> Vec<u8> {
    let mut builder = EntryBuilder::new(LogTime(1_790_000_000_001));
    for (operation, number) in every_operation().into_iter().zip(1..) {
        builder.push(&encode_command(&mut command(number, operation)));
    }
    builder.finish().to_vec()
}

proptest::proptest! {
    #[test]
    fn what_is_nearly_an_entry_is_refused_or_applied_and_never_a_panic(bytes in holdfast_mangle::mangled(full_entry())) {
        if let Ok(entry) = decode_entry(&bytes) {
            let mut inventory = holdfast_inventory::Inventory::new(Limits::default());
            let mut applied = holdfast_inventory::Applied::default();
            inventory.apply(&entry, &mut applied);
            assert_eq!(applied.answers.len(), entry.commands.len());
            assert_eq!(inventory.digest(), inventory.recompute_digest());
        }
    }
}
