//! Endpoints: what orders' steps may call. A request names one by its id and never carries an address of its own.

use holdfast_inventory::MAX_STEP_BYTES;
use holdfast_proto::log::v1 as log;
use http::Uri;
use serde::{Deserialize, Serialize};

/// Most endpoints of a cluster.
pub const MAX_ENDPOINTS: usize = 64;
/// Longest URL, in bytes.
const MAX_URL_BYTES: usize = 255;
/// How long an attempt may take, in ms.
const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 10..=60_000;
/// How many attempts in a row may come to nothing until the endpoint is left alone for a while.
const BREAKER_FAILURES: std::ops::RangeInclusive<u32> = 1..=1_000;
/// For how long, in ms.
const BREAKER_OPEN_MS: std::ops::RangeInclusive<u64> = 100..=3_600_000;

/// Where an endpoint is, and how it is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// `http://host:port/path`.
    pub url: String,
    /// How long an attempt may take, in ms.
    pub timeout_ms: u64,
    /// After so many attempts in a row that came to nothing a node leaves the endpoint alone.
    pub breaker_failures: u32,
    /// For how long, in ms; then one attempt shows whether it goes on.
    pub breaker_open_ms: u64,
    /// What stands in for its answer where it has none.
    pub fallback: Fallback,
}

/// What stands in for the answer of an endpoint that does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fallback {
    /// Nothing: the step fails, or ends by its time.
    None,
    /// This answer.
    Answer(Vec<u8>),
    /// The last answer that the calling node had from it; nothing before the first.
    Last,
}

impl EndpointSpec {
    /// Checks it.
    ///
    /// # Errors
    ///
    /// The field at fault, and what may stand there.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if self.url.len() > MAX_URL_BYTES {
            return Err(("url", format!("has {} bytes, at most {MAX_URL_BYTES}", self.url.len())));
        }
        if self.address_and_path().is_none() {
            return Err((
                "url",
                "is not http://HOST:PORT/PATH, without a user; for TLS, name a proxy beside the node".to_owned(),
            ));
        }
        if !TIMEOUT_MS.contains(&self.timeout_ms) {
            return Err(("timeout_ms", format!("is {}, not {TIMEOUT_MS:?}", self.timeout_ms)));
        }
        if !BREAKER_FAILURES.contains(&self.breaker_failures) {
            return Err(("breaker_failures", format!("is {}, not {BREAKER_FAILURES:?}", self.breaker_failures)));
        }
        if !BREAKER_OPEN_MS.contains(&self.breaker_open_ms) {
            return Err(("breaker_open_ms", format!("is {}, not {BREAKER_OPEN_MS:?}", self.breaker_open_ms)));
        }
        match &self.fallback {
            Fallback::Answer(answer) if answer.len() > MAX_STEP_BYTES => {
                Err(("fallback_answer", format!("has {} bytes, at most {MAX_STEP_BYTES}", answer.len())))
            }
            Fallback::None | Fallback::Answer(_) | Fallback::Last => Ok(()),
        }
    }

    /// The `host:port` to connect to, and what is asked for there. `None`: the URL is none that [`EndpointSpec::check`] takes.
    #[must_use]
    pub fn address_and_path(&self) -> Option<(String, String)> {
        let uri: Uri = self.url.parse().ok().filter(|uri: &Uri| uri.scheme_str() == Some("http"))?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let host = Some(authority.host()).filter(|host| !host.is_empty())?;
        let port = authority.port_u16().unwrap_or(80);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Some((format!("{host}:{port}"), path.to_owned()))
    }
}

pub(super) fn endpoint_to_log(id: &str, spec: &EndpointSpec) -> log::MetaPutEndpoint {
    let (fallback, fallback_answer) = match &spec.fallback {
        Fallback::None => (1, Vec::new()),
        Fallback::Answer(answer) => (2, answer.clone()),
        Fallback::Last => (3, Vec::new()),
    };
    log::MetaPutEndpoint {
        endpoint_id: id.to_owned(),
        url: spec.url.clone(),
        timeout_ms: spec.timeout_ms,
        breaker_failures: spec.breaker_failures,
        breaker_open_ms: spec.breaker_open_ms,
        fallback,
        fallback_answer,
    }
}

pub(super) fn endpoint_from_log(it: log::MetaPutEndpoint) -> Option<(String, EndpointSpec)> {
    let fallback = match it.fallback {
        1 => Fallback::None,
        2 => Fallback::Answer(it.fallback_answer),
        3 => Fallback::Last,
        _ => return None,
    };
    let spec = EndpointSpec {
        url: it.url,
        timeout_ms: it.timeout_ms,
        breaker_failures: it.breaker_failures,
        breaker_open_ms: it.breaker_open_ms,
        fallback,
    };
    Some((it.endpoint_id, spec))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(url: &str) -> EndpointSpec {
        EndpointSpec {
            url: url.to_owned(),
            timeout_ms: 2_000,
            breaker_failures: 5,
            breaker_open_ms: 5_000,
            fallback: Fallback::None,
        }
    }

    #[test]
    fn a_url_says_where_to_connect_and_what_to_ask_for() {
        let of = |url: &str| spec(url).address_and_path();
        let found = |address: &str, path: &str| Some((address.to_owned(), path.to_owned()));
        assert_eq!(of("http://pay.shop:8080/v1/charge?live=1"), found("pay.shop:8080", "/v1/charge?live=1"));
        assert_eq!(of("http://pay.shop"), found("pay.shop:80", "/"));
        assert_eq!(of("http://[::1]:80/a"), found("[::1]:80", "/a"));
        for bad in ["https://pay.shop/", "pay.shop:80", "http://a:b@pay.shop/", "http://", "/v1", "", "http://a b/"] {
            assert_eq!(of(bad), None, "{bad}");
            assert_eq!(spec(bad).check().unwrap_err().0, "url");
        }
    }

    #[test]
    fn what_may_not_stand_is_refused_by_its_field() {
        let refused = |change: fn(&mut EndpointSpec)| {
            let mut spec = spec("http://pay.shop/");
            spec.check().unwrap();
            change(&mut spec);
            spec.check().unwrap_err().0
        };
        assert_eq!(refused(|spec| spec.url += &"x".repeat(255)), "url");
        assert_eq!(refused(|spec| spec.timeout_ms = 9), "timeout_ms");
        assert_eq!(refused(|spec| spec.breaker_failures = 0), "breaker_failures");
        assert_eq!(refused(|spec| spec.breaker_open_ms = 99), "breaker_open_ms");
        assert_eq!(refused(|spec| spec.fallback = Fallback::Answer(vec![0; 1_025])), "fallback_answer");
    }
}
