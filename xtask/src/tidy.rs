//! Checks of our own: each finding is one line that names the file and what to do.

use std::fs;
use std::path::{Path, PathBuf};

/// Files may not be longer; those that are stand here with the reason. The list only shrinks.
const MAX_FILE_LINES: usize = 800;
const LONG_FILES: [(&str, &str); 0] = [];

/// Functions may not be longer; those that are stand here with the reason. The list only shrinks.
const MAX_FUNCTION_LINES: usize = 100;
const LONG_FUNCTIONS: [(&str, &str, &str); 0] = [];

/// Names that say nothing of what a module is for.
const NAMELESS: [&str; 5] = ["utils", "util", "helpers", "common", "misc"];

/// Runs all checks, prints the findings, and says whether there was none.
pub fn passes() -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
    let mut findings = Vec::new();
    let files = tracked(root);
    for file in &files {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        match file.extension().and_then(|e| e.to_str()) {
            Some("rs") => {
                check_size(file, &text, &mut findings);
                check_functions(file, &text, &mut findings);
                check_name(file, &mut findings);
                check_header(file, &text, &mut findings);
                crate::leaks::check(file, &text, &mut findings);
            }
            Some("md") => check_paths(root, file, &text, &mut findings),
            _ => {}
        }
    }
    check_dependencies(root, &mut findings);
    crate::leaks::check_exceptions(root, &mut findings);
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    findings.is_empty()
}

/// The files of the tree that git knows or would add.
pub fn tracked(root: &Path) -> Vec<PathBuf> {
    let listed = std::process::Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .expect("git lists the files");
    String::from_utf8_lossy(&listed.stdout).lines().map(PathBuf::from).filter(|f| root.join(f).is_file()).collect()
}

fn check_size(file: &Path, text: &str, findings: &mut Vec<String>) {
    let lines = text.lines().count();
    let listed = LONG_FILES.iter().any(|(name, _)| Path::new(name) == file);
    if lines > MAX_FILE_LINES && !listed {
        findings
            .push(format!("{}: {lines} lines, at most {MAX_FILE_LINES}: split out its second idea", file.display()));
    }
}

/// Finds functions by rustfmt's layout: a body ends at the first line that is a closing brace at the function's own depth.
fn check_functions(file: &Path, text: &str, findings: &mut Vec<String>) {
    let lines: Vec<&str> = text.lines().collect();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let depth = line.len() - code.len();
        let Some(name) = function_name(code) else { continue };
        let closing = format!("{}}}", " ".repeat(depth));
        let Some(length) = lines[start..].iter().position(|l| *l == closing) else { continue };
        let listed = LONG_FUNCTIONS.iter().any(|(f, n, _)| Path::new(f) == file && *n == name);
        if length > MAX_FUNCTION_LINES && !listed {
            findings.push(format!(
                "{}:{}: `{name}` has {length} lines, at most {MAX_FUNCTION_LINES}",
                file.display(),
                start + 1
            ));
        }
    }
}

fn function_name(code: &str) -> Option<&str> {
    let mut words = code.split_whitespace();
    let mut before = 0;
    loop {
        let word = words.next()?;
        if word == "fn" {
            break;
        }
        before += 1;
        let is_modifier =
            word.starts_with("pub") || matches!(word, "async" | "const" | "unsafe" | "extern" | "crate)" | "super)");
        if !is_modifier || before > 5 {
            return None;
        }
    }
    let name = words.next()?;
    name.split(['(', '<']).next()
}

fn check_name(file: &Path, findings: &mut Vec<String>) {
    let nameless = file.components().any(|c| {
        let part = c.as_os_str().to_string_lossy();
        NAMELESS.contains(&part.trim_end_matches(".rs"))
    });
    if nameless {
        findings.push(format!("{}: name it by what it is for", file.display()));
    }
}

fn check_header(file: &Path, text: &str, findings: &mut Vec<String>) {
    if !text.starts_with("//!") && !text.starts_with("#!") {
        findings.push(format!("{}: begin with `//!` lines that say what it is for", file.display()));
    }
}

/// Each path in back quotes in a document must exist, where it looks like one of the tree.
fn check_paths(root: &Path, file: &Path, text: &str, findings: &mut Vec<String>) {
    const TOPS: [&str; 18] = [
        "inventory/",
        "world/",
        "raft/",
        "node/",
        "client/",
        "web/",
        "cli/",
        "simulator/",
        "proto/",
        "xtask/",
        "fuzz/",
        "mangle/",
        "mutation/",
        "docs/",
        "tests/",
        "deploy/",
        ".ci/",
        ".cargo/",
    ];
    for (number, line) in text.lines().enumerate() {
        for quoted in line.split('`').skip(1).step_by(2) {
            let path = quoted.trim_end_matches('/');
            let looks_like_path =
                TOPS.iter().any(|top| quoted.starts_with(top)) && !path.contains(['*', ' ', '<', '{', '(', ':']);
            if looks_like_path && !root.join(path).exists() {
                findings.push(format!("{}:{}: `{quoted}` does not exist", file.display(), number + 1));
            }
        }
    }
}

/// Each direct dependency has its row in docs/dependencies.md, and each row its dependency.
fn check_dependencies(root: &Path, findings: &mut Vec<String>) {
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap_or_default();
    let table = fs::read_to_string(root.join("docs/dependencies.md")).unwrap_or_default();
    let section = manifest.split("[workspace.dependencies]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let declared: Vec<&str> = section
        .lines()
        .filter_map(|line| line.split_once(" = ").map(|(name, _)| name.trim()))
        .filter(|name| !name.starts_with("holdfast"))
        .collect();
    let explained: Vec<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|rest| rest.split('`').next()).collect();
    for name in &declared {
        if !explained.contains(name) {
            findings.push(format!(
                "docs/dependencies.md: `{name}` has no row: what for, why this one, what else was weighed"
            ));
        }
    }
    for name in &explained {
        if !declared.contains(name) {
            findings.push(format!("docs/dependencies.md: `{name}` is no dependency any more: remove its row"));
        }
    }
}
