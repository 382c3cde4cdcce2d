//! A version is rolled out node by node in a simulated cluster.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::process::Command;

use holdfast_simulator::run::Report;
use holdfast_simulator::workloads::Workload;

fn run(faults: &str) -> Report {
    // The first that the seed draws: another one whenever there is one more to draw from.
    let workload = Workload::of_seed(5)[0].name();
    let arguments = ["run", "--seed", "5", "--output", "json", "--only-workloads", workload, "--storm-ms", "8000"];
    let output =
        Command::new(env!("CARGO_BIN_EXE_holdfast-sim")).args(arguments).args(["--faults", faults]).output().unwrap();
    let prose = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {prose}"))
}

#[test]
fn the_next_versions_schema_is_written_once_every_node_understands_it_and_not_where_none_does() {
    let upgraded = run("two-versions");
    assert_eq!(upgraded.findings, Vec::<String>::new());
    assert!(upgraded.faults["two versions"] > 0 && upgraded.groups_of_next_schema > 0, "{upgraded:?}");
    assert_eq!(run("none").groups_of_next_schema, 0);
}
