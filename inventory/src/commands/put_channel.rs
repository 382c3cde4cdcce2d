//! `put_channel`: creates a channel, or replaces what is said of it.

use serde::{Deserialize, Serialize};

use super::FULL_RETRY_MS;
use crate::state::ChannelRecord;
use crate::turn::Turn;
use crate::{ChannelId, ChannelSpec, EventKind, InvalidArgument, MAX_CHANNELS, Refusal, Revision, Subject, Success};

/// Creates a channel, or replaces what is said of it. What is said at a revision that the shard has, or at an earlier one, changes
/// nothing: the cluster's own records give the revision, and a shard may hear of them late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutChannel {
    /// The channel.
    pub channel: ChannelId,
    /// Its locations and its buffer.
    pub spec: ChannelSpec,
    /// Of the channel in the cluster's own records; 1 for the first.
    pub revision: Revision,
}

impl PutChannel {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        self.spec.validate()
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let known = turn.state.find_channel(&self.channel);
        if let Some(record) = known.map(|no| turn.state.channel(no)).filter(|known| known.revision >= self.revision) {
            return Ok(Success { revision: record.revision, ..Success::default() });
        }
        let find = |id| turn.state.find_location(id).ok_or_else(|| Refusal::UnknownLocation { location: id.clone() });
        let record = ChannelRecord {
            id: self.channel.clone(),
            locations: self.spec.locations.iter().map(find).collect::<Result<_, _>>()?,
            buffer: self.spec.buffer,
            active: self.spec.active,
            revision: self.revision,
        };
        match known {
            Some(no) => *turn.state.channel_mut(no) = record,
            None if turn.state.channel_count() >= MAX_CHANNELS as u64 => {
                return Err(Refusal::Overloaded { retry_after_ms: FULL_RETRY_MS });
            }
            None => turn.state.add_channel(record),
        }
        let subject = Subject::Channel { channel: self.channel.clone(), revision: self.revision };
        turn.record(EventKind::ChannelChanged, None, Some(subject));
        Ok(Success { revision: self.revision, ..Success::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::PutChannel;
    use crate::test_shop::Shop;
    use crate::*;

    fn put(shop: &mut Shop, locations: &[&str], buffer: u32, revision: u64) -> Result<Success, Refusal> {
        let locations = locations.iter().map(|id| id.parse().unwrap()).collect();
        let spec = ChannelSpec { locations, buffer, active: true };
        let put = PutChannel { channel: "web".parse().unwrap(), spec, revision: Revision(revision) };
        shop.run(Operation::PutChannel(Box::new(put)))
    }

    fn buffer(shop: &Shop) -> Option<(u32, u64)> {
        let channel = shop.inventory.channel(&"web".parse().unwrap())?;
        Some((channel.spec.buffer, channel.revision.0))
    }

    #[test]
    fn a_shard_that_hears_of_an_earlier_revision_keeps_the_later_one() {
        let mut shop = Shop::new();
        put(&mut shop, &["PAR", "LYO"], 1, 2).unwrap();
        assert_eq!(shop.events(), [EventKind::ChannelChanged]);
        assert_eq!(put(&mut shop, &["PAR"], 9, 1).unwrap().revision, Revision(2));
        assert_eq!(put(&mut shop, &["PAR"], 9, 2).unwrap().revision, Revision(2));
        assert_eq!(shop.events(), []);
        assert_eq!(buffer(&shop), Some((1, 2)));
        put(&mut shop, &["PAR"], 9, 3).unwrap();
        assert_eq!(buffer(&shop), Some((9, 3)));
    }

    #[test]
    fn a_channel_has_locations_that_are_there_each_once() {
        let mut shop = Shop::new();
        let location: LocationId = "NIC".parse().unwrap();
        assert_eq!(put(&mut shop, &["PAR", "NIC"], 0, 1), Err(Refusal::UnknownLocation { location }));
        let refused = Err(Refusal::InvalidArgument(InvalidArgument::of(Field::ChannelLocations)));
        assert_eq!(put(&mut shop, &["PAR", "PAR"], 0, 1), refused);
        assert_eq!(put(&mut shop, &[], 0, 1), refused);
        let refused = Err(Refusal::InvalidArgument(InvalidArgument::of(Field::Buffer)));
        assert_eq!(put(&mut shop, &["PAR"], MAX_UNITS + 1, 1), refused);
        assert_eq!(buffer(&shop), None);
    }

    #[test]
    fn a_chain_that_fails_leaves_the_channel_as_it_was() {
        let mut shop = Shop::new();
        put(&mut shop, &["PAR"], 1, 1).unwrap();
        let channel = |id: &str, buffer, revision| {
            let spec = ChannelSpec { locations: vec!["LYO".parse().unwrap()], buffer, active: false };
            let put = PutChannel { channel: id.parse().unwrap(), spec, revision: Revision(revision) };
            Operation::PutChannel(Box::new(put))
        };
        let before = shop.digest();
        let bad = channel("web", MAX_UNITS + 1, 3);
        let chain = shop.chain(vec![channel("web", 5, 2), channel("till", 5, 1), bad]);
        assert!(shop.apply(chain).iter().all(|answer| answer.outcome.is_err()));
        assert_eq!(buffer(&shop), Some((1, 1)));
        assert!(shop.inventory.channel(&"till".parse().unwrap()).is_none());
        assert_ne!(shop.digest(), before, "the chain's results are kept");
    }
}
