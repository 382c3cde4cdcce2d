//! Shards and model say the same of everything: stock, lots, reservations, documents, limits.

use std::collections::BTreeMap;

use holdfast_inventory::{
    CampaignId, CampaignPhase, Inventory, LimitId, LineCounts, LocationId, LotUnits, Order, Sku, StockCounts, Ticket,
    slot_of,
};

use crate::campaigns::Campaign;
use crate::generate::{customer, location};
use crate::model::{Hold, Model, NEVER, Place};
use crate::rooms::slot_of_room;
use crate::world::{World, limits};
use crate::{SHARDS, shard_of};

impl World {
    /// Of one shard; of all where there is none of that number.
    pub fn compare(&mut self, shard: u32) {
        self.forget_what_is_forgotten();
        let is_asked = |of: u32| shard == crate::SHARDS || of == shard;
        for sku in self.model.items.keys().filter(|sku| is_asked(shard_of(slot_of(sku)))) {
            self.compare_stock(sku);
            self.compare_lots(sku);
            self.compare_allocations(sku);
        }
        for (id, campaign) in &self.model.campaigns {
            self.compare_room(id, campaign, is_asked);
        }
        for hold in &self.model.holds {
            if is_asked(shard_of(hold.id.slot())) {
                self.compare_hold(hold);
                self.compare_order(hold);
            }
            self.compare_parts(hold, is_asked);
        }
        for (id, limit) in &self.model.limits {
            let sku = &limit.skus[0];
            if limit.shared.is_some() {
                self.compare_counters(id, is_asked);
                continue;
            }
            if !is_asked(shard_of(slot_of(sku))) {
                continue;
            }
            for customer in (0..4).map(customer) {
                let shown = self.shard(sku).limits_of(sku, Some(customer)).unwrap();
                let shown = shown.into_iter().find(|(limit, _)| limit.id == *id).unwrap().1.unwrap();
                assert_eq!(shown.held + shown.bought, self.model.taken(id, customer), "{id} of {customer:?}");
            }
        }
    }

    /// What customers have under a limit over several items, on the shard of each one's counter.
    fn compare_counters(&self, id: &LimitId, is_asked: impl Fn(u32) -> bool) {
        for customer in (0..4).map(customer) {
            let shard = shard_of(slot_of(&Sku::of_counter(id, customer).unwrap()));
            if is_asked(shard) {
                let shown = self.shards[shard as usize].shared_count(id, customer).unwrap();
                assert_eq!(shown.held + shown.bought, self.model.taken(id, customer), "{id} of {customer:?}");
            }
        }
    }

    fn compare_stock(&self, sku: &Sku) {
        let levels = self.shard(sku).stock(sku).unwrap();
        for at in (0..3).map(location) {
            let place = (sku.clone(), at.clone());
            let level = levels.iter().find(|level| level.location == at);
            let shown = level.map(|level| {
                let atp = if self.model.items[sku].tracked { level.atp } else { 0 };
                let StockCounts { on_hand, reserved, committed, damaged, quality_control } = level.counts;
                [
                    on_hand,
                    damaged,
                    quality_control,
                    reserved,
                    committed,
                    level.short,
                    level.backordered,
                    level.safety_stock,
                    level.in_transit,
                    level.incoming,
                    atp,
                    level.allocated,
                ]
            });
            let expected = stock_of(&self.model, &place);
            assert_eq!(
                shown.unwrap_or_default(),
                expected,
                "{sku} at {at}: on hand, damaged, in quality control, reserved, committed, short, backordered, safety \
                 stock, in transit, incoming, may be promised, of campaigns"
            );
        }
    }

    fn compare_allocations(&self, sku: &Sku) {
        let shown = self.shard(sku).allocations_of(sku).unwrap();
        for (id, campaign) in &self.model.campaigns {
            let phase = campaign.phase(self.model.now);
            assert_eq!(self.shard(sku).campaign(id).map(|shown| shown.phase), Some(phase), "{id} is {campaign:?}");
            for at in (0..3).map(location) {
                let of = shown.iter().find(|of| (&of.campaign, &of.location) == (id, &at));
                let is_open = of.is_some_and(|of| of.open);
                let known = self.model.allocations.contains_key(&(campaign.made, (sku.clone(), at.clone())));
                let shown = of.map(|of| (of.granted, of.held, of.sold)).unwrap_or_default();
                let expected = self.model.allocation(campaign.made, &(sku.clone(), at.clone()));
                assert_eq!(shown, expected, "{id} has of {sku} at {at}: granted, held, sold");
                assert_eq!(is_open, known && phase != CampaignPhase::Closed, "{id} is open for {sku} at {at}");
            }
        }
    }

    fn compare_lots(&self, sku: &Sku) {
        for lot in self.shard(sku).lots(sku).unwrap() {
            let known = self.model.lot(sku, &lot.id).unwrap();
            assert_eq!((lot.status, lot.removal_at.map_or(NEVER, |at| at.0)), (known.status, known.removal_at));
            let places: BTreeMap<&LocationId, &StockCounts> =
                lot.places.iter().map(|(at, counts)| (at, counts)).collect();
            for at in (0..3).map(location) {
                let place = (sku.clone(), at.clone());
                let cell = self.model.cell(&place, Some(&lot.id));
                let shown = places.get(&at).map_or((0, 0, 0), |it| (it.on_hand, it.damaged, it.quality_control));
                assert_eq!(shown, (cell.on_hand(), cell.damaged, cell.quality), "{sku} {} at {at}", lot.id);
                let free = places.get(&at).and_then(|counts| counts.free()).unwrap_or(0);
                assert_eq!(free, self.model.free(&place, Some(&lot.id)), "free of {sku} {} at {at}", lot.id);
            }
        }
    }

    fn compare_hold(&self, hold: &Hold) {
        let shown = self.shards[shard_of(hold.id.slot()) as usize].reservation(hold.id);
        let Some(shown) = shown else { panic!("{} is not there: {hold:?}", hold.id) };
        assert_eq!(shown.state, hold.state(), "{hold:?}");
        if hold.is_holding() {
            assert_eq!(shown.expires_at.0, hold.expires_at, "{hold:?}");
        }
        let lines: Vec<(&Sku, &LocationId, LineCounts)> =
            shown.lines.iter().map(|line| (&line.sku, &line.location, line.units)).collect();
        let expected: Vec<_> = hold.lines.iter().map(|line| (&line.sku, &line.location, line.known())).collect();
        assert_eq!(lines, expected, "{}", hold.id);
        for (shown, line) in shown.lines.iter().zip(&hold.lines).filter(|(_, line)| !line.remote) {
            assert_eq!(lots_of(&shown.lots), lots_of(&line.bound), "{}", hold.id);
        }
    }

    fn compare_room(&self, id: &CampaignId, campaign: &Campaign, is_asked: impl Fn(u32) -> bool) {
        let is_forgotten = campaign.spec.ends_at.plus_ms(limits().keep_ended_ms).0 <= self.now;
        if campaign.phase(self.now) == CampaignPhase::Closed && is_forgotten {
            return;
        }
        for shard in (0..SHARDS).filter(|shard| is_asked(*shard)) {
            let spent: Vec<u32> = self.model.spent_tickets(campaign.made, Some(shard)).into_iter().collect();
            assert_eq!(self.shards[shard as usize].spent_tickets(id).unwrap(), spent, "spent of {id} on {shard}");
        }
        let at = shard_of(slot_of_room(id));
        if !is_asked(at) {
            return;
        }
        let (shard, known) = (&self.shards[at as usize], &campaign.room);
        let shown = shard.tickets(id, 0, usize::MAX).unwrap();
        let expected: Vec<Ticket> = (known.tickets.iter().zip(1..))
            .map(|(&(customer, state), number)| Ticket { number, customer, state })
            .collect();
        assert_eq!(shown, expected, "tickets of {id}");
        let queue: Vec<u32> = shard.queue(id).unwrap().iter().map(|ticket| ticket.number).collect();
        assert_eq!(queue, known.queue(), "who waits for {id}");
        let room = shard.room(id).unwrap();
        assert_eq!((room.commitment, room.seed), (known.commitment, known.seed), "the draw of {id}");
        assert_eq!(room.admitted as usize, known.admitted_at(self.now), "let in to {id}");
    }

    fn compare_order(&self, hold: &Hold) {
        let shard = &self.shards[shard_of(hold.id.slot()) as usize];
        let (shown, known) = match (shard.order(hold.id), &hold.order) {
            (Some(shown), Some(known)) => (shown, known),
            (None, None) => return,
            (shown, known) => panic!("{}: {shown:?}, and the model has {known:?}", hold.id),
        };
        assert_eq!(shown.state, known.state, "{} {shown:?} {known:?}", hold.id);
        let is_resolved = |shown: &Order| shown.resolution.is_some();
        assert_eq!(is_resolved(&shown), known.is_resolved, "{} {shown:?} {known:?}", hold.id);
        for (step, of) in shown.steps.iter().zip(&known.steps) {
            let told = (step.state, step.attempts, step.deadline.map(|at| at.0), step.is_uncertain, step.is_late);
            let expected = (of.state, of.attempts, of.until, of.is_uncertain, of.is_late);
            assert_eq!(told, expected, "{} {}: state, attempts, until, uncertain, late", hold.id, step.spec.name);
        }
        let called = known.current().filter(|at| known.steps[*at].is_called()).map(|at| &known.steps[at].spec.name);
        assert_eq!(shard.call_to_make(hold.id).map(|call| call.key.step).as_ref(), called, "{}", hold.id);
    }

    /// What lies on other shards than the one that decides.
    fn compare_parts(&self, hold: &Hold, is_asked: impl Fn(u32) -> bool) {
        if hold.state().is_ended() {
            return;
        }
        let mut parts: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        for line in hold.lines.iter().filter(|line| line.remote) {
            parts.entry(shard_of(slot_of(&line.sku))).or_default().push(line);
        }
        for (shard, lines) in parts.into_iter().filter(|(shard, _)| is_asked(*shard)) {
            let Some(part) = Inventory::reservation(&self.shards[shard as usize], hold.id) else {
                let is_empty = lines.iter().all(|line| line.units == LineCounts::default());
                let has_ended = |line: &&&crate::model::Line| {
                    crate::model::unsold(&line.units) + crate::model::sold(&line.units) == 0
                };
                assert!(is_empty || lines.iter().all(|line| has_ended(&line)), "{} has no part on {shard}", hold.id);
                continue;
            };
            for (shown, line) in part.lines.iter().zip(lines) {
                assert_eq!(shown.units, line.units, "{} on {shard}", hold.id);
                assert_eq!(lots_of(&shown.lots), lots_of(&line.bound), "{} on {shard}", hold.id);
            }
        }
    }
}

fn lots_of(bound: &[LotUnits]) -> Vec<(&str, u64, u64, u64)> {
    let some = bound.iter().filter(|of| of.committed + of.fulfilled + of.returned > 0);
    let mut lots: Vec<_> = some.map(|of| (of.lot.as_str(), of.committed, of.fulfilled, of.returned)).collect();
    lots.sort_unstable();
    lots
}

fn stock_of(model: &Model, place: &Place) -> [u64; 12] {
    let cells = model.cells.iter().filter(|((sku, at, _), _)| (sku, at) == (&place.0, &place.1));
    let (mut on_hand, mut damaged, mut quality) = (0, 0, 0);
    for (_, cell) in cells {
        (on_hand, damaged, quality) = (on_hand + cell.on_hand(), damaged + cell.damaged, quality + cell.quality);
    }
    let to = model.transfers.values().filter(|it| (&it.sku, &it.to) == (&place.0, &place.1));
    let expected =
        model.receipts.values().filter(|it| !it.is_closed && (&it.sku, &it.location) == (&place.0, &place.1));
    let sum = |lines: &[(Option<holdfast_inventory::LotId>, u64)]| lines.iter().map(|line| line.1).sum::<u64>();
    [
        on_hand,
        damaged,
        quality,
        model.sum_at(place, |units| units.held),
        model.sum_at(place, |units| units.committed),
        model.sum_at(place, |units| units.short + units.short_sold),
        model.sum_at(place, |units| units.backordered + units.backordered_sold),
        model.safety_of(place),
        to.map(|it| sum(&it.lines)).sum(),
        expected.map(|it| sum(&it.lines)).sum(),
        // Of a location that is not in use nothing may be promised, and of an item that is not tracked anything.
        if model.items[&place.0].tracked && model.locations[&place.1] { model.atp(place) } else { 0 },
        model.fence(place),
    ]
}
