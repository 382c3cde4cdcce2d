//! What of the audit is kept in files outside of the cluster: heads and proofs, as JSON with bytes in hexadecimal.

use std::path::Path;

use holdfast_proto::v1;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::event_rows::{bytes_of, hex};
use crate::failure::Failure;

/// The largest file that is read: the proof of the largest event, or the heads of thousands of shards.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The heads of a cluster.
#[derive(Debug, Serialize, Deserialize)]
pub struct HeadFile {
    pub heads: Vec<HeadText>,
}

/// A signed head.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeadText {
    pub cluster_id: String,
    pub shard: u32,
    pub size: u64,
    pub root: String,
    pub time_ms: u64,
    pub public_key: String,
    pub signature: String,
}

/// An event and its way to the root of a head.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProofFile {
    pub shard: u32,
    pub size: u64,
    pub seq: u64,
    /// The event as it lies in the change log.
    pub event: String,
    /// From the leaf up.
    pub path: Vec<String>,
    /// The head that it was made for.
    pub head: HeadText,
}

impl From<v1::TreeHead> for HeadText {
    fn from(head: v1::TreeHead) -> Self {
        Self {
            cluster_id: head.cluster_id,
            shard: head.shard,
            size: head.size,
            root: hex(&head.root),
            time_ms: head.time_ms,
            public_key: hex(&head.public_key),
            signature: hex(&head.signature),
        }
    }
}

impl HeadText {
    /// The head as it was signed.
    pub fn head(&self) -> Result<v1::TreeHead, Failure> {
        Ok(v1::TreeHead {
            cluster_id: self.cluster_id.clone(),
            shard: self.shard,
            size: self.size,
            root: bytes("root", &self.root)?,
            time_ms: self.time_ms,
            public_key: bytes("public_key", &self.public_key)?,
            signature: bytes("signature", &self.signature)?,
        })
    }
}

impl HeadFile {
    /// The head of a shard.
    pub fn of_shard(&self, shard: u32) -> Result<v1::TreeHead, Failure> {
        let found = self.heads.iter().find(|head| head.shard == shard);
        found.ok_or_else(|| Failure::usage(format!("the file has no head of shard {shard}")))?.head()
    }
}

/// Bytes that a file gives in hexadecimal.
pub fn bytes(field: &str, text: &str) -> Result<Vec<u8>, Failure> {
    bytes_of(text).ok_or_else(|| Failure::usage(format!("{field} is not hexadecimal")))
}

/// Reads a file of ours.
pub fn read<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::usage(format!("{} cannot be read as {what}: {error}", path.display()))
            .hint(format!("give the file that `holdfast audit {what} -o json` printed"))
    };
    let size = std::fs::metadata(path).map_err(|error| unreadable(&error))?.len();
    if size > MAX_FILE_BYTES {
        return Err(unreadable(&format!("it has {size} bytes, more than {MAX_FILE_BYTES}")));
    }
    let text = std::fs::read(path).map_err(|error| unreadable(&error))?;
    serde_json::from_slice(&text).map_err(|error| unreadable(&error))
}
