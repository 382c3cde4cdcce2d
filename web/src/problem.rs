//! Problems (RFC 9457): what is said of a request that was not done, with the reason, status, retry and effect of the one table of
//! errors.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdfast_client::{Error, Failure};
use holdfast_proto::v1::{self, CommandError, Effect, ErrorReason, Retry};
use serde::Serialize;
use utoipa::ToSchema;

use crate::field_names::said_of;
use crate::manners::REPLAYED;
use crate::wire::{FromWire, IdText};

/// Every problem's media type.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// When to ask again where nobody said.
const USUAL_RETRY_AFTER_S: u64 = 1;

/// Why a request was not done (RFC 9457).
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Where the reason is described.
    #[serde(rename = "type")]
    #[schema(example = "/docs#INSUFFICIENT_STOCK")]
    pub(crate) kind: String,
    /// The reason in words.
    #[schema(example = "insufficient stock")]
    pub(crate) title: String,
    /// The status of the reply.
    #[schema(example = 409)]
    pub(crate) status: u16,
    /// What happened, to which thing.
    #[schema(example = "2 units of LIP-ROUGE-01 are available, 3 were asked for")]
    pub(crate) detail: String,
    /// The reason's name.
    #[schema(example = "INSUFFICIENT_STOCK")]
    pub(crate) reason: &'static str,
    /// The field at fault, where there is one.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false, example = "lines[0].units")]
    pub(crate) field: String,
    /// May the same be asked again: never, with the same key, or with a new one?
    pub(crate) retry: RetryWith,
    /// May it have had an effect?
    pub(crate) effect: EffectOf,
    /// What else is needed to act: `available`, `actual`, `max_expires_at_ms`, …
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    pub(crate) metadata: BTreeMap<String, String>,
    /// The id that decides it once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) command_id: Option<IdText>,
    /// The reservation that it is about; one that was to be made may exist where the effect is unknown.
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
    pub(crate) transfer_id: Option<IdText>,
    /// The same of an expected receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) receipt_id: Option<IdText>,
    #[serde(skip)]
    pub(crate) retry_after_s: Option<u64>,
    #[serde(skip)]
    pub(crate) replayed: bool,
}

/// May the same be asked again?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RetryWith {
    /// It would be answered the same.
    Never,
    /// With the same key.
    SameKey,
    /// With a new key.
    NewKey,
}

/// May it have had an effect?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EffectOf {
    /// It had none.
    None,
    /// It may have been done.
    Unknown,
}

impl Problem {
    /// A problem with the faces of its reason.
    pub(crate) fn of(reason: ErrorReason, detail: impl Into<String>) -> Self {
        Self::from(CommandError::of(reason, detail))
    }

    /// Input that cannot be: the field, and what is wrong with it.
    pub(crate) fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: field.into(), ..Self::of(ErrorReason::InvalidArgument, detail) }
    }

    /// The same with another status.
    pub(crate) const fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same with one more thing that the caller needs to act.
    pub(crate) fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    /// The same of one of several things in a body.
    pub(crate) fn within(mut self, place: &str) -> Self {
        self.field = if self.field.is_empty() { place.to_owned() } else { format!("{place}.{}", self.field) };
        self
    }

    /// Nothing was done, for too much is under way.
    pub(crate) fn overloaded(detail: impl Into<String>) -> Self {
        Self::of(ErrorReason::Overloaded, detail)
    }

    /// The same as the public is told it: where nothing is wrong with what was asked, which node or shard does not answer is not theirs to
    /// know.
    pub(crate) fn for_public(self) -> Self {
        if self.status < 500 {
            return self;
        }
        Self {
            detail: "this cannot be told now: ask again a little later".to_owned(),
            metadata: BTreeMap::new(),
            ..self
        }
    }

    pub(crate) fn reason(&self) -> ErrorReason {
        ErrorReason::from_name(self.reason)
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a problem has text keys and whole numbers only")
    }

    fn face(reason: ErrorReason, detail: String, retry: Retry, effect: Effect, retry_after: Option<Duration>) -> Self {
        let (faces, name) = (reason.faces(), reason.name());
        let retry = match retry {
            Retry::SameKey => RetryWith::SameKey,
            Retry::NewKey => RetryWith::NewKey,
            Retry::Never | Retry::Unspecified => RetryWith::Never,
        };
        let wait = retry_after.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        let usual = (faces.http == 503).then_some(USUAL_RETRY_AFTER_S);
        Self {
            kind: format!("/docs#{name}"),
            title: name.to_lowercase().replace('_', " "),
            status: faces.http,
            detail,
            reason: name,
            field: String::new(),
            retry,
            effect: if effect == Effect::None { EffectOf::None } else { EffectOf::Unknown },
            metadata: BTreeMap::new(),
            command_id: None,
            reservation_id: None,
            count_id: None,
            transfer_id: None,
            receipt_id: None,
            retry_after_s: wait.or(usual),
            replayed: false,
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let (reason, retry, effect) = (error.reason(), error.retry(), error.effect());
        let wait = (error.retry_after_ms > 0).then(|| Duration::from_millis(error.retry_after_ms.into()));
        let (field, detail) = said_of(&error.field, error.message);
        let problem = Self::face(reason, detail, retry, effect, wait);
        Self { field, metadata: error.metadata, ..problem }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let failure = error.failure().clone();
        let Failure { reason, message, retry, effect, retry_after, .. } = failure;
        let id = |id: Option<v1::Id>| id.map(IdText::from_wire);
        let (field, message) = said_of(&failure.field, message);
        Self {
            field,
            metadata: failure.metadata,
            command_id: id(failure.command_id.map(Into::into)),
            reservation_id: id(failure.reservation_id.map(Into::into)),
            count_id: id(failure.count_id.map(Into::into)),
            transfer_id: id(failure.transfer_id.map(Into::into)),
            receipt_id: id(failure.receipt_id.map(Into::into)),
            replayed: failure.replayed,
            ..Self::face(reason, message, retry, effect, retry_after)
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.body()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// Every reason there is.
pub(crate) fn reasons() -> impl Iterator<Item = ErrorReason> {
    const NUMBERS: i32 = 1_000;
    (1..=NUMBERS).filter_map(|number| ErrorReason::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_the_status_retry_and_effect_of_the_table() {
        for reason in reasons() {
            let faces = reason.faces();
            let problem = Problem::of(reason, "so it is");
            assert_eq!(problem.status, faces.http, "{}", reason.name());
            let said: serde_json::Value = serde_json::from_slice(&problem.body()).unwrap();
            assert_eq!(said["type"], format!("/docs#{}", reason.name()));
            assert_eq!(said["reason"], reason.name());
            assert_eq!(said["retry"], faces.retry.name(), "{}", reason.name());
            assert_eq!(said["effect"], faces.effect.name(), "{}", reason.name());
            assert_eq!(said["status"], faces.http);
            assert_eq!(said["detail"], "so it is");
            let response = problem.into_response();
            assert_eq!(response.status().as_u16(), faces.http);
            assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), faces.http == 503, "{}", reason.name());
        }
    }

    #[test]
    fn a_refusal_names_its_field_what_is_needed_to_act_and_how_long_to_wait() {
        let error = CommandError::of(ErrorReason::Overloaded, "the mailbox is full")
            .at("lines[1].units")
            .with("available", 3)
            .after_ms(1_200);
        let problem = Problem::from(Error::from(error));
        let said: serde_json::Value = serde_json::from_slice(&problem.body()).unwrap();
        assert_eq!((&said["field"], &said["metadata"]["available"]), (&"lines[1].units".into(), &"3".into()));
        assert_eq!(problem.into_response().headers()[header::RETRY_AFTER], "2");
    }

    #[test]
    fn the_public_is_not_told_which_node_does_not_answer() {
        let error = CommandError::of(ErrorReason::NotLeader, "10.0.0.7:7401 does not lead shard 3")
            .with("leader", "10.0.0.8:7401");
        let problem = Problem::from(Error::from(error));
        let told = String::from_utf8(problem.clone().for_public().body()).expect("it is text");
        assert!(!told.contains("10.0.0.") && told.contains("NOT_LEADER"), "{told}");
        assert_eq!(problem.clone().for_public().retry_after_s, problem.retry_after_s);
        let asked = Problem::invalid("limit", "is 501");
        assert_eq!(asked.clone().for_public(), asked);
    }

    #[test]
    fn what_a_nodes_error_says_otherwise_than_the_table_stands() {
        let mut error = CommandError::of(ErrorReason::Unavailable, "draining");
        error.set_effect(Effect::Unknown);
        error.set_retry(Retry::Never);
        let problem = Problem::from(Error::from(error));
        assert_eq!((problem.effect, problem.retry), (EffectOf::Unknown, RetryWith::Never));
    }
}
