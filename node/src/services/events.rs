//! `EventService`: what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use holdfast_inventory::{EventHash, Kit, LogTime, Sku, SkuKind, slot_of};
use holdfast_proto::v1;
use holdfast_proto::v1::CommandError;
use holdfast_proto::v1::event_service_server::EventService;
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Response, Status};

use super::inventory::unknown_sku;
use super::timeout_of;
use crate::core::Core;
use crate::events::{self, Answers, Cursor, Found, Levels, MAX_EVENTS, Tail, Wanted};
use crate::from_proto::{self, event_filter, freshness, invalid};
use crate::heads::HeadKey;
use crate::node::MAX_READERS;
use crate::refusals;
use crate::to_proto;

/// The most SKUs that a reader of availability names.
const MAX_SKUS: usize = 1_000;
/// How long changes of availability are gathered where nothing is said.
const COALESCE: Duration = Duration::from_millis(250);
/// After how long without news a reader is told its cursor, where nothing is said.
const IDLE: Duration = Duration::from_secs(5);
const SKU_HINT: &str = "1 to 64 bytes of printable UTF-8";

/// See the module.
#[derive(Debug)]
pub(super) struct Events {
    core: Arc<Core>,
}

impl Events {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// The last event of a replica that is as fresh as asked.
    async fn last_event(
        &self,
        shard: u32,
        consistency: Option<v1::Consistency>,
        deadline: Instant,
    ) -> Result<(u64, v1::ReadFreshness), CommandError> {
        let last_event = |shard: &holdfast_inventory::Inventory| shard.last_event().0;
        self.core.read(shard, freshness(consistency), deadline, last_event).await
    }

    /// How many events a tree is asked for, of those that are there.
    fn tree_size(shard: u32, asked: u64, last: u64) -> Result<u64, CommandError> {
        match asked {
            0 => Ok(last),
            asked if asked <= last => Ok(asked),
            asked => Err(invalid(
                "size",
                &format!("is {asked}"),
                &format!("shard {shard} has {last} events; 0 is all of them"),
            )),
        }
    }

    /// The ends of the change logs of those shards; of all where none is named.
    fn tail(&self, shards: &[u32], cursor: Option<&Cursor>) -> Result<Tail, CommandError> {
        let routes = self.core.routes()?;
        let all: Vec<u32> = (0..routes.shards).collect();
        let shards = if shards.is_empty() { &all } else { shards };
        let named = cursor.into_iter().flat_map(|cursor| cursor.0.keys());
        if let Some(other) = named.copied().find(|shard| !shards.contains(shard)) {
            let hint = "a cursor goes with the shards that it was given for";
            return Err(invalid("cursor", &format!("names shard {other}, which is not watched"), hint));
        }
        let mut groups = BTreeMap::new();
        for &shard in shards {
            groups.insert(shard, self.core.shard(shard, &routes)?.group().clone());
        }
        Ok(Tail::new(groups, cursor))
    }

    /// Does the work of a reader until it, or this node, is gone.
    fn serve<T: Send + 'static, W: Future<Output = ()> + Send + 'static>(
        &self,
        work: impl FnOnce(events::Sender<T>) -> W,
    ) -> Result<Answers<T>, CommandError> {
        let place = Arc::clone(&self.core.readers).try_acquire_owned();
        let place = place.map_err(|_| refusals::too_many_readers(MAX_READERS))?;
        let (sender, answers) = events::channel(place);
        let mut stopping = self.core.stopping.subscribe();
        let work = work(sender);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => {}
                () = work => {}
            }
        });
        Ok(answers)
    }

    fn sign(&self, shard: u32, size: u64, root: EventHash, time_ms: u64) -> Result<v1::TreeHead, CommandError> {
        let routes = self.core.routes()?;
        Ok(HeadKey::of(&routes.words.customer_key).sign(&routes.cluster_id, shard, size, root, time_ms))
    }
}

/// Waits between answers that have nothing to tell.
fn idle_of(ms: u32) -> Result<Duration, CommandError> {
    match ms {
        0 => Ok(IDLE),
        100..=60_000 => Ok(Duration::from_millis(ms.into())),
        _ => Err(invalid("idle_ms", &format!("is {ms}"), "100 to 60000, or 0 for 5000")),
    }
}

/// The event, or events before it, are gone from this replica.
fn not_kept(shard: u32, group: &holdfast_raft::host::Group) -> CommandError {
    let why = format!("its change log here keeps events from {} on", group.first_kept_event());
    refusals::unavailable(shard, &format!("{why}; another node may keep more (holdfast audit verify shows it)"))
}

fn unreadable(shard: u32, fault: &holdfast_raft::store::ChangesFault) -> CommandError {
    refusals::unavailable(shard, &format!("its change log here: {fault}"))
}

/// What to watch instead of a kit.
fn watch_instead(kit: &Kit) -> String {
    let components: Vec<&str> = kit.components.iter().map(|component| component.sku.as_str()).collect();
    format!("name its components: {}", components.join(", "))
}

/// What of a SKU lies where, and the last event that it is after.
fn levels(shard: &holdfast_inventory::Inventory, sku: &Sku) -> Option<(Levels, u64)> {
    let of_places = shard.stock(sku)?.into_iter().map(|level| ((level.location, None), level.counts));
    let lots = shard.lots(sku)?.into_iter();
    let of_lots = lots.flat_map(|lot| {
        lot.places.into_iter().map(move |(location, counts)| ((location, Some(lot.id.clone())), counts))
    });
    Some((of_places.chain(of_lots).collect(), shard.last_event().0))
}

#[tonic::async_trait]
impl EventService for Events {
    async fn list_events(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> Result<Response<v1::ListEventsResponse>, Status> {
        let deadline = self.core.deadline(timeout_of(&request));
        let v1::ListEventsRequest { shard, from_seq, limit, filter, consistency } = request.into_inner();
        let limit = match limit as usize {
            0 => MAX_EVENTS,
            limit if limit <= MAX_EVENTS => limit,
            limit => {
                let problem = format!("is {limit}");
                return Err(invalid("limit", &problem, "at most 1000, or 0 for that many").into());
            }
        };
        let filter = event_filter(filter)?;
        let (through, freshness) = self.last_event(shard, consistency, deadline).await?;
        let handle = self.core.shard(shard, &*self.core.routes()?)?;
        let range = (from_seq, through);
        let Found { events, next, first_kept } =
            events::list(shard, handle.group(), range, limit, &filter, deadline).await?;
        Ok(Response::new(v1::ListEventsResponse {
            events: events.into_iter().map(|event| to_proto::event(shard, event)).collect(),
            next_seq: next.unwrap_or(0),
            first_kept_seq: first_kept,
            freshness: Some(freshness),
        }))
    }

    async fn get_tree_head(
        &self,
        request: Request<v1::GetTreeHeadRequest>,
    ) -> Result<Response<v1::GetTreeHeadResponse>, Status> {
        let deadline = self.core.deadline(timeout_of(&request));
        let v1::GetTreeHeadRequest { shard, size, consistency } = request.into_inner();
        let tree = |shard: &holdfast_inventory::Inventory| (shard.history().size(), shard.history().root());
        let ((last, root), freshness) = self.core.read(shard, freshness(consistency), deadline, tree).await?;
        let size = Self::tree_size(shard, size, last)?;
        let handle = self.core.shard(shard, &*self.core.routes()?)?;
        let root = if size == last {
            root
        } else {
            let root = handle.group().tree_root(size).await.map_err(|fault| unreadable(shard, &fault))?;
            root.ok_or_else(|| not_kept(shard, handle.group()))?
        };
        let head = self.sign(shard, size, root, freshness.log_time_ms)?;
        Ok(Response::new(v1::GetTreeHeadResponse { head: Some(head), freshness: Some(freshness) }))
    }

    async fn prove_event(
        &self,
        request: Request<v1::ProveEventRequest>,
    ) -> Result<Response<v1::ProveEventResponse>, Status> {
        let deadline = self.core.deadline(timeout_of(&request));
        let v1::ProveEventRequest { shard, seq, size, consistency } = request.into_inner();
        let (last, freshness) = self.last_event(shard, consistency, deadline).await?;
        let size = Self::tree_size(shard, size, last)?;
        if seq == 0 || seq > size {
            let problem = format!("is {seq}");
            return Err(invalid("seq", &problem, &format!("an event of the tree: 1 to {size}")).into());
        }
        let handle = self.core.shard(shard, &*self.core.routes()?)?;
        // What was just applied may be written a moment later.
        handle.group().events(size, size, 1, deadline).await.map_err(|fault| unreadable(shard, &fault))?;
        let proving = timeout_at(deadline, handle.group().prove_event(seq, size)).await;
        let proved = proving
            .map_err(|_| refusals::unavailable(shard, "the events of the tree were not read in the request's time"))?
            .map_err(|fault| unreadable(shard, &fault))?;
        let (event, proof) = proved.ok_or_else(|| not_kept(shard, handle.group()))?;
        let root = proof.root(event.hash).ok_or_else(|| Status::internal("the proof leads nowhere"))?;
        let head = self.sign(shard, size, root, freshness.log_time_ms)?;
        Ok(Response::new(v1::ProveEventResponse {
            encoded: event.encoded().to_vec(),
            event: Some(to_proto::event(shard, event)),
            path: proof.path.into_iter().map(|hash| hash.0.to_vec()).collect(),
            head: Some(head),
        }))
    }

    async fn get_stock_as_of(
        &self,
        request: Request<v1::GetStockAsOfRequest>,
    ) -> Result<Response<v1::GetStockAsOfResponse>, Status> {
        let deadline = self.core.deadline(timeout_of(&request));
        let v1::GetStockAsOfRequest { sku, time_ms, consistency } = request.into_inner();
        let sku = from_proto::sku("sku", &sku)?;
        if time_ms == 0 {
            return Err(invalid("time_ms", "is missing", "milliseconds since the Unix epoch, in log time").into());
        }
        let shard = self.core.routes()?.shard_of(slot_of(&sku));
        let look = |shard: &holdfast_inventory::Inventory| levels(shard, &sku);
        let (present, freshness) = self.core.read(shard, freshness(consistency), deadline, look).await?;
        let present = present.ok_or_else(|| unknown_sku(&sku))?;
        let handle = self.core.shard(shard, &*self.core.routes()?)?;
        let time = LogTime(time_ms);
        let (levels, seq) = events::as_of(shard, handle.group(), &sku, time, present, deadline).await?;
        let levels = levels.into_iter().map(|((location, lot), counts)| v1::StockAsOf {
            location_id: location.to_string(),
            lot_id: lot.map(|lot| lot.to_string()).unwrap_or_default(),
            quantities: Some(to_proto::quantities(counts)),
        });
        Ok(Response::new(v1::GetStockAsOfResponse { levels: levels.collect(), seq, freshness: Some(freshness) }))
    }

    type WatchEventsStream = Answers<v1::WatchEventsResponse>;

    async fn watch_events(
        &self,
        request: Request<v1::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let v1::WatchEventsRequest { cursor, shards, filter, idle_ms } = request.into_inner();
        let (cursor, filter, idle) = (events::cursor_of(&cursor)?, event_filter(filter)?, idle_of(idle_ms)?);
        let tail = self.tail(&shards, cursor.as_ref())?;
        let answers = self.serve(|reader| events::watch(tail, filter, idle, reader))?;
        Ok(Response::new(answers))
    }

    type WatchAvailabilityStream = Answers<v1::WatchAvailabilityResponse>;

    async fn watch_availability(
        &self,
        request: Request<v1::WatchAvailabilityRequest>,
    ) -> Result<Response<Self::WatchAvailabilityStream>, Status> {
        let v1::WatchAvailabilityRequest { skus, cursor, coalesce_ms, idle_ms } = request.into_inner();
        if skus.len() > MAX_SKUS {
            let problem = format!("names {}", skus.len());
            return Err(invalid("skus", &problem, "at most 1000, or none for every SKU").into());
        }
        let routes = self.core.routes()?;
        let mut wanted = BTreeSet::new();
        for (at, sku) in skus.iter().enumerate() {
            let refused = |error| invalid(format!("skus[{at}]"), &format!("is refused: {error}"), SKU_HINT);
            let sku = Sku::new(sku).map_err(refused)?;
            let shard = self.core.shard(routes.shard_of(slot_of(&sku)), &routes)?;
            if let Some(SkuKind::Kit(kit)) = shard.group().read_shard(|shard| shard.kind_of(&sku)) {
                let problem = format!("is {sku}, a kit, which has no stock of its own");
                return Err(invalid(format!("skus[{at}]"), &problem, &watch_instead(&kit)).into());
            }
            wanted.insert(sku);
        }
        let coalesce = match coalesce_ms {
            0 => COALESCE,
            1..=60_000 => Duration::from_millis(coalesce_ms.into()),
            _ => {
                let problem = format!("is {coalesce_ms}");
                return Err(invalid("coalesce_ms", &problem, "at most 60000, or 0 for 250").into());
            }
        };
        let (cursor, idle) = (events::cursor_of(&cursor)?, idle_of(idle_ms)?);
        let of_skus: BTreeSet<u32> = wanted.iter().map(|sku| routes.shard_of(slot_of(sku))).collect();
        let shards: Vec<u32> = of_skus.into_iter().collect();
        let tail = self.tail(&shards, cursor.as_ref())?;
        let wanted = Wanted { skus: wanted, coalesce, idle, present: cursor.is_none() };
        let answers = self.serve(|reader| events::watch_availability(tail, wanted, routes, reader))?;
        Ok(Response::new(answers))
    }
}
