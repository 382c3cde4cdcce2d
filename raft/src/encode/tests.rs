//! Every command comes back from the log as it went in.

use holdfast_inventory::commands::{Receive, Release};
use holdfast_inventory::{CommandId, Operation, Units};

use super::untrusted::{command, every_operation, location, reservation, sku};
use super::*;

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

proptest::proptest! {
    #[test]
    fn what_is_nearly_an_entry_is_refused_or_applied_and_never_a_panic(
        bytes in holdfast_mangle::mangled(untrusted::valid()),
    ) {
        untrusted::read(&bytes);
    }
}
