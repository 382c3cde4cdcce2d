//! A kit: a SKU of which nothing lies anywhere. It is sold as its components, and what it is made of may change.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{LocationId, Revision, Sku, Units};

/// Most components of one recipe.
pub const MAX_COMPONENTS: usize = 32;

/// What one kit takes of one SKU, which may be a kit itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Of what.
    pub sku: Sku,
    /// How many units for one kit.
    pub units: Units,
}

/// A kit as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kit {
    /// Its SKU.
    pub sku: Sku,
    /// Shown.
    pub name: String,
    /// What one of it is made of, each SKU once.
    pub components: Arc<Vec<Component>>,
    /// Its `kit_rev`: raised by each put that changes something.
    pub revision: Revision,
    /// Whether kits may be promised of which components are not there, where those may be.
    pub backorder: bool,
}

/// What a SKU is. It never becomes the other: an item stays one, and a kit too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkuKind {
    /// Nothing, so far.
    Unknown,
    /// Stock.
    Item,
    /// A kit.
    Kit(Kit),
}

/// What may be promised of a SKU at each location, as advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promisable {
    /// Nothing is known of it, or it is not on sale.
    Nothing,
    /// It is not counted, and never lacks.
    Anything,
    /// Units, by active location.
    At(Vec<(LocationId, u64)>),
}
