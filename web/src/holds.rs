//! What is asked of reservations: the bodies, and the commands they become.

use holdfast_client::ids::ReservationId;
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::{CauseSaid, Condition, said, words};

words! {
    /// How a channel chooses locations.
    SourcingStrategy { Priority, Nearest, MostStock, FewestSplits } else Priority
}

words! {
    /// What a commit does with a hold that has expired.
    IfExpired { Fail, Retake } else Fail
}

/// One line of a reservation as it is asked for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    /// An item, or a kit.
    #[schema(example = "LIP-ROUGE-01")]
    sku: String,
    /// Empty: the cluster's default location.
    #[serde(default)]
    location_id: String,
    /// 1 to 2 000 000 000.
    #[schema(example = 2)]
    units: u32,
    /// Empty: bound late, first expired first out.
    #[serde(default)]
    lot_id: String,
    /// Its lack does not fail the rest.
    #[serde(default)]
    optional: bool,
    /// All of it must be there.
    #[serde(default)]
    no_backorder: bool,
    /// Fewer will do, but no fewer than these; 0: all or nothing. Not in an amend.
    #[serde(default)]
    min_units: u32,
    /// Not 0, of a kit: only if its `kit_rev` is this.
    #[serde(default)]
    kit_revision: u64,
}

impl Line {
    fn wire(self) -> v1::Line {
        let Self { sku, location_id, units, lot_id, optional, no_backorder, min_units, kit_revision } = self;
        v1::Line { sku, location_id, units, lot_id, optional, no_backorder, min_units, kit_revision }
    }
}

fn lines(lines: Vec<Line>) -> Vec<v1::Line> {
    lines.into_iter().map(Line::wire).collect()
}

/// Units of one line, by its number in the reservation, from 0.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LineUnits {
    line: u32,
    units: u32,
}

/// Units of one line, and the lot they are of.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PickedUnits {
    line: u32,
    units: u32,
    /// Empty: the lots that the sale was bound to.
    #[serde(default)]
    lot_id: String,
}

impl LineUnits {
    pub(crate) fn wire(self) -> v1::LineUnits {
        let Self { line, units } = self;
        v1::LineUnits { line, units }
    }
}

fn picked(lines: Vec<PickedUnits>) -> Vec<v1::PickedUnits> {
    let wire = |PickedUnits { line, units, lot_id }| v1::PickedUnits { line, units, lot_id };
    lines.into_iter().map(wire).collect()
}

/// How a channel chooses the locations of the lines.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sourcing {
    #[schema(nullable = false)]
    strategy: Option<SourcingStrategy>,
    /// A line may be held at several locations.
    allow_split: bool,
    /// With the strategy nearest, and only there: 1 to 64 locations, each once.
    nearest: Vec<String>,
}

/// Units to be held.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReserveRequest {
    /// 1 to 100.
    lines: Vec<Line>,
    /// 0: 600 s; at most 14 400.
    #[serde(default)]
    #[schema(example = 900)]
    ttl_s: u32,
    /// An opaque word for the customer, hashed by the node.
    #[serde(default)]
    customer: String,
    /// The shop's own word for the order, at most 64 bytes.
    #[serde(default)]
    order_ref: String,
    /// Through what it is sold.
    #[serde(default)]
    channel: String,
    #[serde(default)]
    campaign_id: String,
    /// Whole lines that cannot be held are left out instead of failing the rest.
    #[serde(default)]
    partial_ok: bool,
    /// The channel chooses the locations, and no line names one.
    #[serde(default)]
    #[schema(nullable = false)]
    sourcing: Option<Sourcing>,
    /// What lets the customer into a campaign that does not let everybody in.
    #[serde(default)]
    admission_token: String,
    #[serde(default)]
    #[schema(nullable = false)]
    pub(crate) cause: Option<CauseSaid>,
}

impl ReserveRequest {
    pub(crate) fn wire(self) -> Operation {
        let sourcing = self.sourcing.map(|Sourcing { strategy, allow_split, nearest }| v1::Sourcing {
            strategy: said(strategy, SourcingStrategy::wire),
            allow_split,
            nearest,
        });
        Operation::Reserve(v1::Reserve {
            // It follows from the key: the same again asks for the same reservation.
            reservation_id: None,
            lines: lines(self.lines),
            ttl_s: self.ttl_s,
            customer: self.customer,
            order_ref: self.order_ref,
            channel: self.channel,
            campaign_id: self.campaign_id,
            partial_ok: self.partial_ok,
            sourcing,
            admission_token: self.admission_token,
        })
    }
}

/// New quantities of lines.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AmendRequest {
    lines: Vec<Line>,
    #[serde(default)]
    #[schema(nullable = false)]
    pub(crate) cause: Option<CauseSaid>,
}

impl AmendRequest {
    pub(crate) fn wire(self, id: ReservationId) -> Operation {
        Operation::Amend(v1::Amend { reservation_id: Some(id.into()), lines: lines(self.lines) })
    }
}

/// What is sold of a hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CommitRequest {
    /// Empty: everything held.
    lines: Vec<LineUnits>,
    /// With `lines`: what is not committed is released.
    r#final: bool,
    /// If the hold has expired; fail if it is not said.
    #[schema(nullable = false)]
    if_expired: Option<IfExpired>,
    /// Not 0: what is not shipped then, in milliseconds since the Unix epoch, is cancelled; at most 31 days ahead.
    cancel_at_ms: u64,
    #[schema(nullable = false)]
    pub(crate) cause: Option<CauseSaid>,
}

impl CommitRequest {
    pub(crate) fn wire(self, id: ReservationId) -> Operation {
        Operation::Commit(v1::Commit {
            reservation_id: Some(id.into()),
            lines: self.lines.into_iter().map(LineUnits::wire).collect(),
            r#final: self.r#final,
            if_expired: said(self.if_expired, IfExpired::wire),
            cancel_at_ms: self.cancel_at_ms,
        })
    }
}

/// Nothing has to be said.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReleaseRequest {
    #[schema(nullable = false)]
    pub(crate) cause: Option<CauseSaid>,
}

impl ReleaseRequest {
    pub(crate) fn wire(self, id: ReservationId) -> Operation {
        Operation::Release(v1::Release { reservation_id: Some(id.into()) })
    }
}

/// Nothing has to be said.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CancelRequest {
    #[schema(nullable = false)]
    pub(crate) cause: Option<CauseSaid>,
}

impl CancelRequest {
    pub(crate) fn wire(self, id: ReservationId) -> Operation {
        Operation::Cancel(v1::Cancel { reservation_id: Some(id.into()) })
    }
}

/// How long it is held from now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExtendRequest {
    /// 1 to 14 400.
    #[schema(example = 900)]
    ttl_s: u32,
    #[serde(default)]
    #[schema(nullable = false)]
    pub(crate) cause: Option<CauseSaid>,
}

impl ExtendRequest {
    pub(crate) fn wire(self, id: ReservationId) -> Operation {
        Operation::Extend(v1::Extend { reservation_id: Some(id.into()), ttl_s: self.ttl_s })
    }
}

/// What is shipped.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FulfilRequest {
    /// Empty: all that is committed.
    lines: Vec<PickedUnits>,
    #[schema(nullable = false)]
    pub(crate) cause: Option<CauseSaid>,
}

impl FulfilRequest {
    pub(crate) fn wire(self, id: ReservationId) -> Operation {
        Operation::Fulfil(v1::Fulfil { reservation_id: Some(id.into()), lines: picked(self.lines) })
    }
}

/// What comes back.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReturnRequest {
    lines: Vec<PickedUnits>,
    /// Empty: where they were shipped from.
    #[serde(default)]
    location_id: String,
    /// Quality control if it is not said.
    #[serde(default)]
    #[schema(nullable = false)]
    condition: Option<Condition>,
    #[serde(default)]
    #[schema(nullable = false)]
    pub(crate) cause: Option<CauseSaid>,
}

impl ReturnRequest {
    pub(crate) fn wire(self, id: ReservationId) -> Operation {
        Operation::Return(v1::Return {
            reservation_id: Some(id.into()),
            lines: picked(self.lines),
            location_id: self.location_id,
            condition: said(self.condition, Condition::wire),
        })
    }
}
