//! A change is decided once under its key: the cluster's own table of results sees to that, here is only what is under way on this node.
//!
//! Promises that of two requests with one key the second waits for the first's answer, and that one which asks for something else is
//! told so. The first is carried out whoever goes away meanwhile. Leaves to the cluster what was decided before.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_client::ids::CommandId;
use holdfast_client::{Command, CommandKey, Error, Success};
use holdfast_proto::v1::{self, ErrorReason};
use holdfast_world::traces::{current, within};
use tokio::sync::watch;
use tracing::Instrument as _;

use crate::limits::{KEY_BYTES, KEYS};
use crate::problem::Problem;
use crate::records::Record;

/// The header that has the key.
pub(crate) const KEY_HEADER: &str = "Idempotency-Key";

/// What a key asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// A command.
    Command(Box<Command>),
    /// One of the cluster's own records is changed, which is the same however often.
    Record(Box<Record>),
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Changed {
    /// Of a command.
    Command(Box<Success>),
    /// Of one of the cluster's own records: as it is now.
    Record(Box<Record>),
}

/// What is answered.
pub(crate) type Answer = Result<Changed, Error>;

#[derive(Debug)]
struct UnderWay {
    change: Change,
    answer: watch::Receiver<Option<Answer>>,
}

/// The keys under way on this node.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    under_way: Mutex<BTreeMap<CommandId, UnderWay>>,
}

/// Who came with a key.
pub(crate) enum Came {
    /// The first: it carries the change out.
    First(First, Waiting),
    /// Another one.
    Another(Waiting),
}

/// Who carries a change out. Dropped without an answer, nobody waits in vain.
pub(crate) struct First {
    keys: Arc<Keys>,
    key: CommandId,
    answer: watch::Sender<Option<Answer>>,
}

/// Who waits for the answer.
pub(crate) struct Waiting(watch::Receiver<Option<Answer>>);

impl Keys {
    /// Comes with a key. `EXISTS_WITH_DIFFERENT` where the key is under way for something else, `OVERLOADED` where too many are.
    pub(crate) fn come(self: &Arc<Self>, key: CommandId, change: Change) -> Result<Came, Problem> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = under_way.len() >= KEYS;
        match under_way.entry(key) {
            Entry::Occupied(found) if found.get().change == change => {
                Ok(Came::Another(Waiting(found.get().answer.clone())))
            }
            Entry::Occupied(_) => Err(is_another(key)),
            Entry::Vacant(_) if is_full => {
                let detail = format!("{KEYS} keys are under way on this node: ask again with the same key");
                Err(Problem::overloaded(detail).with("max_keys", KEYS))
            }
            Entry::Vacant(place) => {
                let (sender, answer) = watch::channel(None);
                place.insert(UnderWay { change, answer: answer.clone() });
                Ok(Came::First(First { keys: Arc::clone(self), key, answer: sender }, Waiting(answer)))
            }
        }
    }

    /// Carries a change out once for all who come with its key meanwhile; and whether this one found another's answer.
    pub(crate) async fn once<F>(
        self: &Arc<Self>,
        key: CommandId,
        change: Change,
        carry_out: impl FnOnce() -> F,
    ) -> Result<(Answer, bool), Problem>
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        match self.come(key, change)? {
            Came::First(first, waiting) => {
                let carrying = carry_out();
                // A task of its own: whoever asked may go away, and the ones that wait are still to be answered.
                // It is of the same trace.
                let carrying = within(current(), async move { first.tell(carrying.await) });
                tokio::spawn(carrying.in_current_span());
                Ok((waiting.answer().await, false))
            }
            Came::Another(waiting) => Ok((waiting.answer().await, true)),
        }
    }

    #[cfg(test)]
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

fn is_another(key: CommandId) -> Problem {
    let detail = format!("another request with this key ({key}) is under way, and asks for something else");
    Problem { field: KEY_HEADER.to_owned(), ..Problem::of(ErrorReason::ExistsWithDifferent, detail) }
}

impl First {
    /// Gives the answer to all who wait.
    pub(crate) fn tell(self, answer: Answer) {
        self.answer.send_replace(Some(answer));
    }
}

impl Drop for First {
    fn drop(&mut self) {
        self.keys.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl Waiting {
    /// The first's answer.
    pub(crate) async fn answer(mut self) -> Answer {
        match self.0.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(answer)) => answer.clone(),
            // Whoever carried it out is gone: it may have been done.
            Ok(None) | Err(_) => {
                let detail = "the node ended before it knew the outcome";
                Err(Error::from(v1::CommandError::of(ErrorReason::OutcomeUnknown, detail)))
            }
        }
    }
}

/// What decides a change once: a UUID as it is usually written is the command's id, any other text a key of the caller's own. It may
/// stand in quotes. 32 digits without hyphens are a key of one's own: a digest is no id, though one in 64 reads as one of some time.
pub(crate) fn key_of(text: &str, field: &str) -> Result<CommandKey, Problem> {
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    if bare.is_empty() || bare.len() > KEY_BYTES {
        return Err(Problem::invalid(field, format!("a key is a UUID, or a text of 1 to {KEY_BYTES} bytes")));
    }
    let id = bare.parse().ok().filter(|_| is_written_as_uuid(bare));
    Ok(id.map_or_else(|| CommandKey::Own(CommandId::of_key(bare)), CommandKey::Id))
}

/// Whether the hyphens of 36 characters stand where those of a UUID do.
fn is_written_as_uuid(text: &str) -> bool {
    let hyphens = text.bytes().enumerate().filter(|(_, byte)| *byte == b'-').map(|(at, _)| at);
    text.len() == 36 && hyphens.eq([8, 13, 18, 23])
}

/// The key of one of several things that are asked for under another. It is kept as long: where that one has a time, so has this.
pub(crate) fn key_of_part(key: CommandKey, number: usize) -> CommandKey {
    let Some(id) = id_of(key) else { return key };
    let own = CommandId::of_key(&format!("{number} under {id}"));
    match key {
        CommandKey::Id(id) => {
            id.time_ms().map_or(CommandKey::Own(own), |at| CommandKey::Id(CommandId::mint(at, own.0)))
        }
        CommandKey::Own(_) | CommandKey::Minted => CommandKey::Own(own),
    }
}

/// The command's id, where it is known beforehand.
pub(crate) const fn id_of(key: CommandKey) -> Option<CommandId> {
    match key {
        CommandKey::Id(id) | CommandKey::Own(id) => Some(id),
        CommandKey::Minted => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(campaign: &str) -> Change {
        Change::Record(Box::new(Record::CampaignEnd(campaign.to_owned())))
    }

    fn closed(campaign: &str) -> Answer {
        let closed = v1::Campaign { campaign_id: campaign.to_owned(), ..v1::Campaign::default() };
        Ok(Changed::Record(Box::new(Record::Campaign(closed))))
    }

    #[test]
    fn a_uuid_is_the_commands_id_and_anything_else_a_key_of_ones_own() {
        let uuid = "0190f3c4-5b1e-7a2b-9c3d-000000000001";
        assert_eq!(key_of(uuid, "k"), Ok(CommandKey::Id(uuid.parse().unwrap())));
        assert_eq!(key_of(&format!("\"{uuid}\""), "k"), key_of(uuid, "k"));
        assert_eq!(key_of("order 17", "k"), Ok(CommandKey::Own(CommandId::of_key("order 17"))));
        for bad in [String::new(), "\"\"".to_owned(), "x".repeat(256)] {
            assert_eq!(key_of(&bad, "k").unwrap_err().field, "k");
        }
        let key = key_of("order 17", "k").unwrap();
        assert_ne!(key_of_part(key, 0), key_of_part(key, 1));
        assert_eq!(key_of_part(key, 1), key_of_part(key, 1));
    }

    #[test]
    fn a_digest_is_a_key_of_ones_own_though_it_reads_as_an_id_of_the_future() {
        let digest = "2d6759613d10776e89ccc8356e7d867c";
        let read: CommandId = digest.parse().unwrap();
        assert!(read.time_ms().is_some(), "it reads as one");
        let hyphens_elsewhere = "2d67-59613d10-776e-89cc-c8356e7d867c";
        for own in [digest, hyphens_elsewhere] {
            assert_eq!(key_of(own, "k"), Ok(CommandKey::Own(CommandId::of_key(own))));
        }
        let upper = "0190F3C4-5B1E-7A2B-9C3D-000000000001";
        assert_eq!(key_of(upper, "k"), key_of(&upper.to_lowercase(), "k"));
    }

    #[test]
    fn a_part_of_what_has_a_time_has_the_same_time() {
        let key = key_of("0190f3c4-5b1e-7a2b-9c3d-000000000001", "k").unwrap();
        let parts = [0, 1].map(|number| key_of_part(key, number));
        for part in parts {
            let CommandKey::Id(id) = part else { panic!("{part:?} is an id") };
            assert_eq!(id.time_ms(), id_of(key).and_then(CommandId::time_ms));
        }
        assert_ne!(parts[0], parts[1]);
        let without = key_of("0190f3c4-5b1e-4a2b-9c3d-000000000001", "k").unwrap();
        assert!(matches!(key_of_part(without, 0), CommandKey::Own(_)));
    }

    #[tokio::test]
    async fn a_second_one_with_the_key_waits_for_the_firsts_answer() {
        let keys = Arc::new(Keys::default());
        let key = CommandId::of_key("a");
        let Ok(Came::First(first, waiting)) = keys.come(key, close("drop")) else { panic!("nobody came before") };
        let second = {
            let keys = Arc::clone(&keys);
            tokio::spawn(async move { keys.once(key, close("drop"), || async { closed("never") }).await })
        };
        tokio::task::yield_now().await;
        assert!(!second.is_finished(), "there is no answer yet");
        first.tell(closed("drop"));
        assert_eq!(second.await.unwrap(), Ok((closed("drop"), true)));
        assert_eq!(waiting.answer().await, closed("drop"));
        assert_eq!(keys.under_way(), 0, "what is over is not kept");
    }

    #[tokio::test]
    async fn a_key_that_asks_for_something_else_meanwhile_is_told_so() {
        let keys = Arc::new(Keys::default());
        let key = CommandId::of_key("a");
        let _first = keys.come(key, close("drop")).unwrap_or_else(|_| panic!("nobody came before"));
        let problem = keys.once(key, close("another"), || async { closed("never") }).await.unwrap_err();
        assert_eq!((problem.status, problem.reason), (422, "EXISTS_WITH_DIFFERENT"));
        assert_eq!(problem.field, KEY_HEADER);
    }

    #[tokio::test]
    async fn who_waits_for_one_that_is_gone_is_told_that_the_outcome_is_unknown() {
        let keys = Arc::new(Keys::default());
        let Ok(Came::First(first, waiting)) = keys.come(CommandId::of_key("a"), close("drop")) else { panic!() };
        drop(first);
        assert_eq!(waiting.answer().await.unwrap_err().reason(), ErrorReason::OutcomeUnknown);
        assert_eq!(keys.under_way(), 0);
    }

    #[tokio::test]
    async fn the_change_is_carried_out_though_whoever_asked_goes_away() {
        let keys = Arc::new(Keys::default());
        let key = CommandId::of_key("a");
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let asking = keys.once(key, close("drop"), || async {
            let _told = wait.await;
            closed("drop")
        });
        let mut asking = Box::pin(asking);
        let told = tokio::time::timeout(std::time::Duration::ZERO, &mut asking).await;
        assert!(told.is_err(), "it is under way");
        let Ok(Came::Another(second)) = keys.come(key, close("drop")) else { panic!("it is under way") };
        drop(asking);
        go.send(()).unwrap();
        assert_eq!(second.answer().await, closed("drop"));
    }

    #[test]
    fn more_keys_than_the_bound_are_refused_by_name() {
        let keys = Arc::new(Keys::default());
        let firsts: Vec<_> =
            (0..KEYS).map(|n| keys.come(CommandId::of_key(&n.to_string()), close("drop")).ok()).collect();
        let Err(problem) = keys.come(CommandId::of_key("one more"), close("drop")) else { panic!("it is full") };
        assert_eq!((problem.status, problem.reason, problem.retry_after_s), (503, "OVERLOADED", Some(1)));
        drop(firsts);
        assert!(keys.come(CommandId::of_key("one more"), close("drop")).is_ok());
    }
}
