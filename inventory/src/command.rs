//! A command: who asks, under which id, for what. What each operation holds stands in a file of its own in `commands/`.

use serde::{Deserialize, Serialize};

use crate::commands::{
    Abandon, Adjust, Admit, Amend, ApplyCount, AskDecision, BlockLot, Cancel, CancelCount, CancelTransfer,
    CloseReceipt, Commit, CommitDraw, CreateTransfer, Draw, ExpectReceipt, Extend, Follow, Fulfil, Grant, HaltShard,
    JoinQueue, LoseTransfer, MoveUnits, OpenCount, Prepare, PutCampaign, PutChannel, PutItem, PutKit, PutLimit,
    PutLocation, PutLot, PutSharedLimit, Receive, ReceiveTransfer, Reconcile, RecordCount, Release, ReportStep,
    Reserve, ReserveSpread, ResolveOrder, ResumeShard, Return, Revoke, Set, SetLimits, SetSafetyStock, StartOrder,
    Told,
};
use crate::{BodyHash, CommandId, Field, InvalidArgument, LogTime};

/// Most commands in a linked chain.
pub const MAX_CHAIN: usize = 256;
/// Longest actor, reason or reference, in bytes.
pub const MAX_CAUSE_BYTES: usize = 255;

/// One command. The same id and body always get the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Decides the command once.
    pub id: CommandId,
    /// When the id was minted, by cluster time. Ignored for a keyed id.
    pub minted_at: LogTime,
    /// The id is the caller's own key with no time in it: it is kept from receipt.
    pub keyed: bool,
    /// A hash of the whole body, `minted_at` included.
    pub body: BodyHash,
    /// This command and the next one succeed or fail together.
    pub linked: bool,
    /// Who did it and why, for the change log.
    pub cause: Option<Box<Cause>>,
    /// What is asked.
    pub operation: Operation,
}

/// Who did it and why. Each at most [`MAX_CAUSE_BYTES`]; empty where not said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Who did it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The URI of a document.
    pub reference: String,
}

/// What a command asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Creates an item or replaces its attributes.
    PutItem(Box<PutItem>),
    /// Creates a location or replaces its attributes.
    PutLocation(Box<PutLocation>),
    /// Units arrive.
    Receive(Receive),
    /// Units are found or written off.
    Adjust(Adjust),
    /// `on_hand` is set to a counted number.
    Set(Set),
    /// Units are held.
    Reserve(Reserve),
    /// A hold's quantities change.
    Amend(Amend),
    /// A hold lives longer.
    Extend(Extend),
    /// A hold becomes a sale.
    Commit(Commit),
    /// A hold is given back.
    Release(Release),
    /// Sold units are shipped.
    Fulfil(Fulfil),
    /// What is sold and not shipped is given back.
    Cancel(Cancel),
    /// Shipped units come back.
    Return(Return),
    /// The shard gets its bounds.
    SetLimits(Box<SetLimits>),
    /// A lot is made known, or its dates are corrected.
    PutLot(Box<PutLot>),
    /// A lot leaves sale, or comes back.
    BlockLot(BlockLot),
    /// Units get another condition.
    MoveUnits(MoveUnits),
    /// Units are kept back from sale.
    SetSafetyStock(SetSafetyStock),
    /// Units leave one location for another.
    CreateTransfer(CreateTransfer),
    /// Units of a transfer arrive.
    ReceiveTransfer(ReceiveTransfer),
    /// Units of a transfer are lost.
    LoseTransfer(LoseTransfer),
    /// What of a transfer is on its way goes back.
    CancelTransfer(CancelTransfer),
    /// A supplier's units are expected.
    ExpectReceipt(ExpectReceipt),
    /// Nothing more of a receipt is expected.
    CloseReceipt(CloseReceipt),
    /// Units are held whose lines lie on several shards, all of which have answered.
    ReserveSpread(Box<ReserveSpread>),
    /// Units are held for a reservation that another shard decides.
    Prepare(Box<Prepare>),
    /// A part becomes what the deciding shard says.
    Follow(Box<Follow>),
    /// A part is given back: its whole was not made.
    Abandon(Abandon),
    /// A part asks whether its whole stands.
    AskDecision(AskDecision),
    /// A part has what it was told.
    Told(Told),
    /// How much of an item one customer may have.
    PutLimit(PutLimit),
    /// Units are to be counted.
    OpenCount(OpenCount),
    /// Units have been counted.
    RecordCount(RecordCount),
    /// The books get what was counted.
    ApplyCount(ApplyCount),
    /// A count is given up.
    CancelCount(CancelCount),
    /// Another system's records say something else.
    Reconcile(Reconcile),
    /// Creates a channel or replaces what is said of it.
    PutChannel(Box<PutChannel>),
    /// Creates a kit or replaces its recipe.
    PutKit(Box<PutKit>),
    /// An audit has found a breach: callers' commands are refused until somebody has looked.
    HaltShard(Box<HaltShard>),
    /// Callers' commands are decided again.
    ResumeShard(ResumeShard),
    /// External steps decide whether a hold is sold.
    StartOrder(Box<StartOrder>),
    /// What became of a step.
    ReportStep(Box<ReportStep>),
    /// Somebody decides what is to become of an order.
    ResolveOrder(ResolveOrder),
    /// A campaign is made known, or ended.
    PutCampaign(Box<PutCampaign>),
    /// Units are kept for a campaign.
    Grant(Box<Grant>),
    /// Units are not kept for a campaign any more.
    Revoke(Box<Revoke>),
    /// A customer gets a ticket of a campaign's waiting room.
    JoinQueue(Box<JoinQueue>),
    /// A lottery is held to a seed.
    CommitDraw(Box<CommitDraw>),
    /// A lottery's seed is told.
    Draw(Box<Draw>),
    /// The next of a waiting room are let in.
    Admit(Box<Admit>),
    /// Makes a limit over several items known.
    PutSharedLimit(Box<PutSharedLimit>),
}

impl Operation {
    /// True for what shards say to one another. It is repeated until it is done and has the same effect however often it comes:
    /// the records decide that, so no result of it is kept. Never in a chain.
    #[must_use]
    pub const fn is_between_shards(&self) -> bool {
        matches!(self, Self::Prepare(_) | Self::Follow(_) | Self::Abandon(_) | Self::AskDecision(_) | Self::Told(_))
    }

    /// True for what halts a shard and lets it go on. As with what shards say to one another the record decides how often it has an
    /// effect, so no result is kept. Never in a chain.
    #[must_use]
    pub const fn is_of_the_watch(&self) -> bool {
        matches!(self, Self::HaltShard(_) | Self::ResumeShard(_))
    }

    /// True for what became of a call that a node made for an order. The record counts the attempts, so no result is kept.
    #[must_use]
    pub fn is_of_a_call(&self) -> bool {
        matches!(self, Self::ReportStep(report) if report.attempt > 0)
    }

    /// True for what nodes tell shards by themselves, under ids that are used once: the record decides how often it has an effect, no
    /// result is kept, and it is never in a chain.
    #[must_use]
    pub fn is_told_by_nodes(&self) -> bool {
        self.is_between_shards() || self.is_of_the_watch() || self.is_of_a_call()
    }

    /// True for what is decided on a halted shard too. What shards have begun together goes on to its end: a part that could not
    /// follow would leave customers, and the other shards, with half an answer. A new part is a new promise, and is none of it. What
    /// the cluster's own records say (bounds, locations, channels, campaigns, limits over several items) is no stock, and a shard that lacks it would not become ready.
    #[must_use]
    pub const fn goes_on_while_halted(&self) -> bool {
        match self {
            Self::Prepare(_) => false,
            Self::SetLimits(_)
            | Self::PutLocation(_)
            | Self::PutChannel(_)
            | Self::PutCampaign(_)
            | Self::PutSharedLimit(_) => true,
            _ => self.is_between_shards() || self.is_of_the_watch(),
        }
    }
}

impl Command {
    /// Checks the shape of the input, before it reaches the log. What depends on the state is decided by
    /// `Inventory::apply`, which also stands what this would refuse.
    ///
    /// # Errors
    ///
    /// The first field at fault.
    pub fn validate(&self) -> Result<(), InvalidArgument> {
        if let Some(cause) = &self.cause {
            for (text, field) in
                [(&cause.actor, Field::Actor), (&cause.reason, Field::Reason), (&cause.reference, Field::Reference)]
            {
                if text.len() > MAX_CAUSE_BYTES {
                    return Err(InvalidArgument::of(field));
                }
            }
        }
        match &self.operation {
            Operation::PutItem(command) => command.validate(),
            Operation::PutLocation(command) => command.validate(),
            Operation::Receive(command) => command.validate(),
            Operation::Adjust(command) => command.validate(),
            Operation::Set(command) => command.validate(),
            Operation::Reserve(command) => command.validate(),
            Operation::Amend(command) => command.validate(),
            Operation::Extend(command) => command.validate(),
            Operation::Commit(command) => command.validate(),
            Operation::Release(_) | Operation::Cancel(_) | Operation::SetLimits(_) | Operation::BlockLot(_) => Ok(()),
            Operation::PutLot(command) => command.validate(),
            Operation::Fulfil(command) => command.validate(),
            Operation::Return(command) => command.validate(),
            Operation::MoveUnits(command) => command.validate(),
            Operation::SetSafetyStock(command) => command.validate(),
            Operation::CreateTransfer(command) => command.validate(),
            Operation::ReceiveTransfer(command) => command.validate(),
            Operation::LoseTransfer(command) => command.validate(),
            Operation::ExpectReceipt(command) => command.validate(),
            Operation::CancelTransfer(_) | Operation::CloseReceipt(_) => Ok(()),
            Operation::ReserveSpread(command) => command.validate(),
            Operation::Prepare(command) => command.validate(),
            Operation::Follow(command) => command.validate(),
            Operation::PutLimit(command) => command.validate(),
            Operation::Abandon(_) | Operation::AskDecision(_) | Operation::Told(_) => Ok(()),
            Operation::OpenCount(command) => command.validate(),
            Operation::RecordCount(command) => command.validate(),
            Operation::ApplyCount(_) | Operation::CancelCount(_) => Ok(()),
            Operation::Reconcile(command) => command.validate(),
            Operation::PutChannel(command) => command.validate(),
            Operation::PutKit(command) => command.validate(),
            Operation::HaltShard(command) => command.validate(),
            Operation::ResumeShard(command) => command.validate(self.cause.as_deref()),
            Operation::StartOrder(command) => command.validate(),
            Operation::ReportStep(command) => command.validate(),
            Operation::ResolveOrder(command) => command.validate(),
            Operation::PutCampaign(command) => command.validate(),
            Operation::Grant(command) => command.validate(),
            Operation::Revoke(command) => command.validate(),
            Operation::JoinQueue(_) | Operation::CommitDraw(_) | Operation::Draw(_) => Ok(()),
            Operation::Admit(command) => command.validate(),
            Operation::PutSharedLimit(command) => command.validate(),
        }
    }
}

/// One entry of the shard's log. Without commands it is a tick: time passes, and what is due is swept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The leader's stamp. A stamp before the last one counts as the last one.
    pub time: LogTime,
    /// Decided one after the other, each seeing the one before.
    pub commands: Vec<Command>,
}
