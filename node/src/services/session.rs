//! A session: many requests in flight on one stream.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{Stream, StreamExt};
use holdfast_proto::v1::{self, CommandError, SessionRequest, SessionResponse};
use holdfast_world::traces::{TraceContext, current, within};
use tonic::{Status, Streaming};
use tracing::{Instrument, Span};

use super::decide::{Results, decide};
use crate::core::Core;
use crate::to_proto;
use crate::traced::drawn_of_session;

/// The replies of a session.
pub(super) type Replies = Pin<Box<dyn Stream<Item = Result<SessionResponse, Status>> + Send + 'static>>;

/// Decides the requests of a stream as they come, at most `session_in_flight` at once; replies as they are there. Requests
/// are submitted in the order they came. Nothing is read from the stream while as many are on their way, and nothing is
/// decided ahead of what the caller reads.
pub(super) fn session(core: Arc<Core>, requests: Streaming<SessionRequest>) -> Replies {
    let most = core.config.limits.session_in_flight;
    // What is decided after the answer has begun is of the trace all the same.
    let (span, context) = (Span::current(), current());
    let replies = requests
        .map(move |request| in_trace(Arc::clone(&core), request, context).instrument(span.clone()))
        .buffer_unordered(most);
    Box::pin(replies)
}

async fn in_trace(
    core: Arc<Core>,
    request: Result<SessionRequest, Status>,
    context: Option<TraceContext>,
) -> Result<SessionResponse, Status> {
    let tracer = core.world.tracer.clone();
    match context {
        Some(context) => within(Some(context), reply(core, request)).await,
        None => drawn_of_session(&tracer, reply(core, request)).await,
    }
}

async fn reply(core: Arc<Core>, request: Result<SessionRequest, Status>) -> Result<SessionResponse, Status> {
    let SessionRequest { number, commands, route_epoch, timeout_ms } = request?;
    let asked = (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms.into()));
    let ids: Vec<Option<v1::Id>> = commands.iter().map(|command| command.command_id).collect();
    let results = decide(&core, commands, route_epoch, core.deadline(asked)).await;
    let Results { results, tokens, log_time_ms } = results.unwrap_or_else(|error| refuse_all(&core, ids, &error));
    Ok(SessionResponse { number, results, tokens, log_time_ms })
}

/// A session outlives a request that is refused as a whole: each of its commands has the error.
fn refuse_all(core: &Core, ids: Vec<Option<v1::Id>>, error: &CommandError) -> Results {
    let ids = if ids.is_empty() { vec![None] } else { ids };
    let results = ids.into_iter().map(|id| to_proto::not_admitted(id, error.clone())).collect();
    Results { results, tokens: Vec::new(), log_time_ms: core.log_time_ms() }
}
