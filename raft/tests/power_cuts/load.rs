//! The load: a node's groups, written to and checkpointed at the same time, in a process of its own whose files are recorded.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use holdfast_raft::log::GroupId;

use crate::dice::Dice;
use crate::drive::{Drive, Fate, Image};
use crate::node::{Node, Shard, id};
use crate::promises::{Promises, Told, Witness};
use crate::record::{Record, compile};
use crate::shop::{GROUPS, States, entry};

/// Tells the process that it is the one that writes, and where.
const ROOT: &str = "HOLDFAST_POWER_CUTS_ROOT";
/// Which life of the node it is.
const LIFE: &str = "HOLDFAST_POWER_CUTS_LIFE";

/// What a node does in one of its lives.
struct Life {
    /// After so many events it is killed; 0: it takes its checkpoints and closes everything.
    killed_after: u64,
    /// Checkpoints that the group with little takes, and the one with much.
    rounds: [u64; 2],
}

const LIVES: [Life; 6] = [
    Life { killed_after: 120, rounds: [9, 9] },
    Life { killed_after: 900, rounds: [20, 20] },
    Life { killed_after: 500, rounds: [9, 1] },
    Life { killed_after: 0, rounds: [10, 1] },
    // Nobody else syncs the store meanwhile: much is written between two syncs.
    Life { killed_after: 900, rounds: [0, 9] },
    Life { killed_after: 0, rounds: [8, 3] },
];

/// What the lives of a node did.
pub struct Recorded {
    pub record: Record,
    pub told: Told,
    pub states: Mutex<BTreeMap<GroupId, States>>,
}

/// The states of all groups.
fn states() -> Mutex<BTreeMap<GroupId, States>> {
    Mutex::new(GROUPS.into_iter().map(|group| (group, States::of(group))).collect())
}

impl Recorded {
    /// Lets a node live, be killed and live again, and records it. `load`: the test that calls [`live`].
    pub fn new(load: &str) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let folder_path = folder.path().canonicalize().unwrap();
        let (library, root) = (compile(&folder_path), folder_path.join("root"));
        std::fs::create_dir(&root).unwrap();
        let mut record = Record::default();
        for (life, Life { killed_after, .. }) in LIVES.iter().enumerate() {
            let file = folder_path.join(format!("record-{life}"));
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args([load, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"]);
            command.env(ROOT, &root).env(LIFE, life.to_string()).env("LD_PRELOAD", &library);
            command.env("HOLDFAST_RECORD_BELOW", &root).env("HOLDFAST_RECORD_TO", &file);
            command.env("HOLDFAST_RECORD_LIMIT", killed_after.to_string());
            let output = command.output().unwrap();
            assert!(output.status.success(), "life {life}: {}", String::from_utf8_lossy(&output.stderr));
            record.add(&std::fs::read(&file).unwrap());
            let mut drive = Drive::empty(&record);
            drive.run_to(record.events.len(), |_| false);
            let differences = drive.cut(Fate::KILLED, &mut Dice::of(0, 0)).differences(&Image::read(&root));
            assert_eq!(
                differences,
                Vec::<String>::new(),
                "life {life}: done again, the record is not what was written"
            );
        }
        let told = Told::of(&record);
        Self { record, told, states: states() }
    }
}

/// One life, in the process that is recorded. Does nothing in any other.
pub fn live() {
    let (Some(root), Ok(life)) = (std::env::var_os(ROOT), std::env::var(LIFE)) else { return };
    let (root, life) = (Path::new(&root), life.parse::<usize>().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let promises = Promises::read(root);
        let witness = Witness::below(root);
        let mut node = Node::open(root).await.expect("the node opens");
        witness.founded();
        node.check(&promises, &states()).await.expect("everything promised is there");
        let shards = std::mem::take(&mut node.shards);
        let working = shards.into_iter().map(|shard| tokio::spawn(work(shard, witness.clone(), life)));
        for shard in working.collect::<Vec<_>>() {
            shard.await.unwrap();
        }
        node.close().await;
    });
}

async fn work(mut shard: Shard, witness: Witness, life: usize) {
    let group = shard.group;
    let has_much = group != GROUPS[0];
    let mut dice = Dice::of(100 + group.0, life as u64);
    for _ in 0..LIVES[life].rounds[usize::from(has_much)] {
        for _ in 0..if has_much { 40 } else { 4 + dice.below(10) } {
            let (index, promised) = (shard.next, witness.clone());
            let bytes = entry(group, index);
            shard.append(bytes.clone(), move || promised.entry(group, index)).await;
            shard.apply(bytes).await;
        }
        let applied = shard.checkpoint().await;
        witness.checkpoint(group, applied);
        shard.log.purge(group, id(applied.saturating_sub(dice.below(6)))).await.unwrap();
    }
}
