//! The cluster's own records (locations, channels, campaigns, limits over several SKUs, endpoints), which no shard keeps: how they are
//! changed, and read page by page.
//!
//! Promises that of requests with one key, if they have one, the second waits for the first's answer while that one is under way on this
//! node. Nothing remembers the key after that: what is put or ended is put or ended, however often.

use holdfast_client::{Client, CommandKey, Error};
use holdfast_proto::v1::{self, ErrorReason};
use serde::Serialize;

use crate::asked::Asked;
use crate::idempotency::{Answer, Change, Changed, id_of};
use crate::paging::{Page, no_cursor, page_limit};
use crate::problem::{Problem, RetryWith};
use crate::reply::Reply;
use crate::wire::{FromWire, bytes_of, hex};

/// A change of a record; and the record as it is after it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    Location(v1::Location),
    Channel(v1::Channel),
    Campaign(v1::Campaign),
    /// A campaign is ended. It answers with the campaign.
    CampaignEnd(String),
    SharedLimit(v1::SharedLimit),
    Endpoint(v1::Endpoint),
    /// An endpoint is called no more.
    NoEndpoint(String),
}

impl Record {
    /// Has it so. The same again is the same, whatever became of an attempt before.
    async fn put(self, client: Client) -> Result<Self, Error> {
        Ok(match self {
            Self::Location(location) => Self::Location(client.put_location(location).await?),
            Self::Channel(channel) => Self::Channel(client.put_channel(channel).await?),
            Self::Campaign(campaign) => Self::Campaign(client.open_campaign(campaign).await?),
            Self::CampaignEnd(id) => Self::Campaign(client.close_campaign(&id).await?),
            Self::SharedLimit(limit) => Self::SharedLimit(client.put_shared_limit(limit).await?),
            Self::Endpoint(endpoint) => Self::Endpoint(client.put_endpoint(endpoint).await?),
            Self::NoEndpoint(id) => {
                client.remove_endpoint(&id).await?;
                Self::NoEndpoint(id)
            }
        })
    }
}

/// What a kind of record is as [`Record`].
pub(crate) trait Kept: Sized {
    /// It, if that is one.
    fn of(record: Record) -> Option<Self>;
}

macro_rules! kept {
    ($($ty:ty => $variant:ident),+ $(,)?) => {
        $(impl Kept for $ty {
            fn of(record: Record) -> Option<Self> {
                if let Record::$variant(it) = record { Some(it) } else { None }
            }
        })+
    };
}

kept! {
    v1::Location => Location,
    v1::Channel => Channel,
    v1::Campaign => Campaign,
    v1::SharedLimit => SharedLimit,
    v1::Endpoint => Endpoint,
    String => NoEndpoint,
}

impl Asked {
    /// Changes a record under the request's key, if it has one; and whether this one found another's answer.
    pub(crate) async fn put_record<T: Kept>(&self, record: Record) -> Result<(T, bool), Problem> {
        let key = self.key()?;
        self.put_record_under(key, record).await
    }

    /// The same under that key.
    pub(crate) async fn put_record_under<T: Kept>(
        &self,
        key: Option<CommandKey>,
        record: Record,
    ) -> Result<(T, bool), Problem> {
        let client = self.client()?;
        let change = Change::Record(Box::new(record.clone()));
        let carry_out = || async move { record.put(client).await.map(|it| Changed::Record(Box::new(it))) };
        let (answer, is_anothers) = match key.and_then(id_of) {
            Some(id) => self.web.keys.once(id, change, carry_out).await?,
            None => (carry_out().await, false),
        };
        record_of(answer, is_anothers).map(|it| (it, is_anothers))
    }

    /// A page of records, in the order of their ids.
    pub(crate) fn page_of_records<T: Serialize + FromWire<W>, W>(
        &self,
        records: Vec<W>,
        id: impl Fn(&W) -> &str,
    ) -> Result<Reply, Problem> {
        let after = self.query_text("cursor").map(|text| last_of(text).ok_or_else(no_cursor)).transpose()?;
        let (page, next_cursor) = page_after(records, id, after.as_deref(), page_limit(self)? as usize);
        Ok(Reply::ok(&Page { items: Vec::<T>::from_wire(page), next_cursor }).tagged_as_shown(0))
    }
}

/// What a change of a record was answered. One of unknown outcome may be asked for again: it is the same however often.
fn record_of<T: Kept>(answer: Answer, is_anothers: bool) -> Result<T, Problem> {
    match answer {
        Ok(Changed::Record(record)) => T::of(*record).ok_or_else(is_of_another),
        Ok(Changed::Command(_)) => Err(is_of_another()),
        Err(error) => {
            let is_unknown = error.is_unknown();
            let problem = Problem { replayed: is_anothers, ..Problem::from(error) };
            Err(if is_unknown { Problem { retry: RetryWith::SameKey, ..problem } } else { problem })
        }
    }
}

fn is_of_another() -> Problem {
    Problem::of(ErrorReason::OutcomeUnknown, "the key was answered for something else")
}

/// The last id that a cursor of records says was seen.
pub(crate) fn last_of(cursor: &str) -> Option<String> {
    String::from_utf8(bytes_of(cursor)?).ok()
}

/// Up to `limit` records behind that id, in the order of their ids, and the cursor of what is behind them.
fn page_after<W>(
    mut records: Vec<W>,
    id: impl Fn(&W) -> &str,
    after: Option<&str>,
    limit: usize,
) -> (Vec<W>, Option<String>) {
    records.retain(|record| after.is_none_or(|after| id(record) > after));
    records.sort_by(|one, other| id(one).cmp(id(other)));
    let is_more = records.len() > limit;
    records.truncate(limit);
    let next = records.last().filter(|_| is_more).map(|last| hex(id(last).as_bytes()));
    (records, next)
}

#[cfg(test)]
mod tests {
    use holdfast_proto::v1::CommandError;

    use super::*;

    #[test]
    fn records_are_read_page_by_page_in_the_order_of_their_ids_also_where_some_come_and_go() {
        let records = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<String>>();
        let (page, next) = page_after(records(&["c", "é", "a", "b"]), |id| id, None, 2);
        assert_eq!((page, next.as_deref()), (records(&["a", "b"]), Some("62")));
        let after = last_of(&next.unwrap_or_default());
        let (page, next) = page_after(records(&["bb", "é", "a", "c"]), |id| id, after.as_deref(), 3);
        assert_eq!((page, next), (records(&["bb", "c", "é"]), None));
        assert_eq!((last_of("6"), last_of("ff"), last_of("zz")), (None, None, None));
    }

    #[test]
    fn a_change_of_unknown_outcome_may_be_asked_for_again() {
        let mut error = CommandError::of(ErrorReason::OutcomeUnknown, "no answer");
        error.set_retry(v1::Retry::Never);
        let problem = record_of::<v1::Campaign>(Err(error.into()), false).unwrap_err();
        assert_eq!((problem.retry, problem.reason), (RetryWith::SameKey, "OUTCOME_UNKNOWN"));
        let refused = CommandError::of(ErrorReason::UnknownCampaign, "there is none");
        assert_eq!(record_of::<v1::Campaign>(Err(refused.into()), false).unwrap_err().retry, RetryWith::NewKey);
        let other = Ok(Changed::Record(Box::new(Record::NoEndpoint("pay".to_owned()))));
        assert_eq!(record_of::<v1::Campaign>(other, true).unwrap_err().reason, "OUTCOME_UNKNOWN");
    }
}
