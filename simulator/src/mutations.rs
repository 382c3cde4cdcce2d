//! Sees every checker fail: breaks Holdfast on purpose, one mutation after the other, and counts the seeds until it is noticed.
//!
//! A seed counts as having caught a mutation only if the same seed is clean without it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use holdfast_mutation::{Mutation, Shows};
use holdfast_simulator::shrink::kind_of;
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::seeds::{self, Kind};

/// What became of one mutation.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Which.
    pub name: &'static str,
    /// What it breaks.
    pub breaks: &'static str,
    /// Under which kinds of faults it was looked for; `None`: under those that each seed draws.
    pub faults: Option<&'static str>,
    /// Who noticed first; `None`: nobody.
    pub caught_by: Option<String>,
    /// How many seeds were run, the one that caught it included.
    pub seeds: u64,
    /// Seeds that fail without it too, and do not count.
    pub spoiled: u64,
    /// The seed that caught it.
    pub seed: Option<u64>,
    /// What was noticed.
    pub finding: Option<String>,
    /// Why no seed's trace differs with it, where that is as it must be.
    pub harmless: Option<&'static str>,
    /// Seconds by the clock of this machine.
    pub real_s: f64,
}

/// Runs each mutation on the seeds from `first` on, at most `most` of them, until one catches it.
pub fn run(mutations: &[Mutation], first: u64, most: u64, limit: Duration) -> io::Result<Vec<Outcome>> {
    let program = std::env::current_exe()?;
    let waiting: Mutex<VecDeque<Mutation>> = Mutex::new(mutations.iter().copied().collect());
    let outcomes = Mutex::new(BTreeMap::new());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    std::thread::scope(|scope| -> io::Result<()> {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            scope.spawn(|| {
                let runtime = runtime;
                while let Some(mutation) = next() {
                    let outcome = hunt(&runtime, &program, mutation, first, most, limit);
                    eprintln!("{}", outcome.line());
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).insert(mutation, outcome);
                }
            });
        }
        Ok(())
    })?;
    Ok(outcomes.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect())
}

/// So many seeds show that a mutation has no effect, or as many as may be run.
const HARMLESS_SEEDS: usize = 20;

/// The kinds of faults under which a mutation is looked for, where what it breaks is reached only when several things happen in
/// order: a drawn run has them too, but seldom nothing else in between.
const fn faults_for(mutation: Mutation) -> Option<&'static str> {
    match mutation {
        Mutation::OlderCopyVotes => Some("older-life"),
        Mutation::RotAsTorn => Some("rot-at-the-end-of-the-log"),
        Mutation::RotServed => Some("rot-that-a-laggard-reads"),
        Mutation::Openraft1802 => Some("followers-overtaken"),
        Mutation::VoteAfterLog => Some("forgotten-vote"),
        Mutation::PeerChecksumIgnored => Some("noise-between-nodes"),
        // Where clocks are far apart nobody can say who may still come.
        Mutation::TooManyLetIn => Some("kill"),
        _ => None,
    }
}

fn hunt(runtime: &Runtime, program: &Path, mutation: Mutation, first: u64, most: u64, limit: Duration) -> Outcome {
    let begun = Instant::now();
    let mut outcome = Outcome {
        name: mutation.name(),
        breaks: mutation.breaks(),
        faults: faults_for(mutation),
        caught_by: None,
        seeds: 0,
        spoiled: 0,
        seed: None,
        finding: None,
        harmless: None,
        real_s: 0.0,
    };
    let seeds = (0..most).map(|nth| first.wrapping_add(nth));
    let trace = |seed, mutation| {
        runtime.block_on(seeds::run_one(program, seed, mutation, &[], limit)).ok().map(|report| report.trace_hash)
    };
    match mutation.shows() {
        Shows::ToAChecker => hunt_by_checkers(runtime, program, mutation, seeds, limit, &mut outcome),
        Shows::InTheTrace => {
            for seed in seeds {
                outcome.seeds += 1;
                let (once, again) = (trace(seed, Some(mutation)), trace(seed, Some(mutation)));
                // A run without a report, which was ended when its time was over, tells nothing.
                if once.is_some() && again.is_some() && once != again {
                    outcome.caught_by = Some("determinism".to_owned());
                    outcome.seed = Some(seed);
                    outcome.finding = Some("run again, the seed gives another trace".to_owned());
                    break;
                }
            }
        }
        Shows::Never(why) => {
            for seed in seeds.take(HARMLESS_SEEDS) {
                outcome.seeds += 1;
                let Some(plain) = trace(seed, None) else {
                    outcome.spoiled += 1;
                    continue;
                };
                if trace(seed, Some(mutation)) != Some(plain) {
                    outcome.seed = Some(seed);
                    break;
                }
            }
            outcome.harmless = (outcome.seed.is_none() && outcome.seeds > outcome.spoiled).then_some(why);
        }
    }
    outcome.real_s = begun.elapsed().as_secs_f64();
    outcome
}

fn hunt_by_checkers(
    runtime: &Runtime,
    program: &Path,
    mutation: Mutation,
    seeds: impl Iterator<Item = u64>,
    limit: Duration,
    outcome: &mut Outcome,
) {
    let flags: Vec<String> =
        outcome.faults.iter().flat_map(|kinds| ["--faults".to_owned(), (*kinds).to_owned()]).collect();
    for seed in seeds {
        outcome.seeds += 1;
        let found = findings(runtime, program, seed, Some(mutation), &flags, limit);
        let Some(finding) = proof(&found) else { continue };
        if !findings(runtime, program, seed, None, &flags, limit).is_empty() {
            outcome.spoiled += 1;
            continue;
        }
        outcome.caught_by = Some(kind_of(finding));
        outcome.seed = Some(seed);
        outcome.finding = Some(finding.clone());
        break;
    }
}

fn findings(
    runtime: &Runtime,
    program: &Path,
    seed: u64,
    mutation: Option<Mutation>,
    flags: &[String],
    limit: Duration,
) -> Vec<String> {
    match runtime.block_on(seeds::run_one(program, seed, mutation, flags, limit)) {
        Ok(report) => report.findings,
        Err((Kind::DidNotEnd, finding)) => vec![format!("did_not_end: {finding}")],
        Err((_, finding)) => vec![finding],
    }
}

/// The finding that proves a mutation: a checker's rather than the run's own, which sees only that something has stopped.
/// What could not be decided proves nothing, nor does a run that was ended when its time was over.
fn proof(found: &[String]) -> Option<&String> {
    let proves = |finding: &&String| {
        let kind = kind_of(finding);
        !kind.ends_with("-undecided") && kind != "did_not_end"
    };
    let of_a_checker = found.iter().filter(proves).find(|finding| kind_of(finding) != "run");
    of_a_checker.or_else(|| found.iter().find(proves))
}

impl Outcome {
    /// Whether it was noticed, or has no effect where it must have none.
    pub fn is_as_it_must_be(&self) -> bool {
        self.caught_by.is_some() || self.harmless.is_some()
    }

    /// The outcome for people.
    pub fn line(&self) -> String {
        let name = self.name;
        if let Some(why) = self.harmless {
            return format!("{name:<26} without effect on the traces of {} seeds: {why}", self.seeds);
        }
        match (&self.caught_by, self.seed, &self.finding) {
            (Some(by), Some(seed), Some(finding)) => {
                format!("{name:<26} caught by {by} after {} seeds (seed {seed}): {finding}", self.seeds)
            }
            (None, Some(seed), _) => format!("{name:<26} CHANGES the trace of seed {seed}, and must change none"),
            _ => format!("{name:<26} NOT CAUGHT in {} seeds", self.seeds),
        }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_simulator::run::{FaultKind, Only};

    use super::*;

    fn proof_of(findings: &[&str]) -> Option<String> {
        let findings: Vec<String> = findings.iter().map(|finding| (*finding).to_owned()).collect();
        proof(&findings).cloned()
    }

    #[test]
    fn the_faults_that_a_mutation_is_looked_for_under_are_there() {
        for kinds in Mutation::ALL.iter().filter_map(|mutation| faults_for(*mutation)) {
            assert!(kinds.parse::<Only<FaultKind>>().is_ok(), "{kinds}");
        }
    }

    #[test]
    fn a_checker_proves_more_than_a_run_that_stops() {
        let stopped = "the stock cannot be listed: refused";
        let found = "replicas: group 1: nodes 1 and 2 differ";
        assert_eq!(proof_of(&[stopped, found]).as_deref(), Some(found));
        assert_eq!(proof_of(&[stopped]).as_deref(), Some(stopped));
    }

    #[test]
    fn what_could_not_be_decided_in_time_or_at_all_proves_nothing() {
        assert_eq!(proof_of(&["linearizable: undecided: too long", "did_not_end: within 60 s"]), None);
        assert_eq!(proof_of(&[]), None);
    }
}
