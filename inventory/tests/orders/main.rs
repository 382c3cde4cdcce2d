//! Reservations over several shards, under a network that loses, repeats and reorders what the shards say to one another, with
//! whoever carries it dying at any step: all of a reservation is held, or nothing is, and what is sold, shipped, given back and
//! returned of it is so on every shard, once.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without ends it")]

mod changes;
#[path = "../dice/mod.rs"]
mod dice;

use std::collections::BTreeMap;

use holdfast_inventory::commands::{
    Abandon, AskDecision, AskedLine, Follow, KitOf, Line, Plan, PutItem, PutLocation, PutSharedLimit, Receive, Reserve,
    ReserveSpread, Told,
};
use holdfast_inventory::{
    Applied, AttemptId, Backorder, BodyHash, Command, CommandId, CustomerHash, Entry, Inventory, ItemSpec, LimitId,
    LimitSpec, LimitWindow, Limits, LineCounts, LocationSpec, LogTime, Operation, Refusal, Reservation, ReservationId,
    ReservationState, Revision, SharedLimitSpec, Sku, Slot, SpreadPlan, Success, Units, invariants, slot_of,
};

use dice::Dice;

const SHARDS: u32 = 3;
const OPENING: u64 = 1_000_000;
/// How long an attempt may take until it is decided, in ms.
const DECIDED_WITHIN_MS: u64 = 10_000;

fn shard_of(slot: Slot) -> u32 {
    u32::from(slot.number()) % SHARDS
}

/// Two items of each shard.
fn skus() -> Vec<Sku> {
    let named = (0..200).map(|number| Sku::new(&format!("SKU-{number}")).unwrap());
    let mut skus: Vec<Sku> = Vec::new();
    for sku in named {
        let of_shard = skus.iter().filter(|other| shard_of(slot_of(other)) == shard_of(slot_of(&sku))).count();
        if of_shard < 2 {
            skus.push(sku);
        }
    }
    assert_eq!(skus.len(), 2 * SHARDS as usize);
    skus
}

/// What a shopper asked for, under one command id, however often it is tried.
struct Order {
    command: CommandId,
    reserve: Reserve,
    /// What the deciding shard said of it.
    decided: Option<Result<Success, Refusal>>,
}

/// One try of an order.
struct Attempt {
    order: usize,
    reserve: Reserve,
    plan: SpreadPlan,
    answers: Vec<Option<Result<Success, Refusal>>>,
    /// Whoever tried it is dead: nobody gathers its answers any more.
    is_dead: bool,
}

/// Something on its way to a shard.
#[derive(Clone)]
struct Letter {
    shard: u32,
    operation: Operation,
    reply_to: ReplyTo,
}

#[derive(Clone)]
enum ReplyTo {
    Nobody,
    Prepared {
        attempt: usize,
        part: usize,
    },
    Decided {
        order: usize,
        attempt: usize,
    },
    /// The shard that decides is to hear that the part has followed.
    Followed {
        slot: Slot,
        follow: Follow,
    },
    Asked {
        ask: AskDecision,
    },
}

struct World {
    dice: Dice,
    skus: Vec<Sku>,
    shards: Vec<Inventory>,
    now: u64,
    commands: u128,
    orders: Vec<Order>,
    attempts: Vec<Attempt>,
    letters: Vec<Letter>,
    /// Letters that come much later.
    late: Vec<Letter>,
    applied: Applied,
    /// Units that were said to be shipped.
    shipped: BTreeMap<Sku, u64>,
    /// Orders of which units were promised without stock.
    backordered: usize,
    /// Limits over several items, if there are any in this world.
    limits: Vec<(LimitId, Vec<Sku>)>,
    /// Every reservation that was made, as its deciding shard had it when it was last seen.
    seen: BTreeMap<ReservationId, Reservation>,
    /// Orders that a limit refused.
    beyond_limits: usize,
    /// Lines of which fewer were had than were asked for.
    fewer: usize,
    /// Sales and shipments of a part of what lies on several shards.
    in_parts: usize,
    /// Amends that took units of another shard back.
    amended: usize,
    /// Returns of units that another shard had shipped.
    returned_elsewhere: usize,
    /// What has come back, by item.
    returned: BTreeMap<Sku, u64>,
    /// Attempts that gave back what they held while others of their command went on.
    lost_races: usize,
}

/// Units of a limit's items that one customer may have together.
const LIMIT: u32 = 7;

fn counter_of(limit: &LimitId, customer: CustomerHash) -> Sku {
    Sku::of_counter(limit, customer).unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        // Little is remembered of what has ended, so that what comes late meets what is forgotten.
        let limits = Limits { sweep: 2, ended_reservations: 3, ..Limits::default() };
        let mut world = Self {
            dice: Dice(seed),
            skus: skus(),
            shards: (0..SHARDS).map(|_| Inventory::new(limits.clone())).collect(),
            now: OPENING,
            commands: 0,
            orders: Vec::new(),
            attempts: Vec::new(),
            letters: Vec::new(),
            late: Vec::new(),
            applied: Applied::default(),
            shipped: BTreeMap::new(),
            backordered: 0,
            limits: Vec::new(),
            seen: BTreeMap::new(),
            beyond_limits: 0,
            fewer: 0,
            in_parts: 0,
            amended: 0,
            returned_elsewhere: 0,
            returned: BTreeMap::new(),
            lost_races: 0,
        };
        if seed.is_multiple_of(2) {
            world.limit("five", &[0, 1, 2, 3, 4]);
            world.limit("two", &[3, 5]);
        }
        for shard in 0..SHARDS {
            let put =
                PutLocation { location: "main".parse().unwrap(), spec: LocationSpec::default(), if_revision: None };
            world.ask(shard, Operation::PutLocation(Box::new(put))).unwrap();
        }
        for sku in world.skus.clone() {
            let shard = shard_of(slot_of(&sku));
            // Every second item may be promised without stock.
            let may_wait = world.skus.iter().position(|other| *other == sku).unwrap().is_multiple_of(2);
            let backorder = if may_wait { Backorder::UpTo { cap: 4 } } else { Backorder::None };
            let spec = ItemSpec { backorder, ..ItemSpec::default() };
            let put = PutItem { sku: sku.clone(), spec, if_revision: None, if_absent: false };
            world.ask(shard, Operation::PutItem(Box::new(put))).unwrap();
            world.receive(&sku, if may_wait { 3 } else { 6 });
        }
        world
    }

    fn limit(&mut self, name: &str, skus: &[usize]) {
        let limit: LimitId = name.parse().unwrap();
        let mut skus: Vec<Sku> = skus.iter().map(|at| self.skus[*at].clone()).collect();
        skus.sort();
        let rule = LimitSpec { units: LIMIT, window: LimitWindow::ForEver, returns_restore: false, active: true };
        let spec = SharedLimitSpec { skus: skus.clone(), rule };
        for shard in 0..SHARDS {
            let put = PutSharedLimit { limit: limit.clone(), spec: spec.clone(), revision: Revision(1) };
            self.ask(shard, Operation::PutSharedLimit(Box::new(put))).unwrap();
        }
        self.limits.push((limit, skus));
    }

    /// The same reserve with the counters of the limits; now and then of a caller who does not know of them.
    fn counted(&mut self, mut reserve: Reserve) -> Reserve {
        if !self.dice.one_in(10) {
            let over = |sku: &Sku| {
                let limits = self.limits.iter().filter(|(_, skus)| skus.contains(sku));
                limits.map(|(id, _)| id.clone()).collect()
            };
            reserve.count_under(BodyHash(7), over).unwrap();
        }
        reserve
    }

    /// Units that count of a customer under a limit, counted anew from every reservation that was made, as it was last seen.
    fn taken(&self, skus: &[Sku], customer: CustomerHash) -> u64 {
        let made = self.seen.values().filter(|made| made.customer == Some(customer));
        let lines = made.flat_map(|made| &made.lines).filter(|line| skus.contains(&line.sku));
        let units = |units: &LineCounts| {
            let all = [units.held, units.backordered, units.short, units.committed, units.fulfilled];
            all.iter().sum::<u64>() + units.backordered_sold + units.short_sold
        };
        lines.map(|line| units(&line.units)).sum()
    }

    /// Sees what became of the reservations that a shard decides.
    fn see(&mut self, deciding: u32) {
        for order in self.orders.iter().filter(|_| !self.limits.is_empty()) {
            let id = order.reserve.reservation;
            if shard_of(id.slot()) == deciding
                && let Some(made) = self.shards[deciding as usize].reservation(id)
            {
                self.seen.insert(id, made);
            }
        }
    }

    /// No customer has more than a limit allows, whatever is on its way.
    fn check_limits(&self) {
        for (limit, skus) in &self.limits {
            for customer in [CustomerHash(1), CustomerHash(2)] {
                let taken = self.taken(skus, customer);
                assert!(taken <= u64::from(LIMIT), "{customer:?} has {taken} under {limit}");
            }
        }
    }

    /// In the end the counters have what the reservations say, no more and no less.
    fn check_counters(&self) {
        for (limit, skus) in &self.limits {
            for customer in [CustomerHash(1), CustomerHash(2)] {
                let shard = shard_of(slot_of(&counter_of(limit, customer)));
                let count = self.shards[shard as usize].shared_count(limit, customer).unwrap();
                assert_eq!(count.held + count.bought, self.taken(skus, customer), "{customer:?} under {limit}");
            }
        }
    }

    fn receive(&mut self, sku: &Sku, units: u32) {
        let (location, units) = ("main".parse().unwrap(), Units(units));
        let receive = Receive { sku: sku.clone(), location, lot: None, lot_spec: None, receipt: None, units };
        self.ask(shard_of(slot_of(sku)), Operation::Receive(receive)).unwrap();
    }

    /// Decides a command of its own id.
    fn ask(&mut self, shard: u32, operation: Operation) -> Result<Success, Refusal> {
        self.commands += 1;
        let (id, body) = (CommandId(1 << 100 | self.commands), BodyHash(self.commands));
        self.apply(shard, id, body, operation)
    }

    fn apply(&mut self, shard: u32, id: CommandId, body: BodyHash, operation: Operation) -> Result<Success, Refusal> {
        // The shards' clocks differ a little.
        let time = LogTime(self.now + u64::from(shard) * 300);
        let minted_at = LogTime(OPENING);
        let command = Command { id, minted_at, keyed: false, body, linked: false, cause: None, operation };
        let state = &mut self.shards[shard as usize];
        state.apply(&Entry { time, commands: vec![command] }, &mut self.applied);
        assert_eq!(invariants::check(state), Vec::new());
        self.see(shard);
        let state = &mut self.shards[shard as usize];
        if self.dice.one_in(40) {
            assert_eq!(state.digest(), state.recompute_digest());
            state.mark_all_changed();
            let cut = state.cut();
            let loaded = Inventory::load(&cut.header(), cut.encode()).unwrap();
            assert_eq!(loaded.digest(), state.digest());
            *state = loaded;
        }
        self.applied.answers[0].outcome.clone()
    }

    fn place_order(&mut self) {
        let number = self.orders.len() as u64;
        let first = self.dice.index(self.skus.len());
        let lines = (0..1 + self.dice.index(4)).map(|at| Line {
            sku: self.skus[(first + at * (1 + self.dice.index(2))) % self.skus.len()].clone(),
            location: "main".parse().unwrap(),
            units: Units(1 + self.dice.index(2) as u32),
            lot: None,
            optional: self.dice.one_in(6),
            no_backorder: self.dice.one_in(6),
            min_units: None,
        });
        let mut lines: Vec<Line> = lines.collect();
        for line in lines.iter_mut().filter(|line| line.units.0 > 1) {
            line.min_units = Some(Units(1)).filter(|_| self.dice.one_in(3));
        }
        let is_planned = self.dice.one_in(3);
        // What was asked for may be a kit: of what it became its own shard may have nothing.
        let of_kit = if is_planned { self.dice.index(self.skus.len()) } else { 0 };
        let slot = slot_of(if is_planned { &self.skus[of_kit] } else { &lines[0].sku });
        let reserve = Reserve {
            reservation: ReservationId::mint(OPENING + number, slot, number),
            lines,
            ttl_s: 30,
            partial_ok: self.dice.one_in(8),
            order_ref: None,
            customer: (!self.dice.one_in(8)).then(|| CustomerHash(1 + u128::from(self.dice.next() % 2))),
            channel: None,
            campaign: None,
            plan: None,
            pass: None,
        };
        let reserve = if is_planned { self.as_planned(reserve) } else { reserve };
        self.orders.push(Order { command: CommandId(u128::from(number) + 1), reserve, decided: None });
        self.try_order(number as usize);
    }

    /// The same with neighbours among its lines worked out from one asked line.
    fn as_planned(&mut self, mut reserve: Reserve) -> Reserve {
        let mut asked: Vec<AskedLine> = Vec::new();
        let mut of = Vec::new();
        for line in &mut reserve.lines {
            if asked.is_empty() || self.dice.one_in(2) {
                let kit = KitOf { sku: "KIT".parse().unwrap(), revision: Revision(1) };
                let kit = Some(kit).filter(|_| self.dice.one_in(2));
                let units = 1 + self.dice.index(3) as u32;
                let least = Units(1 + self.dice.index(units as usize) as u32);
                let min_units = Some(least).filter(|_| self.dice.one_in(2));
                asked.push(AskedLine { units: Units(units), optional: line.optional, kit, min_units });
            }
            of.push(asked.len() as u16 - 1);
            let asked = asked.last().unwrap();
            (line.optional, line.min_units) = (asked.optional, None);
            line.units = Units(line.units.0 * asked.units.0);
        }
        reserve.plan = Some(Box::new(Plan { request: BodyHash(7), asked, of, sourced: None, counters: vec![] }));
        reserve
    }

    /// What this attempt asks for: a request that becomes other lines may become others each time.
    fn replan(&mut self, mut reserve: Reserve) -> Reserve {
        if reserve.plan.is_some() && self.dice.one_in(3) {
            let last = reserve.lines.len() - 1;
            if last > 0 {
                reserve.lines[last].sku = self.skus[self.dice.index(self.skus.len())].clone();
            }
        }
        self.counted(reserve)
    }

    fn try_order(&mut self, order: usize) {
        let reserve = self.replan(self.orders[order].reserve.clone());
        let (command, reserve) = (&self.orders[order].command, &reserve);
        let deadline = LogTime(self.now + DECIDED_WITHIN_MS);
        let attempt = AttemptId(self.attempts.len() as u64 + 1);
        match SpreadPlan::of(*command, reserve, attempt, deadline, shard_of) {
            None => {
                let (shard, operation) = (shard_of(reserve.reservation.slot()), Operation::Reserve(reserve.clone()));
                let reply_to = ReplyTo::Decided { order, attempt: usize::MAX };
                self.letters.push(Letter { shard, operation, reply_to });
            }
            Some(plan) => {
                let attempt = self.attempts.len();
                for (part, (slot, prepare)) in plan.prepares.iter().enumerate() {
                    let operation = Operation::Prepare(Box::new(prepare.clone()));
                    let reply_to = ReplyTo::Prepared { attempt, part };
                    self.letters.push(Letter { shard: shard_of(*slot), operation, reply_to });
                }
                let answers = vec![None; plan.prepares.len()];
                self.attempts.push(Attempt { order, reserve: reserve.clone(), plan, answers, is_dead: false });
            }
        }
    }

    /// One letter arrives; now and then it comes once more, or what is answered gets lost.
    fn deliver(&mut self, at: usize) {
        let letter = if self.dice.one_in(8) { self.letters[at].clone() } else { self.letters.swap_remove(at) };
        let outcome = match &letter.reply_to {
            ReplyTo::Decided { order, .. } => {
                let id = self.orders[*order].command;
                self.apply(letter.shard, id, BodyHash(id.0), letter.operation.clone())
            }
            _ => self.ask(letter.shard, letter.operation.clone()),
        };
        if let ReplyTo::Decided { order, .. } = &letter.reply_to
            && outcome.as_ref().err().is_none_or(Refusal::is_recorded)
        {
            let is_new = self.orders[*order].decided.is_none();
            if is_new && outcome.is_ok() {
                self.check_groups(*order);
            }
            let is_backordered = outcome.as_ref().is_ok_and(|success| success.backordered.is_some());
            self.backordered += usize::from(is_new && is_backordered);
            self.check_limits();
            self.beyond_limits += usize::from(is_new && matches!(outcome, Err(Refusal::CustomerLimitExceeded { .. })));
            let decided = self.orders[*order].decided.get_or_insert_with(|| outcome.clone());
            assert_eq!(*decided, outcome, "an order is decided once");
        }
        if self.dice.one_in(10) {
            return;
        }
        self.reply(letter, outcome);
    }

    /// A reservation just after it was made has of the lines that come from one all, none, or of each as large a part, which is no
    /// less than the least that was asked for.
    fn check_groups(&mut self, order: usize) {
        let reserve = &self.orders[order].reserve;
        let id = reserve.reservation;
        let made = self.shards[shard_of(id.slot()) as usize].reservation(id).unwrap();
        let mut had: BTreeMap<usize, u64> = BTreeMap::new();
        for (at, (line, asked)) in made.lines.iter().zip(&reserve.lines).enumerate() {
            let (of, units, least) = match &reserve.plan {
                Some(plan) => {
                    let of = usize::from(plan.of[at]);
                    (of, plan.asked[of].units.count(), plan.asked[of].min_units)
                }
                None => (at, asked.units.count(), asked.min_units),
            };
            let taken = line.units.held + line.units.backordered;
            assert_eq!(taken * units % asked.units.count(), 0, "{id}: line {at} has a part of one: {made:?}");
            let number = taken * units / asked.units.count();
            let least = least.map_or(units, Units::count);
            let may_be_none = reserve.partial_ok || asked.optional;
            assert!((number == 0 && may_be_none) || (least..=units).contains(&number), "{id}: line {at}: {made:?}");
            assert_eq!(*had.entry(of).or_insert(number), number, "{id}: line {at} goes with others: {made:?}");
            self.fewer += usize::from(number > 0 && number < units);
        }
        for (of, asked) in made.plan.iter().flat_map(|plan| plan.asked.iter().enumerate()) {
            if let Some(number) = had.get(&of).filter(|number| **number > 0 && asked.kit.is_some()) {
                assert_eq!(asked.units.count(), *number, "{id}: it says how many kits are held: {made:?}");
            }
        }
    }

    fn reply(&mut self, letter: Letter, outcome: Result<Success, Refusal>) {
        match letter.reply_to {
            ReplyTo::Nobody => {}
            ReplyTo::Prepared { attempt, part } => {
                self.attempts[attempt].answers[part] = Some(outcome);
                self.decide(attempt);
            }
            ReplyTo::Decided { attempt, .. } => {
                if outcome.is_err_and(|refusal| refusal.is_recorded()) && attempt < self.attempts.len() {
                    self.give_back(attempt);
                }
            }
            ReplyTo::Followed { slot, follow } => {
                if !matches!(outcome, Ok(_) | Err(Refusal::ReservationNotFound)) {
                    panic!("a part does not follow: {outcome:?}");
                }
                let Follow { reservation, attempt, version, .. } = follow;
                let operation = Operation::Told(Told { reservation, slot, attempt, version });
                let shard = shard_of(reservation.slot());
                self.letters.push(Letter { shard, operation, reply_to: ReplyTo::Nobody });
            }
            ReplyTo::Asked { ask: AskDecision { reservation, slot, attempts, .. } } => {
                if outcome == Err(Refusal::ReservationNotFound) {
                    let operation = Operation::Abandon(Abandon { reservation, attempts });
                    self.letters.push(Letter { shard: shard_of(slot), operation, reply_to: ReplyTo::Nobody });
                }
            }
        }
    }

    /// What was prepared for an attempt that is known to make nothing is given back.
    fn give_back(&mut self, attempt: usize) {
        let abandons = self.attempts[attempt].plan.prepares.iter().map(|(slot, prepare)| Letter {
            shard: shard_of(*slot),
            operation: Operation::Abandon(Abandon {
                reservation: prepare.reserve.reservation,
                attempts: vec![prepare.attempt],
            }),
            reply_to: ReplyTo::Nobody,
        });
        self.letters.extend(abandons);
    }

    fn decide(&mut self, attempt: usize) {
        let Attempt { order, reserve, plan, answers, is_dead } = &self.attempts[attempt];
        if *is_dead {
            return;
        }
        let Some(answers) = answers.iter().cloned().collect::<Option<Vec<_>>>() else { return };
        let reserve = reserve.clone();
        let decision: ReserveSpread = match plan.decision(reserve, &answers) {
            Ok(decision) => decision,
            // Whoever planned it plans anew: this attempt is never decided, while others of the same command may be.
            Err(Refusal::LimitNotAsked { .. }) => {
                self.attempts[attempt].is_dead = true;
                self.lost_races += 1;
                return self.give_back(attempt);
            }
            // A shard that was asked after the deadline holds nothing, and this attempt comes to nothing.
            Err(_) => return,
        };
        let shard = shard_of(decision.reserve.reservation.slot());
        let (operation, order) = (Operation::ReserveSpread(Box::new(decision)), *order);
        self.letters.push(Letter { shard, operation, reply_to: ReplyTo::Decided { order, attempt } });
    }

    /// What a shard has to say by itself.
    fn look_after(&mut self, shard: u32) {
        let state = &self.shards[shard as usize];
        for (slot, follow) in state.parts_behind(8) {
            let operation = Operation::Follow(Box::new(follow.clone()));
            self.letters.push(Letter {
                shard: shard_of(slot),
                operation,
                reply_to: ReplyTo::Followed { slot, follow },
            });
        }
        for ask in state.parts_in_doubt(LogTime(self.now), 8) {
            let (shard, operation) = (shard_of(ask.reservation.slot()), Operation::AskDecision(ask.clone()));
            self.letters.push(Letter { shard, operation, reply_to: ReplyTo::Asked { ask } });
        }
    }

    fn step(&mut self) {
        match self.dice.index(20) {
            0 => self.place_order(),
            1 if !self.orders.is_empty() => {
                let order = self.dice.index(self.orders.len());
                self.try_order(order);
            }
            2 | 3 => self.change_order(),
            4 => {
                let shard = self.dice.index(SHARDS as usize) as u32;
                self.look_after(shard);
            }
            10 if self.dice.one_in(4) => {
                let sku = self.skus[self.dice.index(self.skus.len())].clone();
                let units = 1 + self.dice.index(2) as u32;
                self.receive(&sku, units);
            }
            5 => self.now += [10, 1_000, 15_000][self.dice.index(3)],
            6 if !self.attempts.is_empty() => {
                let at = self.dice.index(self.attempts.len());
                self.attempts[at].is_dead = true;
            }
            8 if !self.letters.is_empty() => {
                let at = self.dice.index(self.letters.len());
                self.late.push(self.letters.swap_remove(at));
            }
            9 if !self.late.is_empty() && self.dice.one_in(4) => {
                let at = self.dice.index(self.late.len());
                self.letters.push(self.late.swap_remove(at));
            }
            7 if !self.letters.is_empty() => drop(self.letters.swap_remove(self.dice.index(self.letters.len()))),
            _ if !self.letters.is_empty() => {
                let at = self.dice.index(self.letters.len());
                self.deliver(at);
            }
            _ => {}
        }
    }

    /// Everybody lives, and everything arrives in the end.
    fn heal(&mut self) {
        self.letters.append(&mut self.late);
        for _ in 0..200 {
            while let Some(letter) = self.letters.pop() {
                self.letters.push(letter);
                self.deliver(self.letters.len() - 1);
            }
            self.now += 5_000;
            for shard in 0..SHARDS {
                self.shards[shard as usize]
                    .apply(&Entry { time: LogTime(self.now + 600), commands: vec![] }, &mut self.applied);
                self.see(shard);
                self.look_after(shard);
            }
            let is_in_doubt = |shard: &Inventory| !shard.parts_in_doubt(LogTime(u64::MAX), 1).is_empty();
            if self.letters.is_empty() && !self.shards.iter().any(is_in_doubt) {
                return;
            }
        }
        panic!("the shards still have something to say to one another");
    }

    /// What was shipped left its shard, once.
    fn check_shipped(&self) {
        for sku in &self.skus {
            let flow = self.shards[shard_of(slot_of(sku)) as usize].totals(sku).unwrap().flow;
            assert_eq!(flow.shipped, self.shipped.get(sku).copied().unwrap_or(0), "{sku}");
            assert_eq!(flow.returned, self.returned.get(sku).copied().unwrap_or(0), "{sku}");
        }
    }

    /// Every part has what its whole says, and there is no part without a whole.
    fn check_agreement(&self) {
        for order in &self.orders {
            let id = order.reserve.reservation;
            let deciding = shard_of(id.slot());
            let whole = self.shards[deciding as usize].reservation(id);
            let parts: BTreeMap<u32, Reservation> = (0..SHARDS)
                .filter(|shard| *shard != deciding)
                .filter_map(|shard| Some((shard, self.shards[shard as usize].reservation(id)?)))
                .collect();
            match whole {
                None => {
                    let is_ended = |part: &Reservation| part.state.is_ended();
                    assert!(parts.values().all(is_ended), "{id}: parts without a whole: {parts:?}");
                }
                Some(whole) => {
                    for (shard, part) in parts {
                        let lines = whole.lines.iter().filter(|line| shard_of(slot_of(&line.sku)) == shard);
                        if part.state == ReservationState::Aborted {
                            // One that a later attempt took, once the whole's own had followed to its end and was forgotten.
                            let is_over = |units: &holdfast_inventory::LineCounts| {
                                units.held + units.backordered + units.short == 0
                                    && units.committed + units.backordered_sold + units.short_sold == 0
                            };
                            assert!(lines.clone().all(|line| is_over(&line.units)), "{id}: {part:?} of {whole:?}");
                            continue;
                        }
                        let lines: Vec<_> = lines.map(|line| (&line.sku, line.units)).collect();
                        let of_part: Vec<_> = part.lines.iter().map(|line| (&line.sku, line.units)).collect();
                        assert_eq!(lines, of_part, "{id} on shard {shard}");
                    }
                }
            }
        }
    }
}

/// What has come up.
#[derive(Debug, Default)]
struct Tally {
    made: usize,
    refused: usize,
    backordered: usize,
    beyond_limits: usize,
    fewer: usize,
    in_parts: usize,
    amended: usize,
    returned_elsewhere: usize,
    lost_races: usize,
}

fn run(seed: u64, tally: &mut Tally) {
    let mut world = World::new(seed);
    for _ in 0..1_500 {
        world.step();
    }
    world.heal();
    world.check_agreement();
    world.check_shipped();
    world.check_limits();
    world.check_counters();
    let spread = world.orders.iter().filter(|order| {
        order
            .reserve
            .lines
            .iter()
            .any(|line| shard_of(slot_of(&line.sku)) != shard_of(order.reserve.reservation.slot()))
    });
    let decided: Vec<bool> = spread.filter_map(|order| Some(order.decided.as_ref()?.is_ok())).collect();
    let made = decided.iter().filter(|is_ok| **is_ok).count();
    tally.made += made;
    tally.refused += decided.len() - made;
    tally.backordered += world.backordered;
    tally.beyond_limits += world.beyond_limits;
    tally.fewer += world.fewer;
    tally.in_parts += world.in_parts;
    tally.amended += world.amended;
    tally.returned_elsewhere += world.returned_elsewhere;
    tally.lost_races += world.lost_races;
}

#[test]
fn what_lies_on_several_shards_is_held_sold_and_given_back_whole_or_not_at_all() {
    let seed = std::env::var("HOLDFAST_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let seeds = std::env::var("ORDERS_SEEDS").ok().map_or(60, |seeds| seeds.parse().unwrap());
    let mut tally = Tally::default();
    for seed in seed.map_or(1..=seeds, |seed| seed..=seed) {
        println!("replay: HOLDFAST_SEED={seed} cargo test -p holdfast-inventory --test orders");
        run(seed, &mut tally);
    }
    println!("{tally:?}");
    if seed.is_none() {
        let Tally { made, refused, backordered, beyond_limits, fewer, lost_races, in_parts, amended, .. } = tally;
        let all = [made, refused, backordered, beyond_limits, fewer, lost_races, in_parts, amended];
        assert!(!all.contains(&0) && tally.returned_elsewhere > 0, "something never came up");
    }
}
