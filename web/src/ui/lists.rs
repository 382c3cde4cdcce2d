//! Lists of the dashboard: reservations, campaigns, the heads of the change logs.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use holdfast_client::{Allocations, Error, Reader, Reservations};
use holdfast_proto::v1;
use serde::Serialize;

use super::{in_time, own_copy, teller};
use crate::asked::Asked;
use crate::reply::{Answered, Reply};
use crate::wire::{FromWire, Hex, IdText, reservation_id};

/// Reservations of one list.
const ROWS: usize = 200;
/// Reservations that are looked at for the newest ones: they are listed from the oldest on.
const LOOKED_AT: usize = 4_000;
/// Campaigns that are shown, the latest first.
const CAMPAIGNS: usize = 20;

#[derive(Debug, Serialize)]
struct HeadShown {
    shard: u32,
    size: u64,
    root: Hex,
}

#[derive(Debug, Serialize)]
struct Heads {
    heads: Vec<HeadShown>,
}

#[derive(Debug, Serialize)]
struct LineShown {
    sku: String,
    location_id: String,
    held: u64,
    committed: u64,
    fulfilled: u64,
    released: u64,
    cancelled: u64,
    returned: u64,
    backordered: u64,
    short: u64,
}

#[derive(Debug, Serialize)]
struct ReservationShown {
    reservation_id: IdText,
    state: String,
    order_ref: String,
    channel_id: String,
    campaign_id: String,
    units: u64,
    created_at_ms: u64,
    expires_at_ms: u64,
    /// The cluster's time, to say in what time it ends.
    now_ms: u64,
    lines: Vec<LineShown>,
}

#[derive(Debug, Serialize)]
struct ReservationsShown {
    /// The newest first.
    reservations: Vec<ReservationShown>,
    /// Not all of them are shown; where so many are held that not all were looked at, newer ones may be among the others.
    more: bool,
}

#[derive(Debug, Serialize)]
struct AllocationShown {
    sku: String,
    location_id: String,
    granted: u64,
    held: u64,
    sold: u64,
}

#[derive(Debug, Serialize)]
struct RoomShown {
    waiting: usize,
    admitted: usize,
    spent: usize,
}

#[derive(Debug, Serialize)]
struct CampaignShown {
    campaign_id: String,
    phase: &'static str,
    starts_at_ms: u64,
    ends_at_ms: u64,
    allocations: Vec<AllocationShown>,
    /// Where customers are let in.
    room: Option<RoomShown>,
}

#[derive(Debug, Serialize)]
struct Sales {
    campaigns: Vec<CampaignShown>,
    /// How old the node's own records of campaigns may be.
    age_ms: u64,
}

/// `GET /ui/api/heads`.
pub(super) async fn heads(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let client = asked.client()?;
    in_time(async {
        let shards: Vec<u32> = client.routing().shards.iter().map(|(shard, _)| *shard).collect();
        let reader = own_copy(&asked, &client);
        let heads = join_all(shards.iter().map(|shard| reader.tree_head(*shard, 0))).await;
        let shown =
            |head: v1::TreeHead| HeadShown { shard: head.shard, size: head.size, root: Hex::from_wire(head.root) };
        let heads = heads.into_iter().map(|head| head.map(|head| shown(head.value))).collect::<Result<Vec<_>, _>>()?;
        Ok(Reply::ok(&Heads { heads }))
    })
    .await
}

/// `GET /ui/api/reservations`: some that live.
pub(super) async fn reservations(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let client = asked.client()?;
    in_time(async {
        let now_ms = client.cluster_time_ms();
        let shards: Vec<u32> = client.routing().shards.iter().map(|(shard, _)| *shard).collect();
        let reader = own_copy(&asked, &client);
        let looked_at = LOOKED_AT.div_ceil(shards.len().max(1));
        let of_shard = |shard: &u32| {
            let which = Reservations { state: Some(v1::ReservationState::Held), order_ref: None };
            reader.reservations(which).of_shard(*shard).take(looked_at)
        };
        let lists = join_all(shards.iter().map(of_shard)).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(Reply::ok(&newest(lists, looked_at, now_ms)))
    })
    .await
}

/// The newest of what was looked at of each shard.
fn newest(lists: Vec<Vec<v1::Reservation>>, looked_at: usize, now_ms: u64) -> ReservationsShown {
    let is_cut = lists.iter().any(|list| list.len() == looked_at);
    let mut found: Vec<v1::Reservation> = lists.into_iter().flatten().collect();
    found.sort_by_key(|it| std::cmp::Reverse(it.created_at_ms));
    let more = is_cut || found.len() > ROWS;
    found.truncate(ROWS);
    ReservationsShown { reservations: found.into_iter().map(|it| ReservationShown::of(it, now_ms)).collect(), more }
}

/// `GET /ui/api/reservations/{id}`.
pub(super) async fn reservation(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let (client, id) = (asked.client()?, reservation_id(asked.path("id"), "id")?);
    in_time(async {
        let found = own_copy(&asked, &client).reservation(id).await?.value;
        Ok(Reply::ok(&ReservationShown::of(found, client.cluster_time_ms())))
    })
    .await
}

/// `GET /ui/api/sales`: the campaigns as this node's own records have them, so that they are seen without a quorum, too.
pub(super) async fn sales(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let client = asked.client()?;
    in_time(async {
        let (mut campaigns, age_ms) = match teller(&asked, &client) {
            0 => (client.campaigns(None).await?, 0),
            node_id => client.campaigns_at(node_id).await?,
        };
        campaigns.sort_by_key(|campaign| std::cmp::Reverse(campaign.starts_at_ms));
        campaigns.truncate(CAMPAIGNS);
        let (reader, now_ms) = (own_copy(&asked, &client), client.cluster_time_ms());
        let shown = campaigns.into_iter().map(|campaign| CampaignShown::read(reader, campaign, now_ms));
        let campaigns = join_all(shown).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(Reply::ok(&Sales { campaigns, age_ms }))
    })
    .await
}

impl CampaignShown {
    async fn read(reader: Reader<'_>, campaign: v1::Campaign, now_ms: u64) -> Result<Self, Error> {
        let which = Allocations { campaign_id: Some(campaign.campaign_id.clone()), sku: None };
        let allocations = reader.allocations(which).take(ROWS).await?;
        let room = match campaign.admission() {
            v1::CampaignAdmission::Unspecified | v1::CampaignAdmission::None => None,
            v1::CampaignAdmission::Queue | v1::CampaignAdmission::Lottery => {
                Some(RoomShown::of(&reader.room(&campaign.campaign_id).await?.tickets))
            }
        };
        Ok(Self {
            phase: phase(&campaign, now_ms),
            campaign_id: campaign.campaign_id,
            starts_at_ms: campaign.starts_at_ms,
            ends_at_ms: campaign.ends_at_ms,
            allocations: allocations.into_iter().map(AllocationShown::of).collect(),
            room,
        })
    }
}

fn phase(campaign: &v1::Campaign, now_ms: u64) -> &'static str {
    match () {
        () if campaign.closed || (campaign.ends_at_ms > 0 && now_ms >= campaign.ends_at_ms) => "over",
        () if now_ms < campaign.starts_at_ms => "planned",
        () => "running",
    }
}

impl RoomShown {
    fn of(tickets: &[v1::Ticket]) -> Self {
        let mut states: BTreeMap<i32, usize> = BTreeMap::new();
        tickets.iter().for_each(|ticket| *states.entry(ticket.state).or_default() += 1);
        let of = |state: v1::TicketState| states.get(&state.into()).copied().unwrap_or(0);
        Self {
            waiting: of(v1::TicketState::Waiting),
            admitted: of(v1::TicketState::Admitted),
            spent: of(v1::TicketState::Spent),
        }
    }
}

impl AllocationShown {
    fn of(allocation: v1::Allocation) -> Self {
        let v1::Allocation { sku, location_id, granted, held, sold, .. } = allocation;
        Self { sku, location_id, granted, held, sold }
    }
}

impl ReservationShown {
    fn of(it: v1::Reservation, now_ms: u64) -> Self {
        let state = it.state().as_str_name().trim_start_matches("RESERVATION_STATE_").to_lowercase().replace('_', " ");
        let lines: Vec<LineShown> = it.lines.into_iter().map(LineShown::of).collect();
        Self {
            reservation_id: IdText::from_wire(it.reservation_id),
            state,
            order_ref: it.order_ref,
            channel_id: it.channel_id,
            campaign_id: it.campaign_id,
            units: lines.iter().map(|line| line.held + line.committed + line.fulfilled + line.backordered).sum(),
            created_at_ms: it.created_at_ms,
            expires_at_ms: it.expires_at_ms,
            now_ms,
            lines,
        }
    }
}

impl LineShown {
    fn of(line: v1::ReservationLine) -> Self {
        Self {
            sku: line.sku,
            location_id: line.location_id,
            held: line.held,
            committed: line.committed,
            fulfilled: line.fulfilled,
            released: line.released + line.expired,
            cancelled: line.cancelled,
            returned: line.returned,
            backordered: line.backordered + line.backordered_sold,
            short: line.short + line.short_sold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_reservations_are_shown_however_many_shards_there_are() {
        let at = |created_at_ms| v1::Reservation { created_at_ms, ..v1::Reservation::default() };
        let lists: Vec<Vec<v1::Reservation>> = (0..300).map(|shard| vec![at(shard), at(1_000 + shard)]).collect();
        let shown = newest(lists, LOOKED_AT.div_ceil(300), 2_000);
        let made: Vec<u64> = shown.reservations.iter().map(|it| it.created_at_ms).collect();
        assert_eq!((made, shown.more), ((1_100..1_300).rev().collect(), true));
        assert!(newest(vec![vec![at(1)]], 1, 2).more, "what was not looked at may be newer");
        assert!(!newest(vec![vec![at(1)]], 2, 2).more);
    }
}
