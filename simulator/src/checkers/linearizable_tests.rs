//! Known good and bad histories, and small random ones against trying every order.

use proptest::prelude::*;

use super::*;
use crate::checkers::stories::{
    BOUND, Story, TTL_S, cancel, commit, done, held, phase, receive, refused, release, reserve, stock, unknown,
    unrecorded,
};
use crate::history::{Command, Line, Outcome, Phase};

fn findings(story: Story) -> Vec<Finding> {
    check(&story.0, &BOUND, &Effort::default())
}

fn is_good(story: Story) {
    assert_eq!(findings(story), []);
}

fn is_bad(story: Story) {
    let findings = findings(story);
    assert!(!findings.is_empty() && findings.iter().all(|finding| finding.decided), "{findings:?}");
}

#[test]
fn a_history_in_order_is_explained() {
    is_good(
        Story::stocked()
            .held(2, 10, 12, 3, 7)
            .reads(13, 14, stock(3, 0, 2))
            .command(3, 20, 22, commit(2), phase(2, 7, Phase::Committed))
            .reads(23, 24, stock(0, 3, 3))
            .command(4, 30, 31, release(2), refused("ALREADY_COMMITTED", &[]))
            .command(5, 40, 41, reserve(5, "A", 8), refused("INSUFFICIENT_STOCK", &[("available", 7)])),
    );
}

#[test]
fn concurrent_operations_may_be_in_either_order() {
    is_good(Story::stocked().held(2, 10, 30, 3, 2).held(3, 10, 30, 5, 5));
    is_good(Story::stocked().held(2, 10, 30, 3, 7).reads(10, 30, stock(0, 0, 1)));
    is_good(Story::stocked().held(2, 10, 30, 3, 7).reads(10, 30, stock(3, 0, 2)));
}

/// Eight of ten units are held, and expire.
fn expired() -> Story {
    Story::stocked().held(2, 10, 12, 8, 2)
}

const OVER: u64 = 10 + TTL_S as u64 * 1_000;

fn retake() -> Request {
    Request::Retake { reservation: Id(2) }
}

#[test]
fn what_has_expired_is_retaken_where_it_is_free_and_else_refused() {
    let retaken = |story: Story, outcome| story.command(9, OVER + 50, OVER + 51, retake(), outcome);
    let sold = || phase(3, 2, Phase::Committed);
    is_good(retaken(expired(), sold()).reads(OVER + 60, OVER + 61, stock(0, 8, 4)));
    is_bad(retaken(expired(), refused("INSUFFICIENT_STOCK", &[("available", 7)])));
    is_bad(retaken(expired(), refused("RESERVATION_EXPIRED", &[("expired_at_ms", OVER)])));
    let taken = || expired().held(5, OVER + 10, OVER + 12, 3, 7);
    is_good(retaken(taken(), refused("INSUFFICIENT_STOCK", &[("available", 7)])));
    is_bad(retaken(taken(), phase(3, 0, Phase::Committed)));
    // Before its time it is a sale like any.
    is_good(expired().command(9, 20, 21, retake(), phase(2, 2, Phase::Committed)));
}

#[test]
fn what_is_not_shipped_in_time_is_given_back_then_and_not_before() {
    let sold = || {
        let until = Request::CommitUntil { reservation: Id(2), cancel_at_ms: 500 };
        expired().command(3, 20, 22, until, phase(2, 2, Phase::Committed))
    };
    is_good(sold().reads(498, 499, stock(0, 8, 3)).reads(510, 511, stock(0, 0, 4)));
    is_bad(sold().reads(498, 499, stock(0, 0, 4)));
    let received = |at, outcome| sold().command(4, at, at + 1, receive("A", 1), outcome);
    is_good(received(510, done(5, 11)));
    is_bad(received(510, done(4, 3)));
    is_bad(received(490, done(5, 11)));
    let fulfil = || Request::Fulfil { reservation: Id(2) };
    is_good(sold().command(4, 510, 511, fulfil(), refused("ALREADY_RELEASED", &[])));
    is_bad(sold().command(4, 510, 511, fulfil(), phase(3, 2, Phase::Fulfilled)));
    is_good(sold().command(4, 490, 491, fulfil(), phase(3, 2, Phase::Fulfilled)));
}

#[test]
fn a_stale_read_is_found() {
    is_bad(Story::stocked().held(2, 10, 12, 3, 7).reads(13, 14, stock(0, 0, 1)));
}

#[test]
fn a_lost_write_is_found() {
    is_bad(Story::stocked().command(2, 5, 6, receive("A", 5), done(2, 15)).held(3, 10, 12, 3, 7));
}

#[test]
fn a_unit_sold_twice_is_found() {
    is_bad(Story::stocked().held(2, 10, 12, 8, 2).held(3, 20, 22, 8, 2));
}

#[test]
fn a_refusal_while_stock_was_there_is_found() {
    let sold_out = refused("INSUFFICIENT_STOCK", &[("available", 2)]);
    is_bad(Story::stocked().held(2, 10, 12, 3, 7).command(3, 20, 22, reserve(3, "A", 5), sold_out));
}

#[test]
fn a_refusal_that_was_not_recorded_must_have_been_so_and_uses_nothing_up() {
    let sold_out = |available| unrecorded(refused("INSUFFICIENT_STOCK", &[("available", available)]));
    let asks = |story: Story, available| story.command(3, 20, 22, reserve(3, "A", 5), sold_out(available));
    is_good(asks(Story::stocked().held(2, 10, 12, 6, 4), 4));
    is_bad(asks(Story::stocked().held(2, 10, 12, 3, 7), 2));
    is_bad(asks(Story::stocked().held(2, 10, 12, 6, 4), 3));
    let again =
        asks(Story::stocked().held(2, 10, 12, 6, 4), 4).command(4, 30, 31, release(2), phase(2, 10, Phase::Released));
    is_good(again.held(3, 40, 41, 5, 5));
}

#[test]
fn an_acknowledged_hold_that_vanished_is_found() {
    let gone = refused("RESERVATION_NOT_FOUND", &[]);
    is_bad(Story::stocked().held(2, 10, 12, 3, 7).command(3, 20, 22, commit(2), gone));
    let expired = refused("RESERVATION_EXPIRED", &[("expired_at_ms", 10 + u64::from(TTL_S) * 1_000)]);
    is_bad(Story::stocked().held(2, 10, 12, 3, 7).command(3, 20, 22, commit(2), expired));
}

#[test]
fn an_unknown_operation_may_be_done_late_or_never() {
    let unknown_hold = |story: Story| story.command(2, 10, 0, reserve(2, "A", 3), unknown());
    is_good(unknown_hold(Story::stocked()).reads(20, 21, stock(0, 0, 1)));
    is_good(unknown_hold(Story::stocked()).reads(20, 21, stock(0, 0, 1)).reads(30, 31, stock(3, 0, 2)));
    is_bad(unknown_hold(Story::stocked()).reads(20, 21, stock(3, 0, 2)).reads(30, 31, stock(0, 0, 1)));
}

#[test]
fn a_hold_ends_at_its_expiry_and_neither_before_nor_after() {
    let ttl_ms = u64::from(TTL_S) * 1_000;
    let story = || Story::stocked().held(2, 10, 10, 3, 7);
    let expired = || refused("RESERVATION_EXPIRED", &[("expired_at_ms", 10 + ttl_ms)]);
    is_good(story().command(3, ttl_ms + 10, ttl_ms + 20, commit(2), expired()));
    is_good(story().command(3, ttl_ms + 5, ttl_ms + 9, commit(2), phase(2, 7, Phase::Committed)));
    is_bad(story().command(3, ttl_ms + 5, ttl_ms + 9, commit(2), expired()));
    is_bad(story().command(3, ttl_ms + 10, ttl_ms + 20, commit(2), phase(2, 7, Phase::Committed)));
    // Between the two instants it may be either, and what one of two saw binds the other.
    let late = |story: Story, outcome| story.command(3, ttl_ms + 5, ttl_ms + 20, commit(2), outcome);
    is_good(late(story(), expired()));
    is_good(late(story(), phase(2, 7, Phase::Committed)));
    is_bad(late(story(), expired()).command(4, ttl_ms + 21, ttl_ms + 22, release(2), phase(3, 10, Phase::Released)));
    // A read may come before the entry that ends it, a hold that needs the units may not.
    is_good(story().reads(ttl_ms + 20, ttl_ms + 30, stock(3, 0, 2)));
    let hold = |atp| held(1, atp, ttl_ms + 20 + ttl_ms);
    is_good(story().command(3, ttl_ms + 20, ttl_ms + 30, reserve(3, "A", 1), hold(9)));
    is_bad(story().command(3, ttl_ms + 20, ttl_ms + 30, reserve(3, "A", 1), hold(6)));
}

#[test]
fn an_extension_gives_the_later_expiry_and_changes_nothing_where_that_is_the_old_one() {
    let ttl_ms = u64::from(TTL_S) * 1_000;
    let story = || Story::stocked().held(2, 10, 12, 3, 7);
    let extend = |ttl_s| Request::Extend { reservation: Id(2), ttl_s };
    let later = 20 + 2 * ttl_ms;
    let extended = || story().command(3, 20, 20, extend(2 * TTL_S), held(2, 7, later));
    is_good(extended().command(4, later - 5, later - 1, commit(2), phase(3, 7, Phase::Committed)));
    is_bad(extended().command(4, later, later + 1, commit(2), phase(3, 7, Phase::Committed)));
    is_good(story().command(3, 20, 22, extend(1), held(1, 7, 10 + ttl_ms)));
    is_bad(story().command(3, 20, 22, extend(1), held(2, 7, 10 + ttl_ms)));
    is_bad(story().command(3, 20, 22, extend(2 * TTL_S), held(1, 7, 10 + ttl_ms)));
    is_bad(story().command(3, 20, 22, extend(1), held(2, 7, 1_020)));
}

#[test]
fn a_cart_is_held_whole_and_a_part_of_it_is_found() {
    let cart = || {
        let lines = ["A", "B"].map(|sku| Line { sku: sku.to_owned(), units: 2 }).to_vec();
        Request::Reserve { reservation: Id(9), lines, ttl_s: TTL_S, over_shards: false, customer: 0, together: 0 }
    };
    let story = || {
        Story::stocked().command(2, 3, 4, receive("B", 10), done(1, 10)).command(
            9,
            10,
            20,
            cart(),
            held(1, 8, 10 + u64::from(TTL_S) * 1_000),
        )
    };
    let of = |sku: &str, reserved, revision, call, story: Story| {
        let asked = Asked::Read(Subject::Stock(sku.to_owned()), Freshness::Linearizable);
        let seen = crate::history::Seen::Stock(Some(stock(reserved, 0, revision)));
        story.tell(call, call + 1, asked, Outcome::Seen { seen, position: None, log_time_ms: None })
    };
    is_good(of("B", 2, 2, 13, of("A", 2, 2, 11, story())));
    is_good(of("B", 2, 2, 13, of("A", 0, 1, 11, story())));
    // Each alone could be: together they see half a cart.
    is_bad(of("B", 0, 1, 13, of("A", 2, 2, 11, story())));
}

#[test]
fn a_chain_is_done_whole_or_not_at_all() {
    let chain = |second: Request| {
        Asked::Commands(vec![
            Command { id: Id(2), request: reserve(2, "A", 3) },
            Command { id: Id(3), request: second },
        ])
    };
    let answers = |outcomes: [Outcome; 2]| {
        let answers = outcomes.into_iter().flat_map(|outcome| match outcome {
            Outcome::Answered(answers) => answers,
            _ => Vec::new(),
        });
        Outcome::Answered(answers.collect())
    };
    let sold = answers([held(1, 7, 10 + u64::from(TTL_S) * 1_000), phase(2, 7, Phase::Committed)]);
    is_good(Story::stocked().tell(10, 12, chain(commit(2)), sold.clone()).reads(13, 14, stock(0, 3, 3)));
    is_bad(Story::stocked().tell(10, 12, chain(commit(2)), sold.clone()).reads(13, 14, stock(3, 0, 2)));
    is_bad(Story::stocked().tell(10, 20, chain(commit(2)), sold).reads(13, 14, stock(3, 0, 2)));
    let failed = answers([refused("LINKED_COMMAND_FAILED", &[]), refused("RESERVATION_NOT_FOUND", &[])]);
    is_good(Story::stocked().tell(10, 12, chain(commit(7)), failed.clone()).reads(13, 14, stock(0, 0, 1)));
    is_bad(Story::stocked().tell(10, 12, chain(commit(7)), failed.clone()).reads(13, 14, stock(3, 0, 2)));
    is_bad(Story::stocked().tell(10, 12, chain(commit(2)), failed));
}

#[test]
fn a_history_that_is_too_large_is_undecided() {
    let effort = Effort { places: 2, operations: 100 };
    let story = Story::stocked().held(2, 10, 12, 1, 9).held(3, 20, 22, 1, 8).held(4, 30, 32, 1, 7);
    let findings = check(&story.0, &BOUND, &effort);
    assert!(findings.iter().any(|finding| !finding.decided), "{findings:?}");
}

/// Very many holds of one SKU, two at a time, each committed, looked at and cancelled.
fn long_story(rounds: u64) -> Story {
    let mut story = Story::stocked();
    for round in 0..rounds {
        let (one, other) = (u128::from(10 + 2 * round), u128::from(11 + 2 * round));
        let (begin, revision) = (10 + 20 * round, 5 * round);
        story = story
            .held(one, begin, begin + 3, 3, 7)
            .held(other, begin, begin + 2, 2, 5)
            .command(one << 64, begin + 4, begin + 6, commit(one), phase(2, 5, Phase::Committed))
            .reads(begin + 4, begin + 8, stock(2, 3, revision + 4))
            .command(one << 65, begin + 5, begin + 9, commit(one), refused("ALREADY_COMMITTED", &[]))
            .command(one << 66, begin + 10, begin + 12, cancel(one), phase(3, 8, Phase::Cancelled))
            .command(other << 67, begin + 10, begin + 13, release(other), phase(2, 10, Phase::Released));
    }
    story
}

#[test]
fn a_history_of_twenty_thousand_operations_on_one_sku_is_decided() {
    let (rounds, last) = (3_000, 10 + 20 * 3_000);
    is_good(long_story(rounds).reads(last, last + 1, stock(0, 0, 5 * rounds + 1)));
    is_bad(long_story(rounds).reads(last, last + 1, stock(0, 0, 5 * rounds)));
}

#[test]
fn what_changes_nothing_is_not_tried_in_every_order() {
    let many = |mut story: Story| {
        for id in 0..40 {
            story = story.reads(20, 40, stock(3, 0, 2));
            let sold_out = refused("INSUFFICIENT_STOCK", &[("available", 7)]);
            story = story.command(100 + id, 20, 40, reserve(100 + id, "A", 8), sold_out);
        }
        story
    };
    let held = || Story::stocked().held(2, 10, 12, 3, 7);
    is_good(many(held()).command(3, 20, 40, commit(2), phase(2, 7, Phase::Committed)));
    is_bad(many(held()).command(3, 20, 40, commit(2), phase(2, 8, Phase::Committed)));
}

#[test]
fn a_read_is_not_moved_before_what_it_saw() {
    // It fits at its call, then no more, and once more in the end: the first place that fits must not be held against others.
    let story = || Story::stocked().reads(5, 50, stock(0, 0, 1)).held(2, 10, 20, 3, 7);
    is_good(story().reads(30, 31, stock(3, 0, 2)));
    is_bad(Story::stocked().held(2, 10, 20, 3, 7).reads(21, 50, stock(0, 0, 1)));
    // An expiry that nobody was told of may come before a read or after it.
    let ttl_ms = u64::from(TTL_S) * 1_000;
    let unknown = Story::stocked().command(2, 10, 0, reserve(2, "A", 3), unknown());
    let seen = unknown.reads(20, 21, stock(3, 0, 2)).reads(ttl_ms + 20, ttl_ms + 40, stock(3, 0, 2));
    is_good(seen.reads(ttl_ms + 30, ttl_ms + 41, stock(0, 0, 3)));
}

/// What a small random history is made of: a request, how long it takes, and how its answer is to be spoiled.
#[derive(Clone, Debug)]
struct Deed {
    request: u8,
    units: u32,
    of: u8,
    before: u64,
    takes: u64,
    spoil: u8,
}

fn deed() -> impl Strategy<Value = Deed> {
    (0..5_u8, 1..6_u32, 0..3_u8, 0..3_u64, 1..12_u64, 0..12_u8)
        .prop_map(|(request, units, of, before, takes, spoil)| Deed { request, units, of, before, takes, spoil })
}

/// Does the deeds one after the other on plain counts, and spoils or hides a few answers. No hold expires.
fn history_of(deeds: &[Deed]) -> History {
    let (mut on_hand, mut held_units, mut sold, mut revision) = (4_u64, [None::<(u64, u8)>; 3], 0_u64, 1_u64);
    let mut story = Story::default().command(1, 1, 2, receive("A", 4), done(1, 4));
    let mut call = 10;
    for (number, deed) in deeds.iter().enumerate() {
        call += deed.before;
        let (of, id) = (usize::from(deed.of), 100 + number as u128);
        let hold_id = 10 + u128::from(deed.of);
        let reserved = |held: &[Option<(u64, u8)>; 3]| -> u64 {
            held.iter().flatten().filter(|(_, phase)| *phase == 0).map(|(units, _)| units).sum()
        };
        let free = on_hand - reserved(&held_units) - sold;
        let (request, outcome) = match (deed.request, held_units[of]) {
            (0, _) => {
                (on_hand, revision) = (on_hand + u64::from(deed.units), revision + 1);
                (receive("A", deed.units), done(revision, free + u64::from(deed.units)))
            }
            (1 | 2, Some(_)) => (reserve(hold_id, "A", deed.units), refused("EXISTS", &[])),
            (1 | 2, None) if u64::from(deed.units) > free => {
                (reserve(hold_id, "A", deed.units), refused("INSUFFICIENT_STOCK", &[("available", free)]))
            }
            (1 | 2, None) => {
                (held_units[of], revision) = (Some((u64::from(deed.units), 0)), revision + 1);
                let expires = call + u64::from(TTL_S) * 1_000;
                (reserve(hold_id, "A", deed.units), held(1, free - u64::from(deed.units), expires))
            }
            (_, None) => (commit(hold_id), refused("RESERVATION_NOT_FOUND", &[])),
            (_, Some((units, 0))) if deed.request == 3 => {
                (held_units[of], sold, revision) = (Some((units, 1)), sold + units, revision + 1);
                (commit(hold_id), phase(2, free, Phase::Committed))
            }
            (_, Some((units, 0))) => {
                (held_units[of], revision) = (Some((units, 2)), revision + 1);
                (release(hold_id), phase(2, free + units, Phase::Released))
            }
            (_, Some((_, 1))) => (release(hold_id), refused("ALREADY_COMMITTED", &[])),
            (_, Some(_)) => (release(hold_id), refused("ALREADY_RELEASED", &[])),
        };
        let (back, outcome) = match (deed.spoil, outcome) {
            (0, _) => (0, unknown()),
            (1, Outcome::Answered(answers)) => match answers.into_iter().next() {
                Some(Answer::Done(told)) => {
                    let spoiled = crate::history::Done { atp_after: told.atp_after + 1, ..told };
                    (call + deed.takes, Outcome::Answered(vec![Answer::Done(spoiled)]))
                }
                _ => (call + deed.takes, refused("INSUFFICIENT_STOCK", &[("available", 0)])),
            },
            (_, outcome) => (call + deed.takes, outcome),
        };
        story = story.command(id, call, back, request, outcome);
    }
    story.0
}

/// Every order that the calls and returns allow, tried one after the other, with no memory of any.
fn brute_force(history: &History) -> bool {
    let operations = operations(history);
    let skus = parts(&operations).into_iter().next().unwrap_or_default();
    let reservations = skus_of_reservations(&operations);
    let mut model = Model::of(skus.iter().copied(), reservations.keys().copied());
    let steps: Vec<Bounded> = operations.iter().filter_map(|operation| step_of(&mut model, operation)).collect();
    fn explain(model: &Model, state: &crate::checkers::model::State, left: &[&Bounded]) -> bool {
        if left.iter().all(|step| step.return_us.is_none()) {
            return true;
        }
        (0..left.len()).any(|at| {
            let mut rest = left.to_vec();
            let chosen = rest.remove(at);
            let comes_after = |other: &&Bounded| other.return_us.is_some_and(|back| back < chosen.call_us);
            let mut state = state.clone();
            state.now = chosen.log_time.unwrap_or(state.now);
            !rest.iter().any(comes_after) && model.step(&mut state, &chosen.step) && explain(model, &state, &rest)
        })
    }
    explain(&model, &model.beginning(), &steps.iter().collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_search_says_what_trying_every_order_says(deeds in proptest::collection::vec(deed(), 1..7)) {
        let history = history_of(&deeds);
        // Log time is not the matter here: any stamp will do.
        let bound = LogTimeBound { zero_ms: 0, behind_ms: 1_000_000, ahead_ms: 5_000 };
        let told_nothing = |history: &History| {
            let mut history = history.clone();
            for record in &mut history.records {
                if let Outcome::Answered(answers) = &mut record.outcome {
                    for answer in answers {
                        if let Answer::Done(told) = answer && told.expires_at_ms > 0 {
                            told.expires_at_ms = u64::from(TTL_S) * 1_000 + 50;
                        }
                    }
                }
            }
            history
        };
        let history = told_nothing(&history);
        let found = check(&history, &bound, &Effort::default());
        prop_assert!(found.iter().all(|finding| finding.decided));
        prop_assert_eq!(found.is_empty(), brute_force(&history), "{:?}", found);
    }
}
