//! What another system says, from a CSV file with a header. One bad row refuses the whole file: half a file is no statement.

use std::collections::BTreeMap;
use std::io::BufRead;

use clap::ValueEnum;

use crate::dates;
use crate::failure::Failure;
use crate::input::{Row, RowReader};

/// Most rows of a file.
const MAX_ROWS: usize = 1_000_000;
/// A day begins so much before it does in UTC, in the zones that are first.
const FIRST_ZONE_MS: u64 = 14 * 3_600_000;
/// Most rows that are named where several are bad.
const MOST_NAMED: usize = 10;

/// What a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Records {
    /// What lies where: columns sku and on_hand, and location and lot where they are known.
    Counts,
    /// What was sold: columns order_ref, sku and quantity, and location and sold_at where they are known.
    Sales,
    /// All that was ever shipped: the same columns, with shipped_at.
    Shipments,
}

impl Records {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::Sales => "sales",
            Self::Shipments => "shipments",
        }
    }
}

/// Units that lie somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Its line in the file, from 1.
    pub line: u64,
    /// The SKU.
    pub sku: String,
    /// Where; empty: the cluster's default location.
    pub location: String,
    /// The lot; empty: all of them.
    pub lot: String,
    /// How many, in whichever condition.
    pub on_hand: u64,
}

/// Units of a SKU that were sold, or shipped, under an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sold {
    /// The (first) line that says so, from 1.
    pub line: u64,
    /// The order.
    pub order_ref: String,
    /// The SKU.
    pub sku: String,
    /// Where; empty: wherever.
    pub location: String,
    /// How many, over all lines of the file.
    pub units: u32,
    /// When the first of it was, or later: milliseconds since the Unix epoch; `None` where that is not known of all lines.
    pub at_ms: Option<u64>,
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// What lies where, each place once.
    Counts(Vec<Counted>),
    /// What was sold or shipped, each order, SKU and location once.
    Orders(Vec<Sold>),
}

/// Reads all of it. `since`: no sale or shipment without a time of its own was before. Refused with the line and the column of each row that cannot be used.
pub fn read(input: impl BufRead, of: Records, since: Option<u64>) -> Result<Said, Failure> {
    let mut rows = RowReader::new(input)?;
    let columns = Columns::of(&rows, of)?;
    let (mut said, mut bad) = (Gathered { since, ..Gathered::default() }, Vec::new());
    let mut number = 0;
    while let Some(row) = rows.next_row()? {
        number += 1;
        if number > MAX_ROWS {
            let failure = Failure::usage(format!("it has more than {MAX_ROWS} rows"));
            return Err(failure.hint("split it"));
        }
        let taken = match row {
            Ok(row) => said.take(&columns, &row, of).map_err(|why| format!("line {}: {why}", row.line)),
            Err(dirty) => Err(format!("line {}: {}: {}", dirty.line, dirty.kind.name(), dirty.detail)),
        };
        bad.extend(taken.err());
    }
    bad.extend(said.half_located());
    if bad.is_empty() {
        return Ok(match of {
            Records::Counts => Said::Counts(said.counts.into_values().collect()),
            Records::Sales | Records::Shipments => Said::Orders(said.sales.into_values().collect()),
        });
    }
    let more = bad.len().saturating_sub(MOST_NAMED);
    bad.truncate(MOST_NAMED);
    let rest = if more > 0 { format!("; and {more} rows more") } else { String::new() };
    Err(Failure::usage(format!("{}{rest}", bad.join("; "))).hint("nothing was done: mend the file and run it again"))
}

struct Columns {
    sku: usize,
    units: usize,
    order_ref: Option<usize>,
    location: Option<usize>,
    lot: Option<usize>,
    at: Option<(&'static str, usize)>,
}

impl Columns {
    fn of<R: BufRead>(rows: &RowReader<R>, of: Records) -> Result<Self, Failure> {
        let is_counts = of == Records::Counts;
        let at = match of {
            Records::Counts => None,
            Records::Sales => Some("sold_at"),
            Records::Shipments => Some("shipped_at"),
        };
        Ok(Self {
            sku: rows.column("sku")?,
            units: rows.column(if is_counts { "on_hand" } else { "quantity" })?,
            order_ref: if is_counts { None } else { Some(rows.column("order_ref")?) },
            location: rows.column("location").ok(),
            lot: if is_counts { rows.column("lot").ok() } else { None },
            at: at.and_then(|name| Some((name, rows.column(name).ok()?))),
        })
    }
}

/// By what each row is about, so that none is judged twice.
#[derive(Default)]
struct Gathered {
    counts: BTreeMap<(String, String, String), Counted>,
    sales: BTreeMap<(String, String, String), Sold>,
    since: Option<u64>,
}

impl Gathered {
    fn take(&mut self, columns: &Columns, row: &Row, of: Records) -> Result<(), String> {
        let text = |column: Option<usize>| column.map_or("", |column| row.fields[column].trim()).to_owned();
        let needed = |column: usize, name: &str| match row.fields[column].trim() {
            "" => Err(format!("column {name}: is empty")),
            text if text.len() > 64 => Err(format!("column {name}: is longer than 64 bytes")),
            text => Ok(text.to_owned()),
        };
        let sku = needed(columns.sku, "sku")?;
        let (line, location) = (row.line, text(columns.location));
        let number = row.fields[columns.units].trim();
        if of == Records::Counts {
            let on_hand = number.parse().map_err(|_| format!("column on_hand: {number:?} is no number of units"))?;
            let lot = text(columns.lot);
            let counted = Counted { line, sku: sku.clone(), location: location.clone(), lot: lot.clone(), on_hand };
            return match self.counts.insert((sku, location, lot), counted) {
                None => Ok(()),
                Some(before) => Err(format!("column sku: line {} has counted it already", before.line)),
            };
        }
        let order_ref = needed(columns.order_ref.unwrap_or_default(), "order_ref")?;
        let units: u32 = number.parse().map_err(|_| format!("column quantity: {number:?} is no number of units"))?;
        if units == 0 {
            return Err("column quantity: 0 units are no statement".to_owned());
        }
        let at_ms = match columns.at.map(|(name, column)| (name, row.fields[column].trim())) {
            None | Some((_, "")) => self.since,
            Some((name, text)) => Some(time(text).map_err(|why| format!("column {name}: {why}"))?),
        };
        // An order may name a SKU in several rows.
        let key = (order_ref.clone(), sku.clone(), location.clone());
        let sold = self.sales.entry(key).or_insert(Sold { line, order_ref, sku, location, units: 0, at_ms });
        sold.at_ms = sold.at_ms.zip(at_ms).map(|(first, at)| first.min(at));
        sold.units = sold.units.checked_add(units).ok_or("column quantity: the order's units are too many")?;
        Ok(())
    }
}

impl Gathered {
    /// Orders that name a location for some of a SKU and none for the rest: it would be counted twice.
    fn half_located(&self) -> Vec<String> {
        let sales: Vec<&Sold> = self.sales.values().collect();
        let told = sales.windows(2).filter(|two| {
            let same = (&two[0].order_ref, &two[0].sku) == (&two[1].order_ref, &two[1].sku);
            same && two[0].location.is_empty()
        });
        told.map(|two| {
            format!("line {}: column location: is empty, and line {} names one for the same", two[0].line, two[1].line)
        })
        .collect()
    }
}

/// An instant, or the first one of a day wherever that is.
fn time(text: &str) -> Result<u64, String> {
    const DAY_MS: u64 = 24 * 3_600_000;
    match dates::end_of_day(text) {
        Ok(end) => Ok((end + 1).saturating_sub(DAY_MS + FIRST_ZONE_MS)),
        Err(_) => dates::instant(text)
            .map_err(|_| format!("{text:?} is no time: write it as 2027-05-31T09:00:00Z, or the day as 2027-05-31")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_read_with_its_line() {
        let said =
            read("sku,location,lot,on_hand\nLIP,PAR,,3\nCREAM,,A,0\n".as_bytes(), Records::Counts, None).unwrap();
        let counted = |line, sku: &str, location: &str, lot: &str, on_hand| {
            let (sku, location, lot) = (sku.to_owned(), location.to_owned(), lot.to_owned());
            Counted { line, sku, location, lot, on_hand }
        };
        assert_eq!(said, Said::Counts(vec![counted(3, "CREAM", "", "A", 0), counted(2, "LIP", "PAR", "", 3)]));
    }

    #[test]
    fn an_order_is_summed_over_its_rows() {
        let said = read("order_ref,sku,quantity\nweb 7,LIP,1\nweb 7,LIP,2\n".as_bytes(), Records::Sales, None).unwrap();
        let (order_ref, sku, location) = ("web 7".to_owned(), "LIP".to_owned(), String::new());
        assert_eq!(said, Said::Orders(vec![Sold { line: 2, order_ref, sku, location, units: 3, at_ms: None }]));
    }

    #[test]
    fn bad_rows_are_refused_by_line_and_column_and_nothing_is_taken() {
        let refused = |text: &str, of| read(text.as_bytes(), of, None).unwrap_err().message().to_owned();
        let why = refused("sku,on_hand\nLIP,three\n,4\nLIP,5\nLIP,5\n", Records::Counts);
        for part in ["line 2: column on_hand", "line 3: column sku: is empty", "line 5: column sku: line 4"] {
            assert!(why.contains(part), "{why}");
        }
        assert!(refused("sku,quantity\nLIP,1\n", Records::Sales).contains("\"order_ref\""));
        assert!(refused("order_ref,sku,quantity\nweb 7,LIP,0\n", Records::Sales).contains("line 2: column quantity"));
        assert!(refused("sku,on_hand\nLIP,-1\n", Records::Counts).contains("line 2: column on_hand"));
        assert!(refused("sku,on_hand\nLIP\n", Records::Counts).contains("line 2: missing_columns"));
    }

    #[test]
    fn a_sale_is_as_old_as_the_first_of_its_rows_and_of_no_age_where_one_has_none() {
        let ages = |text: &str, since| match read(text.as_bytes(), Records::Sales, since) {
            Ok(Said::Orders(orders)) => orders.into_iter().map(|sold| sold.at_ms).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        let text = "order_ref,sku,quantity,sold_at\n1,LIP,1,1970-01-03\n1,LIP,1,1970-01-02T00:00:00Z\n2,LIP,1,\n2,LIP,1,1970-01-02\n";
        let (hour, day) = (3_600_000, 24 * 3_600_000);
        assert_eq!(ages(text, None), [Some(day), None]);
        assert_eq!(ages(text, Some(9 * day)), [Some(day), Some(10 * hour)]);
        assert_eq!(ages("order_ref,sku,quantity\n1,LIP,1\n", Some(7)), [Some(7)]);
    }

    #[test]
    fn an_order_names_the_locations_of_a_sku_or_none() {
        let text = "order_ref,sku,quantity,location\n1,LIP,1,PAR\n1,LIP,1,\n1,NAIL,1,\n2,LIP,1,PAR\n";
        let why = read(text.as_bytes(), Records::Sales, None).unwrap_err().message().to_owned();
        assert_eq!(why, "line 3: column location: is empty, and line 2 names one for the same");
    }
}
