//! `halt_shard`: an audit has found a breach, and the shard takes no more commands of callers.

use serde::{Deserialize, Serialize};

use crate::audit::Halt;
use crate::invariants::Invariant;
use crate::turn::Turn;
use crate::{EventKind, Field, InvalidArgument, Refusal, Subject, Success};

/// Longest finding that is kept, in bytes.
pub const MAX_FINDING_BYTES: usize = 1_024;

/// Has the shard refuse the commands of callers until [`ResumeShard`](super::ResumeShard). Holds go on ending by themselves, and what
/// shards have begun together goes on: a halt keeps new promises from being built on books that are wrong, and breaks no old one.
///
/// A shard that is halted already stays halted for the first reason. What was found before the shard was last let go on halts nothing:
/// whoever let it go on has seen it, and the word of it came late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltShard {
    /// What is broken.
    pub invariant: Invariant,
    /// Where, and what was found; at most [`MAX_FINDING_BYTES`].
    pub finding: String,
    /// The node whose replica it was found on.
    pub node: u64,
    /// The last event of the state in which it was found.
    pub seen_seq: u64,
}

impl HaltShard {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.finding.len() > MAX_FINDING_BYTES { Err(InvalidArgument::of(Field::Reason)) } else { Ok(()) }
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let header = &mut turn.state.header;
        if header.halt.is_some() || self.seen_seq < header.resumed_seq {
            return Ok(Success::default());
        }
        header.halt = Some(Box::new(Halt {
            invariant: self.invariant,
            finding: self.finding.clone(),
            node: self.node,
            halted_at: header.now,
            seq: header.seq + 1,
        }));
        let (invariant, finding) = (self.invariant, self.finding.clone());
        let subject = Subject::Breach { invariant, finding, node: self.node };
        turn.record(EventKind::ShardHalted, None, Some(subject));
        Ok(Success::default())
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::{HaltShard, MAX_FINDING_BYTES, PutSharedLimit, ResumeShard};
    use crate::invariants::Invariant;
    use crate::test_shop::{Shop, receive};
    use crate::*;

    fn halt(seen_seq: u64) -> Operation {
        let finding = "rouge at PAR: 6, not 5".to_owned();
        Operation::HaltShard(Box::new(HaltShard { invariant: Invariant::Ledger, finding, node: 2, seen_seq }))
    }

    fn resume(shop: &mut Shop, seq: u64, reason: &str) -> Result<Success, Refusal> {
        let mut command = shop.command(Operation::ResumeShard(ResumeShard { halted_seq: seq }));
        let cause = Cause { actor: "ann".to_owned(), reason: reason.to_owned(), reference: String::new() };
        command.cause = Some(Box::new(cause));
        shop.apply(vec![command]).remove(0).outcome
    }

    fn halted() -> Refusal {
        Refusal::ShardHalted { invariant: Invariant::Ledger }
    }

    fn seq(shop: &Shop) -> u64 {
        shop.inventory.last_event().0
    }

    #[test]
    fn a_halted_shard_decides_nothing_of_callers_and_answers_what_it_had_decided() {
        let mut shop = Shop::with_rouge(5);
        let before = shop.command(receive("rouge", "PAR", 1));
        shop.apply(vec![before.clone()]);
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        shop.run(halt(seq(&shop))).unwrap();
        let results = shop.inventory.result_window().results;
        let refused = shop.command(receive("rouge", "PAR", 1));
        assert_eq!(shop.apply(vec![refused.clone()])[0].outcome, Err(halted()));
        assert_eq!(shop.reserve(2, &[("rouge", 1)]), Err(halted()));
        let chain = shop.chain(vec![receive("rouge", "PAR", 1), receive("rouge", "PAR", 1)]);
        assert_eq!(shop.apply(chain)[0].outcome, Err(halted()));
        assert!(shop.apply(vec![before])[0].replayed);
        assert_eq!((shop.stock("rouge").counts.on_hand, shop.inventory.result_window().results), (6, results));
        // Holds end by themselves.
        shop.after_s(600).tick();
        assert_eq!(shop.stock("rouge").counts.reserved, 0);
        assert_eq!(invariants::check(&shop.inventory), []);
        // Nothing was recorded under the id: it is decided once the shard goes on.
        let halted_seq = shop.inventory.halt().unwrap().seq;
        resume(&mut shop, halted_seq, "the replica was replaced").unwrap();
        assert!(shop.apply(vec![refused])[0].outcome.is_ok());
        assert_eq!(shop.stock("rouge").counts.on_hand, 7);
    }

    #[test]
    fn what_the_cluster_s_own_records_say_goes_on_while_a_shard_is_halted() {
        let mut shop = Shop::with_rouge(5);
        shop.run(halt(seq(&shop))).unwrap();
        shop.put_campaign("drop", 60, 600).unwrap();
        let rule = LimitSpec { units: 3, window: LimitWindow::ForEver, returns_restore: false, active: true };
        let skus = ["mascara", "rouge"].map(|sku| sku.parse().unwrap()).to_vec();
        let (limit, spec) = ("make-up".parse().unwrap(), SharedLimitSpec { skus, rule });
        let put = PutSharedLimit { limit, spec, revision: Revision(1) };
        shop.run(Operation::PutSharedLimit(Box::new(put))).unwrap();
    }

    #[test]
    fn the_first_reason_stands_and_word_from_before_the_shard_went_on_halts_nothing() {
        let mut shop = Shop::with_rouge(5);
        let seen = seq(&shop);
        shop.run(halt(seen)).unwrap();
        let first = shop.inventory.halt().cloned().unwrap();
        assert_eq!((first.invariant, first.node, first.seq), (Invariant::Ledger, 2, seen + 1));
        shop.run(halt(seen + 1)).unwrap();
        assert_eq!((shop.inventory.halt(), seq(&shop)), (Some(&first), seen + 1));
        resume(&mut shop, first.seq, "looked at").unwrap();
        shop.run(halt(seen + 1)).unwrap();
        assert_eq!(shop.inventory.halt(), None);
        shop.run(halt(seq(&shop))).unwrap();
        assert!(shop.inventory.halt().is_some());
    }

    #[test]
    fn a_resume_says_why_and_lifts_only_the_halt_it_names() {
        let mut shop = Shop::with_rouge(5);
        shop.run(halt(seq(&shop))).unwrap();
        let first = shop.inventory.halt().unwrap().seq;
        assert_eq!(resume(&mut shop, first, ""), Err(InvalidArgument::of(Field::Reason).into()));
        drop(shop.events());
        resume(&mut shop, first, "looked at").unwrap();
        assert_eq!(shop.events(), [EventKind::ShardResumed]);
        // Said once more it changes nothing, and a later halt stays.
        resume(&mut shop, first, "looked at").unwrap();
        shop.run(halt(seq(&shop))).unwrap();
        resume(&mut shop, first, "looked at").unwrap();
        assert!(shop.inventory.halt().is_some());
    }

    #[test]
    fn a_halt_is_part_of_the_state_that_is_cut_and_loaded() {
        let mut shop = Shop::with_rouge(5);
        shop.run(halt(seq(&shop))).unwrap();
        let cut = shop.inventory.cut();
        let loaded = Inventory::load(&cut.header(), cut.encode()).unwrap();
        assert_eq!((loaded.halt(), loaded.digest()), (shop.inventory.halt(), shop.digest()));
    }

    #[test]
    fn neither_stands_in_a_chain_and_a_finding_is_bounded() {
        let mut shop = Shop::with_rouge(5);
        let chain = shop.chain(vec![receive("rouge", "PAR", 1), halt(9)]);
        assert!(shop.apply(chain).iter().all(|answer| answer.outcome.is_err()));
        let finding = "x".repeat(MAX_FINDING_BYTES + 1);
        let long = HaltShard { invariant: Invariant::Once, finding, node: 1, seen_seq: 99 };
        assert!(shop.run(Operation::HaltShard(Box::new(long))).is_err());
        assert_eq!(shop.inventory.halt(), None);
    }
}
