//! `holdfast-sim shrink`: tries smaller and smaller runs of a seed, each in a process of its own with a limit of real time, and
//! writes down what is left of them.

use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use holdfast_mutation::Mutation;
use holdfast_simulator::checkers::LogTimeBound;
use holdfast_simulator::history::{self, History, HistoryError};
use holdfast_simulator::run::{Case, FaultKind, Only, Part, Report};
use holdfast_simulator::shrink::history::{id_of, named, shortest};
use holdfast_simulator::shrink::{Shrunk, StillFails, kind_of, shrink};
use holdfast_simulator::timeline::{Happened, Subject, page};

/// What a process may say; more is a failure of its own.
const MOST_SAID: u64 = 64 * 1_024 * 1_024;
/// Lines of what a process without a report said.
const LAST_WORDS: usize = 6;

#[derive(Debug, clap::Args)]
pub struct ShrinkArguments {
    /// The seed that fails.
    #[arg(long, value_name = "S")]
    seed: u64,
    /// Where what is left is written; `shrunk-S` if not given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Breaks Holdfast in this way, in a build that can be broken.
    #[arg(long, value_name = "NAME")]
    mutation: Option<Mutation>,
    /// These kinds of faults, whatever the seed draws: those of the run that failed.
    #[arg(long, value_name = "KINDS")]
    faults: Option<Only<FaultKind>>,
    /// The checker whose findings must stay; the first that finds something if not given.
    #[arg(long, value_name = "NAME")]
    checker: Option<String>,
    /// The most smaller runs that are tried.
    #[arg(long, value_name = "N", default_value_t = 150)]
    tries: usize,
    /// Real seconds that one of them may take.
    #[arg(long, value_name = "S", default_value_t = 600)]
    limit_s: u64,
}

/// Why a seed could not be made smaller.
#[derive(Debug, thiserror::Error)]
pub enum ShrinkError {
    /// A process or a file is not to be had.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's error.
        error: io::Error,
    },
    /// The history of the last run cannot be read back.
    #[error("the history of the shrunk run: {0}")]
    History(#[from] HistoryError),
}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> ShrinkError {
    let what = what.into();
    |error| ShrinkError::Io { what, error }
}

/// The command that plays a part of a seed's run.
pub fn replay(seed: u64, mutation: Option<Mutation>, part: &Part) -> String {
    let broken = mutation.map(|mutation| format!(" --mutation {}", mutation.name())).unwrap_or_default();
    let flags: String = part.flags().iter().map(|flag| format!(" {flag}")).collect();
    format!("holdfast-sim run --seed {seed}{broken}{flags}")
}

/// How the process of a run ended.
enum Ended {
    Report(Box<Report>),
    NoReport(String),
    DidNotEnd(Duration),
}

impl Ended {
    /// What is not as it must be.
    fn findings(&self) -> Vec<String> {
        match self {
            Self::Report(report) => report.findings.clone(),
            Self::NoReport(words) => vec![format!("no_report: its process ends without a report: {words}")],
            Self::DidNotEnd(limit) => {
                vec![format!("did_not_end: it did not end within {} s of real time", limit.as_secs())]
            }
        }
    }
}

/// Tries runs of one seed.
struct Trials<'a> {
    program: &'a Path,
    seed: u64,
    mutation: Option<Mutation>,
    whole: &'a Case,
    limit: Duration,
    /// The kind of findings that must stay.
    kind: String,
    tried: usize,
    trouble: Option<ShrinkError>,
}

impl Trials<'_> {
    fn run(&self, case: &Case, more: &[(&str, &Path)]) -> Result<Ended, ShrinkError> {
        let mut command = Command::new(self.program);
        command.args(["run", "--output", "json", "--seed", &self.seed.to_string()]);
        command.args(self.mutation.iter().flat_map(|mutation| ["--mutation", mutation.name()]));
        command.args(case.as_part_of(self.whole).flags());
        for (flag, file) in more {
            command.arg(flag).arg(file);
        }
        run_for(command, self.limit).map_err(io_error("the process of a run"))
    }
}

impl StillFails for Trials<'_> {
    fn still_fails(&mut self, case: &Case) -> bool {
        if self.trouble.is_some() {
            return false;
        }
        self.tried += 1;
        let begun = Instant::now();
        let fails = match self.run(case, &[]) {
            Ok(ended) => ended.findings().iter().any(|finding| kind_of(finding) == self.kind),
            Err(error) => {
                self.trouble = Some(error);
                false
            }
        };
        let verdict = if fails { "fails" } else { "does not" };
        let (took, what) = (begun.elapsed().as_secs_f64(), case.as_part_of(self.whole).flags().join(" "));
        eprintln!("try {:<4} {verdict:<9} {took:>6.1} s  {what}", self.tried);
        fails
    }
}

/// Runs a command, but no longer than that.
fn run_for(mut command: Command, limit: Duration) -> io::Result<Ended> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (said, prose) = (heard(child.stdout.take()), heard(child.stderr.take()));
    let deadline = Instant::now() + limit;
    let left = || deadline.saturating_duration_since(Instant::now());
    // Both are at their end when the process is.
    let both = said.recv_timeout(limit).ok().zip(prose.recv_timeout(left()).ok());
    let Some((said, prose)) = both else {
        end(&mut child)?;
        return Ok(Ended::DidNotEnd(limit));
    };
    let status = child.wait()?;
    Ok(match serde_json::from_slice(&said) {
        Ok(report) => Ended::Report(report),
        Err(_) => {
            let prose = String::from_utf8_lossy(&prose);
            let last: Vec<&str> = prose.lines().filter(|line| !line.is_empty()).take(LAST_WORDS).collect();
            Ended::NoReport(format!("{status}: {}", last.join(" | ")))
        }
    })
}

fn end(child: &mut Child) -> io::Result<()> {
    child.kill()?;
    child.wait().map(|_| ())
}

/// Everything that comes out of a pipe, once it is closed.
fn heard(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (teller, listener) = mpsc::channel();
    std::thread::spawn(move || {
        let mut said = Vec::new();
        // What cannot be read is no report.
        let _ = pipe.map(|pipe| pipe.take(MOST_SAID).read_to_end(&mut said));
        // Nobody listens any more when the time was over.
        let _ = teller.send(said);
    });
    listener
}

/// Shrinks a seed, and prints what came of it.
pub fn run(arguments: &ShrinkArguments) -> Result<ExitCode, ShrinkError> {
    let program = std::env::current_exe().map_err(io_error("this program"))?;
    let drawn = Case::of_seed(arguments.seed);
    let whole = match arguments.faults.clone() {
        Some(Only(chosen)) => drawn.with_faults(chosen),
        None => drawn,
    };
    let mut trials = Trials {
        program: &program,
        seed: arguments.seed,
        mutation: arguments.mutation,
        whole: &whole,
        limit: Duration::from_secs(arguments.limit_s),
        kind: String::new(),
        tried: 0,
        trouble: None,
    };
    let findings = trials.run(&whole, &[])?.findings();
    let kinds: Vec<String> = findings.iter().map(|finding| kind_of(finding)).collect();
    let decided = kinds.iter().find(|kind| !kind.ends_with("-undecided")).or(kinds.first());
    let wanted = arguments.checker.as_ref().or(decided);
    let Some(kind) = wanted.filter(|wanted| kinds.contains(wanted)) else {
        let by = arguments.checker.as_ref().map(|checker| format!(" by {checker}")).unwrap_or_default();
        eprintln!("seed {} does not fail{by}", arguments.seed);
        return Ok(ExitCode::FAILURE);
    };
    trials.kind.clone_from(kind);
    eprintln!("seed {} fails by {kind}; smaller runs are tried", arguments.seed);
    let shrunk = shrink(&whole, arguments.tries, &mut trials);
    if let Some(trouble) = trials.trouble.take() {
        return Err(trouble);
    }
    let folder = arguments.out.clone().unwrap_or_else(|| PathBuf::from(format!("shrunk-{}", arguments.seed)));
    let lines = keep(&trials, &shrunk, &folder)?;
    // A reader that has gone away is no failure of the run.
    let _ = writeln!(io::stdout(), "{}", lines.join("\n"));
    Ok(ExitCode::SUCCESS)
}

/// Plays the shrunk run once more, writes everything about it into a folder, and says what is where.
fn keep(trials: &Trials<'_>, shrunk: &Shrunk, folder: &Path) -> Result<Vec<String>, ShrinkError> {
    std::fs::create_dir_all(folder).map_err(io_error(folder.display().to_string()))?;
    let (seed, kind, whole) = (trials.seed, &trials.kind, trials.whole);
    let [all, events, least, shown] =
        ["history.jsonl", "events.json", "shortest.jsonl", "timeline.html"].map(|name| folder.join(name));
    for file in [&all, &events, &least, &shown] {
        remove(file)?;
    }
    let ended = trials.run(&shrunk.case, &[("--history", &all), ("--events", &events)])?;
    let findings = ended.findings();
    let replay = replay(seed, trials.mutation, &shrunk.case.as_part_of(whole));
    let mut lines = summary(seed, kind, shrunk, whole);
    lines.push(format!("REPLAY      {replay}"));
    lines.extend(
        findings.iter().filter(|finding| kind_of(finding) == *kind).take(3).map(|it| format!("FINDING     {it}")),
    );
    if !findings.iter().any(|finding| kind_of(finding) == *kind) {
        lines.push("UNSTEADY    played once more it does not fail: a run is not determined by its seed".to_owned());
    }
    if !all.exists() || !events.exists() {
        lines.push("nothing is written: the run ends before it has written what happened".to_owned());
        return Ok(lines);
    }
    let (history, bound) = read(&all)?;
    lines.push(format!("history     {}", all.display()));
    let mut marked = named(&history, &findings, kind);
    match shortest(&history, &bound, kind) {
        None => lines.push(format!("shortest    none: {kind} does not judge a history alone")),
        Some(found) => {
            marked = found.history.records.iter().map(id_of).collect();
            write_history(&found.history, &bound, &least)?;
            lines.push(format!("shortest    {}", found.how));
            lines.push(format!("CHECK       holdfast-sim check {} --checker {kind}", least.display()));
        }
    }
    let text = std::fs::read_to_string(&events).map_err(io_error(events.display().to_string()))?;
    let happened: Happened =
        serde_json::from_str(&text).map_err(io::Error::from).map_err(io_error(events.display().to_string()))?;
    let title = format!("seed {seed}, shrunk: {kind}");
    let subject = Subject { title, findings: &findings, replay: &replay, history: &history, marked: &marked };
    std::fs::write(&shown, page(&subject, &happened)).map_err(io_error(shown.display().to_string()))?;
    lines.push(format!("timeline    {}", shown.display()));
    Ok(lines)
}

fn summary(seed: u64, kind: &str, shrunk: &Shrunk, whole: &Case) -> Vec<String> {
    let names = |names: Vec<String>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let faults = |case: &Case| names(case.faults.iter().map(|kind| kind.name().to_owned()).collect());
    let workloads = |case: &Case| names(case.workloads.iter().map(ToString::to_string).collect());
    let case = &shrunk.case;
    let how = if shrunk.is_smallest { "nothing more can be left out" } else { "all were used up: --tries allows more" };
    vec![
        format!("seed        {seed}"),
        format!("fails by    {kind}"),
        format!("tries       {}, {how}", shrunk.tries),
        format!("faults      {} of {} kinds: {}", case.faults.len(), whole.faults.len(), faults(case)),
        format!("workloads   {} of {}", workloads(case), workloads(whole)),
        format!("storm       {} ms of {}", case.storm_ms, whole.storm_ms),
    ]
}

/// Removes what an earlier one has left.
fn remove(file: &Path) -> Result<(), ShrinkError> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(file.display().to_string())(error)),
        _ => Ok(()),
    }
}

fn read(file: &Path) -> Result<(History, LogTimeBound), ShrinkError> {
    let opened = std::fs::File::open(file).map_err(io_error(file.display().to_string()))?;
    Ok(history::read(BufReader::new(opened))?)
}

fn write_history(history: &History, bound: &LogTimeBound, file: &Path) -> Result<(), ShrinkError> {
    let mut text = Vec::new();
    history::write(history, bound, &mut text)
        .and_then(|()| std::fs::write(file, text))
        .map_err(io_error(file.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_does_not_end_is_ended_and_that_is_a_kind_of_failure() {
        let mut endless = Command::new("sleep");
        endless.arg("600");
        let ended = run_for(endless, Duration::from_millis(10)).unwrap();
        assert_eq!(kind_of(&ended.findings()[0]), "did_not_end");
    }

    #[test]
    fn a_process_without_a_report_is_another_kind_with_its_last_words() {
        let mut panicked = Command::new("sh");
        panicked.args(["-c", "echo so it went >&2; exit 3"]);
        let findings = run_for(panicked, Duration::from_secs(60)).unwrap().findings();
        assert_eq!(kind_of(&findings[0]), "no_report");
        assert!(findings[0].contains("so it went"), "{findings:?}");
    }

    #[test]
    fn a_replay_names_the_mutation_and_all_that_was_left_out() {
        let whole = Case::of_seed(2);
        let case = Case { faults: Vec::new(), storm_ms: 300, ..whole.clone() };
        assert_eq!(
            replay(2, Some(Mutation::LostSync), &case.as_part_of(&whole)),
            "holdfast-sim run --seed 2 --mutation lost-sync --only-faults none --storm-ms 300"
        );
        assert_eq!(replay(2, None, &Part::default()), "holdfast-sim run --seed 2");
    }
}
