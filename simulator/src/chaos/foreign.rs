//! A cluster that the harness has not started: its faults are commands that somebody else has written down.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;
use tokio::process::Command;
use tokio::time::timeout;

use super::plan::Planned;

/// How long a command may take.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what}")]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

/// The nodes of a cluster.toml; the rest of it is the nodes' own.
#[derive(Debug, Deserialize)]
struct ClusterFile {
    nodes: Vec<Node>,
}

/// A node as its cluster's file names it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: u64,
    /// Where clients find it.
    pub client: String,
}

/// To which nodes a fault happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happens {
    /// To one that is drawn.
    #[default]
    ToOne,
    /// To all at once.
    ToAll,
}

/// A fault as commands of `sh`, in which `{node}` and `{addr}` stand for a node's id and client address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultCommands {
    /// Begins it.
    pub start: String,
    /// Ends it, also where the beginning has failed.
    pub end: String,
    /// To which nodes.
    #[serde(default)]
    pub happens: Happens,
}

/// The cluster.
#[derive(Debug)]
pub struct ForeignCluster {
    nodes: Vec<Node>,
    commands: BTreeMap<String, FaultCommands>,
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    let wrong = |what: String| FileError { path: path.to_owned(), what };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    toml::from_str(&text).map_err(|error| wrong(error.to_string()))
}

impl ForeignCluster {
    /// The cluster of a cluster.toml, with the faults of a file of commands.
    ///
    /// # Errors
    /// A file cannot be read, or says something else.
    pub fn from_files(cluster: &Path, commands: Option<&Path>) -> Result<Self, FileError> {
        let file: ClusterFile = read(cluster)?;
        if file.nodes.is_empty() {
            return Err(FileError { path: cluster.to_owned(), what: "it names no nodes".to_owned() });
        }
        let commands = commands.map(read).transpose()?.unwrap_or_default();
        Ok(Self { nodes: file.nodes, commands })
    }

    /// The ids of its nodes.
    #[must_use]
    pub fn node_ids(&self) -> Vec<u64> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    /// Where clients find it.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.client.clone()).collect()
    }

    /// The faults that there are commands for.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        self.commands.keys().cloned().collect()
    }

    /// Lets a fault begin; the commands that end it.
    ///
    /// # Errors
    /// A command failed. Those that end it have been run.
    pub async fn begin(&self, fault: &Planned) -> Result<Vec<String>, String> {
        let commands = self.commands.get(&fault.kind).ok_or_else(|| format!("no commands for `{}`", fault.kind))?;
        let nodes: Vec<&Node> = match commands.happens {
            Happens::ToAll => self.nodes.iter().collect(),
            Happens::ToOne => self.nodes.get(fault.node % self.nodes.len()).into_iter().collect(),
        };
        let starts = nodes.iter().map(|node| filled_in(&commands.start, node)).collect();
        let ends: Vec<String> = nodes.iter().map(|node| filled_in(&commands.end, node)).collect();
        match run_all(starts).await {
            Ok(()) => Ok(ends),
            Err(why) => {
                let ended = run_all(ends).await;
                Err(format!("{why}{}", ended.err().map(|why| format!("; and then {why}")).unwrap_or_default()))
            }
        }
    }

    /// Runs the commands that end a fault.
    ///
    /// # Errors
    /// Which failed.
    pub async fn end(&self, commands: Vec<String>) -> Result<(), String> {
        run_all(commands).await
    }
}

fn filled_in(command: &str, node: &Node) -> String {
    command.replace("{node}", &node.id.to_string()).replace("{addr}", &node.client)
}

async fn run_all(commands: Vec<String>) -> Result<(), String> {
    let ended = join_all(commands.iter().map(|command| run(command))).await;
    ended.into_iter().collect()
}

async fn run(command: &str) -> Result<(), String> {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    match timeout(COMMAND_WITHIN, shell.output()).await {
        Err(_) => Err(format!("`{command}` is not done after {} s", COMMAND_WITHIN.as_secs())),
        Ok(Err(error)) => Err(format!("`{command}` cannot be run: {error}")),
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
            Err(format!("`{command}` failed ({}): {said}", output.status))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(folder: &Path, commands: &str) -> ForeignCluster {
        let text = "cluster_id = \"c\"\n[[nodes]]\nid = 4\nclient = \"a:1\"\npeer = \"a:2\"\n\
                    [[nodes]]\nid = 7\nclient = \"b:1\"\npeer = \"b:2\"\n";
        let (file, faults) = (folder.join("cluster.toml"), folder.join("faults.toml"));
        std::fs::write(&file, text).unwrap();
        std::fs::write(&faults, commands).unwrap();
        ForeignCluster::from_files(&file, Some(&faults)).unwrap()
    }

    fn planned(kind: &str, node: usize) -> Planned {
        Planned { kind: kind.to_owned(), at: Duration::ZERO, lasts: Duration::ZERO, node, seed: 0 }
    }

    #[tokio::test]
    async fn a_fault_begins_and_ends_by_its_commands_with_the_node_filled_in() {
        let folder = tempfile::tempdir().unwrap();
        let (path, said) = (folder.path().display(), folder.path().join("said"));
        let text = format!(
            "[kill]\nstart = \"echo begin {{node}} {{addr}} >> {path}/said\"\nend = \"echo end {{node}} >> {path}/said\"\n\
             [dark]\nhappens = \"to_all\"\nstart = \"touch {path}/dark-{{node}}\"\nend = \"rm {path}/dark-{{node}}\"\n"
        );
        let cluster = cluster(folder.path(), &text);
        assert_eq!((cluster.node_ids(), cluster.addresses()), (vec![4, 7], vec!["a:1".to_owned(), "b:1".to_owned()]));
        assert_eq!(cluster.kinds(), ["dark", "kill"]);
        let ends = cluster.begin(&planned("kill", 1)).await.unwrap();
        cluster.end(ends).await.unwrap();
        assert_eq!(std::fs::read_to_string(said).unwrap(), "begin 7 b:1\nend 7\n");
        let ends = cluster.begin(&planned("dark", 0)).await.unwrap();
        assert!(folder.path().join("dark-4").exists() && folder.path().join("dark-7").exists());
        cluster.end(ends).await.unwrap();
        assert!(!folder.path().join("dark-4").exists() && !folder.path().join("dark-7").exists());
    }

    #[tokio::test]
    async fn a_fault_that_cannot_begin_is_ended_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[kill]\nstart = \"echo no such machine >&2; exit 3\"\nend = \"touch {}/ended\"\n",
            folder.path().display()
        );
        let why = cluster(folder.path(), &text).begin(&planned("kill", 0)).await.unwrap_err();
        assert!(why.contains("no such machine") && why.contains("exit status: 3"), "{why}");
        assert!(folder.path().join("ended").exists());
    }

    #[test]
    fn a_file_that_says_something_else_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cluster.toml");
        std::fs::write(&file, "nodes = 3").unwrap();
        let error = ForeignCluster::from_files(&file, None).unwrap_err().to_string();
        assert!(error.contains("cluster.toml") && error.contains("nodes"), "{error}");
    }
}
