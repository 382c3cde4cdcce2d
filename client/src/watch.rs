//! Watches: what happens, and what may be promised, as it changes.
//!
//! A watch outlives the node that serves it: when the stream breaks, or says nothing for too long, it goes on with another node from the
//! last cursor. So an event may come twice, and none is left out without a gap that says so. Where nodes end it before they say anything,
//! they are asked again as after any failed attempt: with pauses that grow, until the client's deadline.

use std::future::Future;
use std::time::Duration;

use holdfast_proto::v1::{self, CommandError, ErrorReason};
use holdfast_world::GrpcChannel;
use tonic::{Request, Response, Status, Streaming};

use crate::answer::Error;
use crate::call::Target;
use crate::client::Client;
use crate::core::Core;
use crate::events::events;
use crate::node::error_of;
use crate::retry::Pacer;

/// How often a node says where a watch is that has nothing to tell.
const IDLE: Duration = Duration::from_secs(2);
/// And how often at most it may be asked to.
const LEAST_IDLE: Duration = Duration::from_millis(100);
/// A node that says nothing for so long is taken for gone.
const SILENCE: Duration = Duration::from_secs(10);

/// Which events are watched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventWatch {
    /// Where to go on; empty: with what happens from now on. `SHARD=SEQ` is a cursor too; a shard that it does not name begins with
    /// the first event that is kept.
    pub cursor: String,
    /// Only of these shards; empty: all.
    pub shards: Vec<u32>,
    /// Only those that it takes.
    pub filter: v1::EventFilter,
}

/// Whose availability is watched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AvailabilityWatch {
    /// At most 1 000; empty: every SKU.
    pub skus: Vec<String>,
    /// Where to go on; empty: tell what there is now first.
    pub cursor: String,
    /// Changes within this time come together; zero: 250 ms.
    pub coalesce: Duration,
    /// Where nothing changes, a cursor comes so often, between 100 ms and 2 s; zero: every 2 s.
    pub idle: Duration,
}

/// What can be watched.
pub trait Watched: Sized {
    /// What a node is asked.
    type Question: Clone + Send + Sync;

    #[doc(hidden)]
    fn ask(
        channel: GrpcChannel,
        question: Request<Self::Question>,
    ) -> impl Future<Output = Result<Response<Streaming<Self>>, Status>> + Send;

    #[doc(hidden)]
    fn cursor_of(question: &mut Self::Question) -> &mut String;

    #[doc(hidden)]
    fn cursor(&self) -> &str;
}

impl Watched for v1::WatchEventsResponse {
    type Question = v1::WatchEventsRequest;

    async fn ask(channel: GrpcChannel, question: Request<Self::Question>) -> Result<Response<Streaming<Self>>, Status> {
        events(channel).watch_events(question).await
    }

    fn cursor_of(question: &mut Self::Question) -> &mut String {
        &mut question.cursor
    }

    fn cursor(&self) -> &str {
        &self.cursor
    }
}

impl Watched for v1::WatchAvailabilityResponse {
    type Question = v1::WatchAvailabilityRequest;

    async fn ask(channel: GrpcChannel, question: Request<Self::Question>) -> Result<Response<Streaming<Self>>, Status> {
        events(channel).watch_availability(question).await
    }

    fn cursor_of(question: &mut Self::Question) -> &mut String {
        &mut question.cursor
    }

    fn cursor(&self) -> &str {
        &self.cursor
    }
}

/// A watch under way.
#[derive(Debug)]
pub struct Watch<T: Watched> {
    client: Client,
    question: T::Question,
    stream: Option<Streaming<T>>,
}

impl<T: Watched> Watch<T> {
    pub(crate) fn new(client: Client, question: T::Question) -> Self {
        Self { client, question, stream: None }
    }

    /// The next answer, which may have nothing but a cursor. After an error (no node serves the watch within the client's deadline) it may
    /// be asked again.
    pub async fn next(&mut self) -> Result<T, Error> {
        let core: &Core = self.client.core();
        // Of the streams that end before they say anything, one after the other.
        let mut pacer: Option<Pacer<'_>> = None;
        loop {
            if let Some(stream) = &mut self.stream {
                let ended = match tokio::time::timeout(SILENCE, stream.message()).await {
                    Ok(Ok(Some(answer))) => {
                        answer.cursor().clone_into(T::cursor_of(&mut self.question));
                        return Ok(answer);
                    }
                    Ok(Err(status)) => {
                        let error = error_of(&status);
                        if error.failure().reason == ErrorReason::InvalidArgument {
                            // Every node would say so.
                            self.stream = None;
                            return Err(error);
                        }
                        error
                    }
                    // The node stops, or says nothing.
                    Ok(Ok(None)) | Err(_) => {
                        CommandError::of(ErrorReason::Unavailable, "the nodes end the watch without a word").into()
                    }
                };
                self.stream = None;
                let pacer = pacer.get_or_insert_with(|| core.pacer(core.deadline(None)));
                if !pacer.pause(false, None).await {
                    return Err(ended);
                }
            }
            self.stream = Some(core.call(core.reading(Target::Any), self.question.clone(), T::ask).await?);
        }
    }

    /// Where another watch would go on after the last answer.
    pub fn cursor(&mut self) -> &str {
        T::cursor_of(&mut self.question)
    }
}

impl Client {
    /// Watches events.
    #[must_use]
    pub fn watch_events(&self, watch: EventWatch) -> Watch<v1::WatchEventsResponse> {
        let EventWatch { cursor, shards, filter } = watch;
        let question = v1::WatchEventsRequest { cursor, shards, filter: Some(filter), idle_ms: ms(IDLE) };
        Watch::new(self.clone(), question)
    }

    /// Watches what may be promised of SKUs.
    #[must_use]
    pub fn watch_availability(&self, watch: AvailabilityWatch) -> Watch<v1::WatchAvailabilityResponse> {
        let AvailabilityWatch { skus, cursor, coalesce, idle } = watch;
        let idle = if idle.is_zero() { IDLE } else { idle.clamp(LEAST_IDLE, IDLE) };
        let question = v1::WatchAvailabilityRequest { skus, cursor, coalesce_ms: ms(coalesce), idle_ms: ms(idle) };
        Watch::new(self.clone(), question)
    }
}

fn ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
