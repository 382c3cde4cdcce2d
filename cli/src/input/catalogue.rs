//! A catalogue as shops keep it: one product a row, the columns named in the header. `product_id` becomes the SKU,
//! `product_name`, `brand_name` and `primary_category` what they say, every other column an attribute.

use std::collections::BTreeSet;
use std::io::BufRead;

use holdfast_proto::v1::Item;
use serde_json::{Map, Value};

use super::{DirtKind, DirtyRow, Row, RowReader, Usable};
use crate::failure::Failure;

/// Longest SKU, in bytes.
const MAX_SKU_BYTES: usize = 64;
/// Longest name, brand or category, in bytes.
const MAX_TEXT_BYTES: usize = 255;
/// Longest object of attributes, in bytes.
const MAX_ATTRIBUTES_BYTES: usize = 16 * 1_024;
/// Columns that may hold the price; it must be a number.
const PRICE: &str = "price_usd";

/// Reads items from `R`.
pub struct CatalogueReader<R> {
    rows: RowReader<R>,
    sku: usize,
    name: Option<usize>,
    brand: Option<usize>,
    category: Option<usize>,
    seen: BTreeSet<String>,
}

impl<R: BufRead> CatalogueReader<R> {
    /// Reads the header; only `product_id` must be there.
    pub fn new(input: R) -> Result<Self, Failure> {
        let rows = RowReader::new(input)?;
        Ok(Self {
            sku: rows.column("product_id")?,
            name: rows.column("product_name").ok(),
            brand: rows.column("brand_name").ok(),
            category: rows.column("primary_category").ok(),
            seen: BTreeSet::new(),
            rows,
        })
    }

    /// The next item with its line, or what is wrong with its row; `None` at the end.
    pub fn next_item(&mut self) -> Result<Option<Usable<(u64, Item)>>, Failure> {
        let Some(row) = self.rows.next_row()? else { return Ok(None) };
        Ok(Some(row.and_then(|row| self.item_of(&row).map(|item| (row.line, item)))))
    }

    fn item_of(&mut self, row: &Row) -> Usable<Item> {
        let dirty = |kind, detail: &str| DirtyRow::new(row.line, kind, detail);
        let sku = row.fields[self.sku].trim();
        if sku.is_empty() {
            return Err(dirty(DirtKind::NoSku, &row.fields.join(",")));
        }
        if !is_sku(sku) {
            return Err(dirty(DirtKind::BadSku, sku));
        }
        let text = |column: Option<usize>| {
            let text = column.map_or("", |column| row.fields[column].trim());
            if is_text(text) { Ok(text.to_owned()) } else { Err(dirty(DirtKind::BadText, text)) }
        };
        let item = Item {
            sku: sku.to_owned(),
            name: text(self.name)?,
            brand: text(self.brand)?,
            category: text(self.category)?,
            attributes_json: self.attributes_of(row)?,
            ..Item::default()
        };
        if !self.seen.insert(item.sku.clone()) {
            return Err(dirty(DirtKind::RepeatedSku, &item.sku));
        }
        Ok(item)
    }

    /// The other columns that have a value; numbers as numbers.
    fn attributes_of(&self, row: &Row) -> Result<String, DirtyRow> {
        let known = [Some(self.sku), self.name, self.brand, self.category];
        let mut attributes = Map::new();
        for (column, (name, field)) in self.rows.columns().iter().zip(&row.fields).enumerate() {
            let field = field.trim();
            if known.contains(&Some(column)) || field.is_empty() {
                continue;
            }
            let number = field.parse::<f64>().ok().filter(|n| n.is_finite());
            if name == PRICE && number.is_none_or(|price| price < 0.0) {
                return Err(DirtyRow::new(row.line, DirtKind::BadPrice, field));
            }
            attributes.insert(name.clone(), value_of(field));
        }
        if attributes.is_empty() {
            return Ok(String::new());
        }
        let text = Value::Object(attributes).to_string();
        if text.len() > MAX_ATTRIBUTES_BYTES {
            return Err(DirtyRow::new(row.line, DirtKind::TooManyAttributes, format!("{} bytes", text.len())));
        }
        Ok(text)
    }
}

/// A number where it reads as it would be written, else a text: `0012` stays what it is.
fn value_of(field: &str) -> Value {
    if let Ok(number) = field.parse::<i64>()
        && number.to_string() == field
    {
        return number.into();
    }
    match field.parse::<f64>() {
        Ok(number) if number.is_finite() && number.to_string() == field => number.into(),
        _ => field.into(),
    }
}

/// 1 to 64 bytes of printable UTF-8.
pub(super) fn is_sku(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_SKU_BYTES && !text.chars().any(char::is_control)
}

fn is_text(text: &str) -> bool {
    text.len() <= MAX_TEXT_BYTES && !text.chars().any(char::is_control)
}

/// A catalogue, as any bytes.
#[cfg(any(test, fuzzing))]
pub mod untrusted {
    use super::CatalogueReader;

    const SOUND: &str =
        "product_id,product_name,price_usd,size,rating\nA,\"Rouge, \"\"velvet\"\"\",12.5,3.5 ml,4\nB,Serum,,30 ml,\n";

    /// A valid input.
    pub fn valid() -> Vec<u8> {
        SOUND.as_bytes().to_vec()
    }

    /// Refuses it, or reads it to its end.
    pub fn read(bytes: &[u8]) {
        if let Ok(mut reader) = CatalogueReader::new(bytes) {
            let mut rows = 0;
            while let Ok(Some(_)) = reader.next_item() {
                rows += 1;
                assert!(rows <= bytes.len(), "more rows than bytes");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<Result<Item, (u64, DirtKind)>> {
        let mut reader = CatalogueReader::new(text).expect("a header");
        std::iter::from_fn(|| reader.next_item().expect("memory is readable"))
            .map(|item| item.map(|(_, item)| item).map_err(|dirty| (dirty.line, dirty.kind)))
            .collect()
    }

    #[test]
    fn columns_are_found_by_their_names_and_the_rest_become_attributes() {
        let text = "brand_name,product_id,price_usd,rating,product_name,primary_category,code\n\
                    Oriveau,L-1,24.5,,\"Rouge, velvet\",Makeup,0012\n";
        let item = Item {
            sku: "L-1".into(),
            name: "Rouge, velvet".into(),
            brand: "Oriveau".into(),
            category: "Makeup".into(),
            attributes_json: r#"{"price_usd":24.5,"code":"0012"}"#.into(),
            ..Item::default()
        };
        assert_eq!(read(text.as_bytes()), [Ok(item)]);
    }

    #[test]
    fn each_kind_of_dirt_is_named_with_its_line_and_stops_nothing() {
        let long = "x".repeat(65);
        let text = format!(
            "product_id,product_name,price_usd\n,no id,1\n{long},long,1\nA,first,1\nA,again,1\nB,price,dear\n\
             C,\"open,1\nD,{},1\nE,good,0\n",
            "n".repeat(256)
        );
        let found: Vec<_> = read(text.as_bytes()).into_iter().map(|r| r.map(|i| i.sku)).collect();
        assert_eq!(
            found,
            [
                Err((2, DirtKind::NoSku)),
                Err((3, DirtKind::BadSku)),
                Ok("A".to_owned()),
                Err((5, DirtKind::RepeatedSku)),
                Err((6, DirtKind::BadPrice)),
                Err((7, DirtKind::BadQuotes)),
                Err((8, DirtKind::BadText)),
                Ok("E".to_owned()),
            ]
        );
    }

    #[test]
    fn a_catalogue_without_product_ids_is_refused() {
        assert!(CatalogueReader::new(&b"sku,name\n1,x\n"[..]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_is_nearly_a_catalogue_is_refused_or_read_to_its_end_and_never_a_panic(
            bytes in holdfast_mangle::mangled(untrusted::valid()),
        ) {
            untrusted::read(&bytes);
        }
    }
}
