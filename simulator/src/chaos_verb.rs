//! `holdfast-sim chaos`: from arguments to a run, and from its report to an exit status.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use holdfast_simulator::chaos::{ChaosOptions, KINDS, Links, Target, run};
use tokio::signal::unix::{SignalKind, signal};

use super::{Output, fail, random_seed};

/// The name of the binary whose processes are the nodes.
const BINARY: &str = "holdfast";

#[derive(Debug, Args)]
pub(super) struct ChaosArguments {
    /// The cluster.toml of a cluster that is there already, at which nobody else shops. If not given, three nodes are started
    /// in a temporary folder.
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    /// The faults of that cluster: for each a table with the commands `start` and `end`, in which `{node}` and `{addr}`
    /// stand for a node's id and client address, and `happens = "to_one"` or `"to_all"`.
    #[arg(long, value_name = "FILE", requires = "cluster")]
    commands: Option<PathBuf>,
    /// How long faults happen, in seconds, in seasons of at most 30; each is judged, which takes its time besides.
    #[arg(long, value_name = "N", default_value_t = 600)]
    seconds: u64,
    /// Not for a time, but so often: a fault, its end at once, and a wait until every shard decides again.
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    rounds: Option<u64>,
    /// What the faults are drawn from. Drawn at random if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// The faults, with commas between; all that there are if not given.
    #[arg(long, value_name = "KIND,…", value_delimiter = ',')]
    faults: Vec<String>,
    /// Writes what the customers asked and were told to this file, for `holdfast-sim check`; of the second season to the same
    /// name with `.2`, and so on.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// The binary of the nodes; the one beside this binary if not given.
    #[arg(long, value_name = "PATH", conflicts_with = "cluster")]
    holdfast: Option<PathBuf>,
    /// A libfaketimeMT.so.1, which the fault `clock` needs.
    #[arg(long, value_name = "PATH", conflicts_with = "cluster")]
    faketime: Option<PathBuf>,
    /// What lies between the nodes: proxies, or the system's own network with each node in a namespace, which needs root.
    #[arg(long, value_enum, default_value_t = LinksArgument::Proxies, conflicts_with = "cluster")]
    links: LinksArgument,
    /// Only lists the faults that there are for a cluster of one's own.
    #[arg(long)]
    list_faults: bool,
    /// The form of the report on stdout.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LinksArgument {
    Proxies,
    Namespaces,
}

impl ChaosArguments {
    pub(super) fn run(self) -> ExitCode {
        if self.list_faults {
            let lines: Vec<String> = KINDS.iter().map(|(name, what)| format!("{name:<10}  {what}")).collect();
            let _ = writeln!(std::io::stdout(), "{}", lines.join("\n"));
            return ExitCode::SUCCESS;
        }
        let output = self.output;
        let options = match self.options() {
            Ok(options) => options,
            Err(error) => return fail(&error),
        };
        eprintln!("seed {}", options.seed);
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return fail(&error),
        };
        let ended = runtime.block_on(async {
            tokio::select! {
                biased;
                signal = asked_to_end() => Err(signal),
                report = run(&options) => Ok(report),
            }
        });
        let report = match ended {
            // What the run had started has ended with it.
            Err(Ok(())) => return fail(&std::io::Error::from(std::io::ErrorKind::Interrupted)),
            Err(Err(error)) => return fail(&error),
            Ok(Err(error)) => return fail(&error),
            Ok(Ok(report)) => report,
        };
        let text = match output {
            Output::Json => serde_json::to_string_pretty(&report).expect("a report of numbers and words is JSON"),
            Output::Table => report.table(),
        };
        // A reader that has gone away is no failure of the run.
        let _ = writeln!(std::io::stdout(), "{text}");
        // What could not be decided is no proof of anything.
        if report.violations.is_empty() && report.undecided.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn options(self) -> std::io::Result<ChaosOptions> {
        let target = match self.cluster {
            Some(cluster) => Target::Foreign { cluster, commands: self.commands },
            None => {
                let links = match self.links {
                    LinksArgument::Proxies => Links::Proxies,
                    LinksArgument::Namespaces => Links::Namespaces,
                };
                Target::Own { binary: binary(self.holdfast.as_deref())?, faketime: self.faketime, links }
            }
        };
        Ok(ChaosOptions {
            seed: self.seed.unwrap_or_else(random_seed),
            time: Duration::from_secs(self.seconds),
            rounds: self.rounds,
            faults: self.faults,
            target,
            history: self.history,
            told: |line| eprintln!("{line}"),
        })
    }
}

/// The binary named, or the one beside this one.
fn binary(named: Option<&Path>) -> std::io::Result<PathBuf> {
    let binary = match named {
        Some(named) => named.to_owned(),
        None => std::env::current_exe()?.with_file_name(BINARY),
    };
    binary.canonicalize().map_err(|error| {
        let what = format!("there is no binary {} ({error}); name it with --holdfast", binary.display());
        std::io::Error::new(error.kind(), what)
    })
}

/// Returns at SIGTERM and Ctrl-C: then the run is dropped, and what it has started ends with it.
async fn asked_to_end() -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        biased;
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
