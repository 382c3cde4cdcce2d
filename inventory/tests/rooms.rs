//! Random waiting rooms, held against a naive model that keeps lists: who has which ticket, who is let in, whose token was spent.

#![allow(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

use std::collections::{BTreeMap, BTreeSet};

use holdfast_inventory::commands::{
    Admit, CommitDraw, Draw, Grant, JoinQueue, Line, PutCampaign, PutItem, PutLocation,
};
use holdfast_inventory::commands::{Receive, Reserve};
use holdfast_inventory::{
    Applied, BodyHash, CampaignAdmission, CampaignId, CampaignSpec, Command, CommandId, CustomerHash, Entry, Inventory,
    ItemSpec, Limits, LocationSpec, LogTime, Operation, Pass, QueueFault, Refusal, ReservationId, Revision, Seed, Sku,
    Success, TicketState, TokenFault, Units, invariants, slot_of,
};
use proptest::prelude::*;

const START: u64 = 1_790_000_000_000;
const SALE_AT: u64 = START + 20_000;
const ENDS_AT: u64 = START + 400_000;
const GRANTED: u32 = 6;

#[derive(Clone, Debug)]
enum Act {
    Join(u8),
    Commit(u8),
    Draw(u8),
    Admit {
        most: u32,
        valid_s: u32,
        stale: bool,
    },
    /// Somebody shows the token of a ticket, honest or of one's own making.
    Buy {
        ticket: u32,
        units: u32,
        lasts_s: u64,
        with: bool,
    },
    Pass {
        ms: u64,
    },
    Reload,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (0..12_u8).prop_map(Act::Join),
        1 => (0..3_u8).prop_map(Act::Commit),
        1 => (0..3_u8).prop_map(Act::Draw),
        4 => (1..5_u32, 1..60_u32, prop::bool::weighted(0.2)).prop_map(|(most, valid_s, stale)| Act::Admit { most, valid_s, stale }),
        6 => (1..14_u32, 1..3_u32, 1..60_u64, prop::bool::weighted(0.9))
            .prop_map(|(ticket, units, lasts_s, with)| Act::Buy { ticket, units, lasts_s, with }),
        3 => (1..30_000_u64).prop_map(|ms| Act::Pass { ms }),
        1 => Just(Act::Reload),
    ];
    prop::collection::vec(act, 1..80)
}

/// What was left, who had spent a token, and when that was read.
type News = (u64, BTreeSet<u32>, u64);

/// What is thought of the room, in lists.
#[derive(Default)]
struct Model {
    commitment: Option<u8>,
    seed: Option<u8>,
    /// Customers in the order in which they came: the ticket is the place, from 1.
    joined: Vec<u128>,
    until: BTreeMap<u32, u64>,
    /// As the room was told.
    told_spent: BTreeSet<u32>,
    /// As it is.
    spent: BTreeSet<u32>,
    left: u64,
    /// What somebody has read earlier.
    old_news: News,
}

impl Model {
    /// What one is told who shows that, or nothing.
    fn buy(&mut self, now: u64, units: u32, pass: Option<Pass>) -> Result<(), Refusal> {
        let invalid = |why| Err(Refusal::AdmissionTokenInvalid { why });
        if now >= ENDS_AT {
            return over();
        }
        if now < SALE_AT {
            return Err(Refusal::SaleNotStarted { campaign: drop_id(), starts_at: LogTime(SALE_AT) });
        }
        let Some(pass) = pass else { return invalid(TokenFault::Missing) };
        if self.spent.contains(&pass.ticket) {
            return invalid(TokenFault::Spent);
        }
        if pass.expires_at.0 <= now {
            return invalid(TokenFault::Expired);
        }
        if u64::from(units) > self.left {
            return Err(Refusal::AllocationExhausted { available: self.left, line: 0 });
        }
        self.left -= u64::from(units);
        self.spent.insert(pass.ticket);
        Ok(())
    }

    fn order(&self) -> Vec<u32> {
        let mut tickets: Vec<u32> = (1..=self.joined.len() as u32).collect();
        if let Some(seed) = self.seed {
            tickets.sort_by_key(|ticket| seed_of(seed).place_of(CustomerHash(self.joined[*ticket as usize - 1])));
        }
        tickets
    }

    fn admit(&mut self, now: u64, most: u32, valid_s: u32, (left, spent, as_of): &News) -> u32 {
        let news: Vec<u32> = spent.iter().copied().filter(|ticket| self.until.contains_key(ticket)).collect();
        self.told_spent.extend(news);
        let since = (self.told_spent.len() as u64).saturating_sub(spent.len() as u64);
        let told = &self.told_spent;
        let coming =
            self.until.iter().filter(|(ticket, until)| **until > *as_of && !told.contains(ticket)).count() as u64;
        let most = left.saturating_sub(since).saturating_sub(coming).min(most.into());
        let next: Vec<u32> =
            self.order().into_iter().filter(|ticket| !self.until.contains_key(ticket)).take(most as usize).collect();
        self.until.extend(next.iter().map(|ticket| (*ticket, now + u64::from(valid_s) * 1_000)));
        next.len() as u32
    }
}

fn seed_of(number: u8) -> Seed {
    Seed([number; 32])
}

fn drop_id() -> CampaignId {
    "drop".parse().unwrap()
}

struct Shop {
    inventory: Inventory,
    now: u64,
    next: u128,
}

impl Shop {
    fn open(admission: CampaignAdmission) -> Self {
        let mut shop = Self { inventory: Inventory::new(Limits::default()), now: START, next: 1 };
        let (sku, location): (Sku, holdfast_inventory::LocationId) = ("rouge".parse().unwrap(), "PAR".parse().unwrap());
        let put = PutLocation { location: location.clone(), spec: LocationSpec::default(), if_revision: None };
        shop.ask(Operation::PutLocation(Box::new(put))).unwrap();
        let put = PutItem { sku: sku.clone(), spec: ItemSpec::default(), if_revision: None, if_absent: true };
        shop.ask(Operation::PutItem(Box::new(put))).unwrap();
        let units = Units(GRANTED + 3);
        let (lot, lot_spec, receipt) = (None, None, None);
        let receive = Receive { sku: sku.clone(), location: location.clone(), lot, lot_spec, units, receipt };
        shop.ask(Operation::Receive(receive)).unwrap();
        let spec = CampaignSpec { starts_at: LogTime(SALE_AT), ends_at: LogTime(ENDS_AT), admission, closed: false };
        let put = PutCampaign { campaign: drop_id(), spec, revision: Revision(1) };
        shop.ask(Operation::PutCampaign(Box::new(put))).unwrap();
        let grant = Grant { campaign: drop_id(), sku, location, units: Units(GRANTED) };
        shop.ask(Operation::Grant(Box::new(grant))).unwrap();
        shop
    }

    fn ask(&mut self, operation: Operation) -> Result<Success, Refusal> {
        self.next += 1;
        let command = Command {
            id: CommandId(self.next),
            minted_at: LogTime(self.now),
            keyed: false,
            body: BodyHash(self.next),
            linked: false,
            cause: None,
            operation,
        };
        let mut out = Applied::default();
        self.inventory.apply(&Entry { time: LogTime(self.now), commands: vec![command] }, &mut out);
        assert_eq!(invariants::check(&self.inventory), []);
        out.answers.pop().unwrap().outcome
    }

    fn buy(&mut self, units: u32, pass: Option<Pass>) -> Result<Success, Refusal> {
        let sku: Sku = "rouge".parse().unwrap();
        let reservation = ReservationId::mint(self.now, slot_of(&sku), self.next as u64);
        let (lot, optional, no_backorder) = (None, false, false);
        let line = Line {
            sku,
            location: "PAR".parse().unwrap(),
            units: Units(units),
            lot,
            optional,
            no_backorder,
            min_units: None,
        };
        self.ask(Operation::Reserve(Reserve {
            reservation,
            lines: vec![line],
            ttl_s: 14_000,
            partial_ok: false,
            order_ref: None,
            customer: None,
            channel: None,
            campaign: Some(drop_id()),
            plan: None,
            pass,
        }))
    }

    fn reload(&mut self) {
        let of = &self.inventory;
        let chunks = of.chunk_ids().into_iter().map(|id| (id, of.encode_chunk(id).unwrap()));
        let loaded = Inventory::load(&of.encode_header(), chunks).unwrap();
        assert_eq!(loaded.digest(), of.digest());
        self.inventory = loaded;
    }
}

fn over<T>() -> Result<T, Refusal> {
    Err(Refusal::SaleEnded { campaign: drop_id() })
}

fn closed<T>(why: QueueFault) -> Result<T, Refusal> {
    Err(Refusal::QueueClosed { campaign: drop_id(), why })
}

/// Asks the rules, and the model what they should say.
fn play(shop: &mut Shop, model: &mut Model, is_lottery: bool, act: &Act) {
    let is_over = shop.now >= ENDS_AT;
    match *act {
        Act::Join(customer) => {
            let customer = u128::from(customer) << 64 | 7;
            let got = shop.ask(Operation::JoinQueue(Box::new(JoinQueue {
                campaign: drop_id(),
                customer: CustomerHash(customer),
            })));
            let known = model.joined.iter().position(|of| *of == customer).map(|at| at as u32 + 1);
            let expected = match known {
                _ if is_over => over(),
                Some(ticket) => Ok(ticket),
                None if is_lottery && model.seed.is_some() => closed(QueueFault::Drawn),
                None if is_lottery && model.commitment.is_none() => {
                    Err(Refusal::DrawNotCommitted { campaign: drop_id() })
                }
                None => {
                    model.joined.push(customer);
                    Ok(model.joined.len() as u32)
                }
            };
            assert_eq!(got.map(|done| done.ticket.unwrap()), expected);
        }
        Act::Commit(number) => {
            let commitment = seed_of(number).commitment();
            let got = shop.ask(Operation::CommitDraw(Box::new(CommitDraw { campaign: drop_id(), commitment })));
            let expected = match model.commitment {
                _ if is_over => over(),
                Some(known) if known == number => Ok(()),
                Some(known) => Err(Refusal::DrawSeedMismatch { commitment: seed_of(known).commitment() }),
                None if !is_lottery => closed(QueueFault::NoLottery),
                None if shop.now >= SALE_AT => closed(QueueFault::Begun),
                None => {
                    model.commitment = Some(number);
                    Ok(())
                }
            };
            assert_eq!(got.map(|_| ()), expected);
        }
        Act::Draw(number) => {
            let got = shop.ask(Operation::Draw(Box::new(Draw { campaign: drop_id(), seed: seed_of(number) })));
            let expected = match model.commitment {
                _ if is_over => over(),
                None => Err(Refusal::DrawNotCommitted { campaign: drop_id() }),
                Some(known) if known != number => {
                    Err(Refusal::DrawSeedMismatch { commitment: seed_of(known).commitment() })
                }
                Some(_) => {
                    model.seed = Some(number);
                    Ok(())
                }
            };
            assert_eq!(got.map(|_| ()), expected);
        }
        Act::Admit { most, valid_s, stale } => {
            let fresh = (model.left, model.spent.clone(), shop.now);
            let news = if stale { model.old_news.clone() } else { fresh.clone() };
            let (left, spent, as_of) = &news;
            let newly_spent = spent.iter().copied().filter(|ticket| !model.told_spent.contains(ticket)).collect();
            let admit = Admit {
                campaign: drop_id(),
                tickets: most,
                valid_s,
                left: *left,
                spent: spent.len() as u32,
                newly_spent,
                as_of: LogTime(*as_of),
            };
            let got = shop.ask(Operation::Admit(Box::new(admit)));
            let expected = if is_over {
                over()
            } else if shop.now < SALE_AT {
                Err(Refusal::SaleNotStarted { campaign: drop_id(), starts_at: LogTime(SALE_AT) })
            } else if is_lottery && model.seed.is_none() {
                closed(QueueFault::NotDrawn)
            } else {
                Ok(model.admit(shop.now, most, valid_s, &news))
            };
            assert_eq!(got.map(|done| done.admitted.unwrap()), expected);
            if !stale {
                model.old_news = fresh;
            }
        }
        Act::Buy { ticket, units, lasts_s, with } => {
            let expires_at = model.until.get(&ticket).copied().unwrap_or(START + lasts_s * 1_000);
            let pass = with.then_some(Pass { ticket, expires_at: LogTime(expires_at) });
            let got = shop.buy(units, pass);
            assert_eq!(got.map(|_| ()), model.buy(shop.now, units, pass));
        }
        Act::Pass { ms } => shop.now += ms,
        Act::Reload => shop.reload(),
    }
}

/// Everything that a read shows is what the model has.
fn agree(shop: &Shop, model: &Model) {
    let tickets = shop.inventory.tickets(&drop_id(), 0, usize::MAX).unwrap();
    let shown: Vec<(u32, u128, TicketState)> = tickets.iter().map(|it| (it.number, it.customer.0, it.state)).collect();
    let expected = model.joined.iter().enumerate().map(|(at, customer)| {
        let number = at as u32 + 1;
        let state = match model.until.get(&number) {
            _ if model.told_spent.contains(&number) => TicketState::Spent,
            Some(until) => TicketState::Admitted { until: LogTime(*until) },
            None => TicketState::Waiting,
        };
        (number, *customer, state)
    });
    assert_eq!(shown, expected.collect::<Vec<_>>());
    let queue: Vec<u32> = shop.inventory.queue(&drop_id()).unwrap().iter().map(|ticket| ticket.number).collect();
    let waiting = model.order().into_iter().filter(|ticket| !model.until.contains_key(ticket));
    assert_eq!(queue, waiting.collect::<Vec<_>>());
    let spent: Vec<u32> = model.spent.iter().copied().collect();
    assert_eq!(shop.inventory.spent_tickets(&drop_id()).unwrap(), spent);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_room_is_what_lists_would_have(is_lottery in any::<bool>(), acts in acts()) {
        let admission = if is_lottery { CampaignAdmission::Lottery } else { CampaignAdmission::Queue };
        let mut shop = Shop::open(admission);
        let mut model = Model { left: GRANTED.into(), ..Model::default() };
        model.old_news = (model.left, BTreeSet::new(), START);
        for act in &acts {
            play(&mut shop, &mut model, is_lottery, act);
            agree(&shop, &model);
        }
    }
}
