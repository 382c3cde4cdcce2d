//! Stock as a shop counts it: units of one SKU a row, with where they lie and of which lot they are.

use std::io::BufRead;

use holdfast_proto::v1;
use holdfast_web::sheet::as_meant;

use super::{DirtKind, DirtyRow, Row, RowReader, Usable};
use crate::failure::Failure;

/// The columns, as an export writes them. `sku` and `quantity` must be there.
pub const COLUMNS: [&str; 5] = ["sku", "location", "lot", "best_before", "quantity"];

/// Reads what is to be received from `R`.
pub struct StockReader<R> {
    rows: RowReader<R>,
    sku: usize,
    quantity: usize,
    location: Option<usize>,
    lot: Option<usize>,
    best_before: Option<usize>,
}

impl<R: BufRead> StockReader<R> {
    /// Reads the header.
    pub fn new(input: R) -> Result<Self, Failure> {
        let rows = RowReader::new(input)?;
        Ok(Self {
            sku: rows.column("sku")?,
            quantity: rows.column("quantity")?,
            location: rows.column("location").ok(),
            lot: rows.column("lot").ok(),
            best_before: rows.column("best_before").ok(),
            rows,
        })
    }

    /// The next row's units with its line, or what is wrong with it; `None` at the end. Units are 0 where the row says so.
    pub fn next_units(&mut self) -> Result<Option<Usable<(u64, v1::Receive)>>, Failure> {
        let Some(row) = self.rows.next_row()? else { return Ok(None) };
        Ok(Some(row.and_then(|row| self.units_of(&row).map(|units| (row.line, units)))))
    }

    fn units_of(&self, row: &Row) -> Usable<v1::Receive> {
        let dirty = |kind, detail: &str| DirtyRow::new(row.line, kind, detail);
        let text =
            |column: Option<usize>| column.map_or_else(String::new, |column| as_meant(row.fields[column].trim()));
        let sku = text(Some(self.sku));
        if sku.is_empty() {
            return Err(dirty(DirtKind::NoSku, &row.fields.join(",")));
        }
        let quantity = row.fields[self.quantity].trim();
        let units = quantity.parse().map_err(|_| dirty(DirtKind::BadQuantity, quantity))?;
        let best_before = text(self.best_before);
        let lot = (!best_before.is_empty()).then(|| v1::LotSpec { best_before, ..v1::LotSpec::default() });
        Ok(v1::Receive { sku, location_id: text(self.location), units, lot_id: text(self.lot), lot, receipt_id: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Usable<(u64, v1::Receive)>> {
        let mut reader = StockReader::new(text.as_bytes()).expect("a header");
        std::iter::from_fn(|| reader.next_units().expect("memory is readable")).collect()
    }

    #[test]
    fn a_row_is_units_of_a_sku_where_they_lie_and_of_which_lot() {
        let rows = read("sku,location,lot,best_before,quantity\nCREAM,PAR,A,2027-05,12\nLIP,,,,3\n");
        let lot = Some(v1::LotSpec { best_before: "2027-05".to_owned(), ..v1::LotSpec::default() });
        let (sku, location_id, lot_id) = ("CREAM".to_owned(), "PAR".to_owned(), "A".to_owned());
        let cream = v1::Receive { sku, location_id, units: 12, lot_id, lot, receipt_id: None };
        let lip = v1::Receive { sku: "LIP".to_owned(), units: 3, ..v1::Receive::default() };
        assert_eq!(rows, [Ok((2, cream)), Ok((3, lip))]);
    }

    #[test]
    fn a_name_that_an_export_kept_a_spreadsheet_from_taking_for_a_formula_is_as_it_was() {
        for sku in ["=1+2", "-LIP", "@LIP", "'=LIP", "'LIP", "LIP"] {
            let written = holdfast_web::sheet::defused(sku);
            let rows = read(&format!("sku,quantity\n{written},1\n"));
            assert_eq!(rows[0].as_ref().map(|(_, receive)| receive.sku.as_str()), Ok(sku), "{written}");
        }
    }

    #[test]
    fn only_the_sku_and_the_quantity_must_be_named() {
        assert_eq!(read("quantity,sku\n3,LIP\n").len(), 1);
        assert!(StockReader::new(&b"sku,units\n"[..]).is_err());
    }

    #[test]
    fn a_row_without_a_sku_or_with_a_quantity_that_is_none_is_named_with_its_line() {
        let kinds: Vec<_> = read("sku,quantity\n,1\nLIP,-1\nLIP,many\nLIP,4294967296\n")
            .into_iter()
            .map(|row| row.map_err(|dirty| (dirty.line, dirty.kind)).map(drop))
            .collect();
        let bad = |line| Err((line, DirtKind::BadQuantity));
        assert_eq!(kinds, [Err((2, DirtKind::NoSku)), bad(3), bad(4), bad(5)]);
    }
}
