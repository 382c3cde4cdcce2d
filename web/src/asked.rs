//! A request, read: its path, query, headers and body, each fault of which is a problem that names the field.

use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::{HeaderMap, Method, header};
use holdfast_client::{Client, CommandKey, Reader};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::Web;
use crate::idempotency::{KEY_HEADER, key_of};
use crate::limits::{BODY_BYTES, BODY_S, check_depth, too_large};
use crate::problem::Problem;
use crate::revisions::only;
use crate::tokens::Tokens;
use crate::wire::shortened;

/// A request.
pub(crate) struct Asked {
    pub(crate) web: Arc<Web>,
    pub(crate) headers: HeaderMap,
    /// The path as it came, encoded.
    at: String,
    path: Vec<(String, String)>,
    query: Vec<(String, String)>,
    body: Bytes,
}

impl FromRequest<Arc<Web>> for Asked {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Arc<Web>) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let unreadable = |field, what| Problem::invalid(field, format!("the {what} is not valid UTF-8"));
        let path = RawPathParams::from_request_parts(&mut parts, web).await.map_err(|_| unreadable("path", "path"))?;
        let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let Query(query) =
            Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map_err(|_| unreadable("query", "query"))?;
        if !is_utf8_decoded(parts.uri.query().unwrap_or_default()) {
            return Err(unreadable("query", "query"));
        }
        // No page of another site sends a DELETE without asking first, whatever its type.
        let has_body = !matches!(parts.method, Method::GET | Method::HEAD | Method::DELETE);
        let body = if has_body {
            check_media_type(&parts.headers)?;
            read(body, &parts.headers).await?
        } else {
            Bytes::new()
        };
        let at = parts.uri.path().to_owned();
        Ok(Self { web: Arc::clone(web), headers: parts.headers, at, path, query, body })
    }
}

/// Whether a query is UTF-8 once it is decoded. Whoever decodes it puts a sign for what is none: two customers could become one.
fn is_utf8_decoded(query: &str) -> bool {
    let mut rest = query.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    let digit = |byte: u8| char::from(byte).to_digit(16);
    while let Some((first, behind)) = rest.split_first() {
        let encoded = match rest {
            [b'%', high, low, ..] => digit(*high).zip(digit(*low)).map(|(high, low)| (high * 16 + low) as u8),
            _ => None,
        };
        decoded.push(encoded.unwrap_or(*first));
        rest = if encoded.is_some() { &rest[3..] } else { behind };
    }
    std::str::from_utf8(&decoded).is_ok()
}

/// A form of a web page cannot send JSON, nor a script of another site without asking first: nobody's browser changes anything here
/// without knowing it.
fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let told = only(headers, &header::CONTENT_TYPE)?.unwrap_or_default();
    let media_type = told.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::invalid("Content-Type", "a request that changes something has the type application/json")
        .with_status(415))
}

async fn read(body: Body, headers: &HeaderMap) -> Result<Bytes, Problem> {
    let told = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|length| length > BODY_BYTES as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(Duration::from_secs(BODY_S), to_bytes(body, BODY_BYTES)).await {
        Ok(Ok(body)) => Ok(body),
        // Or its sender is gone, and reads no answer.
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err(Problem::invalid("", format!("the body did not come within {BODY_S} s")).with_status(408)),
    }
}

impl Asked {
    /// The client, once there is a cluster.
    pub(crate) fn client(&self) -> Result<Client, Problem> {
        self.web.client()
    }

    /// A reader of one shard, or of several (`None`), as fresh as the request asks.
    pub(crate) fn reader<'a>(&self, client: &'a Client, shard: Option<u32>) -> Result<Reader<'a>, Problem> {
        Ok(client.reader(Tokens::asked(&self.headers)?.of_shard(shard, &self.web.seen())))
    }

    /// A part of the path, decoded.
    pub(crate) fn path(&self, name: &str) -> &str {
        self.path.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    /// The last part of the path with the custom verb behind its last colon: `0190…:commit`.
    pub(crate) fn path_and_verb(&self, name: &str) -> Result<(&str, &str), Problem> {
        let whole = self.path(name);
        whole.rsplit_once(':').ok_or_else(|| {
            Problem::invalid("path", format!("`{}` names nothing to do: it ends with `:verb`", shortened(whole)))
                .with_status(404)
        })
    }

    /// Refuses what nobody asks the query for.
    pub(crate) fn only_query(&self, known: &[&str]) -> Result<(), Problem> {
        for (at, (name, _)) in self.query.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
                let detail = format!("is no parameter here: {known}");
                return Err(Problem::invalid(shortened(name), detail));
            }
            if self.query.iter().take(at).any(|(before, _)| before == name) {
                return Err(Problem::invalid(name.as_str(), "stands there twice: send it once"));
            }
        }
        Ok(())
    }

    /// A parameter of the query; an empty one is none.
    pub(crate) fn query_text(&self, name: &str) -> Option<&str> {
        self.query_said(name).filter(|value| !value.is_empty())
    }

    /// Whether the query says anything of that name.
    pub(crate) fn has_query(&self, name: &str) -> bool {
        self.query_said(name).is_some()
    }

    fn query_said(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The address that goes on from a cursor, as a table.
    pub(crate) fn at_cursor(&self, cursor: &str) -> String {
        let kept = self.query.iter().filter(|(name, _)| !["cursor", "from_seq", "format"].contains(&name.as_str()));
        let pairs = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        let pairs = pairs.chain([("format", "csv"), ("cursor", cursor)]);
        let query: Vec<String> = pairs.map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        format!("{}?{}", self.at, query.join("&"))
    }

    /// A number or another word of the query.
    pub(crate) fn query_number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        let parse = |text: &str| {
            text.parse().map_err(|_| Problem::invalid(name, format!("`{}` is none of its values", shortened(text))))
        };
        self.query_said(name).map(parse).transpose()
    }

    /// A word of an enum in the query.
    pub(crate) fn query_word<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Problem> {
        let parse = |text: &str| {
            serde_json::from_value(serde_json::Value::String(text.to_owned()))
                .map_err(|error: serde_json::Error| Problem::invalid(name, error.to_string()))
        };
        self.query_said(name).map(parse).transpose()
    }

    /// The body.
    pub(crate) fn body<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let json: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        check_depth(json)?;
        let mut reading = serde_json::Deserializer::from_slice(json);
        let read = serde_path_to_error::deserialize(&mut reading).map_err(|error| of_json(&error))?;
        reading.end().map_err(|error| Problem::invalid("", format!("the body goes on behind its JSON: {error}")))?;
        Ok(read)
    }

    /// Refuses conditions that what is asked for knows nothing of.
    pub(crate) fn no_conditions(&self) -> Result<(), Problem> {
        if self.headers.contains_key(header::IF_MATCH) {
            return Err(Problem::invalid("If-Match", "is not decided here: this change knows no revision"));
        }
        self.no_if_none_match()
    }

    /// Refuses the condition that there is nothing yet, where nothing decides it.
    pub(crate) fn no_if_none_match(&self) -> Result<(), Problem> {
        if self.headers.contains_key(header::IF_NONE_MATCH) {
            return Err(Problem::invalid(
                "If-None-Match",
                "is not decided here: this change does not know whether there is one",
            ));
        }
        Ok(())
    }

    /// The key that the request is decided once under, if it has one.
    pub(crate) fn key(&self) -> Result<Option<CommandKey>, Problem> {
        only(&self.headers, &axum::http::HeaderName::from_static("idempotency-key"))?
            .map(|text| key_of(text.trim(), KEY_HEADER))
            .transpose()
    }

    /// The key, which a POST that changes something must have.
    pub(crate) fn key_needed(&self) -> Result<CommandKey, Problem> {
        self.key()?.ok_or_else(|| {
            let detail = "is missing: send a UUID, or a text of your own that stands for this one change, and the same again to \
                          repeat it";
            Problem::invalid(KEY_HEADER, detail)
        })
    }
}

/// A text as a part of a query.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
        encoded
    })
}

/// One item of a batch, read on its own: as it stands there, for what was read once has lost that a field stood there twice.
pub(crate) fn read_item<T: DeserializeOwned>(item: &RawValue) -> Result<T, Problem> {
    let mut reading = serde_json::Deserializer::from_str(item.get());
    serde_path_to_error::deserialize(&mut reading).map_err(|error| of_json(&error))
}

/// What is wrong with JSON, and where: `lines[0].units`.
fn of_json(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let told = error.inner().to_string();
    // What could not be told is `.` or `?`.
    let path = error.path().to_string();
    let path = path.trim_end_matches('?').trim_end_matches('.').to_owned();
    let missing = told.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let field = match missing {
        Some(name) if path.is_empty() => name.to_owned(),
        Some(name) => format!("{path}.{name}"),
        None => path,
    };
    Problem::invalid(shortened(&field), told)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        sku: String,
        units: u32,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Cart {
        lines: Vec<Line>,
        #[serde(default)]
        note: String,
    }

    fn asked(path: &str, query: &str, body: &str) -> Asked {
        let query = query.split('&').filter_map(|pair| pair.split_once('='));
        Asked {
            web: Web::unconnected(),
            headers: HeaderMap::new(),
            at: "/v1/lots".to_owned(),
            path: vec![("id".to_owned(), path.to_owned())],
            query: query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn refused(body: &str) -> (u16, String) {
        let problem = asked("", "", body).body::<Cart>().unwrap_err();
        (problem.status, problem.field)
    }

    #[test]
    fn a_query_that_is_no_utf_8_once_it_is_decoded_is_told_from_one_that_is() {
        for good in ["", "customer=anna", "a=%C3%A9&b=%2F", "a=%", "a=%4", "a=%zz", "a=é", "a=+%20"] {
            assert!(is_utf8_decoded(good), "{good}");
        }
        for bad in ["customer=%FF", "customer=%fe", "a=%C3", "a=%C3x", "a=%ED%A0%80"] {
            assert!(!is_utf8_decoded(bad), "{bad}");
        }
    }

    #[test]
    fn a_fault_of_the_body_names_its_field() {
        let read = asked("", "", r#"{"lines":[{"sku":"A","units":2}]}"#).body::<Cart>().unwrap();
        assert_eq!(read.lines, [Line { sku: "A".to_owned(), units: 2 }]);
        assert_eq!(refused(r#"{"lines":[{"sku":"A","units":-2}]}"#), (400, "lines[0].units".to_owned()));
        assert_eq!(refused(r#"{"lines":[{"sku":"A","units":2},{"sku":"B"}]}"#), (400, "lines[1].units".to_owned()));
        assert_eq!(refused(r#"{"lines":[{"sku":"A","unit":2}]}"#), (400, "lines[0].unit".to_owned()));
        assert_eq!(refused(r#"{"lines":[],"colour":1}"#), (400, "colour".to_owned()));
        assert_eq!(refused(""), (400, "lines".to_owned()));
        assert_eq!(refused("{"), (400, String::new()));
        assert_eq!(refused("[]"), (400, String::new()));
        assert_eq!(refused(r#"{"lines":[]} x"#), (400, String::new()));
        assert_eq!(refused(&"[".repeat(100)), (400, String::new()));
    }

    #[test]
    fn a_verb_is_what_stands_behind_the_last_colon() {
        assert_eq!(asked("0190:commit", "", "").path_and_verb("id"), Ok(("0190", "commit")));
        assert_eq!(asked("LOT:7:block", "", "").path_and_verb("id"), Ok(("LOT:7", "block")));
        assert_eq!(asked("0190", "", "").path_and_verb("id").unwrap_err().status, 404);
    }

    #[test]
    fn the_address_that_goes_on_asks_for_the_same_from_there() {
        let query = asked("", "sku=A&cursor=1.00&limit=7", "").at_cursor("0=17,1=2");
        assert_eq!(query, "/v1/lots?sku=A&limit=7&format=csv&cursor=0%3D17%2C1%3D2");
        assert_eq!(encoded("Crème & \r\n\"<>"), "Cr%C3%A8me%20%26%20%0D%0A%22%3C%3E");
    }

    #[test]
    fn a_fault_of_the_query_names_its_parameter() {
        let query = asked("", "limit=7&shard=x&sku=", "");
        assert_eq!(query.query_number::<u32>("limit"), Ok(Some(7)));
        assert_eq!(query.query_number::<u32>("shard").unwrap_err().field, "shard");
        assert_eq!(query.query_text("sku"), None);
        assert_eq!(query.query_number::<u32>("sku").unwrap_err().field, "sku", "an empty number is none");
        assert!(query.only_query(&["limit", "shard", "sku"]).is_ok());
        assert_eq!(query.only_query(&["limit", "sku"]).unwrap_err().field, "shard");
        assert_eq!(asked("", "a=1&a=2", "").only_query(&["a"]).unwrap_err().field, "a");
    }

    #[test]
    fn only_json_changes_anything() {
        let of = |told: &str| {
            let value = axum::http::HeaderValue::from_str(told).expect("a value");
            check_media_type(&[(header::CONTENT_TYPE, value)].into_iter().collect())
        };
        assert!(of("application/json").is_ok() && of("Application/JSON; charset=utf-8").is_ok());
        for other in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
            assert_eq!(of(other).unwrap_err().status, 415, "{other}");
        }
        assert_eq!(check_media_type(&HeaderMap::new()).unwrap_err().field, "Content-Type");
    }
}
