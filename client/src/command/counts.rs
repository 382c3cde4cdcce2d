//! Counts of stock while it is sold, and what other systems' records say of it.

use holdfast_proto::v1;

use super::into_command;
use crate::ids::CountId;

into_command!(OpenCount, RecordCount, ApplyCount, CancelCount, Reconcile);

/// Opens a count of a SKU at a location. [`Success::count_id`](crate::Success::count_id) says under which id.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenCount(pub(crate) v1::OpenCount);

impl OpenCount {
    /// Of that SKU, at the default location unless told.
    #[must_use]
    pub fn of(sku: impl Into<String>) -> Self {
        Self(v1::OpenCount { sku: sku.into(), ..v1::OpenCount::default() })
    }

    /// At that location.
    #[must_use]
    pub fn at(mut self, location_id: impl Into<String>) -> Self {
        self.0.location_id = location_id.into();
        self
    }

    /// One of the counts that the caller calls so.
    #[must_use]
    pub fn reference(mut self, reference: impl Into<String>) -> Self {
        self.0.reference = reference.into();
        self
    }

    /// Under an id of the caller's own, minted with the SKU's slot. The client mints one if not told.
    #[must_use]
    pub fn id(mut self, id: CountId) -> Self {
        self.0.count_id = Some(id.into());
        self
    }
}

/// Notes what was counted, as of now. What is recorded again replaces what was.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordCount(pub(crate) v1::RecordCount);

impl RecordCount {
    /// In that count; name what was counted.
    #[must_use]
    pub fn of(id: CountId) -> Self {
        Self(v1::RecordCount { count_id: Some(id.into()), lines: Vec::new() })
    }

    /// So many resellable units, of an item that has no lots; those too that are held, or sold and not shipped.
    #[must_use]
    pub fn units(self, units: u64) -> Self {
        self.line("", v1::Condition::Resellable, units)
    }

    /// The same of that lot.
    #[must_use]
    pub fn units_of_lot(self, units: u64, lot_id: impl Into<String>) -> Self {
        self.line(lot_id, v1::Condition::Resellable, units)
    }

    /// So many units in that condition, of that lot; of an item that has none: an empty one.
    #[must_use]
    pub fn line(mut self, lot_id: impl Into<String>, condition: v1::Condition, units: u64) -> Self {
        self.0.lines.push(v1::CountedUnits { lot_id: lot_id.into(), condition: condition.into(), units });
        self
    }
}

/// Brings the books to what was counted, on top of what has happened since.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ApplyCount(pub(crate) v1::ApplyCount);

impl ApplyCount {
    /// That count.
    #[must_use]
    pub fn of(id: CountId) -> Self {
        Self(v1::ApplyCount { count_id: Some(id.into()) })
    }
}

/// Gives a count up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CancelCount(pub(crate) v1::CancelCount);

impl CancelCount {
    /// That count.
    #[must_use]
    pub fn of(id: CountId) -> Self {
        Self(v1::CancelCount { count_id: Some(id.into()) })
    }
}

/// Notes that another system's records differ, or brings the books to what they say.
#[derive(Clone, Debug, PartialEq)]
pub struct Reconcile(pub(crate) v1::Reconcile);

impl Reconcile {
    /// Of a SKU at the default location it says that so many units more (above 0) or fewer are there.
    #[must_use]
    pub fn of(sku: impl Into<String>, delta: i64, discrepancy: v1::Discrepancy) -> Self {
        Self(v1::Reconcile { sku: sku.into(), delta, discrepancy: discrepancy.into(), ..v1::Reconcile::default() })
    }

    /// At that location.
    #[must_use]
    pub fn at(mut self, location_id: impl Into<String>) -> Self {
        self.0.location_id = location_id.into();
        self
    }

    /// Of that lot.
    #[must_use]
    pub fn lot(mut self, lot_id: impl Into<String>) -> Self {
        self.0.lot_id = lot_id.into();
        self
    }

    /// Brings the books to it. What is missing becomes short, the newest holds first.
    #[must_use]
    pub fn repair(mut self) -> Self {
        self.0.repair = true;
        self
    }
}
