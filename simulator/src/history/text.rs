//! A history as text: a line of JSON that says how log time stands to simulated time, then one for each attempt, so that a
//! failing history can be printed, read back and checked again.

use std::io::{self, BufRead, Write};

use super::{History, MAX_RECORDS, Record};
use crate::checkers::LogTimeBound;

/// Why a text is no history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// It cannot be read.
    #[error("the history cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It has no line.
    #[error("the history is empty")]
    Empty,
    /// A line is not what stands in its place.
    #[error("line {line} is no part of a history: {error}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

/// Writes a history and the bound it is to be judged with.
pub fn write(history: &History, bound: &LogTimeBound, to: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *to, bound)?;
    to.write_all(b"\n")?;
    for record in &history.records {
        serde_json::to_writer(&mut *to, record)?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

/// Reads what [`write()`] has written. Lines beyond [`MAX_RECORDS`] are counted as dropped.
pub fn read(from: impl BufRead) -> Result<(History, LogTimeBound), HistoryError> {
    let mut history = History::default();
    let mut lines = from.lines();
    let first = lines.next().ok_or(HistoryError::Empty)??;
    let bound = serde_json::from_str(&first).map_err(|error| HistoryError::Line { line: 1, error })?;
    for (at, line) in lines.enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        if history.records.len() >= MAX_RECORDS {
            history.dropped += 1;
            continue;
        }
        let record: Record = serde_json::from_str(&line).map_err(|error| HistoryError::Line { line: at + 2, error })?;
        history.records.push(record);
    }
    Ok((history, bound))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{
        Answer, Asked, Command, Done, Freshness, Id, Line, Outcome, Phase, Position, Request, Seen, StockSeen, Subject,
    };

    #[test]
    fn a_history_reads_back_what_it_printed() {
        let lines = vec![Line { sku: "A \"quoted\"".to_owned(), units: 3 }];
        let reserve = Request::Reserve {
            reservation: Id(u128::MAX),
            lines,
            ttl_s: 5,
            over_shards: false,
            customer: 0,
            together: 0,
        };
        let done = Done { expires_at_ms: 9, phase: Some(Phase::Held), ..Done::default() };
        let position = Position { shard: 1, index: 7 };
        let seen = Seen::Stock(Some(StockSeen { on_hand: 4, adjusted: -1, ..StockSeen::default() }));
        let records = vec![
            Record {
                client: 1,
                call_us: 5,
                return_us: Some(9),
                asked: Asked::Commands(vec![Command { id: Id(7), request: reserve }]),
                outcome: Outcome::Answered(vec![Answer::Done(done)]),
            },
            Record {
                client: 2,
                call_us: 6,
                return_us: None,
                asked: Asked::Read(Subject::Stock("A".to_owned()), Freshness::AtLeast(position)),
                outcome: Outcome::Seen { seen, position: Some(position), log_time_ms: Some(3) },
            },
        ];
        let history = History { records, dropped: 0 };
        let mut text = Vec::new();
        let bound = LogTimeBound { zero_ms: 5, behind_ms: 6, ahead_ms: 7 };
        write(&history, &bound, &mut text).unwrap();
        assert_eq!(read(text.as_slice()).unwrap(), (history, bound));
        text.extend_from_slice(b"{}");
        assert!(matches!(read(text.as_slice()), Err(HistoryError::Line { line: 4, .. })));
        assert!(matches!(read(&b""[..]), Err(HistoryError::Empty)));
    }
}
