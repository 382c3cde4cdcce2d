//! The `holdfast-sim` command: runs a cluster in simulation, one seed a process, or lets faults happen to a real one.

mod chaos_verb;
mod mutations;
mod seeds;
mod shrinking;

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use holdfast_mutation::{CAN_BREAK, Mutation, switch_on};
use holdfast_simulator::checkers::check_history;
use holdfast_simulator::history::{self, HistoryError};
use holdfast_simulator::run::{Part, Report, RunOptions, run};
use seeds::Seeds;
use tracing::Level;

use chaos_verb::ChaosArguments;

/// Runs Holdfast in simulation: several nodes and their clients on one thread, with nothing real outside of them.
#[derive(Debug, Parser)]
#[command(name = "holdfast-sim", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs a seed, or many: a small shop, and everything going wrong that a network, disks, clocks and machines can do;
    /// then everything heals, must serve again in time, and is judged.
    ///
    /// Exit status: 0 all is as it must be; 1 something is not, named in the report; 2 the run could not begin.
    Run(RunArguments),
    /// Makes the run of a seed that fails as small as it can be and still fail: without kinds of faults, without workloads, in
    /// less time, each tried in a process of its own. Then writes what clients saw in it, the shortest history that still
    /// fails, and a page that shows what happened.
    ///
    /// Exit status: 0 it was made smaller, or nothing could be left out; 1 the seed does not fail; 2 it could not be tried.
    Shrink(shrinking::ShrinkArguments),
    /// Lets customers shop in a cluster of real processes while these are killed and stopped, and their links, drives and
    /// clocks go wrong; then everything heals, must serve again in time, and is judged.
    ///
    /// Exit status: 0 all is as it must be; 1 something is not, named in the report; 2 the run could not begin.
    Chaos(ChaosArguments),
    /// Judges a history that `run --history` or `chaos --history` wrote, as far as a history alone tells.
    ///
    /// Exit status: 0 all is as it must be; 1 something is not, or could not be decided; 2 the file is no history.
    Check(CheckArguments),
    /// Breaks Holdfast on purpose, one mutation after the other, and counts the seeds until a checker notices. Needs a build
    /// that can be broken: `cargo xtask mutations` makes one and runs this.
    ///
    /// Exit status: 0 all were caught, or change nothing where they must not; 1 one was not; 2 this build cannot be broken.
    Mutations(MutationsArguments),
}

#[derive(Debug, clap::Args)]
struct MutationsArguments {
    /// Only these; all if none is named.
    #[arg(value_name = "NAME")]
    only: Vec<Mutation>,
    /// The most seeds for one.
    #[arg(long, value_name = "N", default_value_t = 200)]
    seeds: u64,
    /// The first of the seeds.
    #[arg(long, value_name = "S", default_value_t = 1)]
    first_seed: u64,
    /// Real seconds that a seed may take; one that takes longer has noticed that something is wrong.
    #[arg(long, value_name = "S", default_value_t = 120)]
    limit_s: u64,
    /// The form of the outcome on stdout.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, clap::Args)]
struct CheckArguments {
    /// The history.
    file: PathBuf,
    /// Only what this checker finds; a history that was cut for one may be bad to others.
    #[arg(long, value_name = "NAME")]
    checker: Option<String>,
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// What everything is drawn from: the same seed gives the same run, to the same trace. Drawn at random if not given.
    #[arg(long, conflicts_with_all = ["seeds", "first_seed"])]
    seed: Option<u64>,
    /// Runs so many seeds, each in a process of its own.
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// The first of the seeds; drawn at random if not given, and printed.
    #[arg(long, value_name = "S", requires = "seeds")]
    first_seed: Option<u64>,
    /// So many of the seeds at once; as many as there are cores if not given.
    #[arg(long, value_name = "N", requires = "seeds")]
    at_once: Option<NonZeroUsize>,
    /// Real seconds that one of the seeds may take; one that takes longer did not end, which is a violation.
    #[arg(long, value_name = "S", requires = "seeds", default_value_t = 600)]
    limit_s: u64,
    /// Breaks Holdfast in this way, in a build that can be broken: a checker must notice.
    #[arg(long, value_name = "NAME", conflicts_with = "seeds")]
    mutation: Option<Mutation>,
    #[command(flatten)]
    part: Part,
    /// Writes the trace's lines to this file.
    #[arg(long, value_name = "FILE", conflicts_with = "seeds")]
    trace: Option<PathBuf>,
    /// Writes what the clients asked and were told to this file, for `holdfast-sim check`.
    #[arg(long, value_name = "FILE", conflicts_with = "seeds")]
    history: Option<PathBuf>,
    /// Writes a page to this file that shows what happened: nodes, faults and every call, on one axis of time.
    #[arg(long, value_name = "FILE", conflicts_with = "seeds")]
    timeline: Option<PathBuf>,
    /// Writes what happened to the nodes to this file, as JSON.
    #[arg(long, value_name = "FILE", conflicts_with = "seeds")]
    events: Option<PathBuf>,
    /// Prints the simulated processes' messages of this level and above to stderr.
    #[arg(long, value_name = "LEVEL", conflicts_with = "seeds")]
    log: Option<Level>,
    /// The form of the report on stdout.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// A run makes and drops very many small things.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Table,
    Json,
}

fn main() -> ExitCode {
    match Arguments::parse().verb {
        Verb::Run(arguments) => match arguments.seeds {
            Some(count) => run_many(count, &arguments),
            None => run_seed(arguments),
        },
        Verb::Shrink(arguments) => shrinking::run(&arguments).unwrap_or_else(|error| fail(&error)),
        Verb::Chaos(arguments) => arguments.run(),
        Verb::Check(arguments) => check(&arguments),
        Verb::Mutations(arguments) => run_mutations(&arguments),
    }
}

fn run_seed(arguments: RunArguments) -> ExitCode {
    let RunArguments { seed, mutation, part, trace, history, timeline, events, log, output, .. } = arguments;
    if let Some(Err(error)) = mutation.map(switch_on) {
        return fail(&error);
    }
    let seed = seed.unwrap_or_else(random_seed);
    let replay = shrinking::replay(seed, mutation, &part);
    let options = RunOptions { seed, part, trace, history, events, timeline, replay, printed: log };
    let report = match run(&options) {
        Ok(report) => report,
        Err(error) => return fail(&error),
    };
    let text = match output {
        Output::Json => serde_json::to_string_pretty(&report).expect("a report of numbers and words is JSON"),
        Output::Table => table(&report),
    };
    // A reader that has gone away is no failure of the run.
    let _ = writeln!(std::io::stdout(), "{text}");
    if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check(arguments: &CheckArguments) -> ExitCode {
    let file = std::fs::File::open(&arguments.file).map_err(HistoryError::from);
    let (history, bound) = match file.and_then(|file| history::read(std::io::BufReader::new(file))) {
        Ok(read) => read,
        Err(error) => return fail(&error),
    };
    let mut findings = check_history(&history, &bound);
    findings.retain(|finding| arguments.checker.as_ref().is_none_or(|checker| finding.checker == checker));
    let lines: Vec<String> = match findings.as_slice() {
        [] => vec![format!("verdict     all is as it must be in {} attempts", history.records.len())],
        findings => findings.iter().map(|finding| format!("FINDING     {finding}")).collect(),
    };
    let _ = writeln!(std::io::stdout(), "{}", lines.join("\n"));
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_many(count: u64, arguments: &RunArguments) -> ExitCode {
    let seeds = Seeds {
        first: arguments.first_seed.unwrap_or_else(random_seed),
        count,
        at_once: arguments.at_once.or_else(|| available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN),
        limit: Duration::from_secs(arguments.limit_s),
        flags: arguments.part.flags(),
    };
    eprintln!("seeds {count} from {} on", seeds.first);
    let summary = match seeds::run(&seeds) {
        Ok(summary) => summary,
        Err(error) => return fail(&error),
    };
    let text = match arguments.output {
        Output::Json => serde_json::to_string_pretty(&summary).expect("a summary of numbers and words is JSON"),
        Output::Table => summary.table(),
    };
    // A reader that has gone away is no failure of the run.
    let _ = writeln!(std::io::stdout(), "{text}");
    if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_mutations(arguments: &MutationsArguments) -> ExitCode {
    if !CAN_BREAK {
        eprintln!("error: this build cannot be broken; `cargo xtask mutations` makes one that can, and runs this");
        return ExitCode::from(2);
    }
    let all = if arguments.only.is_empty() { Mutation::ALL } else { &arguments.only };
    let outcomes =
        match mutations::run(all, arguments.first_seed, arguments.seeds, Duration::from_secs(arguments.limit_s)) {
            Ok(outcomes) => outcomes,
            Err(error) => return fail(&error),
        };
    let text = match arguments.output {
        Output::Json => serde_json::to_string_pretty(&outcomes).expect("outcomes of numbers and words are JSON"),
        Output::Table => outcomes.iter().map(mutations::Outcome::line).collect::<Vec<_>>().join("\n"),
    };
    // A reader that has gone away is no failure of the run.
    let _ = writeln!(std::io::stdout(), "{text}");
    if outcomes.iter().all(mutations::Outcome::is_as_it_must_be) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A seed nobody has chosen: the standard library draws its hash keys from the system. Small, so that it is easily typed.
fn random_seed() -> u64 {
    RandomState::new().hash_one("seed") % 1_000_000_000
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(2)
}

fn table(report: &Report) -> String {
    let mut lines = vec![
        format!("seed        {}", report.seed),
        format!("trace       {} ({} lines)", report.trace_hash, report.trace_lines),
        format!("simulated   {:.1} s", report.simulated_s),
        format!("workloads   {}", report.workloads.join(", ")),
        format!("nodes       {}, {} replaced", report.nodes, report.replaced),
        format!("versions    {} groups hold entries of the next one", report.groups_of_next_schema),
        format!("operations  {}", report.operations),
        format!("held        {} units in {} reservations", report.units_held, report.reserved),
        format!("sold        {} units", report.units_sold),
        format!("refused     {}", report.refused),
        format!("unknown     {}", report.unknown),
        format!("leaders     {} times a new one", report.leader_changes),
    ];
    lines.extend(report.plan.iter().map(|planned| format!("may happen  {planned}")));
    lines.extend(report.faults.iter().map(|(kind, count)| format!("fault       {count:>5} {kind}")));
    match report.findings.as_slice() {
        [] => lines.push("verdict     all is as it must be".to_owned()),
        findings => lines.extend(findings.iter().map(|finding| format!("FINDING     {finding}"))),
    }
    lines.join("\n")
}
