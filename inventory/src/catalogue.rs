//! What callers say of items and locations: attributes, not quantities.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Field, InvalidArgument, LocationId, LogTime, MAX_UNITS};

/// Longest name, brand, category or time zone, in bytes.
pub const MAX_TEXT_BYTES: usize = 255;
/// Longest `attributes_json`, in bytes.
pub const MAX_ATTRIBUTES_BYTES: usize = 16 * 1024;

/// May an item be sold?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ItemStatus {
    /// Yes.
    #[default]
    Active,
    /// Not for now.
    Paused,
    /// Never again.
    Discontinued,
}

impl fmt::Display for ItemStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Discontinued => "discontinued",
        })
    }
}

/// What may be promised without stock, at each location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Backorder {
    /// Nothing.
    #[default]
    None,
    /// Up to so many units.
    UpTo {
        /// Units promised at one time at one location, 1 to [`MAX_UNITS`].
        cap: u64,
    },
    /// Before the item is out; from then on only what is there.
    Preorder {
        /// Nothing is shipped before.
        release_at: LogTime,
        /// Units promised at one time at one location, at most [`MAX_UNITS`].
        cap: u64,
    },
}

/// The attributes of an item. For `Option`s `None` means no such limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemSpec {
    /// Shown.
    pub name: String,
    /// Shown.
    pub brand: String,
    /// Shown.
    pub category: String,
    /// Shown.
    pub gtin: String,
    /// A JSON object of at most [`MAX_ATTRIBUTES_BYTES`], or empty. Opaque here.
    pub attributes_json: String,
    /// May it be sold?
    pub status: ItemStatus,
    /// False: never refused for lack of stock; what is reserved of it is not counted in the stock.
    pub tracked: bool,
    /// Each of its units belongs to a lot. Only of a tracked item; changes only while nothing of it lies anywhere.
    pub lot_tracked: bool,
    /// From manufacture to expiry.
    pub shelf_life_days: u32,
    /// Before expiry, when it leaves sale.
    pub removal_days: u32,
    /// Before removal, when somebody is told.
    pub alert_days: u32,
    /// Period after opening. Decides nothing.
    pub pao_months: u32,
    /// Life a unit must have left when it ships.
    pub min_remaining_days: u32,
    /// Most units in one reservation.
    pub max_per_order: Option<u32>,
    /// The longest hold, extensions included, in seconds.
    pub max_hold_s: Option<u32>,
    /// At or below it the item is low on stock at a location; 0: never.
    pub low_stock_threshold: u64,
    /// What may be promised without stock.
    pub backorder: Backorder,
}

impl Default for ItemSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            brand: String::new(),
            category: String::new(),
            gtin: String::new(),
            attributes_json: String::new(),
            status: ItemStatus::Active,
            tracked: true,
            lot_tracked: false,
            shelf_life_days: 0,
            removal_days: 0,
            alert_days: 0,
            pao_months: 0,
            min_remaining_days: 0,
            max_per_order: None,
            max_hold_s: None,
            low_stock_threshold: 0,
            backorder: Backorder::None,
        }
    }
}

impl ItemSpec {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        for (text, field) in [
            (&self.name, Field::Name),
            (&self.brand, Field::Brand),
            (&self.category, Field::Category),
            (&self.gtin, Field::Gtin),
        ] {
            if text.len() > MAX_TEXT_BYTES {
                return Err(InvalidArgument::of(field));
            }
        }
        if self.attributes_json.len() > MAX_ATTRIBUTES_BYTES {
            return Err(InvalidArgument::of(Field::Attributes));
        }
        if self.max_per_order == Some(0) {
            return Err(InvalidArgument::of(Field::MaxPerOrder));
        }
        if self.max_hold_s == Some(0) {
            return Err(InvalidArgument::of(Field::MaxHold));
        }
        if self.lot_tracked && !self.tracked {
            return Err(InvalidArgument::of(Field::LotTracked));
        }
        let is_backorder_valid = match self.backorder {
            Backorder::None => true,
            Backorder::UpTo { cap } => (1..=u64::from(MAX_UNITS)).contains(&cap),
            // Without a cap of its own a preorder sells what is there, and ships it later.
            Backorder::Preorder { release_at, cap } => release_at > LogTime(0) && cap <= u64::from(MAX_UNITS),
        };
        if is_backorder_valid { Ok(()) } else { Err(InvalidArgument::of(Field::Backorder)) }
    }
}

/// What kind of place a location is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LocationKind {
    /// A warehouse.
    #[default]
    Warehouse,
    /// A shop.
    Store,
    /// No place at all, such as a supplier who ships himself.
    Virtual,
}

/// The attributes of a location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocationSpec {
    /// Shown.
    pub name: String,
    /// What kind of place.
    pub kind: LocationKind,
    /// An IANA name; empty means UTC.
    pub time_zone: String,
    /// Lower is asked first.
    pub priority: u32,
    /// False: nothing new is held there.
    pub active: bool,
}

impl Default for LocationSpec {
    fn default() -> Self {
        Self { name: String::new(), kind: LocationKind::Warehouse, time_zone: String::new(), priority: 0, active: true }
    }
}

impl LocationSpec {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.name.len() > MAX_TEXT_BYTES {
            return Err(InvalidArgument::of(Field::Name));
        }
        if self.time_zone.len() > MAX_TEXT_BYTES {
            return Err(InvalidArgument::of(Field::TimeZone));
        }
        Ok(())
    }
}

/// Most locations of one channel.
pub const MAX_CHANNEL_LOCATIONS: usize = 64;
/// Most channels of a cluster.
pub const MAX_CHANNELS: usize = 1_000;

/// Through what a shop sells: from which locations, and what it keeps back there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelSpec {
    /// 1 to [`MAX_CHANNEL_LOCATIONS`], each once; asked in this order.
    pub locations: Vec<LocationId>,
    /// Units of each item at each of the locations that are not sold through the channel, at most [`MAX_UNITS`].
    pub buffer: u32,
    /// False: nothing new is sold through it.
    pub active: bool,
}

impl ChannelSpec {
    /// Whether it is one, whatever locations there are.
    ///
    /// # Errors
    ///
    /// The first field at fault.
    pub fn validate(&self) -> Result<(), InvalidArgument> {
        let count = self.locations.len();
        let is_twice = |(at, id): (usize, &LocationId)| self.locations[..at].contains(id);
        if count == 0 || count > MAX_CHANNEL_LOCATIONS || self.locations.iter().enumerate().any(is_twice) {
            return Err(InvalidArgument::of(Field::ChannelLocations));
        }
        if self.buffer > MAX_UNITS {
            return Err(InvalidArgument::of(Field::Buffer));
        }
        Ok(())
    }
}

/// As what units lie at a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// They may be sold.
    Resellable,
    /// They may not.
    Damaged,
    /// Not before somebody has looked at them.
    QualityControl,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resellable => "resellable",
            Self::Damaged => "damaged",
            Self::QualityControl => "quality control",
        })
    }
}
