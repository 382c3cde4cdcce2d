//! A SKU's quantities as they were: those of now, less what has changed them since.
//!
//! The change log tells every change with its quantities, so that going back from the present needs only the events after the time
//! that is asked for, whatever was kept of those before it.

use std::collections::BTreeMap;

use holdfast_inventory::{LocationId, LogTime, LotId, Sku, StockCounts, StockDelta};
use holdfast_proto::v1::CommandError;
use holdfast_raft::host::Group;
use tokio::time::Instant;

use crate::from_proto::invalid;
use crate::refusals;

/// Events that are read at once.
const AT_ONCE: usize = 1_000;

/// A location, and a lot there; none: all lots together.
type Place = (LocationId, Option<LotId>);

/// Quantities of a location, and of each of its lots.
pub(crate) type Levels = BTreeMap<Place, StockCounts>;

/// A SKU's quantities at the end of log time `time`, and the last event that counts; `present` are those after the event `through`.
pub(crate) async fn as_of(
    shard: u32,
    group: &Group,
    sku: &Sku,
    time: LogTime,
    (mut present, through): (Levels, u64),
    deadline: Instant,
) -> Result<(Levels, u64), CommandError> {
    let unreadable = |fault| refusals::unavailable(shard, &format!("its change log here: {fault}"));
    let first_after = group.first_event_at(LogTime(time.0.saturating_add(1))).await.map_err(unreadable)?;
    let first_kept = group.first_kept_event();
    if first_after <= first_kept && first_kept > 1 {
        let problem = format!("is before event {first_kept} of shard {shard}, the first that is kept");
        return Err(invalid("time_ms", &problem, "ask for a later time, or another node, which may keep more"));
    }
    let mut since: BTreeMap<Place, StockDelta> = BTreeMap::new();
    let mut next = first_after;
    while next <= through {
        let events = group.events(next, through, AT_ONCE, deadline).await.map_err(unreadable)?;
        let Some(last) = events.last() else {
            return Err(refusals::unavailable(shard, "its change log here ends early"));
        };
        next = last.body.seq + 1;
        let changes = events.iter().flat_map(|event| &event.body.changes).filter(|change| change.sku == *sku);
        for change in changes {
            add(since.entry((change.location.clone(), None)).or_default(), change.delta);
            if change.lot.is_some() {
                add(since.entry((change.location.clone(), change.lot.clone())).or_default(), change.delta);
            }
        }
        if Instant::now() >= deadline {
            return Err(refusals::unavailable(shard, "too much has happened since to go back so far in time"));
        }
    }
    for (place, delta) in since {
        take_back(present.entry(place).or_default(), delta);
    }
    present.retain(|_, counts| *counts != StockCounts::default());
    Ok((present, first_after.min(through + 1) - 1))
}

/// On its way a sum may be below what a quantity can be: it is taken back once, when it is whole.
const fn add(sum: &mut StockDelta, delta: StockDelta) {
    sum.on_hand = sum.on_hand.saturating_add(delta.on_hand);
    sum.reserved = sum.reserved.saturating_add(delta.reserved);
    sum.committed = sum.committed.saturating_add(delta.committed);
    sum.damaged = sum.damaged.saturating_add(delta.damaged);
    sum.quality_control = sum.quality_control.saturating_add(delta.quality_control);
}

fn take_back(counts: &mut StockCounts, delta: StockDelta) {
    let before = |now: u64, delta: i64| now.saturating_add_signed(delta.saturating_neg());
    *counts = StockCounts {
        on_hand: before(counts.on_hand, delta.on_hand),
        reserved: before(counts.reserved, delta.reserved),
        committed: before(counts.committed, delta.committed),
        damaged: before(counts.damaged, delta.damaged),
        quality_control: before(counts.quality_control, delta.quality_control),
    };
}
