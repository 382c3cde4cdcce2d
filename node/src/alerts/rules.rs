//! Which corrections of the books are abnormal, by size and by rate: a pure function of one shard's events, in their order.
//!
//! Corrections are what changes the books without goods that come or go: adjustments (`set` and write-offs are such), counts that are
//! applied, and repairs after a reconciliation. Promises bounded memory, and that an alert explains itself in one sentence. Reads no
//! clock: time is the events' own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use holdfast_inventory::{EventBody, EventKind, LocationId, LogTime, Sku};

use crate::config::AlertsConfig;

/// Places, SKUs or actors that are watched at once, of each; the one that was quiet for longest is forgotten first.
const MAX_WATCHED: usize = 2_000;
/// Corrections of one place that are told apart; the two oldest count as one at the bound.
const MAX_CORRECTIONS: usize = 256;

/// What is abnormal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// Many units of a SKU at a location, in all and for what was there.
    Size,
    /// Many corrections of one SKU.
    SkuRate,
    /// Many corrections by one actor.
    ActorRate,
}

/// The names of all rules.
pub(crate) const RULES: [&str; 3] = [Rule::Size.name(), Rule::SkuRate.name(), Rule::ActorRate.name()];

impl Rule {
    /// Its name on the wire, and in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::SkuRate => "sku_rate",
            Self::ActorRate => "actor_rate",
        }
    }
}

/// Something abnormal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alert {
    pub(crate) rule: Rule,
    /// The event with which it became abnormal.
    pub(crate) seq: u64,
    /// Of that event.
    pub(crate) time: LogTime,
    /// Empty: several.
    pub(crate) sku: String,
    /// Empty: several.
    pub(crate) location: String,
    /// Whom the commands named, by name.
    pub(crate) actors: Vec<String>,
    /// Units written off or found; 0 where their number does not matter.
    pub(crate) units: u64,
    /// Units that were there before.
    pub(crate) on_hand: u64,
    /// How many corrections.
    pub(crate) corrections: u64,
    /// One sentence with all of it, and the thresholds that were passed.
    pub(crate) sentence: String,
}

/// One correction of one place, or several that count as one.
#[derive(Debug)]
struct Correction {
    time: LogTime,
    actor: String,
    written_off: u64,
    found: u64,
    /// Before it.
    on_hand: u64,
    count: u64,
}

/// When something was corrected, and with whom or what: of one SKU or one actor.
#[derive(Debug, Default)]
struct Rate {
    times: VecDeque<(LogTime, String)>,
    /// Until when nothing more is told of it.
    told_until: LogTime,
}

/// The watcher of one shard.
#[derive(Debug)]
pub(crate) struct Watcher {
    thresholds: AlertsConfig,
    places: BTreeMap<(Sku, LocationId), VecDeque<Correction>>,
    skus: BTreeMap<Sku, Rate>,
    actors: BTreeMap<String, Rate>,
}

impl Watcher {
    pub(crate) const fn new(thresholds: AlertsConfig) -> Self {
        Self { thresholds, places: BTreeMap::new(), skus: BTreeMap::new(), actors: BTreeMap::new() }
    }

    /// Takes in the shard's next event, and tells what is abnormal with it.
    pub(crate) fn take_in(&mut self, event: &EventBody) -> Vec<Alert> {
        let (EventKind::StockAdjusted | EventKind::CountApplied | EventKind::ReconciliationRepaired) = event.kind
        else {
            return Vec::new();
        };
        let actor = event.cause.as_ref().map_or_else(String::new, |cause| cause.actor.clone());
        let mut alerts = Vec::new();
        for ((sku, location), (delta, on_hand)) in places_of(event) {
            let correction = Correction {
                time: event.time,
                actor: actor.clone(),
                written_off: u64::try_from(-delta).unwrap_or(0),
                found: u64::try_from(delta).unwrap_or(0),
                on_hand,
                count: 1,
            };
            alerts.extend(self.by_size(&sku, &location, correction, event));
        }
        let skus: BTreeSet<&Sku> = event.changes.iter().map(|change| &change.sku).collect();
        for sku in skus {
            alerts.extend(self.by_sku(sku, &actor, event));
            if !actor.is_empty() {
                alerts.extend(self.by_actor(&actor, sku, event));
            }
        }
        alerts
    }

    fn window(&self) -> u64 {
        u64::from(self.thresholds.window_min) * 60_000
    }

    fn by_size(
        &mut self,
        sku: &Sku,
        location: &LocationId,
        correction: Correction,
        event: &EventBody,
    ) -> Option<Alert> {
        let AlertsConfig { units, percent, .. } = self.thresholds;
        let began = LogTime(event.time.0.saturating_sub(self.window()));
        if units == 0 {
            return None;
        }
        make_room(&mut self.places, |corrections| corrections.back().map(|last| last.time));
        let corrections = self.places.entry((sku.clone(), location.clone())).or_default();
        corrections.retain(|earlier| earlier.time >= began);
        corrections.push_back(correction);
        if corrections.len() > MAX_CORRECTIONS {
            join_the_oldest(corrections);
        }
        let on_hand = corrections.front().map_or(0, |first| first.on_hand);
        let is_abnormal =
            |sum: u64| sum > units && on_hand > 0 && u128::from(sum) * 100 > u128::from(on_hand) * u128::from(percent);
        let written_off = corrections.iter().map(|of| of.written_off).sum::<u64>();
        let found = corrections.iter().map(|of| of.found).sum::<u64>();
        let (sum, verb) = match () {
            () if is_abnormal(written_off) => (written_off, "written off"),
            () if is_abnormal(found) => (found, "found"),
            () => return None,
        };
        let actors: BTreeSet<String> = corrections.iter().map(|of| of.actor.clone()).collect();
        let span = corrections.front().map_or(0, |first| event.time.0.saturating_sub(first.time.0));
        let count = corrections.iter().map(|of| of.count).sum();
        self.places.remove(&(sku.clone(), location.clone()));
        let of = if verb == "found" {
            format!("{sum} units found beside {on_hand}")
        } else {
            format!("{sum} of {on_hand} units {verb}")
        };
        let share = if percent == 0 { String::new() } else { format!("{percent} % and ") };
        Some(Alert {
            rule: Rule::Size,
            seq: event.seq,
            time: event.time,
            sku: sku.as_str().to_owned(),
            location: location.as_str().to_owned(),
            units: sum,
            on_hand,
            corrections: count,
            sentence: format!(
                "{sku} at {location}: {of} by {} {}; more than {share}{units} units",
                told_actors(&actors),
                told_span(span)
            ),
            actors: named(actors),
        })
    }

    fn by_sku(&mut self, sku: &Sku, actor: &str, event: &EventBody) -> Option<Alert> {
        let (most, minutes, window) = (self.thresholds.corrections, self.thresholds.window_min, self.window());
        make_room(&mut self.skus, Rate::last);
        let with = self.skus.entry(sku.clone()).or_default().take_in(event.time, actor, most, window)?;
        let (count, span) = (with.count, told_span(with.span));
        Some(Alert {
            rule: Rule::SkuRate,
            seq: event.seq,
            time: event.time,
            sku: sku.as_str().to_owned(),
            location: String::new(),
            units: 0,
            on_hand: 0,
            corrections: count,
            sentence: format!(
                "{sku}: {count} corrections by {} {span}; more than {most} in {minutes} min",
                told_actors(&with.others)
            ),
            actors: named(with.others),
        })
    }

    fn by_actor(&mut self, actor: &str, sku: &Sku, event: &EventBody) -> Option<Alert> {
        let (most, minutes, window) = (self.thresholds.corrections, self.thresholds.window_min, self.window());
        make_room(&mut self.actors, Rate::last);
        let rate = self.actors.entry(actor.to_owned()).or_default();
        let with = rate.take_in(event.time, sku.as_str(), most, window)?;
        let (count, span, skus) = (with.count, told_span(with.span), with.others.len());
        let only = Some(with.others).filter(|skus| skus.len() == 1).and_then(|mut skus| skus.pop_first());
        Some(Alert {
            rule: Rule::ActorRate,
            seq: event.seq,
            time: event.time,
            location: String::new(),
            actors: vec![actor.to_owned()],
            units: 0,
            on_hand: 0,
            corrections: count,
            sentence: format!(
                "{actor}: {count} corrections of {} {span}; more than {most} in {minutes} min",
                only.clone().unwrap_or_else(|| format!("{skus} SKUs"))
            ),
            sku: only.unwrap_or_default(),
        })
    }
}

/// What made a rate too high.
struct TooMany {
    count: u64,
    span: u64,
    others: BTreeSet<String>,
}

impl Rate {
    fn last(&self) -> Option<LogTime> {
        self.times.back().map(|(time, _)| *time)
    }

    /// One more; `Some`: these are too many, and nothing is told of it again for as long as the window is.
    fn take_in(&mut self, now: LogTime, other: &str, most: u32, window: u64) -> Option<TooMany> {
        if most == 0 {
            return None;
        }
        self.times.retain(|(time, _)| *time >= LogTime(now.0.saturating_sub(window)));
        self.times.push_back((now, other.to_owned()));
        if self.times.len() <= most as usize {
            return None;
        }
        let first = self.times.pop_front().map(|(time, other)| (now.0.saturating_sub(time.0), other));
        if now < self.told_until {
            return None;
        }
        self.told_until = LogTime(now.0.saturating_add(window));
        let (span, first_other) = first?;
        let others = self.times.iter().map(|(_, other)| other.clone()).chain([first_other]).collect();
        Some(TooMany { count: self.times.len() as u64 + 1, span, others })
    }
}

/// What an event adds to each place, and what was there before of all that it touches.
fn places_of(event: &EventBody) -> BTreeMap<(Sku, LocationId), (i64, u64)> {
    let mut places: BTreeMap<(Sku, LocationId), (i64, u64)> = BTreeMap::new();
    for change in event.changes.iter().filter(|change| change.delta.on_hand != 0) {
        let place = places.entry((change.sku.clone(), change.location.clone())).or_default();
        place.0 = place.0.saturating_add(change.delta.on_hand);
        place.1 = place.1.saturating_add(change.after.on_hand.saturating_add_signed(-change.delta.on_hand));
    }
    places
}

/// Forgets what was quiet for longest, where there is no room for one more.
fn make_room<K: Ord + Clone, V>(watched: &mut BTreeMap<K, V>, last: impl Fn(&V) -> Option<LogTime>) {
    if watched.len() < MAX_WATCHED {
        return;
    }
    // A tenth at once, so that it is seldom done.
    let mut by_age: Vec<(Option<LogTime>, K)> = watched.iter().map(|(key, value)| (last(value), key.clone())).collect();
    by_age.sort();
    for (_, key) in by_age.into_iter().take(MAX_WATCHED / 10) {
        watched.remove(&key);
    }
}

fn join_the_oldest(corrections: &mut VecDeque<Correction>) {
    let Some(oldest) = corrections.pop_front() else { return };
    if let Some(next) = corrections.front_mut() {
        next.written_off = next.written_off.saturating_add(oldest.written_off);
        next.found = next.found.saturating_add(oldest.found);
        next.on_hand = oldest.on_hand;
        next.count += oldest.count;
    }
}

fn named(actors: BTreeSet<String>) -> Vec<String> {
    actors.into_iter().filter(|actor| !actor.is_empty()).collect()
}

fn told_actors(actors: &BTreeSet<String>) -> String {
    let mut named = actors.iter().filter(|actor| !actor.is_empty());
    match (named.next(), actors.len()) {
        (None, _) => "nobody who is named".to_owned(),
        (Some(one), 1) => one.clone(),
        (Some(one), 2) => format!("{one} and another"),
        (Some(one), all) => format!("{one} and {} others", all - 1),
    }
}

/// `at once`, `within 40 s`, `within 2 min`: rounded up.
fn told_span(ms: u64) -> String {
    match ms {
        0 => "at once".to_owned(),
        1..60_000 => format!("within {} s", ms.div_ceil(1_000)),
        _ => format!("within {} min", ms.div_ceil(60_000)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use holdfast_inventory::{Cause, Revision, StockChange, StockCounts, StockDelta};

    use super::*;

    const MINUTE: u64 = 60_000;

    fn thresholds() -> AlertsConfig {
        AlertsConfig { units: 100, percent: 50, corrections: 3, window_min: 10 }
    }

    /// `delta` units of a SKU at `main`, of which `before` were there.
    fn correction(sku: &str, before: u64, delta: i64, actor: &str, at: u64) -> EventBody {
        let counts = StockCounts { on_hand: before.saturating_add_signed(delta), ..StockCounts::default() };
        EventBody {
            seq: at + 1,
            time: LogTime(at),
            kind: EventKind::StockAdjusted,
            command: None,
            cause: Some(Arc::new(Cause { actor: actor.into(), reason: String::new(), reference: String::new() })),
            reservation: None,
            changes: vec![StockChange {
                sku: sku.parse().unwrap(),
                location: "main".parse().unwrap(),
                lot: None,
                delta: StockDelta { on_hand: delta, ..StockDelta::default() },
                after: counts,
                atp_after: 0,
                revision: Revision::default(),
            }],
            subject: None,
        }
    }

    fn sentences(thresholds: AlertsConfig, events: &[EventBody]) -> Vec<String> {
        let mut watcher = Watcher::new(thresholds);
        events.iter().flat_map(|event| watcher.take_in(event)).map(|alert| alert.sentence).collect()
    }

    #[test]
    fn a_write_off_of_most_of_a_place_explains_itself() {
        let told = sentences(thresholds(), &[correction("LIP-01", 500, -400, "ann", 7)]);
        assert_eq!(told, ["LIP-01 at main: 400 of 500 units written off by ann at once; more than 50 % and 100 units"]);
    }

    #[test]
    fn one_that_is_taken_in_slices_adds_up_within_the_window_and_is_told_once() {
        let slices = [
            correction("LIP-01", 500, -200, "ann", 0),
            correction("LIP-01", 300, -50, "bob", MINUTE),
            correction("LIP-01", 250, -10, "ann", 2 * MINUTE),
        ];
        let told = sentences(AlertsConfig { corrections: 0, ..thresholds() }, &slices);
        let sentence = "LIP-01 at main: 260 of 500 units written off by ann and another within 2 min; more than 50 % and 100 units";
        assert_eq!(told, [sentence]);
        let far_apart = [correction("LIP-01", 500, -200, "ann", 0), correction("LIP-01", 300, -60, "ann", 11 * MINUTE)];
        assert!(sentences(thresholds(), &far_apart).is_empty(), "outside of the window");
    }

    #[test]
    fn both_thresholds_must_be_passed_and_what_is_at_them_is_not_past_them() {
        for (before, delta) in [(500, -250), (100, -100), (10_000, -200), (0, 400)] {
            let told = sentences(thresholds(), &[correction("LIP-01", before, delta, "ann", 0)]);
            assert!(told.is_empty(), "{delta} of {before}: {told:?}");
        }
    }

    #[test]
    fn units_that_are_found_where_few_were_are_as_abnormal() {
        let told = sentences(thresholds(), &[correction("LIP-01", 200, 300, "", 0)]);
        let sentence =
            "LIP-01 at main: 300 units found beside 200 by nobody who is named at once; more than 50 % and 100 units";
        assert_eq!(told, [sentence]);
    }

    #[test]
    fn many_corrections_of_one_sku_or_by_one_actor_are_told_once_a_window() {
        let events: Vec<EventBody> = (0..8).map(|at| correction("LIP-01", 50, 1, "ann", at * 20_000)).collect();
        let told = sentences(thresholds(), &events);
        let of_sku = "LIP-01: 4 corrections by ann within 1 min; more than 3 in 10 min";
        assert_eq!(told, [of_sku, "ann: 4 corrections of LIP-01 within 1 min; more than 3 in 10 min"]);
        let spread: Vec<EventBody> =
            (0..4).map(|at| correction(&format!("LIP-{at}"), 50, 1, "ann", at * 1_000)).collect();
        assert_eq!(
            sentences(thresholds(), &spread),
            ["ann: 4 corrections of 4 SKUs within 3 s; more than 3 in 10 min"]
        );
        let slow: Vec<EventBody> = (0..8).map(|at| correction("LIP-01", 50, 1, "ann", at * 4 * MINUTE)).collect();
        assert!(sentences(thresholds(), &slow).is_empty());
    }

    #[test]
    fn a_threshold_of_0_is_off() {
        let off = AlertsConfig { units: 0, corrections: 0, ..thresholds() };
        let events: Vec<EventBody> = (0..9).map(|at| correction("LIP-01", 500, -400, "ann", at)).collect();
        assert!(sentences(off, &events).is_empty());
        let by_units_alone = AlertsConfig { percent: 0, corrections: 0, ..thresholds() };
        let told = sentences(by_units_alone, &[correction("LIP-01", 10_000, -101, "ann", 0)]);
        assert_eq!(told, ["LIP-01 at main: 101 of 10000 units written off by ann at once; more than 100 units"]);
    }

    #[test]
    fn what_comes_and_goes_in_the_course_of_business_is_none() {
        let mut received = correction("LIP-01", 500, -400, "ann", 0);
        for kind in [EventKind::StockReceived, EventKind::ReservationFulfilled, EventKind::StockMoved] {
            received.kind = kind;
            assert!(sentences(thresholds(), std::slice::from_ref(&received)).is_empty(), "{kind}");
        }
    }

    #[test]
    fn the_watcher_is_bounded_in_places_and_in_corrections_of_one() {
        let mut watcher = Watcher::new(AlertsConfig { percent: 100, ..thresholds() });
        for number in 0..=MAX_WATCHED as u64 {
            let _none = watcher.take_in(&correction(&format!("S-{number}"), 50, -1, &format!("a-{number}"), number));
        }
        for at in 0..2 * MAX_CORRECTIONS as u64 {
            let _none = watcher.take_in(&correction("LIP-01", 50, 1, "ann", at));
        }
        assert!(watcher.places.len() <= MAX_WATCHED && watcher.skus.len() <= MAX_WATCHED);
        assert!(watcher.actors.len() <= MAX_WATCHED);
        assert!(watcher.places.values().all(|corrections| corrections.len() <= MAX_CORRECTIONS));
        assert!(watcher.skus.values().all(|rate| rate.times.len() <= 4));
    }
}
