//! [H-CAPS] What customers have under limits is what the lines that those count say, and nothing is counted of what is not there.

use std::collections::BTreeMap;

use crate::state::{LimitNo, LimitRecord, ReservationNo, State};
use crate::{CustomerHash, LimitWindow, LogTime};

pub(super) fn check(state: &State) -> Vec<String> {
    // By limit, customer and instant, held and bought units of the reservations in memory.
    let mut said: BTreeMap<(LimitNo, CustomerHash, LogTime), (u64, u64)> = BTreeMap::new();
    for (_, record) in state.reservations_from(ReservationNo(0)) {
        let Some(details) = record.details.as_deref() else { continue };
        let Some(customer) = details.customer else { continue };
        for mark in &details.counted {
            let units = &record.lines[usize::from(mark.line)].units;
            let since = match state.limit(mark.limit).spec.window {
                LimitWindow::ForEver => LogTime(0),
                LimitWindow::RollingSeconds(_) => record.created_at,
            };
            let back = if mark.returns_restore { units.returned } else { 0 };
            let sums = said.entry((mark.limit, customer, since)).or_default();
            sums.0 += units.held + units.backordered + units.short;
            sums.1 += units.committed + units.short_sold + units.backordered_sold + units.fulfilled - back;
        }
    }
    let mut findings = check_lines(state);
    for counter in state.counters() {
        let (limit, customer) = (state.limit(counter.limit), counter.customer);
        if state.find_counter(counter.limit, customer).is_none() {
            findings.push(format!("{}: the counter of {customer:?} is not found", limit.id));
        }
        for taken in &counter.taken {
            let (held, bought) = said.remove(&(counter.limit, customer, taken.since)).unwrap_or_default();
            // What is forgotten was bought, and counts still; what has left the window may be forgotten.
            if held != taken.held || (bought > taken.bought && !is_over(limit, taken.since, state)) {
                let counted = (taken.held, taken.bought);
                findings.push(format!(
                    "{}: {customer:?} has {counted:?}, its lines say {:?}",
                    limit.id,
                    (held, bought)
                ));
            }
        }
    }
    for ((limit, customer, since), sums) in said {
        let limit = state.limit(limit);
        if sums.0 > 0 || (sums.1 > 0 && !is_over(limit, since, state)) {
            findings.push(format!("{}: nothing is counted of {customer:?}, whose lines say {sums:?}", limit.id));
        }
    }
    findings
}

/// The lines that are counters have what the lines have that they count, those of other shards included.
fn check_lines(state: &State) -> Vec<String> {
    let mut findings = Vec::new();
    for (_, record) in state.reservations_from(ReservationNo(0)) {
        for (number, units) in record.counters() {
            let own = |at: usize| record.whole().map_or(at, |whole| usize::from(whole.own[at]));
            let here = record.lines.iter().enumerate().find(|(at, _)| own(*at) == number).map(|(_, line)| line.units);
            let there = record.remote_lines().find(|line| usize::from(line.number) == number).map(|line| line.units);
            if here.or(there) != Some(units) {
                let has = here.or(there);
                findings.push(format!("reservation {}: counter {number} has {has:?}, and counts {units:?}", record.id));
            }
        }
    }
    findings
}

/// Whether what was reserved then does not count any more.
fn is_over(limit: &LimitRecord, since: LogTime, state: &State) -> bool {
    match limit.spec.window {
        LimitWindow::ForEver => false,
        LimitWindow::RollingSeconds(seconds) => since.plus_seconds(seconds) <= state.header.now,
    }
}
