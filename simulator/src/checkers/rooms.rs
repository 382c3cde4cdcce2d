//! Waiting rooms, by a second specification: a customer has one ticket, and who came first has the lower number; those who are let in
//! are the first of the order, that of the numbers or the one that a lottery's seed gives, which is worked out here anew; the seed is the
//! one that the lottery was held to before anybody had a ticket, and the list is closed when it is told; a token holds once, for its
//! own while; and no more are let in than there are units for.
//!
//! Nothing is searched for: each is a claim about calls of which one was surely before another, or about sums of what surely was, and
//! what may have been.

mod lottery;
mod reading;
mod token;

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, LogTimeBound};
use crate::history::{
    Answer, Asked, History, Id, Operation, Request, RoomSeen, Seen, Showing, Standing, Subject, operations,
};

const NAME: &str = "rooms";
/// What is read of a campaign before somebody is let in counts by clocks that are no further apart.
const CLOCKS_APART_MS: u64 = 1_000;

/// A command that was done, refused, or may have been done.
#[derive(Clone, Copy, Debug)]
struct Told<'a> {
    call_us: u64,
    /// When its answer came; never, where there is none.
    return_us: u64,
    /// `None`: nobody knows.
    answer: Option<&'a Answer>,
}

impl<'a> Told<'a> {
    fn may_be_done(&self) -> bool {
        !matches!(self.answer, Some(Answer::Refused(_)))
    }

    fn done(&self) -> Option<&'a crate::history::Done> {
        match self.answer {
            Some(Answer::Done(done)) => Some(done),
            Some(Answer::Refused(_)) | None => None,
        }
    }

    fn refused(&self) -> Option<&'a crate::history::Refused> {
        match self.answer {
            Some(Answer::Refused(refused)) => Some(refused),
            Some(Answer::Done(_)) | None => None,
        }
    }

    /// Surely decided before that instant.
    fn is_before(&self, at_us: u64) -> bool {
        self.return_us <= at_us
    }
}

#[derive(Debug)]
struct Buy<'a> {
    told: Told<'a>,
    reservation: Id,
    units: u64,
    showing: Option<&'a Showing>,
}

#[derive(Debug)]
struct Admit<'a> {
    told: Told<'a>,
    tickets: u32,
    left: u64,
}

/// What was asked of one room, and read.
#[derive(Debug, Default)]
struct Room<'a> {
    by_lot: bool,
    joins: Vec<(u8, Told<'a>)>,
    commitments: Vec<(u64, Told<'a>)>,
    draws: Vec<(u64, Told<'a>)>,
    admits: Vec<Admit<'a>>,
    buys: Vec<Buy<'a>>,
    /// With the instants of call and return.
    reads: Vec<(u64, u64, &'a RoomSeen)>,
    granted: Vec<(u64, Told<'a>)>,
    /// Some of it was taken back, so that nothing is said of what there was.
    is_revoked: bool,
}

/// What may have ended a hold: commands that gave it back, by reservation, and those that sold it for good.
#[derive(Debug, Default)]
struct Ends<'a> {
    given_back: BTreeMap<Id, Vec<Told<'a>>>,
    sold: BTreeMap<Id, Told<'a>>,
}

/// Checks what those were told who waited for their turn.
#[must_use]
pub fn check(history: &History, bound: &LogTimeBound) -> Vec<Finding> {
    let operations = operations(history);
    let mut rooms: BTreeMap<&str, Room<'_>> = BTreeMap::new();
    let mut ends = Ends::default();
    for operation in &operations {
        take(operation, &mut rooms, &mut ends);
    }
    let mut findings = Vec::new();
    // A campaign that nobody had to wait for is none of these.
    for (name, room) in rooms.iter().filter(|(_, room)| !room.joins.is_empty()) {
        let breaches = room.breaches(&ends, bound);
        findings.extend(breaches.into_iter().map(|what| Finding::new(NAME, format!("{name}: {what}"))));
    }
    findings
}

fn take<'a>(operation: &'a Operation<'a>, rooms: &mut BTreeMap<&'a str, Room<'a>>, ends: &mut Ends<'a>) {
    let (call_us, return_us) = (operation.call_us, operation.return_us.unwrap_or(u64::MAX));
    let (commands, answers) = match (operation.asked, &operation.standing) {
        (Asked::Read(Subject::Room(name), _), Standing::Seen { seen: Seen::Room(Some(seen)), .. }) => {
            rooms.entry(name).or_default().reads.push((call_us, return_us, seen));
            return;
        }
        (Asked::Commands(commands), Standing::Decided(answers)) => (commands, Some(answers)),
        (Asked::Commands(commands), Standing::Unknown) => (commands, None),
        _ => return,
    };
    for (at, command) in commands.iter().enumerate() {
        let told = Told { call_us, return_us, answer: answers.and_then(|answers| answers.get(at)) };
        match &command.request {
            Request::JoinQueue { campaign, customer, by_lot } => {
                let room = rooms.entry(campaign).or_default();
                room.by_lot |= by_lot;
                room.joins.push((*customer, told));
            }
            Request::CommitDraw { campaign, seed } => {
                rooms.entry(campaign).or_default().commitments.push((*seed, told));
            }
            Request::Draw { campaign, seed } => rooms.entry(campaign).or_default().draws.push((*seed, told)),
            Request::Admit { campaign, tickets, left, .. } => {
                let (tickets, left) = (*tickets, *left);
                rooms.entry(campaign).or_default().admits.push(Admit { told, tickets, left });
            }
            Request::Allocate { sale, units, back, .. } if told.may_be_done() => {
                let room = rooms.entry(&sale.campaign).or_default();
                room.is_revoked |= back;
                room.granted.push((u64::from(*units), told));
            }
            Request::ReserveIn { reservation, units, sale: Some(sale), showing, .. } => {
                let room = rooms.entry(&sale.campaign).or_default();
                let (reservation, units, showing) = (*reservation, u64::from(*units), showing.as_ref());
                room.buys.push(Buy { told, reservation, units, showing });
            }
            Request::Release { reservation } | Request::Cancel { reservation } if told.may_be_done() => {
                ends.given_back.entry(*reservation).or_default().push(told);
            }
            Request::Commit { reservation } if told.done().is_some() => drop(ends.sold.insert(*reservation, told)),
            _ => {}
        }
    }
}

impl Room<'_> {
    fn breaches(&self, ends: &Ends<'_>, bound: &LogTimeBound) -> Vec<String> {
        let mut breaches = self.ticket_breaches();
        breaches.extend(self.lottery_breaches());
        breaches.extend(self.token_breaches(bound));
        breaches.extend(self.reading_breaches());
        for admit in &self.admits {
            let admitted = admit.told.done().map_or(0, |done| done.admitted);
            if u64::from(admitted) > admit.left.min(u64::from(admit.tickets)) {
                breaches.push(format!("{admitted} were let in of {} at most, with {} left", admit.tickets, admit.left));
            }
        }
        // Where clocks are further apart, somebody whose time is over may have come after all.
        if !self.is_revoked && bound.behind_ms + bound.ahead_ms <= CLOCKS_APART_MS {
            breaches.extend(self.reads.iter().filter_map(|read| self.too_many_let_in(*read, ends, bound)));
        }
        breaches
    }

    /// One ticket a customer, in the order in which they came.
    fn ticket_breaches(&self) -> Vec<String> {
        let mut breaches = Vec::new();
        let mut ticket_of: BTreeMap<u8, u32> = BTreeMap::new();
        let mut customer_of: BTreeMap<u32, u8> = BTreeMap::new();
        // When it was first asked for, and first had.
        let mut times: BTreeMap<u8, (u64, u64)> = BTreeMap::new();
        for (customer, told) in &self.joins {
            let (first_call, first_had) = times.entry(*customer).or_insert((u64::MAX, u64::MAX));
            if told.may_be_done() {
                *first_call = told.call_us.min(*first_call);
            }
            let Some(done) = told.done() else { continue };
            *first_had = told.return_us.min(*first_had);
            let known = *ticket_of.entry(*customer).or_insert(done.ticket);
            if known != done.ticket {
                breaches.push(format!("customer {customer} has tickets {known} and {}", done.ticket));
            }
            let owner = *customer_of.entry(done.ticket).or_insert(*customer);
            if owner != *customer {
                breaches.push(format!("ticket {} is that of customers {owner} and {customer}", done.ticket));
            }
        }
        for (earlier, number) in &ticket_of {
            for (later, after) in &ticket_of {
                if times[earlier].1 < times[later].0 && number > after {
                    breaches.push(format!("customer {earlier} came before {later}, and has {number} after {after}"));
                }
            }
        }
        breaches
    }

    /// Those who may come, and what is held and sold, are more than the campaign has: every ticket is good for one unit.
    fn too_many_let_in(
        &self,
        (call_us, return_us, seen): (u64, u64, &RoomSeen),
        ends: &Ends<'_>,
        bound: &LogTimeBound,
    ) -> Option<String> {
        let may_have_bought: BTreeSet<u32> = self
            .buys
            .iter()
            .filter(|buy| buy.told.may_be_done() && buy.told.call_us <= return_us)
            .filter_map(|buy| buy.showing.map(|showing| showing.ticket))
            .collect();
        let will_come = reading::admitted_until(seen)
            .filter(|(ticket, until_ms)| *until_ms > bound.most(return_us) && !may_have_bought.contains(ticket))
            .count() as u64;
        let taken: u64 = self
            .buys
            .iter()
            .filter(|buy| buy.told.is_before(call_us) && buy.is_taken_until(return_us, ends, bound))
            .map(|buy| buy.units)
            .sum();
        let granted: u64 =
            self.granted.iter().filter(|(_, told)| told.call_us <= return_us).map(|(units, _)| units).sum();
        (will_come + taken > granted).then(|| {
            format!("{will_come} are let in at {call_us} µs and {taken} units taken, of {granted} that it was given")
        })
    }
}

impl Buy<'_> {
    /// Whether its units are taken for sure until that instant, once they are.
    fn is_taken_until(&self, at_us: u64, ends: &Ends<'_>, bound: &LogTimeBound) -> bool {
        let Some(done) = self.told.done() else { return false };
        let is_sold = ends.sold.get(&self.reservation).is_some_and(|sold| sold.is_before(at_us));
        let may_be_over = bound.most(at_us) >= done.expires_at_ms;
        let given_back = ends.given_back.get(&self.reservation).map(Vec::as_slice).unwrap_or_default();
        (is_sold || !may_be_over) && given_back.iter().all(|told| told.call_us > at_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{BOUND, Story, done, held, phase, refused, release, unknown};
    use crate::history::{Done, Freshness, Outcome, Phase, Sale, TicketSeen, Turn, seed_of};

    fn sale() -> Sale {
        Sale { campaign: "drop".to_owned(), starts_at_ms: 0, ends_at_ms: 90_000 }
    }

    fn campaign() -> String {
        "drop".to_owned()
    }

    fn join(customer: u8, by_lot: bool) -> Request {
        Request::JoinQueue { campaign: campaign(), customer, by_lot }
    }

    fn ticket(number: u32) -> Outcome {
        Outcome::Answered(vec![Answer::Done(Done { ticket: number, ..Done::default() })])
    }

    fn buy(id: u128, ticket: Option<u32>) -> Request {
        let of = |ticket| Showing { customer: ticket as u8, ticket, until_ms: 5_000, token: String::new() };
        let (sku, sale, showing) = ("A".to_owned(), Some(sale()), ticket.map(of));
        Request::ReserveIn { reservation: Id(id), sku, units: 1, ttl_s: 600, sale, showing }
    }

    fn taken() -> Outcome {
        held(1, 0, 600_000)
    }

    fn token_refused(why: &str) -> Outcome {
        let mut outcome = refused("ADMISSION_TOKEN_INVALID", &[]);
        if let Outcome::Answered(answers) = &mut outcome
            && let Some(Answer::Refused(refused)) = answers.first_mut()
        {
            refused.details.insert("why".to_owned(), why.to_owned());
        }
        outcome
    }

    fn see(seen: RoomSeen) -> (Asked, Outcome) {
        let asked = Asked::Read(Subject::Room(campaign()), Freshness::Linearizable);
        (asked, Outcome::Seen { seen: Seen::Room(Some(seen)), position: None, log_time_ms: None })
    }

    fn seen(turns: &[Turn]) -> RoomSeen {
        let ticket =
            |(number, turn): (u32, &Turn)| TicketSeen { number, customer: Id(u128::from(number) * 77), turn: *turn };
        RoomSeen { tickets: (1..).zip(turns).map(ticket).collect(), ..RoomSeen::default() }
    }

    const IN: Turn = Turn::Admitted { until_ms: 5_000 };

    /// Nobody knows how many it let in.
    fn admit_some() -> Request {
        let newly_spent = Vec::new();
        Request::Admit { campaign: campaign(), tickets: 9, valid_s: 5, left: 9, spent: 0, newly_spent, as_of_ms: 0 }
    }

    /// A queue of three, and two units.
    fn queue() -> Story {
        let grant = Request::Allocate { sku: "A".to_owned(), units: 2, sale: sale(), back: false };
        Story::stocked()
            .command(2, 10, 12, grant, done(1, 8))
            .command(3, 20, 22, join(1, false), ticket(1))
            .command(4, 30, 32, join(2, false), ticket(2))
            .command(5, 40, 42, join(3, false), ticket(3))
            .command(90, 45, 0, admit_some(), unknown())
    }

    fn read(story: Story, at: u64, room: RoomSeen) -> Story {
        let (asked, outcome) = see(room);
        story.tell(at, at + 1, asked, outcome)
    }

    fn found(story: &Story) -> usize {
        check(&story.0, &BOUND).len()
    }

    #[test]
    fn who_is_let_in_by_turn_and_buys_once_is_good() {
        let admit = Request::Admit {
            campaign: campaign(),
            tickets: 5,
            valid_s: 5,
            left: 2,
            spent: 0,
            newly_spent: Vec::new(),
            as_of_ms: 0,
        };
        let two = Outcome::Answered(vec![Answer::Done(Done { admitted: 2, ..Done::default() })]);
        let story = queue().command(6, 50, 52, admit.clone(), two);
        let story = read(story, 60, seen(&[IN, IN, Turn::Waiting]))
            .command(7, 100, 102, buy(7, Some(1)), taken())
            .command(8, 110, 112, buy(8, Some(1)), token_refused("spent"))
            .command(9, 5_100, 5_102, buy(9, Some(2)), token_refused("expired"))
            .command(10, 5_110, 5_112, buy(10, None), token_refused("missing"));
        assert_eq!(check(&story.0, &BOUND), []);
        let three = Outcome::Answered(vec![Answer::Done(Done { admitted: 3, ..Done::default() })]);
        assert_eq!(found(&queue().command(6, 50, 52, admit, three)), 1);
    }

    #[test]
    fn two_tickets_of_a_customer_two_customers_of_a_ticket_and_a_later_one_before_are_found() {
        assert_eq!(found(&queue().command(6, 50, 52, join(3, false), ticket(4))), 1);
        assert_eq!(found(&queue().command(6, 50, 52, join(4, false), ticket(3))), 1);
        let at_once = Story::stocked().command(2, 10, 30, join(1, false), ticket(2)).command(
            3,
            20,
            22,
            join(2, false),
            ticket(1),
        );
        assert_eq!(found(&at_once), 0);
        let late = Story::stocked().command(2, 10, 12, join(1, false), ticket(2)).command(
            3,
            20,
            22,
            join(2, false),
            ticket(1),
        );
        assert_eq!(found(&late), 1);
    }

    #[test]
    fn a_token_that_holds_twice_late_or_not_at_all_is_found() {
        let bought = || queue().command(7, 100, 102, buy(7, Some(1)), taken());
        assert_eq!(found(&bought().command(8, 110, 112, buy(8, Some(1)), taken())), 1);
        assert_eq!(found(&bought().command(7, 110, 112, buy(7, Some(1)), taken())), 0, "it is the same command");
        assert_eq!(found(&queue().command(7, 5_000, 5_002, buy(7, Some(1)), taken())), 1);
        assert_eq!(found(&queue().command(7, 100, 102, buy(7, None), taken())), 1);
        assert_eq!(found(&queue().command(7, 100, 102, buy(7, Some(1)), token_refused("spent"))), 1);
        assert_eq!(found(&queue().command(7, 100, 102, buy(7, Some(1)), token_refused("expired"))), 1);
        assert_eq!(found(&queue().command(7, 100, 102, buy(7, Some(1)), token_refused("forged"))), 1);
        let maybe = queue().command(7, 100, 0, buy(7, Some(1)), unknown());
        assert_eq!(found(&maybe.command(8, 110, 112, buy(8, Some(1)), token_refused("spent"))), 0);
    }

    #[test]
    fn who_is_let_in_before_the_turn_and_a_room_that_goes_back_are_found() {
        assert_eq!(found(&read(queue(), 60, seen(&[Turn::Waiting, IN, Turn::Waiting]))), 1);
        let let_in = || read(queue(), 60, seen(&[IN, Turn::Waiting, Turn::Waiting]));
        assert_eq!(found(&let_in()), 0);
        assert_eq!(found(&read(let_in(), 70, seen(&[Turn::Waiting, Turn::Waiting, Turn::Waiting]))), 1);
        assert_eq!(found(&read(queue(), 60, seen(&[Turn::Waiting, Turn::Waiting]))), 1, "the third has a ticket");
        assert_eq!(found(&read(queue(), 60, seen(&[Turn::Spent, Turn::Waiting, Turn::Waiting]))), 1, "nobody bought");
    }

    #[test]
    fn more_that_are_let_in_than_there_are_units_for_are_found() {
        assert_eq!(found(&read(queue(), 60, seen(&[IN, IN, IN]))), 1);
        let bought = || queue().command(7, 100, 102, buy(7, Some(1)), taken());
        assert_eq!(found(&read(bought(), 200, seen(&[IN, IN, IN]))), 1);
        assert_eq!(found(&read(bought(), 200, seen(&[IN, IN, Turn::Waiting]))), 0);
        let back = |outcome| bought().command(8, 120, 122, release(7), outcome);
        assert_eq!(found(&read(back(phase(2, 0, Phase::Released)), 200, seen(&[Turn::Spent, IN, IN]))), 0);
        assert_eq!(found(&read(queue(), 5_000, seen(&[IN, IN, IN]))), 0, "their time may be over");
    }

    fn lottery() -> Story {
        let commit = Request::CommitDraw { campaign: campaign(), seed: 1 };
        Story::stocked()
            .command(2, 10, 12, commit, done(1, 0))
            .command(3, 20, 22, join(1, true), ticket(1))
            .command(4, 30, 32, join(2, true), ticket(2))
            .command(90, 45, 0, admit_some(), unknown())
    }

    fn draw(seed: u64) -> Request {
        Request::Draw { campaign: campaign(), seed }
    }

    #[test]
    fn a_draw_with_another_seed_a_ticket_without_a_commitment_and_one_after_the_draw_are_found() {
        assert_eq!(found(&lottery().command(5, 50, 52, draw(1), done(1, 0))), 0);
        assert_eq!(found(&lottery().command(5, 50, 52, draw(2), done(1, 0))), 1);
        assert_eq!(found(&lottery().command(5, 50, 52, draw(2), refused("DRAW_SEED_MISMATCH", &[]))), 0);
        assert_eq!(found(&lottery().command(5, 50, 52, draw(1), refused("DRAW_SEED_MISMATCH", &[]))), 1);
        assert_eq!(found(&Story::stocked().command(3, 20, 22, join(1, true), ticket(1))), 1);
        let drawn = || lottery().command(5, 50, 52, draw(1), done(1, 0));
        assert_eq!(found(&drawn().command(6, 60, 62, join(3, true), ticket(3))), 1);
        assert_eq!(found(&drawn().command(6, 60, 62, join(2, true), ticket(2))), 0);
        let other = Request::CommitDraw { campaign: campaign(), seed: 2 };
        assert_eq!(found(&lottery().command(5, 50, 52, other, done(1, 0))), 1);
    }

    #[test]
    fn an_order_that_is_not_that_of_the_seed_is_found() {
        let place = |number: u32| lottery::place(&seed_of(1), Id(u128::from(number) * 77));
        let (first, second) = if place(1) < place(2) { (0, 1) } else { (1, 0) };
        let room = |let_in: usize, seed: u64, held_to: u64| {
            let mut turns = [Turn::Waiting; 2];
            turns[let_in] = IN;
            let commitment = blake3::hash(&seed_of(held_to)).as_bytes().to_vec();
            RoomSeen { commitment, seed: seed_of(seed).to_vec(), ..seen(&turns) }
        };
        let grant = Request::Allocate { sku: "A".to_owned(), units: 2, sale: sale(), back: false };
        let drawn = || lottery().command(5, 50, 52, draw(1), done(1, 0)).command(6, 55, 57, grant.clone(), done(1, 8));
        assert_eq!(found(&read(drawn(), 60, room(first, 1, 1))), 0);
        assert_eq!(found(&read(drawn(), 60, room(second, 1, 1))), 1);
        assert!(found(&read(drawn(), 60, room(first, 2, 1))) > 0, "another seed");
        assert!(found(&read(drawn(), 60, room(first, 2, 2))) > 0, "another commitment");
    }
}
