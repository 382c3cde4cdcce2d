//! The log's encoding of a shard's commands: `holdfast.log.v1` on one side, `inventory`'s own types on the other, translated
//! here and nowhere else.
//!
//! A command is encoded once, by the service that took it in ([`encode_command`]); the shard's actor joins encoded commands
//! into an entry without looking into them ([`EntryBuilder`]); replicas decode the whole entry ([`decode_entry`]).
//!
//! Each entry says its schema version, since protobuf drops what it does not know: a replica that meets a version it does not
//! know must stop its group rather than differ silently. So a leader writes the least that its group's members understand
//! (`raft/src/host/schemas.rs`), and a version that raises [`SCHEMA`] can be rolled out node by node.

mod between_shards;
mod campaigns;
mod counts;
mod from_log;
mod limits;
mod orders;
mod rooms;
mod shared_limits;
mod to_log;
mod watch;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use holdfast_inventory::commands::Line;
use holdfast_inventory::{BodyHash, Command, Entry, LogTime, Revision};
use holdfast_proto::log::v1 as log;
use holdfast_proto::log::v1::command::Operation as LogOperation;
use prost::Message;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, fixed64, skip_field, string, uint32,
};
use xxhash_rust::xxh3::Xxh3;

pub(crate) use campaigns::{spec_from_log as campaign_from_log, spec_to_log as campaign_to_log};
pub(crate) use limits::{limits_from_log, limits_to_log};
pub(crate) use shared_limits::{window_from_log, window_to_log};

/// The latest version of the schema that this build understands.
pub const SCHEMA: u32 = 4;

/// The oldest schema that a node of a cluster may be bound to: a member that has not told counts as one that understands no more.
/// Schemas 1 to 3 are those of versions whose states are encoded otherwise, and whose rules know no lines that were worked out, no limits,
/// counts or backorders: no node of theirs can be in a cluster with one of this version.
pub const OLDEST_SCHEMA: u32 = 4;

/// The schema of the version after this one, as simulations and tests play it: its entries say which version wrote them, and have
/// their commands in a field of another number, so that a node which let it pass unread would differ. No node understands it
/// unless [`HostOptions::schema`](crate::host::HostOptions::schema) says so, which no configuration can.
pub const NEXT_SCHEMA: u32 = SCHEMA + 1;

/// Longest encoded command, in bytes: the longest attributes, a hundred lines, and room.
pub const MAX_COMMAND_BYTES: usize = 64 * 1_024;

/// The numbers of `Entry`'s fields in log.proto.
const SCHEMA_TAG: u32 = 1;
const TIME_TAG: u32 = 2;
const COMMANDS_TAG: u32 = 3;

/// The numbers of the fields that entries of [`NEXT_SCHEMA`] have; log.proto keeps them free.
const NEXT_WRITER_TAG: u32 = 4;
const NEXT_COMMANDS_TAG: u32 = 5;

/// Why an entry of the log cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It was written by a later version of Holdfast.
    #[error("the entry has schema {found}, this version knows up to {known}: upgrade this node")]
    UnknownSchema {
        /// What the entry says.
        found: u32,
        /// The latest that this node understands.
        known: u32,
    },
    /// It is no entry. The log checks its bytes, so this is a bug of whoever wrote it.
    #[error("not an entry of a shard's log: {what}")]
    Malformed {
        /// What does not fit.
        what: String,
    },
}

impl DecodeError {
    fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed { what: what.into() }
    }
}

/// Encodes a command as it will stand in the log, and fills in its `body`: the hash of all that a retry must repeat.
#[must_use]
pub fn encode_command(command: &mut Command) -> Bytes {
    let mut message = to_log::command(command);
    let body = body_of(&mut message);
    command.body = BodyHash(body);
    message.body_high = (body >> 64) as u64;
    message.body_low = body as u64;
    message.encode_to_vec().into()
}

/// Reads what [`encode_command`] gave.
///
/// # Errors
///
/// Bytes that are no command.
pub fn decode_command(bytes: &[u8]) -> Result<Command, DecodeError> {
    from_log::command(log::Command::decode(bytes).map_err(malformed)?)
}

/// Hashes what must be the same when an id comes again: the operation, the mint time, the cause and the place in a chain, but
/// not the id itself.
fn body_of(message: &mut log::Command) -> u128 {
    let mut bytes = Vec::with_capacity(256);
    match &mut message.operation {
        // However far a reserve over several shards has come: what was asked for is the same.
        Some(LogOperation::ReserveSpread(spread)) => {
            spread.reserve.iter_mut().for_each(|reserve| encode_request(reserve, &mut bytes));
        }
        Some(LogOperation::Reserve(reserve)) => encode_request(reserve, &mut bytes),
        Some(operation) => operation.encode(&mut bytes),
        None => {}
    }
    if let Some(cause) = &message.cause {
        cause.encode(&mut bytes).expect("a vector grows as needed");
    }
    let mut hash = Xxh3::new();
    hash.update(&message.minted_at_ms.to_le_bytes());
    hash.update(&[u8::from(message.own_key), u8::from(message.linked)]);
    hash.update(&bytes);
    hash.digest128()
}

/// Encodes a reserve as it was asked for, whatever lines were worked out from those of the request: with their hash in their place.
/// Whoever decides it first may not know yet that there is something to work out.
fn encode_request(reserve: &mut log::Reserve, bytes: &mut Vec<u8>) {
    const BELIEF: &str = "a vector grows as needed";
    let (lines, plan) = (std::mem::take(&mut reserve.lines), reserve.plan.take());
    let request = match &plan {
        Some(plan) => (u128::from(plan.request_high) << 64) | u128::from(plan.request_low),
        None => hash_lines(&lines, &[]),
    };
    // No operation's encoding begins so: there is no field 0.
    bytes.put_u8(0);
    reserve.encode_length_delimited(bytes).expect(BELIEF);
    bytes.put_u128(request);
    (reserve.lines, reserve.plan) = (lines, plan);
}

/// What stands for the lines of a request in a [`Plan`](holdfast_inventory::commands::Plan): a hash of them as the caller sent them,
/// each with the revision of the kit that it names, if any does.
#[must_use]
pub fn request_of(lines: &[Line], kit_revisions: &[Option<Revision>]) -> BodyHash {
    let lines: Vec<log::Line> = lines.iter().map(to_log::line).collect();
    BodyHash(hash_lines(&lines, kit_revisions))
}

fn hash_lines(lines: &[log::Line], kit_revisions: &[Option<Revision>]) -> u128 {
    let mut hash = Xxh3::new();
    let mut bytes = Vec::with_capacity(64);
    for line in lines {
        bytes.clear();
        line.encode_length_delimited(&mut bytes).expect("a vector grows as needed");
        hash.update(&bytes);
    }
    for (number, revision) in (0_u64..).zip(kit_revisions) {
        if let Some(revision) = revision {
            hash.update(&number.to_le_bytes());
            hash.update(&revision.0.to_le_bytes());
        }
    }
    hash.digest128()
}

/// Joins encoded commands into the bytes of one entry.
#[derive(Debug)]
pub struct EntryBuilder {
    bytes: BytesMut,
    commands_tag: u32,
}

impl EntryBuilder {
    /// An entry stamped with `time`, in a schema that all members of the group understand
    /// ([`Group::schema`](crate::host::Group::schema)).
    #[must_use]
    pub fn new(time: LogTime, schema: u32) -> Self {
        let head = log::Entry { schema, time_ms: time.0, commands: Vec::new() };
        let mut bytes = BytesMut::with_capacity(1_024);
        head.encode(&mut bytes).expect("a buffer grows as needed");
        if schema < NEXT_SCHEMA {
            return Self { bytes, commands_tag: COMMANDS_TAG };
        }
        string::encode(NEXT_WRITER_TAG, &env!("CARGO_PKG_VERSION").to_owned(), &mut bytes);
        Self { bytes, commands_tag: NEXT_COMMANDS_TAG }
    }

    /// Adds a command as [`encode_command`] gave it.
    pub fn push(&mut self, encoded: &[u8]) {
        encode_key(self.commands_tag, WireType::LengthDelimited, &mut self.bytes);
        encode_varint(encoded.len() as u64, &mut self.bytes);
        self.bytes.put_slice(encoded);
    }

    /// The entry.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.bytes.freeze()
    }
}

/// The schema of an entry of any group; 0: it does not say.
#[must_use]
pub fn schema_of(bytes: &[u8]) -> u32 {
    let (mut rest, mut schema) = (bytes, 0);
    // Of a shard's entry and of the meta group's it is the first field.
    match decode_key(&mut rest) {
        Ok((SCHEMA_TAG, wire_type)) => {
            let read = uint32::merge(wire_type, &mut schema, &mut rest, DecodeContext::default());
            read.map_or(0, |()| schema)
        }
        _ => 0,
    }
}

/// Decodes an entry of a shard's log on a node that understands the schemas up to `known`.
///
/// # Errors
///
/// A schema this node does not know, or bytes that are no entry.
pub fn decode_entry(bytes: &[u8], known: u32) -> Result<Entry, DecodeError> {
    let mut rest = bytes;
    let (mut schema, mut time) = (0, LogTime(0));
    let mut commands = Vec::new();
    // Field by field rather than through `log::Entry`: that would hold every command twice for a moment, and an entry may have
    // thousands.
    while rest.has_remaining() {
        let (tag, wire_type) = decode_key(&mut rest).map_err(malformed)?;
        match tag {
            SCHEMA_TAG => {
                uint32::merge(wire_type, &mut schema, &mut rest, DecodeContext::default()).map_err(malformed)?;
            }
            TIME_TAG => {
                fixed64::merge(wire_type, &mut time.0, &mut rest, DecodeContext::default()).map_err(malformed)?;
            }
            COMMANDS_TAG | NEXT_COMMANDS_TAG if tag == COMMANDS_TAG || schema >= NEXT_SCHEMA => {
                check_schema(schema, known)?;
                let length = decode_varint(&mut rest).map_err(malformed)?;
                let length = usize::try_from(length).ok().filter(|length| *length <= rest.len());
                let length = length.ok_or_else(|| DecodeError::malformed("a command that is cut off"))?;
                let (encoded, after) = rest.split_at(length);
                rest = after;
                commands.push(from_log::command(log::Command::decode(encoded).map_err(malformed)?)?);
            }
            _ => skip_field(wire_type, tag, &mut rest, DecodeContext::default()).map_err(malformed)?,
        }
    }
    check_schema(schema, known)?;
    Ok(Entry { time, commands })
}

/// The schema comes first in an entry: what follows is read only if it is known.
pub(crate) fn check_schema(found: u32, known: u32) -> Result<(), DecodeError> {
    if found == 0 || found > known { Err(DecodeError::UnknownSchema { found, known }) } else { Ok(()) }
}

fn malformed(error: prost::DecodeError) -> DecodeError {
    DecodeError::malformed(error.to_string())
}

#[cfg(test)]
mod tests;
#[cfg(any(test, fuzzing))]
pub mod untrusted;
