//! Sold out, told without deciding anything: what a node may answer with nothing written.
//!
//! Responsible for the plainest reserves only, which are nearly all of those that come to a sale that is over. Promises that
//! deciding the very command at that time would refuse it for the same lack of the same line. Leaves everything else to the
//! log, and to whoever asks that the state is not an old one.

use holdfast_mutation::{Mutation, is_on};

use crate::commands::{Line, Reserve};
use crate::state::{LocationNo, SkuNo, State};
use crate::{Backorder, Command, Inventory, ItemStatus, LogTime, Operation, Refusal};

impl Inventory {
    /// `InsufficientStock`, as one that is not recorded, where deciding the command at `now` could end in nothing else. `None`:
    /// the log decides. A reserve with a plan, a campaign, or lines of which fewer or none will do is never told so; nor one of a
    /// lot, or of an item with a limit, a backorder or a kit; nor one whose id is known, or may no longer or not yet be decided;
    /// nor any while something is due by `now`, which an entry of the log would end first.
    #[must_use]
    pub fn sold_out(&self, command: &Command, now: LogTime) -> Option<Refusal> {
        let Operation::Reserve(reserve) = &command.operation else { return None };
        if command.linked || !reserve.is_all_or_nothing() {
            return None;
        }
        let lack = self.state.lack_of(&reserve.lines)?;
        let is_next = command.validate().is_ok()
            && self.state.header.halt.is_none()
            && self.next_due().is_none_or(|due_at| due_at > now)
            && self.state.would_be_new(command, now)
            && self.state.find_reservation(reserve.reservation).is_none()
            && self.state.has_room_for_a_hold();
        is_next.then_some(lack)
    }
}

impl Reserve {
    /// Its lines are held as they were sent, all or none, of what anybody may have.
    fn is_all_or_nothing(&self) -> bool {
        let is_all_or_nothing = |line: &Line| line.lot.is_none() && !line.optional && line.min_units.is_none();
        let is_plain = self.plan.is_none() && self.campaign.is_none() && self.pass.is_none();
        is_plain && !self.partial_ok && self.lines.iter().all(is_all_or_nothing)
    }
}

impl State {
    /// What the lines lack, summed by item and location as a reserve sums them, where it can be refused for nothing else.
    fn lack_of(&self, lines: &[Line]) -> Option<Refusal> {
        let mut asked: Vec<(SkuNo, LocationNo, u64)> = Vec::with_capacity(lines.len());
        let mut lack = None;
        for (number, line) in (0..).zip(lines) {
            let (sku, location) = self.plain_place_of(line)?;
            if lack.is_some() {
                continue;
            }
            let of_place = self.stock(sku).place(location).map_or(0, |place| self.atp(sku, place));
            let at = asked.iter().position(|it| (it.0, it.1) == (sku, location)).unwrap_or_else(|| {
                asked.push((sku, location, 0));
                asked.len() - 1
            });
            let before = asked[at].2;
            let left = of_place.saturating_sub(before) + u64::from(is_on(Mutation::AtpOffByOne));
            if line.units.count() > left {
                lack =
                    Some(Refusal::InsufficientStock { available: of_place.max(before), line: number, recorded: false });
            }
            asked[at].2 += line.units.count();
        }
        lack
    }

    /// Where a line's units would be, if nothing but their number can be in its way.
    fn plain_place_of(&self, line: &Line) -> Option<(SkuNo, LocationNo)> {
        let sku = self.find_sku(&line.sku).filter(|_| !line.sku.is_counter())?;
        let location = self.find_location(&line.location).filter(|no| self.location(*no).spec.active)?;
        let item = self.item(sku);
        let spec = &item.spec;
        let is_plain = item.kit.is_none()
            && spec.status == ItemStatus::Active
            && spec.tracked
            && !spec.lot_tracked
            && spec.backorder == Backorder::None
            && spec.max_per_order.is_none()
            && self.limits_of(sku).next().is_none()
            && self.shared_limits_over(&line.sku).next().is_none();
        is_plain.then_some((sku, location))
    }
}

#[cfg(test)]
#[path = "sold_out_tests.rs"]
mod tests;
