//! `holdfast audit query`.

use clap::Args;
use holdfast_proto::v1;

use crate::connect::Reading;
use crate::dates;
use crate::event_rows::EventRow;
use crate::failure::Failure;
use crate::ids::{KeyText, ReservationText};
use crate::output::{self, Answer, Format};

/// Show what happened to the stock, when, by whom and why.
#[derive(Debug, Args)]
pub struct Query {
    /// Only what happened to this SKU.
    #[arg(long)]
    sku: Option<String>,
    /// Only what happened to this reservation.
    #[arg(long, value_name = "ID")]
    reservation: Option<ReservationText>,
    /// Only what the command of this id did: a UUID, or the caller's own key.
    #[arg(long, value_name = "ID")]
    command: Option<KeyText>,
    /// Only what was done by this actor, as the command claimed.
    #[arg(long)]
    actor: Option<String>,
    /// Only what was done for this document, as the command claimed.
    #[arg(long, value_name = "URI")]
    reference: Option<String>,
    /// Only events of this kind (stock.received) or family (stock.); may be repeated.
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// Only from this time on: 2027-05-31T09:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = dates::instant)]
    since: Option<u64>,
    /// Only before this time.
    #[arg(long, value_name = "TIME", value_parser = dates::instant)]
    until: Option<u64>,
    /// Only of this shard.
    #[arg(long)]
    shard: Option<u32>,
    /// At most so many, the first ones of each shard.
    #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
    limit: usize,
    #[command(flatten)]
    reading: Reading,
}

impl Query {
    /// Shows it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let filter = v1::EventFilter {
            sku: self.sku.unwrap_or_default(),
            reservation_id: self.reservation.map(|reservation| reservation.id()),
            command_id: self.command.map(|command| command.id()),
            actor: self.actor.unwrap_or_default(),
            reference: self.reference.unwrap_or_default(),
            kinds: self.kinds,
            from_ms: self.since.unwrap_or(0),
            until_ms: self.until.unwrap_or(0),
        };
        let (mut events, kept) = self.reading.events(&filter, self.shard, self.limit).await?;
        events.sort_by_key(|event| (event.time_ms, event.shard, event.seq));
        if events.len() == self.limit {
            output::say(&format!("there may be more: this stops at --limit {}", self.limit));
        }
        for (shard, first) in kept.into_iter().filter(|(_, first)| *first > 1) {
            output::say(&format!(
                "shard {shard}: events before {first} are not kept where this was read; holdfast audit verify says what each node keeps"
            ));
        }
        let rows: Vec<EventRow> = events.into_iter().map(EventRow::from).collect();
        let shown: Vec<_> = rows.iter().map(EventRow::table).collect();
        Answer::rows(&rows, EventRow::HEADER, shown).print(format);
        Ok(())
    }
}
