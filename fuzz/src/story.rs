//! Entries of a shard's log in which everything happens that can: what a fuzzer changes a little still reaches every rule.

use holdfast_inventory::commands::{
    Adjust, Amend, ArrivedUnits, BlockLot, Cancel, CancelTransfer, CloseReceipt, Commit, CreateTransfer, DocumentLine,
    ExpectReceipt, Extend, Fulfil, IfExpired, Line, LoseTransfer, MoveUnits, Picked, PutItem, PutLocation, Receive,
    ReceiveTransfer, Release, Reserve, Return, Set, SetLimits, SetSafetyStock,
};
use holdfast_inventory::{
    Applied, BodyHash, Cause, ChannelId, Command, CommandId, Condition, CustomerHash, Inventory, ItemSpec, Limits,
    LineUnits, LocationId, LocationSpec, LogTime, LotDates, LotId, LotSpec, LotStatus, Operation, OrderRef, ReceiptId,
    ReservationId, Revision, Sku, Slot, TransferId, Units,
};
use holdfast_raft::encode::{EntryBuilder, SCHEMA, decode_entry, encode_command};

/// When the shop opens, in milliseconds of log time.
const OPENING: u64 = 1_790_000_000_000;

/// The entries of the story, in order.
#[must_use]
pub fn entries() -> Vec<Vec<u8>> {
    let mut story = Story { now: OPENING, ids: 0, entries: Vec::new() };
    story.open();
    story.sell();
    story.hold();
    story.expire();
    story.lots();
    story.places();
    story.bound();
    story.entries
}

/// The shard at the end of the story, and all events that it gave.
///
/// # Panics
///
/// Where a command of it is refused: what is refused is no way into the rules.
#[must_use]
pub fn told() -> (Inventory, Vec<Vec<u8>>) {
    let mut inventory = Inventory::new(Limits::default());
    let (mut applied, mut events) = (Applied::default(), Vec::new());
    for entry in entries() {
        let entry = decode_entry(&entry, SCHEMA).expect("the story is well written");
        inventory.apply(&entry, &mut applied);
        for (answer, command) in applied.answers.iter().zip(&entry.commands) {
            assert!(answer.outcome.is_ok(), "{command:?} is refused: {answer:?}");
        }
        events.extend(applied.events.iter().map(|event| event.encoded().to_vec()));
    }
    (inventory, events)
}

struct Story {
    now: u64,
    ids: u64,
    entries: Vec<Vec<u8>>,
}

fn sku(name: &str) -> Sku {
    Sku::new(name).expect("a name")
}

fn place(name: &str) -> LocationId {
    LocationId::new(name).expect("a name")
}

fn id(number: u64) -> ReservationId {
    ReservationId::mint(OPENING, Slot::new(12).expect("a slot"), number)
}

fn line(name: &str, location: &str, units: u32) -> Line {
    Line { sku: sku(name), location: place(location), units: Units(units), lot: None, optional: false, no_backorder: false, min_units: None }
}

fn parts(line: u32, units: u32) -> Vec<LineUnits> {
    vec![LineUnits { line, units: Units(units) }]
}

fn picks(line: u32, units: u32) -> Vec<Picked> {
    vec![Picked { line, units: Units(units), lot: None }]
}

fn receive_lot(name: &str, lot: &str, units: u32, days: u64) -> Operation {
    let best_before = Some(LogTime(OPENING + days * 86_400_000));
    let spec = LotSpec { supplier_lot: "S-1".into(), dates: LotDates { best_before, ..LotDates::default() } };
    let (lot, lot_spec) = (LotId::new(lot).ok(), Some(Box::new(spec)));
    Operation::Receive(Receive {
        sku: sku(name),
        location: place("main"),
        lot,
        lot_spec,
        units: Units(units),
        receipt: None,
    })
}

fn block(name: &str, lot: &str, status: LotStatus) -> Operation {
    Operation::BlockLot(BlockLot { sku: sku(name), lot: LotId::new(lot).expect("a name"), status })
}

fn put_item(name: &str, spec: ItemSpec) -> Operation {
    Operation::PutItem(Box::new(PutItem { sku: sku(name), spec, if_revision: None, if_absent: true }))
}

fn put_location(name: &str) -> Operation {
    let spec = LocationSpec { name: name.to_owned(), ..LocationSpec::default() };
    Operation::PutLocation(Box::new(PutLocation { location: place(name), spec, if_revision: None }))
}

fn receive(name: &str, location: &str, units: u32) -> Operation {
    Operation::Receive(Receive {
        sku: sku(name),
        location: place(location),
        lot: None,
        lot_spec: None,
        units: Units(units),
        receipt: None,
    })
}

fn adjust(name: &str, delta: i64, condition: Condition) -> Operation {
    Operation::Adjust(Adjust { sku: sku(name), location: place("main"), lot: None, delta, condition })
}

fn reserve(number: u64, lines: Vec<Line>, ttl_s: u32) -> Operation {
    Operation::Reserve(Reserve {
        reservation: id(number),
        lines,
        ttl_s,
        partial_ok: false,
        order_ref: OrderRef::new("web-1").ok(),
        customer: Some(CustomerHash(77)),
        channel: ChannelId::new("web").ok(),
        campaign: None,
        plan: None,
        pass: None,
    })
}

fn commit(number: u64, parts: Vec<LineUnits>, if_expired: IfExpired, cancel_at: Option<LogTime>) -> Operation {
    Operation::Commit(Commit { reservation: id(number), parts, last: false, if_expired, cancel_at })
}

impl Story {
    /// One entry, so long after the one before. In a chain all commands stand or fall together.
    fn entry(&mut self, after_ms: u64, is_chain: bool, is_keyed: bool, operations: Vec<Operation>) {
        self.now += after_ms;
        let mut builder = EntryBuilder::new(LogTime(self.now), SCHEMA);
        let last = operations.len();
        for (operation, at) in operations.into_iter().zip(1..) {
            self.ids += 1;
            let cause = Cause { actor: "till 4".into(), reason: "sale".into(), reference: String::new() };
            let mut command = Command {
                id: CommandId(u128::from(self.ids)),
                minted_at: LogTime(self.now),
                keyed: is_keyed,
                body: BodyHash(0),
                linked: is_chain && at < last,
                cause: (at == 1).then(|| Box::new(cause)),
                operation,
            };
            builder.push(&encode_command(&mut command));
        }
        self.entries.push(builder.finish().to_vec());
    }

    fn open(&mut self) {
        let limited = ItemSpec {
            attributes_json: r#"{"ml":30}"#.into(),
            max_per_order: Some(9),
            max_hold_s: Some(900),
            low_stock_threshold: 2,
            ..ItemSpec::default()
        };
        let untracked = ItemSpec { tracked: false, ..ItemSpec::default() };
        self.entry(0, false, false, vec![put_location("main"), put_location("store")]);
        self.entry(1, false, false, vec![put_item("A", limited), put_item("B", untracked)]);
        let counted = Set { sku: sku("A"), location: place("store"), lot: None, on_hand: 7, if_revision: Revision(0) };
        self.entry(
            1,
            false,
            false,
            vec![
                receive("A", "main", 20),
                adjust("A", -1, Condition::Resellable),
                adjust("A", 2, Condition::Damaged),
                adjust("A", 3, Condition::QualityControl),
                Operation::Set(counted),
            ],
        );
    }

    fn sell(&mut self) {
        let amended = Amend { reservation: id(1), lines: vec![line("A", "main", 4), line("B", "main", 1)] };
        let cancel_at = Some(LogTime(self.now + 3_600_000));
        let returned = Return {
            reservation: id(1),
            parts: picks(0, 1),
            location: Some(place("store")),
            condition: Condition::QualityControl,
        };
        self.entry(
            10,
            false,
            false,
            vec![
                reserve(1, vec![line("A", "main", 3), line("B", "main", 2)], 30),
                Operation::Amend(amended),
                Operation::Extend(Extend { reservation: id(1), ttl_s: 60 }),
                commit(1, parts(0, 2), IfExpired::Fail, cancel_at),
                Operation::Fulfil(Fulfil { reservation: id(1), parts: picks(0, 1) }),
                Operation::Return(returned),
                Operation::Cancel(Cancel { reservation: id(1) }),
            ],
        );
    }

    /// Lots that are blocked beneath holds and orders, come back, are recalled, and leave sale.
    fn lots(&mut self) {
        let by_lot = ItemSpec { lot_tracked: true, ..ItemSpec::default() };
        self.entry(
            10,
            false,
            false,
            vec![put_item("C", by_lot), receive_lot("C", "L1", 3, 2), receive_lot("C", "L2", 3, 9)],
        );
        let mut named = line("C", "main", 1);
        named.lot = LotId::new("L1").ok();
        self.entry(
            10,
            false,
            false,
            vec![
                reserve(30, vec![line("C", "main", 2)], 600),
                commit(30, Vec::new(), IfExpired::Fail, None),
                reserve(31, vec![named], 600),
                reserve(32, vec![line("C", "main", 3)], 600),
                block("C", "L1", LotStatus::OnHold),
                block("C", "L1", LotStatus::Approved),
                Operation::Fulfil(Fulfil { reservation: id(30), parts: picks(0, 1) }),
                block("C", "L1", LotStatus::Recalled),
                receive_lot("C", "L3", 4, 1),
            ],
        );
        self.entry(2 * 86_400_000, false, false, Vec::new());
    }

    /// Units that are moved, sent, lost, called back and expected.
    fn places(&mut self) {
        let slot = Slot::new(12).expect("a slot");
        let (transfer, other) = (TransferId::mint(OPENING, slot, 1), TransferId::mint(OPENING, slot, 2));
        let receipt = ReceiptId::mint(OPENING, slot, 3);
        let lot = || LotId::new("L9").ok();
        let lines = |units| vec![DocumentLine { lot: lot(), units: Units(units) }];
        let send = |transfer, units| {
            let (from, to) = (place("main"), place("store"));
            Operation::CreateTransfer(CreateTransfer { transfer, sku: sku("D"), from, to, lines: lines(units) })
        };
        let expected = Receive {
            sku: sku("D"),
            location: place("main"),
            lot: lot(),
            lot_spec: None,
            units: Units(2),
            receipt: Some(receipt),
        };
        let (from, to) = (Condition::Resellable, Condition::Damaged);
        let moved = MoveUnits { sku: sku("D"), location: place("main"), lot: lot(), units: Units(1), from, to };
        let safety = SetSafetyStock { sku: sku("D"), location: place("main"), units: 1, if_revision: None };
        let arrived = ArrivedUnits { line: 0, units: Units(1), condition: Condition::Damaged };
        let expect = ExpectReceipt {
            receipt,
            sku: sku("D"),
            location: place("main"),
            lines: lines(3),
            expected_at: Some(LogTime(OPENING)),
        };
        let by_lot = ItemSpec { lot_tracked: true, ..ItemSpec::default() };
        self.entry(10, false, false, vec![put_item("D", by_lot), receive_lot("D", "L9", 9, 90)]);
        self.entry(
            10,
            false,
            false,
            vec![
                Operation::MoveUnits(moved),
                Operation::SetSafetyStock(safety),
                send(transfer, 3),
                send(other, 2),
                Operation::ReceiveTransfer(ReceiveTransfer { transfer, parts: vec![arrived] }),
                Operation::LoseTransfer(LoseTransfer { transfer, parts: parts(0, 1) }),
                Operation::CancelTransfer(CancelTransfer { transfer }),
                Operation::ExpectReceipt(expect),
                Operation::Receive(expected),
                Operation::CloseReceipt(CloseReceipt { receipt }),
            ],
        );
    }

    fn hold(&mut self) {
        self.entry(
            10,
            false,
            true,
            vec![reserve(2, vec![line("A", "store", 1)], 30), Operation::Release(Release { reservation: id(2) })],
        );
        self.entry(
            10,
            true,
            false,
            vec![
                receive("A", "main", 2),
                reserve(3, vec![line("A", "main", 2)], 30),
                commit(3, Vec::new(), IfExpired::Fail, None),
            ],
        );
    }

    fn expire(&mut self) {
        self.entry(10, false, false, vec![reserve(4, vec![line("A", "main", 1), line("A", "store", 1)], 1)]);
        self.entry(5_000, false, false, Vec::new());
        self.entry(10, false, false, vec![commit(4, Vec::new(), IfExpired::Retake, None)]);
    }

    fn bound(&mut self) {
        let limits = Limits { results: 40, live_reservations: 3, ended_reservations: 1, items: 3, ..Limits::default() };
        let set = Operation::SetLimits(Box::new(SetLimits { limits }));
        self.entry(10, false, false, vec![set, receive("A", "main", 1)]);
        self.entry(10, false, false, vec![receive("A", "main", 1)]);
    }
}
