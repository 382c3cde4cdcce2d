//! A shard's events, page by page.

use holdfast_inventory::{Event, LogTime};
use holdfast_proto::v1::CommandError;
use holdfast_raft::host::Group;
use tokio::time::Instant;

use super::EventFilter;
use crate::refusals;

/// The most events of one page.
pub(crate) const MAX_EVENTS: usize = 1_000;
/// The most events that are looked at for one page.
const MAX_SCANNED: u64 = 20_000;
/// Events that are read at once.
const AT_ONCE: usize = 1_000;

/// A page.
#[derive(Debug)]
pub(crate) struct Found {
    /// Those that the filter takes, oldest first.
    pub(crate) events: Vec<Event>,
    /// Where the next page begins; `None`: that was all.
    pub(crate) next: Option<u64>,
    /// The first event that this replica keeps.
    pub(crate) first_kept: u64,
}

/// Up to `limit` events between `from` (0: the first that is kept) and `through` that the filter takes.
pub(crate) async fn list(
    shard: u32,
    group: &Group,
    (from, through): (u64, u64),
    limit: usize,
    filter: &EventFilter,
    deadline: Instant,
) -> Result<Found, CommandError> {
    let unreadable = |fault| refusals::unavailable(shard, &format!("its change log here: {fault}"));
    let first_kept = group.first_kept_event();
    let mut next = from.max(first_kept);
    if filter.from > LogTime(0) {
        next = next.max(group.first_event_at(filter.from).await.map_err(unreadable)?);
    }
    let scan_until = next.saturating_add(MAX_SCANNED).min(through.saturating_add(1));
    let mut events = Vec::new();
    while next < scan_until && events.len() < limit {
        let wanted = AT_ONCE.min(usize::try_from(scan_until - next).unwrap_or(AT_ONCE));
        let read = group.events(next, through, wanted, deadline).await.map_err(unreadable)?;
        let Some(last) = read.last() else { break };
        let after = last.body.seq + 1;
        let is_over = |event: &Event| filter.until.is_some_and(|until| event.body.time >= until);
        if read.first().is_some_and(is_over) {
            return Ok(Found { events, next: None, first_kept });
        }
        next = after;
        for event in read.into_iter().filter(|event| filter.takes(&event.body)) {
            if events.len() == limit {
                next = event.body.seq;
                break;
            }
            events.push(event);
        }
    }
    let next = Some(next).filter(|next| *next <= through);
    Ok(Found { events, next, first_kept })
}
