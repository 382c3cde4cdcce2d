//! Chaos against real processes: the simulator's customers shop in a cluster of `holdfast start` processes while faults happen
//! to it, and the simulator's checkers judge what they saw.
//!
//! Promises that the plan of faults follows from the seed, and that every season ends with everything healed, a cluster that
//! must serve in time, and a judgement. Does not promise that one seed gives one history: the processes are real.

mod asked_again;
mod cluster;
mod foreign;
mod judge;
mod log_time;
mod own;
mod plan;
mod proxy;
mod report;
mod season;
mod serving;
mod weather;
mod windows;

use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use holdfast_world::World;

use crate::Dice;
use crate::checkers::LogTimeBound;
use crate::history::{History, write};
use cluster::Cluster;
use foreign::{FileError, ForeignCluster};
use judge::Kept;
use log_time::LogTime;
use own::{OwnCluster, OwnError, OwnOptions};
use report::{Skipped, Tally};
use season::{Stage, Weather};

pub use own::Links;
pub use plan::KINDS;
pub use report::{Operations, Report, Rounds, Served};
pub use windows::Windows;

/// The longest time of faults in one season: what customers do meanwhile can still be judged.
const STORM: Duration = Duration::from_secs(30);
/// Rounds of one season, for the same reason.
const ROUNDS: u64 = 10;
/// By how much the clocks of machines that the harness does not know may be apart.
const FOREIGN_CLOCKS: Duration = Duration::from_secs(1);

/// What to do.
#[derive(Clone, Debug)]
pub struct ChaosOptions {
    /// What the plans are drawn from.
    pub seed: u64,
    /// How long faults happen, all seasons together.
    pub time: Duration,
    /// In place of that: so many rounds of a fault each.
    pub rounds: Option<u64>,
    /// The kinds of faults; empty: all.
    pub faults: Vec<String>,
    /// Which cluster.
    pub target: Target,
    /// Where the history is written; that of the second season to the same name with `.2`, and so on.
    pub history: Option<PathBuf>,
    /// Hears of every season that is over.
    pub told: fn(&str),
}

/// Which cluster.
#[derive(Clone, Debug)]
pub enum Target {
    /// One of the harness's own.
    Own {
        /// The `holdfast` binary.
        binary: PathBuf,
        /// A library that fakes the wall clock.
        faketime: Option<PathBuf>,
        /// What lies between its nodes.
        links: Links,
    },
    /// One that somebody else has started.
    Foreign {
        /// Its cluster.toml.
        cluster: PathBuf,
        /// The commands of its faults; none: nothing happens to it.
        commands: Option<PathBuf>,
    },
}

/// Why a run could not begin or be recorded.
#[derive(Debug, thiserror::Error)]
pub enum ChaosError {
    /// No cluster of one's own.
    #[error(transparent)]
    Own(#[from] OwnError),
    /// A file of a foreign cluster.
    #[error(transparent)]
    File(#[from] FileError),
    /// A fault that there is not.
    #[error("there is no fault `{wanted}`; there are: {known}")]
    Fault {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// Rounds without a fault.
    #[error("rounds need a fault; name one, or give its commands")]
    NoFault,
    /// The history cannot be written.
    #[error("the history cannot be written to {path}: {error}")]
    History {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

/// Runs to the end. Everything that the harness has started has ended then.
///
/// # Errors
/// The run could not begin or be recorded: what goes wrong with the cluster is in the report.
pub async fn run(options: &ChaosOptions) -> Result<Report, ChaosError> {
    let begun = Instant::now();
    let world = World::real();
    let log_time = LogTime::new(&*world.clock);
    let (cluster, kinds, skipped) = open(options, &world).await?;
    let (name, clocks_off) = match &cluster {
        Cluster::Own(_) => ("own", Duration::ZERO),
        Cluster::Foreign(_) => ("foreign", FOREIGN_CLOCKS),
    };
    let mut stage = Stage { cluster, world, log_time, clocks_off, kept: Kept::default() };
    let (tally, seasons) = play(&mut stage, options, &kinds).await?;
    let mut report = tally.report(options.rounds.is_some());
    report.notes.extend(stage.cluster.notes());
    report.seed = options.seed;
    report.cluster = name.to_owned();
    report.skipped = skipped;
    report.seasons = seasons;
    let folder = stage.cluster.close(!report.violations.is_empty()).await;
    report.folder = folder.map(|folder| folder.display().to_string());
    report.seconds = begun.elapsed().as_secs_f64();
    Ok(report)
}

/// The cluster, the kinds of faults that it is to have, and those that it cannot have.
async fn open(options: &ChaosOptions, world: &World) -> Result<(Cluster, Vec<String>, Vec<Skipped>), ChaosError> {
    match &options.target {
        Target::Own { binary, faketime, links } => {
            let known = KINDS.iter().map(|(name, _)| (*name).to_owned()).collect();
            let kinds = choose(&options.faults, known)?;
            if options.rounds.is_some() && kinds.is_empty() {
                return Err(ChaosError::NoFault);
            }
            let (binary, faketime) = (binary.clone(), faketime.clone());
            let own = OwnOptions { binary, faketime, links: *links, kinds: kinds.clone() };
            let cluster = OwnCluster::found(&own, world).await?;
            let skipped = cluster.skipped().to_vec();
            let is_there = |kind: &String| skipped.iter().all(|(skipped, _)| skipped != kind);
            let kinds = kinds.into_iter().filter(is_there).collect();
            let skipped = skipped.into_iter().map(|(fault, why)| Skipped { fault, why }).collect();
            Ok((Cluster::Own(Box::new(cluster)), kinds, skipped))
        }
        Target::Foreign { cluster, commands } => {
            let cluster = ForeignCluster::from_files(cluster, commands.as_deref())?;
            let kinds = choose(&options.faults, cluster.kinds())?;
            if options.rounds.is_some() && kinds.is_empty() {
                return Err(ChaosError::NoFault);
            }
            Ok((Cluster::Foreign(cluster), kinds, Vec::new()))
        }
    }
}

fn choose(wanted: &[String], known: Vec<String>) -> Result<Vec<String>, ChaosError> {
    if let Some(wanted) = wanted.iter().find(|wanted| !known.contains(wanted)) {
        return Err(ChaosError::Fault { wanted: wanted.clone(), known: known.join(", ") });
    }
    Ok(if wanted.is_empty() { known } else { wanted.to_vec() })
}

/// Season after season; how many there were.
async fn play(stage: &mut Stage, options: &ChaosOptions, kinds: &[String]) -> Result<(Tally, u64), ChaosError> {
    // A foreign cluster may have seen seasons of earlier runs.
    let run = stage.world.entropy.next_u64() % 0x100_0000;
    let mut dice = Dice::of(options.seed, "seasons", 0);
    let mut tally = Tally::default();
    let (mut time, mut rounds) = (options.time, options.rounds.unwrap_or(0));
    let mut seasons = 0;
    loop {
        let weather = if options.rounds.is_some() {
            let of_season = rounds.min(ROUNDS);
            rounds -= of_season;
            Weather::Rounds(kinds.to_vec(), of_season)
        } else {
            let of_season = time.min(STORM);
            time -= of_season;
            Weather::Storm(kinds.to_vec(), of_season)
        };
        seasons += 1;
        let outcome = stage.play(&format!("{run:06x}-{seasons}"), dice.next_u64(), &weather).await;
        let went_wrong = !outcome.tally.violations.is_empty();
        let (faults, found) = (outcome.tally.faults(), outcome.tally.violations.len());
        (options.told)(&format!(
            "season {seasons}: {} attempts, {faults} faults, {found} violations",
            outcome.history.records.len()
        ));
        if let Some(bound) = &outcome.bound {
            let kept = stage.cluster.folder().filter(|_| went_wrong).map(|folder| folder.join("history"));
            for path in options.history.iter().chain(&kept) {
                write_history(&outcome.history, bound, &of_season(path, seasons))?;
            }
        }
        tally.add(outcome.tally);
        // After a violation nothing is what it was; what was found is looked into first.
        let is_over = if options.rounds.is_some() { rounds == 0 } else { time.is_zero() };
        if is_over || went_wrong {
            return Ok((tally, seasons));
        }
    }
}

fn of_season(path: &Path, season: u64) -> PathBuf {
    if season == 1 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{season}"));
    PathBuf::from(name)
}

fn write_history(history: &History, bound: &LogTimeBound, path: &Path) -> Result<(), ChaosError> {
    let written = || {
        let mut file = BufWriter::new(std::fs::File::create(path)?);
        write(history, bound, &mut file)?;
        file.flush()
    };
    written().map_err(|error| ChaosError::History { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_there_is_not_is_refused_by_its_name() {
        let known = || vec!["kill".to_owned(), "stop".to_owned()];
        let error = choose(&["kil".to_owned()], known()).unwrap_err().to_string();
        assert_eq!(error, "there is no fault `kil`; there are: kill, stop");
        assert_eq!(choose(&[], known()).unwrap(), known());
        assert_eq!(choose(&["stop".to_owned()], known()).unwrap(), ["stop"]);
    }

    #[test]
    fn each_season_has_a_history_of_its_own() {
        assert_eq!(of_season(Path::new("a/h"), 1), Path::new("a/h"));
        assert_eq!(of_season(Path::new("a/h"), 3), Path::new("a/h.3"));
    }
}
