//! The control file: the small, doubly written floor against which a node's log is checked when it starts.
//!
//! Promises: an update is there for good once [`Control::update`] returns, in both of two slots; one rotten or torn slot
//! loses nothing; updates are applied in the order they were asked for. A failed write or sync ends the process.
//! Leaves to others what the recorded things mean: the log compares votes and segments with it, the group host the
//! checkpoints, the handshake the marks of peers.

mod error;
mod slots;
mod state;
mod writer;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use holdfast_world::World;

pub use error::ControlError;
pub use state::{
    CheckpointRecord, ControlState, GroupControl, InstallIntent, NodeIdentity, PAST_LIVES, PeerGroupMark, PeerMark,
    SegmentRef,
};

use writer::Shared;

/// The name of the control file in the node's folder.
pub const CONTROL_FILE: &str = "control";

/// The open control file of a node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control {
    shared: Arc<Shared>,
    opened_generation: u64,
}

impl Control {
    /// Creates the control file of a fresh node in `dir`, which must exist and hold none. The log's identity is drawn at
    /// random.
    ///
    /// # Errors
    /// The file is there already, or the disk failed.
    pub async fn create(world: &World, dir: &Path, cluster: u128, node: u64) -> Result<Self, ControlError> {
        let identity = NodeIdentity { cluster, node, log: world.entropy.next_u128() };
        let state = ControlState::new(identity);
        let slots = slots::Slots::create(world, dir, &state).await?;
        Ok(Self { opened_generation: state.generation, shared: Shared::start(world, slots, state) })
    }

    /// Opens the control file in `dir`.
    ///
    /// # Errors
    /// [`ControlError::Missing`] if there is none: the node is fresh, or has lost it. [`ControlError::Damaged`] if neither
    /// slot is whole.
    pub async fn open(world: &World, dir: &Path) -> Result<Self, ControlError> {
        let (slots, state) = slots::Slots::open(world, dir).await?;
        Ok(Self { opened_generation: state.generation, shared: Shared::start(world, slots, state) })
    }

    /// Whether `dir` holds a control file.
    ///
    /// # Errors
    /// The disk failed.
    pub async fn exists(world: &World, dir: &Path) -> Result<bool, ControlError> {
        Ok(world.disk.exists(&dir.join(CONTROL_FILE)).await?)
    }

    /// Begins a new life of the node: raises the incarnation and syncs it. To be called once at each start, before the
    /// node speaks to anyone and before the log is opened.
    ///
    /// # Errors
    /// As [`Control::update`].
    pub async fn begin_incarnation(&self) -> Result<super::log::Incarnation, ControlError> {
        let nonce = self.shared.world.entropy.next_u64();
        self.update(move |state| {
            if state.incarnation.counter > 0 {
                state.past_lives.push(state.incarnation.nonce);
                let forgotten = state.past_lives.len().saturating_sub(PAST_LIVES);
                state.past_lives.drain(..forgotten);
            }
            state.incarnation.counter += 1;
            state.incarnation.nonce = nonce;
        })
        .await?;
        Ok(self.read(|state| state.incarnation))
    }

    /// Looks at the state as it is durable.
    pub fn read<T>(&self, look: impl FnOnce(&ControlState) -> T) -> T {
        look(&self.shared.durable())
    }

    /// The number of the durable state: it grows by one with every update that reached the disk.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.read(|state| state.generation)
    }

    /// The number of the state as it was found when the file was opened.
    #[must_use]
    pub fn opened_generation(&self) -> u64 {
        self.opened_generation
    }

    /// Changes the state; ready once the change is durable in both slots. Updates asked for at the same time share one
    /// write. The change is queued when this is called, not when the future is first polled, unless the queue is full.
    ///
    /// # Errors
    /// [`ControlError::TooLarge`] if the state would outgrow its slot: then nothing of this update is kept.
    pub fn update(
        &self,
        change: impl FnOnce(&mut ControlState) + Send + 'static,
    ) -> impl Future<Output = Result<(), ControlError>> + Send + 'static {
        self.shared.submit(Box::new(change))
    }

    /// Has `marks` called on the state in every write, to keep floors fresh that others own (the log's position, votes
    /// and purged ids). Replaces an earlier one.
    pub(crate) fn set_marks(&self, marks: Box<dyn Fn(&mut ControlState) + Send + Sync>) {
        self.shared.set_marks(marks);
    }
}
