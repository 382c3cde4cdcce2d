//! The whole help reference as one snapshot, and what the command line does without a cluster.

use std::process::{Command, Output, Stdio};

fn holdfast(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.args(arguments).stdin(Stdio::null());
    for name in ["HOLDFAST_ADDR", "HOLDFAST_TIMEOUT", "HOLDFAST_CONFIG", "HOLDFAST_PORT_BASE"] {
        command.env_remove(name);
    }
    command.output().expect("the binary under test starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("what it prints is UTF-8")
}

/// The help of a verb and of those below it, in the order in which they are listed.
fn reference(path: &[&str], pages: &mut Vec<String>) {
    let shown = holdfast(&[path, &["--help"]].concat());
    assert!(shown.status.success(), "{path:?}");
    let page = text(&shown.stdout);
    let verbs: Vec<String> = page
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect();
    let page: String = page.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    pages.push(format!("# {}\n\n{page}", [&["holdfast"], path].concat().join(" ")));
    for verb in verbs {
        reference(&[path, &[verb.as_str()]].concat(), pages);
    }
}

/// The manual's page of it: each help as it is shown.
fn manual(pages: &[String]) -> String {
    let mut text = "# The command line\n\nEvery verb of `holdfast`, as `--help` shows it. docs/README.md leads to what to do with them. This page is \
                    written by a test (`cli/tests/reference.rs`).\n"
        .to_owned();
    for page in pages {
        let (title, help) = page.split_once("\n\n").expect("a page has a title");
        text += &format!("\n#{title}\n\n```text\n{}\n```\n", help.trim_end());
    }
    text
}

/// `INSTA_UPDATE=always` writes the snapshot and the manual's page anew.
#[test]
fn the_help_is_the_reference_and_the_manuals_page() {
    let mut pages = Vec::new();
    reference(&[], &mut pages);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference.md");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, manual(&pages)).expect("the page is written");
    }
    insta::assert_snapshot!("the_help_is_the_reference", pages.join("\n"));
    let written = std::fs::read_to_string(&path).expect("docs/reference.md is there");
    assert!(written == manual(&pages), "docs/reference.md is out of date: run this test with INSTA_UPDATE=always");
}

#[test]
fn wrong_usage_exits_2_with_words_on_stderr_and_nothing_on_stdout() {
    for arguments in [
        &["reserve"][..],
        &["reserve", "LIP=many"],
        &["reserve", "LIP", "--ttl", "0"],
        &["amend", "--reservation", "0199e000-0000-8000-8000-000000000000", "LIP=1", "LIP=2"],
        &["extend", "--reservation", "0199e000-0000-8000-8000-000000000000", "--ttl", "0"],
        &["return", "--reservation", "0199e000-0000-8000-8000-000000000000"],
        &["commit", "--reservation", "no-uuid"],
        &["stock", "get", "LIP", "--consistency", "fresh"],
        &["replay", "x.csv", "--stock", "1", "--stock-of-demand", "0.5"],
        &["replay", "x.csv", "--speed", "0"],
        &["cluster", "replace", "3", "--with", "nonsense"],
        &["cluster", "replace", "3", "--with", "10.0.0.4:0"],
        &["import", "there-is-no-such-file.csv"],
        &["nonsense"],
    ] {
        let ended = holdfast(arguments);
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}: {}", text(&ended.stderr));
        assert!(ended.stdout.is_empty() && !ended.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_cluster_that_is_not_there_exits_6_and_says_how_to_name_one() {
    for arguments in [&["cluster", "status"][..], &["stock", "get", "LIP"], &["reserve", "LIP"]] {
        let ended = holdfast(&[arguments, &["--addr", "127.0.0.1:1", "--timeout", "1"]].concat());
        assert_eq!(ended.status.code(), Some(6), "{arguments:?}: {}", text(&ended.stderr));
        assert!(text(&ended.stderr).contains("hint: ") && text(&ended.stderr).contains("--addr"), "{arguments:?}");
    }
}

#[test]
fn a_trace_that_cannot_be_played_is_refused_with_its_name_before_the_cluster_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = "event_time,event_type,product_id,user_session";
    let without = |column: &str| all.split(',').filter(|name| *name != column).collect::<Vec<_>>().join(",");
    let mut cases = vec![
        (String::new(), "the file is empty".to_owned()),
        ("\n\n".to_owned(), "the file is empty".to_owned()),
        ("\"event_time\n".to_owned(), "its header is not CSV: bad_quotes".to_owned()),
    ];
    for column in all.split(',') {
        cases.push((without(column) + "\n", format!("the header names no column \"{column}\"")));
    }
    for (text, expected) in cases {
        let file = folder.path().join("trace.csv");
        std::fs::write(&file, &text).expect("the file is written");
        let file = file.to_str().expect("UTF-8");
        let ended = holdfast(&["replay", file, "--addr", "127.0.0.1:1", "--timeout", "1"]);
        let said = self::text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{text:?}: {said}");
        assert!(said.contains(file) && said.contains(&expected), "{text:?}: {said}");
    }
}

#[test]
fn an_address_of_a_fresh_node_that_is_none_is_refused_by_its_flag_before_the_cluster_is_asked() {
    for address in ["nonsense", "10.0.0.4", ":7501", "10.0.0.4:peer", "10.0.0.4:70000"] {
        let ended = holdfast(&["cluster", "replace", "3", "--with", address, "--addr", "127.0.0.1:1"]);
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.contains("--with") && said.contains(address) && said.contains("host:port"), "{said}");
    }
}

#[test]
fn what_needs_no_cluster_is_told_without_one_and_plain_in_a_pipe() {
    let list = holdfast(&["errors", "list"]);
    let metrics = holdfast(&["metrics", "list"]);
    let page = holdfast(&["errors", "explain", "insufficient-stock"]);
    for (shown, has) in [(&list, "INSUFFICIENT_STOCK"), (&metrics, "holdfast_oversold_units"), (&page, "## What to do")]
    {
        let text = text(&shown.stdout);
        assert!(shown.status.success() && text.contains(has), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
    }
    let json: serde_json::Value =
        serde_json::from_slice(&holdfast(&["metrics", "list", "-o", "json"]).stdout).expect("JSON");
    let oversold = json.as_array().and_then(|rows| rows.iter().find(|row| row["name"] == "holdfast_oversold_units"));
    assert_eq!(oversold.map(|row| (&row["kind"], &row["labels"])), Some((&"gauge".into(), &vec!["shard"].into())));
}

#[test]
fn a_failure_names_what_to_type_next_plain_in_a_pipe() {
    for (arguments, next) in [
        (&["errors", "explain", "NONSENSE"][..], "`holdfast errors list`"),
        (&["import", "there-is-no-such-file.csv"], "hint: "),
        (&["stock", "get", "LIP", "--addr", "127.0.0.1:1", "--timeout", "1"], "--addr"),
        (&["doctor", "--addr", "127.0.0.1:1"], "what stands behind its arrow"),
    ] {
        let said = text(&holdfast(arguments).stderr);
        assert!(said.contains("hint: ") && said.contains(next) && !said.contains('\x1b'), "{arguments:?}: {said}");
    }
}

#[test]
fn completions_know_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let script = holdfast(&["completions", shell]);
        assert!(script.status.success() && text(&script.stdout).contains("reservation"), "{shell}");
    }
}

/// Three ports in a row that nobody has, below those the system hands out by itself; the second one is taken now.
fn a_base_whose_second_port_is_busy() -> (u16, std::net::TcpListener) {
    let bind = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).ok();
    (31_000..32_700)
        .step_by(3)
        .find_map(|base| {
            let (first, second, third) = (bind(base)?, bind(base + 1)?, bind(base + 2)?);
            drop((first, third));
            Some((base, second))
        })
        .expect("three free ports in a row")
}

#[test]
fn a_busy_port_is_named_with_the_flag_that_chooses_another() {
    let (base, _busy) = a_base_whose_second_port_is_busy();
    let port = base + 1;
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("the path is UTF-8");
    let ended = holdfast(&["up", "--nodes", "1", "--data", data, "--port-base", &base.to_string()]);
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("port {port}")) && said.contains("--port-base"), "port {port}: {said}");
}

#[test]
fn a_configuration_is_checked_without_starting_anything() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cluster.toml");
    let nodes = "nodes = [{ id = 1, client = \"127.0.0.1:7401\", peer = \"127.0.0.1:7402\" }]\n";
    let check = |text: &str| {
        std::fs::write(&file, text).expect("the file is written");
        holdfast(&["start", "--check", "--node", "1", "--config", file.to_str().expect("UTF-8")])
    };
    assert_eq!(check(&format!("cluster_id = \"shop\"\n{nodes}")).status.code(), Some(0));
    let refused = check(&format!("cluster_id = \"shop\"\nshard = 4\n{nodes}"));
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("did you mean `shards`?"), "{}", text(&refused.stderr));
}
