//! The actor of a shard: gathers what has arrived into one log entry, proposes it, tells the callers.
//!
//! An entry closes when nothing more waits, or when it is full; no timer is waited for, so that an idle shard proposes at
//! once and a busy one batches by itself. At most `entries_in_flight` entries are on their way; until one comes back,
//! commands wait in the mailbox, and when that is full they are refused.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use holdfast_inventory::commands::{PutCampaign, PutChannel, PutLocation, PutSharedLimit, SetLimits};
use holdfast_inventory::{BodyHash, Command, CommandId, Entry, Inventory, LogTime, Operation, SharedLimit};
use holdfast_mutation::{Mutation, is_on};
use holdfast_raft::encode::{EntryBuilder, encode_command};
use holdfast_raft::host::{Group, ProposeError};
use holdfast_raft::stages::{Passage, Stage};
use holdfast_raft::types::{Payload, Reply};
use holdfast_world::World;
use kameo::Actor;
use kameo::actor::{ActorRef, WeakActorRef};
use kameo::error::Infallible;
use kameo::mailbox::{MailboxReceiver, Signal};
use kameo::message::{Context, Message};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::batch::Batch;
use super::log_time::LogClock;
use super::spans::Way;
use super::submission::{Caller, Decided, NotDecided, Submit};
use super::{Control, KnownCampaign, KnownChannel, ShardRecords};
use crate::config::NodeLimits;
use crate::metrics::ShardMetrics;

/// How long an idle shard waits, at most, before it looks again at what is due and at the locations.
pub(super) const IDLE_LOOK: Duration = Duration::from_millis(500);

/// Most channels, and most campaigns, that one entry tells the shard.
const CHANNELS_AT_ONCE: usize = 100;
/// Most limits over several items that one entry tells the shard.
const SHARED_LIMITS_AT_ONCE: usize = 50;

/// What an actor is made of; made anew at each restart.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(super) shard: u32,
    pub(super) group: Group,
    pub(super) world: World,
    pub(super) limits: NodeLimits,
    pub(super) control: mpsc::Receiver<Control>,
    pub(super) records: Arc<ShardRecords>,
}

/// See the module.
pub(crate) struct ShardActor {
    shard: u32,
    group: Group,
    world: World,
    limits: NodeLimits,
    control: mpsc::Receiver<Control>,
    batch: Batch,
    in_flight: FuturesUnordered<BoxFuture<'static, InFlight>>,
    log_clock: LogClock,
    records: Arc<ShardRecords>,
    /// The term in which these records were seen to be known to the shard.
    told_in_term: Option<u64>,
    /// The term in which these records' limits were looked at, and proposed where the shard has others.
    limited_in_term: Option<u64>,
    /// Nothing is proposed before this that no caller asked for: what was last proposed so came to nothing.
    own_proposals_from: Instant,
    is_stopping: bool,
    metrics: ShardMetrics,
}

/// An entry that came back.
struct InFlight {
    callers: Vec<Caller>,
    commands: usize,
    proposed_at: Instant,
    /// Where a caller's trace is kept.
    passage: Option<Arc<Passage>>,
    outcome: Result<Reply, ProposeError>,
}

impl Actor for ShardActor {
    type Args = Parts;
    type Error = Infallible;

    fn name() -> &'static str {
        "shard"
    }

    async fn on_start(parts: Parts, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(Self {
            shard: parts.shard,
            metrics: ShardMetrics::new(parts.shard),
            log_clock: LogClock::new(Arc::clone(&parts.world.clock)),
            group: parts.group,
            world: parts.world,
            limits: parts.limits,
            control: parts.control,
            batch: Batch::default(),
            in_flight: FuturesUnordered::new(),
            records: parts.records,
            told_in_term: None,
            limited_in_term: None,
            own_proposals_from: Instant::now(),
            is_stopping: false,
        })
    }

    /// Where a batch closes: when nothing more waits in the mailbox.
    async fn next(
        &mut self,
        _: WeakActorRef<Self>,
        mailbox: &mut MailboxReceiver<Self>,
    ) -> Result<Option<Signal<Self>>, Infallible> {
        loop {
            while let Ok(control) = self.control.try_recv() {
                self.obey(control);
            }
            while let Some(Some(done)) = self.in_flight.next().now_or_never() {
                self.complete(done);
            }
            if self.is_stopping {
                match self.in_flight.next().await {
                    Some(done) => self.complete(done),
                    None => return Ok(None),
                }
                continue;
            }
            let may_propose = self.in_flight.len() < self.limits.entries_in_flight;
            if may_propose {
                if let Ok(signal) = mailbox.try_recv() {
                    return Ok(Some(signal));
                }
                if !self.batch.is_empty() {
                    self.propose_batch().await;
                    continue;
                }
                if self.in_flight.is_empty() && self.propose_what_is_due().await {
                    continue;
                }
            }
            let look_at = self.look_at();
            tokio::select! {
                biased;
                control = self.control.recv() => match control {
                    Some(control) => self.obey(control),
                    None => self.is_stopping = true,
                },
                Some(done) = self.in_flight.next(), if !self.in_flight.is_empty() => self.complete(done),
                signal = mailbox.recv(), if may_propose => return Ok(signal),
                () = sleep_until(look_at) => {}
            }
        }
    }
}

impl Message<Submit> for ShardActor {
    type Reply = ();

    async fn handle(&mut self, message: Submit, _: &mut Context<Self, ()>) {
        let now = Instant::now();
        for part in message.parts {
            if part.deadline <= now {
                part.caller.answer(Err(NotDecided::overloaded()));
                continue;
            }
            if self.batch.is_full_for(&part, &self.limits) {
                self.propose_batch().await;
            }
            self.batch.push(part);
        }
    }
}

impl ShardActor {
    fn obey(&mut self, control: Control) {
        match control {
            Control::Records(records) => {
                self.records = records;
                (self.told_in_term, self.limited_in_term) = (None, None);
            }
            Control::Stop => {
                self.is_stopping = true;
                self.batch.refuse(&NotDecided::Unavailable { why: "the node is stopping" });
            }
            #[cfg(test)]
            Control::Panic => panic!("a test asked for it"),
        }
    }

    /// Log time now; asks the shard only where a term starts or nothing was stamped yet.
    fn log_time(&mut self) -> LogTime {
        let applied = self.group.read_shard(|shard| shard.now()).unwrap_or_default();
        self.log_clock.now(self.group.term(), applied)
    }

    async fn propose_batch(&mut self) {
        if !self.group.is_leader() {
            self.batch.refuse(&NotDecided::NotLeader { leader: self.group.leader() });
            return;
        }
        let time = self.log_time();
        self.propose_limits(time).await;
        let is_traced = self.world.tracer.is_on() && self.batch.is_traced();
        let (mut payload, callers) = self.batch.close(time, self.group.schema(), self.group.stages());
        payload.passage = is_traced.then(Arc::default);
        self.propose(payload, callers).await;
    }

    /// Puts an entry in line behind those before it.
    async fn propose(&mut self, payload: Payload, callers: Vec<Caller>) {
        let commands = payload.decoded.as_ref().map_or(0, |entry| entry.commands.len());
        self.metrics.entry(payload.bytes.len(), commands);
        let (proposed_at, passage) = (Instant::now(), payload.passage.clone());
        match self.group.propose(payload).await {
            Ok(proposal) => {
                let done = async move {
                    InFlight { callers, commands, proposed_at, passage, outcome: proposal.applied().await }
                };
                self.in_flight.push(done.boxed());
            }
            Err(error) => self.came_to_nothing(callers, &error),
        }
    }

    /// Tells the callers of an entry that it was not applied, or that nobody knows. One that no caller asked for is proposed
    /// again, but later: a leader that hands over, or has lost its majority, refuses at once and still says that it leads.
    fn came_to_nothing(&mut self, callers: Vec<Caller>, error: &ProposeError) {
        if callers.is_empty() {
            self.own_proposals_from = Instant::now() + IDLE_LOOK;
            // The limits may have been in it.
            self.limited_in_term = None;
        }
        refuse(callers, &not_decided(error));
    }

    /// Proposes the limits that the cluster was founded with, where the shard does not have them: before any command of a
    /// caller, so that all are decided under the same ones. Says whether it did.
    async fn propose_limits(&mut self, now: LogTime) -> bool {
        let term = self.group.term();
        if self.limited_in_term == Some(term) || self.records.limits.is_none() {
            return false;
        }
        self.limited_in_term = Some(term);
        let records = Arc::clone(&self.records);
        let unknown = self.group.read_shard(|shard| records.unknown_limits(shard).cloned()).flatten();
        let Some(limits) = unknown else { return false };
        let payload = self.entry_of(vec![Operation::SetLimits(Box::new(SetLimits { limits }))], now);
        self.propose(payload, Vec::new()).await;
        true
    }

    /// Proposes what no caller asked for, where this node leads: limits, locations and channels the shard does not know, or a tick when
    /// a hold or a date has fallen due. Says whether it did.
    async fn propose_what_is_due(&mut self) -> bool {
        if Instant::now() < self.own_proposals_from || !self.group.is_leader() {
            return false;
        }
        let now = self.log_time();
        let term = self.group.term();
        if self.told_in_term != Some(term) {
            if self.propose_limits(now).await {
                return true;
            }
            let unknown = self.unknown_records();
            if !unknown.is_empty() {
                let payload = self.entry_of(unknown, now);
                self.propose(payload, Vec::new()).await;
                return true;
            }
            self.told_in_term = Some(term);
        }
        if self.next_due().is_some_and(|due| due <= now) {
            let entry = Entry { time: now, commands: Vec::new() };
            let bytes = EntryBuilder::new(now, self.group.schema()).finish();
            self.propose(Payload::decoded(bytes, entry), Vec::new()).await;
            return true;
        }
        false
    }

    fn next_due(&self) -> Option<LogTime> {
        self.group.read_shard(|shard| shard.next_due()).flatten()
    }

    /// When an idle actor looks again.
    fn look_at(&mut self) -> Instant {
        let now = Instant::now();
        if !self.in_flight.is_empty() || !self.group.is_leader() {
            return now + IDLE_LOOK;
        }
        let log_time = self.log_time();
        let wait = self.next_due().map_or(IDLE_LOOK, |due| Duration::from_millis(due.0.saturating_sub(log_time.0)));
        (now + wait.clamp(Duration::from_millis(1), IDLE_LOOK)).max(self.own_proposals_from)
    }

    fn unknown_locations(&self) -> Vec<Operation> {
        let records = Arc::clone(&self.records);
        let unknown = self.group.read_shard(|shard| records.unknown_locations(shard).cloned().collect::<Vec<_>>());
        let put =
            |(location, spec)| Operation::PutLocation(Box::new(PutLocation { location, spec, if_revision: None }));
        unknown.unwrap_or_default().into_iter().map(put).collect()
    }

    /// The locations that the shard lacks, then the channels, which name them, and the campaigns; as many of those as one entry may well hold.
    /// The locations that the shard lacks, then the channels, which name them, then limits; as many of those as one entry may well hold.
    fn unknown_records(&self) -> Vec<Operation> {
        let mut operations = self.unknown_locations();
        let records = Arc::clone(&self.records);
        let channels = |shard: &Inventory| records.unknown_channels(shard).take(CHANNELS_AT_ONCE).cloned().collect();
        let channels: Vec<KnownChannel> = self.group.read_shard(channels).unwrap_or_default();
        operations.extend(channels.into_iter().map(|KnownChannel { id, spec, revision }| {
            Operation::PutChannel(Box::new(PutChannel { channel: id, spec, revision }))
        }));
        let campaigns = |shard: &Inventory| records.unknown_campaigns(shard).take(CHANNELS_AT_ONCE).collect();
        let campaigns: Vec<KnownCampaign> = self.group.read_shard(campaigns).unwrap_or_default();
        operations.extend(campaigns.into_iter().map(|KnownCampaign { id, spec, revision }| {
            Operation::PutCampaign(Box::new(PutCampaign { campaign: id, spec, revision }))
        }));

        let records = Arc::clone(&self.records);
        let limits = |shard: &Inventory| {
            records.unknown_shared_limits(shard).take(SHARED_LIMITS_AT_ONCE).cloned().collect::<Vec<_>>()
        };
        let limits = self.group.read_shard(limits).unwrap_or_default();
        operations.extend(limits.into_iter().map(|SharedLimit { id, spec, revision }| {
            Operation::PutSharedLimit(Box::new(PutSharedLimit { limit: id, spec, revision }))
        }));
        operations
    }

    /// An entry of commands that no caller asked for.
    fn entry_of(&self, operations: Vec<Operation>, now: LogTime) -> Payload {
        let mut builder = EntryBuilder::new(now, self.group.schema());
        let mut commands = Vec::with_capacity(operations.len());
        for operation in operations {
            let mut command = Command {
                id: CommandId(self.world.entropy.next_u128()),
                minted_at: now,
                keyed: false,
                body: BodyHash::default(),
                linked: false,
                cause: None,
                operation,
            };
            builder.push(&encode_command(&mut command));
            commands.push(command);
        }
        Payload::decoded(builder.finish(), Entry { time: now, commands })
    }

    fn complete(&mut self, done: InFlight) {
        let took = done.proposed_at.elapsed();
        self.metrics.applied(took);
        self.group.stages().note(Stage::Commit, took);
        if let Some(passage) = done.passage.as_deref() {
            self.tell_traces(&done, passage);
        }
        match done.outcome {
            Ok(Reply::Shard { index, log_time, answers }) => {
                let mut answers = answers;
                if is_on(Mutation::AnswersSwapped) {
                    answers.reverse();
                }
                let mut answers = answers.into_iter();
                for caller in done.callers {
                    let answers = answers.by_ref().take(caller.commands()).collect();
                    caller.answer(Ok(Decided { index, log_time, answers }));
                }
            }
            Ok(Reply::Nothing | Reply::Meta { .. }) => {
                tracing::error!(group = %self.group.id(), "a shard's entry was answered as something else");
                refuse(done.callers, &NotDecided::unknown("the shard gave no answers"));
            }
            Err(error) => self.came_to_nothing(done.callers, &error),
        }
    }
}

impl ShardActor {
    /// Tells each trace that is kept of the way of its commands.
    fn tell_traces(&self, done: &InFlight, passage: &Passage) {
        let way = Way {
            shard: self.shard,
            index: if let Ok(Reply::Shard { index, .. }) = &done.outcome { Some(*index) } else { None },
            commands: done.commands,
            proposed_at: done.proposed_at,
            ended_at: Instant::now(),
            passage,
            failure: done.outcome.as_ref().err().map(ToString::to_string),
        };
        for (parent, submitted_at) in done.callers.iter().filter_map(Caller::trace) {
            way.tell(&self.world.tracer, parent, submitted_at);
        }
    }
}

fn refuse(callers: Vec<Caller>, why: &NotDecided) {
    for caller in callers {
        caller.answer(Err(why.clone()));
    }
}

fn not_decided(error: &ProposeError) -> NotDecided {
    match error {
        ProposeError::NotLeader { leader } => NotDecided::NotLeader { leader: *leader },
        ProposeError::Unknown { why } => NotDecided::OutcomeUnknown { why: why.clone() },
        ProposeError::Stopped { .. } => NotDecided::Unavailable { why: "the shard's group has stopped on this node" },
    }
}
