//! The page: one file that needs nothing else. It has no script, and its policy lets it load nothing.

use std::collections::BTreeSet;

use super::Happened;
use super::bars::{self, MOST_BARS};
use super::lanes::{Drawing, MOST_FAULTS, MOST_SPANS};
use super::text::{escape, shorten};
use crate::history::History;

/// The most findings that are listed, and the most letters of each.
const MOST_FINDINGS: usize = 50;
const MOST_LETTERS: usize = 4_000;

const STYLE: &str = "
body { font: 13px system-ui, sans-serif; margin: 16px; color: #222; background: #fff; }
h1 { font-size: 18px; } h2 { font-size: 15px; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f6f6f6; padding: 8px; margin: 4px 0; }
pre.finding { border-left: 4px solid #c22; }
.drawing { display: flex; overflow-x: auto; border: 1px solid #ccc; }
.drawing svg { flex: none; }
.names { position: sticky; left: 0; background: #fff; border-right: 1px solid #ccc; }
text { font-size: 11px; fill: #333; } text.axis { fill: #888; } text.moment { fill: #06c; }
line.axis { stroke: #eee; } line.moment { stroke: #06c; stroke-dasharray: 4 3; }
.fault { fill: #e8913a; }
.up { fill: #d7ecd7; } .paused { fill: #f4dc6a; } .down { fill: #b9b9b9; } .left-out { fill: #7a4b4b; }
.replaced { fill: #fff; stroke: #ccc; } .leads { fill: #2b7a2b; }
.done { fill: #4a90d9; } .refused { fill: #9b6fc4; } .seen { fill: #6cc0b8; } .nothing { fill: #c9c9c9; }
.unknown { fill: #f0b3b3; stroke: #c22; stroke-width: 0.5; }
.marked { stroke: #000; stroke-width: 2; }
.key { display: inline-block; width: 12px; height: 12px; margin: 0 4px 0 14px; vertical-align: -2px; }
";

/// The colours, as a page explains them.
const KEYS: [(&str, &str); 11] = [
    ("fault", "#e8913a"),
    ("up", "#d7ecd7"),
    ("leads a group (a strip for each)", "#2b7a2b"),
    ("paused", "#f4dc6a"),
    ("down", "#b9b9b9"),
    ("left out", "#7a4b4b"),
    ("done", "#4a90d9"),
    ("refused", "#9b6fc4"),
    ("read", "#6cc0b8"),
    ("did nothing", "#c9c9c9"),
    ("outcome unknown", "#f0b3b3"),
];

/// What a page shows beside what happened to the nodes.
#[derive(Debug)]
pub struct Subject<'a> {
    /// What it is of.
    pub title: String,
    /// What is not as it must be.
    pub findings: &'a [String],
    /// The command that plays it again.
    pub replay: &'a str,
    /// What the clients saw.
    pub history: &'a History,
    /// The calls of the shortest history that still fails, by client and instant of the call.
    pub marked: &'a BTreeSet<(u64, u64)>,
}

/// The page.
#[must_use]
pub fn page(subject: &Subject<'_>, happened: &Happened) -> String {
    let lanes = bars::lanes(subject.history, subject.marked);
    let drawing = Drawing::of(happened, &lanes).html();
    let shown = lanes.values().map(Vec::len).sum::<usize>();
    let left_out = left_out(subject, happened, shown);
    let (title, replay, findings) = (escape(&subject.title), escape(subject.replay), findings(subject.findings));
    let mut keys = String::new();
    for (name, colour) in KEYS {
        keys += &format!("<span class=\"key\" style=\"background:{colour}\"></span>{name}");
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\
         <title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>\
         <p>Played again by</p><pre>{replay}</pre>\
         <h2>Findings</h2>{findings}<h2>What happened</h2>\
         <p>Simulated time runs to the right. Point at a bar to see what it is. Calls of the shortest history that still fails \
         have a black frame.</p><p>{keys}</p>{left_out}{drawing}</body></html>\n"
    )
}

fn findings(findings: &[String]) -> String {
    if findings.is_empty() {
        return "<p>None: all is as it must be.</p>".to_owned();
    }
    let mut listed = String::new();
    for finding in findings.iter().take(MOST_FINDINGS) {
        listed += &format!("<pre class=\"finding\">{}</pre>", escape(&shorten(finding, MOST_LETTERS)));
    }
    if findings.len() > MOST_FINDINGS {
        listed += &format!("<p>{} more are not listed.</p>", findings.len() - MOST_FINDINGS);
    }
    listed
}

/// Says what of the run the drawing does not show.
fn left_out(subject: &Subject<'_>, happened: &Happened, shown: usize) -> String {
    let mut said = Vec::new();
    let calls = subject.history.records.len();
    if shown < calls {
        said.push(format!(
            "{shown} of {calls} calls are shown (at most {MOST_BARS}): those of the shortest history, then those of unknown \
             outcome, then the first"
        ));
    }
    if subject.history.dropped > 0 {
        said.push(format!("{} calls are not in the history, which was full", subject.history.dropped));
    }
    if happened.faults.len() > MOST_FAULTS {
        said.push(format!("the first {MOST_FAULTS} of {} faults are shown", happened.faults.len()));
    }
    let spans = happened.nodes.values().map(Vec::len).sum::<usize>();
    if spans > MOST_SPANS || happened.is_cut {
        said.push(format!("at most {MOST_SPANS} changes of nodes are shown, there were {spans} or more"));
    }
    said.into_iter().map(|said| format!("<p>Left out: {said}.</p>")).collect()
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
