//! The change log's events: gapless sequence numbers, and a BLAKE3 hash chain that a reader can check.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::commands::Discrepancy;
use crate::invariants::Invariant;
use crate::{
    CampaignId, CampaignPhase, Cause, ChannelId, CommandId, Commitment, CountId, CountState, CustomerHash, EventKind,
    LimitId, LocationId, LogTime, LotId, LotStatus, OrderState, ReceiptId, ReservationId, ReservationState, Revision,
    Seed, ShortReservation, Sku, StepName, StepState, StockCounts, StockDelta, TicketState, TransferId, TransferState,
};

/// The version byte that an encoded event starts with.
const EVENT_VERSION: u8 = 2;
/// Length of a hash, in bytes.
const HASH: usize = 32;
/// Where in an encoded event begins what its hash is over.
const HASHED_FROM: usize = 1 + HASH;

/// A hash of the change log's chain.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventHash(pub [u8; 32]);

impl fmt::Debug for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One entry of a shard's change log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The hash of the event before; zeros for the first.
    pub prev_hash: EventHash,
    /// BLAKE3 of `prev_hash` and the encoded body.
    pub hash: EventHash,
    /// What happened.
    pub body: EventBody,
    /// Version, hash, the hash before, body: written once, when the event is sealed, and hashed where they lie.
    encoded: Vec<u8>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBody {
    /// 1 for a shard's first event, then without gaps.
    pub seq: u64,
    /// Log time.
    pub time: LogTime,
    /// What happened.
    pub kind: EventKind,
    /// The command that caused it; `None`: time did.
    pub command: Option<CommandId>,
    /// Who and why, where the command said so.
    pub cause: Option<Arc<Cause>>,
    /// The reservation it is about.
    pub reservation: Option<ReservationRef>,
    /// The quantities that changed, each item, location and lot once.
    pub changes: Vec<StockChange>,
    /// The item, location or lot it is about, beside the quantities.
    pub subject: Option<Subject>,
}

/// A reservation as an event names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationRef {
    /// Its id.
    pub id: ReservationId,
    /// Where it stands after the event.
    pub state: ReservationState,
    /// Its revision after the event.
    pub revision: Revision,
    /// Its expiry after the event.
    pub expires_at: LogTime,
}

/// The quantities of one item, location and lot before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockChange {
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// The lot.
    pub lot: Option<LotId>,
    /// What was added or taken.
    pub delta: StockDelta,
    /// What is there now.
    pub after: StockCounts,
    /// What may be promised of the item at the location now.
    pub atp_after: u64,
    /// The revision of the stock at the location.
    pub revision: Revision,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// An item.
    Item {
        /// Which.
        sku: Sku,
        /// Its revision after.
        revision: Revision,
    },
    /// A location.
    Location {
        /// Which.
        location: LocationId,
        /// Its revision after.
        revision: Revision,
    },
    /// A lot.
    Lot {
        /// The item.
        sku: Sku,
        /// Which.
        lot: LotId,
        /// Its status after.
        status: LotStatus,
        /// Its revision after.
        revision: Revision,
    },
    /// What may be promised of an item at a location.
    Availability {
        /// The item.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// What may be promised now.
        atp: u64,
    },
    /// What of an item at a location is kept back from sale.
    SafetyStock {
        /// The item.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// Units kept back now.
        safety_stock: u64,
        /// The stock's revision after.
        revision: Revision,
    },
    /// A transfer.
    Transfer {
        /// Which.
        transfer: TransferId,
        /// Where its units come from.
        from: LocationId,
        /// Where they go.
        to: LocationId,
        /// Where it stands after.
        state: TransferState,
        /// Units that are still on their way.
        in_transit: u64,
        /// Its revision after.
        revision: Revision,
    },
    /// An expected receipt.
    Receipt {
        /// Which.
        receipt: ReceiptId,
        /// Where it is expected.
        location: LocationId,
        /// Units that are still expected.
        expected: u64,
        /// Its revision after.
        revision: Revision,
    },
    /// A limit of what one customer may have.
    Limit {
        /// Which.
        limit: LimitId,
        /// The item.
        sku: Sku,
        /// Units that one customer may have.
        units: u32,
        /// Its revision after.
        revision: Revision,
    },
    /// A count.
    Count {
        /// Which.
        count: CountId,
        /// Where.
        location: LocationId,
        /// Where it stands after.
        state: CountState,
        /// Its revision after.
        revision: Revision,
    },
    /// Promises whose stock went away.
    Shortfall {
        /// The item.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// Units that are short there now, in all.
        short: u64,
        /// Reservations of which units became short, the newest first, at most [`MAX_SHORT_NAMED`](crate::MAX_SHORT_NAMED): where
        /// there are more, another event follows.
        reservations: Vec<ShortReservation>,
    },
    /// What another system's records say of an item.
    Reconciliation {
        /// The item.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// What was found.
        discrepancy: Discrepancy,
        /// How many units more (above 0) or fewer it says are there.
        delta: i64,
    },
    /// Units that are promised without stock, or were.
    Backorder {
        /// The item.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// Units of the reservation that are promised so, or are filled.
        units: u64,
        /// Units of all reservations that are promised so there now.
        backordered: u64,
    },
    /// A channel.
    Channel {
        /// Which.
        channel: ChannelId,
        /// Its revision after.
        revision: Revision,
    },
    /// What an audit has found broken.
    Breach {
        /// Which invariant.
        invariant: Invariant,
        /// Where, and what was found.
        finding: String,
        /// The node whose replica it was found on.
        node: u64,
    },
    /// The order of the reservation.
    Order {
        /// Where it stands after.
        state: OrderState,
        /// The step that is over, and how.
        step: Option<(StepName, StepState)>,
        /// Its revision after.
        revision: Revision,
    },
    /// A campaign.
    Campaign {
        /// Which.
        campaign: CampaignId,
        /// Where it stands now.
        phase: CampaignPhase,
        /// Its revision.
        revision: Revision,
    },
    /// What of an item at a location a campaign has.
    Allocation {
        /// The campaign.
        campaign: CampaignId,
        /// The item.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// Units given to it.
        granted: u64,
        /// Units of them that are held.
        held: u64,
        /// Units of them that are sold.
        sold: u64,
    },
    /// A ticket of a campaign's waiting room.
    Ticket {
        /// The campaign.
        campaign: CampaignId,
        /// Its number.
        ticket: u32,
        /// Whose; `None` where the shard does not know, as where a token is spent.
        customer: Option<CustomerHash>,
        /// Where it stands now.
        state: TicketState,
    },
    /// The lottery of a campaign.
    Draw {
        /// The campaign.
        campaign: CampaignId,
        /// What it is held to.
        commitment: Commitment,
        /// What it was drawn with, once it was.
        seed: Option<Seed>,
        /// Tickets that are on its list.
        tickets: u32,
    },
    /// What a customer asked for and a limit refused.
    LimitHit {
        /// The limit.
        limit: LimitId,
        /// The item, or the kit that was asked for.
        sku: Sku,
        /// Who: the hash is all that there is of a customer.
        customer: CustomerHash,
        /// Units that the limit leaves the customer.
        remaining: u64,
    },
}

/// Why bytes are not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventDecodeError {
    /// Another version wrote it.
    #[error("the event has version {found}, and only version {EVENT_VERSION} is known")]
    UnknownVersion {
        /// The version.
        found: u8,
    },
    /// The bytes are cut or changed.
    #[error("the event is damaged")]
    Damaged,
    /// The body is not what was hashed.
    #[error("the event's hash does not match its body")]
    HashMismatch,
}

/// Where a chain of events breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A sequence number is missing or repeated.
    #[error("event {expected} was expected, and {found} follows")]
    Gap {
        /// The number that comes next.
        expected: u64,
        /// The number that stands there.
        found: u64,
    },
    /// An event does not follow the one before it, or was changed.
    #[error("event {seq} does not fit the hash chain")]
    HashMismatch {
        /// The event.
        seq: u64,
    },
}

impl Event {
    pub(crate) fn seal(prev_hash: EventHash, body: EventBody) -> Self {
        let mut encoded = Vec::with_capacity(HASHED_FROM + 224);
        encoded.push(EVENT_VERSION);
        encoded.extend_from_slice(&[0; HASH]);
        encoded.extend_from_slice(&prev_hash.0);
        let mut encoded = body.append_to(encoded);
        let hash = hash_of(&encoded[HASHED_FROM..]);
        encoded[1..HASHED_FROM].copy_from_slice(&hash.0);
        Self { prev_hash, hash, body, encoded }
    }

    /// The event as bytes: version, its hash, the hash before, body. The same event always gives the same bytes.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Reads what [`Event::encoded`] gave, and checks its hash.
    ///
    /// # Errors
    ///
    /// [`EventDecodeError`]; bytes from outside never panic.
    pub fn decode(bytes: &[u8]) -> Result<Self, EventDecodeError> {
        let (&version, rest) = bytes.split_first().ok_or(EventDecodeError::Damaged)?;
        if version != EVENT_VERSION {
            return Err(EventDecodeError::UnknownVersion { found: version });
        }
        let (hash, hashed) = rest.split_first_chunk::<HASH>().ok_or(EventDecodeError::Damaged)?;
        let (prev_hash, body) = hashed.split_first_chunk::<HASH>().ok_or(EventDecodeError::Damaged)?;
        let (hash, prev_hash) = (EventHash(*hash), EventHash(*prev_hash));
        if hash_of(hashed) != hash {
            return Err(EventDecodeError::HashMismatch);
        }
        match postcard::take_from_bytes(body) {
            Ok((body, [])) => Ok(Self { prev_hash, hash, body, encoded: bytes.to_vec() }),
            _ => Err(EventDecodeError::Damaged),
        }
    }

    /// Checks that the events follow one another, and the event of (`after_seq`, `after_hash`), without a gap or a change.
    ///
    /// # Errors
    ///
    /// The first place where the chain breaks.
    pub fn verify_chain<'a>(
        after_seq: u64,
        after_hash: EventHash,
        events: impl IntoIterator<Item = &'a Self>,
    ) -> Result<(), ChainError> {
        let (mut seq, mut hash) = (after_seq, after_hash);
        for event in events {
            if event.body.seq != seq + 1 {
                return Err(ChainError::Gap { expected: seq + 1, found: event.body.seq });
            }
            seq = event.body.seq;
            if event.prev_hash != hash || event.body.hash_after(hash) != event.hash {
                return Err(ChainError::HashMismatch { seq });
            }
            hash = event.hash;
        }
        Ok(())
    }
}

impl EventBody {
    fn append_to(&self, bytes: Vec<u8>) -> Vec<u8> {
        postcard::to_extend(self, bytes).expect("an event's types serialise, and a Vec takes every byte")
    }

    fn hash_after(&self, prev_hash: EventHash) -> EventHash {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&prev_hash.0);
        hash_of(&self.append_to(bytes))
    }
}

/// The hash of an event, over the hash before it and its encoded body.
pub(crate) fn hash_of(hashed: &[u8]) -> EventHash {
    EventHash(*blake3::hash(hashed).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{ChainError, Event, EventKind};
    use crate::test_shop::{Shop, commit, receive, reserve};
    use crate::*;

    fn events_of_a_shop() -> Vec<Event> {
        let mut shop = Shop::with_rouge(5);
        let mut commands = [reserve(1, &[("rouge", 5)]), commit(1), receive("rouge", "LYO", 1)]
            .map(|operation| shop.command(operation));
        let (actor, reason, reference) = ("ann".to_owned(), "launch".to_owned(), "https://a.example/1".to_owned());
        commands[0].cause = Some(Box::new(Cause { actor, reason, reference }));
        shop.apply(commands.to_vec());
        shop.applied.events.clone()
    }

    #[test]
    fn an_event_reads_back_what_it_wrote() {
        for event in events_of_a_shop() {
            assert_eq!(Event::decode(event.encoded()), Ok(event));
        }
    }

    #[test]
    fn an_event_says_who_and_why_and_what_is_there_after() {
        let events = events_of_a_shop();
        let held = &events[0].body;
        assert_eq!((held.kind, held.command.is_some()), (EventKind::ReservationHeld, true));
        assert_eq!(held.cause.as_ref().unwrap().actor, "ann");
        let change = &held.changes[0];
        assert_eq!((change.delta.reserved, change.after.reserved, change.atp_after), (5, 5, 0));
        assert_eq!(held.reservation.unwrap().state, ReservationState::Held);
    }

    #[test]
    fn a_changed_byte_anywhere_is_found() {
        let bytes = events_of_a_shop()[0].encoded().to_vec();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Event::decode(&changed).is_err(), "byte {at}");
            assert!(Event::decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_missing_a_repeated_and_a_changed_event_break_the_chain() {
        let events = events_of_a_shop();
        let (seq, hash) = (events[0].body.seq - 1, events[0].prev_hash);
        assert_eq!(Event::verify_chain(seq, hash, &events), Ok(()));
        let gap = ChainError::Gap { expected: seq + 1, found: seq + 2 };
        assert_eq!(Event::verify_chain(seq, hash, &events[1..]), Err(gap));
        let mut changed = events.clone();
        changed[1].body.time = LogTime(1);
        assert_eq!(Event::verify_chain(seq, hash, &changed), Err(ChainError::HashMismatch { seq: seq + 2 }));
    }
    proptest::proptest! {
        #[test]
        fn what_is_nearly_an_event_is_refused_or_read_and_never_a_panic(
            bytes in holdfast_mangle::mangled(crate::untrusted::event::valid()),
        ) {
            crate::untrusted::event::read(&bytes);
        }
    }
}
