//! Colours, where somebody looks: on a terminal, and never in a pipe, nor where `NO_COLOR` is set (<https://no-color.org>) or the
//! terminal is dumb. They say nothing that the words do not say.

use std::ffi::OsStr;
use std::io::IsTerminal;

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const CYAN: &str = "\x1b[36m";
const PLAIN: &str = "\x1b[0m";

/// Cells that say that something is well.
const WELL: [&str; 6] = ["ok", "ready", "leader", "taking commands", "passed", "confirmed"];
/// Cells that say that somebody should look.
const DOUBTFUL: [&str; 7] = ["warning", "candidate", "learner", "low", "on_hold", "compensating", "audit"];
/// Cells that say that something is wrong.
const WRONG: [&str; 11] = [
    "problem",
    "not_ready",
    "unreachable",
    "damaged",
    "halted",
    "audit, halted",
    "stuck",
    "failed",
    "recalled",
    "out",
    "short",
];

/// Whether what goes there is painted.
pub fn is_painted(to: &impl IsTerminal) -> bool {
    paints(to.is_terminal(), std::env::var_os("NO_COLOR").as_deref(), std::env::var_os("TERM").as_deref())
}

fn paints(is_terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

/// The header of a table, or a heading of a page.
pub fn heading(line: &str) -> String {
    format!("{BOLD}{line}{PLAIN}")
}

/// A line of a table: cells that are statuses, which two spaces or more set apart from others, and what to type next.
pub fn line(line: &str) -> String {
    let mut painted = String::with_capacity(line.len());
    let mut rest = line;
    while !rest.is_empty() {
        let end = rest.find("  ").unwrap_or(rest.len());
        let (cell, behind) = rest.split_at(end);
        match colour_of(cell) {
            Some(colour) => painted.extend([colour, cell, PLAIN]),
            None => painted.push_str(cell),
        }
        let next = behind.find(|c| c != ' ').unwrap_or(behind.len());
        painted.push_str(&behind[..next]);
        rest = &behind[next..];
    }
    painted
}

/// A line of a failure.
pub fn failure(line: &str) -> String {
    let painted = |word: &str, colour: &str| Some(format!("{colour}{word}{PLAIN}{}", line.strip_prefix(word)?));
    painted("error:", RED).or_else(|| painted("hint:", CYAN)).unwrap_or_else(|| line.to_owned())
}

fn colour_of(cell: &str) -> Option<&'static str> {
    if WELL.contains(&cell) {
        Some(GREEN)
    } else if DOUBTFUL.contains(&cell) {
        Some(YELLOW)
    } else if WRONG.contains(&cell) {
        Some(RED)
    } else if cell.starts_with("-> ") {
        Some(CYAN)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text without what is between ESC and `m`.
    fn stripped(text: &str) -> String {
        let mut parts = text.split('\x1b');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |plain, part| plain + part.split_once('m').map_or("", |(_, rest)| rest))
    }

    #[test]
    fn only_a_terminal_is_painted_and_only_where_colours_are_wanted() {
        let (yes, empty, dumb) = (OsStr::new("1"), OsStr::new(""), OsStr::new("dumb"));
        assert!(paints(true, None, None));
        assert!(paints(true, None, Some(OsStr::new("xterm-256color"))));
        assert!(paints(true, Some(empty), None), "an empty NO_COLOR is none");
        assert!(!paints(true, Some(yes), None));
        assert!(!paints(true, None, Some(dumb)));
        assert!(!paints(false, None, Some(OsStr::new("xterm"))));
    }

    #[test]
    fn whole_cells_are_painted_and_no_word_within_one() {
        assert_eq!(line("1  ready  is not ready"), format!("1  {GREEN}ready{PLAIN}  is not ready"));
        assert_eq!(line("stuck   3"), format!("{RED}stuck{PLAIN}   3"));
        assert_eq!(line("warning  -> df -h"), format!("{YELLOW}warning{PLAIN}  {CYAN}-> df -h{PLAIN}"));
    }

    #[test]
    fn painting_changes_nothing_but_the_colour() {
        for text in ["", "  ", "a", "node 2   unreachable  127.0.0.1:7400", "é  out  ok", "-> x", " ok"] {
            assert_eq!(stripped(&line(text)), text);
            assert_eq!(stripped(&heading(text)), text);
            assert_eq!(stripped(&failure(text)), text);
        }
        assert_eq!(failure("hint: do"), format!("{CYAN}hint:{PLAIN} do"));
    }
}
