//! A channel to a reader that is cut off when it takes nothing.

use std::convert::Infallible;

use axum::response::sse::Event;
use futures_util::stream::{Stream, unfold};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::SLOW;

/// What a reader has not taken yet, at most.
const WAITING: usize = 16;

/// The side that tells.
pub(super) struct Teller(mpsc::Sender<Event>);

impl Teller {
    /// A channel, and what the reader reads.
    pub(super) fn channel() -> (Self, impl Stream<Item = Result<Event, Infallible>> + Send + 'static) {
        let (teller, told) = mpsc::channel(WAITING);
        let next = |mut told: mpsc::Receiver<Event>| async move { told.recv().await.map(|event| (Ok(event), told)) };
        (Self(teller), unfold(told, next))
    }

    /// Tells one thing; false: the reader is gone, or took nothing for too long, and there is nobody to tell more.
    pub(super) async fn tell(&self, event: Event) -> bool {
        match timeout(SLOW, self.0.send(event)).await {
            Ok(sent) => sent.is_ok(),
            Err(_) => {
                tracing::info!("a reader of live updates took nothing, and was cut off");
                false
            }
        }
    }

    /// Comes when the reader is gone.
    pub(super) async fn gone(&self) {
        self.0.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_cut_off_and_what_waits_is_bounded() {
        let (teller, told) = Teller::channel();
        let mut sent = 0;
        while teller.tell(Event::default().data("x")).await {
            sent += 1;
        }
        assert_eq!(sent, WAITING);
        drop(told);
        assert!(!teller.tell(Event::default()).await);
        teller.gone().await;
    }
}
