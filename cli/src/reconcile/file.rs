//! What another system says, from a CSV file with a header. One bad row refuses the whole file: half a file is no statement.

use std::collections::BTreeMap;
use std::io::BufRead;

use clap::ValueEnum;

use crate::failure::Failure;
use crate::input::{Row, RowReader};

/// Most rows of a file.
const MAX_ROWS: usize = 1_000_000;
/// Most rows that are named where several are bad.
const MOST_NAMED: usize = 10;

/// What a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Records {
    /// What lies where: columns sku and on_hand, and location and lot where they are known.
    Counts,
    /// What was sold: columns order_ref, sku and quantity, and location where it is known.
    Sales,
    /// What was shipped: the same columns.
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
    /// Where; empty: the cluster's default location.
    pub location: String,
    /// How many, over all lines of the file.
    pub units: u32,
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// What lies where, each place once.
    Counts(Vec<Counted>),
    /// What was sold or shipped, each order, SKU and location once.
    Orders(Vec<Sold>),
}

/// Reads all of it. Refused with the line and the column of each row that cannot be used.
pub fn read(input: impl BufRead, of: Records) -> Result<Said, Failure> {
    let mut rows = RowReader::new(input)?;
    let columns = Columns::of(&rows, of)?;
    let (mut said, mut bad) = (Gathered::default(), Vec::new());
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
}

impl Columns {
    fn of<R: BufRead>(rows: &RowReader<R>, of: Records) -> Result<Self, Failure> {
        let is_counts = of == Records::Counts;
        Ok(Self {
            sku: rows.column("sku")?,
            units: rows.column(if is_counts { "on_hand" } else { "quantity" })?,
            order_ref: if is_counts { None } else { Some(rows.column("order_ref")?) },
            location: rows.column("location").ok(),
            lot: if is_counts { rows.column("lot").ok() } else { None },
        })
    }
}

/// By what each row is about, so that none is judged twice.
#[derive(Default)]
struct Gathered {
    counts: BTreeMap<(String, String, String), Counted>,
    sales: BTreeMap<(String, String, String), Sold>,
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
        // An order may name a SKU in several rows.
        let key = (order_ref.clone(), sku.clone(), location.clone());
        let sold = self.sales.entry(key).or_insert(Sold { line, order_ref, sku, location, units: 0 });
        sold.units = sold.units.checked_add(units).ok_or("column quantity: the order's units are too many")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_read_with_its_line() {
        let said = read("sku,location,lot,on_hand\nLIP,PAR,,3\nCREAM,,A,0\n".as_bytes(), Records::Counts).unwrap();
        let counted = |line, sku: &str, location: &str, lot: &str, on_hand| {
            let (sku, location, lot) = (sku.to_owned(), location.to_owned(), lot.to_owned());
            Counted { line, sku, location, lot, on_hand }
        };
        assert_eq!(said, Said::Counts(vec![counted(3, "CREAM", "", "A", 0), counted(2, "LIP", "PAR", "", 3)]));
    }

    #[test]
    fn an_order_is_summed_over_its_rows() {
        let said = read("order_ref,sku,quantity\nweb 7,LIP,1\nweb 7,LIP,2\n".as_bytes(), Records::Sales).unwrap();
        let (order_ref, sku, location) = ("web 7".to_owned(), "LIP".to_owned(), String::new());
        assert_eq!(said, Said::Orders(vec![Sold { line: 2, order_ref, sku, location, units: 3 }]));
    }

    #[test]
    fn bad_rows_are_refused_by_line_and_column_and_nothing_is_taken() {
        let refused = |text: &str, of| read(text.as_bytes(), of).unwrap_err().message().to_owned();
        let why = refused("sku,on_hand\nLIP,three\n,4\nLIP,5\nLIP,5\n", Records::Counts);
        for part in ["line 2: column on_hand", "line 3: column sku: is empty", "line 5: column sku: line 4"] {
            assert!(why.contains(part), "{why}");
        }
        assert!(refused("sku,quantity\nLIP,1\n", Records::Sales).contains("\"order_ref\""));
        assert!(refused("order_ref,sku,quantity\nweb 7,LIP,0\n", Records::Sales).contains("line 2: column quantity"));
        assert!(refused("sku,on_hand\nLIP,-1\n", Records::Counts).contains("line 2: column on_hand"));
        assert!(refused("sku,on_hand\nLIP\n", Records::Counts).contains("line 2: missing_columns"));
    }
}
