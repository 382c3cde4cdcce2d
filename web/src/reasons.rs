//! What each reason of a problem means, as docs/errors.md says it: for the page that a problem's `type` points to.

use serde::Serialize;

use crate::problem::reasons;

const TEXT: &str = include_str!("../../docs/errors.md");

/// A reason as the page shows it.
#[derive(Debug, Serialize)]
struct Meaning {
    reason: &'static str,
    status: u16,
    retry: &'static str,
    effect: &'static str,
    /// What it means, and what to do.
    text: String,
}

/// All of them, as JSON.
pub(crate) fn json() -> String {
    let meanings: Vec<Meaning> = reasons()
        .map(|reason| {
            let faces = reason.faces();
            let (name, text) = (reason.name(), meaning_of(reason.name()).unwrap_or_default());
            Meaning { reason: name, status: faces.http, retry: faces.retry.name(), effect: faces.effect.name(), text }
        })
        .collect();
    serde_json::to_string(&meanings).expect("texts and whole numbers only")
}

/// The paragraphs under a reason's heading. One heading may have several reasons, with commas between.
fn meaning_of(reason: &str) -> Option<String> {
    let sections = TEXT.split("\n### ").skip(1);
    let mut of_reason = sections.filter_map(|section| {
        let (heading, text) = section.split_once('\n')?;
        let names = heading.split([',', ' ']).map(|name| name.trim_matches('`'));
        names.into_iter().any(|name| name == reason).then_some(text)
    });
    let text = of_reason.next()?;
    let text = text.split("\n#").next().unwrap_or(text);
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_meaning() {
        for reason in reasons() {
            let meaning = meaning_of(reason.name()).unwrap_or_default();
            assert!(!meaning.is_empty(), "docs/errors.md says nothing of {}", reason.name());
            assert!(!meaning.contains('#'), "{}: {meaning}", reason.name());
        }
    }
}
