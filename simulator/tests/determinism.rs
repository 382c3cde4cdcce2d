//! The simulator's first promise: one seed replays one run. Each run is a process of its own, since what leaks from run to
//! run within a process (a thread-local, a counter) would hide what differs between processes (a hash's keys, an address).

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::process::Command;

/// Runs a seed to its end and gives the lines of its trace.
fn trace_of(seed: u64, file: &Path) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast-sim"))
        .args(["run", "--output", "json", "--seed", &seed.to_string(), "--trace"])
        .arg(file)
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    let prose = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "seed {seed} fails; `holdfast-sim run --seed {seed}` replays it\n{report}\n{prose}"
    );
    std::fs::read(file).unwrap()
}

/// The first line in which two traces differ.
fn first_difference(one: &[u8], other: &[u8]) -> Option<String> {
    let mut lines = (one.split(|byte| *byte == b'\n'), other.split(|byte| *byte == b'\n'));
    for number in 1.. {
        match (lines.0.next(), lines.1.next()) {
            (None, None) => return None,
            (left, right) if left == right => {}
            (left, right) => {
                let text = |line: Option<&[u8]>| String::from_utf8_lossy(line.unwrap_or(b"<the end>")).into_owned();
                return Some(format!("line {number}:\n  {}\n  {}", text(left), text(right)));
            }
        }
    }
    None
}

#[test]
fn one_seed_gives_one_trace_in_two_processes_and_another_seed_another() {
    let folder = tempfile::tempdir().unwrap();
    let once = trace_of(2, &folder.path().join("once"));
    let again = trace_of(2, &folder.path().join("again"));
    assert_eq!(first_difference(&once, &again), None);
    // A seed that once did not end.
    let other = trace_of(5, &folder.path().join("other"));
    assert!(first_difference(&once, &other).is_some());
    let applies = String::from_utf8_lossy(&once).lines().filter(|line| line.contains(" applied ")).count();
    assert!(applies > 100, "a trace with {applies} applies says little");
}
