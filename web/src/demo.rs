//! What only a demo offers beside the dashboard: a shop to buy in, a sale to start, a node to kill.
//!
//! The routes are there only where the process that serves them has a [`Desk`]; nodes have none.

use std::fmt::Debug;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use holdfast_proto::v1::ErrorReason;
use serde::Serialize;

use crate::Web;
use crate::asked::Asked;
use crate::problem::Problem;
use crate::reply::{Answered, Reply};
use crate::ui::{POLICY, SCRIPT, STYLE};

/// Who runs the demo's cluster.
pub trait Desk: Debug + Send + Sync {
    /// What the shop sells, the hot one first.
    fn products(&self) -> Vec<Product>;
    /// Has new stock of the hot one come in, and customers after it. The sentence says what happens, or why nothing does.
    ///
    /// # Errors
    ///
    /// It cannot be now.
    fn start_sale(&self) -> Result<String, String>;
    /// Kills the node that leads the most shards, and brings it back some seconds later.
    ///
    /// # Errors
    ///
    /// It cannot be now.
    fn kill_node(&self) -> Result<String, String>;
}

/// Something that the shop of the demo sells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Product {
    /// Its SKU.
    pub sku: String,
    /// What it is called.
    pub name: String,
    /// Everybody wants it.
    pub hot: bool,
    /// Units that there were at first.
    pub stock: u64,
}

#[derive(Debug, Serialize)]
struct Products {
    products: Vec<Product>,
}

#[derive(Debug, Serialize)]
struct Told {
    told: String,
}

const HTML: &str = include_str!("../assets/shop/index.html");
const SHOP_SCRIPT: &str = include_str!("../assets/shop/shop.js");
const SHOP_STYLE: &str = include_str!("../assets/shop/shop.css");

/// The routes of a demo.
pub(crate) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/shop", get(|| async { file("text/html; charset=utf-8", HTML) }))
        .route("/shop/shop.js", get(|| async { file(SCRIPT, SHOP_SCRIPT) }))
        .route("/shop/shop.css", get(|| async { file(STYLE, SHOP_STYLE) }))
        .route("/shop/api/products", get(products))
        .route("/ui/api/demo/sale", post(sale))
        .route("/ui/api/demo/kill", post(kill))
}

fn file(kind: &'static str, content: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, POLICY)], content).into_response()
}

async fn products(asked: Asked) -> Answered {
    Ok(Reply::ok(&Products { products: desk(&asked)?.products() }))
}

async fn sale(asked: Asked) -> Answered {
    told(desk(&asked)?.start_sale())
}

async fn kill(asked: Asked) -> Answered {
    told(desk(&asked)?.kill_node())
}

fn desk(asked: &Asked) -> Result<&dyn Desk, Problem> {
    asked.web.desk.as_deref().ok_or_else(|| Problem::invalid("path", "only a demo has this").with_status(404))
}

fn told(done: Result<String, String>) -> Answered {
    match done {
        Ok(told) => Ok(Reply::of(StatusCode::ACCEPTED, &Told { told })),
        Err(why) => Err(Problem::of(ErrorReason::Overloaded, why)),
    }
}
