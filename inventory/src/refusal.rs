//! Why a command was not done: the names of the domain, each with what the caller needs to act.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::invariants::Invariant;
use crate::{
    CampaignId, ChannelId, Commitment, Condition, CountId, InvalidArgument, ItemStatus, LimitId, LocationId, LogTime,
    LotId, LotStatus, MAX_CHAIN, OrderState, QueueFault, Revision, Sku, Slot, StepName, TokenFault,
};

/// Why a command was not done.
///
/// A refusal is final under its command id, but for those where [`Refusal::is_recorded`] is false: they decided nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    /// Fewer units are there than a line asks for.
    #[error("line {line} asks for more than the {available} units that are available")]
    InsufficientStock {
        /// Units that could be had.
        available: u64,
        /// The first line that fails, from 0.
        line: u32,
        /// True: decided, and final under this id.
        recorded: bool,
    },
    /// A sum would leave the range of its counter.
    #[error("the quantity leaves the range of its counter")]
    QuantityOverflow,
    /// The item is not on sale.
    #[error("the item {sku} is {status}")]
    ItemNotSellable {
        /// The item.
        sku: Sku,
        /// Its status.
        status: ItemStatus,
    },
    /// A lot-tracked item needs a lot here.
    #[error("the item is tracked by lot and no lot is named")]
    LotRequired,
    /// More units of one item than an order may have.
    #[error("an order may have at most {limit} units of {sku}")]
    OrderLimitExceeded {
        /// The item.
        sku: Sku,
        /// Its `max_per_order`.
        limit: u32,
    },
    /// The record was changed since the caller read it.
    #[error("the revision is {actual}")]
    RevisionMismatch {
        /// The revision now.
        actual: Revision,
    },
    /// There is one already.
    #[error("it exists already")]
    Exists,
    /// The same id, or the same name, with another content.
    #[error("it exists already with a different {field}")]
    ExistsWithDifferent {
        /// What differs.
        field: DifferentField,
    },
    /// The id was minted before what is still remembered: this attempt did nothing, an earlier one may have.
    #[error("the command id was minted at or before {horizon}, which is no longer remembered")]
    IdTooOld {
        /// Ids minted at or before this are no longer decided.
        horizon: LogTime,
    },
    /// The id was minted too far ahead of cluster time.
    #[error("the command id was minted ahead of the cluster's time, which is {now}")]
    IdFromFuture {
        /// Cluster time.
        now: LogTime,
    },
    /// No such reservation is in memory.
    #[error("there is no such reservation")]
    ReservationNotFound,
    /// The hold ended by itself.
    #[error("the reservation expired at {expired_at}")]
    ReservationExpired {
        /// When it expired.
        expired_at: LogTime,
    },
    /// It is sold already.
    #[error("the reservation is committed already")]
    AlreadyCommitted,
    /// It was given back already.
    #[error("the reservation is released or cancelled already")]
    AlreadyReleased,
    /// It was shipped already.
    #[error("the reservation is fulfilled already")]
    AlreadyFulfilled,
    /// More than the line has in the state the command takes from.
    #[error("line {line} has only {available} units to take from")]
    ExceedsHeldQuantity {
        /// The line, from 0.
        line: u32,
        /// Units it has.
        available: u64,
    },
    /// More than was shipped and has not come back yet.
    #[error("line {line} has only {available} units that may be returned")]
    ExceedsFulfilled {
        /// The line, from 0.
        line: u32,
        /// Units shipped and not returned.
        available: u64,
    },
    /// A hold may not live that long.
    #[error("the hold may last until {max_expires_at}")]
    ExtendLimitReached {
        /// The latest expiry it may have.
        max_expires_at: LogTime,
    },
    /// Another command of the chain failed, so this one did nothing.
    #[error("a command linked to this one failed")]
    LinkedCommandFailed,
    /// A chain has more commands than it may.
    #[error("a chain has at most {MAX_CHAIN} commands")]
    BatchTooLarge,
    /// There is no such item.
    #[error("there is no item {sku}")]
    UnknownSku {
        /// The SKU.
        sku: Sku,
    },
    /// There is no such location, or it is not active.
    #[error("there is no active location {location}")]
    UnknownLocation {
        /// The location.
        location: LocationId,
    },
    /// There is no such lot.
    #[error("there is no lot {lot}")]
    UnknownLot {
        /// The lot.
        lot: LotId,
    },
    /// Input that no state could make right.
    #[error(transparent)]
    InvalidArgument(#[from] InvalidArgument),
    /// A budget of the shard is used up.
    #[error("the shard has no room for this; ask again in {retry_after_ms} ms")]
    Overloaded {
        /// How long to wait.
        retry_after_ms: u64,
    },
    /// Fewer units are there, and bound by nothing, than a count or an adjustment says are gone.
    #[error("only {available} units can be written off")]
    TooFewToWriteOff {
        /// Units that could be.
        available: u64,
    },
    /// Part of the hold is not there any more.
    #[error("{units} held units are short: their stock went away")]
    HoldShort {
        /// Units that are missing.
        units: u64,
    },
    /// The lot has left sale.
    #[error("the lot left sale at {removal_at}")]
    LotExpired {
        /// When.
        removal_at: LogTime,
    },
    /// The lot may not be sold.
    #[error("the lot is {status}")]
    LotBlocked {
        /// Its status.
        status: LotStatus,
    },
    /// The lot leaves sale before the item's `min_remaining_days` are over.
    #[error("the lot leaves sale at {removal_at}, and {needed_until} is needed")]
    ShelfLifeTooShort {
        /// When it leaves sale.
        removal_at: LogTime,
        /// Until when it would have to be sellable.
        needed_until: LogTime,
    },
    /// Units of too many lots would lie at one location.
    #[error("units of at most {most} lots of an item may lie at one location")]
    TooManyLots {
        /// How many may.
        most: u32,
    },
    /// Fewer units of the picked lot are there, and needed by nobody else.
    #[error("only {available} units of that lot can be shipped")]
    TooFewOfLot {
        /// Units that could be.
        available: u64,
    },
    /// Fewer units of that condition are there, bound by nothing and needed by no hold.
    #[error("only {available} {condition} units can be taken")]
    TooFewOfCondition {
        /// The condition.
        condition: Condition,
        /// Units that could be.
        available: u64,
    },
    /// No such transfer is in memory.
    #[error("there is no such transfer")]
    TransferNotFound,
    /// No such expected receipt is in memory.
    #[error("there is no such expected receipt")]
    ReceiptNotFound,
    /// Nothing of the transfer is on its way any more, or the receipt is closed.
    #[error("it has ended already")]
    AlreadyEnded,
    /// More than the line has on its way.
    #[error("line {line} has only {available} units in transit")]
    ExceedsInTransit {
        /// The line, from 0.
        line: u32,
        /// Units on their way.
        available: u64,
    },
    /// It is not known yet whether a reservation over several shards stands.
    #[error("it is not decided yet; ask again with the same id")]
    OrderUndecided,
    /// What is asked cannot be done with a reservation whose lines lie on several shards.
    #[error(
        "lines of the reservation lie on several shards: more of those of another shard than its own can be held by a new reservation only, \
         what has expired is not taken anew, and units of lines of several shards come back one shard at a time"
    )]
    LinesSpanShards,
    /// What is asked would change a line that was worked out from what was asked for, without the others of it.
    #[error("the lines come from a kit, or from one line that was split: they change together only")]
    LinesMoveTogether,
    /// The item has a limit per customer, and no customer is named.
    #[error("{sku} has a limit per customer: name the customer")]
    CustomerRequired {
        /// The item.
        sku: Sku,
    },
    /// The customer would have more than a limit allows.
    #[error("the limit {limit} leaves the customer {remaining} more")]
    CustomerLimitExceeded {
        /// The limit.
        limit: LimitId,
        /// Units that the customer may have still.
        remaining: u64,
        /// The line.
        line: u32,
    },
    /// No such count is in memory.
    #[error("there is no such count")]
    CountNotFound,
    /// The item is being counted at that location already: what both find missing would be written off twice.
    #[error("the item is being counted there already, by count {count}")]
    CountInProgress {
        /// The count that is open.
        count: CountId,
    },
    /// More would be promised without stock than the item allows.
    #[error("line {line} asks for more than the {available} units that are available, with or without stock")]
    BackorderCapExceeded {
        /// Units that could be promised, those that are there included.
        available: u64,
        /// The first line that fails, from 0.
        line: u32,
    },
    /// The SKU is a kit, of which nothing lies anywhere.
    #[error("{sku} is a kit: only its components are stocked")]
    SkuIsKit {
        /// The SKU.
        sku: Sku,
        /// False of a line of a reserve: it is to be worked out anew, and nothing was decided.
        recorded: bool,
    },
    /// Fewer units of a component are there than a line of a kit needs.
    #[error("line {line} needs more of the component {sku} than the {available} units that are available")]
    ComponentUnavailable {
        /// The component.
        sku: Sku,
        /// Units of it that could be had.
        available: u64,
        /// The first line that fails, from 0.
        line: u32,
    },
    /// The item is not out yet.
    #[error("nothing of the item is shipped before {release_at}")]
    NotReleased {
        /// When it is.
        release_at: LogTime,
    },
    /// There is no such channel, or it is not active.
    #[error("there is no active channel {channel}")]
    UnknownChannel {
        /// The channel.
        channel: ChannelId,
    },
    /// The recipe was changed since the caller read it.
    #[error("line {line} names another revision of the kit {sku} than {actual}")]
    KitRevisionMismatch {
        /// The kit.
        sku: Sku,
        /// Its `kit_rev` now.
        actual: Revision,
        /// The line, from 0.
        line: u32,
    },
    /// A kit is made of itself.
    #[error("the kit is made of itself: {}", path.iter().map(Sku::as_str).collect::<Vec<_>>().join(" > "))]
    KitCycle {
        /// From the kit to itself again.
        path: Vec<Sku>,
    },
    /// A kit is made of kits too deep, or of too much.
    #[error("line {line}: the kit {sku} nests too deep, or becomes too many lines")]
    KitTooLarge {
        /// The kit.
        sku: Sku,
        /// The line, from 0.
        line: u32,
    },
    /// An audit has found a breach of an invariant, and nobody has looked yet.
    #[error(
        "the shard takes no commands, since an audit found {} broken: `holdfast shard list` says what it found, `holdfast shard resume SHARD` lets it go on",
        invariant.id()
    )]
    ShardHalted {
        /// What was found broken.
        invariant: Invariant,
    },
    /// The reservation has no order in memory.
    #[error("there is no such order")]
    OrderNotFound,
    /// External steps decide what becomes of the reservation, until its order has ended.
    #[error("its order is {state}: what becomes of it is decided by its steps, or by `order resolve`")]
    OrderOpen {
        /// Where the order stands.
        state: OrderState,
    },
    /// The order has ended otherwise.
    #[error("the order is {state} already")]
    OrderEnded {
        /// How.
        state: OrderState,
    },
    /// The step is not what is being done now, or is none that can be reported so.
    #[error("the step {step} is not waited for")]
    StepNotRunning {
        /// The step.
        step: StepName,
    },
    /// There is no such campaign.
    #[error("there is no campaign {campaign}")]
    UnknownCampaign {
        /// The campaign.
        campaign: CampaignId,
    },
    /// The campaign has not begun.
    #[error("the campaign {campaign} starts at {starts_at}")]
    SaleNotStarted {
        /// The campaign.
        campaign: CampaignId,
        /// When it does.
        starts_at: LogTime,
    },
    /// The campaign is over.
    #[error("the campaign {campaign} is over")]
    SaleEnded {
        /// The campaign.
        campaign: CampaignId,
    },
    /// The campaign has fewer units left than that.
    #[error("line {line} asks for more than the {available} units that the campaign has left")]
    AllocationExhausted {
        /// Units that it could have.
        available: u64,
        /// The first line that fails, from 0.
        line: u32,
    },
    /// Fewer units may be promised than the campaign is to get.
    #[error("only {available} units can be given to the campaign")]
    AllocationExceedsAvailable {
        /// Units that could be.
        available: u64,
    },
    /// The admission token of a reserve is not one that lets it in.
    #[error("the admission token {}", why.text())]
    AdmissionTokenInvalid {
        /// What is wrong with it.
        why: TokenFault,
    },
    /// The waiting room of the campaign does not do this, or not now.
    #[error("the waiting room of {campaign}: {}", why.text())]
    QueueClosed {
        /// The campaign.
        campaign: CampaignId,
        /// Why.
        why: QueueFault,
    },
    /// No more tickets are given.
    #[error("the waiting room is full: a campaign has at most {most} tickets")]
    QueueFull {
        /// Most tickets of a campaign.
        most: u32,
    },
    /// A lottery has no commitment to a seed.
    #[error("the lottery of {campaign} is not committed to a seed yet")]
    DrawNotCommitted {
        /// The campaign.
        campaign: CampaignId,
    },
    /// A lottery is committed to another seed.
    #[error("the lottery is committed to the seed of hash {commitment}")]
    DrawSeedMismatch {
        /// What it is committed to.
        commitment: Commitment,
    },
    /// The item is under a limit over several whose counter was not asked, or is not known where it stands: the reserve is to be
    /// planned anew, and nothing was decided.
    #[error("the limit {limit} is not known yet to all who are asked; ask again with the same id")]
    LimitNotAsked {
        /// The limit.
        limit: LimitId,
    },
    /// The lines lie on another shard, which is to be asked: nothing was decided.
    #[error("the lines lie on another shard of the reservation; ask again with the same id")]
    LinesElsewhere {
        /// A slot of that shard.
        slot: Slot,
    },
}

/// What differs in an [`Refusal::ExistsWithDifferent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DifferentField {
    /// The command's body.
    Body,
    /// The chain the command stood in.
    Linked,
    /// The item's `lot_tracked`, which changes only at zero stock.
    LotTracked,
    /// When the lot was made.
    ManufacturedAt,
    /// Until when the lot is at its best.
    BestBefore,
    /// When the lot may not be used any more.
    ExpiresAt,
    /// The supplier's word for the lot.
    SupplierLot,
    /// Whether the SKU is a kit.
    Kit,
}

impl DifferentField {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Linked => "linked",
            Self::LotTracked => "lot_tracked",
            Self::ManufacturedAt => "manufactured_at",
            Self::BestBefore => "best_before",
            Self::ExpiresAt => "expires_at",
            Self::SupplierLot => "supplier_lot",
            Self::Kit => "kit",
        }
    }
}

impl fmt::Display for DifferentField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Refusal {
    /// True where the refusal was decided and is final under its command id; false where nothing was decided, so that the
    /// same id may be asked again (or, for [`Refusal::IdTooOld`], an earlier attempt may have had an effect).
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        match self {
            Self::InsufficientStock { recorded, .. } | Self::SkuIsKit { recorded, .. } => *recorded,
            Self::ExistsWithDifferent { field } => !matches!(field, DifferentField::Body | DifferentField::Linked),
            Self::IdTooOld { .. }
            | Self::IdFromFuture { .. }
            | Self::BatchTooLarge
            | Self::Overloaded { .. }
            | Self::OrderUndecided
            | Self::ShardHalted { .. }
            | Self::LimitNotAsked { .. }
            | Self::LinesElsewhere { .. } => false,
            Self::AdmissionTokenInvalid { .. }
            | Self::QueueClosed { .. }
            | Self::QueueFull { .. }
            | Self::DrawNotCommitted { .. }
            | Self::DrawSeedMismatch { .. }
            | Self::QuantityOverflow
            | Self::ItemNotSellable { .. }
            | Self::LotRequired
            | Self::OrderLimitExceeded { .. }
            | Self::RevisionMismatch { .. }
            | Self::Exists
            | Self::ReservationNotFound
            | Self::ReservationExpired { .. }
            | Self::AlreadyCommitted
            | Self::AlreadyReleased
            | Self::AlreadyFulfilled
            | Self::ExceedsHeldQuantity { .. }
            | Self::ExceedsFulfilled { .. }
            | Self::ExtendLimitReached { .. }
            | Self::LinkedCommandFailed
            | Self::UnknownSku { .. }
            | Self::UnknownLocation { .. }
            | Self::UnknownLot { .. }
            | Self::TooFewToWriteOff { .. }
            | Self::HoldShort { .. }
            | Self::LotExpired { .. }
            | Self::LotBlocked { .. }
            | Self::ShelfLifeTooShort { .. }
            | Self::TooManyLots { .. }
            | Self::TooFewOfLot { .. }
            | Self::TooFewOfCondition { .. }
            | Self::TransferNotFound
            | Self::ReceiptNotFound
            | Self::AlreadyEnded
            | Self::ExceedsInTransit { .. }
            | Self::LinesSpanShards
            | Self::LinesMoveTogether
            | Self::CustomerRequired { .. }
            | Self::CustomerLimitExceeded { .. }
            | Self::CountNotFound
            | Self::CountInProgress { .. }
            | Self::BackorderCapExceeded { .. }
            | Self::NotReleased { .. }
            | Self::UnknownChannel { .. }
            | Self::ComponentUnavailable { .. }
            | Self::KitRevisionMismatch { .. }
            | Self::KitCycle { .. }
            | Self::KitTooLarge { .. }
            | Self::OrderNotFound
            | Self::OrderOpen { .. }
            | Self::OrderEnded { .. }
            | Self::StepNotRunning { .. }
            | Self::UnknownCampaign { .. }
            | Self::SaleNotStarted { .. }
            | Self::SaleEnded { .. }
            | Self::AllocationExhausted { .. }
            | Self::AllocationExceedsAvailable { .. }
            | Self::InvalidArgument(_) => true,
        }
    }

    /// The refusal as bytes, for another shard that is to keep it as its own.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, Vec::new()).expect("a refusal's types serialise, and a Vec takes every byte")
    }

    /// Reads what [`Refusal::encode`] gave; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        match postcard::take_from_bytes(bytes) {
            Ok((refusal, [])) => Some(refusal),
            _ => None,
        }
    }

    /// The same, where the lines of a reserve are to be worked out anew rather than refused for good.
    pub(crate) fn of_no_decision(self) -> Self {
        match self {
            Self::SkuIsKit { sku, .. } => Self::SkuIsKit { sku, recorded: false },
            other => other,
        }
    }

    /// The same of a reservation of which these lines, by their numbers, were only a part.
    pub(crate) fn of_lines(mut self, numbers: &[u16]) -> Self {
        let whole = |line: &mut u32| *line = numbers.get(*line as usize).map_or(*line, |number| u32::from(*number));
        match &mut self {
            Self::InsufficientStock { line, .. }
            | Self::CustomerLimitExceeded { line, .. }
            | Self::BackorderCapExceeded { line, .. }
            | Self::ExceedsHeldQuantity { line, .. }
            | Self::ExceedsFulfilled { line, .. }
            | Self::ComponentUnavailable { line, .. }
            | Self::AllocationExhausted { line, .. }
            | Self::InvalidArgument(InvalidArgument { line: Some(line), .. }) => whole(line),
            _ => {}
        }
        self
    }
}
