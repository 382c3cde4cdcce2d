//! `holdfast audit`: a file for each question.

mod query;
mod verify;

use clap::Subcommand;

use crate::failure::Failure;
use crate::output::Format;

/// What was done to the stock, and whether that is beyond doubt.
#[derive(Debug, Subcommand)]
pub enum Audit {
    Query(Box<query::Query>),
    Verify(verify::Verify),
}

impl Audit {
    /// Looks.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Query(verb) => verb.run(format).await,
            Self::Verify(verb) => verb.run(format).await,
        }
    }
}
