//! What has come up, and what must have: kinds of commands, refusals, and ways in which one thing meets another.

use std::collections::BTreeMap;

use holdfast_inventory::commands::{IfExpired, Plan, StepReport};
use holdfast_inventory::{LogTime, Operation, OrderState, ReservationId, TicketState};

use crate::model::Said;
use crate::world::World;

/// How many commands of each kind were done and refused, and how often each refusal came up.
#[derive(Default)]
pub struct Tally {
    /// But for what shards say to one another.
    pub commands: u64,
    pub kinds: BTreeMap<&'static str, (u64, u64)>,
    pub refusals: BTreeMap<String, u64>,
    /// What is not a kind of its own: retries, chains, reservations over several shards and the like.
    pub ways: BTreeMap<&'static str, u64>,
}

/// Every kind, each of which must have succeeded.
const KINDS: [&str; 51] = [
    "put_item",
    "put_location",
    "receive",
    "adjust",
    "set",
    "reserve",
    "amend",
    "extend",
    "commit",
    "release",
    "fulfil",
    "cancel",
    "return",
    "set_limits",
    "put_lot",
    "block_lot",
    "move_units",
    "set_safety_stock",
    "create_transfer",
    "receive_transfer",
    "lose_transfer",
    "cancel_transfer",
    "expect_receipt",
    "close_receipt",
    "reserve_spread",
    "prepare",
    "follow",
    "abandon",
    "ask_decision",
    "told",
    "put_limit",
    "open_count",
    "record_count",
    "apply_count",
    "cancel_count",
    "reconcile",
    "put_channel",
    "put_kit",
    "halt_shard",
    "resume_shard",
    "put_campaign",
    "grant",
    "revoke",
    "start_order",
    "report_step",
    "resolve_order",
    "join_queue",
    "commit_draw",
    "draw",
    "admit",
    "put_shared_limit",
];

/// Refusals that must have come up.
const REFUSALS: [&str; 58] = [
    "InsufficientStock",
    "ItemNotSellable",
    "LotRequired",
    "OrderLimitExceeded",
    "RevisionMismatch",
    "Exists",
    "ExistsWithDifferent",
    "IdTooOld",
    "IdFromFuture",
    "ReservationNotFound",
    "ReservationExpired",
    "AlreadyCommitted",
    "AlreadyReleased",
    "AlreadyFulfilled",
    "ExceedsHeldQuantity",
    "ExceedsFulfilled",
    "ExtendLimitReached",
    "LinkedCommandFailed",
    "UnknownSku",
    "UnknownLocation",
    "UnknownLot",
    "UnknownChannel",
    "InvalidArgument",
    "Overloaded",
    "TooFewToWriteOff",
    "HoldShort",
    "LotExpired",
    "LotBlocked",
    "ShelfLifeTooShort",
    "TooFewOfLot",
    "TooFewOfCondition",
    "TransferNotFound",
    "ReceiptNotFound",
    "AlreadyEnded",
    "ExceedsInTransit",
    "LinesSpanShards",
    "LinesMoveTogether",
    "CustomerRequired",
    "CustomerLimitExceeded",
    "CountNotFound",
    "CountInProgress",
    "BackorderCapExceeded",
    "ComponentUnavailable",
    "NotReleased",
    "SaleNotStarted",
    "SaleEnded",
    "AllocationExhausted",
    "AllocationExceedsAvailable",
    "UnknownCampaign",
    "OrderNotFound",
    "OrderOpen",
    "OrderEnded",
    "StepNotRunning",
    "AdmissionTokenInvalid",
    "QueueClosed",
    "DrawNotCommitted",
    "DrawSeedMismatch",
    "LimitNotAsked",
];

/// What must have come up that is no kind and no refusal.
const WAYS: [&str; 24] = [
    "chains",
    "chains that failed",
    "reserves over several shards",
    "retries",
    "reserved in a campaign",
    "amended in a campaign",
    "sold in a campaign",
    "retaken in a campaign",
    "orders confirmed",
    "orders confirmed over several shards",
    "orders that came to nothing",
    "orders that were stuck and stand",
    "orders that were stuck and do not",
    "orders that were given up",
    "attempts that came to nothing",
    "let in by a queue",
    "let in by a draw",
    "tokens spent",
    "tokens spent over several shards",
    "counted by one shard",
    "counted by another shard",
    "counted over several shards",
    "retaken with counters",
    "refused under a limit over several items",
];

fn has_counters(plan: Option<&Plan>) -> bool {
    plan.is_some_and(|plan| !plan.counters.is_empty())
}

impl World {
    /// Where the order stands that a command is about, before that is decided.
    pub fn order_before(&self, operation: &Operation) -> Option<OrderState> {
        if let Operation::ResolveOrder(resolve) = operation {
            self.model.order_of(resolve.order)?.0.into()
        } else {
            None
        }
    }

    /// What of the interplay of one with another has come up.
    pub fn note_way(&mut self, operation: &Operation, said: &Said<()>, before: Option<OrderState>) {
        let in_sale = |id: ReservationId| self.model.holds.iter().any(|hold| hold.id == id && hold.sale.is_some());
        let is_counted = |id: ReservationId| {
            let hold = self.model.holds.iter().find(|hold| hold.id == id);
            hold.is_some_and(|hold| has_counters(hold.plan.as_ref()))
        };
        let way = match operation {
            Operation::Reserve(reserve) if has_counters(reserve.plan.as_deref()) => {
                let hold = self.model.holds.last().filter(|hold| hold.id == reserve.reservation);
                match (said, hold) {
                    (Err(why), _) if why.name == "CustomerLimitExceeded" => "refused under a limit over several items",
                    (Err(_), _) | (_, None) => return,
                    (Ok(()), Some(hold)) if hold.is_spread => "counted over several shards",
                    (Ok(()), Some(hold)) if hold.has_parts => "counted by another shard",
                    (Ok(()), Some(_)) => "counted by one shard",
                }
            }
            _ if said.is_err() => return,
            Operation::Commit(commit) if commit.if_expired == IfExpired::Retake && is_counted(commit.reservation) => {
                "retaken with counters"
            }
            Operation::Reserve(reserve) if reserve.campaign.is_some() => {
                let hold = self.model.holds.last().filter(|hold| hold.id == reserve.reservation);
                match (reserve.pass, hold) {
                    (Some(_), Some(hold)) if hold.is_spread => "tokens spent over several shards",
                    (Some(_), _) => "tokens spent",
                    (None, _) => "reserved in a campaign",
                }
            }
            Operation::Admit(admit) => {
                let room = &self.model.campaigns[&admit.campaign].room;
                let until = LogTime(self.now + u64::from(admit.valid_s) * 1_000);
                if !room.tickets.iter().any(|(_, state)| *state == TicketState::Admitted { until }) {
                    return;
                }
                if room.seed.is_some() { "let in by a draw" } else { "let in by a queue" }
            }
            Operation::Amend(amend) if in_sale(amend.reservation) => "amended in a campaign",
            Operation::Commit(commit) if in_sale(commit.reservation) && commit.if_expired == IfExpired::Retake => {
                "retaken in a campaign"
            }
            Operation::Commit(commit) if in_sale(commit.reservation) => "sold in a campaign",
            Operation::ReportStep(report) => match self.model.order_of(report.order) {
                Some((OrderState::Confirmed, true)) => "orders confirmed over several shards",
                Some((OrderState::Confirmed, false)) => "orders confirmed",
                Some((OrderState::Aborted, _)) => "orders that came to nothing",
                Some(_) if report.attempt > 0 && matches!(report.report, StepReport::Retry { .. }) => {
                    "attempts that came to nothing"
                }
                _ => return,
            },
            Operation::ResolveOrder(resolve) if before == Some(OrderState::Stuck) => {
                if resolve.confirm {
                    "orders that were stuck and stand"
                } else {
                    "orders that were stuck and do not"
                }
            }
            Operation::ResolveOrder(_) if before == Some(OrderState::Running) => "orders that were given up",
            _ => return,
        };
        *self.tally.ways.entry(way).or_default() += 1;
    }
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.commands += other.commands;
        for (kind, (done, refused)) in other.kinds {
            let sum = self.kinds.entry(kind).or_default();
            *sum = (sum.0 + done, sum.1 + refused);
        }
        other.refusals.into_iter().for_each(|(name, times)| *self.refusals.entry(name).or_default() += times);
        other.ways.into_iter().for_each(|(way, times)| *self.ways.entry(way).or_default() += times);
    }

    /// Every kind has succeeded often enough, most commands have, and every refusal of the list has come up.
    pub fn judge(&self) {
        println!("{} commands", self.commands);
        for (kind, (done, refused)) in &self.kinds {
            println!("{kind:>18} {done:>8} done {refused:>8} refused");
        }
        println!("refused: {:?}", self.refusals);
        println!("{:?}", self.ways);
        let least = self.commands / 10_000;
        for kind in KINDS {
            let done = self.kinds.get(kind).map_or(0, |counts| counts.0);
            assert!(done >= least, "{kind} was done {done} times, and should be {least} times at least");
        }
        let missing: Vec<_> = REFUSALS.iter().filter(|name| !self.refusals.contains_key(**name)).collect();
        assert!(missing.is_empty(), "never refused so: {missing:?}");
        let missing: Vec<_> = WAYS.iter().filter(|way| !self.ways.contains_key(**way)).collect();
        assert!(missing.is_empty(), "never came up: {missing:?}");
        let (done, refused) = self.kinds.values().fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        assert!(done > refused, "{done} commands were done and {refused} refused");
    }
}
