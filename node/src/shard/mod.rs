//! A shard as the services see it: commands go in, answers come out.
//!
//! Responsible for admission (bounded, refused at once when full), for joining what waits into log entries, for stamping
//! them with log time, and for telling each caller what became of its commands. Promises that commands of one submission are
//! decided in order, that a linked chain lies in one entry, and that every submission is answered: decided, not admitted, or
//! outcome unknown. Leaves replication to `raft`, and the rules to `inventory`.

mod actor;
mod batch;
mod gate;
mod log_time;
mod spans;
mod submission;
mod supervisor;

use std::sync::{Arc, PoisonError, RwLock};

use holdfast_inventory::{
    Campaign, CampaignId, CampaignPhase, CampaignSpec, ChannelId, ChannelSpec, Inventory, Limits as ShardLimits,
    LocationId, LocationSpec, Revision, SharedLimit,
};
use holdfast_raft::host::Group;
use kameo::actor::ActorRef;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub(crate) use actor::ShardActor;
pub(crate) use gate::Gate;
pub(crate) use submission::{Decided, EncodedCommand, NotDecided, Submitted};
pub(crate) use supervisor::{Shards, start_shard};

use crate::config::NodeLimits;
use submission::Submit;

/// What every shard must know of the cluster's own records.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ShardRecords {
    /// The bounds that the cluster was founded with; none: nothing is known of them yet.
    pub(crate) limits: Option<ShardLimits>,
    /// In the order of their ids.
    pub(crate) locations: Vec<(LocationId, LocationSpec)>,
    /// In the order of their ids.
    pub(crate) channels: Vec<KnownChannel>,
    /// In the order of their ids.
    pub(crate) campaigns: Vec<KnownCampaign>,
    /// Those over several items, in the order of their ids.
    pub(crate) shared_limits: Vec<SharedLimit>,
    /// Of the records.
    pub(crate) revision: Revision,
}

/// A campaign as the cluster's own records have it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KnownCampaign {
    pub(crate) id: CampaignId,
    pub(crate) spec: CampaignSpec,
    pub(crate) revision: Revision,
}

/// A channel as the cluster's own records have it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KnownChannel {
    pub(crate) id: ChannelId,
    pub(crate) spec: ChannelSpec,
    pub(crate) revision: Revision,
}

impl ShardRecords {
    /// What the shard lacks of its limits.
    pub(crate) fn unknown_limits(&self, shard: &Inventory) -> Option<&ShardLimits> {
        self.limits.as_ref().filter(|limits| shard.limits() != *limits)
    }

    /// The channels that the shard does not know, or knows as they were earlier.
    pub(crate) fn unknown_channels(&self, shard: &Inventory) -> impl Iterator<Item = &KnownChannel> {
        let is_known =
            |known: &KnownChannel| shard.channel(&known.id).is_some_and(|channel| channel.revision >= known.revision);
        self.channels.iter().filter(move |known| !is_known(known))
    }

    /// The campaigns that the shard does not know, or knows as they were earlier; before them those that made room for others since,
    /// which are closed.
    pub(crate) fn unknown_campaigns(&self, shard: &Inventory) -> impl Iterator<Item = KnownCampaign> {
        let is_gone = |known: &Campaign| {
            let is_newer = self.revision > known.revision;
            known.phase != CampaignPhase::Closed && is_newer && !self.campaigns.iter().any(|it| it.id == known.id)
        };
        let gone = shard.campaigns().filter(is_gone).map(|known| KnownCampaign {
            id: known.id,
            spec: CampaignSpec { closed: true, ..known.spec },
            revision: self.revision,
        });
        let is_known = |known: &&KnownCampaign| {
            shard.campaign(&known.id).is_some_and(|campaign| campaign.revision >= known.revision)
        };
        let unknown = self.campaigns.iter().filter(|known| !is_known(known)).cloned();
        gone.chain(unknown).collect::<Vec<_>>().into_iter()
    }

    /// The limits over several items that the shard does not know, or knows as they were earlier.
    pub(crate) fn unknown_shared_limits(&self, shard: &Inventory) -> impl Iterator<Item = &SharedLimit> {
        let is_known =
            |known: &SharedLimit| shard.shared_limit(&known.id).is_some_and(|limit| limit.revision >= known.revision);
        self.shared_limits.iter().filter(move |known| !is_known(known))
    }

    /// The locations that the shard does not know, or knows otherwise.
    pub(crate) fn unknown_locations(&self, shard: &Inventory) -> impl Iterator<Item = &(LocationId, LocationSpec)> {
        self.locations.iter().filter(|(id, spec)| shard.location(id).is_none_or(|known| known.spec != *spec))
    }
}

/// What overtakes the commands that wait.
#[derive(Debug)]
pub(crate) enum Control {
    /// What the shard must know: its leader sends it what it does not.
    Records(Arc<ShardRecords>),
    /// Take nothing more, finish what is proposed, end.
    Stop,
    /// For tests: panic where the actor stands.
    #[cfg(test)]
    Panic,
}

/// Where the present actor of a shard is reached; another one after a restart.
#[derive(Debug)]
struct Post {
    actor: ActorRef<ShardActor>,
    control: mpsc::Sender<Control>,
}

/// A shard of this node: submits commands to it. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ShardHandle {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shard: u32,
    group: Group,
    gate: Arc<Gate>,
    limits: NodeLimits,
    post: RwLock<Post>,
}

impl ShardHandle {
    /// The shard's number.
    pub(crate) fn shard(&self) -> u32 {
        self.inner.shard
    }

    /// The shard's group.
    pub(crate) fn group(&self) -> &Group {
        &self.inner.group
    }

    /// Commands that wait, and how many may.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.inner.gate.waiting_commands(), self.inner.limits.waiting_commands)
    }

    /// Hands commands to the shard, to be decided in order. A chain must lie in `commands` whole. What is not proposed by
    /// `deadline` never is.
    ///
    /// # Errors
    ///
    /// Nothing was admitted: this node does not lead the shard, or as much waits as may.
    pub(crate) fn submit(&self, commands: Vec<EncodedCommand>, deadline: Instant) -> Result<Submitted, NotDecided> {
        if !self.inner.group.is_leader() {
            return Err(NotDecided::NotLeader { leader: self.inner.group.leader() });
        }
        let (parts, submitted) = batch::split(commands, deadline, &self.inner.limits, &self.inner.gate)?;
        let actor = self.inner.post.read().unwrap_or_else(PoisonError::into_inner).actor.clone();
        match actor.tell(Submit { parts }).try_send() {
            Ok(()) => Ok(submitted),
            Err(kameo::error::SendError::MailboxFull(_)) => Err(NotDecided::overloaded()),
            Err(_) => Err(NotDecided::Unavailable { why: "the shard's actor is being restarted" }),
        }
    }

    /// Tells the shard of the cluster's own records. Dropped where many such messages wait: it is told again.
    pub(crate) fn tell_records(&self, records: Arc<ShardRecords>) {
        let control = self.inner.post.read().unwrap_or_else(PoisonError::into_inner).control.clone();
        let _told_again_later = control.try_send(Control::Records(records));
    }

    /// Ends the actor when what it proposed is done.
    pub(crate) async fn stop(&self) {
        let (actor, control) = {
            let post = self.inner.post.read().unwrap_or_else(PoisonError::into_inner);
            (post.actor.clone(), post.control.clone())
        };
        if control.send(Control::Stop).await.is_ok() {
            actor.wait_for_shutdown().await;
        }
    }

    #[cfg(test)]
    async fn panic_actor(&self) {
        let control = self.inner.post.read().unwrap_or_else(PoisonError::into_inner).control.clone();
        control.send(Control::Panic).await.expect("the actor lives");
    }
}

#[cfg(test)]
mod tests;
