//! `receive`: units arrive.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::FULL_RETRY_MS;
use super::expect_receipt::{arrive, receipt_of};
use super::put_lot::new_lot;
use crate::state::{LocationNo, LotNo, SkuNo};
use crate::turn::{Move, Turn};
use crate::{
    DifferentField, EventKind, Field, InvalidArgument, LocationId, LotId, LotSpec, ReceiptId, Refusal, Sku, StockDelta,
    StockFlow, Success, Units,
};

/// Lots of one item of which units lie at one location at the same time, at most.
pub const MAX_LOTS_AT_PLACE: usize = 256;

/// Units arrive at a location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receive {
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// The lot, for an item tracked by lot.
    pub lot: Option<LotId>,
    /// What is said of the lot: of one that is not known all that will be, of a known one what it must agree with.
    pub lot_spec: Option<Box<LotSpec>>,
    /// How many.
    pub units: Units,
    /// The expected receipt that they are of.
    pub receipt: Option<ReceiptId>,
}

impl Receive {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if !self.units.is_askable() {
            return Err(InvalidArgument::of(Field::Units));
        }
        match &self.lot_spec {
            Some(_) if self.lot.is_none() => Err(InvalidArgument::of(Field::LotId)),
            Some(spec) => spec.validate(),
            None => Ok(()),
        }
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let sku = turn.sku(&self.sku)?;
        let location = turn.location(&self.location)?;
        let receipt = self.receipt.map(|receipt| receipt_of(turn, receipt, sku, location)).transpose()?;
        let lot = self.lot(turn, sku)?;
        let delta = StockDelta { on_hand: self.units.count() as i64, ..StockDelta::default() };
        let flow = StockFlow { received: self.units.count(), ..StockFlow::default() };
        let known = match lot {
            Arriving::Without => None,
            Arriving::Known(lot) => Some(lot),
            Arriving::New(_) => None,
        };
        let arrives = Move { sku, location, lot: known, delta, flow };
        turn.check(&[arrives])?;
        match &lot {
            Arriving::Without => {}
            Arriving::Known(lot) => check_lots_at_place(turn, sku, location, &[*lot])?,
            Arriving::New(_) => check_number_of_lots(lots_at_place(turn, sku, location, &[]) + 1)?,
        }
        let lot = match lot {
            Arriving::New(id) => {
                let spec = self.lot_spec.as_deref().cloned().unwrap_or_default();
                Some(turn.state.add_lot(new_lot(turn, sku, id, spec)))
            }
            _ => known,
        };
        turn.change(&Move { lot, ..arrives });
        if let Some(receipt) = receipt {
            arrive(turn, receipt, sku, location, self.lot.as_ref(), self.units.count());
        }
        turn.record_changes(EventKind::StockReceived, None, lot.map(|lot| turn.lot_subject(lot)));
        if let Some(receipt) = receipt {
            turn.record_changes(EventKind::ReceiptArrived, None, Some(turn.document_subject(receipt)));
        }
        turn.finish();
        Ok(turn.stock_success(sku, location))
    }

    /// The lot that arrives: a known one must be what is said of it.
    fn lot(&self, turn: &Turn<'_>, sku: SkuNo) -> Result<Arriving, Refusal> {
        let Some(id) = &self.lot else { return turn.lot_of_stock(sku, None).map(|_| Arriving::Without) };
        match turn.lot_of_stock(sku, Some(id)) {
            Ok(lot) => {
                let lot = lot.ok_or(InvalidArgument::of(Field::LotId))?;
                self.check_agrees(turn, sku, lot)?;
                Ok(Arriving::Known(lot))
            }
            Err(Refusal::UnknownLot { lot }) => {
                if turn.state.lot_count() >= turn.state.header.limits.items.min(u64::from(u32::MAX)) {
                    return Err(Refusal::Overloaded { retry_after_ms: FULL_RETRY_MS });
                }
                Ok(Arriving::New(lot))
            }
            Err(refusal) => Err(refusal),
        }
    }

    fn check_agrees(&self, turn: &Turn<'_>, sku: SkuNo, lot: LotNo) -> Result<(), Refusal> {
        let Some(said) = &self.lot_spec else { return Ok(()) };
        let known = turn.state.lot(lot);
        let (dates, expiry) = (&said.dates, said.dates.with_expiry(&turn.state.item(sku).spec).expires_at);
        let differs = |said: Option<crate::LogTime>, known| said.is_some() && said != known;
        let field = if differs(dates.best_before, known.dates.best_before) {
            DifferentField::BestBefore
        } else if differs(dates.manufactured_at, known.dates.manufactured_at) {
            DifferentField::ManufacturedAt
        } else if differs(dates.expires_at, known.dates.expires_at) || differs(expiry, known.dates.expires_at) {
            DifferentField::ExpiresAt
        } else if !said.supplier_lot.is_empty() && said.supplier_lot != known.supplier_lot {
            DifferentField::SupplierLot
        } else {
            return Ok(());
        };
        Err(Refusal::ExistsWithDifferent { field })
    }
}

/// The lot of what arrives.
enum Arriving {
    Without,
    Known(LotNo),
    New(LotId),
}

/// Refuses lots more where too many would lie at the place.
pub(super) fn check_lots_at_place(
    turn: &Turn<'_>,
    sku: SkuNo,
    location: LocationNo,
    lots: &[LotNo],
) -> Result<(), Refusal> {
    let distinct: BTreeSet<LotNo> = lots.iter().copied().collect();
    if distinct.is_empty() {
        return Ok(());
    }
    check_number_of_lots(lots_at_place(turn, sku, location, lots) + distinct.len())
}

/// The lots but for those of which units lie at a place.
fn lots_at_place(turn: &Turn<'_>, sku: SkuNo, location: LocationNo, but_for: &[LotNo]) -> usize {
    let Some(place) = turn.state.stock(sku).place(location) else { return 0 };
    let is_other = |lot: &Option<LotNo>| lot.is_none_or(|lot| !but_for.contains(&lot));
    place.cells.iter().filter(|cell| is_other(&cell.lot) && cell.counts.on_hand > 0).count()
}

fn check_number_of_lots(lots: usize) -> Result<(), Refusal> {
    if lots <= MAX_LOTS_AT_PLACE { Ok(()) } else { Err(Refusal::TooManyLots { most: MAX_LOTS_AT_PLACE as u32 }) }
}

#[cfg(test)]
mod tests {
    use super::MAX_LOTS_AT_PLACE;
    use crate::test_shop::{DAY_S, OPENING, Shop, receive};
    use crate::*;

    #[test]
    fn what_arrives_may_be_promised() {
        let shop = Shop::with_rouge(10);
        assert_eq!(shop.events(), [EventKind::StockReceived, EventKind::AvailabilityBack]);
        let level = shop.stock("rouge");
        assert_eq!((level.counts.on_hand, level.atp, level.flow.received, level.revision.0), (10, 10, 10, 1));
    }

    #[test]
    fn what_is_not_known_does_not_arrive() {
        let mut shop = Shop::new();
        let sku: Sku = "nothing".parse().unwrap();
        assert_eq!(shop.receive("nothing", "PAR", 1), Err(Refusal::UnknownSku { sku }));
        let location: LocationId = "nowhere".parse().unwrap();
        assert_eq!(shop.receive("rouge", "nowhere", 1), Err(Refusal::UnknownLocation { location }));
    }

    #[test]
    fn stock_by_lot_arrives_with_a_lot_and_other_stock_without() {
        let mut shop = Shop::with_cream(&[]);
        assert_eq!(shop.receive("cream", "PAR", 1), Err(Refusal::LotRequired));
        let refused = shop.receive_lot("rouge", "A", 10, 1);
        assert_eq!(refused, Err(Refusal::InvalidArgument(InvalidArgument::of(Field::LotId))));
    }

    #[test]
    fn a_known_lot_with_other_dates_does_not_arrive() {
        let mut shop = Shop::with_cream(&[("A", 10, 5)]);
        let refused = shop.receive_lot("cream", "A", 11, 5);
        assert_eq!(refused, Err(Refusal::ExistsWithDifferent { field: DifferentField::BestBefore }));
        shop.receive_lot("cream", "A", 10, 5).unwrap();
        let lot = shop.inventory.lot(&"cream".parse().unwrap(), &"A".parse().unwrap()).unwrap();
        assert_eq!((lot.places[0].1.on_hand, lot.removal_at), (10, lot.dates.best_before));
    }

    #[test]
    fn the_dates_that_are_not_given_follow_from_the_item() {
        let mut shop = Shop::new();
        let spec = ItemSpec {
            lot_tracked: true,
            shelf_life_days: 100,
            removal_days: 30,
            alert_days: 10,
            ..ItemSpec::default()
        };
        shop.put_item("cream", spec).unwrap();
        let made = LogTime(OPENING);
        let dates = LotDates { manufactured_at: Some(made), ..LotDates::default() };
        let Operation::Receive(mut receive) = receive("cream", "PAR", 1) else { unreachable!() };
        receive.lot = Some("A".parse().unwrap());
        receive.lot_spec = Some(Box::new(LotSpec { dates, ..LotSpec::default() }));
        shop.run(Operation::Receive(receive)).unwrap();
        let cream: Sku = "cream".parse().unwrap();
        let lot = &shop.inventory.lots(&cream).unwrap()[0];
        assert_eq!(shop.inventory.lots_after(&cream, None, 9).as_deref(), Some(std::slice::from_ref(lot)));
        assert_eq!(shop.inventory.lots_after(&cream, Some(&lot.id), 9), Some(vec![]), "it is behind none");
        let day = |days: u64| Some(LogTime(OPENING + days * DAY_S * 1_000));
        assert_eq!((lot.dates.expires_at, lot.removal_at, lot.alert_at), (day(100), day(70), day(60)));
    }

    #[test]
    fn dates_out_of_order_are_refused_by_their_field() {
        let time = |day: u64| Some(LogTime(day));
        let field = |dates| LotSpec { dates, ..LotSpec::default() }.validate().map_err(|invalid| invalid.field);
        let dates = LotDates { manufactured_at: time(5), best_before: time(6), expires_at: time(7) };
        assert_eq!(field(dates), Ok(()));
        assert_eq!(field(LotDates { best_before: time(4), ..dates }), Err(Field::BestBefore));
        assert_eq!(field(LotDates { expires_at: time(5), ..dates }), Err(Field::ExpiresAt));
    }

    #[test]
    fn too_many_lots_do_not_lie_at_one_place() {
        let mut shop = Shop::with_cream(&[]);
        for lot in 0..MAX_LOTS_AT_PLACE {
            shop.receive_lot("cream", &format!("lot {lot}"), 10, 1).unwrap();
        }
        let refused = shop.receive_lot("cream", "one more", 10, 1);
        assert_eq!(refused, Err(Refusal::TooManyLots { most: MAX_LOTS_AT_PLACE as u32 }));
        shop.receive_lot("cream", "lot 7", 10, 1).unwrap();
    }
}
