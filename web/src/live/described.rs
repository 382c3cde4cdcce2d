//! What the API says of live updates: OpenAPI has no word for answers that do not end, nor for WebSockets, so what comes is told in `x-live`.
//!
//! The schema of a stream is that of one message of it, which is what OpenAPI 3.2 made of it and what programs take it for.

use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};

use crate::problem::MEDIA_TYPE;

/// The tag of all of them, by which a program leaves out what does not end.
pub(crate) const LIVE: &str = "live";

/// One message of a stream, as its lines are. Which kinds there are, and what `data` has, is told in `x-live`.
#[derive(ToSchema)]
#[schema(as = LiveMessage)]
#[allow(dead_code, reason = "it is described only")]
pub(crate) struct StreamMessage {
    /// Its kind.
    #[schema(example = "availability")]
    event: String,
    /// JSON.
    data: String,
    /// Where to go on; not of each message.
    #[schema(required = false)]
    id: String,
}

/// Says what comes, and what is refused.
pub(crate) fn describe(path: &str, operation: &mut Operation) {
    let said = if path.ends_with("/ws") { of_socket(path) } else { of_stream(path) };
    operation.extensions.get_or_insert_default().merge([("x-live", said)].into_iter().collect::<Extensions>());
    let responses = &mut operation.responses.responses;
    for (status, what) in [
        ("400", "Something of the request cannot be: `field` names it"),
        ("403", "A page of another site"),
        ("404", "There is no such campaign"),
        ("421", "A name that this node does not answer to"),
        ("503", "Not now: there are too many readers here, or no cluster yet"),
    ] {
        let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
        let problem: Response = ResponseBuilder::new().description(what).content(MEDIA_TYPE, content).build();
        responses.entry(status.to_owned()).or_insert(RefOr::T(problem));
    }
}

fn message(name: &str, from: &str, schema: Option<&str>, what: &str) -> Value {
    let mut said = json!({ "name": name, "from": from, "description": what });
    if let Some(schema) = schema {
        said["schema"] = json!({ "$ref": format!("#/components/schemas/{schema}") });
    }
    said
}

fn of_stream(path: &str) -> Value {
    let problem = message("problem", "node", Some("Problem"), "No node serves it just now, or its cursor is none");
    let messages = if path.contains("/events/") {
        vec![
            message("event", "node", Some("Event"), "What happened; it may come twice: `shard` and `seq` tell"),
            message("cursor", "node", None, "Its id stands for all that came before it"),
            message("idle", "node", None, "There is nothing more up to its id; after two seconds without news"),
            message("gap", "node", Some("EventGap"), "Events that are missing here: they are not kept any more"),
            problem,
        ]
    } else {
        vec![
            message("availability", "node", Some("LiveAvailability"), "What may be promised of a SKU at a location"),
            message("reset", "node", None, "What happened meanwhile is not known: everything there is now follows"),
            message("idle", "node", None, "There is nothing more up to its id; after five seconds without news"),
            message(
                "problem",
                "node",
                Some("Problem"),
                "What there is now cannot be read: it is told as soon as it can be",
            ),
        ]
    };
    json!({ "transport": "server-sent events", "endless": true, "messages": messages })
}

fn of_socket(path: &str) -> Value {
    let mut messages = vec![
        message("subscribe, unsubscribe", "reader", Some("LiveAsk"), "Of which SKUs it wants to hear, or no more"),
        message("subscribed", "node", None, "How many SKUs it hears of now: `{\"type\":\"subscribed\",\"skus\":3}`"),
        message(
            "availability",
            "node",
            Some("LiveAvailability"),
            "What there is now of what is new, then what differs",
        ),
        message(
            "idle",
            "node",
            None,
            "There is nothing to tell: `{\"type\":\"idle\"}`, after five seconds without news",
        ),
        message(
            "problem",
            "node",
            None,
            "What it said cannot be, or not now: `{\"type\":\"problem\",\"problem\":…}`; it stays",
        ),
    ];
    if !path.starts_with("/public/") {
        messages.extend([
            message("follow, unfollow", "reader", Some("LiveAsk"), "From where it wants to hear of events, or no more"),
            message(
                "event",
                "node",
                Some("Event"),
                "What happened, as `event`; it may come twice: `shard` and `seq` tell",
            ),
            message(
                "cursor",
                "node",
                None,
                "Stands for all events before it: `{\"type\":\"cursor\",\"cursor\":\"0=7\"}`",
            ),
            message(
                "gap",
                "node",
                Some("EventGap"),
                "Events that are missing here, as `gap`: they are not kept any more",
            ),
        ]);
    }
    json!({ "transport": "websocket", "endless": true, "messages": messages })
}
