//! Between the history's words and the client's: the one place.

use holdfast_client::ids::{CommandId, CountId, ReceiptId, ReservationId, TransferId};
use holdfast_client::{
    Admit, Amend, ApplyCount, BlockLot, Cancel, CancelCount, CancelTransfer, CloseReceipt, Command as ClientCommand,
    CommandKey, Commit, CommitDraw, Consistency, CreateTransfer, Draw, Error, ExpectReceipt, Extend, Fulfil, Grant,
    JoinQueue, LoseTransfer, OpenCount, OrderStep, PutItem, PutKit, PutLimit, Recall, Receive, ReceiveTransfer,
    RecordCount, Release, ReportStep, Reserve, ResolveOrder, Return, Revoke, Room, Set, StartOrder, Stock, Success,
    UnblockLot, v1,
};
use std::time::Duration;

use super::provider;
use crate::history::{
    AWAY, Answer, AskedSeen, Change, Command, CountPhase, CountSeen, Done, Freshness, Id, KitLine, LAST_DAY_OF_LOT_0,
    LineSeen, LotLine, NamedSeen, OrderSeen, Outcome, Phase, Position, Refused, Request, ReservationSeen, RoomSeen,
    Sale, Showing, StepAsked, StockSeen, Through, TicketSeen, Turn, Undo, item_of, name_at, seed_of,
};

/// How long what is sold and shipped line by line is held, in seconds: beyond any run.
const IN_PARTS_TTL_S: u32 = 14_400;

/// A command as the client sends it. Its id, if minted, tells when it was.
pub(super) fn command(command: &Command) -> ClientCommand {
    let whole = |seconds: u32| Duration::from_secs(u64::from(seconds));
    let of = |id: crate::history::Id| ReservationId(id.0);
    let made: ClientCommand = match &command.request {
        Request::PutItem { sku } => {
            PutItem::new(v1::Item { sku: sku.clone(), name: format!("Item {sku}"), ..v1::Item::default() }).into()
        }
        Request::PutItemByLot { sku } => {
            let (sku, name) = (item_of(sku).to_owned(), format!("Item {}", item_of(sku)));
            PutItem::new(v1::Item { sku, name, lot_tracked: true, ..v1::Item::default() }).into()
        }
        Request::PutItemToWaitFor { sku, cap, release_at_ms } => {
            let item = v1::Item { sku: sku.clone(), name: format!("Item {sku}"), ..v1::Item::default() };
            PutItem::new(item).preorder(*release_at_ms, *cap).into()
        }
        Request::Receive { sku, units } => Receive::of(item_of(sku), *units).at(place_of(sku)).into(),
        Request::ReceiveLot { sku, lot, units } => {
            Receive::of(item_of(sku), *units).at(place_of(sku)).lot(lot.to_string()).lot_spec(lot_spec(*lot)).into()
        }
        Request::BlockLot { sku, lot } => BlockLot::of(sku, lot.to_string()).into(),
        Request::UnblockLot { sku, lot } => UnblockLot::of(sku, lot.to_string()).into(),
        Request::Set { sku, on_hand, if_revision } => Set::of(sku, *on_hand, *if_revision).into(),
        Request::PutLimit { sku, units } => PutLimit::of(format!("limit of {sku}"), sku, *units).into(),
        Request::Reserve { reservation, lines, ttl_s, customer, .. } => {
            held(of(*reservation), lines, whole(*ttl_s), *customer).into()
        }
        Request::ReserveThrough { reservation, lines, ttl_s, through } => {
            let reserve = sourced(Reserve::new().id(of(*reservation)).ttl(whole(*ttl_s)), through);
            lines.iter().fold(reserve, |reserve, line| reserve.line(&line.sku, line.units)).into()
        }
        Request::Extend { reservation, ttl_s } => Extend::of(of(*reservation), whole(*ttl_s)).into(),
        Request::Commit { reservation } => Commit::of(of(*reservation)).into(),
        Request::Release { reservation } => Release::of(of(*reservation)).into(),
        Request::Fulfil { reservation } => Fulfil::of(of(*reservation)).into(),
        Request::Cancel { reservation } => Cancel::of(of(*reservation)).into(),
        Request::Send { transfer, sku, to, lot, units } => CreateTransfer::of(item_of(sku), place_of(to))
            .from_location(place_of(sku))
            .units_of_lot(*units, lot.to_string())
            .id(TransferId(transfer.0))
            .into(),
        Request::Arrive { transfer, units, .. } => {
            ReceiveTransfer::of(TransferId(transfer.0)).line(0, *units, v1::Condition::Resellable).into()
        }
        Request::Lose { transfer, units, .. } => LoseTransfer::of(TransferId(transfer.0)).line(0, *units).into(),
        Request::CallBack { transfer, .. } => CancelTransfer::of(TransferId(transfer.0)).into(),
        Request::Expect { receipt, sku, units } => {
            ExpectReceipt::of(item_of(sku)).at(place_of(sku)).units(*units).id(ReceiptId(receipt.0)).into()
        }
        Request::ReceiveExpected { receipt, sku, lot, units } => Receive::of(item_of(sku), *units)
            .at(place_of(sku))
            .lot(lot.to_string())
            .lot_spec(lot_spec(*lot))
            .receipt(ReceiptId(receipt.0))
            .into(),
        Request::Ship { reservation, units } => Fulfil::of(of(*reservation)).line(0, *units).into(),
        Request::OpenCount { count, sku } => OpenCount::of(item_of(sku)).at(place_of(sku)).id(CountId(count.0)).into(),
        Request::RecordCount { count, lot, units, .. } => {
            RecordCount::of(CountId(count.0)).units_of_lot(u64::from(*units), lot.to_string()).into()
        }
        Request::ApplyCount { count, .. } => ApplyCount::of(CountId(count.0)).into(),
        Request::CancelCount { count, .. } => CancelCount::of(CountId(count.0)).into(),
        Request::CloseReceipt { receipt, .. } => CloseReceipt::of(ReceiptId(receipt.0)).into(),
        Request::PutKit { sku, components } => put_kit(sku, components).into(),
        Request::ReserveKits { reservation, lines, ttl_s } => {
            lines.iter().fold(Reserve::new().id(of(*reservation)).ttl(whole(*ttl_s)), kit_line).into()
        }
        Request::ReserveInParts { reservation, lines } => in_parts(of(*reservation), lines).into(),
        Request::Change { reservation, line, units, change: what } => change(of(*reservation), *line, *units, what),
        Request::Allocate { sku, units, sale, back: false } => Grant::of(&sale.campaign, sku, *units).into(),
        Request::Allocate { sku, units, sale, back: true } => Revoke::of(&sale.campaign, sku, *units).into(),
        Request::ReserveToOrder { reservation, sku, units } => {
            Reserve::new().id(of(*reservation)).ttl(whole(600)).line(sku, *units).into()
        }
        Request::StartOrder { reservation, steps } => {
            steps.iter().map(step).fold(StartOrder::of(of(*reservation)), StartOrder::step).into()
        }
        Request::ReportStep { reservation, step, undo, done } => report(of(*reservation), step, *undo, *done).into(),
        Request::ResolveOrder { reservation, confirm: true } => ResolveOrder::confirm(of(*reservation), "seen").into(),
        Request::ResolveOrder { reservation, confirm: false } => ResolveOrder::abort(of(*reservation), "lost").into(),
        Request::ReserveIn { reservation, sku, units, ttl_s, sale, showing } => {
            let reserve = Reserve::new().id(of(*reservation)).ttl(whole(*ttl_s)).line(sku, *units);
            in_sale(reserve, sale.as_ref(), showing.as_ref()).into()
        }
        Request::JoinQueue { campaign, customer: of, .. } => JoinQueue::of(campaign, customer(*of)).into(),
        Request::CommitDraw { campaign, seed } => {
            CommitDraw::of(campaign, *blake3::hash(&seed_of(*seed)).as_bytes()).into()
        }
        Request::Draw { campaign, seed } => Draw::of(campaign, seed_of(*seed)).into(),
        Request::Admit { campaign, tickets, valid_s, left, spent, newly_spent, as_of_ms } => {
            let admit = Admit::of(campaign, *tickets, *left).valid_for(whole(*valid_s));
            admit.spent(*spent, newly_spent.clone()).as_of_ms(*as_of_ms).into()
        }
        Request::ReserveOfLots { reservation, lines } => of_lots_by_name(of(*reservation), lines).into(),
        Request::Pick { reservation, line, lot, units } => {
            Fulfil::of(of(*reservation)).line_of_lot(*line, *units, lot.to_string()).into()
        }
        Request::Recall { sku, lot } => Recall::of(sku, lot.to_string()).into(),
    };
    made.with_key(CommandKey::Id(CommandId(command.id.0)))
}

fn put_kit(sku: &str, components: &[crate::history::Line]) -> PutKit {
    components.iter().fold(PutKit::of(sku), |kit, it| kit.component(it.sku.as_str(), it.units))
}

fn in_parts(id: ReservationId, lines: &[crate::history::Line]) -> Reserve {
    let held = Reserve::new().id(id).ttl(Duration::from_secs(u64::from(IN_PARTS_TTL_S)));
    lines.iter().fold(held, |reserve, it| reserve.line(it.sku.as_str(), it.units))
}

/// What becomes of units of one line.
fn change(id: ReservationId, line: u32, units: u32, change: &Change) -> ClientCommand {
    match change {
        Change::Sell => Commit::of(id).line(line, units).into(),
        Change::SellLast => Commit::of(id).line(line, units).and_release_the_rest().into(),
        Change::Ship => Fulfil::of(id).line(line, units).into(),
        Change::Return => Return::of(id).line(line, units).condition(v1::Condition::Resellable).into(),
        Change::Amend { sku } => Amend::of(id).line(sku, units).into(),
    }
}

fn kit_line(reserve: Reserve, it: &KitLine) -> Reserve {
    let KitLine { sku, units, optional, kit_revision, least: min_units } = it.clone();
    reserve.line_of(v1::Line { sku, units, optional, kit_revision, min_units, ..v1::Line::default() })
}

fn held(id: ReservationId, lines: &[crate::history::Line], ttl: Duration, customer: u8) -> Reserve {
    let reserve = Reserve::new().id(id).ttl(ttl);
    let reserve = if customer == 0 { reserve } else { reserve.customer(self::customer(customer)) };
    let line = |reserve: Reserve, line: &crate::history::Line| {
        reserve.line_at(item_of(&line.sku), place_of(&line.sku), line.units)
    };
    lines.iter().fold(reserve, line)
}

fn of_lots_by_name(id: ReservationId, lines: &[LotLine]) -> Reserve {
    let held = Reserve::new().id(id).ttl(Duration::from_secs(u64::from(IN_PARTS_TTL_S)));
    let line = |reserve: Reserve, it: &LotLine| {
        let (sku, lot_id) = (it.sku.clone(), it.lot.map(|lot| lot.to_string()).unwrap_or_default());
        reserve.line_of(v1::Line { sku, units: it.units, lot_id, ..v1::Line::default() })
    };
    lines.iter().fold(held, line)
}

fn report(order: ReservationId, step: &str, undo: bool, done: bool) -> ReportStep {
    let report = match done {
        true => ReportStep::done(order, step, format!("{step} is done")),
        false => ReportStep::failed(order, step, "declined"),
    };
    if undo { report.of_compensation() } else { report }
}

fn step(step: &StepAsked) -> OrderStep {
    let named =
        if step.is_called { OrderStep::call(&step.name, provider::ENDPOINT) } else { OrderStep::awaited(&step.name) };
    let named = named.within(Duration::from_millis(step.within_ms)).attempts(4);
    match step.undo {
        Undo::None => named,
        Undo::Called => named.undone_by(provider::ENDPOINT),
        Undo::Reported => named.undo_awaited(),
    }
}

pub(crate) fn order(order: &v1::Order) -> OrderSeen {
    let of_state = |name: &str, prefix: &str| name.trim_start_matches(prefix).to_owned();
    let step = |step: &v1::OrderStep| {
        let name = step.spec.as_ref().map(|spec| spec.name.clone()).unwrap_or_default();
        (name, of_state(step.state().as_str_name(), "STEP_STATE_"))
    };
    OrderSeen {
        state: of_state(order.state().as_str_name(), "ORDER_STATE_"),
        steps: order.steps.iter().map(step).collect(),
        resolved: order.resolution.as_ref().map(|resolution| resolution.confirmed),
    }
}

fn sourced(reserve: Reserve, through: &Through) -> Reserve {
    let strategy = v1::SourcingStrategy::try_from(through.strategy).unwrap_or_default();
    let reserve = if strategy == v1::SourcingStrategy::Nearest {
        reserve.sourced_nearest(&through.channel, [AWAY])
    } else {
        reserve.sourced(&through.channel, strategy)
    };
    if through.allow_split { reserve.allow_split() } else { reserve }
}

fn in_sale(reserve: Reserve, sale: Option<&Sale>, showing: Option<&Showing>) -> Reserve {
    let reserve = match sale {
        Some(sale) => reserve.campaign(&sale.campaign),
        None => reserve,
    };
    match showing {
        Some(it) => reserve.customer(customer(it.customer)).admission_token(&it.token),
        None => reserve,
    }
}

/// What a customer of that number is called.
pub(super) fn customer(number: u8) -> String {
    format!("customer {number}")
}

fn lot_spec(lot: u8) -> v1::LotSpec {
    let best_before = if lot == 0 { LAST_DAY_OF_LOT_0.to_owned() } else { format!("20{}-12", 30 + lot) };
    v1::LotSpec { best_before, ..v1::LotSpec::default() }
}

/// The location of what a history calls so; empty: the default one.
pub(super) fn place_of(sku: &str) -> &'static str {
    if sku == item_of(sku) { "" } else { AWAY }
}

pub(super) fn consistency(freshness: Freshness) -> Consistency {
    match freshness {
        Freshness::Linearizable => Consistency::Linearizable,
        Freshness::Stale => Consistency::Stale,
        Freshness::AtLeast(Position { shard, index }) => {
            Consistency::AtLeast(v1::ConsistencyToken { shard, applied_index: index })
        }
    }
}

pub(super) fn position(token: v1::ConsistencyToken) -> Position {
    Position { shard: token.shard, index: token.applied_index }
}

/// What a command, or the commands of a chain, were told together: a chain is done or refused whole.
pub(super) fn outcome(told: Vec<Result<Success, Error>>) -> Outcome {
    let failures = || told.iter().filter_map(|told| told.as_ref().err());
    let reason = |error: &Error| error.reason().name().to_owned();
    if let Some(unknown) = failures().find(|error| error.is_unknown()) {
        return Outcome::Unknown(reason(unknown));
    }
    if let Some(not_admitted) = failures().find(|error| error.is_not_admitted()) {
        return Outcome::NotAdmitted(reason(not_admitted));
    }
    Outcome::Answered(told.into_iter().map(|told| told.map_or_else(|error| refused(&error), done)).collect())
}

fn done(success: Success) -> Answer {
    Answer::Done(Done {
        revision: success.revision,
        atp_after: success.atp_after,
        expires_at_ms: success.expires_at_ms,
        phase: phase(success.state),
        position: success.token.map(position),
        replayed: success.replayed,
        backordered: success.backordered.iter().map(|units| u64::from(*units)).sum(),
        ticket: success.ticket,
        admitted: success.admitted,
    })
}

fn refused(error: &Error) -> Answer {
    let failure = error.failure();
    let is_unrecorded = failure.metadata.get("recorded").is_some_and(|recorded| recorded == "false");
    // Another command has the id, or the chain stood in other company: this attempt decided nothing.
    let is_another =
        failure.reason == v1::ErrorReason::ExistsWithDifferent && matches!(failure.field.as_str(), "body" | "linked");
    Answer::Refused(Refused {
        reason: failure.reason.name().to_owned(),
        field: failure.field.clone(),
        details: failure.metadata.clone(),
        is_final: !is_unrecorded && !is_another,
    })
}

fn phase(state: v1::ReservationState) -> Option<Phase> {
    use v1::ReservationState as State;
    match state {
        State::Held => Some(Phase::Held),
        // Units of some lines are shipped (`parts`): what is left is sold.
        State::Committed | State::PartiallyFulfilled => Some(Phase::Committed),
        State::Fulfilled => Some(Phase::Fulfilled),
        State::Cancelled => Some(Phase::Cancelled),
        State::Released => Some(Phase::Released),
        State::Expired => Some(Phase::Expired),
        // What lies on several shards is told by the one that decides.
        State::Unspecified | State::Preparing | State::Aborted => None,
    }
}

/// The level of what a history calls so; none: nothing of it was ever there.
pub(super) fn stock(stock: &Stock, name: &str) -> StockSeen {
    stock.levels.iter().find(|level| name_of(level) == name).map(level).unwrap_or_default()
}

/// What a history calls an item at a location.
pub(crate) fn name_of(level: &v1::StockLevel) -> String {
    name_at(&level.sku, &level.location_id)
}

pub(crate) fn level(level: &v1::StockLevel) -> StockSeen {
    StockSeen {
        on_hand: level.on_hand,
        reserved: level.reserved,
        committed: level.committed,
        free: level.free,
        atp: level.atp,
        received: level.received,
        adjusted: level.adjusted,
        fulfilled: level.fulfilled,
        revision: level.revision,
        short: level.short,
        in_transit: level.in_transit,
        incoming: level.incoming,
        sent: level.sent,
        arrived: level.arrived,
        backordered: level.backordered,
        returned: level.returned,
    }
}

/// The lots of a line of which there are such units.
fn of_lots(line: &v1::ReservationLine, units: fn(&v1::LotUnits) -> u64) -> Vec<(u8, u64)> {
    let lots = line.lots.iter().filter(|lot| units(lot) > 0);
    lots.map(|lot| (lot.lot_id.parse().unwrap_or(0), units(lot))).collect()
}

/// What a reservation has and had of a lot.
pub(super) fn named(reservation: &v1::Reservation, sku: &str, lot: u8) -> NamedSeen {
    let id = reservation.reservation_id.unwrap_or_default();
    let sum = |units: fn(&v1::LotUnits) -> u64| {
        let lines = reservation.lines.iter().filter(|line| line.sku == sku);
        lines.flat_map(|line| of_lots(line, units)).filter(|(of, _)| *of == lot).map(|(_, units)| units).sum()
    };
    NamedSeen {
        reservation: Id(u128::from(id.high) << 64 | u128::from(id.low)),
        committed: sum(|lot| lot.committed),
        fulfilled: sum(|lot| lot.fulfilled),
    }
}

/// `None`: it stands where no workload takes it.
pub(crate) fn reservation(reservation: &v1::Reservation) -> Option<ReservationSeen> {
    let line = |line: &v1::ReservationLine| LineSeen {
        sku: name_at(&line.sku, &line.location_id),
        held: line.held,
        committed: line.committed,
        fulfilled: line.fulfilled,
        given_back: line.cancelled + line.released + line.expired,
        short: line.short + line.short_sold,
        lots: of_lots(line, |lot| lot.committed),
        shipped: of_lots(line, |lot| lot.fulfilled),
        backordered: line.backordered + line.backordered_sold,
        returned: line.returned,
        asked: reservation.asked.get(line.of as usize).map(|of| AskedSeen {
            number: line.of,
            sku: of.sku.clone(),
            units: of.units,
            kit_revision: of.kit_revision,
        }),
    };
    Some(ReservationSeen {
        phase: phase(reservation.state())?,
        expires_at_ms: reservation.expires_at_ms,
        revision: reservation.revision,
        lines: reservation.lines.iter().map(line).collect(),
    })
}

/// `None`: it stands where no workload takes it.
pub(super) fn count(count: &v1::Count) -> Option<CountSeen> {
    let phase = match count.state() {
        v1::CountState::Unspecified => return None,
        v1::CountState::Open => CountPhase::Open,
        v1::CountState::Applied => CountPhase::Applied,
        v1::CountState::Cancelled => CountPhase::Cancelled,
    };
    let short = |short: &v1::ShortReservation| {
        let id = short.reservation_id.unwrap_or_default();
        (Id(u128::from(id.high) << 64 | u128::from(id.low)), short.held, short.sold)
    };
    Some(CountSeen { phase, revision: count.revision, short: count.short.iter().map(short).collect() })
}

/// `None`: it stands where no workload takes it.
pub(super) fn room(room: &Room) -> Option<RoomSeen> {
    let ticket = |ticket: &v1::Ticket| {
        let turn = match ticket.state() {
            v1::TicketState::Unspecified => return None,
            v1::TicketState::Waiting => Turn::Waiting,
            v1::TicketState::Admitted => Turn::Admitted { until_ms: ticket.admitted_until_ms },
            v1::TicketState::Spent => Turn::Spent,
        };
        let customer = Id(u128::from_be_bytes(ticket.customer_hash.as_slice().try_into().ok()?));
        Some(TicketSeen { number: ticket.number, customer, turn })
    };
    let tickets = room.tickets.iter().map(ticket).collect::<Option<_>>()?;
    Some(RoomSeen { commitment: room.draw.commitment.clone(), seed: room.draw.seed.clone(), tickets })
}
