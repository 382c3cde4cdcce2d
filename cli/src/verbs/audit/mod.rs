//! `holdfast audit`: a file for each question.

mod as_of;
mod check;
mod files;
mod head;
mod prove;
mod query;
mod verify;

use clap::Subcommand;

use crate::failure::Failure;
use crate::output::Format;

/// What was done to the stock, and whether that is beyond doubt.
#[derive(Debug, Subcommand)]
pub enum Audit {
    Asof(as_of::AsOf),
    Query(Box<query::Query>),
    Verify(verify::Verify),
    Head(head::Head),
    Prove(prove::Prove),
    Check(check::Check),
}

impl Audit {
    /// Looks.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Query(verb) => verb.run(format).await,
            Self::Asof(verb) => verb.run(format).await,
            Self::Verify(verb) => verb.run(format).await,
            Self::Head(verb) => verb.run(format).await,
            Self::Prove(verb) => verb.run(format).await,
            Self::Check(verb) => verb.run(format),
        }
    }
}
