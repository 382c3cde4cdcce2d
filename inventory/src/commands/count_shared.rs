//! What limits over several items have to do with a reserve: each line of such an item comes with its counter, and a counter is a line.

use std::collections::BTreeMap;

use holdfast_mutation::{Mutation, is_on};

use super::{AskedLine, CounterLine, Line, MAX_PLANNED_LINES, Plan, Reserve};
use crate::state::LineRecord;
use crate::turn::Turn;
use crate::{BodyHash, Field, InvalidArgument, LimitId, LineCounts, Refusal, Sku, Units};

impl Reserve {
    /// Asks for the counters of the limits that its lines' items are under, anew where it has asked before: one for each limit and each
    /// asked line. `request` stands for the lines as they were sent. Without a customer nothing is asked: the shards refuse it.
    ///
    /// # Errors
    ///
    /// There would be more lines than a reserve may have, or more units in one than may be asked for.
    pub fn count_under(
        &mut self,
        request: BodyHash,
        limits_over: impl Fn(&Sku) -> Vec<LimitId>,
    ) -> Result<(), InvalidArgument> {
        if let Some(plan) = self.plan.as_deref_mut() {
            *plan = plan.of_items();
            self.lines.truncate(plan.of.len());
        }
        let Some(customer) = self.customer else { return Ok(()) };
        let asked_of = |number: u16| self.plan.as_ref().map_or(number, |plan| plan.of[usize::from(number)]);
        let mut counted: BTreeMap<(u16, LimitId), Vec<u16>> = BTreeMap::new();
        for (number, line) in (0..).zip(&self.lines) {
            for limit in limits_over(&line.sku) {
                counted.entry((asked_of(number), limit)).or_default().push(number);
            }
        }
        if counted.is_empty() {
            return Ok(());
        }
        if self.lines.len() + counted.len() > MAX_PLANNED_LINES {
            return Err(InvalidArgument::of(Field::Lines));
        }
        let lines = &mut self.lines;
        let plan = self.plan.get_or_insert_with(|| {
            let asked = |line: &mut Line| {
                let min_units = line.min_units.take();
                AskedLine { units: line.units, optional: line.optional, kit: None, min_units }
            };
            let (asked, of) = (lines.iter_mut().map(asked).collect(), (0..lines.len() as u16).collect());
            Box::new(Plan { request, asked, of, sourced: None, counters: Vec::new() })
        });
        for ((asked, limit), numbers) in counted {
            let of_asked = |number: &u16| lines.get(usize::from(*number)).map_or(0, |line| line.units.count());
            let units: u64 = numbers.iter().map(of_asked).sum();
            let units = u32::try_from(units).map(Units).ok().filter(|units| units.is_askable());
            let units = units.ok_or(InvalidArgument::in_line(Field::Units, usize::from(asked)))?;
            let first = lines[usize::from(numbers[0])].clone();
            let sku = Sku::of_counter(&limit, customer).ok_or(InvalidArgument::of(Field::LimitSkus))?;
            lines.push(Line { sku, units, lot: None, no_backorder: true, min_units: None, ..first });
            plan.of.push(asked);
            plan.counters.push(CounterLine { limit, lines: numbers });
        }
        Ok(())
    }

    /// What was asked for in that line: an item, or a kit.
    pub(crate) fn sku_of_asked(&self, asked: usize) -> Option<Sku> {
        let Some(plan) = &self.plan else { return self.lines.get(asked).map(|line| line.sku.clone()) };
        match plan.asked.get(asked)? {
            AskedLine { kit: Some(kit), .. } => Some(kit.sku.clone()),
            AskedLine { kit: None, .. } => {
                let at = plan.of.iter().position(|of| usize::from(*of) == asked)?;
                self.lines.get(at).map(|line| line.sku.clone())
            }
        }
    }

    /// A line that holds nothing yet: of an item, or of what the customer has under a limit over several.
    pub(super) fn new_line(&self, turn: &Turn<'_>, line: &Line) -> Result<LineRecord, Refusal> {
        let Some((limit, customer)) = line.sku.counter() else { return turn.new_line(line) };
        if Some(customer) != self.customer {
            return Err(InvalidArgument::of(Field::Sku).into());
        }
        // A shard that does not know the limit cannot count under it.
        let limit = turn.state.find_shared_limit(&limit).ok_or(Refusal::LimitNotAsked { limit })?;
        Ok(LineRecord {
            sku: turn.state.limit(limit).sku,
            location: turn.active_location(&line.location)?,
            by_lot: None,
            optional: line.optional,
            counted: false,
            units: LineCounts::default(),
            stock_only: false,
        })
    }

    /// Refuses a line of an item under a limit over several whose counter is not asked with it: whoever planned it did not know of the
    /// limit, or knew it as it was. Without a customer there is none to ask for.
    pub(super) fn check_counters(&self, turn: &Turn<'_>, line: &LineRecord, number: u16) -> Result<(), Refusal> {
        for limit in turn.state.shared_limits_over(&turn.state.item(line.sku).sku) {
            let is_asked = self.plan.as_ref().is_some_and(|plan| plan.is_counted(number, &limit.id));
            if !is_asked && self.customer.is_some() && !is_on(Mutation::CounterNotAsked) {
                return Err(Refusal::LimitNotAsked { limit: limit.id.clone() });
            }
        }
        Ok(())
    }

    /// Refuses a line of an item under a limit over several where nobody says for whom: a lack of that line, as under a limit of one item.
    pub(super) fn check_customer(&self, turn: &Turn<'_>, line: &LineRecord) -> Result<(), Refusal> {
        let sku = &turn.state.item(line.sku).sku;
        if self.customer.is_none() && turn.state.shared_limits_over(sku).next().is_some() {
            return Err(Refusal::CustomerRequired { sku: sku.clone() });
        }
        Ok(())
    }
}
