//! The `holdfast-sim` command: runs a cluster in simulation, one seed a process.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use holdfast_simulator::run::{Report, RunError, RunOptions, run};
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
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// What everything is drawn from: the same seed gives the same run, to the same trace.
    #[arg(long)]
    seed: u64,
    /// Writes the trace's lines to this file.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
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
    let Arguments { verb: Verb::Run(arguments) } = Arguments::parse();
    let options = RunOptions { seed: arguments.seed, trace: arguments.trace, printed: arguments.log };
    let report = match run(&options) {
        Ok(report) => report,
        Err(error) => return fail(&error),
    };
    let text = match arguments.output {
        Output::Json => serde_json::to_string_pretty(&report).expect("a report of numbers and words is JSON"),
        Output::Table => table(&report),
    };
    // A reader that has gone away is no failure of the run.
    let _ = writeln!(std::io::stdout(), "{text}");
    if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn fail(error: &RunError) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(2)
}

fn table(report: &Report) -> String {
    let mut lines = vec![
        format!("seed        {}", report.seed),
        format!("trace       {} ({} lines)", report.trace, report.trace_lines),
        format!("simulated   {:.1} s", report.simulated_s),
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
