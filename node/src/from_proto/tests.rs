//! What bad input is refused with, and what good input becomes.

use holdfast_inventory::{CampaignId, Pass, SLOTS, Sku};
use holdfast_proto::v1::command::Operation as Wire;
use holdfast_proto::v1::{self, ErrorReason};

use super::*;

fn words() -> Words {
    Words { default_location: LocationId::new("main").unwrap(), zones: Zones::default(), customer_key: [7; 32] }
}

fn id(id: u128) -> Option<v1::Id> {
    Some(v1::Id { high: (id >> 64) as u64, low: id as u64 })
}

fn wire(operation: Wire) -> v1::Command {
    v1::Command { command_id: id(1), minted_at_ms: 1_790_000_000_000, operation: Some(operation), ..Default::default() }
}

fn line(sku: &str, units: u32) -> v1::Line {
    v1::Line { sku: sku.into(), units, ..Default::default() }
}

fn reserve(lines: Vec<v1::Line>) -> v1::Reserve {
    let slot = lines.first().and_then(|line| Sku::new(&line.sku).ok()).map(|sku| slot_of(&sku)).unwrap_or_default();
    v1::Reserve { reservation_id: id(ReservationId::mint(1_790_000_000_000, slot, 9).0), lines, ..Default::default() }
}

/// What a refused operation says: the field and the message.
fn refused(operation: Wire) -> String {
    let error = command(wire(operation), &words()).unwrap_err();
    assert_eq!(error.reason(), ErrorReason::InvalidArgument, "{}", error.message);
    assert!(error.message.starts_with(&error.field), "{}", error.message);
    error.message
}

#[test]
fn a_line_without_a_location_goes_to_the_default_one() {
    let command = command(wire(Wire::Reserve(reserve(vec![line("A", 1)]))), &words()).unwrap();
    let Operation::Reserve(reserve) = command.operation else { panic!("a reserve stays one") };
    assert_eq!((reserve.lines[0].location.as_str(), reserve.ttl_s), ("main", 600));
}

#[test]
fn a_customer_is_hashed_with_the_clusters_key_and_never_kept() {
    let hash = |customer: &str, key: [u8; 32]| {
        let wire = wire(Wire::Reserve(v1::Reserve { customer: customer.into(), ..reserve(vec![line("A", 1)]) }));
        let Operation::Reserve(reserve) = command(wire, &Words { customer_key: key, ..words() }).unwrap().operation
        else {
            panic!("a reserve stays one")
        };
        reserve.customer
    };
    assert_eq!(hash("", [7; 32]), None);
    assert_eq!(hash("jane", [7; 32]), hash("jane", [7; 32]));
    assert_ne!(hash("jane", [7; 32]), hash("joan", [7; 32]));
    assert_ne!(hash("jane", [7; 32]), hash("jane", [8; 32]));
}

#[test]
fn bad_lines_are_refused_by_their_number() {
    let lines = [
        refused(Wire::Reserve(reserve(vec![line("A", 1), line("A", 1), line("A", 0)]))),
        refused(Wire::Reserve(reserve(vec![line("A", 2_000_000_001)]))),
        refused(Wire::Reserve(reserve(vec![line("A", 1), line("", 1)]))),
        refused(Wire::Reserve(reserve(vec![line("A", 1), line("a\nb", 1)]))),
        refused(Wire::Reserve(reserve(vec![line("A", 1), line(&"x".repeat(65), 1)]))),
        refused(Wire::Reserve(reserve(vec![v1::Line { location_id: "\t".into(), ..line("A", 1) }]))),
        refused(Wire::Reserve(reserve(vec![]))),
        refused(Wire::Reserve(reserve(vec![line("A", 1); 101]))),
        refused(Wire::Commit(v1::Commit {
            reservation_id: id(9),
            lines: vec![v1::LineUnits { line: 0, units: 1 }, v1::LineUnits { line: 0, units: 1 }],
            ..Default::default()
        })),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn bad_fields_are_refused_by_their_name() {
    let sku = || "A".to_owned();
    let terms = |cap, release_at_ms| Some(v1::BackorderTerms { cap, release_at_ms });
    let item = |item: v1::Item| Wire::PutItem(v1::PutItem { item: Some(item), ..Default::default() });
    let kit = |components: &[(&str, u32)]| {
        let component = |(sku, units): &(&str, u32)| v1::KitComponent { sku: (*sku).to_owned(), units: *units };
        let components = components.iter().map(component).collect();
        Wire::PutKit(v1::PutKit {
            kit: Some(v1::Kit { sku: sku(), components, ..Default::default() }),
            ..Default::default()
        })
    };
    let many: Vec<String> = (0..33).map(|number| format!("C{number}")).collect();
    let many: Vec<(&str, u32)> = many.iter().map(|sku| (sku.as_str(), 1)).collect();
    let lines = [
        refused(Wire::Receive(v1::Receive { sku: sku(), units: 0, ..Default::default() })),
        refused(Wire::Receive(v1::Receive { sku: String::new(), units: 1, ..Default::default() })),
        refused(Wire::Adjust(v1::Adjust { sku: sku(), delta: 0, ..Default::default() })),
        refused(Wire::Adjust(v1::Adjust { sku: sku(), delta: 1, condition: 9, ..Default::default() })),
        refused(Wire::Set(v1::Set { sku: sku(), on_hand: u64::MAX, ..Default::default() })),
        refused(Wire::Reserve(v1::Reserve { ttl_s: 14_401, ..reserve(vec![line("A", 1)]) })),
        refused(Wire::Reserve(v1::Reserve { order_ref: "x".repeat(65), ..reserve(vec![line("A", 1)]) })),
        refused(Wire::Reserve(v1::Reserve { customer: "x".repeat(256), ..reserve(vec![line("A", 1)]) })),
        refused(Wire::Reserve(v1::Reserve { reservation_id: None, ..reserve(vec![line("A", 1)]) })),
        refused(Wire::Release(v1::Release { reservation_id: id(0) })),
        refused(Wire::Commit(v1::Commit { reservation_id: id(9), if_expired: 7, ..Default::default() })),
        refused(Wire::Commit(v1::Commit { reservation_id: id(9), r#final: true, ..Default::default() })),
        refused(Wire::PutItem(v1::PutItem::default())),
        refused(item(v1::Item::default())),
        refused(item(v1::Item { sku: sku(), status: 44, ..Default::default() })),
        refused(item(v1::Item { sku: sku(), attributes_json: "[1]".into(), ..Default::default() })),
        refused(item(v1::Item { sku: sku(), attributes_json: "{\"a\":".into(), ..Default::default() })),
        refused(item(v1::Item { sku: sku(), name: "x".repeat(256), ..Default::default() })),
        refused(item(v1::Item { sku: sku(), lot_tracked: true, untracked: true, ..Default::default() })),
        refused(item(v1::Item { sku: sku(), max_hold_s: 20_000, ..Default::default() })),
        refused(item(v1::Item { backorder: terms(0, 0), sku: sku(), ..Default::default() })),
        refused(item(v1::Item { backorder: terms(2_000_000_001, 0), sku: sku(), ..Default::default() })),
        refused(item(v1::Item { backorder: terms(2_000_000_001, 9), sku: sku(), ..Default::default() })),
        refused(Wire::PutKit(v1::PutKit::default())),
        refused(kit(&[])),
        refused(kit(&many)),
        refused(kit(&[("B", 1), ("C", 0)])),
        refused(kit(&[("B", 1), ("B", 2)])),
        refused(kit(&[("B", 1), ("", 2)])),
        refused(Wire::Amend(v1::Amend {
            reservation_id: id(9),
            lines: vec![v1::Line { kit_revision: 1, ..line("A", 1) }],
        })),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_command_without_an_id_a_time_or_an_operation_is_refused() {
    let good = || wire(Wire::Release(v1::Release { reservation_id: id(9) }));
    let field = |wire: v1::Command| command(wire, &words()).unwrap_err().field;
    assert_eq!(field(v1::Command { command_id: None, ..good() }), "command_id");
    assert_eq!(field(v1::Command { minted_at_ms: 0, ..good() }), "minted_at_ms");
    assert_eq!(field(v1::Command { own_key: true, ..good() }), "minted_at_ms");
    assert_eq!(field(v1::Command { operation: None, ..good() }), "operation");
    let cause = v1::Cause { actor: "x".repeat(256), ..Default::default() };
    assert_eq!(field(v1::Command { cause: Some(cause), ..good() }), "cause.actor");
    command(v1::Command { own_key: true, minted_at_ms: 0, ..good() }, &words()).unwrap();
}

#[test]
fn a_reservation_id_with_another_slot_than_its_first_line_is_refused() {
    let first = slot_of(&Sku::new("A").unwrap());
    let other = Slot::new((first.number() + 1) % SLOTS).unwrap();
    let reservation_id = id(ReservationId::mint(1_790_000_000_000, other, 9).0);
    let text = refused(Wire::Reserve(v1::Reserve { reservation_id, ..reserve(vec![line("A", 1)]) }));
    assert!(text.starts_with(&format!("reservation_id carries slot {other}")), "{text}");
}

#[test]
fn a_reserve_names_a_campaign_that_its_shard_knows_or_does_not() {
    let of = |campaign: &str| {
        let wire = wire(Wire::Reserve(v1::Reserve { campaign_id: campaign.into(), ..reserve(vec![line("A", 1)]) }));
        command(wire, &words())
    };
    let Operation::Reserve(reserve) = of("sale").unwrap().operation else { unreachable!() };
    assert_eq!(reserve.campaign, "sale".parse().ok());
    assert_eq!(of("a\nb").unwrap_err().field, "campaign_id");
    let lines = vec![v1::Line { location_id: String::new(), ..line("A", 1) }];
    let (campaign_id, channel, sourcing) = ("sale".to_owned(), "web".to_owned(), Some(v1::Sourcing::default()));
    let sourced = v1::Reserve { campaign_id, channel, sourcing, ..self::reserve(lines) };
    assert_eq!(command(wire(Wire::Reserve(sourced)), &words()).unwrap_err().field, "sourcing");
}

proptest::proptest! {
    #[test]
    fn what_is_nearly_a_command_is_refused_with_a_reason_or_read_and_never_a_panic(
        bytes in holdfast_mangle::mangled(crate::untrusted::command::valid()),
    ) {
        crate::untrusted::command::read(&bytes);
    }
}

#[test]
fn what_a_waiting_room_is_asked_is_refused_by_the_field_at_fault() {
    let drop = || "drop".to_owned();
    let admit = |tickets, valid_s, newly_spent| {
        Wire::Admit(v1::Admit { campaign_id: drop(), tickets, valid_s, newly_spent, ..v1::Admit::default() })
    };
    let token = v1::Reserve { admission_token: "ab".into(), ..reserve(vec![line("A", 1)]) };
    let refusals = [
        refused(Wire::JoinQueue(v1::JoinQueue { campaign_id: String::new(), customer: "ann".into() })),
        refused(Wire::JoinQueue(v1::JoinQueue { campaign_id: drop(), customer: String::new() })),
        refused(Wire::JoinQueue(v1::JoinQueue { campaign_id: drop(), customer: "x".repeat(256) })),
        refused(Wire::CommitDraw(v1::CommitDraw { campaign_id: drop(), commitment: vec![1; 31] })),
        refused(Wire::Draw(v1::Draw { campaign_id: drop(), seed: vec![] })),
        refused(admit(0, 0, vec![])),
        refused(admit(513, 0, vec![])),
        refused(admit(1, 3_601, vec![])),
        refused(admit(1, 1, vec![1; 513])),
        refused(Wire::Reserve(token.clone())),
    ];
    insta::assert_snapshot!(refusals.join("\n"));
    let invalid = command(wire(Wire::Reserve(v1::Reserve { campaign_id: drop(), ..token })), &words()).unwrap_err();
    assert_eq!((invalid.reason(), invalid.metadata["why"].as_str()), (ErrorReason::AdmissionTokenInvalid, "malformed"));
}

#[test]
fn a_token_of_its_customer_and_campaign_lets_a_reserve_in_and_half_of_it_does_not() {
    let campaign = CampaignId::new("drop").unwrap();
    let customer = customer("ann", &words()).unwrap().unwrap();
    let pass = Pass { ticket: 7, expires_at: LogTime(1_790_000_060_000) };
    let token = crate::admission::mint(&words().customer_key, &campaign, customer, pass);
    let asked = |customer: &str| v1::Reserve {
        campaign_id: "drop".into(),
        customer: customer.into(),
        admission_token: token.clone(),
        ..reserve(vec![line("A", 1)])
    };
    let Operation::Reserve(reserve) = command(wire(Wire::Reserve(asked("ann"))), &words()).unwrap().operation else {
        panic!("a reserve stays one")
    };
    assert_eq!(reserve.pass, Some(pass));
    let other = command(wire(Wire::Reserve(asked("bob"))), &words()).unwrap_err();
    assert_eq!(
        (other.reason(), other.metadata["why"].as_str()),
        (ErrorReason::AdmissionTokenInvalid, "other_customer")
    );
}
