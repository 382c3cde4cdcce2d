//! Choices, by example and against a search of everything.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Choice, Order, SETS_TRIED, Wanted, choose, smallest_sets};

const MANY: usize = 256;

fn wanted(item: usize, units: u64, available: &[u64]) -> Wanted {
    Wanted { item, units, least: units, optional: false, available: available.to_vec() }
}

fn given(locations: usize) -> Order {
    Order::Given((0..locations).collect())
}

#[test]
fn priority_takes_the_first_that_has_all_or_what_each_has_in_turn() {
    let lines = [wanted(0, 5, &[2, 9, 9])];
    assert_eq!(choose(&lines, &given(3), false, MANY), [Some(vec![(1, 5)])]);
    assert_eq!(choose(&lines, &given(3), true, MANY), [Some(vec![(0, 2), (1, 3)])]);
    assert_eq!(choose(&[wanted(0, 5, &[2, 0, 2])], &given(3), true, MANY), [None]);
}

#[test]
fn nothing_is_taken_from_a_location_that_is_not_in_the_list() {
    let lines = [wanted(0, 5, &[9, 4, 9])];
    assert_eq!(choose(&lines, &Order::Given(vec![1]), true, MANY), [None]);
    assert_eq!(choose(&lines, &Order::Given(vec![1, 2]), true, MANY), [Some(vec![(1, 4), (2, 1)])]);
}

#[test]
fn most_stock_looks_at_what_the_lines_before_have_left() {
    let lines = [wanted(0, 4, &[6, 5, 1]), wanted(0, 4, &[6, 5, 1])];
    assert_eq!(choose(&lines, &Order::MostStock, false, MANY), [Some(vec![(0, 4)]), Some(vec![(1, 4)])]);
    assert_eq!(choose(&lines[..1], &Order::MostStock, true, MANY), [Some(vec![(0, 4)])]);
}

#[test]
fn what_is_required_comes_before_what_is_optional() {
    let lines = [Wanted { optional: true, ..wanted(0, 3, &[4]) }, wanted(0, 3, &[4])];
    assert_eq!(choose(&lines, &given(1), true, MANY), [None, Some(vec![(0, 3)])]);
}

#[test]
fn the_fewest_locations_are_counted_over_all_lines_and_a_line_is_split_only_if_none_has_it_all() {
    let lines = [wanted(0, 2, &[2, 0, 2]), wanted(1, 2, &[0, 2, 2]), wanted(2, 4, &[9, 2, 4])];
    let third = vec![Some(vec![(2, 2)]), Some(vec![(2, 2)]), Some(vec![(2, 4)])];
    assert_eq!(choose(&lines, &Order::FewestSplits, true, MANY), third);
    let torn = [wanted(0, 5, &[3, 1, 3])];
    assert_eq!(choose(&torn, &Order::FewestSplits, true, MANY), [Some(vec![(0, 3), (2, 2)])]);
    assert_eq!(choose(&torn, &Order::FewestSplits, false, MANY), [None]);
}

#[test]
fn a_line_that_cannot_be_had_does_not_cost_the_others_their_locations() {
    let lines = [wanted(0, 9, &[1, 1]), wanted(1, 2, &[0, 2])];
    assert_eq!(choose(&lines, &Order::FewestSplits, true, MANY), [None, Some(vec![(1, 2)])]);
}

#[test]
fn of_a_line_of_which_fewer_will_do_as_many_are_taken_as_can_be_had() {
    let line = |units, least, available: &[u64]| Wanted { least, ..wanted(0, units, available) };
    let orders = [given(3), Order::MostStock, Order::FewestSplits];
    for order in &orders {
        let once = choose(&[line(9, 3, &[2, 4, 0])], order, false, MANY);
        assert_eq!(once, [Some(vec![(1, 4)])], "{order:?}");
        assert_eq!(choose(&[line(9, 5, &[2, 4, 0])], order, false, MANY), [None], "{order:?}");
        let split = choose(&[line(9, 5, &[2, 4, 0])], order, true, MANY);
        let units: u64 = split[0].iter().flatten().map(|(_, units)| units).sum();
        assert_eq!(units, 6, "{order:?}: {split:?}");
        // What one line takes is not there for the next, which makes do with what is left.
        let two = choose(&[line(4, 4, &[5, 0, 0]), line(4, 1, &[5, 0, 0])], order, true, MANY);
        assert_eq!(two, [Some(vec![(0, 4)]), Some(vec![(0, 1)])], "{order:?}");
        // More parts than there may be are no reason to go without.
        let few = choose(&[line(9, 1, &[1, 1, 5])], order, true, 2);
        assert_eq!(
            few[0].iter().flatten().map(|(_, units)| units).sum::<u64>(),
            if *order == orders[1] { 6 } else { 5 }
        );
    }
}

#[test]
fn what_is_never_refused_is_had_anywhere() {
    let lines = [wanted(0, 7, &[u64::MAX, u64::MAX]), wanted(0, 7, &[u64::MAX, u64::MAX])];
    for order in [given(2), Order::MostStock, Order::FewestSplits] {
        assert_eq!(choose(&lines, &order, true, MANY), [Some(vec![(0, 7)]), Some(vec![(0, 7)])], "{order:?}");
    }
}

#[test]
fn there_are_never_more_parts_than_a_reservation_may_have() {
    let lines: Vec<Wanted> = (0..4).map(|item| wanted(item, 3, &[1, 1, 1])).collect();
    let choices = choose(&lines, &given(3), true, 9);
    assert_eq!(parts(&choices), 6);
    assert_eq!(choices.iter().filter(|choice| choice.is_none()).count(), 2);
}

#[test]
fn many_locations_are_chosen_among_greedily_and_none_of_the_chosen_could_be_left_out() {
    // Forty locations with one unit each, and of each line only three neighbours have it: no set of a few does.
    let line = |item: usize| {
        let available: Vec<u64> = (0..40).map(|at| u64::from(at / 3 == item)).collect();
        wanted(item, 1, &available)
    };
    let lines: Vec<Wanted> = (0..13).map(line).collect();
    let choices = choose(&lines, &Order::FewestSplits, false, MANY);
    assert_eq!(locations(&choices).len(), 13);
    assert_eq!(choices[0], Some(vec![(0, 1)]));
}

#[test]
fn sets_come_by_size_and_then_in_the_order_of_the_locations() {
    let sets: Vec<Vec<usize>> = smallest_sets(&[4, 7, 9]).collect();
    assert_eq!(sets, [vec![4], vec![7], vec![9], vec![4, 7], vec![4, 9], vec![7, 9], vec![4, 7, 9]]);
    assert_eq!(smallest_sets(&(0..10).collect::<Vec<_>>()).count(), SETS_TRIED - 1);
    assert_eq!(smallest_sets(&[]).count(), 0);
}

fn parts(choices: &[Choice]) -> usize {
    choices.iter().flatten().map(Vec::len).sum()
}

fn locations(choices: &[Choice]) -> BTreeSet<usize> {
    choices.iter().flatten().flatten().map(|(location, _)| *location).collect()
}

/// Whether that is a choice at all, whatever the strategy.
fn check(lines: &[Wanted], choices: &[Choice], allow_split: bool) {
    let mut taken: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    for (line, choice) in lines.iter().zip(choices) {
        let Some(choice) = choice else { continue };
        let units = choice.iter().map(|(_, units)| units).sum();
        assert!((line.least..=line.units).contains(&units), "a line is had whole, or as much as will do: {choice:?}");
        assert!(choice.iter().all(|(_, units)| *units > 0), "{choice:?}");
        assert!(allow_split || choice.len() == 1, "{choice:?}");
        let distinct: BTreeSet<usize> = choice.iter().map(|(location, _)| *location).collect();
        assert_eq!(distinct.len(), choice.len(), "{choice:?}");
        for (location, units) in choice {
            let sum = taken.entry((line.item, *location)).or_default();
            *sum += units;
            assert!(*sum <= line.available[*location], "more than there is: {choices:?}");
        }
    }
}

/// The same, searched for among all sets of locations, of lines of which no two are of one item.
fn fewest(lines: &[Wanted], locations: usize, allow_split: bool) -> usize {
    let can = |line: &Wanted, set: usize| {
        let here = (0..locations).filter(|at| set >> at & 1 == 1).map(|at| line.available[at]);
        let most = if allow_split { here.sum() } else { here.max().unwrap_or(0) };
        most.min(line.units)
    };
    let all = (1 << locations) - 1;
    let meant: Vec<&Wanted> = lines.iter().filter(|line| can(line, all) >= line.least).collect();
    let does = |set: &usize| meant.iter().all(|line| can(line, *set) == can(line, all));
    (0..=all).filter(does).map(|set: usize| set.count_ones() as usize).min().unwrap()
}

const LOCATIONS: usize = 5;

fn line(item: usize) -> impl Strategy<Value = Wanted> {
    let available = prop::collection::vec(0_u64..5, LOCATIONS);
    (available, 1_u64..7, 0_u64..7, any::<bool>()).prop_map(move |(available, units, fewer, optional)| Wanted {
        item,
        units,
        least: units.saturating_sub(fewer).max(1),
        optional,
        available,
    })
}

/// Lines of different items.
fn lines() -> impl Strategy<Value = Vec<Wanted>> {
    (1_usize..5).prop_flat_map(|count| (0..count).map(line).collect::<Vec<_>>())
}

/// Lines of which some are of one item, which lies where it lies.
fn lines_of_few_items() -> impl Strategy<Value = Vec<Wanted>> {
    let stocks = prop::collection::vec(prop::collection::vec(0_u64..6, LOCATIONS), 2);
    let asked = prop::collection::vec((0_usize..2, 1_u64..6, 0_u64..6, any::<bool>()), 1..6);
    (stocks, asked).prop_map(|(stocks, asked)| {
        let of = |(item, units, fewer, optional): (usize, u64, u64, bool)| Wanted {
            item,
            units,
            least: units.saturating_sub(fewer).max(1),
            optional,
            available: stocks[item].clone(),
        };
        asked.into_iter().map(of).collect()
    })
}

use proptest::strategy::Strategy;

proptest! {
    #[test]
    fn every_strategy_takes_whole_lines_and_no_more_than_there_is(
        lines in lines_of_few_items(),
        allow_split in any::<bool>(),
    ) {
        for order in [given(LOCATIONS), Order::Given(vec![3, 1]), Order::MostStock, Order::FewestSplits] {
            check(&lines, &choose(&lines, &order, allow_split, MANY), allow_split);
        }
    }

    #[test]
    fn lines_of_different_items_are_had_wherever_they_can_be(lines in lines(), allow_split in any::<bool>()) {
        for order in [given(LOCATIONS), Order::MostStock, Order::FewestSplits] {
            let choices = choose(&lines, &order, allow_split, MANY);
            check(&lines, &choices, allow_split);
            for (line, choice) in lines.iter().zip(&choices) {
                let most: u64 =
                    if allow_split { line.available.iter().sum() } else { *line.available.iter().max().unwrap() };
                let had = choice.iter().flatten().map(|(_, units)| units).sum::<u64>();
                prop_assert_eq!(had, if most >= line.least { most.min(line.units) } else { 0 });
            }
        }
    }

    #[test]
    fn the_fewest_locations_are_as_few_as_a_search_of_everything_finds(
        lines in lines(),
        allow_split in any::<bool>(),
    ) {
        let choices = choose(&lines, &Order::FewestSplits, allow_split, MANY);
        prop_assert_eq!(locations(&choices).len(), fewest(&lines, LOCATIONS, allow_split));
    }

    #[test]
    fn no_location_that_comes_earlier_could_have_given_more(lines in lines(), allow_split in any::<bool>()) {
        let choices = choose(&lines, &given(LOCATIONS), allow_split, MANY);
        for (line, choice) in lines.iter().zip(choices) {
            let Some(choice) = choice else { continue };
            let last = choice[choice.len() - 1].0;
            for earlier in 0..last {
                let of_it = choice.iter().find(|(at, _)| *at == earlier).map_or(0, |(_, units)| *units);
                let is_used_up = of_it == line.available[earlier];
                let is_too_little = line.available[earlier] < line.units;
                let is_right = if allow_split { is_used_up } else { is_too_little };
                prop_assert!(is_right);
            }
        }
    }
}
