//! One watch of what may be promised of every SKU, for all readers of this node.
//!
//! Promises that a reader who keeps up hears of every SKU's latest, and that one who does not is told how many changes it has missed, so
//! that it reads them anew. The watch begins with the first reader, and ends when there has been none for a while.

use std::sync::{Arc, Mutex, PoisonError};

use holdfast_client::{AvailabilityWatch, Client, EventWatch};
use holdfast_proto::v1;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::COALESCE;

/// Answers of the watch that a reader may be behind.
const BEHIND: usize = 256;

/// Changes that came together; none: the watch itself has missed some.
pub(super) type Changes = Arc<[v1::AvailabilityChange]>;

/// What a reader hears.
#[derive(Debug)]
pub(super) enum Heard {
    Changes(Changes),
    /// Some were missed: what there is now is to be read.
    Missed,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    sender: Mutex<Option<broadcast::Sender<Changes>>>,
}

/// One reader's side.
#[derive(Debug)]
pub(super) struct Listener(broadcast::Receiver<Changes>);

impl Hub {
    /// Listens from now on.
    pub(super) fn listen(&self, client: &Client) -> Listener {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        // A watch that saw nobody has ended, or is about to: its channel is left to it.
        if let Some(running) = sender.as_ref().filter(|running| running.receiver_count() > 0) {
            return Listener(running.subscribe());
        }
        let (new, listener) = broadcast::channel(BEHIND);
        *sender = Some(new.clone());
        tokio::spawn(watch(client.clone(), new));
        Listener(listener)
    }
}

impl Listener {
    /// The next changes.
    pub(super) async fn next(&mut self) -> Heard {
        match self.0.recv().await {
            Ok(changes) if changes.is_empty() => Heard::Missed,
            Ok(changes) => Heard::Changes(changes),
            // The hub keeps a sender while anybody listens.
            Err(RecvError::Lagged(_) | RecvError::Closed) => Heard::Missed,
        }
    }
}

/// Watches until nobody listens.
async fn watch(client: Client, sender: broadcast::Sender<Changes>) {
    let Some(cursor) = from_now_on(&client, &sender).await else { return };
    let mut watch = client.watch_availability(AvailabilityWatch { skus: Vec::new(), cursor, coalesce: COALESCE });
    while sender.receiver_count() > 0 {
        let Ok(answer) = watch.next().await else {
            // No node serves it just now. It goes on from its cursor when one does.
            continue;
        };
        if !answer.gaps.is_empty() {
            let _nobody = sender.send(Changes::from([]));
        }
        if !answer.changes.is_empty() {
            let _nobody = sender.send(answer.changes.into());
        }
    }
}

/// The cursor of the present: without one a watch would tell all the stock there is first.
async fn from_now_on(client: &Client, sender: &broadcast::Sender<Changes>) -> Option<String> {
    let nothing = v1::EventFilter { kinds: vec!["none.".to_owned()], ..v1::EventFilter::default() };
    let mut watch = client.watch_events(EventWatch { filter: nothing, ..EventWatch::default() });
    loop {
        if sender.receiver_count() == 0 {
            return None;
        }
        if let Ok(answer) = watch.next().await {
            // Who listened before this heard nothing of the time between.
            let _nobody = sender.send(Changes::from([]));
            return Some(answer.cursor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(sku: &str) -> v1::AvailabilityChange {
        v1::AvailabilityChange { sku: sku.to_owned(), ..v1::AvailabilityChange::default() }
    }

    #[tokio::test]
    async fn who_is_too_far_behind_is_told_so_and_goes_on_with_what_is_left() {
        let (sender, receiver) = broadcast::channel::<Changes>(2);
        let mut listener = Listener(receiver);
        for sku in ["A", "B", "C"] {
            sender.send([change(sku)].into()).unwrap();
        }
        assert!(matches!(listener.next().await, Heard::Missed));
        assert!(matches!(listener.next().await, Heard::Changes(changes) if changes[0].sku == "B"));
        sender.send(Changes::from([])).unwrap();
        assert!(matches!(listener.next().await, Heard::Changes(_)));
        assert!(matches!(listener.next().await, Heard::Missed), "the watch itself missed some");
    }
}
