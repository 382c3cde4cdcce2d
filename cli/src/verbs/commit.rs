//! `holdfast commit`.

use clap::Args;
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;

use super::lines::LineUnits;
use super::named::Named;
use crate::ask::Asking;
use crate::failure::Failure;
use crate::output::Format;

/// Turn a hold into a sale: it is paid for.
#[derive(Debug, Args)]
pub struct Commit {
    #[command(flatten)]
    named: Named,
    /// Only these units of these lines: LINE=UNITS, the first line being 0; repeatable. All if not given.
    #[arg(long = "line", value_name = "LINE=UNITS")]
    lines: Vec<LineUnits>,
    /// With --line: release what is not committed.
    #[arg(long = "final", requires = "lines")]
    is_final: bool,
    /// If the hold has expired, try to take the units anew.
    #[arg(long)]
    retake: bool,
    /// Cancel by itself what is not shipped by then: milliseconds since the Unix epoch, at most 31 days ahead.
    #[arg(long, value_name = "MS", default_value_t = 0, hide_default_value = true)]
    cancel_at_ms: u64,
    #[command(flatten)]
    asking: Asking,
}

impl Commit {
    /// Asks for it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let reservation_id = Some(self.named.id(&self.asking).await?);
        let if_expired = if self.retake { v1::IfExpired::Retake } else { v1::IfExpired::Unspecified };
        let commit = v1::Commit {
            reservation_id,
            lines: self.lines.iter().map(|part| part.0).collect(),
            r#final: self.is_final,
            if_expired: if_expired.into(),
            cancel_at_ms: self.cancel_at_ms,
        };
        self.asking.ask(Operation::Commit(commit), format).await
    }
}
