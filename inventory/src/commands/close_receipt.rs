//! `receipt close`: nothing more is expected of a receipt.

use holdfast_mutation::{Mutation, is_on};
use serde::{Deserialize, Serialize};

use super::expect_receipt::take_off_incoming;
use crate::state::DocumentBody;
use crate::turn::Turn;
use crate::{EventKind, ReceiptId, Refusal, Success};

/// Ends an expected receipt: what has not arrived is not expected any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseReceipt {
    /// The receipt.
    pub receipt: ReceiptId,
}

impl CloseReceipt {
    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let (no, record, receipt) = turn.open_receipt(self.receipt)?;
        let (sku, location, expected) = (record.sku, receipt.location, receipt.expected());
        if expected > 0 && !is_on(Mutation::ReceiptStillExpected) {
            take_off_incoming(turn, sku, location, expected);
        }
        turn.state.change_document(no, |body| {
            if let DocumentBody::Receipt(receipt) = body {
                receipt.closed = true;
            }
        });
        turn.record(EventKind::ReceiptClosed, None, Some(turn.document_subject(no)));
        Ok(turn.document_success(no, location))
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::{OPENING, Shop, receipt_id};
    use crate::*;

    #[test]
    fn what_has_not_arrived_is_expected_no_more() {
        let mut shop = Shop::with_rouge(1);
        shop.expect(1, "rouge", &[(None, 5)]).unwrap();
        assert_eq!(shop.close(1).unwrap().revision, Revision(2));
        assert_eq!((shop.events(), shop.stock("rouge").incoming), (vec![EventKind::ReceiptClosed], 0));
        assert_eq!(shop.inventory.receipt(receipt_id(1)).unwrap().closed_at, Some(LogTime(OPENING)));
        assert_eq!(shop.close(1), Err(Refusal::AlreadyEnded));
        assert_eq!(shop.close(2), Err(Refusal::ReceiptNotFound));
    }

    #[test]
    fn lists_have_what_was_asked_for_in_pages() {
        let mut shop = Shop::with_rouge(9);
        for number in 1..=4 {
            shop.expect(number, if number % 2 == 0 { "rouge" } else { "mascara" }, &[(None, 5)]).unwrap();
        }
        shop.send(5, "rouge", &[(None, 1)]).unwrap();
        shop.close(2).unwrap();
        let page = |from, filter: &DocumentFilter, limit| {
            let (page, next) = shop.inventory.receipts(from, filter, limit);
            (page.iter().map(|receipt| receipt.id).collect::<Vec<_>>(), next)
        };
        let (first, next) = page(DocumentCursor::default(), &DocumentFilter::default(), 3);
        assert_eq!(first, [1, 2, 3].map(receipt_id));
        assert_eq!(page(next.unwrap(), &DocumentFilter::default(), 3), (vec![receipt_id(4)], None));
        let of_rouge = DocumentFilter { sku: "rouge".parse().ok(), ..DocumentFilter::default() };
        assert_eq!(page(DocumentCursor::default(), &of_rouge, 9).0, [2, 4].map(receipt_id));
        let open = DocumentFilter { open_only: true, ..of_rouge };
        assert_eq!(page(DocumentCursor::default(), &open, 9).0, [receipt_id(4)]);
        let at_lyon = DocumentFilter { location: "LYO".parse().ok(), ..DocumentFilter::default() };
        assert_eq!(page(DocumentCursor::default(), &at_lyon, 9).0, []);
        assert_eq!(shop.inventory.transfers(DocumentCursor::default(), &at_lyon, 9).0.len(), 1);
    }
}
