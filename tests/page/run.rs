//! A page, followed to its end or to the first command that does not do as the page says.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::script::{Manner, script, with_ports};
use super::{Ground, Mark, Page, said};

/// How long a page may take; far longer than it takes on a busy machine.
const PAGE_WITHIN: Duration = Duration::from_secs(240);
/// How long what runs beside a page has to end.
const END_WITHIN: Duration = Duration::from_secs(20);

/// What became of a page.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Blocks that were run.
    pub run: usize,
    /// Blocks that were not, with their reasons.
    pub not_run: Vec<String>,
    /// What did not do as the page says.
    pub failed: Option<String>,
}

/// What a page asks of a machine beside a shell.
struct Need {
    /// As it stands in commands.
    typed: &'static str,
    /// What is done where it is there.
    tried: &'static [&'static str],
    /// Whether every machine that runs the tests for all has it.
    is_everywhere: bool,
}

const NEEDED: [Need; 6] = [
    Need { typed: "curl ", tried: &["curl", "--version"], is_everywhere: true },
    Need { typed: "pgrep ", tried: &["pgrep", "-V"], is_everywhere: true },
    Need { typed: "date -u -d ", tried: &["date", "-u", "-d", "+1 hour"], is_everywhere: true },
    Need { typed: "holdfast-sim ", tried: &["holdfast-sim", "--version"], is_everywhere: true },
    Need { typed: "promtool ", tried: &["promtool", "--version"], is_everywhere: false },
    Need { typed: "python ", tried: &["python", "-c", PACKAGES], is_everywhere: false },
];
/// Those of tests/doors/requirements.txt.
const PACKAGES: &str = "import grpc, grpc_tools, grpc_status, xxhash";

/// Says `nothing` where a page may not be left out for want of what every machine can have.
const LEAVE_OUT: &str = "LEAVE_OUT";

/// What a page needs and this machine does not have.
fn lacking(page: &Page, ground: &Ground) -> Option<&'static Need> {
    let runs = |what: &str| {
        let blocks = page.blocks.iter().filter(|block| !matches!(block.mark, Mark::NotRun(_)));
        blocks.flat_map(|block| &block.lines).any(|line| line.contains(what))
    };
    let is_there = |words: &[&str]| {
        let tried = ground.command(words[0]).args(&words[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    NEEDED.iter().find(|need| runs(need.typed) && !is_there(need.tried))
}

/// A page that is left out: that is told, or fails.
fn left_out(page: &Page, need: &Need, may_be_left_out: bool) -> Outcome {
    let said = format!("{}: LEFT OUT, all of it: this machine has no `{}`", page.name, need.typed.trim_end());
    let failed = (need.is_everywhere && !may_be_left_out).then(|| format!("{said}, and {LEAVE_OUT}=nothing"));
    Outcome { not_run: vec![said], failed, ..Outcome::default() }
}

/// Follows a page on its ground; one that needs what this machine does not have is left out, which is told.
pub fn follow(page: &Page, manner: Manner, ground: &Ground) -> Outcome {
    let mut outcome = Outcome::default();
    if let Some(need) = lacking(page, ground) {
        return left_out(page, need, std::env::var(LEAVE_OUT).is_err());
    }
    for block in &page.blocks {
        match &block.mark {
            Mark::NotRun(reason) => outcome.not_run.push(format!("{}:{}: {reason}", page.name, block.line)),
            _ => outcome.run += 1,
        }
    }
    if outcome.run == 0 {
        return outcome;
    }
    fs::write(ground.script(), script(page, manner, &ground.prelude(), ground.port_base)).expect("a script is written");
    let mut command = ground.command("bash");
    command.arg(ground.script()).env("PAGE", &page.name).env("OUT", ground.out()).process_group(0);
    let messages = fs::File::create(ground.out().join("bash")).expect("a new file");
    let errors = messages.try_clone().expect("a second handle");
    let mut reader = command.stdout(messages).stderr(errors).spawn().expect("bash starts");
    let status = ended(&mut reader);
    end_what_runs_beside(&reader);
    if std::env::var_os("HOLDFAST_DOCS_SHOW").is_some() {
        show(page, ground);
    }
    outcome.failed = match status {
        Some(true) => disagreement(page, ground),
        Some(false) => Some(last_words(page, ground)),
        None => Some(format!("not done after {} s\n{}", PAGE_WITHIN.as_secs(), last_words(page, ground))),
    };
    outcome
}

/// What came of each block, for whoever writes a page.
fn show(page: &Page, ground: &Ground) {
    let run = page.blocks.iter().filter(|block| !matches!(block.mark, Mark::NotRun(_)));
    let shown = run.map(|block| format!("=== {}:{}\n{}", page.name, block.line, output_of(block.line, ground)));
    let _ = std::io::stderr().lock().write_all(shown.collect::<String>().as_bytes());
}

/// Whether it was done; nothing if it was not in time.
fn ended(reader: &mut Child) -> Option<bool> {
    let deadline = Instant::now() + PAGE_WITHIN;
    while Instant::now() < deadline {
        if let Some(status) = reader.try_wait().expect("a child can be asked") {
            return Some(status.success());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

fn end_what_runs_beside(reader: &Child) {
    let group = Pid::from_child(reader);
    let _ = kill_process_group(group, Signal::TERM);
    let deadline = Instant::now() + END_WITHIN;
    while test_kill_process_group(group).is_ok() {
        if Instant::now() > deadline {
            let _ = kill_process_group(group, Signal::KILL);
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn output_of(line: usize, ground: &Ground) -> String {
    fs::read_to_string(ground.out().join(line.to_string())).unwrap_or_default()
}

/// The first block whose output is not what the page shows.
fn disagreement(page: &Page, ground: &Ground) -> Option<String> {
    page.blocks.iter().filter(|block| !matches!(block.mark, Mark::NotRun(_))).find_map(|block| {
        let shown = block.shown.as_ref()?;
        let lines: Vec<String> = shown.lines.iter().map(|line| with_ports(line, ground.port_base)).collect();
        let output = output_of(block.line, ground);
        let missing = said::check(&lines, &output).err()?;
        Some(format!("{}:{}: not in the output: {missing}\n{output}", page.name, shown.line))
    })
}

/// Where it ended, what was said there, and what the nodes said.
fn last_words(page: &Page, ground: &Ground) -> String {
    let at = fs::read_to_string(ground.out().join("at")).unwrap_or_default();
    let line: usize = at.trim().parse().unwrap_or_default();
    let bash = fs::read_to_string(ground.out().join("bash")).unwrap_or_default();
    format!("{}: the block at line {line}:\n{}{bash}{}", page.name, output_of(line, ground), ground.messages())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_machine_can_have_may_be_left_out_by_hand_and_not_where_nothing_may() {
        let page = Page::of("page", "# A page\n\n```sh\ncurl x\n```\n");
        let fails = |typed: &str, may_be_left_out| {
            let need = NEEDED.iter().find(|need| need.typed == typed).expect("it is needed somewhere");
            let outcome = left_out(&page, need, may_be_left_out);
            assert!(outcome.not_run[0].starts_with("page: LEFT OUT, all of it"), "{outcome:?}");
            outcome.failed.is_some()
        };
        assert_eq!((fails("curl ", true), fails("curl ", false)), (false, true));
        assert_eq!((fails("promtool ", true), fails("promtool ", false)), (false, false));
    }
}
