//! Three shards and whoever carries what they say to one another, beside the model: each command goes to both.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use holdfast_inventory::commands::{Abandon, PutItem, PutKit, PutLocation, Return, Told};
use holdfast_inventory::{
    Applied, AttemptId, Backorder, BodyHash, CampaignId, Cause, Command, CommandId, Component, Entry, Inventory,
    ItemSpec, Limits, LocationSpec, LogTime, Operation, Refusal, ReservationId, Sku, Slot, SpreadPlan, Success, Units,
    invariants, slot_of,
};

use crate::dice::Dice;
use crate::generate::{Wish, location};
use crate::model::{Model, Said, name_of};
use crate::rooms::slot_of_room;
use crate::tally::Tally;
use crate::{OPEN_DOCUMENTS, SHARDS, shard_of};

pub const OPENING: u64 = 100_000_000_000;
/// How long an attempt over several shards may take, in ms.
const DECIDED_WITHIN_MS: u64 = 10_000;
/// Commands of which those are told, where something is wrong, that have to do with it.
const TAIL: usize = 300;

/// Units that a campaign has left, the tickets whose tokens were spent, and when that was read.
pub type News = (u64, BTreeSet<u32>, u64);

pub type Outcome = Result<Success, Refusal>;

/// A command that was decided, to be asked again.
#[derive(Clone)]
pub struct Past {
    pub shard: u32,
    pub command: Command,
    pub outcome: Outcome,
}

pub struct World {
    pub dice: Dice,
    pub shards: Vec<Inventory>,
    pub model: Model,
    pub now: u64,
    pub skus: Vec<Sku>,
    pub kits: Vec<Sku>,
    /// The item that limits are of.
    pub limited: Sku,
    pub reservations: u64,
    /// Attempts over several shards.
    pub attempts: u64,
    pub documents: u64,
    pub channel_revision: u64,
    pub campaign_revision: u64,
    pub limit_revision: u64,
    /// What was read earlier of what campaigns have left.
    pub old_news: BTreeMap<CampaignId, News>,
    pub tally: Tally,
    commands: u128,
    pub past: VecDeque<Past>,
    applied: Applied,
    pub tail: VecDeque<String>,
}

/// Bounds that keep little of what has ended, so that states stay small and what is forgotten is met.
pub fn limits() -> Limits {
    Limits {
        results: 400,
        ended_reservations: 8,
        live_reservations: 40 * OPEN_DOCUMENTS as u64,
        max_hold_s: 2_000,
        ..Limits::default()
    }
}

fn spec_of(role: usize) -> ItemSpec {
    let by_lot = ItemSpec { lot_tracked: true, removal_days: 1, alert_days: 1, ..ItemSpec::default() };
    match role {
        1 | 5 => ItemSpec { backorder: Backorder::UpTo { cap: 4 }, ..ItemSpec::default() },
        2 => by_lot,
        3 => ItemSpec { min_remaining_days: 1, backorder: Backorder::UpTo { cap: 3 }, ..by_lot },
        4 => ItemSpec { tracked: false, ..ItemSpec::default() },
        6 => {
            let release_at = LogTime(OPENING + 7_200_000);
            ItemSpec { backorder: Backorder::Preorder { release_at, cap: 5 }, ..ItemSpec::default() }
        }
        7 => ItemSpec { max_per_order: Some(5), max_hold_s: Some(700), ..ItemSpec::default() },
        _ => ItemSpec::default(),
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        // Three items of each shard.
        let mut skus: Vec<Sku> = Vec::new();
        for sku in (0..500).map(|number| Sku::new(&format!("SKU-{number}")).unwrap()) {
            if skus.len() < 9 && shard_of(slot_of(&sku)) == skus.len() as u32 % SHARDS {
                skus.push(sku);
            }
        }
        let kits: Vec<Sku> = ["KIT-small", "KIT-large"].into_iter().map(|sku| sku.parse().unwrap()).collect();
        let mut world = Self {
            dice: Dice(seed.wrapping_mul(0x1234_5678_9abc_def1)),
            shards: (0..SHARDS).map(|_| Inventory::new(limits())).collect(),
            model: Model { now: OPENING, max_hold_s: vec![2_000; SHARDS as usize], ..Model::default() },
            now: OPENING,
            limited: skus[7].clone(),
            skus: skus.clone(),
            kits: kits.clone(),
            reservations: 0,
            attempts: 0,
            documents: 0,
            channel_revision: 0,
            campaign_revision: 0,
            limit_revision: 0,
            old_news: BTreeMap::new(),
            tally: Tally::default(),
            commands: 0,
            past: VecDeque::new(),
            applied: Applied::default(),
            tail: VecDeque::new(),
        };
        for number in 0..3 {
            let (location, spec) = (location(number), LocationSpec::default());
            let put = PutLocation { location, spec, if_revision: None };
            world.perform(Operation::PutLocation(Box::new(put)).into());
        }
        for (role, sku) in skus.iter().enumerate() {
            let put = PutItem { sku: sku.clone(), spec: spec_of(role), if_revision: None, if_absent: true };
            world.perform(Operation::PutItem(Box::new(put)).into());
        }
        for (sku, of) in kits.iter().zip([vec![&skus[0]], vec![&kits[0], &skus[1], &skus[2]]]) {
            let component = |sku: &&Sku| Component { sku: (*sku).clone(), units: Units(1) };
            let components = of.iter().map(component).collect();
            let put = PutKit {
                sku: sku.clone(),
                name: String::new(),
                components,
                if_revision: None,
                if_absent: true,
                backorder: false,
            };
            world.perform(Operation::PutKit(Box::new(put)).into());
        }
        world
    }

    pub fn shard(&self, sku: &Sku) -> &Inventory {
        &self.shards[shard_of(slot_of(sku)) as usize]
    }

    /// One step: time moves on, and a command, a chain, a retry or a halt.
    pub fn step(&mut self) {
        let later = match self.dice.below(60) {
            0 => self.dice.below(20 * 3_600_000),
            1..=4 => self.dice.below(600_000),
            _ => 1 + self.dice.below(3_000),
        };
        self.pass(self.now + later);
        match self.dice.below(60) {
            0..=2 => self.ask_again(),
            3..=5 => self.chain(),
            6 if self.dice.one_in(6) => self.halt(),
            7 if self.dice.one_in(4) => self.ask_too_early(),
            8 if self.dice.one_in(4) => self.reload(),
            _ => {
                let wish = self.wish();
                self.perform(wish);
            }
        }
    }

    /// Time moves on by what is due next, so that shards and model end it in one order.
    fn pass(&mut self, to: u64) {
        loop {
            let due = self.shards.iter().filter_map(Inventory::next_due).map(|due| due.0).min();
            self.now = due.unwrap_or(u64::MAX).clamp(self.now, to);
            self.model.pass_time(self.now);
            for shard in 0..self.shards.len() {
                let time = LogTime(self.now);
                loop {
                    self.shards[shard].apply(&Entry { time, commands: Vec::new() }, &mut self.applied);
                    if self.shards[shard].next_due().is_none_or(|due| due > time) {
                        break;
                    }
                }
            }
            self.carry();
            if self.now == to {
                break;
            }
            self.compare(SHARDS);
        }
    }

    pub fn note(&mut self, told: String) {
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(told);
    }

    pub fn command(&mut self, operation: Operation) -> Command {
        self.commands += 1;
        let keyed = self.dice.one_in(60);
        let (id, body) = (CommandId(self.commands), BodyHash(self.commands));
        let cause = Cause { actor: "test".to_owned(), reason: "test".to_owned(), reference: String::new() };
        let cause = matches!(operation, Operation::ResumeShard(_)).then(|| Box::new(cause));
        Command { id, minted_at: LogTime(self.now), keyed, body, linked: false, cause, operation }
    }

    /// One shard decides commands; every invariant holds after.
    pub fn ask(&mut self, shard: u32, commands: Vec<Command>) -> Vec<Outcome> {
        let state = &mut self.shards[shard as usize];
        let entry = Entry { time: LogTime(self.now), commands };
        state.apply(&entry, &mut self.applied);
        let breaches = invariants::check(state);
        assert_eq!(breaches, Vec::new(), "shard {shard} after {:?}", entry.commands);
        let outcomes: Vec<Outcome> = self.applied.answers.iter().map(|answer| answer.outcome.clone()).collect();
        for (command, outcome) in entry.commands.iter().zip(&outcomes) {
            self.tally.commands += u64::from(!command.operation.is_between_shards());
            let (done, refused) = self.tally.kinds.entry(crate::kind_of(&command.operation)).or_default();
            *(if outcome.is_ok() { done } else { refused }) += 1;
            if let Err(refusal) = outcome {
                *self.tally.refusals.entry(name_of(refusal)).or_default() += 1;
            }
        }
        outcomes
    }

    pub fn say(&mut self, shard: u32, operation: Operation) -> Outcome {
        let command = self.command(operation);
        self.ask(shard, vec![command]).remove(0)
    }

    /// A command is decided; a reserve over several shards by try, confirm, cancel.
    pub fn decide(&mut self, shard: u32, command: Command) -> Outcome {
        let Operation::Reserve(reserve) = &command.operation else { return self.ask(shard, vec![command]).remove(0) };
        let deadline = LogTime(self.now + DECIDED_WITHIN_MS);
        self.attempts += 1;
        let attempt = AttemptId(self.attempts);
        let Some(plan) = SpreadPlan::of(command.id, reserve, attempt, deadline, shard_of) else {
            return self.ask(shard, vec![command]).remove(0);
        };
        *self.tally.ways.entry("reserves over several shards").or_default() += 1;
        let mut answers = Vec::new();
        for (slot, prepare) in &plan.prepares {
            answers.push(self.say(shard_of(*slot), Operation::Prepare(Box::new(prepare.clone()))));
        }
        let outcome = plan.decision(reserve.clone(), &answers).and_then(|decision| {
            let operation = Operation::ReserveSpread(Box::new(decision));
            self.ask(shard, vec![Command { operation, ..command.clone() }]).remove(0)
        });
        if outcome.is_err() {
            for (slot, prepare) in &plan.prepares {
                let (reservation, attempts) = (prepare.reserve.reservation, vec![attempt]);
                self.say(shard_of(*slot), Operation::Abandon(Abandon { reservation, attempts })).ok();
            }
        }
        outcome
    }

    /// What shards have to say to one another is said, until nobody has anything more to say.
    pub fn carry(&mut self) {
        for _ in 0..8 {
            let mut is_quiet = true;
            for shard in 0..SHARDS {
                // Before its deadline too, so that what was filled of a part is known at once.
                let asks = self.shards[shard as usize].parts_in_doubt(LogTime(u64::MAX), 64);
                for ask in asks {
                    is_quiet = false;
                    let (reservation, slot, attempts) = (ask.reservation, ask.slot, ask.attempts.clone());
                    let answer = self.say(shard_of(reservation.slot()), Operation::AskDecision(ask));
                    if answer == Err(Refusal::ReservationNotFound) {
                        self.say(shard_of(slot), Operation::Abandon(Abandon { reservation, attempts })).ok();
                    }
                }
                for (slot, follow) in self.shards[shard as usize].parts_behind(64) {
                    is_quiet = false;
                    let (reservation, attempt, version) = (follow.reservation, follow.attempt, follow.version);
                    let told = self.say(shard_of(slot), Operation::Follow(Box::new(follow)));
                    assert!(matches!(told, Ok(_) | Err(Refusal::ReservationNotFound)), "{reservation}: {told:?}");
                    self.say(shard, Operation::Told(Told { reservation, slot, attempt, version })).unwrap();
                }
            }
            if is_quiet {
                return;
            }
        }
        panic!("the shards do not come to rest");
    }

    /// A command goes to the shards and to the model, which must say the same.
    pub fn perform(&mut self, wish: Wish) {
        let everywhere = goes_everywhere(&wish.operation);
        let shards = if everywhere {
            0..SHARDS
        } else {
            let shard = self.shard_for(&wish);
            shard..shard + 1
        };
        let mut outcomes = Vec::new();
        for shard in shards {
            let command = self.command(wish.operation.clone());
            self.note(format!("{} on {shard}: {:?}", self.now - OPENING, wish.operation));
            let outcome = self.decide(shard, command.clone());
            self.remember(shard, command, &outcome);
            outcomes.push(outcome);
        }
        self.forget_what_is_forgotten();
        let before = self.order_before(&wish.operation);
        let said = self.model.decide(&wish);
        self.note_way(&wish.operation, &said, before);
        outcomes.iter().for_each(|outcome| agree(&wish.operation, outcome, &said));
        self.carry();
        self.compare(if everywhere { SHARDS } else { self.shard_for(&wish) });
    }

    fn remember(&mut self, shard: u32, command: Command, outcome: &Outcome) {
        // Of what nodes say no result is kept: what is there decides whether it changes anything once more.
        let is_kept = !command.operation.is_told_by_nodes();
        if is_kept && outcome.as_ref().err().is_none_or(Refusal::is_recorded) {
            self.past.push_back(Past { shard, command, outcome: outcome.clone() });
            if self.past.len() > 300 {
                self.past.pop_front();
            }
        }
    }

    /// The shards have forgotten what ended long ago; when they do is theirs to say.
    pub fn forget_what_is_forgotten(&mut self) {
        for at in (0..self.model.holds.len()).rev() {
            let shards = &self.shards;
            let hold = &mut self.model.holds[at];
            let is_over = hold.order.as_ref().is_some_and(|order| order.state.is_ended());
            if is_over && shards[shard_of(hold.id.slot()) as usize].order(hold.id).is_none() {
                hold.order = None;
            }
            if hold.state().is_ended() && self.shards[shard_of(hold.id.slot()) as usize].reservation(hold.id).is_none()
            {
                self.model.forget(at);
            }
        }
        let (model, shards) = (&mut self.model, &self.shards);
        let of = |slot: Slot| &shards[shard_of(slot) as usize];
        model
            .transfers
            .retain(|id, it| it.lines.iter().any(|line| line.1 > 0) || of(id.slot()).transfer(*id).is_some());
        model.receipts.retain(|id, it| !it.is_closed || of(id.slot()).receipt(*id).is_some());
        model.counts.retain(|id, it| it.is_open || of(id.slot()).count(*id).is_some());
    }

    /// Where the lines lie, if that is one shard; the deciding one would only name it (inventory/tests/orders/).
    fn shard_of_return(&self, returned: &Return) -> u32 {
        let deciding = shard_of(returned.reservation.slot());
        let Some(hold) = self.model.holds.iter().find(|hold| hold.id == returned.reservation) else { return deciding };
        let shards: BTreeSet<_> = returned.parts.iter().map(|part| hold.shard_of_line(part.line)).collect();
        if shards.len() == 1 { shards.into_iter().flatten().next().unwrap_or(deciding) } else { deciding }
    }

    /// The shard that decides a command.
    pub fn shard_for(&self, wish: &Wish) -> u32 {
        let of_sku = |sku: &Sku| shard_of(slot_of(sku));
        let of = |id: ReservationId| shard_of(id.slot());
        let of_room = |campaign: &CampaignId| shard_of(slot_of_room(campaign));
        match &wish.operation {
            Operation::PutItem(put) => of_sku(&put.sku),
            Operation::Receive(receive) => of_sku(&receive.sku),
            Operation::Adjust(adjust) => of_sku(&adjust.sku),
            Operation::Set(set) => of_sku(&set.sku),
            Operation::Reserve(reserve) => of(reserve.reservation),
            Operation::Amend(amend) => of(amend.reservation),
            Operation::Extend(extend) => of(extend.reservation),
            Operation::Commit(commit) => of(commit.reservation),
            Operation::Release(release) => of(release.reservation),
            Operation::Fulfil(fulfil) => of(fulfil.reservation),
            Operation::Cancel(cancel) => of(cancel.reservation),
            Operation::Return(returned) => self.shard_of_return(returned),
            Operation::PutLot(put) => of_sku(&put.sku),
            Operation::BlockLot(block) => of_sku(&block.sku),
            Operation::MoveUnits(moved) => of_sku(&moved.sku),
            Operation::SetSafetyStock(set) => of_sku(&set.sku),
            Operation::CreateTransfer(create) => of_sku(&create.sku),
            Operation::ReceiveTransfer(receive) => shard_of(receive.transfer.slot()),
            Operation::LoseTransfer(lose) => shard_of(lose.transfer.slot()),
            Operation::CancelTransfer(cancel) => shard_of(cancel.transfer.slot()),
            Operation::ExpectReceipt(expect) => of_sku(&expect.sku),
            Operation::CloseReceipt(close) => shard_of(close.receipt.slot()),
            Operation::PutLimit(put) => of_sku(&put.sku),
            Operation::PutKit(put) => of_sku(&put.sku),
            Operation::OpenCount(open) => of_sku(&open.sku),
            Operation::RecordCount(record) => shard_of(record.count.slot()),
            Operation::ApplyCount(apply) => shard_of(apply.count.slot()),
            Operation::CancelCount(cancel) => shard_of(cancel.count.slot()),
            Operation::Reconcile(reconcile) => of_sku(&reconcile.sku),
            Operation::Grant(grant) => of_sku(&grant.sku),
            Operation::Revoke(revoke) => of_sku(&revoke.sku),
            Operation::StartOrder(start) => of(start.reservation),
            Operation::ReportStep(report) => of(report.order),
            Operation::ResolveOrder(resolve) => of(resolve.order),
            Operation::JoinQueue(join) => of_room(&join.campaign),
            Operation::CommitDraw(commit) => of_room(&commit.campaign),
            Operation::Draw(draw) => of_room(&draw.campaign),
            Operation::Admit(admit) => of_room(&admit.campaign),
            _ => wish.shard,
        }
    }
}

/// What the cluster's own records say, every shard hears.
pub fn goes_everywhere(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::PutLocation(_) | Operation::PutChannel(_) | Operation::PutCampaign(_) | Operation::PutSharedLimit(_)
    )
}

pub fn agree(operation: &Operation, outcome: &Outcome, said: &Said<()>) {
    match (outcome, said) {
        (Ok(_), Ok(())) => {}
        (Err(refusal), Err(why)) if why.is(refusal) => {}
        _ => panic!("{operation:?}\nis answered {outcome:?}\nand the model says {said:?}"),
    }
}
