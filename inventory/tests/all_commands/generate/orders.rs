//! Orders: steps that are begun, reported in time, late, twice and wrongly, and resolved by somebody.

use holdfast_inventory::commands::*;
use holdfast_inventory::*;

use super::Wish;
use crate::model::Hold;
use crate::world::World;

const NAMES: [&str; 3] = ["pay", "fraud", "label"];

impl World {
    pub(super) fn ordering(&mut self) -> Option<Wish> {
        match self.dice.below(12) {
            0..=2 => self.start_order(),
            3..=9 => self.report_step(),
            _ => self.resolve_order(),
        }
    }

    fn start_order(&mut self) -> Option<Wish> {
        let hold = self.hold(|hold| hold.state() == ReservationState::Held && hold.order.is_none())?;
        let count = 1 + self.dice.below(3) as usize;
        let steps = NAMES[..count].iter().map(|name| self.order_step(name)).collect();
        Some(Wish::from(Operation::StartOrder(Box::new(StartOrder { reservation: hold.id, steps }))))
    }

    fn order_step(&mut self, name: &str) -> StepSpec {
        let endpoint: EndpointId = "provider".parse().unwrap();
        let most = if self.dice.one_in(15) { 4_000_000 } else { 200_000 };
        let is_called = self.dice.one_in(3);
        StepSpec {
            name: name.parse().unwrap(),
            kind: if is_called { StepKind::Call { endpoint: endpoint.clone() } } else { StepKind::Await },
            deadline_ms: 100 + self.dice.below(most),
            max_attempts: 1 + self.dice.below(3) as u32,
            compensation: match self.dice.below(4) {
                0 => Compensation::None,
                1 => Compensation::Call { endpoint },
                _ => Compensation::Await,
            },
            compensation_deadline_ms: 100 + self.dice.below(300_000),
            payload: vec![7; self.dice.below(3) as usize],
        }
    }

    fn report_step(&mut self) -> Option<Wish> {
        // Mostly one of which something is being done.
        let drawn = self.dice.below(10);
        let hold = self.hold(|hold| match (&hold.order, drawn) {
            (Some(order), 0..=6) => order.current().is_some(),
            (Some(order), 7 | 8) => !order.state.is_ended(),
            (order, _) => order.is_some(),
        })?;
        let Some(order) = &hold.order else { return Some(self.report(&hold, "pay", false, 0)) };
        let number = match order.current().filter(|_| !self.dice.one_in(8)) {
            Some(current) => current,
            None => self.dice.below(order.steps.len() as u64) as usize,
        };
        let step = &order.steps[number];
        let undoes = [StepState::Compensating, StepState::CompensationFailed, StepState::Compensated];
        let is_compensation = undoes.contains(&step.state) != self.dice.one_in(15);
        let is_called = step.is_called() != self.dice.one_in(15);
        // The next attempt, or one that was told before.
        let attempt = (step.attempts + 1).saturating_sub(u32::from(self.dice.one_in(6)));
        let name = if self.dice.one_in(60) { "nothing" } else { step.spec.name.as_str() };
        Some(self.report(&hold, name, is_compensation, if is_called { attempt } else { 0 }))
    }

    fn report(&mut self, hold: &Hold, name: &str, is_compensation: bool, attempt: u32) -> Wish {
        let most = if attempt > 0 || self.dice.one_in(10) { 10 } else { 7 };
        let report = match self.dice.below(most) {
            0..=5 => StepReport::Done { answer: b"ok".to_vec(), is_fallback: self.dice.one_in(5) },
            6 => StepReport::Failed { why: "declined".to_owned() },
            _ => StepReport::Retry { why: "no answer".to_owned() },
        };
        let (order, step) = (hold.id, name.parse().unwrap());
        Wish::from(Operation::ReportStep(Box::new(ReportStep { order, step, is_compensation, report, attempt })))
    }

    fn resolve_order(&mut self) -> Option<Wish> {
        let wanted = match self.dice.below(10) {
            0..=6 => Some(OrderState::Stuck),
            7 => Some(OrderState::Running),
            8 => Some(OrderState::Compensating),
            _ => None,
        };
        let state_of = |hold: &Hold| hold.order.as_ref().map(|order| order.state);
        let hold = self.hold(|hold| state_of(hold).is_some_and(|state| wanted.is_none_or(|wanted| state == wanted)))?;
        let is_unknown = self.dice.one_in(60);
        let order = if is_unknown { self.unknown_id() } else { hold.id };
        let confirm = self.dice.one_in(2) && state_of(&hold) != Some(OrderState::Running);
        Some(Wish::from(Operation::ResolveOrder(ResolveOrder { order, confirm, reason: "looked".to_owned() })))
    }
}
