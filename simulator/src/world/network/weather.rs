//! What a link may do to what it carries short of being cut: delay it, lose it, or let the answer go under.
//!
//! A frame is never lost alone from a stream that goes on, as TCP would send it again. A lost frame means that the connection
//! stalls: for a while nothing gets through that way, then it breaks, and both ends see a reset.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;

use super::links::Way;
use crate::{Dice, HostId};

/// The weather on one direction of a link. All chances are in a million frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// How often a frame is late.
    pub late_ppm: u64,
    /// By how much at most, in milliseconds.
    pub late_ms: u64,
    /// How often a connection stalls.
    pub stalls_ppm: u64,
    /// For how long at most, in milliseconds, before it breaks.
    pub stall_ms: u64,
    /// How often a connection breaks when a call on it was carried out and its answer is about to be sent.
    pub lost_answer_ppm: u64,
}

impl Weather {
    /// By how much a frame is late.
    pub(super) fn draw_lateness(&self, dice: &mut Dice) -> Duration {
        let is_late = self.late_ppm > 0 && dice.below(1_000_000) < self.late_ppm;
        Duration::from_millis(if is_late { dice.between(1, self.late_ms) } else { 0 })
    }

    /// For how long the connection stalls, if it does.
    pub(super) fn draw_stall(&self, dice: &mut Dice) -> Option<Duration> {
        let stalls = self.stalls_ppm > 0 && dice.below(1_000_000) < self.stalls_ppm;
        stalls.then(|| Duration::from_millis(dice.between(1, self.stall_ms)))
    }

    pub(super) fn loses_answer(&self, dice: &mut Dice) -> bool {
        self.lost_answer_ppm > 0 && dice.below(1_000_000) < self.lost_answer_ppm
    }
}

/// Bits flip on the way in what some calls carry: past the checksums of the network, or in a machine's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decay {
    /// A part of the path of the calls.
    pub calls: &'static str,
    /// How often one flips, in a million frames.
    pub ppm: u64,
}

impl Decay {
    /// Which bit of so many bytes flips, if one does.
    pub(super) fn draw(&self, path: &str, bytes: usize, dice: &mut Dice) -> Option<u64> {
        let flips = bytes > 0 && path.contains(self.calls) && dice.below(1_000_000) < self.ppm;
        flips.then(|| dice.below(8 * bytes as u64))
    }
}

/// One call on a connection between two hosts, both directions of it.
#[derive(Debug)]
pub(super) struct Line {
    way: Way,
    path: String,
    broken: watch::Sender<bool>,
}

impl Line {
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Returns when the connection has broken.
    pub(super) async fn broken(&self) {
        // The sender is borrowed here: it cannot be gone.
        let _ = self.broken.subscribe().wait_for(|broken| *broken).await;
    }

    /// Something was lost on it, so that no keep-alive is answered any more: returns when the connection has broken, for that at
    /// the latest.
    pub(super) async fn breaks(&self) {
        tokio::select! {
            biased;
            () = self.broken() => {}
            () = tokio::time::sleep(KEEP_ALIVE) => drop(self.broken.send_replace(true)),
        }
    }
}

/// How long a connection on which nothing is answered stands: as the real transport has it, 10 s until one asks, and 5 s without
/// an answer (`holdfast-world`'s network).
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// All calls under way.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<Weak<Line>>);

impl Lines {
    pub(super) fn open(&mut self, way: Way, path: &str) -> Arc<Line> {
        let line = Arc::new(Line { way, path: path.to_owned(), broken: watch::Sender::new(false) });
        if self.0.len() == self.0.capacity() {
            self.0.retain(|line| line.strong_count() > 0);
        }
        self.0.push(Arc::downgrade(&line));
        line
    }

    /// Breaks the calls between two hosts, whoever has made them.
    pub(super) fn break_between(&mut self, one: HostId, other: HostId) {
        self.break_those(|line| {
            (line.way.from, line.way.to) == (one, other) || (line.way.from, line.way.to) == (other, one)
        });
    }

    /// Breaks the calls of whose path this is a part; gives their number.
    pub(super) fn break_calls(&mut self, part: &str) -> usize {
        self.break_those(|line| line.path.contains(part))
    }

    fn break_those(&mut self, which: impl Fn(&Line) -> bool) -> usize {
        let mut broken = 0;
        self.0.retain(|line| {
            let Some(line) = line.upgrade() else { return false };
            let breaks = which(&line);
            if breaks {
                line.broken.send_replace(true);
                broken += 1;
            }
            !breaks
        });
        broken
    }
}
