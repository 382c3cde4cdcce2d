//! Somebody outside of the cluster whom the steps of orders call: a payment provider, who does everything once under its key.
//!
//! Of each order and action its id says what he does: mostly as he is asked; or he declines, or keeps silent, whether he has done it or
//! not, or fails at first, or says no to what he has done before. So it is the same however often and by whom he is asked.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use holdfast_world::{ServeOptions, World};
use serde_json::Value;
use tonic::service::Routes;

use crate::Dice;
use crate::history::Id;

/// What orders call him.
pub(super) const ENDPOINT: &str = "provider";
/// The name of his host.
pub(super) const HOST: &str = "provider";
/// Where he is.
pub(super) const URL: &str = "http://provider:80/";
const ADDRESS: &str = "provider:80";
/// He fails so many times, where he fails at first.
const FAILS: u64 = 2;
/// How long he takes at most, in ms.
const TAKES_MS: u64 = 200;

/// What he has done: of which order, which step, and whether that was to take it back.
#[derive(Clone, Debug, Default)]
pub struct Books(Arc<Mutex<BTreeSet<(Id, String, bool)>>>);

impl Books {
    /// Whether he has done it.
    #[must_use]
    pub fn have(&self, order: Id, step: &str, undo: bool) -> bool {
        let done = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        done.contains(&(order, step.to_owned(), undo))
    }

    /// Notes that he has done it.
    pub fn note(&self, order: Id, step: &str, undo: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((order, step.to_owned(), undo));
    }
}

/// How he treats something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Does,
    Declines,
    IsSilent,
    DoesSilently,
    FailsAtFirst,
    DoesAndFailsAtFirst,
    DoesAndThenDeclines,
}

fn manner(order: Id, undo: bool) -> Manner {
    let drawn = Dice::of(order.0 as u64 ^ (order.0 >> 64) as u64, HOST, u64::from(undo)).below(12);
    match (drawn, undo) {
        (0, _) => Manner::IsSilent,
        (1, _) => Manner::DoesSilently,
        (2, _) => Manner::FailsAtFirst,
        (3, _) => Manner::DoesAndFailsAtFirst,
        (4, false) => Manner::Declines,
        (5, false) => Manner::DoesAndThenDeclines,
        _ => Manner::Does,
    }
}

/// His work, until the end of the world.
pub(super) async fn serve(world: World, books: Books) {
    let routes = Routes::from(Router::new().route("/", post(answer)).with_state(books));
    let never = Box::pin(std::future::pending());
    match world.network.serve(ADDRESS, routes, ServeOptions::default(), never).await {
        Ok(serving) => serving.await,
        Err(error) => tracing::error!(%error, "the provider does not open"),
    }
}

async fn answer(State(books): State<Books>, body: String) -> (StatusCode, String) {
    let Some((order, step, undo, attempt)) = understood(&body) else {
        return (StatusCode::BAD_REQUEST, "not understood".to_owned());
    };
    let mut dice = Dice::of(order.0 as u64, HOST, attempt);
    tokio::time::sleep(Duration::from_millis(dice.below(TAKES_MS))).await;
    match manner(order, undo) {
        Manner::Declines => return (StatusCode::PAYMENT_REQUIRED, "declined".to_owned()),
        Manner::DoesAndThenDeclines if attempt > 1 => return (StatusCode::FORBIDDEN, "asked before".to_owned()),
        Manner::IsSilent => return std::future::pending().await,
        Manner::FailsAtFirst if attempt <= FAILS => return (StatusCode::SERVICE_UNAVAILABLE, String::new()),
        _ => {}
    }
    books.note(order, &step, undo);
    match manner(order, undo) {
        Manner::DoesSilently => std::future::pending().await,
        Manner::DoesAndFailsAtFirst if attempt <= FAILS => (StatusCode::BAD_GATEWAY, String::new()),
        Manner::DoesAndThenDeclines => (StatusCode::BAD_GATEWAY, String::new()),
        _ => (StatusCode::OK, format!("{step} of {order}")),
    }
}

fn understood(body: &str) -> Option<(Id, String, bool, u64)> {
    let asked: Value = serde_json::from_str(body).ok()?;
    let order = u128::from_str_radix(asked["order_id"].as_str()?, 16).ok()?;
    let (step, undo) = (asked["step"].as_str()?.to_owned(), asked["action"].as_str()? == "undo");
    Some((Id(order), step, undo, asked["attempt"].as_u64()?))
}
