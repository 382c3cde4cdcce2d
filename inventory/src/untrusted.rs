//! What is read from outside, for those who try to break it: the property tests beside the decoders, and the targets of `fuzz/`.
//! A reader takes any bytes and must refuse them or read something whole; each has a valid input to begin with.

#![allow(clippy::unwrap_used, reason = "a failure is what is looked for")]

/// A piece of a shard's state, among pieces that are whole: the first byte says which.
pub mod chunk {
    use std::sync::LazyLock;

    use crate::commands::JoinQueue;
    use crate::test_shop::{Shop, call_step, receive, reserve, step};
    use crate::{CampaignAdmission, ChunkId, CustomerHash, Inventory, Operation};

    /// How many there are: a chunk of each kind, and the header.
    pub const PIECES: usize = 14;

    type HeaderAndChunks = (Vec<u8>, Vec<(ChunkId, Vec<u8>)>);

    /// Made once, so that a fuzzer does not spend its time on it.
    static HEADER_AND_CHUNKS: LazyLock<HeaderAndChunks> = LazyLock::new(|| {
        let mut shop = Shop::with_cream(&[("A", 10, 2), ("B", 20, 2)]);
        shop.receive("rouge", "PAR", 5).unwrap();
        shop.reserve(1, &[("rouge", 1), ("cream", 3)]).unwrap();
        shop.commit(1).unwrap();
        shop.reserve(2, &[("cream", 1)]).unwrap();
        shop.receive("mascara", "PAR", 2).unwrap();
        shop.send(1, "mascara", &[(None, 2)]).unwrap();
        shop.expect(2, "cream", &[(Some("C"), 2), (None, 1)]).unwrap();
        shop.limit("two-each", "rouge", 2);
        let Operation::Reserve(mut limited) = reserve(9, &[("rouge", 1)]) else { unreachable!("it is one") };
        limited.customer = Some(CustomerHash(7));
        shop.run(Operation::Reserve(limited)).unwrap();
        shop.start_order(2, vec![call_step("pay", "payments", 3), step("fraud", 60)]).unwrap();
        shop.put_channel("web", &["PAR", "LYO"], 1).unwrap();
        shop.put_campaign("drop", 0, 600).unwrap();
        shop.grant("drop", "rouge", 1).unwrap();
        shop.put_room("let-in", CampaignAdmission::Queue, 0, 600).unwrap();
        let join = JoinQueue { campaign: "let-in".parse().unwrap(), customer: CustomerHash(7) };
        shop.run(Operation::JoinQueue(Box::new(join))).unwrap();
        let mut keyed = shop.command(receive("rouge", "PAR", 1));
        keyed.keyed = true;
        shop.apply(vec![keyed]);
        let cut = shop.inventory.cut();
        (cut.header(), cut.encode().collect())
    });

    /// A valid input; the last one is the header.
    #[must_use]
    pub fn valid(at: usize) -> Vec<u8> {
        let (header, chunks) = &*HEADER_AND_CHUNKS;
        let piece = chunks.get(at).map_or(header, |(_, chunk)| chunk);
        [&[at as u8], piece.as_slice()].concat()
    }

    /// Refuses it, or reads it: true.
    pub fn read(input: &[u8]) -> bool {
        let Some((at, piece)) = input.split_first() else { return false };
        let (mut header, mut chunks) = HEADER_AND_CHUNKS.clone();
        match chunks.get_mut(usize::from(*at)) {
            Some((_, chunk)) => *chunk = piece.to_vec(),
            None => header = piece.to_vec(),
        }
        let Ok(loaded) = Inventory::load(&header, chunks) else { return false };
        assert_eq!(loaded.digest(), loaded.recompute_digest());
        true
    }
}

/// An event of the change log.
pub mod event {
    use crate::Event;
    use crate::test_shop::Shop;

    /// A valid input.
    #[must_use]
    pub fn valid() -> Vec<u8> {
        let shop = Shop::with_rouge(5);
        shop.applied.events.last().unwrap().encoded().to_vec()
    }

    /// Refuses it, or reads it (true); the same with its hash set right, so that what lies behind the hash is read too.
    pub fn read(bytes: &[u8]) -> bool {
        let read = Event::decode(bytes);
        assert!(read.as_ref().is_ok_and(|event| event.encoded() == bytes) || read.is_err());
        let mut mended = bytes.to_vec();
        if let Some((hash, hashed)) = mended.get_mut(1..).and_then(|rest| rest.split_first_chunk_mut()) {
            *hash = crate::event::hash_of(hashed).0;
            let _ = Event::decode(&mended);
        }
        read.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_valid_inputs_are_read() {
        assert!((0..chunk::PIECES).all(|at| chunk::read(&chunk::valid(at))));
        assert!(event::read(&event::valid()));
    }

    #[test]
    fn every_kind_of_chunk_and_the_header_are_among_the_valid_inputs() {
        let pieces: std::collections::BTreeSet<_> =
            (0..chunk::PIECES).map(|at| chunk::valid(at)[1..].to_vec()).collect();
        assert_eq!((pieces.len(), chunk::PIECES), (crate::ChunkKind::ALL.len() + 1, crate::ChunkKind::ALL.len() + 1));
        assert_eq!(
            chunk::valid(chunk::PIECES - 1)[1..],
            chunk::valid(chunk::PIECES)[1..],
            "the header is the last one"
        );
    }
}
