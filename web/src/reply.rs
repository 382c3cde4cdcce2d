//! Replies: a body with what a caller needs to know of it in the headers.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdfast_client::{Read, Success};
use holdfast_proto::v1::{self, ConsistencyToken};
use serde::Serialize;
use utoipa::ToSchema;

use crate::manners::REPLAYED;
use crate::problem::Problem;
use crate::reservations::ReservationState;
use crate::revisions::{tag, tag_of_answer};
use crate::tokens::{TOKEN, Tokens};
use crate::wire::{FromWire, IdText};

/// What a handler answers.
pub(crate) type Answered = Result<Reply, Problem>;

/// A reply with a body, of JSON where its headers say nothing else.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    body: Vec<u8>,
    headers: Vec<(HeaderName, String)>,
    tokens: Tokens,
}

impl Reply {
    /// A reply of that status.
    pub(crate) fn of(status: StatusCode, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("answers have text keys and finite numbers only");
        Self { status, body, headers: Vec::new(), tokens: Tokens::default() }
    }

    /// A reply of another type, which is told in its headers.
    pub(crate) fn of_bytes(status: StatusCode, body: Vec<u8>) -> Self {
        Self { status, body, headers: Vec::new(), tokens: Tokens::default() }
    }

    /// What was asked for.
    pub(crate) fn ok(body: &impl Serialize) -> Self {
        Self::of(StatusCode::OK, body)
    }

    /// What was read, of the type that is shown.
    pub(crate) fn read<T: Serialize + FromWire<W>, W>(read: Read<W>) -> Self {
        let token = read.freshness.token;
        Self::ok(&T::from_wire(read.value)).seen(token)
    }

    /// The same, up to a position of a shard's log.
    pub(crate) fn seen(mut self, token: Option<ConsistencyToken>) -> Self {
        if let Some(token) = token {
            self.tokens.add(token);
        }
        self
    }

    /// The same, up to positions of several shards' logs.
    pub(crate) fn seen_all(self, tokens: impl IntoIterator<Item = ConsistencyToken>) -> Self {
        tokens.into_iter().fold(self, |reply, token| reply.seen(Some(token)))
    }

    /// The same, which is a record at that revision and nothing else.
    pub(crate) fn tagged(self, revision: u64) -> Self {
        self.with(header::ETAG, tag(revision))
    }

    /// The same, which shows more than a record at that revision; 0: several, or none.
    pub(crate) fn tagged_as_shown(self, revision: u64) -> Self {
        let tag = tag_of_answer(revision, &self.body);
        self.with(header::ETAG, tag)
    }

    /// The same with a header.
    pub(crate) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same, decided before.
    pub(crate) fn replayed(self, is_replayed: bool) -> Self {
        if is_replayed { self.with(REPLAYED, "true") } else { self }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let tokens = Some(self.tokens.text()).filter(|tokens| !tokens.is_empty()).map(|tokens| (TOKEN, tokens));
        for (name, value) in self.headers.into_iter().chain(tokens) {
            // All of them are numbers and ids of ours.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// What came of a command. The same again is answered the same, byte for byte.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Done {
    /// The id that decided it once.
    command_id: IdText,
    /// The reservation that it was about; of a reserve, the new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) reservation_id: Option<IdText>,
    /// The same of a count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) count_id: Option<IdText>,
    /// The same of a transfer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    transfer_id: Option<IdText>,
    /// The same of an expected receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    receipt_id: Option<IdText>,
    /// Of the reservation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    state: Option<ReservationState>,
    /// Revision of the item, stock or reservation that it was about.
    revision: u64,
    /// What may be promised of the first SKU after it.
    atp_after: u64,
    /// Of the reservation, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_at_ms: Option<u64>,
    /// Units held for each line, in order, where not all are as asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    held: Vec<u32>,
    /// Units of each line that are promised without stock, in order, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    backordered: Vec<u32>,
}

impl From<&Success> for Done {
    fn from(success: &Success) -> Self {
        let id = |id: v1::Id| IdText::from_wire(id);
        let state = Some(success.state).filter(|state| *state != v1::ReservationState::Unspecified);
        Self {
            command_id: id(success.command_id.into()),
            reservation_id: success.reservation_id.map(|it| id(it.into())),
            count_id: success.count_id.map(|it| id(it.into())),
            transfer_id: success.transfer_id.map(|it| id(it.into())),
            receipt_id: success.receipt_id.map(|it| id(it.into())),
            state: state.map(|state| ReservationState::from_wire(state.into())),
            revision: success.revision,
            atp_after: success.atp_after,
            expires_at_ms: Some(success.expires_at_ms).filter(|at| *at > 0),
            held: success.held.clone(),
            backordered: success.backordered.clone(),
        }
    }
}
