//! Kits: what they are made of. Lines of kits are lines as any others.

use holdfast_proto::v1;

use super::into_command;

into_command!(PutKit);

/// Creates a kit, or replaces its name and recipe. What was reserved keeps the recipe it was sold by.
#[derive(Clone, Debug, PartialEq)]
pub struct PutKit(pub(crate) v1::PutKit);

impl PutKit {
    /// A kit of nothing yet; add components. A SKU that is an item never becomes a kit.
    #[must_use]
    pub fn of(sku: impl Into<String>) -> Self {
        let kit = v1::Kit { sku: sku.into(), ..v1::Kit::default() };
        Self(v1::PutKit { kit: Some(kit), ..v1::PutKit::default() })
    }

    /// Adds so many units of a SKU for one kit; at most 32 SKUs, each once. It may be a kit itself.
    #[must_use]
    pub fn component(mut self, sku: impl Into<String>, units: u32) -> Self {
        let component = v1::KitComponent { sku: sku.into(), units };
        self.0.kit.get_or_insert_default().components.push(component);
        self
    }

    /// Its name, at most 255 bytes.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.0.kit.get_or_insert_default().name = name.into();
        self
    }

    /// Kits may be promised of which components are not there, where those may be; shipped they are whole.
    #[must_use]
    pub fn backorder(mut self) -> Self {
        self.0.kit.get_or_insert_default().backorder = true;
        self
    }

    /// Only if its `kit_rev` is this.
    #[must_use]
    pub fn if_revision(mut self, revision: u64) -> Self {
        self.0.if_revision = revision;
        self
    }

    /// Only if there is no such kit yet.
    #[must_use]
    pub fn if_absent(mut self) -> Self {
        self.0.if_absent = true;
        self
    }
}
