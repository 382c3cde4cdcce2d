//! The stock rules of one shard: a pure, deterministic state machine.
//!
//! Responsible for what every command does to the stock, for when holds end, for deciding each command id once, and for the
//! change log's content. Promises that two instances fed the same entries have the same state, answers and events, byte
//! for byte. Leaves the log, the disk, the wire and the clock to others: nothing here awaits, reads a clock or does IO.

mod answer;
mod audit;
mod backorder;
mod between_shards;
mod campaign;
mod catalogue;
mod command;
pub mod commands;
mod count;
mod customer_limit;
mod demand;
mod document;
mod event;
mod event_kind;
mod field;
mod history;
pub mod invariants;
mod inventory;
mod kit;
mod limits;
mod lot;
mod once;
mod order;
mod parts;
mod queries;
mod refusal;
mod reservation;
mod room;
mod shared_limit;
mod shelf;
mod sold_out;
mod sources;
mod state;
mod stock;
mod survey;
#[cfg(any(test, fuzzing))]
#[cfg_attr(fuzzing, allow(dead_code, reason = "the fuzz targets need a part of it"))]
mod test_shop;
mod turn;
mod types;
#[cfg(any(test, fuzzing))]
pub mod untrusted;

pub use answer::{Answer, Applied, Success};
pub use audit::{AuditReport, AuditView, Halt, MAX_BREACHES_KEPT};
pub use backorder::{BackorderCursor, BackorderEntry, BackorderFilter, NoBackorderCursor};
pub use between_shards::SpreadPlan;
pub use campaign::{
    Allocation, Campaign, CampaignAdmission, CampaignPhase, CampaignSpec, MAX_ALLOCATIONS, MAX_ALLOCATIONS_OF_PLACE,
    MAX_CAMPAIGNS,
};
pub use catalogue::{
    Backorder, ChannelSpec, Condition, ItemSpec, ItemStatus, LocationKind, LocationSpec, MAX_ATTRIBUTES_BYTES,
    MAX_CHANNEL_LOCATIONS, MAX_CHANNELS, MAX_TEXT_BYTES,
};
pub use command::{Cause, Command, Entry, MAX_CAUSE_BYTES, MAX_CHAIN, Operation};
pub use customer_limit::{
    CustomerCount, CustomerLimit, LimitSpec, LimitWindow, MAX_LIMITS_OF_ITEM, MAX_ROLLING_UNITS, MAX_WINDOW_S,
};

pub use count::{
    Count, CountLine, CountState, MAX_COUNT_LINES, MAX_COUNT_REFERENCE_BYTES, MAX_SHORT_NAMED, ShortReservation,
};
pub use document::{
    DocumentCursor, DocumentFilter, MAX_DOCUMENT_LINES, Receipt, ReceiptLine, Transfer, TransferLine, TransferState,
    TransferUnits,
};
pub use event::{ChainError, Event, EventBody, EventDecodeError, EventHash, ReservationRef, StockChange, Subject};
pub use event_kind::EventKind;
pub use field::{Field, InvalidArgument};
pub use history::{Frontier, InclusionProof, MAX_PEAKS, Prover};
pub use inventory::Inventory;
pub use kit::{Component, Kit, MAX_COMPONENTS, Promisable, SkuKind};
pub use limits::Limits;
pub use lot::{Lot, LotDates, LotSpec, LotStatus};
pub use once::ResultWindow;
pub use order::{
    CallKey, Compensation, MAX_ATTEMPTS, MAX_STEP_BYTES, MAX_STEP_DEADLINE_MS, MAX_STEPS, MAX_WHY_BYTES,
    MIN_STEP_DEADLINE_MS, Order, OrderFilter, OrderState, Resolution, Step, StepCall, StepKind, StepSpec, StepState,
};
pub use parts::LineUnits;
pub(crate) use parts::validate_parts;
pub use queries::{AllocationCursor, Channel, Counts, Item, Location, LotCursor, LotTrace, ReservationCursor};
pub use refusal::{DifferentField, Refusal};
pub use reservation::{LineCounts, LotUnits, Reservation, ReservationLine, ReservationState};
pub use room::{
    Commitment, MAX_ADMISSION_S, MAX_ADMITTED, MAX_TICKETS, MAX_TICKETS_OF_SHARD, Pass, QueueFault, Room, Seed, Ticket,
    TicketState, TokenFault,
};
pub use shared_limit::{
    MAX_SHARED_LIMIT_ID_BYTES, MAX_SHARED_LIMITS, MAX_SHARED_LIMITS_OF_ITEM, MAX_SKUS_OF_LIMIT, MIN_SKUS_OF_LIMIT,
    SharedLimit, SharedLimitSpec,
};
pub use sources::{AskedUnits, Source};
pub use state::{ChunkError, ChunkId, ChunkKind, Cut, Digest, LoadError};
pub use stock::{StockCounts, StockDelta, StockFlow, StockLevel, StockTotals};
pub use survey::Survey;
pub use types::{
    AttemptId, BodyHash, CampaignId, ChannelId, CommandId, CountId, CustomerHash, EndpointId, IdParseError, LimitId,
    LocationId, LogTime, LotId, MAX_UNITS, NameError, OrderRef, ReceiptId, ReservationId, Revision, SLOTS, Sku, Slot,
    StepName, TransferId, Units, slot_of, slot_of_campaign,
};
