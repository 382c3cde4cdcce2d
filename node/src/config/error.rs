//! Why a configuration is refused: the key at fault, what is wrong with it, and the way out.

use std::path::PathBuf;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: String,
    },
    /// The file is not TOML.
    #[error("{} is not valid TOML: {error}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        error: String,
    },
    /// Nobody knows that key.
    #[error("there is no setting `{key}` (from {source_name})")]
    UnknownKey {
        /// The key, with the keys it stands under: `limits.max_stream`.
        key: String,
        /// Where it was found.
        source_name: String,
        /// A known key that looks much like it.
        suggestion: Option<String>,
        /// The keys that may stand there.
        known: Vec<&'static str>,
    },
    /// Nobody gave a value for a key that has no default.
    #[error("the setting `{key}` is missing")]
    Missing {
        /// The key.
        key: String,
    },
    /// A value that cannot be.
    #[error("the setting `{key}` {problem}")]
    Invalid {
        /// The key.
        key: String,
        /// What is wrong, as a phrase: `is 0`.
        problem: String,
        /// What to write instead.
        hint: String,
    },
}

impl ConfigError {
    /// The key at fault, where there is one.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Unreadable { .. } | Self::Syntax { .. } => None,
            Self::UnknownKey { key, .. } | Self::Missing { key } | Self::Invalid { key, .. } => Some(key),
        }
    }

    /// The way out.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { path, .. } => {
                format!(
                    "name the file with --config, or write {} (the one at the root of the sources serves as a model)",
                    path.display()
                )
            }
            Self::Syntax { .. } => "mend the file where the message points".to_owned(),
            Self::UnknownKey { suggestion: Some(known), .. } => format!("did you mean `{known}`?"),
            Self::UnknownKey { suggestion: None, known, .. } => format!("the settings there are: {}", known.join(", ")),
            Self::Missing { key } if key == "node_id" => {
                "say which node this is: --node 1, or HOLDFAST_NODE_ID=1".to_owned()
            }
            Self::Missing { key } => {
                format!("write it into the file, or set HOLDFAST_{}", key.to_uppercase().replace('.', "__"))
            }
            Self::Invalid { hint, .. } => hint.clone(),
        }
    }
}
