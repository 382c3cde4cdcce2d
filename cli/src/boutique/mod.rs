//! The built-in catalogue: a cosmetics shop that does not exist, made from a seed. Lifelike in what matters to stock: many
//! shades of one product, sizes, a few things that everybody wants and a long tail.

mod words;

use std::collections::BTreeSet;

use holdfast_proto::v1::Item;
use serde_json::json;

use crate::random::Random;

use words::{BRANDS, Kind, LINES, PRODUCTS, Product};

/// How many SKUs the catalogue has.
pub const SKUS: usize = 1_200;
/// The lipstick that everybody wants.
pub const HOT_SKU: &str = "ORV-LIP-VELVET-ROSEWOOD";

/// One product of the shop.
#[derive(Clone, Debug, PartialEq)]
pub struct Ware {
    /// What the cluster is told of it.
    pub item: Item,
    /// How much it is wanted, beside the others.
    pub demand: f64,
}

/// The catalogue of a seed: exactly [`SKUS`] wares, no SKU twice, the hot lipstick first, then by falling demand.
pub fn catalogue(seed: u64) -> Vec<Ware> {
    let mut random = Random::seeded(seed);
    let mut wares = vec![hot_lipstick()];
    let mut taken: BTreeSet<String> = [HOT_SKU.to_owned()].into();
    while wares.len() < SKUS {
        let brand = random.pick(BRANDS);
        let line = random.pick(LINES);
        let product = random.pick(PRODUCTS);
        for ware in range_of(brand, line, product, &mut random) {
            if wares.len() < SKUS && taken.insert(ware.item.sku.clone()) {
                wares.push(ware);
            }
        }
    }
    wares[1..].sort_by(|a, b| b.demand.total_cmp(&a.demand).then_with(|| a.item.sku.cmp(&b.item.sku)));
    wares
}

fn hot_lipstick() -> Ware {
    let attributes =
        json!({"shade": "Rosewood", "finish": "velvet", "volume": "3.5 g", "price_usd": 29, "limited": true});
    let item = Item {
        sku: HOT_SKU.to_owned(),
        name: "Velvet Lipstick Rosewood, limited edition".to_owned(),
        brand: "Orvelle".to_owned(),
        category: "Makeup / Lips".to_owned(),
        gtin: gtin("Orvelle", HOT_SKU),
        attributes_json: attributes.to_string(),
        low_stock_threshold: 50,
        ..Item::default()
    };
    Ware { item, demand: 0.0 }
}

/// One product of one brand in all its shades or sizes. Few shades sell most of it.
fn range_of(brand: &(&str, &str), line: &str, product: &Product, random: &mut Random) -> Vec<Ware> {
    let (brand_name, brand_code) = *brand;
    let popularity = (1.0 + 40.0 * random.unit().powi(4)) * product.demand;
    let cents = [0, 50, 90, 95, 99][usize::try_from(random.below(5)).expect("below 5")];
    let price = product.price_usd.0 + random.below(product.price_usd.1 - product.price_usd.0);
    let variants = match product.kind {
        Kind::Shades(shades) => {
            let wanted = usize::try_from(3 + random.below(10)).expect("a small number");
            let start = usize::try_from(random.below(shades.len() as u64)).expect("an index");
            shades.iter().cycle().skip(start).take(wanted.min(shades.len())).copied().collect::<Vec<_>>()
        }
        Kind::Sizes(sizes) => sizes.to_vec(),
    };
    #[allow(clippy::cast_precision_loss)] // a few thousand cents
    let price_usd = (price * 100 + cents) as f64 / 100.0;
    let mut wares = Vec::new();
    for (rank, variant) in variants.into_iter().enumerate() {
        let sku = format!("{brand_code}-{}-{}-{}", product.code, code(line), code(variant));
        let (key, name) = match product.kind {
            Kind::Shades(_) => ("shade", format!("{line} {} {variant}", product.name)),
            Kind::Sizes(_) => ("volume", format!("{line} {}, {variant}", product.name)),
        };
        let attributes = json!({ key: variant, "price_usd": price_usd, "pao_months": product.pao_months });
        #[allow(clippy::cast_precision_loss)] // a handful of variants
        let demand = popularity / (rank + 1) as f64 * (0.8 + 0.4 * random.unit());
        let item = Item {
            gtin: gtin(brand_name, &sku),
            sku,
            name,
            brand: brand_name.to_owned(),
            category: product.category.to_owned(),
            attributes_json: attributes.to_string(),
            pao_months: product.pao_months,
            low_stock_threshold: 5,
            ..Item::default()
        };
        wares.push(Ware { item, demand });
    }
    wares
}

/// `Rose Petal` as `ROSEPETAL`.
fn code(words: &str) -> String {
    words.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).take(14).collect()
}

/// A GTIN-13 in the range kept for use inside a company (prefix 2), with its check digit.
fn gtin(brand: &str, sku: &str) -> String {
    let sum = brand
        .bytes()
        .chain(sku.bytes())
        .fold(0_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3) % 100_000_000_003);
    let body = format!("2{:011}", sum % 100_000_000_000);
    let weighed: u32 =
        body.bytes().enumerate().map(|(at, digit)| u32::from(digit - b'0') * if at % 2 == 0 { 1 } else { 3 }).sum();
    format!("{body}{}", (10 - weighed % 10) % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_over_a_thousand_skus_and_none_twice() {
        let wares = catalogue(1);
        let skus: BTreeSet<&str> = wares.iter().map(|ware| ware.item.sku.as_str()).collect();
        assert!(skus.len() >= 1_000 && skus.len() == wares.len() && wares.len() == SKUS);
        assert_eq!(wares[0].item.sku, HOT_SKU);
    }

    #[test]
    fn the_same_seed_makes_the_same_shop_and_another_seed_another() {
        assert_eq!(catalogue(7), catalogue(7));
        assert_ne!(catalogue(7), catalogue(8));
    }

    #[test]
    fn what_is_made_up_is_within_the_bounds_of_an_item() {
        for ware in catalogue(3) {
            let item = ware.item;
            assert!(item.sku.len() <= 64 && item.sku.is_ascii(), "{}", item.sku);
            assert!(item.name.len() <= 255 && !item.name.is_empty());
            assert_eq!(item.gtin.len(), 13, "{}", item.gtin);
            assert!(serde_json::from_str::<serde_json::Value>(&item.attributes_json).is_ok_and(|v| v.is_object()));
        }
    }

    #[test]
    fn every_brand_and_every_kind_of_product_is_there() {
        let wares = catalogue(5);
        let brands: BTreeSet<_> = wares.iter().map(|ware| ware.item.brand.clone()).collect();
        let categories: BTreeSet<_> = wares.iter().map(|ware| ware.item.category.clone()).collect();
        assert!(brands.len() > BRANDS.len() / 2 && categories.len() >= 8, "{} {}", brands.len(), categories.len());
    }
}
