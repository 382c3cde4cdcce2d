//! Limits per customer: how many units of an item one customer may hold and buy.

use serde::{Deserialize, Serialize};

use crate::{CampaignId, CustomerHash, Field, InvalidArgument, LimitId, MAX_UNITS, Revision, Sku};

/// Most limits of one item that new holds are checked against; inactive ones, and those of campaigns that are over, are not among them.
pub const MAX_LIMITS_OF_ITEM: usize = 8;
/// The longest rolling window, in seconds: 366 days.
pub const MAX_WINDOW_S: u32 = 366 * 86_400;

/// The most units in a rolling window: each reservation in it is counted by itself.
pub const MAX_ROLLING_UNITS: u32 = 10_000;

/// Which holds and sales a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitWindow {
    /// All there ever were.
    ForEver,
    /// Those of reservations that were made in the last so many seconds, 1 to [`MAX_WINDOW_S`].
    RollingSeconds(u32),
}

/// What is said of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitSpec {
    /// Units that one customer may hold and buy, 1 to [`MAX_UNITS`]; in a rolling window to [`MAX_ROLLING_UNITS`].
    pub units: u32,
    /// Which it counts. It does not change.
    pub window: LimitWindow,
    /// What comes back may be bought again.
    pub returns_restore: bool,
    /// New holds are checked; false: they are neither checked nor counted, and those that were counted stay so.
    pub active: bool,
}

impl LimitSpec {
    /// Checks the numbers.
    ///
    /// # Errors
    ///
    /// The field that is out of range.
    pub fn validate(&self) -> Result<(), InvalidArgument> {
        if self.units == 0 || self.units > MAX_UNITS {
            return Err(InvalidArgument::of(Field::Units));
        }
        match self.window {
            LimitWindow::RollingSeconds(_) if self.units > MAX_ROLLING_UNITS => Err(InvalidArgument::of(Field::Units)),
            LimitWindow::RollingSeconds(seconds) if seconds == 0 || seconds > MAX_WINDOW_S => {
                Err(InvalidArgument::of(Field::LimitWindow))
            }
            _ => Ok(()),
        }
    }
}

/// A limit as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerLimit {
    /// Its name.
    pub id: LimitId,
    /// The item.
    pub sku: Sku,
    /// What is said of it.
    pub spec: LimitSpec,
    /// How often it was changed.
    pub revision: Revision,
    /// Only reservations made in this campaign are under it.
    pub campaign: Option<CampaignId>,
}

/// What one customer has under a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustomerCount {
    /// The customer.
    pub customer: CustomerHash,
    /// Units held that count now.
    pub held: u64,
    /// Units bought that count now.
    pub bought: u64,
    /// Units that may be held still.
    pub remaining: u64,
}
