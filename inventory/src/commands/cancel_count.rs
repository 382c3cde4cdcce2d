//! `count cancel`: a count is given up.

use serde::{Deserialize, Serialize};

use crate::state::DocumentBody;
use crate::turn::Turn;
use crate::{CountId, CountState, EventKind, Refusal, Success};

/// Ends a count: what was counted changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelCount {
    /// The count.
    pub count: CountId,
}

impl CancelCount {
    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let (no, _, count) = turn.open_count(self.count)?;
        let location = count.location;
        turn.state.change_document(no, |body| {
            if let DocumentBody::Count(count) = body {
                count.state = CountState::Cancelled;
            }
        });
        turn.record(EventKind::CountCancelled, None, Some(turn.document_subject(no)));
        Ok(turn.document_success(no, location))
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::{Shop, count_id};
    use crate::*;

    #[test]
    fn a_count_that_is_given_up_changes_nothing() {
        let mut shop = Shop::with_rouge(10);
        shop.open_count(1, "rouge").unwrap();
        shop.record_count(1, None, 2).unwrap();
        assert_eq!(shop.cancel_count(1).unwrap().revision, Revision(3));
        assert_eq!((shop.events(), shop.stock("rouge").counts.on_hand), (vec![EventKind::CountCancelled], 10));
        assert_eq!(shop.inventory.count(count_id(1)).unwrap().state, CountState::Cancelled);
        assert_eq!(shop.apply_count(1), Err(Refusal::AlreadyEnded));
        assert_eq!(shop.cancel_count(2), Err(Refusal::CountNotFound));
    }

    #[test]
    fn counts_are_listed_apart_from_other_documents_and_forgotten_as_they_are() {
        let mut shop = Shop::with_limits(Limits { ended_reservations: 80, ..Limits::default() });
        shop.receive("rouge", "PAR", 5).unwrap();
        shop.send(1, "rouge", &[(None, 1)]).unwrap();
        for number in 2..=5 {
            shop.open_count(number, "rouge").unwrap();
            shop.cancel_count(number).unwrap();
        }
        shop.open_count(6, "rouge").unwrap();
        shop.tick();
        let list = |filter: &DocumentFilter| {
            let (page, _) = shop.inventory.stock_counts(DocumentCursor::default(), filter, 9);
            page.iter().map(|count| count.id).collect::<Vec<_>>()
        };
        assert_eq!(list(&DocumentFilter::default()), [4, 5, 6].map(count_id));
        assert_eq!(list(&DocumentFilter { open_only: true, ..DocumentFilter::default() }), [count_id(6)]);
        assert_eq!(list(&DocumentFilter { location: "LYO".parse().ok(), ..DocumentFilter::default() }), []);
        assert_eq!(shop.inventory.transfers(DocumentCursor::default(), &DocumentFilter::default(), 9).0.len(), 1);
    }
}
