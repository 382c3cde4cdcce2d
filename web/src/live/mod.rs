//! Live updates: events and availability as they happen, by server-sent events and by WebSocket.
//!
//! Responsible for readers that come by the thousand and stay: what may be promised is watched once for all of them (`hub.rs`), and each
//! has a bounded share of it. Promises that nobody is waited for: who takes nothing for [`SLOW`] is cut off, and goes on by the last
//! cursor it had. Leaves reading the change logs to the client's watches.

mod cut;
mod described;
pub(crate) mod events;
mod follow;
mod hub;
pub(crate) mod said;
mod since;
pub(crate) mod stream;
pub(crate) mod wanted;
pub(crate) mod ws;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Web;
use crate::problem::Problem;

pub(crate) use described::{LIVE, describe};
pub(crate) use events::stream_events;
pub(crate) use hub::Hub;

/// Who takes nothing for so long is cut off.
const SLOW: Duration = Duration::from_secs(10);
/// Where there is nothing to tell, that is told so often.
const IDLE: Duration = Duration::from_secs(5);
/// Changes of a SKU within this time come together.
const COALESCE: Duration = Duration::from_millis(250);
/// SKUs that one reader may ask for.
const SKUS: usize = 1_000;
/// Readers of availability at once.
const READERS: usize = 20_000;
/// Readers of events at once: each reads the change logs by itself.
const EVENT_READERS: usize = 256;

/// Readers that are told what they missed at once: each has a change log read over.
const CATCHING_UP: usize = 64;

/// Places for readers.
#[derive(Debug)]
pub(crate) struct Readers {
    readers: Arc<Semaphore>,
    event_readers: Arc<Semaphore>,
    catching_up: Semaphore,
}

impl Default for Readers {
    fn default() -> Self {
        Self {
            readers: Arc::new(Semaphore::new(READERS)),
            event_readers: Arc::new(Semaphore::new(EVENT_READERS)),
            catching_up: Semaphore::new(CATCHING_UP),
        }
    }
}

impl Readers {
    fn reader(&self) -> Result<OwnedSemaphorePermit, Problem> {
        take(&self.readers, READERS, "availability")
    }

    fn event_reader(&self) -> Result<OwnedSemaphorePermit, Problem> {
        take(&self.event_readers, EVENT_READERS, "events")
    }
}

fn take(places: &Arc<Semaphore>, most: usize, of: &str) -> Result<OwnedSemaphorePermit, Problem> {
    let none =
        || Problem::overloaded(format!("{most} readers of {of} are here, which is as many as may; ask another node"));
    Arc::clone(places).try_acquire_owned().map_err(|_| none())
}

/// The routes of live updates.
pub(crate) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/v1/events/stream", get(events::stream_events))
        .route("/v1/availability/stream", get(stream::back_office))
        .route("/public/v1/availability/stream", get(stream::public))
        .route("/v1/ws", get(ws::back_office))
        .route("/public/v1/ws", get(ws::public))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_places_and_no_more_and_who_goes_makes_room() {
        let places = Readers::default();
        let mut taken: Vec<_> = (0..EVENT_READERS).map(|_| places.event_reader().unwrap()).collect();
        let refused = places.event_reader().unwrap_err();
        assert_eq!((refused.status, refused.reason), (503, "OVERLOADED"));
        taken.pop();
        assert!(places.event_reader().is_ok());
    }
}
