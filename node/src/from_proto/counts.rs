//! Counts, and what other systems' records say.

use holdfast_inventory::commands::{
    ApplyCount, CancelCount, CountedUnits, Discrepancy, OpenCount, Reconcile, RecordCount,
};
use holdfast_inventory::{Condition, MAX_DOCUMENT_LINES, slot_of};
use holdfast_proto::v1::{self, CommandError};

use super::fields::{enum_at, invalid, location_at, lot_at, sku_at};
use super::operations::condition_at;
use super::places::check_slot;
use super::{Words, count_id};

pub(super) fn open(wire: &v1::OpenCount, words: &Words) -> Result<OpenCount, CommandError> {
    let count = count_id(wire.count_id)?;
    let sku = sku_at(|| "sku".to_owned(), &wire.sku)?;
    check_slot("count_id", count.slot(), slot_of(&sku))?;
    let location = location_at(|| "location_id".to_owned(), &wire.location_id, &words.default_location)?;
    Ok(OpenCount { count, sku, location, reference: wire.reference.clone() })
}

pub(super) fn record(wire: &v1::RecordCount) -> Result<RecordCount, CommandError> {
    if wire.lines.len() > MAX_DOCUMENT_LINES {
        let hint = format!("1 to {MAX_DOCUMENT_LINES} lines");
        return Err(invalid("lines", &format!("has {} lines", wire.lines.len()), &hint));
    }
    let line = |(at, line): (usize, &v1::CountedUnits)| {
        let lot = lot_at(|| format!("lines[{at}].lot_id"), &line.lot_id)?;
        let condition = condition_at(&format!("lines[{at}].condition"), line.condition, Condition::Resellable)?;
        Ok(CountedUnits { lot, condition, units: line.units })
    };
    let lines = wire.lines.iter().enumerate().map(line).collect::<Result<_, CommandError>>()?;
    Ok(RecordCount { count: count_id(wire.count_id)?, lines })
}

pub(super) fn apply(wire: &v1::ApplyCount) -> Result<ApplyCount, CommandError> {
    Ok(ApplyCount { count: count_id(wire.count_id)? })
}

pub(super) fn cancel(wire: &v1::CancelCount) -> Result<CancelCount, CommandError> {
    Ok(CancelCount { count: count_id(wire.count_id)? })
}

pub(super) fn reconcile(wire: &v1::Reconcile, words: &Words) -> Result<Reconcile, CommandError> {
    const NAMES: &str = "missing_sale, double_shipment, manual_override or drift";
    let discrepancy = match enum_at("discrepancy", wire.discrepancy, NAMES)? {
        v1::Discrepancy::Unspecified => return Err(invalid("discrepancy", "is missing", NAMES)),
        v1::Discrepancy::MissingSale => Discrepancy::MissingSale,
        v1::Discrepancy::DoubleShipment => Discrepancy::DoubleShipment,
        v1::Discrepancy::ManualOverride => Discrepancy::ManualOverride,
        v1::Discrepancy::Drift => Discrepancy::Drift,
    };
    Ok(Reconcile {
        sku: sku_at(|| "sku".to_owned(), &wire.sku)?,
        location: location_at(|| "location_id".to_owned(), &wire.location_id, &words.default_location)?,
        lot: lot_at(|| "lot_id".to_owned(), &wire.lot_id)?,
        discrepancy,
        delta: wire.delta,
        repair: wire.repair,
    })
}

#[cfg(test)]
mod tests {
    use holdfast_inventory::{CountId, Sku, Slot};

    use super::*;
    use crate::from_proto::Zones;

    fn words() -> Words {
        let main: holdfast_inventory::LocationId = "main".parse().unwrap();
        Words { default_location: main, zones: Zones::default(), customer_key: [0; 32] }
    }

    fn id(slot: Slot) -> Option<v1::Id> {
        Some(crate::to_proto::id(CountId::mint(7, slot, 9).0))
    }

    #[test]
    fn a_count_carries_the_slot_of_its_item() {
        let sku: Sku = "LIP".parse().unwrap();
        let wire = v1::OpenCount { count_id: id(slot_of(&sku)), sku: "LIP".to_owned(), ..v1::OpenCount::default() };
        assert_eq!(open(&wire, &words()).unwrap().location.as_str(), "main");
        let elsewhere = v1::OpenCount { count_id: id(Slot::default()), ..wire.clone() };
        assert_eq!(open(&elsewhere, &words()).unwrap_err().field, "count_id");
        assert_eq!(open(&v1::OpenCount { count_id: None, ..wire }, &words()).unwrap_err().field, "count_id");
    }

    #[test]
    fn what_was_counted_is_refused_by_its_line() {
        let line = v1::CountedUnits { lot_id: "A".to_owned(), condition: 0, units: 3 };
        let wire = |lines| v1::RecordCount { count_id: id(Slot::default()), lines };
        assert_eq!(record(&wire(vec![line.clone()])).unwrap().lines[0].condition, Condition::Resellable);
        assert_eq!(record(&wire(vec![line.clone(); MAX_DOCUMENT_LINES + 1])).unwrap_err().field, "lines");
        let odd = v1::CountedUnits { condition: 99, ..line.clone() };
        assert_eq!(record(&wire(vec![line.clone(), odd])).unwrap_err().field, "lines[1].condition");
        let nameless = v1::CountedUnits { lot_id: "x".repeat(65), ..line };
        assert_eq!(record(&wire(vec![nameless])).unwrap_err().field, "lines[0].lot_id");
    }

    #[test]
    fn a_difference_says_what_it_was_found_to_be() {
        let wire = v1::Reconcile { sku: "LIP".to_owned(), delta: -1, ..v1::Reconcile::default() };
        assert_eq!(reconcile(&wire, &words()).unwrap_err().field, "discrepancy");
        let wire = v1::Reconcile { discrepancy: 99, ..wire };
        assert_eq!(reconcile(&wire, &words()).unwrap_err().field, "discrepancy");
        let wire = v1::Reconcile { discrepancy: v1::Discrepancy::Drift.into(), ..wire };
        assert_eq!(reconcile(&wire, &words()).unwrap().discrepancy, Discrepancy::Drift);
    }
}
