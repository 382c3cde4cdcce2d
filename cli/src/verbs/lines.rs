//! Lines of a reservation, as the command line writes them.

use std::str::FromStr;

use clap::ValueEnum;
use holdfast_proto::v1;

use crate::failure::Failure;

/// `SKU` or `SKU=UNITS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SkuUnits {
    pub(super) sku: String,
    pub(super) units: u32,
}

impl FromStr for SkuUnits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (sku, units) = match text.rsplit_once('=') {
            Some((sku, units)) => {
                let units = units.parse().map_err(|_| format!("`{units}` is no number of units: write SKU=UNITS"))?;
                (sku, units)
            }
            None => (text, 1),
        };
        if sku.is_empty() {
            return Err("there is no SKU before the `=`".to_owned());
        }
        Ok(Self { sku: sku.to_owned(), units })
    }
}

impl SkuUnits {
    /// The line at that location; empty: the cluster's default.
    pub(super) fn line(&self, location_id: &str, lots: &[SkuLot], no_backorder: bool) -> v1::Line {
        let lot = lots.iter().find(|lot| lot.sku == self.sku);
        v1::Line {
            sku: self.sku.clone(),
            location_id: location_id.to_owned(),
            units: self.units,
            lot_id: lot.map(|lot| lot.lot.clone()).unwrap_or_default(),
            optional: false,
            no_backorder,
            kit_revision: 0,
            min_units: 0,
        }
    }
}

/// `SKU=LOT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SkuLot {
    pub(super) sku: String,
    pub(super) lot: String,
}

impl FromStr for SkuLot {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((sku, lot)) if !sku.is_empty() && !lot.is_empty() => {
                Ok(Self { sku: sku.to_owned(), lot: lot.to_owned() })
            }
            _ => Err("write SKU=LOT".to_owned()),
        }
    }
}

/// Refuses a lot of a SKU that has no line.
pub(super) fn check_lots(lots: &[SkuLot], lines: &[SkuUnits]) -> Result<(), Failure> {
    let stray = lots.iter().find(|lot| lines.iter().all(|line| line.sku != lot.sku));
    stray.map_or(Ok(()), |lot| Err(Failure::usage(format!("--lot names {}, which is none of the SKUs", lot.sku))))
}

/// `SKU=REVISION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SkuRevision {
    sku: String,
    revision: u64,
}

impl FromStr for SkuRevision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once('=').and_then(|(sku, revision)| Some((sku, revision.parse().ok()?)));
        match parts {
            Some((sku, revision)) if !sku.is_empty() && revision > 0 => Ok(Self { sku: sku.to_owned(), revision }),
            _ => Err("write SKU=REVISION".to_owned()),
        }
    }
}

/// The revision that is named of a SKU's recipe; 0: none.
pub(super) fn kit_revision_of(revisions: &[SkuRevision], sku: &str) -> u64 {
    revisions.iter().find(|it| it.sku == sku).map_or(0, |it| it.revision)
}

/// Refuses the revision of a SKU that has no line.
pub(super) fn check_kit_revisions(revisions: &[SkuRevision], lines: &[SkuUnits]) -> Result<(), Failure> {
    let stray = revisions.iter().find(|it| lines.iter().all(|line| line.sku != it.sku));
    let refused =
        |it: &SkuRevision| Failure::usage(format!("--kit-revision names {}, which is none of the SKUs", it.sku));
    stray.map_or(Ok(()), |it| Err(refused(it)))
}

/// The least number of units that will do of a SKU; 0: all of them.
pub(super) fn min_units_of(at_least: &[SkuUnits], sku: &str) -> u32 {
    at_least.iter().find(|it| it.sku == sku).map_or(0, |it| it.units)
}

/// Refuses the least number of a SKU that has no line, or not as many units.
pub(super) fn check_min_units(at_least: &[SkuUnits], lines: &[SkuUnits]) -> Result<(), Failure> {
    for SkuUnits { sku, units } in at_least {
        let mut of_sku = lines.iter().filter(|line| line.sku == *sku).peekable();
        if of_sku.peek().is_none() {
            return Err(Failure::usage(format!("--at-least names {sku}, which is none of the SKUs")));
        }
        if let Some(line) = of_sku.find(|line| *units == 0 || line.units < *units) {
            let problem =
                format!("--at-least {sku}={units}, and {} are asked for: name 1 to {}", line.units, line.units);
            return Err(Failure::usage(problem));
        }
    }
    Ok(())
}

/// `LINE=UNITS`: units of a line by its number, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineUnits(pub(super) v1::LineUnits);

impl FromStr for LineUnits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('=')
            .and_then(|(line, units)| Some(v1::LineUnits { line: line.parse().ok()?, units: units.parse().ok()? }));
        parts.map(Self).ok_or_else(|| "write LINE=UNITS, the first line being 0".to_owned())
    }
}

/// `LINE=UNITS`, or `LINE=UNITS:LOT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PickedUnits(pub(super) v1::PickedUnits);

impl FromStr for PickedUnits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (line, rest) = text.split_once('=').ok_or(PICKED)?;
        let (units, lot_id) = rest.split_once(':').unwrap_or((rest, ""));
        let (line, units) = (line.parse().map_err(|_| PICKED)?, units.parse().map_err(|_| PICKED)?);
        Ok(Self(v1::PickedUnits { line, units, lot_id: lot_id.to_owned() }))
    }
}

const PICKED: &str = "write LINE=UNITS or LINE=UNITS:LOT, the first line being 0";

/// In what state units are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Condition {
    /// May be sold.
    Resellable,
    /// May not.
    Damaged,
    /// Not yet decided.
    QualityControl,
}

impl Condition {
    /// As the wire says it; nothing said is left unspecified.
    pub(super) fn wire(condition: Option<Self>) -> i32 {
        let condition = match condition {
            None => v1::Condition::Unspecified,
            Some(Self::Resellable) => v1::Condition::Resellable,
            Some(Self::Damaged) => v1::Condition::Damaged,
            Some(Self::QualityControl) => v1::Condition::QualityControl,
        };
        condition.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_sku_with_its_units_one_where_none_are_said() {
        assert_eq!("LIP-01=2".parse(), Ok(SkuUnits { sku: "LIP-01".into(), units: 2 }));
        assert_eq!("LIP-01".parse(), Ok(SkuUnits { sku: "LIP-01".into(), units: 1 }));
        assert_eq!("A=B=3".parse(), Ok(SkuUnits { sku: "A=B".into(), units: 3 }));
        assert!("=3".parse::<SkuUnits>().is_err() && "A=x".parse::<SkuUnits>().is_err());
    }

    #[test]
    fn parts_name_the_line_by_its_number() {
        assert_eq!("0=5".parse(), Ok(LineUnits(v1::LineUnits { line: 0, units: 5 })));
        assert!("5".parse::<LineUnits>().is_err());
        let picked = |lot_id: &str| Ok(PickedUnits(v1::PickedUnits { line: 0, units: 5, lot_id: lot_id.to_owned() }));
        assert_eq!(("0=5".parse(), "0=5:A:1".parse()), (picked(""), picked("A:1")));
        assert!("0:A".parse::<PickedUnits>().is_err() && "0=:A".parse::<PickedUnits>().is_err());
    }
}
