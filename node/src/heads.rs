//! Signed tree heads: what is kept outside of a cluster, so that its history cannot be written anew.
//!
//! A head says how many events a shard has and the root of the Merkle tree over them ([`holdfast_inventory::Frontier`]), signed with
//! Ed25519 (RFC 8032). The key is derived from the cluster's secret, so that every node has it and no operator has to make one.
//! Checking needs nothing of the cluster: [`check`] is for whoever keeps heads.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use holdfast_inventory::{Event, EventHash, InclusionProof};
use holdfast_proto::v1;

/// What the key is derived for: another purpose gives another key.
const PURPOSE: &str = "holdfast 2026-11 signed tree heads";
/// What the signed bytes begin with, so that no other signature of the same key passes for one of a head.
const DOMAIN: &[u8] = b"holdfast tree head 1\0";

/// Signs the heads of a cluster.
#[derive(Clone)]
pub(crate) struct HeadKey(SigningKey);

impl std::fmt::Debug for HeadKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HeadKey")
    }
}

impl HeadKey {
    /// The key of the cluster with this secret.
    pub(crate) fn of(secret: &[u8]) -> Self {
        Self(SigningKey::from_bytes(&blake3::derive_key(PURPOSE, secret)))
    }

    /// A head with its key and signature.
    pub(crate) fn sign(&self, cluster_id: &str, shard: u32, size: u64, root: EventHash, time_ms: u64) -> v1::TreeHead {
        let mut head = v1::TreeHead {
            cluster_id: cluster_id.to_owned(),
            shard,
            size,
            root: root.0.to_vec(),
            time_ms,
            public_key: self.0.verifying_key().to_bytes().to_vec(),
            signature: Vec::new(),
        };
        head.signature = self.0.sign(&signed_bytes(&head)).to_bytes().to_vec();
        head
    }
}

/// What of a head is signed: the domain, then each number in eight bytes (little-endian), each text with its length before it.
fn signed_bytes(head: &v1::TreeHead) -> Vec<u8> {
    let mut bytes = DOMAIN.to_vec();
    for text in [head.cluster_id.as_bytes(), &head.root] {
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text);
    }
    for number in [u64::from(head.shard), head.size, head.time_ms] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes
}

/// Why a head or a proof is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The head was changed, or another key signed it.
    #[error("the signature of the head is not of its key")]
    BadSignature,
    /// The proof is of another tree.
    #[error("the proof is for shard {shard} with {size} events, the head for shard {head_shard} with {head_size}")]
    OtherTree {
        /// Of the proof.
        shard: u32,
        /// Of the proof.
        size: u64,
        /// Of the head.
        head_shard: u32,
        /// Of the head.
        head_size: u64,
    },
    /// The bytes are no event.
    #[error("the event cannot be read: {0}")]
    BadEvent(#[from] holdfast_inventory::EventDecodeError),
    /// The event is not where the proof says, or not in the tree.
    #[error("the path does not lead from the event to the root of the head")]
    NotInTree,
}

/// Checks that a head was signed with the key that it names. Whether that key is the cluster's is for who keeps heads to know.
///
/// # Errors
///
/// [`CheckError::BadSignature`].
pub fn check(head: &v1::TreeHead) -> Result<(), CheckError> {
    let key: Option<[u8; 32]> = head.public_key.as_slice().try_into().ok();
    let key = key.and_then(|key| VerifyingKey::from_bytes(&key).ok()).ok_or(CheckError::BadSignature)?;
    let signature = Signature::from_slice(&head.signature).map_err(|_| CheckError::BadSignature)?;
    key.verify_strict(&signed_bytes(head), &signature).map_err(|_| CheckError::BadSignature)
}

/// Checks that an event, as it lies in the change log, is the one of that sequence in the tree of a head, and gives it as clients
/// read it.
///
/// # Errors
///
/// [`CheckError`].
pub fn check_proof(
    (shard, size): (u32, u64),
    encoded: &[u8],
    path: &[Vec<u8>],
    head: &v1::TreeHead,
) -> Result<v1::Event, CheckError> {
    check(head)?;
    if (shard, size) != (head.shard, head.size) {
        return Err(CheckError::OtherTree { shard, size, head_shard: head.shard, head_size: head.size });
    }
    let event = Event::decode(encoded)?;
    let path: Option<Vec<EventHash>> = path.iter().map(|hash| hash.as_slice().try_into().ok().map(EventHash)).collect();
    let proof = InclusionProof { seq: event.body.seq, size, path: path.ok_or(CheckError::NotInTree)? };
    match proof.root(event.hash) {
        Some(root) if root.0.as_slice() == head.root => Ok(crate::to_proto::event(shard, event)),
        _ => Err(CheckError::NotInTree),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> v1::TreeHead {
        HeadKey::of(&[7; 32]).sign("rouge", 3, 40, EventHash([9; 32]), 1_000)
    }

    #[test]
    fn a_head_is_believed_as_it_was_signed_and_in_no_other_form() {
        assert_eq!(check(&head()), Ok(()));
        let other_key = HeadKey::of(&[8; 32]).sign("rouge", 3, 40, EventHash([9; 32]), 1_000).public_key;
        let changed = [
            v1::TreeHead { cluster_id: "blush".to_owned(), ..head() },
            v1::TreeHead { shard: 2, ..head() },
            v1::TreeHead { size: 41, ..head() },
            v1::TreeHead { root: vec![8; 32], ..head() },
            v1::TreeHead { time_ms: 1_001, ..head() },
            v1::TreeHead { public_key: other_key, ..head() },
            v1::TreeHead { public_key: vec![], ..head() },
            v1::TreeHead { signature: vec![1; 64], ..head() },
            v1::TreeHead { signature: vec![1; 3], ..head() },
        ];
        for head in changed {
            assert_eq!(check(&head), Err(CheckError::BadSignature), "{head:?}");
        }
    }

    #[test]
    fn texts_of_other_lengths_are_not_signed_alike() {
        let one = v1::TreeHead { cluster_id: "a".to_owned(), root: vec![b'b'], ..v1::TreeHead::default() };
        let two = v1::TreeHead { cluster_id: "ab".to_owned(), root: vec![], ..v1::TreeHead::default() };
        assert_ne!(signed_bytes(&one), signed_bytes(&two));
    }

    #[test]
    fn a_proof_of_another_tree_or_of_no_event_is_refused() {
        let of = |tree, encoded: &[u8]| check_proof(tree, encoded, &[], &head()).unwrap_err();
        assert_eq!(of((3, 41), &[]), CheckError::OtherTree { shard: 3, size: 41, head_shard: 3, head_size: 40 });
        assert!(matches!(of((3, 40), b"rouge"), CheckError::BadEvent(_)));
    }
}
