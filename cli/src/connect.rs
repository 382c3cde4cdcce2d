//! The way to a cluster: the flags that name it, the client, and what is read through it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use holdfast_client::ids::{CountId, ReceiptId, ReservationId, TransferId};
use holdfast_client::{
    Allocations, Backorders, Client, ClientOptions, Documents, Error, Listed, Listing, Lots, Orders, Read, Reader,
    Reservations, Room, Stock, Transport,
};
use holdfast_proto::v1;

use crate::consistency::Freshness;
use crate::failure::Failure;
use crate::random::Random;

/// Where `holdfast up` serves if nothing is said.
const DEFAULT_ADDRESSES: &str = "127.0.0.1:7400,127.0.0.1:7410,127.0.0.1:7420";

/// Flags that say where the cluster is.
#[derive(Clone, Debug, Args)]
pub struct ClusterFlags {
    /// Where clients reach its nodes: host:port, several with commas or repeated; one is enough.
    #[arg(
        long = "addr",
        env = "HOLDFAST_ADDR",
        value_name = "ADDR",
        value_delimiter = ',',
        default_value = DEFAULT_ADDRESSES
    )]
    addresses: Vec<String>,
    /// How long to go on trying.
    #[arg(long, env = "HOLDFAST_TIMEOUT", value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    timeout: u64,
}

impl ClusterFlags {
    /// The addresses given.
    pub fn addresses(&self) -> Vec<String> {
        self.addresses.iter().map(|address| address.trim().to_owned()).filter(|address| !address.is_empty()).collect()
    }

    /// How long to go on trying.
    pub const fn deadline(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    /// A client of the cluster.
    pub async fn connect(&self) -> Result<Client, Failure> {
        self.connect_by(false).await
    }

    /// The same; with `unary`, by a call for each question instead of sessions.
    pub async fn connect_by(&self, unary: bool) -> Result<Client, Failure> {
        let mut options = ClientOptions::new(self.addresses());
        options.deadline = self.deadline();
        options.transport = if unary { Transport::Unary } else { Transport::Session };
        Client::connect(options).await.map_err(failure_of)
    }

    /// Every location.
    pub async fn locations(&self) -> Result<Vec<v1::Location>, Failure> {
        self.connect().await?.locations().await.map_err(failure_of)
    }

    /// Creates a location, or replaces its attributes.
    pub async fn put_location(&self, location: v1::Location) -> Result<v1::Location, Failure> {
        self.connect().await?.put_location(location).await.map_err(failure_of)
    }

    /// Every channel, or one of them.
    pub async fn channels(&self, id: Option<&str>) -> Result<Vec<v1::Channel>, Failure> {
        self.connect().await?.channels(id).await.map_err(failure_of)
    }

    /// Makes a campaign known.
    pub async fn open_campaign(&self, campaign: v1::Campaign) -> Result<v1::Campaign, Failure> {
        self.connect().await?.open_campaign(campaign).await.map_err(failure_of)
    }

    /// Ends a campaign.
    pub async fn close_campaign(&self, id: &str) -> Result<v1::Campaign, Failure> {
        self.connect().await?.close_campaign(id).await.map_err(failure_of)
    }

    /// Every campaign, or one of them.
    pub async fn campaigns(&self, id: Option<&str>) -> Result<Vec<v1::Campaign>, Failure> {
        self.connect().await?.campaigns(id).await.map_err(failure_of)
    }

    /// Creates an endpoint, or replaces what is said of it.
    pub async fn put_endpoint(&self, endpoint: v1::Endpoint) -> Result<v1::Endpoint, Failure> {
        self.connect().await?.put_endpoint(endpoint).await.map_err(failure_of)
    }

    /// Every endpoint, or one of them.
    pub async fn endpoints(&self, id: Option<&str>) -> Result<Vec<v1::Endpoint>, Failure> {
        self.connect().await?.endpoints(id).await.map_err(failure_of)
    }

    /// Has an endpoint called no more.
    pub async fn remove_endpoint(&self, id: &str) -> Result<(), Failure> {
        self.connect().await?.remove_endpoint(id).await.map_err(failure_of)
    }

    /// Every limit per customer over several SKUs.
    pub async fn shared_limits(&self) -> Result<Vec<v1::SharedLimit>, Failure> {
        self.connect().await?.shared_limits().await.map_err(failure_of)
    }

    /// Creates a limit per customer over several SKUs, or replaces what is said of it.
    pub async fn put_shared_limit(&self, limit: v1::SharedLimit) -> Result<v1::SharedLimit, Failure> {
        self.connect().await?.put_shared_limit(limit).await.map_err(failure_of)
    }

    /// Creates a channel, or replaces what is said of it.
    pub async fn put_channel(&self, channel: v1::Channel) -> Result<v1::Channel, Failure> {
        self.connect().await?.put_channel(channel).await.map_err(failure_of)
    }
}

/// Flags of every read.
#[derive(Clone, Debug, Args)]
pub struct Reading {
    /// How fresh it must be: linearizable, stale or at-least:SHARD:INDEX (a token that a reply showed).
    #[arg(long, value_name = "LEVEL", default_value = "linearizable")]
    consistency: Freshness,
    #[command(flatten)]
    cluster: ClusterFlags,
}

impl Reading {
    /// The quantities of a SKU; an empty location: everywhere.
    pub async fn stock(&self, sku: &str, location: &str) -> Result<Read<Stock>, Failure> {
        let client = self.cluster.connect().await?;
        let location = Some(location).filter(|location| !location.is_empty());
        self.reader(&client).stock(sku, location).await.map_err(failure_of)
    }

    /// An item.
    pub async fn item(&self, sku: &str) -> Result<v1::Item, Failure> {
        let client = self.cluster.connect().await?;
        Ok(self.reader(&client).item(sku).await.map_err(failure_of)?.value)
    }

    /// A kit; an empty location: everywhere.
    pub async fn kit(&self, sku: &str, location: &str) -> Result<v1::GetKitResponse, Failure> {
        let client = self.cluster.connect().await?;
        let location = Some(location).filter(|location| !location.is_empty());
        self.reader(&client).kit(sku, location).await.map_err(failure_of)
    }

    /// A reservation.
    pub async fn reservation(&self, id: ReservationId) -> Result<v1::Reservation, Failure> {
        let client = self.cluster.connect().await?;
        Ok(self.reader(&client).reservation(id).await.map_err(failure_of)?.value)
    }

    /// Items, shard by shard.
    pub async fn items(&self, shard: Option<u32>, limit: usize) -> Result<Vec<v1::Item>, Failure> {
        let client = self.cluster.connect().await?;
        of_shard(&client, self.reader(&client).items(), shard)?.take(limit).await.map_err(failure_of)
    }

    /// Reservations, shard by shard.
    pub async fn reservations(
        &self,
        which: Reservations,
        shard: Option<u32>,
        limit: usize,
    ) -> Result<Vec<v1::Reservation>, Failure> {
        let client = self.cluster.connect().await?;
        of_shard(&client, self.reader(&client).reservations(which), shard)?.take(limit).await.map_err(failure_of)
    }

    /// A lot.
    pub async fn lot(&self, sku: &str, lot: &str) -> Result<v1::Lot, Failure> {
        let client = self.cluster.connect().await?;
        Ok(self.reader(&client).lot(sku, lot).await.map_err(failure_of)?.value)
    }

    /// The lots of a SKU.
    pub async fn lots(&self, sku: &str) -> Result<Vec<v1::Lot>, Failure> {
        let client = self.cluster.connect().await?;
        Ok(self.reader(&client).lots(sku).await.map_err(failure_of)?.value)
    }

    /// The limits per customer of a SKU, with what that customer has under them.
    pub async fn limits(&self, sku: &str, customer: &str) -> Result<Vec<v1::CustomerLimit>, Failure> {
        let client = self.cluster.connect().await?;
        Ok(self.reader(&client).limits(sku, customer).await.map_err(failure_of)?.value)
    }

    /// Lots of which units lie somewhere, shard by shard.
    pub async fn all_lots(&self, which: Lots, limit: usize) -> Result<Vec<v1::Lot>, Failure> {
        let client = self.cluster.connect().await?;
        self.reader(&client).all_lots(which).take(limit).await.map_err(failure_of)
    }

    /// The reservations that have or had units of a lot.
    pub async fn trace_lot(&self, sku: &str, lot: &str) -> Result<Vec<v1::Reservation>, Failure> {
        let client = self.cluster.connect().await?;
        trace_lot(&self.reader(&client), sku, lot).await
    }

    /// A transfer.
    pub async fn transfer(&self, id: TransferId) -> Result<v1::Transfer, Failure> {
        let client = self.cluster.connect().await?;
        Ok(self.reader(&client).transfer(id).await.map_err(failure_of)?.value)
    }

    /// Transfers, shard by shard.
    pub async fn transfers(
        &self,
        which: Documents,
        shard: Option<u32>,
        limit: usize,
    ) -> Result<Vec<v1::Transfer>, Failure> {
        let client = self.cluster.connect().await?;
        of_shard(&client, self.reader(&client).transfers(which), shard)?.take(limit).await.map_err(failure_of)
    }

    /// A campaign, with what it has of which SKU where.
    pub async fn campaign(&self, id: &str) -> Result<(v1::Campaign, Vec<v1::Allocation>), Failure> {
        let client = self.cluster.connect().await?;
        let found = client.campaigns(Some(id)).await.map_err(failure_of)?.into_iter().next().unwrap_or_default();
        let which = Allocations { campaign_id: Some(id.to_owned()), sku: None };
        let allocations = self.reader(&client).allocations(which).take(usize::MAX).await.map_err(failure_of)?;
        Ok((found, allocations))
    }

    /// The waiting room of a campaign with all of its tickets.
    pub async fn room(&self, campaign: &str) -> Result<Room, Failure> {
        let client = self.cluster.connect().await?;
        self.reader(&client).room(campaign).await.map_err(failure_of)
    }

    /// The same with one customer's ticket, if there is one.
    pub async fn ticket(&self, campaign: &str, customer: &str) -> Result<Room, Failure> {
        let client = self.cluster.connect().await?;
        self.reader(&client).ticket(campaign, customer).await.map_err(failure_of)
    }

    /// What is promised without stock, shard by shard.
    pub async fn backorders(
        &self,
        which: Backorders,
        shard: Option<u32>,
        limit: usize,
    ) -> Result<Vec<v1::Backorder>, Failure> {
        let client = self.cluster.connect().await?;
        of_shard(&client, self.reader(&client).backorders(which), shard)?.take(limit).await.map_err(failure_of)
    }

    /// An expected receipt.
    pub async fn receipt(&self, id: ReceiptId) -> Result<v1::Receipt, Failure> {
        let client = self.cluster.connect().await?;
        Ok(self.reader(&client).receipt(id).await.map_err(failure_of)?.value)
    }

    /// Expected receipts, shard by shard.
    pub async fn receipts(
        &self,
        which: Documents,
        shard: Option<u32>,
        limit: usize,
    ) -> Result<Vec<v1::Receipt>, Failure> {
        let client = self.cluster.connect().await?;
        of_shard(&client, self.reader(&client).receipts(which), shard)?.take(limit).await.map_err(failure_of)
    }

    /// Every event that the filter takes, at most `limit`, shard by shard; and of each shard the first that is kept.
    pub async fn events(
        &self,
        filter: &v1::EventFilter,
        shard: Option<u32>,
        limit: usize,
    ) -> Result<(Vec<v1::Event>, Vec<(u32, u64)>), Failure> {
        let client = self.cluster.connect().await?;
        let reader = self.reader(&client);
        // A SKU's events are all on its own shard, and so are a reservation's own.
        let shard = shard.or_else(|| Some(client.shard_of(&filter.sku)).filter(|_| !filter.sku.is_empty()));
        let (mut found, mut kept) = (Vec::new(), Vec::new());
        for shard in shards_of(&client, shard)? {
            let mut from = Some(0);
            let mut first_kept = 1;
            while let Some(seq) = from.filter(|_| found.len() < limit) {
                let page = reader.events(shard, seq, filter).await.map_err(failure_of)?.value;
                found.extend(page.events);
                (from, first_kept) = (page.next_seq, page.first_kept_seq);
            }
            kept.push((shard, first_kept));
        }
        found.truncate(limit);
        Ok((found, kept))
    }

    /// The signed heads of the event trees, of that shard or of all.
    pub async fn tree_heads(&self, shard: Option<u32>) -> Result<Vec<v1::TreeHead>, Failure> {
        let client = self.cluster.connect().await?;
        let reader = self.reader(&client);
        let mut heads = Vec::new();
        for shard in shards_of(&client, shard)? {
            heads.push(reader.tree_head(shard, 0).await.map_err(failure_of)?.value);
        }
        Ok(heads)
    }

    /// An event with the proof that it is in the tree over the shard's first `size` events; 0: all.
    pub async fn prove_event(&self, shard: u32, seq: u64, size: u64) -> Result<v1::ProveEventResponse, Failure> {
        let client = self.cluster.connect().await?;
        shards_of(&client, Some(shard))?;
        self.reader(&client).prove_event(shard, seq, size).await.map_err(failure_of)
    }

    /// The quantities of a SKU as they were.
    pub async fn stock_as_of(&self, sku: &str, time_ms: u64) -> Result<v1::GetStockAsOfResponse, Failure> {
        let client = self.cluster.connect().await?;
        Ok(self.reader(&client).stock_as_of(sku, time_ms).await.map_err(failure_of)?.value)
    }

    /// A count.
    pub async fn count(&self, id: CountId) -> Result<v1::Count, Failure> {
        let client = self.cluster.connect().await?;
        Ok(self.reader(&client).count(id).await.map_err(failure_of)?.value)
    }

    /// Counts, shard by shard.
    pub async fn counts(&self, which: Documents, shard: Option<u32>, limit: usize) -> Result<Vec<v1::Count>, Failure> {
        let client = self.cluster.connect().await?;
        of_shard(&client, self.reader(&client).counts(which), shard)?.take(limit).await.map_err(failure_of)
    }

    /// An order with external steps.
    pub async fn order(&self, id: ReservationId) -> Result<v1::Order, Failure> {
        let client = self.cluster.connect().await?;
        Ok(self.reader(&client).order(id).await.map_err(failure_of)?.value)
    }

    /// Orders with external steps, shard by shard.
    pub async fn orders(&self, which: Orders, shard: Option<u32>, limit: usize) -> Result<Vec<v1::Order>, Failure> {
        let client = self.cluster.connect().await?;
        of_shard(&client, self.reader(&client).orders(which), shard)?.take(limit).await.map_err(failure_of)
    }

    fn reader<'a>(&self, client: &'a Client) -> Reader<'a> {
        client.reader(self.consistency.into())
    }
}

/// The listing of one shard, if one is asked for.
fn of_shard<'a, T: Listed>(
    client: &Client,
    listing: Listing<'a, T>,
    shard: Option<u32>,
) -> Result<Listing<'a, T>, Failure> {
    shards_of(client, shard)?;
    Ok(match shard {
        Some(shard) => listing.of_shard(shard),
        None => listing,
    })
}

/// That shard if one is asked for, or all.
fn shards_of(client: &Client, shard: Option<u32>) -> Result<Vec<u32>, Failure> {
    let known = client.routing().shards;
    let wanted: Vec<u32> =
        known.iter().map(|(each, _)| *each).filter(|each| shard.is_none_or(|shard| shard == *each)).collect();
    if wanted.is_empty() {
        let failure = Failure::usage(format!("there is no shard {}", shard.unwrap_or(0)));
        return Err(failure.hint(format!("the cluster has {} shards, the first is 0", known.len())));
    }
    Ok(wanted)
}

/// The reservations that have or had units of a lot, oldest first.
pub async fn trace_lot(reader: &Reader<'_>, sku: &str, lot: &str) -> Result<Vec<v1::Reservation>, Failure> {
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let (page, next) = reader.trace_lot(sku, lot, &token).await.map_err(failure_of)?;
        found.extend(page);
        if next.is_empty() || next == token {
            return Ok(found);
        }
        token = next;
    }
}

/// A client of the nodes at those addresses.
pub async fn client_at(addresses: Vec<String>) -> Result<Client, Failure> {
    Client::connect(ClientOptions::new(addresses)).await.map_err(failure_of)
}

/// A new reservation's id, for callers that must know it before they ask.
pub fn mint_reservation(slot: u16, random: &mut Random) -> ReservationId {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let bits = (u128::from(random.next()) << 64) | u128::from(random.next());
    ReservationId::mint(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), slot, bits)
}

/// What the client's error means for the command line.
pub fn failure_of(error: Error) -> Failure {
    Failure::from_client(error.failure())
}
