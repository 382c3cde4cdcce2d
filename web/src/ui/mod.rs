//! The dashboard at `/ui`: its files, and what its pages ask that is no resource of the REST API.
//!
//! Responsible for a page that works while the quorum is lost: what it shows of the records comes from this node's own copy, always, so
//! that numbers do not go to and fro between copies of different ages; how old that is, is said. Nothing is fetched from outside, nothing is built: the files are in the binary as they stand in `web/assets/ui/`.

mod assets;
pub(crate) mod event;
mod history;
mod lists;
mod overview;
mod problems;
mod stock;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use holdfast_client::{Client, Consistency, Error, Reader};

use crate::Web;
use crate::asked::Asked;
use crate::problem::Problem;
use crate::reply::Answered;

pub(crate) use assets::{POLICY, SCRIPT, STYLE};
pub(crate) use overview::Watcher;

/// How long a page waits for an answer: long enough for an election, short enough to say that there is none.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long one part of a page that others can do without may take: who takes longer hangs.
const PART: Duration = Duration::from_millis(900);

/// The copy that the pages show: this node's own. A demo's page outlives the node it began with, and shows another's then.
fn own_copy<'a>(asked: &Asked, client: &'a Client) -> Reader<'a> {
    let node_id = teller(asked, client);
    // An address that the cluster does not know is no member's: then any copy is as good.
    client.reader(if node_id == 0 { Consistency::Stale } else { Consistency::StaleAt(node_id) })
}

/// The node whose copy is shown; 0: not known.
fn teller(asked: &Asked, client: &Client) -> u64 {
    asked.web.watcher.teller().unwrap_or_else(|| asked.web.node_id(&client.routing()))
}

/// What a part of a page says, if it comes in time.
async fn part<T>(asked: impl Future<Output = Result<T, Error>>) -> Option<T> {
    tokio::time::timeout(PART, asked).await.ok().and_then(Result::ok)
}

/// What a page asked, or that it took too long.
async fn in_time(work: impl Future<Output = Result<crate::reply::Reply, Error>>) -> Answered {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(Problem::from),
        Err(_) => Err(Problem::overloaded("no node answered in time; the page asks again")),
    }
}

/// The routes of the dashboard.
pub(crate) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/ui/") }))
        .route("/ui", get(|| async { Redirect::permanent("/ui/") }))
        .route("/ui/", get(assets::index))
        .route("/favicon.ico", get(assets::icon))
        .route("/ui/{*file}", get(assets::file))
        .route("/ui/api/overview", get(overview::show))
        .route("/ui/api/heads", get(lists::heads))
        .route("/ui/api/stock", get(stock::find))
        .route("/ui/api/stock/{sku}", get(stock::one))
        .route("/ui/api/at-risk", get(stock::at_risk))
        .route("/ui/api/reservations", get(lists::reservations))
        .route("/ui/api/reservations/{id}", get(lists::reservation))
        .route("/ui/api/sales", get(lists::sales))
        .route("/ui/api/problems", get(problems::show))
}
