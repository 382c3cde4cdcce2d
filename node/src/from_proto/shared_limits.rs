//! Limits per customer over several SKUs.

use holdfast_inventory::{
    LimitId, LimitSpec, LimitWindow, MAX_ROLLING_UNITS, MAX_SHARED_LIMIT_ID_BYTES, MAX_SKUS_OF_LIMIT, MAX_UNITS,
    MAX_WINDOW_S, MIN_SKUS_OF_LIMIT, SharedLimitSpec, Sku,
};
use holdfast_proto::v1::{self, CommandError};

use super::fields::{invalid, sku_at};

/// A limit over several SKUs with its id.
///
/// # Errors
///
/// `INVALID_ARGUMENT` at the first field at fault.
pub(crate) fn shared_limit(wire: Option<v1::SharedLimit>) -> Result<(LimitId, SharedLimitSpec), CommandError> {
    let wire = wire.ok_or_else(|| invalid("limit", "is missing", "send the limit with its id"))?;
    let hint = format!("1 to {MAX_SHARED_LIMIT_ID_BYTES} bytes of printable UTF-8");
    if wire.limit_id.len() > MAX_SHARED_LIMIT_ID_BYTES {
        return Err(invalid("limit.limit_id", "is too long for a limit over several SKUs", &hint));
    }
    let id = LimitId::new(&wire.limit_id)
        .map_err(|error| invalid("limit.limit_id", &format!("is refused: {error}"), &hint))?;
    let skus = skus(&wire.skus)?;
    if wire.units == 0 || wire.units > MAX_UNITS {
        return Err(invalid("limit.units", "is out of range", &format!("1 to {MAX_UNITS}")));
    }
    if wire.window_s > MAX_WINDOW_S {
        return Err(invalid("limit.window_s", "is too long", &format!("at most {MAX_WINDOW_S}, or 0 for ever")));
    }
    if wire.window_s > 0 && wire.units > MAX_ROLLING_UNITS {
        return Err(invalid("limit.units", "is too large for a window", &format!("at most {MAX_ROLLING_UNITS}")));
    }
    let window = match wire.window_s {
        0 => LimitWindow::ForEver,
        seconds => LimitWindow::RollingSeconds(seconds),
    };
    let rule = LimitSpec { units: wire.units, window, returns_restore: wire.returns_restore, active: !wire.inactive };
    Ok((id, SharedLimitSpec { skus, rule }))
}

/// In order, each once.
fn skus(wire: &[String]) -> Result<Vec<Sku>, CommandError> {
    let hint = format!("{MIN_SKUS_OF_LIMIT} to {MAX_SKUS_OF_LIMIT} SKUs, each once; a limit of one SKU is `PutLimit`");
    if !(MIN_SKUS_OF_LIMIT..=MAX_SKUS_OF_LIMIT).contains(&wire.len()) {
        return Err(invalid("limit.skus", &format!("has {} SKUs", wire.len()), &hint));
    }
    let mut skus: Vec<Sku> = Vec::with_capacity(wire.len());
    for (at, text) in wire.iter().enumerate() {
        let sku = sku_at(|| format!("limit.skus[{at}]"), text)?;
        if skus.contains(&sku) {
            return Err(invalid(format!("limit.skus[{at}]"), "is there twice", &hint));
        }
        skus.push(sku);
    }
    skus.sort();
    Ok(skus)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(skus: &[&str]) -> v1::SharedLimit {
        let skus = skus.iter().map(|sku| (*sku).to_owned()).collect();
        v1::SharedLimit { limit_id: "make-up".to_owned(), skus, units: 2, ..v1::SharedLimit::default() }
    }

    #[test]
    fn a_limit_has_its_skus_in_order() {
        let (id, spec) = shared_limit(Some(wire(&["rouge", "mascara"]))).unwrap();
        assert_eq!((id.as_str(), spec.skus[0].as_str(), spec.rule.active), ("make-up", "mascara", true));
        assert_eq!(spec.validate(), Ok(()));
    }

    #[test]
    fn what_cannot_be_is_refused_at_its_field() {
        let field = |wire| shared_limit(Some(wire)).unwrap_err().field;
        let good = wire(&["rouge", "mascara"]);
        assert_eq!(field(wire(&["rouge"])), "limit.skus");
        assert_eq!(field(wire(&["rouge", "rouge"])), "limit.skus[1]");
        assert_eq!(field(wire(&["rouge", ""])), "limit.skus[1]");
        let counter = format!("\u{a4}{:032x}make-up", 1);
        assert_eq!(field(wire(&["rouge", counter.as_str()])), "limit.skus[1]");
        assert_eq!(field(v1::SharedLimit { limit_id: "x".repeat(31), ..good.clone() }), "limit.limit_id");
        assert_eq!(field(v1::SharedLimit { limit_id: String::new(), ..good.clone() }), "limit.limit_id");
        assert_eq!(field(v1::SharedLimit { units: 0, ..good.clone() }), "limit.units");
        assert_eq!(field(v1::SharedLimit { units: 10_001, window_s: 5, ..good.clone() }), "limit.units");
        assert_eq!(field(v1::SharedLimit { window_s: MAX_WINDOW_S + 1, ..good }), "limit.window_s");
        assert_eq!(shared_limit(None).unwrap_err().field, "limit");
    }
}
