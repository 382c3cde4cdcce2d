//! A sale's lines as stock has them: a kit has none of its own, so that what it is made of is granted and counted.

use std::collections::BTreeMap;

use holdfast_client::{Client, Consistency};
use holdfast_proto::v1::ErrorReason;

use super::Sale;
use super::file::SaleLine;
use crate::connect::failure_of;
use crate::failure::Failure;

/// The lines by SKU and location, each once, those of kits as their components.
///
/// # Errors
///
/// A kit's line has a limit, which would count nothing; there are too many units; a SKU cannot be read.
pub(super) async fn stocked_lines(client: &Client, sale: &Sale) -> Result<Vec<SaleLine>, Failure> {
    let reader = client.reader(Consistency::Linearizable);
    let mut kits: BTreeMap<&str, Vec<(String, u32)>> = BTreeMap::new();
    for line in &sale.lines {
        if kits.contains_key(line.sku.as_str()) {
            continue;
        }
        let components = match reader.kit(&line.sku, None).await {
            Ok(kit) => match kit.problem {
                None => kit.flattened.into_iter().map(|of| (of.sku, of.units)).collect(),
                Some(problem) => return Err(Failure::usage(problem.message).about(&line.sku)),
            },
            Err(error) if error.reason() == ErrorReason::UnknownSku => Vec::new(),
            Err(error) => return Err(failure_of(error)),
        };
        kits.insert(line.sku.as_str(), components);
    }
    spread(&sale.lines, |sku| kits.get(sku).map_or(&[], Vec::as_slice))
}

/// The same where of each SKU is known what one of it is made of: nothing, where it is no kit.
fn spread<'a>(lines: &[SaleLine], made_of: impl Fn(&str) -> &'a [(String, u32)]) -> Result<Vec<SaleLine>, Failure> {
    let mut stocked: BTreeMap<(String, String), (u64, Option<u32>)> = BTreeMap::new();
    for line in lines {
        let components = made_of(&line.sku);
        let mut add = |sku: &str, units: u64, per_customer: Option<u32>| {
            let of = stocked.entry((sku.to_owned(), line.location.clone())).or_default();
            *of = (of.0 + units, of.1.or(per_customer));
        };
        if components.is_empty() {
            add(&line.sku, line.units.into(), line.per_customer);
            continue;
        }
        if line.per_customer.is_some() {
            let failure = Failure::usage(format!("{}: per_customer is of a kit, of which no limit counts", line.sku));
            return Err(failure.hint("leave it out there, and limit a component by `holdfast limit put --campaign`"));
        }
        for (sku, units) in components {
            add(sku, u64::from(line.units) * u64::from(*units), None);
        }
    }
    let line = |((sku, location), (units, per_customer)): ((String, String), (u64, Option<u32>))| {
        let units = u32::try_from(units).ok().filter(|units| *units <= super::file::MAX_UNITS).ok_or_else(|| {
            let failure = Failure::usage(format!("{sku}: {units} units are wanted, of kits and by itself"));
            failure.hint(format!("at most {} of a SKU at a location", super::file::MAX_UNITS))
        })?;
        Ok(SaleLine { sku, location, units, per_customer })
    };
    stocked.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sku: &str, units: u32, per_customer: Option<u32>) -> SaleLine {
        SaleLine { sku: sku.to_owned(), location: String::new(), units, per_customer }
    }

    #[test]
    fn a_kits_line_is_what_it_is_made_of_beside_what_is_sold_of_that_by_itself() {
        let set = [("BALM".to_owned(), 1), ("ROUGE".to_owned(), 2)];
        let made_of = |sku: &str| if sku == "SET" { &set[..] } else { &[] };
        let lines = [line("ROUGE", 5, Some(1)), line("SET", 10, None)];
        let stocked = spread(&lines, made_of).unwrap();
        assert_eq!(stocked, [line("BALM", 10, None), line("ROUGE", 25, Some(1))]);
        let refused = spread(&[line("SET", 10, Some(1))], made_of).unwrap_err().to_string();
        assert!(refused.contains("SET: per_customer"), "{refused}");
        assert!(spread(&[line("SET", 2_000_000_000, None)], made_of).is_err(), "too many units of ROUGE");
    }
}
