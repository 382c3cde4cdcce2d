//! What some SKUs and their reservations are, and what each command does to them: the sequential specification against
//! which histories are judged, written anew and kept small, so that it shares no mistake with the state machine.
//!
//! A model may be of some SKUs only. What a command does to others is then left out, and what it was told of them says
//! nothing; what remains is still true of every history that the whole model allows (locality: Herlihy and Wing,
//! "Linearizability: a correctness condition for concurrent objects", 1990).

use std::collections::BTreeMap;

use super::lots::{HoldOfLots, Lots};
use super::shared_holds::SharedHolds;
use super::transfers::{Underway, UnderwayAct};
use crate::history::{Answer, Command, Done, Id, LineSeen, Phase, Refused, Request, ReservationSeen, Seen, StockSeen};

/// One SKU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stock {
    exists: bool,
    pub(super) on_hand: u64,
    pub(super) reserved: u64,
    pub(super) committed: u64,
    pub(super) received: u64,
    shipped: u64,
    pub(super) adjusted: i64,
    pub(super) revision: u64,
    /// Of an item that is tracked by lot; there `on_hand` and `committed` are the lots' sums.
    pub(super) lots: Option<Lots>,
    pub(super) in_transit: u64,
    pub(super) incoming: u64,
    pub(super) sent: u64,
    pub(super) arrived: u64,
}

impl Stock {
    fn free(&self) -> u64 {
        self.on_hand - self.reserved - self.committed
    }

    /// What may be promised.
    pub(super) fn atp(&self) -> u64 {
        self.lots.as_ref().map_or_else(|| self.free(), |lots| lots.free().saturating_sub(self.reserved))
    }

    fn seen(&self) -> StockSeen {
        StockSeen {
            on_hand: self.on_hand,
            reserved: self.reserved,
            committed: self.committed,
            free: self.free(),
            atp: self.atp(),
            received: self.received,
            adjusted: self.adjusted,
            fulfilled: self.shipped,
            revision: self.revision,
            short: self.lots.as_ref().map_or(0, |lots| lots.short),
            in_transit: self.in_transit,
            incoming: self.incoming,
            sent: self.sent,
            arrived: self.arrived,
        }
    }
}

/// One reservation. All commands are of the whole of it, so that its lines share one phase.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    pub(super) phase: Phase,
    pub(super) revision: u64,
    /// Which of the model's sets of lines it has.
    lines: usize,
    /// When it expires at the earliest, in log time.
    pub(super) earliest: u64,
    /// When it expires at the latest; `None`: nobody was told.
    latest: Option<u64>,
    /// Where its one line is of an item that is tracked by lot.
    pub(super) of_lots: Option<HoldOfLots>,
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
        Self { phase: Phase::Held, revision: 1, lines: 0, earliest, latest: None, of_lots: None }
    }
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Log time, as far as it is known.
    pub now: u64,
    pub(super) stocks: Vec<Stock>,
    pub(super) holds: SharedHolds,
    /// How many reservations of stock by lot were made: the older have the lower numbers.
    made: u64,
    pub(super) underway: Underway,
}

/// A line of the model: its number among the reservation's lines, its SKU and its units.
#[derive(Clone, Debug)]
struct ModelLine {
    number: usize,
    sku: usize,
    units: u64,
}

/// A request in the model's own numbers.
#[derive(Clone, Debug)]
enum Act {
    PutItem { sku: usize, by_lot: bool },
    Receive { sku: usize, units: u64 },
    ReceiveLot { sku: usize, lot: u8, units: u64 },
    Block { sku: usize, lot: u8, is_blocked: bool },
    Set { sku: usize, on_hand: u64, if_revision: u64 },
    Reserve { hold: usize, lines: usize, ttl_ms: u64 },
    Extend { hold: usize, ttl_ms: u64 },
    Commit { hold: usize },
    Release { hold: usize },
    Fulfil { hold: usize },
    Cancel { hold: usize },
    Underway(UnderwayAct),
}

/// Why the model refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    UnknownSku,
    Exists,
    InsufficientStock { line: usize, available: u64 },
    RevisionMismatch { actual: u64 },
    ReservationNotFound,
    Gone(Phase, Option<u64>),
    ExceedsHeld,
    UnknownLot,
    HoldShort { units: u64 },
    TransferNotFound,
    ReceiptNotFound,
    AlreadyEnded,
    ExceedsInTransit { available: u64 },
}

/// What the model says of a command that it does.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// `None`: it is not for the model to say.
    pub(super) revision: Option<u64>,
    /// `None`: the first SKU is not in the model.
    pub(super) atp_after: Option<u64>,
    pub(super) expires: Expires,
    pub(super) phase: Option<Phase>,
    pub(super) hold: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Expires {
    #[default]
    Never,
    At(u64),
    /// Not before this.
    Unknown(u64),
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

/// A read, in the model's own numbers.
#[derive(Clone, Debug)]
pub struct CompiledRead {
    of: Of,
    seen: Seen,
}

#[derive(Clone, Copy, Debug)]
enum Of {
    Stock(usize),
    Hold(usize),
}

/// Some SKUs with the reservations that may have lines of them.
#[derive(Debug, Default)]
pub struct Model {
    skus: BTreeMap<String, usize>,
    holds: BTreeMap<Id, usize>,
    lines: Vec<Lines>,
    /// The SKUs that nobody is seen to make: they are there from the beginning.
    given: Vec<bool>,
}

#[derive(Clone, Debug)]
struct Lines {
    /// The SKU of the reservation's very first line, where it is in the model.
    first: Option<usize>,
    lines: Vec<ModelLine>,
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
        }
    }

    /// Takes commands and their answers into the model's numbers; `None` where they have nothing to do with it.
    pub fn compile_commands(&mut self, commands: &[Command], answers: Option<&[Answer]>) -> Option<Step> {
        let acts: Vec<Option<Act>> = commands.iter().map(|command| self.compile(&command.request)).collect();
        acts.iter()
            .any(Option::is_some)
            .then(|| Step::Commands(CompiledChain { acts, answers: answers.map(<[Answer]>::to_vec) }))
    }

    /// The same for a read.
    #[must_use]
    pub fn compile_read(&self, of: &crate::history::Subject, seen: &Seen) -> Option<Step> {
        let of = match of {
            crate::history::Subject::Stock(sku) => Of::Stock(*self.skus.get(sku)?),
            crate::history::Subject::Reservation(id) => Of::Hold(*self.holds.get(id)?),
        };
        Some(Step::Read(CompiledRead { of, seen: seen.clone() }))
    }

    fn compile(&mut self, request: &Request) -> Option<Act> {
        let hold = request.reservation().map(|id| self.holds.get(&id).copied());
        Some(match request {
            Request::PutItem { sku } | Request::PutItemByLot { sku } => {
                let sku = *self.skus.get(sku)?;
                self.given[sku] = false;
                Act::PutItem { sku, by_lot: matches!(request, Request::PutItemByLot { .. }) }
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
            Request::Reserve { lines, ttl_s, .. } => {
                let hold = hold??;
                let of_model = lines.iter().enumerate().filter_map(|(number, line)| {
                    let sku = *self.skus.get(&line.sku)?;
                    Some(ModelLine { number, sku, units: u64::from(line.units) })
                });
                let first = lines.first().and_then(|line| self.skus.get(&line.sku).copied());
                let lines = Lines { first, lines: of_model.collect() };
                self.lines.push(lines);
                Act::Reserve { hold, lines: self.lines.len() - 1, ttl_ms: u64::from(*ttl_s) * 1_000 }
            }
            Request::Extend { ttl_s, .. } => Act::Extend { hold: hold??, ttl_ms: u64::from(*ttl_s) * 1_000 },
            Request::Commit { .. } => Act::Commit { hold: hold?? },
            Request::Release { .. } => Act::Release { hold: hold?? },
            Request::Fulfil { .. } => Act::Fulfil { hold: hold?? },
            Request::Cancel { .. } => Act::Cancel { hold: hold?? },
            // What is of kits is left out: another checker judges it.
            Request::PutKit { .. } | Request::ReserveKits { .. } => return None,
            Request::Send { .. }
            | Request::Arrive { .. }
            | Request::Lose { .. }
            | Request::CallBack { .. }
            | Request::Expect { .. }
            | Request::ReceiveExpected { .. }
            | Request::CloseReceipt { .. } => Act::Underway(UnderwayAct::of(request, &self.skus)?),
        })
    }

    /// The log times within `from..=to` at which something may expire, in order.
    #[must_use]
    pub fn expiries(&self, state: &State, from: u64, to: u64) -> Vec<u64> {
        let holds = state.holds.may_expire(to).into_iter();
        let mut at: Vec<u64> = holds.map(|(_, hold)| hold.earliest).filter(|at| *at >= from).collect();
        at.sort_unstable();
        at.dedup();
        at
    }

    /// The states that a moment of log time may find: what is known to be over is over, what nobody knows the end of may be.
    /// `None`: there are too many.
    #[must_use]
    pub fn at(&self, state: &State, now: u64) -> Option<Vec<State>> {
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
            state.holds.get(*at).map(|hold| (hold.earliest, hold.of_lots.as_ref().map(|it| it.number)))
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

    /// Whether a refusal is for a SKU that is not in the model.
    fn is_about_others(&self, act: &Act, refused: &Refused) -> bool {
        let Act::Reserve { lines, .. } = act else { return false };
        let Some(number) = line_of(refused) else { return false };
        refused.reason == "INSUFFICIENT_STOCK" && !self.lines[*lines].lines.iter().any(|line| line.number == number)
    }

    fn refusal_fits(&self, act: &Act, refusal: &Refusal, refused: &Refused) -> bool {
        if self.is_about_others(act, refused) {
            // An earlier line would have been refused in its place.
            let first = line_of(refused);
            return match refusal {
                Refusal::InsufficientStock { line, .. } => first.is_some_and(|number| number < *line),
                _ => false,
            };
        }
        let number = |name: &str| refused.details.get(name).and_then(|text| text.parse::<u64>().ok());
        match refusal {
            Refusal::UnknownSku => refused.reason == "UNKNOWN_SKU",
            Refusal::Exists => refused.reason == "EXISTS",
            Refusal::InsufficientStock { line, available } => {
                let line_fits = !matches!(act, Act::Reserve { .. }) || line_of(refused) == Some(*line);
                refused.reason == "INSUFFICIENT_STOCK" && line_fits && number("available") == Some(*available)
            }
            Refusal::RevisionMismatch { actual } => {
                refused.reason == "REVISION_MISMATCH" && number("actual") == Some(*actual)
            }
            Refusal::ReservationNotFound => refused.reason == "RESERVATION_NOT_FOUND",
            Refusal::ExceedsHeld => refused.reason == "EXCEEDS_HELD_QUANTITY",
            Refusal::UnknownLot => refused.reason == "UNKNOWN_LOT",
            Refusal::TransferNotFound => refused.reason == "TRANSFER_NOT_FOUND",
            Refusal::ReceiptNotFound => refused.reason == "RECEIPT_NOT_FOUND",
            Refusal::AlreadyEnded => refused.reason == "ALREADY_ENDED",
            Refusal::ExceedsInTransit { available } => {
                refused.reason == "EXCEEDS_IN_TRANSIT" && number("available") == Some(*available)
            }
            Refusal::HoldShort { units } => refused.reason == "HOLD_SHORT" && number("units") == Some(*units),
            Refusal::Gone(phase, at) => {
                let reason = match phase {
                    Phase::Held => return false,
                    Phase::Committed => "ALREADY_COMMITTED",
                    Phase::Fulfilled => "ALREADY_FULFILLED",
                    Phase::Cancelled | Phase::Released => "ALREADY_RELEASED",
                    Phase::Expired => "RESERVATION_EXPIRED",
                };
                let expired_at = number("expired_at_ms");
                refused.reason == reason && (*phase != Phase::Expired || at.is_none() || *at == expired_at)
            }
        }
    }

    fn sees(&self, state: &mut State, read: &CompiledRead) -> bool {
        match (read.of, &read.seen) {
            (Of::Stock(sku), Seen::Stock(seen)) => {
                let stock = &state.stocks[sku];
                match seen {
                    None => !stock.exists,
                    // A SKU without stock has no level yet.
                    Some(seen) => stock.exists && *seen == stock.seen(),
                }
            }
            (Of::Hold(at), Seen::Reservation(seen)) => match (state.holds.get(at), seen) {
                (None, None) => true,
                // The protocol shows the expiry of what has not ended.
                (Some(hold), Some(seen)) => {
                    self.hold_fits(hold, seen)
                        && (hold.phase != Phase::Held || learn_expiry(&mut state.holds, at, seen.expires_at_ms))
                }
                (None, Some(_)) | (Some(_), None) => false,
            },
            (Of::Stock(_), Seen::Reservation(_)) | (Of::Hold(_), Seen::Stock(_)) => false,
        }
    }

    fn hold_fits(&self, hold: &Hold, seen: &ReservationSeen) -> bool {
        let line_fits = |line: &ModelLine| {
            let Some(seen) = seen.lines.get(line.number) else { return false };
            if let Some(of_lots) = &hold.of_lots {
                return of_lots.fits(hold.phase, line.units, seen);
            }
            let LineSeen { held, committed, fulfilled, given_back, .. } = seen;
            let of = |phases: &[Phase]| if phases.contains(&hold.phase) { line.units } else { 0 };
            let gone = of(&[Phase::Cancelled, Phase::Released, Phase::Expired]);
            (*held, *committed) == (of(&[Phase::Held]), of(&[Phase::Committed]))
                && (*fulfilled, *given_back) == (of(&[Phase::Fulfilled]), gone)
        };
        (seen.phase, seen.revision) == (hold.phase, hold.revision) && self.lines[hold.lines].lines.iter().all(line_fits)
    }

    fn give_back(&self, state: &mut State, at: usize, phase: Phase) {
        let Some(hold) = state.holds.get_mut(at) else { return };
        if hold.of_lots.is_some() {
            self.give_back_lots(state, at, phase);
            return;
        }
        let before = hold.phase;
        (hold.phase, hold.revision) = (phase, hold.revision + 1);
        let lines = hold.lines;
        self.change_stocks(state, lines, |stock, units| match before {
            Phase::Held => stock.reserved -= units,
            Phase::Committed => stock.committed -= units,
            Phase::Fulfilled | Phase::Cancelled | Phase::Released | Phase::Expired => {}
        });
    }

    /// Changes each SKU of the lines, whose revision rises once however many lines it has.
    fn change_stocks(&self, state: &mut State, lines: usize, change: impl Fn(&mut Stock, u64)) {
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
                let stock = &mut state.stocks[*sku];
                stock.exists = true;
                if *by_lot && stock.lots.is_none() {
                    stock.lots = Some(Lots::default());
                }
                Ok(Told::default())
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
                Ok(Told::of_stock(stock))
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
            Act::Reserve { hold, lines, ttl_ms } => self.reserve(state, *hold, *lines, *ttl_ms, is_exact),
            Act::Extend { hold: at, ttl_ms } => {
                let now = state.now;
                let hold = holding(state, *at)?;
                hold.revision += 1;
                // The log time is only bounded here.
                (hold.earliest, hold.latest) = ((hold.earliest + 1).max(now + ttl_ms), None);
                Ok(self.told_of_hold(state, *at))
            }
            Act::Commit { hold: at } if is_of_lots(state, *at) => {
                holding(state, *at)?;
                self.commit_lots(state, *at).map_err(|units| Refusal::HoldShort { units })?;
                Ok(self.told_of_hold(state, *at))
            }
            Act::Commit { hold: at } => {
                let hold = holding(state, *at)?;
                (hold.phase, hold.revision) = (Phase::Committed, hold.revision + 1);
                let lines = hold.lines;
                self.change_stocks(state, lines, |stock, units| {
                    stock.reserved -= units;
                    stock.committed += units;
                });
                Ok(self.told_of_hold(state, *at))
            }
            Act::Release { hold } => {
                holding(state, *hold)?;
                self.give_back(state, *hold, Phase::Released);
                Ok(self.told_of_hold(state, *hold))
            }
            Act::Fulfil { hold: at } => {
                let hold = live(state, *at)?;
                if hold.phase == Phase::Held {
                    return Err(Refusal::ExceedsHeld);
                }
                (hold.phase, hold.revision) = (Phase::Fulfilled, hold.revision + 1);
                let lines = hold.lines;
                self.change_stocks(state, lines, |stock, units| {
                    stock.on_hand -= units;
                    stock.committed -= units;
                    stock.shipped += units;
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

    fn reserve(
        &self,
        state: &mut State,
        at: usize,
        lines: usize,
        ttl_ms: u64,
        is_exact: bool,
    ) -> Result<Told, Refusal> {
        if state.holds.get(at).is_some() {
            return Err(Refusal::Exists);
        }
        let asked = &self.lines[lines].lines;
        if asked.iter().any(|line| !state.stocks[line.sku].exists) {
            return Err(Refusal::UnknownSku);
        }
        for (number, line) in asked.iter().enumerate() {
            let before = asked[..number].iter().filter(|other| other.sku == line.sku);
            let available = state.stocks[line.sku].atp();
            if before.map(|other| other.units).sum::<u64>() + line.units > available {
                return Err(Refusal::InsufficientStock { line: line.number, available });
            }
        }
        self.change_stocks(state, lines, |stock, units| stock.reserved += units);
        let earliest = state.now + ttl_ms;
        let latest = is_exact.then_some(earliest);
        let of_lots = asked.first().filter(|line| state.stocks[line.sku].lots.is_some()).map(|line| {
            state.made += 1;
            HoldOfLots::new(line.sku, line.units, state.made)
        });
        state.holds.put(at, Hold { phase: Phase::Held, revision: 1, lines, earliest, latest, of_lots });
        Ok(self.told_of_hold(state, at))
    }

    fn told_of_hold(&self, state: &State, at: usize) -> Told {
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
        }
    }
}

impl Told {
    fn of_stock(stock: &Stock) -> Self {
        Self { revision: Some(stock.revision), atp_after: Some(stock.atp()), ..Self::default() }
    }
}

fn has_revision(state: &State, at: usize, revision: u64) -> bool {
    state.holds.get(at).is_some_and(|hold| hold.revision == revision)
}

fn is_of_lots(state: &State, at: usize) -> bool {
    state.holds.get(at).is_some_and(|hold| hold.of_lots.is_some())
}

pub(super) fn existing(state: &mut State, sku: usize) -> Result<&mut Stock, Refusal> {
    Some(&mut state.stocks[sku]).filter(|stock| stock.exists).ok_or(Refusal::UnknownSku)
}

/// What is held or committed.
fn live(state: &mut State, at: usize) -> Result<&mut Hold, Refusal> {
    unless_gone(state, at, &[Phase::Held, Phase::Committed])
}

fn holding(state: &mut State, at: usize) -> Result<&mut Hold, Refusal> {
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

fn told_fits(state: &mut State, told: &Told, done: &Done) -> bool {
    let fits = told.revision.is_none_or(|revision| revision == done.revision)
        && told.atp_after.is_none_or(|atp| atp == done.atp_after)
        && told.phase == done.phase;
    fits && match told.expires {
        Expires::Never => done.expires_at_ms == 0,
        Expires::At(at) => done.expires_at_ms == at,
        Expires::Unknown(_) => told.hold.is_some_and(|at| learn_expiry(&mut state.holds, at, done.expires_at_ms)),
    }
}

/// Takes in when a hold expires, where it may be so.
fn learn_expiry(holds: &mut SharedHolds, at: usize, expires_at: u64) -> bool {
    match holds.get(at) {
        None => false,
        Some(Hold { latest: Some(latest), .. }) => *latest == expires_at,
        Some(Hold { earliest, .. }) if expires_at < *earliest => false,
        Some(_) => {
            if let Some(hold) = holds.get_mut(at) {
                (hold.earliest, hold.latest) = (expires_at, Some(expires_at));
            }
            true
        }
    }
}

/// The line that a refusal names.
fn line_of(refused: &Refused) -> Option<usize> {
    refused.field.strip_prefix("lines[")?.split(']').next()?.parse().ok()
}
