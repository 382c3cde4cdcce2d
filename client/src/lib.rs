//! The Rust client of Holdfast.
//!
//! [`Client::connect`] learns from any node where everything is; then every command finds its shard's leader by itself,
//! over one connection a node, and is asked again, the same, until it is decided or its deadline comes. docs/clients.md
//! tells how ids, retries, answers, sessions and reads work.
//!
//! ```no_run
//! use std::time::Duration;
//! use holdfast_client::{Client, ClientOptions, Error, Receive, Reserve};
//!
//! # async fn shop() -> Result<(), Error> {
//! let client = Client::connect(ClientOptions::new(["127.0.0.1:7400"])).await?;
//! client.receive(Receive::of("LIP-ROUGE-01", 100)).await?;
//! let held = client.reserve(Reserve::new().line("LIP-ROUGE-01", 2).ttl(Duration::from_secs(600))).await?;
//! if let Some(id) = held.reservation_id {
//!     client.commit(id).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What is asked [within](traces::within) a trace (W3C Trace Context) says so to the node: `traces::within(TraceContext::read(header), …)`.
//!
//! Leaves to others what a command means (the node decides) and how bytes travel (`holdfast-world`).

mod answer;
mod batch;
mod call;
mod client;
mod cluster;
mod cluster_time;
mod command;
mod core;
mod endpoints;
mod events;
mod execute;
mod gate;
mod learned;
mod listing;
mod node;
mod of_order;
mod options;
mod reads;
mod retry;
mod rooms;
mod routes;
mod session;
mod watch;
mod watchers;
mod wire;

pub use answer::{Error, Failure, Success};
pub use client::Client;
pub use cluster::Routing;
pub use command::{
    Adjust, Admit, Amend, ApplyCount, BlockLot, Cancel, CancelCount, CancelTransfer, CloseReceipt, Command, CommandKey,
    Commit, CommitDraw, CreateTransfer, Draw, ExpectReceipt, Extend, Fulfil, Grant, JoinQueue, LoseTransfer, MoveUnits,
    OpenCount, OrderStep, PutItem, PutKit, PutLimit, PutLot, Recall, Receive, ReceiveTransfer, Reconcile, RecordCount,
    Release, ReportStep, Reserve, ResolveOrder, Return, Revoke, Set, SetSafetyStock, StartOrder, UnblockLot,
};
pub use events::EventPage;
pub use holdfast_proto::{ids, v1};
pub use holdfast_world::traces;
pub use listing::{Allocations, Backorders, Documents, Listed, Listing, Lots, Orders, Reservations};
pub use of_order::OfOrderError;
pub use options::{ClientOptions, ExecuteOptions, Transport};
pub use reads::{Consistency, Read, Reader, Stock};
pub use rooms::{Admission, Room};
pub use watch::{AvailabilityWatch, EventWatch, Watch, Watched};

/// The examples of docs/clients.md.
#[doc = include_str!("../../docs/clients.md")]
#[cfg(doctest)]
struct Guide;
