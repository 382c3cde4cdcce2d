//! Kits: which lines of a reserve are some, and what they become.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join_all;
use holdfast_inventory::commands::{AskedLine, KitOf, Line, MAX_PLANNED_LINES, Plan, Reserve};
use holdfast_inventory::{
    Component, Field, InvalidArgument, Kit, LocationId, Promisable, Refusal, Revision, Sku, SkuKind, Units, slot_of,
};
use holdfast_mutation::{Mutation, is_on};
use holdfast_proto::v1::{CommandError, ErrorReason};
use holdfast_raft::encode::request_of;
use tokio::time::Instant;

use super::availability::availability;
use super::flatten::{MAX_DEPTH, Recipes, Trouble};
use super::see::{Seen, see};
use crate::core::Core;
use crate::refusals;
use crate::routing::Routes;
use crate::to_proto;

/// How long it may take to read what SKUs are.
const READ_WITHIN: Duration = Duration::from_secs(3);
/// How many kits a node remembers.
const REMEMBERED: usize = 100_000;

/// SKUs that this node has seen to be kits, which they stay: a reserve of one of them is worked out before it is tried. One that
/// is not known here is tried first, and refused by its shard with nothing decided.
#[derive(Debug, Default)]
pub(crate) struct KnownKits {
    count: AtomicUsize,
    skus: RwLock<BTreeSet<Sku>>,
}

impl KnownKits {
    /// Whether a line is of one.
    pub(crate) fn has_any_of(&self, lines: &[Line]) -> bool {
        if self.count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let skus = self.skus.read().unwrap_or_else(PoisonError::into_inner);
        lines.iter().any(|line| skus.contains(&line.sku))
    }

    fn remember(&self, sku: &Sku) {
        let is_known = self.skus.read().unwrap_or_else(PoisonError::into_inner).contains(sku);
        if is_known || self.count.load(Ordering::Relaxed) >= REMEMBERED {
            return;
        }
        let mut skus = self.skus.write().unwrap_or_else(PoisonError::into_inner);
        skus.insert(sku.clone());
        self.count.store(skus.len(), Ordering::Relaxed);
    }
}

/// What a reserve becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Planned {
    /// No line of it is a kit.
    AsAsked,
    /// These lines.
    Lines(Reserve),
    /// None: its shard is to refuse it so, under the command's id, if it has not decided that before.
    Refused(Reserve, Refusal),
}

/// Works out the lines of a reserve: kits become their components.
///
/// # Errors
///
/// What its SKUs are could not be read in time.
pub(crate) async fn plan(
    core: &Core,
    routes: &Routes,
    reserve: &Reserve,
    deadline: Instant,
) -> Result<Planned, CommandError> {
    let mut recipes = Recipes::default();
    let skus: Vec<&Sku> = reserve.lines.iter().map(|line| &line.sku).collect();
    learn(core, routes, &mut recipes, &skus, deadline).await?;
    Ok(work_out(reserve, &recipes))
}

/// Reads what the SKUs are, and those that they are made of.
async fn learn(
    core: &Core,
    routes: &Routes,
    recipes: &mut Recipes,
    skus: &[&Sku],
    deadline: Instant,
) -> Result<(), CommandError> {
    let deadline = deadline.min(Instant::now() + READ_WITHIN);
    for _ in 0..=MAX_DEPTH {
        let unknown = recipes.unknown(skus.iter().copied());
        if unknown.is_empty() {
            break;
        }
        // An item stays one: this node's own copy, whatever its age, is as good as the leader's.
        let (items, others): (Vec<Sku>, Vec<Sku>) =
            unknown.into_iter().partition(|sku| is_item_here(core, routes, sku));
        items.into_iter().for_each(|sku| recipes.insert(sku, SkuKind::Item));
        for (sku, seen) in look_at(core, routes, others, false, deadline).await? {
            if let SkuKind::Kit(kit) = &seen.kind {
                core.known_kits.remember(&kit.sku);
            }
            recipes.insert(sku, seen.kind);
        }
    }
    Ok(())
}

fn is_item_here(core: &Core, routes: &Routes, sku: &Sku) -> bool {
    let shard = core.shard(routes.shard_of(slot_of(sku)), routes);
    let kind = shard.ok().and_then(|shard| shard.group().read_shard(|shard| shard.kind_of(sku)));
    kind == Some(SkuKind::Item)
}

/// Asks the leaders of their shards, all at once.
async fn look_at(
    core: &Core,
    routes: &Routes,
    skus: Vec<Sku>,
    with_stock: bool,
    deadline: Instant,
) -> Result<Vec<(Sku, Seen)>, CommandError> {
    let mut by_shard: BTreeMap<u32, Vec<Sku>> = BTreeMap::new();
    for sku in skus {
        by_shard.entry(routes.shard_of(slot_of(&sku))).or_default().push(sku);
    }
    let looks = by_shard.into_iter().map(|(shard, skus)| async move {
        let seen = see(core, shard, &skus, with_stock, deadline).await;
        let seen = seen.map_err(|why| refusals::unavailable(shard, &why))?;
        Ok::<_, CommandError>(skus.into_iter().zip(seen).collect::<Vec<_>>())
    });
    let seen: Vec<Vec<(Sku, Seen)>> = join_all(looks).await.into_iter().collect::<Result<_, _>>()?;
    Ok(seen.into_iter().flatten().collect())
}

/// The lines of a reserve by these recipes: a pure function.
fn work_out(reserve: &Reserve, recipes: &Recipes) -> Planned {
    let pins: Vec<Option<Revision>> = pins_of(reserve);
    let is_kit = |line: &Line| matches!(recipes.get(&line.sku), Some(SkuKind::Kit(_)));
    if pins.iter().all(Option::is_none) && !reserve.lines.iter().any(is_kit) {
        return Planned::AsAsked;
    }
    let mut plan = Plan {
        request: request_of(&reserve.lines, &pins),
        asked: Vec::new(),
        of: Vec::new(),
        sourced: None,
        counters: Vec::new(),
    };
    let mut lines = Vec::new();
    for (number, (asked, pin)) in reserve.lines.iter().zip(&pins).enumerate() {
        let kit = match (recipes.get(&asked.sku), pin) {
            (Some(SkuKind::Kit(kit)), _) => Some(kit),
            (_, None) => None,
            (_, Some(_)) => {
                let refused = InvalidArgument::in_line(Field::KitRevision, number);
                return refused_as_asked(reserve, &plan, refused.into());
            }
        };
        let becomes = match kit {
            None => vec![Line { min_units: None, ..asked.clone() }],
            Some(kit) => match components_of(kit, asked, *pin, number, recipes) {
                Ok(components) => components,
                Err(refusal) => return refused_as_asked(reserve, &plan, refusal),
            },
        };
        plan.of.extend(becomes.iter().map(|_| number as u16));
        plan.asked.push(AskedLine {
            units: asked.units,
            optional: asked.optional,
            kit: kit.map(|kit| KitOf { sku: kit.sku.clone(), revision: kit.revision }),
            min_units: asked.min_units,
        });
        lines.extend(becomes);
        if lines.len() > MAX_PLANNED_LINES {
            let refusal = Refusal::KitTooLarge { sku: asked.sku.clone(), line: number as u32 };
            return refused_as_asked(reserve, &plan, refusal);
        }
    }
    Planned::Lines(Reserve { lines, plan: Some(Box::new(plan)), ..reserve.clone() })
}

/// The revisions of kits that the caller names, of each line.
fn pins_of(reserve: &Reserve) -> Vec<Option<Revision>> {
    match &reserve.plan {
        Some(plan) => plan.asked.iter().map(|asked| asked.kit.as_ref().map(|kit| kit.revision)).collect(),
        None => vec![None; reserve.lines.len()],
    }
}

fn components_of(
    kit: &Kit,
    asked: &Line,
    pin: Option<Revision>,
    number: usize,
    recipes: &Recipes,
) -> Result<Vec<Line>, Refusal> {
    let (sku, line) = (asked.sku.clone(), number as u32);
    if pin.is_some_and(|pin| pin != kit.revision) && !is_on(Mutation::KitRevisionIgnored) {
        return Err(Refusal::KitRevisionMismatch { sku, actual: kit.revision, line });
    }
    if asked.lot.is_some() {
        // A lot is of one component, and nobody said of which.
        return Err(InvalidArgument::in_line(Field::LotId, number).into());
    }
    let components = recipes.flatten(&kit.sku, asked.units).map_err(|trouble| match trouble {
        Trouble::Cycle { path } => Refusal::KitCycle { path },
        Trouble::TooLarge => Refusal::KitTooLarge { sku, line },
        Trouble::Overflow => Refusal::QuantityOverflow,
    })?;
    let no_backorder = asked.no_backorder || !kit.backorder;
    let line =
        |Component { sku, units }: Component| Line { sku, units, no_backorder, min_units: None, ..asked.clone() };
    Ok(components.into_iter().map(line).collect())
}

/// A reserve that is refused: with the lines as they were asked for, so that it is known by them.
fn refused_as_asked(reserve: &Reserve, plan: &Plan, refusal: Refusal) -> Planned {
    let asked =
        |line: &Line| AskedLine { units: line.units, optional: line.optional, kit: None, min_units: line.min_units };
    let plan = Plan {
        request: plan.request,
        asked: reserve.lines.iter().map(asked).collect(),
        of: (0..reserve.lines.len() as u16).collect(),
        sourced: None,
        counters: Vec::new(),
    };
    Planned::Refused(Reserve { plan: Some(Box::new(plan)), ..reserve.clone() }, refusal)
}

/// A kit as it is shown.
#[derive(Debug)]
pub(crate) struct KitAnswer {
    pub(crate) kit: Kit,
    /// What one of it becomes.
    pub(crate) flattened: Vec<Component>,
    pub(crate) availability: BTreeMap<LocationId, u64>,
    /// Why that cannot be said.
    pub(crate) problem: Option<CommandError>,
}

/// Reads a kit, what it becomes, and how many of it could be held, everywhere or at that location.
///
/// # Errors
///
/// There is no such kit, or something could not be read in time.
pub(crate) async fn answer_kit(
    core: &Core,
    sku: &Sku,
    location: Option<&LocationId>,
    deadline: Instant,
) -> Result<KitAnswer, CommandError> {
    let routes = core.routes()?;
    let mut recipes = Recipes::default();
    learn(core, &routes, &mut recipes, &[sku], deadline).await?;
    let kit = match recipes.get(sku) {
        Some(SkuKind::Kit(kit)) => kit.clone(),
        found => {
            let what = if found == Some(&SkuKind::Item) { "an item and no kit" } else { "no kit" };
            let error = CommandError::of(ErrorReason::UnknownSku, format!("{sku} is {what}"));
            return Err(error.at("sku").with("sku", sku));
        }
    };
    let one = Line {
        sku: sku.clone(),
        location: any_location(),
        units: Units(1),
        lot: None,
        optional: false,
        no_backorder: true,
        min_units: None,
    };
    match components_of(&kit, &one, None, 0, &recipes) {
        Err(refusal) => {
            let problem = Some(to_proto::command_error(&refusal));
            Ok(KitAnswer { kit, flattened: Vec::new(), availability: BTreeMap::new(), problem })
        }
        Ok(lines) => {
            let flattened: Vec<Component> =
                lines.into_iter().map(|line| Component { sku: line.sku, units: line.units }).collect();
            let skus = flattened.iter().map(|component| component.sku.clone()).collect();
            let deadline = deadline.min(Instant::now() + READ_WITHIN);
            let seen = look_at(core, &routes, skus, true, deadline).await?;
            let promisable: BTreeMap<Sku, Promisable> =
                seen.into_iter().map(|(sku, seen)| (sku, seen.promisable)).collect();
            let availability = availability(&flattened, &promisable, location);
            Ok(KitAnswer { kit, flattened, availability, problem: None })
        }
    }
}

/// A location that is not looked at.
fn any_location() -> LocationId {
    LocationId::new("-").expect("a dash is printable")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use holdfast_inventory::{BodyHash, ReservationId};

    use super::*;

    fn sku(name: &str) -> Sku {
        name.parse().unwrap()
    }

    /// A kit's SKU, its revision, and its components.
    type Named<'a> = (&'a str, u64, &'a [(&'a str, u32)]);

    fn recipes(kits: &[Named<'_>]) -> Recipes {
        let mut recipes = Recipes::default();
        for item in ["rouge", "mascara", "ribbon"] {
            recipes.insert(sku(item), SkuKind::Item);
        }
        for (name, revision, components) in kits {
            let component = |(name, units): &(&str, u32)| Component { sku: sku(name), units: Units(*units) };
            let components = Arc::new(components.iter().map(component).collect());
            let kit = Kit {
                sku: sku(name),
                name: String::new(),
                components,
                revision: Revision(*revision),
                backorder: false,
            };
            recipes.insert(sku(name), SkuKind::Kit(kit));
        }
        recipes
    }

    fn shop() -> Recipes {
        recipes(&[
            ("set", 4, &[("rouge", 2), ("mascara", 1)]),
            ("gift", 1, &[("set", 1), ("ribbon", 1)]),
            ("loop", 1, &[("pool", 1)]),
            ("pool", 1, &[("loop", 1)]),
        ])
    }

    fn reserve(lines: &[(&str, u32, u64)]) -> Reserve {
        let line = |(name, units, _): &(&str, u32, u64)| Line {
            sku: sku(name),
            location: "PAR".parse().unwrap(),
            units: Units(*units),
            lot: None,
            optional: false,
            no_backorder: false,
            min_units: None,
        };
        let asked = |(name, units, pin): &(&str, u32, u64)| AskedLine {
            units: Units(*units),
            optional: false,
            kit: (*pin > 0).then(|| KitOf { sku: sku(name), revision: Revision(*pin) }),
            min_units: None,
        };
        let plan = Plan {
            request: BodyHash(0),
            asked: lines.iter().map(asked).collect(),
            of: (0..lines.len() as u16).collect(),
            sourced: None,
            counters: Vec::new(),
        };
        Reserve {
            reservation: ReservationId(1),
            lines: lines.iter().map(line).collect(),
            ttl_s: 600,
            partial_ok: false,
            order_ref: None,
            customer: None,
            channel: None,
            campaign: None,
            plan: lines.iter().any(|(.., pin)| *pin > 0).then(|| Box::new(plan)),
            pass: None,
        }
    }

    fn refused(lines: &[(&str, u32, u64)]) -> Refusal {
        match work_out(&reserve(lines), &shop()) {
            Planned::Refused(as_asked, refusal) => {
                assert_eq!(as_asked.lines, reserve(lines).lines, "it is known by what was asked for");
                refusal
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_kit_becomes_its_components_and_what_is_none_stays_as_it_is() {
        let Planned::Lines(planned) = work_out(&reserve(&[("ribbon", 1, 0), ("gift", 3, 0)]), &shop()) else {
            panic!("it has a kit")
        };
        let lines: Vec<(&str, u32)> = planned.lines.iter().map(|line| (line.sku.as_str(), line.units.0)).collect();
        assert_eq!(lines, [("ribbon", 1), ("mascara", 3), ("ribbon", 3), ("rouge", 6)]);
        let plan = planned.plan.unwrap();
        assert_eq!((plan.of, plan.asked[0].kit.clone()), (vec![0, 1, 1, 1], None));
        assert_eq!(plan.asked[1].kit, Some(KitOf { sku: sku("gift"), revision: Revision(1) }));
        assert_eq!(work_out(&reserve(&[("ribbon", 1, 0)]), &shop()), Planned::AsAsked);
    }

    #[test]
    fn a_request_is_the_same_whatever_its_recipes_are_and_another_with_another_revision() {
        let request = |pin, recipes: &Recipes| match work_out(&reserve(&[("set", 1, pin)]), recipes) {
            Planned::Lines(reserve) | Planned::Refused(reserve, _) => reserve.plan.unwrap().request,
            Planned::AsAsked => panic!("it is a kit"),
        };
        let later = recipes(&[("set", 5, &[("ribbon", 1)])]);
        assert_eq!(request(0, &shop()), request(0, &later));
        assert_eq!(request(4, &shop()), request(4, &later), "refused, and still the same request");
        assert_ne!(request(4, &shop()), request(0, &shop()));
    }

    #[test]
    fn another_revision_than_the_one_that_is_named_is_refused() {
        let refusal = Refusal::KitRevisionMismatch { sku: sku("set"), actual: Revision(4), line: 1 };
        assert_eq!(refused(&[("rouge", 1, 0), ("set", 1, 3)]), refusal);
        assert!(matches!(work_out(&reserve(&[("set", 1, 4)]), &shop()), Planned::Lines(_)));
        let refusal = InvalidArgument::in_line(Field::KitRevision, 0).into();
        assert_eq!(refused(&[("rouge", 1, 3)]), refusal, "only a kit has one");
    }

    #[test]
    fn what_cannot_be_taken_apart_is_refused_by_name() {
        let path = vec![sku("loop"), sku("pool"), sku("loop")];
        assert_eq!(refused(&[("loop", 1, 0)]), Refusal::KitCycle { path });
        assert_eq!(refused(&[("set", 1_500_000_000, 0)]), Refusal::QuantityOverflow);
        let many: Vec<(&str, u32, u64)> = vec![("gift", 1, 0); 90];
        assert_eq!(refused(&many), Refusal::KitTooLarge { sku: sku("gift"), line: 85 });
    }

    #[test]
    fn a_kit_that_was_seen_once_is_known() {
        let known = KnownKits::default();
        let lines = reserve(&[("rouge", 1, 0), ("set", 1, 0)]).lines;
        assert!(!known.has_any_of(&lines));
        known.remember(&sku("set"));
        assert!(known.has_any_of(&lines) && !known.has_any_of(&lines[..1]));
    }
}
