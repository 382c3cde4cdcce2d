//! What the model has of limits per customer: what is taken is the sum over all lines that are marked. Over several items whoever reserves
//! asks for their counters too.

use holdfast_inventory::commands::{Line as Asked, PutLimit, PutSharedLimit, Reserve};
use holdfast_inventory::{CampaignId, CustomerHash, Field, LimitId, LimitSpec, LimitWindow, Revision, Sku};

use crate::model::{Line, Model, Said, Why, invalid, why};
use crate::reserve::{Demand, blank_line};

#[derive(Clone, Debug)]
pub struct Limit {
    /// One; or several, and then its revision in the cluster's own records.
    pub skus: Vec<Sku>,
    pub shared: Option<Revision>,
    pub spec: LimitSpec,
    /// It counts what is held in this campaign alone.
    pub campaign: Option<CampaignId>,
}

/// How many lines of a reserve are of items: the counters come behind them.
pub fn item_lines(reserve: &Reserve) -> usize {
    reserve.lines.len() - reserve.plan.as_ref().map_or(0, |plan| plan.counters.len())
}

impl Model {
    pub fn put_limit(&mut self, put: &PutLimit) -> Said<()> {
        self.check_item(&put.sku)?;
        match self.limits.get(&put.limit) {
            Some(known) if known.skus != [put.sku.clone()] => return invalid(Field::Sku),
            Some(known) if (known.spec.window, &known.campaign) != (put.spec.window, &put.campaign) => {
                return invalid(Field::LimitWindow);
            }
            None if put.campaign.as_ref().is_some_and(|id| !self.campaigns.contains_key(id)) => {
                return why("UnknownCampaign");
            }
            _ => {}
        }
        let (skus, spec, campaign) = (vec![put.sku.clone()], put.spec, put.campaign.clone());
        self.limits.insert(put.limit.clone(), Limit { skus, shared: None, spec, campaign });
        Ok(())
    }

    /// Units that a customer has under a limit: held and bought.
    pub fn taken(&self, limit: &LimitId, customer: CustomerHash) -> u64 {
        let window = self.limits[limit].spec.window;
        let counts = |since: u64| match window {
            LimitWindow::ForEver => true,
            LimitWindow::RollingSeconds(seconds) => since + u64::from(seconds) * 1_000 > self.now,
        };
        let holds = self.holds.iter().filter(|hold| hold.customer == Some(customer) && counts(hold.created_at));
        let live: u64 = holds.flat_map(|hold| &hold.lines).map(|line| line.under(limit)).sum();
        let gone = self.bought.iter().filter(|gone| (&gone.0, gone.1) == (limit, customer) && counts(gone.2));
        live + gone.map(|gone| gone.3).sum::<u64>()
    }

    /// The limits of that item alone under which its units are held in that campaign, or in none.
    pub fn limits_of<'a>(
        &'a self,
        sku: &'a Sku,
        campaign: Option<&'a CampaignId>,
    ) -> impl Iterator<Item = (&'a LimitId, &'a LimitSpec)> {
        let is_under = move |limit: &Limit| limit.campaign.is_none() || limit.campaign.as_ref() == campaign;
        let of_item = self
            .limits
            .iter()
            .filter(move |(_, of)| of.shared.is_none() && of.skus.contains(sku) && of.spec.active && is_under(of));
        of_item.map(|(id, of)| (id, &of.spec))
    }

    pub fn put_shared_limit(&mut self, put: &PutSharedLimit) -> Said<()> {
        match self.limits.get(&put.limit) {
            Some(known) if known.shared >= Some(put.revision) => return Ok(()),
            Some(known) if known.spec.window != put.spec.rule.window => return invalid(Field::LimitWindow),
            _ => {}
        }
        let (skus, spec, shared) = (put.spec.skus.clone(), put.spec.rule, Some(put.revision));
        self.limits.insert(put.limit.clone(), Limit { skus, spec, campaign: None, shared });
        Ok(())
    }

    /// The limits over several items that units of an item are held under.
    pub fn shared_over<'a>(&'a self, sku: &'a Sku) -> impl Iterator<Item = &'a LimitId> {
        let over = |limit: &&Limit| limit.shared.is_some() && limit.spec.active && limit.skus.contains(sku);
        self.limits.iter().filter(move |(_, limit)| over(limit)).map(|(id, _)| id)
    }

    /// A counter's line, which is of no item: where its limit is not known nothing is decided.
    pub fn counter_line(&self, asked: &Asked, limit: &LimitId) -> Said<Line> {
        if self.limits.get(limit).is_none_or(|limit| limit.shared.is_none()) {
            return Err(Why { decides_nothing: true, ..Why::of("LimitNotAsked") });
        }
        self.check_active(&asked.location)?;
        Ok(blank_line(asked))
    }

    /// Whoever did not know of a limit has to ask anew; without a customer there is nothing to ask for.
    pub fn check_counters(&self, reserve: &Reserve, number: usize) -> Said<()> {
        let is_asked = |limit: &LimitId| {
            let counters = reserve.plan.iter().flat_map(|plan| &plan.counters);
            let mut of_it = counters.filter(|counter| counter.limit == *limit);
            of_it.any(|counter| counter.lines.iter().any(|line| usize::from(*line) == number))
        };
        let is_complete = self.shared_over(&reserve.lines[number].sku).all(is_asked);
        if is_complete || reserve.customer.is_none() { Ok(()) } else { why("LimitNotAsked") }
    }

    /// The counters are no lines to anybody: what they count is the lines that are marked.
    pub fn close_counters(&mut self, hold: usize, reserve: &Reserve) {
        let limits = &self.limits;
        let lines = &mut self.holds[hold].lines;
        lines.truncate(item_lines(reserve));
        for counter in reserve.plan.iter().flat_map(|plan| &plan.counters) {
            let spec = limits[&counter.limit].spec;
            for line in counter.lines.iter().filter(|_| spec.active) {
                lines[usize::from(*line)].limits.push((counter.limit.clone(), spec.returns_restore));
            }
        }
    }
}

impl Demand<'_> {
    /// So many units more under a limit over several items.
    pub fn count(&mut self, number: usize, limit: &LimitId, units: u64) -> Said<()> {
        let spec = self.before.limits[limit].spec;
        let Some(customer) = self.customer.filter(|_| spec.active) else { return Ok(()) };
        let asked = self.asked.entry(limit.clone()).or_default();
        if units > u64::from(spec.units).saturating_sub(self.before.taken(limit, customer) + *asked) {
            return Err(Why { line: number, ..Why::of("CustomerLimitExceeded") });
        }
        *asked += units;
        Ok(())
    }
}
