//! Many seeds: one process a seed, several at once. A process of its own keeps what a seed leaves behind in memory from the
//! next one, and can be ended when it does not end by itself.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_mutation::Mutation;
use holdfast_simulator::run::Report;
use serde::Serialize;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};

/// Lines of what a process without a report said, kept for the finding.
const LAST_WORDS: usize = 6;

/// The report of a seed, or what can be said of one that gave none.
pub type Outcome = Result<Report, (Kind, String)>;

/// Which seeds to run, and how.
#[derive(Clone, Debug)]
pub struct Seeds {
    /// The first.
    pub first: u64,
    /// How many, one after the other.
    pub count: u64,
    /// So many at once.
    pub at_once: NonZeroUsize,
    /// A seed's process is ended after this time.
    pub limit: Duration,
    /// What of each run is played, as flags of `holdfast-sim run`.
    pub flags: Vec<String>,
}

/// What many seeds came to.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// The first seed.
    pub first_seed: u64,
    /// How many were run.
    pub seeds: u64,
    /// So many at once.
    pub at_once: usize,
    /// Everything that is not as it must be, over all seeds.
    pub violations: u64,
    /// Simulated seconds.
    pub simulated_s: f64,
    /// Seconds by the clock of this machine.
    pub real_s: f64,
    /// Simulated seconds in a real one, all processes together.
    pub simulated_per_real_s: f64,
    /// Operations that clients asked for.
    pub operations: u64,
    /// Nodes that were replaced.
    pub replaced: u64,
    /// How often each kind of fault has begun.
    pub faults: BTreeMap<String, u64>,
    /// What became of flipped bits, with the fault `one-flipped-bit`.
    pub flipped_bits: FlippedBits,
    /// Bits that have flipped on the way between nodes, by the call that carried them.
    pub flipped_on_the_way: BTreeMap<String, u64>,
    /// The seeds that failed, in order.
    pub failures: Vec<Failure>,
}

/// What became of the one bit that flips in each run that has that fault.
#[derive(Debug, Default, Serialize)]
pub struct FlippedBits {
    /// Runs in which one flipped.
    pub flipped: u64,
    /// How it was first found.
    pub found: BTreeMap<String, u64>,
    /// In how many runs nothing was found, by the folder in which it lay: it was written over, or nothing in use lay there.
    pub unseen: BTreeMap<String, u64>,
}

impl FlippedBits {
    fn add(&mut self, flipped: &str, found: Option<&String>) {
        self.flipped += 1;
        let seen = match found {
            Some(found) => self.found.entry(found.clone()),
            None => {
                let place: Vec<&str> = flipped.split([' ', '/', ':']).filter(|part| *part != "data").collect();
                self.unseen.entry(place.first().copied().unwrap_or_default().to_owned())
            }
        };
        *seen.or_default() += 1;
    }
}

/// A seed that failed.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// Which.
    pub seed: u64,
    /// What kind of failure it is.
    pub kind: Kind,
    /// What runs it again.
    pub replay: String,
    /// What makes it smaller.
    pub shrink: String,
    /// What is not as it must be.
    pub findings: Vec<String>,
}

/// How a seed failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Kind {
    /// Checkers found something.
    #[serde(rename = "violation")]
    Violation,
    /// Its process was ended when its time was over.
    #[serde(rename = "did not end")]
    DidNotEnd,
    /// Its process ended without a report.
    #[serde(rename = "no report")]
    NoReport,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Violation => "violation",
            Self::DidNotEnd => "did not end",
            Self::NoReport => "no report",
        }
    }
}

/// Runs the seeds; each that fails is told on stderr at once.
pub fn run(seeds: &Seeds) -> std::io::Result<Summary> {
    let program: Arc<Path> = std::env::current_exe()?.into();
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut summary = runtime.block_on(run_all(seeds, &program));
    summary.failures.sort_by_key(|failure| failure.seed);
    summary.real_s = begun.elapsed().as_secs_f64();
    summary.simulated_per_real_s = summary.simulated_s / summary.real_s;
    Ok(summary)
}

async fn run_all(seeds: &Seeds, program: &Arc<Path>) -> Summary {
    let Seeds { first, count, at_once, limit, flags } = seeds;
    let (first, count, limit) = (*first, *count, *limit);
    let at_once = at_once.get();
    let mut summary = Summary { first_seed: first, seeds: count, at_once, ..Summary::default() };
    let room = Arc::new(Semaphore::new(at_once));
    let mut under_way = JoinSet::new();
    for nth in 0..count {
        let seed = first.wrapping_add(nth);
        let place = Arc::clone(&room).acquire_owned().await.expect("nobody closes it");
        while let Some(ended) = under_way.try_join_next() {
            summary.take(ended, flags);
        }
        let (program, flags) = (Arc::clone(program), flags.clone());
        under_way.spawn(async move {
            let _place = place;
            (seed, run_one(&program, seed, None, &flags, limit).await)
        });
    }
    while let Some(ended) = under_way.join_next().await {
        summary.take(ended, flags);
    }
    summary
}

/// The report of a seed's process, or what can be said of one that gave none.
pub async fn run_one(
    program: &Path,
    seed: u64,
    mutation: Option<Mutation>,
    flags: &[String],
    limit: Duration,
) -> Outcome {
    let child = Command::new(program)
        .args(["run", "--output", "json", "--seed", &seed.to_string()])
        .args(flags)
        .args(mutation.iter().flat_map(|mutation| ["--mutation", mutation.name()]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| (Kind::NoReport, format!("its process does not start: {error}")))?;
    let output = match tokio::time::timeout(limit, child.wait_with_output()).await {
        Err(_) => return Err((Kind::DidNotEnd, format!("it did not end within {} s of real time", limit.as_secs()))),
        Ok(output) => output.map_err(|error| (Kind::NoReport, format!("its process is lost: {error}")))?,
    };
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let prose = String::from_utf8_lossy(&output.stderr);
        let words: Vec<&str> = prose.lines().filter(|line| !line.is_empty()).collect();
        let last = &words[words.len().saturating_sub(LAST_WORDS)..];
        (Kind::NoReport, format!("its process ends without a report, {}: {}", output.status, last.join(" | ")))
    })
}

impl Summary {
    fn take(&mut self, ended: Result<(u64, Outcome), JoinError>, flags: &[String]) {
        let (seed, report) = match ended {
            Ok(ended) => ended,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let before = self.failures.len();
        self.add(seed, report, flags);
        for failure in &self.failures[before..] {
            eprintln!("{}", failure.lines().join("\n"));
        }
    }

    fn add(&mut self, seed: u64, report: Outcome, flags: &[String]) {
        let (kind, findings) = match report {
            Err((kind, finding)) => (kind, vec![finding]),
            Ok(report) => {
                self.simulated_s += report.simulated_s;
                self.operations += report.operations;
                self.replaced += report.replaced;
                if let Some(flipped) = &report.flipped {
                    self.flipped_bits.add(flipped, report.rot_found.as_ref());
                }
                for (call, count) in report.flipped_on_the_way {
                    *self.flipped_on_the_way.entry(call).or_default() += count;
                }
                for (kind, count) in report.faults {
                    *self.faults.entry(kind).or_default() += count;
                }
                (Kind::Violation, report.findings)
            }
        };
        self.violations += findings.len() as u64;
        if !findings.is_empty() {
            let flags: String = flags.iter().map(|flag| format!(" {flag}")).collect();
            let replay = format!("holdfast-sim run --seed {seed}{flags}");
            let shrink = format!("holdfast-sim shrink --seed {seed}{flags}");
            self.failures.push(Failure { seed, kind, replay, shrink, findings });
        }
    }

    /// The summary for people.
    pub fn table(&self) -> String {
        let mut lines = vec![
            format!("seeds       {} from {} on", self.seeds, self.first_seed),
            format!("violations  {}", self.violations),
            format!(
                "simulated   {:.1} s in {:.1} s, {:.1} a second, {} at once",
                self.simulated_s, self.real_s, self.simulated_per_real_s, self.at_once
            ),
            format!("operations  {}", self.operations),
            format!("replaced    {} nodes", self.replaced),
        ];
        let FlippedBits { flipped, found, unseen } = &self.flipped_bits;
        if *flipped > 0 {
            lines.push(format!("flipped     {flipped} bits, found {found:?}, unseen where nothing is read {unseen:?}"));
        }
        if !self.flipped_on_the_way.is_empty() {
            lines.push(format!("flipped     on the way between nodes {:?}", self.flipped_on_the_way));
        }
        lines.extend(self.faults.iter().map(|(kind, count)| format!("fault       {count:>5} {kind}")));
        lines.extend(self.failures.iter().flat_map(Failure::lines));
        lines.join("\n")
    }
}

impl Failure {
    fn lines(&self) -> Vec<String> {
        let head = format!("FAILS       {} ({})", self.replay, self.kind.name());
        let shrink = format!("shrink      {}", self.shrink);
        [head, shrink].into_iter().chain(self.findings.iter().map(|finding| format!("  {finding}"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_that_failed_comes_with_the_commands_that_replay_and_shrink_it() {
        let mut summary = Summary::default();
        summary.add(6, Ok(Report::default()), &[]);
        summary.add(7, Ok(Report { findings: vec!["holds: lost".to_owned()], ..Report::default() }), &[]);
        let table = summary.table();
        let expected = "FAILS       holdfast-sim run --seed 7 (violation)\nshrink      holdfast-sim shrink --seed 7\n";
        assert!(table.contains(expected), "{table}");
        assert!(!table.contains("--seed 6"));
    }

    #[test]
    fn flipped_bits_are_counted_by_how_they_were_found_or_where_they_lay() {
        let mut bits = FlippedBits::default();
        bits.add("data/log/3.segment at 512", Some(&"on read".to_owned()));
        bits.add("state: chunks", Some(&"at start".to_owned()));
        bits.add("data/changes/group-2/1.changes at 7", None);
        bits.add("data/log/4.segment at 512", None);
        let counts = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        assert_eq!(bits.flipped, 4);
        assert_eq!(bits.found, counts(&[("at start", 1), ("on read", 1)]));
        assert_eq!(bits.unseen, counts(&[("changes", 1), ("log", 1)]));
    }

    #[test]
    fn a_seed_that_does_not_end_is_a_violation_of_its_own_kind_with_its_replay() {
        let limit = Duration::from_millis(10);
        let seeds = Seeds { first: 7, count: 1, at_once: NonZeroUsize::MIN, limit, flags: Vec::new() };
        // Any program that does not end: it is given arguments, and waits for more.
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("endless");
        std::fs::write(&program, "#!/bin/sh\nexec sleep 600\n").unwrap();
        make_executable(&program);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let summary = runtime.block_on(run_all(&seeds, &program.into()));
        assert_eq!(summary.violations, 1);
        let failure = &summary.failures[0];
        assert_eq!((failure.seed, failure.kind), (7, Kind::DidNotEnd));
        assert_eq!(failure.replay, "holdfast-sim run --seed 7");
        assert_eq!(serde_json::to_value(failure).unwrap()["kind"], "did not end");
    }

    fn make_executable(path: &Path) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
}
