//! The records of limits per customer and of what each customer has under them, and every change of them.
//!
//! A counter follows from the lines that it counts: whatever changes a reservation changes its counters by the difference, in the
//! one place where reservations change. A line is counted by the limits that were there when it was held.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_mutation::{Mutation, is_on};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::State;
use super::chunk::{ChunkKind, Record};
use super::journal::Undo;
use super::load::LoadError;
use super::records::{ReservationRecord, SkuNo};
use crate::{
    CampaignId, CampaignPhase, CustomerCount, CustomerHash, LimitId, LimitSpec, LimitWindow, LineCounts, LogTime,
    Revision, Sku,
};

/// The ordinal of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct LimitNo(pub(crate) u32);

/// The ordinal of a customer's counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct CounterNo(pub(crate) u64);

/// A limit. It is never removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LimitRecord {
    pub(crate) id: LimitId,
    /// The item; of a limit over several, that of which its counters' lines are.
    pub(crate) sku: SkuNo,
    pub(crate) spec: LimitSpec,
    pub(crate) revision: Revision,
    /// The items of a limit over several, on whatever shard; else empty.
    pub(crate) skus: Vec<Sku>,
    /// Only reservations made in this campaign are under it.
    pub(crate) campaign: Option<CampaignId>,
}

impl LimitRecord {
    /// Whether it is over several items.
    pub(crate) fn is_shared(&self) -> bool {
        !self.skus.is_empty()
    }
}

impl Record for LimitRecord {
    const KIND: ChunkKind = ChunkKind::CustomerLimits;
    const PER_CHUNK: usize = 64;
}

/// What one customer has under one limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CounterRecord {
    pub(crate) limit: LimitNo,
    pub(crate) customer: CustomerHash,
    /// In the order of the instants, each once and none of nothing. Where the limit counts for ever there is one, of instant 0.
    pub(crate) taken: Vec<Taken>,
}

impl Record for CounterRecord {
    const KIND: ChunkKind = ChunkKind::CustomerCounters;
    const PER_CHUNK: usize = 128;
}

/// Units of the reservations that were made at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) since: LogTime,
    pub(crate) held: u64,
    pub(crate) bought: u64,
}

/// A line that a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct CountedLine {
    /// Its number among the lines of this shard.
    pub(crate) line: u16,
    pub(crate) limit: LimitNo,
    /// What of it comes back is counted no more.
    pub(crate) returns_restore: bool,
}

impl CountedLine {
    /// Held and bought units of the line that count.
    fn count(&self, units: &LineCounts) -> (u64, u64) {
        let returned = if self.returns_restore { units.returned } else { 0 };
        let given_back = units.cancelled.saturating_add(units.released).saturating_add(units.expired);
        let without_stock = units.short_sold.saturating_add(units.backordered_sold);
        let sold = units.committed.saturating_add(without_stock).saturating_add(units.fulfilled);
        let held = units.all().unwrap_or(u64::MAX).saturating_sub(given_back).saturating_sub(sold);
        (held, sold.saturating_sub(returned))
    }
}

/// Held and bought units of a reservation, by the limits that count them.
type Counted = BTreeMap<LimitNo, (u64, u64)>;

impl ReservationRecord {
    /// What limits count of it. Nothing is allocated where none does.
    pub(super) fn counted(&self) -> Counted {
        let mut counted = Counted::new();
        let Some(details) = self.details.as_deref() else { return counted };
        for line in &details.counted {
            if let Some(of) = self.lines.get(usize::from(line.line)) {
                let (held, bought) = line.count(&of.units);
                let sums = counted.entry(line.limit).or_default();
                (sums.0, sums.1) = (sums.0.saturating_add(held), sums.1.saturating_add(bought));
            }
        }
        counted
    }

    pub(crate) fn customer(&self) -> Option<CustomerHash> {
        self.details.as_deref().and_then(|details| details.customer)
    }

    /// Counts lines from now on, beside those that are counted already. Of no customer nothing is counted.
    pub(crate) fn count_lines(&mut self, lines: Vec<CountedLine>) {
        let Some(details) = self.details.as_deref_mut().filter(|details| details.customer.is_some()) else { return };
        for mark in lines {
            if !details.counted.iter().any(|known| (known.line, known.limit) == (mark.line, mark.limit)) {
                details.counted.push(mark);
            }
        }
        details.counted.sort_unstable();
    }

    pub(super) fn is_counted(&self) -> bool {
        self.details.as_deref().is_some_and(|details| !details.counted.is_empty())
    }

    /// Whether the marks are of limits and lines that are there, each once.
    pub(super) fn counted_fits(&self, limits: u64) -> bool {
        self.details.as_deref().is_none_or(|details| {
            details.counted.is_sorted_by(|a, b| (a.line, a.limit) < (b.line, b.limit))
                && (details.counted.is_empty() || details.customer.is_some())
                && details
                    .counted
                    .iter()
                    .all(|mark| usize::from(mark.line) < self.lines.len() && u64::from(mark.limit.0) < limits)
        })
    }
}

impl LimitRecord {
    /// Whether units of reservations made at that instant count now.
    fn counts(&self, since: LogTime, now: LogTime) -> bool {
        match self.spec.window {
            LimitWindow::ForEver => true,
            LimitWindow::RollingSeconds(seconds) => since.plus_seconds(seconds) > now,
        }
    }

    /// The instant under which a reservation's units are counted.
    fn instant_of(&self, created_at: LogTime) -> LogTime {
        match self.spec.window {
            LimitWindow::ForEver => LogTime(0),
            LimitWindow::RollingSeconds(_) => created_at,
        }
    }
}

impl CounterRecord {
    /// From when on nothing of it is needed; `None`: it is not known yet.
    fn idle_at(&self, limit: &LimitRecord) -> Option<LogTime> {
        match (self.taken.last(), limit.spec.window) {
            (None, _) => Some(LogTime(0)),
            (Some(_), LimitWindow::ForEver) => None,
            (Some(_), _) if self.taken.iter().any(|taken| taken.held > 0) => None,
            (Some(last), LimitWindow::RollingSeconds(seconds)) => Some(last.since.plus_seconds(seconds)),
        }
    }

    fn change(&mut self, at: LogTime, held: i64, bought: i64) {
        let at = match self.taken.binary_search_by_key(&at, |taken| taken.since) {
            Ok(at) => at,
            // What has left the window was forgotten.
            Err(_) if held <= 0 && bought <= 0 => return,
            Err(place) => {
                self.taken.insert(place, Taken { since: at, held: 0, bought: 0 });
                place
            }
        };
        let taken = &mut self.taken[at];
        taken.held = taken.held.saturating_add_signed(held);
        taken.bought = taken.bought.saturating_add_signed(bought);
        if (taken.held, taken.bought) == (0, 0) {
            self.taken.remove(at);
        }
    }
}

fn hash_counter(limit: LimitNo, customer: CustomerHash) -> u64 {
    xxh3_64_with_seed(&customer.0.to_le_bytes(), u64::from(limit.0))
}

impl State {
    pub(crate) fn find_limit(&self, id: &LimitId) -> Option<LimitNo> {
        self.indexes.limits.get(id).copied()
    }

    pub(crate) fn limit(&self, no: LimitNo) -> &LimitRecord {
        self.limits.get(u64::from(no.0)).expect("a limit is never removed")
    }

    pub(crate) fn limit_count(&self) -> u64 {
        self.limits.live()
    }

    /// The limits of an item, by age.
    pub(crate) fn limits_of(&self, sku: SkuNo) -> impl Iterator<Item = (LimitNo, &LimitRecord)> {
        let limits = self.indexes.limits_by_sku.range((sku, LimitNo(0))..=(sku, LimitNo(u32::MAX)));
        limits.map(|(_, no)| (*no, self.limit(*no)))
    }

    /// Those that new holds in that campaign, or in none, are checked against.
    pub(crate) fn active_limits_of<'a>(
        &'a self,
        sku: SkuNo,
        campaign: Option<&'a CampaignId>,
    ) -> impl Iterator<Item = (LimitNo, &'a LimitRecord)> {
        let is_under = move |limit: &LimitRecord| limit.campaign.is_none() || limit.campaign.as_ref() == campaign;
        self.active_limits(sku).filter(move |(_, limit)| is_under(limit))
    }

    fn active_limits(&self, sku: SkuNo) -> impl Iterator<Item = (LimitNo, &LimitRecord)> {
        let limits = self.indexes.active_limits.range((sku, LimitNo(0))..=(sku, LimitNo(u32::MAX)));
        limits.map(|(_, no)| (*no, self.limit(*no)))
    }

    /// How many limits of an item may still check a hold: those of campaigns that are over do not.
    pub(crate) fn live_limit_count(&self, sku: SkuNo) -> usize {
        let is_live = |limit: &LimitRecord| {
            limit.campaign.as_ref().is_none_or(|id| {
                let campaign = self.find_campaign(id).map(|no| self.campaign(no));
                campaign.is_some_and(|campaign| campaign.phase != CampaignPhase::Closed)
            })
        };
        self.active_limits(sku).filter(|(_, limit)| is_live(limit)).count()
    }

    pub(crate) fn add_limit(&mut self, record: LimitRecord) -> LimitNo {
        let no = LimitNo(self.limits.next_ordinal() as u32);
        self.indexes.name_limit(no, &record);
        self.limits.push(record);
        self.note(|| Undo::LimitAdded(no));
        no
    }

    pub(crate) fn change_limit(&mut self, no: LimitNo, change: impl FnOnce(&mut LimitRecord)) {
        let record = self.limits.get_mut(u64::from(no.0)).expect("a limit is never removed");
        if let Some(journal) = &mut self.journal {
            journal.note(Undo::Limit(no, record.clone()));
        }
        self.indexes.unname_limit(no, record);
        change(record);
        self.indexes.name_limit(no, record);
    }

    pub(super) fn take_back_limit_added(&mut self, no: LimitNo) {
        let record =
            self.limits.undo_push(u64::from(no.0)).expect("what a chain touched is there until the chain ends");
        self.indexes.unname_limit(no, &record);
    }

    pub(super) fn take_back_limit(&mut self, no: LimitNo, old: LimitRecord) {
        let record = self.limits.get_mut(u64::from(no.0)).expect("a limit is never removed");
        self.indexes.unname_limit(no, record);
        *record = old;
        self.indexes.name_limit(no, record);
    }

    // Counters.

    pub(crate) fn find_counter(&self, limit: LimitNo, customer: CustomerHash) -> Option<CounterNo> {
        let is_it = |ordinal| {
            self.counters.get(ordinal).is_some_and(|record| (record.limit, record.customer) == (limit, customer))
        };
        self.indexes.counters.find(hash_counter(limit, customer), is_it).map(CounterNo)
    }

    pub(crate) fn counters(&self) -> impl Iterator<Item = &CounterRecord> {
        self.counters.iter().map(|(_, record)| record)
    }

    /// No more customers can be counted: one for each reservation that may be held.
    pub(crate) fn is_full_of_counters(&self) -> bool {
        self.counters.live() >= self.header.limits.live_reservations
    }

    /// What a customer has under a limit now.
    pub(crate) fn count_of(&self, no: LimitNo, customer: CustomerHash) -> CustomerCount {
        let (limit, now) = (self.limit(no), self.header.now);
        let counter = self.find_counter(no, customer).and_then(|counter| self.counters.get(counter.0));
        let taken =
            counter.into_iter().flat_map(|counter| &counter.taken).filter(|taken| limit.counts(taken.since, now));
        let (held, bought) = taken
            .fold((0_u64, 0_u64), |sum, taken| (sum.0.saturating_add(taken.held), sum.1.saturating_add(taken.bought)));
        let remaining = u64::from(limit.spec.units).saturating_sub(held.saturating_add(bought));
        CustomerCount { customer, held, bought, remaining }
    }

    /// Counts the difference that a change of a reservation makes.
    pub(super) fn count(
        &mut self,
        customer: Option<CustomerHash>,
        created_at: LogTime,
        before: &Counted,
        after: &Counted,
    ) {
        if before == after {
            return;
        }
        let Some(customer) = customer else { return };
        let limits: BTreeSet<LimitNo> = before.keys().chain(after.keys()).copied().collect();
        for limit in &limits {
            let of = |counted: &Counted| counted.get(limit).copied().unwrap_or_default();
            let (was, is) = (of(before), of(after));
            let (held, bought) = (is.0.wrapping_sub(was.0) as i64, is.1.wrapping_sub(was.1) as i64);
            let gives_back = held.saturating_add(bought) < 0;
            if (held, bought) == (0, 0) || (gives_back && is_on(Mutation::LimitNotGivenBack)) {
                continue;
            }
            self.change_counter(*limit, customer, created_at, held, bought);
        }
    }

    fn change_counter(&mut self, limit: LimitNo, customer: CustomerHash, created_at: LogTime, held: i64, bought: i64) {
        let (record, now) = (self.limit(limit).clone(), self.header.now);
        let since = record.instant_of(created_at);
        if let Some(no) = self.find_counter(limit, customer) {
            let counter = self.counters.get_mut(no.0).expect("an index has what is there");
            if let Some(journal) = &mut self.journal {
                journal.note(Undo::Counter(no, counter.clone()));
            }
            let before = counter.idle_at(&record);
            counter.taken.retain(|taken| taken.held > 0 || record.counts(taken.since, now));
            counter.change(since, held, bought);
            let after = counter.idle_at(&record);
            if before != after {
                if let Some(at) = before {
                    self.indexes.idle_counters.remove(&(at, no));
                }
                self.indexes.idle_counters.extend(after.map(|at| (at, no)));
            }
            return;
        }
        let mut counter = CounterRecord { limit, customer, taken: Vec::new() };
        counter.change(since, held, bought);
        if counter.taken.is_empty() {
            return;
        }
        let no = CounterNo(self.counters.next_ordinal());
        self.index_counter(no, &counter, &record);
        self.counters.push(counter);
        self.note(|| Undo::CounterAdded(no));
    }

    fn index_counter(&mut self, no: CounterNo, counter: &CounterRecord, limit: &LimitRecord) {
        self.indexes.counters.insert(hash_counter(counter.limit, counter.customer), no.0);
        self.indexes.idle_counters.extend(counter.idle_at(limit).map(|at| (at, no)));
    }

    fn unindex_counter(&mut self, no: CounterNo, counter: &CounterRecord) {
        self.indexes.counters.remove(hash_counter(counter.limit, counter.customer), no.0);
        if let Some(at) = counter.idle_at(self.limit(counter.limit)) {
            self.indexes.idle_counters.remove(&(at, no));
        }
    }

    pub(super) fn take_back_counter_added(&mut self, no: CounterNo) {
        let counter = self.counters.undo_push(no.0).expect("what a chain touched is there until the chain ends");
        self.unindex_counter(no, &counter);
    }

    pub(super) fn take_back_counter(&mut self, no: CounterNo, old: CounterRecord) {
        const BELIEF: &str = "what a chain touched is there until the chain ends";
        let counter = std::mem::replace(self.counters.get_mut(no.0).expect(BELIEF), old.clone());
        self.unindex_counter(no, &counter);
        let limit = self.limit(old.limit).clone();
        self.index_counter(no, &old, &limit);
    }

    /// Forgets counters of which nothing counts any more, at most `most`. Never within a chain.
    pub(crate) fn forget_idle_counters(&mut self, most: usize) {
        debug_assert!(self.journal.is_none(), "nothing is forgotten within a chain");
        for _ in 0..most {
            let Some(&(_, no)) = self.indexes.idle_counters.first().filter(|(at, _)| *at <= self.header.now) else {
                break;
            };
            if let Some(counter) = self.counters.remove(no.0) {
                self.unindex_counter(no, &counter);
            }
        }
    }

    /// Takes the limits and counters that were loaded into the indexes. The items must be there.
    pub(super) fn index_limits(&mut self) -> Result<(), LoadError> {
        let refused = LoadError::Inconsistent { kind: ChunkKind::CustomerLimits };
        if self.limits.live() != self.limits.next_ordinal() || self.limits.next_ordinal() > u64::from(u32::MAX) {
            return Err(refused);
        }
        for (ordinal, record) in self.limits.iter() {
            let no = LimitNo(ordinal as u32);
            let names = if record.is_shared() { &self.indexes.shared_limits } else { &self.indexes.limits };
            let is_new = !names.contains_key(&record.id);
            let of_campaign_fits =
                record.campaign.is_none() || (!record.is_shared() && record.spec.window == LimitWindow::ForEver);
            if !is_new
                || u64::from(record.sku.0) >= self.items.live()
                || record.spec.validate().is_err()
                || !of_campaign_fits
            {
                return Err(refused);
            }
            self.indexes.name_limit(no, record);
        }
        let refused = LoadError::Inconsistent { kind: ChunkKind::CustomerCounters };
        let mut found = Vec::new();
        for (ordinal, counter) in self.counters.iter() {
            let is_ordered = counter.taken.is_sorted_by(|a, b| a.since < b.since);
            let is_counted =
                counter.taken.iter().all(|taken| taken.held.checked_add(taken.bought).is_some_and(|sum| sum > 0));
            if u64::from(counter.limit.0) >= self.limits.live() || !is_ordered || !is_counted {
                return Err(refused);
            }
            found.push((CounterNo(ordinal), counter.clone()));
        }
        for (no, counter) in found {
            if self.find_counter(counter.limit, counter.customer).is_some() {
                return Err(refused);
            }
            let limit = self.limit(counter.limit).clone();
            self.index_counter(no, &counter, &limit);
        }
        Ok(())
    }
}
