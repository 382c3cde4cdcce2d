//! What SKUs are, asked of the leaders of their shards wherever those are.

use std::sync::Arc;

use holdfast_inventory::{Component, Kit, LocationId, Promisable, Revision, Sku, SkuKind, Units};
use holdfast_proto::peer::v1 as peer;
use holdfast_proto::v1::CommandError;
use tokio::time::Instant;

use super::flatten::MAX_SKUS;
use crate::core::Core;
use crate::from_proto::{Freshness, invalid};
use crate::leaders::{ATTEMPT, Leader, leader_of, until_answered};

/// A SKU as its shard has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) kind: SkuKind,
    /// What may be promised of it, where that was asked for.
    pub(crate) promisable: Promisable,
}

/// What the SKUs of one shard are, in order, asked again until the deadline while it has no leader that answers.
///
/// # Errors
///
/// No answer came.
pub(super) async fn see(
    core: &Core,
    shard: u32,
    skus: &[Sku],
    with_stock: bool,
    deadline: Instant,
) -> Result<Vec<Seen>, String> {
    let seen = until_answered(deadline, |until| attempt(core, shard, skus, with_stock, until)).await;
    seen.map_err(|why| format!("what its SKUs are could not be read: {why}"))
}

async fn attempt(
    core: &Core,
    shard: u32,
    skus: &[Sku],
    with_stock: bool,
    deadline: Instant,
) -> Result<Vec<Seen>, String> {
    let leader = match leader_of(core, shard)? {
        Leader::Here(_) => {
            return see_here(core, shard, skus, with_stock, deadline).await.map_err(|error| error.message);
        }
        Leader::There(leader) => leader,
    };
    let request = peer::SeeRequest {
        cluster_id: core.config.cluster_id.clone(),
        shard,
        skus: skus.iter().map(|sku| sku.as_str().to_owned()).collect(),
        with_stock,
    };
    let response = leader.ask(deadline, |mut orders| async move { orders.see(request).await }).await?;
    let seen: Option<Vec<Seen>> =
        response.skus.into_iter().zip(skus).map(|(seen, sku)| seen_from_peer(sku, seen)).collect();
    let seen = seen.filter(|seen| seen.len() == skus.len());
    seen.ok_or_else(|| leader.says("it answers something else"))
}

async fn see_here(
    core: &Core,
    shard: u32,
    skus: &[Sku],
    with_stock: bool,
    deadline: Instant,
) -> Result<Vec<Seen>, CommandError> {
    let see = |shard: &holdfast_inventory::Inventory| {
        let of = |sku: &Sku| Seen {
            kind: shard.kind_of(sku),
            promisable: if with_stock { shard.promisable(sku) } else { Promisable::Nothing },
        };
        skus.iter().map(of).collect()
    };
    core.read(shard, Freshness::Linearizable, deadline, see).await.map(|(seen, _)| seen)
}

/// Answers another node about a shard that this one leads.
///
/// # Errors
///
/// This node does not lead it, or could not be sure of it in time.
pub(crate) async fn answer(core: &Core, asked: &peer::SeeRequest) -> Result<Vec<Seen>, CommandError> {
    if asked.skus.len() > MAX_SKUS {
        return Err(invalid("skus", "are too many", &format!("at most {MAX_SKUS}")));
    }
    let named = |text: &String| crate::from_proto::sku("skus", text);
    let skus: Vec<Sku> = asked.skus.iter().map(named).collect::<Result<_, _>>()?;
    see_here(core, asked.shard, &skus, asked.with_stock, Instant::now() + ATTEMPT).await
}

/// As it travels to another node.
pub(crate) fn seen_to_peer(seen: Seen) -> peer::SkuSeen {
    let mut wire = peer::SkuSeen::default();
    match seen.kind {
        SkuKind::Unknown => {}
        SkuKind::Item => wire.set_kind(peer::SkuKind::Item),
        SkuKind::Kit(kit) => {
            let component = |it: &Component| peer::Component { sku: it.sku.as_str().to_owned(), units: it.units.0 };
            wire.set_kind(peer::SkuKind::Kit);
            wire.components = kit.components.iter().map(component).collect();
            (wire.name, wire.revision, wire.backorder) = (kit.name, kit.revision.0, kit.backorder);
        }
    }
    match seen.promisable {
        Promisable::Nothing => {}
        Promisable::Anything => wire.never_lacks = true,
        Promisable::At(places) => {
            let place = |(location, atp): (LocationId, u64)| peer::PlaceSeen { location_id: location.to_string(), atp };
            wire.places = places.into_iter().map(place).collect();
        }
    }
    wire
}

/// `None` where it is nothing that [`seen_to_peer`] gave.
fn seen_from_peer(sku: &Sku, wire: peer::SkuSeen) -> Option<Seen> {
    let kind = match peer::SkuKind::try_from(wire.kind).ok()? {
        peer::SkuKind::Unspecified => SkuKind::Unknown,
        peer::SkuKind::Item => SkuKind::Item,
        peer::SkuKind::Kit => {
            let component =
                |it: &peer::Component| Some(Component { sku: Sku::new(&it.sku).ok()?, units: Units(it.units) });
            let components: Vec<Component> = wire.components.iter().map(component).collect::<Option<_>>()?;
            let (name, revision, backorder) = (wire.name, Revision(wire.revision), wire.backorder);
            SkuKind::Kit(Kit { sku: sku.clone(), name, components: Arc::new(components), revision, backorder })
        }
    };
    let place = |it: &peer::PlaceSeen| Some((LocationId::new(&it.location_id).ok()?, it.atp));
    let promisable = match (wire.never_lacks, &kind) {
        (true, _) => Promisable::Anything,
        (false, SkuKind::Item) => Promisable::At(wire.places.iter().map(place).collect::<Option<_>>()?),
        (false, _) => Promisable::Nothing,
    };
    Some(Seen { kind, promisable })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_of_a_sku_comes_to_another_node_as_it_is() {
        let sku: Sku = "set".parse().unwrap();
        let components = Arc::new(vec![Component { sku: "rouge".parse().unwrap(), units: Units(2) }]);
        let kit = Kit { sku: sku.clone(), name: "Set".to_owned(), components, revision: Revision(4), backorder: false };
        let places = Promisable::At(vec![("PAR".parse().unwrap(), 3)]);
        for (kind, promisable) in [
            (SkuKind::Unknown, Promisable::Nothing),
            (SkuKind::Item, places),
            (SkuKind::Item, Promisable::Anything),
            (SkuKind::Kit(kit), Promisable::Nothing),
        ] {
            let seen = Seen { kind, promisable };
            assert_eq!(seen_from_peer(&sku, seen_to_peer(seen.clone())), Some(seen));
        }
    }
}
