//! Reads the log back when a node starts: rebuilds the index, cuts a torn tail, names what is rotten.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use holdfast_mutation::{Mutation, is_on};
use holdfast_world::{OpenMode, World};

use super::damage::{Damage, DamageCause};
use super::group::GroupLog;
use super::handle::Recovered;
use super::ids::{GroupId, LogPosition};
use super::keeper::{Spare, use_spare};
use super::record::LogOptions;
use super::replay::Replay;
use super::scan::{Condition, FoundBatch, SegmentImage};
use super::writer::Cursor;
use crate::control::{Control, ControlError, ControlState, SegmentRef};
use crate::segments::{BLOCK, SegmentFile, SegmentSeed, create_zeroed, segment_path};

/// The smallest segment there may be, in bytes.
const SEGMENT_MIN_BYTES: u64 = 64 << 10;
/// The largest, so that blocks and offsets fit their fields.
const SEGMENT_MAX_BYTES: u64 = 1 << 30;

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The segment size is not a multiple of 4 096 between 64 KiB and 1 GiB.
    #[error("a segment of {bytes} bytes is not a multiple of 4096 between 65536 and 1073741824")]
    SegmentSize {
        /// The size asked for.
        bytes: u64,
    },
    /// The control file could not be changed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The disk failed.
    #[error("opening the log: {0}")]
    Io(#[from] io::Error),
}

/// The options, with the queue made large enough for the largest append part.
pub(crate) fn checked(mut options: LogOptions) -> Result<LogOptions, OpenError> {
    let bytes = options.segment_bytes;
    if !bytes.is_multiple_of(BLOCK as u64) || !(SEGMENT_MIN_BYTES..=SEGMENT_MAX_BYTES).contains(&bytes) {
        return Err(OpenError::SegmentSize { bytes });
    }
    let largest_part = options.batch_limit().max(options.max_record_bytes() + super::state::RECORD_OVERHEAD);
    options.queue_bytes = options.queue_bytes.clamp(largest_part, 1 << 30);
    Ok(options)
}

/// What recovery hands to the open log.
pub(crate) struct Found {
    pub(crate) groups: BTreeMap<GroupId, GroupLog>,
    pub(crate) segments: BTreeMap<u64, Arc<SegmentFile>>,
    pub(crate) node_damage: Option<Damage>,
    pub(crate) strangers_damage: Option<Damage>,
    pub(crate) evidence_from: Option<u64>,
    pub(crate) next_segment: Option<Arc<SegmentFile>>,
    pub(crate) spares: Vec<Spare>,
    pub(crate) next_file: u32,
    /// `None` if nothing may be written.
    pub(crate) cursor: Option<Cursor>,
    cut_bytes: u64,
    end: LogPosition,
}

impl Found {
    pub(crate) fn summary(&self) -> Recovered {
        Recovered {
            groups: self.groups.iter().map(|(&group, log)| (group, log.state())).collect(),
            damaged: self
                .groups
                .iter()
                .filter_map(|(&group, log)| {
                    self.node_damage.clone().or_else(|| log.damage.clone()).map(|damage| (group, damage))
                })
                .collect(),
            node_damage: self.node_damage.clone(),
            strangers_damage: self.strangers_damage.clone(),
            cut_bytes: self.cut_bytes,
            end: self.end,
        }
    }
}

/// What the walk over the segments found, besides the index.
struct Walk {
    replay: Replay,
    node_damage: Damage,
    segments: BTreeMap<u64, Arc<SegmentFile>>,
    /// The last batch that counts.
    last: Option<FoundBatch>,
    /// A batch whose condition depends on whether anything follows.
    pending: Option<FoundBatch>,
    /// The highest generation of the control file that any batch was written under.
    control_generation: u64,
}

pub(crate) async fn recover(
    world: &World,
    dir: &Path,
    options: &LogOptions,
    control: &Control,
) -> Result<Found, OpenError> {
    let known = control.read(ControlState::clone);
    if known.segments.is_empty() {
        world.disk.create_dir_all(dir).await?;
        if let Some(parent) = dir.parent() {
            world.disk.sync_dir(parent).await?;
        }
    }
    let mut walk = Walk {
        replay: Replay::new(&known),
        node_damage: Damage { causes: known.damage.clone(), ..Damage::default() },
        segments: BTreeMap::new(),
        last: None,
        pending: None,
        control_generation: 0,
    };
    let mut image = Vec::new();
    for segment in &known.segments {
        walk.read_segment(world, dir, &known, *segment, &mut image).await?;
    }
    let cut = walk.settle_tail(&known);
    if let Some(rolled_back) = walk.check_floors(&known, control.opened_generation()) {
        // A few more starts would hide it: the numbers grow with each.
        control.update(move |control| control.damage.push(rolled_back)).await?;
    }
    if cut.is_none() {
        walk.check_rotten_prologue(&known, &mut image).await?;
    }
    walk.replay.finish(&known);
    finish(world, dir, options, control, walk, cut, image).await
}

impl Walk {
    async fn read_segment(
        &mut self,
        world: &World,
        dir: &Path,
        known: &ControlState,
        SegmentRef { file: number, generation, bytes }: SegmentRef,
        image: &mut Vec<u8>,
    ) -> Result<(), OpenError> {
        let path = segment_path(dir, number);
        let file = if world.disk.exists(&path).await? {
            let file = world.disk.open(&path, OpenMode::ReadWrite).await?;
            (file.len().await? == bytes).then_some(file)
        } else {
            None
        };
        let Some(file) = file else {
            // What it held is unknown: if batches are missing between its neighbours, or at the end, that tells.
            self.node_damage.add(DamageCause::MissingSegment { file: number, generation });
            return Ok(());
        };
        let seed = SegmentSeed { identity: known.identity.log, generation };
        let segment = Arc::new(SegmentFile { number, seed, len: bytes, file });
        read_image(&segment, image).await?;
        let is_first_ever = known.segments.first().is_some_and(|first| first.generation == 1);
        self.walk_segment(SegmentImage { seed, bytes: image }, is_first_ever);
        self.segments.insert(generation, segment);
        Ok(())
    }

    fn walk_segment(&mut self, image: SegmentImage<'_>, is_first_ever: bool) {
        let mut at = 0;
        let mut after = self.pending.as_ref().map_or(self.replay.last_batch, |pending| pending.prologue.batch);
        while let Some(batch) = image.next_batch(at, after) {
            // Something follows it: it had been synced, hence what is wrong in it is rot.
            if let Some(pending) = self.pending.take() {
                self.accept(pending);
            }
            let number = batch.prologue.batch;
            let begins_log = self.last.is_none() && !is_first_ever && batch.start() == 0;
            let expected = if begins_log { number } else { self.replay.last_batch + 1 };
            if number > expected {
                self.replay.lose(expected, number - 1, batch.generation);
            }
            (at, after) = (batch.end(), number);
            let is_cut_off = is_on(Mutation::RotAsTorn) && batch.condition == Condition::Rotten;
            if batch.condition == Condition::TornOrRotten || is_cut_off {
                self.pending = Some(batch);
            } else {
                self.accept(batch);
            }
        }
    }

    fn accept(&mut self, batch: FoundBatch) {
        self.replay.take(&batch);
        self.control_generation = self.control_generation.max(batch.prologue.control_generation);
        self.last = Some(batch);
    }

    /// Decides on a last batch that is torn or rotten: returns it if it was torn.
    fn settle_tail(&mut self, known: &ControlState) -> Option<FoundBatch> {
        let pending = self.pending.take()?;
        if pending.prologue.batch <= known.log_floor.batch && !is_on(Mutation::RotAsTorn) {
            self.accept(pending);
            return None;
        }
        Some(pending)
    }

    /// Compares the log with the control file; returns a finding about the control file itself.
    fn check_floors(&mut self, known: &ControlState, opened_generation: u64) -> Option<DamageCause> {
        let (found, floor) = (self.replay.last_batch, known.log_floor.batch);
        if found < floor && !is_on(Mutation::RotAsTorn) {
            self.node_damage.add(DamageCause::EndsEarly { found, floor });
        }
        let is_from_later_life =
            self.last.as_ref().is_some_and(|last| last.prologue.incarnation.counter >= known.incarnation.counter);
        if self.control_generation <= opened_generation && !is_from_later_life {
            return None;
        }
        let rolled_back = DamageCause::ControlRolledBack { control: opened_generation, log: self.control_generation };
        self.node_damage.add(rolled_back.clone());
        Some(rolled_back)
    }

    /// Where the next batch would go: after the last one, or at the start of the first segment.
    fn tail(&self) -> Option<(Arc<SegmentFile>, usize)> {
        match &self.last {
            Some(last) => Some((self.segments.get(&last.generation)?.clone(), last.end())),
            None => Some((self.segments.values().next()?.clone(), 0)),
        }
    }

    /// A batch whose first sector bears its stamp while its prologue, which lies within that sector, is wrong, has rotted.
    /// Looks where the next batch would have gone: at the tail, and at the start of the segments after it.
    async fn check_rotten_prologue(&mut self, known: &ControlState, image: &mut Vec<u8>) -> io::Result<()> {
        let Some((active, tail)) = self.tail() else { return Ok(()) };
        let batch = self.replay.last_batch + 1;
        let first = self.last.as_ref().map(|last| last.prologue.incarnation).unwrap_or_default();
        for (&generation, segment) in self.segments.range(active.seed.generation..) {
            read_image(segment, image).await?;
            let at = if generation == active.seed.generation { tail } else { 0 };
            let found = SegmentImage { seed: segment.seed, bytes: image };
            if found.began_here(at, batch, first, known.incarnation) {
                self.node_damage.add(DamageCause::LostBatches { first: batch, last: batch });
            }
        }
        Ok(())
    }
}

async fn read_image(segment: &SegmentFile, image: &mut Vec<u8>) -> io::Result<()> {
    image.resize(usize::try_from(segment.len).map_err(io::Error::other)?, 0);
    segment.file.read_exact_at(image, 0).await
}

/// Makes the log ready to be written: wipes what lies past the end, makes durable what was read, has the files sorted.
async fn finish(
    world: &World,
    dir: &Path,
    options: &LogOptions,
    control: &Control,
    mut walk: Walk,
    cut: Option<FoundBatch>,
    mut image: Vec<u8>,
) -> Result<Found, OpenError> {
    let strangers_damage = walk.replay.last_loss().map(|cause| Damage { causes: vec![cause], ..Damage::default() });
    let mut found = Found {
        groups: BTreeMap::new(),
        segments: BTreeMap::new(),
        node_damage: None,
        strangers_damage,
        evidence_from: walk.replay.evidence_from,
        next_segment: None,
        spares: Vec::new(),
        next_file: 0,
        cursor: None,
        cut_bytes: 0,
        end: LogPosition { batch: walk.replay.last_batch, generation: 0 },
    };
    if !walk.node_damage.causes.is_empty() {
        found.end.generation = walk.last.as_ref().map_or(0, |last| last.generation);
        found.node_damage = Some(walk.node_damage);
        found.segments = walk.segments;
        found.groups = walk.replay.groups;
        return Ok(found);
    }
    sort_files(world, dir, options, control, &mut found).await?;
    let (active, tail) = match walk.tail() {
        Some(tail) => tail,
        None => (Arc::new(first_segment(world, dir, options, control, &mut found).await?), 0),
    };
    for segment in walk.segments.range(active.seed.generation..).map(|(_, segment)| segment) {
        read_image(segment, &mut image).await?;
        let is_active = segment.seed.generation == active.seed.generation;
        let from = if is_active { tail } else { 0 };
        let found = SegmentImage { seed: segment.seed, bytes: &image };
        if let Some(to) = found.last_stamped_block(from) {
            segment.file.write_all_at(&vec![0; to - from], from as u64).await?;
        }
        // After a failed sync the cache may hold what the disk does not: the last batch is written again as it was read.
        if let Some(last) = walk.last.as_ref().filter(|last| is_active && last.condition == Condition::Whole) {
            segment.file.write_all_at(&image[last.start()..last.end()], last.start() as u64).await?;
        }
        segment.file.sync_data().await?;
    }
    let mut unwritten = walk.segments.split_off(&(active.seed.generation + 1)).into_values();
    found.next_segment = unwritten.next();
    unlist(control, unwritten.collect(), &mut found).await?;
    walk.segments.insert(active.seed.generation, active.clone());
    found.segments = walk.segments;
    found.groups = walk.replay.groups;
    found.cut_bytes = cut.map_or(0, |cut| (cut.end() - cut.start()) as u64);
    found.end.generation = active.seed.generation;
    found.cursor = Some(Cursor { segment: active, offset: tail as u64, last_batch: found.end.batch });
    Ok(found)
}

/// Sorts the files in the folder: what no segment uses is kept as a spare or deleted.
async fn sort_files(
    world: &World,
    dir: &Path,
    options: &LogOptions,
    control: &Control,
    found: &mut Found,
) -> Result<(), OpenError> {
    let used: BTreeSet<u32> = control.read(|control| control.segments.iter().map(|segment| segment.file).collect());
    let mut next_file = used.last().map_or(1, |last| last + 1);
    for path in world.disk.list(dir).await? {
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u32>().ok());
        let extension = path.extension().and_then(|extension| extension.to_str());
        match (number, extension) {
            (Some(number), Some("segment")) => {
                next_file = next_file.max(number + 1);
                if used.contains(&number) {
                    continue;
                }
                let file = world.disk.open(&path, OpenMode::ReadWrite).await?;
                if found.spares.len() < options.spare_segments && file.len().await? == options.segment_bytes {
                    found.spares.push(Spare { number, len: options.segment_bytes, file });
                } else {
                    world.disk.remove_file(&path).await?;
                }
            }
            (Some(_), Some("new")) => world.disk.remove_file(&path).await?,
            // Not ours.
            _ => {}
        }
    }
    if !found.spares.is_empty() {
        // The process may have died between giving a file its name and making that durable: no power loss may take a file away
        // that is put to use.
        world.disk.sync_dir(dir).await?;
    }
    found.next_file = next_file;
    Ok(())
}

/// Begins a log that has no segment yet.
async fn first_segment(
    world: &World,
    dir: &Path,
    options: &LogOptions,
    control: &Control,
    found: &mut Found,
) -> Result<SegmentFile, OpenError> {
    let spare = match found.spares.pop() {
        Some(spare) => spare,
        None => {
            let number = found.next_file;
            found.next_file += 1;
            let file = create_zeroed(&*world.disk, &segment_path(dir, number), options.segment_bytes).await?;
            Spare { number, len: options.segment_bytes, file }
        }
    };
    let identity = control.read(|control| control.identity.log);
    Ok(use_spare(control, identity, spare).await?)
}

/// Takes segments that were readied but never written out of the control file's list, all but the next one.
async fn unlist(control: &Control, unwritten: Vec<Arc<SegmentFile>>, found: &mut Found) -> Result<(), OpenError> {
    let Some(first) = unwritten.first().map(|segment| segment.seed.generation) else { return Ok(()) };
    control.update(move |control| control.segments.retain(|segment| segment.generation < first)).await?;
    let spares = unwritten.into_iter().map(|segment| {
        let SegmentFile { number, len, file, .. } = &*segment;
        Spare { number: *number, len: *len, file: file.clone() }
    });
    found.spares.extend(spares);
    Ok(())
}
