//! `put_location`: creates a location, or replaces its attributes.

use serde::{Deserialize, Serialize};

use super::FULL_RETRY_MS;
use crate::state::LocationRecord;
use crate::turn::Turn;
use crate::{EventKind, InvalidArgument, LocationId, LocationSpec, Refusal, Revision, Subject, Success};

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

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let Some(no) = turn.state.find_location(&self.location) else { return self.create(turn) };
        let location = turn.state.location(no);
        if self.if_revision.is_some_and(|expected| expected != location.revision) {
            return Err(Refusal::RevisionMismatch { actual: location.revision });
        }
        if location.spec == self.spec {
            return Ok(Success { revision: location.revision, ..Success::default() });
        }
        let location = turn.state.location_mut(no);
        location.spec = self.spec.clone();
        location.revision = location.revision.next();
        let revision = location.revision;
        Ok(self.record(turn, revision))
    }

    fn create(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let limit = turn.state.header.limits.items.min(u64::from(u32::MAX));
        if turn.state.location_count() >= limit {
            return Err(Refusal::Overloaded { retry_after_ms: FULL_RETRY_MS });
        }
        if self.if_revision.is_some_and(|expected| expected != Revision::default()) {
            return Err(Refusal::UnknownLocation { location: self.location.clone() });
        }
        let revision = Revision::default().next();
        turn.state.add_location(LocationRecord { id: self.location.clone(), spec: self.spec.clone(), revision });
        Ok(self.record(turn, revision))
    }

    fn record(&self, turn: &mut Turn<'_>, revision: Revision) -> Success {
        let subject = Subject::Location { location: self.location.clone(), revision };
        turn.record(EventKind::LocationChanged, None, Some(subject));
        Success { revision, ..Success::default() }
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::Shop;
    use crate::*;

    #[test]
    fn nothing_new_is_held_at_a_location_that_is_not_active() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        shop.put_location("PAR", false).unwrap();
        let location: LocationId = "PAR".parse().unwrap();
        assert_eq!(shop.reserve(2, &[("rouge", 1)]), Err(Refusal::UnknownLocation { location }));
        assert_eq!((shop.stock("rouge").free, shop.stock("rouge").atp), (4, 0));
        shop.commit(1).unwrap();
    }
}
