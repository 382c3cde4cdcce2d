//! The state machine: an entry of the log goes in, answers and events come out.

use holdfast_mutation::{Mutation, is_on};

use crate::commands::Reserve;
use crate::once::Admission;
use crate::state::{ChunkId, Cut, Digest, LoadError, ReservationNo, State};
use crate::turn::Turn;
use crate::{
    Answer, Applied, Command, CustomerHash, DifferentField, Entry, Event, EventKind, Field, InvalidArgument, Limits,
    LogTime, MAX_CHAIN, Operation, Refusal, Sku, Subject, Success,
};

/// Old results and ended reservations that one entry forgets at least, where there are so many; two more for each command.
const FORGOTTEN_AN_ENTRY: usize = 256;

/// The most of each that an entry of so many commands forgets before it decides any.
pub(crate) const fn forgotten_by(commands: usize) -> usize {
    FORGOTTEN_AN_ENTRY + 2 * commands
}

/// The stock rules of one shard with their state. See the crate's documentation.
#[derive(Clone, Debug)]
pub struct Inventory {
    pub(crate) state: State,
}

impl Inventory {
    /// An empty shard with these bounds.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { state: State::new(limits) }
    }

    /// Applies one entry of the log: what is due by its time is ended, then its commands are decided in order.
    ///
    /// `out` is cleared first and then has one answer a command, in order, and the events. Whatever the entry holds, this
    /// does not fail: a command is done or refused.
    pub fn apply(&mut self, entry: &Entry, out: &mut Applied) {
        out.answers.clear();
        out.events.clear();
        self.state.header.now = self.state.header.now.max(entry.time);
        let most = forgotten_by(entry.commands.len());
        self.state.forget_old_results(most);
        self.state.forget_ended_reservations(most);
        self.state.forget_ended_documents(most);
        self.state.forget_ended_orders(most);
        self.state.forget_idle_counters(most);
        self.state.forget_old_rooms(most);
        self.sweep(&mut out.events);
        self.go_on_filling(&mut out.events);
        let mut rest = entry.commands.as_slice();
        while let Some((first, after)) = rest.split_first() {
            if first.linked {
                let others = after.iter().position(|command| !command.linked).map_or(after.len(), |at| at + 1);
                let (chain, after) = rest.split_at(1 + others);
                self.decide_chain(chain, out);
                rest = after;
            } else {
                self.decide_single(first, out);
                rest = after;
            }
        }
    }

    /// Begins and ends campaigns; ends what is due, oldest first, a bounded number of reservations; lots that leave sale before, a bounded number too.
    fn sweep(&mut self, events: &mut Vec<Event>) {
        // All campaigns at once, of which there are few: what they have is not sold after their time.
        while let Some(&(due_at, no)) = self.state.indexes.campaigns_due.first()
            && due_at <= self.state.header.now
        {
            Turn::of_time(&mut self.state, events).pass_campaign(no);
        }
        for _ in 0..self.state.header.limits.sweep {
            match self.state.indexes.lots_due.first() {
                Some(&(due_at, lot)) if due_at <= self.state.header.now => {
                    Turn::of_time(&mut self.state, events).tell_of_lot(lot);
                }
                _ => break,
            }
        }
        for _ in 0..self.state.header.limits.sweep {
            match self.state.indexes.due.first() {
                Some(&(due_at, no)) if due_at <= self.state.header.now => {
                    Turn::of_time(&mut self.state, events).end_what_is_due(no);
                }
                _ => break,
            }
        }
    }

    /// Goes on at one place where more backorders wait than an earlier entry has filled.
    fn go_on_filling(&mut self, events: &mut Vec<Event>) {
        if let Some(&(sku, location)) = self.state.indexes.filling.first() {
            Turn::of_time(&mut self.state, events).go_on_filling(sku, location);
        }
    }

    fn decide_single(&mut self, command: &Command, out: &mut Applied) {
        if command.operation.is_told_by_nodes() {
            let outcome = self.decide(command, &mut out.events);
            out.answers.push(Answer { id: command.id, outcome, replayed: false });
            return;
        }
        let (outcome, replayed) = match self.state.admit(command, 0) {
            Admission::Decided(outcome) => (outcome, true),
            Admission::Refused(refusal) => (Err(refusal), false),
            Admission::New => {
                let outcome = self.decide(command, &mut out.events);
                if outcome.as_ref().err().is_none_or(Refusal::is_recorded) {
                    self.state.keep_result(command, &outcome);
                }
                self.tell_of_limit(command, &outcome, &mut out.events);
                (outcome, false)
            }
        };
        out.answers.push(Answer { id: command.id, outcome, replayed });
    }

    /// Decides commands that succeed or fail together.
    fn decide_chain(&mut self, chain: &[Command], out: &mut Applied) {
        if let Some(answers) = self.answer_undecided_chain(chain) {
            out.answers.extend(answers);
            return;
        }
        let first_event = out.events.len();
        self.state.begin_chain();
        let mut outcomes: Vec<Result<Success, Refusal>> = Vec::with_capacity(chain.len());
        for command in chain {
            outcomes.push(self.decide(command, &mut out.events));
            if outcomes.last().is_some_and(Result::is_err) {
                break;
            }
        }
        let mut is_recorded = true;
        if let Some(Err(refusal)) = outcomes.last() {
            is_recorded = refusal.is_recorded();
            if is_on(Mutation::ChainHalfKept) {
                self.state.keep_chain();
            } else {
                self.state.roll_back_chain();
            }
            out.events.truncate(first_event);
            let failed = outcomes.len() - 1;
            self.tell_of_limit(&chain[failed], &outcomes[failed], &mut out.events);
            outcomes.resize(chain.len(), Err(Refusal::LinkedCommandFailed));
            outcomes[..failed].fill(Err(Refusal::LinkedCommandFailed));
        } else {
            self.state.keep_chain();
        }
        for (command, outcome) in chain.iter().zip(outcomes) {
            if is_recorded {
                self.state.keep_result(command, &outcome);
            }
            out.answers.push(Answer { id: command.id, outcome, replayed: false });
        }
    }

    /// Tells when a limit has refused a customer: once a command, since its result is kept. A refusal changes nothing else.
    fn tell_of_limit(&mut self, command: &Command, outcome: &Result<Success, Refusal>, events: &mut Vec<Event>) {
        let Err(Refusal::CustomerLimitExceeded { limit, remaining, line }) = outcome else { return };
        let Some((customer, sku)) = self.asked_by(&command.operation, *line as usize) else { return };
        let subject = Subject::LimitHit { limit: limit.clone(), sku, customer, remaining: *remaining };
        let mut turn = Turn::of_command(&mut self.state, events, command.id, command.cause.as_deref());
        turn.record(EventKind::LimitHit, None, Some(subject));
    }

    /// Who asks, and what for in that line of the request.
    fn asked_by(&self, operation: &Operation, line: usize) -> Option<(CustomerHash, Sku)> {
        let of_reserve = |reserve: &Reserve| {
            let sku = reserve.sku_of_asked(line)?;
            reserve.customer.map(|customer| (customer, sku))
        };
        let of_record = |id| self.state.find_reservation(id).map(|no| self.state.reservation(no));
        match operation {
            Operation::Reserve(reserve) => of_reserve(reserve),
            Operation::ReserveSpread(spread) => of_reserve(&spread.reserve),
            Operation::Amend(amend) => {
                of_record(amend.reservation)?.customer().zip(amend.lines.get(line).map(|line| line.sku.clone()))
            }
            Operation::Commit(commit) => {
                let record = of_record(commit.reservation)?;
                let sku = record.lines.get(line).map(|line| &self.state.item(line.sku).sku)?;
                record.customer().zip(Some(sku.clone()))
            }
            _ => None,
        }
    }

    /// The answers to a chain that is not to be decided: because it was, or because it may not be.
    fn answer_undecided_chain(&mut self, chain: &[Command]) -> Option<Vec<Answer>> {
        if chain.len() > MAX_CHAIN {
            return Some(refuse_chain(chain, |_| Refusal::BatchTooLarge));
        }
        let last = chain.len() - 1;
        if chain[last].linked {
            let invalid = InvalidArgument::of(Field::Linked);
            return Some(refuse_chain(chain, |at| refuse_at(at, last, invalid.into())));
        }
        let is_alone = |command: &Command| {
            let operation = &command.operation;
            operation.is_told_by_nodes() || matches!(operation, Operation::ReserveSpread(_))
        };
        if let Some(at) = chain.iter().position(is_alone) {
            let invalid = InvalidArgument::of(Field::Linked);
            return Some(refuse_chain(chain, |other| refuse_at(other, at, invalid.into())));
        }
        let mut ids: Vec<_> = chain.iter().map(|command| command.id).collect();
        ids.sort_unstable();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            let second = chain.iter().rposition(|command| command.id == pair[0]).unwrap_or(last);
            let invalid = InvalidArgument::of(Field::CommandId);
            return Some(refuse_chain(chain, |at| refuse_at(at, second, invalid.into())));
        }
        let mut decided = Vec::new();
        let mut keyed = 0;
        for (at, command) in chain.iter().enumerate() {
            match self.state.admit(command, keyed) {
                Admission::New => keyed += u64::from(command.keyed),
                Admission::Decided(outcome) => decided.push((at, outcome)),
                Admission::Refused(refusal) => {
                    return Some(refuse_chain(chain, |other| refuse_at(other, at, refusal.clone())));
                }
            }
        }
        if decided.len() == chain.len() {
            let answers = chain.iter().zip(decided);
            let replay = |(command, (_, outcome)): (&Command, _)| Answer { id: command.id, outcome, replayed: true };
            return Some(answers.map(replay).collect());
        }
        // Some of it was decided in another company: all together can no longer be had.
        let (known, _) = decided.first()?;
        let refusal = Refusal::ExistsWithDifferent { field: DifferentField::Linked };
        Some(refuse_chain(chain, |at| refuse_at(at, *known, refusal.clone())))
    }

    fn decide(&mut self, command: &Command, events: &mut Vec<Event>) -> Result<Success, Refusal> {
        command.validate()?;
        if let Some(halt) = &self.state.header.halt
            && !command.operation.goes_on_while_halted()
        {
            return Err(Refusal::ShardHalted { invariant: halt.invariant });
        }
        let mut turn = Turn::of_command(&mut self.state, events, command.id, command.cause.as_deref());
        let turn = &mut turn;
        match &command.operation {
            Operation::PutItem(put) => put.decide(turn),
            Operation::PutLocation(put) => put.decide(turn),
            Operation::Receive(receive) => receive.decide(turn),
            Operation::Adjust(adjust) => adjust.decide(turn),
            Operation::Set(set) => set.decide(turn),
            Operation::Reserve(reserve) => reserve.decide(turn),
            Operation::Amend(amend) => amend.decide(turn),
            Operation::Extend(extend) => extend.decide(turn),
            Operation::Commit(commit) => commit.decide(turn),
            Operation::Release(release) => release.decide(turn),
            Operation::Fulfil(fulfil) => fulfil.decide(turn),
            Operation::Cancel(cancel) => cancel.decide(turn),
            Operation::Return(return_units) => return_units.decide(turn),
            Operation::SetLimits(set) => set.decide(turn),
            Operation::PutLot(put) => put.decide(turn),
            Operation::BlockLot(block) => block.decide(turn),
            Operation::MoveUnits(move_units) => move_units.decide(turn),
            Operation::SetSafetyStock(set) => set.decide(turn),
            Operation::CreateTransfer(create) => create.decide(turn),
            Operation::ReceiveTransfer(receive) => receive.decide(turn),
            Operation::LoseTransfer(lose) => lose.decide(turn),
            Operation::CancelTransfer(cancel) => cancel.decide(turn),
            Operation::ExpectReceipt(expect) => expect.decide(turn),
            Operation::CloseReceipt(close) => close.decide(turn),
            Operation::ReserveSpread(reserve) => reserve.decide(turn),
            Operation::Prepare(prepare) => prepare.decide(turn),
            Operation::Follow(follow) => follow.decide(turn),
            Operation::Abandon(abandon) => abandon.decide(turn),
            Operation::AskDecision(ask) => ask.decide(turn),
            Operation::Told(told) => told.decide(turn),
            Operation::PutLimit(put) => put.decide(turn),
            Operation::OpenCount(open) => open.decide(turn),
            Operation::RecordCount(record) => record.decide(turn),
            Operation::ApplyCount(apply) => apply.decide(turn),
            Operation::CancelCount(cancel) => cancel.decide(turn),
            Operation::Reconcile(reconcile) => reconcile.decide(turn),
            Operation::PutChannel(put) => put.decide(turn),
            Operation::PutKit(put) => put.decide(turn),
            Operation::HaltShard(halt) => halt.decide(turn),
            Operation::ResumeShard(resume) => resume.decide(turn),
            Operation::StartOrder(start) => start.decide(turn),
            Operation::ReportStep(report) => report.decide(turn),
            Operation::ResolveOrder(resolve) => resolve.decide(turn),
            Operation::PutCampaign(put) => put.decide(turn),
            Operation::Grant(grant) => grant.decide(turn),
            Operation::Revoke(revoke) => revoke.decide(turn),
            Operation::JoinQueue(join) => join.decide(turn),
            Operation::CommitDraw(commit) => commit.decide(turn),
            Operation::Draw(draw) => draw.decide(turn),
            Operation::Admit(admit) => admit.decide(turn),
            Operation::PutSharedLimit(put) => put.decide(turn),
        }
    }

    /// When the next reservation or lot falls due: the leader of an idle shard proposes a tick then.
    #[must_use]
    pub fn next_due(&self) -> Option<LogTime> {
        let reservation = self.state.indexes.due.first().map(|(due_at, _)| *due_at);
        let lot = self.state.indexes.lots_due.first().map(|(due_at, _)| *due_at);
        let filling = (!self.state.indexes.filling.is_empty()).then_some(self.state.header.now);
        // A part of a reservation that another shard decides is in the index, since it holds, and never due.
        let campaign = self.state.indexes.campaigns_due.first().map(|(due_at, _)| *due_at);
        reservation
            .into_iter()
            .chain(campaign)
            .chain(lot)
            .chain(filling)
            .filter(|due_at| *due_at != LogTime(u64::MAX))
            .min()
    }

    // Leaving memory and coming back.

    /// What changed since the last cut, or since the state was new or loaded. Copies no record: a chunk is copied when it is
    /// next changed while the cut lives.
    pub fn cut(&mut self) -> Cut {
        self.state.cut()
    }

    /// Takes a cut back whose chunks were not written: the next cut has them again.
    pub fn uncut(&mut self, cut: &Cut) {
        self.state.uncut(cut);
    }

    /// Has the next cut hold these chunks too, changed or not. Those that are not there any more count as removed.
    pub fn mark_changed(&mut self, chunks: impl IntoIterator<Item = ChunkId>) {
        self.state.mark_changed(chunks);
    }

    /// Has the next cut hold every chunk: for a state that was loaded from elsewhere than where cuts are written.
    pub fn mark_all_changed(&mut self) {
        self.state.mark_all_changed();
    }

    /// The header as a cut would have it now.
    #[must_use]
    pub fn encode_header(&self) -> Vec<u8> {
        self.state.encode_header()
    }

    /// Every chunk of the state.
    #[must_use]
    pub fn chunk_ids(&self) -> Vec<ChunkId> {
        self.state.chunk_ids()
    }

    /// A chunk as a cut would have it now; `None` where there is none of that name.
    #[must_use]
    pub fn encode_chunk(&self, id: ChunkId) -> Option<Vec<u8>> {
        self.state.encode_chunk(id)
    }

    /// Builds the state from its header and all of its chunks, in any order. Compare [`Inventory::digest`] with what was
    /// written beside them.
    ///
    /// # Errors
    ///
    /// [`LoadError`] where bytes are damaged or records do not fit each other.
    pub fn load<B: AsRef<[u8]>>(
        header: &[u8],
        chunks: impl IntoIterator<Item = (ChunkId, B)>,
    ) -> Result<Self, LoadError> {
        State::load(header, chunks).map(|state| Self { state })
    }

    /// The digest of the state. Hashes what changed since somebody last asked; after a load, everything.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.state.digest()
    }

    /// The same from the records alone, believing nothing that was computed before.
    #[must_use]
    pub fn recompute_digest(&self) -> Digest {
        self.state.recompute_digest()
    }
}

fn refuse_chain(chain: &[Command], refusal_at: impl Fn(usize) -> Refusal) -> Vec<Answer> {
    let answer =
        |(at, command): (usize, &Command)| Answer { id: command.id, outcome: Err(refusal_at(at)), replayed: false };
    chain.iter().enumerate().map(answer).collect()
}

fn refuse_at(at: usize, culprit: usize, refusal: Refusal) -> Refusal {
    if at == culprit { refusal } else { Refusal::LinkedCommandFailed }
}

impl State {
    /// Forgets reservations that ended long ago, or of which there are too many, oldest first, at most `most`.
    fn forget_ended_reservations(&mut self, most: usize) {
        for _ in 0..most {
            let Some(no) = self.next_to_forget() else { break };
            if self.reservation(no).part().is_some_and(|part| part.deadline >= self.header.now) {
                // Word of its attempt may still be on the way, and would find nothing that tells it so.
                break;
            }
            self.forget_reservation(no);
        }
    }

    /// Of those that have ended the one that is to be forgotten first, if any is: where there are too many, one of which nothing was
    /// shipped, as long as there is one.
    fn next_to_forget(&self) -> Option<ReservationNo> {
        let (ended, limits) = (&self.indexes.ended, &self.header.limits);
        let first = *ended.first()?;
        if ended.len() as u64 > limits.ended_reservations {
            return Some(first.2);
        }
        let shipped = ended.range((true, LogTime(0), ReservationNo(0))..).next().copied();
        let is_old = |(is_shipped, ended_at, _): &(bool, LogTime, ReservationNo)| {
            let keep_ms = if *is_shipped { limits.keep_trace_ms } else { limits.keep_ended_ms };
            ended_at.plus_ms(keep_ms) <= self.header.now
        };
        [Some(first), shipped].into_iter().flatten().find(is_old).map(|(.., no)| no)
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::PutItem;
    use crate::test_shop::{Shop, commit, id, receive, reserve};
    use crate::*;

    fn linked_failure() -> Vec<Refusal> {
        vec![Refusal::LinkedCommandFailed]
    }

    fn refusals(answers: &[Answer]) -> Vec<Refusal> {
        answers.iter().filter_map(|answer| answer.outcome.clone().err()).collect()
    }

    #[test]
    fn a_chain_sees_its_own_changes_and_stands_whole() {
        let mut shop = Shop::new();
        let chain = shop.chain(vec![receive("rouge", "PAR", 2), reserve(1, &[("rouge", 2)]), commit(1)]);
        assert_eq!(refusals(&shop.apply(chain)), []);
        assert_eq!(shop.stock("rouge").counts.committed, 2);
    }

    #[test]
    fn a_chain_that_fails_leaves_nothing_but_its_results() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        let before = (shop.stock("rouge"), shop.inventory.last_event(), shop.inventory.chunk_ids());
        let new_item =
            PutItem { sku: "serum".parse().unwrap(), spec: ItemSpec::default(), if_revision: None, if_absent: true };
        let chain = shop.chain(vec![
            Operation::PutItem(Box::new(new_item)),
            receive("serum", "PAR", 7),
            reserve(2, &[("serum", 7), ("rouge", 4)]),
            commit(1),
            reserve(3, &[("rouge", 1)]),
            commit(2),
        ]);
        let answers = shop.apply(chain.clone());
        let lack = Refusal::InsufficientStock { available: 0, line: 0, recorded: true };
        let linked = Refusal::LinkedCommandFailed;
        let expected = [linked.clone(), linked.clone(), linked.clone(), linked.clone(), lack, linked];
        assert_eq!(refusals(&answers), expected);
        assert_eq!((shop.stock("rouge"), shop.inventory.last_event(), shop.inventory.chunk_ids()), before);
        assert_eq!((shop.events(), shop.inventory.counts().items), (vec![], 2));
        assert!(shop.inventory.reservation(id(2)).is_none());
        // A retry of the whole chain is answered as it was decided.
        let again = shop.apply(chain);
        assert!(again.iter().all(|answer| answer.replayed));
        assert_eq!(refusals(&again), refusals(&answers));
    }

    #[test]
    fn a_chain_that_is_rolled_back_leaves_the_digest_as_it_was() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        let full = Limits { live_reservations: 2, ..Limits::default() };
        shop.inventory.state.header.limits = full;
        let before = shop.digest();
        // The last one is overloaded, which decides nothing: not even results are kept.
        let chain = shop.chain(vec![
            receive("mascara", "LYO", 1),
            commit(1),
            reserve(2, &[("rouge", 1)]),
            reserve(3, &[("rouge", 1)]),
            reserve(4, &[("rouge", 1)]),
        ]);
        let answers = shop.apply(chain);
        assert!(matches!(answers[3].outcome, Err(Refusal::Overloaded { .. })), "{answers:?}");
        assert_eq!(shop.digest(), before);
        assert_eq!(shop.inventory.recompute_digest(), before);
    }

    #[test]
    fn a_chain_half_of_which_was_decided_elsewhere_does_nothing() {
        let mut shop = Shop::with_rouge(5);
        let chain = shop.chain(vec![receive("rouge", "PAR", 1), reserve(1, &[("rouge", 6)])]);
        let alone = Command { linked: false, ..chain[0].clone() };
        shop.apply(vec![alone]);
        let answers = shop.apply(chain);
        let different = Refusal::ExistsWithDifferent { field: DifferentField::Linked };
        assert_eq!(refusals(&answers), [vec![different], linked_failure()].concat());
        assert!(shop.inventory.reservation(id(1)).is_none());
    }

    #[test]
    fn a_chain_without_an_end_or_with_an_id_twice_does_nothing() {
        let mut shop = Shop::with_rouge(5);
        let mut chain = shop.chain(vec![receive("rouge", "PAR", 1), receive("rouge", "PAR", 1)]);
        chain[1].linked = true;
        let invalid = |field| vec![Refusal::InvalidArgument(InvalidArgument::of(field))];
        assert_eq!(refusals(&shop.apply(chain.clone())), [linked_failure(), invalid(Field::Linked)].concat());
        chain[1].linked = false;
        chain[1].id = chain[0].id;
        assert_eq!(refusals(&shop.apply(chain)), [linked_failure(), invalid(Field::CommandId)].concat());
        assert_eq!(shop.stock("rouge").counts.on_hand, 5);
    }

    #[test]
    fn a_chain_of_more_than_256_does_nothing() {
        let mut shop = Shop::new();
        let chain = shop.chain(vec![receive("rouge", "PAR", 1); 257]);
        assert!(shop.apply(chain).iter().all(|answer| answer.outcome == Err(Refusal::BatchTooLarge)));
        let chain = shop.chain(vec![receive("rouge", "PAR", 1); 256]);
        assert_eq!(refusals(&shop.apply(chain)), []);
    }

    #[test]
    fn whatever_the_log_holds_is_done_or_refused() {
        let extremes = [0, 1, MAX_UNITS, MAX_UNITS + 1, u32::MAX];
        let mut shop = Shop::with_rouge(MAX_UNITS);
        for time in [0, u64::MAX - 1, u64::MAX, 5] {
            for (at, units) in extremes.into_iter().enumerate() {
                let number = at as u64;
                let line = [("rouge", units); 101];
                for operation in [
                    receive("rouge", "PAR", units),
                    reserve(number, &line[..2]),
                    reserve(number, &line),
                    reserve(number, &[]),
                    commit(number),
                ] {
                    let mut command = shop.command(operation);
                    command.minted_at = LogTime(time);
                    let entry = Entry { time: LogTime(time), commands: vec![command] };
                    shop.inventory.apply(&entry, &mut Applied::default());
                    assert_eq!(invariants::check(&shop.inventory), []);
                }
            }
        }
    }

    #[test]
    fn a_counter_never_leaves_its_range() {
        let mut shop = Shop::new();
        shop.inventory.state.header.limits.results = 8;
        let sku = shop.inventory.state.find_sku(&"rouge".parse().unwrap()).unwrap();
        shop.receive("rouge", "PAR", 1).unwrap();
        let place = &mut shop.inventory.state.stock_mut(sku).places[0];
        (place.cells[0].counts.on_hand, place.flow.received) = (i64::MAX as u64, i64::MAX as u64);
        let before = shop.stock("rouge");
        assert_eq!(shop.receive("rouge", "PAR", 1), Err(Refusal::QuantityOverflow));
        assert_eq!(shop.adjust("rouge", 1, Condition::Damaged), Err(Refusal::QuantityOverflow));
        assert_eq!(shop.stock("rouge"), before);
    }

    #[test]
    fn time_never_goes_back() {
        let mut shop = Shop::with_rouge(1);
        let now = shop.inventory.now();
        shop.inventory.apply(&Entry { time: LogTime(5), commands: vec![] }, &mut Applied::default());
        assert_eq!(shop.inventory.now(), now);
    }

    #[test]
    fn one_entry_ends_a_bounded_number_of_holds_and_the_next_goes_on() {
        let mut shop = Shop::with_limits(Limits { sweep: 2, ..Limits::default() });
        shop.receive("rouge", "PAR", 5).unwrap();
        (1..=5).for_each(|number| drop(shop.reserve(number, &[("rouge", 1)]).unwrap()));
        shop.after_s(600);
        let left: Vec<u64> = (0..4)
            .map(|_| {
                shop.tick();
                shop.stock("rouge").counts.reserved
            })
            .collect();
        assert_eq!(left, [3, 1, 0, 0]);
    }

    #[test]
    fn ended_reservations_leave_memory_by_age_and_by_number() {
        let mut shop = Shop::with_limits(Limits { ended_reservations: 2, keep_ended_ms: 60_000, ..Limits::default() });
        shop.receive("rouge", "PAR", 5).unwrap();
        for number in 1..=3 {
            shop.reserve(number, &[("rouge", 1)]).unwrap();
            shop.release(number).unwrap();
        }
        shop.tick();
        assert!(shop.inventory.reservation(id(1)).is_none() && shop.inventory.reservation(id(2)).is_some());
        shop.after_s(60).tick();
        assert_eq!(shop.inventory.counts().ended_reservations, 0);
    }

    #[test]
    fn what_may_have_been_forgotten_ended_before_what_is_said_to_be_remembered() {
        let mut shop = Shop::with_limits(Limits { ended_reservations: 4, keep_ended_ms: 60_000, ..Limits::default() });
        shop.receive("rouge", "PAR", 9).unwrap();
        let mut ended = Vec::new();
        for number in 1..=6 {
            shop.reserve(number, &[("rouge", 1)]).unwrap();
            shop.after_s(1).release(number).unwrap();
            ended.push(shop.inventory.now());
        }
        shop.tick();
        assert!(shop.inventory.reservation(id(2)).is_none() && shop.inventory.reservation(id(3)).is_some());
        assert_eq!(shop.inventory.remembers_ended_since(), ended[2]);
        shop.after_s(58).tick();
        let (since, now) = (shop.inventory.remembers_ended_since(), shop.inventory.now());
        assert!(since >= ended[1] && since.plus_ms(60_000) >= now, "{since:?} at {now:?}");
    }

    #[test]
    fn what_was_shipped_is_kept_longer_so_that_it_can_come_back_and_is_forgotten_last() {
        let (ended_reservations, keep_ended_ms, keep_trace_ms) = (2, 60_000, 3_600_000);
        let limits = Limits { ended_reservations, keep_ended_ms, keep_trace_ms, ..Limits::default() };
        let mut shop = Shop::with_limits(limits);
        shop.receive("rouge", "PAR", 9).unwrap();
        for number in 1..=3 {
            shop.reserve(number, &[("rouge", 1)]).unwrap();
            shop.commit(number).unwrap();
        }
        shop.fulfil(1, &[]).unwrap();
        shop.cancel(2).unwrap();
        shop.cancel(3).unwrap();
        shop.tick();
        let is_there = |shop: &Shop| [1, 2, 3].map(|number| shop.inventory.reservation(id(number)).is_some());
        assert_eq!(is_there(&shop), [true, false, true], "there are too many, and it was the oldest");
        shop.after_s(60).tick();
        assert_eq!(is_there(&shop), [true, false, false]);
        shop.after_s(3_000).take_back(1, &[(0, 1)], None, Condition::Resellable).unwrap();
        shop.after_s(600).tick();
        assert_eq!((is_there(&shop), shop.inventory.counts().ended_reservations), ([false; 3], 0));
    }
}
