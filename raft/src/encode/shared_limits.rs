//! Limits over several items, and the counters that a reserve asks for.

use holdfast_inventory::commands::{CounterLine, PutSharedLimit};
use holdfast_inventory::{LimitId, LimitSpec, LimitWindow, Revision, SharedLimitSpec, Sku};
use holdfast_proto::log::v1 as log;

use super::DecodeError;
use super::from_log::name;

pub(super) fn put_to_log(it: &PutSharedLimit) -> log::PutSharedLimit {
    let rule = &it.spec.rule;
    log::PutSharedLimit {
        limit_id: it.limit.as_str().to_owned(),
        skus: it.spec.skus.iter().map(|sku| sku.as_str().to_owned()).collect(),
        units: rule.units,
        window_s: window_to_log(rule.window),
        returns_restore: rule.returns_restore,
        inactive: !rule.active,
        revision: it.revision.0,
    }
}

pub(super) fn put_from_log(it: &log::PutSharedLimit) -> Result<PutSharedLimit, DecodeError> {
    let window = window_from_log(it.window_s);
    let rule = LimitSpec { units: it.units, window, returns_restore: it.returns_restore, active: !it.inactive };
    let skus = it.skus.iter().map(|sku| name(Sku::new(sku))).collect::<Result<_, _>>()?;
    let (limit, spec) = (name(LimitId::new(&it.limit_id))?, SharedLimitSpec { skus, rule });
    Ok(PutSharedLimit { limit, spec, revision: Revision(it.revision) })
}

/// Seconds of the window; 0: for ever.
pub(crate) const fn window_to_log(window: LimitWindow) -> u32 {
    match window {
        LimitWindow::ForEver => 0,
        LimitWindow::RollingSeconds(seconds) => seconds,
    }
}

pub(crate) const fn window_from_log(seconds: u32) -> LimitWindow {
    match seconds {
        0 => LimitWindow::ForEver,
        seconds => LimitWindow::RollingSeconds(seconds),
    }
}

pub(super) fn counter_to_log(it: &CounterLine) -> log::CounterLine {
    let lines = it.lines.iter().map(|number| u32::from(*number)).collect();
    log::CounterLine { limit_id: it.limit.as_str().to_owned(), lines }
}

pub(super) fn counter_from_log(it: &log::CounterLine) -> Result<CounterLine, DecodeError> {
    let number = |number: &u32| u16::try_from(*number).map_err(|_| DecodeError::malformed("a line beyond the last"));
    let lines = it.lines.iter().map(number).collect::<Result<_, _>>()?;
    Ok(CounterLine { limit: name(LimitId::new(&it.limit_id))?, lines })
}
