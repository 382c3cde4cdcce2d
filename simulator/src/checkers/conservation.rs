//! [H-CONSERVE] from outside: what stands in the end, SKU by SKU, against what was acknowledged.
//!
//! What was done for certain is the least that must be there, what may have been done besides makes the most. The
//! reservations are counted as well: units that no reservation accounts for are nobody's.

use std::collections::BTreeMap;

use super::{Finding, Inventory};
use crate::history::{
    Answer, Asked, Command, History, Id, Line, LineSeen, Operation, Phase, Request, Standing, StockSeen, operations,
};

const NAME: &str = "conservation";

/// Units that were moved for certain, and units that may have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    certain: u64,
    possible: u64,
}

impl Count {
    fn add(&mut self, units: u64, is_certain: bool) {
        *(if is_certain { &mut self.certain } else { &mut self.possible }) += units;
    }

    fn most(self) -> u64 {
        self.certain + self.possible
    }
}

/// What was acknowledged of one SKU.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    received: Count,
    committed: Count,
    cancelled: Count,
    fulfilled: Count,
    /// Counts that were set, which move units by what nobody is told.
    is_counted: bool,
    /// It is sold in kits or in parts of lines too: how many units, another checker says, and the account of the reservations.
    is_of_others: bool,
}

/// Compares what stands in the end with what was acknowledged.
#[must_use]
pub fn check(history: &History, inventory: &Inventory) -> Vec<Finding> {
    let told = acknowledged(history, inventory);
    let mut findings = Vec::new();
    let mut find = |what: String| findings.push(Finding::new(NAME, what));
    for (sku, stock) in &inventory.stocks {
        let told = told.get(sku.as_str()).copied().unwrap_or_default();
        balance(sku, stock, &mut find);
        let within = |what: &str, units: u64, least: u64, most: u64, find: &mut dyn FnMut(String)| {
            if !(least..=most).contains(&units) {
                find(format!("{units} units of {sku} are {what}, {least} to {most} by what was answered"));
            }
        };
        within("received", stock.received, told.received.certain, told.received.most(), &mut find);
        if told.is_of_others {
            not_oversold(sku, stock, &told, &mut find);
            continue;
        }
        within("shipped", stock.fulfilled, told.fulfilled.certain, told.fulfilled.most(), &mut find);
        let sold = stock.committed + stock.fulfilled;
        let least = told.committed.certain.saturating_sub(told.cancelled.most());
        let most = told.committed.most().saturating_sub(told.cancelled.certain);
        // What was sold and lost its stock to a block stands among what is short; what was sold without stock, among what is backordered.
        within("sold", sold, least.saturating_sub(stock.short + stock.backordered), most, &mut find);
        not_oversold(sku, stock, &told, &mut find);
    }
    for sku in told.keys().filter(|sku| !inventory.stocks.contains_key(**sku)) {
        if told[sku].received.certain > 0 {
            find(format!("{sku} is gone"));
        }
    }
    account(inventory, &mut find);
    findings
}

/// No more is sold than came, and nothing is adjusted that nobody counted.
fn not_oversold(sku: &str, stock: &StockSeen, told: &Told, find: &mut impl FnMut(String)) {
    let (sold, came) = (stock.committed + stock.fulfilled, came(stock));
    if i128::from(sold) > came {
        find(format!("{sold} units of {sku} are sold of {came} that came"));
    }
    if !told.is_counted && stock.adjusted != 0 {
        find(format!("{} units of {sku} are adjusted, and nobody did", stock.adjusted));
    }
}

/// [H-QTY] and [H-CONSERVE] of one SKU.
fn balance(sku: &str, stock: &StockSeen, find: &mut impl FnMut(String)) {
    let parts = stock.free + stock.reserved + stock.committed;
    if stock.on_hand != parts {
        find(format!("H-QTY: {} units of {sku} on hand, {parts} in their parts", stock.on_hand));
    }
    let came = came(stock);
    let left = i128::from(stock.on_hand) + i128::from(stock.fulfilled);
    if came != left {
        find(format!("H-CONSERVE: {came} units of {sku} came, {left} are there or left"));
    }
}

/// Everything that came to a place, less what was sent on to another.
fn came(stock: &StockSeen) -> i128 {
    let came = stock.received + stock.arrived + stock.returned;
    i128::from(came) + i128::from(stock.adjusted) - i128::from(stock.sent)
}

/// [H-HOLDS] from outside: the reservations' units are the SKUs'. Of a reservation over several shards the one that decides it does not see
/// that units of another shard's line have lost their stock (docs/ARCHITECTURE.md): its line has them still, and the SKU has them among
/// what is short. As many as the SKU is short of, and no line says, may differ so.
fn account(inventory: &Inventory, find: &mut impl FnMut(String)) {
    let (mut sums, mut shorts) = (BTreeMap::<&str, [u64; 5]>::new(), BTreeMap::<&str, u64>::new());
    for line in inventory.reservations.values().flat_map(|seen| &seen.lines) {
        *shorts.entry(&line.sku).or_default() += line.short;
        let [held, committed, fulfilled, backordered, returned] = sums.entry(&line.sku).or_default();
        *held += line.held;
        *committed += line.committed;
        *fulfilled += line.fulfilled;
        *backordered += line.backordered;
        *returned += line.returned;
    }
    for (sku, stock) in &inventory.stocks {
        let of_reservations = sums.get(sku.as_str()).copied().unwrap_or_default();
        let of_stock = [stock.reserved, stock.committed, stock.fulfilled, stock.backordered, stock.returned];
        let unseen = stock.short.saturating_sub(shorts.get(sku.as_str()).copied().unwrap_or(0));
        let ([held, committed, others @ ..], [_, _, others_of_stock @ ..]) = (of_reservations, of_stock);
        let beyond = held.checked_sub(stock.reserved).zip(committed.checked_sub(stock.committed));
        let adds_up = others == others_of_stock && beyond.is_some_and(|(held, sold)| held + sold <= unseen);
        if !adds_up {
            find(format!(
                "H-HOLDS: {sku} has {of_stock:?} units reserved, committed, shipped, backordered and returned, its reservations {of_reservations:?}"
            ));
        }
    }
}

/// Commands that were decided, with their answers, and those of which nobody knows.
fn decided<'a: 's, 's>(
    operations: &'s [Operation<'a>],
) -> impl Iterator<Item = (&'a Vec<Command>, Option<&'s Vec<Answer>>)> {
    operations.iter().filter_map(|operation| match (operation.asked, &operation.standing) {
        (Asked::Commands(commands), Standing::Decided(answers)) => Some((commands, Some(answers))),
        (Asked::Commands(commands), Standing::Unknown) => Some((commands, None)),
        _ => None,
    })
}

/// The SKUs and units of each reservation that was made, or may have been.
fn lines_of_reservations<'a>(
    operations: &[Operation<'a>],
    inventory: &'a Inventory,
) -> BTreeMap<Id, Vec<(&'a str, u64)>> {
    let mut lines: BTreeMap<Id, Vec<(&str, u64)>> = BTreeMap::new();
    for (commands, answers) in decided(operations) {
        for (at, command) in commands.iter().enumerate() {
            let is_refused = answers.is_some_and(|answers| matches!(answers.get(at), Some(Answer::Refused(_))));
            if let Request::Reserve { reservation, lines: asked, .. } = &command.request
                && !is_refused
            {
                let of_line = |line: &'a Line| (line.sku.as_str(), u64::from(line.units));
                lines.insert(*reservation, asked.iter().map(of_line).collect());
            }
            if let Request::ReserveIn { reservation, sku, units, .. }
            | Request::ReserveToOrder { reservation, sku, units } = &command.request
                && !is_refused
            {
                lines.insert(*reservation, vec![(sku.as_str(), u64::from(*units))]);
            }
            // Where its lines lie only the reservation itself says.
            if let Request::ReserveThrough { reservation, .. } = &command.request
                && let Some(seen) = inventory.reservations.get(reservation)
            {
                let of_line = |line: &'a LineSeen| (line.sku.as_str(), line.all());
                lines.insert(*reservation, seen.lines.iter().map(of_line).collect());
            }
        }
    }
    lines
}

/// What was acknowledged, and what may have been done, of each SKU.
fn acknowledged<'a>(history: &'a History, inventory: &'a Inventory) -> BTreeMap<&'a str, Told> {
    let operations = operations(history);
    let lines = lines_of_reservations(&operations, inventory);
    let mut told: BTreeMap<&str, Told> = BTreeMap::new();
    for (commands, answers) in decided(&operations) {
        for (at, command) in commands.iter().enumerate() {
            let answer = answers.and_then(|answers| answers.get(at));
            let done = match answer {
                Some(Answer::Refused(_)) => continue,
                Some(Answer::Done(done)) => Some(done),
                None => None,
            };
            let of_lines =
                command.request.reservation().and_then(|id| lines.get(&id)).map(Vec::as_slice).unwrap_or_default();
            let mut each = |add: fn(&mut Told) -> &mut Count| {
                for (sku, units) in of_lines {
                    add(told.entry(sku).or_default()).add(*units, done.is_some());
                }
            };
            match &command.request {
                Request::Receive { sku, units }
                | Request::ReceiveLot { sku, units, .. }
                | Request::ReceiveExpected { sku, units, .. } => {
                    told.entry(sku).or_default().received.add(u64::from(*units), done.is_some());
                }
                // What is lost is written off where it was to arrive.
                Request::Set { sku, .. } | Request::Lose { to: sku, .. } | Request::ApplyCount { sku, .. } => {
                    told.entry(sku).or_default().is_counted = true
                }
                Request::Commit { .. } | Request::Retake { .. } => each(|told| &mut told.committed),
                // Its time may cancel it.
                Request::CommitUntil { .. } => {
                    each(|told| &mut told.committed);
                    for (sku, units) in of_lines {
                        told.entry(sku).or_default().cancelled.add(*units, false);
                    }
                }
                // Its steps may sell it.
                Request::StartOrder { .. } => {
                    for (sku, units) in of_lines {
                        told.entry(sku).or_default().committed.add(*units, false);
                    }
                }
                Request::Fulfil { .. } | Request::Ship { .. } => each(|told| &mut told.fulfilled),
                // A hold that was cancelled was not sold.
                Request::Cancel { .. } if done.is_none_or(|done| done.phase == Some(Phase::Cancelled)) => {
                    each(|told| &mut told.cancelled);
                }
                Request::PutItem { sku } | Request::PutItemByLot { sku } | Request::PutItemToWaitFor { sku, .. } => {
                    told.entry(sku).or_default();
                }
                Request::PutKit { .. }
                | Request::ReserveKits { .. }
                | Request::ReserveInParts { .. }
                | Request::ReserveOfLots { .. } => {
                    command.request.skus().for_each(|sku| told.entry(sku).or_default().is_of_others = true);
                }
                Request::Cancel { .. }
                | Request::Reserve { .. }
                | Request::ReserveThrough { .. }
                | Request::Change { .. }
                | Request::Extend { .. }
                | Request::Release { .. }
                | Request::BlockLot { .. }
                | Request::Send { .. }
                | Request::Arrive { .. }
                | Request::CallBack { .. }
                | Request::Expect { .. }
                | Request::CloseReceipt { .. }
                | Request::PutLimit { .. }
                | Request::PutRollingLimit { .. }
                | Request::OpenCount { .. }
                | Request::RecordCount { .. }
                | Request::CancelCount { .. }
                | Request::Allocate { .. }
                | Request::ReserveIn { .. }
                | Request::ReserveToOrder { .. }
                | Request::ReportStep { .. }
                | Request::ResolveOrder { .. }
                | Request::JoinQueue { .. }
                | Request::CommitDraw { .. }
                | Request::Draw { .. }
                | Request::Admit { .. }
                | Request::Pick { .. }
                | Request::Recall { .. }
                | Request::UnblockLot { .. } => {}
            }
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{Story, commit, phase, stock, unknown};
    use crate::history::ReservationSeen;

    fn sold_three() -> History {
        let story = Story::stocked().held(2, 10, 12, 3, 7);
        story.command(3, 20, 22, commit(2), phase(2, 7, Phase::Committed)).0
    }

    fn inventory(stock: StockSeen, units: u64) -> Inventory {
        let line = LineSeen { sku: "A".to_owned(), committed: units, ..LineSeen::default() };
        let seen = ReservationSeen { phase: Phase::Committed, expires_at_ms: 0, revision: 2, lines: vec![line] };
        Inventory {
            stocks: BTreeMap::from([("A".to_owned(), stock)]),
            reservations: BTreeMap::from([(Id(2), seen)]),
            ..Inventory::default()
        }
    }

    #[test]
    fn what_was_acknowledged_and_is_there_is_good() {
        assert_eq!(check(&sold_three(), &inventory(stock(0, 3, 3), 3)), []);
    }

    #[test]
    fn a_sale_that_is_lost_or_made_twice_is_found() {
        assert!(!check(&sold_three(), &inventory(stock(0, 0, 1), 0)).is_empty());
        assert!(!check(&sold_three(), &inventory(stock(0, 6, 3), 6)).is_empty());
    }

    #[test]
    fn an_unknown_sale_may_be_there_or_not() {
        let story = Story::stocked().held(2, 10, 12, 3, 7).command(3, 20, 0, commit(2), unknown()).0;
        assert_eq!(check(&story, &inventory(stock(0, 3, 3), 3)), []);
        assert_eq!(check(&story, &inventory(stock(0, 0, 2), 0)), []);
    }

    #[test]
    fn units_that_do_not_add_up_are_found() {
        let lost = StockSeen { on_hand: 9, ..stock(0, 3, 3) };
        let found = check(&sold_three(), &inventory(lost, 3));
        assert!(found.iter().any(|finding| finding.what.starts_with("H-QTY")), "{found:?}");
        assert!(found.iter().any(|finding| finding.what.starts_with("H-CONSERVE")), "{found:?}");
    }

    #[test]
    fn a_reservation_may_have_what_its_sku_is_short_of_and_nobody_told_it_and_no_more() {
        let lines_with = |short: u64, committed: u64| {
            let stock = StockSeen { short, ..stock(0, 3, 3) };
            account_of(&inventory(stock, committed))
        };
        assert_eq!(lines_with(2, 5), 0, "two of the five have lost their stock");
        assert_eq!(lines_with(2, 6), 1, "of the third nobody knows");
        assert_eq!(lines_with(2, 2), 1, "and none is missing");
        let mut told = inventory(StockSeen { short: 2, ..stock(0, 3, 3) }, 5);
        told.reservations.values_mut().for_each(|seen| seen.lines[0].short = 2);
        assert_eq!(account_of(&told), 1, "what its line says is short is not among what it has");
    }

    fn account_of(inventory: &Inventory) -> usize {
        let mut found = 0;
        account(inventory, &mut |_| found += 1);
        found
    }

    #[test]
    fn units_of_no_reservation_are_found() {
        let found = check(&sold_three(), &inventory(stock(2, 3, 3), 3));
        assert!(found.iter().any(|finding| finding.what.starts_with("H-HOLDS")), "{found:?}");
    }
}
