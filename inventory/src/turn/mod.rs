//! A turn: one command, or one thing that fell due, on its way through the rules.
//!
//! Rules check first and change after: once a turn has changed anything, it may not refuse. A turn gathers the changes of
//! quantities and writes them into one event.

mod backorders;
mod campaigns;
mod due;
mod events;
mod orders;
mod places;
mod quantities;
mod settle;
mod shortfall;

pub(crate) use backorders::check_released_at;
pub(crate) use due::GiveBack;
pub(crate) use quantities::Move;
pub(crate) use shortfall::CellOf;

use crate::state::{CampaignNo, LocationNo, LotNo, ReservationNo, ReservationRecord, SkuNo, State};
use crate::{
    Cause, CommandId, Event, Field, InvalidArgument, ItemStatus, LocationId, LogTime, LotId, LotStatus, Refusal,
    ReservationState, Sku, StockDelta, Success,
};

/// One command, or one thing that fell due, on its way through the rules.
pub(crate) struct Turn<'a> {
    pub(crate) state: &'a mut State,
    events: &'a mut Vec<Event>,
    command: Option<CommandId>,
    cause: Option<&'a Cause>,
    changes: Vec<PendingChange>,
    touched: Vec<Touched>,
    /// Reservations that may still be ended on the way, because their time is over.
    sweep_left: u32,
}

/// What a turn changed of one item, location and lot; of the holds that are bound to no lot where it is an item tracked by lot.
struct PendingChange {
    sku: SkuNo,
    location: LocationNo,
    lot: Option<LotNo>,
    delta: StockDelta,
}

/// A place of which something changed: its quantities, or what may be sold of them.
struct Touched {
    sku: SkuNo,
    location: LocationNo,
    /// What could be promised there before.
    atp_before: u64,
    /// Whether what was promised before may be more than is left.
    may_lack: bool,
    /// What campaigns had left there before.
    left_before: Vec<(CampaignNo, u64)>,
}

impl<'a> Turn<'a> {
    pub(crate) fn of_command(
        state: &'a mut State,
        events: &'a mut Vec<Event>,
        command: CommandId,
        cause: Option<&'a Cause>,
    ) -> Self {
        let sweep_left = state.header.limits.sweep;
        Self { state, events, command: Some(command), cause, changes: Vec::new(), touched: Vec::new(), sweep_left }
    }

    pub(crate) fn of_time(state: &'a mut State, events: &'a mut Vec<Event>) -> Self {
        Self { state, events, command: None, cause: None, changes: Vec::new(), touched: Vec::new(), sweep_left: 0 }
    }

    pub(crate) fn now(&self) -> LogTime {
        self.state.header.now
    }

    // Lookups that refuse.

    /// The item of that SKU, which is no kit.
    pub(crate) fn sku(&self, sku: &Sku) -> Result<SkuNo, Refusal> {
        let no = self.state.find_sku(sku).filter(|_| !sku.is_counter());
        let no = no.ok_or_else(|| Refusal::UnknownSku { sku: sku.clone() })?;
        if self.state.item(no).kit.is_some() {
            return Err(Refusal::SkuIsKit { sku: sku.clone(), recorded: true });
        }
        Ok(no)
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

    /// The lot of stock: there must be one where the item is tracked by lot, and none where it is not.
    pub(crate) fn lot_of_stock(&self, sku: SkuNo, lot: Option<&LotId>) -> Result<Option<LotNo>, Refusal> {
        match (self.state.item(sku).spec.lot_tracked, lot) {
            (true, None) => Err(Refusal::LotRequired),
            (true, Some(lot)) => self.lot(sku, lot).map(Some),
            (false, Some(_)) => Err(InvalidArgument::of(Field::LotId).into()),
            (false, None) => Ok(None),
        }
    }

    pub(crate) fn lot(&self, sku: SkuNo, lot: &LotId) -> Result<LotNo, Refusal> {
        self.state.find_lot(sku, lot).ok_or_else(|| Refusal::UnknownLot { lot: lot.clone() })
    }

    /// Refuses a lot of which units may not be sold that must be sellable at that instant.
    pub(crate) fn check_lot_sellable(&self, lot: LotNo, need: LogTime) -> Result<(), Refusal> {
        let record = self.state.lot(lot);
        match record.status {
            LotStatus::Approved if record.removal_at < self.now() => {
                Err(Refusal::LotExpired { removal_at: record.removal_at })
            }
            LotStatus::Approved if record.removal_at < need => {
                Err(Refusal::ShelfLifeTooShort { removal_at: record.removal_at, needed_until: need })
            }
            LotStatus::Approved => Ok(()),
            status => Err(Refusal::LotBlocked { status }),
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
            ..Success::default()
        }
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
