//! A shard's log entry, as any bytes: for the property test and a target of `fuzz/`.

#![allow(clippy::unwrap_used, reason = "a failure is what is looked for")]

use holdfast_inventory::commands::{
    Abandon, Adjust, Admit, Amend, ApplyCount, ArrivedUnits, AskDecision, AskedLine, BlockLot, Cancel, CancelCount,
    CancelTransfer, CloseReceipt, Commit, CommitDraw, CountedUnits, CounterLine, CreateTransfer, Discrepancy,
    DocumentLine, Draw, ExpectReceipt, Extend, Follow, Fulfil, Grant, HaltShard, IfExpired, JoinQueue, KitOf, Line,
    LoseTransfer, MoveUnits, OpenCount, Picked, Plan, Prepare, PreparedPart, PutCampaign, PutChannel, PutItem, PutKit,
    PutLimit, PutLocation, PutLot, PutSharedLimit, Receive, ReceiveTransfer, Reconcile, RecordCount, Release,
    ReportStep, Reserve, ReserveSpread, ResolveOrder, ResumeShard, Return, Revoke, Set, SetLimits, SetSafetyStock,
    Sourced, StartOrder, StepReport, Told,
};
use holdfast_inventory::invariants::Invariant;
use holdfast_inventory::{
    Applied, AttemptId, Backorder, BodyHash, CampaignAdmission, CampaignSpec, Cause, ChannelSpec, Command, CommandId,
    Commitment, Compensation, Component, Condition, CountId, CustomerHash, Inventory, ItemSpec, ItemStatus, LimitSpec,
    LimitWindow, Limits, LineCounts, LineUnits, LocationId, LocationKind, LocationSpec, LogTime, LotDates, LotId,
    LotSpec, LotStatus, Operation, OrderRef, Pass, ReceiptId, Refusal, ReservationId, Revision, Seed, SharedLimitSpec,
    Sku, Slot, StepKind, StepSpec, TransferId, Units,
};

use super::{EntryBuilder, NEXT_SCHEMA, SCHEMA, decode_entry, encode_command};

pub(super) fn sku() -> Sku {
    Sku::new("LIP-01").unwrap()
}

pub(super) fn location() -> LocationId {
    LocationId::new("main").unwrap()
}

pub(super) fn reservation() -> ReservationId {
    ReservationId::mint(1_790_000_000_000, Slot::new(12).unwrap(), 99)
}

fn line() -> Line {
    Line {
        sku: sku(),
        location: location(),
        units: Units(2),
        lot: LotId::new("L1").ok(),
        optional: true,
        no_backorder: true,
        min_units: Some(Units(1)),
    }
}

fn parts() -> Vec<LineUnits> {
    vec![LineUnits { line: 0, units: Units(1) }]
}

fn picks() -> Vec<Picked> {
    vec![Picked { line: 0, units: Units(1), lot: LotId::new("L1").ok() }]
}

fn lot_spec() -> LotSpec {
    let dates =
        LotDates { manufactured_at: Some(LogTime(1)), best_before: Some(LogTime(2)), expires_at: Some(LogTime(3)) };
    LotSpec { supplier_lot: "S-17".into(), dates }
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
        keep_trace_ms: 11,
        items: 8,
        sweep: 9,
        max_hold_s: 10,
    }
}

pub(super) fn every_operation() -> Vec<Operation> {
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
        Operation::PutChannel(Box::new(PutChannel {
            channel: "web".parse().unwrap(),
            spec: ChannelSpec { locations: vec![location()], buffer: 3, active: false },
            revision: Revision(5),
        })),
        Operation::SetLimits(Box::new(SetLimits { limits: odd_limits() })),
        Operation::PutSharedLimit(Box::new(PutSharedLimit {
            limit: "make-up".parse().unwrap(),
            spec: SharedLimitSpec {
                skus: vec!["mascara".parse().unwrap(), sku()],
                rule: LimitSpec {
                    units: 4,
                    window: LimitWindow::RollingSeconds(60),
                    returns_restore: true,
                    active: false,
                },
            },
            revision: Revision(6),
        })),
        Operation::Receive(Receive {
            sku: sku(),
            location: location(),
            lot: None,
            lot_spec: None,
            units: Units(7),
            receipt: None,
        }),
        Operation::PutLot(Box::new(PutLot {
            sku: sku(),
            lot: LotId::new("L1").unwrap(),
            spec: lot_spec(),
            if_revision: Some(Revision(4)),
        })),
        Operation::Receive(Receive {
            sku: sku(),
            location: location(),
            lot: LotId::new("L1").ok(),
            lot_spec: Some(Box::new(lot_spec())),
            units: Units(7),
            receipt: None,
        }),
        Operation::BlockLot(BlockLot { sku: sku(), lot: LotId::new("L1").unwrap(), status: LotStatus::Quarantined }),
        Operation::Adjust(Adjust {
            sku: sku(),
            location: location(),
            lot: None,
            delta: -3,
            condition: Condition::Damaged,
        }),
        Operation::Set(Set { sku: sku(), location: location(), lot: None, on_hand: 9, if_revision: Revision(0) }),
        Operation::Reserve(reserve()),
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
        Operation::Fulfil(Fulfil { reservation: reservation(), parts: picks() }),
        Operation::Cancel(Cancel { reservation: reservation() }),
        Operation::Return(Return {
            reservation: reservation(),
            parts: picks(),
            location: Some(location()),
            condition: Condition::QualityControl,
        }),
    ]
    .into_iter()
    .chain(operations_of_places())
    .collect()
}

fn operations_of_places() -> Vec<Operation> {
    let slot = Slot::new(12).unwrap();
    let transfer = TransferId::mint(1_790_000_000_000, slot, 98);
    let receipt = ReceiptId::mint(1_790_000_000_000, slot, 97);
    let lot = LotId::new("L1").ok();
    let lines = || vec![DocumentLine { lot: LotId::new("L1").ok(), units: Units(2) }];
    let part = ArrivedUnits { line: 0, units: Units(1), condition: Condition::Damaged };
    let to = LocationId::new("shop").unwrap();
    let of_callers = vec![
        Operation::MoveUnits(MoveUnits {
            sku: sku(),
            location: location(),
            lot: lot.clone(),
            units: Units(3),
            from: Condition::Resellable,
            to: Condition::Damaged,
        }),
        Operation::PutLimit(PutLimit {
            limit: "two-each".parse().unwrap(),
            sku: sku(),
            spec: LimitSpec { units: 2, window: LimitWindow::RollingSeconds(7), returns_restore: true, active: false },
            if_revision: Some(Revision(0)),
            campaign: None,
        }),
        Operation::PutLimit(PutLimit {
            limit: "one-in-the-drop".parse().unwrap(),
            sku: sku(),
            spec: LimitSpec { units: 1, window: LimitWindow::ForEver, returns_restore: false, active: true },
            if_revision: None,
            campaign: Some("drop".parse().unwrap()),
        }),
        Operation::SetSafetyStock(SetSafetyStock {
            sku: sku(),
            location: location(),
            units: 4,
            if_revision: Some(Revision(9)),
        }),
        Operation::CreateTransfer(CreateTransfer { transfer, sku: sku(), from: location(), to, lines: lines() }),
        Operation::ReceiveTransfer(ReceiveTransfer { transfer, parts: vec![part] }),
        Operation::LoseTransfer(LoseTransfer { transfer, parts: parts() }),
        Operation::CancelTransfer(CancelTransfer { transfer }),
        Operation::ExpectReceipt(ExpectReceipt {
            receipt,
            sku: sku(),
            location: location(),
            lines: lines(),
            expected_at: Some(LogTime(1_790_000_000_007)),
        }),
        Operation::Receive(Receive {
            sku: sku(),
            location: location(),
            lot,
            lot_spec: None,
            units: Units(1),
            receipt: Some(receipt),
        }),
        Operation::CloseReceipt(CloseReceipt { receipt }),
    ];
    let of_sales = operations_of_orders().into_iter().chain(operations_of_rooms());
    of_callers.into_iter().chain(between_shards()).chain(operations_of_counts()).chain(of_sales).collect()
}

fn operations_of_orders() -> Vec<Operation> {
    let step = |name: &str, kind, compensation| StepSpec {
        name: name.parse().unwrap(),
        kind,
        deadline_ms: 60_000,
        max_attempts: 3,
        compensation,
        compensation_deadline_ms: 90_000,
        payload: b"EUR 12.50".to_vec(),
    };
    let endpoint = |name: &str| name.parse().unwrap();
    let pay = StepKind::Call { endpoint: endpoint("payments") };
    let report = |report, is_compensation, attempt| {
        let (order, step) = (reservation(), "pay".parse().unwrap());
        Operation::ReportStep(Box::new(ReportStep { order, step, is_compensation, report, attempt }))
    };
    vec![
        Operation::StartOrder(Box::new(StartOrder {
            reservation: reservation(),
            steps: vec![
                step("pay", pay, Compensation::Call { endpoint: endpoint("refunds") }),
                step("fraud", StepKind::Await, Compensation::None),
                step("gift", StepKind::Await, Compensation::Await),
            ],
        })),
        report(StepReport::Done { answer: b"P-1".to_vec(), is_fallback: true }, false, 2),
        report(StepReport::Failed { why: "declined".to_owned() }, true, 0),
        report(StepReport::Retry { why: "503".to_owned() }, false, 7),
        Operation::ResolveOrder(ResolveOrder {
            order: reservation(),
            confirm: true,
            reason: "seen in the bank".to_owned(),
        }),
    ]
}

fn operations_of_counts() -> Vec<Operation> {
    let count = CountId::mint(1_790_000_000_000, Slot::new(12).unwrap(), 96);
    let line = |lot, condition, units| CountedUnits { lot, condition, units };
    let lines = vec![
        line(LotId::new("L1").ok(), Condition::Resellable, 7),
        line(LotId::new("L1").ok(), Condition::Damaged, 0),
        line(None, Condition::QualityControl, 2_000_000_000),
    ];
    let reconcile = |lot, discrepancy, delta| {
        let repair = delta < 0;
        Operation::Reconcile(Reconcile { sku: sku(), location: location(), lot, discrepancy, delta, repair })
    };
    vec![
        Operation::OpenCount(OpenCount { count, sku: sku(), location: location(), reference: "spring".to_owned() }),
        Operation::RecordCount(RecordCount { count, lines }),
        Operation::ApplyCount(ApplyCount { count }),
        Operation::CancelCount(CancelCount { count }),
        reconcile(None, Discrepancy::MissingSale, -3),
        reconcile(None, Discrepancy::DoubleShipment, 5),
        reconcile(None, Discrepancy::ManualOverride, -1),
        reconcile(LotId::new("L1").ok(), Discrepancy::Drift, 2_000_000_000),
    ]
}

fn between_shards() -> Vec<Operation> {
    vec![
        Operation::ReserveSpread(Box::new(ReserveSpread {
            reserve: reserve(),
            parts: vec![PreparedPart {
                slot: Slot::new(13).unwrap(),
                numbers: vec![1],
                held: vec![2],
                backordered: vec![3],
                release_at: Some(LogTime(12)),
            }],
            refused: None,
            attempt: AttemptId(u64::MAX - 1),
            deadline: LogTime(5),
            not_after: LogTime(u64::MAX),
        })),
        Operation::ReserveSpread(Box::new(ReserveSpread {
            reserve: reserve(),
            parts: Vec::new(),
            refused: Some(Refusal::UnknownSku { sku: sku() }),
            attempt: AttemptId(2),
            deadline: LogTime(5),
            not_after: LogTime(6),
        })),
        Operation::Prepare(Box::new(Prepare {
            reserve: reserve(),
            numbers: vec![3, 7],
            command: CommandId(u128::MAX - 5),
            attempt: AttemptId(3),
            deadline: LogTime(8),
        })),
        Operation::Follow(Box::new(Follow {
            reservation: reservation(),
            attempt: AttemptId(4),
            version: 3,
            lines: vec![odd_counts()],
            filled: vec![16],
        })),
        Operation::Abandon(Abandon { reservation: reservation(), attempts: vec![AttemptId(5), AttemptId(6)] }),
        Operation::AskDecision(AskDecision {
            reservation: reservation(),
            slot: Slot::new(14).unwrap(),
            attempts: vec![AttemptId(7), AttemptId(8)],
            deadline: LogTime(10),
            filled: vec![17, 0],
            returned: vec![0, 18],
        }),
        Operation::Told(Told {
            reservation: reservation(),
            slot: Slot::new(15).unwrap(),
            attempt: AttemptId(9),
            version: 4,
        }),
        Operation::PutKit(Box::new(PutKit {
            sku: "gift-set".parse().unwrap(),
            name: "Gift set".to_owned(),
            components: vec![
                Component { sku: sku(), units: Units(2) },
                Component { sku: "ribbon".parse().unwrap(), units: Units(1) },
            ],
            if_revision: Some(Revision(3)),
            if_absent: true,
            backorder: true,
        })),
        Operation::HaltShard(Box::new(HaltShard {
            invariant: Invariant::Ledger,
            finding: "LIP-01 at main: 6, not 5".to_owned(),
            node: 3,
            seen_seq: 41,
        })),
        Operation::ResumeShard(ResumeShard { halted_seq: 42 }),
        Operation::PutCampaign(Box::new(PutCampaign {
            campaign: "drop".parse().unwrap(),
            spec: CampaignSpec {
                starts_at: LogTime(21),
                ends_at: LogTime(22),
                admission: CampaignAdmission::Lottery,
                closed: true,
            },
            revision: Revision(23),
        })),
        Operation::Grant(Box::new(Grant {
            campaign: "drop".parse().unwrap(),
            sku: sku(),
            location: location(),
            units: Units(24),
        })),
        Operation::Revoke(Box::new(Revoke {
            campaign: "drop".parse().unwrap(),
            sku: sku(),
            location: location(),
            units: Units(25),
        })),
    ]
}

fn operations_of_rooms() -> Vec<Operation> {
    vec![
        Operation::JoinQueue(Box::new(JoinQueue {
            campaign: "drop".parse().unwrap(),
            customer: CustomerHash(u128::MAX - 7),
        })),
        Operation::CommitDraw(Box::new(CommitDraw {
            campaign: "drop".parse().unwrap(),
            commitment: Commitment([26; 32]),
        })),
        Operation::Draw(Box::new(Draw { campaign: "drop".parse().unwrap(), seed: Seed([27; 32]) })),
        Operation::Admit(Box::new(Admit {
            campaign: "drop".parse().unwrap(),
            tickets: 28,
            valid_s: 29,
            left: 30,
            spent: 31,
            newly_spent: vec![32, 33],
            as_of: LogTime(34),
        })),
    ]
}

/// Counts of which no two are alike.
fn odd_counts() -> LineCounts {
    LineCounts {
        held: 1,
        backordered: 2,
        short: 3,
        short_sold: 4,
        committed: 5,
        fulfilled: 6,
        cancelled: 7,
        released: 8,
        expired: 9,
        returned: 10,
        backordered_sold: 11,
    }
}

/// One asked kit, or a kit and another line.
pub(super) fn plan(of: &[u16]) -> Plan {
    let kit = KitOf { sku: "gift-set".parse().unwrap(), revision: Revision(3) };
    let asked = AskedLine { units: Units(2), optional: true, kit: Some(kit), min_units: Some(Units(1)) };
    Plan {
        request: BodyHash(1 << 90 | 5),
        asked: vec![asked.clone(), AskedLine { kit: None, ..asked }],
        of: of.to_vec(),
        sourced: Some(Sourced { allow_split: true, last: false, nearest: vec![location()] }),
        counters: vec![CounterLine { limit: "make-up".parse().unwrap(), lines: vec![0, 3] }],
    }
}

fn reserve() -> Reserve {
    Reserve {
        reservation: reservation(),
        lines: vec![line(), line()],
        ttl_s: 30,
        partial_ok: true,
        order_ref: OrderRef::new("web-1").ok(),
        customer: Some(CustomerHash(u128::MAX - 7)),
        channel: "web".parse().ok(),
        campaign: None,
        plan: Some(Box::new(plan(&[0, 0]))),
        pass: Some(Pass { ticket: 34, expires_at: LogTime(35) }),
    }
}

pub(super) fn command(number: u128, operation: Operation) -> Command {
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

/// A valid input: an entry with every command.
#[must_use]
pub fn valid() -> Vec<u8> {
    let mut builder = EntryBuilder::new(LogTime(1_790_000_000_001), SCHEMA);
    for (operation, number) in every_operation().into_iter().zip(1..) {
        builder.push(&encode_command(&mut command(number, operation)));
    }
    builder.finish().to_vec()
}

/// Refuses it, or applies it: true.
pub fn read(bytes: &[u8]) -> bool {
    let Ok(entry) = decode_entry(bytes, NEXT_SCHEMA) else { return false };
    let mut inventory = Inventory::new(Limits::default());
    let mut applied = Applied::default();
    inventory.apply(&entry, &mut applied);
    assert_eq!(applied.answers.len(), entry.commands.len());
    assert_eq!(inventory.digest(), inventory.recompute_digest());
    true
}
