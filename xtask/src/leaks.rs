//! What is simulated knows clock, randomness, threads, network and environment through `world/` alone, and iterates nothing whose
//! order a hash decides. This is the part of the guard that reads the sources; the part that runs them is
//! `simulator/tests/determinism.rs`.

use std::path::Path;

/// What runs in a simulation: folders and files.
const SIMULATED: [&str; 15] = [
    "client/src/",
    "inventory/src/",
    "node/src/",
    "proto/src/",
    "raft/src/",
    "simulator/src/checkers/",
    "simulator/src/dice.rs",
    "simulator/src/faults/",
    "simulator/src/history/",
    "simulator/src/messages.rs",
    "simulator/src/run/",
    "simulator/src/simulation.rs",
    "simulator/src/trace.rs",
    "simulator/src/workloads/",
    "simulator/src/world/",
];

/// Words that lead past the world, and what to take in their place.
const BANNED: [(&str, &str); 17] = [
    ("SystemTime", "`World::clock`"),
    ("std::time::Instant", "`tokio::time::Instant`, which the simulation moves"),
    ("chrono::", "`World::clock`"),
    ("HashMap", "a `BTreeMap`: the order of a hash map differs from run to run"),
    ("HashSet", "a `BTreeSet`: the order of a hash set differs from run to run"),
    ("RandomState", "`World::entropy`"),
    ("DefaultHasher", "xxh3"),
    ("rand::rng(", "`World::entropy`"),
    ("rand::random", "`World::entropy`"),
    ("getrandom", "`World::entropy`"),
    ("fastrand", "`World::entropy`"),
    ("std::thread", "`World::threads`"),
    ("std::net", "`World::network`"),
    ("tokio::net", "`World::network`"),
    ("tokio::fs", "`World::disk`"),
    ("std::fs", "`World::disk`"),
    ("std::env", "an argument: the environment differs from machine to machine"),
];

/// Where one of them stands all the same, and why. The list only shrinks.
const ALLOWED: [(&str, &str, &str); 9] = [
    ("node/src/shard/log_time.rs", "SystemTime", "the mutation wall-clock-leaks"),
    ("raft/src/host/beat.rs", "HashMap", "the mutation hash-order-leaks"),
    ("raft/src/runtime.rs", "rand::rng(", "outside of simulations, and the mutation system-randomness-leaks"),
    (
        "proto/src/reason.rs",
        "HashMap",
        "what tonic takes an error's details as; their order is in the bytes, not in their number",
    ),
    ("node/src/config/load.rs", "std::fs", "cluster.toml, before there is a node"),
    ("simulator/src/run/mod.rs", "std::fs", "what a run writes for people"),
    ("simulator/src/run/judge.rs", "std::fs", "what a run writes for people"),
    ("simulator/src/trace.rs", "std::fs", "what a run writes for people"),
    ("node/src/http.rs", "tokio::net", "the port of probes and metrics, which no simulation has"),
];

/// Looks through a file of the tree.
pub fn check(file: &Path, text: &str, findings: &mut Vec<String>) {
    let name = file.display().to_string();
    if !SIMULATED.iter().any(|simulated| name.starts_with(simulated)) || is_test(&name) {
        return;
    }
    for (number, line) in text.lines().enumerate().take_while(|(_, line)| *line != "#[cfg(test)]") {
        let code = line.split("//").next().unwrap_or_default();
        for (word, instead) in BANNED {
            if code_has(code, word) && !is_allowed(&name, word) {
                findings.push(format!("{name}:{}: `{word}` leaks into simulations; take {instead}", number + 1));
            }
        }
    }
}

/// Finds exceptions that nothing needs any more.
pub fn check_exceptions(root: &Path, findings: &mut Vec<String>) {
    for (file, word, _) in ALLOWED {
        if !std::fs::read_to_string(root.join(file)).is_ok_and(|text| text.lines().any(|line| code_has(line, word))) {
            findings.push(format!("xtask/src/leaks.rs: {file} has no `{word}` any more: remove its exception"));
        }
    }
}

fn is_allowed(name: &str, word: &str) -> bool {
    ALLOWED.iter().any(|(file, allowed, _)| *file == name && *allowed == word)
}

fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("tests.rs")
}

/// Whether a line has the word, also where a list of imports has it apart: `std::{net, time::Instant}`.
fn code_has(code: &str, word: &str) -> bool {
    if code.contains(word) {
        return true;
    }
    let Some((head, last)) = word.rsplit_once("::").filter(|(_, last)| !last.is_empty()) else { return false };
    let Some((_, list)) = code.split_once(&format!("{head}::{{")) else { return false };
    list.split([',', '{', '}', ' ']).any(|item| item.split("::").next() == Some(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check(Path::new(file), text, &mut findings);
        findings
    }

    #[test]
    fn clocks_randomness_and_hash_order_are_found_in_what_is_simulated() {
        for leak in [
            "let now = std::time::SystemTime::now();",
            "use std::time::{Duration, Instant};",
            "let mut seen = HashMap::new();",
            "let dice = rand::rng();",
            "std::thread::spawn(work);",
            "use std::{env, fmt};",
        ] {
            assert_eq!(found("raft/src/log/writer.rs", leak).len(), 1, "{leak}");
            assert_eq!(found("simulator/src/run/mod.rs", leak).len(), 1, "{leak}");
            assert!(found("world/src/clock.rs", leak).is_empty(), "the world is where they belong");
            assert!(found("raft/src/log/tests/rot.rs", leak).is_empty());
            assert!(found("raft/src/log/writer.rs", &format!("#[cfg(test)]\n{leak}")).is_empty());
            assert!(found("raft/src/log/writer.rs", &format!("// {leak}")).is_empty());
        }
        for sound in ["use std::time::Duration;", "use tokio::time::Instant;", "use std::{fmt, io};"] {
            assert!(found("raft/src/log/writer.rs", sound).is_empty(), "{sound}");
        }
    }

    #[test]
    fn an_exception_is_for_one_word_of_one_file() {
        assert!(found("raft/src/host/beat.rs", "HashMap::new()").is_empty());
        assert_eq!(found("raft/src/host/beat.rs", "HashSet::new()").len(), 1);
        assert_eq!(found("raft/src/host/mend.rs", "HashMap::new()").len(), 1);
    }
}
