//! The designs that suffer, as small as they can be said: each does what the system does that users complain of. A test of ours
//! that would pass on one of these proves nothing.

use std::collections::BTreeMap;

/// A table of stock that is read, checked in the application, and written back: between the two, others read the same.
#[derive(Debug)]
pub struct ReadThenWrite {
    pub units: i64,
}

impl ReadThenWrite {
    /// Several take one unit each, all reading before the first writes. Those who were told that they have it.
    pub fn race(&mut self, customers: usize) -> usize {
        let read: Vec<i64> = (0..customers).map(|_| self.units).collect();
        let has_it = |seen: &&i64| **seen >= 1;
        read.iter().filter(has_it).map(|seen| self.units = seen - 1).count()
    }
}

/// Each line of a cart checked by itself.
pub fn is_cart_allowed_line_by_line(stock: &BTreeMap<&str, u64>, cart: &[(&str, u64)]) -> bool {
    cart.iter().all(|(sku, units)| *units <= stock[sku])
}

/// Reservations as rows that are added and subtracted, with nothing that says which were taken back already.
#[derive(Debug, Default)]
pub struct Ledger {
    rows: Vec<i64>,
}

impl Ledger {
    pub fn hold(&mut self, units: i64) {
        self.rows.push(-units);
    }

    /// Whoever cancels, and whatever retries, appends a compensation.
    pub fn give_back(&mut self, units: i64) {
        self.rows.push(units);
    }

    pub fn reserved(&self) -> i64 {
        -self.rows.iter().sum::<i64>()
    }
}

/// Holds in one table and their sum in a column of another, written one after the other.
#[derive(Debug, Default)]
pub struct HoldsAndCounter {
    pub holds: Vec<u64>,
    pub counter: u64,
}

impl HoldsAndCounter {
    /// The process dies between the two writes where it says so.
    pub fn hold(&mut self, units: u64, dies_between: bool) {
        self.holds.push(units);
        if !dies_between {
            self.counter += units;
        }
    }
}

/// Rows locked one after the other, in the order of the cart's lines: whether carts that each have their first row wait for one another
/// in a ring.
pub fn carts_wait_in_a_ring(carts: &[[&str; 2]]) -> bool {
    let owner: BTreeMap<&str, usize> = carts.iter().enumerate().map(|(cart, lines)| (lines[0], cart)).collect();
    let waits_for = |cart: usize| owner.get(carts[cart][1]).copied().filter(|other| *other != cart);
    (0..carts.len()).any(|start| {
        let mut at = start;
        (0..carts.len()).any(|_| match waits_for(at) {
            Some(next) => {
                at = next;
                next == start
            }
            None => false,
        })
    })
}

/// The payment is asked for while the row of stock is locked: how long the last of some customers waits, each payment taking so long.
pub const fn wait_behind_payments(customers: u64, payment_ms: u64) -> u64 {
    customers * payment_ms
}

/// A kit's components taken one by one, each in a transaction of its own; what was taken when one lacks.
pub fn components_taken<'a>(stock: &mut BTreeMap<&'a str, u64>, recipe: &[(&'a str, u64)]) -> Vec<String> {
    let mut taken = Vec::new();
    for (sku, units) in recipe {
        match stock.get_mut(sku) {
            Some(left) if *left >= *units => *left -= units,
            _ => break,
        }
        taken.push((*sku).to_owned());
    }
    taken
}

/// Lots picked in the order in which they came, whatever their dates: (lot, best before, units).
pub fn first_in_first_out<'a>(lots: &[(&'a str, &str, u32)]) -> Option<&'a str> {
    lots.iter().find(|(.., units)| *units > 0).map(|(lot, ..)| *lot)
}

/// A stocktake writes what was counted, whatever was sold between the count and the writing.
pub const fn on_hand_after_stocktake(counted: u64, _sold_meanwhile: u64) -> u64 {
    counted
}

/// Reads served from an index that is brought up to date now and then.
#[derive(Debug)]
pub struct LaggingIndex {
    pub truth: u64,
    pub index: u64,
}

/// A limit checked by counting a customer's orders before the new one is inserted: several do both at once.
pub fn orders_of_one_customer(attempts: usize, limit: usize) -> usize {
    let orders = 0;
    let counted: Vec<usize> = (0..attempts).map(|_| orders).collect();
    counted.into_iter().filter(|count| *count < limit).count()
}

/// Stock counted in a cache, holds kept in a database; a failover of the cache loses its last writes.
#[derive(Debug, Default)]
pub struct CacheAndDatabase {
    pub cached: u64,
    replicated: u64,
    pub holds: u64,
}

impl CacheAndDatabase {
    pub fn stock(units: u64) -> Self {
        Self { cached: units, replicated: units, holds: 0 }
    }

    pub fn hold(&mut self) -> bool {
        if self.cached == 0 {
            return false;
        }
        self.cached -= 1;
        self.holds += 1;
        true
    }

    /// The replica that takes over has not heard of the last writes.
    pub fn fail_over(&mut self) {
        self.cached = self.replicated;
    }
}
