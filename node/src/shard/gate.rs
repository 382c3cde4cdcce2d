//! How much may wait at a shard: counted from submission until the log entry is proposed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bounds of what waits, and how much does.
#[derive(Debug)]
pub(crate) struct Gate {
    max_commands: usize,
    max_bytes: usize,
    commands: AtomicUsize,
    bytes: AtomicUsize,
}

/// Room for some commands; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    commands: usize,
    bytes: usize,
}

impl Gate {
    pub(crate) fn new(max_commands: usize, max_bytes: usize) -> Arc<Self> {
        Arc::new(Self { max_commands, max_bytes, commands: AtomicUsize::new(0), bytes: AtomicUsize::new(0) })
    }

    /// Room for so much; `None` where it is not there.
    pub(crate) fn admit(self: &Arc<Self>, commands: usize, bytes: usize) -> Option<Permit> {
        take(&self.commands, commands, self.max_commands)?;
        if take(&self.bytes, bytes, self.max_bytes).is_none() {
            self.commands.fetch_sub(commands, Ordering::Relaxed);
            return None;
        }
        Some(Permit { gate: Arc::clone(self), commands, bytes })
    }

    pub(crate) fn waiting_commands(&self) -> usize {
        self.commands.load(Ordering::Relaxed)
    }
}

impl Permit {
    /// Parts off the room for some of the commands.
    pub(crate) fn part(&mut self, commands: usize, bytes: usize) -> Self {
        self.commands -= commands;
        self.bytes -= bytes;
        Self { gate: Arc::clone(&self.gate), commands, bytes }
    }
}

fn take(count: &AtomicUsize, more: usize, max: usize) -> Option<()> {
    let add = |now: usize| now.checked_add(more).filter(|sum| *sum <= max);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok().map(drop)
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.commands.fetch_sub(self.commands, Ordering::Relaxed);
        self.gate.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_admitted_never_exceeds_the_bounds_and_comes_back() {
        let gate = Gate::new(10, 100);
        let mut first = gate.admit(6, 60).unwrap();
        assert!(gate.admit(5, 1).is_none());
        assert!(gate.admit(1, 41).is_none());
        assert_eq!(gate.waiting_commands(), 6);
        let part = first.part(2, 20);
        drop(first);
        assert_eq!(gate.waiting_commands(), 2);
        drop(part);
        assert_eq!(gate.waiting_commands(), 0);
        assert!(gate.admit(10, 100).is_some());
    }
}
