//! Every command comes back from the log as it went in.

use holdfast_inventory::commands::{Plan, Receive, Release, Reserve};
use holdfast_inventory::{CommandId, Operation, Revision, Units};

use super::untrusted::{command, every_operation, location, plan, reservation, sku};
use super::*;

#[test]
fn every_command_comes_back_from_the_log_as_it_went_in() {
    for schema in [SCHEMA, NEXT_SCHEMA] {
        comes_back(schema);
    }
}

fn comes_back(schema: u32) {
    let mut commands: Vec<Command> =
        every_operation().into_iter().zip(1..).map(|(operation, number)| command(number, operation)).collect();
    let mut builder = EntryBuilder::new(LogTime(1_790_000_000_001), schema);
    for command in &mut commands {
        builder.push(&encode_command(command));
        assert_ne!(command.body, BodyHash(0));
    }
    let bytes = builder.finish();
    assert_eq!(schema_of(&bytes), schema);
    let decoded = decode_entry(&bytes, schema).unwrap();
    assert_eq!(decoded, Entry { time: LogTime(1_790_000_000_001), commands });
}

#[test]
fn the_body_hash_is_of_all_that_a_retry_must_repeat_and_not_of_the_id() {
    let operation = || {
        Operation::Receive(Receive {
            sku: sku(),
            location: location(),
            lot: None,
            lot_spec: None,
            units: Units(7),
            receipt: None,
        })
    };
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
fn a_request_that_became_other_lines_has_the_same_body_hash_as_long_as_it_is_the_same() {
    let body = |change: fn(&mut Reserve)| {
        let Some(Operation::Reserve(mut reserve)) =
            every_operation().into_iter().find(|it| matches!(it, Operation::Reserve(_)))
        else {
            unreachable!("it is among them")
        };
        change(&mut reserve);
        let mut asked = command(1, Operation::Reserve(reserve));
        let _ = encode_command(&mut asked);
        asked.body
    };
    let first = body(|_| ());
    let elsewhere = body(|reserve| {
        reserve.lines.truncate(1);
        reserve.plan = Some(Box::new(Plan { sourced: None, ..plan(&[1]) }));
    });
    assert_eq!(first, elsewhere);
    assert_ne!(first, body(|reserve| reserve.plan.as_mut().unwrap().request = BodyHash(6)));
    assert_ne!(first, body(|reserve| reserve.ttl_s += 1));
}

#[test]
fn a_request_has_the_same_body_hash_before_anybody_knows_that_it_becomes_other_lines() {
    let body = |reserve: Reserve| {
        let mut asked = command(1, Operation::Reserve(reserve));
        let _ = encode_command(&mut asked);
        asked.body
    };
    let reserves = every_operation().into_iter().filter_map(|it| match it {
        Operation::Reserve(reserve) => Some(reserve),
        _ => None,
    });
    for reserve in reserves {
        let as_sent = Reserve { plan: None, ..reserve.clone() };
        let planned = |revisions: &[Option<Revision>]| {
            let request = request_of(&as_sent.lines, revisions);
            let plan = Plan { request, ..plan(&[0, 1]) };
            Reserve { plan: Some(Box::new(plan)), lines: reserve.lines[..1].to_vec(), ..reserve.clone() }
        };
        assert_eq!(body(as_sent.clone()), body(planned(&[])));
        assert_eq!(body(as_sent.clone()), body(planned(&[None, None])));
        assert_ne!(body(as_sent.clone()), body(planned(&[Some(Revision(1)), None])));
        assert_ne!(body(planned(&[None, Some(Revision(1))])), body(planned(&[Some(Revision(1)), None])));
        let mut others = as_sent.clone();
        others.lines[0].units = Units(9);
        assert_ne!(body(as_sent), body(others));
    }
}

#[test]
fn a_reserve_has_the_same_body_hash_however_far_it_has_come() {
    let spread = every_operation().into_iter().filter_map(|operation| match operation {
        Operation::ReserveSpread(spread) => Some(*spread),
        _ => None,
    });
    for spread in spread {
        let mut asked = command(2, Operation::Reserve(spread.reserve.clone()));
        let mut decided = command(2, Operation::ReserveSpread(Box::new(spread)));
        let (_, _) = (encode_command(&mut asked), encode_command(&mut decided));
        assert_eq!(asked.body, decided.body);
    }
}

#[test]
fn an_entry_of_a_later_schema_is_refused_by_name() {
    let bytes = log::Entry { schema: SCHEMA + 1, time_ms: 1, commands: Vec::new() }.encode_to_vec();
    let known = SCHEMA;
    assert_eq!(decode_entry(&bytes, known), Err(DecodeError::UnknownSchema { found: SCHEMA + 1, known }));
    assert_eq!(decode_entry(&[], known), Err(DecodeError::UnknownSchema { found: 0, known }));
    assert_eq!(schema_of(&[]), 0);
}

#[test]
fn a_node_is_bound_by_what_it_understands_and_reads_what_is_older() {
    let entry_of = |schema| {
        let mut builder = EntryBuilder::new(LogTime(1), schema);
        builder.push(&encode_command(&mut command(1, Operation::Release(Release { reservation: reservation() }))));
        builder.finish()
    };
    let (present, next) = (entry_of(SCHEMA), entry_of(NEXT_SCHEMA));
    assert_eq!(decode_entry(&present, NEXT_SCHEMA), decode_entry(&present, SCHEMA));
    assert_eq!(decode_entry(&next, NEXT_SCHEMA), decode_entry(&present, SCHEMA));
    let unknown = DecodeError::UnknownSchema { found: NEXT_SCHEMA, known: SCHEMA };
    assert_eq!(decode_entry(&next, SCHEMA), Err(unknown));
}

#[test]
fn an_entry_of_this_schema_with_the_next_ones_fields_is_read_as_every_node_of_this_version_reads_it() {
    let mut bytes = log::Entry { schema: SCHEMA, time_ms: 1, commands: Vec::new() }.encode_to_vec();
    encode_key(NEXT_COMMANDS_TAG, WireType::LengthDelimited, &mut bytes);
    encode_varint(0, &mut bytes);
    let expected = Ok(Entry { time: LogTime(1), commands: Vec::new() });
    assert_eq!(decode_entry(&bytes, SCHEMA), expected);
    assert_eq!(decode_entry(&bytes, NEXT_SCHEMA), expected);
}

#[test]
fn bytes_that_are_no_entry_are_an_error_and_never_a_panic() {
    for length in 0..64_u8 {
        let bytes: Vec<u8> = (0..length).map(|n| n.wrapping_mul(37) ^ length).collect();
        assert!(decode_entry(&bytes, NEXT_SCHEMA).is_err());
    }
}

proptest::proptest! {
    #[test]
    fn what_is_nearly_an_entry_is_refused_or_applied_and_never_a_panic(
        bytes in holdfast_mangle::mangled(untrusted::valid()),
    ) {
        untrusted::read(&bytes);
    }
}
