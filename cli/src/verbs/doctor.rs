//! `holdfast doctor`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::connect::ClusterFlags;
use crate::doctor::{Finding, State, examine_cluster, examine_machine};
use crate::failure::Failure;
use crate::output::{Answer, Format};

/// Look for what is wrong: each finding in one line, with what to type next; exit 1 if there is something.
///
/// With --config it looks at this machine too: the configuration, the node's folder, its disk and its ports. It changes nothing.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The cluster's configuration, as `holdfast start` takes it; the cluster is then that of the file.
    #[arg(long, value_name = "FILE", env = "HOLDFAST_CONFIG")]
    config: Option<PathBuf>,
    /// Which of its nodes this machine is.
    #[arg(long, value_name = "ID", requires = "config")]
    node: Option<u64>,
    #[command(flatten)]
    cluster: ClusterFlags,
}

#[derive(Serialize)]
struct DoctorAnswer<'a> {
    healthy: bool,
    findings: &'a [Finding],
}

impl Doctor {
    /// Looks.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let (mut findings, mut addresses) = (Vec::new(), Vec::new());
        if let Some(file) = &self.config {
            addresses = examine_machine(file, self.node, &mut findings).await;
        }
        if addresses.is_empty() {
            addresses = self.cluster.addresses();
        }
        examine_cluster(&addresses, &mut findings).await;
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.state));
        let found = findings.iter().filter(|finding| finding.state != State::Ok).count();
        let rows = findings.iter().map(|finding| {
            let Finding { about, state, what, next } = finding;
            let next = if next.is_empty() { String::new() } else { format!("-> {next}") };
            [state.name().to_owned(), about.clone(), what.clone(), next]
        });
        let answer = DoctorAnswer { healthy: found == 0, findings: &findings };
        Answer::rows(&answer, ["state", "about", "what", "next"], rows).print(format);
        match found {
            0 => Ok(()),
            1 => Err(Failure::check("1 finding").hint("type what stands behind its arrow")),
            found => {
                Err(Failure::check(format!("{found} findings"))
                    .hint("type what stands behind the arrows, the worst first"))
            }
        }
    }
}
