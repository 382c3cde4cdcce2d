//! What `holdfast doctor` looks at: a folder of checks, each of which says what it found in one line, and what to type next.

mod cluster;
mod machine;

use serde::Serialize;

pub use cluster::examine_cluster;
pub use machine::examine_machine;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and somebody should look.
    Warning,
    /// It does not work, or soon will not.
    Problem,
}

impl State {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: `disk`, `node 2`, `shard 3`.
    pub about: String,
    /// How bad it is.
    pub state: State,
    /// What was found.
    pub what: String,
    /// What to type, or to change, next; empty where there is nothing to do.
    pub next: String,
}

impl Finding {
    /// All is well.
    pub fn ok(about: impl Into<String>, what: impl Into<String>) -> Self {
        Self { about: about.into(), state: State::Ok, what: what.into(), next: String::new() }
    }

    /// Somebody should look.
    pub fn warning(about: impl Into<String>, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { about: about.into(), state: State::Warning, what: what.into(), next: next.into() }
    }

    /// It does not work, or soon will not.
    pub fn problem(about: impl Into<String>, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { about: about.into(), state: State::Problem, what: what.into(), next: next.into() }
    }
}
