//! What this node is asked, and what it answers: counts by outcome, times, and the SKUs that are hot. Nothing is noted where no HTTP
//! address is configured, since nobody could ask for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use holdfast_proto::v1::command::Operation;
use holdfast_proto::v1::command_result::Outcome;
use holdfast_proto::v1::{Command, CommandError, CommandResult, ErrorReason, RequestSums, Retry};
use metrics::{Counter, Histogram};
use tokio::time::Instant;

use super::hot::Hot;
use super::table::{DETAIL, REQUEST_TIME, REQUESTS};

/// A read, among the kinds of requests.
const READ: &str = "read";
/// What is longer, or more, is refused; and would be kept.
const MAX_SKU_BYTES: usize = 64;
const MAX_LINES: usize = 100;

/// What is noted of requests.
#[derive(Debug)]
pub(crate) struct Requests {
    noted: Option<Noted>,
}

/// Places of the list of times: up to 100 µs times 2 to the power of 19.5, which is 74 s.
const TIMES: usize = 40;
/// The bound of the first of them.
const SHORTEST_US: f64 = 100.0;

/// Sums over all commands, for who asks a node for its status.
#[derive(Debug)]
struct Sums {
    done: AtomicU64,
    refused: AtomicU64,
    undecided: AtomicU64,
    took: [AtomicU64; TIMES],
}

impl Default for Sums {
    fn default() -> Self {
        let none = AtomicU64::default;
        Self { done: none(), refused: none(), undecided: none(), took: std::array::from_fn(|_| none()) }
    }
}

impl Sums {
    fn answered(&self, reason: ErrorReason) {
        let sum = match (reason, reason.faces().retry) {
            (ErrorReason::Unspecified, _) => &self.done,
            (_, Retry::SameKey) => &self.undecided,
            _ => &self.refused,
        };
        sum.fetch_add(1, Ordering::Relaxed);
    }

    fn took(&self, time: Duration) {
        self.took[place_of(time)].fetch_add(1, Ordering::Relaxed);
    }

    fn shown(&self) -> RequestSums {
        let get = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
        RequestSums {
            done: get(&self.done),
            refused: get(&self.refused),
            undecided: get(&self.undecided),
            took: self.took.iter().map(get).collect(),
        }
    }
}

/// The place of a time among the sums.
fn place_of(time: Duration) -> usize {
    let ratio = (time.as_secs_f64() * 1e6 / SHORTEST_US).max(1.0);
    // Half a power of two from one place to the next; some 40 at most.
    ((2.0 * ratio.log2()).ceil() as usize).min(TIMES - 1)
}

#[derive(Debug)]
struct Noted {
    sums: Sums,
    /// By what was asked, and by the reason why it was not done; `Unspecified`: it was.
    answered: RwLock<BTreeMap<(&'static str, i32), Counter>>,
    commands_took: Histogram,
    reads_took: Histogram,
    reserved: Mutex<Hot>,
    refused: Mutex<Hot>,
}

/// What a request asks for, kept until it is answered.
#[derive(Debug)]
pub(crate) struct Asked {
    began: Instant,
    commands: Vec<(&'static str, Vec<Arc<str>>)>,
}

impl Requests {
    /// Notes, or does not.
    pub(crate) fn new(is_noted: bool) -> Self {
        let noted = is_noted.then(|| Noted {
            sums: Sums::default(),
            answered: RwLock::default(),
            commands_took: metrics::histogram!(REQUEST_TIME, "request" => "commands"),
            reads_took: metrics::histogram!(REQUEST_TIME, "request" => READ),
            reserved: Mutex::new(Hot::new(Instant::now())),
            refused: Mutex::new(Hot::new(Instant::now())),
        });
        Self { noted }
    }

    /// Commands are asked for.
    pub(crate) fn asked(&self, commands: &[Command]) -> Option<Asked> {
        self.noted.as_ref()?;
        let commands = commands.iter().map(|command| (name_of(command.operation.as_ref()), reserved_by(command)));
        Some(Asked { began: Instant::now(), commands: commands.collect() })
    }

    /// They are answered: each by itself, or all by one error.
    pub(crate) fn answered(&self, asked: Option<Asked>, answered: Result<&[CommandResult], &CommandError>) {
        let (Some(noted), Some(Asked { began, commands })) = (&self.noted, asked) else { return };
        let now = Instant::now();
        noted.commands_took.record(now.duration_since(began).as_secs_f64());
        noted.sums.took(now.duration_since(began));
        for (place, (name, skus)) in commands.iter().enumerate() {
            let reason = match answered {
                Ok(results) => results.get(place).map_or(ErrorReason::OutcomeUnknown, reason_of),
                Err(error) => error.reason(),
            };
            noted.count(name, reason);
            noted.sums.answered(reason);
            if skus.is_empty() {
                continue;
            }
            let mut reserved = lock(&noted.reserved);
            skus.iter().for_each(|sku| reserved.note(sku, now));
            drop(reserved);
            if reason != ErrorReason::Unspecified {
                let mut refused = lock(&noted.refused);
                skus.iter().for_each(|sku| refused.note(sku, now));
            }
        }
    }

    /// Sums over all commands; `None`: none are noted.
    pub(crate) fn sums(&self) -> Option<RequestSums> {
        self.noted.as_ref().map(|noted| noted.sums.shown())
    }

    /// A read that began then is answered.
    pub(crate) fn read(&self, began: Instant, answered: Result<(), &CommandError>) {
        let Some(noted) = &self.noted else { return };
        noted.reads_took.record(began.elapsed().as_secs_f64());
        noted.count(READ, answered.err().map_or(ErrorReason::Unspecified, CommandError::reason));
    }

    /// The SKUs that are hot here, as Prometheus reads them: at most fifty of each kind.
    pub(crate) fn detail(&self) -> String {
        let mut text = String::new();
        let Some(noted) = &self.noted else { return text };
        let now = Instant::now();
        for (metric, hot) in DETAIL.iter().zip([&noted.reserved, &noted.refused]) {
            let (name, help) = (metric.name, metric.help);
            let _infallible = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
            for (sku, count) in lock(hot).top(now) {
                let sku = sku.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                let _infallible = writeln!(text, "{name}{{sku=\"{sku}\"}} {count}");
            }
        }
        text
    }
}

impl Noted {
    fn count(&self, name: &'static str, reason: ErrorReason) {
        let key = (name, i32::from(reason));
        if let Some(counter) = self.answered.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            counter.increment(1);
            return;
        }
        let outcome = if reason == ErrorReason::Unspecified { "done".to_owned() } else { reason.name().to_lowercase() };
        let counter = metrics::counter!(REQUESTS, "request" => name, "outcome" => outcome);
        counter.increment(1);
        self.answered.write().unwrap_or_else(PoisonError::into_inner).insert(key, counter);
    }
}

fn lock(hot: &Mutex<Hot>) -> MutexGuard<'_, Hot> {
    hot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why it was not done; `Unspecified`: it was.
fn reason_of(result: &CommandResult) -> ErrorReason {
    match &result.outcome {
        Some(Outcome::Success(_)) => ErrorReason::Unspecified,
        Some(Outcome::Error(error)) if error.reason() != ErrorReason::Unspecified => error.reason(),
        Some(Outcome::Error(_)) | None => ErrorReason::OutcomeUnknown,
    }
}

/// The SKUs that a reserve is about.
fn reserved_by(command: &Command) -> Vec<Arc<str>> {
    match &command.operation {
        Some(Operation::Reserve(reserve)) => {
            let skus = reserve.lines.iter().take(MAX_LINES).map(|line| line.sku.as_str());
            skus.filter(|sku| (1..=MAX_SKU_BYTES).contains(&sku.len())).map(Arc::from).collect()
        }
        _ => Vec::new(),
    }
}

/// What a command is called in metrics.
const fn name_of(operation: Option<&Operation>) -> &'static str {
    match operation {
        Some(operation) => operation.name(),
        None => "nothing",
    }
}

#[cfg(test)]
mod tests {
    use holdfast_proto::v1::{CommandSuccess, Line, Reserve};

    use super::*;

    fn reserve(sku: &str) -> Command {
        let line = Line { sku: sku.to_owned(), ..Line::default() };
        let operation = Operation::Reserve(Reserve { lines: vec![line], ..Reserve::default() });
        Command { operation: Some(operation), ..Command::default() }
    }

    fn result(outcome: Outcome) -> CommandResult {
        CommandResult { outcome: Some(outcome), ..CommandResult::default() }
    }

    #[test]
    fn hot_skus_are_told_with_those_that_were_refused_and_quoted_as_prometheus_reads_them() {
        let requests = Requests::new(true);
        let commands = [reserve("LIP-01"), reserve("a \"b\"\\")];
        let sold_out = CommandError::of(ErrorReason::InsufficientStock, "none left");
        let results = [result(Outcome::Success(CommandSuccess::default())), result(Outcome::Error(sold_out))];
        requests.answered(requests.asked(&commands), Ok(&results));
        let told = requests.detail();
        assert!(told.contains("holdfast_hot_sku_reserves{sku=\"LIP-01\"} 1"), "{told}");
        assert!(told.contains("holdfast_hot_sku_refusals{sku=\"a \\\"b\\\"\\\\\"} 1"), "{told}");
        assert!(!told.contains("holdfast_hot_sku_refusals{sku=\"LIP-01\"}"), "{told}");
    }

    #[test]
    fn the_sums_tell_what_was_refused_for_good_from_what_may_be_asked_again() {
        let requests = Requests::new(true);
        let of = |reason| result(Outcome::Error(CommandError::of(reason, "")));
        let commands = [reserve("A"), reserve("A"), reserve("A")];
        let done = result(Outcome::Success(CommandSuccess::default()));
        let results = [done, of(ErrorReason::InsufficientStock), of(ErrorReason::Overloaded)];
        requests.answered(requests.asked(&commands), Ok(&results));
        let sums = requests.sums().unwrap();
        assert_eq!((sums.done, sums.refused, sums.undecided), (1, 1, 1));
        assert_eq!(sums.took.iter().sum::<u64>(), 1, "they were one request");
    }

    #[test]
    fn times_have_places_of_half_a_power_of_two() {
        let place = |us| place_of(Duration::from_micros(us));
        assert_eq!([0, 99, 100, 101, 141, 142, 200, 201].map(place), [0, 0, 0, 1, 1, 2, 2, 3]);
        assert_eq!(place(u64::MAX / 2), TIMES - 1);
    }

    #[test]
    fn nothing_is_kept_where_nobody_can_ask_for_it() {
        let requests = Requests::new(false);
        assert!(requests.asked(&[reserve("LIP-01")]).is_none());
        assert_eq!(requests.detail(), "");
    }
}
