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
use tokio::time::{Instant, MissedTickBehavior, interval};

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
/// How often it is looked whether something that a button began is over.
const LOOK_EVERY: Duration = Duration::from_millis(200);
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

/// What both sides know.
#[derive(Debug, Default)]
struct State {
    /// Somebody does what is asked.
    is_open: AtomicBool,
    /// A sale was asked for and is not over.
    has_sale: AtomicBool,
    /// A node was asked to be killed, and none is ready again since.
    has_node_down: AtomicBool,
}

/// The side of the page.
#[derive(Debug)]
struct Buttons {
    products: Vec<Product>,
    asks: mpsc::Sender<Ask>,
    state: Arc<State>,
}

impl Buttons {
    /// Asks for something that goes on until its flag is taken down; while it does, it is not asked for again.
    fn ask(&self, ask: Ask, is_on: &AtomicBool, told: &str, goes_on: &str) -> Result<String, String> {
        if !self.state.is_open.load(Ordering::Relaxed) {
            return Err("the first sale is being held and judged: ask again when its report is printed".to_owned());
        }
        if is_on.swap(true, Ordering::Relaxed) {
            return Err(goes_on.to_owned());
        }
        self.asks.try_send(ask).map(|()| told.to_owned()).map_err(|_| {
            is_on.store(false, Ordering::Relaxed);
            "something is being done just now: ask again".to_owned()
        })
    }
}

impl Desk for Buttons {
    fn products(&self) -> Vec<Product> {
        self.products.clone()
    }

    fn start_sale(&self) -> Result<String, String> {
        let told = "new lipsticks come in, and hundreds of customers after them";
        self.ask(Ask::Sale, &self.state.has_sale, told, "a sale goes on: the next one when its customers have gone")
    }

    fn kill_node(&self) -> Result<String, String> {
        let told = "the node that leads the most shards is killed, and comes back in some seconds";
        let goes_on =
            "a node is down or starting: the next one when it is ready, for with two of three down nothing is sold";
        self.ask(Ask::Kill, &self.state.has_node_down, told, goes_on)
    }
}

/// The page, served, and what is asked there.
pub struct Page {
    /// Where it is.
    pub address: String,
    asks: mpsc::Receiver<Ask>,
    state: Arc<State>,
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

/// As a node has where nobody says: the page is for one person, and bounds readers by it.
const MOST_CONNECTIONS: usize = 16_384;

/// Serves the page of a demo whose shop is made from that seed; with a shop and buttons where customers can go on shopping in it.
pub async fn open(layout: &Layout, has_shop: bool, seed: u64) -> Result<Page, Failure> {
    // One of each kind at most.
    let (asks, asked) = mpsc::channel(2);
    let state = Arc::<State>::default();
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
    let buttons = Arc::new(Buttons { products: products.collect(), asks, state: Arc::clone(&state) });
    let options = WebOptions {
        addresses: layout.addresses(),
        cluster_id: layout.cluster_id.clone(),
        hosts: Vec::new(),
        shown: Shown::Exact,
        tracer: Tracer::default(),
        max_connections: MOST_CONNECTIONS,
        // Nobody asks a demo for its metrics.
        let_go: || {},
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
    Ok(Page { address, asks: asked, state, has_shop, _buttons: buttons, serving })
}

/// A node that was killed.
#[derive(Clone, Copy, Debug)]
enum Down {
    Until(u64, Instant),
    /// It is started again, and not ready yet.
    Starting(u64),
}

/// Does what the page asks, and has some customers look by, until it is dropped.
pub async fn attend(page: &mut Page, cluster: &mut DevelopmentCluster, seed: u64) -> Result<(), Failure> {
    let client = connect::client_at(cluster.layout().addresses()).await?;
    let shop = shop::as_it_was(seed);
    let state = Arc::clone(&page.state);
    state.is_open.store(true, Ordering::Relaxed);
    let trickle = Customers::come(&client, &shop, if page.has_shop { TRICKLE } else { 0 }, LONG, seed);
    let (mut down, mut sale): (Option<Down>, Option<Customers>) = (None, None);
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            asked = page.asks.recv() => match asked {
                Some(Ask::Kill) => {
                    let victim = sale::busiest(cluster).await?;
                    cluster.kill(victim).await?;
                    output::say(&format!("node {victim}, which leads the most shards, is killed (SIGKILL)"));
                    down = Some(Down::Until(victim, Instant::now() + DOWN));
                }
                Some(Ask::Sale) => {
                    be_done(&client, Receive::of(boutique::HOT_SKU, COME_IN).into(), boutique::HOT_SKU).await?;
                    output::say(&format!("{COME_IN} lipsticks came in, and {CUSTOMERS} customers after them"));
                    let seed = Random::fresh_seed();
                    sale = Some(Customers::come(&client, &shop, CUSTOMERS, LASTS, seed));
                }
                None => {
                    drop(trickle);
                    return Ok(());
                }
            },
            _ = looks.tick() => {
                if sale.take_if(|sale| sale.are_gone()).is_some() {
                    state.has_sale.store(false, Ordering::Relaxed);
                }
                match down {
                    Some(Down::Until(victim, at)) if at <= Instant::now() => {
                        cluster.bring_back(victim)?;
                        output::say(&format!("node {victim} is started again"));
                        down = Some(Down::Starting(victim));
                    }
                    Some(Down::Starting(victim)) if cluster.members().is_ready(victim).await => {
                        down = None;
                        state.has_node_down.store(false, Ordering::Relaxed);
                    }
                    Some(Down::Until(..) | Down::Starting(_)) | None => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_node_is_not_killed_while_one_is_down_and_the_button_says_why() {
        let (asks, mut asked) = mpsc::channel(2);
        let buttons = Buttons { products: Vec::new(), asks, state: Arc::default() };
        assert!(buttons.kill_node().unwrap_err().contains("first sale"));
        buttons.state.is_open.store(true, Ordering::Relaxed);
        assert!(buttons.kill_node().is_ok());
        assert!(buttons.kill_node().unwrap_err().contains("when it is ready"));
        assert!(buttons.start_sale().is_ok(), "a sale is another thing");
        assert!(buttons.start_sale().unwrap_err().contains("a sale goes on"));
        assert!(matches!((asked.try_recv(), asked.try_recv()), (Ok(Ask::Kill), Ok(Ask::Sale))));
        assert!(asked.try_recv().is_err(), "nothing is done that was refused");
        buttons.state.has_node_down.store(false, Ordering::Relaxed);
        assert!(buttons.kill_node().is_ok());
    }
}
