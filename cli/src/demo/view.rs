//! The sale as it happens, on stderr: one line that changes where it is a terminal, else a line now and then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::ProgressBar;

use super::Plan;
use super::sale::Counts;
use crate::output;

/// What is shown.
pub(super) struct View {
    line: ProgressBar,
    lasts_s: u64,
    hot_stock: u64,
    nodes: usize,
    last_commands: AtomicU64,
    last_said_s: AtomicU64,
}

impl View {
    /// How often it is brought up to date.
    pub(super) const EVERY: Duration = Duration::from_millis(500);
    /// How often a line is said where nobody watches a terminal.
    const SAY_EVERY_S: u64 = 2;

    /// Begins to show.
    pub(super) fn open(plan: Plan, hot_stock: u32, nodes: usize) -> Self {
        Self {
            line: output::spinner("the sale is open"),
            lasts_s: plan.lasts.as_secs(),
            hot_stock: hot_stock.into(),
            nodes,
            last_commands: AtomicU64::new(0),
            last_said_s: AtomicU64::new(0),
        }
    }

    /// Brings it up to date.
    pub(super) fn show(&self, counts: &Counts, elapsed: Duration, down: Option<u64>) {
        let commands = Counts::get(&counts.commands);
        let rate = (commands - self.last_commands.swap(commands, Ordering::Relaxed)) * 1_000
            / u64::try_from(Self::EVERY.as_millis()).expect("a short time");
        let nodes: String = (1..=self.nodes as u64).map(|node| if down == Some(node) { " ✗" } else { " ●" }).collect();
        let text = format!(
            "{:>2}/{} s  nodes{nodes}  {rate:>6}/s  held {}  sold {}  refused {}  lipstick {}/{} sold",
            elapsed.as_secs(),
            self.lasts_s,
            Counts::get(&counts.held),
            Counts::get(&counts.sold),
            Counts::get(&counts.refused),
            Counts::get(&counts.hot_sold),
            self.hot_stock,
        );
        if output::is_watched() {
            self.line.set_message(text);
        } else if elapsed.as_secs() >= self.last_said_s.load(Ordering::Relaxed) + Self::SAY_EVERY_S {
            self.last_said_s.store(elapsed.as_secs(), Ordering::Relaxed);
            output::say(&text);
        }
    }

    /// Tells of something that happened.
    #[allow(clippy::unused_self)] // it is told within the view
    pub(super) fn tell(&self, elapsed: Duration, what: &str) {
        output::say(&format!("{:>4.1} s  {what}", elapsed.as_secs_f64()));
    }

    /// Ends it.
    pub(super) fn close(&self, counts: &Counts, elapsed: Duration) {
        self.line.finish_and_clear();
        let unknown = Counts::get(&counts.unknown);
        self.tell(elapsed, &format!("the sale is over; {unknown} answers are unknown and will be asked for again"));
    }
}
