//! Lists page by page: a cursor says where the next page begins, and is of use on any node.

use holdfast_client::{Error, Listed, Listing};
use serde::Serialize;
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::limits::{PAGE, USUAL_PAGE};
use crate::problem::Problem;
use crate::wire::{bytes_of, hex};

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

/// The page of a listing that the request asks for by `cursor` and `limit`.
pub(crate) async fn page_of<T: Listed>(
    mut listing: Listing<'_, T>,
    asked: &Asked,
) -> Result<(Vec<T>, Option<String>), Problem> {
    let limit = page_limit(asked)? as usize;
    if let Some(cursor) = asked.query_text("cursor") {
        let Position { shard, after } = Position::read(cursor)?;
        listing = listing.from_position(shard, after);
        if listing.position().is_none() {
            return Err(no_cursor());
        }
    }
    let mut taken = Vec::new();
    while taken.len() < limit {
        listing.set_page((limit - taken.len()) as u32);
        match listing.next_page().await.map_err(of_cursor)? {
            Some(page) => taken.extend(page),
            None => break,
        }
    }
    Ok((taken, listing.position().map(|(shard, after)| Position::text(shard, after))))
}

/// What a node says of a token that was none names the cursor that it came in.
pub(crate) fn of_cursor(error: Error) -> Problem {
    let mut problem = Problem::from(error);
    if matches!(problem.field.as_str(), "page_token" | "after_sku") {
        "cursor".clone_into(&mut problem.field);
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

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
