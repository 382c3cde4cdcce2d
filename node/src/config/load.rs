//! File, environment and flags, put together: what stands later wins.

use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::providers::{Env, Format, Serialized, Toml};
use figment::{Figment, Source};

use super::{ConfigError, NodeConfig};

/// Environment variables begin with this; two underscores go down a level: `HOLDFAST_RAFT__HEARTBEAT_MS`.
const PREFIX: &str = "HOLDFAST_";

/// Variables with our prefix that are not settings of a node: the command line reads them itself.
const OF_THE_COMMAND_LINE: &[&str] =
    &["addr", "config", "cluster", "nodes", "output", "timeout", "color", "color_mode", "insecure", "port_base"];

/// What the command line says: the strongest word.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Which node this is.
    pub node_id: Option<u64>,
    /// Its folder.
    pub data_dir: Option<PathBuf>,
    /// Any other setting, as (key, value): `("raft.heartbeat_ms", "100")`.
    pub settings: Vec<(String, String)>,
}

impl NodeConfig {
    /// Reads `file`, then the environment, then the flags; what stands later wins.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: the file cannot be read, a key is unknown or missing, a value is wrong.
    pub fn load(file: &Path, flags: &Overrides) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| ConfigError::Unreadable { path: file.to_owned(), error: error.to_string() })?;
        let environment = Env::prefixed(PREFIX).ignore(OF_THE_COMMAND_LINE).split("__");
        Self::from_sources(file, &text, Some(environment), flags)
    }

    /// The same from a file's text alone.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], as [`NodeConfig::load`].
    pub fn from_text(text: &str, flags: &Overrides) -> Result<Self, ConfigError> {
        Self::from_sources(Path::new("cluster.toml"), text, None, flags)
    }

    fn from_sources(file: &Path, text: &str, environment: Option<Env>, flags: &Overrides) -> Result<Self, ConfigError> {
        // Read on its own first: a fault of syntax has no key.
        if let Err(error) = text.parse::<toml::Table>() {
            return Err(ConfigError::Syntax { path: file.to_owned(), error: error.to_string() });
        }
        let mut figment = Figment::from(Toml::string(text));
        if let Some(environment) = environment {
            figment = figment.merge(environment);
        }
        if let Some(node_id) = flags.node_id {
            figment = figment.merge(Serialized::default("node_id", node_id));
        }
        if let Some(data_dir) = &flags.data_dir {
            figment = figment.merge(Serialized::default("data_dir", data_dir));
        }
        for (key, value) in &flags.settings {
            let value: figment::value::Value = value.parse().unwrap_or_else(|never| match never {});
            figment = figment.merge(Serialized::default(key, value));
        }
        let config: Self = figment.extract().map_err(|error| translate(error, file))?;
        config.check()?;
        Ok(config)
    }
}

fn translate(error: figment::Error, file: &Path) -> ConfigError {
    let at = error.path.join(".");
    let under = |key: &str| {
        if at.is_empty() || at.ends_with(key) {
            if at.is_empty() { key.to_owned() } else { at.clone() }
        } else {
            format!("{at}.{key}")
        }
    };
    match &error.kind {
        Kind::UnknownField(key, known) => ConfigError::UnknownKey {
            key: under(key),
            source_name: source_name(&error, file),
            suggestion: closest(key, known),
            known: known.to_vec(),
        },
        Kind::MissingField(key) => ConfigError::Missing { key: under(key) },
        kind => ConfigError::Invalid {
            key: at.clone(),
            problem: format!("is not what is expected: {kind}"),
            hint: format!("mend it in {}", source_name(&error, file)),
        },
    }
}

fn source_name(error: &figment::Error, file: &Path) -> String {
    let metadata = error.metadata.as_ref();
    match metadata {
        Some(metadata) if metadata.name.contains("environment") => "the environment".to_owned(),
        Some(metadata) if matches!(metadata.source, Some(Source::Code(_))) => "a flag".to_owned(),
        _ => file.display().to_string(),
    }
}

/// The known key that looks most like it, if it looks much like it.
fn closest(key: &str, known: &[&'static str]) -> Option<String> {
    let likeness = |known: &&'static str| (strsim::jaro_winkler(key, known) * 1_000.0) as u64;
    let best = known.iter().copied().max_by_key(likeness)?;
    (likeness(&best) >= 800).then(|| best.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        cluster_id = "shop"
        nodes = [{ id = 1, client = "127.0.0.1:7401", peer = "127.0.0.1:7501" }]
    "#;

    fn load(text: &str, flags: &Overrides) -> Result<NodeConfig, ConfigError> {
        NodeConfig::from_text(text, flags)
    }

    fn first() -> Overrides {
        Overrides { node_id: Some(1), ..Overrides::default() }
    }

    #[test]
    fn a_short_file_is_enough() {
        let config = load(FILE, &first()).unwrap();
        assert_eq!((config.shards, config.me().id), (8, 1));
        assert_eq!(config.node_dir(), PathBuf::from("data/node-1"));
    }

    #[test]
    fn the_cluster_file_at_the_root_is_valid_for_each_of_its_nodes() {
        let text = include_str!("../../../cluster.toml");
        for id in 1..=3 {
            let config = load(text, &Overrides { node_id: Some(id), ..Overrides::default() }).unwrap();
            assert_eq!(config.nodes.len(), 3);
        }
    }

    #[test]
    fn the_cluster_file_at_the_root_says_the_defaults() {
        let config = load(include_str!("../../../cluster.toml"), &first()).unwrap();
        assert_eq!(config.raft, super::super::RaftConfig::default());
        assert_eq!(config.limits, super::super::NodeLimits::default());
        assert_eq!(config.http, super::super::HttpConfig::default());
        assert_eq!(config.audit, super::super::AuditConfig::default());
        assert_eq!(config.alerts, super::super::AlertsConfig::default());
        assert_eq!(config.log, super::super::LogConfig::default());
        assert_eq!(config.telemetry, super::super::TelemetryConfig::default());
        assert_eq!(config.shard_limits, holdfast_inventory::Limits::default());
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
        let error = load(&format!("{FILE}\nshard = 4"), &first()).unwrap_err();
        assert_eq!(error.to_string(), "there is no setting `shard` (from cluster.toml)");
        assert_eq!(error.hint(), "did you mean `shards`?");
        let error = load(&format!("{FILE}\n[raft]\nheartbeat = 4"), &first()).unwrap_err();
        assert_eq!(error.key(), Some("raft.heartbeat"));
        assert_eq!(error.hint(), "did you mean `heartbeat_ms`?");
        let error = load(&format!("{FILE}\nzzz = 4"), &first()).unwrap_err();
        assert!(error.hint().starts_with("the settings there are: node_id, cluster_id"), "{}", error.hint());
    }

    #[test]
    fn a_missing_key_names_the_way_out() {
        let error = load(FILE, &Overrides::default()).unwrap_err();
        assert_eq!(error.to_string(), "the setting `node_id` is missing");
        assert_eq!(error.hint(), "say which node this is: --node 1, or HOLDFAST_NODE_ID=1");
    }

    #[test]
    #[allow(clippy::result_large_err, reason = "the error is figment's own")]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        figment::Jail::expect_with(|jail| {
            jail.create_file(
                "cluster.toml",
                &format!("shards = 2\n{FILE}\n[raft]\nheartbeat_ms = 100\nelection_min_ms = 400"),
            )?;
            jail.set_env("HOLDFAST_NODE_ID", "1");
            jail.set_env("HOLDFAST_SHARDS", "3");
            jail.set_env("HOLDFAST_RAFT__HEARTBEAT_MS", "120");
            jail.set_env("HOLDFAST_CONFIG", "is read by the command line");
            let file = Path::new("cluster.toml");
            let config = NodeConfig::load(file, &Overrides::default()).unwrap();
            assert_eq!((config.shards, config.raft.heartbeat_ms), (3, 120));
            let flags =
                Overrides { settings: vec![("raft.heartbeat_ms".into(), "130".into())], ..Overrides::default() };
            assert_eq!(NodeConfig::load(file, &flags).unwrap().raft.heartbeat_ms, 130);
            jail.set_env("HOLDFAST_RAFT__HEARTBEAT", "1");
            let error = NodeConfig::load(file, &flags).unwrap_err();
            assert_eq!(error.to_string(), "there is no setting `raft.heartbeat` (from the environment)");
            Ok(())
        });
    }

    #[test]
    fn a_value_of_another_type_names_its_key() {
        let error = load(&format!("{FILE}\n[limits]\nmax_streams = \"many\""), &first()).unwrap_err();
        assert_eq!(error.key(), Some("limits.max_streams"));
    }

    #[test]
    fn a_fault_of_syntax_says_where() {
        let error = load("cluster_id = ", &first()).unwrap_err();
        assert!(matches!(error, ConfigError::Syntax { .. }));
    }

    proptest::proptest! {
        #[test]
        fn what_is_nearly_a_configuration_is_refused_with_a_hint_or_valid_and_never_a_panic(
            bytes in holdfast_mangle::mangled(crate::untrusted::configuration::valid()),
        ) {
            crate::untrusted::configuration::read(&bytes);
        }
    }
}
