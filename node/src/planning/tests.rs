//! How a reserve is written whose channel chooses.

use holdfast_inventory::commands::{Line, Reserve};
use holdfast_inventory::{Command, LocationId, Operation, Sku, Source, Units};
use holdfast_proto::v1;

use super::{Order, Sourcing, Strategy, as_asked, choose, wanted, write_lines};
use crate::from_proto::{Words, Zones, command};

fn ids(names: &[&str]) -> Vec<LocationId> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn sourcing(allow_split: bool) -> Sourcing {
    let (channel, locations) = ("web".parse().unwrap(), ids(&["PAR", "LYO", "NIC"]));
    Sourcing { channel, locations, strategy: Strategy::Priority, allow_split }
}

fn wire(lines: &[(&str, u32)]) -> v1::Reserve {
    let line = |(sku, units): &(&str, u32)| v1::Line { sku: (*sku).to_owned(), units: *units, ..Default::default() };
    let slot = holdfast_inventory::slot_of(&Sku::new(lines[0].0).unwrap());
    let id = holdfast_inventory::ReservationId::mint(1_790_000_000_000, slot, 9).0;
    v1::Reserve {
        reservation_id: Some(v1::Id { high: (id >> 64) as u64, low: id as u64 }),
        lines: lines.iter().map(line).collect(),
        channel: "web".to_owned(),
        sourcing: Some(v1::Sourcing::default()),
        ..Default::default()
    }
}

fn translated(wire: v1::Reserve) -> Command {
    let words = Words { default_location: "main".parse().unwrap(), zones: Zones::default(), customer_key: [7; 32] };
    let operation = Some(v1::command::Operation::Reserve(wire));
    let id = Some(v1::Id { high: 1, low: 1 });
    command(v1::Command { command_id: id, minted_at_ms: 5, operation, ..Default::default() }, &words).unwrap()
}

fn planned(lines: &[(&str, u32)], found: &[&[(&str, u64)]], sourcing: &Sourcing, last: bool) -> Reserve {
    let Operation::Reserve(mut reserve) = translated(wire(lines)).operation else { unreachable!() };
    let source = |(id, available): &(&str, u64)| Source { location: id.parse().unwrap(), available: *available };
    let found: Vec<Vec<Source>> = found.iter().map(|of| of.iter().map(source).collect()).collect();
    let wanted = wanted(&reserve, sourcing, &found);
    let order = Order::Given((0..sourcing.locations.len()).collect());
    let choices = choose(&wanted, &order, sourcing.allow_split, 256);
    write_lines(&mut reserve, &wanted, &choices, &order, sourcing, last);
    reserve
}

fn lines(reserve: &Reserve) -> Vec<(&str, &str, u32)> {
    reserve.lines.iter().map(|Line { sku, location, units, .. }| (sku.as_str(), location.as_str(), units.0)).collect()
}

#[test]
fn the_lines_are_written_in_the_order_in_which_they_were_asked_for() {
    let asked = [("A", 3), ("B", 1), ("A", 2)];
    let of_a: &[(&str, u64)] = &[("LYO", 2), ("PAR", 2), ("NIC", 9)];
    let reserve = planned(&asked, &[of_a, &[("NIC", 1)], of_a], &sourcing(true), false);
    let expected = [("A", "PAR", 2), ("A", "LYO", 1), ("B", "NIC", 1), ("A", "LYO", 1), ("A", "NIC", 1)];
    assert_eq!(lines(&reserve), expected);
    let plan = reserve.plan.unwrap();
    assert_eq!((plan.of, plan.asked.len(), plan.sourced.unwrap().last), (vec![0, 0, 1, 2, 2], 3, false));
}

#[test]
fn what_cannot_be_had_is_asked_for_where_most_of_it_is() {
    let of_a: &[(&str, u64)] = &[("PAR", 1), ("LYO", 2)];
    let reserve = planned(&[("A", 4), ("B", 1)], &[of_a, &[]], &sourcing(true), true);
    assert_eq!(lines(&reserve), [("A", "LYO", 4), ("B", "PAR", 1)]);
    let sourced = reserve.plan.unwrap().sourced.unwrap();
    assert!(sourced.last && sourced.allow_split);
}

#[test]
fn a_location_that_the_shard_knows_and_this_node_does_not_is_left_alone() {
    let reserve = planned(&[("A", 4)], &[&[("OSL", 9), ("NIC", 4)]], &sourcing(false), false);
    assert_eq!(lines(&reserve), [("A", "NIC", 4)]);
}

#[test]
fn a_retry_is_the_same_request_wherever_its_lines_came_to_lie_and_no_other_request_is() {
    let plan = |wire: &v1::Reserve| {
        let Operation::Reserve(reserve) = translated(wire.clone()).operation else { unreachable!() };
        as_asked(wire, &reserve.lines).request
    };
    let first = wire(&[("A", 1), ("B", 2)]);
    assert_eq!(plan(&first), plan(&first.clone()));
    for change in [
        (|wire| wire.lines[1].units = 3) as fn(&mut v1::Reserve),
        |wire| wire.lines[1].optional = true,
        |wire| wire.lines[1].lot_id = "L".to_owned(),
        |wire| wire.lines.truncate(1),
        |wire| wire.sourcing.as_mut().unwrap().allow_split = true,
        |wire| wire.sourcing.as_mut().unwrap().strategy = 3,
        |wire| wire.sourcing.as_mut().unwrap().nearest = vec!["PAR".to_owned()],
    ] {
        let mut other = first.clone();
        change(&mut other);
        assert_ne!(plan(&first), plan(&other), "{other:?}");
    }
    let mut units = translated(first);
    let Operation::Reserve(reserve) = &mut units.operation else { unreachable!() };
    assert_eq!(reserve.lines[0].units, Units(1));
}
