//! Known bad histories under noise come back without it; and what is dropped of good ones never makes a bad one.

use super::*;
use crate::Dice;
use crate::checkers::check_history;
use crate::checkers::stories::{
    BOUND, Story, TTL_S, commit, done, held, phase, receive, refused, release, reserve, stock, unknown,
};
use crate::history::{Freshness, Outcome, Phase, Position, Seen, StockSeen};

fn unexplained(history: &History) -> bool {
    is_breach(&linearizable::check(history, &BOUND, &Effort::default()))
}

/// What other customers do at the same time with another SKU, and with this one before and after it.
fn noise(bad: Story) -> History {
    let returns: BTreeSet<u64> = bad.0.records.iter().filter_map(|record| record.return_us).collect();
    let mut story = bad;
    // What is called at the instant of the last return may be why it was told so, and stays.
    let instants = (0..20).map(|number| 3 + number * 2).filter(|at| !returns.contains(&(at * 1_000)));
    for (at, revision) in instants.zip(1..) {
        let id = u128::from(5_000 + at);
        story = story.command(id, at, at + 1, receive("B", 10), done(revision, 10 * revision));
        story = story.command(id + 500, at, at + 1, reserve(id, "A", 11), refused("UNAVAILABLE", &[]));
        if let Some(Record { outcome, .. }) = story.0.records.last_mut() {
            *outcome = Outcome::NotAdmitted("UNAVAILABLE".to_owned());
        }
        let asked = Asked::Read(Subject::Stock("A".to_owned()), Freshness::Stale);
        let seen = Seen::Stock(Some(StockSeen::default()));
        story = story.tell(at, at + 1, asked, Outcome::Seen { seen, position: None, log_time_ms: None });
    }
    for number in 0..20_u64 {
        let at = 60 + number * 2;
        story = story.command(u128::from(7_000 + number), at, at + 1, receive("A", 1), unknown());
    }
    story.0.records.sort_by_key(|record| record.call_us);
    story.0
}

#[test]
fn a_known_bad_history_comes_back_without_what_it_does_not_need() {
    let sold_out = refused("INSUFFICIENT_STOCK", &[("available", 2)]);
    let gone = || refused("RESERVATION_NOT_FOUND", &[]);
    let late = || Story::stocked().command(2, 10, 0, reserve(2, "A", 3), unknown());
    let stories = [
        ("a stale read", 3, Story::stocked().held(2, 10, 12, 3, 7).reads(13, 14, stock(0, 0, 1))),
        ("a lost write", 3, Story::stocked().command(2, 5, 6, receive("A", 5), done(2, 15)).held(3, 10, 12, 3, 7)),
        ("a unit sold twice", 3, Story::stocked().held(2, 10, 12, 8, 2).held(3, 20, 22, 8, 2)),
        (
            "a refusal while stock was there",
            3,
            Story::stocked().held(2, 10, 12, 3, 7).command(3, 20, 22, reserve(3, "A", 5), sold_out),
        ),
        ("a lost hold", 3, Story::stocked().held(2, 10, 12, 3, 7).command(3, 20, 22, commit(2), gone())),
        (
            "an unknown one that is there and gone again",
            4,
            late().reads(20, 21, stock(3, 0, 2)).reads(30, 31, stock(0, 0, 1)),
        ),
        (
            "a stale read after good ones",
            3,
            Story::stocked()
                .reads(5, 6, stock(0, 0, 1))
                .held(2, 10, 12, 3, 7)
                .reads(13, 14, stock(3, 0, 2))
                .command(9, 15, 16, commit(99), gone())
                .reads(20, 21, stock(0, 0, 1)),
        ),
    ];
    for (what, expected, story) in stories {
        assert!(unexplained(&story.0), "{what}");
        let noisy = noise(story);
        let found = shortest(&noisy, &BOUND, "linearizable").unwrap();
        let left = &found.history.records;
        assert!(unexplained(&found.history), "{what}: {left:?}");
        assert!(left.len() <= expected, "{what}: {} of {} attempts: {left:?}", left.len(), noisy.records.len());
        assert!(check_history(&found.history, &BOUND).iter().any(|finding| finding.checker == "linearizable"));
    }
}

#[test]
fn a_good_history_has_no_shortest_that_fails() {
    let story = Story::stocked().held(2, 10, 12, 3, 7).reads(13, 14, stock(3, 0, 2));
    for checker in ["linearizable", "exactly_once", "holds", "tokens", "healed"] {
        assert!(shortest(&story.0, &BOUND, checker).is_none(), "{checker}");
    }
}

#[test]
fn an_item_that_was_not_there_yet_is_not_taken_for_one_that_always_was() {
    let put = Request::PutItem { sku: "A".to_owned() };
    let story = Story::default().command(1, 1, 2, receive("A", 10), refused("UNKNOWN_SKU", &[])).command(
        2,
        5,
        30,
        put,
        done(1, 0),
    );
    assert!(!unexplained(&story.0));
    assert!(unexplained(&prefix(&story.0, 2_000)), "which is why no history is cut before its items are put");
    let bad = story.reads(20, 21, stock(1, 0, 1));
    let found = shortest(&bad.0, &BOUND, "linearizable").unwrap();
    assert!(unexplained(&found.history));
    assert!(found.history.records.iter().any(is_put), "{found:?}");
}

/// A good history: everything is done at its call, some of it without its client ever knowing.
fn good(seed: u64) -> History {
    let mut dice = Dice::new(seed);
    let mut story = Story::stocked();
    let (mut open, mut committed, mut revision): (Vec<(u128, u64)>, u64, u64) = (Vec::new(), 0, 1);
    for number in 0..14_u64 {
        let (id, call) = (100 + u128::from(number), 10 + number * 3);
        let back = call + dice.between(1, 12);
        let reserved: u64 = open.iter().map(|(_, units)| units).sum();
        let free = 10 - reserved - committed;
        let (request, outcome) = match (dice.below(6), open.last().copied()) {
            (0, _) => {
                story = story.reads(call, back, stock(reserved, committed, revision));
                continue;
            }
            (1, _) => (commit(id), refused("RESERVATION_NOT_FOUND", &[])),
            (2, Some((hold, units))) => {
                open.pop();
                (committed, revision) = (committed + units, revision + 1);
                (commit(hold), phase(2, free, Phase::Committed))
            }
            (3, Some((hold, units))) => {
                open.pop();
                revision += 1;
                (release(hold), phase(2, free + units, Phase::Released))
            }
            _ => {
                let units = dice.between(1, 4);
                let request = reserve(id, "A", units as u32);
                if units > free {
                    (request, refused("INSUFFICIENT_STOCK", &[("available", free)]))
                } else {
                    open.push((id, units));
                    revision += 1;
                    (request, held(1, free - units, call + u64::from(TTL_S) * 1_000))
                }
            }
        };
        let (back, outcome) = if dice.below(6) == 0 { (0, unknown()) } else { (back, outcome) };
        story = story.command(id, call, back, request, outcome);
    }
    story.0
}

#[test]
fn nothing_that_is_dropped_makes_a_bad_history_of_a_good_one() {
    for seed in 0..60 {
        let good = good(seed);
        assert!(!unexplained(&good), "seed {seed}");
        for record in &good.records {
            for at_us in [Some(record.call_us), record.return_us].into_iter().flatten() {
                assert!(!unexplained(&prefix(&good, at_us)), "seed {seed}, up to {at_us}");
            }
        }
        drop_operations(&good, |less| {
            assert!(!unexplained(less), "seed {seed}: {less:?}");
            false
        });
    }
}

#[test]
fn a_spoiled_history_is_cut_where_it_first_fails_and_the_rest_still_fails() {
    let mut shortened = 0;
    for seed in 0..60 {
        let mut history = good(seed);
        let told = history.records.iter_mut().skip(4).find_map(|record| match &mut record.outcome {
            Outcome::Answered(answers) => match answers.first_mut() {
                Some(crate::history::Answer::Done(done)) => Some(done),
                _ => None,
            },
            _ => None,
        });
        let Some(done) = told else { continue };
        done.atp_after += 5;
        if !unexplained(&history) {
            continue;
        }
        let found = shortest(&history, &BOUND, "linearizable").unwrap();
        assert!(unexplained(&found.history), "seed {seed}");
        let last_us = found.history.records.iter().filter_map(|record| record.return_us).max().unwrap();
        assert!(!unexplained(&prefix(&history, last_us - 1)), "seed {seed}: it fails earlier");
        shortened += usize::from(found.history.records.len() < history.records.len());
    }
    assert!(shortened > 20, "{shortened}");
}

#[test]
fn attempts_that_say_nothing_new_of_an_operation_are_dropped() {
    let again = |story: Story, call, outcome| story.command(2, call, call + 1, receive("A", 5), outcome);
    let mut story = Story::stocked();
    for (call, outcome) in [(5, unknown()), (8, unknown()), (11, done(2, 15)), (14, done(2, 15)), (17, unknown())] {
        story = again(story, call, outcome);
    }
    let story = story.reads(20, 21, stock(0, 0, 1));
    assert!(unexplained(&story.0));
    let found = shortest(&story.0, &BOUND, "linearizable").unwrap();
    assert!(unexplained(&found.history));
    let calls: Vec<u64> = found.history.records.iter().map(|record| record.call_us / 1_000).collect();
    assert_eq!(calls, [1, 5, 11, 20], "of the operation its first call and its first answer");
}

#[test]
fn of_an_id_that_was_decided_twice_two_attempts_are_enough() {
    let mut story = Story::stocked();
    for at in 0..5 {
        story = story.command(7, 10 + 2 * at, 11 + 2 * at, receive("A", 5), done(2, 15));
    }
    story = story.command(8, 30, 31, receive("A", 5), done(3, 20)).command(7, 40, 41, receive("A", 5), done(4, 25));
    let found = shortest(&noise(story), &BOUND, "exactly_once").unwrap();
    assert_eq!(found.history.records.len(), 2);
    assert_eq!(exactly_once::check(&found.history).len(), 1);
}

#[test]
fn of_a_lost_hold_its_commands_stay_and_reads_that_say_nothing_go() {
    let read = |story: Story, call, seen| {
        let asked = Asked::Read(Subject::Reservation(crate::history::Id(2)), Freshness::Linearizable);
        story.tell(
            call,
            call + 1,
            asked,
            Outcome::Seen { seen: Seen::Reservation(seen), position: None, log_time_ms: None },
        )
    };
    let hold = crate::history::ReservationSeen {
        phase: Phase::Held,
        expires_at_ms: 10 + u64::from(TTL_S) * 1_000,
        revision: 1,
        lines: Vec::new(),
    };
    let story = Story::stocked().held(2, 10, 12, 3, 7);
    let story = read(read(read(story, 13, Some(hold.clone())), 20, Some(hold)), 30, None);
    let found = shortest(&noise(story), &BOUND, "holds").unwrap();
    assert_eq!(holds::check(&found.history, &BOUND).len(), 1);
    assert_eq!(found.history.records.len(), 2, "{found:?}");
}

#[test]
fn of_reads_that_go_back_two_are_enough() {
    let read = |story: Story, call, index, seen| {
        let position = Some(Position { shard: 0, index });
        let asked = Asked::Read(Subject::Stock("A".to_owned()), Freshness::Stale);
        story.tell(call, call + 1, asked, Outcome::Seen { seen: Seen::Stock(Some(seen)), position, log_time_ms: None })
    };
    let story = read(Story::stocked(), 10, 5, stock(0, 0, 1));
    let story = read(read(story, 20, 6, stock(3, 0, 2)), 30, 7, stock(0, 0, 1));
    let found = shortest(&story.0, &BOUND, "tokens").unwrap();
    assert_eq!(tokens::check(&found.history).len(), 1);
    assert_eq!(found.history.records.len(), 2);
}

#[test]
fn what_a_finding_names_is_found_by_its_ids_or_else_by_its_skus() {
    let story = Story::stocked().held(0xabc, 10, 12, 3, 7).command(5, 20, 21, receive("B", 1), done(1, 1));
    let id = crate::history::Id(0xabc);
    let by_id = [format!("conservation: reservation {id} is gone"), "run of A".to_owned()];
    assert_eq!(named(&story.0, &by_id, "conservation"), BTreeSet::from([(1, 10_000)]));
    let by_sku = ["conservation: 3 units of B are received".to_owned()];
    assert_eq!(named(&story.0, &by_sku, "conservation"), BTreeSet::from([(2, 20_000)]));
    assert_eq!(named(&story.0, &by_sku, "healed"), BTreeSet::new());
}
