//! A shard's change log, which begins anew when a snapshot takes the place of the history before it.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use holdfast_inventory::{ChainError, Event, EventDecodeError, EventHash, Frontier, InclusionProof, LogTime, Prover};
use holdfast_world::World;

use crate::change_log::{Change, ChangeLog, ChangeLogError, ChangeLogOptions};
use crate::log::GroupId;

/// Events that are read back at once.
const READ_AT_ONCE: usize = 1_024;

/// Why a change log is not what its shard has told.
#[derive(Debug, thiserror::Error)]
pub enum ChangesFault {
    /// Events are missing at its end.
    #[error("it ends at {last}, before the shard's event {seq}")]
    EndsEarly {
        /// The shard's last event.
        seq: u64,
        /// The last that is there.
        last: u64,
    },
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ChangeLogError),
    /// An event is not one.
    #[error("event {seq} cannot be decoded: {error}")]
    Undecodable {
        /// Which.
        seq: u64,
        /// Why.
        error: EventDecodeError,
    },
    /// Its events do not follow from one another.
    #[error(transparent)]
    Unchained(#[from] ChainError),
    /// Its last event is another than the shard's.
    #[error("its event {seq} is another than the shard's")]
    OtherEnd {
        /// Which.
        seq: u64,
    },
}

/// The present change log of a group.
#[derive(Debug)]
pub struct Changes {
    world: World,
    dir: PathBuf,
    group: GroupId,
    /// The identity of the node's log.
    identity: u128,
    options: ChangeLogOptions,
    present: Mutex<ChangeLog>,
}

impl Changes {
    /// Opens the change log in `dir` and cuts it back to the events that the checkpoint has. Where it does not reach that far, or has
    /// others, it begins anew after them: its floor then says what is missing.
    ///
    /// # Errors
    ///
    /// The disk failed.
    pub async fn open(
        world: &World,
        dir: PathBuf,
        group: GroupId,
        identity: u128,
        options: ChangeLogOptions,
        checkpoint: Frontier,
    ) -> Result<Self, ChangeLogError> {
        let opened = ChangeLog::open(world, &dir, group, identity, options.clone(), checkpoint.clone()).await;
        let present = match opened {
            Ok(log) => log,
            Err(
                error @ (ChangeLogError::EndsEarly { .. }
                | ChangeLogError::Damaged { .. }
                | ChangeLogError::OtherHistory { .. }),
            ) => {
                tracing::error!(rot = "at start", %group, %error, "the change log begins anew after the checkpoint; what it held is set aside");
                ChangeLog::begin(world, &dir, group, identity, options.clone(), checkpoint).await?
            }
            Err(error) => return Err(error),
        };
        Ok(Self { world: world.clone(), dir, group, identity, options, present: Mutex::new(present) })
    }

    /// The change log as it is now.
    #[must_use]
    pub fn present(&self) -> ChangeLog {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads everything back that is kept up to and with the event `seq`, and checks that each follows from the one before and
    /// that the last has this hash. Gives the first that is kept; one past the last if there is none.
    ///
    /// # Errors
    ///
    /// The first fault.
    pub async fn verify(&self, seq: u64, hash: EventHash) -> Result<u64, ChangesFault> {
        let log = self.present();
        let mut floor = log.floor();
        let mut next = floor;
        // Nothing comes before the first event ever; before a later one there is what it says itself.
        let mut before = (floor == 1).then(EventHash::default);
        while next <= seq {
            let wanted = usize::try_from(seq - next).map_or(READ_AT_ONCE, |left| READ_AT_ONCE.min(left + 1));
            let changes = match log.read(next, wanted).await {
                // Retention went on meanwhile.
                Err(ChangeLogError::BelowFloor { floor: risen, .. }) if risen > next => {
                    (floor, next, before) = (risen, risen, None);
                    continue;
                }
                read => read?,
            };
            let events = changes.iter().map(event_of).collect::<Result<Vec<Event>, _>>()?;
            let (Some(first), Some(last)) = (events.first(), events.last()) else {
                return Err(ChangesFault::EndsEarly { seq, last: next - 1 });
            };
            Event::verify_chain(next - 1, before.unwrap_or(first.prev_hash), &events)?;
            before = Some(last.hash);
            next += events.len() as u64;
        }
        match before {
            Some(last) if last != hash => Err(ChangesFault::OtherEnd { seq }),
            _ => Ok(floor),
        }
    }

    /// The hash of an event; `None`: it is not kept, or there is none yet.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub async fn hash_of(&self, seq: u64) -> Result<Option<EventHash>, ChangesFault> {
        let changes = match self.present().read(seq, 1).await {
            Err(ChangeLogError::BelowFloor { .. }) => return Ok(None),
            read => read?,
        };
        Ok(changes.first().map(event_of).transpose()?.map(|event| event.hash))
    }

    /// Up to `limit` events from `from` on, in order; from the first that is kept where that is a later one. Empty past the end.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub async fn events(&self, from: u64, limit: usize) -> Result<Vec<Event>, ChangesFault> {
        let log = self.present();
        let mut from = from.max(log.floor());
        let changes = loop {
            match log.read(from, limit).await {
                // Retention went on meanwhile.
                Err(ChangeLogError::BelowFloor { floor, .. }) if floor > from => from = floor,
                read => break read?,
            }
        };
        changes.iter().map(event_of).collect()
    }

    /// The first event that is kept of log time `time` or later; one past the last where there is none. Log time never goes back,
    /// so that it is found by halving.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub async fn first_at(&self, time: LogTime) -> Result<u64, ChangesFault> {
        let log = self.present();
        let (mut low, mut high) = (log.floor(), log.last_seq() + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.events(middle, 1).await?.first() {
                // A later one than was asked for: retention went on meanwhile.
                Some(event) if event.body.seq > middle => low = event.body.seq.min(high),
                Some(event) if event.body.time < time => low = middle + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The root of the tree of the first `size` events; `None`: some of them are not kept, or are not there yet.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub async fn root_at(&self, size: u64) -> Result<Option<EventHash>, ChangesFault> {
        let log = self.present();
        if size > log.last_seq() {
            return Ok(None);
        }
        let mut tree = match log.tree_before(size.max(1)).await {
            Err(ChangeLogError::BelowFloor { .. }) => return Ok(None),
            before => before?,
        };
        while tree.size() < size {
            let wanted = READ_AT_ONCE.min(usize::try_from(size - tree.size()).unwrap_or(READ_AT_ONCE));
            let events = self.events(tree.size() + 1, wanted).await?;
            if events.first().is_none_or(|event| event.body.seq != tree.size() + 1) {
                return Ok(None);
            }
            events.iter().for_each(|event| tree.push(event.hash));
        }
        Ok(Some(tree.root()))
    }

    /// An event with the proof that it is one of the first `size`; `None`: it is not kept, or there are not so many yet. Reads all
    /// events from the file that it stands in.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub async fn prove(&self, seq: u64, size: u64) -> Result<Option<(Event, InclusionProof)>, ChangesFault> {
        let log = self.present();
        if seq == 0 || size > log.last_seq() {
            return Ok(None);
        }
        let before = match log.tree_before(seq).await {
            Err(ChangeLogError::BelowFloor { .. }) => return Ok(None),
            before => before?,
        };
        let Some(mut prover) = Prover::new(seq, size, &before) else { return Ok(None) };
        let mut proved = None;
        while let Some(next) = prover.wants() {
            let wanted = READ_AT_ONCE.min(usize::try_from(size + 1 - next).unwrap_or(READ_AT_ONCE));
            let events = self.events(next, wanted).await?;
            if events.first().is_none_or(|event| event.body.seq != next) {
                return Ok(None);
            }
            for event in events {
                prover.show(event.hash);
                if event.body.seq == seq {
                    proved = Some(event);
                }
            }
        }
        Ok(proved.zip(prover.proof()))
    }

    /// Begins anew after those events.
    ///
    /// # Errors
    ///
    /// The disk failed.
    pub async fn restart(&self, after: Frontier) -> Result<(), ChangeLogError> {
        let options = self.options.clone();
        let begun = ChangeLog::begin(&self.world, &self.dir, self.group, self.identity, options, after).await?;
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = begun;
        Ok(())
    }
}

fn event_of(change: &Change) -> Result<Event, ChangesFault> {
    Event::decode(&change.bytes).map_err(|error| ChangesFault::Undecodable { seq: change.seq, error })
}

#[cfg(test)]
mod tests {
    use holdfast_inventory::commands::PutLocation;
    use holdfast_inventory::{
        Applied, BodyHash, Command, CommandId, Entry, Inventory, LocationId, LocationSpec, Operation,
    };

    use super::*;

    /// The events of a shard that was told of a location after the other, and its change log without any of them.
    async fn shop() -> (tempfile::TempDir, Changes, Vec<Event>) {
        shop_from(0).await
    }

    async fn shop_from(zero: u64) -> (tempfile::TempDir, Changes, Vec<Event>) {
        let dir = tempfile::tempdir().unwrap();
        let (path, options) = (dir.path().join("changes"), ChangeLogOptions::default());
        let changes = Changes::open(&World::real(), path, GroupId(4), 9, options, Frontier::default()).await.unwrap();
        let (mut shard, mut room) = (Inventory::new(Default::default()), Applied::default());
        let mut events = Vec::new();
        for number in 1..=40 {
            let location = LocationId::new(&format!("L{number}")).unwrap();
            let command = PutLocation { location, spec: LocationSpec::default(), if_revision: None };
            let command = Command {
                id: CommandId(u128::from(number)),
                minted_at: LogTime(1),
                keyed: true,
                body: BodyHash::default(),
                linked: false,
                cause: None,
                operation: Operation::PutLocation(Box::new(command)),
            };
            shard.apply(&Entry { time: LogTime(zero + number), commands: vec![command] }, &mut room);
            events.extend(room.events.iter().cloned());
        }
        let last = events.last().unwrap();
        assert_eq!((last.body.seq, last.hash), shard.last_event());
        (dir, changes, events)
    }

    async fn record(changes: &Changes, events: impl IntoIterator<Item = (u64, Vec<u8>)>) {
        for (seq, bytes) in events {
            changes.present().append(seq, &bytes).await.unwrap();
        }
    }

    fn tree(events: &[Event]) -> Frontier {
        events.iter().fold(Frontier::default(), |mut tree, event| {
            tree.push(event.hash);
            tree
        })
    }

    fn encoded(events: &[Event]) -> impl Iterator<Item = (u64, Vec<u8>)> {
        events.iter().map(|event| (event.body.seq, event.encoded().to_vec()))
    }

    #[tokio::test]
    async fn events_that_lead_to_the_shards_last_one_are_good_from_the_first_and_from_a_later_floor() {
        let (_dir, changes, events) = shop().await;
        let last = events.last().unwrap();
        record(&changes, encoded(&events)).await;
        assert_eq!(changes.verify(last.body.seq, last.hash).await.unwrap(), 1);
        changes.restart(tree(&events[..30])).await.unwrap();
        record(&changes, encoded(&events[30..])).await;
        assert_eq!(changes.verify(last.body.seq, last.hash).await.unwrap(), 31);
    }

    #[tokio::test]
    async fn an_event_that_is_missing_at_the_end_or_was_exchanged_is_named() {
        let (_dir, changes, events) = shop().await;
        let (last, before) = (&events[39], &events[38]);
        record(&changes, encoded(&events[..39])).await;
        let fault = changes.verify(40, last.hash).await.unwrap_err();
        assert!(matches!(fault, ChangesFault::EndsEarly { seq: 40, last: 39 }), "{fault}");
        let fault = changes.verify(39, last.hash).await.unwrap_err();
        assert!(matches!(fault, ChangesFault::OtherEnd { seq: 39 }), "{fault}");
        assert_eq!(changes.verify(39, before.hash).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn an_event_that_does_not_follow_from_the_one_before_is_named() {
        let (_dir, changes, events) = shop().await;
        let another_time = shop_from(1_000).await.2;
        let exchanged = encoded(&another_time[19..20]);
        record(&changes, encoded(&events[..19]).chain(exchanged).chain(encoded(&events[20..]))).await;
        let fault = changes.verify(40, events[39].hash).await.unwrap_err();
        assert!(matches!(fault, ChangesFault::Unchained(ChainError::HashMismatch { seq: 20 })), "{fault}");
    }

    #[tokio::test]
    async fn bytes_that_are_no_event_are_named() {
        let (_dir, changes, events) = shop().await;
        record(&changes, encoded(&events[..19]).chain([(20, b"rouge".to_vec())])).await;
        let fault = changes.verify(20, events[19].hash).await.unwrap_err();
        assert!(matches!(fault, ChangesFault::Undecodable { seq: 20, .. }), "{fault}");
    }
    #[tokio::test]
    async fn events_are_read_from_anywhere_and_from_the_floor_where_what_was_asked_for_is_gone() {
        let (_dir, changes, events) = shop().await;
        changes.restart(tree(&events[..30])).await.unwrap();
        record(&changes, encoded(&events[30..])).await;
        let seqs = |events: Vec<Event>| events.iter().map(|event| event.body.seq).collect::<Vec<_>>();
        assert_eq!(seqs(changes.events(33, 3).await.unwrap()), [33, 34, 35]);
        assert_eq!(seqs(changes.events(0, 2).await.unwrap()), [31, 32]);
        assert_eq!(seqs(changes.events(40, 9).await.unwrap()), [40]);
        assert_eq!(seqs(changes.events(41, 9).await.unwrap()), Vec::<u64>::new());
    }

    #[tokio::test]
    async fn the_first_event_of_a_time_is_found() {
        let (_dir, changes, events) = shop_from(100).await;
        assert_eq!(changes.first_at(LogTime(1)).await.unwrap(), 1, "there is none");
        record(&changes, encoded(&events)).await;
        for (time, seq) in [(0, 1), (101, 1), (102, 2), (140, 40), (141, 41), (u64::MAX, 41)] {
            assert_eq!(changes.first_at(LogTime(time)).await.unwrap(), seq, "{time}");
        }
        changes.restart(tree(&events[..30])).await.unwrap();
        record(&changes, encoded(&events[30..])).await;
        assert_eq!(changes.first_at(LogTime(102)).await.unwrap(), 31);
        assert_eq!(changes.first_at(LogTime(139)).await.unwrap(), 39);
    }
    #[tokio::test]
    async fn an_event_is_proved_to_be_in_every_tree_that_has_it_from_every_floor() {
        let (_dir, changes, events) = shop().await;
        record(&changes, encoded(&events[..20])).await;
        // A file ends, and the next begins with what came before it.
        changes.present().sync_through(20).await;
        record(&changes, encoded(&events[20..])).await;
        for floor in [1_u64, 31] {
            for size in floor..=40 {
                let root = tree(&events[..size as usize]).root();
                assert_eq!(changes.root_at(size).await.unwrap(), Some(root), "{size} from {floor}");
                for seq in floor..=size {
                    let (event, proof) = changes.prove(seq, size).await.unwrap().expect("it is kept");
                    assert_eq!(proof.root(event.hash), Some(root), "event {seq} of {size} from {floor}");
                }
            }
            changes.restart(tree(&events[..30])).await.unwrap();
            record(&changes, encoded(&events[30..])).await;
        }
        assert_eq!(changes.prove(30, 40).await.unwrap(), None, "it is not kept");
        assert_eq!(
            (changes.prove(40, 41).await.unwrap(), changes.root_at(41).await.unwrap()),
            (None, None),
            "not there yet"
        );
    }

    #[tokio::test]
    async fn a_change_log_with_another_history_than_the_checkpoint_begins_anew_after_it() {
        let (dir, changes, events) = shop().await;
        record(&changes, encoded(&shop_from(1_000).await.2)).await;
        changes.present().sync_through(40).await;
        drop(changes);
        let (path, options) = (dir.path().join("changes"), ChangeLogOptions::default());
        let changes = Changes::open(&World::real(), path, GroupId(4), 9, options, tree(&events)).await.unwrap();
        assert_eq!(changes.present().floor(), 41);
    }
}
