//! What the load decides: entries that are the same for a group and an index in every process, and the states after them.

use bytes::Bytes;
use holdfast_inventory::commands::{Line, PutItem, PutLocation, Receive, Reserve};
use holdfast_inventory::{
    Applied, BodyHash, Command, CommandId, ItemSpec, Limits, LocationId, LocationSpec, LogTime, Operation,
    ReservationId, Sku, Units, slot_of,
};
use holdfast_raft::encode::{EntryBuilder, SCHEMA, encode_command};
use holdfast_raft::log::GroupId;
use holdfast_raft::machine::{Machine, MachineKind};
use holdfast_raft::types::Payload;

use crate::dice::Dice;

/// The groups that share the node.
pub const GROUPS: [GroupId; 2] = [GroupId(1), GroupId(2)];

/// Commands of an entry.
const COMMANDS: u64 = 8;

/// How many items a group has, and how long their texts are, between one and two of these.
fn measures(group: GroupId) -> (u64, u64) {
    // A state of 600 KB, of which a checkpoint is a part of one of sled's segments; and one of 5 MB, which takes several.
    if group == GROUPS[0] { (320, 1_200) } else { (480, 6_500) }
}

pub fn kind() -> MachineKind {
    MachineKind::Shard(Limits::default())
}

fn sku(number: u64) -> Sku {
    Sku::new(&format!("SKU-{number:03}")).unwrap()
}

fn put_item(group: GroupId, number: u64, dice: &mut Dice) -> Operation {
    let (letter, (_, length)) = (char::from(b'a' + dice.below(26) as u8), measures(group));
    let text: String = std::iter::repeat_n(letter, (length + dice.below(length)) as usize).collect();
    let spec = ItemSpec { attributes_json: format!(r#"{{"text":"{text}"}}"#), ..ItemSpec::default() };
    Operation::PutItem(Box::new(PutItem { sku: sku(number), spec, if_revision: None, if_absent: false }))
}

/// The `number`th operation of a group: first a location and its items, then whatever comes.
fn operation(group: GroupId, number: u64, dice: &mut Dice) -> Operation {
    let (skus, _) = measures(group);
    let location = LocationId::new("main").unwrap();
    if number == 0 {
        return Operation::PutLocation(Box::new(PutLocation {
            location,
            spec: LocationSpec::default(),
            if_revision: None,
        }));
    }
    if number <= skus {
        return put_item(group, number - 1, dice);
    }
    let of = dice.below(skus);
    match dice.below(4) {
        0 | 1 => put_item(group, of, dice),
        2 => Operation::Receive(Receive {
            sku: sku(of),
            location,
            lot: None,
            lot_spec: None,
            units: Units(1 + dice.below(9) as u32),
            receipt: None,
        }),
        _ => Operation::Reserve(Reserve {
            reservation: ReservationId::mint(number, slot_of(&sku(of)), number),
            lines: vec![Line {
                sku: sku(of),
                location,
                units: Units(1),
                lot: None,
                optional: false,
                no_backorder: false,
                min_units: None,
            }],
            ttl_s: 1 + dice.below(20) as u32,
            partial_ok: false,
            order_ref: None,
            customer: None,
            channel: None,
            campaign: None,
            plan: None,
            pass: None,
        }),
    }
}

/// The entry of a group at an index.
pub fn entry(group: GroupId, index: u64) -> Bytes {
    let mut dice = Dice::of(group.0, index);
    let time = LogTime(1_767_225_600_000 + index * 100);
    let mut entry = EntryBuilder::new(time, SCHEMA);
    for number in index * COMMANDS..(index + 1) * COMMANDS {
        let mut command = Command {
            id: CommandId(u128::from(number) + 1),
            minted_at: time,
            keyed: false,
            body: BodyHash(0),
            linked: false,
            cause: None,
            operation: operation(group, number, &mut dice),
        };
        entry.push(&encode_command(&mut command));
    }
    entry.finish()
}

/// The states that a group goes through.
pub struct States {
    group: GroupId,
    machine: Machine,
    room: Applied,
    digests: Vec<[u8; 32]>,
}

impl States {
    pub fn of(group: GroupId) -> Self {
        Self { group, machine: Machine::fresh(&kind()), room: Applied::default(), digests: Vec::new() }
    }

    /// The digest of the state after the entry at an index.
    pub fn digest_after(&mut self, index: u64) -> [u8; 32] {
        while self.digests.len() as u64 <= index {
            let next = self.digests.len() as u64;
            let payload = Payload::of(entry(self.group, next));
            self.machine.apply(next, &payload, SCHEMA, &mut self.room).unwrap();
            self.digests.push(self.machine.digest());
        }
        self.digests[index as usize]
    }
}
