//! Reads: what a read may have seen of a state.

use super::{Hold, Model, ModelLine, State, Step, Stock};
use crate::checkers::told::learn_expiry;
use crate::history::{Id, LineSeen, Phase, ReservationSeen, Seen, StockSeen, Subject};

/// A read, in the model's own numbers.
#[derive(Clone, Debug)]
pub struct CompiledRead {
    of: Of,
    seen: Seen,
}

#[derive(Clone, Copy, Debug)]
enum Of {
    Stock(usize),
    Hold(usize),
    Count(Id),
}

impl Stock {
    fn seen(&self) -> StockSeen {
        StockSeen {
            on_hand: self.on_hand,
            reserved: self.reserved,
            committed: self.committed,
            free: self.free(),
            atp: self.atp(),
            received: self.received,
            adjusted: self.adjusted,
            fulfilled: self.shipped,
            revision: self.revision,
            short: self.lots.as_ref().map_or(0, |lots| lots.short),
            in_transit: self.in_transit,
            incoming: self.incoming,
            sent: self.sent,
            arrived: self.arrived,
            backordered: self.backordered,
            returned: 0,
        }
    }
}

impl Model {
    /// Takes a read and what it saw into the model's numbers; `None` where it has nothing to do with it.
    #[must_use]
    pub fn compile_read(&self, of: &Subject, seen: &Seen) -> Option<Step> {
        let of = match of {
            Subject::Stock(sku) => Of::Stock(*self.skus.get(sku)?),
            Subject::Reservation(id) => Of::Hold(*self.holds.get(id)?),
            Subject::Count { count, sku } => self.skus.get(sku).map(|_| Of::Count(*count))?,
            // Another checker judges it.
            Subject::Room(_) | Subject::Trace { .. } => return None,
        };
        Some(Step::Read(CompiledRead { of, seen: seen.clone() }))
    }

    pub(super) fn sees(&self, state: &mut State, read: &CompiledRead) -> bool {
        match (read.of, &read.seen) {
            (Of::Stock(sku), Seen::Stock(seen)) => {
                let stock = &state.stocks[sku];
                match seen {
                    None => !stock.exists,
                    // A SKU without stock has no level yet.
                    Some(seen) => stock.exists && *seen == stock.seen(),
                }
            }
            (Of::Hold(at), Seen::Reservation(seen)) => match (state.holds.get(at), seen) {
                (None, None) => true,
                // The protocol shows the expiry of what has not ended.
                (Some(hold), Some(seen)) => {
                    self.hold_fits(hold, seen)
                        && (hold.phase != Phase::Held || learn_expiry(&mut state.holds, at, seen.expires_at_ms))
                }
                (None, Some(_)) | (Some(_), None) => false,
            },
            (Of::Count(count), Seen::Count(seen)) => state.counting.fits(count, seen.as_ref(), &self.holds),
            (Of::Stock(_) | Of::Hold(_) | Of::Count(_), _) => false,
        }
    }

    fn hold_fits(&self, hold: &Hold, seen: &ReservationSeen) -> bool {
        let line_fits = |line: &ModelLine| {
            let Some(seen) = seen.lines.get(line.number) else { return false };
            if let Some(of_lots) = &hold.of_lots {
                return of_lots.fits(hold.phase, line.units, seen);
            }
            if let Some(waits) = &hold.waits {
                return waits.fits(hold.phase, line.units, seen);
            }
            let LineSeen { held, committed, fulfilled, given_back, .. } = seen;
            let of = |phases: &[Phase]| if phases.contains(&hold.phase) { line.units } else { 0 };
            let gone = of(&[Phase::Cancelled, Phase::Released, Phase::Expired]);
            (*held, *committed) == (of(&[Phase::Held]), of(&[Phase::Committed]))
                && (*fulfilled, *given_back) == (of(&[Phase::Fulfilled]), gone)
        };
        (seen.phase, seen.revision) == (hold.phase, hold.revision) && self.lines[hold.lines].lines.iter().all(line_fits)
    }
}
