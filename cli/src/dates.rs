//! Dates as people write and read them.

use holdfast_proto::v1;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// An instant of the wire, in UTC; empty for 0, which is never.
pub fn instant_text(ms: u64) -> String {
    timestamp(ms).map(|at| at.to_string()).unwrap_or_default()
}

/// The day in which an instant of the wire lies in that zone; empty for 0, which is never.
pub fn day_text(ms: u64, zone: &TimeZone) -> String {
    timestamp(ms).map(|at| Zoned::new(at, zone.clone()).date().to_string()).unwrap_or_default()
}

fn timestamp(ms: u64) -> Option<Timestamp> {
    if ms == 0 { None } else { Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok() }
}

/// The zone of a location; UTC where it has none, or one that this program does not know.
pub fn zone_of(location: &v1::Location) -> TimeZone {
    if location.time_zone.is_empty() {
        return TimeZone::UTC;
    }
    TimeZone::get(&location.time_zone).unwrap_or(TimeZone::UTC)
}

/// The last millisecond of a day in UTC: `2027-05-31`.
pub fn end_of_day(text: &str) -> Result<u64, String> {
    let refused = || format!("`{text}` is no day: write it as 2027-05-31");
    let day = Date::strptime("%Y-%m-%d", text).and_then(Date::tomorrow).map_err(|_| refused())?;
    let midnight = day.to_zoned(TimeZone::UTC).map_err(|_| refused())?;
    u64::try_from(midnight.timestamp().as_millisecond() - 1).map_err(|_| refused())
}

/// An instant with its offset: `2027-05-31T09:00:00Z`.
pub fn instant(text: &str) -> Result<u64, String> {
    let refused = || format!("`{text}` is no time: write it as 2027-05-31T09:00:00Z");
    let at: Timestamp = text.parse().map_err(|_| refused())?;
    u64::try_from(at.as_millisecond()).ok().filter(|ms| *ms > 0).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_and_shown_again_as_it_was() {
        let end = end_of_day("2027-05-31").expect("it is a day");
        assert_eq!(
            (day_text(end, &TimeZone::UTC).as_str(), instant_text(end).as_str()),
            ("2027-05-31", "2027-05-31T23:59:59.999Z")
        );
        assert_eq!((day_text(0, &TimeZone::UTC), instant_text(0)), (String::new(), String::new()));
        assert_eq!(instant("2027-05-31T23:59:59.999Z"), Ok(end));
        assert!(instant("2027-05-31").is_err() && instant("1960-01-01T00:00:00Z").is_err());
        assert!(end_of_day("31.5.2027").is_err() && end_of_day("2027-02-30").is_err());
    }
}
