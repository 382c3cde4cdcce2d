//! A page as one script for bash. Each command stands on the line that it has in the page, so that what bash says of a line is
//! said of the page's.

use std::path::Path;

use super::{Block, Mark, Page};

/// How a page's commands are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As a reader follows it: one after the other, each must be done.
    Followed,
    /// As a list for a situation that the cluster is not in: each by itself, and what the cluster finds or refuses is an answer. Wrong
    /// usage, no answer and an unknown outcome are none.
    Asked,
}

/// What comes before each page.
pub const PRELUDE: &str = r#"set -Eeuo pipefail
tell_errors() { trap 'echo "$PAGE:$LINENO: exit status $?: $BASH_COMMAND" >&2' ERR; }
tell_errors
begin() { exec >"$OUT/$1" 2>&1; echo "$1" >"$OUT/at"; }
await() {
  if [ -z "$2" ]; then return 0; fi
  for _ in $(seq 1500); do
    if grep -qF -- "$2" "$OUT/$1"; then return 0; fi
    sleep 0.1
  done
  echo "it has not said: $2"
  return 1
}
must_end() {
  if [ "$1" -ne "$2" ]; then echo "it ended with $1, not with $2"; exit 1; fi
}
is_answered() {
  case "$1" in 0|1|3|4|5) ;; *) echo "$PAGE:$2: exit status $1"; exit 1 ;; esac
}
"#;

/// The script of a page, with other ports in place of the documented ones.
pub fn script(page: &Page, manner: Manner, prelude: &Path, port_base: u16) -> String {
    let mut script: Vec<String> = Vec::new();
    let mut put = |line: usize, text: String| {
        script.resize(script.len().max(line), String::new());
        assert!(script[line - 1].is_empty(), "{}:{line}: two blocks on one line", page.name);
        script[line - 1] = text;
    };
    put(1, format!("source '{}'", prelude.display()));
    for block in &page.blocks {
        let Some((opening, closing)) = around(block) else { continue };
        put(block.line, opening);
        for (at, line) in (block.line + 1..).zip(&block.lines) {
            let is_command = !line.trim().is_empty() && !line.trim_start().starts_with('#');
            if manner == Manner::Asked && is_command {
                put(
                    at,
                    format!(
                        "said=0; (trap - ERR; {}\n) || said=$?; is_answered $said {at}",
                        with_ports(line, port_base)
                    ),
                );
            } else {
                put(at, with_ports(line, port_base));
            }
        }
        put(block.line + 1 + block.lines.len(), closing);
    }
    script.join("\n") + "\n"
}

/// What stands in place of a block's fences; nothing for one that is not run.
fn around(block: &Block) -> Option<(String, String)> {
    let begin = format!("begin {}", block.line);
    match &block.mark {
        Mark::NotRun(_) => None,
        Mark::Run => Some((begin, String::new())),
        Mark::Ends(status) => {
            let opening = format!("{begin}; trap - ERR; set +e; (set -e");
            Some((opening, format!("); must_end $? {status}; set -e; tell_errors")))
        }
        Mark::Beside(until) => {
            let until = until.replace('\'', r"'\''");
            Some((format!("{begin}; ("), format!(") & await {} '{until}'", block.line)))
        }
    }
}

/// The documented ports are those of `holdfast up`: 7400 and further, up to the tenth node's.
pub fn with_ports(text: &str, port_base: u16) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("74") {
        let (before, from) = rest.split_at(at);
        out += before;
        let digits = from.chars().take_while(char::is_ascii_digit).count();
        let stands_alone = !before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
        let port = from.get(..digits).filter(|_| digits == 4 && stands_alone).and_then(|port| port.parse::<u16>().ok());
        match port {
            Some(port) => out += &(port - 7_400 + port_base).to_string(),
            None => out += &from[..digits],
        }
        rest = &from[digits..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_ports_become_real_ones_and_other_numbers_stay() {
        let text = "curl 127.0.0.1:7402/x --addr a:7400,b:7410 SKU-7401 17400 74 74021 7499";
        assert_eq!(
            with_ports(text, 30_000),
            "curl 127.0.0.1:30002/x --addr a:30000,b:30010 SKU-7401 17400 74 74021 30099"
        );
    }
}
