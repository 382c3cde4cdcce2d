//! The channels of the state. Few, never removed.

use super::journal::Undo;
use super::{ChannelNo, ChannelRecord, State};
use crate::ChannelId;

const BELIEF: &str = "a channel is never removed";

impl State {
    pub(crate) fn find_channel(&self, id: &ChannelId) -> Option<ChannelNo> {
        self.indexes.channels.get(id).copied()
    }

    pub(crate) fn channel(&self, no: ChannelNo) -> &ChannelRecord {
        self.channels.get(u64::from(no.0)).expect(BELIEF)
    }

    pub(crate) fn channel_count(&self) -> u64 {
        self.channels.live()
    }

    pub(crate) fn add_channel(&mut self, record: ChannelRecord) {
        let no = ChannelNo(self.channels.next_ordinal() as u32);
        self.indexes.channels.insert(record.id.clone(), no);
        self.channels.push(record);
        self.note(|| Undo::ChannelAdded(no));
    }

    pub(crate) fn channel_mut(&mut self, no: ChannelNo) -> &mut ChannelRecord {
        if let Some(journal) = &mut self.journal {
            let old = self.channels.get(u64::from(no.0)).expect(BELIEF).clone();
            journal.note(Undo::Channel(no, old));
        }
        self.channels.get_mut(u64::from(no.0)).expect(BELIEF)
    }
}
