//! The table of paths in docs/rest.md, held against what the API says of itself: each has the operations of the other.

use std::collections::BTreeSet;

use crate::api::OPENAPI;
use crate::live::LIVE;

const PAGE: &str = include_str!("../../docs/rest.md");

/// What is between two headings.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let after = page.split_once(&format!("\n## {heading}\n")).map(|(_, after)| after);
    let after = after.unwrap_or_else(|| panic!("docs/rest.md has no section `{heading}`"));
    after.split("\n## ").next().unwrap_or_default()
}

/// A parameter of a path is one whatever its name.
fn nameless(path: &str) -> String {
    let mut parts = path.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |path, part| path + "{}" + part.split_once('}').map_or("", |(_, rest)| rest))
}

/// The operations that a cell of paths tells: `/a`, `/a/{b}` (GET, PUT), `/a/{b}:verb`, `:other`. A path without methods behind it is read, one
/// with a verb is posted to; `:other` is of the path before. What is no path is passed over.
fn operations_of(cell: &str) -> BTreeSet<(String, String)> {
    const METHODS: [&str; 5] = ["GET", "PUT", "POST", "PATCH", "DELETE"];
    let mut told = BTreeSet::new();
    let mut before = String::new();
    let pieces: Vec<&str> = cell.split('`').collect();
    for (at, piece) in pieces.iter().enumerate().skip(1).step_by(2) {
        if !piece.starts_with(['/', ':']) {
            continue;
        }
        let piece = piece.split('?').next().unwrap_or_default();
        let (path, verb) = piece.split_once(':').map_or((piece, None), |(path, verb)| (path, Some(verb)));
        if !path.is_empty() {
            before = nameless(path);
        }
        let (path, usual) = match verb {
            Some(verb) => (format!("{before}:{verb}"), "POST"),
            None => (before.clone(), "GET"),
        };
        let behind = pieces.get(at + 1).copied().unwrap_or_default().trim_start();
        let said = behind.strip_prefix('(').and_then(|said| said.split(')').next()).unwrap_or_default();
        let words = said.split(|c: char| !c.is_ascii_alphabetic());
        let methods: Vec<&str> = words.filter(|word| METHODS.contains(word)).collect();
        let methods = if methods.is_empty() { vec![usual] } else { methods };
        told.extend(methods.into_iter().map(|method| (path.clone(), method.to_owned())));
    }
    told
}

/// Every operation of the document, without those that do not end, and the paths of these.
fn described() -> (BTreeSet<(String, String)>, BTreeSet<String>) {
    let said: serde_json::Value = serde_json::from_str(&OPENAPI).expect("it is JSON");
    let (mut ends, mut live) = (BTreeSet::new(), BTreeSet::new());
    for (path, item) in said["paths"].as_object().expect("there are paths") {
        for (method, operation) in item.as_object().expect("a path has methods") {
            if operation["tags"].as_array().into_iter().flatten().any(|tag| tag == LIVE) {
                live.insert(path.clone());
            } else {
                ends.insert((nameless(path), method.to_uppercase()));
            }
        }
    }
    (ends, live)
}

#[test]
fn the_table_of_paths_has_every_operation_and_no_other() {
    let rows = section(PAGE, "What there is").lines().filter(|line| line.starts_with("| `"));
    let told: BTreeSet<_> = rows.flat_map(|row| operations_of(row.split('|').nth(1).unwrap_or_default())).collect();
    let (ends, live) = described();
    assert_eq!(
        (ends.difference(&told).collect::<Vec<_>>(), told.difference(&ends).collect::<Vec<_>>()),
        (vec![], vec![]),
        "left: not in docs/rest.md; right: not in the API"
    );
    let updates = section(PAGE, "Live updates");
    let missing: Vec<_> = live
        .iter()
        .filter(|path| !updates.contains(&format!("`{path}`")) && !updates.contains(&format!("`{path}?")))
        .collect();
    assert!(missing.is_empty(), "docs/rest.md, Live updates: {missing:?}");
}

#[test]
fn a_cell_is_read_as_people_read_it() {
    let told = operations_of(" `/a/{id}?b=` (GET, PATCH amends), `:end`, `/c`, `/d:go` with `e` ");
    let expected = [("/a/{}", "GET"), ("/a/{}", "PATCH"), ("/a/{}:end", "POST"), ("/c", "GET"), ("/d:go", "POST")];
    assert_eq!(told, expected.map(|(path, method)| (path.to_owned(), method.to_owned())).into());
    assert_eq!(nameless("/v1/items/{sku}/limits/{id}:x"), "/v1/items/{}/limits/{}:x");
}
