//! The payment provider, outside of the cluster: does everything once under its key, and at some addresses never answers.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use holdfast_client::ids::ReservationId;
use tokio::net::TcpListener;

use crate::failure::Failure;

/// How long a payment takes.
const TAKES: Duration = Duration::from_millis(30);

/// What the provider has done, by order.
#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    pub(super) charged: BTreeSet<ReservationId>,
    pub(super) refunded: BTreeSet<ReservationId>,
}

/// The provider, at work until it is dropped.
pub(super) struct Provider {
    address: SocketAddr,
    books: Arc<Mutex<Books>>,
    work: tokio::task::JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.work.abort();
    }
}

impl Provider {
    pub(super) async fn open() -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::usage(format!("the payment provider cannot listen: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let books = Arc::new(Mutex::new(Books::default()));
        let routes = Router::new()
            .route("/pay", post(pay))
            .route("/silence", post(std::future::pending::<StatusCode>))
            .with_state(Arc::clone(&books));
        let work = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "the payment provider has ended");
            }
        });
        Ok(Self { address, books, work })
    }

    /// Where it does what it is asked for.
    pub(super) fn url(&self) -> String {
        format!("http://{}/pay", self.address)
    }

    /// Where it never answers.
    pub(super) fn silent_url(&self) -> String {
        format!("http://{}/silence", self.address)
    }

    pub(super) fn books(&self) -> Books {
        self.books.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn pay(State(books): State<Arc<Mutex<Books>>>, headers: HeaderMap) -> (StatusCode, &'static str) {
    tokio::time::sleep(TAKES).await;
    // ORDER/STEP/ACTION: doing the same again changes nothing.
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
    let mut parts = key.split('/');
    let order = parts.next().and_then(|order| u128::from_str_radix(order, 16).ok()).map(ReservationId);
    let mut books = books.lock().unwrap_or_else(PoisonError::into_inner);
    match (order, parts.next_back()) {
        (Some(order), Some("do")) => drop(books.charged.insert(order)),
        (Some(order), Some("undo")) => drop(books.refunded.insert(order)),
        _ => return (StatusCode::BAD_REQUEST, "no key of an order"),
    }
    (StatusCode::OK, "paid")
}
