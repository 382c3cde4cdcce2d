//! Changes of the cluster's own records, proposed to the meta group.

use holdfast_raft::host::{Group, ProposeError};
use holdfast_raft::meta::{MetaChange, encode_change};
use holdfast_raft::types::{NodeId, Payload, Reply};

use crate::core::Core;

/// Why the cluster's records were not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// Another node leads the meta group, or none.
    #[error("this node does not lead the meta group")]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// The meta group has stopped on this node; nothing was changed.
    #[error("the meta group has stopped on this node: {why}")]
    Stopped {
        /// What happened.
        why: String,
    },
    /// Decided against.
    #[error("{why}")]
    Refused {
        /// Why.
        why: String,
    },
    /// It may have been changed.
    #[error("the outcome is not known: {why}")]
    Unknown {
        /// What happened.
        why: String,
    },
}

/// Proposes a change under a new id; gives the revision of the records after it.
pub(crate) async fn propose_change(core: &Core, meta: &Group, change: MetaChange) -> Result<u64, ChangeError> {
    let id = core.world.entropy.next_u128();
    let payload = Payload::of(encode_change(meta.schema(), core.world.clock.wall_ms(), id, &change));
    let applied = match meta.propose(payload).await {
        Ok(proposal) => proposal.applied().await,
        Err(error) => Err(error),
    };
    match applied {
        Ok(Reply::Meta { revision, refusal: None }) => Ok(revision),
        Ok(Reply::Meta { refusal: Some(why), .. }) => Err(ChangeError::Refused { why }),
        Ok(Reply::Nothing | Reply::Shard { .. }) => {
            Err(ChangeError::Unknown { why: "the meta group gave another kind of answer".to_owned() })
        }
        Err(ProposeError::NotLeader { leader }) => Err(ChangeError::NotLeader { leader }),
        Err(ProposeError::Stopped { why }) => Err(ChangeError::Stopped { why }),
        Err(ProposeError::Unknown { why }) => Err(ChangeError::Unknown { why }),
    }
}
