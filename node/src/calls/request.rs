//! One attempt: what an endpoint is sent, and what its answer means.
//!
//! A `POST` of a JSON object under an `Idempotency-Key` that is the same for every attempt at the same thing (docs/clients.md). 2xx: it is
//! done. 408, 409, 425, 429 and 5xx, no connection, no answer in time: nobody knows, it is asked again. Anything else:
//! it is refused for good.

use std::time::Duration;

use axum::body::Body as JsonBody;
use bytes::Bytes;
use holdfast_inventory::{CallKey, MAX_STEP_BYTES, MAX_WHY_BYTES, StepCall};
use holdfast_world::GrpcChannel;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use serde::Serialize;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codegen::Service;

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// It is done.
    Done {
        /// The beginning of its body, at most [`MAX_STEP_BYTES`].
        answer: Vec<u8>,
    },
    /// It is not done, and will not be.
    Refused {
        /// What it says.
        why: String,
    },
    /// It may be done or not.
    Nothing {
        /// What happened.
        why: String,
    },
    /// Nobody was asked: something stands in for the answer.
    FellBack,
    /// Nobody was asked: it is not wanted any more, or another node's to ask.
    Withdrawn,
}

impl Answered {
    /// Its name among the metrics.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Refused { .. } => "refused",
            Self::Nothing { .. } => "nothing",
            Self::FellBack => "fallback",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// What an endpoint is sent.
#[derive(Serialize)]
struct Asked<'a> {
    /// The order's reservation, as 32 hexadecimal digits.
    order_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_ref: Option<&'a str>,
    step: &'a str,
    /// `do` or `undo`.
    action: &'static str,
    /// From 1.
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Text<'a>>,
    /// What the step answered that is to be undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Text<'a>>,
}

/// Bytes that somebody gave: text where they are.
#[derive(Serialize)]
#[serde(untagged)]
enum Text<'a> {
    Plain(&'a str),
    Other { hex: String },
}

fn text(bytes: &[u8]) -> Option<Text<'_>> {
    (!bytes.is_empty()).then(|| match std::str::from_utf8(bytes) {
        Ok(text) => Text::Plain(text),
        Err(_) => Text::Other { hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect() },
    })
}

/// Asks once.
pub(super) async fn ask(mut channel: GrpcChannel, path: &str, call: &StepCall, within: Duration) -> Answered {
    let request = match request(path, call) {
        Ok(request) => request,
        Err(why) => return nothing(&why),
    };
    let asking = async {
        std::future::poll_fn(|cx| channel.poll_ready(cx)).await.map_err(|error| nothing(&error.to_string()))?;
        channel.call(request).await.map_err(|error| nothing(&error.to_string()))
    };
    let answer = async {
        match asking.await {
            Ok(response) => answered(response).await,
            Err(nothing) => nothing,
        }
    };
    timeout(within, answer).await.unwrap_or_else(|_| nothing(&format!("no answer within {} ms", within.as_millis())))
}

fn request(path: &str, call: &StepCall) -> Result<Request<Body>, String> {
    let CallKey { order, step, is_compensation } = &call.key;
    let action = if *is_compensation { "undo" } else { "do" };
    let order_id = format!("{:032x}", order.0);
    let asked = Asked {
        order_ref: call.order_ref.as_ref().map(|order_ref| order_ref.as_str()),
        step: step.as_str(),
        action,
        attempt: call.attempts + 1,
        payload: text(&call.payload),
        answer: text(&call.answer),
        order_id,
    };
    let body = serde_json::to_vec(&asked).map_err(|error| error.to_string())?;
    let key = format!("{}/{}/{action}", asked.order_id, percent_encoded(step.as_str()));
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", key)
        .body(Body::new(JsonBody::from(body)))
        .map_err(|error| error.to_string())
}

/// A name in a header, where not every character may stand.
fn percent_encoded(name: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    name.bytes().map(encode).collect()
}

async fn answered(response: Response<Body>) -> Answered {
    let status = response.status();
    match (beginning(response.into_body()).await, status) {
        (Ok(answer), status) if status.is_success() => Answered::Done { answer },
        (Err(why), status) if status.is_success() => nothing(&format!("{status}, and then {why}")),
        (body, status) if may_be_done(status) => nothing(&said(status, &body.unwrap_or_default())),
        (body, status) => Answered::Refused { why: said(status, &body.unwrap_or_default()) },
    }
}

fn may_be_done(status: StatusCode) -> bool {
    // A conflict is how many say that an earlier attempt with this key is still being done.
    let again =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::CONFLICT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    status.is_server_error() || again.contains(&status)
}

/// The beginning of a body, at most [`MAX_STEP_BYTES`]; the rest is not read.
async fn beginning(mut body: Body) -> Result<Vec<u8>, String> {
    let mut beginning = Vec::new();
    while beginning.len() < MAX_STEP_BYTES {
        let Some(frame) = body.frame().await else { break };
        let data = frame.map_err(|error| error.to_string())?.into_data().unwrap_or_else(|_| Bytes::new());
        beginning.extend_from_slice(&data[..data.len().min(MAX_STEP_BYTES - beginning.len())]);
    }
    Ok(beginning)
}

fn said(status: StatusCode, body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    let text = if body.is_empty() { status.to_string() } else { format!("{status}: {body}") };
    bounded(&text)
}

fn nothing(why: &str) -> Answered {
    Answered::Nothing { why: bounded(why) }
}

fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_WHY_BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use holdfast_inventory::{LogTime, ReservationId};

    use super::*;

    fn call(is_compensation: bool) -> StepCall {
        StepCall {
            key: CallKey { order: ReservationId(0xab), step: "pay now".parse().unwrap(), is_compensation },
            order_ref: Some("A-17".parse().unwrap()),
            endpoint: "payments".parse().unwrap(),
            payload: b"{\"cents\":900}".to_vec(),
            answer: if is_compensation { vec![0xff, 0x01] } else { Vec::new() },
            attempts: 1,
            max_attempts: 5,
            deadline: LogTime(9),
        }
    }

    /// An endpoint that answers so, and tells what it was sent.
    async fn ask_one(is_compensation: bool, status: u16, body: Vec<u8>) -> (Answered, String, serde_json::Value) {
        let seen = std::sync::Arc::new(std::sync::Mutex::new(None));
        let noted = std::sync::Arc::clone(&seen);
        let channel = GrpcChannel::new(tower::service_fn(move |request: Request<Body>| {
            let (noted, body) = (std::sync::Arc::clone(&noted), body.clone());
            async move {
                let key = request.headers()["idempotency-key"].to_str().unwrap().to_owned();
                let sent = request.into_body().collect().await.unwrap().to_bytes();
                *noted.lock().unwrap() = Some((key, serde_json::from_slice(&sent).unwrap()));
                let response = Response::builder().status(status).body(Body::new(JsonBody::from(body))).unwrap();
                Ok::<_, Infallible>(response)
            }
        }));
        let answered = ask(channel, "/pay", &call(is_compensation), Duration::from_secs(5)).await;
        let (key, sent) = seen.lock().unwrap().take().unwrap();
        (answered, key, sent)
    }

    #[tokio::test]
    async fn an_endpoint_is_told_what_it_is_about_under_a_key_that_stays_the_same() {
        let (answered, key, sent) = ask_one(false, 201, b"P-1".to_vec()).await;
        assert_eq!(answered, Answered::Done { answer: b"P-1".to_vec() });
        assert_eq!(key, "000000000000000000000000000000ab/pay%20now/do");
        let expected = serde_json::json!({
            "order_id": "000000000000000000000000000000ab", "order_ref": "A-17", "step": "pay now", "action": "do",
            "attempt": 2, "payload": "{\"cents\":900}",
        });
        assert_eq!(sent, expected);
        let (_, key, sent) = ask_one(true, 200, Vec::new()).await;
        assert_eq!(key, "000000000000000000000000000000ab/pay%20now/undo");
        assert_eq!((&sent["action"], &sent["answer"]), (&"undo".into(), &serde_json::json!({ "hex": "ff01" })));
    }

    #[tokio::test]
    async fn only_what_is_refused_for_sure_is_refused() {
        for status in [500, 503, 504, 408, 409, 425, 429] {
            assert!(matches!(ask_one(false, status, Vec::new()).await.0, Answered::Nothing { .. }), "{status}");
        }
        for status in [301, 400, 402, 404, 422] {
            assert!(matches!(ask_one(false, status, Vec::new()).await.0, Answered::Refused { .. }), "{status}");
        }
        let (refused, ..) = ask_one(false, 402, b"card declined".to_vec()).await;
        assert_eq!(refused, Answered::Refused { why: "402 Payment Required: card declined".to_owned() });
    }

    #[tokio::test]
    async fn of_a_long_answer_the_beginning_is_kept() {
        let (answered, ..) = ask_one(false, 200, vec![b'x'; 5_000]).await;
        assert_eq!(answered, Answered::Done { answer: vec![b'x'; MAX_STEP_BYTES] });
        let Answered::Refused { why } = ask_one(false, 400, vec![b'x'; 5_000]).await.0 else { panic!("refused") };
        assert_eq!(why.len(), MAX_WHY_BYTES);
    }
}
