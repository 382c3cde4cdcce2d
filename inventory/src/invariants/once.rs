//! [H-ONCE] Every kept result is the one its command id finds, no two have the same id, and they keep to their budgets.

use crate::state::{ResultRecord, State};

pub(super) fn check(state: &State) -> Vec<String> {
    let mut findings = Vec::new();
    let minted = state.results.iter().map(|(_, record)| record);
    let keyed = state.keyed_results.iter().map(|(_, record)| &record.0);
    for record in minted.chain(keyed) {
        let finds_itself = state.find_result(record.id).is_some_and(|found: &ResultRecord| std::ptr::eq(found, record));
        if !finds_itself {
            findings.push(format!("the result of {} is not the one that its id finds", record.id));
        }
    }
    let (kept, budget) = (state.results.live() + state.keyed_results.live(), state.header.limits.results);
    if kept > budget.max(1) {
        findings.push(format!("{kept} results are kept, and {budget} may be"));
    }
    findings
}
