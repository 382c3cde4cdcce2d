//! `holdfast errors`.

use clap::{Args, Subcommand};
use holdfast_proto::v1::ErrorReason;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{self, Answer, Format};
use crate::pages::{every_reason, page_of, sentence_of};

/// What the errors mean, and what to do about each; needs no cluster.
#[derive(Debug, Subcommand)]
pub enum Errors {
    /// Show every error, its exit code, and whether it may be asked again.
    List,
    /// Show what an error means, who causes it, what to do, and whether it may be asked again.
    Explain(Explain),
}

/// Show what an error means, who causes it, what to do, and whether it may be asked again.
#[derive(Debug, Args)]
pub struct Explain {
    /// The error: INSUFFICIENT_STOCK, in capitals or not.
    code: String,
}

#[derive(Serialize)]
struct ErrorRow {
    code: &'static str,
    http: u16,
    grpc: String,
    exit: u8,
    retry: &'static str,
    effect: &'static str,
    means: String,
}

#[derive(Serialize)]
struct Explained {
    #[serde(flatten)]
    row: ErrorRow,
    /// The whole page, in Markdown.
    page: &'static str,
}

impl Errors {
    /// Shows them, or one.
    pub fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::List => {
                let rows: Vec<ErrorRow> = every_reason().map(ErrorRow::of).collect();
                let table = rows.iter().map(|row| {
                    let (http, exit) = (row.http.to_string(), row.exit.to_string());
                    [row.code.to_owned(), http, exit, row.retry.to_owned(), row.effect.to_owned(), row.means.clone()]
                });
                Answer::rows(&rows, ["code", "http", "exit", "retry", "effect", "means"], table).print(format);
            }
            Self::Explain(Explain { code }) => {
                let reason = known(&code)?;
                match format {
                    Format::Table => output::print_page(page_of(reason)),
                    Format::Json => {
                        Answer::record(&Explained { row: ErrorRow::of(reason), page: page_of(reason) }).print(format);
                    }
                }
            }
        }
        Ok(())
    }
}

impl ErrorRow {
    fn of(reason: ErrorReason) -> Self {
        let faces = reason.faces();
        Self {
            code: reason.name(),
            http: faces.http,
            grpc: format!("{:?}", faces.code),
            exit: faces.exit,
            retry: faces.retry.name(),
            effect: faces.effect.name(),
            means: sentence_of(reason),
        }
    }
}

fn known(code: &str) -> Result<ErrorReason, Failure> {
    let name = code.trim().to_uppercase().replace(['-', ' '], "_");
    let found = ErrorReason::from_name(&name);
    if found != ErrorReason::Unspecified {
        return Ok(found);
    }
    let like = |reason: &ErrorReason| !name.is_empty() && name.split('_').any(|word| reason.name().contains(word));
    let hint = match every_reason().filter(like).map(ErrorReason::name).take(4).collect::<Vec<_>>().join(", ") {
        likely if likely.is_empty() => "`holdfast errors list` shows the errors there are".to_owned(),
        likely => format!("`holdfast errors list` shows the errors there are; perhaps it is one of {likely}"),
    };
    Err(Failure::usage(format!("there is no error {code}")).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_known_however_it_is_typed() {
        for code in ["INSUFFICIENT_STOCK", "insufficient_stock", "insufficient-stock", " Insufficient stock "] {
            assert_eq!(known(code).ok(), Some(ErrorReason::InsufficientStock), "{code}");
        }
    }

    #[test]
    fn one_that_is_not_there_names_those_that_are_like_it() {
        let said = known("STOCK_GONE").unwrap_err().to_string();
        assert!(said.contains("errors list") && said.contains("INSUFFICIENT_STOCK"), "{said}");
        assert!(known("UNSPECIFIED").is_err(), "it has no page");
    }
}
