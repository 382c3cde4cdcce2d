//! Random commands of all kinds over three shards, each beside a naive model of one map that was written from what the commands
//! promise: the same outcome, the same quantities, the same reservations, and every invariant after every command.
//!
//! A failure prints its seed, its step and the last commands. `HOLDFAST_SEED=7 cargo test -p holdfast-inventory --test
//! all_commands` plays it again; `ALL_COMMANDS=5000000` has so many commands instead of a million.
//!
//! What the model leaves to the shards: when a reservation, an order or a document that has ended is forgotten, and what revisions
//! are. What it does not play: letters between shards that are lost, late or twice, so that nothing is undecided
//! (`inventory/tests/orders/`); the shipping of a whole while units of it are short on another shard, of which the deciding shard
//! knows nothing (the same); lines of which fewer will do (the same, and `inventory/src/commands/take.rs`); what comes back after the
//! shard of its counter has forgotten the reservation (docs/known-issues.md); and rooms that are full, for which 65 536 would have to
//! come.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without ends it")]

mod amend;
mod campaigns;
mod compare;
#[path = "../dice/mod.rs"]
mod dice;
mod generate;
mod holds;
mod limits;
mod model;
mod orders;
mod reserve;
mod rooms;
mod settle;
mod stock;
mod tally;
mod ways;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_inventory::{Operation, Slot};

use crate::generate::Wish;
use crate::model::{Model, Said, invalid, why};
use crate::tally::Tally;
use crate::world::World;

const SHARDS: u32 = 3;
/// Documents of one shard that may be open.
const OPEN_DOCUMENTS: usize = 30;
/// Orders of one shard that may be open.
const OPEN_ORDERS: usize = 3;
/// Steps of one history.
const STEPS: u32 = 800;

fn shard_of(slot: Slot) -> u32 {
    u32::from(slot.number()) % SHARDS
}

/// The name of each kind of command. A new kind is generated, and joins `KINDS`.
fn kind_of(operation: &Operation) -> &'static str {
    match operation {
        Operation::PutItem(_) => "put_item",
        Operation::PutLocation(_) => "put_location",
        Operation::Receive(_) => "receive",
        Operation::Adjust(_) => "adjust",
        Operation::Set(_) => "set",
        Operation::Reserve(_) => "reserve",
        Operation::Amend(_) => "amend",
        Operation::Extend(_) => "extend",
        Operation::Commit(_) => "commit",
        Operation::Release(_) => "release",
        Operation::Fulfil(_) => "fulfil",
        Operation::Cancel(_) => "cancel",
        Operation::Return(_) => "return",
        Operation::SetLimits(_) => "set_limits",
        Operation::PutLot(_) => "put_lot",
        Operation::BlockLot(_) => "block_lot",
        Operation::MoveUnits(_) => "move_units",
        Operation::SetSafetyStock(_) => "set_safety_stock",
        Operation::CreateTransfer(_) => "create_transfer",
        Operation::ReceiveTransfer(_) => "receive_transfer",
        Operation::LoseTransfer(_) => "lose_transfer",
        Operation::CancelTransfer(_) => "cancel_transfer",
        Operation::ExpectReceipt(_) => "expect_receipt",
        Operation::CloseReceipt(_) => "close_receipt",
        Operation::ReserveSpread(_) => "reserve_spread",
        Operation::Prepare(_) => "prepare",
        Operation::Follow(_) => "follow",
        Operation::Abandon(_) => "abandon",
        Operation::AskDecision(_) => "ask_decision",
        Operation::Told(_) => "told",
        Operation::PutLimit(_) => "put_limit",
        Operation::OpenCount(_) => "open_count",
        Operation::RecordCount(_) => "record_count",
        Operation::ApplyCount(_) => "apply_count",
        Operation::CancelCount(_) => "cancel_count",
        Operation::Reconcile(_) => "reconcile",
        Operation::PutChannel(_) => "put_channel",
        Operation::PutKit(_) => "put_kit",
        Operation::HaltShard(_) => "halt_shard",
        Operation::ResumeShard(_) => "resume_shard",
        Operation::StartOrder(_) => "start_order",
        Operation::ReportStep(_) => "report_step",
        Operation::ResolveOrder(_) => "resolve_order",
        Operation::PutCampaign(_) => "put_campaign",
        Operation::Grant(_) => "grant",
        Operation::Revoke(_) => "revoke",
        Operation::JoinQueue(_) => "join_queue",
        Operation::CommitDraw(_) => "commit_draw",
        Operation::Draw(_) => "draw",
        Operation::Admit(_) => "admit",
        Operation::PutSharedLimit(_) => "put_shared_limit",
    }
}

impl Model {
    /// What becomes of a command, and what is there after it.
    pub fn decide(&mut self, wish: &Wish) -> Said<()> {
        if let Some(field) = wish.bad {
            return invalid(field);
        }
        let said = self.decide_kind(wish);
        if said.is_ok() {
            self.settle();
        }
        said
    }

    fn decide_kind(&mut self, wish: &Wish) -> Said<()> {
        let current = |said: Said<()>| if wish.is_current { said } else { why("RevisionMismatch") };
        match &wish.operation {
            Operation::PutItem(put) => {
                current(Ok(()))?;
                self.put_item(put)
            }
            Operation::PutLocation(put) => {
                self.locations.insert(put.location.clone(), put.spec.active);
                Ok(())
            }
            Operation::Receive(receive) => self.receive(receive),
            Operation::Adjust(adjust) => self.adjust(adjust),
            Operation::Set(set) => self.set(set, wish.is_current),
            Operation::Reserve(reserve) => self.reserve(reserve),
            Operation::Amend(amend) => self.amend(amend),
            Operation::Extend(extend) => self.extend(extend),
            Operation::Commit(commit) => self.commit(commit),
            Operation::Release(release) => self.release(release.reservation),
            Operation::Fulfil(fulfil) => self.fulfil(fulfil),
            Operation::Cancel(cancel) => self.cancel(cancel.reservation),
            Operation::Return(returned) => self.take_back(returned),
            Operation::SetLimits(set) => {
                self.max_hold_s[wish.shard as usize] = set.limits.max_hold_s;
                Ok(())
            }
            Operation::PutLot(put) => {
                current(Ok(()))?;
                self.put_lot(put)
            }
            Operation::BlockLot(block) => self.block(block),
            Operation::MoveUnits(moved) => self.move_units(moved),
            Operation::SetSafetyStock(set) => {
                self.set_safety_stock(&set.sku, &set.location, set.units, wish.is_current)
            }
            Operation::CreateTransfer(create) => self.create_transfer(create),
            Operation::ReceiveTransfer(receive) => self.receive_transfer(receive),
            Operation::LoseTransfer(lose) => self.lose_transfer(lose),
            Operation::CancelTransfer(cancel) => self.cancel_transfer(cancel.transfer),
            Operation::ExpectReceipt(expect) => self.expect_receipt(expect),
            Operation::CloseReceipt(close) => self.close_receipt(close.receipt),
            Operation::PutLimit(put) => self.put_limit(put),
            Operation::OpenCount(open) => self.open_count(open),
            Operation::RecordCount(record) => self.record_count(record),
            Operation::ApplyCount(apply) => self.apply_count(apply),
            Operation::CancelCount(cancel) => self.close_count(cancel.count),
            Operation::Reconcile(reconcile) => self.reconcile(reconcile),
            Operation::PutChannel(put) => {
                self.channels.insert(put.channel.clone(), put.spec.clone());
                Ok(())
            }
            Operation::PutKit(put) => self.put_kit(put),
            Operation::PutCampaign(put) => {
                self.put_campaign(put);
                Ok(())
            }
            Operation::Grant(grant) => self.grant(grant),
            Operation::StartOrder(start) => self.start_order(start),
            Operation::ReportStep(report) => self.report_step(report),
            Operation::ResolveOrder(resolve) => self.resolve_order(resolve),
            Operation::Revoke(revoke) => self.revoke(revoke),
            Operation::ReserveSpread(_)
            | Operation::Prepare(_)
            | Operation::Follow(_)
            | Operation::Abandon(_)
            | Operation::AskDecision(_)
            | Operation::Told(_)
            | Operation::HaltShard(_)
            | Operation::ResumeShard(_) => unreachable!("the world says these by itself, and the model has one map"),
            Operation::JoinQueue(join) => self.join_queue(join),
            Operation::CommitDraw(commit) => self.commit_draw(commit),
            Operation::Draw(draw) => self.draw(draw),
            Operation::Admit(admit) => self.admit(admit),
            Operation::PutSharedLimit(put) => self.put_shared_limit(put),
        }
    }
}

/// One history; with a failure the seed, the step and the last commands.
fn play(seed: u64) -> Result<Tally, String> {
    let mut world = World::new(seed);
    for step in 0..STEPS {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world.step())) {
            let message = panic.downcast_ref::<String>().cloned();
            let message = message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            return Err(told(seed, step, &world, &message.unwrap_or_default()));
        }
    }
    Ok(world.tally)
}

/// What is wrong, and the latest commands that have to do with its item or reservation.
fn told(seed: u64, step: u32, world: &World, message: &str) -> String {
    let last = world.tail.back().map(String::as_str).unwrap_or_default();
    let ids = message
        .split(['(', ')', ' ', ','])
        .filter(|word| word.len() > 15 && word.bytes().all(|byte| byte.is_ascii_digit()));
    let named = world.skus.iter().map(|sku| format!("{:?}", sku.as_str()));
    let quoted = |sku: &String| {
        message.contains(sku.as_str()) || message.contains(sku.trim_matches('"')) || last.contains(sku.as_str())
    };
    let names: Vec<String> = ids.map(str::to_owned).chain(named.filter(quoted)).collect();
    let concerned = world.tail.iter().filter(|told| names.iter().any(|name| told.contains(name.as_str())));
    let mut latest: Vec<&str> = concerned.rev().take(20).map(String::as_str).collect();
    latest.reverse();
    format!("seed {seed}, step {step}\n{}\n\nlast: {last}\n\n{message}", latest.join("\n"))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn shards_and_one_naive_map_say_the_same_of_every_command() {
    if let Some(seed) = number("HOLDFAST_SEED") {
        play(seed).unwrap_or_else(|failure| panic!("{failure}"));
        return;
    }
    let wanted = number("ALL_COMMANDS").unwrap_or(1_000_000);
    let (next, sum, failure) = (AtomicU64::new(1), Mutex::new(Tally::default()), Mutex::new(None));
    let work = || {
        while sum.lock().unwrap().commands < wanted && failure.lock().unwrap().is_none() {
            match play(next.fetch_add(1, Ordering::Relaxed)) {
                Ok(tally) => sum.lock().unwrap().add(tally),
                Err(found) => *failure.lock().unwrap() = Some(found),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    if let Some(failure) = failure.into_inner().unwrap() {
        panic!("replay: HOLDFAST_SEED=<seed> cargo test -p holdfast-inventory --test all_commands\n{failure}");
    }
    sum.into_inner().unwrap().judge();
}
