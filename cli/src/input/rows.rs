//! A CSV file with a header, row by row. A row is a line, or several where a quoted field holds line ends.
//!
//! Promises that one bad row never spoils the next: where a quote stays open, only the line that opened it is lost. Bounded
//! memory whatever the file holds. Leaves to its callers what the columns mean.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use super::{DirtKind, DirtyRow, Usable};
use crate::failure::Failure;

/// Longer rows are dirty.
const MAX_ROW_BYTES: usize = 64 * 1024;
/// A quoted field may go on over so many lines.
const MAX_ROW_LINES: usize = 64;

/// One row: a field for each column of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its (first) line, from 1.
    pub line: u64,
    /// Its fields, in the header's order.
    pub fields: Vec<String>,
}

#[derive(Debug)]
struct Line {
    number: u64,
    /// `None`: longer than a row may be.
    bytes: Option<Vec<u8>>,
}

/// Reads rows from `R`.
pub struct RowReader<R> {
    input: R,
    next_number: u64,
    /// Lines read ahead in search of a closing quote that did not come.
    ahead: VecDeque<Line>,
    columns: Vec<String>,
}

impl<R: BufRead> RowReader<R> {
    /// Reads the header. A file without one is refused.
    pub fn new(input: R) -> Result<Self, Failure> {
        let mut reader = Self { input, next_number: 1, ahead: VecDeque::new(), columns: Vec::new() };
        let header = match reader.next_fields() {
            Ok(Some(Ok(row))) => row,
            Ok(Some(Err(dirty))) => {
                return Err(Failure::usage(format!("its header is not CSV: {}", dirty.kind.name())));
            }
            Ok(None) => return Err(Failure::usage("the file is empty: its first line must name the columns")),
            Err(error) => return Err(unreadable(&error)),
        };
        reader.columns = header.fields.into_iter().map(|name| name.trim().to_owned()).collect();
        Ok(reader)
    }

    /// The names in the header.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Where a column stands; refused if the header does not name it.
    pub fn column(&self, name: &str) -> Result<usize, Failure> {
        self.columns.iter().position(|column| column == name).ok_or_else(|| {
            Failure::usage(format!("the header names no column {name:?}"))
                .hint(format!("it names: {}", self.columns.join(", ")))
        })
    }

    /// The next row, or what is wrong with it; `None` at the end.
    pub fn next_row(&mut self) -> Result<Option<Usable<Row>>, Failure> {
        let Some(row) = self.next_fields().map_err(|error| unreadable(&error))? else { return Ok(None) };
        let wanted = self.columns.len();
        Ok(Some(row.and_then(|row| {
            let kind = match row.fields.len() {
                n if n < wanted => DirtKind::MissingColumns,
                n if n > wanted => DirtKind::ExtraColumns,
                _ => return Ok(row),
            };
            Err(DirtyRow::new(row.line, kind, row.fields.join(",")))
        })))
    }

    fn next_fields(&mut self) -> io::Result<Option<Usable<Row>>> {
        let Some(first) = self.next_line()? else { return Ok(None) };
        let Some(mut bytes) = first.bytes else {
            return Ok(Some(Err(DirtyRow::new(first.number, DirtKind::TooLong, ""))));
        };
        let mut quotes = check_quotes(&bytes);
        if quotes == Quotes::Open {
            let (joined, state) = self.join(&bytes)?;
            quotes = state;
            bytes = joined;
        }
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        if quotes != Quotes::Closed {
            return Ok(Some(Err(DirtyRow::new(first.number, DirtKind::BadQuotes, shown))));
        }
        Ok(Some(
            split(&bytes)
                .map(|fields| Row { line: first.number, fields })
                .map_err(|kind| DirtyRow::new(first.number, kind, shown)),
        ))
    }

    /// Joins following lines until the open quote closes. If it does not, they are put back and the first line is bad.
    fn join(&mut self, first: &[u8]) -> io::Result<(Vec<u8>, Quotes)> {
        let mut joined = first.to_vec();
        let mut taken = Vec::new();
        let mut state = Quotes::Open;
        while state == Quotes::Open && taken.len() < MAX_ROW_LINES {
            let Some(line) = self.next_line_or_blank()? else { break };
            let fits = line.bytes.as_ref().is_some_and(|bytes| joined.len() + bytes.len() < MAX_ROW_BYTES);
            if let Some(bytes) = line.bytes.as_ref().filter(|_| fits) {
                joined.push(b'\n');
                joined.extend_from_slice(bytes);
                state = check_quotes(&joined);
            }
            taken.push(line);
            if !fits {
                break;
            }
        }
        if state == Quotes::Closed
            && split(&joined).is_ok_and(|f| self.columns.is_empty() || f.len() == self.columns.len())
        {
            return Ok((joined, Quotes::Closed));
        }
        for line in taken.into_iter().rev() {
            self.ahead.push_front(line);
        }
        Ok((first.to_vec(), Quotes::Bad))
    }

    fn next_line(&mut self) -> io::Result<Option<Line>> {
        loop {
            let line = self.next_line_or_blank()?;
            let blank = line.as_ref().and_then(|l| l.bytes.as_ref()).is_some_and(Vec::is_empty);
            if !blank {
                return Ok(line);
            }
        }
    }

    fn next_line_or_blank(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.ahead.pop_front() {
            return Ok(Some(line));
        }
        let mut bytes = Vec::new();
        let limit = MAX_ROW_BYTES as u64 + 1;
        let read = self.input.by_ref().take(limit).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        let number = self.next_number;
        self.next_number += 1;
        if bytes.last() != Some(&b'\n') && bytes.len() > MAX_ROW_BYTES {
            self.input.skip_until(b'\n')?;
            return Ok(Some(Line { number, bytes: None }));
        }
        while matches!(bytes.last(), Some(b'\n' | b'\r')) {
            bytes.pop();
        }
        if number == 1 && bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        Ok(Some(Line { number, bytes: Some(bytes) }))
    }
}

fn unreadable(error: &io::Error) -> Failure {
    let failure = Failure::usage(format!("the file cannot be read on: {error}"));
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
            failure.hint("fetch or pack it anew; `gzip -t FILE` says whether it is whole")
        }
        _ => failure,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quotes {
    Closed,
    Open,
    Bad,
}

/// Are the quotes of these bytes as RFC 4180 wants them?
fn check_quotes(bytes: &[u8]) -> Quotes {
    #[derive(PartialEq)]
    enum At {
        FieldStart,
        Plain,
        Quoted,
        AfterQuote,
    }
    let mut at = At::FieldStart;
    for &byte in bytes {
        at = match (at, byte) {
            (At::FieldStart, b'"') | (At::AfterQuote, b'"') => At::Quoted,
            (At::Quoted, b'"') => At::AfterQuote,
            (At::Quoted, _) => At::Quoted,
            (At::FieldStart | At::Plain | At::AfterQuote, b',') => At::FieldStart,
            (At::Plain, b'"') => return Quotes::Bad,
            (At::FieldStart | At::Plain, _) => At::Plain,
            (At::AfterQuote, _) => return Quotes::Bad,
        };
    }
    if at == At::Quoted { Quotes::Open } else { Quotes::Closed }
}

/// The fields of one row whose quotes are known to be right.
fn split(bytes: &[u8]) -> Result<Vec<String>, DirtKind> {
    let text = std::str::from_utf8(bytes).map_err(|_| DirtKind::NotUtf8)?;
    if !text.contains('"') {
        return Ok(text.split(',').map(str::to_owned).collect());
    }
    let mut parser =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(1_024).from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    match parser.read_record(&mut record) {
        Ok(true) => Ok(record.iter().map(str::to_owned).collect()),
        Ok(false) | Err(_) => Err(DirtKind::BadQuotes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8]) -> Vec<Result<Row, DirtyRow>> {
        let mut reader = RowReader::new(text).expect("a header");
        std::iter::from_fn(|| reader.next_row().expect("memory is readable")).collect()
    }

    fn kinds(text: &[u8]) -> Vec<Result<Vec<String>, (u64, DirtKind)>> {
        rows(text).into_iter().map(|r| r.map(|r| r.fields).map_err(|d| (d.line, d.kind))).collect()
    }

    fn fields(of: &[&str]) -> Result<Vec<String>, (u64, DirtKind)> {
        Ok(of.iter().map(|&f| f.to_owned()).collect())
    }

    #[test]
    fn a_byte_order_mark_and_carriage_returns_are_no_part_of_the_fields() {
        assert_eq!(kinds(b"\xef\xbb\xbfa,b\r\n1,2\r\n"), [fields(&["1", "2"])]);
    }

    #[test]
    fn quoted_fields_may_hold_commas_quotes_and_line_ends() {
        assert_eq!(
            kinds(b"a,b\n\"x, y\",\"say \"\"hi\"\"\"\n\"two\n\nlines\",z\n"),
            [fields(&["x, y", "say \"hi\""]), fields(&["two\n\nlines", "z"])]
        );
    }

    #[test]
    fn an_open_quote_loses_only_its_own_line() {
        assert_eq!(
            kinds(b"a,b\n\"open,1\n2,3\n\"also \"bad,4\n5,6\n"),
            [Err((2, DirtKind::BadQuotes)), fields(&["2", "3"]), Err((4, DirtKind::BadQuotes)), fields(&["5", "6"])]
        );
    }

    #[test]
    fn rows_with_too_few_or_too_many_fields_and_bytes_that_are_not_utf8_are_named_with_their_line() {
        assert_eq!(
            kinds(b"a,b\n1\n\n1,2,3\n\xff,2\n1,2"),
            [
                Err((2, DirtKind::MissingColumns)),
                Err((4, DirtKind::ExtraColumns)),
                Err((5, DirtKind::NotUtf8)),
                fields(&["1", "2"])
            ]
        );
    }

    #[test]
    fn a_line_longer_than_a_row_is_skipped_whole() {
        let text = format!("a,b\n{},x\n1,2\n", "y".repeat(MAX_ROW_BYTES * 3));
        assert_eq!(kinds(text.as_bytes()), [Err((2, DirtKind::TooLong)), fields(&["1", "2"])]);
    }

    #[test]
    fn a_file_without_a_header_or_a_needed_column_is_refused() {
        assert!(RowReader::new(&b""[..]).is_err());
        let reader = RowReader::new(&b"a,b\n"[..]).expect("a header");
        assert_eq!(reader.column("b").ok(), Some(1));
        assert!(reader.column("c").is_err());
    }
}
