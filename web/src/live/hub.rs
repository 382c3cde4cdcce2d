//! One watch of what may be promised of every SKU, for all readers of this node.
//!
//! Promises that a reader who keeps up hears of every SKU's latest, and that one who does not is told how many changes it has missed, so
//! that it reads them anew. Says up to where it has heard, so that a reader can be told an id that any node goes on from. The watch begins
//! with the first reader, and ends when there has been none for a while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_client::{AvailabilityWatch, Client, EventWatch};
use holdfast_proto::v1;
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
    /// Some were missed: what there is now is to be read. Nothing up to that position comes any more.
    Missed(Position),
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
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // A watch that saw nobody has ended, or is about to: its channel is left to it.
        if let Some(running) = running.as_ref().filter(|running| running.news.receiver_count() > 0) {
            return running.listener();
        }
        let new = Channel::new();
        let listener = new.listener();
        *running = Some(new.clone());
        tokio::spawn(watch(client.clone(), new));
        listener
    }
}

impl Listener {
    /// From where on changes are heard, once that is known; `None`: not within that time, and then the first that is heard is that some
    /// were missed.
    pub(super) async fn begun(&mut self, within: Duration) -> Option<Position> {
        let known = timeout(within, self.position.wait_for(|position| !position.is_empty())).await.ok()?.ok()?.clone();
        self.has_begun = true;
        Some(known)
    }

    /// Up to where is heard, as soon as that is no less than what a reader has seen; `None`: not within that time.
    pub(super) async fn reaches(&mut self, seen: &Cursor, within: Duration) -> Option<Cursor> {
        let mut reached = None;
        let covers = |position: &Position| {
            reached = Cursor::read(position).ok();
            reached
                .as_ref()
                .is_some_and(|reached| seen.0.iter().all(|(at, seq)| reached.0.get(at).is_some_and(|it| it >= seq)))
        };
        timeout(within, self.position.wait_for(covers)).await.ok()?.ok()?;
        reached
    }

    /// The next changes.
    pub(super) async fn next(&mut self) -> Heard {
        if !self.has_begun {
            let known = self.position.wait_for(|position| !position.is_empty()).await.map(|known| Arc::clone(&known));
            let Ok(known) = known else { return std::future::pending().await };
            self.has_begun = true;
            return Heard::Missed(known);
        }
        match self.news.recv().await {
            Ok(news) if news.changes.is_empty() => Heard::Missed(Arc::clone(&news.position)),
            Ok(news) => Heard::Changes(news),
            // The hub keeps a sender while anybody listens.
            Err(RecvError::Lagged(_) | RecvError::Closed) => Heard::Missed(Arc::clone(&self.position.borrow())),
        }
    }

    /// Up to where all is heard; `None` while there is something that was not taken.
    pub(super) fn heard_all_until(&self) -> Option<Position> {
        // Read first: what is sent after it is behind it.
        let position = Arc::clone(&self.position.borrow());
        (self.has_begun && self.news.is_empty()).then_some(position)
    }
}

/// Watches until nobody listens.
async fn watch(client: Client, channel: Channel) {
    let Some(cursor) = from_now_on(&client, &channel).await else { return };
    channel.tell(Vec::new(), false, cursor.clone());
    let mut watch = client.watch_availability(AvailabilityWatch { skus: Vec::new(), cursor, coalesce: COALESCE });
    while channel.news.receiver_count() > 0 {
        let Ok(answer) = watch.next().await else {
            // No node serves it just now. It goes on from its cursor when one does.
            continue;
        };
        let v1::WatchAvailabilityResponse { changes, cursor, gaps } = answer;
        if !gaps.is_empty() {
            channel.tell(Vec::new(), true, cursor);
        } else {
            let is_news = !changes.is_empty();
            channel.tell(changes, is_news, cursor);
        }
    }
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
        assert_eq!(listener.begun(Duration::ZERO).await.as_deref(), Some("0=1"));
        for (sku, cursor) in [("A", "0=2"), ("B", "0=3"), ("C", "0=4")] {
            channel.tell(vec![change(sku)], true, cursor.to_owned());
        }
        assert!(matches!(listener.next().await, Heard::Missed(until) if &*until == "0=4"));
        assert!(matches!(listener.next().await, Heard::Changes(news) if news.changes[0].sku == "B"));
        channel.tell(Vec::new(), true, "0=9".to_owned());
        assert!(matches!(listener.next().await, Heard::Changes(_)));
        assert!(
            matches!(listener.next().await, Heard::Missed(until) if &*until == "0=9"),
            "the watch itself missed some"
        );
    }

    #[tokio::test]
    async fn all_is_heard_only_when_nothing_waits_to_be_taken() {
        let channel = small(4);
        let mut listener = channel.listener();
        assert_eq!(listener.begun(Duration::ZERO).await, None);
        assert_eq!(listener.heard_all_until(), None, "it is not known from where on");
        channel.tell(Vec::new(), false, "0=1".to_owned());
        assert!(matches!(listener.next().await, Heard::Missed(from) if &*from == "0=1"));
        channel.tell(vec![change("A")], true, "0=2".to_owned());
        assert_eq!(listener.heard_all_until(), None);
        assert!(matches!(listener.next().await, Heard::Changes(_)));
        channel.tell(Vec::new(), false, "0=5".to_owned());
        let seen = |seq| Cursor([(0, seq)].into());
        assert_eq!(listener.reaches(&seen(4), Duration::ZERO).await, Some(seen(5)));
        assert_eq!(
            listener.reaches(&seen(6), Duration::ZERO).await,
            None,
            "another history, or another node was faster"
        );
        assert_eq!(listener.heard_all_until().as_deref(), Some("0=5"));
    }
}
