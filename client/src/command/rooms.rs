//! Who is let into a campaign, and in which order.

use std::time::Duration;

use holdfast_proto::v1;

use super::{into_command, whole_seconds};

into_command!(JoinQueue, CommitDraw, Draw, Admit);

/// Gives a customer a ticket of a campaign's waiting room. Who has one keeps it: [`Success::ticket`](crate::Success::ticket) is its
/// number.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinQueue(pub(crate) v1::JoinQueue);

impl JoinQueue {
    /// That customer, as the reserve will name it.
    #[must_use]
    pub fn of(campaign_id: impl Into<String>, customer: impl Into<String>) -> Self {
        Self(v1::JoinQueue { campaign_id: campaign_id.into(), customer: customer.into() })
    }
}

/// Holds the lottery of a campaign to a seed, of which the BLAKE3 hash is told, before anybody joins.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitDraw(pub(crate) v1::CommitDraw);

impl CommitDraw {
    /// To the seed of that hash.
    #[must_use]
    pub fn of(campaign_id: impl Into<String>, commitment: [u8; 32]) -> Self {
        Self(v1::CommitDraw { campaign_id: campaign_id.into(), commitment: commitment.to_vec() })
    }
}

/// Tells the seed of a lottery, which gives its list an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Draw(pub(crate) v1::Draw);

impl Draw {
    /// With that seed.
    #[must_use]
    pub fn of(campaign_id: impl Into<String>, seed: [u8; 32]) -> Self {
        Self(v1::Draw { campaign_id: campaign_id.into(), seed: seed.to_vec() })
    }
}

/// Lets the next of a waiting room in. [`Client::admission`](crate::Client::admission) makes one with what the shards say.
#[derive(Clone, Debug, PartialEq)]
pub struct Admit(pub(crate) v1::Admit);

impl Admit {
    /// So many at most, of a campaign that has so many units left.
    #[must_use]
    pub fn of(campaign_id: impl Into<String>, tickets: u32, left: u64) -> Self {
        Self(v1::Admit { campaign_id: campaign_id.into(), tickets, left, ..v1::Admit::default() })
    }

    /// As it is sent.
    #[must_use]
    pub fn into_operation(self) -> v1::command::Operation {
        v1::command::Operation::Admit(self.0)
    }

    /// How many tokens were spent when what is left was read, and which of them the room does not know to be spent.
    #[must_use]
    pub fn spent(mut self, spent: u32, newly_spent: Vec<u32>) -> Self {
        (self.0.spent, self.0.newly_spent) = (spent, newly_spent);
        self
    }

    /// When that was read: an instant of cluster time before it, by every node's clock. Who was let in until then and has not come
    /// makes room for the next; if not given, nobody does.
    #[must_use]
    pub fn as_of_ms(mut self, as_of_ms: u64) -> Self {
        self.0.as_of_ms = as_of_ms;
        self
    }

    /// For how long the tokens are worth something; 120 s if not given.
    #[must_use]
    pub fn valid_for(mut self, duration: Duration) -> Self {
        self.0.valid_s = whole_seconds(duration);
        self
    }
}
