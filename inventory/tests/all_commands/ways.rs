//! The ways a command may come beside alone and once: again, in a chain, on a halted shard, minted ahead of time; and a shard that was
//! written to disk in between.

use holdfast_inventory::commands::{HaltShard, ResumeShard};
use holdfast_inventory::{
    AttemptId, Command, Inventory, LogTime, Operation, Refusal, ReservationId, SpreadPlan, invariants, slot_of,
};

use crate::generate::Wish;
use crate::model::{Said, name_of};
use crate::world::{OPENING, Past, World, agree, goes_everywhere, limits};
use crate::{SHARDS, shard_of};

impl World {
    /// The same command once more is answered as it was decided; another body under its id is refused. Nothing changes.
    pub fn ask_again(&mut self) {
        let newest = self.past.len().min(if self.dice.one_in(10) { 300 } else { 40 });
        if newest == 0 {
            return;
        }
        let at = self.past.len() - 1 - self.dice.below(newest as u64) as usize;
        let Past { shard, mut command, outcome } = self.past[at].clone();
        let is_spread = matches!(&command.operation, Operation::Reserve(reserve)
            if SpreadPlan::of(command.id, reserve, AttemptId(0), LogTime(0), shard_of).is_some());
        if let Operation::Reserve(reserve) = &command.operation
            && is_spread
        {
            // A part that is forgotten would be held anew until its shard has asked: inventory/tests/orders/ plays that.
            let parts = reserve.lines.iter().map(|line| shard_of(slot_of(&line.sku))).chain([shard]);
            let is_there = |shard: u32| self.shards[shard as usize].reservation(reserve.reservation).is_some();
            if outcome.is_err() || !parts.into_iter().all(is_there) {
                return;
            }
        }
        if command.keyed && self.shards[shard as usize].result_of(command.id).is_none() {
            // A key has no time in it: once it is forgotten it is a new one.
            return;
        }
        let other_body = !is_spread && self.dice.one_in(3);
        if other_body {
            command.body.0 += 1 << 100;
        }
        self.note(format!("again, {} body: {:?}", if other_body { "another" } else { "the same" }, command.operation));
        let horizon = self.shards[shard as usize].result_window().horizon;
        let is_kept = self.shards[shard as usize].result_of(command.id).is_some();
        let again = self.decide(shard, command.clone());
        match (is_kept, &again) {
            (true, Err(refusal)) if other_body => assert_eq!(name_of(refusal), "ExistsWithDifferent"),
            (true, _) => assert_eq!(again, outcome, "a command is decided once"),
            (false, Err(Refusal::IdTooOld { .. })) => assert!(horizon >= Some(command.minted_at)),
            (false, _) => panic!("a command that is forgotten is decided again: {command:?} {again:?}"),
        }
        *self.tally.ways.entry(if other_body { "other bodies" } else { "retries" }).or_default() += 1;
        self.carry();
        self.compare(SHARDS);
    }

    /// Commands that succeed or fail together.
    pub fn chain(&mut self) {
        let first = self.wish();
        let shard = self.shard_for(&first);
        let mut wishes = vec![first];
        for _ in 0..6 {
            let wish = self.wish();
            if self.shard_for(&wish) == shard {
                wishes.push(wish);
            }
        }
        wishes.truncate(2 + self.dice.below(2) as usize);
        let may_be_linked = |wish: &Wish| match &wish.operation {
            Operation::Reserve(reserve) => reserve.lines.iter().all(|line| shard_of(slot_of(&line.sku)) == shard),
            Operation::SetLimits(_) => false,
            operation => !goes_everywhere(operation) && !operation.is_told_by_nodes(),
        };
        // A revision that is current now may not be when its turn comes.
        wishes.retain(|wish| may_be_linked(wish) && !names_revision(&wish.operation));
        // What other shards are told of two of them is told after the chain, in whichever order.
        let mut is_told = false;
        wishes.retain(|wish| {
            let hold = changed_by(&wish.operation).and_then(|id| self.model.holds.iter().find(|hold| hold.id == id));
            !hold.is_some_and(|hold| hold.has_parts) || !std::mem::replace(&mut is_told, true)
        });
        let distinct = |at: usize| {
            wishes[..at].iter().all(|other| made_by(&other.operation).is_none())
                || made_by(&wishes[at].operation).is_none()
        };
        if wishes.len() < 2 || !(0..wishes.len()).all(distinct) {
            return;
        }
        let mut commands: Vec<Command> = wishes.iter().map(|wish| self.command(wish.operation.clone())).collect();
        let last = commands.len() - 1;
        commands[..last].iter_mut().for_each(|command| command.linked = true);
        wishes
            .iter()
            .for_each(|wish| self.note(format!("{} linked on {shard}: {:?}", self.now - OPENING, wish.operation)));
        let outcomes = self.ask(shard, commands);
        self.forget_what_is_forgotten();
        let before = self.model.clone();
        let said: Vec<Said<()>> = wishes.iter().map(|wish| self.model.decide(wish)).collect();
        let failed = said.iter().position(Result::is_err);
        if failed.is_some() {
            self.model = before;
        }
        for (at, (wish, outcome)) in wishes.iter().zip(&outcomes).enumerate() {
            match failed {
                Some(failed) if failed != at => assert_eq!(*outcome, Err(Refusal::LinkedCommandFailed), "{wishes:?}"),
                _ => agree(&wish.operation, outcome, &said[at]),
            }
        }
        *self.tally.ways.entry(if failed.is_some() { "chains that failed" } else { "chains" }).or_default() += 1;
        self.carry();
        self.compare(shard);
    }

    /// A shard is halted, refuses what callers ask, and is let go on.
    pub fn halt(&mut self) {
        let wish = self.wish();
        let shard = self.shard_for(&wish);
        let (invariant, seen_seq) = (invariants::Invariant::Atp, self.shards[shard as usize].last_event().0);
        let halt = HaltShard { invariant, finding: "a test".to_owned(), node: 1, seen_seq };
        self.say(shard, Operation::HaltShard(Box::new(halt))).unwrap();
        let halted_seq = self.shards[shard as usize].last_event().0;
        let is_spread = matches!(&wish.operation, Operation::Reserve(reserve)
            if reserve.lines.iter().any(|line| shard_of(slot_of(&line.sku)) != shard));
        let goes_on = wish.operation.goes_on_while_halted();
        assert!(goes_on || !goes_everywhere(&wish.operation), "what the cluster's own records say is no stock");
        if !is_spread && !goes_on && wish.bad.is_none() {
            assert_eq!(self.say(shard, wish.operation), Err(Refusal::ShardHalted { invariant }));
        }
        self.say(shard, Operation::ResumeShard(ResumeShard { halted_seq })).unwrap();
        self.compare(shard);
    }

    pub fn ask_too_early(&mut self) {
        let wish = self.wish();
        if wish.operation.is_told_by_nodes() {
            return;
        }
        let shard = self.shard_for(&wish);
        let minted_at = LogTime(self.now + limits().mint_ahead_ms + 1);
        let command = Command { minted_at, keyed: false, ..self.command(wish.operation) };
        let outcome = self.ask(shard, vec![command]).remove(0);
        assert!(matches!(outcome, Err(Refusal::IdFromFuture { .. })), "{outcome:?}");
        self.compare(shard);
    }

    /// A shard that was written to disk and loaded is as one that was not.
    pub fn reload(&mut self) {
        let shard = self.dice.below(u64::from(SHARDS)) as usize;
        let state = &mut self.shards[shard];
        state.mark_all_changed();
        let cut = state.cut();
        let loaded = Inventory::load(&cut.header(), cut.encode()).unwrap();
        assert_eq!(loaded.digest(), state.recompute_digest());
        *state = loaded;
    }
}

/// A command that names a revision of what another one may change.
fn names_revision(operation: &Operation) -> bool {
    match operation {
        Operation::Set(_) => true,
        Operation::SetSafetyStock(set) => set.if_revision.is_some(),
        Operation::PutItem(put) => put.if_revision.is_some(),
        Operation::PutLot(put) => put.if_revision.is_some(),
        _ => false,
    }
}

/// The reservation that a command may sell, ship or give back.
fn changed_by(operation: &Operation) -> Option<ReservationId> {
    match operation {
        Operation::Commit(commit) => Some(commit.reservation),
        Operation::Release(release) => Some(release.reservation),
        Operation::Cancel(cancel) => Some(cancel.reservation),
        Operation::Fulfil(fulfil) => Some(fulfil.reservation),
        Operation::Return(returned) => Some(returned.reservation),
        Operation::ReportStep(report) => Some(report.order),
        Operation::ResolveOrder(resolve) => Some(resolve.order),
        _ => None,
    }
}

/// The id of what a command makes, where another one might have taken it.
fn made_by(operation: &Operation) -> Option<ReservationId> {
    if let Operation::Reserve(reserve) = operation { Some(reserve.reservation) } else { None }
}
