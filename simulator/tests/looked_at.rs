//! A part of a seed's run can be played, and a run is the same whether it is looked at or not.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::process::{Command, Output};

use holdfast_simulator::run::Report;
use holdfast_simulator::timeline::{Happened, NodeState};
use holdfast_simulator::workloads::Workload;

/// Calm, so that a run is quick: what is looked at is there all the same.
const FAULTS: [&str; 4] = ["--only-faults", "kill,power-loss,late-frames", "--storm-ms", "3000"];

/// The first workload that the seed draws: another one whenever there is one more to draw from.
fn workload_of(seed: u64) -> &'static str {
    Workload::of_seed(seed)[0].name()
}

fn holdfast_sim(arguments: &[&str], files: &[(&str, &Path)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast-sim"));
    command.args(arguments);
    for (flag, file) in files {
        command.arg(flag).arg(file);
    }
    command.output().unwrap()
}

fn report(output: &Output) -> Report {
    let prose = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {prose}"))
}

#[test]
fn a_run_has_one_trace_whether_it_is_looked_at_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let [events, timeline] = ["events", "timeline"].map(|name| folder.path().join(name));
    let workload = workload_of(2);
    let run = [&["run", "--seed", "2", "--output", "json", "--only-workloads", workload][..], &FAULTS[..]].concat();
    let unseen = report(&holdfast_sim(&run, &[]));
    let seen = report(&holdfast_sim(&run, &[("--events", &events), ("--timeline", &timeline)]));
    assert_eq!(unseen.findings, Vec::<String>::new());
    assert_eq!((&unseen.trace_hash, unseen.trace_lines), (&seen.trace_hash, seen.trace_lines));
    assert_eq!(seen.workloads, [workload]);
    // Of the three kinds the seed has drawn two.
    let planned: Vec<&str> = seen.plan.iter().filter_map(|planned| planned.split(" every ").next()).collect();
    assert_eq!(planned, ["late frames", "power loss"]);

    let happened: Happened = serde_json::from_str(&std::fs::read_to_string(&events).unwrap()).unwrap();
    assert_eq!(happened.nodes.len() as u64, seen.nodes);
    assert!(happened.nodes.values().all(|spans| spans.iter().any(|span| span.state == NodeState::Up)));
    assert!(happened.nodes.values().flatten().any(|span| span.leads.contains(&1)));
    let begun: u64 = seen.faults.values().sum();
    assert_eq!(happened.faults.len() as u64, begun);
    assert!(happened.faults.iter().all(|fault| fault.until_us.is_some()));
    let page = std::fs::read_to_string(&timeline).unwrap();
    assert!(page.contains("holdfast-sim run --seed 2 --only-faults kill,power-loss,late-frames"));
    assert!(page.contains("node 1 is up") && page.contains("class=\"done\""));
}

#[test]
fn what_is_no_part_of_any_run_is_refused_by_name() {
    let earthquake = holdfast_sim(&["run", "--seed", "2", "--only-faults", "earthquake"], &[]);
    assert!(String::from_utf8_lossy(&earthquake.stderr).contains("there is no kind of fault 'earthquake'"));
    let without_seed = holdfast_sim(&["run", "--storm-ms", "100"], &[]);
    assert!(String::from_utf8_lossy(&without_seed.stderr).contains("--seed"));
}
