//! Orders with external steps against a second, naive model: what each order should be is worked out from what was told of it and when.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without ends it")]

use holdfast_inventory::commands::{
    Line, PutItem, PutLocation, Receive, ReportStep, Reserve, ResolveOrder, StartOrder, StepReport,
};
use holdfast_inventory::{
    Applied, BodyHash, Command, CommandId, Compensation, Entry, Inventory, ItemSpec, Limits, LocationSpec, LogTime,
    Operation, OrderState, ReservationId, ReservationState, Slot, StepKind, StepSpec, StepState, Units, invariants,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

const OPENING_S: u64 = 1_000;
/// Few, so that orders that come to nothing and are confirmed after all meet others.
const STOCK: u32 = 4;
/// How long any step may take, and any taking back.
const STEP_S: u64 = 10;

#[derive(Clone, Debug)]
enum Wish {
    /// Steps, and whether each is taken back.
    Begin(Vec<bool>),
    Report {
        back: u8,
        step: u8,
        undo: bool,
        done: bool,
    },
    Resolve {
        back: u8,
        confirm: bool,
    },
    Wait(u64),
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        3 => prop::collection::vec(prop::bool::weighted(0.7), 1..4).prop_map(Wish::Begin),
        8 => (0..3_u8, 0..3_u8, prop::bool::weighted(0.4), prop::bool::weighted(0.8))
            .prop_map(|(back, step, undo, done)| Wish::Report { back, step, undo, done }),
        2 => (0..3_u8, any::<bool>()).prop_map(|(back, confirm)| Wish::Resolve { back, confirm }),
        2 => (1..12_u64).prop_map(Wish::Wait),
    ]
}

/// An order as the model has it: which step is done or taken back at present, and since when.
struct Told {
    undoable: Vec<bool>,
    states: Vec<StepState>,
    state: OrderState,
    since_s: u64,
    /// Some step ran out of time.
    silent: bool,
    resolved: bool,
    /// The units came to an end by time, so that they may be tried for anew.
    expired: bool,
}

impl Told {
    fn current(&self) -> Option<usize> {
        let busy = [StepState::Running, StepState::Compensating];
        self.states.iter().position(|state| busy.contains(state))
    }

    /// The present step comes out so.
    fn becomes(&mut self, state: StepState, now_s: u64) {
        let at = self.current().unwrap();
        self.states[at] = state;
        match state {
            StepState::Done if at + 1 == self.states.len() => self.state = OrderState::Confirmed,
            StepState::Done => (self.states[at + 1], self.since_s) = (StepState::Running, now_s),
            _ => {
                self.silent |= state == StepState::Unknown;
                if self.state == OrderState::Running {
                    (self.state, self.expired) =
                        (OrderState::Compensating, state == StepState::Unknown && !self.resolved);
                }
                self.go_back(now_s);
            }
        }
    }

    fn go_back(&mut self, now_s: u64) {
        let left = [StepState::Done, StepState::Unknown];
        for at in (0..self.states.len()).rev() {
            if self.undoable[at] && left.contains(&self.states[at]) {
                (self.states[at], self.since_s) = (StepState::Compensating, now_s);
                return;
            }
        }
        let failed = self.states.contains(&StepState::CompensationFailed);
        let is_stuck = failed || (self.silent && !self.resolved);
        self.state = if is_stuck { OrderState::Stuck } else { OrderState::Aborted };
    }

    /// Time has passed.
    fn pass(&mut self, now_s: u64) {
        while let Some(at) = self.current() {
            if now_s < self.since_s + STEP_S {
                return;
            }
            let is_undone = self.states[at] == StepState::Compensating;
            let state = if is_undone { StepState::CompensationFailed } else { StepState::Unknown };
            // Both start anew from when it is seen.
            self.becomes(state, now_s);
        }
    }
}

struct World {
    inventory: Inventory,
    now_s: u64,
    ids: u64,
    told: Vec<(ReservationId, Told)>,
}

impl World {
    fn new() -> Self {
        let mut world =
            Self { inventory: Inventory::new(Limits::default()), now_s: OPENING_S, ids: 0, told: Vec::new() };
        let location = "PAR".parse().unwrap();
        let put = PutLocation { location, spec: LocationSpec::default(), if_revision: None };
        assert!(world.run(Operation::PutLocation(Box::new(put))));
        let put =
            PutItem { sku: "rouge".parse().unwrap(), spec: ItemSpec::default(), if_revision: None, if_absent: false };
        assert!(world.run(Operation::PutItem(Box::new(put))));
        assert!(world.run(Operation::Receive(Receive {
            sku: "rouge".parse().unwrap(),
            location: "PAR".parse().unwrap(),
            units: Units(STOCK),
            lot: None,
            lot_spec: None,
            receipt: None,
        })));
        world
    }

    fn run(&mut self, operation: Operation) -> bool {
        self.ids += 1;
        let command = Command {
            id: CommandId(u128::from(self.ids)),
            minted_at: LogTime(self.now_s * 1_000),
            keyed: false,
            body: BodyHash(u128::from(self.ids)),
            linked: false,
            cause: None,
            operation,
        };
        let mut applied = Applied::default();
        let entry = Entry { time: LogTime(self.now_s * 1_000), commands: vec![command] };
        self.inventory.apply(&entry, &mut applied);
        applied.answers[0].outcome.is_ok()
    }

    fn free(&self) -> u32 {
        let holds = [OrderState::Running, OrderState::Confirmed];
        STOCK - self.told.iter().filter(|(_, told)| holds.contains(&told.state)).count() as u32
    }

    fn play(&mut self, wish: &Wish) -> Result<(), TestCaseError> {
        self.told.iter_mut().for_each(|(_, told)| told.pass(self.now_s));
        match wish {
            Wish::Wait(seconds) => self.now_s += seconds,
            Wish::Begin(undoable) => self.begin(undoable)?,
            Wish::Report { back, step, undo, done } => self.report(*back, *step, *undo, *done)?,
            Wish::Resolve { back, confirm } => self.resolve(*back, *confirm)?,
        }
        Ok(())
    }

    fn begin(&mut self, undoable: &[bool]) -> Result<(), TestCaseError> {
        let reservation = ReservationId::mint(1, Slot::new(3).unwrap(), self.told.len() as u64);
        let line = Line {
            sku: "rouge".parse().unwrap(),
            location: "PAR".parse().unwrap(),
            lot: None,
            units: Units(1),
            optional: false,
            no_backorder: false,
            min_units: None,
        };
        let reserve = Reserve {
            reservation,
            lines: vec![line],
            ttl_s: 5,
            partial_ok: false,
            order_ref: None,
            customer: None,
            channel: None,
            campaign: None,
            plan: None,
            pass: None,
        };
        let is_free = self.free() > 0;
        prop_assert_eq!(self.run(Operation::Reserve(reserve)), is_free);
        if !is_free {
            return Ok(());
        }
        let step = |(at, undoable): (usize, &bool)| StepSpec {
            name: format!("s{at}").parse().unwrap(),
            kind: StepKind::Await,
            deadline_ms: STEP_S * 1_000,
            max_attempts: 1,
            compensation: if *undoable { Compensation::Await } else { Compensation::None },
            compensation_deadline_ms: STEP_S * 1_000,
            payload: Vec::new(),
        };
        let steps = undoable.iter().enumerate().map(step).collect();
        let start = Operation::StartOrder(Box::new(StartOrder { reservation, steps }));
        prop_assert!(self.run(start));
        let mut states = vec![StepState::Waiting; undoable.len()];
        states[0] = StepState::Running;
        self.told.push((
            reservation,
            Told {
                undoable: undoable.to_vec(),
                states,
                state: OrderState::Running,
                since_s: self.now_s,
                silent: false,
                resolved: false,
                expired: false,
            },
        ));
        Ok(())
    }

    /// One of the last orders.
    fn recent(&self, back: u8) -> Option<usize> {
        self.told.len().checked_sub(1 + usize::from(back))
    }

    fn report(&mut self, back: u8, step: u8, undo: bool, done: bool) -> Result<(), TestCaseError> {
        let Some(at) = self.recent(back) else { return Ok(()) };
        let (order, told) = &mut self.told[at];
        let (order, step) = (*order, usize::from(step));
        let waited_for = if undo { StepState::Compensating } else { StepState::Running };
        let mut expected = None;
        if told.states.get(step) == Some(&waited_for) {
            expected = Some(true);
            let state = match (undo, done) {
                (false, true) => StepState::Done,
                (false, false) => StepState::Failed,
                (true, true) => StepState::Compensated,
                (true, false) => StepState::CompensationFailed,
            };
            told.becomes(state, self.now_s);
        } else if step >= told.states.len() || told.states[step] == StepState::Waiting {
            expected = Some(false);
        } else if undo && done && told.states[step] == StepState::CompensationFailed {
            let is_open = !told.state.is_ended();
            expected = Some(is_open);
            if is_open {
                told.states[step] = StepState::Compensated;
            }
        }
        let report = if done {
            StepReport::Done { answer: b"ok".to_vec(), is_fallback: false }
        } else {
            StepReport::Failed { why: "no".to_owned() }
        };
        let step = format!("s{step}").parse().unwrap();
        let report = ReportStep { order, step, is_compensation: undo, report, attempt: 0 };
        let is_ok = self.run(Operation::ReportStep(Box::new(report)));
        if let Some(expected) = expected {
            prop_assert_eq!(is_ok, expected);
        }
        Ok(())
    }

    fn resolve(&mut self, back: u8, confirm: bool) -> Result<(), TestCaseError> {
        let Some(at) = self.recent(back) else { return Ok(()) };
        let is_free = self.free() > 0;
        let (order, told) = &mut self.told[at];
        let order = *order;
        let expected = match (told.state, confirm) {
            (OrderState::Confirmed, confirm) => confirm,
            (OrderState::Aborted, confirm) => !confirm,
            (OrderState::Running | OrderState::Compensating, true) => false,
            (OrderState::Running, false) => {
                told.resolved = true;
                told.becomes(StepState::Unknown, self.now_s);
                true
            }
            (OrderState::Compensating, false) => {
                told.resolved = true;
                true
            }
            (OrderState::Stuck, false) => {
                told.state = OrderState::Aborted;
                true
            }
            (OrderState::Stuck, true) => {
                let can_be = told.expired && is_free;
                if can_be {
                    told.state = OrderState::Confirmed;
                }
                can_be
            }
        };
        let resolve = ResolveOrder { order, confirm, reason: "looked".to_owned() };
        prop_assert_eq!(self.run(Operation::ResolveOrder(resolve)), expected);
        Ok(())
    }

    /// What is there is what the model says.
    fn agree(&mut self) -> Result<(), TestCaseError> {
        self.told.iter_mut().for_each(|(_, told)| told.pass(self.now_s));
        self.inventory
            .apply(&Entry { time: LogTime(self.now_s * 1_000), commands: Vec::new() }, &mut Applied::default());
        prop_assert_eq!(invariants::check(&self.inventory), []);
        for (id, told) in &self.told {
            let order = self.inventory.order(*id).unwrap();
            let states: Vec<StepState> = order.steps.iter().map(|step| step.state).collect();
            prop_assert_eq!((order.state, &states), (told.state, &told.states));
            let reservation = self.inventory.reservation(*id).unwrap().state;
            let expected = match told.state {
                OrderState::Running => ReservationState::Held,
                OrderState::Confirmed => ReservationState::Committed,
                OrderState::Compensating | OrderState::Stuck | OrderState::Aborted if told.expired => {
                    ReservationState::Expired
                }
                OrderState::Compensating | OrderState::Stuck | OrderState::Aborted => ReservationState::Released,
            };
            prop_assert_eq!(reservation, expected);
        }
        let levels = self.inventory.stock(&"rouge".parse().unwrap()).unwrap();
        prop_assert_eq!(levels[0].atp, u64::from(self.free()));
        let open = self.told.iter().filter(|(_, told)| !told.state.is_ended()).count();
        prop_assert_eq!(self.inventory.open_orders(), open as u64);
        Ok(())
    }
}

proptest! {
    #[test]
    fn every_order_is_what_was_told_of_it(wishes in prop::collection::vec(wish(), 1..60)) {
        let mut world = World::new();
        for wish in &wishes {
            world.play(wish)?;
            world.agree()?;
        }
        // A copy made from what is written of it is the same.
        let cut = world.inventory.cut();
        let loaded = Inventory::load(&cut.header(), cut.encode()).unwrap();
        prop_assert_eq!(loaded.digest(), world.inventory.digest());
        prop_assert_eq!(invariants::check(&loaded), []);
    }
}
