//! The services of a node on the wire.
//!
//! Responsible for limits of requests, deadlines, and for taking requests to the shards and answers back. Promises that every
//! refusal is an error of the one table, with its reason. Leaves translation to `from_proto` and `to_proto`.

mod alerts;
mod checks;
mod cluster;
mod decide;
mod endpoints;
mod events;
mod introduction;
mod inventory;
mod named;
mod replace;
mod session;
mod shards;
mod sold_out;

use std::sync::Arc;
use std::time::Duration;

use holdfast_proto::peer::v1::introduction_service_server::IntroductionServiceServer;
use holdfast_proto::v1::alert_service_server::AlertServiceServer;
use holdfast_proto::v1::cluster_service_server::ClusterServiceServer;
use holdfast_proto::v1::endpoint_service_server::EndpointServiceServer;
use holdfast_proto::v1::event_service_server::EventServiceServer;
use holdfast_proto::v1::inventory_service_server::InventoryServiceServer;
use holdfast_proto::v1::shard_service_server::ShardServiceServer;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;

use crate::config::MAX_REQUEST_BYTES;
use crate::core::Core;
use crate::traced::{Drawn, traced};

use named::OfThisCluster;

pub(crate) use introduction::{Introduction, introduce};
pub(crate) use sold_out::Lacking;

/// What a message may be larger than its commands: the request around them.
const MESSAGE_ROOM: usize = 16 * 1_024;
/// The largest answer: a page of items, each with its attributes.
const MAX_ANSWER_BYTES: usize = 32 * 1_024 * 1_024;

/// What clients are served. Health is told through `health`.
pub(crate) fn client_routes(
    core: &Arc<Core>,
    health: tonic_health::pb::health_server::HealthServer<impl tonic_health::pb::health_server::Health>,
) -> Routes {
    let inventory = InventoryServiceServer::new(inventory::Inventory::new(Arc::clone(core)))
        .max_decoding_message_size(MAX_REQUEST_BYTES + MESSAGE_ROOM)
        .max_encoding_message_size(MAX_ANSWER_BYTES);
    let cluster = ClusterServiceServer::new(cluster::Cluster::new(Arc::clone(core)))
        .max_decoding_message_size(MESSAGE_ROOM)
        .max_encoding_message_size(MAX_ANSWER_BYTES);
    let shards = ShardServiceServer::new(shards::ShardsService::new(Arc::clone(core)))
        .max_decoding_message_size(MESSAGE_ROOM)
        .max_encoding_message_size(MAX_ANSWER_BYTES);
    let events = EventServiceServer::new(events::Events::new(Arc::clone(core)))
        .max_decoding_message_size(MESSAGE_ROOM)
        .max_encoding_message_size(MAX_ANSWER_BYTES);
    let alerts = AlertServiceServer::new(alerts::AlertsService::new(Arc::clone(core)))
        .max_decoding_message_size(MESSAGE_ROOM)
        .max_encoding_message_size(MAX_ANSWER_BYTES);
    let endpoints = EndpointServiceServer::new(endpoints::EndpointsService::new(Arc::clone(core)))
        .max_decoding_message_size(MESSAGE_ROOM)
        .max_encoding_message_size(MAX_ANSWER_BYTES);
    let of_this = OfThisCluster::new(&core.config.cluster_id);
    let mut routes = Routes::new(InterceptedService::new(inventory, of_this.clone()))
        .add_service(InterceptedService::new(cluster, of_this.clone()))
        .add_service(InterceptedService::new(events, of_this.clone()))
        .add_service(InterceptedService::new(shards, of_this.clone()))
        .add_service(InterceptedService::new(alerts, of_this.clone()))
        .add_service(InterceptedService::new(endpoints, of_this))
        .add_service(health);
    let described = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(holdfast_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // By its older name too: what Python's library of reflection and many tools ask for.
    match (described().build_v1(), described().build_v1alpha()) {
        (Ok(now), Ok(older)) => routes = routes.add_service(now).add_service(older),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(%error, "the API does not describe itself by reflection");
        }
    }
    Routes::from(
        routes
            .into_axum_router()
            .layer(axum::middleware::from_fn_with_state((core.world.tracer.clone(), Drawn::Calls), traced)),
    )
}

/// What other nodes are served beside Raft.
pub(crate) fn introduction_service(introduction: Introduction) -> IntroductionServiceServer<Introduction> {
    IntroductionServiceServer::new(introduction).max_decoding_message_size(MESSAGE_ROOM)
}

/// How long a caller will wait, as its `grpc-timeout` says.
fn timeout_of<T>(request: &tonic::Request<T>) -> Option<Duration> {
    let text = request.metadata().get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number.saturating_mul(3_600))),
        "M" => Some(Duration::from_secs(number.saturating_mul(60))),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_time_is_read_from_its_header() {
        let of = |text: &str| {
            let mut request = tonic::Request::new(());
            request.metadata_mut().insert("grpc-timeout", text.parse().unwrap());
            timeout_of(&request)
        };
        assert_eq!(of("250m"), Some(Duration::from_millis(250)));
        assert_eq!(of("3S"), Some(Duration::from_secs(3)));
        assert_eq!((of("S"), of("x"), of("12")), (None, None, None));
        assert_eq!(timeout_of(&tonic::Request::new(())), None);
    }
}
