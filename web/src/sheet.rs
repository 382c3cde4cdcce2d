//! Lists as tables (`text/csv`), for people who open them in a spreadsheet.
//!
//! Promises that a cell is what it shows: a text that a spreadsheet would take for a formula has an apostrophe before it, and numbers of
//! ours are numbers. A page is as long as it would be as JSON; where the next one is stands in the headers.

use axum::http::{HeaderName, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::accept::{CSV, JSON, preferred};
use crate::asked::Asked;
use crate::paging::Page;
use crate::problem::Problem;
use crate::reply::{Answered, Reply};

/// Where to go on, as `next_cursor` is in JSON.
const NEXT_CURSOR: HeaderName = HeaderName::from_static("holdfast-next-cursor");
const MEDIA_TYPE: &str = "text/csv; charset=utf-8; header=present";

/// The form of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    /// A page.
    Json,
    /// A table.
    Csv,
}

/// What a list is as a table.
#[derive(Debug)]
pub(crate) struct Sheet {
    /// Of the file.
    pub(crate) name: &'static str,
    /// The list in an entry of which each has a row of its own, with the entry's other fields again.
    pub(crate) each: Option<&'static str>,
    /// Fields as JSON has them, those within others behind a point.
    pub(crate) columns: &'static [&'static str],
}

impl Asked {
    /// The form that the address asks for, else the one that the caller takes.
    pub(crate) fn form(&self) -> Result<Form, Problem> {
        let of_address = self.query_word::<Form>("format").map_err(|problem| Problem {
            detail: format!("{}: json or csv, or leave it out", problem.detail),
            ..problem
        })?;
        Ok(of_address.unwrap_or_else(|| match preferred(&self.headers, &[JSON, CSV]) {
            CSV => Form::Csv,
            _ => Form::Json,
        }))
    }
}

impl Form {
    /// A page in this form.
    pub(crate) fn page<T: Serialize>(self, asked: &Asked, sheet: &Sheet, page: &Page<T>) -> Answered {
        let reply = match self {
            Self::Json => Reply::ok(page),
            Self::Csv => {
                let next = page.next_cursor.as_deref();
                next_page(sheet.reply(&page.items), asked, next, next.is_some())
            }
        };
        Ok(reply.with(header::VARY, "Accept"))
    }
}

/// Says where the next page is, for scripts and for whoever follows links.
pub(crate) fn next_page(reply: Reply, asked: &Asked, cursor: Option<&str>, is_more: bool) -> Reply {
    let Some(cursor) = cursor else { return reply };
    let reply = reply.with(NEXT_CURSOR, cursor);
    if is_more { reply.with(header::LINK, format!("<{}>; rel=\"next\"", asked.at_cursor(cursor))) } else { reply }
}

impl Sheet {
    /// Entries as a table.
    pub(crate) fn reply<T: Serialize>(&self, entries: &[T]) -> Reply {
        let told = |entry| serde_json::to_value(entry).expect("answers have text keys and finite numbers only");
        let body = self.text(entries.iter().map(told));
        Reply::of_bytes(StatusCode::OK, body)
            .with(header::CONTENT_TYPE, MEDIA_TYPE)
            .with(header::CONTENT_DISPOSITION, format!("attachment; filename=\"holdfast-{}.csv\"", self.name))
    }

    fn text(&self, entries: impl Iterator<Item = Value>) -> Vec<u8> {
        let mut table = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        let mut write =
            |row: Vec<String>| table.write_record(row).expect("memory takes what is written, and rows are alike");
        write(self.columns.iter().map(|column| (*column).to_owned()).collect());
        for mut entry in entries {
            let each = self.each.map(|each| (each, entry.get_mut(each).map_or(Value::Null, Value::take)));
            match each {
                Some((each, Value::Array(all))) if !all.is_empty() => {
                    for one in all {
                        entry[each] = one;
                        write(self.row(&entry));
                    }
                }
                _ => write(self.row(&entry)),
            }
        }
        table.into_inner().expect("memory takes what is written")
    }

    fn row(&self, entry: &Value) -> Vec<String> {
        let field = |column: &&str| column.split('.').try_fold(entry, |within, name| within.get(name));
        self.columns.iter().map(|column| field(column).map_or_else(String::new, cell)).collect()
    }
}

/// A value as a cell has it.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => defused(text),
        // Numbers and texts of several fields, in the one place that has no column of its own.
        Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// A text that no spreadsheet takes for a formula: where it begins like one, or would behind a `;` or a tab, at which some spreadsheets
/// divide, there is an apostrophe. [`as_meant`] takes it off.
#[must_use]
pub fn defused(text: &str) -> String {
    parts(text).map(|part| if begins_like_a_formula(part) { format!("'{part}") } else { part.to_owned() }).collect()
}

/// What [`defused`] was given: a cell that was written by it and is read again.
#[must_use]
pub fn as_meant(cell: &str) -> String {
    parts(cell).map(|part| part.strip_prefix('\'').filter(|text| begins_like_a_formula(text)).unwrap_or(part)).collect()
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive([';', '\t'])
}

/// Apostrophes before it change nothing, so that a text which has one of its own is told apart from one that was given it.
fn begins_like_a_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    const SHEET: Sheet =
        Sheet { name: "carts", each: Some("lines"), columns: &["id", "lines.sku", "lines.units", "cause.actor"] };

    fn text(entries: Vec<Value>) -> String {
        String::from_utf8(SHEET.text(entries.into_iter())).expect("it is text")
    }

    /// Holds the columns against what an entry is as JSON, each of whose optional parts is there: nothing is left out but what is named.
    pub(crate) fn has_every_field(sheet: &Sheet, entry: &impl Serialize, left_out: &[&str]) {
        fn leaves(within: &str, value: &Value, each: Option<&str>, found: &mut BTreeSet<String>) {
            match value {
                Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                    let name = if within.is_empty() { name.clone() } else { format!("{within}.{name}") };
                    leaves(&name, value, each, found);
                }),
                Value::Array(all) if each == Some(within) => leaves(within, &all[0], None, found),
                _ => drop(found.insert(within.to_owned())),
            }
        }
        let mut found = BTreeSet::new();
        leaves("", &serde_json::to_value(entry).expect("it is JSON"), sheet.each, &mut found);
        let told = sheet.columns.iter().chain(left_out).map(|column| (*column).to_owned());
        assert_eq!(told.collect::<BTreeSet<_>>(), found);
        assert_eq!(sheet.columns.iter().collect::<BTreeSet<_>>().len(), sheet.columns.len(), "each once");
    }

    #[test]
    fn each_line_has_a_row_and_an_entry_without_lines_one_too() {
        let told = text(vec![
            json!({"id": 1, "lines": [{"sku": "A", "units": 2}, {"sku": "B", "units": -3}], "cause": {"actor": "x"}}),
            json!({"id": 2, "lines": []}),
        ]);
        assert_eq!(told, "id,lines.sku,lines.units,cause.actor\r\n1,A,2,x\r\n1,B,-3,x\r\n2,,,\r\n");
        assert_eq!(
            text(Vec::new()),
            "id,lines.sku,lines.units,cause.actor\r\n",
            "the names are there where nothing is"
        );
    }

    #[test]
    fn what_a_spreadsheet_would_calculate_is_defused_and_numbers_stay_numbers() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=1", "\n=1", "'=1"] {
            assert_eq!(defused(formula), format!("'{formula}"));
            assert_eq!(as_meant(&defused(formula)), formula);
        }
        for harmless in ["", "A-1", "1=2", "'A", "é", "a;b"] {
            assert_eq!((defused(harmless).as_str(), as_meant(harmless).as_str()), (harmless, harmless));
        }
        assert_eq!((defused("A;=1+1;-2"), as_meant("A;'=1+1;'-2")), ("A;'=1+1;'-2".to_owned(), "A;=1+1;-2".to_owned()));
        assert_eq!(cell(&json!(-7)), "-7");
        assert_eq!(cell(&json!("-7")), "'-7");
    }

    #[test]
    fn what_was_written_is_read_back_whatever_is_in_it() {
        let nasty = ["a,b", "say \"it\"", "two\r\nlines", "=HYPERLINK(\"http://x\",\"y\")", "; , \t", "'", "\u{feff}x"];
        let told = text(nasty.iter().map(|sku| json!({"id": 1, "lines": [{"sku": sku}]})).collect());
        let mut read = csv::Reader::from_reader(told.as_bytes());
        let read: Vec<String> =
            read.records().map(|row| row.expect("a row").get(1).expect("a cell").to_owned()).collect();
        assert_eq!(read, nasty.map(defused));
    }
}
