//! A season: a shop opens with SKUs of its own, faults happen while its customers shop, everything heals, the cluster must
//! serve in time, and what the customers saw is judged. A long run is many seasons, so that it is judged as it goes on, and
//! needs no more memory than one.

use std::time::Duration;

use holdfast_client::Client;
use holdfast_world::World;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::asked_again;
use super::cluster::Cluster;
use super::judge::{self, Evidence, Kept};
use super::log_time::LogTime;
use super::plan;
use super::report::Tally;
use super::serving::{self, SERVES_WITHIN};
use super::weather::{self, Happened};
use super::windows;
use crate::Dice;
use crate::checkers::LogTimeBound;
use crate::history::{History, Recorder, SharedHistory};
use crate::run::audit::audit;
use crate::workloads::Shop;

/// A shop opens within this time.
const OPENS_WITHIN: Duration = Duration::from_secs(60);
/// Customers have left within this time, whatever they still wait for.
const CLOSES_WITHIN: Duration = Duration::from_secs(180);
/// An order that was begun amid faults may still be impatient; after this time none is.
const GRACE: Duration = Duration::from_secs(4);
/// How long customers shop when all is well, after that.
const CALM: Duration = Duration::from_secs(3);
/// What customers think between two orders at most: real time is dear, and a quiet shop would have little to judge.
const PACE: Duration = Duration::from_millis(600);
const LOOK: Duration = Duration::from_millis(100);
/// The number of who reads everything in the end, among those that the history names.
const AUDITOR: u64 = 20_000;
const OPENING: &str = "the shop does not open in time";

/// What happens in a season.
#[derive(Clone, Debug)]
pub enum Weather {
    /// Faults of those kinds, drawn, for so long.
    Storm(Vec<String>, Duration),
    /// One of those kinds again and again, so often.
    Rounds(Vec<String>, u64),
}

/// What stays the same from season to season.
#[derive(Debug)]
pub struct Stage {
    /// Where everything happens.
    pub cluster: Cluster,
    /// The harness's own clock, randomness and network.
    pub world: World,
    /// How the cluster's log time stands to that clock.
    pub log_time: LogTime,
    /// What wall clocks of machines may be off by themselves.
    pub clocks_off: Duration,
    /// What earlier seasons have left.
    pub kept: Kept,
}

/// What became of a season.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What its customers saw.
    pub history: History,
    /// What it is to be judged with.
    pub bound: Option<LogTimeBound>,
    /// Its part of the report.
    pub tally: Tally,
}

impl Stage {
    /// Plays a season. What is not as it must be is in the tally.
    pub async fn play(&mut self, name: &str, seed: u64, weather: &Weather) -> Outcome {
        let shop = Shop::new(seed, PACE, self.cluster.addresses()).in_season(name);
        let mut staff = JoinSet::new();
        for work in shop.staff(&self.world) {
            staff.spawn(work);
        }
        let mut tally = Tally::default();
        if wait(OPENS_WITHIN, || shop.is_open()).await {
            self.weather_and_judge(&shop, seed, weather, &mut tally).await;
        } else {
            tally.violations.push(OPENING.to_owned());
        }
        staff.shutdown().await;
        let bound = Some(self.bound());
        let history = std::mem::take(&mut *shop.history().lock());
        tally.count(&history);
        Outcome { history, bound, tally }
    }

    async fn weather_and_judge(&mut self, shop: &Shop, seed: u64, weather: &Weather, tally: &mut Tally) {
        let client = match serving::client(self.cluster.addresses(), &self.world).await {
            Ok(client) => client,
            Err(error) => return tally.violations.push(format!("{OPENING}: {error}")),
        };
        let happened = self.let_happen(&client, seed, weather).await;
        tally.take(happened);
        let healed = Instant::now();
        shop.calm();
        match self.serves().await {
            Ok(()) => tally.served_ms.push(millis(healed.elapsed())),
            Err(lacks) => {
                let within = SERVES_WITHIN.as_secs();
                tally.violations.push(format!("healed: {within} s after the last fault was over {lacks}"));
            }
        }
        let serves_from = self.world.clock.monotonic() + GRACE;
        self.look_after(GRACE + CALM, tally).await;
        shop.close();
        if !wait(CLOSES_WITHIN, || shop.is_closed()).await {
            tally.violations.push(format!("the customers are not done {} s later", CLOSES_WITHIN.as_secs()));
        }
        tally.violations.extend(shop.troubles());
        let closed = self.world.clock.monotonic();
        self.judge(shop.history(), &client, (serves_from, closed), tally).await;
    }

    async fn let_happen(&mut self, client: &Client, seed: u64, weather: &Weather) -> Happened {
        let mut dice = Dice::of(seed, "faults", 0);
        match weather {
            Weather::Storm(kinds, time) => {
                let plan = plan::draw(&mut dice, kinds, self.cluster.node_ids().len(), *time);
                weather::storm(&mut self.cluster, &plan, *time).await
            }
            Weather::Rounds(kinds, count) => weather::rounds(&mut self.cluster, client, kinds, *count, &mut dice).await,
        }
    }

    /// Waits until the cluster serves again. Nodes that end by themselves meanwhile are started again, as by a supervisor.
    async fn serves(&mut self) -> Result<(), String> {
        let (addresses, nodes, world) = (self.cluster.addresses(), self.cluster.node_ids(), self.world.clone());
        let served = serving::wait(addresses, &nodes, &world, SERVES_WITHIN);
        tokio::pin!(served);
        let mut ended = Vec::new();
        let served = loop {
            tokio::select! {
                biased;
                served = &mut served => break served,
                () = sleep(LOOK) => ended.extend(self.cluster.look_after()),
            }
        };
        match (served, ended.as_slice()) {
            (Ok(_), []) => Ok(()),
            (Ok(_), ended) => Err(ended.join("; ")),
            (Err(lacks), ended) => Err(format!("{lacks}; {}", ended.join("; "))),
        }
    }

    async fn look_after(&mut self, time: Duration, tally: &mut Tally) {
        let ends = Instant::now() + time;
        while Instant::now() < ends {
            tally.violations.extend(self.cluster.look_after());
            sleep(LOOK).await;
        }
    }

    fn bound(&self) -> LogTimeBound {
        self.log_time.bound(self.clocks_off + Duration::from_millis(self.cluster.greatest_skew_ms()))
    }

    async fn judge(
        &mut self,
        history: &SharedHistory,
        client: &Client,
        (serves_from, closed): (Duration, Duration),
        tally: &mut Tally,
    ) {
        let recorder = Recorder::new(history.clone(), AUDITOR, self.world.clock.clone(), Duration::ZERO);
        let shards = u32::try_from(client.routing().shards.len()).unwrap_or(u32::MAX);
        let read = audit(client, &recorder, history, &self.cluster.node_ids(), shards).await;
        tally.violations.extend(read.troubles.iter().cloned());
        tally.violations.extend(asked_again::check(client, history, &self.world).await);
        self.log_time.look(&*self.world.clock);
        let (bound, taken) = (self.bound(), history.lock().clone());
        let inventory = read.troubles.is_empty().then_some(read.inventory);
        if let Some(inventory) = &inventory {
            tally.find(self.kept.check(inventory, &taken));
        }
        let of_shards = windows::measure(&taken, |sku| client.shard_of(sku));
        tally.windows(of_shards);
        // The search is work for a processor: it must not stand in the way of those who look after the nodes.
        let judged = tokio::task::spawn_blocking(move || {
            judge::judge(&Evidence {
                history: &taken,
                bound,
                inventory: inventory.as_ref(),
                replicas: &read.replicas,
                serves_from_us: micros(serves_from),
                closed_us: micros(closed),
            })
        });
        tally.find(judged.await.expect("the judge does not panic"));
    }
}

async fn wait(within: Duration, is_so: impl Fn() -> bool) -> bool {
    let waiting = async {
        while !is_so() {
            sleep(LOOK).await;
        }
    };
    timeout(within, waiting).await.is_ok()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
