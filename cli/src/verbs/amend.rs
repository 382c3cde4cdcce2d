//! `holdfast amend`.

use clap::Args;
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;

use super::lines::{SkuLot, SkuUnits, check_lots};
use crate::ask::Asking;
use crate::failure::Failure;
use crate::ids::ReservationText;
use crate::output::Format;

/// Change what a reservation holds: all the new quantities or none; if refused, the old hold stands.
#[derive(Debug, Args)]
pub struct Amend {
    /// The reservation, by the id that `reserve` printed.
    #[arg(long, value_name = "ID")]
    reservation: ReservationText,
    /// The new quantities: SKU=UNITS.
    #[arg(required = true, value_name = "SKU=UNITS")]
    lines: Vec<SkuUnits>,
    /// Where from; the cluster's default location if not given.
    #[arg(long, default_value = "", hide_default_value = true)]
    location: String,
    /// Which lot a SKU's line is bound to by name: SKU=LOT; repeatable.
    #[arg(long = "lot", value_name = "SKU=LOT")]
    lots: Vec<SkuLot>,
    /// More must be there, whatever the items allow to be promised without stock.
    #[arg(long)]
    no_backorder: bool,
    #[command(flatten)]
    asking: Asking,
}

impl Amend {
    /// Asks for it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        for (at, line) in self.lines.iter().enumerate() {
            if self.lines[..at].iter().any(|other| other.sku == line.sku) {
                return Err(Failure::usage(format!("{} is named twice", line.sku)).hint("say its new quantity once"));
            }
        }
        check_lots(&self.lots, &self.lines)?;
        let reservation_id = Some(self.reservation.id());
        let line = |line: &SkuUnits| line.line(&self.location, &self.lots, self.no_backorder);
        let lines = self.lines.iter().map(line).collect();
        self.asking.ask(Operation::Amend(v1::Amend { reservation_id, lines }), format).await
    }
}
