//! One watch of what may be promised of every SKU, for all readers of this node.
//!
//! Promises that a reader who keeps up hears of every SKU's latest, and that one who does not is told how many changes it has missed, so
//! that it reads them anew. Says up to where it has heard, so that a reader can be told an id that any node goes on from. The watch begins
//! with the first reader, and ends when there has been none for a while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_client::{AvailabilityWatch, Client, EventWatch, Watch};
use holdfast_proto::v1::{self, ErrorReason};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::timeout;

use super::COALESCE;
use crate::cursor::Cursor;

/// Answers of the watch that a reader may be behind.
const BEHIND: usize = 256;

/// Up to where was heard: a cursor over all shards; empty: not known yet.
pub(super) type Position = Arc<str>;

/// Changes that came together, and up to where all is heard then.
#[derive(Debug)]
pub(super) struct News {
    /// None: the watch itself has missed some.
    pub(super) changes: Vec<v1::AvailabilityChange>,
    pub(super) position: Position,
}

/// What a reader hears.
#[derive(Debug)]
pub(super) enum Heard {
    Changes(Arc<News>),
    /// Some were missed: what there is now is to be read, no older than the position then.
    Missed,
    /// Nothing more is told here: the watch has ended.
    Over,
}

#[derive(Clone, Debug)]
struct Channel {
    news: broadcast::Sender<Arc<News>>,
    /// Behind the news that have been sent, never before them.
    position: watch::Sender<Position>,
}

impl Channel {
    fn new() -> Self {
        Self { news: broadcast::Sender::new(BEHIND), position: watch::Sender::new(Arc::from("")) }
    }

    fn listener(&self) -> Listener {
        Listener { news: self.news.subscribe(), position: self.position.subscribe(), has_begun: false }
    }

    /// Says what was heard, if it was anything.
    fn tell(&self, changes: Vec<v1::AvailabilityChange>, is_news: bool, cursor: String) {
        let position: Position = cursor.into();
        if is_news {
            let _nobody = self.news.send(Arc::new(News { changes, position: Arc::clone(&position) }));
        }
        self.position.send_replace(position);
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    running: Mutex<Option<Channel>>,
}

/// One reader's side.
#[derive(Debug)]
pub(super) struct Listener {
    news: broadcast::Receiver<Arc<News>>,
    position: watch::Receiver<Position>,
    has_begun: bool,
}

impl Hub {
    /// Listens from now on.
    pub(super) fn listen(&self, client: &Client) -> Listener {
        let (listener, new) = self.join();
        if let Some(new) = new {
            tokio::spawn(watch(client.clone(), new));
        }
        listener
    }

    /// A listener, and the channel of a watch that is to begin for it.
    fn join(&self) -> (Listener, Option<Channel>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // A watch that saw nobody has ended, or is about to: its channel is left to it. Somebody beside this listener was there all along.
        let joined = running.as_ref().map(|running| (running.listener(), running.news.receiver_count()));
        if let Some((listener, 2..)) = joined {
            return (listener, None);
        }
        let new = Channel::new();
        let listener = new.listener();
        *running = Some(new.clone());
        (listener, Some(new))
    }
}

impl Listener {
    /// Where it is told up to where is heard; empty: not known yet.
    pub(super) fn position(&self) -> watch::Receiver<Position> {
        self.position.clone()
    }

    /// What there is now was read behind a position that was known: changes go on from there.
    pub(super) const fn go_on(&mut self) {
        self.has_begun = true;
    }

    /// The next changes. Where it has not gone on from anywhere, the first that is heard is that some were missed.
    pub(super) async fn next(&mut self) -> Heard {
        if !self.has_begun {
            if self.position.wait_for(|position| !position.is_empty()).await.is_err() {
                return Heard::Over;
            }
            self.has_begun = true;
            return Heard::Missed;
        }
        match self.news.recv().await {
            Ok(news) if news.changes.is_empty() => Heard::Missed,
            Ok(news) => Heard::Changes(news),
            Err(RecvError::Lagged(_)) => Heard::Missed,
            Err(RecvError::Closed) => Heard::Over,
        }
    }

    /// Up to where all is heard; `None` while there is something that was not taken.
    pub(super) fn heard_all_until(&self) -> Option<Position> {
        // Read first: what is sent after it is behind it.
        let position = Arc::clone(&self.position.borrow());
        (self.has_begun && self.news.is_empty()).then_some(position)
    }
}

/// Up to where is heard, once that is known; `None`: not within that time.
pub(super) async fn known(position: &mut watch::Receiver<Position>, within: Duration) -> Option<Position> {
    let known = timeout(within, position.wait_for(|position| !position.is_empty())).await.ok()?.ok()?;
    Some(Arc::clone(&known))
}

/// Up to where is heard, as soon as that is no less than what a reader has seen; `None`: not within that time.
pub(super) async fn reaches(
    position: &mut watch::Receiver<Position>,
    seen: &Cursor,
    within: Duration,
) -> Option<Position> {
    let covers = |position: &Position| Cursor::read(position).is_ok_and(|reached| reached.covers(seen));
    let reached = timeout(within, position.wait_for(covers)).await.ok()?.ok()?;
    Some(Arc::clone(&reached))
}

/// Watches until nobody listens.
async fn watch(client: Client, channel: Channel) {
    let Some(cursor) = from_now_on(&client, &channel).await else { return };
    channel.tell(Vec::new(), false, cursor.clone());
    let mut watch = changes_after(&client, cursor);
    while channel.news.receiver_count() > 0 {
        match watch.next().await {
            Ok(v1::WatchAvailabilityResponse { changes, cursor, gaps }) if gaps.is_empty() => {
                let is_news = !changes.is_empty();
                channel.tell(changes, is_news, cursor);
            }
            Ok(answer) => channel.tell(Vec::new(), true, answer.cursor),
            // The cursor is of a history that is gone.
            Err(error) if error.failure().reason == ErrorReason::InvalidArgument => {
                let Some(cursor) = from_now_on(&client, &channel).await else { return };
                channel.tell(Vec::new(), true, cursor.clone());
                watch = changes_after(&client, cursor);
            }
            // No node serves it just now. It goes on from its cursor when one does.
            Err(_) => {}
        }
    }
}

fn changes_after(client: &Client, cursor: String) -> Watch<v1::WatchAvailabilityResponse> {
    client.watch_availability(AvailabilityWatch { cursor, coalesce: COALESCE, ..AvailabilityWatch::default() })
}

/// The cursor of the present: without one a watch would tell all the stock there is first.
async fn from_now_on(client: &Client, channel: &Channel) -> Option<String> {
    let nothing = v1::EventFilter { kinds: vec!["none.".to_owned()], ..v1::EventFilter::default() };
    let mut watch = client.watch_events(EventWatch { filter: nothing, ..EventWatch::default() });
    while channel.news.receiver_count() > 0 {
        if let Ok(answer) = watch.next().await {
            return Some(answer.cursor);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(sku: &str) -> v1::AvailabilityChange {
        v1::AvailabilityChange { sku: sku.to_owned(), ..v1::AvailabilityChange::default() }
    }

    fn small(news: usize) -> Channel {
        Channel { news: broadcast::Sender::new(news), ..Channel::new() }
    }

    #[tokio::test]
    async fn who_is_too_far_behind_is_told_so_and_goes_on_with_what_is_left() {
        let channel = small(2);
        channel.tell(Vec::new(), false, "0=1".to_owned());
        let mut listener = channel.listener();
        assert_eq!(known(&mut listener.position(), Duration::ZERO).await.as_deref(), Some("0=1"));
        listener.go_on();
        for (sku, cursor) in [("A", "0=2"), ("B", "0=3"), ("C", "0=4")] {
            channel.tell(vec![change(sku)], true, cursor.to_owned());
        }
        assert!(matches!(listener.next().await, Heard::Missed));
        assert!(matches!(listener.next().await, Heard::Changes(news) if news.changes[0].sku == "B"));
        channel.tell(Vec::new(), true, "0=9".to_owned());
        assert!(matches!(listener.next().await, Heard::Changes(_)));
        assert!(matches!(listener.next().await, Heard::Missed), "the watch itself missed some");
        drop(channel);
        assert!(matches!(listener.next().await, Heard::Over), "nobody waits for what never comes");
    }

    #[tokio::test]
    async fn all_is_heard_only_when_nothing_waits_to_be_taken() {
        let channel = small(4);
        let mut listener = channel.listener();
        let mut position = listener.position();
        assert_eq!(known(&mut position, Duration::ZERO).await, None);
        assert_eq!(listener.heard_all_until(), None, "it is not known from where on");
        channel.tell(Vec::new(), false, "0=1".to_owned());
        assert!(matches!(listener.next().await, Heard::Missed));
        channel.tell(vec![change("A")], true, "0=2".to_owned());
        assert_eq!(listener.heard_all_until(), None);
        assert!(matches!(listener.next().await, Heard::Changes(_)));
        channel.tell(Vec::new(), false, "0=5".to_owned());
        let seen = |seq| Cursor([(0, seq)].into());
        assert_eq!(reaches(&mut position, &seen(4), Duration::ZERO).await.as_deref(), Some("0=5"));
        assert_eq!(
            reaches(&mut position, &seen(6), Duration::ZERO).await,
            None,
            "another history, or another node was faster"
        );
        assert_eq!(listener.heard_all_until().as_deref(), Some("0=5"));
    }

    #[tokio::test]
    async fn who_comes_as_the_last_one_goes_is_not_left_with_a_watch_that_ends() {
        let hub = Hub::default();
        let (first, ended) = hub.join();
        let ended = ended.expect("a watch begins");
        let (second, joined) = hub.join();
        assert!(joined.is_none(), "one watch is shared");
        drop((first, second));
        // The watch may have looked by now whether anybody listens, or look later.
        let (listener, new) = hub.join();
        let new = new.expect("another watch begins");
        assert_eq!((ended.news.receiver_count(), new.news.receiver_count()), (0, 1));
        drop(listener);
    }
}
