//! `holdfast-sim chaos` over real processes: what it says of a cluster that keeps its promises, and that its judge is not
//! deceived.

mod cluster;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use holdfast_simulator::chaos::{ChaosError, ChaosOptions, Links, Report, Target, run};
use holdfast_simulator::checkers::check_history;
use holdfast_simulator::history::{self, Answer, Asked, Command, Id, Outcome, Record, Request};

use cluster::Cluster;

/// A run of some seconds, with its founding and its judgement, is over by then on any machine.
const PATIENCE: Duration = Duration::from_secs(400);

fn options(faults: &[&str], seconds: u64) -> ChaosOptions {
    ChaosOptions {
        seed: 4,
        time: Duration::from_secs(seconds),
        rounds: None,
        faults: faults.iter().map(|fault| (*fault).to_owned()).collect(),
        target: Target::Own {
            binary: PathBuf::from(env!("CARGO_BIN_EXE_holdfast")),
            faketime: None,
            links: Links::Proxies,
        },
        history: None,
        told: |_| {},
    }
}

async fn run_in_time(options: &ChaosOptions) -> Report {
    tokio::time::timeout(PATIENCE, run(options)).await.expect("the run ends in time").expect("the run begins")
}

fn assert_good(report: &Report) {
    assert_eq!(report.violations, Vec::<String>::new(), "{}", report.table());
    assert_eq!(report.undecided, Vec::<String>::new(), "{}", report.table());
    assert!(report.operations.done > 50, "a run with so little says nothing: {}", report.table());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_of_one_and_of_all_and_a_partition_break_no_promise() {
    let report = run_in_time(&options(&["kill", "kill-all", "partition"], 15)).await;
    assert_good(&report);
    for fault in ["kill", "kill-all", "partition"] {
        assert!(report.faults.get(fault).is_some_and(|count| *count > 0), "no {fault}: {}", report.table());
    }
    assert_eq!(report.folder, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_system_itself_drops_between_the_nodes_breaks_no_promise() {
    let mut options = options(&["partition", "one-way", "bridge", "clients", "kill"], 15);
    let Target::Own { links, .. } = &mut options.target else { panic!("a cluster of one's own") };
    *links = Links::Namespaces;
    let report = match tokio::time::timeout(PATIENCE, run(&options)).await.expect("the run ends in time") {
        Err(ChaosError::Own(error)) if error.to_string().starts_with("no network namespaces") => {
            return println!("SKIPPED: {error}");
        }
        begun => begun.expect("the run begins"),
    };
    assert_good(&report);
    let cuts =
        ["partition", "one-way", "bridge", "clients"].map(|fault| report.faults.get(fault).copied().unwrap_or(0));
    assert!(cuts.iter().sum::<u64>() > 1, "nothing was cut: {}", report.table());
    assert_eq!(report.notes, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rounds_tell_how_soon_a_cluster_decides_again_and_their_judge_catches_a_lie() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("history");
    let mut options = options(&["kill-all"], 0);
    (options.rounds, options.history) = (Some(2), Some(path.clone()));
    let report = run_in_time(&options).await;
    assert_good(&report);
    let rounds = report.rounds.expect("rounds were asked for");
    assert_eq!((rounds.recovered, rounds.lost, rounds.doubled), (2, 0, 0));
    assert!(rounds.recovery_p50_ms > 0 && rounds.recovery_p50_ms <= rounds.recovery_max_ms);

    let file = fs::File::open(&path).expect("the history was written");
    let (mut history, bound) = history::read(std::io::BufReader::new(file)).expect("it is a history");
    assert_eq!(check_history(&history, &bound), []);
    // One acknowledgement that the cluster never gave, and that looks like one that it gave.
    let is_receive = |record: &&Record| match (&record.asked, &record.outcome) {
        (Asked::Commands(commands), Outcome::Answered(answers)) => {
            matches!(commands.as_slice(), [Command { request: Request::Receive { .. }, .. }])
                && matches!(answers.as_slice(), [Answer::Done(_)])
        }
        _ => false,
    };
    let mut lie = history.records.iter().find(is_receive).expect("something was received").clone();
    if let Asked::Commands(commands) = &mut lie.asked {
        commands[0].id = Id(1);
    }
    lie.client = 1;
    history.records.push(lie);
    assert!(!check_history(&history, &bound).is_empty(), "a lie passes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_a_cluster_that_was_there_are_commands() {
    let cluster = Cluster::of_three().await;
    for id in [1, 2, 3] {
        fs::write(cluster.path().join(format!("process-{id}")), cluster.process(id).to_string()).expect("a file");
    }
    let commands = cluster.path().join("faults.toml");
    let folder = cluster.path().display();
    let text = format!(
        "[stop]\nstart = \"kill -STOP $(cat {folder}/process-{{node}}); touch {folder}/stopped\"\n\
         end = \"kill -CONT $(cat {folder}/process-{{node}})\"\n"
    );
    fs::write(&commands, text).expect("the commands are written");
    let target = Target::Foreign { cluster: cluster.config(), commands: Some(commands) };
    let report = run_in_time(&ChaosOptions { target, ..options(&[], 8) }).await;
    assert_good(&report);
    assert!(report.faults["stop"] > 0 && cluster.path().join("stopped").exists(), "{}", report.table());
}
