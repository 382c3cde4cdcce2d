//! The page is well-formed, whatever stands in it, and bounded, whatever happened.

use std::time::Duration;

use super::super::bars::MOST_CLIENTS;
use super::super::{FaultSpan, NodeState};
use super::*;
use crate::checkers::stories::{Story, done, receive, unknown};

/// Reads a page as strictly as XML: every tag is closed in its place, every attribute quoted, every `&` an entity.
fn read(page: &str) -> Result<Vec<String>, String> {
    let mut open: Vec<String> = Vec::new();
    let mut seen = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>\n").ok_or("no doctype")?.trim_end();
    while !rest.is_empty() {
        let Some(inside) = rest.strip_prefix('<') else {
            let until = rest.find('<').ok_or("text behind the last tag")?;
            let text = &rest[..until];
            let is_whole =
                |at: usize| ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"].iter().any(|e| text[at..].starts_with(e));
            if text.contains('>') || !text.match_indices('&').all(|(at, _)| is_whole(at)) {
                return Err(format!("unescaped: {text}"));
            }
            rest = &rest[until..];
            continue;
        };
        let mut quoted = false;
        let end = inside.find(|letter: char| {
            quoted ^= letter == '"';
            letter == '>' && !quoted
        });
        let tag = &inside[..end.ok_or("a tag without an end")?];
        rest = &inside[tag.len() + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            let expected = open.pop();
            if expected.as_deref() != Some(name) {
                return Err(format!("</{name}> where {expected:?} is open"));
            }
            continue;
        }
        let name: String = tag.chars().take_while(|letter| letter.is_ascii_alphanumeric()).collect();
        if name.is_empty() || tag.contains('<') || tag.matches('"').count() % 2 == 1 {
            return Err(format!("no tag: <{tag}>"));
        }
        seen.push(name.clone());
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    if open.is_empty() { Ok(seen) } else { Err(format!("{open:?} stay open")) }
}

const EVIL: &str = "<script>alert(\"1\")</script> & 'more'";

#[test]
fn a_page_is_well_formed_and_text_from_a_run_is_never_markup() {
    let story = Story::default().command(1, 1, 2, receive(EVIL, 10), done(1, 10)).command(
        2,
        3,
        0,
        receive(EVIL, 10),
        unknown(),
    );
    let mut happened = Happened::default();
    happened.mark(Duration::from_millis(1), EVIL);
    happened.see(Duration::ZERO, 1, NodeState::Up, vec![0, 3], "");
    happened.see(Duration::from_millis(2), 1, NodeState::LeftOut, Vec::new(), EVIL);
    happened.close(Duration::from_millis(9), vec![FaultSpan::begun(EVIL, Duration::ZERO)]);
    let (findings, marked) = ([format!("linearizable: {EVIL}")], BTreeSet::from([(0, 1_000)]));
    let subject =
        Subject { title: EVIL.to_owned(), findings: &findings, replay: EVIL, history: &story.0, marked: &marked };
    let page = page(&subject, &happened);
    let tags = read(&page).unwrap();
    assert!(!tags.contains(&"script".to_owned()) && !page.contains("<script"));
    // A node that is up and leads two groups and is left out then, a fault, two calls.
    assert_eq!(tags.iter().filter(|tag| *tag == "rect").count(), 7);
    assert!(page.contains("class=\"done marked\"") && page.contains("class=\"unknown\""));
    assert!(page.contains("node 1 is up, leads groups 0, 3"));
    assert!(!page.contains("Left out:"));
    for outside in ["http:", "https:", "url(", "@import", "src=", "href="] {
        let said = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!said.contains(outside), "{outside}");
    }
}

#[test]
fn the_reader_of_these_tests_notices_what_is_not_well_formed() {
    for bad in ["<p>", "<p></b>", "<p>a & b</p>", "<p>a > b</p>", "<p class=\"a></p>", "<b><p></b></p>"] {
        assert!(read(&format!("<!DOCTYPE html>\n{bad}")).is_err(), "{bad}");
    }
}

#[test]
fn a_page_of_a_run_that_was_too_long_is_bounded_and_says_so() {
    let mut story = Story::default();
    for at in 0..2 * MOST_BARS as u64 {
        story = story.command(u128::from(at), at + 1, at + 2, receive(&"long ".repeat(500), 1), done(1, 1));
    }
    for (at, record) in story.0.records.iter_mut().enumerate() {
        record.client = (at % (MOST_CLIENTS / 2)) as u64;
    }
    let mut happened = Happened::default();
    for ms in 0..2 * MOST_SPANS as u64 {
        let state = if ms % 2 == 0 { NodeState::Up } else { NodeState::Down };
        happened.see(Duration::from_millis(ms), ms % 7, state, vec![0; 4], &"why ".repeat(500));
    }
    let faults = (0..2 * MOST_FAULTS as u64).map(|ms| FaultSpan::begun("kill", Duration::from_millis(ms)));
    happened.close(Duration::from_secs(100_000), faults.collect());
    let findings = vec!["long ".repeat(5_000); 200];
    let marked = BTreeSet::new();
    let subject = Subject { title: String::new(), findings: &findings, replay: "", history: &story.0, marked: &marked };
    let page = page(&subject, &happened);
    read(&page).unwrap();
    assert!(page.matches("<rect").count() <= MOST_BARS + MOST_FAULTS + 5 * MOST_SPANS);
    assert!(page.contains(&format!("{MOST_BARS} of {} calls are shown", 2 * MOST_BARS)));
    assert!(page.contains("150 more are not listed"));
    assert!(page.contains(&format!("the first {MOST_FAULTS} of {} faults", 2 * MOST_FAULTS)));
    assert!(page.contains(&format!("at most {MOST_SPANS} changes of nodes")));
    assert!(page.len() < 8_000_000, "{} bytes", page.len());
}
