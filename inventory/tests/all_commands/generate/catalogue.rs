//! What is said of items, locations, channels, kits, limits and bounds; and input that is not valid.

use holdfast_inventory::commands::*;
use holdfast_inventory::*;

use super::campaigns::campaign;
use super::{Wish, channel, location};
use crate::model::DAY_MS;
use crate::world::World;

impl World {
    pub(super) fn catalogue(&mut self) -> Option<Wish> {
        let sku = self.item();
        let mut is_current = true;
        let mut shard = 0;
        let operation = match self.dice.below(12) {
            0..=2 => {
                let spec = self.changed_spec(&sku);
                let actual = self.shard(&sku).item(&sku).map(|item| item.revision).unwrap_or_default();
                let (revision, is_now) = self.revision(actual);
                let if_revision = self.dice.one_in(2).then_some(revision);
                is_current = is_now || if_revision.is_none();
                let if_absent = is_current && self.dice.one_in(12);
                let sku = if is_current && self.dice.one_in(20) { self.kits[0].clone() } else { sku };
                Operation::PutItem(Box::new(PutItem { sku, spec, if_revision, if_absent }))
            }
            3 | 4 => {
                let location = location(2);
                let spec = LocationSpec { active: !self.dice.one_in(6), ..LocationSpec::default() };
                Operation::PutLocation(Box::new(PutLocation { location, spec, if_revision: None }))
            }
            5 => {
                self.channel_revision += 1;
                let (buffer, active) = (self.dice.below(3) as u32, !self.dice.one_in(20));
                let spec = ChannelSpec { locations: vec![location(0), location(1), location(2)], buffer, active };
                let revision = Revision(self.channel_revision);
                Operation::PutChannel(Box::new(PutChannel { channel: channel(), spec, revision }))
            }
            6 => {
                let kit = self.kits[0].clone();
                let components =
                    vec![Component { sku: if self.dice.one_in(10) { kit.clone() } else { sku }, units: self.units(2) }];
                let sku = if self.dice.one_in(8) { self.item() } else { kit };
                let if_absent = self.dice.one_in(8);
                let put =
                    PutKit { sku, name: "set".to_owned(), components, if_revision: None, if_absent, backorder: false };
                Operation::PutKit(Box::new(put))
            }
            7 | 8 => {
                let sku = self.limited.clone();
                let id: LimitId =
                    ["per-customer", "per-hour", "per-drop"][self.dice.below(3) as usize].parse().unwrap();
                let known = self.model.limits.get(&id).map(|limit| limit.spec.window);
                let window =
                    if id.as_str() == "per-hour" { LimitWindow::RollingSeconds(3_600) } else { LimitWindow::ForEver };
                let window = known.filter(|_| !self.dice.one_in(12)).unwrap_or(window);
                let spec = LimitSpec {
                    units: 2 + self.dice.below(12) as u32,
                    window,
                    returns_restore: self.dice.one_in(2),
                    active: !self.dice.one_in(4),
                };
                let of = if self.dice.one_in(10) { "nothing".parse().unwrap() } else { campaign(0) };
                let campaign = (id.as_str() == "per-drop").then_some(of);
                Operation::PutLimit(PutLimit { limit: id, sku, spec, if_revision: None, campaign })
            }
            9 | 10 => self.put_shared_limit(),
            _ => {
                shard = self.dice.below(3) as u32;
                let max_hold_s = 300 + self.dice.below(2_000) as u32;
                Operation::SetLimits(Box::new(SetLimits { limits: Limits { max_hold_s, ..crate::world::limits() } }))
            }
        };
        Some(Wish { is_current, shard, ..Wish::from(operation) })
    }

    pub(super) fn has_shared_limits(&self) -> bool {
        self.model.limits.values().any(|limit| limit.shared.is_some() && limit.spec.active)
    }

    /// A limit over several items, as the cluster's own records tell it to every shard: anew, or late.
    fn put_shared_limit(&mut self) -> Operation {
        let (name, window) = match self.dice.below(2) {
            0 => ("make-up", LimitWindow::ForEver),
            _ => ("an-hour", LimitWindow::RollingSeconds(3_600)),
        };
        let limit: LimitId = name.parse().unwrap();
        let known = self.model.limits.get(&limit).cloned();
        let other = LimitWindow::RollingSeconds(60);
        let window = if known.is_some() && self.dice.one_in(12) { other } else { window };
        let mut skus: Vec<Sku> = (0..2 + self.dice.below(2)).map(|_| self.item()).collect();
        skus.extend([self.skus[0].clone(), self.limited.clone()]);
        skus.sort();
        skus.dedup();
        // Mostly other numbers of the same items, so that counters go on.
        let skus = known.map(|known| known.skus).filter(|_| !self.dice.one_in(4)).unwrap_or(skus);
        let units = 3 + self.dice.below(14) as u32;
        let (returns_restore, active) = (self.dice.one_in(2), !self.dice.one_in(3));
        let rule = LimitSpec { units, window, returns_restore, active };
        self.limit_revision += 1;
        let late = if self.dice.one_in(10) { self.dice.below(6) } else { 0 };
        let revision = Revision(self.limit_revision.saturating_sub(late).max(1));
        Operation::PutSharedLimit(Box::new(PutSharedLimit { limit, spec: SharedLimitSpec { skus, rule }, revision }))
    }

    /// An item's attributes, some of which decide what may be promised.
    fn changed_spec(&mut self, sku: &Sku) -> ItemSpec {
        let mut spec = self.model.items[sku].clone();
        spec.status = if self.dice.one_in(12) { ItemStatus::Paused } else { ItemStatus::Active };
        match self.dice.below(4) {
            0 => spec.min_remaining_days = if spec.lot_tracked { self.dice.below(3) as u32 } else { 0 },
            1 => spec.max_per_order = self.dice.one_in(2).then(|| 2 + self.dice.below(6) as u32),
            2 => spec.max_hold_s = self.dice.one_in(2).then(|| 60 + self.dice.below(900) as u32),
            _ => {
                if let Backorder::UpTo { cap } = &mut spec.backorder {
                    *cap = 1 + self.dice.below(6);
                }
                if let Backorder::Preorder { release_at, .. } = &mut spec.backorder {
                    *release_at = LogTime(self.now + self.dice.below(7_200_000));
                }
            }
        }
        if spec.lot_tracked && self.dice.one_in(6) {
            // A lot may leave sale before the item is out.
            let release_at = LogTime(self.now + self.dice.below(3 * DAY_MS));
            let is_out = self.dice.one_in(3);
            spec.backorder =
                if is_out { Backorder::UpTo { cap: 3 } } else { Backorder::Preorder { release_at, cap: 3 } };
        }
        if self.dice.one_in(25) {
            (spec.lot_tracked, spec.tracked) = (!spec.lot_tracked, true);
            let is_used = self.model.cells.iter().any(|((of, ..), cell)| of == sku && cell.on_hand() > 0);
            spec.lot_tracked = is_used == spec.lot_tracked;
            if !is_used {
                spec.lot_tracked = self.model.items[sku].lot_tracked;
            }
        }
        spec
    }

    pub(super) fn bad_input(&mut self) -> Option<Wish> {
        let (sku, location, id) = (self.item(), location(0), self.unknown_id());
        let line = Line {
            sku: sku.clone(),
            location: location.clone(),
            units: Units(0),
            lot: None,
            optional: false,
            no_backorder: false,
            min_units: None,
        };
        let reserve = |lines: Vec<Line>, ttl_s: u32| {
            let (order_ref, customer, channel, campaign, plan) = (None, None, None, None, None);
            let reserve = Reserve {
                reservation: id,
                lines,
                ttl_s,
                partial_ok: false,
                order_ref,
                customer,
                channel,
                campaign,
                plan,
                pass: None,
            };
            Operation::Reserve(reserve)
        };
        let one = LineUnits { line: 0, units: Units(1) };
        let commit = |parts| {
            Operation::Commit(Commit {
                reservation: id,
                parts,
                last: false,
                if_expired: IfExpired::Fail,
                cancel_at: None,
            })
        };
        let (good, condition) = (Line { units: Units(1), ..line.clone() }, Condition::Damaged);
        let (operation, field) = match self.dice.below(12) {
            0 => (reserve(vec![line], 60), Field::Units),
            1 => (reserve(vec![good], 0), Field::Ttl),
            2 => (reserve(Vec::new(), 60), Field::Lines),
            3 => (commit(vec![one, one]), Field::LineNumber),
            4 => (commit(vec![LineUnits { units: Units(0), ..one }]), Field::Units),
            5 => (Operation::Adjust(Adjust { sku, location, lot: None, delta: 0, condition }), Field::Delta),
            6 => {
                let moved = MoveUnits { sku, location, lot: None, units: Units(1), from: condition, to: condition };
                (Operation::MoveUnits(moved), Field::ToCondition)
            }
            7 => {
                let receive =
                    Receive { sku, location, lot: None, lot_spec: None, units: Units(MAX_UNITS + 1), receipt: None };
                (Operation::Receive(receive), Field::Units)
            }
            8 => {
                let transfer = TransferId::mint(3, slot_of(&sku), 1);
                let create = CreateTransfer { transfer, sku, from: location.clone(), to: location, lines: Vec::new() };
                (Operation::CreateTransfer(create), Field::ToLocation)
            }
            9 => (Operation::Amend(Amend { reservation: id, lines: vec![good.clone(), good] }), Field::Sku),
            10 => (
                Operation::Return(Return { reservation: id, parts: Vec::new(), location: None, condition }),
                Field::Lines,
            ),
            _ => (Operation::Extend(Extend { reservation: id, ttl_s: MAX_TTL_S + 1 }), Field::Ttl),
        };
        Some(Wish::bad(operation, field))
    }
}
