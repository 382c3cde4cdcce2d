//! A shop for tests: one shard with two locations and a few items, and words for what happens in it.

use crate::commands::{
    Adjust, Amend, ApplyCount, ArrivedUnits, BlockLot, Cancel, CancelCount, CancelTransfer, CloseReceipt, Commit,
    CommitDraw, CountedUnits, CreateTransfer, Discrepancy, DocumentLine, Draw, ExpectReceipt, Extend, Fulfil, Grant,
    IfExpired, JoinQueue, Line, LoseTransfer, MoveUnits, OpenCount, Picked, PreparedPart, PutCampaign, PutChannel,
    PutItem, PutLimit, PutLocation, PutLot, Receive, ReceiveTransfer, Reconcile, RecordCount, Release, ReportStep,
    Reserve, ReserveSpread, ResolveOrder, Return, Set, StartOrder, StepReport,
};
use crate::{
    Answer, Applied, AttemptId, BodyHash, CampaignAdmission, CampaignSpec, ChannelSpec, Command, CommandId, Commitment,
    Compensation, Condition, CountId, CustomerHash, Digest, Entry, EventKind, Inventory, ItemSpec, LimitSpec,
    LimitWindow, Limits, LineUnits, LocationSpec, LogTime, LotDates, LotSpec, LotStatus, Operation, Pass, ReceiptId,
    Refusal, Reservation, ReservationId, Revision, Seed, Slot, StepKind, StepSpec, StockLevel, Success, TransferId,
    Units, invariants,
};

/// A day, in seconds.
pub(crate) const DAY_S: u64 = 86_400;

/// When every shop opens.
pub(crate) const OPENING: u64 = 1_000_000;

/// One shard, with the locations `PAR` and `LYO` and the tracked items `rouge` and `mascara`.
pub(crate) struct Shop {
    pub(crate) inventory: Inventory,
    pub(crate) applied: Applied,
    now: u64,
    ids: u64,
}

impl Shop {
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        let inventory = Inventory::new(limits);
        let mut shop = Self { inventory, applied: Applied::default(), now: OPENING, ids: 0 };
        for location in ["PAR", "LYO"] {
            shop.put_location(location, true).expect("a location is made");
        }
        for sku in ["rouge", "mascara"] {
            shop.put_item(sku, ItemSpec::default()).expect("an item is made");
        }
        shop
    }

    /// The same with so many units of `rouge` in `PAR`.
    pub(crate) fn with_rouge(units: u32) -> Self {
        let mut shop = Self::new();
        shop.receive("rouge", "PAR", units).expect("units arrive");
        shop
    }

    /// The same with the item `cream`, tracked by lot, and units at `PAR` of lots that leave sale after so many days.
    pub(crate) fn with_cream(lots: &[(&str, u64, u32)]) -> Self {
        let mut shop = Self::new();
        shop.put_item("cream", ItemSpec { lot_tracked: true, ..ItemSpec::default() }).expect("an item is made");
        for (lot, days, units) in lots {
            shop.receive_lot("cream", lot, *days, *units).expect("units arrive");
        }
        shop
    }

    pub(crate) fn after_s(&mut self, seconds: u64) -> &mut Self {
        self.now += seconds * 1_000;
        self
    }

    /// A command with an id of its own.
    pub(crate) fn command(&mut self, operation: Operation) -> Command {
        self.ids += 1;
        Command {
            id: CommandId(u128::from(self.ids)),
            minted_at: LogTime(self.now),
            keyed: false,
            body: BodyHash(u128::from(self.ids)),
            linked: false,
            cause: None,
            operation,
        }
    }

    /// Applies one entry and checks every invariant after it.
    pub(crate) fn apply(&mut self, commands: Vec<Command>) -> Vec<Answer> {
        let entry = Entry { time: LogTime(self.now), commands };
        self.inventory.apply(&entry, &mut self.applied);
        assert_eq!(invariants::check(&self.inventory), []);
        assert_eq!(self.inventory.digest(), self.inventory.recompute_digest());
        self.applied.answers.clone()
    }

    pub(crate) fn tick(&mut self) {
        self.apply(Vec::new());
    }

    pub(crate) fn run(&mut self, operation: Operation) -> Result<Success, Refusal> {
        let command = self.command(operation);
        self.apply(vec![command]).remove(0).outcome
    }

    /// Commands that succeed or fail together.
    pub(crate) fn chain(&mut self, operations: Vec<Operation>) -> Vec<Command> {
        let mut commands: Vec<Command> = operations.into_iter().map(|operation| self.command(operation)).collect();
        let last = commands.len() - 1;
        commands[..last].iter_mut().for_each(|command| command.linked = true);
        commands
    }

    pub(crate) fn events(&self) -> Vec<EventKind> {
        self.applied.events.iter().map(|event| event.body.kind).collect()
    }

    /// The state as it comes back from its chunks.
    pub(crate) fn reload(&mut self) {
        let of = &self.inventory;
        let chunks = of.chunk_ids().into_iter().map(|id| (id, of.encode_chunk(id).expect("it is there")));
        self.inventory = Inventory::load(&of.encode_header(), chunks).expect("it is whole");
    }

    pub(crate) fn digest(&self) -> Digest {
        self.inventory.digest()
    }

    // What happens.

    pub(crate) fn put_location(&mut self, location: &str, active: bool) -> Result<Success, Refusal> {
        let spec = LocationSpec { active, ..LocationSpec::default() };
        let put = PutLocation { location: location.parse().expect("a name"), spec, if_revision: None };
        self.run(Operation::PutLocation(Box::new(put)))
    }

    /// Of the next revision.
    pub(crate) fn put_channel(&mut self, id: &str, locations: &[&str], buffer: u32) -> Result<Success, Refusal> {
        let channel = id.parse().expect("a name");
        let locations = locations.iter().map(|id| id.parse().expect("a name")).collect();
        let revision = self.inventory.channel(&channel).map_or(Revision(1), |known| known.revision.next());
        let spec = ChannelSpec { locations, buffer, active: true };
        self.run(Operation::PutChannel(Box::new(PutChannel { channel, spec, revision })))
    }

    /// A campaign that begins and ends so many seconds from now.
    pub(crate) fn put_campaign(&mut self, id: &str, from_s: u64, to_s: u64) -> Result<Success, Refusal> {
        self.put_room(id, CampaignAdmission::None, from_s, to_s)
    }

    /// The same with that admission.
    pub(crate) fn put_room(
        &mut self,
        id: &str,
        admission: CampaignAdmission,
        from_s: u64,
        to_s: u64,
    ) -> Result<Success, Refusal> {
        let at = |seconds: u64| LogTime(self.now + seconds * 1_000);
        let (starts_at, ends_at) = (at(from_s), at(to_s));
        let spec = CampaignSpec { starts_at, ends_at, admission, closed: false };
        let campaign = id.parse().expect("a name");
        self.run(Operation::PutCampaign(Box::new(PutCampaign { campaign, spec, revision: Revision(1) })))
    }

    /// 10 units of `rouge`, and a campaign `drop` with that admission, which sells from the first to the sixtieth minute.
    pub(crate) fn with_room(admission: CampaignAdmission) -> Self {
        let mut shop = Self::with_rouge(10);
        let (starts_at, ends_at) = (LogTime(shop.now + 60_000), LogTime(shop.now + 3_600_000));
        let spec = CampaignSpec { starts_at, ends_at, admission, closed: false };
        let campaign = "drop".parse().expect("a name");
        shop.run(Operation::PutCampaign(Box::new(PutCampaign { campaign, spec, revision: Revision(1) }))).expect("new");
        shop
    }

    /// A customer joins the queue of `drop`.
    pub(crate) fn join(&mut self, customer: u128) -> Result<Success, Refusal> {
        let campaign = "drop".parse().expect("a name");
        self.run(Operation::JoinQueue(Box::new(JoinQueue { campaign, customer: CustomerHash(customer) })))
    }

    pub(crate) fn commit_draw(&mut self, commitment: Commitment) -> Result<Success, Refusal> {
        let campaign = "drop".parse().expect("a name");
        self.run(Operation::CommitDraw(Box::new(CommitDraw { campaign, commitment })))
    }

    pub(crate) fn draw(&mut self, seed: Seed) -> Result<Success, Refusal> {
        let campaign = "drop".parse().expect("a name");
        self.run(Operation::Draw(Box::new(Draw { campaign, seed })))
    }

    /// Holds units of `rouge` in `drop`.
    pub(crate) fn reserve_with(&mut self, number: u64, units: u32, pass: Option<Pass>) -> Result<Success, Refusal> {
        let Operation::Reserve(mut reserve) = reserve(number, &[("rouge", units)]) else { unreachable!("it is one") };
        (reserve.campaign, reserve.pass) = (Some("drop".parse().expect("a name")), pass);
        self.run(Operation::Reserve(reserve))
    }

    /// Ends a campaign by hand.
    pub(crate) fn close_campaign(&mut self, id: &str) -> Result<Success, Refusal> {
        let known = self.inventory.campaign(&id.parse().expect("a name")).expect("it is known");
        let spec = CampaignSpec { closed: true, ..known.spec };
        let put = PutCampaign { campaign: known.id, spec, revision: known.revision.next() };
        self.run(Operation::PutCampaign(Box::new(put)))
    }

    /// At `PAR`.
    pub(crate) fn grant(&mut self, id: &str, sku: &str, units: u32) -> Result<Success, Refusal> {
        let (campaign, sku) = (id.parse().expect("a name"), sku.parse().expect("a name"));
        let location = "PAR".parse().expect("a name");
        self.run(Operation::Grant(Box::new(Grant { campaign, sku, location, units: Units(units) })))
    }

    pub(crate) fn put_item(&mut self, sku: &str, spec: ItemSpec) -> Result<Success, Refusal> {
        let put = PutItem { sku: sku.parse().expect("a name"), spec, if_revision: None, if_absent: false };
        self.run(Operation::PutItem(Box::new(put)))
    }

    pub(crate) fn receive(&mut self, sku: &str, location: &str, units: u32) -> Result<Success, Refusal> {
        self.run(receive(sku, location, units))
    }

    /// Units arrive at `PAR` of a lot that leaves sale so many days after the opening.
    pub(crate) fn receive_lot(&mut self, sku: &str, lot: &str, days: u64, units: u32) -> Result<Success, Refusal> {
        let Operation::Receive(mut receive) = receive(sku, "PAR", units) else { unreachable!("it is one") };
        receive.lot = Some(lot.parse().expect("a name"));
        receive.lot_spec = Some(Box::new(LotSpec { dates: dates(days), ..LotSpec::default() }));
        self.run(Operation::Receive(receive))
    }

    pub(crate) fn block(&mut self, lot: &str, status: LotStatus) -> Result<Success, Refusal> {
        let (sku, lot) = ("cream".parse().expect("a name"), lot.parse().expect("a name"));
        self.run(Operation::BlockLot(BlockLot { sku, lot, status }))
    }

    /// Holds units of `cream` of a lot by name.
    pub(crate) fn reserve_of(&mut self, number: u64, lot: &str, units: u32) -> Result<Success, Refusal> {
        let Operation::Reserve(mut reserve) = reserve(number, &[("cream", units)]) else { unreachable!("it is one") };
        reserve.lines[0].lot = Some(lot.parse().expect("a name"));
        self.run(Operation::Reserve(reserve))
    }

    pub(crate) fn adjust(&mut self, sku: &str, delta: i64, condition: Condition) -> Result<Success, Refusal> {
        let (sku, location) = (sku.parse().expect("a name"), "PAR".parse().expect("a name"));
        self.run(Operation::Adjust(Adjust { sku, location, lot: None, delta, condition }))
    }

    pub(crate) fn set(&mut self, sku: &str, on_hand: u64, if_revision: u64) -> Result<Success, Refusal> {
        let (sku, location) = (sku.parse().expect("a name"), "PAR".parse().expect("a name"));
        self.run(Operation::Set(Set { sku, location, lot: None, on_hand, if_revision: Revision(if_revision) }))
    }

    pub(crate) fn reserve(&mut self, number: u64, lines: &[(&str, u32)]) -> Result<Success, Refusal> {
        self.run(reserve(number, lines))
    }

    pub(crate) fn amend(&mut self, number: u64, lines: &[(&str, u32)]) -> Result<Success, Refusal> {
        self.run(Operation::Amend(Amend { reservation: id(number), lines: lines_of(lines) }))
    }

    pub(crate) fn extend(&mut self, number: u64, ttl_s: u32) -> Result<Success, Refusal> {
        self.run(Operation::Extend(Extend { reservation: id(number), ttl_s }))
    }

    pub(crate) fn commit(&mut self, number: u64) -> Result<Success, Refusal> {
        self.run(commit(number))
    }

    pub(crate) fn commit_with(&mut self, number: u64, change: impl FnOnce(&mut Commit)) -> Result<Success, Refusal> {
        let mut commit = Commit {
            reservation: id(number),
            parts: vec![],
            last: false,
            if_expired: IfExpired::Fail,
            cancel_at: None,
        };
        change(&mut commit);
        self.run(Operation::Commit(commit))
    }

    pub(crate) fn release(&mut self, number: u64) -> Result<Success, Refusal> {
        self.run(Operation::Release(Release { reservation: id(number) }))
    }

    pub(crate) fn fulfil(&mut self, number: u64, parts: &[(u32, u32)]) -> Result<Success, Refusal> {
        self.run(Operation::Fulfil(Fulfil { reservation: id(number), parts: picks_of(parts, None) }))
    }

    /// Ships units picked of that lot.
    pub(crate) fn fulfil_of(&mut self, number: u64, parts: &[(u32, u32)], lot: &str) -> Result<Success, Refusal> {
        let parts = picks_of(parts, Some(lot));
        self.run(Operation::Fulfil(Fulfil { reservation: id(number), parts }))
    }

    pub(crate) fn cancel(&mut self, number: u64) -> Result<Success, Refusal> {
        self.run(Operation::Cancel(Cancel { reservation: id(number) }))
    }

    pub(crate) fn take_back(
        &mut self,
        number: u64,
        parts: &[(u32, u32)],
        location: Option<&str>,
        condition: Condition,
    ) -> Result<Success, Refusal> {
        let location = location.map(|location| location.parse().expect("a name"));
        self.run(Operation::Return(Return {
            reservation: id(number),
            parts: picks_of(parts, None),
            location,
            condition,
        }))
    }

    /// Units of lots leave `PAR` for `LYO`.
    pub(crate) fn send(&mut self, number: u64, sku: &str, lines: &[(Option<&str>, u32)]) -> Result<Success, Refusal> {
        self.run(transfer(number, sku, lines))
    }

    pub(crate) fn take_in(&mut self, number: u64, parts: &[(u32, u32, Condition)]) -> Result<Success, Refusal> {
        self.run(receive_transfer(number, parts))
    }

    pub(crate) fn lose(&mut self, number: u64, parts: &[(u32, u32)]) -> Result<Success, Refusal> {
        let (transfer, parts) = (transfer_id(number), parts_of(parts));
        self.run(Operation::LoseTransfer(LoseTransfer { transfer, parts }))
    }

    pub(crate) fn call_back(&mut self, number: u64) -> Result<Success, Refusal> {
        self.run(Operation::CancelTransfer(CancelTransfer { transfer: transfer_id(number) }))
    }

    /// Units of lots are expected at `PAR`.
    pub(crate) fn expect(&mut self, number: u64, sku: &str, lines: &[(Option<&str>, u32)]) -> Result<Success, Refusal> {
        self.run(Operation::ExpectReceipt(ExpectReceipt {
            receipt: receipt_id(number),
            sku: sku.parse().expect("a name"),
            location: "PAR".parse().expect("a name"),
            lines: document_lines(lines),
            expected_at: None,
        }))
    }

    pub(crate) fn close(&mut self, number: u64) -> Result<Success, Refusal> {
        self.run(Operation::CloseReceipt(CloseReceipt { receipt: receipt_id(number) }))
    }

    /// One customer may have so many units of an item, for ever.
    pub(crate) fn limit(&mut self, name: &str, sku: &str, units: u32) {
        let spec = LimitSpec { units, window: LimitWindow::ForEver, returns_restore: false, active: true };
        let (limit, sku) = (name.parse().expect("a name"), sku.parse().expect("a name"));
        self.run(Operation::PutLimit(PutLimit { limit, sku, spec, if_revision: None, campaign: None }))
            .expect("a limit is made");
    }

    pub(crate) fn open_count(&mut self, number: u64, sku: &str) -> Result<Success, Refusal> {
        self.run(open_count(number, sku))
    }

    pub(crate) fn record_count(&mut self, number: u64, lot: Option<&str>, units: u64) -> Result<Success, Refusal> {
        self.run(record_count(number, lot, units))
    }

    pub(crate) fn record_count_of(
        &mut self,
        number: u64,
        lot: Option<&str>,
        condition: Condition,
        units: u64,
    ) -> Result<Success, Refusal> {
        let Operation::RecordCount(mut record) = record_count(number, lot, units) else { unreachable!("it is one") };
        record.lines[0].condition = condition;
        self.run(Operation::RecordCount(record))
    }

    pub(crate) fn apply_count(&mut self, number: u64) -> Result<Success, Refusal> {
        self.run(apply_count(number))
    }

    pub(crate) fn cancel_count(&mut self, number: u64) -> Result<Success, Refusal> {
        self.run(Operation::CancelCount(CancelCount { count: count_id(number) }))
    }

    /// Makes a lot known of which nothing has come yet.
    pub(crate) fn put_lot(&mut self, sku: &str, lot: &str, days: u64) -> Result<Success, Refusal> {
        let (sku, lot) = (sku.parse().expect("a name"), lot.parse().expect("a name"));
        let spec = LotSpec { dates: dates(days), ..LotSpec::default() };
        self.run(Operation::PutLot(Box::new(PutLot { sku, lot, spec, if_revision: None })))
    }

    /// Gives units of a lot at `PAR` another condition.
    pub(crate) fn move_units(
        &mut self,
        sku: &str,
        lot: &str,
        units: u32,
        from: Condition,
        to: Condition,
    ) -> Result<Success, Refusal> {
        let (sku, location) = (sku.parse().expect("a name"), "PAR".parse().expect("a name"));
        let (lot, units) = (lot.parse().ok(), Units(units));
        self.run(Operation::MoveUnits(MoveUnits { sku, location, lot, units, from, to }))
    }

    pub(crate) fn start_order(&mut self, number: u64, steps: Vec<StepSpec>) -> Result<Success, Refusal> {
        self.run(start_order(number, steps))
    }

    /// A step is reported that somebody does.
    pub(crate) fn report(&mut self, number: u64, step: &str, report: StepReport) -> Result<Success, Refusal> {
        self.report_attempt(number, step, false, report, 0)
    }

    /// It is reported that a step is taken back.
    pub(crate) fn report_back(&mut self, number: u64, step: &str, report: StepReport) -> Result<Success, Refusal> {
        self.report_attempt(number, step, true, report, 0)
    }

    pub(crate) fn report_attempt(
        &mut self,
        number: u64,
        step: &str,
        is_compensation: bool,
        report: StepReport,
        attempt: u32,
    ) -> Result<Success, Refusal> {
        let (order, step) = (id(number), step.parse().expect("a name"));
        self.run(Operation::ReportStep(Box::new(ReportStep { order, step, is_compensation, report, attempt })))
    }

    pub(crate) fn resolve(&mut self, number: u64, confirm: bool) -> Result<Success, Refusal> {
        let reason = "seen in the bank's list".to_owned();
        self.run(Operation::ResolveOrder(ResolveOrder { order: id(number), confirm, reason }))
    }

    // What is seen.

    pub(crate) fn stock_at(&self, sku: &str, location: &str) -> StockLevel {
        let levels = self.inventory.stock(&sku.parse().expect("a name")).expect("a known item");
        levels.into_iter().find(|level| level.location.as_str() == location).expect("stock at that place")
    }

    pub(crate) fn stock(&self, sku: &str) -> StockLevel {
        let levels = self.inventory.stock(&sku.parse().expect("a name")).expect("a known item");
        levels.into_iter().find(|level| level.location.as_str() == "PAR").expect("stock at PAR")
    }

    pub(crate) fn reservation(&self, number: u64) -> Reservation {
        self.inventory.reservation(id(number)).expect("a known reservation")
    }
}

pub(crate) fn id(number: u64) -> ReservationId {
    ReservationId::mint(OPENING, Slot::new(9).expect("a slot"), number)
}

/// A step that somebody reports, and reports taken back.
pub(crate) fn step(name: &str, deadline_s: u64) -> StepSpec {
    StepSpec {
        name: name.parse().expect("a name"),
        kind: StepKind::Await,
        deadline_ms: deadline_s * 1_000,
        max_attempts: 1,
        compensation: Compensation::Await,
        compensation_deadline_ms: deadline_s * 1_000,
        payload: Vec::new(),
    }
}

/// A step for which an endpoint is called, and `refunds` to take it back.
pub(crate) fn call_step(name: &str, endpoint: &str, max_attempts: u32) -> StepSpec {
    let kind = StepKind::Call { endpoint: endpoint.parse().expect("a name") };
    let compensation = Compensation::Call { endpoint: "refunds".parse().expect("a name") };
    StepSpec { kind, max_attempts, compensation, ..step(name, 60) }
}

pub(crate) fn start_order(number: u64, steps: Vec<StepSpec>) -> Operation {
    Operation::StartOrder(Box::new(StartOrder { reservation: id(number), steps }))
}

pub(crate) fn transfer_id(number: u64) -> TransferId {
    TransferId::mint(OPENING, Slot::new(9).expect("a slot"), number)
}

pub(crate) fn receipt_id(number: u64) -> ReceiptId {
    ReceiptId::mint(OPENING, Slot::new(9).expect("a slot"), number)
}

pub(crate) fn count_id(number: u64) -> CountId {
    CountId::mint(OPENING, Slot::new(9).expect("a slot"), number)
}

/// Of an item at `PAR`.
pub(crate) fn open_count(number: u64, sku: &str) -> Operation {
    let (sku, location) = (sku.parse().expect("a name"), "PAR".parse().expect("a name"));
    Operation::OpenCount(OpenCount { count: count_id(number), sku, location, reference: "spring".to_owned() })
}

/// Of resellable units.
pub(crate) fn record_count(number: u64, lot: Option<&str>, units: u64) -> Operation {
    let lot = lot.map(|lot| lot.parse().expect("a name"));
    let lines = vec![CountedUnits { lot, condition: Condition::Resellable, units }];
    Operation::RecordCount(RecordCount { count: count_id(number), lines })
}

pub(crate) fn apply_count(number: u64) -> Operation {
    Operation::ApplyCount(ApplyCount { count: count_id(number) })
}

/// What another system says of an item without lots at `PAR`.
pub(crate) fn reconcile(sku: &str, delta: i64, repair: bool) -> Operation {
    let (sku, location) = (sku.parse().expect("a name"), "PAR".parse().expect("a name"));
    Operation::Reconcile(Reconcile { sku, location, lot: None, discrepancy: Discrepancy::Drift, delta, repair })
}

fn document_lines(lines: &[(Option<&str>, u32)]) -> Vec<DocumentLine> {
    let line = |(lot, units): &(Option<&str>, u32)| DocumentLine {
        lot: lot.map(|lot| lot.parse().expect("a name")),
        units: Units(*units),
    };
    lines.iter().map(line).collect()
}

/// Units of lots leave `PAR` for `LYO`.
pub(crate) fn transfer(number: u64, sku: &str, lines: &[(Option<&str>, u32)]) -> Operation {
    Operation::CreateTransfer(CreateTransfer {
        transfer: transfer_id(number),
        sku: sku.parse().expect("a name"),
        from: "PAR".parse().expect("a name"),
        to: "LYO".parse().expect("a name"),
        lines: document_lines(lines),
    })
}

pub(crate) fn receive_transfer(number: u64, parts: &[(u32, u32, Condition)]) -> Operation {
    let part = |(line, units, condition): &(u32, u32, Condition)| {
        let (line, units, condition) = (*line, Units(*units), *condition);
        ArrivedUnits { line, units, condition }
    };
    let (transfer, parts) = (transfer_id(number), parts.iter().map(part).collect());
    Operation::ReceiveTransfer(ReceiveTransfer { transfer, parts })
}

pub(crate) fn receive(sku: &str, location: &str, units: u32) -> Operation {
    let (sku, location) = (sku.parse().expect("a name"), location.parse().expect("a name"));
    Operation::Receive(Receive { sku, location, lot: None, lot_spec: None, units: Units(units), receipt: None })
}

/// A hold of 600 s at `PAR`.
pub(crate) fn reserve(number: u64, lines: &[(&str, u32)]) -> Operation {
    Operation::Reserve(Reserve {
        reservation: id(number),
        lines: lines_of(lines),
        ttl_s: 600,
        partial_ok: false,
        order_ref: None,
        customer: None,
        channel: None,
        campaign: None,
        plan: None,
        pass: None,
    })
}

pub(crate) fn commit(number: u64) -> Operation {
    let reservation = id(number);
    Operation::Commit(Commit { reservation, parts: vec![], last: false, if_expired: IfExpired::Fail, cancel_at: None })
}

/// The dates of a lot that leaves sale so many days after the opening.
pub(crate) fn dates(days: u64) -> LotDates {
    let best_before = Some(LogTime(OPENING + days * DAY_S * 1_000));
    LotDates { best_before, ..LotDates::default() }
}

fn lines_of(lines: &[(&str, u32)]) -> Vec<Line> {
    let line = |(sku, units): &(&str, u32)| Line {
        sku: sku.parse().expect("a name"),
        location: "PAR".parse().expect("a name"),
        units: Units(*units),
        lot: None,
        optional: false,
        no_backorder: false,
        min_units: None,
    };
    lines.iter().map(line).collect()
}

pub(crate) fn parts_of(parts: &[(u32, u32)]) -> Vec<LineUnits> {
    parts.iter().map(|(line, units)| LineUnits { line: *line, units: Units(*units) }).collect()
}

pub(crate) fn picks_of(parts: &[(u32, u32)], lot: Option<&str>) -> Vec<Picked> {
    let lot = lot.map(|lot| lot.parse().expect("a name"));
    parts.iter().map(|(line, units)| Picked { line: *line, units: Units(*units), lot: lot.clone() }).collect()
}

/// A reserve over this shard and another one, in slot 77, which holds so many units of those lines, by their numbers.
pub(crate) fn spread_of(reserve: Reserve, numbers: &[u16], held: &[u32]) -> ReserveSpread {
    ReserveSpread {
        reserve,
        parts: vec![PreparedPart {
            slot: Slot::new(77).expect("there is such a slot"),
            numbers: numbers.to_vec(),
            held: held.to_vec(),
            backordered: Vec::new(),
            release_at: None,
        }],
        refused: None,
        attempt: AttemptId(3),
        deadline: LogTime(OPENING + 10_000),
        not_after: LogTime(OPENING + 60_000),
    }
}
