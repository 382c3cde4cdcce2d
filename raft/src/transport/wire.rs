//! openraft's messages and the wire's: translated to each other here and nowhere else. Payloads are shared, not copied.

use std::io;
use std::time::Duration;

use holdfast_proto::peer::v1 as wire;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, StreamAppendError, StreamAppendResult, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias::{EntryOf, LogIdOf, VoteOf};

use super::registry::{GroupFacts, NodeFacts};
use crate::log::{Incarnation, LogId, LogRecord, Vote};
use crate::store::{entry_from_record, from_log_id, from_vote, record_from_entry, to_log_id, to_vote};
use crate::types::{GroupId, Types};

pub(super) type Request = AppendEntriesRequest<Types>;

/// What comes back for one append; `Err`: the group does not take it there now, and why.
pub(super) type Answer = Result<StreamAppendResult<Types>, String>;

pub(super) fn id_to_wire(id: LogId) -> wire::LogId {
    wire::LogId { term: id.term, leader_node: id.leader_node, index: id.index }
}

pub(super) fn id_from_wire(id: wire::LogId) -> LogId {
    LogId { term: id.term, leader_node: id.leader_node, index: id.index }
}

pub(super) fn log_id_to_wire(id: Option<&LogIdOf<Types>>) -> Option<wire::LogId> {
    id.map(|id| id_to_wire(to_log_id(id)))
}

pub(super) fn log_id_from_wire(id: Option<wire::LogId>) -> Option<LogIdOf<Types>> {
    id.map(|id| from_log_id(id_from_wire(id)))
}

fn own_vote_to_wire(vote: Vote) -> wire::Ballot {
    wire::Ballot { term: vote.term, node: vote.node, committed: vote.committed }
}

fn own_vote_from_wire(ballot: wire::Ballot) -> Vote {
    Vote { term: ballot.term, node: ballot.node, committed: ballot.committed }
}

pub(super) fn vote_to_wire(vote: &VoteOf<Types>) -> wire::Ballot {
    own_vote_to_wire(to_vote(vote))
}

pub(super) fn vote_from_wire(ballot: Option<wire::Ballot>) -> io::Result<VoteOf<Types>> {
    let ballot = ballot.ok_or_else(|| malformed("a message without a ballot"))?;
    Ok(from_vote(own_vote_from_wire(ballot)))
}

pub(super) fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

pub(super) fn record_to_wire(record: LogRecord) -> wire::Entry {
    let LogRecord { term, leader_node, kind, payload, .. } = record;
    wire::Entry { term, leader_node, kind: u32::from(kind), payload }
}

pub(super) fn record_from_wire(entry: wire::Entry, index: u64) -> io::Result<LogRecord> {
    let kind = u8::try_from(entry.kind).map_err(|_| malformed("an entry of a kind that is not known"))?;
    let wire::Entry { term, leader_node, payload, .. } = entry;
    Ok(LogRecord { index, term, leader_node, kind, payload })
}

pub(super) fn entry_to_wire(entry: EntryOf<Types>) -> wire::Entry {
    record_to_wire(record_from_entry(entry))
}

fn entry_from_wire(entry: wire::Entry, index: u64) -> io::Result<EntryOf<Types>> {
    entry_from_record(record_from_wire(entry, index)?)
}

pub(super) fn append_from_wire(append: wire::Append) -> io::Result<Request> {
    let first = append.first_index;
    let indexes = (0_u64..).map(|offset| first.checked_add(offset));
    let entries = append
        .entries
        .into_iter()
        .zip(indexes)
        .map(|(entry, index)| entry_from_wire(entry, index.ok_or_else(|| malformed("an index past the last"))?))
        .collect::<io::Result<_>>()?;
    Ok(Request {
        vote: vote_from_wire(append.ballot)?,
        prev_log_id: log_id_from_wire(append.previous),
        leader_commit: log_id_from_wire(append.committed),
        entries,
    })
}

pub(super) fn heartbeat_to_wire(
    number: u64,
    group: GroupId,
    request: &Request,
    confirmed: Option<Duration>,
) -> wire::Heartbeat {
    wire::Heartbeat {
        number,
        group: group.0,
        ballot: Some(vote_to_wire(&request.vote)),
        previous: log_id_to_wire(request.prev_log_id.as_ref()),
        committed: log_id_to_wire(request.leader_commit.as_ref()),
        confirmed_ms: confirmed.and_then(|confirmed| u64::try_from(confirmed.as_millis()).ok()),
    }
}

pub(super) fn heartbeat_from_wire(heartbeat: wire::Heartbeat) -> io::Result<Request> {
    Ok(Request {
        vote: vote_from_wire(heartbeat.ballot)?,
        prev_log_id: log_id_from_wire(heartbeat.previous),
        leader_commit: log_id_from_wire(heartbeat.committed),
        entries: Vec::new(),
    })
}

pub(super) fn answer_to_wire(answer: Answer) -> wire::Outcome {
    use wire::outcome::Outcome;
    let outcome = match answer {
        Ok(Ok(matched)) => Outcome::Matched(wire::Matched { log_id: log_id_to_wire(matched.as_ref()) }),
        Ok(Err(StreamAppendError::Conflict(at))) => Outcome::Conflict(id_to_wire(to_log_id(&at))),
        Ok(Err(StreamAppendError::HigherVote(vote))) => Outcome::Higher(vote_to_wire(&vote)),
        Err(why) => Outcome::Unreachable(why),
    };
    wire::Outcome { outcome: Some(outcome) }
}

pub(super) fn answer_from_wire(outcome: Option<wire::Outcome>) -> Answer {
    use wire::outcome::Outcome;
    match outcome.and_then(|outcome| outcome.outcome) {
        None => Err("an answer that this version does not know".to_owned()),
        Some(Outcome::Matched(matched)) => Ok(Ok(log_id_from_wire(matched.log_id))),
        Some(Outcome::Conflict(at)) => Ok(Err(StreamAppendError::Conflict(from_log_id(id_from_wire(at))))),
        Some(Outcome::Higher(ballot)) => Ok(Err(StreamAppendError::HigherVote(from_vote(own_vote_from_wire(ballot))))),
        Some(Outcome::Unreachable(why)) => Err(why),
    }
}

/// What openraft says to an append without entries after `previous`.
pub(super) fn heartbeat_answer(
    response: AppendEntriesResponse<Types>,
    previous: Option<LogIdOf<Types>>,
) -> StreamAppendResult<Types> {
    match (response, previous) {
        (AppendEntriesResponse::Success, previous) => Ok(previous),
        (AppendEntriesResponse::PartialSuccess(matched), _) => Ok(matched),
        (AppendEntriesResponse::HigherVote(vote), _) => Err(StreamAppendError::HigherVote(vote)),
        (AppendEntriesResponse::Conflict, Some(previous)) => Err(StreamAppendError::Conflict(previous)),
        // Nothing conflicts with nothing.
        (AppendEntriesResponse::Conflict, None) => Ok(None),
    }
}

pub(super) fn life_to_wire(life: Incarnation) -> wire::Incarnation {
    wire::Incarnation { counter: life.counter, nonce: life.nonce }
}

/// `None`, which a version without it sends, is no life that anyone has.
pub(super) fn life_from_wire(life: Option<wire::Incarnation>) -> Option<Incarnation> {
    life.map(|wire::Incarnation { counter, nonce }| Incarnation { counter, nonce })
}

pub(super) fn vote_request_to_wire(
    envelope: wire::Envelope,
    group: GroupId,
    request: &VoteRequest<Types>,
    candidate: Incarnation,
) -> wire::VoteRequest {
    wire::VoteRequest {
        envelope: Some(envelope),
        group: group.0,
        ballot: Some(vote_to_wire(&request.vote)),
        last_log_id: log_id_to_wire(request.last_log_id.as_ref()),
        leadership_transfer: request.leadership_transfer,
        candidate: Some(life_to_wire(candidate)),
    }
}

pub(super) fn vote_request_from_wire(request: wire::VoteRequest) -> io::Result<VoteRequest<Types>> {
    let vote = vote_from_wire(request.ballot)?;
    let mut asked = VoteRequest::new(vote, log_id_from_wire(request.last_log_id));
    asked.leadership_transfer = request.leadership_transfer;
    Ok(asked)
}

pub(super) fn vote_response_to_wire(response: &VoteResponse<Types>, voter: Incarnation) -> wire::VoteResponse {
    wire::VoteResponse {
        ballot: Some(vote_to_wire(&response.vote)),
        last_log_id: log_id_to_wire(response.last_log_id.as_ref()),
        granted: response.vote_granted,
        voter: Some(life_to_wire(voter)),
    }
}

pub(super) fn vote_response_from_wire(response: wire::VoteResponse) -> io::Result<VoteResponse<Types>> {
    let vote = vote_from_wire(response.ballot)?;
    Ok(VoteResponse::new(vote, log_id_from_wire(response.last_log_id), response.granted))
}

pub(super) fn facts_to_wire(facts: NodeFacts) -> wire::NodeFacts {
    let group = |group: GroupFacts| wire::GroupFacts {
        group: group.group.0,
        last_log_id: group.last_log_id.map(id_to_wire),
        ballot: group.vote.map(own_vote_to_wire),
        damage: group.damage.unwrap_or_default(),
    };
    wire::NodeFacts {
        cluster_id: facts.cluster_id,
        node_id: facts.node_id,
        incarnation_counter: facts.incarnation.counter,
        incarnation_nonce: facts.incarnation.nonce,
        control_generation: facts.control_generation,
        fresh: facts.fresh,
        groups: facts.groups.into_iter().map(group).collect(),
        schemas: facts.schemas,
        version: facts.version,
        past_lives: facts.past_lives,
    }
}

pub(super) fn facts_from_wire(facts: Option<wire::NodeFacts>) -> io::Result<NodeFacts> {
    let facts = facts.ok_or_else(|| malformed("a handshake without facts"))?;
    let group = |group: wire::GroupFacts| GroupFacts {
        group: GroupId(group.group),
        last_log_id: group.last_log_id.map(id_from_wire),
        vote: group.ballot.map(own_vote_from_wire),
        damage: Some(group.damage).filter(|damage| !damage.is_empty()),
    };
    Ok(NodeFacts {
        cluster_id: facts.cluster_id,
        node_id: facts.node_id,
        incarnation: Incarnation { counter: facts.incarnation_counter, nonce: facts.incarnation_nonce },
        control_generation: facts.control_generation,
        fresh: facts.fresh,
        groups: facts.groups.into_iter().map(group).collect(),
        schemas: facts.schemas,
        version: facts.version,
        past_lives: facts.past_lives,
    })
}

pub(super) fn transfer_to_wire(
    envelope: wire::Envelope,
    group: GroupId,
    request: &TransferLeaderRequest<Types>,
) -> wire::TransferLeaderRequest {
    wire::TransferLeaderRequest {
        envelope: Some(envelope),
        group: group.0,
        from_leader: Some(vote_to_wire(request.from_leader())),
        to_node: *request.to_node_id(),
        last_log_id: log_id_to_wire(request.last_log_id()),
    }
}

pub(super) fn transfer_from_wire(request: wire::TransferLeaderRequest) -> io::Result<TransferLeaderRequest<Types>> {
    let from = vote_from_wire(request.from_leader)?;
    Ok(TransferLeaderRequest::new(from, request.to_node, log_id_from_wire(request.last_log_id)))
}

pub(super) fn transfer_response_to_wire(response: TransferLeaderResponse<Types>) -> wire::TransferLeaderResponse {
    use wire::transfer_leader_response::Refusal;
    let refusal = response.err().map(|error| match error {
        TransferLeaderError::VoteChanged { expected, actual } => Refusal::VoteChanged(wire::VoteChanged {
            expected: Some(vote_to_wire(&expected)),
            actual: Some(vote_to_wire(&actual)),
        }),
        TransferLeaderError::LogNotFlushed { expected, actual } => Refusal::LogNotFlushed(wire::LogNotFlushed {
            expected: log_id_to_wire(expected.as_ref()),
            actual: log_id_to_wire(actual.as_ref()),
        }),
    });
    wire::TransferLeaderResponse { refusal }
}

pub(super) fn transfer_response_from_wire(
    response: wire::TransferLeaderResponse,
) -> io::Result<TransferLeaderResponse<Types>> {
    use wire::transfer_leader_response::Refusal;
    Ok(match response.refusal {
        None => Ok(()),
        Some(Refusal::VoteChanged(wire::VoteChanged { expected, actual })) => Err(TransferLeaderError::VoteChanged {
            expected: vote_from_wire(expected)?,
            actual: vote_from_wire(actual)?,
        }),
        Some(Refusal::LogNotFlushed(wire::LogNotFlushed { expected, actual })) => {
            Err(TransferLeaderError::LogNotFlushed {
                expected: log_id_from_wire(expected),
                actual: log_id_from_wire(actual),
            })
        }
    })
}

/// Messages of a peer, as any bytes.
#[cfg(any(test, fuzzing))]
pub mod untrusted {
    use std::collections::{BTreeMap, BTreeSet};

    use openraft::{BasicNode, Membership};
    use prost::Message;

    use super::*;
    use crate::store::encode_membership;

    /// A valid input: entries to append.
    #[must_use]
    pub fn valid() -> Vec<u8> {
        let id = wire::LogId { term: 3, leader_node: 1, index: 41 };
        let entry = |kind, payload: Vec<u8>| wire::Entry { term: 3, leader_node: 1, kind, payload: payload.into() };
        let nodes = BTreeMap::from([(1, BasicNode::new("a:1")), (2, BasicNode::new("b:1"))]);
        let voters = vec![BTreeSet::from([1]), BTreeSet::from([1, 2])];
        let membership = Membership::new(voters, nodes).expect("every voter is a node");
        let append = wire::Append {
            session: 5,
            sequence: 6,
            group: 2,
            ballot: Some(wire::Ballot { term: 3, node: 1, committed: true }),
            previous: Some(id),
            committed: Some(id),
            first_index: 42,
            entries: vec![entry(0, vec![]), entry(1, vec![7; 20]), entry(2, encode_membership(&membership))],
        };
        append.encode_to_vec()
    }

    /// Refuses it, or reads it, as each message of a peer. They share their first fields' types, so that one's bytes are
    /// nearly another's. True: it is an append.
    pub fn read(bytes: &[u8]) -> bool {
        let mut is_append = false;
        if let Ok(append) = wire::Append::decode(bytes) {
            let (first, count) = (append.first_index, append.entries.len());
            if let Ok(request) = append_from_wire(append) {
                let indexes = request.entries.iter().map(|entry| entry.log_id.index);
                assert!(indexes.eq((first..).take(count)));
                is_append = true;
            }
        }
        let _ = wire::Heartbeat::decode(bytes).map(heartbeat_from_wire);
        let _ = wire::Outcome::decode(bytes).map(|outcome| answer_from_wire(Some(outcome)));
        let _ = wire::VoteRequest::decode(bytes).map(vote_request_from_wire);
        let _ = wire::VoteResponse::decode(bytes).map(vote_response_from_wire);
        let _ = wire::NodeFacts::decode(bytes).map(|facts| facts_from_wire(Some(facts)));
        let _ = wire::TransferLeaderRequest::decode(bytes).map(transfer_from_wire);
        let _ = wire::TransferLeaderResponse::decode(bytes).map(transfer_response_from_wire);
        is_append
    }
}

#[cfg(test)]
mod tests {
    use super::untrusted;

    proptest::proptest! {
        #[test]
        fn any_message_of_a_peer_is_refused_or_read_and_never_a_panic(
            bytes in holdfast_mangle::mangled(untrusted::valid()),
        ) {
            untrusted::read(&bytes);
        }
    }
}
