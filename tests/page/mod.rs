//! Pages of the manual, as a reader follows them: what stands in their `sh` blocks is run in order, and what the pages show of its
//! output is what came. What a page may say about a block, in HTML comments on the lines above it, is told in docs/testing.md.

mod ground;
mod links;
mod run;
mod said;
mod script;

use std::fs;
use std::path::{Path, PathBuf};

#[allow(unused_imports, reason = "what a test of a page needs")]
pub use ground::Ground;
pub use links::broken_in;
pub use run::{Outcome, follow};
pub use script::Manner;

/// What becomes of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is run, and each of its commands must be done.
    Run,
    /// It is not run here, for this reason.
    NotRun(String),
    /// It is run beside what follows, which waits until it has said this, if anything; it ends with the page.
    Beside(String),
    /// It is run, and must end with this exit status.
    Ends(i32),
}

/// What a page shows of a block's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The line of its fence, from 1.
    pub line: usize,
    pub lines: Vec<String>,
}

/// A block of commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The line of its fence, from 1.
    pub line: usize,
    pub lines: Vec<String>,
    pub mark: Mark,
    pub shown: Option<Shown>,
}

/// A page with its blocks, in order.
#[derive(Clone, Debug)]
pub struct Page {
    /// As it is named from the root of the sources.
    pub name: String,
    pub blocks: Vec<Block>,
}

/// The root of the sources.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_owned()
}

/// The pages of a folder, by name.
pub fn pages_of(folder: &str) -> Vec<Page> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let names = entries.map(|entry| entry.expect("an entry of a folder").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".md")).collect();
    names.sort();
    names.iter().map(|name| Page::read(&format!("{folder}/{name}"))).collect()
}

impl Page {
    /// Reads a page by its name from the root of the sources.
    pub fn read(name: &str) -> Self {
        let text = fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self::of(name, &text)
    }

    /// A page of that text.
    pub fn of(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), blocks: blocks_of(text) }
    }

    /// Does it start a cluster by itself, by one command or node by node?
    pub fn starts_a_cluster(&self) -> bool {
        let is_start = |block: &Block, line: &str| {
            let first = matches!(block.mark, Mark::Beside(_)) && line.contains("--node 1");
            line.starts_with("holdfast up") || (first && line.starts_with("holdfast start"))
        };
        let mut run = self.blocks.iter().filter(|block| !matches!(block.mark, Mark::NotRun(_)));
        run.any(|block| block.lines.iter().any(|line| is_start(block, line.trim_start())))
    }
}

/// What is being read.
enum At {
    Text,
    Commands(Block),
    Output { line: usize, lines: Vec<String>, is_shown: bool },
    Setup(Block),
    Other,
}

fn blocks_of(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut at = At::Text;
    let mut mark = Mark::Run;
    // Whether nothing but empty lines came since the last block of commands: then output is that block's.
    let mut is_right_after = false;
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.trim_start();
        at = match at {
            At::Text if code.starts_with("```") => match code.trim_end() {
                "```sh" => {
                    let mark = std::mem::replace(&mut mark, Mark::Run);
                    At::Commands(Block { line: number, lines: Vec::new(), mark, shown: None })
                }
                "```text" | "```json" => At::Output { line: number, lines: Vec::new(), is_shown: is_right_after },
                _ => At::Other,
            },
            // What the page needs and does not show: commands up to the end of the comment.
            At::Text if code.trim_end() == "<!-- setup" => {
                At::Setup(Block { line: number, lines: Vec::new(), mark: Mark::Run, shown: None })
            }
            At::Text => {
                mark = mark_of(code).unwrap_or(Mark::Run);
                is_right_after &= code.is_empty();
                At::Text
            }
            At::Commands(block) if code.starts_with("```") => {
                blocks.push(block);
                is_right_after = true;
                At::Text
            }
            At::Setup(block) if code.starts_with("-->") => {
                blocks.push(block);
                At::Text
            }
            At::Output { line, lines, is_shown } if code.starts_with("```") => {
                if let Some(block) = blocks.last_mut().filter(|_| is_shown) {
                    block.shown = Some(Shown { line, lines });
                }
                is_right_after = false;
                At::Text
            }
            At::Other if code.starts_with("```") => {
                is_right_after = false;
                At::Text
            }
            At::Commands(mut block) => {
                block.lines.push(line.to_owned());
                At::Commands(block)
            }
            At::Setup(mut block) => {
                block.lines.push(line.to_owned());
                At::Setup(block)
            }
            At::Output { line: first, mut lines, is_shown } => {
                lines.push(line.to_owned());
                At::Output { line: first, lines, is_shown }
            }
            At::Other => At::Other,
        };
    }
    assert!(matches!(at, At::Text), "a block is not closed");
    blocks
}

fn mark_of(line: &str) -> Option<Mark> {
    let said = line.strip_prefix("<!--")?.trim_end().strip_suffix("-->")?.trim();
    if let Some(reason) = said.strip_prefix("not run:") {
        let reason = reason.trim();
        assert!(!reason.is_empty(), "`{line}` gives no reason");
        return Some(Mark::NotRun(reason.to_owned()));
    }
    if let Some(until) = said.strip_prefix("run beside what follows") {
        let until = until.strip_prefix(", which waits for:").unwrap_or_default();
        return Some(Mark::Beside(until.trim().to_owned()));
    }
    let status = said.strip_prefix("exit status:")?;
    Some(Mark::Ends(status.trim().parse().unwrap_or_else(|error| panic!("`{line}`: {error}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A page\n\n```sh\nholdfast item list\n```\n\n```text\nsku\n```\n\n<!-- not run: another machine -->\n```sh\nssh x\n```\n\
                        Words\n\n```text\nno output\n```\n<!-- exit status: 5 -->\n```sh\nholdfast reserve A\n```\n\
                        <!-- run beside what follows, which waits for: is up -->\n```sh\nholdfast up\n```\n```toml\n[x]\n```\n\
                        <!-- setup\nholdfast item put A\n-->\n<!-- no mark -->\n```sh\nls\n```\n";

    #[test]
    fn a_block_with_no_mark_is_run_and_output_is_that_of_the_block_right_above() {
        let blocks = blocks_of(PAGE);
        let marks: Vec<Mark> = blocks.iter().map(|block| block.mark.clone()).collect();
        let not_run = Mark::NotRun("another machine".to_owned());
        let beside = Mark::Beside("is up".to_owned());
        assert_eq!(marks, [Mark::Run, not_run, Mark::Ends(5), beside, Mark::Run, Mark::Run]);
        assert_eq!(blocks[0].shown, Some(Shown { line: 7, lines: vec!["sku".to_owned()] }));
        assert!(blocks[1..].iter().all(|block| block.shown.is_none()), "{blocks:?}");
        assert_eq!((blocks[4].line, &blocks[4].lines), (31, &vec!["holdfast item put A".to_owned()]));
    }

    #[test]
    fn a_page_has_a_cluster_of_its_own_where_it_starts_one_or_its_first_node() {
        let starts = |text: &str| Page::of("page", text).starts_a_cluster();
        let beside = "<!-- run beside what follows -->\n";
        assert!(starts(PAGE) && starts(&format!("{beside}```sh\nholdfast start --node 1\n```\n")));
        assert!(!starts(&format!("{beside}```sh\nholdfast start --node 4\n```\n")));
        assert!(!starts("```sh\nholdfast start --node 1 --check\n```\n"));
        assert!(!starts("<!-- not run: x -->\n```sh\nholdfast up\n```\n"));
    }
}
