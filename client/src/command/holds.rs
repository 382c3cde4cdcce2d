//! Holds: taken, changed, prolonged, sold and given back.

use std::time::Duration;

use holdfast_proto::v1;

use super::{into_command, whole_seconds};
use crate::ids::ReservationId;

into_command!(Reserve, Amend, Extend, Commit, Release);

/// Takes a hold on 1 to 100 lines, all or nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reserve(pub(crate) v1::Reserve);

impl Reserve {
    /// A hold on nothing yet; add lines.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds units of a SKU at the default location.
    #[must_use]
    pub fn line(self, sku: impl Into<String>, units: u32) -> Self {
        self.line_of(v1::Line { sku: sku.into(), units, ..v1::Line::default() })
    }

    /// Adds units of a SKU at a location.
    #[must_use]
    pub fn line_at(self, sku: impl Into<String>, location_id: impl Into<String>, units: u32) -> Self {
        self.line_of(v1::Line { sku: sku.into(), location_id: location_id.into(), units, ..v1::Line::default() })
    }

    /// Adds units of a SKU at the default location that must be there: none of them is promised without stock.
    #[must_use]
    pub fn line_in_stock(self, sku: impl Into<String>, units: u32) -> Self {
        self.line_of(v1::Line { sku: sku.into(), units, no_backorder: true, ..v1::Line::default() })
    }

    /// Adds units of a SKU at the default location, or as many as can be had of them, but no fewer than `min_units`.
    #[must_use]
    pub fn line_at_least(self, sku: impl Into<String>, units: u32, min_units: u32) -> Self {
        self.line_of(v1::Line { sku: sku.into(), units, min_units, ..v1::Line::default() })
    }

    /// Adds kits, only if their recipe is of that `kit_rev`.
    #[must_use]
    pub fn kits(self, sku: impl Into<String>, units: u32, kit_revision: u64) -> Self {
        self.line_of(v1::Line { sku: sku.into(), units, kit_revision, ..v1::Line::default() })
    }

    /// Adds a line with a lot, or an optional one.
    #[must_use]
    pub fn line_of(mut self, line: v1::Line) -> Self {
        self.0.lines.push(line);
        self
    }

    /// How long it is held; 600 s unless told, at most 14 400 s. Rounded up to seconds.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.0.ttl_s = whole_seconds(ttl);
        self
    }

    /// The reservation's id; minted by the client unless told.
    #[must_use]
    pub fn id(mut self, id: ReservationId) -> Self {
        self.0.reservation_id = Some(id.into());
        self
    }

    /// An opaque word for the customer; hashed by the serving node.
    #[must_use]
    pub fn customer(mut self, customer: impl Into<String>) -> Self {
        self.0.customer = customer.into();
        self
    }

    /// The caller's own word for the order, at most 64 bytes.
    #[must_use]
    pub fn order_ref(mut self, order_ref: impl Into<String>) -> Self {
        self.0.order_ref = order_ref.into();
        self
    }

    /// In that campaign: of what it was given, and within its window.
    #[must_use]
    pub fn campaign(mut self, campaign_id: impl Into<String>) -> Self {
        self.0.campaign_id = campaign_id.into();
        self
    }

    /// Shows what lets the customer into the campaign, where it does not let everybody in.
    #[must_use]
    pub fn admission_token(mut self, token: impl Into<String>) -> Self {
        self.0.admission_token = token.into();
        self
    }

    /// The channel that it is sold through: a word that is kept, unless [`Reserve::sourced`] lets it choose the locations.
    #[must_use]
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.0.channel = channel.into();
        self
    }

    /// That channel chooses the locations of the lines, which name none: by that strategy, each line at one location.
    #[must_use]
    pub fn sourced(mut self, channel: impl Into<String>, strategy: v1::SourcingStrategy) -> Self {
        self.0.channel = channel.into();
        self.0.sourcing.get_or_insert_default().strategy = strategy.into();
        self
    }

    /// The channel chooses, and takes the first of these locations first, and no other. 1 to 64, each once.
    #[must_use]
    pub fn sourced_nearest(
        self,
        channel: impl Into<String>,
        locations: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let mut reserve = self.sourced(channel, v1::SourcingStrategy::Nearest);
        reserve.0.sourcing.get_or_insert_default().nearest = locations.into_iter().map(Into::into).collect();
        reserve
    }

    /// A line may be held at several locations, where the channel chooses them.
    #[must_use]
    pub fn allow_split(mut self) -> Self {
        self.0.sourcing.get_or_insert_default().allow_split = true;
        self
    }

    /// Lines that cannot be held whole are left out instead of failing the rest.
    #[must_use]
    pub fn partial_ok(mut self) -> Self {
        self.0.partial_ok = true;
        self
    }
}

/// New quantities for the lines of a hold, decided at once: whole, or the old hold stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Amend(pub(crate) v1::Amend);

impl Amend {
    /// Of that reservation; add lines.
    #[must_use]
    pub fn of(id: ReservationId) -> Self {
        Self(v1::Amend { reservation_id: Some(id.into()), lines: Vec::new() })
    }

    /// The new quantity of a SKU at the default location.
    #[must_use]
    pub fn line(self, sku: impl Into<String>, units: u32) -> Self {
        self.line_of(v1::Line { sku: sku.into(), units, ..v1::Line::default() })
    }

    /// The new quantity of a line.
    #[must_use]
    pub fn line_of(mut self, line: v1::Line) -> Self {
        self.0.lines.push(line);
        self
    }
}

/// A later expiry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extend(pub(crate) v1::Extend);

impl Extend {
    /// Of that reservation, to `ttl` from now, rounded up to seconds.
    #[must_use]
    pub fn of(id: ReservationId, ttl: Duration) -> Self {
        Self(v1::Extend { reservation_id: Some(id.into()), ttl_s: whole_seconds(ttl) })
    }
}

/// Turns a hold into a sale.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit(pub(crate) v1::Commit);

impl Commit {
    /// Of everything that reservation holds, unless lines are named.
    #[must_use]
    pub fn of(id: ReservationId) -> Self {
        Self(v1::Commit { reservation_id: Some(id.into()), ..v1::Commit::default() })
    }

    /// Only so many units of a line, by its number from 0.
    #[must_use]
    pub fn line(mut self, line: u32, units: u32) -> Self {
        self.0.lines.push(v1::LineUnits { line, units });
        self
    }

    /// What is not committed is released.
    #[must_use]
    pub fn and_release_the_rest(mut self) -> Self {
        self.0.r#final = true;
        self
    }

    /// If the hold has expired, its units are tried for anew in the same decision.
    #[must_use]
    pub fn retake_if_expired(mut self) -> Self {
        self.0.if_expired = v1::IfExpired::Retake.into();
        self
    }

    /// What is not shipped at this log time (milliseconds since the Unix epoch) is cancelled; at most 31 days ahead.
    #[must_use]
    pub fn cancel_at_ms(mut self, cancel_at_ms: u64) -> Self {
        self.0.cancel_at_ms = cancel_at_ms;
        self
    }
}

/// Gives back what is held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Release(pub(crate) v1::Release);

impl Release {
    /// Of that reservation.
    #[must_use]
    pub fn of(id: ReservationId) -> Self {
        Self(v1::Release { reservation_id: Some(id.into()) })
    }
}
