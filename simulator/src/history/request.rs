//! What a command of a history asks for.

use serde::{Deserialize, Serialize};

use super::Id;

/// The last day of each lot 0.
pub const LAST_DAY_OF_LOT_0: &str = "2025-12-31";
/// Its last millisecond, in log time: it is sold and shipped until then.
pub const END_OF_LOT_0_MS: u64 = 1_767_225_600_000 - 1;

/// Units of one SKU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is what its name says")]
pub struct Line {
    pub sku: String,
    pub units: u32,
}

/// What a command asks for. Everything at the default location, always of the whole reservation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are the protocol's")]
pub enum Request {
    PutItem {
        sku: String,
    },
    PutItemByLot {
        sku: String,
    },
    Receive {
        sku: String,
        units: u32,
    },
    /// Of lot 0, 1, 2, …: the lower the number, the earlier it leaves sale. The last day of lot 0 is [`LAST_DAY_OF_LOT_0`], which
    /// ends within a simulated run; the others leave sale long after any run.
    ReceiveLot {
        sku: String,
        lot: u8,
        units: u32,
    },
    BlockLot {
        sku: String,
        lot: u8,
    },
    UnblockLot {
        sku: String,
        lot: u8,
    },
    Set {
        sku: String,
        on_hand: u64,
        if_revision: u64,
    },
    /// So many units of a SKU for each customer, for ever.
    PutLimit {
        sku: String,
        units: u32,
    },
    Reserve {
        reservation: Id,
        lines: Vec<Line>,
        ttl_s: u32,
        /// The lines may lie on several shards.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        over_shards: bool,
        /// For whom; 0: nobody is named.
        #[serde(default, skip_serializing_if = "is_nobody")]
        customer: u8,
        /// Units that the customer may have of the family of SKUs together, for ever; 0: as many as there are.
        #[serde(default, skip_serializing_if = "is_unlimited")]
        together: u32,
    },
    /// The lines are of items: a channel chooses where they lie.
    ReserveThrough {
        reservation: Id,
        lines: Vec<Line>,
        ttl_s: u32,
        through: Through,
    },
    Extend {
        reservation: Id,
        ttl_s: u32,
    },
    Commit {
        reservation: Id,
    },
    Release {
        reservation: Id,
    },
    Fulfil {
        reservation: Id,
    },
    Cancel {
        reservation: Id,
    },
    /// Units of a lot leave a place for another: both SKUs are the same item's ([`item_of`]).
    Send {
        transfer: Id,
        sku: String,
        to: String,
        lot: u8,
        units: u32,
    },
    Arrive {
        transfer: Id,
        sku: String,
        to: String,
        units: u32,
    },
    Lose {
        transfer: Id,
        sku: String,
        to: String,
        units: u32,
    },
    CallBack {
        transfer: Id,
        sku: String,
        to: String,
    },
    Expect {
        receipt: Id,
        sku: String,
        units: u32,
    },
    /// Units of a lot arrive with an expected receipt.
    ReceiveExpected {
        receipt: Id,
        sku: String,
        lot: u8,
        units: u32,
    },
    CloseReceipt {
        receipt: Id,
        sku: String,
    },
    /// So many units of a reservation of one line are shipped, all or none.
    Ship {
        reservation: Id,
        units: u32,
    },
    OpenCount {
        count: Id,
        sku: String,
    },
    RecordCount {
        count: Id,
        sku: String,
        lot: u8,
        units: u32,
    },
    ApplyCount {
        count: Id,
        sku: String,
    },
    CancelCount {
        count: Id,
        sku: String,
    },
    /// An item of which so many units may be promised without stock, and of which nothing may be shipped before that instant.
    PutItemToWaitFor {
        sku: String,
        cap: u64,
        release_at_ms: u64,
    },
    PutKit {
        sku: String,
        components: Vec<Line>,
    },
    /// Lines of kits and of items, of any shards.
    ReserveKits {
        reservation: Id,
        lines: Vec<KitLine>,
        ttl_s: u32,
    },
    /// Lines of any shards, of which units are sold, shipped, given back and returned line by line.
    ReserveInParts {
        reservation: Id,
        lines: Vec<Line>,
    },
    /// Units of one of its lines, by its number.
    Change {
        reservation: Id,
        line: u32,
        units: u32,
        change: Change,
    },
    /// Units are kept for a campaign, or not any more.
    Allocate {
        sku: String,
        units: u32,
        sale: Sale,
        back: bool,
    },
    /// Units of a SKU of which campaigns have some: in one of them, or outside.
    ReserveIn {
        reservation: Id,
        sku: String,
        units: u32,
        ttl_s: u32,
        sale: Option<Sale>,
        /// Of a campaign that lets in who has the turn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        showing: Option<Showing>,
    },
    /// Units whose sale external steps decide.
    ReserveToOrder {
        reservation: Id,
        sku: String,
        units: u32,
    },
    StartOrder {
        reservation: Id,
        steps: Vec<StepAsked>,
    },
    ReportStep {
        reservation: Id,
        step: String,
        /// It is about taking the step back.
        undo: bool,
        done: bool,
    },
    ResolveOrder {
        reservation: Id,
        confirm: bool,
    },
    /// A customer wants a ticket of a waiting room.
    JoinQueue {
        campaign: String,
        customer: u8,
        /// What the run's opening made of the room.
        by_lot: bool,
    },
    /// A lottery is held to a seed: that of this number ([`seed_of`]).
    CommitDraw {
        campaign: String,
        seed: u64,
    },
    /// A lottery is drawn, with the seed of this number.
    Draw {
        campaign: String,
        seed: u64,
    },
    /// The next of a waiting room are let in.
    Admit {
        campaign: String,
        tickets: u32,
        valid_s: u32,
        /// What was read before.
        left: u64,
        spent: u32,
        newly_spent: Vec<u32>,
        as_of_ms: u64,
    },
    /// Lines of items by lot and of kits of them, of any shards, some of a lot by name.
    ReserveOfLots {
        reservation: Id,
        lines: Vec<LotLine>,
    },
    /// So many units of a reservation's line are picked of that lot and shipped.
    Pick {
        reservation: Id,
        line: u32,
        lot: u8,
        units: u32,
    },
    /// A lot is withdrawn for good.
    Recall {
        sku: String,
        lot: u8,
    },
}

/// A line of an item by lot, or of a kit of such items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is what its name says")]
pub struct LotLine {
    pub sku: String,
    pub units: u32,
    /// By name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot: Option<u8>,
}

/// What a customer shows who was let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is what its name says")]
pub struct Showing {
    pub customer: u8,
    /// The ticket that the token is of, as it was told with it.
    pub ticket: u32,
    /// When the token's time is over, as it was told with it, in log time.
    pub until_ms: u64,
    pub token: String,
}

/// The seed of a lottery that a history calls by a number.
#[must_use]
pub fn seed_of(number: u64) -> [u8; 32] {
    *blake3::hash(&number.to_le_bytes()).as_bytes()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_unlimited(units: &u32) -> bool {
    *units == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_nobody(customer: &u8) -> bool {
    *customer == 0
}

/// A campaign as a request means it: what the run's opening made of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is what its name says, in log time")]
pub struct Sale {
    pub campaign: String,
    pub starts_at_ms: u64,
    pub ends_at_ms: u64,
}

/// A channel as a request means it: what the run's opening made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Through {
    /// Its name.
    pub channel: String,
    /// Whether it sells from the default location too, beside [`AWAY`].
    pub everywhere: bool,
    /// Units of each item that it keeps back at each of its locations.
    pub buffer: u32,
    /// How it chooses, by the protocol's number.
    pub strategy: i32,
    /// A line may lie at both.
    pub allow_split: bool,
}

/// A step of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepAsked {
    /// Its name.
    pub name: String,
    /// The provider is called; else somebody reports it.
    pub is_called: bool,
    /// How it is taken back.
    pub undo: Undo,
    /// How long it may take, and taking it back as well.
    pub within_ms: u64,
}

/// How a step is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// It need not be.
    None,
    /// The provider is called.
    Called,
    /// Somebody reports it.
    Reported,
}

/// What becomes of units of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// They are sold.
    Sell,
    /// They are sold, and what is left of the reservation is given back.
    SellLast,
    /// They are shipped.
    Ship,
    /// They come back.
    Return,
    /// So many are held from now on, of that SKU.
    Amend {
        /// The line's.
        sku: String,
    },
}

/// A line of kits, or of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is what its name says")]
pub struct KitLine {
    pub sku: String,
    pub units: u32,
    pub optional: bool,
    /// 0: any.
    pub kit_revision: u64,
    /// Where not all can be had, as many as there are, but no fewer than these; 0: all or nothing.
    #[serde(default)]
    pub least: u32,
}

/// Where an item lies beside the default location, where it does.
pub const AWAY: &str = "away";

/// The SKU of what a history calls by `SKU@away` where it lies away.
#[must_use]
pub fn item_of(sku: &str) -> &str {
    sku.split_once('@').map_or(sku, |(item, _)| item)
}

/// What a history calls an item at that location.
#[must_use]
pub fn name_at(item: &str, location: &str) -> String {
    if location == AWAY { format!("{item}@{AWAY}") } else { item.to_owned() }
}

impl Request {
    /// The reservation it is about.
    #[must_use]
    pub fn reservation(&self) -> Option<Id> {
        match self {
            Self::PutItem { .. }
            | Self::PutItemByLot { .. }
            | Self::Receive { .. }
            | Self::ReceiveLot { .. }
            | Self::BlockLot { .. }
            | Self::UnblockLot { .. }
            | Self::Send { .. }
            | Self::Arrive { .. }
            | Self::Lose { .. }
            | Self::CallBack { .. }
            | Self::Expect { .. }
            | Self::ReceiveExpected { .. }
            | Self::CloseReceipt { .. }
            | Self::PutLimit { .. }
            | Self::OpenCount { .. }
            | Self::RecordCount { .. }
            | Self::ApplyCount { .. }
            | Self::CancelCount { .. }
            | Self::PutItemToWaitFor { .. }
            | Self::PutKit { .. }
            | Self::Allocate { .. }
            | Self::JoinQueue { .. }
            | Self::CommitDraw { .. }
            | Self::Draw { .. }
            | Self::Admit { .. }
            | Self::Recall { .. }
            | Self::Set { .. } => None,
            Self::Reserve { reservation, .. }
            | Self::Ship { reservation, .. }
            | Self::ReserveThrough { reservation, .. }
            | Self::ReserveKits { reservation, .. }
            | Self::ReserveInParts { reservation, .. }
            | Self::Change { reservation, .. }
            | Self::ReserveIn { reservation, .. }
            | Self::ReserveToOrder { reservation, .. }
            | Self::StartOrder { reservation, .. }
            | Self::ReportStep { reservation, .. }
            | Self::ResolveOrder { reservation, .. }
            | Self::ReserveOfLots { reservation, .. }
            | Self::Pick { reservation, .. }
            | Self::Extend { reservation, .. }
            | Self::Commit { reservation }
            | Self::Release { reservation }
            | Self::Fulfil { reservation }
            | Self::Cancel { reservation } => Some(*reservation),
        }
    }

    /// The SKUs it names.
    pub fn skus(&self) -> impl Iterator<Item = &str> {
        let (one, lines): (Option<&str>, &[Line]) = match self {
            Self::Send { sku, .. }
            | Self::Arrive { sku, .. }
            | Self::Lose { sku, .. }
            | Self::CallBack { sku, .. }
            | Self::Expect { sku, .. }
            | Self::ReceiveExpected { sku, .. }
            | Self::CloseReceipt { sku, .. }
            | Self::OpenCount { sku, .. }
            | Self::RecordCount { sku, .. }
            | Self::ApplyCount { sku, .. }
            | Self::CancelCount { sku, .. }
            | Self::PutItemToWaitFor { sku, .. } => (Some(sku), &[]),
            Self::PutItem { sku }
            | Self::PutItemByLot { sku }
            | Self::Receive { sku, .. }
            | Self::ReceiveLot { sku, .. }
            | Self::BlockLot { sku, .. }
            | Self::UnblockLot { sku, .. }
            | Self::Recall { sku, .. }
            | Self::PutLimit { sku, .. }
            | Self::Set { sku, .. } => (Some(sku), &[]),
            Self::Reserve { lines, .. } | Self::ReserveThrough { lines, .. } | Self::ReserveInParts { lines, .. } => {
                (None, lines)
            }
            Self::PutKit { sku, components } => (Some(sku), components),
            Self::Allocate { sku, .. } | Self::ReserveIn { sku, .. } | Self::ReserveToOrder { sku, .. } => {
                (Some(sku), &[])
            }
            Self::ReserveKits { .. }
            | Self::Change { .. }
            | Self::JoinQueue { .. }
            | Self::CommitDraw { .. }
            | Self::Draw { .. }
            | Self::ReserveOfLots { .. }
            | Self::Pick { .. }
            | Self::Admit { .. } => (None, &[]),
            Self::StartOrder { .. } | Self::ReportStep { .. } | Self::ResolveOrder { .. } => (None, &[]),
            Self::Extend { .. }
            | Self::Commit { .. }
            | Self::Release { .. }
            | Self::Fulfil { .. }
            | Self::Ship { .. }
            | Self::Cancel { .. } => (None, &[]),
        };
        let of_kits: &[KitLine] = match self {
            Self::ReserveKits { lines, .. } => lines,
            _ => &[],
        };
        let of_lots: &[LotLine] = match self {
            Self::ReserveOfLots { lines, .. } => lines,
            _ => &[],
        };
        let lines = lines.iter().map(|line| line.sku.as_str());
        let lines = lines.chain(of_kits.iter().map(|line| line.sku.as_str()));
        let lines = lines.chain(of_lots.iter().map(|line| line.sku.as_str()));
        one.into_iter().chain(self.destination()).chain(lines)
    }

    /// Where the units of a transfer go.
    #[must_use]
    pub fn destination(&self) -> Option<&str> {
        match self {
            Self::Send { to, .. } | Self::Arrive { to, .. } | Self::Lose { to, .. } | Self::CallBack { to, .. } => {
                Some(to)
            }
            _ => None,
        }
    }
}
