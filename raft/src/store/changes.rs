//! A shard's change log, which begins anew when a snapshot takes the place of the history before it.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use holdfast_inventory::{ChainError, Event, EventDecodeError, EventHash};
use holdfast_world::World;

use crate::change_log::{ChangeLog, ChangeLogError, ChangeLogOptions};
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
    /// Opens the change log in `dir` and cuts it back to `checkpoint_seq`. Where it does not reach that far it begins anew
    /// after it: its floor then says what is missing.
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
        checkpoint_seq: u64,
    ) -> Result<Self, ChangeLogError> {
        let present = match ChangeLog::open(world, &dir, group, identity, options.clone(), checkpoint_seq).await {
            Ok(log) => log,
            Err(error @ (ChangeLogError::EndsEarly { .. } | ChangeLogError::Damaged { .. })) => {
                tracing::error!(%group, %error, "the change log begins anew after the checkpoint; what it held is set aside");
                ChangeLog::begin(world, &dir, group, identity, options.clone(), checkpoint_seq).await?
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
            let decoded = changes.iter().map(|change| {
                Event::decode(&change.bytes).map_err(|error| ChangesFault::Undecodable { seq: change.seq, error })
            });
            let events = decoded.collect::<Result<Vec<Event>, _>>()?;
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

    /// Begins anew with `after + 1`.
    ///
    /// # Errors
    ///
    /// The disk failed.
    pub async fn restart(&self, after: u64) -> Result<(), ChangeLogError> {
        let options = self.options.clone();
        let begun = ChangeLog::begin(&self.world, &self.dir, self.group, self.identity, options, after).await?;
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = begun;
        Ok(())
    }
}
