//! What the simulated processes log: into the trace, and on demand to stderr.
//!
//! Messages of our own crates are part of the trace: they are written all over the code, so that a difference between two
//! runs of one seed shows soon after its cause.

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::sync::{Arc, OnceLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::Trace;
use crate::world::Life;

thread_local! {
    /// The process whose turn it is on this thread.
    static TURN: RefCell<Option<Arc<Life>>> = const { RefCell::new(None) };
}

/// Says whose turn it is on this thread.
pub(crate) fn set_turn(life: Option<Arc<Life>>) {
    TURN.set(life);
}

/// Takes the messages of the process whose turn it is.
#[derive(Debug)]
pub struct Messages {
    trace: Arc<Trace>,
    /// The least urgent level that is also printed to stderr.
    printed: Option<Level>,
    /// How something that has rotted was first found, by the field `rot` of the message that says so.
    rot_found: Arc<OnceLock<String>>,
}

/// The field of a message about something that has rotted: how it was found.
const ROT: &str = "rot";

impl Messages {
    /// Messages go into `trace`; those of level `printed` and above to stderr too.
    #[must_use]
    pub fn new(trace: Arc<Trace>, printed: Option<Level>) -> Self {
        Self { trace, printed, rot_found: Arc::default() }
    }

    /// How something that has rotted was first found, once it is.
    #[must_use]
    pub fn rot_found(&self) -> Arc<OnceLock<String>> {
        self.rot_found.clone()
    }
}

impl Subscriber for Messages {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().starts_with("holdfast");
        let level = if ours { self.printed.unwrap_or(Level::INFO).max(Level::INFO) } else { Level::WARN };
        metadata.is_event() && *metadata.level() <= level
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let Some(life) = TURN.with_borrow(Clone::clone) else { return };
        let metadata = event.metadata();
        let mut line = Line::default();
        event.record(&mut line);
        let (level, target, text) = (metadata.level(), metadata.target(), line.text.replace('\n', " "));
        if let Some(found) = line.rot {
            self.rot_found.get_or_init(|| found);
        }
        if target.starts_with("holdfast") && *level <= Level::INFO {
            self.trace.record(life.now(), life.host(), format_args!("{level} {target}{text}"));
        }
        if self.printed.is_some_and(|printed| *level <= printed) {
            eprintln!("{:>10} {} {level} {target}{text}", life.now().as_micros(), life.host());
        }
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

#[derive(Default)]
struct Line {
    text: String,
    rot: Option<String>,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == ROT {
            self.rot = Some(value.to_owned());
        }
        self.record_debug(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.text, " {value:?}"),
            name => write!(self.text, " {name}={value:?}"),
        };
        written.expect("a string takes what is written");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{HostId, Simulation};

    #[test]
    fn a_message_of_a_process_is_part_of_the_trace() {
        let hash = |word: &'static str| {
            let trace = Arc::new(Trace::new());
            let _guard = tracing::subscriber::set_default(Messages::new(trace.clone(), None));
            let mut simulation = Simulation::new(1, trace.clone());
            simulation.add_host(HostId(1), "n1");
            simulation.start(HostId(1), |_world| async move { tracing::info!(word, "says") });
            simulation.run_for(Duration::from_millis(2));
            assert_eq!(trace.count(), 2);
            trace.hash()
        };
        assert_eq!(hash("one"), hash("one"));
        assert_ne!(hash("one"), hash("two"));
    }
}
