//! Evidence: signed heads of the shards' histories, proofs that an event is in one, and quantities as they were.

use futures_util::StreamExt as _;
use serde::Serialize;
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::events::{Event, StockQuantities};
use crate::limits::READS_AT_ONCE;
use crate::problem::Problem;
use crate::reply::{Answered, Reply};
use crate::tokens::Tokens;
use crate::wire::{FromWire, Hex, from_wire, hex, shortened};

/// The root of the Merkle tree over a shard's events (RFC 6962, with BLAKE3), signed: to be kept outside of the cluster.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TreeHead {
    cluster_id: String,
    shard: u32,
    /// How many events it has: the sequence of the last one.
    size: u64,
    root: Hex,
    /// The shard's log time when it was signed.
    time_ms: u64,
    /// Ed25519, the cluster's own.
    public_key: Hex,
    signature: Hex,
}

from_wire!(TreeHead { cluster_id, shard, size, root, time_ms, public_key, signature });

/// The heads of the shards.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TreeHeads {
    items: Vec<TreeHead>,
}

/// An event, and that it is one of those of a head.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventProof {
    event: Event,
    /// The event as it lies in the change log.
    encoded: Hex,
    /// The roots of the subtrees beside its way to the root, from the leaf up.
    path: Vec<Hex>,
    head: TreeHead,
}

/// Quantities at a location as they were.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StockAsOf {
    location_id: String,
    /// Empty: all lots of the location together.
    lot_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    quantities: Option<StockQuantities>,
}

from_wire!(StockAsOf { location_id, lot_id, quantities });

/// The quantities of a SKU as they were.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StockOfSkuAsOf {
    sku: String,
    levels: Vec<StockAsOf>,
    /// The last event that counts; 0: none had happened.
    seq: u64,
}

/// The signed heads of the shards' histories, as of now.
#[utoipa::path(get, path = "/v1/audit/heads", tag = "audit",
    params(("shard" = Option<u32>, Query, description = "Only of this shard")),
    responses((status = 200, description = "The heads", body = TreeHeads)))]
pub(crate) async fn list_heads(asked: Asked) -> Answered {
    asked.only_query(&["shard"])?;
    let client = asked.client()?;
    let wanted = asked.query_number::<u32>("shard")?;
    let shards: Vec<u32> = client.routing().shards.iter().map(|(shard, _)| *shard).collect();
    if let Some(unknown) = wanted.filter(|wanted| !shards.contains(wanted)) {
        return Err(no_shard(unknown));
    }
    let heads = shards.into_iter().filter(|shard| wanted.is_none_or(|wanted| wanted == *shard)).map(|shard| {
        let (client, asked) = (&client, &asked);
        async move { Ok::<_, Problem>(asked.reader(client, Some(shard))?.tree_head(shard, 0).await?) }
    });
    let heads: Vec<_> = futures_util::stream::iter(heads).buffered(READS_AT_ONCE).collect().await;
    let heads = heads.into_iter().collect::<Result<Vec<_>, Problem>>()?;
    let seen: Tokens = heads.iter().filter_map(|head| head.freshness.token).collect();
    let items = heads.into_iter().map(|head| TreeHead::from_wire(head.value)).collect();
    Ok(Reply::ok(&TreeHeads { items }).seen_all(seen))
}

/// An event, with the proof that it is in the history of its shard.
#[utoipa::path(get, path = "/v1/audit/proofs/{shard}/{seq}", tag = "audit",
    params(("shard" = u32, Path, description = "The shard"), ("seq" = u64, Path, description = "The event"),
           ("size" = Option<u64>, Query, description = "In the tree of the first so many events; all if it is not said")),
    responses((status = 200, description = "The proof", body = EventProof)))]
pub(crate) async fn prove_event(asked: Asked) -> Answered {
    asked.only_query(&["size"])?;
    let client = asked.client()?;
    let (shard, seq) = (number::<u32>(&asked, "shard")?, number::<u64>(&asked, "seq")?);
    if !client.routing().shards.iter().any(|(known, _)| *known == shard) {
        return Err(no_shard(shard));
    }
    let size = asked.query_number("size")?.unwrap_or(0);
    let proof = asked.reader(&client, Some(shard))?.prove_event(shard, seq, size).await?;
    let shown = EventProof {
        event: Event::from_wire(proof.event.unwrap_or_default()),
        encoded: Hex(hex(&proof.encoded)),
        path: Vec::from_wire(proof.path),
        head: TreeHead::from_wire(proof.head.unwrap_or_default()),
    };
    Ok(Reply::ok(&shown))
}

/// The quantities of a SKU as they were at the end of a log time.
#[utoipa::path(get, path = "/v1/audit/stock/{sku}", tag = "audit",
    params(("sku" = String, Path, description = "The SKU, percent-encoded"),
           ("as_of_ms" = u64, Query, description = "The log time, in milliseconds since the Unix epoch")),
    responses((status = 200, description = "The quantities", body = StockOfSkuAsOf)))]
pub(crate) async fn stock_as_of(asked: Asked) -> Answered {
    asked.only_query(&["as_of_ms"])?;
    let (client, sku) = (asked.client()?, asked.path("sku"));
    let as_of_ms = asked
        .query_number("as_of_ms")?
        .ok_or_else(|| Problem::invalid("as_of_ms", "is missing: as of when, in milliseconds since the Unix epoch?"))?;
    let read = asked.reader(&client, Some(client.shard_of(sku)))?.stock_as_of(sku, as_of_ms).await?;
    let levels = Vec::from_wire(read.value.levels);
    let shown = StockOfSkuAsOf { sku: sku.to_owned(), levels, seq: read.value.seq };
    Ok(Reply::ok(&shown).seen(read.freshness.token))
}

fn number<T: std::str::FromStr>(asked: &Asked, name: &str) -> Result<T, Problem> {
    let text = asked.path(name);
    text.parse().map_err(|_| Problem::invalid(name, format!("`{}` is no number of one", shortened(text))))
}

fn no_shard(shard: u32) -> Problem {
    Problem::invalid("shard", format!("the cluster has no shard {shard}"))
}
