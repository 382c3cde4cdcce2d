//! Seeds that once failed must not fail again: seeds_that_failed.txt lists them, and says why each did.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::process::Command;

#[test]
fn no_seed_that_once_failed_fails_again() {
    let listed = include_str!("seeds_that_failed.txt");
    let mut failures = Vec::new();
    for line in listed.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (seed, why) = line.split_once(' ').expect("a seed and what was wrong");
        // Of its own process, and with a limit: a seed that does not end is a failure too.
        let output = Command::new(env!("CARGO_BIN_EXE_holdfast-sim"))
            .args(["run", "--seeds", "1", "--first-seed", seed, "--output", "json"])
            .output()
            .unwrap();
        if !output.status.success() {
            failures.push(format!("seed {seed}, once: {why}\n{}", String::from_utf8_lossy(&output.stdout)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
