//! A channel to a reader that is cut off when it takes nothing.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::Event;
use futures_util::stream::{Stream, unfold};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::LetGo;

/// What a reader has not taken yet, at most.
const WAITING: usize = 16;
/// Who takes so little that nothing more can be told for so long is cut off. Longer than a connection that takes nothing at all lasts at the
/// node's listener, which counts that itself.
const SLOW: Duration = Duration::from_secs(20);

/// The side that tells.
pub(super) struct Teller {
    sender: mpsc::Sender<Event>,
    let_go: LetGo,
}

impl Teller {
    /// A channel, and what the reader reads.
    pub(super) fn channel(let_go: LetGo) -> (Self, impl Stream<Item = Result<Event, Infallible>> + Send + 'static) {
        let (sender, told) = mpsc::channel(WAITING);
        let next = |mut told: mpsc::Receiver<Event>| async move { told.recv().await.map(|event| (Ok(event), told)) };
        (Self { sender, let_go }, unfold(told, next))
    }

    /// Tells one thing; false: the reader is gone, or took nothing for too long, and there is nobody to tell more.
    pub(super) async fn tell(&self, event: Event) -> bool {
        match timeout(SLOW, self.sender.send(event)).await {
            Ok(sent) => sent.is_ok(),
            Err(_) => {
                tracing::info!("a reader of live updates took nothing, and was cut off");
                (self.let_go)();
                false
            }
        }
    }

    /// Comes when the reader is gone.
    pub(super) async fn gone(&self) {
        self.sender.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static CUT: AtomicUsize = AtomicUsize::new(0);

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_cut_off_and_counted_and_what_waits_is_bounded() {
        let (teller, told) = Teller::channel(|| {
            CUT.fetch_add(1, Ordering::Relaxed);
        });
        let mut sent = 0;
        while teller.tell(Event::default().data("x")).await {
            sent += 1;
        }
        assert_eq!((sent, CUT.load(Ordering::Relaxed)), (WAITING, 1));
        drop(told);
        assert!(!teller.tell(Event::default()).await);
        teller.gone().await;
        assert_eq!(CUT.load(Ordering::Relaxed), 1, "who goes by itself was not slow");
    }
}
