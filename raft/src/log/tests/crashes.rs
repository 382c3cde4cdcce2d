//! Power cuts at every operation: what was acknowledged is there, in order; nothing else is made up.

use std::collections::BTreeMap;

use holdfast_world::EndReason;

use super::node::{Node, append, id, record, run, start, submit};
use crate::log::{AppendError, GroupId, LogRecord, Vote};
use crate::segments::memory_disk::{Cut, Dice, MemoryDisk};

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<LogRecord>),
    Truncate(Option<u64>),
    Purge(crate::log::LogId),
    Vote(Vote),
}

/// What a group's log must look like.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    entries: BTreeMap<u64, LogRecord>,
    purged: Option<crate::log::LogId>,
    vote: Option<Vote>,
    next: u64,
}

impl Model {
    fn apply(&mut self, step: &Step) {
        match step {
            Step::Append(records) => {
                for record in records {
                    self.entries.insert(record.index, record.clone());
                    self.next = record.index + 1;
                }
            }
            Step::Truncate(after) => {
                let from = after.map_or(0, |after| after + 1);
                self.entries.split_off(&from);
                self.next = self.next.min(from).max(self.purged.map_or(0, |purged| purged.index + 1));
            }
            Step::Purge(upto) => {
                self.entries = self.entries.split_off(&(upto.index + 1));
                self.purged = self.purged.max(Some(*upto));
                self.next = self.next.max(upto.index + 1);
            }
            Step::Vote(vote) => self.vote = Some(*vote),
        }
    }
}

#[derive(Default)]
struct History {
    model: Model,
    /// Steps since the last start, and how many are acknowledged.
    steps: Vec<Step>,
    acknowledged: usize,
    term: u64,
}

impl History {
    /// The state with everything submitted.
    fn latest(&self) -> Model {
        let mut model = self.model.clone();
        self.steps.iter().for_each(|step| model.apply(step));
        model
    }

    /// The states a start may find: those after each prefix that holds what was acknowledged; of the entries of one append
    /// the first ones may be there. Purges may run ahead, since the control file carries them too.
    fn allowed(&self) -> Vec<Model> {
        let mut allowed = Vec::new();
        for prefix in self.acknowledged..=self.steps.len() {
            let mut model = self.model.clone();
            self.steps[..prefix].iter().for_each(|step| model.apply(step));
            let parts = match self.steps.get(prefix) {
                Some(Step::Append(records)) => (0..records.len()).map(|part| records[..part].to_vec()).collect(),
                _ => vec![Vec::new()],
            };
            for part in parts {
                let mut model = model.clone();
                model.apply(&Step::Append(part));
                allowed.push(model.clone());
                for step in self.steps[prefix..].iter().filter(|step| matches!(step, Step::Purge(_))) {
                    model.apply(step);
                    allowed.push(model.clone());
                }
            }
        }
        allowed
    }

    fn draw(&self, dice: &mut Dice, serial: u64) -> Step {
        let latest = self.latest();
        let (first, next) = (latest.entries.keys().next().copied(), latest.next);
        match dice.below(12) {
            0 => Step::Vote(Vote { term: self.term + 1, node: 1 + dice.below(3), committed: dice.below(2) == 0 }),
            1 if next > first.unwrap_or(next) => {
                let keep = first.unwrap_or(0) + dice.below(next - first.unwrap_or(0));
                Step::Truncate(keep.checked_sub(1).filter(|keep| latest.purged.is_none_or(|p| p.index <= *keep)))
            }
            2 | 3 if first.is_some() => {
                let upto = first.unwrap_or(0) + dice.below(next - first.unwrap_or(0));
                Step::Purge(latest.entries[&upto].id())
            }
            _ => {
                let count = 1 + dice.below(4);
                let records = (next..next + count).map(|index| {
                    let len = usize::try_from(dice.below(3_000)).unwrap();
                    let mut payload = format!("{serial}/{index}").into_bytes();
                    payload.resize(payload.len() + len, u8::try_from(index % 251).unwrap());
                    record(index, self.term, payload)
                });
                Step::Append(records.collect())
            }
        }
    }
}

type Histories = BTreeMap<GroupId, History>;

async fn check(node: &Node, histories: &mut Histories, seed: u64) {
    let recovered = &node.recovered;
    assert!(recovered.damaged.is_empty() && recovered.node_damage.is_none(), "seed {seed}: {recovered:?}");
    assert!(recovered.strangers_damage.is_none(), "seed {seed}");
    for (&group, history) in histories {
        let state = node.log.log_state(group);
        let mut found = Model { purged: state.purged, vote: state.vote, ..Model::default() };
        if let Some(first) = node.log.first_index(group) {
            let last = state.last.unwrap().index;
            let records = node.log.entries(group, first..last + 1, usize::MAX).await.unwrap();
            assert_eq!(records.len() as u64, last + 1 - first);
            found.entries = records.into_iter().map(|record| (record.index, record)).collect();
        }
        let allowed = history.allowed();
        let Some(model) = allowed.iter().find(|model| Model { next: found.next, ..(*model).clone() } == found) else {
            let short = |model: &Model| {
                let keys = (model.entries.keys().next().copied(), model.entries.keys().last().copied());
                format!("entries {keys:?} purged {:?} vote {:?}", model.purged, model.vote)
            };
            let allowed: Vec<String> = allowed.iter().map(short).collect();
            panic!("seed {seed}, group {group}: found {}, allowed {allowed:#?}", short(&found));
        };
        let term = history.term + 1;
        *history = History { model: model.clone(), term, ..History::default() };
    }
}

/// Submits steps of random groups, some waited for, some not, until the disk stops.
async fn work(node: &Node, histories: &std::sync::Mutex<Histories>, dice: &mut Dice, steps: u64) {
    let mut waiting = Vec::new();
    for serial in 0..steps {
        let group = GroupId(1 + dice.below(3));
        let (step, number) = {
            let mut histories = histories.lock().unwrap();
            let history = histories.entry(group).or_default();
            let step = history.draw(dice, serial);
            if let Step::Vote(vote) = &step {
                history.term = vote.term;
            }
            history.steps.push(step.clone());
            (step, history.steps.len())
        };
        let acknowledge = |group: GroupId, number: usize| {
            let mut histories = histories.lock().unwrap();
            let history = histories.get_mut(&group).unwrap();
            history.acknowledged = history.acknowledged.max(number);
        };
        match step {
            Step::Append(records) => {
                waiting.push((group, number, submit(&node.log, group, records).await));
                if dice.below(3) == 0 {
                    for (group, number, done) in waiting.drain(..) {
                        done.await.unwrap();
                        acknowledge(group, number);
                    }
                }
                continue;
            }
            Step::Truncate(after) => node.log.truncate_after(group, after).await.unwrap(),
            Step::Purge(upto) => node.log.purge(group, upto).await.unwrap(),
            Step::Vote(vote) => node.log.save_vote(group, vote).await.unwrap(),
        }
        acknowledge(group, number);
        if dice.below(4) == 0 {
            node.log.save_committed(group, id(1, serial));
        }
    }
    for (group, number, done) in waiting {
        done.await.unwrap();
        let mut histories = histories.lock().unwrap();
        histories.get_mut(&group).unwrap().acknowledged = number;
    }
}

fn power_cuts(seed: u64) {
    let mut dice = Dice(seed);
    let mut disk = MemoryDisk::default();
    let mut histories = Histories::new();
    for round in 0..6 {
        let (known, ended) = run(async {
            // Some cuts fall into the start itself.
            let stop = if round == 0 { 60 + dice.below(200) } else { 1 + dice.below(250) };
            if round > 0 {
                disk.stop_at(Some(stop));
            }
            let shared = std::sync::Mutex::new(std::mem::take(&mut histories));
            let mut dice_of_work = Dice(dice.next());
            let life = async {
                let node = start(&disk).await.unwrap();
                let mut found = std::mem::take(&mut *shared.lock().unwrap());
                // A copy, since the checks themselves may be cut short by the disk's end.
                let backup: Vec<_> =
                    found.iter().map(|(g, h)| (*g, h.model.clone(), h.steps.clone(), h.acknowledged, h.term)).collect();
                *shared.lock().unwrap() = backup
                    .into_iter()
                    .map(|(g, model, steps, acknowledged, term)| (g, History { model, steps, acknowledged, term }))
                    .collect();
                check(&node, &mut found, seed).await;
                *shared.lock().unwrap() = found;
                if round == 0 {
                    disk.stop_at(Some(disk.operations() + stop));
                }
                work(&node, &shared, &mut dice_of_work, 60).await;
                node
            };
            let ended = tokio::select! {
                biased;
                () = disk.died() => None,
                node = life => Some(node.end.clone()),
            };
            (shared.into_inner().unwrap(), ended)
        });
        assert!(ended.is_none_or(|end| end.0.lock().unwrap().is_empty()), "seed {seed}: the node ended itself");
        histories = known;
        let cuts = [Cut::LosesAll, Cut::KeepsAll, Cut::Tears, Cut::Tears, Cut::OnlyKilled];
        let cut = cuts[usize::try_from(dice.below(5)).unwrap()];
        disk = disk.after_power_cut(cut, &mut dice);
    }
    run(async {
        let node = start(&disk).await.unwrap();
        check(&node, &mut histories, seed).await;
    });
}

#[test]
fn what_was_acknowledged_survives_power_cuts_anywhere() {
    let seeds: u64 = std::env::var("HOLDFAST_LOG_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(60);
    for seed in 0..seeds {
        power_cuts(seed);
    }
}

#[test]
fn a_segment_of_a_process_that_was_killed_is_used_only_once_its_name_is_durable() {
    const GROUP: GroupId = GroupId(1);
    for stop in 1..60 {
        run(async {
            let disk = MemoryDisk::default();
            disk.stop_at(Some(stop));
            let life = async {
                let _node = start(&disk).await;
                // The second segment is readied meanwhile.
                for _ in 0..1_000 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                () = disk.died() => {}
                () = life => {}
            }
            let disk = disk.after_power_cut(Cut::OnlyKilled, &mut Dice(stop));
            let node = start(&disk).await.unwrap();
            append(&node.log, GROUP, vec![record(0, 1, vec![7; 100])]).await;
            let again = start(&disk.after_power_cut(Cut::LosesAll, &mut Dice(stop))).await.unwrap();
            let (state, damage) = (again.log.log_state(GROUP), again.log.damage(GROUP));
            assert!(damage.is_none() && state.last == Some(id(1, 0)), "killed at operation {stop}: {damage:?}");
        });
    }
}

#[test]
fn what_is_called_committed_is_never_beyond_the_log_however_it_was_cut_short() {
    const GROUP: GroupId = GroupId(1);
    for stop in 1..40 {
        run(async {
            let disk = MemoryDisk::default();
            let node = start(&disk).await.unwrap();
            // Several batches of them wait at once, and what is committed is known before the first is written.
            let _done = submit(&node.log, GROUP, (0..20).map(|index| record(index, 1, vec![7; 2_000])).collect()).await;
            node.log.save_committed(GROUP, id(1, 19));
            disk.stop_at(Some(disk.operations() + stop));
            tokio::select! {
                biased;
                () = disk.died() => {}
                () = node.log.close() => {}
            }
            let again = start(&disk.after_power_cut(Cut::KeepsAll, &mut Dice(stop))).await.unwrap();
            let state = again.log.log_state(GROUP);
            assert!(state.committed <= state.last, "cut at operation {stop}: {state:?}");
        });
    }
}

#[test]
fn a_failed_sync_ends_the_process_and_nothing_is_acknowledged_after_it() {
    for sync in 1..=100 {
        run(async {
            let disk = MemoryDisk::default();
            let node = start(&disk).await.unwrap();
            append(&node.log, GroupId(1), vec![record(0, 1, vec![1; 100])]).await;
            disk.fail_sync_at(disk.syncs() + sync);
            let mut acknowledged = 0;
            for index in 1..=250 {
                let done = submit(&node.log, GroupId(1), vec![record(index, 1, vec![2; 700])]).await;
                let ended = async {
                    while node.end.0.lock().unwrap().is_empty() {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::select! {
                    biased;
                    result = done => { result.unwrap(); acknowledged = index; }
                    () = ended => break,
                }
            }
            assert!(acknowledged < 250, "the sync {sync} has failed");
            // Whatever else is submitted is never acknowledged.
            let more = submit(&node.log, GroupId(2), vec![record(0, 1, vec![3; 10])]).await;
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
            }
            let mut more = more;
            assert!(more.try_recv().is_err());
            assert!(node.end.0.lock().unwrap().iter().all(|end| matches!(end, EndReason::DiskFailed { .. })));
            // The last acknowledged entry is on the disk.
            let disk = disk.after_power_cut(Cut::LosesAll, &mut Dice(sync));
            let again = start(&disk).await.unwrap();
            assert!(again.log.log_state(GroupId(1)).last.unwrap().index >= acknowledged);
        });
    }
}

#[test]
fn an_append_that_leaves_a_gap_is_refused() {
    run(async {
        let node = start(&MemoryDisk::default()).await.unwrap();
        append(&node.log, GroupId(1), vec![record(5, 1, vec![])]).await;
        let refused = node.log.append(GroupId(1), vec![record(7, 1, vec![])], Box::new(|_| ())).await;
        assert_eq!(refused, Err(AppendError::NotConsecutive { group: GroupId(1), index: 7, last: Some(5) }));
    });
}

#[test]
fn readers_and_purges_do_not_disturb_each_other() {
    run(async {
        let node = start(&MemoryDisk::default()).await.unwrap();
        let group = GroupId(1);
        for index in 0..400_u64 {
            append(&node.log, group, vec![record(index, 1, vec![u8::try_from(index % 251).unwrap(); 900])]).await;
            if index % 40 == 39 {
                let first = node.log.first_index(group).unwrap();
                let log = node.log.clone();
                let reader = tokio::spawn(async move { log.entries(group, first..index, usize::MAX).await });
                tokio::task::yield_now().await;
                node.log.purge(group, id(1, index - 10)).await.unwrap();
                // Either it was fast enough, or it is told that the range is gone.
                if let Ok(records) = reader.await.unwrap() {
                    let is_right = |r: &LogRecord| r.payload.iter().all(|b| u64::from(*b) == r.index % 251);
                    assert!(records.iter().all(is_right));
                }
            }
        }
        while node.log.usage().segments > 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(node.log.first_index(group), Some(390));
    });
}

#[test]
fn a_quiet_group_that_pins_the_oldest_segment_is_named() {
    run(async {
        let node = start(&MemoryDisk::default()).await.unwrap();
        append(&node.log, GroupId(9), vec![record(4, 1, vec![1])]).await;
        for index in 0..200 {
            append(&node.log, GroupId(1), vec![record(index, 1, vec![0; 900])]).await;
        }
        node.log.purge(GroupId(1), id(1, 198)).await.unwrap();
        let pins = node.log.pinned_by();
        assert_eq!(pins.iter().map(|pin| (pin.group, pin.first_index)).collect::<Vec<_>>(), [(GroupId(9), 4)]);
        let segments = node.log.usage().segments;
        node.log.purge(GroupId(9), id(1, 4)).await.unwrap();
        while node.log.usage().segments >= segments {
            tokio::task::yield_now().await;
        }
        assert_eq!(node.control.read(|control| control.groups[&GroupId(9)].purged), Some(id(1, 4)));
    });
}
