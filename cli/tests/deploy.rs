//! What is deployed beside Holdfast fits it: dashboards and alerts name metrics that there are, and each alert has its page and its test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use holdfast_node::metrics::{Kind, METRICS, every_metric};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Everything in a text that looks like a metric of ours.
fn named_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit();
    let words = text.split(|c| !is_part(c)).filter(|word| word.starts_with("holdfast_"));
    words.map(|word| word.trim_end_matches('_').to_owned()).collect()
}

/// Whether a series of that name is exposed: a histogram's are its buckets, sum and count.
fn is_there(name: &str) -> bool {
    METRICS.iter().any(|metric| match (metric.kind, name.strip_prefix(metric.name)) {
        (Kind::Histogram, Some(suffix)) => ["_bucket", "_sum", "_count"].contains(&suffix),
        (_, suffix) => suffix == Some(""),
    })
}

/// The labels that selectors of our metrics in a query name.
fn labels_in(query: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, _) in query.match_indices("holdfast_") {
        let rest = &query[at..];
        let end = rest.find(|c: char| !(c == '_' || c.is_ascii_alphanumeric())).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let Some(selector) = rest.strip_prefix('{').and_then(|rest| rest.split('}').next()) else { continue };
        for matcher in selector.split(',') {
            let label = matcher.split(['=', '!']).next().unwrap_or_default().trim();
            found.push((name.to_owned(), label.to_owned()));
        }
    }
    found
}

fn check_query(query: &str) {
    let named = named_in(query);
    for name in &named {
        assert!(is_there(name), "`{name}` is no metric of node/src/metrics/table.rs: {query}");
    }
    for (name, label) in labels_in(query) {
        let metric = METRICS.iter().find(|metric| name.starts_with(metric.name)).expect("it was found above");
        // What Prometheus adds by itself.
        let is_known = metric.labels.contains(&label.as_str()) || ["instance", "job", "le"].contains(&label.as_str());
        assert!(is_known, "`{name}` has no label `{label}`: {query}");
    }
}

#[test]
fn every_query_of_the_dashboard_names_metrics_that_there_are() {
    let dashboard: serde_json::Value = serde_json::from_str(&read("deploy/grafana/holdfast.json")).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let queries: Vec<String> = targets.map(|target| target["expr"].as_str().expect("a query").to_owned()).collect();
    assert!(queries.len() > 30, "{}", queries.len());
    for query in &queries {
        assert!(!named_in(query).is_empty(), "{query}");
        check_query(query);
    }
}

struct Rule {
    name: String,
    expr: String,
    runbook: String,
}

/// The alerts of the file, which has one thing a line.
fn rules() -> Vec<Rule> {
    let text = read("deploy/prometheus/alerts.yml");
    let mut rules: Vec<Rule> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("- alert: ") {
            rules.push(Rule { name: name.to_owned(), expr: String::new(), runbook: String::new() });
        } else if let (Some(expr), Some(rule)) = (line.strip_prefix("expr: "), rules.last_mut()) {
            rule.expr = expr.to_owned();
        } else if let (Some(runbook), Some(rule)) = (line.strip_prefix("runbook_url: "), rules.last_mut()) {
            rule.runbook = runbook.to_owned();
        }
    }
    rules
}

#[test]
fn every_alert_names_metrics_that_there_are_and_has_a_page_and_a_test() {
    let rules = rules();
    assert!(rules.len() >= 12, "{}", rules.len());
    let tests = read("deploy/prometheus/alerts_test.yml");
    for Rule { name, expr, runbook } in &rules {
        check_query(expr);
        assert!(!named_in(expr).is_empty(), "{name}: {expr}");
        assert_eq!(*runbook, format!("docs/runbooks/{name}.md"));
        let page = read(runbook);
        let sections: Vec<&str> =
            page.lines().filter(|line| line.starts_with('#') && !line.starts_with("#!")).collect();
        let title = format!("# {name}");
        let expected =
            [&title, "## What it means", "## What customers notice", "## What to type", "## When it is over"];
        assert_eq!(sections, expected, "{name}");
        let fires = format!("alertname: {name}\n        exp_alerts:\n");
        let is_quiet = format!("alertname: {name}\n        exp_alerts: []\n");
        assert!(tests.contains(&fires) && tests.contains(&is_quiet), "{name} is played, and is quiet before");
    }
    let pages = fs::read_dir(root().join("docs/runbooks")).expect("the pages are there");
    for page in pages {
        let page = page.expect("a page").file_name().to_string_lossy().into_owned();
        let is_of_a_rule = rules.iter().any(|rule| page == format!("{}.md", rule.name));
        assert!(is_of_a_rule || page == "README.md", "docs/runbooks/{page} is of no alert");
    }
}

#[test]
fn the_documents_name_metrics_that_there_are() {
    let pages = ["docs", "docs/runbooks", "docs/errors"].map(|folder| fs::read_dir(root().join(folder)).expect("docs"));
    // Crates are named so too.
    let crates = ["node", "raft", "proto", "client", "inventory", "world", "simulator", "sim", "mutation", "mutations"]
        .map(|it| format!("holdfast_{it}"));
    for path in pages.into_iter().flatten().map(|entry| entry.expect("a file").path()) {
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a page");
        for name in named_in(&text) {
            let is_known = is_there(&name) || every_metric().any(|(_, metric)| metric.name == name);
            assert!(is_known || crates.contains(&name), "{}: {name}", path.display());
        }
    }
}
