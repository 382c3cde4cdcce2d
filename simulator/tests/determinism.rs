//! The simulator's first promise: one seed replays one run. Each run is a process of its own, since what leaks from run to
//! run within a process (a thread-local, a counter) would hide what differs between processes (a hash's keys, an address).
//!
//! The second of two processes is shown another world where that is possible (`another_world.c`, by the C compiler that the
//! dependencies need too): its clocks say and run otherwise, its random bytes are others. If anything of that leaks into the
//! simulation, the traces or what the clients saw differ. What the sources may not name is in `xtask/src/leaks.rs`.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a process is to see in place of the machine it runs on.
#[derive(Clone, Copy)]
enum Seen<'a> {
    Machine,
    /// By this library, preloaded.
    AnotherWorld(&'a Path),
}

impl Seen<'_> {
    fn command(self, program: &str) -> Command {
        let mut command = Command::new(program);
        if let Self::AnotherWorld(library) = self {
            command.env("LD_PRELOAD", library);
            // Other addresses, another environment, another place.
            command.env("ANOTHER_WORLD", "x".repeat(4_000)).env("TZ", "Pacific/Chatham").current_dir("/");
        }
        command
    }
}

/// Runs a seed to its end and gives the lines of its trace, and the history of its clients.
fn run(seed: u64, seen: Seen<'_>, folder: &Path, name: &str) -> (Vec<u8>, Vec<u8>) {
    let (trace, history) = (folder.join(format!("{name}.trace")), folder.join(format!("{name}.history")));
    let output = seen
        .command(env!("CARGO_BIN_EXE_holdfast-sim"))
        .args(["run", "--output", "json", "--seed", &seed.to_string(), "--trace"])
        .arg(&trace)
        .arg("--history")
        .arg(&history)
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    let prose = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "seed {seed} fails; `holdfast-sim run --seed {seed}` replays it\n{report}\n{prose}"
    );
    (std::fs::read(trace).unwrap(), std::fs::read(history).unwrap())
}

/// Builds the library that shows another world, and sees that it does.
#[cfg(target_os = "linux")]
fn another_world(folder: &Path) -> PathBuf {
    let library = folder.join("another_world.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/another_world.c");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").status();
    assert!(built.is_ok_and(|status| status.success()), "a C compiler is there: dependencies need one too");

    let seen = Seen::AnotherWorld(&library);
    let year = |output: Output| String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().unwrap();
    let ours = year(Command::new("date").arg("+%Y").output().unwrap());
    assert!(year(seen.command("date").arg("+%Y").output().unwrap()) > ours + 5, "the library moves the wall clock");
    // What a run of many draws its first seed from: printed before any is run.
    let drawn = || {
        let mut command = seen.command(env!("CARGO_BIN_EXE_holdfast-sim"));
        let output = command.args(["run", "--seeds", "0"]).output().unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let first = drawn();
    assert!(first.contains(" from ") && first == drawn(), "the library gives the same random bytes: {first}");
    library
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
fn one_seed_gives_one_trace_whatever_the_machine_shows_and_another_seed_another() {
    let folder = tempfile::tempdir().unwrap();
    #[cfg(target_os = "linux")]
    let library = another_world(folder.path());
    #[cfg(target_os = "linux")]
    let seen = Seen::AnotherWorld(&library);
    #[cfg(not(target_os = "linux"))]
    let seen = Seen::Machine;
    let (once, history) = run(2, Seen::Machine, folder.path(), "once");
    let (again, history_again) = run(2, seen, folder.path(), "again");
    assert_eq!(first_difference(&once, &again), None);
    assert_eq!(first_difference(&history, &history_again), None);
    // A seed that once did not end.
    let (other, _) = run(5, Seen::Machine, folder.path(), "other");
    assert!(first_difference(&once, &other).is_some());
    let applies = String::from_utf8_lossy(&once).lines().filter(|line| line.contains(" applied ")).count();
    assert!(applies > 100, "a trace with {applies} applies says little");
}
