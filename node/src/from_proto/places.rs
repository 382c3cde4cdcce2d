//! Moves, transfers, expected receipts and safety stocks, each taken apart.

use holdfast_inventory::commands::{
    ArrivedUnits, CreateTransfer, DocumentLine, ExpectReceipt, MoveUnits, ReceiveTransfer, SetSafetyStock,
};
use holdfast_inventory::{Condition, LogTime, MAX_DOCUMENT_LINES, Revision, Slot, Units, slot_of};
use holdfast_proto::v1::{self, CommandError};

use super::fields::{invalid, location_at, lot_at, sku_at};
use super::operations::condition_at;
use super::{Words, receipt_id, transfer_id};

/// Most parts of what arrives of a transfer: each line in each condition.
const MAX_PARTS: usize = 3 * MAX_DOCUMENT_LINES;

pub(super) fn move_units(wire: &v1::Move, words: &Words) -> Result<MoveUnits, CommandError> {
    if wire.to == i32::from(v1::Condition::Unspecified) {
        return Err(invalid("to", "is missing", "resellable, damaged or quality_control"));
    }
    Ok(MoveUnits {
        sku: sku_at(|| "sku".to_owned(), &wire.sku)?,
        location: location_at(|| "location_id".to_owned(), &wire.location_id, &words.default_location)?,
        lot: lot_at(|| "lot_id".to_owned(), &wire.lot_id)?,
        units: Units(wire.units),
        from: condition_at("from", wire.from, Condition::Resellable)?,
        to: condition_at("to", wire.to, Condition::Resellable)?,
    })
}

pub(super) fn set_safety_stock(wire: &v1::SetSafetyStock, words: &Words) -> Result<SetSafetyStock, CommandError> {
    Ok(SetSafetyStock {
        sku: sku_at(|| "sku".to_owned(), &wire.sku)?,
        location: location_at(|| "location_id".to_owned(), &wire.location_id, &words.default_location)?,
        units: wire.safety_stock,
        if_revision: (wire.if_revision > 0).then_some(Revision(wire.if_revision)),
    })
}

/// Refuses an id that would not be found: it must carry the slot of its item.
pub(super) fn check_slot(field: &str, slot: Slot, of_sku: Slot) -> Result<(), CommandError> {
    if slot == of_sku {
        return Ok(());
    }
    let problem = format!("carries slot {slot}, its SKU lies in slot {of_sku}");
    Err(invalid(field, &problem, "mint it with that slot (docs/clients.md)"))
}

fn lines(wire: &[v1::DocumentLine]) -> Result<Vec<DocumentLine>, CommandError> {
    if wire.len() > MAX_DOCUMENT_LINES {
        let hint = format!("1 to {MAX_DOCUMENT_LINES} lines");
        return Err(invalid("lines", &format!("has {} lines", wire.len()), &hint));
    }
    let line = |(at, line): (usize, &v1::DocumentLine)| {
        let lot = lot_at(|| format!("lines[{at}].lot_id"), &line.lot_id)?;
        Ok(DocumentLine { lot, units: Units(line.units) })
    };
    wire.iter().enumerate().map(line).collect()
}

pub(super) fn create_transfer(wire: &v1::CreateTransfer, words: &Words) -> Result<CreateTransfer, CommandError> {
    let transfer = transfer_id(wire.transfer_id)?;
    let sku = sku_at(|| "sku".to_owned(), &wire.sku)?;
    check_slot("transfer_id", transfer.slot(), slot_of(&sku))?;
    let from = location_at(|| "from_location_id".to_owned(), &wire.from_location_id, &words.default_location)?;
    let to = location_at(|| "to_location_id".to_owned(), &wire.to_location_id, &words.default_location)?;
    Ok(CreateTransfer { transfer, sku, from, to, lines: lines(&wire.lines)? })
}

pub(super) fn receive_transfer(wire: &v1::ReceiveTransfer) -> Result<ReceiveTransfer, CommandError> {
    if wire.lines.len() > MAX_PARTS {
        let problem = format!("has {} parts", wire.lines.len());
        return Err(invalid("lines", &problem, "each line and condition at most once"));
    }
    let part = |(at, part): (usize, &v1::ArrivedUnits)| {
        let field = format!("lines[{at}].condition");
        let condition = condition_at(&field, part.condition, Condition::Resellable)?;
        Ok(ArrivedUnits { line: part.line, units: Units(part.units), condition })
    };
    let parts = wire.lines.iter().enumerate().map(part).collect::<Result<_, CommandError>>()?;
    Ok(ReceiveTransfer { transfer: transfer_id(wire.transfer_id)?, parts })
}

pub(super) fn expect_receipt(wire: &v1::ExpectReceipt, words: &Words) -> Result<ExpectReceipt, CommandError> {
    let receipt = receipt_id(wire.receipt_id)?;
    let sku = sku_at(|| "sku".to_owned(), &wire.sku)?;
    check_slot("receipt_id", receipt.slot(), slot_of(&sku))?;
    Ok(ExpectReceipt {
        receipt,
        sku,
        location: location_at(|| "location_id".to_owned(), &wire.location_id, &words.default_location)?,
        lines: lines(&wire.lines)?,
        expected_at: (wire.expected_at_ms > 0).then_some(LogTime(wire.expected_at_ms)),
    })
}

#[cfg(test)]
mod tests {
    use holdfast_inventory::{ReceiptId, Sku, TransferId};

    use super::*;
    use crate::from_proto::Zones;

    fn words() -> Words {
        let main: holdfast_inventory::LocationId = "main".parse().unwrap();
        Words { default_location: main, zones: Zones::default(), customer_key: [0; 32] }
    }

    fn id(number: u128) -> Option<v1::Id> {
        Some(crate::to_proto::id(number))
    }

    #[test]
    fn an_id_carries_the_slot_of_its_item() {
        let sku: Sku = "LIP".parse().unwrap();
        let lines = vec![v1::DocumentLine { lot_id: String::new(), units: 1 }];
        let transfer = |slot| v1::CreateTransfer {
            transfer_id: id(TransferId::mint(7, slot, 9).0),
            sku: "LIP".to_owned(),
            from_location_id: String::new(),
            to_location_id: "shop".to_owned(),
            lines: lines.clone(),
        };
        let made = create_transfer(&transfer(slot_of(&sku)), &words()).unwrap();
        assert_eq!((made.from.as_str(), made.to.as_str(), made.lines.len()), ("main", "shop", 1));
        assert_eq!(create_transfer(&transfer(Slot::default()), &words()).unwrap_err().field, "transfer_id");
        let nowhere = v1::CreateTransfer { to_location_id: String::new(), ..transfer(slot_of(&sku)) };
        assert_eq!(create_transfer(&nowhere, &words()).unwrap().to.as_str(), "main");
        let receipt_id = id(ReceiptId::mint(7, Slot::default(), 9).0);
        let expect = v1::ExpectReceipt { receipt_id, sku: "LIP".to_owned(), ..v1::ExpectReceipt::default() };
        assert_eq!(expect_receipt(&expect, &words()).unwrap_err().field, "receipt_id");
    }

    #[test]
    fn a_move_says_what_the_units_become() {
        let wire = v1::Move { sku: "LIP".to_owned(), units: 1, ..v1::Move::default() };
        assert_eq!(move_units(&wire, &words()).unwrap_err().field, "to");
        let wire = v1::Move { to: v1::Condition::Damaged.into(), ..wire };
        assert_eq!(move_units(&wire, &words()).unwrap().from, Condition::Resellable);
        let wire = v1::Move { from: 99, ..wire };
        assert_eq!(move_units(&wire, &words()).unwrap_err().field, "from");
    }

    #[test]
    fn parts_without_end_are_refused() {
        let part = v1::ArrivedUnits { line: 0, units: 1, condition: 0 };
        let wire = v1::ReceiveTransfer { transfer_id: id(7), lines: vec![part; MAX_PARTS + 1] };
        assert_eq!(receive_transfer(&wire).unwrap_err().field, "lines");
    }
}
