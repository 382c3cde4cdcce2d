//! The reservations of one state of the model. A search keeps very many states that differ in few reservations: so copies
//! share what is equal, in a tree of which a change copies one way from the root to a leaf, and what is the same for a whole
//! branch (its hash, when anything in it may expire first) is found once. A state costs the same however many reservations
//! there are, but for the depth of the tree.

use std::cell::OnceCell;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use xxhash_rust::xxh3::Xxh3;

use super::model::Hold;

/// How many children a node has, and reservations a leaf. Few, since a change copies as many on each level.
const FAN: usize = 8;

/// Reservations by number, some of which are not there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SharedHolds {
    root: Rc<Node>,
    /// How many reservations each child of the root has room for.
    room_of_child: usize,
}

#[derive(Clone, Debug)]
struct Node {
    below: Below,
    hash: OnceCell<u64>,
    first_expiry: OnceCell<Option<u64>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Below {
    Nodes([Rc<Node>; FAN]),
    Holds(Box<[Option<Hold>; FAN]>),
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.below == other.below
    }
}

impl Eq for Node {}

impl Node {
    fn new(below: Below) -> Self {
        Self { below, hash: OnceCell::new(), first_expiry: OnceCell::new() }
    }

    fn hash(&self) -> u64 {
        *self.hash.get_or_init(|| {
            let mut hasher = Xxh3::new();
            match &self.below {
                Below::Nodes(nodes) => nodes.iter().for_each(|node| hasher.write_u64(node.hash())),
                Below::Holds(holds) => holds.hash(&mut hasher),
            }
            hasher.digest()
        })
    }

    /// When time may end one of them first.
    fn first_expiry(&self) -> Option<u64> {
        *self.first_expiry.get_or_init(|| match &self.below {
            Below::Nodes(nodes) => nodes.iter().filter_map(|node| node.first_expiry()).min(),
            Below::Holds(holds) => holds.iter().flatten().filter_map(Hold::ends_from).min(),
        })
    }

    /// The place of a reservation, to be changed. `room`: how many reservations each child has room for.
    fn place(&mut self, at: usize, room: usize) -> &mut Option<Hold> {
        (self.hash, self.first_expiry) = (OnceCell::new(), OnceCell::new());
        match &mut self.below {
            Below::Nodes(nodes) => Rc::make_mut(&mut nodes[at / room]).place(at % room, room / FAN),
            Below::Holds(holds) => &mut holds[at],
        }
    }

    fn may_expire<'a>(&'a self, until: u64, first: usize, room: usize, found: &mut Vec<(usize, &'a Hold)>) {
        if self.first_expiry().is_none_or(|first| first > until) {
            return;
        }
        match &self.below {
            Below::Nodes(nodes) => {
                for (nth, node) in nodes.iter().enumerate() {
                    node.may_expire(until, first + nth * room, room / FAN, found);
                }
            }
            Below::Holds(holds) => {
                let there = holds.iter().enumerate().filter_map(|(nth, hold)| Some((first + nth, hold.as_ref()?)));
                found.extend(there.filter(|(_, hold)| hold.ends_from().is_some_and(|at| at <= until)));
            }
        }
    }
}

impl SharedHolds {
    /// Room for so many, none of which is there.
    pub(super) fn new(count: usize) -> Self {
        let mut root = Rc::new(Node::new(Below::Holds(Default::default())));
        let mut room_of_child = 1;
        while room_of_child * FAN < count {
            room_of_child *= FAN;
            root = Rc::new(Node::new(Below::Nodes(std::array::from_fn(|_| root.clone()))));
        }
        Self { root, room_of_child }
    }

    pub(super) fn get(&self, at: usize) -> Option<&Hold> {
        let (mut node, mut at, mut room) = (&self.root, at, self.room_of_child);
        loop {
            match &node.below {
                Below::Nodes(nodes) => (node, at, room) = (&nodes[at / room], at % room, room / FAN),
                Below::Holds(holds) => return holds[at].as_ref(),
            }
        }
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Hold> {
        self.place(at).as_mut()
    }

    pub(super) fn put(&mut self, at: usize, hold: Hold) {
        *self.place(at) = Some(hold);
    }

    fn place(&mut self, at: usize) -> &mut Option<Hold> {
        Rc::make_mut(&mut self.root).place(at, self.room_of_child)
    }

    /// Those that time may end at that log time or before, with their numbers, in order.
    pub(super) fn may_expire(&self, until: u64) -> Vec<(usize, &Hold)> {
        let mut found = Vec::new();
        self.root.may_expire(until, 0, self.room_of_child, &mut found);
        found
    }

    /// Shows each that is there, with its number, in order.
    pub(super) fn each(&self, mut show: impl FnMut(usize, &Hold)) {
        fn below(node: &Node, first: usize, room: usize, show: &mut impl FnMut(usize, &Hold)) {
            match &node.below {
                Below::Nodes(nodes) => {
                    for (nth, node) in nodes.iter().enumerate() {
                        below(node, first + nth * room, room / FAN, show);
                    }
                }
                Below::Holds(holds) => {
                    for (nth, hold) in holds.iter().enumerate() {
                        hold.iter().for_each(|hold| show(first + nth, hold));
                    }
                }
            }
        }
        below(&self.root, 0, self.room_of_child, &mut show);
    }

    /// How many nodes of the two trees are not shared.
    #[cfg(test)]
    fn nodes_apart(&self, other: &Self) -> usize {
        fn apart(one: &Rc<Node>, other: &Rc<Node>) -> usize {
            match (&one.below, &other.below) {
                _ if Rc::ptr_eq(one, other) => 0,
                (Below::Nodes(one), Below::Nodes(other)) => {
                    1 + one.iter().zip(other).map(|(one, other)| apart(one, other)).sum::<usize>()
                }
                _ => 1,
            }
        }
        apart(&self.root, &other.root)
    }
}

impl Hash for SharedHolds {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.root.hash());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Phase;

    fn hash(holds: &SharedHolds) -> u64 {
        let mut hasher = Xxh3::new();
        holds.hash(&mut hasher);
        hasher.digest()
    }

    fn held(holds: &SharedHolds) -> Vec<usize> {
        holds.may_expire(u64::MAX).into_iter().map(|(at, _)| at).collect()
    }

    #[test]
    fn what_was_found_of_a_branch_is_found_anew_after_a_change_and_a_copy_keeps_what_it_was() {
        let mut holds = SharedHolds::new(100);
        holds.put(17, Hold::held(5));
        let (before, copy) = (hash(&holds), holds.clone());
        assert_eq!(held(&holds), [17]);
        holds.get_mut(17).unwrap().phase = Phase::Released;
        assert!(held(&holds).is_empty());
        assert_ne!(hash(&holds), before);
        assert_eq!((held(&copy), hash(&copy)), (vec![17], before));
        holds.get_mut(17).unwrap().phase = Phase::Held;
        assert_eq!((&holds, hash(&holds)), (&copy, before));
        holds.put(99, Hold::held(9));
        assert_eq!(held(&holds), [17, 99]);
        let until = |until| holds.may_expire(until).into_iter().map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!((until(4), until(5), until(9)), (vec![], vec![17], vec![17, 99]));
        assert!(holds.get(98).is_none());
    }

    #[test]
    fn every_reservation_has_a_place_of_its_own_whatever_their_number() {
        for count in [0, 1, FAN, FAN + 1, FAN * FAN, FAN * FAN + 1, 700] {
            let mut holds = SharedHolds::new(count);
            for at in 0..count {
                holds.put(at, Hold::held(at as u64));
            }
            assert_eq!(held(&holds), (0..count).collect::<Vec<_>>());
            assert!((0..count).all(|at| holds.get(at) == Some(&Hold::held(at as u64))), "of {count}");
        }
    }

    #[test]
    fn a_change_in_very_many_copies_one_way_to_a_leaf() {
        let mut holds = SharedHolds::new(30_000);
        for at in 0..30_000 {
            holds.put(at, Hold::held(1));
        }
        let copy = holds.clone();
        assert_eq!(holds.nodes_apart(&copy), 0);
        holds.get_mut(12_345).unwrap().phase = Phase::Released;
        assert_eq!(holds.nodes_apart(&copy), 5);
    }
}
