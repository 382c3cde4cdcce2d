//! Which of the forms that an answer may have the caller wants (`Accept`).

use axum::http::{HeaderMap, header};

/// As rows that end.
pub(crate) const JSON: &str = "application/json";
/// As messages that go on.
pub(crate) const EVENTS: &str = "text/event-stream";
/// As a table.
pub(crate) const CSV: &str = "text/csv";

/// Of the forms offered the one that the caller likes best; of those that it likes the same the first. The first too where it takes none:
/// an answer in another form says more than none.
pub(crate) fn preferred<'a>(headers: &HeaderMap, offered: &[&'a str]) -> &'a str {
    let told: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let ranges: Vec<(&str, u16)> = told.iter().flat_map(|told| told.split(',')).filter_map(range).collect();
    let liking =
        |form: &&str| ranges.iter().filter_map(|range| liked(form, range)).max().map_or(0, |(_, liking)| liking);
    let most = offered.iter().map(liking).max().unwrap_or(0);
    offered.iter().find(|form| liking(form) == most).copied().unwrap_or(JSON)
}

/// A media range, and how much it is liked, in thousandths.
fn range(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().filter(|media| media.contains('/'))?;
    let said = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some((media, said.map_or(Some(1_000), thousandths)?))
}

/// `0.8` as 800: at most 1, and three digits behind the point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = Some(part).filter(|part| part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit()))?;
    let whole = whole.parse::<u16>().ok().filter(|whole| *whole <= 1)?;
    let all = whole * 1_000 + format!("{part:0<3}").parse::<u16>().ok()?;
    Some(all).filter(|all| *all <= 1_000)
}

/// How exactly a range means a form, and how much it likes it.
fn liked(form: &str, (media, liking): &(&str, u16)) -> Option<(u8, u16)> {
    let of_kind = |kind: &str| form.split('/').next().is_some_and(|of| of.eq_ignore_ascii_case(kind));
    match media.strip_suffix("/*") {
        Some("*") => Some((0, *liking)),
        Some(kind) => of_kind(kind).then_some((1, *liking)),
        None => media.eq_ignore_ascii_case(form).then_some((2, *liking)),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn who_asks_for_a_form_has_it_and_who_takes_anything_has_the_first() {
        let of = |told: &str| {
            let headers = [(header::ACCEPT, HeaderValue::from_str(told).expect("a value"))].into_iter().collect();
            preferred(&headers, &[JSON, EVENTS])
        };
        let of_browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8";
        for json in
            ["", "*/*", JSON, of_browser, "text/html", "application/*", "text/event-stream;q=0.1, */*", "nonsense"]
        {
            assert_eq!(of(json), JSON, "{json}");
        }
        for events in [
            EVENTS,
            "TEXT/Event-Stream",
            "text/*",
            "text/event-stream, application/json;q=0.9",
            "*/*;q=0.1,text/event-stream",
        ] {
            assert_eq!(of(events), EVENTS, "{events}");
        }
        assert_eq!(preferred(&HeaderMap::new(), &[JSON, CSV]), JSON);
    }

    #[test]
    fn how_much_a_form_is_liked_is_a_number_up_to_one() {
        assert_eq!(
            ["1", "0.8", "0.05", "1.000", "0"].map(thousandths),
            [Some(1_000), Some(800), Some(50), Some(1_000), Some(0)]
        );
        assert_eq!(["", "2", "0.0001", "-1", "a", "1.5"].map(thousandths), [None; 6]);
    }

    #[test]
    fn what_means_a_form_more_exactly_counts() {
        let headers =
            [(header::ACCEPT, HeaderValue::from_static("text/*;q=0.9, text/event-stream;q=0"))].into_iter().collect();
        assert_eq!(preferred(&headers, &[EVENTS, "text/plain"]), "text/plain");
    }
}
