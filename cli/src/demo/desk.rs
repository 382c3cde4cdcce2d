//! The page of the demo: the dashboard with a shop, a button that starts a sale and one that kills a node.
//!
//! The page is served by the demo itself, so that it stays when a node goes. What its buttons ask is done by whoever has the cluster, one
//! thing after the other; while the first sale and its checks go on, nobody does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_client::{Client, Receive};
use holdfast_web::demo::{Desk, Product};
use holdfast_web::{Shown, WebOptions};
use holdfast_world::traces::Tracer;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::customer::{Hall, shop_until_closing};
use super::shop::{Shop, be_done};
use super::{sale, shop};
use crate::boutique;
use crate::connect;
use crate::development::{DevelopmentCluster, Layout};
use crate::failure::Failure;
use crate::output;
use crate::random::Random;

/// Products on the page of the shop: the hot one, and some for which not everybody came.
const PRODUCTS: usize = 24;
const FIRST_RANK: usize = 300;
/// Customers of a sale that a button starts, and how long it lasts.
const CUSTOMERS: u32 = 600;
const LASTS: Duration = Duration::from_secs(20);
/// Units of the hot lipstick that come in for it.
const COME_IN: u32 = 300;
/// Customers who look by when there is no sale.
const TRICKLE: u32 = 3;
/// How long a node that was killed stays down.
const DOWN: Duration = Duration::from_secs(6);
/// Longer than anybody leaves a demo running.
const LONG: Duration = Duration::from_secs(30 * 24 * 3_600);
/// The page's port is so much above the first node's for clients.
const PORT_ABOVE: u16 = 8;

/// What a button asks.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Sale,
    Kill,
}

/// The side of the page.
#[derive(Debug)]
struct Buttons {
    products: Vec<Product>,
    asks: mpsc::Sender<Ask>,
    /// Somebody does what is asked.
    is_open: Arc<AtomicBool>,
}

impl Buttons {
    fn ask(&self, ask: Ask, told: &str) -> Result<String, String> {
        if !self.is_open.load(Ordering::Relaxed) {
            return Err("the first sale is being held and judged: ask again when its report is printed".to_owned());
        }
        self.asks.try_send(ask).map(|()| told.to_owned()).map_err(|_| "something is being done just now".to_owned())
    }
}

impl Desk for Buttons {
    fn products(&self) -> Vec<Product> {
        self.products.clone()
    }

    fn start_sale(&self) -> Result<String, String> {
        self.ask(Ask::Sale, "new lipsticks come in, and hundreds of customers after them")
    }

    fn kill_node(&self) -> Result<String, String> {
        self.ask(Ask::Kill, "the node that leads the most shards is killed, and comes back in some seconds")
    }
}

/// The page, served, and what is asked there.
pub struct Page {
    /// Where it is.
    pub address: String,
    asks: mpsc::Receiver<Ask>,
    is_open: Arc<AtomicBool>,
    has_shop: bool,
    /// Who asks, also where no page does.
    _buttons: Arc<Buttons>,
    serving: JoinHandle<()>,
}

impl Drop for Page {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Serves the page of a demo whose shop is made from that seed; with a shop and buttons where customers can go on shopping in it.
pub async fn open(layout: &Layout, has_shop: bool, seed: u64) -> Result<Page, Failure> {
    let (asks, asked) = mpsc::channel(1);
    let is_open = Arc::new(AtomicBool::new(false));
    let products = boutique::catalogue(seed).into_iter().enumerate();
    let products =
        products.filter(|(rank, _)| *rank == 0 || *rank >= FIRST_RANK).take(PRODUCTS).map(|(_, ware)| ware).map(
            |ware| Product {
                hot: ware.item.sku == boutique::HOT_SKU,
                sku: ware.item.sku,
                name: ware.item.name,
                stock: 0,
            },
        );
    let buttons = Arc::new(Buttons { products: products.collect(), asks, is_open: Arc::clone(&is_open) });
    let options = WebOptions {
        addresses: layout.addresses(),
        cluster_id: layout.cluster_id.clone(),
        hosts: Vec::new(),
        shown: Shown::Exact,
        tracer: Tracer::default(),
        desk: if has_shop { Some(Arc::clone(&buttons) as Arc<dyn Desk>) } else { None },
    };
    let failed =
        |error: std::io::Error| Failure::unavailable(format!("the page of the demo cannot be served: {error}"));
    let first = layout.nodes.first().and_then(|node| node.client.rsplit_once(':')?.1.parse::<u16>().ok());
    let near = std::net::TcpListener::bind(("127.0.0.1", first.map_or(0, |port| port.saturating_add(PORT_ABOVE))));
    let listener = near.or_else(|_| std::net::TcpListener::bind(("127.0.0.1", 0))).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
    let address = format!("http://{}/", listener.local_addr().map_err(failed)?);
    let routes = holdfast_web::routes(options);
    let serving = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            output::say(&format!("the page of the demo has ended: {error}"));
        }
    });
    Ok(Page { address, asks: asked, is_open, has_shop, _buttons: buttons, serving })
}

/// A node that is down, and when it comes back.
type Down = Option<(u64, Instant)>;

/// Does what the page asks, and has some customers look by, until it is dropped.
pub async fn attend(page: &mut Page, cluster: &mut DevelopmentCluster, seed: u64) -> Result<(), Failure> {
    let client = connect::client_at(cluster.layout().addresses()).await?;
    let shop = shop::as_it_was(seed);
    page.is_open.store(true, Ordering::Relaxed);
    let trickle = Customers::come(&client, &shop, if page.has_shop { TRICKLE } else { 0 }, LONG, seed);
    let (mut down, mut sale): (Down, Option<Customers>) = (None, None);
    loop {
        let back_at = down.map_or_else(Instant::now, |(_, at)| at);
        tokio::select! {
            biased;
            () = sleep_until(back_at), if down.is_some() => {
                if let Some((victim, _)) = down.take() {
                    cluster.bring_back(victim)?;
                    output::say(&format!("node {victim} is started again"));
                }
            }
            asked = page.asks.recv() => match asked {
                Some(Ask::Kill) if down.is_none() => {
                    let victim = sale::busiest(cluster).await?;
                    cluster.kill(victim).await?;
                    output::say(&format!("node {victim}, which leads the most shards, is killed (SIGKILL)"));
                    down = Some((victim, Instant::now() + DOWN));
                }
                Some(Ask::Sale) if sale.as_ref().is_none_or(Customers::are_gone) => {
                    be_done(&client, Receive::of(boutique::HOT_SKU, COME_IN).into(), boutique::HOT_SKU).await?;
                    output::say(&format!("{COME_IN} lipsticks came in, and {CUSTOMERS} customers after them"));
                    let seed = Random::fresh_seed();
                    sale = Some(Customers::come(&client, &shop, CUSTOMERS, LASTS, seed));
                }
                // A node is down already, or a sale goes on: once more would be no more.
                Some(Ask::Kill | Ask::Sale) => sleep(Duration::from_millis(10)).await,
                None => {
                    drop(trickle);
                    return Ok(());
                }
            }
        }
    }
}

/// Customers who shop by themselves; they go when this is dropped.
struct Customers(Vec<JoinHandle<()>>);

impl Customers {
    fn come(client: &Client, shop: &Arc<Shop>, number: u32, lasts: Duration, seed: u64) -> Self {
        let hall = Arc::new(Hall {
            client: client.clone(),
            shop: Arc::clone(shop),
            counts: Arc::default(),
            latency: Arc::default(),
            closes: Instant::now() + lasts,
        });
        let customer = |number: u32| {
            let (hall, random) = (Arc::clone(&hall), Random::stream(seed, number.into()));
            tokio::spawn(async move {
                shop_until_closing(hall, random).await;
            })
        };
        Self((0..number).map(customer).collect())
    }

    fn are_gone(&self) -> bool {
        self.0.iter().all(JoinHandle::is_finished)
    }
}

impl Drop for Customers {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}
