//! `reserve`: units are held for a while, all lines or none.

use serde::{Deserialize, Serialize};

use crate::{
    CampaignId, ChannelId, CustomerHash, Field, InvalidArgument, LocationId, LotId, OrderRef, ReservationId, Sku, Units,
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
}
