//! What the customers know of their own purchases, and how the last unknown outcomes become known.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{StreamExt, TryStreamExt};
use holdfast_client::ids::{CommandId, ReservationId};
use holdfast_client::{Client, Command, CommandKey, Commit, Fulfil, Release, Reserve};

use super::shop::Shop;
use crate::certain::{Outcome, ask_until_certain};
use crate::failure::Failure;

/// How long the cluster has to decide what was left unknown.
const WITHIN: Duration = Duration::from_secs(60);
const IN_FLIGHT: usize = 128;

/// What became of one step of a purchase, as its customer knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Step {
    /// It was never asked for, or surely never reached the log.
    #[default]
    NotTaken,
    /// It is done: the cluster has said so.
    Done,
    /// It was refused.
    Refused,
    /// It may have been done.
    Unknown(CommandId),
}

/// The steps of a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Reserve,
    Commit,
    Release,
    Fulfil,
}

/// One reservation, as its customer knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) reservation: ReservationId,
    /// Its place in the shop.
    pub(super) ware: u32,
    pub(super) units: u32,
    pub(super) reserve: Step,
    pub(super) commit: Step,
    pub(super) release: Step,
    pub(super) fulfil: Step,
}

impl Record {
    /// A purchase that has not begun.
    pub(super) const fn new(reservation: ReservationId, ware: u32, units: u32) -> Self {
        let none = Step::NotTaken;
        Self { reservation, ware, units, reserve: none, commit: none, release: none, fulfil: none }
    }

    /// Where a step is written down.
    pub(super) const fn step_mut(&mut self, verb: Verb) -> &mut Step {
        match verb {
            Verb::Reserve => &mut self.reserve,
            Verb::Commit => &mut self.commit,
            Verb::Release => &mut self.release,
            Verb::Fulfil => &mut self.fulfil,
        }
    }

    /// The command of a step: the same whenever it is made.
    pub(super) fn command(&self, verb: Verb, shop: &Shop) -> Command {
        let id = self.reservation;
        match verb {
            Verb::Reserve => {
                let reserve = Reserve::new().id(id).line(shop.wares[self.ware as usize].sku.as_str(), self.units);
                shop.ttl.map_or_else(|| reserve.clone(), |ttl| reserve.clone().ttl(ttl)).into()
            }
            Verb::Commit => Commit::of(id).into(),
            Verb::Release => Release::of(id).into(),
            Verb::Fulfil => Fulfil::of(id).into(),
        }
    }

    const fn unknown(&self) -> Option<(Verb, CommandId)> {
        match (self.reserve, self.commit, self.release, self.fulfil) {
            (Step::Unknown(id), ..) => Some((Verb::Reserve, id)),
            (_, Step::Unknown(id), ..) => Some((Verb::Commit, id)),
            (_, _, Step::Unknown(id), _) => Some((Verb::Release, id)),
            (_, _, _, Step::Unknown(id)) => Some((Verb::Fulfil, id)),
            _ => None,
        }
    }
}

/// Asks again, under the same ids, for every outcome that is unknown. Returns the records and how many there were.
pub(super) async fn resolve(
    client: &Client,
    records: Vec<Record>,
    shop: &Shop,
) -> Result<(BTreeMap<ReservationId, Record>, usize), Failure> {
    let (unknown, known): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.unknown().is_some());
    let count = unknown.len();
    let resolved: Vec<Record> = futures_util::stream::iter(unknown)
        .map(|mut record| async move {
            // A customer stops at an unknown outcome, so that there is one at most.
            if let Some((verb, id)) = record.unknown() {
                let command = record.command(verb, shop);
                *record.step_mut(verb) = match ask_until_certain(client, command, CommandKey::Id(id), WITHIN).await? {
                    Outcome::Done => Step::Done,
                    Outcome::Refused(_) => Step::Refused,
                };
            }
            Ok::<_, Failure>(record)
        })
        .buffer_unordered(IN_FLIGHT)
        .try_collect()
        .await?;
    Ok((known.into_iter().chain(resolved).map(|record| (record.reservation, record)).collect(), count))
}
