//! Live updates: events and availability as they happen, by server-sent events and by WebSocket.
//!
//! Responsible for readers that come by the thousand and stay: what may be promised is watched once for all of them (`hub.rs`), and each
//! has a bounded share of it (`feed.rs`). Promises that nobody is waited for: who takes nothing is cut off, and goes on by the last cursor
//! it had. Leaves reading the change logs to the client's watches.

mod cut;
mod described;
pub(crate) mod events;
mod feed;
mod follow;
mod hub;
pub(crate) mod said;
mod since;
pub(crate) mod stream;
mod subscribed;
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
use wanted::Lookups;

/// Where there is nothing to tell, that is told so often.
const IDLE: Duration = Duration::from_secs(5);
/// Changes of a SKU within this time come together.
const COALESCE: Duration = Duration::from_millis(250);
/// SKUs that one reader may ask for.
const SKUS: usize = 1_000;
/// Readers of events at once, at most: each reads the change logs by itself.
const EVENT_READERS: usize = 256;
/// Readers that read at once what there is now, or what they missed.
const CATCHING_UP: usize = 64;

/// Places for readers, and what they share.
#[derive(Debug)]
pub(crate) struct Readers {
    readers: Places,
    event_readers: Places,
    catching_up: Semaphore,
    lookups: Lookups,
}

impl Readers {
    /// Of a node that has so many connections: three quarters of them for readers of availability, an eighth at most for those of events. The
    /// rest is left to requests and to whoever asks whether the node is well.
    pub(crate) fn new(max_connections: usize) -> Self {
        Self {
            readers: Places::new(max_connections - max_connections.div_ceil(4), "availability"),
            event_readers: Places::new((max_connections / 8).min(EVENT_READERS), "events"),
            catching_up: Semaphore::new(CATCHING_UP),
            lookups: Lookups::default(),
        }
    }

    fn reader(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.readers.take()
    }

    fn event_reader(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.event_readers.take()
    }
}

/// Places for readers of one kind.
#[derive(Debug)]
struct Places {
    free: Arc<Semaphore>,
    most: usize,
    of: &'static str,
}

impl Places {
    fn new(most: usize, of: &'static str) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(most)), most, of }
    }

    fn take(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let Self { free, most, of } = self;
        Arc::clone(free).try_acquire_owned().map_err(|_| {
            let detail = format!("{most} readers of {of} are here, which is as many as may; ask another node");
            Problem::overloaded(detail).with("max_readers", most)
        })
    }
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
        let places = Readers::new(16_384);
        let mut taken: Vec<_> = (0..EVENT_READERS).map(|_| places.event_reader().unwrap()).collect();
        let refused = places.event_reader().unwrap_err();
        assert_eq!((refused.status, refused.reason), (503, "OVERLOADED"));
        taken.pop();
        assert!(places.event_reader().is_ok());
    }

    #[test]
    fn readers_leave_connections_to_others() {
        for (connections, readers, event_readers) in [(16_384, 12_288, 256), (100, 75, 12), (3, 2, 1), (1, 1, 1)] {
            let places = Readers::new(connections);
            assert_eq!((places.readers.most, places.event_readers.most), (readers, event_readers), "{connections}");
        }
    }
}
