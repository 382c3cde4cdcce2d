//! Revisions as entity tags: `"17"` of a record, `"17-9f3a"` of an answer that shows more than the record, whose digest follows.
//!
//! Promises that a condition is honoured or refused, never passed over.

use axum::http::{HeaderMap, HeaderName, header};

use holdfast_client::{Client, Error};
use holdfast_proto::v1::ErrorReason;

use crate::asked::Asked;
use crate::problem::{EffectOf, Problem};

/// The tag of a record at a revision.
pub(crate) fn tag(revision: u64) -> String {
    format!("\"{revision}\"")
}

/// The tag of an answer that shows more than the record.
pub(crate) fn tag_of_answer(revision: u64, body: &[u8]) -> String {
    format!("\"{revision}-{:016x}\"", xxhash_rust::xxh3::xxh3_64(body))
}

/// The revision that `If-Match` asks for; `None`: it asks for none.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(text) = only(headers, &header::IF_MATCH)? else { return Ok(None) };
    let revision = text.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).and_then(|tag| {
        let revision = tag.split_once('-').map_or(tag, |(revision, _)| revision);
        revision.parse::<u64>().ok().filter(|revision| *revision > 0)
    });
    match revision {
        Some(revision) => Ok(Some(revision)),
        None => Err(Problem::invalid("If-Match", "is none of our tags: send one ETag as it was given, in quotes")),
    }
}

/// Whether `If-None-Match: *` asks that there is nothing yet. A tag there is for reads.
pub(crate) fn if_absent(headers: &HeaderMap) -> Result<bool, Problem> {
    match only(headers, &header::IF_NONE_MATCH)?.map(str::trim) {
        None => Ok(false),
        Some("*") => Ok(true),
        Some(_) => Err(Problem::invalid("If-None-Match", "of a change is `*`, or is not there")),
    }
}

impl Asked {
    /// Says that a record is at another revision than `If-Match` names, where what changes it knows no revision: it is compared right
    /// before, not in the decision, and what is repeated after it was done is told so too.
    pub(crate) async fn at_revision<F>(&self, what: &str, revision: impl FnOnce(Client) -> F) -> Result<(), Problem>
    where
        F: Future<Output = Result<u64, Error>>,
    {
        let Some(wanted) = if_match(&self.headers)? else { return Ok(()) };
        let actual = revision(self.client()?).await?;
        if actual == wanted {
            return Ok(());
        }
        let detail = match actual {
            0 => format!("there is no such {what} yet, and none at revision {wanted}"),
            _ => format!("the {what} is at revision {actual}, not {wanted}; an earlier attempt may have been done"),
        };
        let problem = Problem::of(ErrorReason::RevisionMismatch, detail).with("actual", actual);
        Err(Problem { effect: EffectOf::Unknown, field: "If-Match".to_owned(), ..problem })
    }
}

/// Whether the caller of a read has what that tag names already.
pub(crate) fn has_already(headers: &HeaderMap, tag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let mut told = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    told.any(|told| told.split(',').any(|each| each.trim() == "*" || bare(each) == bare(tag)))
}

/// The one value of a header, as text.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::invalid(shown(name), "stands there twice: send it once"));
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Problem::invalid(shown(name), "is not visible ASCII")),
    }
}

/// A header's name as it is usually written: `If-Match`.
fn shown(name: &HeaderName) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    };
    name.as_str().split('-').map(capital).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| HeaderValue::from_str(value).expect("a value"));
        values.fold(HeaderMap::new(), |mut headers, value| {
            headers.append(&name, value);
            headers
        })
    }

    #[test]
    fn if_match_takes_any_tag_that_was_given_and_nothing_else() {
        let asked = |values: &[&str]| if_match(&headers(header::IF_MATCH, values));
        assert_eq!(asked(&[]), Ok(None));
        assert_eq!(asked(&[&tag(17)]), Ok(Some(17)));
        assert_eq!(asked(&[&tag_of_answer(17, b"{}")]), Ok(Some(17)));
        for bad in ["17", "\"\"", "\"0\"", "*", "W/\"17\"", "\"17\", \"18\"", "\"x\""] {
            let problem = asked(&[bad]).unwrap_err();
            assert_eq!((problem.status, problem.field.as_str()), (400, "If-Match"), "{bad}");
        }
        assert!(asked(&["\"1\"", "\"2\""]).is_err());
    }

    #[test]
    fn if_none_match_of_a_change_is_a_star_and_of_a_read_the_tags_that_one_has() {
        let told = |value: &str| headers(header::IF_NONE_MATCH, &[value]);
        assert_eq!(if_absent(&HeaderMap::new()), Ok(false));
        assert_eq!(if_absent(&told("*")), Ok(true));
        assert_eq!(if_absent(&told("\"3\"")).unwrap_err().field, "If-None-Match");
        assert!(has_already(&told("\"3\""), "\"3\""));
        assert!(has_already(&told("\"1\", W/\"3\""), "\"3\""));
        assert!(!has_already(&told("\"4\""), "\"3\"") && !has_already(&HeaderMap::new(), "\"3\""));
    }

    #[test]
    fn an_answer_that_shows_something_else_has_another_tag() {
        assert_ne!(tag_of_answer(17, b"{\"atp\":1}"), tag_of_answer(17, b"{\"atp\":2}"));
        assert_eq!(tag_of_answer(17, b"{}"), tag_of_answer(17, b"{}"));
    }
}
