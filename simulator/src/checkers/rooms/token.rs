//! A token holds once, in its own time; and nobody gets in without one.

use super::{Buy, Room};
use crate::checkers::LogTimeBound;

impl Room<'_> {
    pub(super) fn token_breaches(&self, bound: &LogTimeBound) -> Vec<String> {
        let mut breaches = Vec::new();
        for (at, buy) in self.buys.iter().enumerate() {
            let others = || {
                let others = self.buys.iter().enumerate().filter(move |(of, _)| *of != at);
                others.map(|(_, other)| other).filter(|other| other.is_with_ticket_of(buy))
            };
            if buy.told.done().is_some() {
                breaches.extend(buy.breach_of_what_holds(bound));
                // Told once of the two.
                if self.buys[..at].iter().any(|other| other.is_with_ticket_of(buy) && other.told.done().is_some()) {
                    breaches.push(format!("the token of ticket {} holds twice", buy.ticket().unwrap_or_default()));
                }
            }
            let Some(refused) = buy.told.refused().filter(|refused| refused.reason == "ADMISSION_TOKEN_INVALID") else {
                continue;
            };
            let why = refused.details.get("why").map(String::as_str).unwrap_or_default();
            let is_right = match (why, buy.showing) {
                ("missing", None) => true,
                ("spent", Some(_)) => {
                    others().any(|other| other.told.may_be_done() && other.told.call_us <= buy.told.return_us)
                }
                ("expired", Some(showing)) => bound.most(buy.told.return_us) >= showing.until_ms,
                _ => false,
            };
            if !is_right {
                breaches.push(format!("the token {:?} is refused as {why}", buy.showing));
            }
        }
        breaches
    }
}

impl Buy<'_> {
    fn ticket(&self) -> Option<u32> {
        self.showing.map(|showing| showing.ticket)
    }

    fn is_with_ticket_of(&self, other: &Buy<'_>) -> bool {
        self.ticket().is_some() && self.ticket() == other.ticket()
    }

    fn breach_of_what_holds(&self, bound: &LogTimeBound) -> Option<String> {
        let Some(showing) = self.showing else {
            return Some(format!("reservation {} was held without a token", self.reservation));
        };
        let least = bound.least(self.told.call_us);
        (least >= showing.until_ms).then(|| {
            format!("the token of ticket {} was good until {}, and held at {least}", showing.ticket, showing.until_ms)
        })
    }
}
