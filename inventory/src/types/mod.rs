//! The words of the domain as types: names, ids, times and quantities.
//!
//! Mixing two of them does not compile. Names are checked when they are made, so a value of these types is always valid;
//! numbers with a range (units of a line, a time to live) are checked by [`crate::Command::validate`].

mod ids;
mod names;
mod numbers;

pub use ids::{
    AttemptId, BodyHash, CommandId, CountId, CustomerHash, IdParseError, ReceiptId, ReservationId, SLOTS, Slot,
    TransferId, slot_of, slot_of_campaign,
};
pub use names::{CampaignId, ChannelId, EndpointId, LimitId, LocationId, LotId, NameError, OrderRef, Sku, StepName};
pub use numbers::{LogTime, MAX_UNITS, Revision, Units};
