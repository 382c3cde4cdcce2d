//! Waiting rooms, first come first served and by lottery: customers join them, somebody draws and lets the next in, and who was let
//! in buys, often once more than a token is good for. Everybody may be any customer, so that several are the same one at once.

use std::time::Duration;

use holdfast_client::ids::{ReservationId, slot_of};
use holdfast_client::{Client, Consistency, v1};

use super::{Shopper, campaigns, translate};
use crate::history::{Answer, Freshness, Id, Request, Sale, Showing, Subject};

pub(super) const NAME: &str = "ROOM";
/// Of the SKU that each campaign sells.
const UNITS: u32 = 16;
/// More than there will be units for.
const CUSTOMERS: u64 = 16;
/// How many of them ask whether they are let in before one buys.
const ASKED: u32 = 8;

/// How a campaign lets in, when it begins and how long it sells, in ms: some for a shop that is busy for seconds, some for one that
/// is quiet for minutes.
const ROOMS: [(v1::CampaignAdmission, u64, u64); 4] = [
    (v1::CampaignAdmission::Queue, 1_000, 20_000),
    (v1::CampaignAdmission::Lottery, 4_000, 30_000),
    (v1::CampaignAdmission::Queue, 20_000, 200_000),
    (v1::CampaignAdmission::Lottery, 60_000, 300_000),
];

fn sku_of(room: &str, number: usize) -> String {
    format!("{room}-{number}")
}

pub(super) fn opening(name: &str) -> Vec<Request> {
    let put = |number| {
        let sku = sku_of(name, number);
        [Request::PutItem { sku: sku.clone() }, Request::Receive { sku, units: UNITS }]
    };
    (0..ROOMS.len()).flat_map(put).collect()
}

/// Opens the campaigns. False: they cannot be had.
pub(super) async fn announce(client: &Client, name: &str) -> bool {
    let opens_at = client.cluster_time_ms();
    for (number, (admission, after_ms, sells_ms)) in ROOMS.into_iter().enumerate() {
        let starts_at_ms = opens_at + after_ms;
        let campaign = v1::Campaign {
            campaign_id: sku_of(name, number),
            starts_at_ms,
            ends_at_ms: starts_at_ms + sells_ms,
            admission: admission.into(),
            ..v1::Campaign::default()
        };
        if !campaigns::open(client, &campaign).await {
            return false;
        }
    }
    true
}

/// A campaign that somebody has to do with.
struct Room {
    sale: Sale,
    by_lot: bool,
}

pub(super) async fn order(shopper: &mut Shopper) {
    let Some(room) = choose(shopper).await else { return };
    if shopper.client().cluster_time_ms() < room.sale.starts_at_ms {
        wait_for_it(shopper, &room).await;
    } else {
        sell(shopper, &room).await;
    }
    if shopper.dice.below(3) == 0 {
        look(shopper, &room).await;
    }
}

async fn look(shopper: &mut Shopper, room: &Room) {
    let subject = Subject::Room(room.sale.campaign.clone());
    shopper.read(subject, Freshness::Linearizable).await;
}

/// One that is not over, or at times was not long ago.
async fn choose(shopper: &mut Shopper) -> Option<Room> {
    let prefix = format!("{}-", shopper.sku(NAME));
    let mut known = shopper.client().campaigns(None).await.ok()?;
    let now = shopper.client().cluster_time_ms();
    let late_ms = if shopper.dice.below(8) == 0 { 5_000 } else { 0 };
    known.retain(|it| it.campaign_id.starts_with(&prefix) && it.ends_at_ms + late_ms > now);
    let chosen = known.get(shopper.dice.below(known.len().max(1) as u64) as usize)?;
    let (starts_at_ms, ends_at_ms) = (chosen.starts_at_ms, chosen.ends_at_ms);
    let sale = Sale { campaign: chosen.campaign_id.clone(), starts_at_ms, ends_at_ms };
    Some(Room { by_lot: chosen.admission() == v1::CampaignAdmission::Lottery, sale })
}

async fn wait_for_it(shopper: &mut Shopper, room: &Room) {
    if room.by_lot {
        hold_to_a_seed(shopper, room).await;
    }
    match shopper.dice.below(5) {
        0 => allocate(shopper, room).await,
        1 if room.by_lot => draw(shopper, room).await,
        _ => join_some(shopper, room).await,
    }
}

async fn sell(shopper: &mut Shopper, room: &Room) {
    match shopper.dice.below(5) {
        0 | 1 => join_some(shopper, room).await,
        2 => allocate(shopper, room).await,
        _ if room.by_lot => draw(shopper, room).await,
        _ => {}
    }
    if shopper.dice.below(3) > 0 {
        admit(shopper, room).await;
        if shopper.dice.below(3) == 0 {
            look(shopper, room).await;
        }
    }
    for _ in 0..shopper.dice.between(1, 3) {
        buy(shopper, room).await;
    }
}

/// The seed that a lottery is mostly held to and drawn with; at times somebody comes with another one.
fn seed(shopper: &mut Shopper) -> u64 {
    if shopper.dice.below(4) == 0 { shopper.dice.between(2, 3) } else { 1 }
}

async fn hold_to_a_seed(shopper: &mut Shopper, room: &Room) {
    let (campaign, seed) = (room.sale.campaign.clone(), seed(shopper));
    shopper.ask_done(Request::CommitDraw { campaign, seed }).await;
}

async fn draw(shopper: &mut Shopper, room: &Room) {
    let (campaign, seed) = (room.sale.campaign.clone(), seed(shopper));
    shopper.ask_done(Request::Draw { campaign, seed }).await;
}

async fn join_some(shopper: &mut Shopper, room: &Room) {
    for _ in 0..shopper.dice.between(1, 4) {
        let (campaign, customer) = (room.sale.campaign.clone(), any_customer(shopper));
        shopper.ask_done(Request::JoinQueue { campaign, customer, by_lot: room.by_lot }).await;
    }
}

fn any_customer(shopper: &mut Shopper) -> u8 {
    shopper.dice.between(1, CUSTOMERS) as u8
}

async fn allocate(shopper: &mut Shopper, room: &Room) {
    let units = shopper.dice.between(1, 4) as u32;
    let (sku, sale) = (room.sale.campaign.clone(), room.sale.clone());
    shopper.ask_done(Request::Allocate { sku, units, sale, back: false }).await;
}

/// What is read may be old when the next are let in: others buy meanwhile, or let in too.
async fn admit(shopper: &mut Shopper, room: &Room) {
    let most = shopper.dice.between(1, 4) as u32;
    let valid_s = if shopper.dice.below(2) == 0 { 60 } else { shopper.dice.between(1, 8) };
    let asked = shopper.client().admission(&room.sale.campaign, most, Duration::from_secs(valid_s)).await;
    let Ok(v1::command::Operation::Admit(it)) = asked.map(holdfast_client::Admit::into_operation) else { return };
    if shopper.dice.below(4) == 0 {
        tokio::time::sleep(Duration::from_millis(shopper.dice.between(100, 2_000))).await;
    }
    let (tickets, valid_s, left) = (it.tickets, it.valid_s, it.left);
    let (campaign, spent, newly_spent, as_of_ms) = (it.campaign_id, it.spent, it.newly_spent, it.as_of_ms);
    shopper.ask_done(Request::Admit { campaign, tickets, valid_s, left, spent, newly_spent, as_of_ms }).await;
}

async fn buy(shopper: &mut Shopper, room: &Room) {
    let Some(showing) = somebody_who_is_let_in(shopper, room).await else {
        if shopper.dice.below(4) == 0 {
            reserve(shopper, room, None).await;
        }
        return;
    };
    if shopper.dice.below(6) == 0 {
        // The token's time may be over by then.
        tokio::time::sleep(Duration::from_millis(shopper.dice.between(100, 3_000))).await;
    }
    let held = reserve(shopper, room, Some(showing.clone())).await;
    if shopper.dice.below(3) == 0 {
        reserve(shopper, room, Some(showing)).await;
    }
    let Some(reservation) = held else { return };
    match shopper.dice.below(6) {
        // Its time ends it, or the shop's closing finds it held.
        0 => {}
        1 | 2 => drop(shopper.ask_done(Request::Release { reservation }).await),
        _ => drop(shopper.ask_done(Request::Commit { reservation }).await),
    }
}

/// A few customers ask for their tokens; the first who gets one.
async fn somebody_who_is_let_in(shopper: &mut Shopper, room: &Room) -> Option<Showing> {
    for _ in 0..ASKED {
        let customer = any_customer(shopper);
        let reader = shopper.client().reader(Consistency::Linearizable);
        let told = reader.admission(&room.sale.campaign, &translate::customer(customer)).await.ok()?;
        if let Some(ticket) = told.ticket.filter(|_| !told.token.is_empty()) {
            let (ticket, until_ms) = (ticket.number, ticket.admitted_until_ms);
            return Some(Showing { customer, ticket, until_ms, token: told.token });
        }
    }
    None
}

/// One unit; the reservation's id where it was taken.
async fn reserve(shopper: &mut Shopper, room: &Room, showing: Option<Showing>) -> Option<Id> {
    let sku = room.sale.campaign.clone();
    let (now, random) = (shopper.client().cluster_time_ms(), shopper.random());
    let reservation = Id(ReservationId::mint(now, slot_of(&sku), random).0);
    let ttl_s = if shopper.dice.below(3) == 0 { 2 } else { 600 };
    let sale = Some(room.sale.clone());
    let asked = Request::ReserveIn { reservation, sku, units: 1, ttl_s, sale, showing };
    matches!(shopper.ask(asked).await, Some(Answer::Done(_))).then_some(reservation)
}
