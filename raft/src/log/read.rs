//! Reading entries back.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_mutation::{Mutation, is_on};

use super::format::Row;
use super::group::Place;
use super::ids::{GroupId, LogId};
use super::record::{LogRecord, ReadError};
use super::state::Shared;
use crate::segments::{BLOCK, ROOM, SECTOR, SegmentFile, StampedReader};

/// Contents read from the disk at once, in bytes; a single entry may be larger.
const READ_AT_ONCE: usize = 1 << 20;

/// An entry to be had: its body, or where it lies.
struct Wanted {
    id: LogId,
    row: Row,
    source: Source,
}

enum Source {
    Memory(Bytes),
    Disk { segment: Arc<SegmentFile>, block: u32, offset: u32 },
}

pub(crate) async fn entries(
    shared: &Shared,
    group: GroupId,
    indexes: Range<u64>,
    max_bytes: usize,
) -> Result<Vec<LogRecord>, ReadError> {
    let wanted = locate(shared, group, indexes, max_bytes)?;
    read(shared, group, &wanted).await
}

async fn read(shared: &Shared, group: GroupId, wanted: &[Wanted]) -> Result<Vec<LogRecord>, ReadError> {
    let mut records = Vec::with_capacity(wanted.len());
    let mut rest = wanted;
    while let Some(first) = rest.first() {
        if let Source::Memory(body) = &first.source {
            records.push(record(first, body.clone()));
            rest = &rest[1..];
            continue;
        }
        let taken = read_stretch(shared, group, rest, &mut records).await?;
        rest = &rest[taken..];
    }
    Ok(records)
}

fn record(wanted: &Wanted, payload: Bytes) -> LogRecord {
    let LogId { term, leader_node, index } = wanted.id;
    LogRecord { index, term, leader_node, kind: wanted.row.kind, payload }
}

fn locate(shared: &Shared, group: GroupId, indexes: Range<u64>, max_bytes: usize) -> Result<Vec<Wanted>, ReadError> {
    let missing = || ReadError::Missing { group, wanted: indexes.start..=indexes.end.saturating_sub(1) };
    let state = shared.lock();
    let mut wanted = Vec::new();
    let mut bytes = 0;
    for index in indexes.clone() {
        let log = state.groups.get(&group).ok_or_else(missing)?;
        let (slot, id) = log.slot(index).zip(log.id(index)).ok_or_else(missing)?;
        bytes += slot.row.len as usize;
        if bytes > max_bytes && !wanted.is_empty() {
            break;
        }
        if log.damage.as_ref().is_some_and(|damage| damage.lost.contains(&id)) {
            return Err(ReadError::Damaged { group, id });
        }
        let source = match (log.body(index), slot.place) {
            (Some(body), _) => Source::Memory(body.clone()),
            (None, Place::Written { generation, block, offset }) => {
                let segment = state.segments.get(&generation).ok_or_else(missing)?.clone();
                Source::Disk { segment, block, offset }
            }
            (None, Place::Waiting { .. }) => return Err(missing()),
        };
        wanted.push(Wanted { id, row: slot.row, source });
    }
    Ok(wanted)
}

/// Reads the entries at the front of `wanted` that lie one after the other in one batch; returns how many those are.
async fn read_stretch(
    shared: &Shared,
    group: GroupId,
    wanted: &[Wanted],
    out: &mut Vec<LogRecord>,
) -> Result<usize, ReadError> {
    let Some(Wanted { source: Source::Disk { segment, block, offset }, .. }) = wanted.first() else { return Ok(0) };
    let start = *offset as usize;
    let mut end = start;
    let stretch = wanted.iter().take_while(|next| {
        let follows = matches!(&next.source, Source::Disk { segment: its, block: at, offset }
            if Arc::ptr_eq(its, segment) && at == block && *offset as usize == end);
        let fits = end == start || end + next.row.len as usize - start <= READ_AT_ONCE;
        if follows && fits {
            end += next.row.len as usize;
        }
        follows && fits
    });
    let count = stretch.count();
    let first_sector = start / ROOM;
    let sectors = end.div_ceil(ROOM).max(first_sector + 1) - first_sector;
    let mut image = vec![0; sectors * SECTOR];
    let at = u64::from(*block) * BLOCK as u64 + (first_sector * SECTOR) as u64;
    segment.file.read_exact_at(&mut image, at).await?;
    let reader = StampedReader::new(&image);
    let mut contents = Vec::with_capacity(end - start);
    reader.copy(start - first_sector * ROOM, end - start, &mut contents);
    let mut contents = Bytes::from(contents);
    for wanted in &wanted[..count] {
        let body = contents.split_to(wanted.row.len as usize);
        if crc32c::crc32c(&body) != wanted.row.crc && !is_on(Mutation::RotServed) {
            note_damage(shared, group, wanted.id, segment);
            return Err(ReadError::Damaged { group, id: wanted.id });
        }
        out.push(record(wanted, body));
    }
    Ok(count)
}

/// An entry has rotted since the log was opened: its group counts as damaged from now on.
fn note_damage(shared: &Shared, group: GroupId, id: LogId, segment: &SegmentFile) {
    let generation = segment.seed.generation;
    if shared.lock().note_rot(group, id, generation) {
        tracing::error!(rot = "on read", %group, %id, generation, "an entry of the log has rotted on the disk");
        shared.rot_found.notify_one();
    }
}
