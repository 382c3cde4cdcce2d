//! [H-ORDER] While an order runs, its reservation is held; a confirmed one's is sold, and of every other one nothing is held or sold.
//! Steps are done in order, one at a time, and what is to be done is found.

use std::collections::BTreeSet;

use crate::state::{OrderRecord, ReservationNo, ReservationRecord, State};
use crate::{LineCounts, OrderState, StepState};

pub(super) fn check(state: &State) -> Vec<String> {
    let mut findings = Vec::new();
    let (mut orders, mut open, mut calling) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (no, record) in state.reservations_from(ReservationNo(0)) {
        let Some(order) = record.order.as_deref() else { continue };
        orders.insert(no);
        if !order.state.is_ended() {
            open.insert(no);
        }
        if record.is_calling() {
            calling.insert(no);
        }
        if let Some(finding) = check_order(record, order) {
            findings.push(format!("the order of {} is {}: {finding}", record.id, order.state));
        }
    }
    let indexes = &state.indexes;
    if (&orders, &open, &calling) != (&indexes.orders, &indexes.open_orders, &indexes.calling) {
        findings.push("the orders that are found are not those that are there".to_owned());
    }
    findings
}

fn check_order(record: &ReservationRecord, order: &OrderRecord) -> Option<String> {
    let has_sold = record.has(|units| units.sold() + units.fulfilled);
    let is_as_it_should_be = match order.state {
        OrderState::Running => record.is_holding() && !has_sold,
        OrderState::Compensating | OrderState::Stuck | OrderState::Aborted => !record.is_holding() && !has_sold,
        OrderState::Confirmed => {
            !record.is_holding() && record.has(|units: &LineCounts| units.sold() + units.fulfilled + units.cancelled)
        }
    };
    if !is_as_it_should_be {
        return Some(format!("its reservation is {:?}", record.state()));
    }
    let states: Vec<StepState> = order.steps.iter().map(|step| step.state).collect();
    let begun = states.iter().take_while(|state| **state != StepState::Waiting).count();
    let is_in_order = states[begun..].iter().all(|state| *state == StepState::Waiting);
    let is_done = states.iter().all(|state| *state == StepState::Done) || order.resolution.is_some();
    if !is_in_order || (order.state == OrderState::Confirmed && !is_done) {
        return Some(format!("its steps are {states:?}"));
    }
    None
}
