//! Channels, and how one is to choose the locations of a reserve.

use std::collections::BTreeMap;

use holdfast_inventory::{ChannelId, ChannelSpec, Field, LocationId, MAX_CHANNEL_LOCATIONS, MAX_UNITS};
use holdfast_mutation::{Mutation, is_on};
use holdfast_proto::v1::command::Operation as Wire;
use holdfast_proto::v1::{self, CommandError, ErrorReason};

use super::fields::{enum_at, invalid, optional_name};
use super::location_id;
use crate::planning::{Sourcing, Strategy};

/// How the locations of a reserve are chosen; `None` for a reserve whose lines name theirs, and for any other command.
///
/// # Errors
///
/// `INVALID_ARGUMENT` at the first field at fault, `UNKNOWN_CHANNEL`.
pub(crate) fn sourcing(
    wire: &v1::Command,
    channels: &BTreeMap<ChannelId, ChannelSpec>,
) -> Result<Option<Sourcing>, CommandError> {
    let Some(Wire::Reserve(reserve)) = &wire.operation else { return Ok(None) };
    let Some(how) = &reserve.sourcing else { return Ok(None) };
    let channel = optional_name(&reserve.channel, ChannelId::new, || "channel".to_owned())?.ok_or_else(|| {
        let hint = "name the channel that is to choose the locations, or leave `sourcing` out";
        invalid("channel", "is empty", hint)
    })?;
    if let Some(at) = reserve.lines.iter().position(|line| !line.location_id.is_empty()) {
        let hint = "leave it out, or leave `sourcing` out: then every line lies where it says";
        return Err(invalid(
            format!("lines[{at}].location_id"),
            "is given in a reserve whose locations the channel chooses",
            hint,
        ));
    }
    let spec = channels.get(&channel).filter(|spec| spec.active).ok_or_else(|| unknown_channel("channel", &channel))?;
    Ok(Some(Sourcing {
        strategy: strategy(how, &channel, spec)?,
        locations: locations_of(spec, channels),
        allow_split: how.allow_split,
        channel,
    }))
}

fn locations_of(spec: &ChannelSpec, channels: &BTreeMap<ChannelId, ChannelSpec>) -> Vec<LocationId> {
    let mut locations = spec.locations.clone();
    if is_on(Mutation::ChannelLocationIgnored) {
        let others: Vec<_> = channels.values().flat_map(|other| &other.locations).cloned().collect();
        locations.extend(others.into_iter().filter(|id| !spec.locations.contains(id)));
    }
    locations
}

fn strategy(how: &v1::Sourcing, channel: &ChannelId, spec: &ChannelSpec) -> Result<Strategy, CommandError> {
    let hint = "priority, nearest, most_stock or fewest_splits";
    let strategy = enum_at("sourcing.strategy", how.strategy, hint)?;
    if strategy != v1::SourcingStrategy::Nearest && !how.nearest.is_empty() {
        let hint = "leave it out, or take the strategy nearest";
        return Err(invalid("sourcing.nearest", "is given with another strategy than nearest", hint));
    }
    Ok(match strategy {
        v1::SourcingStrategy::Unspecified | v1::SourcingStrategy::Priority => Strategy::Priority,
        v1::SourcingStrategy::MostStock => Strategy::MostStock,
        v1::SourcingStrategy::FewestSplits => Strategy::FewestSplits,
        v1::SourcingStrategy::Nearest => {
            let list = location_ids("sourcing.nearest", &how.nearest)?;
            if !list.iter().any(|id| spec.locations.contains(id)) {
                let hint = "`holdfast channel get` shows the channel's locations";
                return Err(invalid("sourcing.nearest", &format!("names no location of channel {channel}"), hint));
            }
            Strategy::Nearest(list.into_iter().filter(|id| spec.locations.contains(id)).collect())
        }
    })
}

/// 1 to 64 locations, each once.
fn location_ids(field: &str, wire: &[String]) -> Result<Vec<LocationId>, CommandError> {
    let hint = format!("1 to {MAX_CHANNEL_LOCATIONS} locations, each once, the first one first");
    if wire.is_empty() || wire.len() > MAX_CHANNEL_LOCATIONS {
        return Err(invalid(field, &format!("has {} locations", wire.len()), &hint));
    }
    let mut ids: Vec<LocationId> = Vec::with_capacity(wire.len());
    for (at, text) in wire.iter().enumerate() {
        let id = location_id(&format!("{field}[{at}]"), text)?;
        if ids.contains(&id) {
            return Err(invalid(format!("{field}[{at}]"), "is there twice", &hint));
        }
        ids.push(id);
    }
    Ok(ids)
}

/// A channel with its id, whose locations are there.
///
/// # Errors
///
/// `INVALID_ARGUMENT` at the first field at fault, `UNKNOWN_LOCATION`.
pub(crate) fn channel(
    wire: Option<v1::Channel>,
    is_location: impl Fn(&LocationId) -> bool,
) -> Result<(ChannelId, ChannelSpec), CommandError> {
    let wire = wire.ok_or_else(|| invalid("channel", "is missing", "send the channel with its id"))?;
    let id = channel_id("channel.channel_id", &wire.channel_id)?;
    let locations = location_ids("channel.location_ids", &wire.location_ids)?;
    if let Some((at, unknown)) = locations.iter().enumerate().find(|(_, id)| !is_location(id)) {
        return Err(CommandError::of(ErrorReason::UnknownLocation, format!("there is no location {unknown}"))
            .at(format!("channel.location_ids[{at}]"))
            .with("location_id", unknown));
    }
    let spec = ChannelSpec { locations, buffer: wire.buffer, active: !wire.inactive };
    // All else was looked at above.
    spec.validate().map_err(|refused| {
        debug_assert_eq!(refused.field, Field::Buffer);
        invalid("channel.buffer", &format!("is {}", wire.buffer), &format!("at most {MAX_UNITS} units"))
    })?;
    Ok((id, spec))
}

/// The channel that a request names.
///
/// # Errors
///
/// `INVALID_ARGUMENT` where it is none.
pub(crate) fn channel_id(field: &str, text: &str) -> Result<ChannelId, CommandError> {
    let missing = || invalid(field, "is empty", "1 to 64 bytes of printable UTF-8");
    optional_name(text, ChannelId::new, || field.to_owned())?.ok_or_else(missing)
}

/// The error where there is no such active channel.
pub(crate) fn unknown_channel(field: &str, id: &ChannelId) -> CommandError {
    let message = format!("there is no active channel {id}; `holdfast channel put` makes one");
    CommandError::of(ErrorReason::UnknownChannel, message).at(field).with("channel", id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels() -> BTreeMap<ChannelId, ChannelSpec> {
        let spec =
            |active| ChannelSpec { locations: vec!["PAR".parse().unwrap(), "LYO".parse().unwrap()], buffer: 1, active };
        BTreeMap::from([("web".parse().unwrap(), spec(true)), ("till".parse().unwrap(), spec(false))])
    }

    fn asked(channel: &str, how: v1::Sourcing) -> Result<Option<Sourcing>, CommandError> {
        let lines = vec![v1::Line { sku: "A".into(), units: 1, ..Default::default() }];
        let reserve = v1::Reserve { channel: channel.into(), sourcing: Some(how), lines, ..Default::default() };
        sourcing(&v1::Command { operation: Some(Wire::Reserve(reserve)), ..Default::default() }, &channels())
    }

    fn nearest(ids: &[&str]) -> v1::Sourcing {
        let nearest = ids.iter().map(|id| (*id).to_owned()).collect();
        v1::Sourcing { strategy: v1::SourcingStrategy::Nearest.into(), nearest, ..Default::default() }
    }

    fn refused(channel: &str, how: v1::Sourcing) -> (ErrorReason, String) {
        let error = asked(channel, how).unwrap_err();
        (error.reason(), error.field)
    }

    #[test]
    fn without_a_strategy_the_channels_order_counts_and_nothing_is_split() {
        let found = asked("web", v1::Sourcing::default()).unwrap().unwrap();
        assert_eq!((found.strategy, found.allow_split, found.locations.len()), (Strategy::Priority, false, 2));
    }

    #[test]
    fn a_list_of_the_nearest_is_cut_to_the_channels_locations_and_keeps_its_order() {
        let found = asked("web", nearest(&["NIC", "LYO", "PAR"])).unwrap().unwrap();
        assert_eq!(found.strategy, Strategy::Nearest(vec!["LYO".parse().unwrap(), "PAR".parse().unwrap()]));
    }

    #[test]
    fn bad_sourcing_is_refused_by_its_field() {
        let invalid = |field: &str| (ErrorReason::InvalidArgument, field.to_owned());
        assert_eq!(refused("", v1::Sourcing::default()), invalid("channel"));
        assert_eq!(refused("web", v1::Sourcing { strategy: 9, ..Default::default() }), invalid("sourcing.strategy"));
        assert_eq!(refused("web", nearest(&[])), invalid("sourcing.nearest"));
        assert_eq!(refused("web", nearest(&["NIC"])), invalid("sourcing.nearest"));
        assert_eq!(refused("web", nearest(&["PAR", "PAR"])), invalid("sourcing.nearest[1]"));
        assert_eq!(refused("web", nearest(&["PAR", ""])), invalid("sourcing.nearest[1]"));
        assert_eq!(refused("web", nearest(&["PAR"; 65])), invalid("sourcing.nearest"));
        let other = v1::Sourcing { strategy: v1::SourcingStrategy::MostStock.into(), ..nearest(&["PAR"]) };
        assert_eq!(refused("web", other), invalid("sourcing.nearest"));
        let unknown = (ErrorReason::UnknownChannel, "channel".to_owned());
        assert_eq!(refused("shop", v1::Sourcing::default()), unknown);
        assert_eq!(refused("till", v1::Sourcing::default()), unknown);
    }

    #[test]
    fn a_line_that_names_its_location_and_a_channel_that_chooses_it_are_one_too_many() {
        let lines = vec![v1::Line { sku: "A".into(), location_id: "PAR".into(), units: 1, ..Default::default() }];
        let reserve = v1::Reserve { channel: "web".into(), lines, ..Default::default() };
        let wire = |reserve| v1::Command { operation: Some(Wire::Reserve(reserve)), ..Default::default() };
        assert_eq!(sourcing(&wire(reserve.clone()), &channels()).unwrap(), None, "the channel is a word");
        let both = v1::Reserve { sourcing: Some(v1::Sourcing::default()), ..reserve };
        assert_eq!(sourcing(&wire(both), &channels()).unwrap_err().field, "lines[0].location_id");
    }

    #[test]
    fn a_bad_channel_is_refused_by_its_field() {
        let put = |id: &str, locations: &[&str], buffer| {
            let location_ids = locations.iter().map(|id| (*id).to_owned()).collect();
            let wire = v1::Channel { channel_id: id.into(), location_ids, buffer, ..Default::default() };
            channel(Some(wire), |id| id.as_str() != "NIC")
        };
        let field = |id: &str, locations: &[&str], buffer| put(id, locations, buffer).unwrap_err().field;
        assert!(put("web", &["PAR", "LYO"], 3).is_ok());
        assert_eq!(field("", &["PAR"], 0), "channel.channel_id");
        assert_eq!(field("web", &[], 0), "channel.location_ids");
        assert_eq!(field("web", &["PAR", "PAR"], 0), "channel.location_ids[1]");
        assert_eq!(field("web", &["PAR", "NIC"], 0), "channel.location_ids[1]");
        assert_eq!(field("web", &["PAR"], MAX_UNITS + 1), "channel.buffer");
        assert_eq!(channel(None, |_| true).unwrap_err().field, "channel");
    }
}
