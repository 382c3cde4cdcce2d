//! [H-CAPS] A customer has one ticket of a room, a ticket is let in at most once at a time, and a token is spent once.

use std::collections::BTreeMap;

use crate::TicketState;
use crate::state::{RoomEntry, SaleNo, State};

#[derive(Default)]
struct Counted {
    customers: std::collections::BTreeSet<crate::CustomerHash>,
    tickets: std::collections::BTreeSet<u32>,
    waiting: usize,
    admitted: usize,
    spent: usize,
    spent_here: std::collections::BTreeSet<u32>,
}

pub(super) fn check(state: &State) -> Vec<String> {
    let mut findings = Vec::new();
    let mut rooms: BTreeMap<SaleNo, Counted> = BTreeMap::new();
    for record in state.room_records() {
        let room = rooms.entry(record.sale).or_default();
        let is_first = match record.what {
            RoomEntry::SpentHere => room.spent_here.insert(record.ticket),
            RoomEntry::Ticket { customer, state } => {
                match state {
                    TicketState::Waiting => room.waiting += 1,
                    TicketState::Admitted { .. } => room.admitted += 1,
                    TicketState::Spent => room.spent += 1,
                }
                let is_first = room.customers.insert(customer);
                room.tickets.insert(record.ticket) && is_first
            }
        };
        if !is_first {
            findings.push(format!("{record:?} is there twice"));
        }
    }
    for (sale, room) in &rooms {
        let said = (room.waiting, room.admitted, room.spent, room.spent_here.len(), room.customers.len());
        let found = state
            .room(*sale)
            .map(|of| (of.waiting.len(), of.admitted.len(), of.spent.len(), of.spent_here.len(), of.by_customer.len()));
        // Where the campaign is not known any more nobody asks for an order.
        let is_known = state.campaign_of(*sale).is_some();
        if is_known && found != Some(said) {
            findings.push(format!("the room of {sale:?} has {said:?}, and finds {found:?}"));
        }
    }
    findings
}
