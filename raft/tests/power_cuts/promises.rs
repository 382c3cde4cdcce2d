//! What the load has promised so far: told in the record, in order with what was done to the files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use holdfast_raft::log::GroupId;

use crate::record::{Event, PROMISES, Record};

/// Notes promises as they are made.
#[derive(Clone)]
pub struct Witness(Arc<File>);

impl Witness {
    pub fn below(root: &Path) -> Self {
        let file = File::options().append(true).create(true).open(root.join(PROMISES)).unwrap();
        Self(Arc::new(file))
    }

    /// The node has an identity for good.
    pub fn founded(&self) {
        self.note("founded 0 0");
    }

    /// An entry is durable in the log.
    pub fn entry(&self, group: GroupId, index: u64) {
        self.note(&format!("entry {} {index}", group.0));
    }

    /// A checkpoint is durable.
    pub fn checkpoint(&self, group: GroupId, index: u64) {
        self.note(&format!("checkpoint {} {index}", group.0));
    }

    /// One write a line: each is one event.
    fn note(&self, line: &str) {
        (&*self.0).write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

/// What was promised up to some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Promises {
    pub founded: bool,
    entries: BTreeMap<GroupId, u64>,
    checkpoints: BTreeMap<GroupId, u64>,
}

impl Promises {
    /// Those that are in the file.
    pub fn read(root: &Path) -> Self {
        let mut promises = Self::default();
        for line in std::fs::read_to_string(root.join(PROMISES)).unwrap_or_default().lines() {
            promises.take(line);
        }
        promises
    }

    /// The last entry that is durable.
    pub fn entry(&self, group: GroupId) -> Option<u64> {
        self.entries.get(&group).copied()
    }

    /// The last checkpoint that was reported.
    pub fn checkpoint(&self, group: GroupId) -> Option<u64> {
        self.checkpoints.get(&group).copied()
    }

    /// Whether any checkpoint was reported.
    pub fn any_checkpoint(&self) -> bool {
        !self.checkpoints.is_empty()
    }

    fn take(&mut self, line: &str) {
        let mut words = line.split(' ');
        let what = words.next().unwrap();
        let mut number = || words.next().unwrap().parse::<u64>().unwrap();
        let (group, index) = (GroupId(number()), number());
        match what {
            "founded" => self.founded = true,
            "entry" => drop(self.entries.insert(group, index)),
            "checkpoint" => drop(self.checkpoints.insert(group, index)),
            other => panic!("not a promise: {other}"),
        }
    }
}

/// The moments at which something was promised, and what had been by then: (number of events done, promises).
#[derive(Debug)]
pub struct Told(Vec<(usize, Promises)>);

impl Told {
    pub fn of(record: &Record) -> Self {
        let mut told = vec![(0, Promises::default())];
        let mut handles = Vec::new();
        for (number, event) in record.events.iter().enumerate() {
            match event {
                Event::Opened { handle, path, .. } if path == PROMISES => handles.push(*handle),
                Event::Written { handle, bytes, .. } if handles.contains(handle) => {
                    let mut promises = told.last().unwrap().1.clone();
                    promises.take(std::str::from_utf8(&record.bytes[bytes.clone()]).unwrap().trim_end());
                    told.push((number + 1, promises));
                }
                _ => {}
            }
        }
        Self(told)
    }

    /// What had been promised when so many events were done.
    pub fn after(&self, events: usize) -> &Promises {
        let at = self.0.partition_point(|(number, _)| *number <= events);
        &self.0[at - 1].1
    }

    /// The moments right after a checkpoint was reported, with the group.
    pub fn checkpoints(&self) -> Vec<(usize, GroupId)> {
        let pairs = self.0.windows(2);
        pairs
            .filter_map(|pair| {
                let mut reported = pair[1].1.checkpoints.iter();
                let group = reported.find(|(group, at)| pair[0].1.checkpoints.get(group) != Some(at))?;
                Some((pair[1].0, *group.0))
            })
            .collect()
    }
}
