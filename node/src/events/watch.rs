//! Events as they happen.

use std::time::Duration;

use holdfast_proto::v1;
use tokio::time::Instant;

use super::stream::{Gone, Sender};
use super::tail::{Batch, Tail};
use super::{Cursor, EventFilter};
use crate::to_proto;

/// Sends the events that a filter takes as long as there is somebody to read them; something at least every `idle`.
pub(crate) async fn watch(
    mut tail: Tail,
    filter: EventFilter,
    idle: Duration,
    reader: Sender<v1::WatchEventsResponse>,
) {
    let mut due = Instant::now();
    loop {
        let next = tokio::select! {
            biased;
            () = reader.gone() => return,
            next = tail.next(due) => next,
        };
        let Batch { shard, gap, mut events } = match next {
            Ok(Some(batch)) => batch,
            Ok(None) => Batch { shard: 0, gap: None, events: Vec::new() },
            Err(error) => return reader.end(error.with("cursor", tail.cursor())),
        };
        events.retain(|event| filter.takes(&event.body));
        if events.is_empty() && gap.is_none() && Instant::now() < due {
            continue;
        }
        let cursor = tail.cursor().to_string();
        let events = events.into_iter().map(|event| to_proto::event(shard, event)).collect();
        let answer = v1::WatchEventsResponse { events, cursor: cursor.clone(), gap };
        if let Err(Gone) = reader.send(answer, &cursor).await {
            return;
        }
        due = Instant::now() + idle;
    }
}

/// A cursor as a reader sends it.
pub(crate) fn cursor_of(text: &str) -> Result<Option<Cursor>, v1::CommandError> {
    if text.is_empty() {
        return Ok(None);
    }
    let hint = "send the cursor of an answer before, SHARD=SEQ with commas between, or nothing";
    text.parse().map(Some).map_err(|()| crate::from_proto::invalid("cursor", "is none of ours", hint))
}
