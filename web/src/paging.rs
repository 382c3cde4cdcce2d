//! Lists page by page: a cursor says where the next page begins, and is of use on any node.

use std::time::Duration;

use holdfast_client::{Listed, Listing};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::limits::{PAGE, PAGE_S, USUAL_PAGE};
use crate::problem::Problem;
use crate::reply::{Answered, Reply};
use crate::sheet::{Form, Sheet};
use crate::tokens::Tokens;
use crate::wire::{FromWire, bytes_of, hex};

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The entries. A page may have fewer than were asked for, and yet not be the last.
    pub(crate) items: Vec<T>,
    /// Where to go on; not there: this was the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) next_cursor: Option<String>,
}

/// Where a listing of the shards stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Position {
    shard: u32,
    after: String,
}

impl Position {
    fn text(shard: u32, after: &str) -> String {
        format!("{shard}.{}", hex(after.as_bytes()))
    }

    fn read(text: &str) -> Result<Self, Problem> {
        let parse = || {
            let (shard, after) = text.split_once('.')?;
            Some(Self { shard: shard.parse().ok()?, after: String::from_utf8(bytes_of(after)?).ok()? })
        };
        parse().ok_or_else(no_cursor)
    }
}

pub(crate) fn no_cursor() -> Problem {
    Problem::invalid("cursor", "is none of ours: send the next_cursor of the page before, or nothing")
}

/// How many entries a page shall have.
pub(crate) fn page_limit(asked: &Asked) -> Result<u32, Problem> {
    match asked.query_number::<u32>("limit")? {
        None => Ok(USUAL_PAGE),
        Some(limit @ 1..=PAGE) => Ok(limit),
        Some(limit) => {
            Err(Problem::invalid("limit", format!("is {limit}: a page has 1 to {PAGE} entries"))
                .with("max_limit", PAGE))
        }
    }
}

/// What was read for a page, and up to where of the shards' logs.
#[derive(Debug)]
pub(crate) struct Taken<W> {
    pub(crate) entries: Vec<W>,
    pub(crate) next_cursor: Option<String>,
    pub(crate) seen: Tokens,
}

impl<W> Taken<W> {
    /// As a reply.
    pub(crate) fn reply<T: Serialize + FromWire<W>>(self) -> Reply {
        let Self { entries, next_cursor, seen } = self;
        Reply::ok(&Page { items: Vec::<T>::from_wire(entries), next_cursor }).seen_all(seen)
    }

    /// As a reply in the form that was asked for.
    pub(crate) fn in_form<T: Serialize + FromWire<W>>(self, form: Form, asked: &Asked, sheet: &Sheet) -> Answered {
        let Self { entries, next_cursor, seen } = self;
        Ok(form.page(asked, sheet, &Page { items: Vec::<T>::from_wire(entries), next_cursor })?.seen_all(seen))
    }
}

/// The page of a listing that the request asks for by `cursor` and `limit`. A node looks at some records at a time, and where few of
/// them are asked for it takes many looks to fill a page: those of a few seconds are told, with where to go on.
pub(crate) async fn page_of<T: Listed>(listing: Listing<'_, T>, asked: &Asked) -> Result<Taken<T>, Problem> {
    page_from(listing, asked.query_text("cursor"), page_limit(asked)?).await
}

/// A page of that many entries from a cursor on.
pub(crate) async fn page_from<T: Listed>(
    mut listing: Listing<'_, T>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Taken<T>, Problem> {
    if let Some(cursor) = cursor {
        let Position { shard, after } = Position::read(cursor)?;
        listing = listing.from_position(shard, after);
        if listing.position().is_none() {
            return Err(no_cursor());
        }
    }
    let filling = Filling::begun(limit as usize);
    let mut entries = Vec::new();
    while let Some(most) = filling.wants(entries.len()) {
        listing.set_page(most);
        match listing.next_page().await? {
            Some(page) => entries.extend(page),
            None => break,
        }
    }
    let next_cursor = listing.position().map(|(shard, after)| Position::text(shard, after));
    Ok(Taken { entries, next_cursor, seen: listing.tokens().iter().copied().collect() })
}

/// A page that is being filled: up to so many entries, as far as they come within [`PAGE_S`].
struct Filling {
    limit: usize,
    until: Instant,
}

impl Filling {
    fn begun(limit: usize) -> Self {
        Self { limit, until: Instant::now() + Duration::from_secs(PAGE_S) }
    }

    /// How many more are asked for; `None`: it is told as it is.
    fn wants(&self, taken: usize) -> Option<u32> {
        let most = self.limit.saturating_sub(taken);
        (most > 0 && Instant::now() < self.until).then_some(most as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_page_that_would_take_long_to_fill_is_told_as_far_as_it_has_come() {
        let filling = Filling::begun(10);
        assert_eq!([0, 7, 10, 11].map(|taken| filling.wants(taken)), [Some(10), Some(3), None, None]);
        tokio::time::advance(Duration::from_secs(PAGE_S)).await;
        assert_eq!(filling.wants(7), None);
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is() {
        let position = Position { shard: 3, after: "Crème/01".to_owned() };
        assert_eq!(Position::read(&Position::text(3, "Crème/01")), Ok(position));
        assert!(Position::read(&Position::text(0, "")).is_ok());
        for bad in ["", "3", "3.x", "x.00", "3.ff", "3.abc"] {
            assert_eq!(Position::read(bad).unwrap_err().field, "cursor", "{bad}");
        }
    }
}
