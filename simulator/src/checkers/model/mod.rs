//! What some SKUs and their reservations are, and what each command does to them: the sequential specification against
//! which histories are judged, written anew and kept small, so that it shares no mistake with the state machine.
//!
//! A model may be of some SKUs only. What a command does to others is then left out, and what it was told of them says
//! nothing; what remains is still true of every history that the whole model allows (locality: Herlihy and Wing,
//! "Linearizability: a correctness condition for concurrent objects", 1990).

mod reads;

use std::collections::BTreeMap;

pub use reads::CompiledRead;

use super::backorders::{HoldThatWaits, Terms};
use super::limits::CustomerLimit;
use super::lots::{HoldOfLots, Lots};
use super::shared_holds::SharedHolds;
use super::stocktakes::{CountAct, Counting};
use super::told::{Expires, Refusal, Told, told_fits};
use super::transfers::{Underway, UnderwayAct};
use crate::history::{Answer, Command, Done, END_OF_LOT_0_MS, Id, Phase, Request};

/// One SKU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stock {
    exists: bool,
    pub(super) on_hand: u64,
    pub(super) reserved: u64,
    pub(super) committed: u64,
    pub(super) received: u64,
    pub(super) shipped: u64,
    pub(super) adjusted: i64,
    pub(super) revision: u64,
    /// Of an item that is tracked by lot; there `on_hand` and `committed` are the lots' sums.
    pub(super) lots: Option<Lots>,
    pub(super) in_transit: u64,
    pub(super) incoming: u64,
    pub(super) sent: u64,
    pub(super) arrived: u64,
    pub(super) limit: Option<CustomerLimit>,
    /// Of an item of which units may be promised without stock.
    pub(super) terms: Option<Terms>,
    pub(super) backordered: u64,
}

impl Stock {
    fn free(&self) -> u64 {
        self.on_hand - self.reserved - self.committed
    }

    /// What may be promised.
    pub(super) fn atp(&self) -> u64 {
        self.lots.as_ref().map_or_else(|| self.free(), |lots| lots.free().saturating_sub(self.reserved))
    }

    /// Units that were sold leave.
    pub(super) fn ship(&mut self, units: u64) {
        self.on_hand -= units;
        self.committed -= units;
        self.shipped += units;
    }
}

/// One reservation. All commands are of the whole of it, so that its lines share one phase.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    pub(super) phase: Phase,
    pub(super) revision: u64,
    /// Which of the model's sets of lines it has.
    pub(super) lines: usize,
    /// The customer whose count it is in; 0: nobody's.
    customer: u8,
    /// When it expires at the earliest, in log time.
    pub(super) earliest: u64,
    /// When it expires at the latest; `None`: nobody was told.
    pub(super) latest: Option<u64>,
    /// Where its one line is of an item that is tracked by lot.
    pub(super) of_lots: Option<HoldOfLots>,
    /// Where its one line is of an item of which units may be promised without stock.
    pub(super) waits: Option<HoldThatWaits>,
}

impl Hold {
    pub(super) fn is_held(&self) -> bool {
        self.phase == Phase::Held
    }
}

#[cfg(test)]
impl Hold {
    /// One that is held.
    pub(super) fn held(earliest: u64) -> Self {
        Self {
            phase: Phase::Held,
            revision: 1,
            lines: 0,
            customer: 0,
            earliest,
            latest: None,
            of_lots: None,
            waits: None,
        }
    }
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Log time, as far as it is known.
    pub now: u64,
    pub(super) stocks: Vec<Stock>,
    pub(super) holds: SharedHolds,
    /// How many reservations were made of stock by lot, and of what may be promised without stock: the older have the lower numbers.
    pub(super) made: u64,
    pub(super) underway: Underway,
    pub(super) counting: Counting,
}

/// A line of the model: its number among the reservation's lines, its SKU and its units.
#[derive(Clone, Debug)]
pub(super) struct ModelLine {
    pub(super) number: usize,
    sku: usize,
    units: u64,
}

/// A request in the model's own numbers.
#[derive(Clone, Debug)]
pub(super) enum Act {
    PutItem { sku: usize, by_lot: bool },
    PutTerms { sku: usize, terms: Terms },
    Receive { sku: usize, units: u64 },
    ReceiveLot { sku: usize, lot: u8, units: u64 },
    Block { sku: usize, lot: u8, is_blocked: bool },
    Set { sku: usize, on_hand: u64, if_revision: u64 },
    PutLimit { sku: usize, units: u64 },
    Reserve { hold: usize, lines: usize, ttl_ms: u64, customer: u8 },
    Extend { hold: usize, ttl_ms: u64 },
    Commit { hold: usize },
    Release { hold: usize },
    Fulfil { hold: usize },
    Cancel { hold: usize },
    Underway(UnderwayAct),
    Ship { hold: usize, units: u64 },
    Counting(CountAct),
}

/// What a step was told, ready to be compared.
#[derive(Clone, Debug)]
pub enum Step {
    /// Commands: decided as the answers say, or, without answers, somehow.
    Commands(CompiledChain),
    /// A read and what it saw.
    Read(CompiledRead),
}

/// One command or a chain, in the model's own numbers.
#[derive(Clone, Debug)]
pub struct CompiledChain {
    acts: Vec<Option<Act>>,
    answers: Option<Vec<Answer>>,
}

/// Some SKUs with the reservations that may have lines of them.
#[derive(Debug, Default)]
pub struct Model {
    skus: BTreeMap<String, usize>,
    holds: BTreeMap<Id, usize>,
    pub(super) lines: Vec<Lines>,
    /// The SKUs that nobody is seen to make: they are there from the beginning.
    given: Vec<bool>,
}

#[derive(Clone, Debug)]
pub(super) struct Lines {
    /// The SKU of the reservation's very first line, where it is in the model.
    first: Option<usize>,
    pub(super) lines: Vec<ModelLine>,
}

impl Model {
    /// Of those SKUs and reservations.
    #[must_use]
    pub fn of<'a>(skus: impl IntoIterator<Item = &'a str>, holds: impl IntoIterator<Item = Id>) -> Self {
        let mut model = Self::default();
        for sku in skus {
            let next = model.skus.len();
            model.skus.entry(sku.to_owned()).or_insert(next);
        }
        for hold in holds {
            let next = model.holds.len();
            model.holds.entry(hold).or_insert(next);
        }
        model.given = vec![true; model.skus.len()];
        model
    }

    /// Nothing has happened yet.
    #[must_use]
    pub fn beginning(&self) -> State {
        let stock = |given: &bool| Stock { exists: *given, ..Stock::default() };
        State {
            now: 0,
            stocks: self.given.iter().map(stock).collect(),
            holds: SharedHolds::new(self.holds.len()),
            made: 0,
            underway: Underway::default(),
            counting: Counting::default(),
        }
    }

    /// Takes commands and their answers into the model's numbers; `None` where they have nothing to do with it.
    pub fn compile_commands(&mut self, commands: &[Command], answers: Option<&[Answer]>) -> Option<Step> {
        let acts: Vec<Option<Act>> = commands.iter().map(|command| self.compile(&command.request)).collect();
        acts.iter()
            .any(Option::is_some)
            .then(|| Step::Commands(CompiledChain { acts, answers: answers.map(<[Answer]>::to_vec) }))
    }

    fn compile(&mut self, request: &Request) -> Option<Act> {
        let hold = request.reservation().map(|id| self.holds.get(&id).copied());
        Some(match request {
            Request::PutItem { sku } | Request::PutItemByLot { sku } => {
                let sku = *self.skus.get(sku)?;
                self.given[sku] = false;
                Act::PutItem { sku, by_lot: matches!(request, Request::PutItemByLot { .. }) }
            }
            Request::PutItemToWaitFor { sku, cap, release_at_ms } => {
                let sku = *self.skus.get(sku)?;
                self.given[sku] = false;
                Act::PutTerms { sku, terms: Terms { cap: *cap, is_preorder: *release_at_ms > 0 } }
            }
            Request::ReceiveLot { sku, lot, units } => {
                Act::ReceiveLot { sku: *self.skus.get(sku)?, lot: *lot, units: u64::from(*units) }
            }
            Request::BlockLot { sku, lot } | Request::UnblockLot { sku, lot } => {
                let is_blocked = matches!(request, Request::BlockLot { .. });
                Act::Block { sku: *self.skus.get(sku)?, lot: *lot, is_blocked }
            }
            Request::Receive { sku, units } => Act::Receive { sku: *self.skus.get(sku)?, units: u64::from(*units) },
            Request::Set { sku, on_hand, if_revision } => {
                Act::Set { sku: *self.skus.get(sku)?, on_hand: *on_hand, if_revision: *if_revision }
            }
            Request::PutLimit { sku, units } => Act::PutLimit { sku: *self.skus.get(sku)?, units: u64::from(*units) },
            Request::Reserve { lines, ttl_s, customer, .. } => {
                let hold = hold??;
                let of_model = lines.iter().enumerate().filter_map(|(number, line)| {
                    let sku = *self.skus.get(&line.sku)?;
                    Some(ModelLine { number, sku, units: u64::from(line.units) })
                });
                let first = lines.first().and_then(|line| self.skus.get(&line.sku).copied());
                let lines = Lines { first, lines: of_model.collect() };
                self.lines.push(lines);
                let ttl_ms = u64::from(*ttl_s) * 1_000;
                Act::Reserve { hold, lines: self.lines.len() - 1, ttl_ms, customer: *customer }
            }
            // Where its lines lie is for others to judge.
            Request::ReserveThrough { .. } => return None,
            Request::Extend { ttl_s, .. } => Act::Extend { hold: hold??, ttl_ms: u64::from(*ttl_s) * 1_000 },
            Request::Commit { .. } => Act::Commit { hold: hold?? },
            Request::Release { .. } => Act::Release { hold: hold?? },
            Request::Fulfil { .. } => Act::Fulfil { hold: hold?? },
            Request::Cancel { .. } => Act::Cancel { hold: hold?? },
            // What is of kits is left out: another checker judges it.
            Request::PutKit { .. } | Request::ReserveKits { .. } => return None,
            // And what is sold and shipped line by line.
            Request::ReserveInParts { .. } | Request::Change { .. } => return None,
            // And what is of campaigns.
            Request::Allocate { .. } | Request::ReserveIn { .. } => return None,
            // And what is of orders with external steps.
            Request::ReserveToOrder { .. }
            | Request::StartOrder { .. }
            | Request::ReportStep { .. }
            | Request::ResolveOrder { .. } => return None,
            // And what is of lots by name, and recalled.
            Request::ReserveOfLots { .. } | Request::Pick { .. } | Request::Recall { .. } => return None,
            // And who is let into them.
            Request::JoinQueue { .. } | Request::CommitDraw { .. } | Request::Draw { .. } | Request::Admit { .. } => {
                return None;
            }
            Request::Send { .. }
            | Request::Arrive { .. }
            | Request::Lose { .. }
            | Request::CallBack { .. }
            | Request::Expect { .. }
            | Request::ReceiveExpected { .. }
            | Request::CloseReceipt { .. } => Act::Underway(UnderwayAct::of(request, &self.skus)?),
            Request::Ship { units, .. } => Act::Ship { hold: hold??, units: u64::from(*units) },
            Request::OpenCount { .. }
            | Request::RecordCount { .. }
            | Request::ApplyCount { .. }
            | Request::CancelCount { .. } => Act::Counting(CountAct::of(request, &self.skus)?),
        })
    }

    /// The log times within `from..=to` at which something may expire, in order.
    #[must_use]
    pub fn expiries(&self, state: &State, from: u64, to: u64) -> Vec<u64> {
        let holds = state.holds.may_expire(to).into_iter().map(|(_, hold)| hold.earliest);
        let lot_0 = Self::with_lot_0(state).next().map(|_| END_OF_LOT_0_MS + 1).filter(|at| *at <= to);
        let mut at: Vec<u64> = holds.chain(lot_0).filter(|at| *at >= from).collect();
        at.sort_unstable();
        at.dedup();
        at
    }

    /// The SKUs by lot whose lot 0, if there is any, is not over yet.
    fn with_lot_0(state: &State) -> impl Iterator<Item = usize> {
        let is_open = |stock: &Stock| stock.lots.as_ref().is_some_and(|lots| !lots.is_lot_0_over);
        state.stocks.iter().enumerate().filter(move |(_, stock)| is_open(stock)).map(|(sku, _)| sku)
    }

    /// The states that a moment of log time may find: what is known to be over is over, what nobody knows the end of may be.
    /// `None`: there are too many.
    #[must_use]
    pub fn at(&self, state: &State, now: u64) -> Option<Vec<State>> {
        let now = state.now.max(now);
        if now <= END_OF_LOT_0_MS || Self::with_lot_0(state).next().is_none() {
            return self.after_expiries(state, now);
        }
        // What ended before lot 0 did may have been ended by an entry before the one that found it over, or by that one, which
        // looks at the lots first; and log time may not have been known between them.
        let just_before = state.now.max(END_OF_LOT_0_MS);
        let ends = self.expiries(state, 0, just_before).into_iter().filter(|at| *at > state.now);
        let mut found: Vec<State> = Vec::new();
        for last in ends.chain([state.now]) {
            for mut before in self.after_expiries(state, last)? {
                for sku in Self::with_lot_0(&before).collect::<Vec<_>>() {
                    self.end_lot_0(&mut before, sku);
                }
                for after in self.after_expiries(&before, now)? {
                    if !found.contains(&after) {
                        found.push(after);
                    }
                }
            }
        }
        Some(found)
    }

    /// The same, whatever becomes of lots.
    fn after_expiries(&self, state: &State, now: u64) -> Option<Vec<State>> {
        const MOST: usize = 6;
        let mut state = State { now: state.now.max(now), ..state.clone() };
        let now = state.now;
        let (mut over, mut open) = (Vec::new(), Vec::new());
        for (at, hold) in state.holds.may_expire(now) {
            match hold.latest {
                Some(latest) if latest <= now => over.push(at),
                Some(_) => {}
                None => open.push(at),
            }
        }
        // What one gives back may fill another, so that the order tells: as they are over, the older first.
        over.sort_by_key(|at| {
            let number =
                |hold: &Hold| hold.of_lots.as_ref().map(|it| it.number).or(hold.waits.as_ref().map(|it| it.number));
            state.holds.get(*at).map(|hold| (hold.earliest, number(hold)))
        });
        for at in over {
            self.give_back(&mut state, at, Phase::Expired);
        }
        if open.len() > MOST {
            return None;
        }
        let mut states = vec![state];
        for hold in open {
            for at in 0..states.len() {
                let mut expired = states[at].clone();
                self.give_back(&mut expired, hold, Phase::Expired);
                states.push(expired);
            }
        }
        Some(states)
    }

    /// Whether a state may be found as it is at its own log time: nothing is held in it that is known to be over.
    #[must_use]
    pub fn is_settled(&self, state: &State) -> bool {
        state.holds.may_expire(state.now).into_iter().all(|(_, hold)| hold.latest.is_none())
    }

    /// Does a step, and says whether it may have been told what it was. The state is worth nothing where it may not.
    #[must_use]
    pub fn step(&self, state: &mut State, step: &Step) -> bool {
        match step {
            Step::Read(read) => self.sees(state, read),
            Step::Commands(chain) => match &chain.answers {
                Some(answers) => self.decides(state, &chain.acts, answers),
                None => self.may_do(state, &chain.acts),
            },
        }
    }

    /// Commands of unknown outcome: here only what they do where they are done; not being done is no step.
    fn may_do(&self, state: &mut State, acts: &[Option<Act>]) -> bool {
        acts.iter().flatten().all(|act| self.apply(state, act, false).is_ok())
    }

    fn decides(&self, state: &mut State, acts: &[Option<Act>], answers: &[Answer]) -> bool {
        let is_refused = answers.iter().any(|answer| matches!(answer, Answer::Refused(_)));
        let mut tried = state.clone();
        for (act, answer) in acts.iter().zip(answers) {
            let fits = match (act, answer) {
                (_, Answer::Refused(refused)) if refused.reason == "LINKED_COMMAND_FAILED" => {
                    // One before the culprit must have been possible; what comes after it was not tried.
                    act.as_ref().is_none_or(|act| self.apply(&mut tried, act, false).is_ok())
                }
                (None, Answer::Done(_)) => true,
                (None, Answer::Refused(_)) => return true,
                (Some(Act::Extend { hold, ttl_ms }), Answer::Done(done))
                    if has_revision(&tried, *hold, done.revision) =>
                {
                    self.stays(&mut tried, *hold, *ttl_ms, done)
                }
                (Some(act), Answer::Done(done)) => {
                    self.apply(&mut tried, act, true).is_ok_and(|told| told_fits(&mut tried, &told, done))
                }
                (Some(act), Answer::Refused(refused)) => {
                    return match self.apply(&mut tried, act, false) {
                        Ok(_) => self.is_about_others(act, refused),
                        Err(refusal) => self.refusal_fits(act, &refusal, refused),
                    };
                }
            };
            if !fits {
                return false;
            }
        }
        if !is_refused {
            *state = tried;
        }
        true
    }

    /// Whether an extension was right to change nothing: the hold expired no earlier than it asked for.
    fn stays(&self, state: &mut State, at: usize, ttl_ms: u64, done: &Done) -> bool {
        let asked = state.now + ttl_ms;
        let told = self.told_of_hold(state, at);
        holding(state, at).is_ok() && done.expires_at_ms >= asked && told_fits(state, &told, done)
    }

    fn give_back(&self, state: &mut State, at: usize, phase: Phase) {
        let Some(hold) = state.holds.get_mut(at) else { return };
        if hold.of_lots.is_some() {
            self.give_back_lots(state, at, phase);
            return;
        }
        if hold.waits.is_some() {
            self.give_back_waiting(state, at, phase);
            return;
        }
        let before = hold.phase;
        (hold.phase, hold.revision) = (phase, hold.revision + 1);
        let (lines, customer) = (hold.lines, hold.customer);
        self.change_stocks(state, lines, |stock, units| {
            match before {
                Phase::Held => stock.reserved -= units,
                Phase::Committed => stock.committed -= units,
                Phase::Fulfilled | Phase::Cancelled | Phase::Released | Phase::Expired => return,
            }
            if let Some(limit) = &mut stock.limit {
                limit.give_back(customer, units);
            }
        });
    }

    /// Changes each SKU of the lines, whose revision rises once however many lines it has.
    pub(super) fn change_stocks(&self, state: &mut State, lines: usize, change: impl Fn(&mut Stock, u64)) {
        let lines = &self.lines[lines].lines;
        for (at, line) in lines.iter().enumerate() {
            let stock = &mut state.stocks[line.sku];
            change(stock, line.units);
            if !lines[..at].iter().any(|other| other.sku == line.sku) {
                stock.revision += 1;
            }
        }
    }

    /// Does one command at the state's log time. `is_exact`: the log time is that of the command, so that the expiry of what
    /// it reserves is known; else it is only a lower bound.
    fn apply(&self, state: &mut State, act: &Act, is_exact: bool) -> Result<Told, Refusal> {
        match act {
            Act::PutItem { sku, by_lot } => {
                let is_lot_0_over = state.now > END_OF_LOT_0_MS;
                let stock = &mut state.stocks[*sku];
                stock.exists = true;
                if *by_lot && stock.lots.is_none() {
                    stock.lots = Some(Lots::empty(is_lot_0_over));
                }
                Ok(Told::default())
            }
            Act::PutTerms { sku, terms } => {
                state.stocks[*sku].exists = true;
                Ok(self.put_terms(state, *sku, *terms))
            }
            Act::ReceiveLot { sku, lot, units } => {
                let stock = existing(state, *sku)?;
                stock.on_hand += units;
                stock.received += units;
                stock.revision += 1;
                stock.lots.get_or_insert_default().receive(*lot, *units);
                self.settle(state, *sku);
                Ok(Told::of_stock(&state.stocks[*sku]))
            }
            Act::Block { sku, lot, is_blocked } => {
                existing(state, *sku)?;
                let revision = self.block(state, *sku, *lot, *is_blocked).ok_or(Refusal::UnknownLot)?;
                Ok(Told { revision: Some(revision), atp_after: Some(0), ..Told::default() })
            }
            Act::Receive { sku, units } => {
                let stock = existing(state, *sku)?;
                stock.on_hand += units;
                stock.received += units;
                stock.revision += 1;
                self.fill(state, *sku);
                Ok(Told::of_stock(&state.stocks[*sku]))
            }
            Act::Set { sku, on_hand, if_revision } => {
                let stock = existing(state, *sku)?;
                if stock.revision != *if_revision {
                    return Err(Refusal::RevisionMismatch { actual: stock.revision });
                }
                let gone = stock.on_hand.saturating_sub(*on_hand);
                if gone > stock.free() {
                    return Err(Refusal::InsufficientStock { line: 0, available: stock.free() });
                }
                stock.adjusted += *on_hand as i64 - stock.on_hand as i64;
                stock.on_hand = *on_hand;
                stock.revision += 1;
                Ok(Told::of_stock(stock))
            }
            Act::Underway(act) => self.apply_underway(state, act),
            Act::PutLimit { sku, units } => put_limit(existing(state, *sku)?, *units),
            Act::Reserve { hold, lines, ttl_ms, customer } => {
                self.reserve(state, *hold, *lines, (*ttl_ms, is_exact), *customer)
            }
            Act::Counting(act) => self.apply_counting(state, act),
            Act::Ship { hold, units } => self.ship(state, *hold, *units),
            Act::Extend { hold: at, ttl_ms } => {
                let now = state.now;
                let hold = holding(state, *at)?;
                hold.revision += 1;
                // The log time is only bounded here.
                (hold.earliest, hold.latest) = ((hold.earliest + 1).max(now + ttl_ms), None);
                Ok(self.told_of_hold(state, *at))
            }
            Act::Commit { hold } => self.commit(state, *hold),
            Act::Release { hold } => {
                holding(state, *hold)?;
                self.give_back(state, *hold, Phase::Released);
                Ok(self.told_of_hold(state, *hold))
            }
            Act::Fulfil { hold: at } => {
                let hold = Some(live(state, *at)?).filter(|hold| !hold.is_held()).ok_or(Refusal::ExceedsHeld)?;
                if hold.waits.is_some() {
                    self.fulfil_waiting(state, *at)?;
                    return Ok(self.told_of_hold(state, *at));
                }
                (hold.phase, hold.revision) = (Phase::Fulfilled, hold.revision + 1);
                let lines = hold.lines;
                self.change_stocks(state, lines, |stock, units| {
                    stock.ship(units);
                });
                Ok(self.told_of_hold(state, *at))
            }
            Act::Cancel { hold: at } => {
                let phase = match live(state, *at)?.phase {
                    Phase::Held => Phase::Released,
                    _ => Phase::Cancelled,
                };
                self.give_back(state, *at, phase);
                Ok(self.told_of_hold(state, *at))
            }
        }
    }

    fn ship(&self, state: &mut State, at: usize, units: u64) -> Result<Told, Refusal> {
        if live(state, at)?.phase == Phase::Held || !self.ship_lots(state, at, units) {
            return Err(Refusal::ExceedsHeld);
        }
        Ok(self.told_of_hold(state, at))
    }

    fn reserve(
        &self,
        state: &mut State,
        at: usize,
        lines: usize,
        (ttl_ms, is_exact): (u64, bool),
        customer: u8,
    ) -> Result<Told, Refusal> {
        if state.holds.get(at).is_some() {
            return Err(Refusal::Exists);
        }
        let asked = &self.lines[lines].lines;
        if asked.iter().any(|line| !state.stocks[line.sku].exists) {
            return Err(Refusal::UnknownSku);
        }
        // Only reservations of one line are taken of what may be promised without stock.
        let waits = match asked.first() {
            Some(line) => Self::promise(state, line.sku, line.number, line.units)?,
            None => None,
        };
        for (number, line) in asked.iter().enumerate().filter(|_| waits.is_none()) {
            let before = asked[..number].iter().filter(|other| other.sku == line.sku);
            let units = before.map(|other| other.units).sum::<u64>() + line.units;
            if let Some(limit) = &state.stocks[line.sku].limit {
                limit.check(customer, units, line.number)?;
            }
            let available = state.stocks[line.sku].atp();
            if units > available {
                return Err(Refusal::InsufficientStock { line: line.number, available });
            }
        }
        if waits.is_none() {
            self.change_stocks(state, lines, |stock, units| {
                stock.reserved += units;
                if let Some(limit) = &mut stock.limit {
                    limit.take(customer, units);
                }
            });
        }
        let earliest = state.now + ttl_ms;
        let latest = is_exact.then_some(earliest);
        let of_lots = asked.first().filter(|line| state.stocks[line.sku].lots.is_some()).map(|line| {
            state.made += 1;
            HoldOfLots::new(line.sku, line.units, state.made)
        });
        let hold = Hold { phase: Phase::Held, revision: 1, lines, customer, earliest, latest, of_lots, waits };
        state.holds.put(at, hold);
        Ok(Told { backordered: Self::waits_of(state, at), ..self.told_of_hold(state, at) })
    }

    pub(super) fn told_of_hold(&self, state: &State, at: usize) -> Told {
        let Some(hold) = state.holds.get(at) else { return Told::default() };
        let expires = match (hold.phase, hold.latest) {
            (Phase::Held, Some(latest)) => Expires::At(latest),
            (Phase::Held, None) => Expires::Unknown(hold.earliest),
            _ => Expires::Never,
        };
        let first = self.lines[hold.lines].first;
        Told {
            revision: Some(hold.revision),
            atp_after: first.map(|sku| state.stocks[sku].atp()),
            expires,
            phase: Some(hold.phase),
            hold: Some(at),
            backordered: 0,
        }
    }
}

fn put_limit(stock: &mut Stock, units: u64) -> Result<Told, Refusal> {
    let revision = stock.limit.get_or_insert_default().put(units);
    Ok(Told { revision: Some(revision), ..Told::default() })
}

fn has_revision(state: &State, at: usize, revision: u64) -> bool {
    state.holds.get(at).is_some_and(|hold| hold.revision == revision)
}

pub(super) fn existing(state: &mut State, sku: usize) -> Result<&mut Stock, Refusal> {
    Some(&mut state.stocks[sku]).filter(|stock| stock.exists).ok_or(Refusal::UnknownSku)
}

/// What is held or committed.
fn live(state: &mut State, at: usize) -> Result<&mut Hold, Refusal> {
    unless_gone(state, at, &[Phase::Held, Phase::Committed])
}

pub(super) fn holding(state: &mut State, at: usize) -> Result<&mut Hold, Refusal> {
    unless_gone(state, at, &[Phase::Held])
}

/// A hold to be changed, where it is in one of these phases: what is only looked at stays shared.
fn unless_gone<'a>(state: &'a mut State, at: usize, phases: &[Phase]) -> Result<&'a mut Hold, Refusal> {
    let hold = state.holds.get(at).ok_or(Refusal::ReservationNotFound)?;
    if !phases.contains(&hold.phase) {
        let at = hold.latest.filter(|_| hold.phase != Phase::Committed);
        return Err(Refusal::Gone(hold.phase, at));
    }
    state.holds.get_mut(at).ok_or(Refusal::ReservationNotFound)
}
