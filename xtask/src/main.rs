//! The daily commands: `cargo xtask verify` checks everything and never writes; `cargo xtask fix` writes what can be
//! written by a machine; `cargo xtask tidy` is the part of `verify` that is our own; `cargo xtask mutations` breaks the product on
//! purpose and sees the checkers notice.

mod broken_crates;
mod leaks;
mod tidy;

use std::path::Path;
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: cargo xtask <verify | fix | tidy | mutations>
  verify  formatting, lints, docs, licences, arrows between crates, tidy; never writes
  fix     formats, and applies what clippy can mend
  tidy    the checks of our own: sizes of files and functions, paths in docs, reasons of dependencies
  mutations [NAME ...] [--seeds N] [-o json]
          builds the simulator so that it can be broken on purpose (target/mutations), and has it find each mutation";

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let passed = match task.as_str() {
        "verify" => verify(),
        "fix" => fix(),
        "tidy" => tidy::passes(),
        "mutations" => mutations(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs every check, also after one has failed, and says which failed.
fn verify() -> bool {
    let checks: [(&str, bool); 6] = [
        ("fmt", cargo(&["fmt", "--all", "--check"], &[])),
        ("clippy", cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"], &[])),
        (
            "doc",
            cargo(
                &["doc", "--workspace", "--no-deps", "--document-private-items"],
                &[("RUSTDOCFLAGS", "--deny warnings --cfg tokio_unstable")],
            ),
        ),
        ("deny", cargo(&["deny", "check", "bans", "licenses", "sources"], &[])),
        ("arrows", arrows_hold()),
        ("tidy", tidy::passes()),
    ];
    for (name, passed) in checks {
        println!("{} {name}", if passed { "ok    " } else { "FAILED" });
    }
    checks.iter().all(|(_, passed)| *passed)
}

fn fix() -> bool {
    cargo(&["fmt", "--all"], &[]) && cargo(&["clippy", "--workspace", "--all-targets", "--fix", "--allow-dirty"], &[])
}

/// Builds `holdfast-sim` so that it can be broken, and dependencies of it too, apart from every other build, and runs its
/// `mutations` with what follows on the command line.
fn mutations() -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
    let folder = root.join("target/mutations");
    let manifest = match broken_crates::prepare(root, &folder) {
        Ok(manifest) => manifest,
        Err(problem) => {
            eprintln!("mutations: {problem}");
            return false;
        }
    };
    let (folder, manifest) = (folder.display().to_string(), manifest.display().to_string());
    // The flags of .cargo/config.toml, which these replace, and one more.
    let flags = [("RUSTFLAGS", "--cfg tokio_unstable --cfg holdfast_mutations"), ("CARGO_TARGET_DIR", &folder)];
    let build = ["build", "--profile", "sim", "--package", "holdfast-simulator", "--manifest-path", &manifest];
    if !cargo(&build, &flags) {
        return false;
    }
    let program = format!("{folder}/sim/holdfast-sim");
    let status = Command::new(program).arg("mutations").args(std::env::args().skip(2)).status();
    matches!(status, Ok(status) if status.success())
}

/// What a crate may not reach, by `cargo tree`: (crate, what must be absent among its normal dependencies).
const ABSENT: [(&str, &[&str]); 5] = [
    (
        "holdfast-inventory",
        &[
            "tokio",
            "serde_json",
            "holdfast-proto",
            "holdfast-raft",
            "holdfast-world",
            "openraft",
            "sled",
            "tonic",
            "rand",
            "getrandom",
        ],
    ),
    ("holdfast-raft", &["kameo", "holdfast-node", "holdfast-client", "clap"]),
    ("holdfast-client", &["kameo", "openraft", "sled", "holdfast-inventory", "holdfast-raft", "clap"]),
    ("holdfast-node", &["holdfast-client", "clap", "indicatif", "holdfast-web", "utoipa"]),
    ("holdfast-web", &["kameo", "openraft", "sled", "holdfast-inventory", "holdfast-raft", "holdfast-node", "clap"]),
];

fn arrows_hold() -> bool {
    let mut hold = true;
    for (package, absent) in ABSENT {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--package", package, "--edges", "normal", "--prefix", "none", "--format", "{p} "])
            .output();
        let Ok(output) = output else {
            eprintln!("arrows: cargo tree does not run");
            return false;
        };
        let tree = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() || tree.is_empty() {
            eprintln!("arrows: cargo tree fails for {package}");
            return false;
        }
        for line in tree.lines().skip(1) {
            // tonic is generic over axum's router: it is allowed below tonic, not as a dependency of raft's own.
            let crosses = absent.iter().any(|name| line.starts_with(name))
                && !(line.starts_with("axum ") && tree.contains("tonic"));
            if crosses {
                eprintln!("arrows: {package} must not depend on {line}");
                hold = false;
            }
        }
    }
    hold
}

fn cargo(args: &[&str], environment: &[(&str, &str)]) -> bool {
    eprintln!("==> cargo {}", args.join(" "));
    let status = Command::new(env!("CARGO")).args(args).envs(environment.iter().copied()).status();
    matches!(status, Ok(status) if status.success())
}
