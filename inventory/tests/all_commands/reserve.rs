//! The model's promises: reserve and amend.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_inventory::commands::{Line as Asked, Plan, Reserve};
use holdfast_inventory::{
    Backorder, CampaignId, CustomerHash, Field, ItemStatus, LimitId, LineCounts, LocationId, LotStatus, slot_of,
};

use crate::campaigns::Sale;
use crate::limits::item_lines;
use crate::model::{Hold, Line, Model, Said, Why, all, invalid, unsold, why};
use crate::shard_of;

/// The locations of a channel that chose, and its buffer.
pub type Through = (Vec<LocationId>, u64);

/// Why a line that is optional goes without, whichever shard it lies on.
const LACKS: [&str; 5] =
    ["InsufficientStock", "BackorderCapExceeded", "CustomerRequired", "CustomerLimitExceeded", "AllocationExhausted"];

/// What the lines of one command ask for together.
#[derive(Clone)]
pub struct Demand<'a> {
    pub before: &'a Model,
    /// What there would be with what has been promised so far.
    pub now: Model,
    pub customer: Option<CustomerHash>,
    /// The channel's locations and its buffer, where it chose.
    through: Option<Through>,
    /// The campaign whose units are asked for.
    sale: Option<Sale>,
    pub asked: BTreeMap<LimitId, u64>,
}

impl<'a> Demand<'a> {
    pub fn of(before: &'a Model, customer: Option<CustomerHash>, through: Option<Through>, sale: Option<Sale>) -> Self {
        Self { before, now: before.clone(), customer, through, sale, asked: BTreeMap::new() }
    }

    /// What a line asks for: of its item, or of what its customer has under a limit over several.
    fn ask(&mut self, asked: &Asked, hold: usize, number: usize) -> Said<()> {
        let units = asked.units.count();
        if let Some((limit, _)) = asked.sku.counter() {
            self.count(number, &limit, units)?;
            self.now.line((hold, number)).units.held += units;
            return Ok(());
        }
        if self.customer.is_none() && self.before.shared_over(&asked.sku).next().is_some() {
            return Err(Why { line: number, ..Why::of("CustomerRequired") });
        }
        self.promise((hold, number), number, units).map(|_| ())
    }

    /// So many units more for a line: what is there, and the rest without stock, where item and line allow it.
    ///
    /// In a campaign only what it has left, and only what is there.
    pub fn promise(&mut self, at: (usize, usize), number: usize, units: u64) -> Said<(u64, u64)> {
        let line = self.now.line(at).clone();
        let refused = |name| Err(Why { line: number, ..Why::of(name) });
        let campaign = self.sale.as_ref().map(|sale| &sale.0);
        for (limit, spec) in self.before.limits_of(&line.sku, campaign) {
            let Some(customer) = self.customer else { return refused("CustomerRequired") };
            let taken = self.before.taken(limit, customer) + self.asked.get(limit).copied().unwrap_or(0);
            if units > u64::from(spec.units).saturating_sub(taken) {
                return refused("CustomerLimitExceeded");
            }
        }
        if let Some((_, made)) = self.sale
            && line.counted
            && units > self.now.allocation_left(made, &line.place())
        {
            return refused("AllocationExhausted");
        }
        let held = if line.counted { units.min(self.left(&line)) } else { units };
        let lacks = units - held;
        if lacks > 0 {
            let may_wait = !line.stock_only && line.named.is_none() && self.sale.is_none();
            let Some(cap) = self.now.cap(&line).filter(|_| may_wait) else { return refused("InsufficientStock") };
            let waiting = self.now.sum_at(&line.place(), |units| units.backordered + units.backordered_sold);
            if waiting + lacks > cap {
                return refused("BackorderCapExceeded");
            }
        }
        for (limit, _) in self.before.limits_of(&line.sku, campaign) {
            *self.asked.entry(limit.clone()).or_default() += units;
        }
        let line = self.now.line(at);
        line.units.held += held;
        line.units.backordered += lacks;
        Ok((held, lacks))
    }

    fn left(&self, line: &Line) -> u64 {
        let place = line.place();
        let left = match &line.named {
            Some(lot) => self.now.left_of(&place, lot),
            None => self.now.left_for(&place, line.need),
        };
        // What a campaign has is what others leave to it, the safety stock too.
        let kept_back = if self.sale.is_some() { 0 } else { self.now.kept_back(&place) };
        let left = left.min(self.now.left_for(&place, 0).saturating_sub(kept_back));
        match &self.through {
            Some((locations, _)) if !locations.contains(&line.location) => 0,
            Some((_, buffer)) => left.saturating_sub(*buffer),
            None => left,
        }
    }
}

impl Model {
    /// Units that may wait at a line's place.
    fn cap(&self, line: &Line) -> Option<u64> {
        match self.items[&line.sku].backorder {
            Backorder::UpTo { cap } => Some(cap),
            Backorder::Preorder { release_at, cap } if self.now < release_at.0 => Some(cap),
            Backorder::None | Backorder::Preorder { .. } => None,
        }
    }

    pub fn check_sellable_lot(&self, line: &Line, lot: &holdfast_inventory::LotId, need: u64) -> Said<()> {
        let lot = self.lot(&line.sku, lot)?;
        match lot.status {
            LotStatus::Approved if lot.removal_at < self.now => why("LotExpired"),
            LotStatus::Approved if lot.removal_at < need => why("ShelfLifeTooShort"),
            LotStatus::Approved => Ok(()),
            _ => why("LotBlocked"),
        }
    }

    /// The item of that SKU, which is no kit.
    pub fn check_item(&self, sku: &holdfast_inventory::Sku) -> Said<()> {
        if self.kits.contains_key(sku) {
            return why("SkuIsKit");
        }
        if self.items.contains_key(sku) { Ok(()) } else { why("UnknownSku") }
    }

    pub fn check_active(&self, location: &LocationId) -> Said<()> {
        if self.locations.get(location).copied().unwrap_or(false) { Ok(()) } else { why("UnknownLocation") }
    }

    /// A line that holds nothing yet, where its item is on sale at an active location.
    pub fn new_line(&self, asked: &Asked) -> Said<Line> {
        self.check_item(&asked.sku)?;
        self.check_active(&asked.location)?;
        let spec = &self.items[&asked.sku];
        if spec.status != ItemStatus::Active {
            return why("ItemNotSellable");
        }
        if asked.lot.is_some() && !spec.lot_tracked {
            return invalid(Field::LotId);
        }
        let (by_lot, counted, need) = (spec.lot_tracked, spec.tracked, self.need_of(&asked.sku));
        let line = Line { by_lot, counted, need, ..blank_line(asked) };
        line.named.as_ref().map_or(Ok(()), |lot| self.check_sellable_lot(&line, lot, line.need))?;
        Ok(line)
    }

    /// Limits count a line of somebody who is named.
    pub fn mark(&self, line: &mut Line, campaign: Option<&CampaignId>) {
        for (limit, spec) in self.limits_of(&line.sku, campaign) {
            if !line.limits.iter().any(|(known, _)| known == limit) {
                line.limits.push((limit.clone(), spec.returns_restore));
            }
        }
    }

    pub fn reserve(&mut self, reserve: &Reserve) -> Said<()> {
        self.decide_reserve(reserve).map_err(|lack| {
            let asked_of = |plan: &Plan| plan.asked[usize::from(plan.of[lack.line])].clone();
            let is_item = lack.line < item_lines(reserve);
            let is_of_kit = |plan: &Plan| is_item && asked_of(plan).kit.is_some();
            let is_component = lack.name == "InsufficientStock"
                && !lack.decides_nothing
                && reserve.plan.as_deref().is_some_and(is_of_kit);
            // What a channel has lost to somebody else is no decision, and told of the component by nobody.
            if is_component { Why { name: "ComponentUnavailable", ..lack } } else { lack }
        })
    }

    fn decide_reserve(&mut self, reserve: &Reserve) -> Said<()> {
        if self.find(reserve.reservation).is_ok() {
            return why("Exists");
        }
        let deciding = shard_of(reserve.reservation.slot());
        let of = |at: usize| shard_of(slot_of(&reserve.lines[at].sku));
        let mut shards: Vec<u32> = (0..reserve.lines.len()).map(of).filter(|shard| *shard != deciding).collect();
        shards.sort_unstable();
        shards.dedup();
        let has_parts = !shards.is_empty();
        let is_spread = (0..item_lines(reserve)).any(|at| of(at) != deciding);
        shards.push(deciding);
        let blank = Hold {
            id: reserve.reservation,
            created_at: self.now,
            expires_at: 0,
            max_expires_at: 0,
            cancel_at: None,
            customer: reserve.customer,
            channel: reserve.channel.clone(),
            sale: None,
            plan: reserve.plan.as_deref().cloned(),
            release_at: 0,
            lines: reserve.lines.iter().map(blank_line).collect(),
            is_spread,
            has_parts,
            order: None,
        };
        let mut made = self.clone();
        made.holds.push(blank);
        let hold = made.holds.len() - 1;
        let (mut missing, mut max_hold_s, mut refused) = (BTreeSet::new(), u32::MAX, None);
        for shard in shards {
            let numbers: Vec<usize> = (0..reserve.lines.len()).filter(|at| of(*at) == shard).collect();
            let is_deciding = shard == deciding;
            if let (true, Some(refused)) = (is_deciding, &refused) {
                return Err(Why::clone(refused));
            }
            match self.on_shard(reserve, &made, hold, &numbers, &mut missing, shard) {
                // A shard that holds nothing of it does not say how long it may be held.
                Ok((after, allowed_s)) => (made, max_hold_s) = (after, max_hold_s.min(allowed_s)),
                Err(lack) => {
                    let is_lack = LACKS.contains(&lack.name);
                    let is_optional = |number: &usize| reserve.partial_ok || reserve.lines[*number].optional;
                    // That nothing is decided on one shard is said before what another one has refused for good.
                    if is_deciding || lack.decides_nothing {
                        return Err(lack);
                    }
                    if is_lack && numbers.iter().all(is_optional) {
                        let lines = numbers.iter().map(|number| asked_of(reserve, *number));
                        missing.extend(lines);
                        numbers.iter().for_each(|number| made.holds[hold].lines[*number].remote = true);
                    } else {
                        refused.get_or_insert(lack);
                    }
                }
            }
        }
        let expires_at = self.now + u64::from(max_hold_s.min(reserve.ttl_s)) * 1_000;
        made.holds[hold].max_expires_at = self.now + u64::from(max_hold_s) * 1_000;
        made.holds[hold].expires_at = expires_at;
        made.close_counters(hold, reserve);
        *self = made;
        Ok(())
    }

    /// What the lines of one shard get, and how long they may be held there.
    fn on_shard(
        &self,
        reserve: &Reserve,
        made: &Self,
        hold: usize,
        numbers: &[usize],
        missing: &mut BTreeSet<usize>,
        shard: u32,
    ) -> Said<(Self, u32)> {
        let sourced = reserve.plan.as_ref().and_then(|plan| plan.sourced.as_ref());
        let is_deciding = shard == shard_of(reserve.reservation.slot());
        let (mut made, mut allowed_s) = (made.clone(), self.max_hold_s[shard as usize]);
        for (at, number) in numbers.iter().enumerate() {
            let asked = &reserve.lines[*number];
            let counter = asked.sku.counter();
            let line = match &counter {
                Some((limit, _)) => self.counter_line(asked, limit),
                None => self.new_line(asked),
            };
            let mut line = line.map_err(|refused| {
                // A location that the channel chose, and that is out of use since: another one may do.
                let again = refused.name == "UnknownLocation" && sourced.is_some_and(|sourced| !sourced.last);
                let name = if again { "InsufficientStock" } else { refused.name };
                let decides_nothing = again || ["SkuIsKit", "LimitNotAsked"].contains(&name);
                Why { name, line: *number, decides_nothing, ..refused }
            })?;
            line.remote = !is_deciding;
            if counter.is_some() {
                made.holds[hold].lines[*number] = line;
                continue;
            }
            self.check_counters(reserve, *number).map_err(|refused| Why { decides_nothing: true, ..refused })?;
            let spec = &self.items[&asked.sku];
            allowed_s = allowed_s.min(spec.max_hold_s.unwrap_or(u32::MAX));
            let same = numbers[..=at].iter().filter(|other| reserve.lines[**other].sku == asked.sku);
            let units: u64 = same.map(|other| reserve.lines[*other].units.count()).sum();
            if spec.max_per_order.is_some_and(|limit| units > u64::from(limit)) {
                return why("OrderLimitExceeded");
            }
            if reserve.customer.is_some() {
                self.mark(&mut line, reserve.campaign.as_ref());
            }
            if let (true, Backorder::Preorder { release_at, .. }) = (line.remote, &spec.backorder) {
                made.holds[hold].release_at = made.holds[hold].release_at.max(release_at.0);
            }
            made.holds[hold].lines[*number] = line;
        }
        Ok((self.take(reserve, &made, hold, numbers, missing, is_deciding)?, allowed_s))
    }

    /// What is required first, then in order what is optional; lines of one asked line all or none.
    fn take(
        &self,
        reserve: &Reserve,
        made: &Self,
        hold: usize,
        numbers: &[usize],
        missing: &mut BTreeSet<usize>,
        is_deciding: bool,
    ) -> Said<Self> {
        let sale = self.selling(reserve.campaign.as_ref())?;
        let mut token_is_spent = self.clone();
        if is_deciding {
            token_is_spent.spend_token(reserve, sale.as_ref(), shard_of(reserve.reservation.slot()))?;
        }
        let through = self.through(reserve)?;
        let mut demand = Demand::of(made, reserve.customer, through, sale.clone());
        demand.now.holds[hold].sale = sale;
        demand.now.spent = token_is_spent.spent;
        // Other shards' lines say nothing of this one's limits.
        demand.before = self;
        let mut own_missing = if is_deciding { missing.clone() } else { BTreeSet::new() };
        let mut first_lack = None;
        for is_optional in [false, true] {
            for group in groups_of(reserve, numbers) {
                let asked = asked_of(reserve, group[0]);
                if (reserve.partial_ok || reserve.lines[group[0]].optional) != is_optional {
                    continue;
                }
                let mut tried = demand.clone();
                let is_missing = own_missing.contains(&asked);
                let lack = if is_missing {
                    Some(Why { line: group[0], ..Why::of("InsufficientStock") })
                } else {
                    group.iter().find_map(|number| tried.ask(&reserve.lines[*number], hold, *number).err())
                };
                match lack {
                    None => demand = tried,
                    Some(lack) if !is_missing && self.lost_a_race(reserve, &demand, &lack) => {
                        return Err(Why { decides_nothing: true, ..lack });
                    }
                    Some(lack) if !is_optional => return Err(lack),
                    Some(lack) => {
                        own_missing.insert(asked);
                        first_lack.get_or_insert(lack);
                    }
                }
            }
        }
        missing.extend(own_missing);
        let lines = &mut demand.now.holds[hold].lines;
        if is_deciding {
            // What other shards hold for an asked line that is not held whole is given back.
            for (number, line) in lines.iter_mut().enumerate().filter(|(_, line)| line.remote) {
                if missing.contains(&asked_of(reserve, number)) {
                    line.units = LineCounts::default();
                }
            }
        }
        let is_held = |line: &Line| unsold(&line.units) > 0;
        let of_shard = numbers.iter().any(|at| is_held(&lines[*at]));
        if of_shard || (is_deciding && lines.iter().any(is_held)) {
            return Ok(demand.now);
        }
        Err(first_lack.unwrap_or(Why::of("InsufficientStock")))
    }

    /// Another plan of the channel might do, so that nothing is decided.
    fn lost_a_race(&self, reserve: &Reserve, demand: &Demand<'_>, lack: &Why) -> bool {
        let Some(plan) = reserve.plan.as_deref() else { return false };
        let (Some(sourced), "InsufficientStock") = (&plan.sourced, lack.name) else { return false };
        let Some((locations, _)) = &demand.through else { return false };
        let Some(line) = demand.now.holds.last().map(|hold| &hold.lines[lack.line]) else { return false };
        let active = locations.iter().filter(|location| self.check_active(location).is_ok());
        let left = active.map(|location| demand.left(&Line { location: location.clone(), ..line.clone() }));
        let left: u64 = if sourced.allow_split { left.sum() } else { left.max().unwrap_or(0) };
        let of = plan.of[lack.line];
        let same = |(other, number): &(&Asked, &u16)| **number == of && other.sku == line.sku;
        let asked: u64 = reserve.lines.iter().zip(&plan.of).filter(same).map(|(line, _)| line.units.count()).sum();
        left >= asked && !sourced.last
    }

    pub fn through(&self, reserve: &Reserve) -> Said<Option<Through>> {
        let sourced = reserve.plan.as_ref().and_then(|plan| plan.sourced.as_ref());
        let (Some(sourced), Some(channel)) = (sourced, &reserve.channel) else { return Ok(None) };
        let Some(spec) = self.channels.get(channel).filter(|spec| spec.active) else { return why("UnknownChannel") };
        let near = |location: &&LocationId| sourced.nearest.is_empty() || sourced.nearest.contains(location);
        Ok(Some((spec.locations.iter().filter(near).cloned().collect(), u64::from(spec.buffer))))
    }

    /// Refuses units of a kit's lines that are not those of whole kits.
    pub fn check_whole_kits(&self, hold: &Hold, units: &[u64]) -> Said<()> {
        let Some(plan) = &hold.plan else { return Ok(()) };
        let mut kits_of: BTreeMap<u16, u64> = BTreeMap::new();
        for ((line, of), units) in hold.lines.iter().zip(&plan.of).zip(units) {
            let asked = &plan.asked[usize::from(*of)];
            if asked.kit.is_none() {
                continue;
            }
            let of_one = all(&line.units) / asked.units.count().max(1);
            let kits = units.checked_div(of_one).unwrap_or(0);
            if kits * of_one != *units || *kits_of.entry(*of).or_insert(kits) != kits {
                return why("LinesMoveTogether");
            }
        }
        Ok(())
    }
}

impl Hold {
    /// Of kits of which not all components are there as many as are whole.
    pub fn leave_whole_kits(&self, units: &mut [u64]) {
        let Some(plan) = &self.plan else { return };
        for (number, asked) in plan.asked.iter().enumerate().filter(|(_, asked)| asked.kit.is_some()) {
            let of_it = |line: usize| plan.of.get(line).is_some_and(|of| usize::from(*of) == number);
            let of_one = |line: usize| all(&self.lines[line].units) / asked.units.count().max(1);
            let lines: Vec<usize> = (0..self.lines.len()).filter(|line| of_it(*line) && of_one(*line) > 0).collect();
            let kits = lines.iter().map(|line| units[*line] / of_one(*line)).min().unwrap_or(0);
            lines.iter().for_each(|line| units[*line] = kits * of_one(*line));
        }
    }
}

/// The lines of a shard that are held together or not at all: those of one asked line, its counters with them.
fn groups_of(reserve: &Reserve, numbers: &[usize]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for number in numbers {
        let is_it = |group: &&mut Vec<usize>| asked_of(reserve, group[0]) == asked_of(reserve, *number);
        match groups.iter_mut().find(is_it) {
            Some(group) => group.push(*number),
            None => groups.push(vec![*number]),
        }
    }
    groups
}

/// The number of the asked line that a line comes from.
fn asked_of(reserve: &Reserve, number: usize) -> usize {
    reserve.plan.as_ref().map_or(number, |plan| usize::from(plan.of[number]))
}

/// A line of which nothing is known yet, and that has nothing.
pub fn blank_line(asked: &Asked) -> Line {
    Line {
        sku: asked.sku.clone(),
        location: asked.location.clone(),
        by_lot: false,
        named: asked.lot.clone(),
        need: 0,
        counted: false,
        stock_only: asked.no_backorder,
        remote: false,
        units: LineCounts::default(),
        bound: Vec::new(),
        limits: Vec::new(),
    }
}
