//! What a power cut left is opened by the code that ships, and judged.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use holdfast_raft::host::{Host, HostOptions};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::dice::Dice;
use crate::drive::{Arrives, Drive, Fate, Image};
use crate::load::Recorded;
use crate::node::{CLUSTER, NODE, Node, NotOpened, log_options, world};
use crate::promises::Promises;

/// Opening may take so long; then it hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Free bytes that a folder in memory must have to be used for what the judges open.
const ROOM: u64 = 1 << 30;

/// How many are judged at once.
const JUDGES: usize = 4;

/// A moment, and what becomes of what has not arrived.
#[derive(Clone, Copy, Debug)]
pub struct PowerCut {
    /// After so many events.
    pub events: usize,
    pub fate: Fate,
    pub seed: u64,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing had been promised, and nothing is there.
    Fresh,
    /// Each group gives the last checkpoint that was reported, or a later one, and every entry after it.
    Whole,
    /// The store says that it is not to be believed. `loses`: a checkpoint that was reported.
    Refused { why: String, loses: bool },
    /// What must never happen.
    Wrong(String),
}

impl PowerCut {
    /// Whether this verdict breaks a promise.
    pub fn breaks(&self, verdict: &Verdict) -> bool {
        match verdict {
            Verdict::Fresh | Verdict::Whole => false,
            Verdict::Refused { loses, .. } => *loses,
            Verdict::Wrong(_) => true,
        }
    }

    /// A word for what arrives.
    pub fn kind(&self) -> &'static str {
        match (self.fate.contents, self.fate.names) {
            (Arrives::All, Arrives::All) => "everything arrives",
            (Arrives::Nothing, Arrives::Nothing) => "only what was synced",
            (Arrives::Nothing, Arrives::All) => "all names, synced contents",
            (Arrives::Some(_), Arrives::All) => "torn contents",
            (Arrives::All, _) => "names lost",
            (_, Arrives::Nothing | Arrives::Some(_)) => "torn contents, names lost",
        }
    }
}

/// Makes and judges power cuts; `is_lost` names syncs that do nothing.
pub fn judge_all(
    recorded: &Arc<Recorded>,
    mut cuts: Vec<PowerCut>,
    is_lost: impl Fn(usize) -> bool,
) -> Vec<(PowerCut, Verdict)> {
    cuts.sort_by_key(|cut| cut.events);
    let verdicts = Mutex::new(Vec::new());
    let (sender, waiting) = mpsc::sync_channel::<(PowerCut, Image)>(1);
    let waiting = Mutex::new(waiting);
    std::thread::scope(|scope| {
        for _ in 0..JUDGES {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap().recv();
                    let Ok((cut, image)) = next else { return };
                    let verdict = judge(recorded, image, recorded.told.after(cut.events));
                    verdicts.lock().unwrap().push((cut, verdict));
                }
            });
        }
        let mut drive = Drive::empty(&recorded.record);
        for cut in cuts {
            drive.run_to(cut.events, &is_lost);
            let image = drive.cut(cut.fate, &mut Dice::of(cut.seed, cut.events as u64));
            sender.send((cut, image)).unwrap();
        }
        drop(sender);
    });
    verdicts.into_inner().unwrap()
}

/// Opens what is left on a thread of its own, so that a panic or a hang is a verdict too.
fn judge(recorded: &Arc<Recorded>, image: Image, promises: &Promises) -> Verdict {
    let (sender, verdict) = mpsc::channel();
    let (recorded, promises) = (recorded.clone(), promises.clone());
    let judging = std::thread::spawn(move || {
        let _ = sender.send(verdict_of(&recorded, &image, &promises));
    });
    match verdict.recv_timeout(PATIENCE) {
        Ok(verdict) => verdict,
        Err(mpsc::RecvTimeoutError::Timeout) => Verdict::Wrong("it does not open, and does not fail".to_owned()),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            let panicked = judging.join().expect_err("a judge that says nothing has panicked");
            let what = panicked.downcast_ref::<String>().cloned();
            Verdict::Wrong(format!("a panic: {}", what.unwrap_or_else(|| "without words".to_owned())))
        }
    }
}

/// An empty folder for what a power cut left: in memory where there is room, since opening syncs all of it again.
fn scratch() -> TempDir {
    static IN_MEMORY: LazyLock<bool> = LazyLock::new(|| {
        let asked = Command::new("df").args(["--output=avail", "-B1", "/dev/shm"]).output();
        let told = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        told.lines().last().and_then(|bytes| bytes.trim().parse().ok()).is_some_and(|free: u64| free >= ROOM)
    });
    let dir = if *IN_MEMORY { "/dev/shm" } else { env!("CARGO_TARGET_TMPDIR") };
    tempfile::tempdir_in(dir).unwrap()
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn verdict_of(recorded: &Recorded, image: &Image, promises: &Promises) -> Verdict {
    let folder = scratch();
    let root = folder.path();
    image.write(root);
    let is_there = root.join(NODE).join("control").exists();
    if !is_there && promises.founded {
        return Verdict::Wrong("the node has forgotten who it is".to_owned());
    }
    match runtime().block_on(open_and_check(recorded, root, promises)) {
        Ok(()) if is_there => Verdict::Whole,
        Ok(()) => Verdict::Fresh,
        Err(NotOpened::Wrong(what)) => Verdict::Wrong(what),
        Err(NotOpened::Refused(why)) => match host_refuses(image) {
            Ok(()) => Verdict::Refused { why, loses: promises.any_checkpoint() },
            Err(what) => Verdict::Wrong(what),
        },
    }
}

async fn open_and_check(recorded: &Recorded, root: &Path, promises: &Promises) -> Result<(), NotOpened> {
    let mut node = Node::open(root).await?;
    let checked = node.check(promises, &recorded.states).await;
    node.close().await;
    checked
}

/// A host that opens the same says that it sets the store aside, and goes on with an empty one that peers fill.
fn host_refuses(image: &Image) -> Result<(), String> {
    let folder = scratch();
    image.write(folder.path());
    let options = HostOptions { log: log_options(), ..HostOptions::new(1, CLUSTER, folder.path().join(NODE)) };
    let runtime = runtime();
    let warnings = runtime.block_on(async {
        let host = Host::open(world(), options).await.map_err(|error| format!("the host does not open: {error}"))?;
        let warnings = host.warnings().join("\n");
        host.stop().await;
        Ok::<_, String>(warnings)
    })?;
    runtime.shutdown_timeout(PATIENCE);
    if warnings.contains("was set aside") { Ok(()) } else { Err(format!("the host believes the store: {warnings}")) }
}

/// Counts verdicts by what arrived, a line each.
pub fn counted(verdicts: &[(PowerCut, Verdict)]) -> String {
    let mut counts: BTreeMap<&str, [usize; 5]> = BTreeMap::new();
    for (cut, verdict) in verdicts {
        let count = counts.entry(cut.kind()).or_default();
        let at = match verdict {
            Verdict::Fresh => 0,
            Verdict::Whole => 1,
            Verdict::Refused { loses: false, .. } => 2,
            Verdict::Refused { loses: true, .. } => 3,
            Verdict::Wrong(_) => 4,
        };
        count[at] += 1;
    }
    let line = |(kind, [fresh, whole, refused, lost, wrong]): (&str, [usize; 5])| {
        format!(
            "{kind:28} fresh {fresh:4}  whole {whole:5}  refused before any checkpoint {refused:3}, after {lost:3}  \
             wrong {wrong}\n"
        )
    };
    counts.into_iter().map(line).collect()
}
