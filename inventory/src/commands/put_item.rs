//! `put_item`: creates an item, or replaces its attributes.

use serde::{Deserialize, Serialize};

use crate::{InvalidArgument, ItemSpec, Revision, Sku};

/// Creates an item, or replaces its attributes. The same attributes again change nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutItem {
    /// The item.
    pub sku: Sku,
    /// Its attributes.
    pub spec: ItemSpec,
    /// Only if its revision is this.
    pub if_revision: Option<Revision>,
    /// Only if there is no such item yet.
    pub if_absent: bool,
}

impl PutItem {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        self.spec.validate()
    }
}
