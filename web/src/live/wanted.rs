//! What a reader wants to hear of: SKUs, or those of categories and campaigns as they are when it asks.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Query;
use axum::http::Uri;
use holdfast_client::{Allocations, AvailabilityWatch, Client, Consistency};
use holdfast_proto::v1;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use super::subscribed::Subscribed;
use super::{Readers, SKUS};
use crate::problem::Problem;
use crate::wire::shortened;

/// Items that are looked through for categories.
const ITEMS: usize = 200_000;
/// Names in one list.
const NAMES: usize = SKUS;
/// Longest name of a SKU or a campaign, and of a category, in bytes.
const NAME_BYTES: usize = 64;
const CATEGORY_BYTES: usize = 255;
/// Readers whose names are looked up at once: a category has all items looked through.
const LOOKUPS: usize = 4;
/// How long that may take, with the wait for a turn.
const LOOK_WITHIN: Duration = Duration::from_secs(8);
/// For so long the SKUs of a category are taken for what they were, for so many categories at most.
const FRESH: Duration = Duration::from_secs(5);
const CATEGORIES: usize = 64;
/// SKUs that are remembered to be no kits, which they stay.
const ITEMS_KNOWN: usize = 100_000;

/// What a reader subscribes to, or no longer does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = LiveWanted)]
pub(crate) struct Wanted {
    /// Items. A kit has no stock of its own: its components have.
    pub(super) skus: Vec<String>,
    /// The SKUs of items of these categories, as they are now; kits are left out.
    pub(super) categories: Vec<String>,
    /// The SKUs of which these campaigns have some, as they are now.
    pub(super) campaigns: Vec<String>,
}

/// The SKUs of a category, and when they were looked up.
type Category = (Instant, Arc<BTreeSet<String>>);

/// What readers who look something up share.
#[derive(Debug)]
pub(super) struct Lookups {
    turns: Semaphore,
    categories: Mutex<BTreeMap<String, Category>>,
    items: Mutex<BTreeSet<String>>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self { turns: Semaphore::new(LOOKUPS), categories: Mutex::default(), items: Mutex::default() }
    }
}

impl Wanted {
    /// What a query names: `sku=A,B`, or `sku=A&sku=B`. Only a comma that is not percent-encoded parts two names.
    pub(super) fn of_query(query: &str) -> Result<Self, Problem> {
        let mut each = String::with_capacity(query.len());
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=').or(Some((pair, "")))) {
            for value in value.split(',') {
                each.extend(["&", name, "=", value]);
            }
        }
        let unreadable = || Problem::invalid("query", "cannot be read, or names too much");
        let uri: Uri = format!("/?{}", each.trim_start_matches('&')).parse().map_err(|_| unreadable())?;
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&uri).map_err(|_| unreadable())?;
        let mut wanted = Self::default();
        for (name, value) in pairs {
            let names = match name.as_str() {
                "sku" => &mut wanted.skus,
                "category" => &mut wanted.categories,
                "campaign" => &mut wanted.campaigns,
                "" => continue,
                _ => {
                    let detail = "is no parameter here: sku, category, campaign";
                    return Err(Problem::invalid(shortened(&name), detail));
                }
            };
            if !value.is_empty() {
                names.push(value);
            }
        }
        if wanted == Self::default() {
            let detail = format!("name 1 to {SKUS} SKUs with commas, or a category or a campaign");
            return Err(Problem::invalid("sku", detail));
        }
        Ok(wanted)
    }

    /// The SKUs that it comes to, for a reader that has those already.
    ///
    /// # Errors
    ///
    /// A name cannot be, or is a kit's; they would be more than [`SKUS`]; they could not be looked up in time.
    pub(super) async fn new_skus(
        &self,
        readers: &Readers,
        client: &Client,
        known: &Subscribed,
    ) -> Result<BTreeSet<String>, Problem> {
        let skus = self.skus(readers, client).await?;
        check_count(known.count() + skus.iter().filter(|sku| !known.has(sku)).count())?;
        self.refuse_kits(&readers.lookups, client).await?;
        Ok(skus)
    }

    /// The SKUs that it comes to.
    pub(super) async fn skus(&self, readers: &Readers, client: &Client) -> Result<BTreeSet<String>, Problem> {
        self.check()?;
        let mut skus: BTreeSet<String> = self.skus.iter().cloned().collect();
        if !self.categories.is_empty() || !self.campaigns.is_empty() {
            let lookups = &readers.lookups;
            skus.extend(in_turn(lookups, self.look_up(lookups, client)).await?);
        }
        check_count(skus.len())?;
        Ok(skus)
    }

    fn check(&self) -> Result<(), Problem> {
        for (field, names, bytes) in [
            ("skus", &self.skus, NAME_BYTES),
            ("categories", &self.categories, CATEGORY_BYTES),
            ("campaigns", &self.campaigns, NAME_BYTES),
        ] {
            if names.len() > NAMES {
                return Err(Problem::invalid(field, format!("has {} names: at most {NAMES}", names.len())));
            }
            if let Some(at) = names.iter().position(|name| name.is_empty() || name.len() > bytes) {
                return Err(Problem::invalid(format!("{field}[{at}]"), format!("has 1 to {bytes} bytes")));
            }
        }
        Ok(())
    }

    async fn look_up(&self, lookups: &Lookups, client: &Client) -> Result<BTreeSet<String>, Problem> {
        let reader = client.reader(Consistency::Stale);
        let mut skus = BTreeSet::new();
        for campaign in self.campaigns.iter().collect::<BTreeSet<_>>() {
            let which = Allocations { campaign_id: Some(campaign.clone()), sku: None };
            skus.extend(reader.allocations(which).take(SKUS + 1).await?.into_iter().map(|it| it.sku));
            check_count(skus.len())?;
        }
        let mut unknown = BTreeMap::new();
        for category in self.categories.iter().collect::<BTreeSet<_>>() {
            match lookups.category(category) {
                Some(known) => skus.extend(known.iter().cloned()),
                None => drop(unknown.insert(category.as_str(), BTreeSet::new())),
            }
        }
        if unknown.is_empty() {
            return Ok(skus);
        }
        let (mut items, mut looked, mut found) = (reader.items(), 0, skus.len());
        while let Some(v1::Item { sku, category, kit, .. }) = items.next().await? {
            looked += 1;
            if looked > ITEMS {
                let detail = format!("are looked for among {ITEMS} items at most, and here are more: name the SKUs");
                return Err(Problem::invalid("categories", detail).with("max_items", ITEMS));
            }
            if let Some(of_category) = unknown.get_mut(category.as_str()).filter(|_| !kit) {
                found += usize::from(of_category.insert(sku));
                check_count(found)?;
            }
        }
        for (category, of_category) in unknown {
            skus.extend(of_category.iter().cloned());
            lookups.keep(category, of_category);
        }
        Ok(skus)
    }

    /// Refuses a SKU that is a kit, or none at all. What cannot be read in time is let pass: it is told when it can be.
    async fn refuse_kits(&self, lookups: &Lookups, client: &Client) -> Result<(), Problem> {
        let unknown = lookups.not_known_to_be_items(&self.skus);
        if unknown.is_empty() {
            return Ok(());
        }
        let asked = AvailabilityWatch { skus: unknown.clone(), ..AvailabilityWatch::default() };
        let mut watch = client.watch_availability(asked);
        match in_turn(lookups, async { Ok(watch.next().await?) }).await {
            Ok(answer) => lookups.know(answer.changes),
            Err(problem) if problem.status == 400 => {
                let at = problem.field.strip_prefix("skus[").and_then(|rest| rest.strip_suffix(']')?.parse().ok());
                let sku = at.and_then(|at: usize| unknown.get(at));
                let at = sku.and_then(|sku| self.skus.iter().position(|each| each == sku));
                let Some(at) = at else { return Err(problem) };
                let field = format!("skus[{at}]");
                return Err(Problem { detail: problem.detail.replacen(&problem.field, &field, 1), field, ..problem });
            }
            Err(_) => {}
        }
        Ok(())
    }
}

impl Lookups {
    /// The SKUs of a category, where they were looked up lately.
    fn category(&self, category: &str) -> Option<Arc<BTreeSet<String>>> {
        let known = self.categories.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(category).filter(|(at, _)| at.elapsed() < FRESH).map(|(_, skus)| Arc::clone(skus))
    }

    fn keep(&self, category: &str, skus: BTreeSet<String>) {
        let mut known = self.categories.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (at, _)| at.elapsed() < FRESH);
        if known.len() < CATEGORIES {
            known.insert(category.to_owned(), (Instant::now(), Arc::new(skus)));
        }
    }

    fn not_known_to_be_items(&self, skus: &[String]) -> Vec<String> {
        let known = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown: BTreeSet<&String> = skus.iter().filter(|sku| !known.contains(*sku)).collect();
        unknown.into_iter().cloned().collect()
    }

    /// These have stock, as kits never have.
    fn know(&self, changes: Vec<v1::AvailabilityChange>) {
        let mut known = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + changes.len() > ITEMS_KNOWN {
            known.clear();
        }
        known.extend(changes.into_iter().map(|change| change.sku));
    }
}

/// Does the work when it is its turn, in its time.
async fn in_turn<T>(lookups: &Lookups, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    let in_turn = async {
        let _turn = lookups.turns.acquire().await.expect("the turns of lookups are never closed");
        work.await
    };
    timeout(LOOK_WITHIN, in_turn).await.unwrap_or_else(|_| {
        let seconds = LOOK_WITHIN.as_secs();
        let detail =
            format!("what is subscribed to could not be looked up within {seconds} s: ask again, or name SKUs");
        Err(Problem::overloaded(detail))
    })
}

fn check_count(skus: usize) -> Result<(), Problem> {
    if skus <= SKUS {
        return Ok(());
    }
    let detail =
        format!("one reader hears of at most {SKUS} SKUs; these are {skus} or more: open another for the rest");
    Err(Problem::invalid("skus", detail).with("max_skus", SKUS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(query: &str) -> (Vec<String>, Vec<String>, Vec<String>) {
        let Wanted { skus, categories, campaigns } = Wanted::of_query(query).expect("it is read");
        (skus, categories, campaigns)
    }

    #[test]
    fn names_of_a_query_are_parted_by_commas_and_may_have_some() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(wanted("sku=A,B&campaign=x"), (names(&["A", "B"]), names(&[]), names(&["x"])));
        assert_eq!(wanted("sku=A&sku=B,,C&"), (names(&["A", "B", "C"]), names(&[]), names(&[])));
        assert_eq!(
            wanted("category=Lips%2C%20matte&category=Cr%C3%A8me+%26+Co,Nails"),
            (names(&[]), names(&["Lips, matte", "Crème & Co", "Nails"]), names(&[]))
        );
        for (query, field) in [("", "sku"), ("sku=", "sku"), ("sku=,", "sku"), ("sku=A&colour=red", "colour")] {
            assert_eq!(Wanted::of_query(query).unwrap_err().field, field, "{query}");
        }
        let most = "sku=".to_owned() + &"A,".repeat(20_000);
        assert_eq!(Wanted::of_query(&most).unwrap_err().field, "query", "it is too long once it is parted");
    }

    #[test]
    fn a_category_may_have_a_longer_name_than_a_sku() {
        let of = |skus: usize, categories: usize| {
            let name = |bytes: usize| vec!["x".repeat(bytes)];
            Wanted { skus: name(skus), categories: name(categories), campaigns: Vec::new() }.check()
        };
        assert_eq!(of(64, 255), Ok(()));
        assert_eq!(of(65, 255).unwrap_err().field, "skus[0]");
        let refused = of(64, 256).unwrap_err();
        assert_eq!((refused.field.as_str(), refused.detail.as_str()), ("categories[0]", "has 1 to 255 bytes"));
        let many = Wanted { skus: vec!["A".to_owned(); NAMES + 1], ..Wanted::default() };
        assert_eq!(many.check().unwrap_err().field, "skus");
        assert_eq!(check_count(SKUS), Ok(()));
        let refused = check_count(SKUS + 1).unwrap_err();
        assert_eq!((refused.status, refused.metadata["max_skus"].as_str()), (400, "1000"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_category_is_looked_up_again_after_a_while_and_few_are_kept() {
        let lookups = Lookups::default();
        let skus = |sku: &str| BTreeSet::from([sku.to_owned()]);
        for category in 0..CATEGORIES + 3 {
            lookups.keep(&format!("C{category}"), skus("A"));
        }
        assert_eq!(lookups.category("C0").as_deref(), Some(&skus("A")));
        assert_eq!(lookups.category(&format!("C{CATEGORIES}")), None, "there was no room for it");
        tokio::time::advance(FRESH).await;
        assert_eq!(lookups.category("C0"), None);
        lookups.keep("C99", skus("B"));
        assert_eq!(lookups.category("C99").as_deref(), Some(&skus("B")));
    }

    #[tokio::test(start_paused = true)]
    async fn few_look_up_at_once_and_nobody_waits_for_ever() {
        let lookups = Lookups::default();
        let _all = lookups.turns.acquire_many(LOOKUPS as u32).await.expect("all turns");
        let refused = in_turn(&lookups, async { Ok(()) }).await.unwrap_err();
        assert_eq!((refused.status, refused.reason), (503, "OVERLOADED"));
    }

    #[test]
    fn what_has_stock_is_known_to_be_no_kit_and_what_is_known_is_bounded() {
        let lookups = Lookups::default();
        let change = |sku: &str| v1::AvailabilityChange { sku: sku.to_owned(), ..v1::AvailabilityChange::default() };
        lookups.know(vec![change("A"), change("B")]);
        let skus = ["C", "A", "C"].map(str::to_owned);
        assert_eq!(lookups.not_known_to_be_items(&skus), ["C"]);
        lookups.know((0..ITEMS_KNOWN).map(|at| change(&format!("S{at}"))).collect());
        assert_eq!(lookups.items.lock().unwrap().len(), ITEMS_KNOWN);
    }
}
