//! What may be promised of a SKU: in full for the back office (`/v1/availability`), and as much of it as the settings show to the
//! public (`/public/v1/availability`).
//!
//! Advice: reserving decides. Of a kit it is read from several shards, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use holdfast_client::{Client, Consistency, Error, Read, Stock};
use holdfast_proto::v1::{self, ConsistencyToken, ErrorReason};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::changes::{BatchAnswer, Each};
use crate::limits::{READS_AT_ONCE, READS_S, check_batch};
use crate::problem::Problem;
use crate::reply::{Answered, Reply};
use crate::tokens::Tokens;

/// What may be had, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AvailabilityStatus {
    /// There is enough.
    InStock,
    /// At its low stock threshold or below.
    Low,
    /// Nothing is there.
    Out,
    /// Nothing is there, and some may be promised all the same.
    Backorder,
    /// It is not out yet, and some may be promised.
    Preorder,
    /// It is not on sale.
    Unavailable,
}

/// What may be had at one location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct AvailableAt {
    location_id: String,
    available: u64,
}

/// What may be promised of a SKU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Availability {
    pub(crate) sku: String,
    pub(crate) status: AvailabilityStatus,
    /// Units, over the locations; not there: the SKU is never refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) available: Option<u64>,
    locations: Vec<AvailableAt>,
    /// The SKU is a kit.
    kit: bool,
    /// Of a preorder: when it is out, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) release_at_ms: Option<u64>,
}

/// SKUs to be looked at.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AvailabilityBatch {
    /// 1 to 500.
    pub(crate) skus: Vec<String>,
    /// Only there.
    #[serde(default)]
    pub(crate) location_id: String,
    /// As that channel sells: of its locations, less its buffer.
    #[serde(default)]
    pub(crate) channel_id: String,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// The shop's own systems: they see what is.
    BackOffice,
    /// Anybody, often: they see what was a second ago at most.
    Public,
}

/// From where something shall be had.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    location_id: Option<String>,
    channel: Option<v1::Channel>,
}

impl Wanted {
    /// Knows the channel. `UNKNOWN_CHANNEL` where there is none.
    async fn of(
        asked: &Asked,
        client: &Client,
        whose: Audience,
        location_id: &str,
        channel_id: &str,
    ) -> Result<Self, Problem> {
        let channel = match (channel_id, whose) {
            ("", _) => None,
            (id, Audience::BackOffice) => client.channels(Some(id)).await?.into_iter().next(),
            (id, Audience::Public) => Some(asked.web.channels.find(client, id).await?),
        };
        Ok(Self { location_id: Some(location_id.to_owned()).filter(|id| !id.is_empty()), channel })
    }

    /// What of a location's units may be had.
    fn of_location(&self, location_id: &str, units: u64) -> Option<u64> {
        let is_wanted = self.location_id.as_ref().is_none_or(|wanted| wanted == location_id);
        let left = match &self.channel {
            None => Some(units),
            Some(channel) if channel.inactive => None,
            Some(channel) => {
                let is_its = channel.location_ids.iter().any(|its| its == location_id);
                is_its.then(|| units.saturating_sub(channel.buffer.into()))
            }
        };
        left.filter(|_| is_wanted)
    }

    fn location(&self) -> Option<&str> {
        self.location_id.as_deref()
    }
}

/// What may be promised of a SKU, at a location, or through a channel.
#[utoipa::path(get, path = "/v1/availability/{sku}", tag = "availability",
    params(("sku" = String, Path, description = "An item or a kit, percent-encoded"),
           ("location_id" = Option<String>, Query, description = "Only there"),
           ("channel_id" = Option<String>, Query, description = "As that channel sells: of its locations, less its buffer")),
    responses((status = 200, description = "What may be promised", body = Availability)))]
pub(crate) async fn get_availability(asked: Asked) -> Answered {
    let (shown, token) = look_at_one(&asked, Audience::BackOffice).await?;
    Ok(Reply::ok(&shown).seen(token).tagged_as_shown(0))
}

/// What may be promised of many SKUs; each is answered by itself.
#[utoipa::path(post, path = "/v1/availability:batch", tag = "availability", request_body = AvailabilityBatch,
    responses((status = 200, description = "What may be promised of each, in order", body = BatchAnswer<Availability>)))]
pub(crate) async fn batch_availability(asked: Asked) -> Answered {
    let (results, tokens) = look_at_many(&asked, Audience::BackOffice).await?;
    let results = results.into_iter().map(|result| Each::of(result, 200)).collect();
    let reply = Reply::ok(&BatchAnswer::<Availability> { results });
    Ok(reply.seen_all(tokens))
}

/// The SKU that the path names.
pub(crate) async fn look_at_one(
    asked: &Asked,
    whose: Audience,
) -> Result<(Availability, Option<ConsistencyToken>), Problem> {
    asked.only_query(&["location_id", "channel_id"])?;
    let text = |name| asked.query_text(name).unwrap_or_default();
    let (client, sku) = (asked.client()?, asked.path("sku"));
    let wanted = Wanted::of(asked, &client, whose, text("location_id"), text("channel_id")).await?;
    let consistency = Tokens::asked(&asked.headers)?.of_shard(Some(client.shard_of(sku)), &asked.web.seen());
    Ok(look(&client, consistency, sku, &wanted).await?)
}

type Looked = (Vec<Result<Availability, Problem>>, Tokens);

/// The SKUs that the body names, in order.
pub(crate) async fn look_at_many(asked: &Asked, whose: Audience) -> Result<Looked, Problem> {
    asked.only_query(&[])?;
    let AvailabilityBatch { skus, location_id, channel_id } = asked.body()?;
    check_batch(skus.len(), "skus")?;
    let client = asked.client()?;
    let wanted = Wanted::of(asked, &client, whose, &location_id, &channel_id).await?;
    let (tokens, seen) = (Tokens::asked(&asked.headers)?, asked.web.seen());
    let look = |sku: String| {
        let (client, wanted) = (&client, &wanted);
        let consistency = tokens.of_shard(Some(client.shard_of(&sku)), &seen);
        async move { look(client, consistency, &sku, wanted).await }
    };
    let looked = each_once(&skus, |sku| client.shard_of(sku), look).await;
    let tokens = looked.values().flatten().filter_map(|(_, token)| *token).collect();
    let answer = |(at, sku): (usize, &String)| match looked.get(sku) {
        Some(Ok((shown, _))) => Ok(shown.clone()),
        Some(Err(problem)) => Err(Problem { field: format!("skus[{at}]"), ..problem.clone() }),
        None => Err(not_in_time(at)),
    };
    Ok((skus.iter().enumerate().map(answer).collect(), tokens))
}

fn not_in_time(at: usize) -> Problem {
    let detail = format!("the batch was not looked at to its end within {READS_S} s: ask for this one again");
    Problem { field: format!("skus[{at}]"), ..Problem::of(ErrorReason::Unavailable, detail) }
}

/// Looks each SKU up once, however often it stands there, some at once, and all within the time that a batch has: those that were not
/// reached are not there. A shard that could not answer for one SKU is not asked for another.
async fn each_once<T, F>(
    skus: &[String],
    shard_of: impl Fn(&str) -> u32,
    look: impl Fn(String) -> F,
) -> BTreeMap<String, Result<T, Problem>>
where
    F: Future<Output = Result<T, Failed>>,
{
    let until = Instant::now() + Duration::from_secs(READS_S);
    let silent = Mutex::new(BTreeMap::<u32, Problem>::new());
    let distinct: BTreeSet<String> = skus.iter().cloned().collect();
    let looks = distinct.into_iter().map(|sku| {
        let (shard, looking, silent) = (shard_of(&sku), look(sku.clone()), &silent);
        async move {
            let known = silent.lock().unwrap_or_else(PoisonError::into_inner).get(&shard).cloned();
            if let Some(problem) = known {
                return Some((sku, Err(problem)));
            }
            if Instant::now() >= until {
                return None;
            }
            let seen = tokio::time::timeout_at(until, looking).await.ok()?;
            let seen = seen.map_err(|Failed { error, is_of_shard }| {
                let problem = Problem::from(error);
                if is_of_shard && problem.status == 503 {
                    silent.lock().unwrap_or_else(PoisonError::into_inner).insert(shard, problem.clone());
                }
                problem
            });
            Some((sku, seen))
        }
    });
    futures_util::stream::iter(looks).buffered(READS_AT_ONCE).filter_map(std::future::ready).collect().await
}

/// Why a look at a SKU came to nothing.
struct Failed {
    error: Error,
    /// It is the SKU's own shard that did not answer, not one of a kit's components.
    is_of_shard: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, is_of_shard: false }
    }
}

impl From<Failed> for Problem {
    fn from(failed: Failed) -> Self {
        failed.error.into()
    }
}

/// What may be promised of a SKU.
async fn look(
    client: &Client,
    consistency: Consistency,
    sku: &str,
    wanted: &Wanted,
) -> Result<(Availability, Option<ConsistencyToken>), Failed> {
    let reader = client.reader(consistency);
    let item = reader.item(sku).await.map_err(|error| Failed { error, is_of_shard: true })?.value;
    if item.kit {
        let locations = locations_of_kit(client, sku, wanted).await?;
        return Ok((judge(&item, locations, 0, client.cluster_time_ms()), None));
    }
    let Read { value: Stock { levels, .. }, freshness } = reader.stock(sku, wanted.location()).await?;
    let at = |level: &v1::StockLevel| {
        let available = wanted.of_location(&level.location_id, level.atp)?;
        Some(AvailableAt { location_id: level.location_id.clone(), available })
    };
    let is_had = |level: &&v1::StockLevel| wanted.of_location(&level.location_id, 0).is_some();
    let cap = item.backorder.map_or(0, |terms| terms.cap);
    let promised = |level: &v1::StockLevel| cap.saturating_sub(level.backordered);
    let without_stock = levels.iter().filter(is_had).map(promised).fold(0, u64::saturating_add);
    let locations = levels.iter().filter_map(at).collect();
    Ok((judge(&item, locations, without_stock, client.cluster_time_ms()), freshness.token))
}

/// How many kits may be had at each location. Through a channel its buffer of each component counts.
async fn locations_of_kit(client: &Client, sku: &str, wanted: &Wanted) -> Result<Vec<AvailableAt>, Error> {
    let reader = client.reader(Consistency::Linearizable);
    let kit = reader.kit(sku, wanted.location()).await?;
    if wanted.channel.as_ref().is_none_or(|channel| channel.buffer == 0) {
        let at = |of: v1::KitAvailability| {
            let available = wanted.of_location(&of.location_id, of.available)?;
            Some(AvailableAt { location_id: of.location_id, available })
        };
        return Ok(kit.availability.into_iter().filter_map(at).collect());
    }
    let stocks = join_all(kit.flattened.iter().map(|component| reader.stock(&component.sku, wanted.location()))).await;
    let stocks = stocks.into_iter().collect::<Result<Vec<_>, _>>()?;
    let of_component = |location_id: &str, units: u32, stock: &Read<Stock>| {
        let level = stock.value.levels.iter().find(|level| level.location_id == location_id);
        let left = wanted.of_location(location_id, level.map_or(0, |level| level.atp))?;
        left.checked_div(units.into())
    };
    let at = |of: v1::KitAvailability| {
        let parts = kit.flattened.iter().zip(&stocks);
        let least = parts.map(|(part, stock)| of_component(&of.location_id, part.units, stock)).min()??;
        Some(AvailableAt { location_id: of.location_id, available: least.min(of.available) })
    };
    Ok(kit.availability.into_iter().filter_map(at).collect())
}

/// The one word, by what may be had and what the item says.
fn judge(item: &v1::Item, locations: Vec<AvailableAt>, without_stock: u64, now_ms: u64) -> Availability {
    let available = locations.iter().map(|at| at.available).fold(0, u64::saturating_add);
    let release_at_ms = item.backorder.map(|terms| terms.release_at_ms).filter(|at| *at > now_ms);
    // What is out is promised no more without stock.
    let is_over = item.backorder.is_some_and(|terms| terms.release_at_ms > 0) && release_at_ms.is_none();
    let is_promised = without_stock > 0 && !is_over;
    let status = if item.status() == v1::ItemStatus::Paused || item.status() == v1::ItemStatus::Discontinued {
        AvailabilityStatus::Unavailable
    } else if release_at_ms.is_some() && (available > 0 || is_promised) {
        AvailabilityStatus::Preorder
    } else if item.untracked {
        AvailabilityStatus::InStock
    } else if available == 0 {
        if is_promised { AvailabilityStatus::Backorder } else { AvailabilityStatus::Out }
    } else if available <= item.low_stock_threshold {
        AvailabilityStatus::Low
    } else {
        AvailabilityStatus::InStock
    };
    let is_sold = status != AvailabilityStatus::Unavailable;
    Availability {
        sku: item.sku.clone(),
        status,
        available: if !is_sold { Some(0) } else { Some(available).filter(|_| !item.untracked) },
        locations: if is_sold { locations } else { Vec::new() },
        kit: item.kit,
        release_at_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Availability {
        pub(crate) fn example(sku: &str, status: AvailabilityStatus, available: Option<u64>) -> Self {
            let locations = vec![at("main", available.unwrap_or(0))];
            Self { sku: sku.to_owned(), status, available, locations, kit: false, release_at_ms: None }
        }
    }

    fn at(location_id: &str, available: u64) -> AvailableAt {
        AvailableAt { location_id: location_id.to_owned(), available }
    }

    fn status(item: &v1::Item, available: u64, without_stock: u64) -> AvailabilityStatus {
        judge(item, vec![at("main", available)], without_stock, 1_000).status
    }

    #[test]
    fn the_word_is_of_what_may_be_had_and_of_what_the_item_says() {
        use AvailabilityStatus as Is;
        let item = v1::Item { sku: "A".to_owned(), low_stock_threshold: 3, ..v1::Item::default() };
        assert_eq!([4, 3, 0].map(|available| status(&item, available, 0)), [Is::InStock, Is::Low, Is::Out]);
        let mut paused = item.clone();
        paused.set_status(v1::ItemStatus::Paused);
        assert_eq!(judge(&paused, vec![at("main", 4)], 0, 0).available, Some(0));
        assert_eq!(status(&paused, 4, 0), Is::Unavailable);
        let terms = |release_at_ms| Some(v1::BackorderTerms { cap: 5, release_at_ms });
        let backorder = v1::Item { backorder: terms(0), ..item.clone() };
        assert_eq!(
            [(0, 5), (0, 0), (4, 5)].map(|(a, w)| status(&backorder, a, w)),
            [Is::Backorder, Is::Out, Is::InStock]
        );
        let preorder = v1::Item { backorder: terms(2_000), ..item.clone() };
        assert_eq!((status(&preorder, 0, 5), status(&preorder, 0, 0)), (Is::Preorder, Is::Out));
        let released = v1::Item { backorder: terms(500), ..item.clone() };
        assert_eq!((status(&released, 0, 5), status(&released, 4, 5)), (Is::Out, Is::InStock));
        let untracked = v1::Item { untracked: true, ..item };
        let shown = judge(&untracked, Vec::new(), 0, 0);
        assert_eq!((shown.status, shown.available), (Is::InStock, None));
    }

    fn unavailable() -> Failed {
        let error = v1::CommandError::of(ErrorReason::Unavailable, "no quorum");
        Failed { error: error.into(), is_of_shard: true }
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_ends_in_time_whatever_does_not_answer_and_what_was_not_reached_is_not_there() {
        let skus: Vec<String> = (0..200).map(|number| format!("SKU-{number:03}")).collect();
        let asked = std::cell::Cell::new(0);
        let began = Instant::now();
        let looked = each_once(
            &skus,
            |_| 0,
            async |sku: String| {
                asked.set(asked.get() + 1);
                if sku != "SKU-000" {
                    tokio::time::sleep(Duration::from_secs(3_600)).await;
                }
                Ok::<_, Failed>(sku)
            },
        );
        let looked = looked.await;
        assert_eq!(began.elapsed(), Duration::from_secs(READS_S));
        assert_eq!(looked.into_iter().collect::<Vec<_>>(), [("SKU-000".to_owned(), Ok("SKU-000".to_owned()))]);
        assert_eq!(asked.get(), READS_AT_ONCE + 1);
        let problem = not_in_time(7);
        assert_eq!((problem.status, problem.reason, problem.field.as_str()), (503, "UNAVAILABLE", "skus[7]"));
    }

    #[tokio::test]
    async fn a_sku_is_looked_up_once_and_a_shard_that_does_not_answer_is_not_asked_again() {
        let skus: Vec<String> = (0..400).map(|number| format!("{}-{}", number % 2, number % 100)).collect();
        let asked = std::cell::RefCell::new(Vec::new());
        let shard_of = |sku: &str| u32::from(sku.starts_with('1'));
        let looked = each_once(&skus, shard_of, |sku: String| {
            let asked = &asked;
            async move {
                asked.borrow_mut().push(shard_of(&sku));
                tokio::task::yield_now().await;
                if shard_of(&sku) == 0 { Ok(sku) } else { Err(unavailable()) }
            }
        });
        let looked = looked.await;
        assert_eq!(looked.len(), 100, "each has its answer");
        let of_shard = |shard| asked.borrow().iter().filter(|asked| **asked == shard).count();
        assert_eq!(of_shard(0), 50);
        assert!(of_shard(1) <= READS_AT_ONCE, "those that were under way already: {}", of_shard(1));
        assert_eq!(looked["1-1"].as_ref().map_err(|problem| problem.status), Err(503));
    }

    #[test]
    fn a_channel_sells_of_its_locations_less_its_buffer() {
        let channel = v1::Channel {
            channel_id: "web".to_owned(),
            location_ids: vec!["main".to_owned(), "shop".to_owned()],
            buffer: 2,
            ..v1::Channel::default()
        };
        let of = |location_id: Option<&str>, channel: &v1::Channel| Wanted {
            location_id: location_id.map(str::to_owned),
            channel: Some(channel.clone()),
        };
        let had = |wanted: &Wanted| ["main", "shop", "depot"].map(|location| wanted.of_location(location, 5));
        assert_eq!(had(&of(None, &channel)), [Some(3), Some(3), None]);
        assert_eq!(had(&of(Some("shop"), &channel)), [None, Some(3), None]);
        assert_eq!(of(None, &channel).of_location("main", 1), Some(0));
        let closed = v1::Channel { inactive: true, ..channel };
        assert_eq!(had(&of(None, &closed)), [None; 3]);
        assert_eq!(had(&Wanted::default()), [Some(5); 3]);
    }
}
