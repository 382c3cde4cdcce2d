//! What the verbs of transfers and expected receipts share: lines as the command line writes them, and which are listed.

use std::str::FromStr;

use clap::{Args, ValueEnum};
use holdfast_client::Documents;
use holdfast_proto::v1;

use super::lines::Condition;

/// `UNITS`, or `UNITS:LOT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LotUnits(pub(super) v1::DocumentLine);

impl FromStr for LotUnits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (units, lot_id) = text.split_once(':').unwrap_or((text, ""));
        let units = units.parse().map_err(|_| "write UNITS or UNITS:LOT".to_owned())?;
        Ok(Self(v1::DocumentLine { lot_id: lot_id.to_owned(), units }))
    }
}

/// `LINE=UNITS`, or `LINE=UNITS:CONDITION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ArrivedUnits(pub(super) v1::ArrivedUnits);

const ARRIVED: &str = "write LINE=UNITS or LINE=UNITS:CONDITION, the first line being 0 and the condition resellable, damaged \
                       or quality-control";

impl FromStr for ArrivedUnits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (line, rest) = text.split_once('=').ok_or(ARRIVED)?;
        let (units, condition) = rest.split_once(':').map_or((rest, None), |(units, name)| (units, Some(name)));
        let condition = condition.map(|name| Condition::from_str(name, false)).transpose().map_err(|_| ARRIVED)?;
        let (line, units) = (line.parse().map_err(|_| ARRIVED)?, units.parse().map_err(|_| ARRIVED)?);
        Ok(Self(v1::ArrivedUnits { line, units, condition: Condition::wire(condition) }))
    }
}

/// Which are listed.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Only those that have not ended.
    #[arg(long)]
    open: bool,
    /// Only those of this SKU.
    #[arg(long)]
    sku: Option<String>,
    /// Only those from, to or at this location.
    #[arg(long)]
    location: Option<String>,
    /// Only those of this shard.
    #[arg(long)]
    shard: Option<u32>,
    /// At most so many.
    #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
    limit: usize,
}

impl Filter {
    /// Which, of which shard, and how many.
    pub(super) fn parts(self) -> (Documents, Option<u32>, usize) {
        let Self { open, sku, location, shard, limit } = self;
        (Documents { open_only: open, sku, location_id: location }, shard, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are_written() {
        let line = |lot_id: &str| Ok(LotUnits(v1::DocumentLine { lot_id: lot_id.to_owned(), units: 5 }));
        assert_eq!(("5".parse(), "5:A:1".parse()), (line(""), line("A:1")));
        assert!("A".parse::<LotUnits>().is_err());
        let arrived = |condition: v1::Condition| {
            Ok(ArrivedUnits(v1::ArrivedUnits { line: 1, units: 5, condition: condition.into() }))
        };
        assert_eq!("1=5".parse(), arrived(v1::Condition::Unspecified));
        assert_eq!("1=5:quality-control".parse(), arrived(v1::Condition::QualityControl));
        assert!("5".parse::<ArrivedUnits>().is_err() && "1=5:broken".parse::<ArrivedUnits>().is_err());
    }
}
