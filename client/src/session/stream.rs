//! The task behind a session: it opens the stream, fills requests, hands answers out, and opens it anew when it broke.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use holdfast_proto::v1::{self, CommandError, ErrorReason};
use holdfast_world::GrpcChannel;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::Parcel;
use super::gather::next_request;
use crate::answer::Error;
use crate::learned::Learned;
use crate::node::{Answered, error_of};
use crate::options::ClientOptions;
use crate::wire;

/// Requests in flight at most, the slow ones included.
const MAX_IN_FLIGHT: usize = 64;

/// A request unanswered for this long no longer holds others back: it waits for a shard of its own.
const SLOW_AFTER: Duration = Duration::from_millis(20);

/// How much longer than its time-out a request may stay unanswered before the stream is given up.
const GRACE: Duration = Duration::from_secs(1);

pub(super) struct Sender {
    address: String,
    channel: GrpcChannel,
    learned: Arc<Learned>,
    parcels: mpsc::Receiver<Parcel>,
    waiting: VecDeque<Parcel>,
    connect_timeout: Duration,
    attempt_timeout: Duration,
    commands: usize,
    window: usize,
}

/// An open stream and what is on it.
struct Stream {
    outbound: mpsc::Sender<wire::SessionRequest>,
    inbound: Streaming<v1::SessionResponse>,
    in_flight: BTreeMap<u64, InFlight>,
    next_number: u64,
}

struct InFlight {
    since: Instant,
    parcels: Vec<Parcel>,
}

impl Sender {
    pub(super) fn new(
        address: String,
        channel: GrpcChannel,
        learned: Arc<Learned>,
        options: &ClientOptions,
        parcels: mpsc::Receiver<Parcel>,
    ) -> Self {
        Self {
            address,
            channel,
            learned,
            parcels,
            waiting: VecDeque::new(),
            connect_timeout: options.connect_timeout,
            attempt_timeout: options.attempt_timeout,
            commands: options.session_commands.max(1),
            window: options.session_requests.clamp(1, MAX_IN_FLIGHT),
        }
    }

    /// Serves until the client is dropped.
    pub(super) async fn run(mut self, mut life: watch::Receiver<()>) {
        tokio::select! {
            biased;
            _ = life.changed() => {}
            () = self.serve() => {}
        }
    }

    async fn serve(&mut self) {
        loop {
            if self.waiting.is_empty() {
                let Some(parcel) = self.parcels.recv().await else { return };
                self.waiting.push_back(parcel);
            }
            match self.open().await {
                Ok(stream) => self.converse(stream).await,
                Err(error) => self.refuse_waiting(&error),
            }
        }
    }

    async fn open(&self) -> Result<Stream, Error> {
        let (outbound, requests) = mpsc::channel(MAX_IN_FLIGHT);
        let opening = wire::session(self.channel.clone(), ReceiverStream::new(requests));
        let inbound = match tokio::time::timeout(self.connect_timeout, opening).await {
            Ok(Ok(inbound)) => inbound,
            Ok(Err(status)) => return Err(self.not_open(reason_of(&status), status.message())),
            Err(_) => return Err(self.not_open(ErrorReason::Unavailable, "no answer in time")),
        };
        Ok(Stream { outbound, inbound, in_flight: BTreeMap::new(), next_number: 1 })
    }

    fn not_open(&self, reason: ErrorReason, why: &str) -> Error {
        Error::not_admitted(reason, format!("no session with {}: {why}", self.address))
    }

    /// Nothing of it was sent.
    fn refuse_waiting(&mut self, error: &Error) {
        while let Ok(parcel) = self.parcels.try_recv() {
            self.waiting.push_back(parcel);
        }
        for parcel in self.waiting.drain(..) {
            let _ = parcel.reply.send(Err(error.clone()));
        }
    }

    /// Sends and receives until the stream ends.
    async fn converse(&mut self, mut stream: Stream) {
        let why = loop {
            let may_send = stream.may_send(self.window);
            if may_send && !self.waiting.is_empty() {
                self.send_next(&mut stream);
                continue;
            }
            let wake_at = stream.wake_at(may_send, self.attempt_timeout + GRACE);
            tokio::select! {
                biased;
                response = stream.inbound.message() => match response {
                    Ok(Some(response)) => {
                        self.hand_out(&mut stream, response);
                        // Its callers are awake now; what they ask next can share a request.
                        tokio::task::yield_now().await;
                    }
                    Ok(None) => break "the node closed it".to_owned(),
                    Err(status) => break error_of(&status).failure().message.clone(),
                },
                parcel = self.parcels.recv(), if may_send => match parcel {
                    Some(parcel) => self.waiting.push_back(parcel),
                    None => return,
                },
                () = tokio::time::sleep_until(wake_at), if !stream.in_flight.is_empty() => {
                    if stream.is_given_up(self.attempt_timeout + GRACE) {
                        break "a request was not answered in time".to_owned();
                    }
                }
            }
        };
        let message = format!("the session with {} broke: {why}", self.address);
        tracing::debug!(address = %self.address, in_flight = stream.in_flight.len(), %why, "a session broke");
        for parcel in stream.in_flight.into_values().flat_map(|request| request.parcels) {
            let _ = parcel.reply.send(Err(CommandError::of(ErrorReason::OutcomeUnknown, message.as_str()).into()));
        }
    }

    fn send_next(&mut self, stream: &mut Stream) {
        while self.waiting.len() < self.commands
            && let Ok(parcel) = self.parcels.try_recv()
        {
            self.waiting.push_back(parcel);
        }
        let mut parcels = next_request(&mut self.waiting, self.commands);
        // Of different epochs the oldest: a node that finds it too old says so, and nothing is done by mistake.
        let Some(route_epoch) = parcels.iter().map(|parcel| parcel.epoch).min() else { return };
        let commands = match parcels.as_mut_slice() {
            [parcel] => std::mem::take(&mut parcel.commands),
            several => several.iter_mut().flat_map(|parcel| std::mem::take(&mut parcel.commands)).collect(),
        };
        let counts = commands.len();
        let number = stream.next_number;
        let timeout_ms = u32::try_from(self.attempt_timeout.as_millis()).unwrap_or(u32::MAX);
        let request = wire::SessionRequest { number, commands, route_epoch, timeout_ms };
        tracing::trace!(address = %self.address, number, commands = counts, "a request of a session");
        stream.next_number += 1;
        // There is room: no more are in flight than the channel holds. A closed one is noticed by the reading side.
        let _ = stream.outbound.try_send(request);
        stream.in_flight.insert(number, InFlight { since: Instant::now(), parcels });
    }

    fn hand_out(&self, stream: &mut Stream, response: v1::SessionResponse) {
        self.learned.learn(&response.tokens, response.log_time_ms);
        let Some(request) = stream.in_flight.remove(&response.number) else {
            tracing::warn!(address = %self.address, number = response.number, "an answer to nothing that was asked");
            return;
        };
        let tokens: Arc<[v1::ConsistencyToken]> = response.tokens.into();
        let mut results = response.results.into_iter();
        for parcel in request.parcels {
            let results = results.by_ref().take(parcel.count).collect();
            let _ = parcel.reply.send(Ok(Answered { results, tokens: tokens.clone() }));
        }
    }
}

/// Why a session is not to be had. Whatever it is, nothing was sent; that the node is of another cluster is told as it is.
fn reason_of(status: &tonic::Status) -> ErrorReason {
    match CommandError::from(status).reason() {
        ErrorReason::WrongCluster => ErrorReason::WrongCluster,
        _ => ErrorReason::Unavailable,
    }
}

impl Stream {
    /// The window counts the requests that are not slow.
    fn may_send(&self, window: usize) -> bool {
        let now = Instant::now();
        let newest = self.in_flight.values().rev().take(window);
        let quick = newest.take_while(|request| request.since + SLOW_AFTER > now);
        self.in_flight.len() < MAX_IN_FLIGHT && quick.count() < window
    }

    /// When the window may open by itself, or the stream is to be given up.
    fn wake_at(&self, may_send: bool, give_up_after: Duration) -> Instant {
        let now = Instant::now();
        let oldest = self.in_flight.values().next().map_or(now, |request| request.since);
        let opens = self.in_flight.values().map(|request| request.since + SLOW_AFTER).find(|at| *at > now);
        let given_up = oldest + give_up_after;
        if may_send { given_up } else { opens.map_or(given_up, |opens| opens.min(given_up)) }
    }

    fn is_given_up(&self, give_up_after: Duration) -> bool {
        let oldest = self.in_flight.values().next();
        oldest.is_some_and(|request| request.since + give_up_after <= Instant::now())
    }
}
