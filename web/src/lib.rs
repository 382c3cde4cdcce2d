//! The REST API of Holdfast: an `axum::Router` over the client library, so that any node serves any SKU.
//!
//! Responsible for what HTTP is: paths, JSON, headers, problems. Promises that a request is bounded, that what it has wrong is named,
//! and that a change is decided once under its key. Leaves to the cluster what a command means, to the client how it gets there, and to
//! the node where the router listens.

#![allow(clippy::result_large_err, reason = "a problem is a request's whole reply, made once and moved a few times")]

mod accept;
mod api;
mod asked;
mod audit;
mod availability;
mod backorders;
mod campaigns;
mod changes;
mod channels;
mod cluster;
mod counts;
mod cursor;
mod customer_limits;
pub mod demo;
mod documents;
mod endpoints;
mod event_subjects;
mod events;
mod field_names;
mod holds;
mod idempotency;
mod items;
mod kits;
mod limits;
mod link;
mod live;
mod lots;
mod manners;
mod orders;
mod paging;
#[cfg(test)]
mod paths_in_docs;
mod problem;
mod public_availability;
mod queues;
mod reasons;
mod receipts;
mod records;
mod reply;
mod reservations;
mod reservations_batch;
mod revisions;
pub mod sheet;
mod stock;
mod tokens;
mod transfers;
mod ui;
#[cfg(test)]
mod untrusted;
mod wire;

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::routing::{get, post, put};
use holdfast_client::{Client, ClientOptions, Routing};
use holdfast_proto::v1::{self, ErrorReason};
use holdfast_world::World;
use holdfast_world::traces::Tracer;
use tokio::sync::Semaphore;

pub use public_availability::Shown;

use channels::KnownChannels;
use idempotency::Keys;
use limits::REQUESTS;
use link::Link;
use problem::Problem;
use tokens::Tokens;

/// What the API is told.
#[derive(Clone, Debug)]
pub struct WebOptions {
    /// Where clients reach the cluster's nodes, this node's own address first.
    pub addresses: Vec<String>,
    /// The cluster's id: another cluster that answers there is not served.
    pub cluster_id: String,
    /// Names by which browsers may reach this node, beside addresses and `localhost`.
    pub hosts: Vec<String>,
    /// How much of a quantity the public is shown.
    pub shown: Shown,
    /// Set: this is a demo, with a shop and buttons of its own.
    pub desk: Option<Arc<dyn demo::Desk>>,
    /// Where spans of traces go.
    pub tracer: Tracer,
    /// Connections that the listener has at once: most of them may be readers of live updates.
    pub max_connections: usize,
    /// Counts a reader of live updates that took nothing, and was let go.
    pub let_go: LetGo,
}

/// See [`WebOptions::let_go`].
pub type LetGo = fn();

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Web {
    link: Link,
    keys: Arc<Keys>,
    places: Semaphore,
    channels: KnownChannels,
    /// Up to where replies of this node have seen the shards' logs.
    replied: Mutex<Tokens>,
    world: World,
    hosts: Vec<String>,
    shown: Shown,
    /// Where clients reach this node.
    own_address: String,
    desk: Option<Arc<dyn demo::Desk>>,
    readers: live::Readers,
    let_go: LetGo,
    hub: live::Hub,
    watcher: ui::Watcher,
}

impl Web {
    /// This node, by its address; 0 where the cluster does not know it.
    fn node_id(&self, routing: &Routing) -> u64 {
        let mine = |member: &&v1::Member| member.client_address == self.own_address;
        routing.members.iter().find(mine).map_or(0, |member| member.node_id)
    }

    fn client(&self) -> Result<Client, Problem> {
        let detail = "this node has not found its cluster yet: ask again a little later";
        self.link.client().ok_or_else(|| Problem::of(ErrorReason::Unavailable, detail))
    }

    /// Up to where this node has seen the shards' logs.
    fn seen(&self) -> Tokens {
        self.replied.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A reply has seen this.
    fn has_replied(&self, seen: Tokens) {
        let mut replied = self.replied.lock().unwrap_or_else(PoisonError::into_inner);
        seen.into_iter().for_each(|token| replied.add(token));
    }

    #[cfg(test)]
    fn unconnected() -> Arc<Self> {
        Arc::new(Self {
            link: Link::to_nothing(),
            keys: Arc::default(),
            places: Semaphore::new(REQUESTS),
            channels: KnownChannels::default(),
            replied: Mutex::default(),
            world: World::real(),
            hosts: Vec::new(),
            shown: Shown::Status,
            own_address: String::new(),
            desk: None,
            readers: live::Readers::new(REQUESTS),
            let_go: || {},
            hub: live::Hub::default(),
            watcher: ui::Watcher::default(),
        })
    }
}

/// The routes of the API. Connects to the cluster in the background: until it has, requests are answered `UNAVAILABLE`. To be called
/// within a tokio runtime.
pub fn routes(options: WebOptions) -> Router {
    let WebOptions { addresses, cluster_id, hosts, shown, desk, tracer, max_connections, let_go } = options;
    let world = World { tracer, ..World::real() };
    let own_address = addresses.first().cloned().unwrap_or_default();
    let web = Web {
        link: Link::to(ClientOptions::in_world(addresses, world.clone()), cluster_id),
        keys: Arc::default(),
        places: Semaphore::new(REQUESTS),
        channels: KnownChannels::default(),
        replied: Mutex::default(),
        world,
        hosts,
        shown,
        own_address,
        desk,
        readers: live::Readers::new(max_connections),
        let_go,
        hub: live::Hub::default(),
        watcher: ui::Watcher::default(),
    };
    let web = Arc::new(web);
    ui::Watcher::begin(&web);
    routes_of(web)
}

fn routes_of(web: Arc<Web>) -> Router {
    let of_demo = if web.desk.is_some() { demo::routes() } else { Router::new() };
    Router::new()
        .merge(of_demo)
        .merge(public_routes())
        .merge(back_office_routes())
        .merge(api::routes())
        .merge(live::routes())
        .merge(ui::routes())
        .fallback(|| async { no_path() })
        .method_not_allowed_fallback(|| async { no_method() })
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&web), manners::keep))
        .with_state(web)
}

/// What anybody may see.
fn public_routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/public/v1/availability/{sku}", get(public_availability::get_public_availability))
        .route("/public/v1/availability:batch", post(public_availability::batch_public_availability))
}

/// What the shop's own systems see and do.
fn back_office_routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/v1/items", get(items::list_items))
        .route("/v1/items/{sku}", get(items::get_item).put(items::put_item))
        .route("/v1/items/{sku}/stock", get(stock::get_stock))
        .route("/v1/stock", get(stock::list_stock))
        .route("/v1/stock:receive", post(stock::receive))
        .route("/v1/stock:adjust", post(stock::adjust))
        .route("/v1/stock:set", post(stock::set))
        .route("/v1/stock:move", post(stock::move_units))
        .route("/v1/stock:reconcile", post(stock::reconcile))
        .route("/v1/stock:set_safety_stock", post(stock::set_safety_stock))
        .route("/v1/availability/{sku}", get(availability::get_availability))
        .route("/v1/availability:batch", post(availability::batch_availability))
        .route("/v1/reservations", get(reservations::list_reservations).post(reservations::reserve))
        .route("/v1/reservations:batch", post(reservations_batch::batch_reservations))
        .route(
            "/v1/reservations/{reservation_id}",
            get(reservations::get_reservation).patch(reservations::amend).post(reservations::change_reservation),
        )
        .route("/v1/kits/{sku}", get(kits::get_kit).put(kits::put_kit))
        .route("/v1/campaigns", get(campaigns::list_campaigns))
        .route(
            "/v1/campaigns/{campaign_id}",
            get(campaigns::get_campaign).put(campaigns::open_campaign).post(campaigns::change_campaign),
        )
        .route("/v1/campaigns/{campaign_id}/allocations", get(campaigns::list_allocations))
        .route("/v1/campaigns/{campaign_id}/queue", get(queues::get_queue))
        .route("/v1/campaigns/{campaign_id}/queue/tickets", get(queues::list_tickets))
        .route("/v1/campaigns/{campaign_id}/queue/admission", get(queues::get_admission))
        .route("/v1/items/{sku}/limits", get(customer_limits::list_limits))
        .route("/v1/items/{sku}/limits/{limit_id}", put(customer_limits::put_limit))
        .route("/v1/limits", get(customer_limits::list_shared_limits))
        .route("/v1/limits/{limit_id}", put(customer_limits::put_shared_limit))
        .route("/v1/items/{sku}/lots", get(lots::list_lots_of_item))
        .route("/v1/lots", get(lots::list_lots))
        .route("/v1/lots/{sku}/{lot_id}", get(lots::get_lot).put(lots::put_lot).post(lots::change_lot))
        .route("/v1/lots/{sku}/{lot_id}/trace", get(lots::trace_lot))
        .route("/v1/counts", get(counts::list_counts).post(counts::open_count))
        .route("/v1/counts/{count_id}", get(counts::get_count).post(counts::change_count))
        .merge(order_routes())
        .route("/v1/events", get(events::events))
        .route("/v1/audit/heads", get(audit::list_heads))
        .route("/v1/audit/proofs/{shard}/{seq}", get(audit::prove_event))
        .route("/v1/audit/stock/{sku}", get(audit::stock_as_of))
        .route("/v1/cluster", get(cluster::get_cluster))
        .route("/v1/cluster/nodes/{node_id}", get(cluster::get_node))
        .route("/v1/locations", get(cluster::list_locations))
        .route("/v1/locations/{location_id}", put(cluster::put_location))
        .route("/v1/channels", get(cluster::list_channels))
        .route("/v1/channels/{channel_id}", put(cluster::put_channel))
}

/// Orders, and what goes from place to place.
fn order_routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/v1/orders", get(orders::list_orders).post(orders::start_order))
        .route("/v1/orders/{reservation_id}", get(orders::get_order).post(orders::change_order))
        .route("/v1/endpoints", get(endpoints::list_endpoints))
        .route("/v1/endpoints/{endpoint_id}", put(endpoints::put_endpoint).delete(endpoints::remove_endpoint))
        .route("/v1/transfers", get(transfers::list_transfers).post(transfers::create_transfer))
        .route("/v1/transfers/{transfer_id}", get(transfers::get_transfer).post(transfers::change_transfer))
        .route("/v1/receipts", get(receipts::list_receipts).post(receipts::expect_receipt))
        .route("/v1/receipts/{receipt_id}", get(receipts::get_receipt).post(receipts::change_receipt))
        .route("/v1/backorders", get(backorders::list_backorders))
}

fn no_path() -> Problem {
    Problem::invalid("path", "is none of this API's: /docs has them all").with_status(404)
}

fn no_method() -> Problem {
    Problem::invalid("method", "is none of this path's: the header Allow has them").with_status(405)
}
