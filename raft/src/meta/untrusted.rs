//! An entry of the cluster's own records, as any bytes: for the property test and a target of `fuzz/`.

use std::collections::BTreeMap;

use holdfast_inventory::Limits;

use super::{Founding, Member, Meta, MetaChange, decode_change, encode_change};
use crate::encode::SCHEMA;

/// A cluster's beginning.
#[must_use]
pub fn founding() -> MetaChange {
    let member = Member { client_address: "a:1".into(), peer_address: "a:2".into(), http_address: String::new() };
    MetaChange::Found(Founding {
        cluster_id: "c".into(),
        shards: 8,
        members: BTreeMap::from([(1, member)]),
        default_location: "main".into(),
        customer_key: vec![1; 32],
        shard_limits: Limits::default(),
    })
}

/// A valid input: the founding.
#[must_use]
pub fn valid() -> Vec<u8> {
    encode_change(SCHEMA, 1_790_000_000_000, 7, &founding()).to_vec()
}

/// Refuses it, or applies it (true) before and after a founding: the records are written and read again as the same.
pub fn read(bytes: &[u8]) -> bool {
    let decoded = decode_change(bytes, SCHEMA);
    let is_change = decoded.is_ok();
    if let Ok((id, change)) = decoded {
        let mut founded = Meta::default();
        founded.apply(!id, founding());
        for mut meta in [Meta::default(), founded] {
            meta.apply(id, change.clone());
            assert_eq!(Meta::decode(&meta.encode()).as_ref(), Some(&meta));
            let ranges = meta.slot_ranges();
            assert!(ranges.iter().all(|(first, _, shard)| meta.shard_of(*first) == Some(*shard)));
        }
    }
    if let Some(meta) = Meta::decode(bytes) {
        assert_eq!(Meta::decode(&meta.encode()), Some(meta));
    }
    is_change
}
