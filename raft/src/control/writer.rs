//! The writer of the control file: joins the updates that wait into one write.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_world::{EndReason, World};
use tokio::sync::{mpsc, oneshot};

use super::ControlError;
use super::slots::{Slots, encode};
use super::state::ControlState;

/// Updates that may wait; who brings more waits.
const QUEUE: usize = 256;

type Change = Box<dyn FnOnce(&mut ControlState) + Send>;
type Marks = Box<dyn Fn(&mut ControlState) + Send + Sync>;

struct Update {
    change: Change,
    done: oneshot::Sender<Result<(), ControlError>>,
}

pub(super) struct Shared {
    pub(super) world: World,
    durable: Mutex<Arc<ControlState>>,
    marks: Arc<Mutex<Option<Marks>>>,
    queue: mpsc::Sender<Update>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("durable", &self.durable()).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn start(world: &World, slots: Slots, state: ControlState) -> Arc<Self> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let marks = Arc::new(Mutex::new(None));
        let shared = Arc::new(Self {
            world: world.clone(),
            durable: Mutex::new(Arc::new(state.clone())),
            marks: marks.clone(),
            queue,
        });
        // The writer must not keep the handle alive: it ends when the last handle is dropped.
        let writer = Writer { world: world.clone(), slots, state, marks, shared: Arc::downgrade(&shared) };
        world.threads.dedicated("control-writer", Box::pin(writer.run(waiting)));
        shared
    }

    pub(super) fn durable(&self) -> Arc<ControlState> {
        lock(&self.durable).clone()
    }

    pub(super) fn set_marks(&self, marks: Marks) {
        *lock(&self.marks) = Some(marks);
    }

    pub(super) fn submit(&self, change: Change) -> impl Future<Output = Result<(), ControlError>> + Send + 'static {
        let (done, durable) = oneshot::channel();
        let queued = self.queue.try_send(Update { change, done });
        let queue = self.queue.clone();
        async move {
            match queued {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(update)) => {
                    queue.send(update).await.map_err(|_| ControlError::Closed)?;
                }
                Err(mpsc::error::TrySendError::Closed(_)) => return Err(ControlError::Closed),
            }
            durable.await.unwrap_or(Err(ControlError::Closed))
        }
    }
}

struct Writer {
    world: World,
    slots: Slots,
    state: ControlState,
    marks: Arc<Mutex<Option<Marks>>>,
    shared: std::sync::Weak<Shared>,
}

impl Writer {
    async fn run(mut self, mut waiting: mpsc::Receiver<Update>) {
        while let Some(first) = waiting.recv().await {
            let mut updates = vec![first];
            while updates.len() < QUEUE {
                let Ok(update) = waiting.try_recv() else { break };
                updates.push(update);
            }
            if let Err(error) = self.write(updates).await {
                self.world
                    .end
                    .end(EndReason::DiskFailed { doing: "wrote the control file".into(), error: error.to_string() });
                std::future::pending::<()>().await;
            }
        }
    }

    async fn write(&mut self, updates: Vec<Update>) -> std::io::Result<()> {
        let mut next = self.state.clone();
        next.generation += 1;
        if let Some(marks) = &*lock(&self.marks) {
            marks(&mut next);
        }
        let mut taken = Vec::with_capacity(updates.len());
        for Update { change, done } in updates {
            let before = next.clone();
            change(&mut next);
            match encode(&next) {
                Ok(_) => taken.push(done),
                Err(error) => {
                    next = before;
                    // Nobody waits for an update whose future was dropped.
                    let _ = done.send(Err(error));
                }
            }
        }
        let image = match encode(&next) {
            Ok(image) => image,
            Err(error) => {
                for done in taken {
                    let _ = done.send(Err(too_large(&error)));
                }
                return Ok(());
            }
        };
        self.slots.write(&image).await?;
        self.state = next;
        if let Some(shared) = self.shared.upgrade() {
            *lock(&shared.durable) = Arc::new(self.state.clone());
        }
        for done in taken {
            let _ = done.send(Ok(()));
        }
        Ok(())
    }
}

fn too_large(error: &ControlError) -> ControlError {
    match error {
        ControlError::TooLarge { bytes, limit } => ControlError::TooLarge { bytes: *bytes, limit: *limit },
        other => ControlError::Io(std::io::Error::other(other.to_string())),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can panic half way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
