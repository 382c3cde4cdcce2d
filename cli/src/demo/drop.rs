//! A drop: one lipstick, far more customers than units, one for each. Who may buy is drawn by lot, with a seed that is committed to before
//! anybody is on the list; nodes are killed while the winners buy. Some try without a token, with one that is spent, or for two at once.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{StreamExt, TryStreamExt};
use holdfast_client::ids::{ReservationId, slot_of};
use holdfast_client::{
    Client, Command, CommandKey, Commit, CommitDraw, Consistency, Draw, Error, ExecuteOptions, Failure as Told, Grant,
    JoinQueue, PutItem, PutLimit, Receive, Release, Reserve, Room, Success, v1,
};
use holdfast_proto::v1::TicketState;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::records::{Record, Step};
use super::report::{DropFigures, Report, Run};
use super::sale::{Counts, busiest};
use super::shop::{Shop, Stocked, Ware};
use super::{Plan, judge};
use crate::boutique::HOT_SKU;
use crate::connect::{failure_of, mint_reservation};
use crate::demand::Demand;
use crate::development::DevelopmentCluster;
use crate::failure::Failure;
use crate::latency::Latency;
use crate::ledger;
use crate::lottery::Drawn;
use crate::output;
use crate::random::Random;

const CAMPAIGN: &str = "drop";
const IN_FLIGHT: usize = 256;
/// A unit for so many customers.
const CUSTOMERS_OF_A_UNIT: u32 = 20;
/// How long the cluster has to decide one command.
const WITHIN: Duration = Duration::from_secs(60);
/// From the opening to the sale: time to commit to the draw.
const LEAD: Duration = Duration::from_secs(10);
/// For how long a winner is let in: then the next one is.
const VALID: Duration = Duration::from_secs(10);
/// The winners come in so many rounds, or more.
const ROUNDS: u32 = 10;
/// In which rounds a node is killed, and in which it is brought back.
const KILLS: [(u32, u32); 2] = [(2, 4), (6, 8)];
const PAUSE: Duration = Duration::from_millis(200);
/// How long the sale may take, beyond what was asked for: that not all is sold then is a finding.
const AT_MOST: Duration = Duration::from_secs(300);

/// What all customers share.
struct Hall {
    client: Client,
    counts: Counts,
    latency: Latency,
    refused: Mutex<BTreeMap<String, u64>>,
}

/// What one customer knows of its purchase.
struct Bought {
    customer: u32,
    record: Record,
}

/// Holds the drop, and judges what came of it.
pub(super) async fn run(cluster: &mut DevelopmentCluster, client: &Client, plan: Plan) -> Result<Report, Failure> {
    let units = (plan.customers / CUSTOMERS_OF_A_UNIT).max(1);
    let seed = seed_of(plan.seed);
    let hall = Arc::new(Hall {
        client: client.clone(),
        counts: Counts::default(),
        latency: Latency::default(),
        refused: Mutex::default(),
    });
    let starts_at_ms = open(&hall, units, seed).await?;
    output::say(&format!("{} customers want {units} units, one each (seed {})", plan.customers, plan.seed));
    let customers = gather(&hall, plan.customers).await?;
    hall.must(Draw::of(CAMPAIGN, seed).into()).await?;
    while client.cluster_time_ms() < starts_at_ms {
        sleep(PAUSE).await;
        hall.room().await?;
    }
    let opened = Instant::now();
    storm(&hall, plan).await?;
    let mut sale = Sale {
        hall: Arc::clone(&hall),
        plan,
        units,
        customers,
        called: BTreeSet::new(),
        shopping: JoinSet::new(),
        kills: 0,
    };
    let deadline = opened + plan.lasts + AT_MOST;
    sale.sell_out(cluster, deadline).await?;
    let kills = sale.kills;
    let bought = sale.close().await?;
    let seconds = opened.elapsed().as_secs_f64();
    judged(cluster, &hall, plan, units, bought, (kills, seconds)).await
}

/// Makes the item, its limit and the campaign, and commits to the draw. Returns when it sells.
async fn open(hall: &Hall, units: u32, seed: [u8; 32]) -> Result<u64, Failure> {
    let item = v1::Item { sku: HOT_SKU.to_owned(), ..v1::Item::default() };
    hall.must(PutItem::new(item).into()).await?;
    hall.must(Receive::of(HOT_SKU, units).into()).await?;
    hall.must(PutLimit::of("one-each", HOT_SKU, 1).into()).await?;
    let starts_at_ms = hall.client.cluster_time_ms() + LEAD.as_millis() as u64;
    let campaign = v1::Campaign {
        campaign_id: CAMPAIGN.to_owned(),
        starts_at_ms,
        ends_at_ms: starts_at_ms + 86_400_000,
        admission: v1::CampaignAdmission::Lottery.into(),
        ..v1::Campaign::default()
    };
    hall.client.open_campaign(campaign).await.map_err(failure_of)?;
    hall.must(CommitDraw::of(CAMPAIGN, *blake3::hash(&seed).as_bytes()).into()).await?;
    hall.must(Grant::of(CAMPAIGN, HOT_SKU, units).into()).await?;
    Ok(starts_at_ms)
}

/// Everybody joins, some twice. Returns whose ticket is which.
async fn gather(hall: &Hall, customers: u32) -> Result<BTreeMap<u32, u32>, Failure> {
    let bar = output::bar("customers join the lottery", customers.into());
    let joined = futures_util::stream::iter((0..customers).chain((0..customers).step_by(50)))
        .map(|customer| async move {
            Ok::<_, Failure>((hall.must(JoinQueue::of(CAMPAIGN, name_of(customer)).into()).await?.ticket, customer))
        })
        .buffer_unordered(IN_FLIGHT)
        .inspect(|_| bar.inc(1))
        .try_collect::<BTreeMap<u32, u32>>()
        .await;
    bar.finish_and_clear();
    let joined = joined?;
    if joined.len() != customers as usize || joined.values().collect::<BTreeSet<_>>().len() != joined.len() {
        return Err(Failure::check(format!("{customers} customers have {} tickets", joined.len())));
    }
    Ok(joined)
}

/// At the opening everybody tries to buy at once, without having been let in.
async fn storm(hall: &Hall, plan: Plan) -> Result<(), Failure> {
    let bar = output::bar("everybody tries without a token", plan.customers.into());
    let stormed = futures_util::stream::iter(0..plan.customers)
        .map(|customer| async move {
            let mut random = Random::stream(plan.seed, u64::from(customer) << 32);
            let reservation = hall.reservation(&mut random);
            match hall.ask(buy(reservation, customer, 1, "")).await? {
                Ok(_) => Err(Failure::check("a customer bought without having been let in")),
                Err(_) => Ok(()),
            }
        })
        .buffer_unordered(IN_FLIGHT)
        .inspect(|_| bar.inc(1))
        .try_collect::<Vec<()>>()
        .await;
    bar.finish_and_clear();
    stormed.map(drop)
}

/// The winners, as they are let in.
struct Sale {
    hall: Arc<Hall>,
    plan: Plan,
    units: u32,
    /// Whose ticket is which.
    customers: BTreeMap<u32, u32>,
    called: BTreeSet<u32>,
    shopping: JoinSet<Result<Option<Bought>, Failure>>,
    kills: u32,
}

impl Sale {
    /// Lets the next in until everything is sold; kills nodes meanwhile.
    async fn sell_out(&mut self, cluster: &mut DevelopmentCluster, deadline: Instant) -> Result<(), Failure> {
        let mut down = None;
        let a_round = self.units.div_ceil(ROUNDS).clamp(1, 512);
        for round in 0.. {
            if KILLS.iter().any(|(kill, _)| *kill == round) {
                let victim = busiest(cluster).await?;
                cluster.kill(victim).await?;
                (down, self.kills) = (Some(victim), self.kills + 1);
                output::say(&format!("round {round}: node {victim}, which leads the most shards, is killed (SIGKILL)"));
            }
            if KILLS.iter().any(|(_, back)| *back == round)
                && let Some(victim) = down.take()
            {
                cluster.bring_back(victim)?;
                // With two of three down nothing would be sold.
                cluster.ready().await?;
                output::say(&format!("round {round}: node {victim} is back"));
            }
            self.let_in(a_round).await?;
            let sold = Counts::get(&self.hall.counts.sold);
            if sold >= u64::from(self.units) && round >= KILLS[1].1 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Failure::check(format!("{sold} of {} units are sold, and time is over", self.units)));
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// One round: the next are let in, and begin to buy.
    async fn let_in(&mut self, most: u32) -> Result<(), Failure> {
        let client = self.hall.client.clone();
        let admit = retry(|| client.admission(CAMPAIGN, most, VALID)).await?;
        self.hall.must(admit.into()).await?;
        let room = self.hall.room().await?;
        for ticket in room.tickets.iter().filter(|ticket| ticket.state() == TicketState::Admitted) {
            let Some(&customer) = self.customers.get(&ticket.number) else { continue };
            if self.called.insert(ticket.number) {
                let random = Random::stream(self.plan.seed, u64::from(customer) << 32 | 1);
                self.shopping.spawn(shop(Arc::clone(&self.hall), customer, random));
            }
        }
        Ok(())
    }

    /// Everybody has gone home. Returns what they bought.
    async fn close(mut self) -> Result<Vec<Bought>, Failure> {
        let mut bought = Vec::new();
        while let Some(ended) = self.shopping.join_next().await {
            let of_one = ended.map_err(|error| Failure::check(format!("a customer's task has ended: {error}")))?;
            bought.extend(of_one?);
        }
        Ok(bought)
    }
}

/// A winner buys, or does not come, or thinks better of it; and some want more than they may have.
async fn shop(hall: Arc<Hall>, customer: u32, mut random: Random) -> Result<Option<Bought>, Failure> {
    let reader = hall.client.reader(Consistency::Linearizable);
    let name = name_of(customer);
    let token = retry(|| reader.admission(CAMPAIGN, &name)).await?.token;
    if token.is_empty() || random.chance(0.04) {
        return Ok(None);
    }
    if random.chance(0.1) {
        let two = hall.reservation(&mut random);
        if hall.ask(buy(two, customer, 2, &token)).await?.is_ok() {
            return Err(Failure::check("a customer has two units"));
        }
    }
    let mut record = Record::new(hall.reservation(&mut random), 0, 1);
    if hall.ask(buy(record.reservation, customer, 1, &token)).await?.is_err() {
        return Ok(None);
    }
    record.reserve = Step::Done;
    hall.counts.add(&hall.counts.held, 1);
    if random.chance(0.2) {
        let again = hall.reservation(&mut random);
        if hall.ask(buy(again, customer, 1, &token)).await?.is_ok() {
            return Err(Failure::check("a token let somebody in twice"));
        }
    }
    if random.chance(0.1) {
        hall.must(Release::of(record.reservation).into()).await?;
        record.release = Step::Done;
    } else {
        hall.must(Commit::of(record.reservation).into()).await?;
        record.commit = Step::Done;
        hall.counts.add(&hall.counts.sold, 1);
    }
    Ok(Some(Bought { customer, record }))
}

fn buy(reservation: ReservationId, customer: u32, units: u32, token: &str) -> Command {
    let reserve = Reserve::new().id(reservation).line(HOT_SKU, units).campaign(CAMPAIGN).customer(name_of(customer));
    reserve.admission_token(token).into()
}

fn name_of(customer: u32) -> String {
    format!("customer-{customer}")
}

/// The lottery's seed, of the demo's: a real one is drawn by nobody who can know it.
fn seed_of(seed: u64) -> [u8; 32] {
    *blake3::hash(&seed.to_le_bytes()).as_bytes()
}

impl Hall {
    fn reservation(&self, random: &mut Random) -> ReservationId {
        mint_reservation(slot_of(HOT_SKU), random)
    }

    async fn room(&self) -> Result<Room, Failure> {
        let reader = self.client.reader(Consistency::Linearizable);
        retry(|| reader.room(CAMPAIGN)).await
    }

    /// Asks until it is known what became of the command, always under the same id.
    async fn ask(&self, command: Command) -> Result<Result<Success, Box<Told>>, Failure> {
        let (asked, mut key) = (Instant::now(), CommandKey::Minted);
        loop {
            let options = ExecuteOptions { key, ..ExecuteOptions::default() };
            let answer = match self.client.execute_with(command.clone(), options).await {
                Ok(success) => Ok(success),
                Err(Error::Refused(told)) => {
                    let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                    *refused.entry(told.reason.name().to_owned()).or_default() += 1;
                    self.counts.add(&self.counts.refused, 1);
                    Err(told)
                }
                Err(error) if asked.elapsed() >= WITHIN => return Err(failure_of(error)),
                Err(error) => {
                    if let Some(id) =
                        error.failure().command_id.filter(|_| key == CommandKey::Minted && error.is_unknown())
                    {
                        key = CommandKey::Id(id);
                        self.counts.add(&self.counts.unknown, 1);
                    }
                    sleep(error.failure().retry_after.unwrap_or(PAUSE)).await;
                    continue;
                }
            };
            self.latency.record(asked.elapsed());
            self.counts.add(&self.counts.commands, 1);
            return Ok(answer);
        }
    }

    /// The same of a command that nothing speaks against.
    async fn must(&self, command: Command) -> Result<Success, Failure> {
        self.ask(command).await?.map_err(|told| Failure::from_client(&told))
    }
}

/// Reads until a read is answered.
async fn retry<T, F: Future<Output = Result<T, Error>>>(read: impl Fn() -> F) -> Result<T, Failure> {
    let deadline = Instant::now() + WITHIN;
    loop {
        match read().await {
            Ok(found) => return Ok(found),
            Err(error) if error.is_refused() || Instant::now() >= deadline => return Err(failure_of(error)),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Holds what the customers know against the ledger, and the order of those who were let in against the seed.
async fn judged(
    cluster: &mut DevelopmentCluster,
    hall: &Hall,
    plan: Plan,
    units: u32,
    bought: Vec<Bought>,
    (kills, seconds): (u32, f64),
) -> Result<Report, Failure> {
    let waiting = output::spinner("waiting for every node, then comparing every replica with every record");
    cluster.ready().await?;
    let (shards, nodes) = (cluster.layout().shards, cluster.layout().nodes.len());
    let findings = ledger::inspect(cluster.members(), shards).await?;
    let reservations = ledger::reservations(cluster.members(), shards).await?;
    let drawn = Drawn::of(&hall.room().await?);
    waiting.finish_and_clear();
    let items = vec![Stocked { sku: HOT_SKU.to_owned(), stock: units }];
    let shop = Shop { items, wares: vec![Ware::single(0, HOT_SKU)], demand: Demand::zipf(1, 1.0), ttl: None };
    let mut of_customers: BTreeMap<u32, u64> = BTreeMap::new();
    let whose: BTreeMap<ReservationId, u32> = bought.iter().map(|it| (it.record.reservation, it.customer)).collect();
    for reservation in &reservations {
        let id = reservation.reservation_id.map(ReservationId::from);
        if let Some(customer) = id.and_then(|id| whose.get(&id)) {
            let has = reservation.lines.iter().map(|line| line.held + line.committed + line.fulfilled).sum::<u64>();
            *of_customers.entry(*customer).or_default() += has;
        }
    }
    let records = bought.into_iter().map(|it| (it.record.reservation, it.record)).collect();
    let verdict = judge::judge(&shop, &records, &findings, &reservations);
    for remark in findings.breaches.iter().chain(&verdict.balance.remarks).chain(&drawn.problems) {
        output::say(&format!("check: {remark}"));
    }
    let figures = DropFigures {
        units: units.into(),
        customers_over_limit: of_customers.values().filter(|units| **units > 1).count(),
        refused_by_reason: hall.refused.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        lottery_verified: drawn.holds(),
    };
    let run = Run {
        nodes,
        shards,
        scenario: plan.scenario,
        skus: 1,
        customers: plan.customers,
        seed: plan.seed,
        resolved: 0,
        kills,
        seconds,
    };
    let report = Report::of(run, &hall.counts, &hall.latency, &verdict, &findings);
    Ok(report.with_drop(figures))
}
