//! An event trace of a shop in the format of REES46's open data: `event_time, event_type, product_id, category_id,
//! category_code, brand, price, user_id, user_session`, the columns in any order.

use std::io::BufRead;

use super::{DirtKind, DirtyRow, Row, RowReader, Usable};
use crate::failure::Failure;

/// What a customer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Looked at a product.
    View,
    /// Put it into the cart.
    Cart,
    /// Took it out of the cart.
    RemoveFromCart,
    /// Bought it.
    Purchase,
}

/// One usable row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Seconds since the Unix epoch.
    pub at_s: u64,
    /// What was done.
    pub kind: EventKind,
    /// The product, taken as the SKU.
    pub sku: String,
    /// The session; where a row has none, the user.
    pub session: String,
}

/// Reads events from `R`.
pub struct TraceReader<R> {
    rows: RowReader<R>,
    time: usize,
    kind: usize,
    product: usize,
    price: Option<usize>,
    user: Option<usize>,
    session: Option<usize>,
}

impl<R: BufRead> TraceReader<R> {
    /// Reads the header; time, type and product must be there, and a session or a user.
    pub fn new(input: R) -> Result<Self, Failure> {
        let rows = RowReader::new(input)?;
        let (time, kind, product) =
            (rows.column("event_time")?, rows.column("event_type")?, rows.column("product_id")?);
        let user = rows.column("user_id").ok();
        let session = rows.column("user_session");
        let session = if user.is_some() { session.ok() } else { Some(session?) };
        Ok(Self { time, kind, product, price: rows.column("price").ok(), user, session, rows })
    }

    /// The next event, or what is wrong with its row; `None` at the end.
    pub fn next_event(&mut self) -> Result<Option<Usable<Event>>, Failure> {
        Ok(self.rows.next_row()?.map(|row| row.and_then(|row| self.event_of(&row))))
    }

    fn event_of(&self, row: &Row) -> Usable<Event> {
        let dirty = |kind, detail: &str| Err(DirtyRow::new(row.line, kind, detail));
        let time = row.fields[self.time].trim();
        let Some(at_s) = parse_time(time) else { return dirty(DirtKind::BadTime, time) };
        let kind = match row.fields[self.kind].trim() {
            "view" => EventKind::View,
            "cart" => EventKind::Cart,
            "remove_from_cart" => EventKind::RemoveFromCart,
            "purchase" => EventKind::Purchase,
            other => return dirty(DirtKind::UnknownEvent, other),
        };
        let sku = row.fields[self.product].trim();
        if sku.is_empty() {
            return dirty(DirtKind::NoSku, &row.fields.join(","));
        }
        if !super::catalogue::is_sku(sku) {
            return dirty(DirtKind::BadSku, sku);
        }
        // The price decides nothing here, but one that is none tells of a damaged row. Empty and 0 are usual.
        let price = self.price.map_or("", |column| row.fields[column].trim());
        if !price.is_empty() && !price.parse::<f64>().is_ok_and(|price| price.is_finite() && price >= 0.0) {
            return dirty(DirtKind::BadPrice, price);
        }
        let text = |column: Option<usize>| column.map_or("", |column| row.fields[column].trim());
        let session = match (text(self.session), text(self.user)) {
            ("", "") => return dirty(DirtKind::NoSession, &row.fields.join(",")),
            ("", user) => format!("user {user}"),
            (session, _) => session.to_owned(),
        };
        Ok(Event { at_s, kind, sku: sku.to_owned(), session })
    }
}

/// `2019-10-01 00:00:00 UTC`, with or without the zone, as seconds since the Unix epoch.
fn parse_time(text: &str) -> Option<u64> {
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    let (date, clock) = text.split_once([' ', 'T'])?;
    let mut date = date.split('-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut clock = clock.split(':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let in_range = date.next().is_none()
        && clock.next().is_none()
        && (1_970..=9_999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    in_range.then(|| days_since_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn number(text: &str) -> Option<u64> {
    (text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_since_epoch(year: u64, month: u64, day: u64) -> u64 {
    let years: u64 = (1_970..year).map(|y| if is_leap(y) { 366 } else { 365 }).sum();
    let months: u64 = (1..month).map(|m| days_in(year, m)).sum();
    years + months + day - 1
}

/// A trace, as any bytes.
#[cfg(any(test, fuzzing))]
pub mod untrusted {
    use super::TraceReader;

    const SOUND: &str = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n\
        2019-10-01 00:00:00 UTC,cart,5773203,1487580005134238553,,runail,2.62,463240011,26dd6e6e-4dac-4778-8d2c-92e149dab885\n\
        2019-10-01 00:00:03 UTC,purchase,5773203,1487580005134238553,,runail,2.62,463240011,26dd6e6e\n";

    /// A valid input.
    pub fn valid() -> Vec<u8> {
        SOUND.as_bytes().to_vec()
    }

    /// Refuses it, or reads it to its end.
    pub fn read(bytes: &[u8]) {
        if let Ok(mut reader) = TraceReader::new(bytes) {
            let mut rows = 0;
            while let Ok(Some(_)) = reader.next_event() {
                rows += 1;
                assert!(rows <= bytes.len(), "more rows than bytes");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n";

    fn read(text: &[u8]) -> Vec<Result<Event, (u64, DirtKind)>> {
        let mut reader = TraceReader::new(text).expect("a header");
        std::iter::from_fn(|| reader.next_event().expect("memory is readable"))
            .map(|event| event.map_err(|dirty| (dirty.line, dirty.kind)))
            .collect()
    }

    #[test]
    fn a_row_is_an_event_also_without_brand_category_or_price() {
        let text = format!("{HEADER}2019-10-01 00:00:02 UTC,purchase,44600062,,,,0.00,541312140,72d76fde\n");
        let event = Event {
            at_s: 1_569_888_002,
            kind: EventKind::Purchase,
            sku: "44600062".into(),
            session: "72d76fde".into(),
        };
        assert_eq!(read(text.as_bytes()), [Ok(event)]);
    }

    #[test]
    fn a_row_without_a_session_belongs_to_its_user() {
        let text = format!("{HEADER}2019-10-01 00:00:02 UTC,cart,1,,,,,7,\n");
        assert_eq!(read(text.as_bytes())[0].as_ref().map(|e| e.session.clone()), Ok("user 7".to_owned()));
    }

    #[test]
    fn each_kind_of_dirt_is_named_with_its_line_and_stops_nothing() {
        let good = "2019-10-01 00:00:00 UTC,view,1,2,,,1.5,3,s\n";
        let mut text = HEADER.as_bytes().to_vec();
        for row in [
            "2019-10-41 00:00:00 UTC,view,1,2,,,1.5,3,s\n",
            "2019-10-01 00:00:00 UTC,stare,1,2,,,1.5,3,s\n",
            "2019-10-01 00:00:00 UTC,view,,2,,,1.5,3,s\n",
            "2019-10-01 00:00:00 UTC,view,1,2,,,dear,3,s\n",
            "2019-10-01 00:00:00 UTC,view,1,2,,,-1,3,s\n",
            "2019-10-01 00:00:00 UTC,view,1,2,,,1.5,,\n",
            "2019-10-01 00:00:00 UTC,view,1\n",
            "2019-10-01 00:00:00 UTC,view,1,2,\"x,,1.5,3,s\n",
            good,
            "2019-10-01 00:00:00 UTC,view,1,2,,,1.5,3,s,more\n",
            &format!("2019-10-01 00:00:00 UTC,view,{},2,,,1.5,3,s\n", "x".repeat(65)),
            &format!("2019-10-01 00:00:00 UTC,view,1,2,,{},1.5,3,s\n", "x".repeat(70_000)),
            good,
        ] {
            text.extend_from_slice(row.as_bytes());
        }
        text.extend_from_slice(b"2019-10-01 00:00:00 UTC,view,1,2,,\xc3\x28,1.5,3,s\n");
        let found: Vec<_> = read(&text).into_iter().filter_map(Result::err).collect();
        assert_eq!(
            found,
            [
                (2, DirtKind::BadTime),
                (3, DirtKind::UnknownEvent),
                (4, DirtKind::NoSku),
                (5, DirtKind::BadPrice),
                (6, DirtKind::BadPrice),
                (7, DirtKind::NoSession),
                (8, DirtKind::MissingColumns),
                (9, DirtKind::BadQuotes),
                (11, DirtKind::ExtraColumns),
                (12, DirtKind::BadSku),
                (13, DirtKind::TooLong),
                (15, DirtKind::NotUtf8),
            ]
        );
    }

    #[test]
    fn times_are_read_over_leap_days() {
        assert_eq!(parse_time("1970-01-01 00:00:00 UTC"), Some(0));
        assert_eq!(parse_time("2020-02-29 23:59:59 UTC"), Some(1_583_020_799));
        assert_eq!(parse_time("2019-02-29 00:00:00 UTC"), None);
        assert_eq!(parse_time("2019-02-28"), None);
        assert_eq!(parse_time(""), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_nearly_a_trace_is_refused_or_read_to_its_end_and_never_a_panic(
            bytes in holdfast_mangle::mangled(untrusted::valid()),
        ) {
            untrusted::read(&bytes);
        }
    }
}
