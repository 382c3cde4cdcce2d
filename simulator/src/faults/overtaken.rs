//! Followers of one leader get ahead of each other in turn, so that what a majority has is never what the longest logs say: of seven
//! one has a little more than the others and hears nothing any more, a second one overtakes it, and a third one catches up. Then
//! four have what the first has, and three what is behind it (openraft counted those for a majority, #1802).

use super::{Cuts, Fault, Field, Led};
use crate::HostId;

/// With fewer members two followers and the leader are a majority by themselves.
const LEAST_MEMBERS: usize = 7;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Overtaken {
    scene: Option<Scene>,
    cuts: Cuts,
}

#[derive(Debug)]
struct Scene {
    leader: HostId,
    group: u64,
    /// The last index in the leader's log when the others were cut off.
    end: u64,
    first: HostId,
    second: HostId,
    third: HostId,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Only the first one follows, and has yet to acknowledge something that the others lack.
    First,
    /// The second one follows too, and has yet to acknowledge as much.
    Second,
    /// The one that is behind hears nothing any more, and is to be overtaken. This is the last index in its log.
    Overtake(u64),
    /// The third one catches up.
    CatchUp(u64),
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Waits,
    LetsFollow,
    /// Of the two that follow the one that was there first is cut off, or the other.
    CutsOff {
        is_first: bool,
    },
    Ends,
}

/// What of the group is acknowledged to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Acknowledged {
    first: u64,
    second: u64,
    applied: u64,
}

impl Step {
    fn next(self, end: u64, of: Acknowledged) -> Next {
        match self {
            Self::First if of.first > end => Next::LetsFollow,
            // The leader puts the second one behind the first if it has no more than that when it first counts.
            Self::Second if of.second > end && of.first > end => Next::CutsOff { is_first: of.first >= of.second },
            Self::Overtake(stays) if of.second > stays => Next::LetsFollow,
            Self::CatchUp(stays) if of.applied > stays => Next::Ends,
            _ => Next::Waits,
        }
    }
}

impl Fault for Overtaken {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let Some(Led { group, leader, followers: members }) =
            field.led_group().filter(|led| led.followers.len() + 1 >= LEAST_MEMBERS)
        else {
            return false;
        };
        let Some(end) = field.cluster.reached(leader, group).map(|reached| reached.last) else { return false };
        let (first, second, third) = (members[0], members[1], members[2]);
        // Each by itself, so that no other leader is elected.
        for (at, one) in members.iter().enumerate() {
            for other in &members[at + 1..] {
                self.cuts.cut(field, *one, *other);
            }
            if *one != first {
                self.cuts.cut(field, *one, leader);
            }
        }
        self.scene = Some(Scene { leader, group, end, first, second, third, step: Step::First });
        true
    }

    fn tick(&mut self, field: &mut Field<'_>) {
        let Self { scene: Some(scene), cuts } = self else { return };
        let &mut Scene { leader, group, end, first, second, third, step } = scene;
        if !field.cluster.groups_led_by(leader).contains(&group) {
            return self.end(field);
        }
        let by = |host| field.cluster.acknowledged(leader, group, host);
        let reached = |host| field.cluster.reached(host, group).unwrap_or_default();
        let of = Acknowledged { first: by(first), second: by(second), applied: reached(leader).applied };
        match (step.next(end, of), step) {
            (Next::Waits, _) => {}
            (Next::LetsFollow, Step::Overtake(stays)) => {
                cuts.heal(field, leader, third);
                scene.step = Step::CatchUp(stays);
            }
            (Next::LetsFollow, _) => {
                cuts.heal(field, leader, second);
                scene.step = Step::Second;
            }
            (Next::CutsOff { is_first }, _) => {
                if !is_first {
                    (scene.first, scene.second) = (second, first);
                }
                let stays = reached(scene.first).last.max(of.first.max(of.second));
                cuts.cut(field, leader, scene.first);
                scene.step = Step::Overtake(stays);
            }
            (Next::Ends, _) => self.end(field),
        }
    }

    fn end(&mut self, field: &mut Field<'_>) {
        self.scene = None;
        self.cuts.heal_all(field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(first: u64, second: u64, applied: u64) -> Acknowledged {
        Acknowledged { first, second, applied }
    }

    #[test]
    fn nobody_follows_before_the_one_ahead_has_what_all_others_lack() {
        assert_eq!(Step::First.next(7, of(7, 0, 7)), Next::Waits);
        assert_eq!(Step::First.next(7, of(8, 0, 7)), Next::LetsFollow);
    }

    #[test]
    fn the_one_with_more_is_cut_off_and_then_overtaken() {
        assert_eq!(Step::Second.next(7, of(9, 7, 7)), Next::Waits);
        assert_eq!(Step::Second.next(7, of(9, 8, 7)), Next::CutsOff { is_first: true });
        assert_eq!(Step::Second.next(7, of(9, 9, 7)), Next::CutsOff { is_first: true });
        assert_eq!(Step::Second.next(7, of(8, 9, 7)), Next::CutsOff { is_first: false });
        assert_eq!(Step::Overtake(9).next(7, of(9, 9, 7)), Next::Waits);
        assert_eq!(Step::Overtake(9).next(7, of(9, 10, 7)), Next::LetsFollow);
    }

    #[test]
    fn it_is_over_once_more_is_committed_than_the_first_one_has() {
        assert_eq!(Step::CatchUp(9).next(7, of(9, 10, 9)), Next::Waits);
        assert_eq!(Step::CatchUp(9).next(7, of(9, 10, 10)), Next::Ends);
    }
}
