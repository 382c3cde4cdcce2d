//! What the built-in shop sells: invented brands and lines, and the usual products, shades and sizes of the trade.

/// Brands, with the code that their SKUs begin with. None of them exists.
pub(super) const BRANDS: &[(&str, &str)] = &[
    ("Orvelle", "ORV"),
    ("Sablewyn", "SBW"),
    ("Maison Tindrel", "MTD"),
    ("Petalune Atelier", "PTL"),
    ("Kaiyume", "KYM"),
    ("Morrowfenn", "MRF"),
    ("Halcyrane", "HAL"),
    ("Brynshore Botanics", "BRY"),
    ("Nuvessaline", "NVS"),
    ("Quillowe", "QLW"),
    ("Ostrava Glass", "OSG"),
    ("Lumendrift", "LMD"),
    ("Veyl & Thorne", "VTH"),
    ("Saltmere Apothecary", "SLT"),
    ("Dr. Irrwen", "IRW"),
    ("Cendrille", "CEN"),
    ("Umbrelith", "UMB"),
    ("Fable & Fig Leaf", "FFL"),
    ("Nordlicht Haut", "NLH"),
    ("Zephirette", "ZEP"),
];

/// Names of product lines.
pub(super) const LINES: &[&str] = &[
    "Velvet",
    "Afterglow",
    "Dewfall",
    "Second Skin",
    "Midnight Garden",
    "Bare Hours",
    "Silkscreen",
    "Cloudform",
    "Sunday Linen",
    "Tidal",
    "Paper Rose",
    "Lucent",
    "Ember",
    "Slow Bloom",
    "Northern",
    "Opaline",
    "Daydrift",
    "Hush",
];

/// The variants that a product comes in.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Shades of colour.
    Shades(&'static [&'static str]),
    /// Sizes of the package.
    Sizes(&'static [&'static str]),
}

/// One product of the trade.
pub(super) struct Product {
    pub(super) name: &'static str,
    pub(super) code: &'static str,
    pub(super) category: &'static str,
    pub(super) kind: Kind,
    /// From, and less than.
    pub(super) price_usd: (u64, u64),
    /// Good so long after opening.
    pub(super) pao_months: u32,
    pub(super) demand: f64,
}

const LIP_SHADES: &[&str] = &[
    "Rosewood",
    "Brick Dust",
    "Fig",
    "Bare Peach",
    "Cherry Stone",
    "Old Rose",
    "Terracotta",
    "Black Plum",
    "Coral Reef",
    "Cinnamon Bark",
    "Ruby Hour",
    "Nude Praline",
    "Wild Mulberry",
    "Poppy",
    "Mauve Dusk",
    "Sangria",
    "Toffee",
    "Petal",
];
const SKIN_SHADES: &[&str] = &[
    "1N Porcelain",
    "1C Shell",
    "2N Ivory",
    "2W Buff",
    "3N Sand",
    "3W Honey",
    "4N Beige",
    "4C Almond",
    "5W Caramel",
    "5N Tawny",
    "6N Chestnut",
    "6W Amber",
    "7N Cocoa",
    "7C Mocha",
    "8N Espresso",
    "8W Ebony",
];
const EYE_SHADES: &[&str] = &[
    "Carbon",
    "Cacao",
    "Storm",
    "Moss",
    "Bronze Leaf",
    "Moonstone",
    "Aubergine",
    "Ink",
    "Copper Coin",
    "Champagne",
    "Slate",
    "Dune",
];
const NAIL_SHADES: &[&str] = &[
    "Paper White",
    "Ballet",
    "Lacquer Red",
    "Sea Glass",
    "Graphite",
    "Lilac Mist",
    "Tangerine",
    "Bordeaux",
    "Oat Milk",
    "Petrol",
    "Neon Fig",
    "Clay",
];
const CARE_SIZES: &[&str] = &["15 ml travel size", "30 ml", "50 ml"];
const BODY_SIZES: &[&str] = &["75 ml travel size", "200 ml", "400 ml"];
const SCENT_SIZES: &[&str] = &["10 ml spray", "50 ml", "100 ml"];

const fn product(
    name: &'static str,
    code: &'static str,
    category: &'static str,
    kind: Kind,
    price_usd: (u64, u64),
    pao_months: u32,
    demand: f64,
) -> Product {
    Product { name, code, category, kind, price_usd, pao_months, demand }
}

/// What the shop sells.
pub(super) const PRODUCTS: &[Product] = &[
    product("Lipstick", "LIP", "Makeup / Lips", Kind::Shades(LIP_SHADES), (18, 42), 24, 3.0),
    product("Liquid Lip Colour", "LQL", "Makeup / Lips", Kind::Shades(LIP_SHADES), (16, 34), 12, 2.2),
    product("Lip Oil", "OIL", "Makeup / Lips", Kind::Shades(LIP_SHADES), (14, 38), 12, 2.6),
    product("Foundation", "FND", "Makeup / Face", Kind::Shades(SKIN_SHADES), (28, 64), 12, 1.8),
    product("Concealer", "CON", "Makeup / Face", Kind::Shades(SKIN_SHADES), (18, 36), 12, 2.0),
    product("Setting Powder", "PWD", "Makeup / Face", Kind::Shades(SKIN_SHADES), (22, 46), 24, 1.1),
    product("Mascara", "MSC", "Makeup / Eyes", Kind::Shades(EYE_SHADES), (14, 32), 6, 2.4),
    product("Eye Pencil", "PEN", "Makeup / Eyes", Kind::Shades(EYE_SHADES), (10, 26), 24, 1.3),
    product("Eyeshadow", "EYE", "Makeup / Eyes", Kind::Shades(EYE_SHADES), (12, 54), 24, 1.2),
    product("Nail Lacquer", "NAI", "Nails", Kind::Shades(NAIL_SHADES), (9, 22), 24, 1.0),
    product("Vitamin C Serum", "VCS", "Skin care / Serums", Kind::Sizes(CARE_SIZES), (28, 92), 6, 2.1),
    product("Night Cream", "NCR", "Skin care / Creams", Kind::Sizes(CARE_SIZES), (34, 120), 12, 1.4),
    product("Cleansing Balm", "CLB", "Skin care / Cleansers", Kind::Sizes(CARE_SIZES), (19, 48), 12, 1.6),
    product("Mineral Sunscreen SPF 50", "SPF", "Skin care / Sun", Kind::Sizes(CARE_SIZES), (18, 44), 12, 1.9),
    product("Body Lotion", "BDL", "Body", Kind::Sizes(BODY_SIZES), (14, 46), 12, 1.2),
    product("Shower Gel", "SHG", "Body", Kind::Sizes(BODY_SIZES), (9, 28), 12, 1.0),
    product("Hand Cream", "HND", "Body", Kind::Sizes(BODY_SIZES), (8, 30), 12, 1.5),
    product("Repair Shampoo", "SHA", "Hair", Kind::Sizes(BODY_SIZES), (16, 42), 12, 1.3),
    product("Hair Mask", "HMK", "Hair", Kind::Sizes(BODY_SIZES), (20, 52), 12, 0.9),
    product("Eau de Parfum", "EDP", "Fragrance", Kind::Sizes(SCENT_SIZES), (38, 190), 36, 1.5),
    product("Scented Candle", "CND", "Home", Kind::Sizes(&["70 g", "220 g"]), (22, 78), 36, 0.6),
];
