//! `holdfast lot` and `holdfast recall`.

use clap::{Args, Subcommand};
use holdfast_client::Lots;
use holdfast_client::ids::ReservationId;
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::Serialize;

use crate::ask::Asking;
use crate::connect::Reading;
use crate::dates;
use crate::failure::Failure;
use crate::ids::state_name;
use crate::output::{Answer, Format};

/// Units that were made together, and how long they may be sold.
#[derive(Debug, Subcommand)]
pub enum Lot {
    /// Show a lot.
    Get(Get),
    /// Show the lots of a SKU.
    List(List),
    /// Make a lot known before its units arrive, or correct its dates.
    Put(Put),
    /// Take a lot out of sale at once, everywhere.
    Block(Block),
    /// Put a blocked lot back into sale.
    Unblock(Unblock),
    /// Show the reservations that have or had units of a lot.
    Trace(Trace),
    /// Show what of the stock leaves sale until a day.
    AtRisk(AtRisk),
}

/// A lot by its SKU and id.
#[derive(Debug, Args)]
struct Which {
    sku: String,
    /// Its id.
    lot: String,
}

/// Show a lot.
#[derive(Debug, Args)]
pub struct Get {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    reading: Reading,
}

/// Show the lots of a SKU.
#[derive(Debug, Args)]
pub struct List {
    sku: String,
    #[command(flatten)]
    reading: Reading,
}

/// What is said of a lot. Days are 2027-05-31, or 2027-05 for the last of the month, in the location's time zone.
#[derive(Clone, Debug, Default, Args)]
pub struct Dates {
    /// When it was made.
    #[arg(long, value_name = "DAY", default_value = "", hide_default_value = true)]
    manufactured_on: String,
    /// Until when it is at its best.
    #[arg(long, value_name = "DAY", default_value = "", hide_default_value = true)]
    best_before: String,
    /// When it may not be used any more; best-before, or what follows from the item's shelf life, if not given.
    #[arg(long, value_name = "DAY", default_value = "", hide_default_value = true)]
    expires_on: String,
    /// The supplier's own word for it.
    #[arg(long, default_value = "", hide_default_value = true)]
    supplier_lot: String,
}

impl Dates {
    /// As the wire says it.
    pub fn wire(self) -> v1::LotSpec {
        let Self { manufactured_on, best_before, expires_on, supplier_lot } = self;
        v1::LotSpec { supplier_lot, manufactured_on, best_before, expires_on }
    }

    /// The same, where something is said.
    pub fn wire_if_said(self) -> Option<v1::LotSpec> {
        Some(self.wire()).filter(|spec| *spec != v1::LotSpec::default())
    }
}

/// Make a lot known before its units arrive, or correct its dates.
#[derive(Debug, Args)]
pub struct Put {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    dates: Dates,
    /// In whose time zone the days are; the cluster's default location if not given.
    #[arg(long, default_value = "", hide_default_value = true)]
    location: String,
    /// Only at the revision that `lot get` showed.
    #[arg(long, value_name = "REVISION", default_value_t = 0, hide_default_value = true)]
    if_revision: u64,
    #[command(flatten)]
    asking: Asking,
}

/// Take a lot out of sale at once, everywhere.
#[derive(Debug, Args)]
pub struct Block {
    #[command(flatten)]
    which: Which,
    /// Quarantined rather than on hold.
    #[arg(long)]
    quarantine: bool,
    #[command(flatten)]
    asking: Asking,
}

/// Put a blocked lot back into sale.
#[derive(Debug, Args)]
pub struct Unblock {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    asking: Asking,
}

/// Show the reservations that have or had units of a lot.
#[derive(Debug, Args)]
pub struct Trace {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    reading: Reading,
}

/// Show what of the stock leaves sale until a day.
#[derive(Debug, Args)]
pub struct AtRisk {
    /// The day, such as 2027-05-31, in UTC.
    #[arg(long, value_name = "DAY", value_parser = dates::end_of_day)]
    until: u64,
    /// At most so many lots.
    #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
    limit: usize,
    #[command(flatten)]
    reading: Reading,
}

/// Withdraw a lot for good, and name every reservation that has or had units of it.
#[derive(Debug, Args)]
pub struct Recall {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Serialize)]
struct LevelRow {
    location: String,
    on_hand: u64,
    reserved: u64,
    committed: u64,
    damaged: u64,
    quality_control: u64,
}

#[derive(Serialize)]
struct LotRow {
    sku: String,
    lot: String,
    status: &'static str,
    supplier_lot: String,
    manufactured_at: String,
    best_before: String,
    expires_at: String,
    removal_at: String,
    alert_at: String,
    received_at: String,
    revision: u64,
    on_hand: u64,
    levels: Vec<LevelRow>,
}

/// Units of a lot in one line of a reservation.
#[derive(Serialize)]
struct TraceRow {
    reservation: String,
    order_ref: String,
    state: &'static str,
    /// Held of the lot by name.
    held: u64,
    committed: u64,
    fulfilled: u64,
    returned: u64,
}

impl Lot {
    /// Shows or changes it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Get(Get { which, reading }) => {
                Answer::record(&LotRow::from(reading.lot(&which.sku, &which.lot).await?)).print(format);
                Ok(())
            }
            Self::List(List { sku, reading }) => {
                print(reading.lots(&sku).await?, format);
                Ok(())
            }
            Self::Put(Put { which: Which { sku, lot }, dates, location, if_revision, asking }) => {
                let put = v1::PutLot { sku, lot_id: lot, lot: Some(dates.wire()), location_id: location, if_revision };
                asking.ask(Operation::PutLot(put), format).await
            }
            Self::Block(Block { which: Which { sku, lot }, quarantine, asking }) => {
                let status = if quarantine { v1::LotStatus::Quarantined } else { v1::LotStatus::OnHold };
                let block = v1::BlockLot { sku, lot_id: lot, status: status.into() };
                asking.ask(Operation::BlockLot(block), format).await
            }
            Self::Unblock(Unblock { which: Which { sku, lot }, asking }) => {
                asking.ask(Operation::UnblockLot(v1::UnblockLot { sku, lot_id: lot }), format).await
            }
            Self::Trace(Trace { which, reading }) => {
                print_trace(&which, &reading.trace_lot(&which.sku, &which.lot).await?, format);
                Ok(())
            }
            Self::AtRisk(AtRisk { until, limit, reading }) => {
                print(reading.all_lots(Lots { removal_until_ms: Some(until) }, limit).await?, format);
                Ok(())
            }
        }
    }
}

impl Recall {
    /// Withdraws it, then reads who has units of it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let Self { which, asking } = self;
        let recall = v1::Recall { sku: which.sku.clone(), lot_id: which.lot.clone() };
        let client = asking.done(Operation::Recall(recall)).await?.0;
        let found = crate::connect::trace_lot(&client.reader(Default::default()), &which.sku, &which.lot).await?;
        print_trace(&which, &found, format);
        Ok(())
    }
}

fn print(lots: Vec<v1::Lot>, format: Format) {
    let rows: Vec<LotRow> = lots.into_iter().map(LotRow::from).collect();
    let shown: Vec<_> = rows
        .iter()
        .map(|row| {
            [
                row.sku.clone(),
                row.lot.clone(),
                row.status.to_owned(),
                row.removal_at.clone(),
                row.on_hand.to_string(),
                row.revision.to_string(),
            ]
        })
        .collect();
    Answer::rows(&rows, ["sku", "lot", "status", "leaves sale", "on hand", "revision"], shown).print(format);
}

fn print_trace(which: &Which, reservations: &[v1::Reservation], format: Format) {
    let rows: Vec<TraceRow> = reservations.iter().map(|reservation| TraceRow::of(which, reservation)).collect();
    let shown: Vec<_> = rows
        .iter()
        .map(|row| {
            let n = |units: u64| units.to_string();
            [
                row.reservation.clone(),
                row.order_ref.clone(),
                row.state.to_owned(),
                n(row.held),
                n(row.committed),
                n(row.fulfilled),
                n(row.returned),
            ]
        })
        .collect();
    let header = ["reservation", "order", "state", "held", "committed", "fulfilled", "returned"];
    Answer::rows(&rows, header, shown).print(format);
}

impl TraceRow {
    fn of(which: &Which, reservation: &v1::Reservation) -> Self {
        let lines = reservation.lines.iter().filter(|line| line.sku == which.sku);
        let bound = lines.clone().flat_map(|line| &line.lots).filter(|lot| lot.lot_id == which.lot);
        let sum = |of: fn(&v1::LotUnits) -> u64| bound.clone().map(of).sum();
        Self {
            reservation: reservation.reservation_id.map(|id| ReservationId::from(id).to_string()).unwrap_or_default(),
            order_ref: reservation.order_ref.clone(),
            state: state_name(reservation.state()),
            held: lines.filter(|line| line.lot_id == which.lot).map(|line| line.held).sum(),
            committed: sum(|lot| lot.committed),
            fulfilled: sum(|lot| lot.fulfilled),
            returned: sum(|lot| lot.returned),
        }
    }
}

impl From<v1::Lot> for LotRow {
    fn from(lot: v1::Lot) -> Self {
        let status = match lot.status() {
            v1::LotStatus::Unspecified | v1::LotStatus::Approved => "approved",
            v1::LotStatus::OnHold => "on-hold",
            v1::LotStatus::Quarantined => "quarantined",
            v1::LotStatus::Recalled => "recalled",
        };
        let level = |level: v1::LotLevel| LevelRow {
            location: level.location_id,
            on_hand: level.on_hand,
            reserved: level.reserved,
            committed: level.committed,
            damaged: level.damaged,
            quality_control: level.quality_control,
        };
        Self {
            status,
            manufactured_at: dates::instant_text(lot.manufactured_at_ms),
            best_before: dates::instant_text(lot.best_before_ms),
            expires_at: dates::instant_text(lot.expires_at_ms),
            removal_at: dates::instant_text(lot.removal_at_ms),
            alert_at: dates::instant_text(lot.alert_at_ms),
            received_at: dates::instant_text(lot.received_at_ms),
            revision: lot.revision,
            on_hand: lot.levels.iter().map(|level| level.on_hand).sum(),
            sku: lot.sku,
            lot: lot.lot_id,
            supplier_lot: lot.supplier_lot,
            levels: lot.levels.into_iter().map(level).collect(),
        }
    }
}
