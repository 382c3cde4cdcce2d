//! `holdfast audit prove`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use holdfast_proto::v1;

use super::files::{self, HeadFile, ProofFile};
use crate::connect::Reading;
use crate::event_rows::{EventRow, hex};
use crate::failure::Failure;
use crate::ids::KeyText;
use crate::output::{self, Answer, Format};

/// Prove (with -o json into a file) that an event is in the history of which a head was kept.
#[derive(Debug, Args)]
pub struct Prove {
    /// The event as SHARD:SEQ, which audit query shows; or the id of a command, for the first event that it caused.
    #[arg(value_name = "ID")]
    event: EventText,
    /// The file of heads that the proof shall fit; without it, it fits the present head, which it names.
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
}

/// Which event.
#[derive(Clone, Copy, Debug)]
enum EventText {
    Place(u32, u64),
    OfCommand(KeyText),
}

impl FromStr for EventText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let place = text.split_once(':').and_then(|(shard, seq)| Some((shard.parse().ok()?, seq.parse().ok()?)));
        match place {
            Some((shard, seq)) => Ok(Self::Place(shard, seq)),
            None => text.parse().map(Self::OfCommand),
        }
    }
}

impl Prove {
    /// Proves it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let (shard, seq) = match self.event {
            EventText::Place(shard, seq) => (shard, seq),
            EventText::OfCommand(key) => self.first_event_of(key).await?,
        };
        let size = match &self.head {
            Some(path) => files::read::<HeadFile>(path, "head")?.of_shard(shard)?.size,
            None => 0,
        };
        let v1::ProveEventResponse { event, encoded, path, head } = self.reading.prove_event(shard, seq, size).await?;
        let head = head.unwrap_or_default();
        let path = path.iter().map(|hash| hex(hash)).collect();
        let proof = ProofFile { shard, size: head.size, seq, event: hex(&encoded), path, head: head.into() };
        let row = EventRow::from(event.unwrap_or_default()).table();
        if matches!(format, Format::Table) {
            output::say("with -o json this is the proof, for `holdfast audit check`");
        }
        Answer::rows(&proof, EventRow::HEADER, [row]).print(format);
        Ok(())
    }

    async fn first_event_of(&self, key: KeyText) -> Result<(u32, u64), Failure> {
        let filter = v1::EventFilter { command_id: Some(key.id()), ..v1::EventFilter::default() };
        let (events, _) = self.reading.events(&filter, None, 1_000).await?;
        let first = events.iter().min_by_key(|event| (event.time_ms, event.shard, event.seq));
        let none = || {
            Failure::usage("no event that is kept names this command")
                .hint("holdfast audit query shows events with their shard and seq")
        };
        first.map(|event| (event.shard, event.seq)).ok_or_else(none)
    }
}
