//! Items and their quantities: made, received, corrected, counted.

use holdfast_proto::v1;

use super::into_command;
use crate::ids::ReceiptId;

into_command!(PutItem, Receive, Adjust, Set, PutLot, BlockLot, UnblockLot, Recall, PutLimit);

/// Creates an item, or replaces its attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct PutItem(pub(crate) v1::PutItem);

impl PutItem {
    /// That item.
    #[must_use]
    pub fn new(item: v1::Item) -> Self {
        Self(v1::PutItem { item: Some(item), ..v1::PutItem::default() })
    }

    /// So many units may be promised without stock at one time at each location.
    #[must_use]
    pub fn backorder(self, cap: u64) -> Self {
        self.terms(v1::BackorderTerms { cap, release_at_ms: 0 })
    }

    /// Nothing is shipped before that instant, in milliseconds since the Unix epoch; until then so many units may be promised without
    /// stock at one time at each location.
    #[must_use]
    pub fn preorder(self, release_at_ms: u64, cap: u64) -> Self {
        self.terms(v1::BackorderTerms { cap, release_at_ms })
    }

    fn terms(mut self, terms: v1::BackorderTerms) -> Self {
        self.0.item.get_or_insert_default().backorder = Some(terms);
        self
    }

    /// Only if the item's revision is this.
    #[must_use]
    pub fn if_revision(mut self, revision: u64) -> Self {
        self.0.if_revision = revision;
        self
    }

    /// Only if there is no such item yet.
    #[must_use]
    pub fn if_absent(mut self) -> Self {
        self.0.if_absent = true;
        self
    }
}

/// Units arrive.
#[derive(Clone, Debug, PartialEq)]
pub struct Receive(pub(crate) v1::Receive);

impl Receive {
    /// So many units of a SKU at the default location.
    #[must_use]
    pub fn of(sku: impl Into<String>, units: u32) -> Self {
        Self(v1::Receive { sku: sku.into(), units, ..v1::Receive::default() })
    }

    /// At that location.
    #[must_use]
    pub fn at(mut self, location_id: impl Into<String>) -> Self {
        self.0.location_id = location_id.into();
        self
    }

    /// Into that lot.
    #[must_use]
    pub fn lot(mut self, lot_id: impl Into<String>) -> Self {
        self.0.lot_id = lot_id.into();
        self
    }

    /// What is said of the lot: of a new one all that will be known, of a known one what it must agree with.
    #[must_use]
    pub fn lot_spec(mut self, spec: v1::LotSpec) -> Self {
        self.0.lot = Some(spec);
        self
    }

    /// As part of that expected receipt, of which less is expected then.
    #[must_use]
    pub fn receipt(mut self, id: ReceiptId) -> Self {
        self.0.receipt_id = Some(id.into());
        self
    }
}

/// Makes a lot known, or corrects what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PutLot(pub(crate) v1::PutLot);

impl PutLot {
    /// That lot of a SKU.
    #[must_use]
    pub fn of(sku: impl Into<String>, lot_id: impl Into<String>, spec: v1::LotSpec) -> Self {
        Self(v1::PutLot { sku: sku.into(), lot_id: lot_id.into(), lot: Some(spec), ..v1::PutLot::default() })
    }

    /// Its dates are in the time zone of that location.
    #[must_use]
    pub fn at(mut self, location_id: impl Into<String>) -> Self {
        self.0.location_id = location_id.into();
        self
    }

    /// Only if the lot's revision is this.
    #[must_use]
    pub fn if_revision(mut self, revision: u64) -> Self {
        self.0.if_revision = revision;
        self
    }
}

/// Takes a lot out of sale at once, at every location.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockLot(pub(crate) v1::BlockLot);

impl BlockLot {
    /// That lot of a SKU: on hold.
    #[must_use]
    pub fn of(sku: impl Into<String>, lot_id: impl Into<String>) -> Self {
        Self(v1::BlockLot { sku: sku.into(), lot_id: lot_id.into(), ..v1::BlockLot::default() })
    }

    /// It is quarantined rather than on hold.
    #[must_use]
    pub fn quarantined(mut self) -> Self {
        self.0.status = v1::LotStatus::Quarantined.into();
        self
    }
}

/// Puts a blocked lot back into sale.
#[derive(Clone, Debug, PartialEq)]
pub struct UnblockLot(pub(crate) v1::UnblockLot);

impl UnblockLot {
    /// That lot of a SKU.
    #[must_use]
    pub fn of(sku: impl Into<String>, lot_id: impl Into<String>) -> Self {
        Self(v1::UnblockLot { sku: sku.into(), lot_id: lot_id.into() })
    }
}

/// Withdraws a lot for good.
#[derive(Clone, Debug, PartialEq)]
pub struct Recall(pub(crate) v1::Recall);

impl Recall {
    /// That lot of a SKU.
    #[must_use]
    pub fn of(sku: impl Into<String>, lot_id: impl Into<String>) -> Self {
        Self(v1::Recall { sku: sku.into(), lot_id: lot_id.into() })
    }
}

/// Units found or written off.
#[derive(Clone, Debug, PartialEq)]
pub struct Adjust(pub(crate) v1::Adjust);

impl Adjust {
    /// So many more (above 0) or fewer (below 0) resellable units of a SKU at the default location.
    #[must_use]
    pub fn of(sku: impl Into<String>, delta: i64) -> Self {
        Self(v1::Adjust { sku: sku.into(), delta, ..v1::Adjust::default() })
    }

    /// At that location.
    #[must_use]
    pub fn at(mut self, location_id: impl Into<String>) -> Self {
        self.0.location_id = location_id.into();
        self
    }

    /// In that lot.
    #[must_use]
    pub fn lot(mut self, lot_id: impl Into<String>) -> Self {
        self.0.lot_id = lot_id.into();
        self
    }

    /// Among the units in that condition.
    #[must_use]
    pub fn condition(mut self, condition: v1::Condition) -> Self {
        self.0.condition = condition.into();
        self
    }
}

/// Sets what is on hand to a counted number, if nothing has changed since the count.
#[derive(Clone, Debug, PartialEq)]
pub struct Set(pub(crate) v1::Set);

impl Set {
    /// So many units of a SKU at the default location, if its revision there is still `if_revision`.
    #[must_use]
    pub fn of(sku: impl Into<String>, on_hand: u64, if_revision: u64) -> Self {
        Self(v1::Set { sku: sku.into(), on_hand, if_revision, ..v1::Set::default() })
    }

    /// At that location.
    #[must_use]
    pub fn at(mut self, location_id: impl Into<String>) -> Self {
        self.0.location_id = location_id.into();
        self
    }

    /// In that lot.
    #[must_use]
    pub fn lot(mut self, lot_id: impl Into<String>) -> Self {
        self.0.lot_id = lot_id.into();
        self
    }
}

/// Sets how many units of a SKU one customer may hold and buy. Only new holds feel it; they name their customer.
#[derive(Clone, Debug, PartialEq)]
pub struct PutLimit(pub(crate) v1::PutLimit);

impl PutLimit {
    /// So many units of a SKU for each customer, for ever. The id is one in the shard of the SKU.
    #[must_use]
    pub fn of(limit_id: impl Into<String>, sku: impl Into<String>, units: u32) -> Self {
        let (limit_id, sku) = (limit_id.into(), sku.into());
        Self(v1::PutLimit { limit_id, sku, units, ..v1::PutLimit::default() })
    }

    /// Only of reservations made in the last so many seconds.
    #[must_use]
    pub fn within_s(mut self, window_s: u32) -> Self {
        self.0.window_s = window_s;
        self
    }

    /// Only of reservations made in that campaign.
    #[must_use]
    pub fn in_campaign(mut self, campaign_id: impl Into<String>) -> Self {
        self.0.campaign_id = campaign_id.into();
        self
    }

    /// What comes back may be bought again.
    #[must_use]
    pub fn returns_restore(mut self) -> Self {
        self.0.returns_restore = true;
        self
    }

    /// New holds are neither checked nor counted.
    #[must_use]
    pub fn inactive(mut self) -> Self {
        self.0.inactive = true;
        self
    }

    /// Only if its revision is still this; 0: only if there is no such limit yet.
    #[must_use]
    pub fn if_revision(mut self, revision: u64) -> Self {
        (self.0.if_revision, self.0.if_absent) = (revision, revision == 0);
        self
    }
}
