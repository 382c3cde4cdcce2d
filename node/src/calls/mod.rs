//! Calls of orders' steps: the node that leads a shard asks the endpoints, again and again while it may, and tells the shard what came
//! of it.
//!
//! Nothing is remembered here but when to ask again, and what an endpoint answered last: whoever leads the shard next goes on where
//! the shard's record stands. So an endpoint may be asked twice for the same thing, each time under the same idempotency key. Promises
//! that it is asked for no more than [`MAX_OF_ENDPOINT`] orders at a time, and left alone for a while when it does not answer.

mod breaker;
mod request;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use holdfast_inventory::commands::{ReportStep, StartOrder, StepReport};
use holdfast_inventory::{CallKey, Compensation, EndpointId, Operation, StepCall, StepKind};
use holdfast_proto::v1::CommandError;
use holdfast_raft::meta::{EndpointSpec, Fallback, Meta};
use holdfast_world::GrpcChannel;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

pub(crate) use breaker::Breakers;
use request::Answered;

use crate::core::Core;
use crate::from_proto::unknown_endpoint;
use crate::metrics;
use crate::orders::carry_to_shard;
use crate::shard::ShardHandle;

/// Between two looks at what there is to call.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Calls under way at once.
const MAX_AT_ONCE: usize = 256;
/// Calls of one endpoint under way at once.
const MAX_OF_ENDPOINT: usize = 64;
/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// How long it may take to be sure that this node leads the shard.
const SURE_WITHIN: Duration = Duration::from_secs(1);
/// How long the shard may take to note what came of a call.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// The pause after the first attempt that came to nothing; twice as long after each further one.
const FIRST_PAUSE_MS: u64 = 100;
/// The longest pause.
const LONGEST_PAUSE_MS: u64 = 10_000;
/// How many pauses are remembered.
const REMEMBERED: usize = 10_000;

type Specs = BTreeMap<String, EndpointSpec>;

/// The first endpoint that an order names and of which the cluster's records here do not know, as the error at its step: nobody would call
/// it, and the step would only run out of time.
pub(crate) fn find_unknown_endpoint(core: &Core, order: &StartOrder) -> Option<CommandError> {
    let (at, field, id) = called(order).find(|(_, _, id)| {
        let is_known = |meta: &Meta| meta.endpoints().contains_key(id.as_str());
        core.meta().ok().and_then(|meta| meta.read_meta(is_known)) != Some(true)
    })?;
    Some(unknown_endpoint(format!("steps[{at}].{field}"), id))
}

/// The endpoints that an order names: of which step, in which field.
fn called(order: &StartOrder) -> impl Iterator<Item = (usize, &'static str, &EndpointId)> {
    order.steps.iter().enumerate().flat_map(|(at, step)| {
        let forth = match &step.kind {
            StepKind::Call { endpoint } => Some((at, "endpoint", endpoint)),
            StepKind::Await => None,
        };
        let back = match &step.compensation {
            Compensation::Call { endpoint } => Some((at, "compensation_endpoint", endpoint)),
            Compensation::None | Compensation::Await => None,
        };
        forth.into_iter().chain(back)
    })
}

/// Until the node stops.
pub(crate) async fn make_calls(core: Arc<Core>, mut stopping: watch::Receiver<bool>) {
    let mut caller = Caller::new(core);
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            Some(ended) = caller.under_way.next() => caller.note(ended),
            _ = looks.tick() => caller.look(),
        }
    }
}

/// What became of a call.
struct Ended {
    key: CallKey,
    endpoint: EndpointId,
    answered: Answered,
    /// Attempts that came to nothing, this one too.
    attempts: u32,
    /// The step's time was over before that which the endpoint has to answer.
    is_cut_short: bool,
    /// The shard has noted it.
    is_told: bool,
}

struct Caller {
    core: Arc<Core>,
    under_way: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// What is being called for.
    busy: BTreeSet<CallKey>,
    /// How many calls of an endpoint are under way.
    of_endpoint: BTreeMap<EndpointId, usize>,
    /// When it may be called for again.
    pauses: BTreeMap<CallKey, Instant>,
    /// By address.
    channels: BTreeMap<String, GrpcChannel>,
    /// What each endpoint answered last that has that to fall back on.
    last_answers: BTreeMap<EndpointId, Vec<u8>>,
}

impl Caller {
    fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            under_way: FuturesUnordered::new(),
            busy: BTreeSet::new(),
            of_endpoint: BTreeMap::new(),
            pauses: BTreeMap::new(),
            channels: BTreeMap::new(),
            last_answers: BTreeMap::new(),
        }
    }

    /// Begins what there is to call.
    fn look(&mut self) {
        let shards = self.core.shards();
        let mut calling = shards.iter().filter(|shard| {
            shard.group().is_leader()
                && shard.group().read_shard(holdfast_inventory::Inventory::is_calling) == Some(true)
        });
        let Some(first) = calling.next() else { return };
        let specs = self.core.meta().ok().and_then(|meta| meta.read_meta(|meta| meta.endpoints().clone()));
        let Some(specs) = specs else { return };
        self.forget(&specs);
        for shard in std::iter::once(first).chain(calling) {
            for call in self.wanted(shard, &specs) {
                self.begin(shard.shard(), call, &specs);
            }
        }
    }

    /// Lets go of what is over, or of no endpoint that there is.
    fn forget(&mut self, specs: &Specs) {
        let now = Instant::now();
        self.pauses.retain(|_, until| *until > now);
        self.last_answers.retain(|id, _| specs.contains_key(id.as_str()));
        self.core.breakers.keep_only(|id| specs.contains_key(id.as_str()));
        let used: BTreeSet<String> = specs.values().filter_map(|spec| Some(spec.address_and_path()?.0)).collect();
        self.channels.retain(|address, _| used.contains(address));
    }

    fn wanted(&self, shard: &ShardHandle, specs: &Specs) -> Vec<StepCall> {
        let now = Instant::now();
        let is_wanted = |key: &CallKey, endpoint: &EndpointId| {
            let Some(spec) = specs.get(endpoint.as_str()) else { return false };
            !self.busy.contains(key)
                && !self.pauses.contains_key(key)
                && self.has_room(endpoint)
                && (self.core.breakers.admits(endpoint, now) || self.fallback(key, endpoint, spec).is_some())
        };
        let room = MAX_AT_ONCE.saturating_sub(self.under_way.len());
        shard.group().read_shard(|shard| shard.calls_to_make(room, is_wanted)).unwrap_or_default()
    }

    fn has_room(&self, endpoint: &EndpointId) -> bool {
        self.of_endpoint.get(endpoint).is_none_or(|calls| *calls < MAX_OF_ENDPOINT)
    }

    /// What stands in for an answer. Nothing does for taking a step back: that is done or not.
    fn fallback(&self, key: &CallKey, endpoint: &EndpointId, spec: &EndpointSpec) -> Option<Vec<u8>> {
        match &spec.fallback {
            _ if key.is_compensation => None,
            Fallback::None => None,
            Fallback::Answer(answer) => Some(answer.clone()),
            Fallback::Last => self.last_answers.get(endpoint).cloned(),
        }
    }

    fn begin(&mut self, shard: u32, call: StepCall, specs: &Specs) {
        let now_ms = self.core.log_time_ms();
        let Some(spec) = specs.get(call.endpoint.as_str()) else { return };
        let left = Duration::from_millis(call.deadline.0.saturating_sub(now_ms));
        if !self.has_room(&call.endpoint) || left.is_zero() {
            return;
        }
        let fallback = self.fallback(&call.key, &call.endpoint, spec);
        let Some((channel, path)) = self.channel(&call.endpoint, spec) else { return };
        let attempt = if self.core.breakers.begin(&call.endpoint, Instant::now()) {
            Attempt::Ask { channel, path, left, timeout: Duration::from_millis(spec.timeout_ms), fallback }
        } else if let Some(answer) = fallback {
            Attempt::FallBack { answer }
        } else {
            return;
        };
        self.busy.insert(call.key.clone());
        *self.of_endpoint.entry(call.endpoint.clone()).or_default() += 1;
        self.under_way.push(Box::pin(make(Arc::clone(&self.core), shard, call, attempt)));
    }

    fn channel(&mut self, endpoint: &EndpointId, spec: &EndpointSpec) -> Option<(GrpcChannel, String)> {
        let (address, path) = spec.address_and_path()?;
        if let Some(channel) = self.channels.get(&address) {
            return Some((channel.clone(), path));
        }
        match self.core.world.network.outside(&address, CONNECT_WITHIN) {
            Ok(channel) => {
                self.channels.insert(address, channel.clone());
                Some((channel, path))
            }
            Err(error) => {
                tracing::warn!(%endpoint, %error, "an endpoint cannot be called");
                None
            }
        }
    }

    fn note(&mut self, ended: Ended) {
        let Ended { key, endpoint, answered, attempts, is_cut_short, is_told } = ended;
        self.busy.remove(&key);
        if let Some(calls) = self.of_endpoint.get_mut(&endpoint) {
            *calls -= 1;
            if *calls == 0 {
                self.of_endpoint.remove(&endpoint);
            }
        }
        let spec = self
            .core
            .meta()
            .ok()
            .and_then(|meta| meta.read_meta(|meta| meta.endpoints().get(endpoint.as_str()).cloned()));
        metrics::called(&endpoint, answered.name());
        if let Some(spec) = spec.flatten() {
            match &answered {
                // It may have answered in the time that it has.
                Answered::Nothing { .. } if is_cut_short => self.core.breakers.abandoned(&endpoint, Instant::now()),
                Answered::Nothing { .. } => self.core.breakers.failed(&endpoint, &spec, Instant::now()),
                Answered::Refused { .. } => self.core.breakers.succeeded(&endpoint),
                Answered::Done { answer } => {
                    self.core.breakers.succeeded(&endpoint);
                    if spec.fallback == Fallback::Last && !key.is_compensation {
                        self.last_answers.insert(endpoint, answer.clone());
                    }
                }
                Answered::Withdrawn => self.core.breakers.abandoned(&endpoint, Instant::now()),
                Answered::FellBack => {}
            }
        }
        let is_over = is_told && !matches!(answered, Answered::Nothing { .. });
        if !is_over && self.pauses.len() < REMEMBERED {
            self.pauses.insert(key, Instant::now() + self.pause(attempts));
        }
    }

    /// The pause after so many attempts: half of it is left to chance, so that those who failed together do not come back together.
    fn pause(&self, attempts: u32) -> Duration {
        let longest = FIRST_PAUSE_MS.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST_PAUSE_MS);
        let chance = (self.core.world.entropy.next_u128() % u128::from(longest / 2 + 1)) as u64;
        Duration::from_millis(longest / 2 + chance)
    }
}

/// What is done for a step now.
enum Attempt {
    /// Its endpoint is asked.
    Ask {
        channel: GrpcChannel,
        path: String,
        /// Until the step's time is over.
        left: Duration,
        /// How long the endpoint may take.
        timeout: Duration,
        /// What stands in for an answer of the last attempt.
        fallback: Option<Vec<u8>>,
    },
    /// Its endpoint is left alone: this stands in for its answer.
    FallBack { answer: Vec<u8> },
}

/// Whether the shard still wants the call, by the state of one who leads it for sure: a node that has just been made its leader may not
/// know yet what was done, and one that leads no more would ask in vain.
async fn is_still_wanted(core: &Core, shard: u32, call: &StepCall) -> bool {
    let handle = core.routes().and_then(|routes| core.shard(shard, &routes));
    let Ok(handle) = handle else { return false };
    if !matches!(timeout(SURE_WITHIN, handle.group().read_index()).await, Ok(Ok(_))) {
        return false;
    }
    let wanted = handle.group().read_shard(|shard| shard.call_to_make(call.key.order)).flatten();
    wanted.is_some_and(|wanted| wanted.key == call.key && wanted.attempts == call.attempts)
}

/// Makes an attempt, and tells the shard what came of it.
async fn make(core: Arc<Core>, shard: u32, call: StepCall, attempt: Attempt) -> Ended {
    let attempts = call.attempts + 1;
    let is_asked = matches!(attempt, Attempt::Ask { .. });
    let is_cut_short = matches!(attempt, Attempt::Ask { left, timeout, .. } if left < timeout);
    if is_asked && !is_still_wanted(&core, shard, &call).await {
        let answered = Answered::Withdrawn;
        return Ended { key: call.key, endpoint: call.endpoint, answered, attempts, is_cut_short, is_told: false };
    }
    let (answered, report) = match attempt {
        Attempt::FallBack { answer } => (Answered::FellBack, StepReport::Done { answer, is_fallback: true }),
        Attempt::Ask { channel, path, left, timeout, fallback } => {
            let answered = request::ask(channel, &path, &call, left.min(timeout)).await;
            let report = match (&answered, fallback) {
                (Answered::Done { answer }, _) => StepReport::Done { answer: answer.clone(), is_fallback: false },
                (Answered::Refused { why }, _) => StepReport::Failed { why: why.clone() },
                (Answered::Nothing { .. }, Some(answer)) if attempts >= call.max_attempts => {
                    StepReport::Done { answer, is_fallback: true }
                }
                (Answered::Nothing { why }, _) => StepReport::Retry { why: why.clone() },
                (Answered::FellBack | Answered::Withdrawn, _) => unreachable!("it was asked"),
            };
            (answered, report)
        }
    };
    let CallKey { order, step, is_compensation } = call.key.clone();
    let report = ReportStep { order, step, is_compensation, report, attempt: attempts };
    let operation = Operation::ReportStep(Box::new(report));
    let told = carry_to_shard(&core, shard, operation, None, Instant::now() + TOLD_WITHIN).await;
    let is_told = match told {
        // Refused: the step is over, by its time or by somebody.
        Ok(Ok(_) | Err(_)) => true,
        Err(why) => {
            tracing::debug!(order = %call.key.order, why, "what came of a call could not be told; it is made again");
            false
        }
    };
    Ended { key: call.key, endpoint: call.endpoint, answered, attempts, is_cut_short, is_told }
}
