//! Stock between places, and what becomes of it where it lies: moves, transfers, expected receipts, safety stocks.

use holdfast_proto::v1;

use super::Command;
use crate::ids::{ReceiptId, TransferId};

/// Makes a builder a [`Command`]; its operation has another name than the builder, or holds more.
macro_rules! into_operation {
    ($($name:ident => $operation:ident),+ $(,)?) => {
        $(impl From<$name> for Command {
            fn from(builder: $name) -> Self {
                v1::command::Operation::$operation(builder.0).into()
            }
        })+
    };
}

into_operation! {
    MoveUnits => Move,
    SetSafetyStock => SetSafetyStock,
    CreateTransfer => CreateTransfer,
    ReceiveTransfer => ReceiveTransfer,
    LoseTransfer => LoseTransfer,
    CancelTransfer => CancelTransfer,
    ExpectReceipt => ExpectReceipt,
    CloseReceipt => CloseReceipt,
}

/// Gives units another condition, where they lie.
#[derive(Clone, Debug, PartialEq)]
pub struct MoveUnits(pub(crate) v1::Move);

impl MoveUnits {
    /// So many resellable units of a SKU at the default location, to that condition.
    #[must_use]
    pub fn of(sku: impl Into<String>, units: u32, to: v1::Condition) -> Self {
        Self(v1::Move { sku: sku.into(), units, to: to.into(), ..v1::Move::default() })
    }

    /// Units that were in that condition before.
    #[must_use]
    pub fn from_condition(mut self, from: v1::Condition) -> Self {
        self.0.from = from.into();
        self
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
}

/// Sets how many units are kept back from sale. Only new holds feel it.
#[derive(Clone, Debug, PartialEq)]
pub struct SetSafetyStock(pub(crate) v1::SetSafetyStock);

impl SetSafetyStock {
    /// So many of a SKU at the default location; 0: none.
    #[must_use]
    pub fn of(sku: impl Into<String>, safety_stock: u64) -> Self {
        Self(v1::SetSafetyStock { sku: sku.into(), safety_stock, ..v1::SetSafetyStock::default() })
    }

    /// At that location.
    #[must_use]
    pub fn at(mut self, location_id: impl Into<String>) -> Self {
        self.0.location_id = location_id.into();
        self
    }

    /// Only if the stock's revision is this.
    #[must_use]
    pub fn if_revision(mut self, revision: u64) -> Self {
        self.0.if_revision = revision;
        self
    }
}

/// Sends free units of a SKU from one location to another. [`Success::transfer_id`](crate::Success::transfer_id) says under
/// which id.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTransfer(pub(crate) v1::CreateTransfer);

impl CreateTransfer {
    /// Of that SKU, to that location, from the default one unless told; name what is sent.
    #[must_use]
    pub fn of(sku: impl Into<String>, to_location_id: impl Into<String>) -> Self {
        let (sku, to_location_id) = (sku.into(), to_location_id.into());
        Self(v1::CreateTransfer { sku, to_location_id, ..v1::CreateTransfer::default() })
    }

    /// From that location.
    #[must_use]
    pub fn from_location(mut self, location_id: impl Into<String>) -> Self {
        self.0.from_location_id = location_id.into();
        self
    }

    /// So many units, of an item that has no lots.
    #[must_use]
    pub fn units(mut self, units: u32) -> Self {
        self.0.lines.push(v1::DocumentLine { lot_id: String::new(), units });
        self
    }

    /// So many units of that lot.
    #[must_use]
    pub fn units_of_lot(mut self, units: u32, lot_id: impl Into<String>) -> Self {
        self.0.lines.push(v1::DocumentLine { lot_id: lot_id.into(), units });
        self
    }

    /// Under an id of the caller's own, minted with the SKU's slot. The client mints one if not told.
    #[must_use]
    pub fn id(mut self, id: TransferId) -> Self {
        self.0.transfer_id = Some(id.into());
        self
    }
}

/// Takes in units of a transfer that have arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceiveTransfer(pub(crate) v1::ReceiveTransfer);

impl ReceiveTransfer {
    /// All that is in transit, resellable, unless lines are named.
    #[must_use]
    pub fn of(id: TransferId) -> Self {
        Self(v1::ReceiveTransfer { transfer_id: Some(id.into()), lines: Vec::new() })
    }

    /// Only so many units of a line, by its number from 0, in that condition.
    #[must_use]
    pub fn line(mut self, line: u32, units: u32, condition: v1::Condition) -> Self {
        self.0.lines.push(v1::ArrivedUnits { line, units, condition: condition.into() });
        self
    }
}

/// Writes off units of a transfer that are lost on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct LoseTransfer(pub(crate) v1::LoseTransfer);

impl LoseTransfer {
    /// All that is in transit, unless lines are named.
    #[must_use]
    pub fn of(id: TransferId) -> Self {
        Self(v1::LoseTransfer { transfer_id: Some(id.into()), lines: Vec::new() })
    }

    /// Only so many units of a line, by its number from 0.
    #[must_use]
    pub fn line(mut self, line: u32, units: u32) -> Self {
        self.0.lines.push(v1::LineUnits { line, units });
        self
    }
}

/// Sends what of a transfer is in transit back to where it came from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CancelTransfer(pub(crate) v1::CancelTransfer);

impl CancelTransfer {
    /// Of that transfer.
    #[must_use]
    pub fn of(id: TransferId) -> Self {
        Self(v1::CancelTransfer { transfer_id: Some(id.into()) })
    }
}

/// Makes known what a supplier will send. [`Success::receipt_id`](crate::Success::receipt_id) says under which id.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectReceipt(pub(crate) v1::ExpectReceipt);

impl ExpectReceipt {
    /// Of that SKU at the default location; name what is expected.
    #[must_use]
    pub fn of(sku: impl Into<String>) -> Self {
        Self(v1::ExpectReceipt { sku: sku.into(), ..v1::ExpectReceipt::default() })
    }

    /// At that location.
    #[must_use]
    pub fn at(mut self, location_id: impl Into<String>) -> Self {
        self.0.location_id = location_id.into();
        self
    }

    /// So many units, of whichever lot.
    #[must_use]
    pub fn units(mut self, units: u32) -> Self {
        self.0.lines.push(v1::DocumentLine { lot_id: String::new(), units });
        self
    }

    /// So many units of that lot.
    #[must_use]
    pub fn units_of_lot(mut self, units: u32, lot_id: impl Into<String>) -> Self {
        self.0.lines.push(v1::DocumentLine { lot_id: lot_id.into(), units });
        self
    }

    /// At that instant, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn expected_at_ms(mut self, at_ms: u64) -> Self {
        self.0.expected_at_ms = at_ms;
        self
    }

    /// Under an id of the caller's own, minted with the SKU's slot. The client mints one if not told.
    #[must_use]
    pub fn id(mut self, id: ReceiptId) -> Self {
        self.0.receipt_id = Some(id.into());
        self
    }
}

/// Ends an expected receipt: what has not arrived is not expected any more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CloseReceipt(pub(crate) v1::CloseReceipt);

impl CloseReceipt {
    /// That receipt.
    #[must_use]
    pub fn of(id: ReceiptId) -> Self {
        Self(v1::CloseReceipt { receipt_id: Some(id.into()) })
    }
}
