//! `receipt expect`: a supplier's units are expected at a location.

use serde::{Deserialize, Serialize};

use super::create_transfer::validate_lines;
use super::{DocumentLine, FULL_RETRY_MS};
use crate::state::{DocumentBody, DocumentNo, LocationNo, ReceiptRecord, SkuNo};
use crate::turn::Turn;
use crate::{
    EventKind, Field, InvalidArgument, LocationId, LogTime, LotId, ReceiptId, ReceiptLine, Refusal, Sku, Success,
};

/// Makes known what will arrive. It is counted as incoming and never sold before it is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectReceipt {
    /// The receipt to make.
    pub receipt: ReceiptId,
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// 1 to [`MAX_DOCUMENT_LINES`](crate::MAX_DOCUMENT_LINES), each lot at most once; without one: of whichever.
    pub lines: Vec<DocumentLine>,
    /// When, where that is known. Shown, and decides nothing.
    pub expected_at: Option<LogTime>,
}

impl ExpectReceipt {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if !self.receipt.is_well_formed() {
            return Err(InvalidArgument::of(Field::ReceiptId));
        }
        validate_lines(&self.lines)
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        turn.check_new_document(self.receipt.0, FULL_RETRY_MS)?;
        let sku = turn.sku(&self.sku)?;
        let location = turn.active_location(&self.location)?;
        if !turn.state.item(sku).spec.lot_tracked
            && let Some(at) = self.lines.iter().position(|line| line.lot.is_some())
        {
            return Err(InvalidArgument::in_line(Field::LotId, at).into());
        }
        let units: u64 = self.lines.iter().map(|line| line.units.count()).sum();
        turn.check_on_the_way(sku, location, units)?;
        turn.change_place(sku, location, |place| place.incoming += units);
        let line = |line: &DocumentLine| ReceiptLine { lot: line.lot.clone(), units: line.units.count(), arrived: 0 };
        let lines = self.lines.iter().map(line).collect();
        let expected_at = self.expected_at;
        let receipt = ReceiptRecord { location, expected_at, lines, unexpected: 0, closed: false };
        let no = turn.add_document(self.receipt.0, sku, DocumentBody::Receipt(receipt));
        turn.record(EventKind::ReceiptExpected, None, Some(turn.document_subject(no)));
        Ok(turn.document_success(no, location))
    }
}

/// The receipt that units arrive with: it must be of that item and place, and open.
pub(super) fn receipt_of(
    turn: &Turn<'_>,
    receipt: ReceiptId,
    sku: SkuNo,
    location: LocationNo,
) -> Result<DocumentNo, Refusal> {
    let (no, record, receipt) = turn.open_receipt(receipt)?;
    if (record.sku, receipt.location) == (sku, location) {
        Ok(no)
    } else {
        Err(InvalidArgument::of(Field::ReceiptId).into())
    }
}

/// Counts units as arrived: those expected of that lot first, then those expected of whichever. What is left was not expected.
pub(super) fn arrive(
    turn: &mut Turn<'_>,
    no: DocumentNo,
    sku: SkuNo,
    location: LocationNo,
    lot: Option<&LotId>,
    units: u64,
) {
    let mut left = units;
    turn.state.change_document(no, |body| {
        let DocumentBody::Receipt(receipt) = body else { return };
        for wanted in [lot, None] {
            let is_it = |line: &&mut ReceiptLine| line.lot.as_ref() == wanted;
            if let Some(line) = receipt.lines.iter_mut().find(is_it) {
                let part = left.min(line.units - line.arrived);
                line.arrived += part;
                left -= part;
            }
        }
        receipt.unexpected = receipt.unexpected.saturating_add(left);
    });
    take_off_incoming(turn, sku, location, units - left);
}

/// Takes units off what is expected at a place.
pub(super) fn take_off_incoming(turn: &mut Turn<'_>, sku: SkuNo, location: LocationNo, units: u64) {
    turn.change_place(sku, location, |place| {
        place.incoming = place.incoming.checked_sub(units).expect("[H-CAPS] no more is taken off than is expected");
    });
}

#[cfg(test)]
mod tests {
    use crate::test_shop::{Shop, receipt_id, receive};
    use crate::*;

    fn receive_with(
        shop: &mut Shop,
        sku: &str,
        lot: Option<&str>,
        units: u32,
        receipt: u64,
    ) -> Result<Success, Refusal> {
        let Operation::Receive(mut receive) = receive(sku, "PAR", units) else { unreachable!() };
        receive.lot = lot.map(|lot| lot.parse().unwrap());
        receive.receipt = Some(receipt_id(receipt));
        shop.run(Operation::Receive(receive))
    }

    #[test]
    fn what_is_expected_is_incoming_and_not_sold_before_it_is_here() {
        let mut shop = Shop::with_rouge(1);
        assert_eq!(shop.expect(1, "rouge", &[(None, 5)]).unwrap().atp_after, 1);
        assert_eq!((shop.events(), shop.stock("rouge").incoming), (vec![EventKind::ReceiptExpected], 5));
        receive_with(&mut shop, "rouge", None, 3, 1).unwrap();
        assert_eq!(shop.events()[..2], [EventKind::StockReceived, EventKind::ReceiptArrived]);
        assert_eq!((shop.stock("rouge").incoming, shop.stock("rouge").atp), (2, 4));
    }

    #[test]
    fn more_may_arrive_than_was_expected_and_nothing_is_expected_twice() {
        let mut shop = Shop::with_rouge(1);
        shop.expect(1, "rouge", &[(None, 5)]).unwrap();
        shop.expect(2, "rouge", &[(None, 2)]).unwrap();
        receive_with(&mut shop, "rouge", None, 9, 1).unwrap();
        let shown = shop.inventory.receipt(receipt_id(1)).unwrap();
        assert_eq!((shown.lines[0].arrived, shown.unexpected, shop.stock("rouge").incoming), (5, 4, 2));
    }

    #[test]
    fn a_lot_arrives_for_what_names_it_first_and_then_for_what_names_none() {
        let mut shop = Shop::with_cream(&[("A", 10, 1)]);
        shop.expect(1, "cream", &[(None, 3), (Some("A"), 2), (Some("not yet known"), 1)]).unwrap();
        receive_with(&mut shop, "cream", Some("A"), 4, 1).unwrap();
        let arrived = |shop: &Shop| {
            let shown = shop.inventory.receipt(receipt_id(1)).unwrap();
            (shown.lines.iter().map(|line| line.arrived).collect::<Vec<_>>(), shown.unexpected)
        };
        assert_eq!((arrived(&shop), shop.stock("cream").incoming), ((vec![2, 2, 0], 0), 2));
        receive_with(&mut shop, "cream", Some("not yet known"), 3, 1).unwrap();
        assert_eq!((arrived(&shop), shop.stock("cream").incoming), ((vec![3, 2, 1], 1), 0));
    }

    #[test]
    fn units_arrive_only_with_an_open_receipt_of_their_item_and_place() {
        let mut shop = Shop::with_rouge(1);
        assert_eq!(receive_with(&mut shop, "rouge", None, 1, 1), Err(Refusal::ReceiptNotFound));
        shop.expect(1, "mascara", &[(None, 5)]).unwrap();
        let other = Err(Refusal::InvalidArgument(InvalidArgument::of(Field::ReceiptId)));
        assert_eq!(receive_with(&mut shop, "rouge", None, 1, 1), other);
        shop.close(1).unwrap();
        assert_eq!(receive_with(&mut shop, "mascara", None, 1, 1), Err(Refusal::AlreadyEnded));
        shop.send(2, "rouge", &[(None, 1)]).unwrap();
        assert_eq!(receive_with(&mut shop, "rouge", None, 1, 2), Err(Refusal::ReceiptNotFound));
    }

    #[test]
    fn an_item_without_lots_is_expected_without() {
        let mut shop = Shop::with_rouge(1);
        let refused = Err(Refusal::InvalidArgument(InvalidArgument::in_line(Field::LotId, 0)));
        assert_eq!(shop.expect(1, "rouge", &[(Some("A"), 5)]), refused);
    }
}
