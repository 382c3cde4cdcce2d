//! `receive`: units arrive.

use serde::{Deserialize, Serialize};

use crate::turn::Turn;
use crate::{
    EventKind, Field, InvalidArgument, LocationId, LotId, Refusal, Sku, StockDelta, StockFlow, Success, Units,
};

/// Units arrive at a location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receive {
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// The lot, for an item tracked by lot.
    pub lot: Option<LotId>,
    /// How many.
    pub units: Units,
}

impl Receive {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.units.is_askable() { Ok(()) } else { Err(InvalidArgument::of(Field::Units)) }
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let sku = turn.sku(&self.sku)?;
        let location = turn.location(&self.location)?;
        turn.check_lot_of_stock(sku, &self.lot)?;
        let delta = StockDelta { on_hand: self.units.count() as i64, ..StockDelta::default() };
        let flow = StockFlow { received: self.units.count(), ..StockFlow::default() };
        turn.check(sku, location, &self.lot, &delta, &flow)?;
        turn.change(sku, location, &self.lot, &delta, &flow);
        turn.record(EventKind::StockReceived, None, None);
        Ok(turn.stock_success(sku, location))
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::Shop;
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
}
