//! Calendar dates: the end of a day in a location's time zone, as an instant. The log carries the instant, so that no replica
//! needs a table of time zones.

use std::collections::BTreeMap;

use holdfast_inventory::{LocationId, LocationSpec, LogTime, LotDates, LotSpec};
use holdfast_proto::v1::{self, CommandError};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::fields::invalid;

const HINT: &str = "a date such as 2027-05-31, or 2027-05 for the last day of the month, from 1970 on, or nothing";

/// The time zones of the locations.
#[derive(Debug, Default)]
pub(crate) struct Zones(BTreeMap<LocationId, TimeZone>);

impl Zones {
    /// Of these locations.
    pub(crate) fn of(locations: &[(LocationId, LocationSpec)]) -> Self {
        // What was refused by this version may have come in by another one: such a location has UTC.
        let zone = |spec: &LocationSpec| Self::named(&spec.time_zone).unwrap_or(TimeZone::UTC);
        Self(locations.iter().map(|(id, spec)| (id.clone(), zone(spec))).collect())
    }

    /// The zone of an IANA name; `None` where there is none. No name is UTC.
    pub(crate) fn named(name: &str) -> Option<TimeZone> {
        if name.is_empty() { Some(TimeZone::UTC) } else { TimeZone::get(name).ok() }
    }

    fn at(&self, location: &LocationId) -> TimeZone {
        self.0.get(location).cloned().unwrap_or(TimeZone::UTC)
    }

    /// What is said of a lot, with its dates as instants at that location.
    pub(super) fn lot_spec(&self, wire: &v1::LotSpec, location: &LocationId) -> Result<LotSpec, CommandError> {
        let zone = self.at(location);
        let dates = LotDates {
            manufactured_at: end_of_day("lot.manufactured_on", &wire.manufactured_on, &zone)?,
            best_before: end_of_day("lot.best_before", &wire.best_before, &zone)?,
            expires_at: end_of_day("lot.expires_on", &wire.expires_on, &zone)?,
        };
        Ok(LotSpec { supplier_lot: wire.supplier_lot.clone(), dates })
    }
}

/// The last millisecond of a day; `None` where no date is given.
fn end_of_day(field: &str, text: &str, zone: &TimeZone) -> Result<Option<LogTime>, CommandError> {
    if text.is_empty() {
        return Ok(None);
    }
    let refused = || invalid(field, &format!("is {text:?}"), HINT);
    let last_day = match text.len() {
        7 => Date::strptime("%Y-%m-%d", format!("{text}-01")).map(Date::last_of_month),
        _ => Date::strptime("%Y-%m-%d", text),
    };
    let day_after = last_day.and_then(Date::tomorrow).map_err(|_| refused())?;
    let midnight = day_after.to_zoned(zone.clone()).map_err(|_| refused())?;
    let end = midnight.timestamp().as_millisecond() - 1;
    u64::try_from(end).map(|end| Some(LogTime(end))).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str, zone: &str) -> Result<Option<LogTime>, String> {
        end_of_day("lot.best_before", text, &Zones::named(zone).unwrap()).map_err(|error| error.message)
    }

    fn instant(text: &str) -> Result<Option<LogTime>, String> {
        let timestamp: jiff::Timestamp = text.parse().unwrap();
        Ok(Some(LogTime(timestamp.as_millisecond() as u64)))
    }

    #[test]
    fn a_date_is_the_end_of_that_day_where_the_location_is() {
        assert_eq!(end("2027-05-31", ""), instant("2027-05-31T23:59:59.999Z"));
        assert_eq!(end("2027-05-31", "Europe/Paris"), instant("2027-05-31T21:59:59.999Z"));
        assert_eq!(end("2027-01-31", "America/New_York"), instant("2027-02-01T04:59:59.999Z"));
        assert_eq!(end("", ""), Ok(None));
    }

    #[test]
    fn a_month_is_its_last_day() {
        assert_eq!(end("2028-02", ""), instant("2028-02-29T23:59:59.999Z"));
    }

    #[test]
    fn a_day_whose_end_falls_into_a_change_of_clocks_ends_where_the_next_begins() {
        // In Santiago the clock went from 24:00 to 01:00.
        assert_eq!(end("2024-09-07", "America/Santiago"), instant("2024-09-08T03:59:59.999Z"));
    }

    #[test]
    fn what_is_no_date_is_refused_with_what_is_one() {
        for text in ["2027", "2027-13", "2027-02-30", "31.05.2027", "2027-05-31T00:00:00Z", "1969-12-31", "9999-12-31"]
        {
            let message = end(text, "").unwrap_err();
            assert!(message.starts_with("lot.best_before is") && message.contains("2027-05-31"), "{message}");
        }
        assert!(Zones::named("Mars/Olympus").is_none());
    }
}
