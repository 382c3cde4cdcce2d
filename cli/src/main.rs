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
mod random;
mod reconcile;
mod replay;
mod sale;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

use verbs::Arguments;

/// A node makes many small allocations for a command, on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let format = arguments.output;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::say(&format!("error: the runtime cannot be started: {error}"));
            return ExitCode::from(failure::EXIT_USAGE);
        }
    };
    match runtime.block_on(arguments.verb.run(format)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::say(&failure.to_string());
            ExitCode::from(failure.exit())
        }
    }
}
