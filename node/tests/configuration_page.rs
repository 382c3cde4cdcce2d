//! docs/configuration.md is what the types of the configuration say: every setting with its default, its unit, what it may be, its
//! variable and its meaning. cluster.toml has every one of them, too.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use holdfast_node::{NodeConfig, Overrides};
use serde_json::Value;

/// Where the settings are declared, each with its meaning above it.
const SOURCES: [&str; 2] = [include_str!("../src/config/mod.rs"), include_str!("../../inventory/src/limits.rs")];

/// What says nothing of any setting that has a default.
const SHORTEST: &str = r#"
    cluster_id = "shop"
    nodes = [{ id = 1, client = "127.0.0.1:7401", peer = "127.0.0.1:7501" }]
"#;

const HEAD: &str = r#"# Configuration

Every setting of a node. This page is written by a test from the types that hold them (`node/tests/configuration_page.rs`). `cluster.toml` at the root of the sources is a file
with all of them, to begin with; [found a cluster](howto/found-a-cluster.md) and [operators](operators.md) say what to do with it.

- **One file for all nodes.** `holdfast start --config cluster.toml --node 1` says which of its nodes this one is.
- **What stands later wins:** the default, the file, the environment (`HOLDFAST_RAFT__HEARTBEAT_MS=100`; two underscores lead into a section, a list is written
  `HOLDFAST_HTTP__HOSTS='["stock.shop.example"]'`), a flag (`--set raft.heartbeat_ms=100`).
- **A setting that nobody knows is refused,** with the one that was meant, and so is a value that cannot be, before anything is started. `holdfast start --check` says so and shows
  what would be used.
- **They are read once,** when the node starts. `shards` and `[shard_limits]` are the cluster's: looked at when it is founded, and never again.

What a number may be is told for defaults of all others: a few bound each other, and the refusal then names both.
"#;

const VARIABLES: &str = "
## Variables that are no settings

`holdfast` reads these itself, as the flags of the same names ([command line](reference.md)).

| variable | flag | of |
| --- | --- | --- |
| `HOLDFAST_CONFIG` | `--config` | `start`, `doctor`: the file |
| `HOLDFAST_INSECURE` | `--insecure` | `start`: `true` allows addresses that other machines reach |
| `HOLDFAST_PORT_BASE` | `--port-base` | `up`: the first node's port for clients |
| `HOLDFAST_ADDR` | `--addr` | every verb that asks a cluster: where its nodes are |
| `HOLDFAST_TIMEOUT` | `--timeout` | every verb that asks a cluster: how long it goes on trying, in seconds |
| `TRACEPARENT` | | every verb that asks a cluster: the trace that it is of ([traces](operators.md#traces)) |
| `NO_COLOR` | | every verb: no colours |
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A field of a type of the configuration, as its source says it.
struct Declared {
    name: String,
    kind: String,
    meaning: String,
}

/// The public fields of a type, in order.
fn fields_of(kind: &str) -> Vec<Declared> {
    let opening = format!("pub struct {kind} {{");
    let body = SOURCES.iter().find_map(|source| source.split_once(&opening)).map(|(_, after)| after);
    let body = body.unwrap_or_else(|| panic!("{kind} is declared in none of the sources"));
    let mut fields = Vec::new();
    let mut meaning: Vec<&str> = Vec::new();
    for line in body.lines().map(str::trim).take_while(|line| *line != "}") {
        if let Some(said) = line.strip_prefix("///") {
            meaning.push(said.trim());
        } else if let Some((name, kind)) = line.strip_prefix("pub ").and_then(|field| field.split_once(": ")) {
            let said = std::mem::take(&mut meaning).join(" ").replace('|', "\\|");
            let kind = kind.trim_end_matches(',').to_owned();
            fields.push(Declared { name: name.to_owned(), kind, meaning: said });
        }
    }
    fields
}

/// The name of the type that a section has.
fn section_kind(kind: &str) -> &str {
    match kind {
        "ShardLimits" => "Limits",
        other => other.trim_start_matches("Vec<").trim_end_matches('>'),
    }
}

fn with(settings: &[(&str, String)]) -> Option<NodeConfig> {
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    NodeConfig::from_text(SHORTEST, &Overrides { node_id: Some(1), settings, ..Overrides::default() }).ok()
}

/// The least of `from..=to` that is accepted, where what is accepted ends at `to` and begins somewhere.
fn first_accepted(from: u64, to: u64, is_accepted: impl Fn(u64) -> bool) -> u64 {
    let (mut refused_below, mut accepted) = (from, to);
    while refused_below < accepted {
        let middle = refused_below + (accepted - refused_below) / 2;
        if is_accepted(middle) { accepted = middle } else { refused_below = middle + 1 }
    }
    accepted
}

/// Which numbers are accepted.
fn range_of(key: &str, default: u64, larger: Larger) -> String {
    let is_accepted = |value: u64| with(&[(key, value.to_string())]).is_some();
    assert!(is_accepted(default), "{key}: its default is refused");
    let least = first_accepted(0, default, is_accepted);
    let has_no_most = is_accepted(u64::MAX) || (is_accepted(u32::MAX.into()) && !is_accepted(u64::from(u32::MAX) + 1));
    let most =
        (!has_no_most).then(|| u64::MAX - first_accepted(0, u64::MAX - default, |below| is_accepted(u64::MAX - below)));
    match (least, most) {
        (0, None) => String::new(),
        (least, None) => format!("at least {}", told(least, larger)),
        (least, Some(most)) => format!("{} to {}", told(least, larger), told(most, larger)),
    }
}

/// What makes larger units of one: of how many, and what they are called.
type Larger = &'static [(u64, &'static str)];

/// The unit that a name ends with, and the larger ones.
fn unit_of(name: &str) -> (&'static str, Larger) {
    const MS: Larger = &[(1_000, "s"), (60, "min"), (60, "h"), (24, "d")];
    const BYTES: Larger = &[(1_024, "KiB"), (1_024, "MiB"), (1_024, "GiB"), (1_024, "TiB")];
    let units: [(&str, &str, Larger); 6] = [
        ("_ms", "ms", MS),
        ("_bytes_per_s", "bytes a second", BYTES),
        ("_bytes", "bytes", BYTES),
        ("_s", "s", &MS[1..]),
        ("_min", "min", &MS[2..]),
        ("percent", "%", &[]),
    ];
    let found = units.iter().find(|(ending, _, _)| name.ends_with(ending));
    found.map_or(("", &[]), |(_, unit, larger)| (*unit, *larger))
}

/// A number with what it is in the largest unit that divides it.
fn told(number: u64, larger: Larger) -> String {
    let (mut value, mut unit) = (number, None);
    for (factor, name) in larger {
        if value == 0 || value % factor != 0 {
            break;
        }
        (value, unit) = (value / factor, Some(name));
    }
    unit.map_or_else(|| format!("`{number}`"), |unit| format!("`{number}` ({value} {unit})"))
}

fn variable(key: &str) -> String {
    format!("`HOLDFAST_{}`", key.to_uppercase().replace('.', "__"))
}

/// The row of a setting. Of what has no default, none is told.
fn row(key: &str, declared: &Declared, value: Option<&Value>) -> String {
    assert!(!declared.meaning.is_empty(), "{key}: its type says nothing of it");
    let (unit, larger) = unit_of(&declared.name);
    let default = match value {
        None => String::new(),
        Some(value) => value.as_u64().map_or_else(|| format!("`{value}`"), |number| told(number, larger)),
    };
    let range = value.and_then(Value::as_u64).map(|default| range_of(key, default, larger)).unwrap_or_default();
    format!("| `{}` | {default} | {unit} | {range} | {} | {} |\n", declared.name, variable(key), declared.meaning)
}

const COLUMNS: &str =
    "| setting | default | unit | may be | environment | meaning |\n| --- | --- | --- | --- | --- | --- |\n";

fn written() -> String {
    let config = serde_json::to_value(with(&[]).expect("the shortest file will do")).expect("it is written as text");
    let mut page = format!("{HEAD}\n## At the top\n\n{COLUMNS}");
    let all = fields_of("NodeConfig");
    // What is no key of the file is not written either.
    let all: Vec<&Declared> = all.iter().filter(|declared| config.get(&declared.name).is_some()).collect();
    assert_eq!(
        Some(all.len()),
        config.as_object().map(serde_json::Map::len),
        "a setting that its source does not show"
    );
    let is_section = |declared: &Declared| config[&declared.name].is_object();
    for declared in all.iter().filter(|declared| !is_section(declared) && declared.name != "nodes") {
        let has_default = !matches!(declared.name.as_str(), "node_id" | "cluster_id");
        page += &row(&declared.name, declared, has_default.then(|| &config[&declared.name]));
    }
    page += "\n## `[[nodes]]`\n\nEvery node of the cluster, 1 to 9 of them, in the file alone. Addresses are `host:port`.\n\n| setting | meaning |\n| --- | --- |\n";
    for declared in fields_of("NodeAddresses") {
        let _infallible = writeln!(page, "| `{}` | {} |", declared.name, declared.meaning);
    }
    for section in all.iter().filter(|declared| is_section(declared)) {
        let _infallible = write!(page, "\n## `[{}]`\n\n{}\n\n{COLUMNS}", section.name, section.meaning);
        let settings = config[&section.name].as_object().expect("it is a section");
        let declared = fields_of(section_kind(&section.kind));
        assert_eq!(declared.len(), settings.len(), "[{}]: a setting that its source does not show", section.name);
        for declared in declared {
            page += &row(&format!("{}.{}", section.name, declared.name), &declared, Some(&settings[&declared.name]));
        }
    }
    page + VARIABLES
}

/// `INSTA_UPDATE=always` writes the page anew.
#[test]
fn the_page_is_what_the_types_say() {
    let path = root().join("docs/configuration.md");
    let text = written();
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, &text).expect("the page is written");
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == text, "docs/configuration.md is out of date: run this test with INSTA_UPDATE=always");
}

#[test]
fn every_variable_that_a_flag_has_is_on_the_page() {
    let reference = std::fs::read_to_string(root().join("docs/reference.md")).expect("docs/reference.md is there");
    let named = reference.split("[env: ").skip(1).filter_map(|rest| rest.split('=').next());
    let missing: Vec<&str> = named.filter(|name| !VARIABLES.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_cluster_file_at_the_root_has_every_setting_with_its_default() {
    let file = std::fs::read_to_string(root().join("cluster.toml")).expect("cluster.toml is there");
    let file = serde_json::to_value(file.parse::<toml::Table>().expect("it is TOML")).expect("it is written as text");
    let config = serde_json::to_value(with(&[]).expect("the shortest file will do")).expect("it is written as text");
    let settings = config.as_object().expect("settings");
    // Which node it is and whether it joins is said to one node; how many there are is up to the cluster.
    for (name, _) in
        settings.iter().filter(|(name, _)| !["node_id", "join", "nodes", "cluster_id"].contains(&name.as_str()))
    {
        assert_eq!(file.get(name), settings.get(name), "{name}");
    }
}

#[test]
fn a_number_is_told_in_the_largest_unit_that_divides_it() {
    let told = |name: &str, number| told(number, unit_of(name).1);
    assert_eq!(told("keep_ended_ms", 604_800_000), "`604800000` (7 d)");
    assert_eq!(told("heartbeat_ms", 200), "`200`");
    assert_eq!(told("scrub_bytes_per_s", 4_194_304), "`4194304` (4 MiB)");
    assert_eq!(told("max_streams", 128), "`128`");
    assert_eq!((told("interval_s", 0), told("interval_s", 300)), ("`0`".to_owned(), "`300` (5 min)".to_owned()));
    assert_eq!(first_accepted(0, 100, |value| value >= 7), 7);
}
