//! Who is let into a flash sale, and in which order: a queue, or a lottery whose outcome anybody can compute anew.

use serde::{Deserialize, Serialize};

use crate::{CustomerHash, LogTime};

/// Most tickets of one campaign.
pub const MAX_TICKETS: usize = 65_536;
/// Most tickets of all campaigns of one shard, and most of which it knows that their tokens were spent, each.
pub const MAX_TICKETS_OF_SHARD: usize = 262_144;
/// Most customers that one command lets in, and most spent tokens that one tells of.
pub const MAX_ADMITTED: usize = 512;
/// The longest life of an admission, in seconds.
pub const MAX_ADMISSION_S: u32 = 3_600;

/// What opens a draw: 32 bytes that nobody knows before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seed(pub [u8; 32]);

/// What a draw is held to: the BLAKE3 hash of its seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Commitment(pub [u8; 32]);

impl Seed {
    /// What is told of it before the draw.
    #[must_use]
    pub fn commitment(&self) -> Commitment {
        Commitment(*blake3::hash(&self.0).as_bytes())
    }

    /// Where a customer stands in the order of the draw, the least first: BLAKE3 of the seed, followed by the customer's hash as
    /// 16 bytes, most significant first.
    #[must_use]
    pub fn place_of(&self, customer: CustomerHash) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        hasher.update(&customer.0.to_be_bytes());
        *hasher.finalize().as_bytes()
    }
}

impl std::fmt::Display for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        fmt_hex(&self.0, f)
    }
}

impl std::fmt::Display for Commitment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        fmt_hex(&self.0, f)
    }
}

fn fmt_hex(bytes: &[u8], f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// What a token that was checked says: with it a reserve is let into its campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// The ticket that was let in: spent once.
    pub ticket: u32,
    /// From this instant on it is worth nothing.
    pub expires_at: LogTime,
}

/// Where a ticket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TicketState {
    /// It waits for its turn.
    Waiting,
    /// It is let in, until an instant.
    Admitted {
        /// From then on it is not.
        until: LogTime,
    },
    /// Its token was spent.
    Spent,
}

/// A customer's place in the waiting room of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Its number, from 1, in the order in which customers came.
    pub number: u32,
    /// Whose.
    pub customer: CustomerHash,
    /// Where it stands.
    pub state: TicketState,
}

/// The waiting room of a campaign, as the shard knows it that keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// What the draw is held to, where there is one.
    pub commitment: Option<Commitment>,
    /// What it was drawn with, once it was.
    pub seed: Option<Seed>,
    /// Tickets in all.
    pub tickets: u32,
    /// Of them, those that wait.
    pub waiting: u32,
    /// Of them, those that are let in and have not spent their token.
    pub admitted: u32,
    /// Of them, those whose token was spent, as far as the room was told.
    pub spent: u32,
}

/// What is wrong with an admission token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenFault {
    /// There is none, and the campaign needs one.
    Missing,
    /// It was made for a while that is over.
    Expired,
    /// It let somebody in already.
    Spent,
}

impl TokenFault {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Expired => "expired",
            Self::Spent => "spent",
        }
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Missing => "is missing: the campaign lets in those only who have one",
            Self::Expired => "has expired",
            Self::Spent => "is spent already",
        }
    }
}

/// Why a waiting room does not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueFault {
    /// The campaign lets everybody in.
    NoRoom,
    /// The campaign lets in first come first served.
    NoLottery,
    /// The lottery is drawn, so that its list is closed.
    Drawn,
    /// The lottery is not drawn yet.
    NotDrawn,
    /// The sale has begun.
    Begun,
}

impl QueueFault {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoRoom => "no_room",
            Self::NoLottery => "no_lottery",
            Self::Drawn => "drawn",
            Self::NotDrawn => "not_drawn",
            Self::Begun => "begun",
        }
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::NoRoom => "the campaign has none, and lets everybody in",
            Self::NoLottery => "it lets in first come first served, and is not drawn",
            Self::Drawn => "it is drawn, and takes nobody any more",
            Self::NotDrawn => "it is not drawn yet",
            Self::Begun => "the sale has begun",
        }
    }
}
