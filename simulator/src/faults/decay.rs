//! Faults that take or falsify what a drive holds. Each befalls a node that may be spoiled.
//!
//! Only members: a fresh node that loses what it had before it has a place is thrown away, and another one started.
//!
//! A node that has gone back to an older state does not know it, and neither does a peer that lags: the two could elect a
//! leader without what was acknowledged, since together they are more than a minority. So it is held back until everything
//! else is whole; then it must be refused.

use std::path::{Path, PathBuf};

use super::last_batch::{Batch, Place};
use super::{Fault, Field, Harm, pick};
use crate::world::{DriveCopy, FileCopy, SimDrive};
use crate::{Crash, HostId};

/// A node that is spoiled from now on, if one may be.
pub(super) fn spoil(field: &mut Field<'_>, harm: Harm) -> Option<HostId> {
    let node = field.member();
    let nodes = field.cluster.size();
    (!field.cluster.is_left_out(node) && field.spoiled.allow(node, nodes, harm)).then_some(node)
}

/// Any file on a node's drive among `which`, if there is one.
fn any_file(field: &mut Field<'_>, node: HostId, which: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let mut files: Vec<PathBuf> = field.simulation.drive(node).files().into_iter().filter(|path| which(path)).collect();
    (!files.is_empty()).then(|| files.swap_remove(field.dice.below(files.len() as u64) as usize))
}

/// Puts something of a node's drive back as it was.
fn turn_back(field: &mut Field<'_>, node: HostId, put_back: impl FnOnce(&SimDrive)) {
    field.cluster.crash(field.simulation, node, Crash::Kill);
    put_back(field.simulation.drive(node));
    field.cluster.hold_back(node);
}

fn is_below(path: &Path, folder: &str) -> bool {
    path.components().any(|component| component.as_os_str() == folder)
}

/// Whether a file is one of the log.
pub(super) fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "segment")
}

/// One bit flips.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rot {
    Log,
    Control,
    Checkpoint,
    Changes,
}

impl Fault for Rot {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        // A flipped bit in the log may lie in an entry, which is mended, or where it is said what a batch holds.
        let harm = match self {
            Self::Log | Self::Control => Harm::MayLose,
            Self::Checkpoint | Self::Changes => Harm::Mends,
        };
        let Some(node) = spoil(field, harm) else { return false };
        // Found at the start after it, or by the scrubber.
        if field.dice.below(2) == 0 {
            field.cluster.crash(field.simulation, node, Crash::Kill);
        }
        let file = match self {
            Self::Checkpoint => return field.simulation.drive(node).flip_in_stores(field.dice).is_some(),
            Self::Log => any_file(field, node, is_segment),
            Self::Changes => any_file(field, node, |path| is_below(path, "changes")),
            Self::Control => any_file(field, node, |path| path.ends_with("control")),
        };
        let Some(file) = file else { return false };
        let drive = field.simulation.drive(node);
        if matches!(self, Self::Log) && field.dice.below(2) == 0 {
            // What was written last is what peers that lag will read.
            let Some(batch) = Batch::last(field, node) else { return false };
            return batch.rot(field, node, Place::Anywhere);
        }
        let sectors = drive.used_sectors(&file);
        let (Some(first), Some(last)) = (sectors.first(), sectors.last()) else { return false };
        let sector = match field.dice.below(4) {
            0 => *first,
            1 => *last,
            _ => pick(field.dice, &sectors),
        };
        drive.flip(&file, sector + field.dice.below(512), field.dice.below(8) as u8);
        true
    }
}

/// One bit of everything that a node has flips, once in a run.
#[derive(Debug)]
pub(super) struct OneBit;

impl Fault for OneBit {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        if !field.spoiled.hosts().is_empty() {
            return false;
        }
        let Some(node) = spoil(field, Harm::MayLose) else { return false };
        // Found at the start after it, on a read, or by the scrubber.
        if field.dice.below(3) == 0 {
            field.cluster.crash(field.simulation, node, Crash::Kill);
        }
        let drive = field.simulation.drive(node);
        let files = drive.files().into_iter().map(|path| (drive.used_sectors(&path), path));
        let mut files: Vec<_> = files.filter(|(sectors, _)| !sectors.is_empty()).collect();
        let place = field.dice.below(files.len() as u64 + 1) as usize;
        let flipped = if place == files.len() {
            drive.flip_in_stores(field.dice).map(|tree| format!("state: {tree}"))
        } else {
            let (sectors, file) = files.swap_remove(place);
            let offset = pick(field.dice, &sectors) + field.dice.below(512);
            drive.flip(&file, offset, field.dice.below(8) as u8);
            Some(format!("{} at {offset}", file.display()))
        };
        field.spoiled.note_flip(flipped)
    }
}

/// A file is gone.
#[derive(Debug)]
pub(super) struct LostFile;

impl Fault for LostFile {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let Some(node) = spoil(field, Harm::MayLose) else { return false };
        field.cluster.crash(field.simulation, node, Crash::Kill);
        let Some(file) = any_file(field, node, |_| true) else { return false };
        field.simulation.drive(node).remove(&file);
        true
    }
}

/// A file is put back as it was a while ago.
#[derive(Debug, Default)]
pub(super) struct OlderFile(Option<(HostId, FileCopy)>);

impl Fault for OlderFile {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let Some(node) = spoil(field, Harm::MayLose) else { return false };
        let Some(file) = any_file(field, node, |_| true) else { return false };
        self.0 = field.simulation.drive(node).copy_file(&file).map(|copy| (node, copy));
        self.0.is_some()
    }

    fn end(&mut self, field: &mut Field<'_>) {
        if let Some((node, copy)) = self.0.take() {
            turn_back(field, node, |drive| drive.put_file_back(copy));
        }
    }
}

/// The whole drive is put back as it was a while ago.
#[derive(Debug, Default)]
pub(super) struct OlderDrive(Option<(HostId, DriveCopy)>);

impl Fault for OlderDrive {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let Some(node) = spoil(field, Harm::MayLose) else { return false };
        self.0 = Some((node, field.simulation.drive(node).copy()));
        true
    }

    fn end(&mut self, field: &mut Field<'_>) {
        if let Some((node, copy)) = self.0.take() {
            turn_back(field, node, |drive| drive.put_back(copy));
        }
    }
}

/// The drive is exchanged for an empty one.
#[derive(Debug)]
pub(super) struct Wipe;

impl Fault for Wipe {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let Some(node) = spoil(field, Harm::MayLose) else { return false };
        field.cluster.crash(field.simulation, node, Crash::Kill);
        field.simulation.drive(node).wipe();
        true
    }
}
