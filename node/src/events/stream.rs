//! Answers that are made as long as somebody reads them.
//!
//! What is made is not kept: a reader that takes nothing for a while is let go with an error that has its cursor, and may come back
//! to any node.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt};
use holdfast_proto::v1::{CommandError, ErrorReason};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// How many answers wait for a reader.
const WAITING: usize = 4;
/// How long a reader may take nothing.
const SLOW: Duration = Duration::from_secs(30);

/// What a reader gets.
pub(crate) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send + 'static>>;

/// To a reader.
#[derive(Debug)]
pub(crate) struct Sender<T> {
    answers: mpsc::Sender<Result<T, Status>>,
    end: Arc<OnceLock<Status>>,
    /// Its place among the readers of the node.
    _place: OwnedSemaphorePermit,
}

/// A reader's answers, and how they are made.
pub(crate) fn channel<T: Send + 'static>(place: OwnedSemaphorePermit) -> (Sender<T>, Answers<T>) {
    let (answers, received) = mpsc::channel(WAITING);
    let end = Arc::new(OnceLock::new());
    let told = Arc::clone(&end);
    // What was made before the end is read before it.
    let last = stream::once(async move { told.get().cloned() }).filter_map(|end| async move { end.map(Err) });
    let sender = Sender { answers, end, _place: place };
    (sender, Box::pin(ReceiverStream::new(received).chain(last)))
}

impl<T> Sender<T> {
    /// Sends an answer; `cursor` is where the reader goes on if it does not take it.
    ///
    /// # Errors
    ///
    /// The reader is gone, or was let go: nothing more is to be made.
    pub(crate) async fn send(&self, answer: T, cursor: &str) -> Result<(), Gone> {
        match self.answers.send_timeout(Ok(answer), SLOW).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(Gone),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                let go_on =
                    if cursor.is_empty() { "begin anew".to_owned() } else { format!("go on with the cursor {cursor}") };
                let message = format!("the reader has taken nothing for {} s and is let go; {go_on}", SLOW.as_secs());
                crate::metrics::count_slow_reader();
                self.end(CommandError::of(ErrorReason::Overloaded, message).with("cursor", cursor).after_ms(0));
                Err(Gone)
            }
        }
    }

    /// What the reader is told behind the last answer.
    pub(crate) fn end(&self, why: CommandError) {
        let _ = self.end.set(why.into());
    }

    /// When the reader is gone.
    pub(crate) async fn gone(&self) {
        self.answers.closed().await;
    }
}

/// Nobody reads any more.
#[derive(Debug)]
pub(crate) struct Gone;

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    fn place() -> OwnedSemaphorePermit {
        Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_let_go_with_its_cursor_behind_what_was_made() {
        let (sender, mut answers) = channel(place());
        for number in 0..WAITING {
            sender.send(number, "0=1").await.unwrap();
        }
        assert!(sender.send(9, "0=7").await.is_err());
        drop(sender);
        for number in 0..WAITING {
            assert_eq!(answers.next().await.unwrap().unwrap(), number);
        }
        let error = CommandError::from(&answers.next().await.unwrap().unwrap_err());
        assert_eq!((error.reason(), error.metadata["cursor"].as_str()), (ErrorReason::Overloaded, "0=7"));
        assert!(answers.next().await.is_none());
    }

    #[tokio::test]
    async fn nothing_more_is_made_for_a_reader_that_is_gone() {
        let (sender, answers) = channel(place());
        drop(answers);
        sender.gone().await;
        assert!(sender.send(1, "").await.is_err());
    }
}
