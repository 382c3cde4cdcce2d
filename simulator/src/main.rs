//! The `holdfast-sim` command: runs a cluster in simulation, one seed a process.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use holdfast_simulator::checkers::check_history;
use holdfast_simulator::history::{self, HistoryError};
use holdfast_simulator::run::{Report, RunOptions, run};
use tracing::Level;

/// Runs Holdfast in simulation: three nodes and their clients on one thread, with nothing real outside of them.
#[derive(Debug, Parser)]
#[command(name = "holdfast-sim", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs one seed: a small shop, a follower cut off, a leader that loses its power; then judges the replicas.
    ///
    /// Exit status: 0 all is as it must be; 1 something is not, named in the report; 2 the run could not begin.
    Run(RunArguments),
    /// Judges a history that `run --history` wrote, as the run does.
    ///
    /// Exit status: 0 all is as it must be; 1 something is not, or could not be decided; 2 the file is no history.
    Check(CheckArguments),
}

#[derive(Debug, clap::Args)]
struct CheckArguments {
    /// The history.
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// What everything is drawn from: the same seed gives the same run, to the same trace.
    #[arg(long)]
    seed: u64,
    /// Writes the trace's lines to this file.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Writes what the clients asked and were told to this file, for `holdfast-sim check`.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Prints the simulated processes' messages of this level and above to stderr.
    #[arg(long, value_name = "LEVEL")]
    log: Option<Level>,
    /// The form of the report on stdout.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Table,
    Json,
}

fn main() -> ExitCode {
    match Arguments::parse().verb {
        Verb::Run(arguments) => run_seed(arguments),
        Verb::Check(arguments) => check(&arguments),
    }
}

fn run_seed(arguments: RunArguments) -> ExitCode {
    let RunArguments { seed, trace, history, log, output } = arguments;
    let options = RunOptions { seed, trace, history, printed: log };
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
    let findings = check_history(&history, &bound);
    let lines: Vec<String> = match findings.as_slice() {
        [] => vec![format!("verdict     all is as it must be in {} attempts", history.records.len())],
        findings => findings.iter().map(|finding| format!("FINDING     {finding}")).collect(),
    };
    let _ = writeln!(std::io::stdout(), "{}", lines.join("\n"));
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(2)
}

fn table(report: &Report) -> String {
    let mut lines = vec![
        format!("seed        {}", report.seed),
        format!("trace       {} ({} lines)", report.trace, report.trace_lines),
        format!("simulated   {:.1} s", report.simulated_s),
        format!("workloads   {}", report.workloads.join(", ")),
        format!("operations  {}", report.operations),
        format!("held        {} units in {} reservations", report.units_held, report.reserved),
        format!("sold        {} units", report.units_sold),
        format!("refused     {}", report.refused),
        format!("unknown     {}", report.unknown),
        format!("leaders     {} times a new one", report.leader_changes),
    ];
    match report.findings.as_slice() {
        [] => lines.push("verdict     all is as it must be".to_owned()),
        findings => lines.extend(findings.iter().map(|finding| format!("FINDING     {finding}"))),
    }
    lines.join("\n")
}
