//! What becomes of sold units: shipped, cancelled, returned.

use holdfast_proto::v1;

use super::into_command;
use crate::ids::ReservationId;

into_command!(Fulfil, Cancel, Return);

/// Ships committed units.
#[derive(Clone, Debug, PartialEq)]
pub struct Fulfil(pub(crate) v1::Fulfil);

impl Fulfil {
    /// Of all that reservation has committed, unless lines are named.
    #[must_use]
    pub fn of(id: ReservationId) -> Self {
        Self(v1::Fulfil { reservation_id: Some(id.into()), lines: Vec::new() })
    }

    /// Only so many units of a line, by its number from 0.
    #[must_use]
    pub fn line(mut self, line: u32, units: u32) -> Self {
        self.0.lines.push(v1::PickedUnits { line, units, lot_id: String::new() });
        self
    }

    /// So many units of a line, picked of that lot.
    #[must_use]
    pub fn line_of_lot(mut self, line: u32, units: u32, lot_id: impl Into<String>) -> Self {
        self.0.lines.push(v1::PickedUnits { line, units, lot_id: lot_id.into() });
        self
    }
}

/// Gives back what is committed and not shipped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cancel(pub(crate) v1::Cancel);

impl Cancel {
    /// Of that reservation.
    #[must_use]
    pub fn of(id: ReservationId) -> Self {
        Self(v1::Cancel { reservation_id: Some(id.into()) })
    }
}

/// Takes shipped units back.
#[derive(Clone, Debug, PartialEq)]
pub struct Return(pub(crate) v1::Return);

impl Return {
    /// Of that reservation, into quality control unless told; name the lines.
    #[must_use]
    pub fn of(id: ReservationId) -> Self {
        Self(v1::Return { reservation_id: Some(id.into()), ..v1::Return::default() })
    }

    /// So many units of a line, by its number from 0.
    #[must_use]
    pub fn line(mut self, line: u32, units: u32) -> Self {
        self.0.lines.push(v1::PickedUnits { line, units, lot_id: String::new() });
        self
    }

    /// So many units of a line, of that lot.
    #[must_use]
    pub fn line_of_lot(mut self, line: u32, units: u32, lot_id: impl Into<String>) -> Self {
        self.0.lines.push(v1::PickedUnits { line, units, lot_id: lot_id.into() });
        self
    }

    /// To another location than they were shipped from.
    #[must_use]
    pub fn to(mut self, location_id: impl Into<String>) -> Self {
        self.0.location_id = location_id.into();
        self
    }

    /// In what condition they are.
    #[must_use]
    pub fn condition(mut self, condition: v1::Condition) -> Self {
        self.0.condition = condition.into();
        self
    }
}
