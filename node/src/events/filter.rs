//! Which events a reader wants.

use holdfast_inventory::{CommandId, EventBody, LogTime, ReservationId, Sku, Subject};

/// Which events; what is not said does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventFilter {
    /// Of this SKU.
    pub(crate) sku: Option<Sku>,
    /// Of this reservation.
    pub(crate) reservation: Option<ReservationId>,
    /// What this command did.
    pub(crate) command: Option<CommandId>,
    /// Whom the command named; empty: anybody.
    pub(crate) actor: String,
    /// The document that the command named; empty: any.
    pub(crate) reference: String,
    /// Of one of these kinds, or of a family where one ends with a dot; empty: any.
    pub(crate) kinds: Vec<String>,
    /// At this log time or later.
    pub(crate) from: LogTime,
    /// Before this log time.
    pub(crate) until: Option<LogTime>,
}

impl EventFilter {
    /// Whether an event is wanted.
    pub(crate) fn takes(&self, event: &EventBody) -> bool {
        let cause = event.cause.as_deref();
        let is_of_kind = |wanted: &String| {
            let kind = event.kind.name();
            kind == wanted || (wanted.ends_with('.') && kind.starts_with(wanted.as_str()))
        };
        event.time >= self.from
            && self.until.is_none_or(|until| event.time < until)
            && (self.kinds.is_empty() || self.kinds.iter().any(is_of_kind))
            && self.command.is_none_or(|command| event.command == Some(command))
            && self.reservation.is_none_or(|id| event.reservation.is_some_and(|of| of.id == id))
            && (self.actor.is_empty() || cause.is_some_and(|cause| cause.actor == self.actor))
            && (self.reference.is_empty() || cause.is_some_and(|cause| cause.reference == self.reference))
            && self.sku.as_ref().is_none_or(|sku| is_of_sku(event, sku))
    }
}

fn is_of_sku(event: &EventBody, sku: &Sku) -> bool {
    skus_of(event).any(|of| of == sku)
}

/// The SKUs that an event is about; one may come twice.
pub(super) fn skus_of(event: &EventBody) -> impl Iterator<Item = &Sku> {
    let of_subject = match &event.subject {
        Some(
            Subject::Item { sku, .. }
            | Subject::Lot { sku, .. }
            | Subject::Availability { sku, .. }
            | Subject::SafetyStock { sku, .. }
            | Subject::Limit { sku, .. }
            | Subject::Shortfall { sku, .. }
            | Subject::Reconciliation { sku, .. }
            | Subject::Allocation { sku, .. }
            | Subject::Backorder { sku, .. }
            | Subject::LimitHit { sku, .. },
        ) => Some(sku),
        Some(
            Subject::Location { .. }
            | Subject::Transfer { .. }
            | Subject::Receipt { .. }
            | Subject::Count { .. }
            | Subject::Channel { .. }
            | Subject::Breach { .. }
            | Subject::Campaign { .. }
            | Subject::Ticket { .. }
            | Subject::Draw { .. }
            | Subject::Order { .. },
        )
        | None => None,
    };
    of_subject.into_iter().chain(event.changes.iter().map(|change| &change.sku))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use holdfast_inventory::{
        Cause, EventKind, LocationId, ReservationRef, ReservationState, Revision, StockChange, StockCounts, StockDelta,
    };

    use super::*;

    fn sku(text: &str) -> Sku {
        Sku::new(text).unwrap()
    }

    fn held() -> EventBody {
        let change = StockChange {
            sku: sku("rouge"),
            location: LocationId::new("LYO").unwrap(),
            lot: None,
            delta: StockDelta::default(),
            after: StockCounts::default(),
            atp_after: 3,
            revision: Revision(4),
        };
        EventBody {
            seq: 9,
            time: LogTime(1_000),
            kind: EventKind::ReservationHeld,
            command: Some(CommandId(7)),
            cause: Some(Arc::new(Cause {
                actor: "ann".to_owned(),
                reason: "launch".to_owned(),
                reference: "https://a.example/1".to_owned(),
            })),
            reservation: Some(ReservationRef {
                id: ReservationId(8),
                state: ReservationState::Held,
                revision: Revision(1),
                expires_at: LogTime(2_000),
            }),
            changes: vec![change],
            subject: Some(Subject::Availability {
                sku: sku("blush"),
                location: LocationId::new("LYO").unwrap(),
                atp: 1,
            }),
        }
    }

    #[test]
    fn each_wish_takes_what_has_it_and_leaves_the_rest() {
        let any = EventFilter::default;
        let kinds = |kinds: &[&str]| kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>();
        let cases = [
            (any(), true),
            (EventFilter { sku: Some(sku("rouge")), ..any() }, true),
            (EventFilter { sku: Some(sku("blush")), ..any() }, true),
            (EventFilter { sku: Some(sku("kohl")), ..any() }, false),
            (EventFilter { reservation: Some(ReservationId(8)), ..any() }, true),
            (EventFilter { reservation: Some(ReservationId(7)), ..any() }, false),
            (EventFilter { command: Some(CommandId(7)), ..any() }, true),
            (EventFilter { command: Some(CommandId(8)), ..any() }, false),
            (EventFilter { actor: "ann".to_owned(), ..any() }, true),
            (EventFilter { actor: "an".to_owned(), ..any() }, false),
            (EventFilter { reference: "https://a.example/1".to_owned(), ..any() }, true),
            (EventFilter { reference: "https://a.example/2".to_owned(), ..any() }, false),
            (EventFilter { kinds: kinds(&["reservation.held"]), ..any() }, true),
            (EventFilter { kinds: kinds(&["stock.", "reservation."]), ..any() }, true),
            (EventFilter { kinds: kinds(&["reservation"]), ..any() }, false),
            (EventFilter { from: LogTime(1_000), ..any() }, true),
            (EventFilter { from: LogTime(1_001), ..any() }, false),
            (EventFilter { until: Some(LogTime(1_001)), ..any() }, true),
            (EventFilter { until: Some(LogTime(1_000)), ..any() }, false),
        ];
        for (filter, takes) in cases {
            assert_eq!(filter.takes(&held()), takes, "{filter:?}");
        }
    }

    #[test]
    fn what_time_did_has_no_cause_and_no_command() {
        let expired = EventBody { cause: None, command: None, ..held() };
        assert!(!EventFilter { actor: "ann".to_owned(), ..EventFilter::default() }.takes(&expired));
        assert!(!EventFilter { command: Some(CommandId(7)), ..EventFilter::default() }.takes(&expired));
    }
}
