//! Records by dense ordinals, given once and never again, in chunks that are copied on write.
//!
//! Knows which chunks changed since the last cut, and keeps the sum of the chunks' digests: `touched ⊆ unfolded`, and `sum`
//! is that of the digests of all chunks that are not unfolded.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::chunk::{Chunk, ChunkError, ChunkId, Record, chunk_digest};

#[derive(Clone, Debug)]
struct Slot<T> {
    chunk: Arc<Chunk<T>>,
    /// Stands in `touched` already.
    touched: bool,
    /// Its digest, where `sum` has it.
    folded: Option<u128>,
}

/// Records of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Arena<T> {
    /// The chunks from number `first` on; none at the front is missing.
    slots: VecDeque<Option<Slot<T>>>,
    first: u64,
    /// The ordinal that the next record gets.
    next: u64,
    live: u64,
    /// Chunks that changed, came or went since the last cut.
    touched: BTreeSet<u64>,
    /// Chunks whose digest is not in `sum`.
    unfolded: BTreeSet<u64>,
    sum: u128,
}

impl<T: Record> Arena<T> {
    pub(super) fn new() -> Self {
        Self {
            slots: VecDeque::new(),
            first: 0,
            next: 0,
            live: 0,
            touched: BTreeSet::new(),
            unfolded: BTreeSet::new(),
            sum: 0,
        }
    }

    pub(crate) fn next_ordinal(&self) -> u64 {
        self.next
    }

    pub(crate) fn live(&self) -> u64 {
        self.live
    }

    const fn place_of(ordinal: u64) -> (u64, usize) {
        (ordinal / T::PER_CHUNK as u64, (ordinal % T::PER_CHUNK as u64) as usize)
    }

    fn slot(&self, number: u64) -> Option<&Slot<T>> {
        let at = number.checked_sub(self.first)?;
        self.slots.get(at as usize)?.as_ref()
    }

    pub(crate) fn get(&self, ordinal: u64) -> Option<&T> {
        let (number, place) = Self::place_of(ordinal);
        self.slot(number)?.chunk.records.get(place)?.as_ref()
    }

    /// The chunk, to be changed; it is made where it does not exist.
    fn chunk_to_change(&mut self, number: u64) -> &mut Chunk<T> {
        if self.slots.is_empty() {
            self.first = number;
        }
        while number < self.first {
            self.slots.push_front(None);
            self.first -= 1;
        }
        let at = (number - self.first) as usize;
        while self.slots.len() <= at {
            self.slots.push_back(None);
        }
        let slot = self.slots[at].get_or_insert_with(|| Slot {
            chunk: Arc::new(Chunk::empty()),
            touched: false,
            folded: None,
        });
        if !slot.touched {
            slot.touched = true;
            self.touched.insert(number);
            self.unfolded.insert(number);
            self.sum = self.sum.wrapping_sub(slot.folded.take().unwrap_or(0));
        }
        Chunk::to_change(&mut slot.chunk)
    }

    /// The record, to be changed. Costs the first change of a chunk after a cut a copy of the chunk.
    pub(crate) fn get_mut(&mut self, ordinal: u64) -> Option<&mut T> {
        self.get(ordinal)?;
        let (number, place) = Self::place_of(ordinal);
        self.chunk_to_change(number).records[place].as_mut()
    }

    /// A new record, under the ordinal that is given back.
    pub(crate) fn push(&mut self, record: T) -> u64 {
        let ordinal = self.next;
        self.next += 1;
        self.put(ordinal, record);
        ordinal
    }

    fn put(&mut self, ordinal: u64, record: T) {
        let (number, place) = Self::place_of(ordinal);
        let chunk = self.chunk_to_change(number);
        if chunk.records.len() <= place {
            // Room for the whole chunk at once, for most chunks fill up: growing by halves would move every record again and again.
            chunk.records.reserve_exact(T::PER_CHUNK - chunk.records.len());
            chunk.records.resize_with(place + 1, || None);
        }
        assert!(chunk.records[place].replace(record).is_none(), "an ordinal is given once");
        chunk.live += 1;
        self.live += 1;
    }

    pub(crate) fn remove(&mut self, ordinal: u64) -> Option<T> {
        self.get(ordinal)?;
        let (number, place) = Self::place_of(ordinal);
        let chunk = self.chunk_to_change(number);
        let record = chunk.records[place].take();
        while chunk.records.last().is_some_and(Option::is_none) {
            chunk.records.pop();
        }
        chunk.live -= 1;
        let is_empty = chunk.live == 0;
        self.live -= 1;
        if is_empty {
            self.drop_chunk(number);
        }
        record
    }

    /// Takes the newest record back as if it had never been, its ordinal with it.
    pub(super) fn undo_push(&mut self, ordinal: u64) -> Option<T> {
        assert_eq!(ordinal + 1, self.next, "records are taken back newest first");
        self.next = ordinal;
        self.remove(ordinal)
    }

    fn drop_chunk(&mut self, number: u64) {
        self.slots[(number - self.first) as usize] = None;
        self.unfolded.remove(&number);
        while self.slots.front().is_some_and(Option::is_none) {
            self.slots.pop_front();
            self.first += 1;
        }
    }

    /// The oldest record, of an arena from which only the oldest is ever removed.
    pub(crate) fn oldest(&self) -> Option<(u64, &T)> {
        let ordinal = self.next - self.live;
        Some((ordinal, self.get(ordinal)?))
    }

    /// Every record, by ordinal.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.iter_from(0)
    }

    /// Every record from that ordinal on.
    pub(crate) fn iter_from(&self, from: u64) -> impl Iterator<Item = (u64, &T)> {
        let (number, _) = Self::place_of(from);
        let skip = number.saturating_sub(self.first) as usize;
        self.slots.iter().enumerate().skip(skip).filter_map(|(at, slot)| Some((at, slot.as_ref()?))).flat_map(
            move |(at, slot)| {
                let base = (self.first + at as u64) * T::PER_CHUNK as u64;
                let records = slot.chunk.records.iter().enumerate();
                records
                    .filter_map(move |(place, record)| Some((base + place as u64, record.as_ref()?)))
                    .filter(move |(ordinal, _)| *ordinal >= from)
            },
        )
    }

    fn id(number: u64) -> ChunkId {
        ChunkId { kind: T::KIND, number }
    }

    pub(super) fn chunk_ids(&self) -> impl Iterator<Item = ChunkId> {
        let numbers = self.slots.iter().enumerate();
        numbers.filter_map(|(at, slot)| slot.as_ref().map(|_| Self::id(self.first + at as u64)))
    }

    pub(super) fn encode_chunk(&self, number: u64) -> Option<Vec<u8>> {
        Some(self.slot(number)?.chunk.encode())
    }

    /// The sum of the digests of all chunks. Hashes only what changed since somebody last asked.
    pub(super) fn digest(&self) -> u128 {
        self.unfolded.iter().fold(self.sum, |sum, &number| {
            let digest = self.slot(number).map_or(0, |slot| slot.chunk.digest(Self::id(number)));
            sum.wrapping_add(digest)
        })
    }

    /// The same, from the records alone.
    pub(super) fn recompute_digest(&self) -> u128 {
        self.chunk_ids().fold(0, |sum, id| {
            let encoded = self.encode_chunk(id.number).unwrap_or_default();
            sum.wrapping_add(chunk_digest(id, &encoded))
        })
    }

    /// Takes the digests that are known by now into the sum.
    fn fold(&mut self) {
        let (first, slots, sum) = (self.first, &mut self.slots, &mut self.sum);
        self.unfolded.retain(|&number| {
            let Some(slot) = slots.get_mut((number - first) as usize).and_then(Option::as_mut) else { return false };
            slot.folded = if slot.touched { None } else { slot.chunk.known_digest() };
            *sum = sum.wrapping_add(slot.folded.unwrap_or(0));
            slot.folded.is_none()
        });
    }

    /// What changed since the last cut. Copies no record.
    pub(super) fn cut(&mut self) -> ArenaCut<T> {
        let mut cut = ArenaCut { changed: Vec::new(), removed: Vec::new(), unfolded: Vec::new(), sum: 0 };
        self.fold();
        for number in std::mem::take(&mut self.touched) {
            let slot = number.checked_sub(self.first).and_then(|at| self.slots.get_mut(at as usize)?.as_mut());
            match slot {
                Some(slot) => {
                    slot.touched = false;
                    cut.changed.push((Self::id(number), Arc::clone(&slot.chunk)));
                }
                None => cut.removed.push(Self::id(number)),
            }
        }
        cut.sum = self.sum;
        for &number in &self.unfolded {
            let slot = self.slot(number).expect("an unfolded chunk exists");
            cut.unfolded.push((Self::id(number), Arc::clone(&slot.chunk)));
        }
        cut
    }

    /// All of it as it is now, for one who only looks: of what is to be written it says nothing. Copies no record.
    pub(super) fn view(&self) -> Self {
        let seen = |slot: &Slot<T>| Slot { chunk: Arc::clone(&slot.chunk), touched: false, folded: None };
        Self {
            slots: self.slots.iter().map(|slot| slot.as_ref().map(seen)).collect(),
            first: self.first,
            next: self.next,
            live: self.live,
            touched: BTreeSet::new(),
            unfolded: BTreeSet::new(),
            sum: 0,
        }
    }

    /// Marks the chunks of an abandoned cut as changed again.
    pub(super) fn mark_changed(&mut self, numbers: impl Iterator<Item = u64>) {
        for number in numbers {
            self.touched.insert(number);
            let slot = number.checked_sub(self.first).and_then(|at| self.slots.get_mut(at as usize)?.as_mut());
            if let Some(slot) = slot
                && !slot.touched
            {
                slot.touched = true;
                self.unfolded.insert(number);
                self.sum = self.sum.wrapping_sub(slot.folded.take().unwrap_or(0));
            }
        }
    }

    pub(super) fn mark_all_changed(&mut self) {
        let numbers: Vec<u64> = self.chunk_ids().map(|id| id.number).collect();
        self.mark_changed(numbers.into_iter());
    }

    /// Takes in a chunk while the state is loaded.
    pub(super) fn load_chunk(&mut self, number: u64, bytes: &[u8]) -> Result<(), ChunkError> {
        if self.slot(number).is_some() || number > u64::MAX / T::PER_CHUNK as u64 - 1 {
            return Err(ChunkError::Damaged);
        }
        let chunk = Chunk::<T>::decode(bytes)?;
        // A gap in the numbers costs memory, so a number that cannot be right is refused before it is made room for.
        if number.saturating_add(1).saturating_mul(T::PER_CHUNK as u64) > self.next.saturating_add(T::PER_CHUNK as u64)
        {
            return Err(ChunkError::Damaged);
        }
        self.live += chunk.live as u64;
        *self.chunk_to_change(number) = chunk;
        Ok(())
    }

    /// Begins to load: the ordinal that the next record will get.
    pub(super) fn begin_load(&mut self, next: u64) {
        self.next = next;
    }

    /// Ends loading: nothing counts as changed. Fails where a record lies beyond the next ordinal.
    pub(super) fn end_load(&mut self) -> Result<(), ChunkError> {
        self.touched.clear();
        for slot in self.slots.iter_mut().flatten() {
            slot.touched = false;
        }
        match self.iter_from(self.next).next() {
            Some(_) => Err(ChunkError::Damaged),
            None => Ok(()),
        }
    }
}

/// What of an arena changed since the last cut, as it was at the cut.
#[derive(Clone, Debug)]
pub(super) struct ArenaCut<T> {
    pub(super) changed: Vec<(ChunkId, Arc<Chunk<T>>)>,
    pub(super) removed: Vec<ChunkId>,
    unfolded: Vec<(ChunkId, Arc<Chunk<T>>)>,
    sum: u128,
}

impl<T: Record> ArenaCut<T> {
    /// The sum of the digests of all chunks of the arena, as it was at the cut.
    pub(super) fn digest(&self) -> u128 {
        self.unfolded.iter().fold(self.sum, |sum, (id, chunk)| sum.wrapping_add(chunk.digest(*id)))
    }
}
