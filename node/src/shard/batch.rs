//! Splitting what is submitted into parts that fit an entry, and joining parts into an entry.

use std::sync::Arc;

use holdfast_inventory::{Entry, LogTime};
use holdfast_raft::encode::EntryBuilder;
use holdfast_raft::stages::{Stage, Stages};
use holdfast_raft::types::Payload;
use tokio::time::Instant;

use super::gate::Gate;
use super::submission::{Caller, EncodedCommand, NotDecided, Part, Submitted};
use crate::config::NodeLimits;

/// Splits commands into parts of at most an entry's size; a chain is never split and may go beyond.
pub(super) fn split(
    commands: Vec<EncodedCommand>,
    deadline: Instant,
    limits: &NodeLimits,
    gate: &Arc<Gate>,
) -> Result<(Vec<Part>, Submitted), NotDecided> {
    let bytes = commands.iter().map(|command| command.bytes.len()).sum();
    let mut permit = gate.admit(commands.len(), bytes).ok_or_else(NotDecided::overloaded)?;
    if commands.len() <= limits.entry_commands && bytes <= limits.entry_bytes {
        let (part, receiver) = Part::new(commands, bytes, deadline, permit);
        return Ok((vec![part], Submitted::new(vec![receiver], deadline)));
    }
    let mut parts = Vec::new();
    let mut receivers = Vec::new();
    let mut rest = commands.into_iter().peekable();
    let mut part: Vec<EncodedCommand> = Vec::new();
    let mut part_bytes = 0;
    while rest.peek().is_some() {
        let (chain, chain_bytes) = next_chain(&mut rest);
        let is_full = part.len() + chain.len() > limits.entry_commands || part_bytes + chain_bytes > limits.entry_bytes;
        if is_full && !part.is_empty() {
            let room = permit.part(part.len(), part_bytes);
            let (full, receiver) = Part::new(std::mem::take(&mut part), part_bytes, deadline, room);
            parts.push(full);
            receivers.push(receiver);
            part_bytes = 0;
        }
        part.extend(chain);
        part_bytes += chain_bytes;
    }
    let (last, receiver) = Part::new(part, part_bytes, deadline, permit);
    parts.push(last);
    receivers.push(receiver);
    Ok((parts, Submitted::new(receivers, deadline)))
}

/// The next command, with those it is linked to.
fn next_chain(rest: &mut impl Iterator<Item = EncodedCommand>) -> (Vec<EncodedCommand>, usize) {
    let mut chain = Vec::with_capacity(1);
    let mut bytes = 0;
    for command in rest {
        let is_linked = command.command.linked;
        bytes += command.bytes.len();
        chain.push(command);
        if !is_linked {
            break;
        }
    }
    (chain, bytes)
}

/// Parts that will be proposed together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    parts: Vec<Part>,
    commands: usize,
    bytes: usize,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// True where the part would make it larger than an entry may be.
    pub(super) fn is_full_for(&self, part: &Part, limits: &NodeLimits) -> bool {
        !self.is_empty()
            && (self.commands + part.commands.len() > limits.entry_commands
                || self.bytes + part.bytes > limits.entry_bytes)
    }

    pub(super) fn push(&mut self, part: Part) {
        self.commands += part.commands.len();
        self.bytes += part.bytes;
        self.parts.push(part);
    }

    /// True where a caller's trace is kept.
    pub(super) fn is_traced(&self) -> bool {
        self.parts.iter().any(|part| part.caller.trace().is_some())
    }

    /// The entry in this schema, and who waits for it. The batch is empty then.
    pub(super) fn close(&mut self, time: LogTime, schema: u32, stages: &Stages) -> (Payload, Vec<Caller>) {
        let now = Instant::now();
        let mut entry = EntryBuilder::new(time, schema);
        let mut commands = Vec::with_capacity(self.commands);
        let mut callers = Vec::with_capacity(self.parts.len());
        for part in self.parts.drain(..) {
            let Part { commands: encoded, mut caller, permit, submitted_at, .. } = part;
            stages.note(Stage::Wait, now - submitted_at);
            for EncodedCommand { command, bytes } in encoded {
                entry.push(&bytes);
                commands.push(command);
            }
            caller.mark_proposed();
            callers.push(caller);
            drop(permit);
        }
        self.commands = 0;
        self.bytes = 0;
        (Payload::decoded(entry.finish(), Entry { time, commands }), callers)
    }

    /// Refuses all of it.
    pub(super) fn refuse(&mut self, why: &NotDecided) {
        self.commands = 0;
        self.bytes = 0;
        for part in self.parts.drain(..) {
            part.caller.answer(Err(why.clone()));
        }
    }
}
