//! One customer: asks, asks again where the outcome is unknown, and notes everything in the history.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast_client::ids::{CommandId, CountId, ReservationId, slot_of};
use holdfast_client::{Client, Error, Reader, v1};

use super::{in_season, translate};
use crate::Dice;
use crate::history::{
    Answer, Asked, Command, Freshness, Id, Line, Outcome, Position, Recorder, Request, Seen, Subject, TraceSeen,
    item_of,
};

/// How often a command of unknown outcome is asked again.
const ASKED_AGAIN: u32 = 10;
const PAUSE: Duration = Duration::from_millis(100);
/// What customers of one workload show each other, the newest of each.
const SHOWN: usize = 6;

/// What the customers of one workload show each other.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Shown>>);

#[derive(Debug, Default)]
struct Shown {
    reservations: VecDeque<Id>,
    commands: VecDeque<Command>,
}

fn show<T: PartialEq>(shown: &mut VecDeque<T>, new: T) {
    if !shown.contains(&new) {
        shown.push_back(new);
    }
    if shown.len() > SHOWN {
        shown.pop_front();
    }
}

fn pick<T: Clone>(shown: &VecDeque<T>, dice: &mut Dice) -> Option<T> {
    shown.get(dice.below(shown.len() as u64) as usize).cloned()
}

impl Board {
    fn shown(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.0.lock().expect("no panic happens while a board is locked")
    }

    pub(super) fn show_reservation(&self, id: Id) {
        show(&mut self.shown().reservations, id);
    }

    pub(super) fn show_command(&self, command: Command) {
        show(&mut self.shown().commands, command);
    }

    pub(super) fn reservation(&self, dice: &mut Dice) -> Option<Id> {
        pick(&self.shown().reservations, dice)
    }

    pub(super) fn command(&self, dice: &mut Dice) -> Option<Command> {
        pick(&self.shown().commands, dice)
    }
}

/// One customer of one workload.
#[derive(Debug)]
pub struct Shopper {
    client: Client,
    recorder: Recorder,
    board: Board,
    /// Of whose SKUs this customer asks.
    season: String,
    pub(super) dice: Dice,
    /// Whether some attempts are given up early.
    pub(super) is_hasty: bool,
    /// By shard, the position by which everything this customer was told of is applied.
    positions: BTreeMap<u32, Position>,
}

impl Shopper {
    pub(super) fn new(client: Client, recorder: Recorder, board: Board, dice: Dice) -> Self {
        let (season, is_hasty, positions) = (String::new(), false, BTreeMap::new());
        Self { client, recorder, board, season, dice, is_hasty, positions }
    }

    pub(super) fn in_season(self, season: &str) -> Self {
        Self { season: season.to_owned(), ..self }
    }

    /// What this customer's season calls a SKU.
    pub(super) fn sku(&self, name: &str) -> String {
        in_season(name, &self.season)
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn board(&self) -> Board {
        self.board.clone()
    }

    /// Whether there is no room for more in the history.
    pub(super) fn is_done(&self) -> bool {
        self.recorder.is_full()
    }

    /// The latest position of a SKU's shard that this customer was told.
    pub(super) fn position_of(&self, sku: &str) -> Option<Position> {
        self.positions.get(&self.client.shard_of(item_of(sku))).copied()
    }

    pub(super) fn random(&mut self) -> u128 {
        u128::from(self.dice.next_u64()) << 64 | u128::from(self.dice.next_u64())
    }

    pub(super) fn command_id(&mut self) -> Id {
        Id(CommandId::mint(self.client.cluster_time_ms(), self.random()).0)
    }

    /// A new hold of those lines.
    pub(super) fn reserve_request(&mut self, lines: &[(&str, u32)], ttl_s: u32) -> Request {
        let slot = slot_of(lines.first().map_or("", |(sku, _)| item_of(sku)));
        let reservation = Id(ReservationId::mint(self.client.cluster_time_ms(), slot, self.random()).0);
        let lines = lines.iter().map(|(sku, units)| Line { sku: (*sku).to_owned(), units: *units }).collect();
        Request::Reserve { reservation, lines, ttl_s, over_shards: false, customer: 0, together: 0 }
    }

    /// Takes a hold; its id where it was taken.
    pub(super) async fn reserve(&mut self, lines: &[(&str, u32)], ttl_s: u32) -> Option<Id> {
        self.reserve_until(lines, ttl_s).await.map(|(reservation, _)| reservation)
    }

    /// Takes a hold on lines of several shards; its id where it was taken.
    pub(super) async fn reserve_over_shards(&mut self, lines: &[(&str, u32)], ttl_s: u32) -> Option<Id> {
        let mut request = self.reserve_request(lines, ttl_s);
        if let Request::Reserve { over_shards, .. } = &mut request {
            *over_shards = true;
        }
        let reservation = request.reservation()?;
        self.ask_done(request).await.then_some(reservation)
    }

    /// Takes a hold for a customer; its id where it was taken.
    pub(super) async fn reserve_for(&mut self, customer: u8, lines: &[(&str, u32)], ttl_s: u32) -> Option<Id> {
        let mut request = self.reserve_request(lines, ttl_s);
        if let Request::Reserve { customer: named, .. } = &mut request {
            *named = customer;
        }
        let reservation = request.reservation()?;
        self.ask_done(request).await.then_some(reservation)
    }

    /// Takes a hold for a customer on lines of several shards, of which one may have so many together; its id where it was taken.
    pub(super) async fn reserve_together(
        &mut self,
        named: u8,
        most: u32,
        lines: &[(&str, u32)],
        ttl_s: u32,
    ) -> Option<Id> {
        let mut request = self.reserve_request(lines, ttl_s);
        if let Request::Reserve { customer, over_shards, together, .. } = &mut request {
            (*customer, *over_shards, *together) = (named, true, most);
        }
        let reservation = request.reservation()?;
        self.ask_done(request).await.then_some(reservation)
    }

    /// Takes a hold; its id and its expiry where it was taken.
    pub(super) async fn reserve_until(&mut self, lines: &[(&str, u32)], ttl_s: u32) -> Option<(Id, u64)> {
        let request = self.reserve_request(lines, ttl_s);
        let reservation = request.reservation()?;
        match self.ask(request).await? {
            Answer::Done(done) => Some((reservation, done.expires_at_ms)),
            Answer::Refused(_) => None,
        }
    }

    /// Whether a new command was done.
    pub(super) async fn ask_done(&mut self, request: Request) -> bool {
        matches!(self.ask(request).await, Some(Answer::Done(_)))
    }

    pub(super) async fn ask(&mut self, request: Request) -> Option<Answer> {
        let command = Command { id: self.command_id(), request };
        // Nobody else has its id.
        self.ask_until_known(vec![command], true).await?.pop()
    }

    /// Asks under an id that may be known already.
    pub(super) async fn ask_command(&mut self, command: Command) -> Option<Answer> {
        self.ask_chain(vec![command]).await?.pop()
    }

    /// The same of several, together.
    pub(super) async fn ask_chain(&mut self, commands: Vec<Command>) -> Option<Vec<Answer>> {
        self.ask_until_known(commands, false).await
    }

    /// Asks until the outcome is known, or has stayed unknown too often. `is_new`: nobody has asked it before, or will beside.
    async fn ask_until_known(&mut self, commands: Vec<Command>, is_new: bool) -> Option<Vec<Answer>> {
        for number in 0..ASKED_AGAIN {
            match self.attempt(&commands, is_new && number == 0).await {
                Outcome::Answered(answers) => return Some(answers),
                Outcome::NotAdmitted(_) | Outcome::Unknown(_) | Outcome::Seen { .. } => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
        None
    }

    async fn attempt(&mut self, commands: &[Command], is_first: bool) -> Outcome {
        let last = commands.len().saturating_sub(1);
        let sent = commands.iter().enumerate().map(|(at, command)| {
            let command = translate::command(command);
            let command = if is_first { command.first_attempt() } else { command };
            if at < last { command.linked() } else { command }
        });
        let sent: Vec<_> = sent.collect();
        let verb = sent.first().map_or("", |command| command.verb());
        let ticket = self.recorder.call(Asked::Commands(commands.to_vec()));
        let told = match self.patience() {
            Some(patience) => self.client.execute_batch_within(sent, patience).await,
            None if sent.len() == 1 => {
                let mut told = Vec::with_capacity(1);
                for command in sent {
                    told.push(self.client.execute(command).await);
                }
                told
            }
            None => self.client.execute_batch(sent).await,
        };
        for told in &told {
            match told {
                Ok(success) => {
                    tracing::info!(verb, id = %success.command_id, replayed = success.replayed, "acknowledged");
                }
                Err(error) => tracing::info!(verb, reason = ?error.reason(), "not done"),
            }
        }
        let outcome = translate::outcome(told);
        self.learn(&outcome);
        self.recorder.end(ticket, outcome.clone());
        outcome
    }

    /// How long this attempt is waited for, where that is less than the client's own limit.
    fn patience(&mut self) -> Option<Duration> {
        let is_short = self.is_hasty && self.dice.below(6) == 0;
        is_short.then(|| Duration::from_millis(self.dice.between(5, 400)))
    }

    fn learn(&mut self, outcome: &Outcome) {
        let Outcome::Answered(answers) = outcome else { return };
        for answer in answers {
            if let Answer::Done(done) = answer
                && let Some(position) = done.position
            {
                let known = self.positions.entry(position.shard).or_insert(position);
                *known = position.max(*known);
            }
        }
    }

    /// Reads, for the history.
    pub(super) async fn read(&mut self, subject: Subject, freshness: Freshness) {
        self.look(subject, freshness).await;
    }

    /// Reads, and tells what was seen.
    pub(super) async fn look(&mut self, subject: Subject, freshness: Freshness) -> Option<Seen> {
        let reader = self.client.reader(translate::consistency(freshness));
        let ticket = self.recorder.call(Asked::Read(subject.clone(), freshness));
        let told = match &subject {
            Subject::Stock(sku) => {
                let read = reader.stock(item_of(sku), None).await;
                read.map(|read| (Seen::Stock(Some(translate::stock(&read.value, sku))), read.freshness))
            }
            Subject::Reservation(id) => {
                let read = reader.reservation(ReservationId(id.0)).await;
                read.map(|read| (Seen::Reservation(translate::reservation(&read.value)), read.freshness))
            }
            Subject::Count { count, .. } => {
                let read = reader.count(CountId(count.0)).await;
                read.map(|read| (Seen::Count(translate::count(&read.value)), read.freshness))
            }
            Subject::Room(campaign) => {
                let read = reader.room(campaign).await;
                read.map(|room| (Seen::Room(translate::room(&room)), v1::ReadFreshness::default()))
            }
            Subject::Trace { sku, lot } => {
                let read = trace(&reader, sku, *lot).await;
                read.map(|trace| (Seen::Trace(Some(trace)), v1::ReadFreshness::default()))
            }
        };
        let outcome = match told {
            Ok((seen, freshness)) => Outcome::Seen {
                seen,
                position: freshness.token.map(translate::position),
                log_time_ms: Some(freshness.log_time_ms),
            },
            Err(error) => nothing_seen(&subject, &error),
        };
        let seen = match &outcome {
            Outcome::Seen { seen, .. } => Some(seen.clone()),
            _ => None,
        };
        self.recorder.end(ticket, outcome);
        seen
    }
}

/// Asks commands once more under their ids, for the history.
pub(crate) async fn ask_again(client: &Client, recorder: Recorder, commands: &[Command]) -> Outcome {
    let mut shopper = Shopper::new(client.clone(), recorder, Board::default(), Dice::new(0));
    shopper.attempt(commands, false).await
}

/// Every page of the list of those who have or had units of a lot, then what of it lies there.
async fn trace(reader: &Reader<'_>, sku: &str, lot: u8) -> Result<TraceSeen, Error> {
    let (mut named, mut token) = (Vec::new(), String::new());
    loop {
        let (page, next) = reader.trace_lot(sku, &lot.to_string(), &token).await?;
        named.extend(page.iter().map(|reservation| translate::named(reservation, sku, lot)));
        if next.is_empty() {
            break;
        }
        token = next;
    }
    let levels = reader.lot(sku, &lot.to_string()).await?.value.levels;
    Ok(TraceSeen { on_hand: levels.iter().map(|level| level.on_hand).sum(), named })
}

/// That there is no such thing is an answer too.
fn nothing_seen(subject: &Subject, error: &Error) -> Outcome {
    let seen = match (subject, error.reason()) {
        (Subject::Stock(_), v1::ErrorReason::UnknownSku) => Seen::Stock(None),
        (Subject::Reservation(_), v1::ErrorReason::ReservationNotFound) => Seen::Reservation(None),
        (Subject::Count { .. }, v1::ErrorReason::CountNotFound) => Seen::Count(None),
        (Subject::Room(_), v1::ErrorReason::UnknownCampaign) => Seen::Room(None),
        (Subject::Trace { .. }, v1::ErrorReason::UnknownLot) => Seen::Trace(None),
        (_, reason) => return Outcome::NotAdmitted(reason.name().to_owned()),
    };
    Outcome::Seen { seen, position: None, log_time_ms: None }
}
