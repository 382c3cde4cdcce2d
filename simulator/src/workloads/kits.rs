//! Kits over several shards that share components: held, sold and given back whole by one recipe or not at all, while recipes
//! change; some are gifts, whose lack does not fail the rest, and of some lines fewer will do.

use holdfast_client::Client;
use holdfast_client::ids::{ReservationId, slot_of};

use super::{Shopper, orders, skus_of_one_shard};
use crate::history::{Freshness, Id, KitLine, Line, Request, Subject};

/// The components.
pub(super) const PART: &str = "PART";
/// A kit of two components.
const INNER: &str = "KIT-INNER";
/// A kit with that kit in it.
const GIFT: &str = "KIT-GIFT";
/// A kit of which the recipe changes.
pub(super) const DUO: &str = "KIT-DUO";
/// Units of each component: few enough that often one of them lacks.
const UNITS: u32 = 16;

/// What fills the shelves, and what the kits are made of.
pub(super) fn opening(client: &Client, in_season: impl Fn(&str) -> String) -> Vec<Request> {
    let parts = parts(client, &in_season(PART));
    let put =
        |sku: &String| [Request::PutItem { sku: sku.clone() }, Request::Receive { sku: sku.clone(), units: UNITS }];
    let line = |sku: &str, units| Line { sku: sku.to_owned(), units };
    // Of one shard, where each could be had without the other.
    let inner = parts.iter().rev().take(2).map(|part| line(part, 1)).collect();
    let gift = vec![line(&in_season(INNER), 2), line(&parts[2], 1)];
    let kits = [(INNER, inner), (GIFT, gift), (DUO, recipe_of_duo(&parts, 0))];
    let kits = kits.map(|(kit, components)| Request::PutKit { sku: in_season(kit), components });
    parts.iter().flat_map(put).chain(kits).collect()
}

/// The components: of as many shards as there are, and two more of one shard.
fn parts(client: &Client, name: &str) -> Vec<String> {
    let mut parts = orders::skus(client, name);
    parts.extend(skus_of_one_shard(client, &format!("{name}-PAIR"), 2));
    parts
}

fn recipe_of_duo(parts: &[String], number: usize) -> Vec<Line> {
    let at = |part: usize, units| Line { sku: parts[(number + part) % parts.len()].clone(), units };
    vec![at(0, 1), at(2, 2)]
}

pub(super) async fn order(shopper: &mut Shopper) {
    let parts = parts(shopper.client(), &shopper.sku(PART));
    match shopper.dice.below(12) {
        0 => {
            let components = recipe_of_duo(&parts, shopper.dice.below(3) as usize);
            let sku = shopper.sku(DUO);
            shopper.ask_done(Request::PutKit { sku, components }).await;
        }
        1 => {
            let sku = parts[shopper.dice.below(parts.len() as u64) as usize].clone();
            shopper.ask_done(Request::Receive { sku, units: 2 }).await;
        }
        _ => buy(shopper, &parts).await,
    }
}

async fn buy(shopper: &mut Shopper, parts: &[String]) {
    let request = cart(shopper, parts);
    let Some(reservation) = request.reservation() else { return };
    if !shopper.ask_done(request).await {
        return;
    }
    if shopper.dice.below(2) == 0 {
        shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await;
    }
    match shopper.dice.below(10) {
        // Its time ends it, or the shop's closing finds it held.
        0 => {}
        1..=4 => {
            if shopper.ask_done(Request::Commit { reservation }).await {
                match shopper.dice.below(3) {
                    0 => drop(shopper.ask_done(Request::Cancel { reservation }).await),
                    1 => drop(shopper.ask_done(Request::Fulfil { reservation }).await),
                    _ => {}
                }
            }
        }
        5 => drop(shopper.ask_done(Request::Cancel { reservation }).await),
        _ => drop(shopper.ask_done(Request::Release { reservation }).await),
    }
    if shopper.dice.below(2) == 0 {
        shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await;
    }
}

/// One to three lines of kits and components, some of which are gifts, or may be fewer, or name the revision of a recipe that may be an old one.
fn cart(shopper: &mut Shopper, parts: &[String]) -> Request {
    let lines = (0..shopper.dice.between(1, 3)).map(|_| {
        let (sku, is_kit) = match shopper.dice.below(6) {
            0 | 1 => (shopper.sku(GIFT), true),
            2 | 3 => (shopper.sku(DUO), true),
            4 => (shopper.sku(INNER), true),
            _ => (parts[shopper.dice.below(parts.len() as u64) as usize].clone(), false),
        };
        let names_revision = is_kit && shopper.dice.below(4) == 0;
        let units = shopper.dice.between(1, 3) as u32;
        KitLine {
            sku,
            units,
            least: if units > 1 && shopper.dice.below(2) == 0 { units - 1 } else { 0 },
            optional: shopper.dice.below(3) == 0,
            kit_revision: if names_revision { shopper.dice.between(1, 3) } else { 0 },
        }
    });
    let lines: Vec<KitLine> = lines.collect();
    let (now, random) = (shopper.client().cluster_time_ms(), shopper.random());
    let reservation = Id(ReservationId::mint(now, slot_of(&lines[0].sku), random).0);
    let ttl_s = if shopper.dice.below(4) == 0 { 2 } else { 600 };
    Request::ReserveKits { reservation, lines, ttl_s }
}
