//! One node: a process with a folder, addresses behind the proxy, and those that everybody knows.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

/// The end of a node's messages that is shown where it ended by itself.
const SHOWN_BYTES: u64 = 1_500;
/// Between two starts of a node that ends by itself.
const START_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A node of a cluster of one's own.
#[derive(Debug)]
pub(super) struct NodeProcess {
    pub(super) id: u64,
    /// Where clients and nodes look for it: the proxy.
    pub(super) public: [String; 2],
    /// Where it listens.
    pub(super) behind: [String; 2],
    messages: PathBuf,
    child: Option<Child>,
    started_at: Option<Instant>,
}

/// What a node is started with.
#[derive(Debug)]
pub(super) struct Start<'a> {
    /// Words before the binary: what puts it where it is to run, and becomes it.
    pub(super) prefix: &'a [String],
    pub(super) binary: &'a Path,
    pub(super) config: &'a Path,
    pub(super) environment: &'a [(String, String)],
}

impl NodeProcess {
    pub(super) fn new(id: u64, public: [String; 2], behind: [String; 2], folder: &Path) -> Self {
        let messages = folder.join(format!("node-{id}.log"));
        Self { id, public, behind, messages, child: None, started_at: None }
    }

    /// Starts it; its process id.
    pub(super) fn start(&mut self, start: &Start<'_>) -> io::Result<Option<u32>> {
        let messages = File::options().create(true).append(true).open(&self.messages)?;
        let mut command = match start.prefix {
            [] => Command::new(start.binary),
            [program, words @ ..] => {
                let mut command = Command::new(program);
                command.args(words).arg(start.binary);
                command
            }
        };
        command
            .arg("start")
            .arg("--config")
            .arg(start.config)
            .arg("--node")
            .arg(self.id.to_string())
            // It ends when the harness is gone, which keeps the other end open as long as it lives.
            .arg("--end-with-parent")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(messages)
            // Ctrl-C in a terminal goes to the harness alone.
            .process_group(0)
            .kill_on_drop(true)
            .envs(start.environment.iter().map(|(name, value)| (name, value)));
        // Nodes in namespaces of their own are no loopback to one another.
        if !start.prefix.is_empty() {
            command.arg("--insecure");
        }
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HOLDFAST_")) {
            command.env_remove(name);
        }
        let child = command.spawn()?;
        let process = child.id();
        self.child = Some(child);
        self.started_at = Some(Instant::now());
        Ok(process)
    }

    pub(super) fn is_there(&self) -> bool {
        self.child.is_some()
    }

    /// Whether it is time to start it, if it is not there.
    pub(super) fn may_start(&self) -> bool {
        self.child.is_none() && self.started_at.is_none_or(|at| at.elapsed() > START_AGAIN_AFTER)
    }

    /// Sends SIGKILL; [`NodeProcess::buried`] waits for the end.
    pub(super) fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.start_kill();
        }
    }

    pub(super) async fn buried(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.wait().await;
        }
        self.started_at = None;
    }

    pub(super) fn signal(&self, signal: Signal) {
        let process = self.child.as_ref().and_then(Child::id).and_then(|id| i32::try_from(id).ok());
        if let Some(process) = process.and_then(Pid::from_raw) {
            // One that has just ended hears nothing.
            let _ = kill_process(process, signal);
        }
    }

    /// Asks it to stop by SIGTERM, and kills it where it does not in time.
    pub(super) async fn stop(&mut self, within: Duration) {
        self.signal(Signal::TERM);
        if let Some(child) = &mut self.child
            && timeout(within, child.wait()).await.is_err()
        {
            let _ = child.start_kill();
        }
        self.buried().await;
    }

    /// How it ended, if it has by itself since the last look.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok().flatten()?;
        self.child = None;
        Some(status)
    }

    /// The last of what it has said.
    pub(super) fn last_words(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&self.messages)?;
            let length = fs::metadata(&self.messages)?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(SHOWN_BYTES)))?;
            let mut bytes = Vec::new();
            file.take(SHOWN_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A process in the place of a node, whose script this is.
    fn started(folder: &Path, script: &str) -> NodeProcess {
        let binary = folder.join("binary");
        fs::write(&binary, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
        let mut node = NodeProcess::new(7, Default::default(), Default::default(), folder);
        node.start(&Start { prefix: &[], binary: &binary, config: Path::new("node-7.toml"), environment: &[] })
            .unwrap();
        node
    }

    #[tokio::test]
    async fn a_node_that_ends_by_itself_is_seen_with_its_status_and_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut node = started(folder.path(), "echo \"$@\" >&2; exit 21");
        let deadline = Instant::now() + Duration::from_secs(20);
        let status = loop {
            if let Some(status) = node.ended() {
                break status;
            }
            assert!(Instant::now() < deadline, "it goes on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert_eq!(status.code(), Some(21));
        assert_eq!(node.last_words(), "start --config node-7.toml --node 7 --end-with-parent\n");
        assert!(!node.is_there() && !node.may_start(), "a node that ends at once is not started without a pause");
    }

    #[tokio::test]
    async fn a_node_that_was_killed_has_not_ended_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let mut node = started(folder.path(), "read line");
        assert!(node.is_there() && node.ended().is_none());
        node.kill();
        node.buried().await;
        assert!(!node.is_there() && node.ended().is_none() && node.may_start());
    }
}
