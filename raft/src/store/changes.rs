//! A shard's change log, which begins anew when a snapshot takes the place of the history before it.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use holdfast_world::World;

use crate::change_log::{ChangeLog, ChangeLogError, ChangeLogOptions};
use crate::log::GroupId;

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
