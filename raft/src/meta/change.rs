//! The changes of the meta group, and their encoding in its log.

use std::collections::BTreeMap;

use bytes::Bytes;
use holdfast_inventory::{
    CampaignSpec, ChannelSpec, LimitId, LimitSpec, Limits, LocationId, LocationKind, LocationSpec, SharedLimitSpec, Sku,
};
use holdfast_proto::log::v1 as log;
use holdfast_proto::log::v1::meta_entry::Change as LogChange;
use prost::Message;

use super::Member;
use super::endpoint::{EndpointSpec, endpoint_from_log, endpoint_to_log};
use crate::encode::{
    DecodeError, campaign_from_log, campaign_to_log, check_schema, limits_from_log, limits_to_log, window_from_log,
    window_to_log,
};
use crate::types::NodeId;

/// What a cluster begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Founding {
    /// From cluster.toml.
    pub cluster_id: String,
    /// How many shards the slots are spread over.
    pub shards: u32,
    /// The first nodes.
    pub members: BTreeMap<NodeId, Member>,
    /// Where a line goes that names no location.
    pub default_location: String,
    /// 32 random bytes.
    pub customer_key: Vec<u8>,
    /// The bounds of every shard.
    pub shard_limits: Limits,
}

/// One change of the cluster's own records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetaChange {
    /// The first one.
    Found(Founding),
    /// A node comes, or has new addresses.
    PutMember {
        /// Its id.
        node: NodeId,
        /// Its addresses.
        member: Member,
    },
    /// A node is gone for good.
    RemoveMember {
        /// Its id.
        node: NodeId,
    },
    /// A location comes or changes.
    PutLocation {
        /// Its id.
        id: String,
        /// Its attributes.
        spec: LocationSpec,
    },
    /// A channel comes or changes.
    PutChannel {
        /// Its id.
        id: String,
        /// Its locations and its buffer.
        spec: ChannelSpec,
    },
    /// A campaign comes. One that is there stays as it is.
    OpenCampaign {
        /// Its id.
        id: String,
        /// Its window.
        spec: CampaignSpec,
    },
    /// A campaign is ended.
    CloseCampaign {
        /// Its id.
        id: String,
    },
    /// An endpoint comes or changes.
    PutEndpoint {
        /// Its id.
        id: String,
        /// Where it is, and how it is called.
        spec: EndpointSpec,
    },
    /// An endpoint is not called any more.
    RemoveEndpoint {
        /// Its id.
        id: String,
    },
    /// A limit per customer over several items comes or changes.
    PutLimit {
        /// Its id.
        id: LimitId,
        /// Its items and its rule.
        spec: SharedLimitSpec,
    },
}

/// The bytes of a change as an entry of the meta group's log, in a schema that all members of the group understand
/// ([`Group::schema`](crate::host::Group::schema)).
#[must_use]
pub fn encode_change(schema: u32, time_ms: u64, id: u128, change: &MetaChange) -> Bytes {
    let change = match change {
        MetaChange::Found(founding) => LogChange::Found(log::MetaFound {
            cluster_id: founding.cluster_id.clone(),
            shards: founding.shards,
            members: founding.members.iter().map(|(id, member)| to_log_member(*id, member)).collect(),
            default_location_id: founding.default_location.clone(),
            customer_key: founding.customer_key.clone(),
            shard_limits: Some(limits_to_log(&founding.shard_limits)),
        }),
        MetaChange::PutMember { node, member } => {
            LogChange::PutMember(log::MetaPutMember { member: Some(to_log_member(*node, member)) })
        }
        MetaChange::RemoveMember { node } => LogChange::RemoveMember(log::MetaRemoveMember { node_id: *node }),
        MetaChange::PutLocation { id, spec } => LogChange::PutLocation(log::MetaPutLocation {
            location_id: id.clone(),
            name: spec.name.clone(),
            kind: match spec.kind {
                LocationKind::Warehouse => 1,
                LocationKind::Store => 2,
                LocationKind::Virtual => 3,
            },
            time_zone: spec.time_zone.clone(),
            priority: spec.priority,
            inactive: !spec.active,
        }),
        MetaChange::PutChannel { id, spec } => LogChange::PutChannel(log::MetaPutChannel {
            channel_id: id.clone(),
            location_ids: spec.locations.iter().map(|location| location.as_str().to_owned()).collect(),
            buffer: spec.buffer,
            inactive: !spec.active,
        }),
        MetaChange::OpenCampaign { id, spec } => {
            let spec = Some(campaign_to_log(spec));
            LogChange::OpenCampaign(log::MetaOpenCampaign { campaign_id: id.clone(), spec })
        }
        MetaChange::CloseCampaign { id } => {
            LogChange::CloseCampaign(log::MetaCloseCampaign { campaign_id: id.clone() })
        }
        MetaChange::PutEndpoint { id, spec } => LogChange::PutEndpoint(endpoint_to_log(id, spec)),
        MetaChange::RemoveEndpoint { id } => {
            LogChange::RemoveEndpoint(log::MetaRemoveEndpoint { endpoint_id: id.clone() })
        }
        MetaChange::PutLimit { id, spec } => LogChange::PutLimit(log::MetaPutLimit {
            limit_id: id.as_str().to_owned(),
            skus: spec.skus.iter().map(|sku| sku.as_str().to_owned()).collect(),
            units: spec.rule.units,
            window_s: window_to_log(spec.rule.window),
            returns_restore: spec.rule.returns_restore,
            inactive: !spec.rule.active,
        }),
    };
    let (id_high, id_low) = ((id >> 64) as u64, id as u64);
    log::MetaEntry { schema, time_ms, id_high, id_low, change: Some(change) }.encode_to_vec().into()
}

/// The id and the change in what [`encode_change`] gave, on a node that understands the schemas up to `known`.
///
/// # Errors
///
/// A schema this node does not know, or bytes that are no entry.
pub fn decode_change(bytes: &[u8], known: u32) -> Result<(u128, MetaChange), DecodeError> {
    let malformed = |what: &str| DecodeError::Malformed { what: what.to_owned() };
    let entry = log::MetaEntry::decode(bytes).map_err(|error| malformed(&error.to_string()))?;
    check_schema(entry.schema, known)?;
    let id = (u128::from(entry.id_high) << 64) | u128::from(entry.id_low);
    let change = match entry.change.ok_or_else(|| malformed("a meta entry without a change"))? {
        LogChange::Found(found) => MetaChange::Found(Founding {
            cluster_id: found.cluster_id,
            shards: found.shards,
            members: found.members.into_iter().map(from_log_member).collect(),
            default_location: found.default_location_id,
            customer_key: found.customer_key,
            shard_limits: found.shard_limits.as_ref().map(limits_from_log).unwrap_or_default(),
        }),
        LogChange::PutMember(put) => {
            let (node, member) = from_log_member(put.member.ok_or_else(|| malformed("a member is missing"))?);
            MetaChange::PutMember { node, member }
        }
        LogChange::RemoveMember(remove) => MetaChange::RemoveMember { node: remove.node_id },
        LogChange::PutLocation(put) => {
            let kind = match put.kind {
                1 => LocationKind::Warehouse,
                2 => LocationKind::Store,
                3 => LocationKind::Virtual,
                _ => return Err(malformed("a location of an unknown kind")),
            };
            let spec = LocationSpec {
                name: put.name,
                kind,
                time_zone: put.time_zone,
                priority: put.priority,
                active: !put.inactive,
            };
            MetaChange::PutLocation { id: put.location_id, spec }
        }
        LogChange::PutChannel(put) => {
            let location = |id: &String| LocationId::new(id).map_err(|error| malformed(&error.to_string()));
            let locations = put.location_ids.iter().map(location).collect::<Result<_, _>>()?;
            let spec = ChannelSpec { locations, buffer: put.buffer, active: !put.inactive };
            MetaChange::PutChannel { id: put.channel_id, spec }
        }
        LogChange::OpenCampaign(open) => {
            let spec = campaign_from_log(open.spec.as_ref())?;
            MetaChange::OpenCampaign { id: open.campaign_id, spec }
        }
        LogChange::CloseCampaign(close) => MetaChange::CloseCampaign { id: close.campaign_id },
        LogChange::PutEndpoint(put) => {
            let (id, spec) = endpoint_from_log(put).ok_or_else(|| malformed("an endpoint with an unknown fallback"))?;
            MetaChange::PutEndpoint { id, spec }
        }
        LogChange::RemoveEndpoint(remove) => MetaChange::RemoveEndpoint { id: remove.endpoint_id },
        LogChange::PutLimit(put) => {
            let sku = |sku: &String| Sku::new(sku).map_err(|error| malformed(&error.to_string()));
            let rule = LimitSpec {
                units: put.units,
                window: window_from_log(put.window_s),
                returns_restore: put.returns_restore,
                active: !put.inactive,
            };
            let id = LimitId::new(&put.limit_id).map_err(|error| malformed(&error.to_string()))?;
            let skus = put.skus.iter().map(sku).collect::<Result<_, _>>()?;
            MetaChange::PutLimit { id, spec: SharedLimitSpec { skus, rule } }
        }
    };
    Ok((id, change))
}

fn to_log_member(node_id: NodeId, member: &Member) -> log::MetaMember {
    log::MetaMember {
        node_id,
        client_address: member.client_address.clone(),
        peer_address: member.peer_address.clone(),
        http_address: member.http_address.clone(),
    }
}

fn from_log_member(member: log::MetaMember) -> (NodeId, Member) {
    let addresses = Member {
        client_address: member.client_address,
        peer_address: member.peer_address,
        http_address: member.http_address,
    };
    (member.node_id, addresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::SCHEMA;
    use holdfast_inventory::{CampaignAdmission, LogTime};

    use crate::meta::Fallback;

    #[test]
    fn every_change_comes_back_from_the_log_as_it_went_in() {
        let member = Member { client_address: "a:1".into(), peer_address: "a:2".into(), http_address: String::new() };
        let changes = [
            MetaChange::Found(Founding {
                cluster_id: "c".into(),
                shards: 8,
                members: BTreeMap::from([(1, member.clone())]),
                default_location: "main".into(),
                customer_key: vec![1; 32],
                shard_limits: Limits { results: 5_000, max_hold_s: 60, ..Limits::default() },
            }),
            MetaChange::PutMember { node: 4, member },
            MetaChange::RemoveMember { node: 1 },
            MetaChange::PutLocation {
                id: "s".into(),
                spec: LocationSpec { kind: LocationKind::Store, active: false, ..Default::default() },
            },
            MetaChange::PutEndpoint {
                id: "payments".into(),
                spec: EndpointSpec {
                    url: "http://pay:80/a".into(),
                    timeout_ms: 700,
                    breaker_failures: 3,
                    breaker_open_ms: 900,
                    fallback: Fallback::Answer(b"ok".to_vec()),
                },
            },
            MetaChange::RemoveEndpoint { id: "payments".into() },
            MetaChange::PutChannel {
                id: "web".into(),
                spec: ChannelSpec {
                    locations: vec!["main".parse().unwrap(), "s".parse().unwrap()],
                    buffer: 2,
                    active: false,
                },
            },
            MetaChange::OpenCampaign {
                id: "drop".into(),
                spec: CampaignSpec {
                    starts_at: LogTime(5),
                    ends_at: LogTime(6),
                    admission: CampaignAdmission::Lottery,
                    closed: true,
                },
            },
            MetaChange::CloseCampaign { id: "drop".into() },
            MetaChange::PutLimit {
                id: "make-up".parse().unwrap(),
                spec: SharedLimitSpec {
                    skus: vec!["mascara".parse().unwrap(), "rouge".parse().unwrap()],
                    rule: LimitSpec {
                        units: 3,
                        window: holdfast_inventory::LimitWindow::RollingSeconds(9),
                        returns_restore: true,
                        active: false,
                    },
                },
            },
        ];
        for change in changes {
            let id = u128::MAX - 5;
            assert_eq!(decode_change(&encode_change(SCHEMA, 3, id, &change), SCHEMA), Ok((id, change)));
        }
    }

    #[test]
    fn a_cluster_founded_before_there_were_limits_in_its_records_has_the_default_ones() {
        let found = log::MetaFound { cluster_id: "c".into(), shards: 8, ..Default::default() };
        let entry = log::MetaEntry { schema: 1, change: Some(LogChange::Found(found)), ..Default::default() };
        let (_, change) = decode_change(&entry.encode_to_vec(), SCHEMA).unwrap();
        let MetaChange::Found(founding) = change else { panic!("{change:?}") };
        assert_eq!(founding.shard_limits, Limits::default());
    }

    #[test]
    fn an_entry_of_a_later_schema_is_refused_by_name() {
        let bytes = log::MetaEntry { schema: SCHEMA + 1, ..Default::default() }.encode_to_vec();
        let unknown = DecodeError::UnknownSchema { found: SCHEMA + 1, known: SCHEMA };
        assert_eq!(decode_change(&bytes, SCHEMA), Err(unknown));
        assert!(decode_change(&bytes, SCHEMA + 1).is_err_and(|error| matches!(error, DecodeError::Malformed { .. })));
    }
    proptest::proptest! {
        #[test]
        fn what_is_nearly_a_change_is_refused_or_applied_and_never_a_panic(
            bytes in holdfast_mangle::mangled(crate::meta::untrusted::valid()),
        ) {
            crate::meta::untrusted::read(&bytes);
        }
    }
}
