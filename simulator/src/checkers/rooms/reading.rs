//! A room as it is read: who is let in are the first of its order, and nothing in it goes back.

use std::collections::BTreeMap;

use super::{Room, lottery};
use crate::history::{Id, RoomSeen, Turn};

/// Those who are let in, and until when.
pub(super) fn admitted_until(seen: &RoomSeen) -> impl Iterator<Item = (u32, u64)> {
    seen.tickets.iter().filter_map(|ticket| match ticket.turn {
        Turn::Admitted { until_ms } => Some((ticket.number, until_ms)),
        Turn::Waiting | Turn::Spent => None,
    })
}

fn let_in(seen: &RoomSeen) -> usize {
    seen.tickets.iter().filter(|ticket| ticket.turn != Turn::Waiting).count()
}

/// How far a ticket has come: it never goes back.
const fn rank(turn: Turn) -> u8 {
    match turn {
        Turn::Waiting => 0,
        Turn::Admitted { .. } => 1,
        Turn::Spent => 2,
    }
}

impl Room<'_> {
    pub(super) fn reading_breaches(&self) -> Vec<String> {
        let mut breaches = Vec::new();
        let mut customers: BTreeMap<u32, Id> = BTreeMap::new();
        for (at, (call_us, return_us, seen)) in self.reads.iter().enumerate() {
            breaches.extend(self.order_breach(seen).map(|what| format!("at {call_us} µs {what}")));
            for ticket in &seen.tickets {
                let known = *customers.entry(ticket.number).or_insert(ticket.customer);
                if known != ticket.customer {
                    breaches.push(format!("ticket {} is somebody else's at {call_us} µs", ticket.number));
                }
                let may_be_spent = |number| {
                    let mut of_ticket =
                        self.buys.iter().filter(|buy| buy.showing.is_some_and(|it| it.ticket == number));
                    of_ticket.any(|buy| buy.told.may_be_done() && buy.told.call_us <= *return_us)
                };
                if ticket.turn == Turn::Spent && !may_be_spent(ticket.number) {
                    breaches.push(format!("nobody has spent the token of ticket {} at {call_us} µs", ticket.number));
                }
            }
            breaches.extend(self.missing(seen, *call_us));
            breaches.extend(self.counted(seen, *call_us, *return_us));
            for (_, before_us, before) in self.reads[..at].iter().filter(|(_, before_us, _)| before_us < call_us) {
                breaches.extend(gone_back(before, seen).map(|what| format!("from {before_us} to {call_us} µs {what}")));
            }
        }
        breaches
    }

    /// Somebody was let in though somebody else had the turn.
    fn order_breach(&self, seen: &RoomSeen) -> Option<String> {
        if self.by_lot && seen.seed.is_empty() {
            return (let_in(seen) > 0).then(|| "somebody is let in, and it is not drawn".to_owned());
        }
        let mut order: Vec<_> = seen.tickets.iter().collect();
        if self.by_lot {
            order.sort_by_key(|ticket| lottery::place(&seen.seed, ticket.customer));
        } else {
            order.sort_by_key(|ticket| ticket.number);
        }
        let first_waiting = order.iter().position(|ticket| ticket.turn == Turn::Waiting)?;
        let early = order[first_waiting..].iter().find(|ticket| ticket.turn != Turn::Waiting)?;
        let waits = order[first_waiting].number;
        Some(format!("ticket {} is let in, and it was the turn of {waits}", early.number))
    }

    /// Numbers without a gap, and everybody who surely has a ticket by then.
    fn missing(&self, seen: &RoomSeen, call_us: u64) -> Option<String> {
        if !seen.tickets.iter().map(|ticket| ticket.number).eq(1..=seen.tickets.len() as u32) {
            return Some(format!("at {call_us} µs its tickets are not numbered from 1"));
        }
        let mut had = self.joins.iter().filter(|(_, told)| told.is_before(call_us)).filter_map(|(_, told)| told.done());
        let lost = had.find(|done| done.ticket as usize > seen.tickets.len() || done.ticket == 0)?;
        Some(format!("at {call_us} µs ticket {} is not there", lost.ticket))
    }

    /// As many are let in as those who let them in were told.
    fn counted(&self, seen: &RoomSeen, call_us: u64, return_us: u64) -> Option<String> {
        let admitted = |admit: &super::Admit<'_>| admit.told.done().map(|done| u64::from(done.admitted));
        let sure: u64 = self.admits.iter().filter(|it| it.told.is_before(call_us)).filter_map(admitted).sum();
        let may_be = self.admits.iter().filter(|it| it.told.may_be_done() && it.told.call_us <= return_us);
        let most: u64 = may_be.map(|it| admitted(it).unwrap_or_else(|| u64::from(it.tickets))).sum();
        let found = let_in(seen) as u64;
        let is_wrong = found < sure || found > most;
        is_wrong.then(|| format!("at {call_us} µs {found} are let in, of {sure} for sure and {most} at most"))
    }
}

fn gone_back(before: &RoomSeen, after: &RoomSeen) -> Option<String> {
    if before.tickets.len() > after.tickets.len() {
        return Some(format!("{} tickets are {} now", before.tickets.len(), after.tickets.len()));
    }
    let mut pairs = before.tickets.iter().zip(&after.tickets);
    let back = pairs.find(|(before, after)| rank(before.turn) > rank(after.turn));
    let told = [(&before.commitment, &after.commitment), (&before.seed, &after.seed)];
    if told.iter().any(|(before, after)| !before.is_empty() && before != after) {
        return Some("it is held to something else, or drawn with another seed".to_owned());
    }
    back.map(|(before, after)| format!("ticket {} was {:?} and is {:?}", before.number, before.turn, after.turn))
}
