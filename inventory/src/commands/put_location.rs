//! `put_location`: creates a location, or replaces its attributes.

use serde::{Deserialize, Serialize};

use crate::{InvalidArgument, LocationId, LocationSpec, Revision};

/// Creates a location, or replaces its attributes. The same attributes again change nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutLocation {
    /// The location.
    pub location: LocationId,
    /// Its attributes.
    pub spec: LocationSpec,
    /// Only if its revision is this.
    pub if_revision: Option<Revision>,
}

impl PutLocation {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        self.spec.validate()
    }
}
