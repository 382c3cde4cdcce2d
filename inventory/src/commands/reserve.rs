//! `reserve`: units are held for a while, all lines or none.

use serde::{Deserialize, Serialize};

use super::FULL_RETRY_MS;
use crate::demand::Demand;
use crate::state::{LineRecord, ReservationDetails, ReservationRecord};
use crate::turn::Turn;
use crate::{
    CampaignId, ChannelId, CustomerHash, EventKind, Field, InvalidArgument, LineCounts, LocationId, LotId, OrderRef,
    Refusal, ReservationId, Revision, Sku, StockDelta, StockFlow, Success, Units,
};

/// Most lines of one reservation.
pub const MAX_LINES: usize = 100;
/// How long a hold lives where the caller does not say, in seconds.
pub const DEFAULT_TTL_S: u32 = 600;
/// The longest time to live a caller may ask for, in seconds.
pub const MAX_TTL_S: u32 = 14_400;

/// Units of one item at one location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// How many. Only an amend may say 0.
    pub units: Units,
    /// A lot bound by name; `None`: bound late.
    pub lot: Option<LotId>,
    /// Its lack does not fail the rest.
    pub optional: bool,
}

/// Takes a hold on 1 to [`MAX_LINES`] lines, all or nothing but for what is optional.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserve {
    /// The reservation to make.
    pub reservation: ReservationId,
    /// What is asked for. Lines of the same item, location and lot are summed before they are checked.
    pub lines: Vec<Line>,
    /// How long the hold lives, in seconds, 1 to [`MAX_TTL_S`]; never beyond the items' `max_hold_s`.
    pub ttl_s: u32,
    /// Every line is optional.
    pub partial_ok: bool,
    /// The caller's own word for the order.
    pub order_ref: Option<OrderRef>,
    /// For whom.
    pub customer: Option<CustomerHash>,
    /// Through which channel.
    pub channel: Option<ChannelId>,
    /// In which flash sale.
    pub campaign: Option<CampaignId>,
}

impl Reserve {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if !self.reservation.is_well_formed() {
            return Err(InvalidArgument::of(Field::ReservationId));
        }
        if self.lines.is_empty() || self.lines.len() > MAX_LINES {
            return Err(InvalidArgument::of(Field::Lines));
        }
        if let Some(at) = self.lines.iter().position(|line| !line.units.is_askable()) {
            return Err(InvalidArgument::in_line(Field::Units, at));
        }
        if self.ttl_s == 0 || self.ttl_s > MAX_TTL_S {
            return Err(InvalidArgument::of(Field::Ttl));
        }
        Ok(())
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        if turn.state.find_reservation(self.reservation).is_some() {
            return Err(Refusal::Exists);
        }
        let limits = &turn.state.header.limits;
        let live = turn.state.reservation_count() - turn.state.indexes.ended.len() as u64;
        if live >= limits.live_reservations {
            return Err(Refusal::Overloaded { retry_after_ms: FULL_RETRY_MS });
        }
        let mut max_hold_s = limits.max_hold_s;
        let mut lines = Vec::with_capacity(self.lines.len());
        for (at, line) in self.lines.iter().enumerate() {
            let record = turn.new_line(line)?;
            let spec = &turn.state.item(record.sku).spec;
            max_hold_s = max_hold_s.min(spec.max_hold_s.unwrap_or(u32::MAX));
            if let Some(limit) = spec.max_per_order {
                let before =
                    lines.iter().zip(&self.lines[..at]).filter(|(other, _): &(&LineRecord, _)| other.sku == record.sku);
                let asked: u64 = before.map(|(_, line)| line.units.count()).sum::<u64>() + line.units.count();
                if asked > u64::from(limit) {
                    return Err(Refusal::OrderLimitExceeded { sku: line.sku.clone(), limit });
                }
            }
            lines.push(record);
        }
        for record in &lines {
            turn.end_what_is_due_of(record.sku);
        }
        let all_held = self.take(turn, &mut lines)?;
        Ok(self.hold(turn, lines, all_held, max_hold_s))
    }

    /// Decides what each line gets: what is required first, summed, and then in order what is optional.
    fn take(&self, turn: &Turn<'_>, lines: &mut [LineRecord]) -> Result<bool, Refusal> {
        let mut demand = Demand::default();
        for (at, line) in lines.iter_mut().enumerate().filter(|(_, line)| !line.optional && !self.partial_ok) {
            let units = self.lines[at].units.count();
            demand.require(turn, line, at, units)?;
            line.units.held = units;
        }
        let mut all_held = true;
        let mut first_lack = None;
        for (at, line) in lines.iter_mut().enumerate().filter(|(_, line)| line.optional || self.partial_ok) {
            let units = self.lines[at].units.count();
            match demand.require(turn, line, at, units) {
                Ok(()) => line.units.held = units,
                Err(lack) => {
                    all_held = false;
                    first_lack.get_or_insert(lack);
                }
            }
        }
        match first_lack {
            Some(lack) if lines.iter().all(|line| line.units.held == 0) => Err(lack),
            _ => Ok(all_held),
        }
    }

    fn hold(&self, turn: &mut Turn<'_>, lines: Vec<LineRecord>, all_held: bool, max_hold_s: u32) -> Success {
        for line in lines.iter().filter(|line| line.units.held > 0) {
            let delta = StockDelta { reserved: line.units.held as i64, ..StockDelta::default() };
            turn.change_line(line, &delta, &StockFlow::default());
        }
        let held = (!all_held).then(|| lines.iter().map(|line| line.units.held as u32).collect());
        let now = turn.now();
        let max_expires_at = now.plus_seconds(max_hold_s);
        let no = turn.state.add_reservation(ReservationRecord {
            id: self.reservation,
            created_at: now,
            expires_at: now.plus_seconds(self.ttl_s).min(max_expires_at),
            max_expires_at,
            cancel_at: None,
            ended_at: None,
            revision: Revision::default().next(),
            details: self.details(),
            lines,
        });
        turn.record(EventKind::ReservationHeld, Some(no), None);
        Success { held, ..turn.reservation_success(no) }
    }

    fn details(&self) -> Option<Box<ReservationDetails>> {
        let details = ReservationDetails {
            order_ref: self.order_ref.clone(),
            customer: self.customer,
            channel: self.channel.clone(),
            campaign: self.campaign.clone(),
        };
        let is_said = details.order_ref.is_some()
            || details.customer.is_some()
            || details.channel.is_some()
            || details.campaign.is_some();
        is_said.then(|| Box::new(details))
    }
}

impl Turn<'_> {
    /// A line that holds nothing yet, where its item is on sale at an active location.
    pub(super) fn new_line(&self, line: &Line) -> Result<LineRecord, Refusal> {
        let sku = self.sku(&line.sku)?;
        let location = self.active_location(&line.location)?;
        let spec = &self.state.item(sku).spec;
        self.check_sellable(sku)?;
        if let Some(lot) = &line.lot
            && self.state.stock(sku).place(location).and_then(|place| place.cell(&line.lot)).is_none()
        {
            return Err(Refusal::UnknownLot { lot: lot.clone() });
        }
        Ok(LineRecord {
            sku,
            location,
            lot: line.lot.clone(),
            optional: line.optional,
            counted: spec.tracked,
            units: LineCounts::default(),
        })
    }
}
