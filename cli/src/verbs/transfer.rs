//! `holdfast transfer`.

use clap::{Args, Subcommand};
use holdfast_client::Documents;
use holdfast_client::ids::TransferId;
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::Serialize;

use super::documents::{ArrivedUnits, Filter, LotUnits};
use super::lines::LineUnits;
use crate::ask::Asking;
use crate::connect::Reading;
use crate::dates;
use crate::failure::Failure;
use crate::ids::TransferText;
use crate::output::{Answer, Format};

/// Units on their way from one location to another.
#[derive(Debug, Subcommand)]
pub enum Transfer {
    /// Send free units to another location; until they arrive they are not sold.
    Create(Create),
    /// Take in units that have arrived: all that are in transit, or those of some lines.
    Receive(Receive),
    /// Write off units that are lost on the way: all that are in transit, or those of some lines.
    Lose(Lose),
    /// Take what is in transit back in where it came from.
    Cancel(Cancel),
    /// Show a transfer.
    Get(Get),
    /// Show the transfers, oldest first within each shard.
    List(List),
}

/// Send free units to another location; until they arrive they are not sold.
#[derive(Debug, Args)]
pub struct Create {
    sku: String,
    /// Where they are; the cluster's default location if not given.
    #[arg(long, default_value = "", hide_default_value = true)]
    from: String,
    /// Where they go.
    #[arg(long)]
    to: String,
    /// How many, of an item tracked by lot of which lot; repeatable.
    #[arg(long = "line", required = true, value_name = "UNITS[:LOT]")]
    lines: Vec<LotUnits>,
    #[command(flatten)]
    asking: Asking,
}

/// Take in units that have arrived: all that are in transit, or those of some lines.
#[derive(Debug, Args)]
pub struct Receive {
    /// The transfer, by the id that `transfer create` printed.
    #[arg(value_name = "ID")]
    transfer: TransferText,
    /// Only these units of these lines, the first line being 0, resellable if nothing else is said; repeatable.
    #[arg(long = "line", value_name = "LINE=UNITS[:CONDITION]")]
    lines: Vec<ArrivedUnits>,
    #[command(flatten)]
    asking: Asking,
}

/// Write off units that are lost on the way: all that are in transit, or those of some lines.
#[derive(Debug, Args)]
pub struct Lose {
    /// The transfer, by the id that `transfer create` printed.
    #[arg(value_name = "ID")]
    transfer: TransferText,
    /// Only these units of these lines, the first line being 0; repeatable.
    #[arg(long = "line", value_name = "LINE=UNITS")]
    lines: Vec<LineUnits>,
    #[command(flatten)]
    asking: Asking,
}

/// Take what is in transit back in where it came from.
#[derive(Debug, Args)]
pub struct Cancel {
    /// The transfer, by the id that `transfer create` printed.
    #[arg(value_name = "ID")]
    transfer: TransferText,
    #[command(flatten)]
    asking: Asking,
}

/// Show a transfer.
#[derive(Debug, Args)]
pub struct Get {
    /// Its id.
    #[arg(value_name = "ID")]
    transfer: TransferText,
    #[command(flatten)]
    reading: Reading,
}

/// Show the transfers, oldest first within each shard.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Serialize)]
struct LineRow {
    lot: String,
    sent: u64,
    in_transit: u64,
    received: u64,
    lost: u64,
    returned: u64,
}

#[derive(Serialize)]
struct TransferRow {
    transfer: String,
    sku: String,
    from: String,
    to: String,
    state: &'static str,
    lines: Vec<LineRow>,
    created_at: String,
    ended_at: String,
    revision: u64,
}

impl Transfer {
    /// Shows or changes it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Create(Create { sku, from, to, lines, asking }) => {
                let create = v1::CreateTransfer {
                    transfer_id: None,
                    sku,
                    from_location_id: from,
                    to_location_id: to,
                    lines: lines.into_iter().map(|line| line.0).collect(),
                };
                asking.ask(Operation::CreateTransfer(create), format).await
            }
            Self::Receive(Receive { transfer, lines, asking }) => {
                let lines = lines.into_iter().map(|line| line.0).collect();
                let receive = v1::ReceiveTransfer { transfer_id: Some(transfer.id()), lines };
                asking.ask(Operation::ReceiveTransfer(receive), format).await
            }
            Self::Lose(Lose { transfer, lines, asking }) => {
                let lines = lines.into_iter().map(|line| line.0).collect();
                let lose = v1::LoseTransfer { transfer_id: Some(transfer.id()), lines };
                asking.ask(Operation::LoseTransfer(lose), format).await
            }
            Self::Cancel(Cancel { transfer, asking }) => {
                let cancel = v1::CancelTransfer { transfer_id: Some(transfer.id()) };
                asking.ask(Operation::CancelTransfer(cancel), format).await
            }
            Self::Get(Get { transfer, reading }) => {
                let row = TransferRow::from(reading.transfer(transfer.transfer()).await?);
                Answer::rows(&row, HEADER, row.table()).print(format);
                Ok(())
            }
            Self::List(List { filter, reading }) => {
                let (which, shard, limit): (Documents, _, _) = filter.parts();
                let found = reading.transfers(which, shard, limit).await?;
                let rows: Vec<TransferRow> = found.into_iter().map(TransferRow::from).collect();
                let shown: Vec<_> = rows.iter().flat_map(TransferRow::table).collect();
                Answer::rows(&rows, HEADER, shown).print(format);
                Ok(())
            }
        }
    }
}

const HEADER: [&str; 11] =
    ["transfer", "state", "sku", "from", "to", "lot", "sent", "in transit", "received", "lost", "returned"];

impl TransferRow {
    /// A row for each line.
    fn table(&self) -> Vec<[String; 11]> {
        let rows = self.lines.iter().map(|line| {
            let n = |units: u64| units.to_string();
            [
                self.transfer.clone(),
                self.state.to_owned(),
                self.sku.clone(),
                self.from.clone(),
                self.to.clone(),
                line.lot.clone(),
                n(line.sent),
                n(line.in_transit),
                n(line.received),
                n(line.lost),
                n(line.returned),
            ]
        });
        rows.collect()
    }
}

impl From<v1::Transfer> for TransferRow {
    fn from(transfer: v1::Transfer) -> Self {
        let state = match transfer.state() {
            v1::TransferState::Unspecified => "",
            v1::TransferState::InTransit => "in_transit",
            v1::TransferState::PartiallyReceived => "partially_received",
            v1::TransferState::Received => "received",
            v1::TransferState::Cancelled => "cancelled",
            v1::TransferState::Lost => "lost",
        };
        let line = |line: v1::TransferLine| LineRow {
            lot: line.lot_id,
            sent: line.sent,
            in_transit: line.in_transit,
            received: line.received,
            lost: line.lost,
            returned: line.returned,
        };
        Self {
            transfer: transfer.transfer_id.map(|id| TransferId::from(id).to_string()).unwrap_or_default(),
            sku: transfer.sku,
            from: transfer.from_location_id,
            to: transfer.to_location_id,
            state,
            lines: transfer.lines.into_iter().map(line).collect(),
            created_at: dates::instant_text(transfer.created_at_ms),
            ended_at: dates::instant_text(transfer.ended_at_ms),
            revision: transfer.revision,
        }
    }
}
