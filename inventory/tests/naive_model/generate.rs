//! Random entries over a small world, in which ids, items and places meet often.

use holdfast_inventory::commands::{
    Adjust, Amend, Cancel, Commit, Extend, Fulfil, IfExpired, Line, Picked, PutItem, PutLocation, Receive, Release,
    Reserve, Return, Set, SetLimits,
};
use holdfast_inventory::{
    BodyHash, Command, CommandId, Condition, Entry, ItemSpec, ItemStatus, Limits, LineUnits, LocationId, LocationSpec,
    LogTime, Operation, ReservationId, Revision, Sku, Slot, Units,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One command as the generator says it; [`Script::entry`] turns it into a real one.
#[derive(Clone, Debug)]
pub struct Wish {
    operation: Operation,
    linked: bool,
    keyed: bool,
    minted_ms_ago: i64,
    /// The same command as an earlier one, perhaps with another body.
    again: Option<(Index, bool)>,
}

/// One entry, and what happens to the machine after it.
#[derive(Clone, Debug)]
pub struct Step {
    pub later_ms: u64,
    pub wishes: Vec<Wish>,
    pub reload: bool,
    pub cut: bool,
}

/// Turns steps into entries: gives ids, repeats what is to be repeated.
#[derive(Default)]
pub struct Script {
    now: u64,
    history: Vec<Command>,
    reservations: u64,
}

impl Script {
    pub fn entry(&mut self, step: &Step) -> Entry {
        self.now += step.later_ms;
        let mut commands: Vec<Command> = Vec::new();
        let last = step.wishes.len().saturating_sub(1);
        for (at, wish) in step.wishes.iter().enumerate() {
            // Now and then the last command claims that one follows.
            let linked = wish.linked && (at < last || wish.minted_ms_ago % 7 == 0);
            let number = self.history.len() as u128 + 1;
            let mut command = Command {
                id: CommandId(number),
                minted_at: LogTime((self.now + 10_000_000).saturating_add_signed(-wish.minted_ms_ago)),
                keyed: wish.keyed,
                body: BodyHash(number),
                linked,
                cause: None,
                operation: self.with_ids(&wish.operation),
            };
            if let Some((index, other_body)) = &wish.again
                && !self.history.is_empty()
            {
                let earlier = index.get(&self.history);
                if !commands.iter().any(|command| command.id == earlier.id) {
                    command = Command { linked, ..earlier.clone() };
                    command.body.0 += u128::from(*other_body) << 64;
                }
            } else {
                self.history.push(command.clone());
            }
            if commands.iter().all(|other| other.id != command.id) {
                commands.push(command);
            }
        }
        Entry { time: LogTime(self.now + 10_000_000), commands }
    }

    /// Gives a reserve an id of its own, but for one in eight, and all else the id of one of the last reserves.
    fn with_ids(&mut self, wish: &Operation) -> Operation {
        let mut operation = wish.clone();
        let last = self.reservations;
        let recent = |id: &mut ReservationId| *id = id_number(last.saturating_sub((id.0 & 7) as u64 * 3 / 4));
        match &mut operation {
            Operation::Reserve(reserve) if reserve.reservation.0 & 7 > 0 => {
                self.reservations += 1;
                reserve.reservation = id_number(self.reservations);
            }
            Operation::Reserve(reserve) => reserve.reservation = id_number(last),
            Operation::Amend(of) => recent(&mut of.reservation),
            Operation::Extend(of) => recent(&mut of.reservation),
            Operation::Commit(of) => recent(&mut of.reservation),
            Operation::Release(of) => recent(&mut of.reservation),
            Operation::Fulfil(of) => recent(&mut of.reservation),
            Operation::Cancel(of) => recent(&mut of.reservation),
            Operation::Return(of) => recent(&mut of.reservation),
            Operation::PutItem(_)
            | Operation::PutLocation(_)
            | Operation::Receive(_)
            | Operation::Adjust(_)
            | Operation::Set(_)
            | Operation::SetLimits(_)
            | Operation::PutLot(_)
            | Operation::BlockLot(_)
            | Operation::MoveUnits(_)
            | Operation::SetSafetyStock(_)
            | Operation::CreateTransfer(_)
            | Operation::ReceiveTransfer(_)
            | Operation::LoseTransfer(_)
            | Operation::CancelTransfer(_)
            | Operation::ExpectReceipt(_)
            | Operation::CloseReceipt(_)
            | Operation::ReserveSpread(_)
            | Operation::Prepare(_)
            | Operation::Follow(_)
            | Operation::Abandon(_)
            | Operation::AskDecision(_)
            | Operation::Told(_)
            | Operation::PutLimit(_)
            | Operation::PutKit(_)
            | Operation::StartOrder(_)
            | Operation::ReportStep(_)
            | Operation::ResolveOrder(_)
            | Operation::PutSharedLimit(_)
            | Operation::PutChannel(_)
            | Operation::OpenCount(_)
            | Operation::RecordCount(_)
            | Operation::ApplyCount(_)
            | Operation::CancelCount(_)
            | Operation::Reconcile(_)
            | Operation::HaltShard(_)
            | Operation::ResumeShard(_)
            | Operation::PutCampaign(_)
            | Operation::Grant(_)
            | Operation::Revoke(_)
            | Operation::JoinQueue(_)
            | Operation::CommitDraw(_)
            | Operation::Draw(_)
            | Operation::Admit(_) => {}
        }
        operation
    }
}

fn id_number(number: u64) -> ReservationId {
    ReservationId::mint(1, Slot::new(5).unwrap(), number)
}

/// The first entry: the world.
pub fn world() -> Entry {
    let operations =
        locations().into_iter().map(|location| put_location(location, true)).chain(skus().into_iter().map(|sku| {
            Operation::PutItem(Box::new(PutItem { spec: spec_of(&sku), sku, if_revision: None, if_absent: false }))
        }));
    let stock = |sku| {
        Operation::Receive(Receive {
            sku,
            location: locations()[0].clone(),
            lot: None,
            lot_spec: None,
            units: Units(30),
            receipt: None,
        })
    };
    let operations = operations.chain(skus().into_iter().map(stock));
    let command = |(number, operation)| Command {
        id: CommandId(u128::MAX - number as u128),
        minted_at: LogTime(10_000_000),
        keyed: false,
        body: BodyHash(1),
        linked: false,
        cause: None,
        operation,
    };
    Entry { time: LogTime(10_000_000), commands: operations.enumerate().map(command).collect() }
}

/// Limits that a run meets often.
pub fn small_limits() -> Limits {
    Limits {
        results: 24,
        result_window_ms: 3_000_000,
        keyed_minimum_ms: 600_000,
        live_reservations: 7,
        ended_reservations: 6,
        keep_ended_ms: 4_000_000,
        keep_trace_ms: 9_000_000,
        ..Limits::default()
    }
}

/// An item with no limits, one with all of them, one that is not tracked.
pub fn skus() -> Vec<Sku> {
    ["plain", "limited", "untracked"].into_iter().map(|sku| sku.parse().unwrap()).collect()
}

pub fn locations() -> Vec<LocationId> {
    ["PAR", "a location with a name beyond what lies inline"].into_iter().map(|id| id.parse().unwrap()).collect()
}

fn spec_of(sku: &Sku) -> ItemSpec {
    match sku.as_str() {
        "limited" => {
            ItemSpec { max_per_order: Some(9), max_hold_s: Some(700), low_stock_threshold: 4, ..ItemSpec::default() }
        }
        "untracked" => ItemSpec { tracked: false, ..ItemSpec::default() },
        _ => ItemSpec::default(),
    }
}

fn put_location(location: LocationId, active: bool) -> Operation {
    let spec = LocationSpec { active, ..LocationSpec::default() };
    Operation::PutLocation(Box::new(PutLocation { location, spec, if_revision: None }))
}

fn sku() -> impl Strategy<Value = Sku> {
    prop_oneof![6 => Just(0), 4 => Just(1), 1 => Just(2)].prop_map(|at| skus()[at].clone())
}

fn seldom_unknown_sku() -> impl Strategy<Value = Sku> {
    prop_oneof![30 => sku(), 1 => Just("nothing".parse().unwrap())]
}

fn location() -> impl Strategy<Value = LocationId> {
    prop_oneof![20 => Just(0), 8 => Just(1)].prop_map(|at: usize| locations()[at].clone())
}

fn units() -> impl Strategy<Value = Units> {
    (1..5_u32).prop_map(Units)
}

fn reservation_id() -> impl Strategy<Value = ReservationId> {
    (0..8_u64).prop_map(id_number)
}

fn condition() -> impl Strategy<Value = Condition> {
    select(vec![Condition::Resellable, Condition::Resellable, Condition::Damaged, Condition::QualityControl])
}

fn line() -> impl Strategy<Value = Line> {
    (seldom_unknown_sku(), location(), units(), prop::bool::weighted(0.2)).prop_map(
        |(sku, location, units, optional)| Line {
            sku,
            location,
            units,
            lot: None,
            optional,
            no_backorder: false,
            min_units: None,
        },
    )
}

fn parts() -> impl Strategy<Value = Vec<LineUnits>> {
    let part = (0..2_u32, 1..5_u32).prop_map(|(line, units)| LineUnits { line, units: Units(units) });
    prop_oneof![
        3 => Just(Vec::new()),
        2 => part.prop_map(|part| vec![part]),
        1 => (1..4_u32, 1..4_u32).prop_map(|(first, second)| vec![
            LineUnits { line: 0, units: Units(first) },
            LineUnits { line: 1, units: Units(second) },
        ]),
    ]
}

fn amended_lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (line(), 0..7_u32).prop_map(|(line, units)| Line { units: Units(units), ..line });
    prop::collection::vec(line, 1..3).prop_map(|mut lines| {
        if lines.len() == 2 && (&lines[0].sku, &lines[0].location) == (&lines[1].sku, &lines[1].location) {
            lines.pop();
        }
        lines
    })
}

fn put_item() -> impl Strategy<Value = Operation> {
    (sku(), any::<bool>(), 0..4_u64, 0..10_u8).prop_map(|(sku, if_absent, revision, change)| {
        let mut spec = spec_of(&sku);
        match change {
            0 => spec.status = ItemStatus::Paused,
            1 => spec.name = "renamed".to_owned(),
            2 => spec.tracked = !spec.tracked,
            _ => {}
        }
        let if_revision = (revision > 1).then_some(Revision(revision));
        Operation::PutItem(Box::new(PutItem { sku, spec, if_revision, if_absent }))
    })
}

fn commit() -> impl Strategy<Value = Operation> {
    let ahead = prop_oneof![3 => Just(None), 1 => (0..2_000_000_u64).prop_map(Some)];
    (reservation_id(), parts(), any::<bool>(), any::<bool>(), ahead).prop_map(
        |(reservation, parts, last, retake, ahead)| {
            let if_expired = if retake { IfExpired::Retake } else { IfExpired::Fail };
            let cancel_at = ahead.map(|ahead| LogTime(10_500_000 + ahead));
            Operation::Commit(Commit { reservation, parts, last, if_expired, cancel_at })
        },
    )
}

fn reserve() -> impl Strategy<Value = Operation> {
    let lines = prop::collection::vec(line(), 1..4);
    (reservation_id(), lines, 1..900_u32, prop::bool::weighted(0.15), any::<bool>()).prop_map(
        |(reservation, lines, ttl_s, partial_ok, named)| {
            let order_ref = named.then(|| "order-1".parse().unwrap());
            let (customer, channel, campaign) = (None, None, None);
            Operation::Reserve(Reserve {
                reservation,
                lines,
                ttl_s,
                partial_ok,
                order_ref,
                customer,
                channel,
                campaign,
                plan: None,
                pass: None,
            })
        },
    )
}

fn set_limits() -> impl Strategy<Value = Operation> {
    (12..28_u64, 5..9_u64, 2..7_u64, 300..14_400_u32).prop_map(
        |(results, live_reservations, ended_reservations, max_hold_s)| {
            let limits = Limits { results, live_reservations, ended_reservations, max_hold_s, ..small_limits() };
            Operation::SetLimits(Box::new(SetLimits { limits }))
        },
    )
}

fn operation() -> impl Strategy<Value = Operation> {
    let receive = (seldom_unknown_sku(), location(), 1..20_u32).prop_map(|(sku, location, units)| {
        Operation::Receive(Receive { sku, location, lot: None, lot_spec: None, units: Units(units), receipt: None })
    });
    let adjust = (sku(), location(), prop_oneof![-6..0_i64, 1..6_i64], condition()).prop_map(
        |(sku, location, delta, condition)| Operation::Adjust(Adjust { sku, location, lot: None, delta, condition }),
    );
    let set = (sku(), location(), 0..25_u64, 0..8_u64).prop_map(|(sku, location, on_hand, revision)| {
        Operation::Set(Set { sku, location, lot: None, on_hand, if_revision: Revision(revision) })
    });
    let amend = (reservation_id(), amended_lines())
        .prop_map(|(reservation, lines)| Operation::Amend(Amend { reservation, lines }));
    let extend = (reservation_id(), 1..900_u32)
        .prop_map(|(reservation, ttl_s)| Operation::Extend(Extend { reservation, ttl_s }));
    let picked = |parts: Vec<LineUnits>| {
        parts.into_iter().map(|LineUnits { line, units }| Picked { line, units, lot: None }).collect::<Vec<_>>()
    };
    let fulfil = (reservation_id(), parts())
        .prop_map(move |(reservation, parts)| Operation::Fulfil(Fulfil { reservation, parts: picked(parts) }));
    let returned = (reservation_id(), parts(), prop::option::weighted(0.3, location()), condition()).prop_map(
        move |(reservation, mut parts, location, condition)| {
            if parts.is_empty() {
                parts.push(LineUnits { line: 0, units: Units(1) });
            }
            Operation::Return(Return { reservation, parts: picked(parts), location, condition })
        },
    );
    prop_oneof![
        6 => receive,
        3 => adjust,
        2 => set,
        12 => reserve(),
        5 => amend,
        3 => extend,
        14 => commit(),
        3 => reservation_id().prop_map(|reservation| Operation::Release(Release { reservation })),
        10 => fulfil,
        3 => reservation_id().prop_map(|reservation| Operation::Cancel(Cancel { reservation })),
        6 => returned,
        1 => put_item(),
        1 => set_limits(),
        1 => (location(), prop::bool::weighted(0.9)).prop_map(|(location, active)| put_location(location, active)),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    let minted_ms_ago = prop_oneof![30 => 0..4_i64, 1 => 0..4_000_000_i64, 1 => -400_000..0_i64];
    let again = prop_oneof![6 => Just(None), 1 => (any::<Index>(), prop::bool::weighted(0.3)).prop_map(Some)];
    (operation(), prop::bool::weighted(0.12), prop::bool::weighted(0.1), minted_ms_ago, again).prop_map(
        |(operation, linked, keyed, minted_ms_ago, again)| Wish { operation, linked, keyed, minted_ms_ago, again },
    )
}

/// Steps to run one after the other.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let later_ms = prop_oneof![12 => 0..2_000_u64, 6 => 0..200_000_u64, 1 => 0..3_000_000_u64];
    let wishes = prop_oneof![1 => Just(Vec::new()), 8 => prop::collection::vec(wish(), 1..5)];
    let step = (later_ms, wishes, prop::bool::weighted(0.06), prop::bool::weighted(0.2))
        .prop_map(|(later_ms, wishes, reload, cut)| Step { later_ms, wishes, reload, cut });
    prop::collection::vec(step, 1..60)
}
