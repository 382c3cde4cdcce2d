//! A turn: one command, or one thing that fell due, on its way through the rules.
//!
//! Rules check first and change after: once a turn has changed anything, it may not refuse. A turn gathers the changes of
//! quantities and writes them into one event.

use std::sync::Arc;

use holdfast_mutation::{Mutation, is_on};

use crate::state::{LineRecord, LocationNo, ReservationNo, ReservationRecord, SkuNo, State, StockPlace};
use crate::{
    Cause, CommandId, Event, EventBody, EventKind, Field, InvalidArgument, ItemStatus, LocationId, LotId, MAX_UNITS,
    Refusal, ReservationRef, ReservationState, Sku, StockChange, StockDelta, StockFlow, Subject, Success,
};

/// No counter goes beyond this, so that each change of one fits a signed number.
const MAX_COUNT: u64 = i64::MAX as u64;

/// One command, or one thing that fell due, on its way through the rules.
pub(crate) struct Turn<'a> {
    pub(crate) state: &'a mut State,
    events: &'a mut Vec<Event>,
    command: Option<CommandId>,
    cause: Option<&'a Cause>,
    changes: Vec<PendingChange>,
    /// Reservations that may still be ended on the way, because their time is over.
    sweep_left: u32,
}

/// What a turn changed of one item, location and lot.
struct PendingChange {
    sku: SkuNo,
    location: LocationNo,
    lot: Option<LotId>,
    delta: StockDelta,
    /// What could be promised of the item at the location before.
    atp_before: u64,
}

impl<'a> Turn<'a> {
    pub(crate) fn of_command(
        state: &'a mut State,
        events: &'a mut Vec<Event>,
        command: CommandId,
        cause: Option<&'a Cause>,
    ) -> Self {
        let sweep_left = state.header.limits.sweep;
        Self { state, events, command: Some(command), cause, changes: Vec::new(), sweep_left }
    }

    pub(crate) fn of_time(state: &'a mut State, events: &'a mut Vec<Event>) -> Self {
        Self { state, events, command: None, cause: None, changes: Vec::new(), sweep_left: 0 }
    }

    pub(crate) fn now(&self) -> crate::LogTime {
        self.state.header.now
    }

    // Lookups that refuse.

    pub(crate) fn sku(&self, sku: &Sku) -> Result<SkuNo, Refusal> {
        self.state.find_sku(sku).ok_or_else(|| Refusal::UnknownSku { sku: sku.clone() })
    }

    pub(crate) fn location(&self, location: &LocationId) -> Result<LocationNo, Refusal> {
        let unknown = || Refusal::UnknownLocation { location: location.clone() };
        self.state.find_location(location).ok_or_else(unknown)
    }

    pub(crate) fn active_location(&self, location: &LocationId) -> Result<LocationNo, Refusal> {
        let no = self.location(location)?;
        if self.state.location(no).spec.active {
            Ok(no)
        } else {
            Err(Refusal::UnknownLocation { location: location.clone() })
        }
    }

    /// Refuses an item that is not on sale.
    pub(crate) fn check_sellable(&self, sku: SkuNo) -> Result<(), Refusal> {
        let item = self.state.item(sku);
        match item.spec.status {
            ItemStatus::Active => Ok(()),
            status => Err(Refusal::ItemNotSellable { sku: item.sku.clone(), status }),
        }
    }

    /// Where a lot must be named, and where it must not.
    pub(crate) fn check_lot_of_stock(&self, sku: SkuNo, lot: &Option<LotId>) -> Result<(), Refusal> {
        match (self.state.item(sku).spec.lot_tracked, lot) {
            (true, None) => Err(Refusal::LotRequired),
            (false, Some(_)) => Err(InvalidArgument::of(Field::LotId).into()),
            _ => Ok(()),
        }
    }

    // Successes.

    pub(crate) fn stock_success(&self, sku: SkuNo, location: LocationNo) -> Success {
        let revision = self.state.stock(sku).place(location).map(|place| place.revision).unwrap_or_default();
        Success { revision, atp_after: self.atp(sku, location), ..Success::default() }
    }

    pub(crate) fn reservation_success(&self, no: ReservationNo) -> Success {
        let record = self.state.reservation(no);
        Success {
            revision: record.revision,
            atp_after: record.lines.first().map_or(0, |line| self.atp(line.sku, line.location)),
            expires_at: record.is_holding().then_some(record.expires_at),
            state: Some(record.state()),
            held: None,
        }
    }

    // Quantities.

    /// What may be promised of an item at a location. An untracked item is never refused.
    pub(crate) fn atp(&self, sku: SkuNo, location: LocationNo) -> u64 {
        if self.state.item(sku).spec.tracked {
            self.state.stock(sku).place(location).map_or(0, StockPlace::atp)
        } else {
            u64::from(MAX_UNITS)
        }
    }

    /// Checks that no counter of the cell leaves its range: neither [H-QTY] nor a sum breaks.
    pub(crate) fn check(
        &self,
        sku: SkuNo,
        location: LocationNo,
        lot: &Option<LotId>,
        delta: &StockDelta,
        flow: &StockFlow,
    ) -> Result<(), Refusal> {
        let place = self.state.stock(sku).place(location);
        let counts = place.and_then(|place| place.cell(lot)).map(|cell| cell.counts).unwrap_or_default();
        let after = counts.plus(delta).filter(|after| after.on_hand <= MAX_COUNT);
        let flow_after = place.map(|place| place.flow).unwrap_or_default().plus(flow);
        match (after, flow_after) {
            (Some(_), Some(_)) => Ok(()),
            _ => Err(Refusal::QuantityOverflow),
        }
    }

    /// The same for each line, those of the same cell together.
    pub(crate) fn check_lines(
        &self,
        lines: &[LineRecord],
        units: &[u64],
        change_of: impl Fn(u64) -> (StockDelta, StockFlow),
    ) -> Result<(), Refusal> {
        for line in lines.iter().filter(|line| line.counted) {
            let same = lines.iter().zip(units).filter(|(other, _)| {
                other.counted && (other.sku, other.location, &other.lot) == (line.sku, line.location, &line.lot)
            });
            let (delta, flow) = change_of(same.map(|(_, units)| units).sum());
            self.check(line.sku, line.location, &line.lot, &delta, &flow)?;
        }
        Ok(())
    }

    /// Changes the quantities of a cell. That they stay in range was checked.
    pub(crate) fn change(
        &mut self,
        sku: SkuNo,
        location: LocationNo,
        lot: &Option<LotId>,
        delta: &StockDelta,
        flow: &StockFlow,
    ) {
        let is_it =
            |change: &&mut PendingChange| change.sku == sku && change.location == location && change.lot == *lot;
        let is_first_at_place = !self.changes.iter().any(|change| change.sku == sku && change.location == location);
        if let Some(change) = self.changes.iter_mut().find(is_it) {
            change.delta.add(delta);
        } else {
            let atp_before = self.state.stock(sku).place(location).map_or(0, StockPlace::atp);
            self.changes.push(PendingChange { sku, location, lot: lot.clone(), delta: *delta, atp_before });
        }
        let place = self.state.stock_mut(sku).place_mut(location);
        let counts = &mut place.cell_mut(lot).counts;
        *counts = counts.plus(delta).expect("[H-QTY] was checked before anything was changed");
        place.flow = place.flow.plus(flow).expect("the range of the flow was checked before anything was changed");
        if is_first_at_place {
            place.revision = place.revision.next();
        }
    }

    /// Moves units of a line, where they are counted in the stock.
    pub(crate) fn change_line(&mut self, line: &LineRecord, delta: &StockDelta, flow: &StockFlow) {
        if line.counted {
            self.change(line.sku, line.location, &line.lot, delta, flow);
        }
    }

    // Events.

    /// Writes what the turn changed into one event, and what follows from it for the availability into more.
    pub(crate) fn record(&mut self, kind: EventKind, reservation: Option<ReservationNo>, subject: Option<Subject>) {
        let pending = std::mem::take(&mut self.changes);
        let changes = pending.iter().map(|change| self.stock_change(change)).collect();
        let reservation = reservation.map(|no| ReservationRef::of(self.state.reservation(no)));
        self.append(kind, reservation, changes, subject);
        for (at, change) in pending.iter().enumerate() {
            let is_first =
                !pending[..at].iter().any(|other| (other.sku, other.location) == (change.sku, change.location));
            if is_first {
                self.record_availability(change);
            }
        }
    }

    fn stock_change(&self, change: &PendingChange) -> StockChange {
        let place = self.state.stock(change.sku).place(change.location).expect("what was changed is there");
        StockChange {
            sku: self.state.item(change.sku).sku.clone(),
            location: self.state.location(change.location).id.clone(),
            lot: change.lot.clone(),
            delta: change.delta,
            after: place.cell(&change.lot).map(|cell| cell.counts).unwrap_or_default(),
            atp_after: place.atp(),
            revision: place.revision,
        }
    }

    /// Tells when what may be promised came to nothing, came back, or came down to the item's threshold.
    fn record_availability(&mut self, change: &PendingChange) {
        let item = self.state.item(change.sku);
        let threshold = item.spec.low_stock_threshold;
        let (before, atp) = (change.atp_before, self.atp(change.sku, change.location));
        if !item.spec.tracked || before == atp {
            return;
        }
        let kind = match (before, atp) {
            (_, 0) => EventKind::AvailabilityOut,
            (0, _) => EventKind::AvailabilityBack,
            _ if before > threshold && atp <= threshold => EventKind::AvailabilityLow,
            _ => return,
        };
        let location = self.state.location(change.location).id.clone();
        let subject = Subject::Availability { sku: item.sku.clone(), location, atp };
        self.append(kind, None, Vec::new(), Some(subject));
    }

    fn append(
        &mut self,
        kind: EventKind,
        reservation: Option<ReservationRef>,
        changes: Vec<StockChange>,
        subject: Option<Subject>,
    ) {
        let header = &mut self.state.header;
        let body = EventBody {
            seq: header.seq + 1,
            time: header.now,
            kind,
            command: self.command,
            cause: self.cause.map(|cause| Arc::new(cause.clone())),
            reservation,
            changes,
            subject,
        };
        let before = if is_on(Mutation::EventsNotChained) { Default::default() } else { header.last_hash };
        let event = Event::seal(before, body);
        header.seq += 1;
        header.last_hash = event.hash;
        self.events.push(event);
    }

    // What falls due.

    /// Ends what of a reservation is over by now: its hold, or its unshipped sale.
    pub(crate) fn end_what_is_due(&mut self, no: ReservationNo) {
        let now = self.now();
        let record = self.state.reservation(no);
        let over_at = if is_on(Mutation::EarlyExpiry) { now.plus_seconds(2) } else { now };
        if record.is_holding() && record.expires_at <= over_at {
            self.give_back(no, GiveBack::Expire);
            self.record(EventKind::ReservationExpired, Some(no), None);
        }
        let record = self.state.reservation(no);
        if record.cancel_at.is_some_and(|at| at <= now) && record.has(|units| units.committed) {
            self.give_back(no, GiveBack::CancelSold);
            self.record(EventKind::ReservationCancelled, Some(no), None);
        }
    }

    /// Before an item is decided, ends what of its reservations is over by now: oldest first, a number bounded for the whole
    /// turn.
    pub(crate) fn end_what_is_due_of(&mut self, sku: SkuNo) {
        let now = self.now();
        while self.sweep_left > 0 {
            let Some(&(due_at, no)) = self.state.indexes.due_by_sku[sku.0 as usize].first() else { break };
            if due_at > now {
                break;
            }
            self.sweep_left -= 1;
            Turn::of_time(self.state, self.events).end_what_is_due(no);
        }
    }

    /// The reservation, after what of it is over has been ended.
    pub(crate) fn reservation(&mut self, id: crate::ReservationId) -> Result<ReservationNo, Refusal> {
        let no = self.state.find_reservation(id).ok_or(Refusal::ReservationNotFound)?;
        Turn::of_time(self.state, self.events).end_what_is_due(no);
        Ok(no)
    }

    /// Gives back what is held, or what is sold and not shipped, of every line.
    pub(crate) fn give_back(&mut self, no: ReservationNo, what: GiveBack) {
        let lines = self.state.reservation(no).lines.clone();
        for line in &lines {
            let held = if what.gives_holds() { line.units.held as i64 } else { 0 };
            let committed = if what.gives_sold() { line.units.committed as i64 } else { 0 };
            let keeps = is_on(Mutation::ReleasedUnitsKept) && what == GiveBack::Release;
            if (held != 0 || committed != 0) && !keeps {
                let delta = StockDelta { reserved: -held, committed: -committed, ..StockDelta::default() };
                self.change_line(line, &delta, &StockFlow::default());
            }
        }
        self.state.change_reservation(no, |record| {
            for line in &mut record.lines {
                let units = &mut line.units;
                if what.gives_holds() {
                    let held = std::mem::take(&mut units.held);
                    *(if what == GiveBack::Expire { &mut units.expired } else { &mut units.released }) += held;
                }
                if what.gives_sold() {
                    units.cancelled += std::mem::take(&mut units.committed);
                }
            }
        });
    }
}

/// What of a reservation is given back, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GiveBack {
    /// Holds, because their time is over.
    Expire,
    /// Holds, because somebody says so.
    Release,
    /// What is sold and not shipped.
    CancelSold,
    /// Everything that is left.
    CancelAll,
}

impl GiveBack {
    const fn gives_holds(self) -> bool {
        matches!(self, Self::Expire | Self::Release | Self::CancelAll)
    }

    const fn gives_sold(self) -> bool {
        matches!(self, Self::CancelSold | Self::CancelAll)
    }
}

impl ReservationRef {
    fn of(record: &ReservationRecord) -> Self {
        Self { id: record.id, state: record.state(), revision: record.revision, expires_at: record.expires_at }
    }
}

impl ReservationRecord {
    /// Why nothing can be done with a hold that is not there.
    pub(crate) fn refuse_without_hold(&self) -> Refusal {
        match self.state() {
            ReservationState::Fulfilled => Refusal::AlreadyFulfilled,
            ReservationState::Expired => Refusal::ReservationExpired { expired_at: self.expires_at },
            ReservationState::Cancelled | ReservationState::Released | ReservationState::Aborted => {
                Refusal::AlreadyReleased
            }
            ReservationState::Committed | ReservationState::PartiallyFulfilled if self.has(|units| units.expired) => {
                Refusal::ReservationExpired { expired_at: self.expires_at }
            }
            ReservationState::Committed
            | ReservationState::PartiallyFulfilled
            | ReservationState::Preparing
            | ReservationState::Held => Refusal::AlreadyCommitted,
        }
    }
}
