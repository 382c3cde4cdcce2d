//! The inputs that the targets begin with: valid ones, at least one of each form that a reader knows.

use std::path::Path;
use std::{fs, io};

use holdfast_inventory::untrusted::{chunk, event};
use holdfast_inventory::{ChannelSpec, Inventory, LocationSpec};
use holdfast_node::untrusted::{command, configuration};
use holdfast_proto::peer::v1 as peer;
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use holdfast_raft::encode::SCHEMA;
use holdfast_raft::machine::HEADER_KEY;
use holdfast_raft::meta::{Member, Meta, MetaChange, encode_change};
use holdfast_raft::untrusted::{log_entry, manifest, meta_entry, peer_message, snapshot};
use prost::Message;

use crate::{history, input, story};

/// Each target with valid inputs.
#[must_use]
pub fn seeds() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let entries = story::entries();
    let (shard, events) = story::told();
    let one_after_the_other = vec![history::written(false, &entries), history::written(true, &entries)];
    vec![
        ("chunk", (0..chunk::PIECES).map(chunk::valid).collect()),
        ("event", [vec![event::valid()], events].concat()),
        ("log_entry", [vec![log_entry::valid(), joined(&entries)], entries].concat()),
        ("history", one_after_the_other),
        ("manifest", vec![manifest::valid(), MANIFEST_WITHOUT_DIGESTS.to_vec()]),
        ("meta_entry", [vec![meta_entry::valid()], meta_entries()].concat()),
        ("peer_message", [vec![peer_message::valid()], peer_messages()].concat()),
        ("snapshot", vec![snapshot::valid(), snapshot_of_shard(shard), snapshot_of_records()]),
        ("client_command", [vec![command::valid()], client_commands()].concat()),
        ("configuration", vec![configuration::valid(), SHORT_CONFIGURATION.to_vec()]),
        ("catalogue", vec![input::catalogue::untrusted::valid()]),
        ("trace", vec![input::trace::untrusted::valid()]),
    ]
}

/// Writes them, a folder for each target.
///
/// # Errors
///
/// A folder or a file cannot be written.
pub fn write() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, inputs) in seeds() {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder)?;
        for (number, input) in inputs.iter().enumerate() {
            fs::write(folder.join(format!("valid-{number}")), input)?;
        }
    }
    Ok(())
}

/// The first format: one chunk `[1, 2]` of generation 7 in 2 parts.
const MANIFEST_WITHOUT_DIGESTS: &[u8] = &[1, 1, 2, 1, 2, 7, 2];

const SHORT_CONFIGURATION: &[u8] = br#"cluster_id = "shop"
nodes = [{ id = 1, client = "127.0.0.1:7401", peer = "[::1]:7501" }]
join = true
log = { format = "json", filter = "info" }
"#;

/// All commands of the story in one entry: later heads of entries are merged into the first.
fn joined(entries: &[Vec<u8>]) -> Vec<u8> {
    entries.concat()
}

fn meta_entries() -> Vec<Vec<u8>> {
    let member = Member { client_address: "a:1".into(), peer_address: "b:2".into(), http_address: "c:3".into() };
    let spec = LocationSpec { name: "Lyon".into(), time_zone: "Europe/Paris".into(), ..LocationSpec::default() };
    let changes = [
        MetaChange::PutMember { node: 4, member },
        MetaChange::RemoveMember { node: 1 },
        MetaChange::PutLocation { id: "store-1".into(), spec },
        MetaChange::RemoveEndpoint { id: "a".into() },
        MetaChange::PutChannel {
            id: "web".into(),
            spec: ChannelSpec { locations: vec!["store-1".parse().unwrap()], buffer: 1, active: true },
        },
    ];
    let mut inputs: Vec<Vec<u8>> = changes
        .iter()
        .zip(1..)
        .map(|(change, id)| encode_change(SCHEMA, 1_790_000_000_000, id, change).to_vec())
        .collect();
    inputs.push(records().encode());
    inputs
}

fn records() -> Meta {
    let mut records = Meta::default();
    records.apply(7, meta_entry::founding());
    records
}

fn snapshot_of(group: u64, pieces: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<u8> {
    let applied = Some(peer::LogId { term: 3, leader_node: 1, index: 41 });
    let head = peer::SnapshotHead {
        envelope: Some(envelope()),
        group,
        ballot: Some(ballot()),
        generation: 9,
        applied,
        digest: vec![1; 32].into(),
        changes_seq: 12,
        changes_hash: vec![2; 32].into(),
        ..peer::SnapshotHead::default()
    };
    let mut chunks = vec![peer::SnapshotChunk { head: Some(head), ..peer::SnapshotChunk::default() }];
    let mut parts_total = 0;
    for (key, bytes) in pieces {
        // In two parts each, as a long piece comes.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let part = |bytes: &[u8], continues| peer::SnapshotPart {
            key: key.clone().into(),
            bytes: bytes.to_vec().into(),
            continues,
        };
        let parts = vec![part(first, true), part(second, false)];
        parts_total += 2;
        chunks.push(peer::SnapshotChunk { parts, ..peer::SnapshotChunk::default() });
    }
    chunks.push(peer::SnapshotChunk { last: true, parts_total, ..peer::SnapshotChunk::default() });
    chunks.iter().flat_map(Message::encode_length_delimited_to_vec).collect()
}

fn snapshot_of_shard(mut shard: Inventory) -> Vec<u8> {
    shard.mark_all_changed();
    let cut = shard.cut();
    let header = std::iter::once((HEADER_KEY.to_vec(), cut.header()));
    snapshot_of(2, header.chain(cut.encode().map(|(id, bytes)| (id.key().to_vec(), bytes))).collect())
}

fn snapshot_of_records() -> Vec<u8> {
    snapshot_of(1, vec![(HEADER_KEY.to_vec(), records().encode())])
}

fn envelope() -> peer::Envelope {
    peer::Envelope { cluster_id: "c".into(), from_node: 1, to_node: 2 }
}

fn ballot() -> peer::Ballot {
    peer::Ballot { term: 3, node: 1, committed: true }
}

fn peer_messages() -> Vec<Vec<u8>> {
    let id = || Some(peer::LogId { term: 3, leader_node: 1, index: 41 });
    let life = Some(peer::Incarnation { counter: 4, nonce: 99 });
    let heartbeat = peer::Heartbeat {
        number: 8,
        group: 2,
        ballot: Some(ballot()),
        previous: id(),
        committed: id(),
        confirmed_ms: Some(70),
    };
    let request = peer::VoteRequest {
        envelope: Some(envelope()),
        group: 2,
        ballot: Some(ballot()),
        last_log_id: id(),
        leadership_transfer: true,
        candidate: life,
    };
    let response = peer::VoteResponse { ballot: Some(ballot()), last_log_id: id(), granted: true, voter: life };
    let group = peer::GroupFacts { group: 2, last_log_id: id(), ballot: Some(ballot()), damage: "rot".into() };
    let facts = peer::NodeFacts {
        cluster_id: "c".into(),
        node_id: 1,
        incarnation_counter: 4,
        incarnation_nonce: 99,
        control_generation: 12,
        fresh: false,
        groups: vec![group.clone(), peer::GroupFacts { group: 3, ..group }],
        schemas: vec![1, 2],
        version: "0.1.0".into(),
        past_lives: vec![97, 98],
    };
    let transfer = peer::TransferLeaderRequest {
        envelope: Some(envelope()),
        group: 2,
        from_leader: Some(ballot()),
        to_node: 2,
        last_log_id: id(),
    };
    use peer::outcome::Outcome::{Conflict, Higher, Matched, Unreachable};
    use peer::transfer_leader_response::Refusal;
    let ballots = || Some(peer::Ballot { term: 4, node: 2, committed: false });
    let changed = Refusal::VoteChanged(peer::VoteChanged { expected: Some(ballot()), actual: ballots() });
    let unflushed = Refusal::LogNotFlushed(peer::LogNotFlushed { expected: id(), actual: None });
    let outcomes = [
        Matched(peer::Matched { log_id: id() }),
        Conflict(peer::LogId { term: 3, leader_node: 1, index: 41 }),
        Higher(ballot()),
        Unreachable("it does not run".into()),
    ];
    let mut inputs = vec![
        heartbeat.encode_to_vec(),
        request.encode_to_vec(),
        response.encode_to_vec(),
        facts.encode_to_vec(),
        transfer.encode_to_vec(),
    ];
    inputs.extend(outcomes.map(|outcome| peer::Outcome { outcome: Some(outcome) }.encode_to_vec()));
    let refusals = [changed, unflushed];
    inputs.extend(refusals.map(|refusal| peer::TransferLeaderResponse { refusal: Some(refusal) }.encode_to_vec()));
    inputs
}

fn client_commands() -> Vec<Vec<u8>> {
    let reservation_id = || match v1::Command::decode(command::valid().as_slice()).map(|command| command.operation) {
        Ok(Some(Operation::Reserve(reserve))) => reserve.reservation_id,
        _ => None,
    };
    let lines = || vec![v1::LineUnits { line: 0, units: 1 }];
    let picks = || vec![v1::PickedUnits { line: 0, units: 1, lot_id: "L1".into() }];
    let lot = || v1::LotSpec { supplier_lot: "S-1".into(), best_before: "2027-05".into(), ..v1::LotSpec::default() };
    let lot_id = || "L1".to_owned();
    let (sku, location_id) = (|| "A".to_owned(), || "main".to_owned());
    let item = v1::Item {
        sku: sku(),
        name: "Rouge".into(),
        attributes_json: r#"{"ml":30}"#.into(),
        max_per_order: 3,
        max_hold_s: 60,
        ..v1::Item::default()
    };
    let line = v1::Line { sku: sku(), location_id: location_id(), units: 2, optional: true, ..v1::Line::default() };
    let operations = [
        Operation::PutItem(v1::PutItem { item: Some(item), if_revision: 3, if_absent: false }),
        Operation::Receive(v1::Receive {
            sku: sku(),
            location_id: location_id(),
            units: 7,
            lot_id: lot_id(),
            lot: Some(lot()),
            receipt_id: None,
        }),
        Operation::PutLot(v1::PutLot {
            sku: sku(),
            lot_id: lot_id(),
            lot: Some(lot()),
            location_id: location_id(),
            if_revision: 2,
        }),
        Operation::BlockLot(v1::BlockLot { sku: sku(), lot_id: lot_id(), status: 3 }),
        Operation::UnblockLot(v1::UnblockLot { sku: sku(), lot_id: lot_id() }),
        Operation::Recall(v1::Recall { sku: sku(), lot_id: lot_id() }),
        Operation::Adjust(v1::Adjust { sku: sku(), delta: -3, condition: 2, ..v1::Adjust::default() }),
        Operation::Set(v1::Set { sku: sku(), on_hand: 9, if_revision: 4, ..v1::Set::default() }),
        Operation::Amend(v1::Amend { reservation_id: reservation_id(), lines: vec![line] }),
        Operation::Extend(v1::Extend { reservation_id: reservation_id(), ttl_s: 60 }),
        Operation::Commit(v1::Commit {
            reservation_id: reservation_id(),
            lines: lines(),
            r#final: true,
            if_expired: 2,
            cancel_at_ms: 1_790_000_060_000,
        }),
        Operation::Release(v1::Release { reservation_id: reservation_id() }),
        Operation::Fulfil(v1::Fulfil { reservation_id: reservation_id(), lines: picks() }),
        Operation::Cancel(v1::Cancel { reservation_id: reservation_id() }),
        Operation::Return(v1::Return {
            reservation_id: reservation_id(),
            lines: picks(),
            location_id: location_id(),
            condition: 3,
        }),
    ];
    let encoded = |(operation, own_key)| {
        let command_id = Some(v1::Id { high: 0, low: 1 });
        let minted_at_ms = if own_key { 0 } else { 1_790_000_000_000 };
        let operation = Some(operation);
        v1::Command { command_id, minted_at_ms, own_key, operation, ..v1::Command::default() }.encode_to_vec()
    };
    let operations = operations.into_iter().chain(commands_of_places(reservation_id()));
    operations.zip([true, false].into_iter().cycle()).map(encoded).collect()
}

/// Of what happens between places; `id`: any that is well formed.
fn commands_of_places(id: Option<v1::Id>) -> Vec<Operation> {
    let lines = || vec![v1::DocumentLine { lot_id: "L1".into(), units: 1 }];
    let (sku, location_id, lot_id) = (|| "A".to_owned(), || "main".to_owned(), "L1".to_owned());
    vec![
        Operation::Move(v1::Move { sku: sku(), location_id: location_id(), lot_id, units: 2, from: 1, to: 2 }),
        Operation::SetSafetyStock(v1::SetSafetyStock {
            sku: sku(),
            location_id: location_id(),
            safety_stock: 3,
            if_revision: 1,
        }),
        Operation::CreateTransfer(v1::CreateTransfer {
            transfer_id: id,
            sku: sku(),
            from_location_id: location_id(),
            to_location_id: "store".into(),
            lines: lines(),
        }),
        Operation::ReceiveTransfer(v1::ReceiveTransfer {
            transfer_id: id,
            lines: vec![v1::ArrivedUnits { line: 0, units: 1, condition: 2 }],
        }),
        Operation::LoseTransfer(v1::LoseTransfer { transfer_id: id, lines: vec![v1::LineUnits { line: 0, units: 1 }] }),
        Operation::CancelTransfer(v1::CancelTransfer { transfer_id: id }),
        Operation::ExpectReceipt(v1::ExpectReceipt {
            receipt_id: id,
            sku: sku(),
            location_id: location_id(),
            lines: lines(),
            expected_at_ms: 1_790_000_060_000,
        }),
        Operation::CloseReceipt(v1::CloseReceipt { receipt_id: id }),
    ]
}
