//! Counts, and what other systems' records say, to the log's types and back.

use holdfast_inventory::commands::{
    ApplyCount, CancelCount, CountedUnits, Discrepancy, OpenCount, Reconcile, RecordCount,
};
use holdfast_inventory::{CountId, LocationId, LotId, Operation, Sku};
use holdfast_proto::log::v1 as log;
use holdfast_proto::log::v1::command::Operation as LogOperation;

use super::DecodeError;
use super::from_log::{condition, id, name, optional};
use super::to_log;

pub(super) fn open_to_log(it: &OpenCount) -> log::OpenCount {
    let (count_high, count_low) = halves(it.count);
    log::OpenCount {
        count_high,
        count_low,
        sku: it.sku.as_str().to_owned(),
        location_id: it.location.as_str().to_owned(),
        reference: it.reference.clone(),
    }
}

pub(super) fn record_to_log(it: &RecordCount) -> log::RecordCount {
    let (count_high, count_low) = halves(it.count);
    let line = |line: &CountedUnits| log::CountedUnits {
        lot_id: to_log::optional(line.lot.as_ref().map(|lot| lot.as_str())),
        condition: to_log::condition(line.condition),
        units: line.units,
    };
    log::RecordCount { count_high, count_low, lines: it.lines.iter().map(line).collect() }
}

pub(super) fn apply_to_log(it: &ApplyCount) -> log::ApplyCount {
    let (count_high, count_low) = halves(it.count);
    log::ApplyCount { count_high, count_low }
}

pub(super) fn cancel_to_log(it: &CancelCount) -> log::CancelCount {
    let (count_high, count_low) = halves(it.count);
    log::CancelCount { count_high, count_low }
}

pub(super) fn reconcile_to_log(it: &Reconcile) -> log::Reconcile {
    log::Reconcile {
        sku: it.sku.as_str().to_owned(),
        location_id: it.location.as_str().to_owned(),
        lot_id: to_log::optional(it.lot.as_ref().map(|lot| lot.as_str())),
        discrepancy: match it.discrepancy {
            Discrepancy::MissingSale => 1,
            Discrepancy::DoubleShipment => 2,
            Discrepancy::ManualOverride => 3,
            Discrepancy::Drift => 4,
        },
        delta: it.delta,
        repair: it.repair,
    }
}

pub(super) fn from_log(message: LogOperation) -> Result<Operation, DecodeError> {
    Ok(match message {
        LogOperation::OpenCount(it) => Operation::OpenCount(OpenCount {
            count: count(it.count_high, it.count_low),
            sku: name(Sku::new(&it.sku))?,
            location: name(LocationId::new(&it.location_id))?,
            reference: it.reference,
        }),
        LogOperation::RecordCount(it) => Operation::RecordCount(RecordCount {
            count: count(it.count_high, it.count_low),
            lines: it.lines.iter().map(counted).collect::<Result<_, _>>()?,
        }),
        LogOperation::ApplyCount(it) => Operation::ApplyCount(ApplyCount { count: count(it.count_high, it.count_low) }),
        LogOperation::CancelCount(it) => {
            Operation::CancelCount(CancelCount { count: count(it.count_high, it.count_low) })
        }
        LogOperation::Reconcile(it) => Operation::Reconcile(Reconcile {
            sku: name(Sku::new(&it.sku))?,
            location: name(LocationId::new(&it.location_id))?,
            lot: optional(&it.lot_id, LotId::new)?,
            discrepancy: match it.discrepancy {
                1 => Discrepancy::MissingSale,
                2 => Discrepancy::DoubleShipment,
                3 => Discrepancy::ManualOverride,
                4 => Discrepancy::Drift,
                other => return Err(DecodeError::malformed(format!("discrepancy {other}"))),
            },
            delta: it.delta,
            repair: it.repair,
        }),
        other => return Err(DecodeError::malformed(format!("{other:?} is nothing of counts"))),
    })
}

fn halves(id: CountId) -> (u64, u64) {
    ((id.0 >> 64) as u64, id.0 as u64)
}

fn count(high: u64, low: u64) -> CountId {
    CountId(id(high, low))
}

fn counted(it: &log::CountedUnits) -> Result<CountedUnits, DecodeError> {
    Ok(CountedUnits { lot: optional(&it.lot_id, LotId::new)?, condition: condition(it.condition)?, units: it.units })
}
