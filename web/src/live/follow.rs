//! Reading events as they happen, for a reader of whichever kind.
//!
//! Promises that nothing is left out without a gap that is told, and that a cursor comes behind all that it stands for: who goes on from the
//! last one it had hears some events twice, and none never.

use std::sync::Arc;

use holdfast_client::{Client, EventWatch, Watch};
use holdfast_proto::v1;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::events::Event;
use crate::problem::Problem;
use crate::wire::FromWire as _;

/// What a reader has not taken yet, at most.
const WAITING: usize = 16;

/// What a reader is told.
#[derive(Debug)]
pub(super) enum Told {
    Event(Box<Event>),
    /// Events that are not kept any more.
    Gap(Value),
    /// Where to go on, behind what it stands for.
    Cursor(String),
    /// The same, and there is no more.
    Idle(String),
    /// No node serves it just now; or, as the last thing, the cursor is none.
    Problem(Box<Problem>),
}

/// Events as they come.
pub(super) struct Followed {
    watch: Watch<v1::WatchEventsResponse>,
    is_over: bool,
}

impl Followed {
    pub(super) fn new(client: &Client, watch: EventWatch) -> Self {
        Self { watch: client.watch_events(watch), is_over: false }
    }

    /// What comes next; `None` behind a problem that ends it: the reader comes again, from elsewhere.
    pub(super) async fn next(&mut self) -> Option<Vec<Told>> {
        if self.is_over {
            return None;
        }
        Some(match self.watch.next().await {
            Ok(answer) => told(answer),
            Err(error) => {
                let problem = Problem::from(error);
                self.is_over = problem.status == 400;
                vec![Told::Problem(Box::new(problem))]
            }
        })
    }

    /// The same from a task of its own, which ends when nobody takes it any more: a wait for it may be broken off.
    pub(super) fn told_by_a_task(mut self, place: Arc<OwnedSemaphorePermit>) -> mpsc::Receiver<Told> {
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let _place = place;
            loop {
                let told = tokio::select! {
                    biased;
                    () = sender.closed() => return,
                    told = self.next() => told,
                };
                for told in told.into_iter().flatten() {
                    if sender.send(told).await.is_err() {
                        return;
                    }
                }
                if self.is_over {
                    return;
                }
            }
        });
        receiver
    }
}

fn told(answer: v1::WatchEventsResponse) -> Vec<Told> {
    let v1::WatchEventsResponse { events, cursor, gap } = answer;
    let gap = gap.map(|gap| json!({ "shard": gap.shard, "from_seq": gap.from_seq, "to_seq": gap.to_seq }));
    let is_idle = events.is_empty() && gap.is_none();
    let mut told: Vec<Told> = gap.map(Told::Gap).into_iter().collect();
    told.extend(events.into_iter().map(|event| Told::Event(Box::new(Event::from_wire(event)))));
    told.push(if is_idle { Told::Idle(cursor) } else { Told::Cursor(cursor) });
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_comes_behind_all_that_it_stands_for() {
        let event = |seq| v1::Event { shard: 2, seq, kind: "stock.received".to_owned(), ..v1::Event::default() };
        let gap = Some(v1::EventGap { shard: 2, from_seq: 1, to_seq: 4 });
        let all = told(v1::WatchEventsResponse { events: vec![event(5), event(6)], cursor: "2=6".into(), gap });
        assert!(
            matches!(&all[..], [Told::Gap(gap), Told::Event(_), Told::Event(_), Told::Cursor(cursor)] if gap["to_seq"] == 4 && cursor == "2=6"),
            "{all:?}"
        );
        let idle = told(v1::WatchEventsResponse { events: Vec::new(), cursor: "2=7".into(), gap: None });
        assert!(matches!(&idle[..], [Told::Idle(cursor)] if cursor == "2=7"), "{idle:?}");
    }
}
