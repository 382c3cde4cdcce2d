//! What the documents tell people to type can be typed: each command of ours that stands in a page is one that there is.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};

use holdfast_proto::v1::CommandError;

use crate::failure::Failure;
use crate::pages::every_reason;
use crate::verbs::Arguments;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn pages_of(folder: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(docs().join(folder)).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("a file").path());
    let pages = paths.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.map(|path| (path.display().to_string(), fs::read_to_string(&path).expect("a page"))).collect()
}

/// The lines of shell in a page that begin with our command.
fn typed(page: &str) -> Vec<String> {
    let mut typed = Vec::new();
    let mut is_shell = false;
    for line in page.lines() {
        if line.starts_with("```") {
            is_shell = line == "```sh";
        } else if is_shell && line.starts_with("holdfast ") {
            typed.push(line.to_owned());
        }
    }
    typed
}

/// As a shell takes the line apart: by spaces, but for those between quotes; without its comment, and where its output goes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            '#' | '>' if !is_quoted && word.is_empty() => break,
            ' ' if !is_quoted => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            c => word.push(c),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// What is between back quotes outside of blocks, where it is a command of ours.
fn mentioned(page: &str) -> Vec<String> {
    let prose: String = page.split("```").step_by(2).collect::<Vec<_>>().join("\n").replace('\n', " ");
    let quoted = prose.split('`').skip(1).step_by(2).map(str::to_owned);
    quoted.filter(|text| text.starts_with("holdfast ")).collect()
}

/// The first word of it that is neither a verb nor a flag where it stands; values are passed over.
fn unknown_in(text: &str) -> Option<String> {
    let root = Arguments::command();
    let mut at = &root;
    let mut is_verb = true;
    for word in words(text).iter().skip(1) {
        let flag = word.strip_prefix("--").map(|flag| flag.split('=').next().unwrap_or_default().to_owned());
        match (at.find_subcommand(word), flag) {
            (Some(below), _) if is_verb => at = below,
            (_, Some(flag)) => {
                let is_known = |command: &clap::Command| command.get_arguments().any(|it| it.get_long() == Some(&flag));
                if !(is_known(at) || is_known(&root) || flag == "help") {
                    return Some(word.clone());
                }
            }
            (None, None) if is_verb && at.has_subcommands() => return Some(word.clone()),
            _ => is_verb = false,
        }
    }
    None
}

#[test]
fn what_runbooks_and_error_pages_say_to_type_is_understood() {
    let (mut looked_at, mut refused) = (0, Vec::new());
    for (name, page) in [pages_of("runbooks"), pages_of("errors")].concat() {
        for line in typed(&page) {
            looked_at += 1;
            match Arguments::try_parse_from(words(&line)) {
                Ok(_) => {}
                Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => {}
                Err(error) => refused.push(format!("{name}: {line}\n{error}")),
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(looked_at > 150, "{looked_at}");
}

#[test]
fn what_is_mentioned_anywhere_is_there() {
    let own = ["runbooks", "errors", "howto", "concepts", ""].map(pages_of).concat();
    let (mut looked_at, mut unknown) = (0, Vec::new());
    for (name, page) in own {
        for text in mentioned(&page).into_iter().chain(typed(&page)) {
            looked_at += 1;
            unknown.extend(unknown_in(&text).map(|word| format!("{name}: `{word}` in {text}")));
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
    assert!(looked_at > 200, "{looked_at}");
}

#[test]
fn what_hints_name_is_there() {
    let mut looked_at = 0;
    for reason in every_reason() {
        let said = Failure::from(CommandError::of(reason, "no")).with_next_command(&["stock".to_owned()]);
        for text in mentioned(&said) {
            looked_at += 1;
            assert_eq!(unknown_in(&text), None, "{}: {text}", reason.name());
        }
    }
    assert!(looked_at > 40, "{looked_at}");
}

#[test]
fn a_command_that_is_not_there_is_found_out() {
    assert_eq!(unknown_in("holdfast stock find LIP-01"), Some("find".to_owned()));
    assert_eq!(unknown_in("holdfast stock get LIP-01 --where main"), Some("--where".to_owned()));
    assert_eq!(unknown_in("holdfast shard resume SHARD --reason …"), None);
    assert_eq!(words("holdfast x --reason \"a b\" > out # why"), ["holdfast", "x", "--reason", "a b"]);
}
