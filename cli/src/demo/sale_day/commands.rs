//! The commands of an operator, given as an operator gives them: this very binary, a process each, its answer read as JSON.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::development::Layout;
use crate::failure::Failure;
use crate::output;

/// No command of the day takes longer.
const WITHIN: Duration = Duration::from_secs(120);

/// Gives commands.
pub(super) struct Commands {
    binary: PathBuf,
    addresses: String,
    /// Where files are written.
    pub(super) folder: PathBuf,
}

/// What a command said.
pub(super) struct Said {
    /// Its exit code was 0.
    pub(super) is_good: bool,
    pub(super) answer: Value,
}

impl Commands {
    pub(super) fn of(layout: &Layout) -> Result<Self, Failure> {
        let binary = std::env::current_exe()
            .map_err(|error| Failure::usage(format!("this program does not find itself: {error}")))?;
        Ok(Self { binary, addresses: layout.addresses().join(","), folder: layout.data.clone() })
    }

    /// The path of a file of that name.
    pub(super) fn file(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    /// Writes a file of that name; gives its path.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<String, Failure> {
        let path = self.file(name);
        std::fs::write(&path, text).map_err(|error| Failure::usage(format!("{path} cannot be written: {error}")))?;
        Ok(path)
    }

    /// Gives a command that must go well.
    pub(super) async fn give(&self, words: &[&str]) -> Result<Value, Failure> {
        let said = self.ask(words).await?;
        if said.is_good {
            return Ok(said.answer);
        }
        Err(Failure::check(format!("`holdfast {}` did not go well: {}", words.join(" "), said.answer)))
    }

    /// Gives a command that may find something: exit code 0 or 1.
    pub(super) async fn ask(&self, words: &[&str]) -> Result<Said, Failure> {
        let quoted = words.iter().map(|word| if word.contains(' ') { format!("'{word}'") } else { (*word).to_owned() });
        output::say(&format!("$ holdfast {}", quoted.collect::<Vec<_>>().join(" ")));
        let mut command = Command::new(&self.binary);
        command.args(words).args(["-o", "json"]).stdin(Stdio::null()).kill_on_drop(true);
        command.env("HOLDFAST_ADDR", &self.addresses).env("HOLDFAST_TIMEOUT", "60");
        let told = timeout(WITHIN, command.output()).await;
        let told = told.map_err(|_| Failure::unavailable(format!("`holdfast {}` does not end", words.join(" "))))?;
        let told =
            told.map_err(|error| Failure::usage(format!("{} does not start: {error}", self.binary.display())))?;
        let is_good = told.status.success();
        if !is_good && told.status.code() != Some(1) {
            let said = String::from_utf8_lossy(&told.stderr);
            return Err(Failure::check(format!("`holdfast {}` failed: {}", words.join(" "), said.trim())));
        }
        let answer = serde_json::from_slice(&told.stdout)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&told.stderr).into_owned()));
        Ok(Said { is_good, answer })
    }
}

/// A number in an answer; 0: it is not there.
pub(super) fn number(answer: &Value, name: &str) -> u64 {
    answer[name].as_u64().unwrap_or(0)
}
