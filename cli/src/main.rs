//! The `holdfast` command: one binary that is a node, a development cluster, and every question one may ask of a cluster.
//!
//! Data go to stdout, prose and progress to stderr. Exit codes: 0 done, 1 a check failed, 2 wrong usage or input, and those
//! of the table of errors (`holdfast_proto::reason`).

mod ask;
mod bench;
mod boutique;
mod certain;
mod connect;
mod consistency;
mod dates;
mod demand;
mod demo;
mod development;
mod doctor;
mod event_rows;
mod exposure;
mod failure;
mod ids;
mod input;
mod latency;
mod ledger;
mod lottery;
mod members;
mod output;
mod pages;
mod random;
mod reconcile;
mod replay;
mod sale;
#[cfg(test)]
mod typed_in_docs;
mod verbs;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use holdfast_client::traces::{TraceContext, within};

use verbs::Arguments;

/// A node makes many small allocations for a command, on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let matches = Arguments::command().get_matches();
    let verbs = verbs_of(&matches);
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let format = arguments.output;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::say(&format!("error: the runtime cannot be started: {error}"));
            return ExitCode::from(failure::EXIT_USAGE);
        }
    };
    // Whoever runs this within a trace finds what it asks of the cluster there.
    let place = std::env::var("TRACEPARENT").ok().and_then(|told| TraceContext::read(&told));
    let place = place.filter(|_| !arguments.verb.is_node());
    match runtime.block_on(within(place, arguments.verb.run(format))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::say(&output::painted_failure(&failure.with_next_command(&verbs)));
            ExitCode::from(failure.exit())
        }
    }
}

/// The verbs on the command line: `["stock", "get"]`.
fn verbs_of(matches: &clap::ArgMatches) -> Vec<String> {
    let mut verbs = Vec::new();
    let mut at = matches;
    while let Some((verb, below)) = at.subcommand() {
        verbs.push(verb.to_owned());
        at = below;
    }
    verbs
}
