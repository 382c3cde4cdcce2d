//! Many seeds: one process a seed, as many at once as there are cores. A process of its own keeps what a seed leaves behind
//! in memory from the next one.

use std::collections::{BTreeMap, VecDeque};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use holdfast_mutation::Mutation;
use holdfast_simulator::run::Report;
use serde::Serialize;

/// What many seeds came to.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// The first seed.
    pub first_seed: u64,
    /// How many were run.
    pub seeds: u64,
    /// Everything that is not as it must be, over all seeds.
    pub violations: u64,
    /// Simulated seconds.
    pub simulated_s: f64,
    /// Seconds by the clock of this machine.
    pub real_s: f64,
    /// Simulated seconds in a real one, all processes together.
    pub simulated_per_real: f64,
    /// Operations that clients asked for.
    pub operations: u64,
    /// Nodes that were replaced.
    pub replaced: u64,
    /// How often each kind of fault has begun.
    pub faults: BTreeMap<String, u64>,
    /// The seeds that failed, in order.
    pub failures: Vec<Failure>,
}

/// A seed that failed.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// Which.
    pub seed: u64,
    /// What runs it again.
    pub replay: String,
    /// What makes it smaller.
    pub shrink: String,
    /// What is not as it must be.
    pub findings: Vec<String>,
}

/// Runs `count` seeds from `first` on.
pub fn run(first: u64, count: u64) -> std::io::Result<Summary> {
    let program = std::env::current_exe()?;
    let begun = Instant::now();
    let waiting: Mutex<VecDeque<u64>> = Mutex::new((0..count).map(|nth| first.wrapping_add(nth)).collect());
    let reports = Mutex::new(BTreeMap::new());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(seed) = next() {
                    let report = run_one(&program, seed, None);
                    reports.lock().unwrap_or_else(PoisonError::into_inner).insert(seed, report);
                }
            });
        }
    });
    let mut summary = Summary { first_seed: first, seeds: count, ..Summary::default() };
    for (seed, report) in reports.into_inner().unwrap_or_else(PoisonError::into_inner) {
        summary.add(seed, report);
    }
    summary.real_s = begun.elapsed().as_secs_f64();
    summary.simulated_per_real = summary.simulated_s / summary.real_s;
    Ok(summary)
}

/// The report of a seed's process, or what can be said of one that gave none.
pub fn run_one(program: &std::path::Path, seed: u64, mutation: Option<Mutation>) -> Result<Report, String> {
    let output = Command::new(program)
        .args(["run", "--output", "json", "--seed", &seed.to_string()])
        .args(mutation.iter().flat_map(|mutation| ["--mutation", mutation.name()]))
        .output()
        .map_err(|error| format!("its process does not start: {error}"))?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let prose = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = prose.lines().filter(|line| !line.is_empty()).take(6).collect();
        format!("its process ends without a report, {}: {}", output.status, last.join(" | "))
    })
}

impl Summary {
    fn add(&mut self, seed: u64, report: Result<Report, String>) {
        let findings = match report {
            Err(finding) => vec![finding],
            Ok(report) => {
                self.simulated_s += report.simulated_s;
                self.operations += report.operations;
                self.replaced += report.replaced;
                for (kind, count) in report.faults {
                    *self.faults.entry(kind).or_default() += count;
                }
                report.findings
            }
        };
        self.violations += findings.len() as u64;
        if !findings.is_empty() {
            let replay = format!("holdfast-sim run --seed {seed}");
            self.failures.push(Failure {
                seed,
                replay,
                shrink: format!("holdfast-sim shrink --seed {seed}"),
                findings,
            });
        }
    }

    /// The summary for people.
    pub fn table(&self) -> String {
        let mut lines = vec![
            format!("seeds       {} from {} on", self.seeds, self.first_seed),
            format!("violations  {}", self.violations),
            format!(
                "simulated   {:.1} s in {:.1} s, {:.1} a second",
                self.simulated_s, self.real_s, self.simulated_per_real
            ),
            format!("operations  {}", self.operations),
            format!("replaced    {} nodes", self.replaced),
        ];
        lines.extend(self.faults.iter().map(|(kind, count)| format!("fault       {count:>5} {kind}")));
        for failure in &self.failures {
            lines.push(format!("FAILS       {}", failure.replay));
            lines.push(format!("shrink      {}", failure.shrink));
            lines.extend(failure.findings.iter().map(|finding| format!("  {finding}")));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_that_failed_comes_with_the_commands_that_replay_and_shrink_it() {
        let mut summary = Summary::default();
        summary.add(6, Ok(Report::default()));
        summary.add(7, Ok(Report { findings: vec!["holds: lost".to_owned()], ..Report::default() }));
        let table = summary.table();
        assert!(table.contains("FAILS       holdfast-sim run --seed 7\nshrink      holdfast-sim shrink --seed 7\n"));
        assert!(!table.contains("--seed 6"));
    }
}
