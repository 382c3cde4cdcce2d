//! Endpoints that orders' steps may call.

use holdfast_inventory::EndpointId;
use holdfast_proto::v1::{self, CommandError, ErrorReason};
use holdfast_raft::meta::{EndpointSpec, Fallback};

use super::fields::{enum_at, invalid, name_at};

/// How long an attempt may take if nothing is said, in ms.
const DEFAULT_TIMEOUT_MS: u64 = 2_000;
/// After how many failures in a row an endpoint is left alone if nothing is said.
const DEFAULT_BREAKER_FAILURES: u32 = 5;
/// For how long if nothing is said, in ms.
const DEFAULT_BREAKER_OPEN_MS: u64 = 5_000;

/// An endpoint with its id.
///
/// # Errors
///
/// `INVALID_ARGUMENT` at the first field at fault.
pub(crate) fn endpoint(wire: Option<v1::Endpoint>) -> Result<(EndpointId, EndpointSpec), CommandError> {
    let wire = wire.ok_or_else(|| invalid("endpoint", "is missing", "send the endpoint with its id"))?;
    let id = endpoint_id("endpoint.endpoint_id", &wire.endpoint_id)?;
    let fallback = match enum_at("endpoint.fallback", wire.fallback, "none, answer or last")? {
        v1::EndpointFallback::Answer => Fallback::Answer(wire.fallback_answer),
        _ if !wire.fallback_answer.is_empty() => {
            let hint = "leave it out, or have fallback say answer";
            return Err(invalid("endpoint.fallback_answer", "is given, and fallback is another", hint));
        }
        v1::EndpointFallback::Unspecified | v1::EndpointFallback::None => Fallback::None,
        v1::EndpointFallback::Last => Fallback::Last,
    };
    let or = |given, default| if given == 0 { default } else { given };
    let spec = EndpointSpec {
        url: wire.url,
        timeout_ms: or(wire.timeout_ms, DEFAULT_TIMEOUT_MS),
        breaker_failures: if wire.breaker_failures == 0 { DEFAULT_BREAKER_FAILURES } else { wire.breaker_failures },
        breaker_open_ms: or(wire.breaker_open_ms, DEFAULT_BREAKER_OPEN_MS),
        fallback,
    };
    spec.check().map_err(|(field, why)| {
        let field = format!("endpoint.{field}");
        CommandError::of(ErrorReason::InvalidArgument, format!("{field} {why}")).at(field)
    })?;
    Ok((id, spec))
}

/// The endpoint that a request names.
///
/// # Errors
///
/// `INVALID_ARGUMENT` where it is none.
pub(crate) fn endpoint_id(field: &str, text: &str) -> Result<EndpointId, CommandError> {
    name_at(|| field.to_owned(), text, EndpointId::new)
}

/// The error where there is no such endpoint.
pub(crate) fn unknown_endpoint(field: impl Into<String>, id: &EndpointId) -> CommandError {
    let message = format!("there is no endpoint {id}; `holdfast endpoint put` makes one");
    CommandError::of(ErrorReason::UnknownEndpoint, message).at(field).with("endpoint_id", id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(change: impl FnOnce(&mut v1::Endpoint)) -> Option<v1::Endpoint> {
        let mut wire = v1::Endpoint {
            endpoint_id: "payments".to_owned(),
            url: "http://pay.shop/".to_owned(),
            ..v1::Endpoint::default()
        };
        change(&mut wire);
        Some(wire)
    }

    #[test]
    fn what_an_endpoint_does_not_say_has_a_default() {
        let (id, spec) = endpoint(wire(|_| {})).unwrap();
        assert_eq!((id.as_str(), spec.fallback), ("payments", Fallback::None));
        assert_eq!((spec.timeout_ms, spec.breaker_failures, spec.breaker_open_ms), (2_000, 5, 5_000));
    }

    #[test]
    fn an_endpoint_that_is_none_is_refused_by_its_field() {
        let refused = |change: fn(&mut v1::Endpoint)| endpoint(wire(change)).unwrap_err().field;
        assert_eq!(refused(|wire| wire.endpoint_id.clear()), "endpoint.endpoint_id");
        assert_eq!(refused(|wire| wire.url = "https://pay.shop".to_owned()), "endpoint.url");
        assert_eq!(refused(|wire| wire.timeout_ms = 60_001), "endpoint.timeout_ms");
        assert_eq!(refused(|wire| wire.fallback = 9), "endpoint.fallback");
        assert_eq!(refused(|wire| wire.fallback_answer = b"ok".to_vec()), "endpoint.fallback_answer");
        assert_eq!(endpoint(None).unwrap_err().field, "endpoint");
    }
}
