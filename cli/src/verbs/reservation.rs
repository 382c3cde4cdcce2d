//! `holdfast reservation`.

use clap::{Args, Subcommand, ValueEnum};
use holdfast_client::Reservations;
use holdfast_client::ids::ReservationId;
use holdfast_proto::v1;
use serde::Serialize;

use crate::connect::Reading;
use crate::failure::Failure;
use crate::ids::{ReservationText, state_name};
use crate::output::{Answer, Format};

/// Holds and sales.
#[derive(Debug, Subcommand)]
pub enum Reservation {
    /// Show a reservation.
    Get(Get),
    /// Show the reservations, oldest first within each shard.
    List(List),
}

/// Show a reservation.
#[derive(Debug, Args)]
pub struct Get {
    /// Its id.
    #[arg(value_name = "ID")]
    reservation: ReservationText,
    #[command(flatten)]
    reading: Reading,
}

/// Show the reservations, oldest first within each shard.
#[derive(Debug, Args)]
pub struct List {
    /// Only those in this state.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only those with this reference of the shop.
    #[arg(long, default_value = "", hide_default_value = true)]
    order_ref: String,
    /// Only those of this shard.
    #[arg(long)]
    shard: Option<u32>,
    /// At most so many.
    #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
    limit: usize,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Held,
    Committed,
    PartiallyFulfilled,
    Fulfilled,
    Cancelled,
    Released,
    Expired,
}

impl State {
    const fn wire(self) -> v1::ReservationState {
        match self {
            Self::Held => v1::ReservationState::Held,
            Self::Committed => v1::ReservationState::Committed,
            Self::PartiallyFulfilled => v1::ReservationState::PartiallyFulfilled,
            Self::Fulfilled => v1::ReservationState::Fulfilled,
            Self::Cancelled => v1::ReservationState::Cancelled,
            Self::Released => v1::ReservationState::Released,
            Self::Expired => v1::ReservationState::Expired,
        }
    }
}

#[derive(Serialize)]
struct LineRow {
    sku: String,
    location: String,
    lot: String,
    /// Which of `asked` it comes from, where that is not empty.
    of: u32,
    optional: bool,
    held: u64,
    backordered: u64,
    short: u64,
    short_sold: u64,
    committed: u64,
    fulfilled: u64,
    cancelled: u64,
    released: u64,
    expired: u64,
    returned: u64,
    /// The lots of what is sold.
    lots: Vec<LotRow>,
    backordered_sold: u64,
}

/// A line as it was asked for.
#[derive(Serialize)]
struct AskedRow {
    sku: String,
    units: u32,
    optional: bool,
    kit: bool,
    /// 0: no kit.
    kit_revision: u64,
}

#[derive(Serialize)]
struct LotRow {
    lot: String,
    committed: u64,
    fulfilled: u64,
    returned: u64,
}

#[derive(Serialize)]
struct ReservationRow {
    reservation: String,
    state: &'static str,
    lines: Vec<LineRow>,
    created_at_ms: u64,
    expires_at_ms: u64,
    max_expires_at_ms: u64,
    cancel_at_ms: u64,
    ended_at_ms: u64,
    order_ref: String,
    channel: String,
    /// What was asked for, where the lines were worked out from that.
    asked: Vec<AskedRow>,
    revision: u64,
}

impl Reservation {
    /// Shows it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Get(Get { reservation, reading }) => {
                let row = ReservationRow::from(reading.reservation(reservation.reservation()).await?);
                let lines = row.table();
                Answer::rows(&row, HEADER, lines).print(format);
                Ok(())
            }
            Self::List(List { state, order_ref, shard, limit, reading }) => {
                let which = Reservations {
                    state: state.map(State::wire),
                    order_ref: Some(order_ref).filter(|order_ref| !order_ref.is_empty()),
                };
                let found = reading.reservations(which, shard, limit).await?;
                let rows: Vec<ReservationRow> = found.into_iter().map(ReservationRow::from).collect();
                let shown: Vec<_> = rows.iter().flat_map(ReservationRow::table).collect();
                Answer::rows(&rows, HEADER, shown).print(format);
                Ok(())
            }
        }
    }
}

const HEADER: [&str; 14] = [
    "reservation",
    "state",
    "sku",
    "location",
    "held",
    "backordered",
    "short",
    "committed",
    "fulfilled",
    "cancelled",
    "released",
    "expired",
    "returned",
    "of kit",
];

impl AskedRow {
    /// The kit and the recipe it was sold by, where it is one.
    fn kit(&self) -> String {
        if !self.kit { String::new() } else { format!("{} r{}", self.sku, self.kit_revision) }
    }
}

impl ReservationRow {
    /// A row for each line.
    fn table(&self) -> Vec<[String; 14]> {
        let rows = self.lines.iter().map(|line| {
            let n = |units: u64| units.to_string();
            [
                self.reservation.clone(),
                self.state.to_owned(),
                line.sku.clone(),
                line.location.clone(),
                n(line.held),
                n(line.backordered + line.backordered_sold),
                n(line.short + line.short_sold),
                n(line.committed),
                n(line.fulfilled),
                n(line.cancelled),
                n(line.released),
                n(line.expired),
                n(line.returned),
                self.asked.get(line.of as usize).map(AskedRow::kit).unwrap_or_default(),
            ]
        });
        rows.collect()
    }
}

impl From<&v1::LotUnits> for LotRow {
    fn from(units: &v1::LotUnits) -> Self {
        let &v1::LotUnits { ref lot_id, committed, fulfilled, returned } = units;
        Self { lot: lot_id.clone(), committed, fulfilled, returned }
    }
}

impl From<v1::Reservation> for ReservationRow {
    fn from(reservation: v1::Reservation) -> Self {
        let lines = reservation.lines.iter().map(|line| LineRow {
            sku: line.sku.clone(),
            location: line.location_id.clone(),
            lot: line.lot_id.clone(),
            of: line.of,
            optional: line.optional,
            held: line.held,
            backordered: line.backordered,
            short: line.short,
            short_sold: line.short_sold,
            lots: line.lots.iter().map(LotRow::from).collect(),
            committed: line.committed,
            fulfilled: line.fulfilled,
            cancelled: line.cancelled,
            released: line.released,
            expired: line.expired,
            returned: line.returned,
            backordered_sold: line.backordered_sold,
        });
        let asked = |it: v1::AskedLine| {
            let v1::AskedLine { sku, units, optional, kit, kit_revision } = it;
            AskedRow { sku, units, optional, kit, kit_revision }
        };
        Self {
            lines: lines.collect(),
            reservation: reservation.reservation_id.map(|id| ReservationId::from(id).to_string()).unwrap_or_default(),
            state: state_name(reservation.state()),
            asked: reservation.asked.into_iter().map(asked).collect(),
            created_at_ms: reservation.created_at_ms,
            expires_at_ms: reservation.expires_at_ms,
            max_expires_at_ms: reservation.max_expires_at_ms,
            cancel_at_ms: reservation.cancel_at_ms,
            ended_at_ms: reservation.ended_at_ms,
            order_ref: reservation.order_ref,
            channel: reservation.channel_id,
            revision: reservation.revision,
        }
    }
}
