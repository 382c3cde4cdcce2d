//! The bounds of a request, each with a named problem at it.

use holdfast_proto::v1::ErrorReason;

use crate::problem::Problem;

/// The longest body, in bytes.
pub(crate) const BODY_BYTES: usize = 1_024 * 1_024;
/// How deep JSON may be nested.
pub(crate) const JSON_DEPTH: usize = 32;
/// The most entries of a page, and how many there are where nobody says.
pub(crate) const PAGE: u32 = 500;
pub(crate) const USUAL_PAGE: u32 = 100;
/// The most items of a batch.
pub(crate) const BATCH: usize = 500;
/// The most requests that a node has under way.
pub(crate) const REQUESTS: usize = 1_024;
/// The most keys under way on a node: each request has one, a batch one an item.
pub(crate) const KEYS: usize = 16_384;
/// The longest key, in bytes.
pub(crate) const KEY_BYTES: usize = 255;
/// How long the body of a request may take to come, in seconds.
pub(crate) const BODY_S: u64 = 10;
/// How long a page is filled, in seconds: then it is told as far as it has come.
pub(crate) const PAGE_S: u64 = 2;
/// How long the reads of one batch may take together, in seconds: as long as one read by itself.
pub(crate) const READS_S: u64 = 10;
/// How many reads of one batch are under way at once.
pub(crate) const READS_AT_ONCE: usize = 32;

/// A body of more bytes than are read.
pub(crate) fn too_large() -> Problem {
    let detail = "the body is longer than a request may be: send fewer at once";
    Problem::of(ErrorReason::BatchTooLarge, detail).with("max_bytes", BODY_BYTES)
}

/// Says that a batch has too many items, or none.
pub(crate) fn check_batch(items: usize, field: &str) -> Result<(), Problem> {
    match items {
        0 => Err(Problem::invalid(field, "is empty: give at least one")),
        1..=BATCH => Ok(()),
        _ => {
            let detail = format!("{items} items are more than a batch may have: send fewer at once");
            Err(Problem { field: field.to_owned(), ..Problem::of(ErrorReason::BatchTooLarge, detail) }
                .with("max_items", BATCH))
        }
    }
}

/// Says that a text is nested deeper than it may be, before anything is made of it.
pub(crate) fn check_depth(json: &[u8]) -> Result<(), Problem> {
    let (mut depth, mut in_text, mut is_escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > JSON_DEPTH {
            let detail = format!("the body is nested deeper than {JSON_DEPTH} levels");
            return Err(Problem::invalid("", detail).with("max_depth", JSON_DEPTH));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_too_deep_is_refused_and_brackets_in_texts_are_none() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(check_depth(nested(JSON_DEPTH).as_bytes()).is_ok());
        let problem = check_depth(nested(JSON_DEPTH + 1).as_bytes()).unwrap_err();
        assert_eq!((problem.status, problem.metadata["max_depth"].as_str()), (400, "32"));
        let text = format!("{{\"a\":\"{}\\\"{}\"}}", "[".repeat(100), "{".repeat(100));
        assert!(check_depth(text.as_bytes()).is_ok());
        assert!(check_depth("[{}]".repeat(100).as_bytes()).is_ok(), "what is closed does not count");
    }

    #[test]
    fn a_batch_has_one_item_at_least_and_no_more_than_the_bound() {
        assert_eq!(check_batch(0, "items").unwrap_err().status, 400);
        assert!(check_batch(BATCH, "items").is_ok());
        let problem = check_batch(BATCH + 1, "items").unwrap_err();
        assert_eq!((problem.status, problem.reason, problem.field.as_str()), (413, "BATCH_TOO_LARGE", "items"));
    }
}
