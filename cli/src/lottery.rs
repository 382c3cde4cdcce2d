//! A lottery as anybody can check it: the seed is the one it was held to, and those who were let in are the first of the order that it gives.

use holdfast_client::Room;
use holdfast_proto::v1::{Ticket, TicketState};

/// What a draw comes to, computed anew from its seed and its list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawn {
    /// The tickets, in the order in which they are let in.
    pub order: Vec<Ticket>,
    /// What is wrong with it. Empty: it holds.
    pub problems: Vec<String>,
}

impl Drawn {
    /// Computes a draw anew.
    #[must_use]
    pub fn of(room: &Room) -> Self {
        let mut drawn = Self::default();
        let (seed, commitment) = (room.draw.seed.as_slice(), room.draw.commitment.as_slice());
        if seed.is_empty() {
            drawn.problems.push("it is not drawn yet".to_owned());
            return drawn;
        }
        if blake3::hash(seed).as_bytes().as_slice() != commitment {
            drawn.problems.push("the seed is not the one that the draw was held to".to_owned());
        }
        if room.tickets.len() as u64 != u64::from(room.draw.tickets) {
            let (read, said) = (room.tickets.len(), room.draw.tickets);
            drawn.problems.push(format!("{read} tickets were read of {said} on the list"));
        }
        let mut order: Vec<([u8; 32], &Ticket)> =
            room.tickets.iter().map(|ticket| (place_of(seed, &ticket.customer_hash), ticket)).collect();
        order.sort_by_key(|(place, ticket)| (*place, ticket.number));
        drawn.order = order.into_iter().map(|(_, ticket)| ticket.clone()).collect();
        let is_in = |ticket: &Ticket| ticket.state() != TicketState::Waiting;
        let first_waiting = drawn.order.iter().position(|ticket| !is_in(ticket)).unwrap_or(drawn.order.len());
        for ticket in drawn.order[first_waiting..].iter().filter(|ticket| is_in(ticket)) {
            drawn.problems.push(format!("ticket {} was let in before its turn", ticket.number));
        }
        drawn
    }

    /// Whether it is what the seed gives.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Where a customer stands in the order of a draw: BLAKE3 of the seed, followed by the customer's hash.
fn place_of(seed: &[u8], customer_hash: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(seed);
    hasher.update(customer_hash);
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use holdfast_proto::v1::CampaignDraw;

    use super::*;

    const SEED: [u8; 32] = [5; 32];

    /// Of 20 customers the first `in_` of the order are let in.
    fn room(let_in: usize) -> Room {
        let ticket = |number: u32| Ticket {
            number,
            customer_hash: u128::from(number * 77).to_be_bytes().to_vec(),
            state: TicketState::Waiting.into(),
            ..Ticket::default()
        };
        let commitment = blake3::hash(&SEED).as_bytes().to_vec();
        let draw = CampaignDraw { commitment, seed: SEED.to_vec(), tickets: 20, ..CampaignDraw::default() };
        let mut room = Room { draw, tickets: (1..=20).map(ticket).collect(), ..Room::default() };
        let first: Vec<u32> = Drawn::of(&room).order.iter().take(let_in).map(|ticket| ticket.number).collect();
        for ticket in room.tickets.iter_mut().filter(|ticket| first.contains(&ticket.number)) {
            ticket.state = TicketState::Admitted.into();
        }
        room
    }

    #[test]
    fn a_draw_whose_first_were_let_in_holds() {
        for let_in in [0, 1, 7, 20] {
            let drawn = Drawn::of(&room(let_in));
            assert_eq!((drawn.problems, drawn.order.len()), (vec![], 20));
        }
    }

    #[test]
    fn another_seed_a_ticket_before_its_turn_and_one_that_is_missing_are_found() {
        let mut other = room(0);
        other.draw.seed = vec![6; 32];
        assert_eq!(Drawn::of(&other).problems, ["the seed is not the one that the draw was held to"]);
        let mut early = room(3);
        let last = Drawn::of(&early).order[19].number;
        early.tickets[last as usize - 1].state = TicketState::Spent.into();
        assert_eq!(Drawn::of(&early).problems, [format!("ticket {last} was let in before its turn")]);
        let mut short = room(0);
        short.tickets.pop();
        assert_eq!(Drawn::of(&short).problems, ["19 tickets were read of 20 on the list"]);
        assert!(!Drawn::of(&Room::default()).holds());
    }
}
