//! The cluster as its nodes tell of it: who answers, who leads, what is halted, and what waits for somebody.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use holdfast_client::{Consistency, Orders};
use holdfast_proto::v1::{GetStatusResponse, ReplicaRole};

use super::Finding;
use crate::connect::{client_at, failure_of};
use crate::failure::Failure;
use crate::members::Members;

/// What clocks may differ by: the default of `raft.max_clock_offset_ms`, and the way to a node and back.
const CLOCK_OFF_MS: u64 = 1_000;
/// A node that has been up for less may still be given its share of the groups.
const SETTLED_MS: u64 = 60_000;
/// Stuck orders that are counted.
const MOST_ORDERS: usize = 1_000;

/// Looks at the cluster that one of the addresses belongs to.
pub async fn examine_cluster(addresses: &[String], findings: &mut Vec<Finding>) {
    let members = match Members::find(addresses).await {
        Ok(members) => members,
        Err(failure) => {
            let next =
                "holdfast start --config cluster.toml --node ID, on each machine; or name them: --addr HOST:PORT,…";
            findings.push(Finding::problem("cluster", failure.message(), next));
            return;
        }
    };
    findings.push(examine_clock(&members).await);
    let mut told = BTreeMap::new();
    for (id, address) in members.nodes() {
        let status = members.status(id).await;
        findings.extend(examine_node(id, address, &status));
        if let Ok(status) = status {
            told.insert(id, status);
        }
    }
    findings.extend(judge_nodes(members.nodes().count(), &told));
    findings.extend(examine_shards(&members, &told).await);
    findings.extend(examine_alerts(&members, &told).await);
    let answering = members.nodes().filter(|(id, _)| told.contains_key(id)).map(|(_, address)| address.to_owned());
    match stuck_orders(answering.collect()).await {
        Ok(0) => findings.push(Finding::ok("orders", "none is stuck")),
        Ok(stuck) => {
            let what = format!("{stuck} are stuck: nobody knows whether they are paid");
            findings.push(Finding::problem("orders", what, "holdfast order list --stuck"));
        }
        Err(failure) => {
            findings.push(Finding::warning("orders", failure.message(), "holdfast cluster status"));
        }
    }
}

async fn examine_clock(members: &Members) -> Finding {
    let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let here_ms = u64::try_from(here.as_millis()).unwrap_or(u64::MAX);
    match members.routing().await {
        Ok(routing) => judge_clock(here_ms, routing.log_time_ms),
        Err(failure) => Finding::warning("clock", failure.message(), "holdfast cluster status"),
    }
}

fn judge_clock(here_ms: u64, cluster_ms: u64) -> Finding {
    let apart = here_ms.abs_diff(cluster_ms);
    if apart <= CLOCK_OFF_MS {
        return Finding::ok("clock", format!("this machine's is {apart} ms from cluster time"));
    }
    let side = if here_ms > cluster_ms { "ahead of" } else { "behind" };
    Finding::warning(
        "clock",
        format!("this machine's is {apart} ms {side} cluster time"),
        "timedatectl; set it right by NTP",
    )
}

fn examine_node(id: u64, address: &str, status: &Result<GetStatusResponse, Failure>) -> Vec<Finding> {
    let about = format!("node {id}");
    let status = match status {
        Ok(status) => status,
        Err(failure) => {
            let next = format!("holdfast start --config cluster.toml --node {id}, on its machine");
            return vec![Finding::problem(about, format!("{address}: {}", failure.message()), next)];
        }
    };
    let leads = status.replicas.iter().filter(|replica| replica.role() == ReplicaRole::Leader).count();
    let what = format!("version {}, up for {} s, leads {leads} groups", status.version, status.uptime_ms / 1_000);
    let mut findings = Vec::new();
    if status.ready {
        findings.push(Finding::ok(about.clone(), what));
    } else {
        let http = status.members.iter().find(|member| member.node_id == id).map(|member| member.http_address.as_str());
        let next = match http {
            Some(http) if !http.is_empty() => format!("curl -s 'http://{http}/readyz?verbose'"),
            _ => "holdfast cluster status".to_owned(),
        };
        findings.push(Finding::problem(about.clone(), format!("it is not ready ({what})"), next));
    }
    let warned = status.warnings.iter();
    findings.extend(warned.map(|warning| Finding::warning(about.clone(), warning.clone(), next_of(warning))));
    if let Some(scrub) = &status.scrub {
        let rotten = scrub.rotten_entries + scrub.rotten_segments + scrub.rotten_chunks;
        let mended = scrub.mended_entries + scrub.mended_segments + scrub.mended_chunks;
        if rotten > mended {
            let what = format!("{} of what rotted on its disk are not mended", rotten - mended);
            findings.push(Finding::problem(
                about,
                what,
                "holdfast cluster status -o json: see `scrub`, and do not stop the node",
            ));
        }
    }
    findings
}

/// What to type about a warning of a node.
fn next_of(warning: &str) -> &'static str {
    let known = [
        ("takes no commands", "holdfast shard list"),
        ("breaches", "holdfast shard list"),
        ("endpoint", "holdfast endpoint list"),
        ("clock", "timedatectl, on its machine; set it right by NTP"),
        ("refuses this node", "holdfast cluster replace ID --with HOST:PORT"),
        ("damaged", "holdfast cluster replace ID --with HOST:PORT, if it does not mend by itself"),
        ("the setting", "write the cluster's value into the node's cluster.toml"),
        ("rot", "look at the disk: docs/runbooks/HoldfastDiskRot.md"),
    ];
    known.iter().find(|(word, _)| warning.contains(word)).map_or("holdfast cluster status", |(_, next)| *next)
}

/// Quorum, versions and who leads.
fn judge_nodes(members: usize, told: &BTreeMap<u64, GetStatusResponse>) -> Vec<Finding> {
    let mut findings = vec![judge_quorum(members, told.len())];
    let versions: BTreeSet<&str> = told.values().map(|status| status.version.as_str()).collect();
    if versions.len() > 1 {
        let what = format!("the nodes run {}", versions.into_iter().collect::<Vec<_>>().join(" and "));
        let next = "start those of the older version anew with the later one, one after the other (docs/howto/upgrade-or-stop-a-node.md)";
        findings.push(Finding::warning("versions", what, next));
    }
    let leads = |status: &GetStatusResponse| {
        status.replicas.iter().filter(|replica| replica.role() == ReplicaRole::Leader).count()
    };
    let led: Vec<usize> = told.values().filter(|status| status.ready).map(leads).collect();
    let groups: BTreeSet<u64> = told.values().flat_map(|status| status.replicas.iter().map(|it| it.group)).collect();
    let leaderless: Vec<String> = groups
        .iter()
        .filter(|group| {
            let mut replicas = told.values().flat_map(|status| &status.replicas).filter(|it| it.group == **group);
            !replicas.any(|replica| replica.role() == ReplicaRole::Leader)
        })
        .map(|group| group.checked_sub(1).map_or("the meta group".to_owned(), |shard| format!("shard {shard}")))
        .collect();
    if !leaderless.is_empty() {
        let what = format!("nobody leads {}", leaderless.join(", "));
        findings.push(Finding::problem("leaders", what, "holdfast cluster status; then start the nodes that are down"));
    } else if let (Some(most), Some(least)) = (led.iter().max(), led.iter().min()) {
        // With one group more than nodes somebody leads two. Who has just started is given its groups in a moment.
        let is_new = told.values().any(|status| status.ready && leads(status) == 0 && status.uptime_ms < SETTLED_MS);
        let is_spread = led.len() < 2 || groups.len() < led.len() || *least > 0 || *most <= 2 || is_new;
        findings.push(if is_spread {
            Finding::ok("leaders", format!("each group is led; a node leads {least} to {most}"))
        } else {
            let what = format!("one node leads {most} groups, and another that is ready leads none");
            Finding::warning("leaders", what, "wait a few minutes, then: holdfast cluster status")
        });
    }
    findings
}

fn judge_quorum(members: usize, answering: usize) -> Finding {
    let majority = members / 2 + 1;
    let what = format!("{answering} of {members} nodes answer");
    match answering.checked_sub(majority) {
        None => Finding::problem(
            "quorum",
            format!("{what}: no majority, nothing can be sold"),
            "start the nodes that are down: holdfast start --config cluster.toml --node ID",
        ),
        Some(0) if members > 1 => Finding::warning(
            "quorum",
            format!("{what}: one more may not go"),
            "start the nodes that are down, or: holdfast cluster replace ID --with HOST:PORT",
        ),
        Some(0) => Finding::warning(
            "quorum",
            format!("{what}: it may not go"),
            "found a cluster of three, and carry the stock over: docs/howto/back-up-and-check.md",
        ),
        Some(spare) => Finding::ok("quorum", format!("{what}: {spare} may go")),
    }
}

async fn examine_shards(members: &Members, told: &BTreeMap<u64, GetStatusResponse>) -> Vec<Finding> {
    let mut by_shard: BTreeMap<u32, Finding> = BTreeMap::new();
    for node in told.keys() {
        let Ok(standings) = members.shard_standings(*node).await else { continue };
        for standing in standings {
            let (shard, about) = (standing.shard, format!("shard {}", standing.shard));
            if let Some(halt) = standing.halt {
                let what = format!("it takes no commands: {} was broken: {}", halt.invariant, halt.finding);
                let next = format!("holdfast shard audit {shard}; docs/runbooks/HoldfastAuditBreach.md");
                by_shard.insert(shard, Finding::problem(about, what, next));
            } else if standing.last_audit.is_some_and(|audit| audit.breaches_in_all > 0) {
                let what = format!("the last audit on node {node} found something broken");
                by_shard.entry(shard).or_insert(Finding::problem(about, what, format!("holdfast shard audit {shard}")));
            }
        }
    }
    if by_shard.is_empty() {
        return vec![Finding::ok("shards", "all take commands, and no audit found anything broken")];
    }
    by_shard.into_values().collect()
}

async fn examine_alerts(members: &Members, told: &BTreeMap<u64, GetStatusResponse>) -> Option<Finding> {
    let mut alerts = BTreeSet::new();
    for node in told.keys() {
        let Ok(found) = members.alerts(*node, None).await else { continue };
        alerts.extend(found.alerts.into_iter().map(|alert| (alert.shard, alert.seq, alert.rule)));
    }
    if told.is_empty() {
        return None;
    }
    Some(match alerts.len() {
        0 => Finding::ok("alerts", "no abnormal corrections of the books"),
        count => {
            Finding::warning("alerts", format!("{count} abnormal corrections of the books"), "holdfast alert list")
        }
    })
}

async fn stuck_orders(addresses: Vec<String>) -> Result<usize, Failure> {
    let client = client_at(addresses).await?;
    let which = Orders { open_only: true, stuck_only: true };
    let stuck = client.reader(Consistency::Stale).orders(which).take(MOST_ORDERS).await.map_err(failure_of)?;
    Ok(stuck.len())
}

#[cfg(test)]
mod tests {
    use holdfast_proto::v1::ReplicaStatus;

    use super::*;
    use crate::doctor::State;

    fn node(id: u64, version: &str, leads: &[u64]) -> (u64, GetStatusResponse) {
        let replica = |group: u64| {
            let role = if leads.contains(&group) { ReplicaRole::Leader } else { ReplicaRole::Follower };
            ReplicaStatus { group, role: role.into(), ..ReplicaStatus::default() }
        };
        let replicas = (0..4).map(replica).collect();
        let version = version.to_owned();
        let uptime_ms = SETTLED_MS;
        (
            id,
            GetStatusResponse {
                node_id: id,
                version,
                ready: true,
                uptime_ms,
                replicas,
                ..GetStatusResponse::default()
            },
        )
    }

    fn states(findings: &[Finding]) -> Vec<(&str, State)> {
        findings.iter().map(|finding| (finding.about.as_str(), finding.state)).collect()
    }

    #[test]
    fn a_cluster_of_three_that_is_well_has_nothing_to_tell() {
        let told = BTreeMap::from([node(1, "0.1.0", &[0, 3]), node(2, "0.1.0", &[1]), node(3, "0.1.0", &[2])]);
        assert_eq!(states(&judge_nodes(3, &told)), [("quorum", State::Ok), ("leaders", State::Ok)]);
    }

    #[test]
    fn a_node_less_other_versions_and_a_group_that_nobody_leads_are_told_each() {
        let told = BTreeMap::from([node(1, "0.1.0", &[0]), node(2, "0.2.0", &[1, 2])]);
        let found = judge_nodes(3, &told);
        assert_eq!(
            states(&found),
            [("quorum", State::Warning), ("versions", State::Warning), ("leaders", State::Problem)]
        );
        assert!(found[2].what.contains("shard 2"), "{found:?}");
        let found = judge_nodes(3, &BTreeMap::from([node(1, "0.1.0", &[])]));
        assert_eq!(found[0].state, State::Problem, "{found:?}");
    }

    #[test]
    fn one_node_that_leads_everything_beside_one_that_leads_nothing_is_told() {
        let mut told = BTreeMap::from([node(1, "0.1.0", &[0, 1, 2, 3]), node(2, "0.1.0", &[]), node(3, "0.1.0", &[])]);
        assert_eq!(judge_nodes(3, &told)[1].state, State::Warning);
        // Right after a start it is no finding.
        told.get_mut(&2).expect("it is there").uptime_ms = SETTLED_MS - 1;
        assert_eq!(judge_nodes(3, &told)[1].state, State::Ok);
    }

    #[test]
    fn a_clock_is_off_from_a_second_on() {
        let state = |here, there| judge_clock(here, there).state;
        assert_eq!((state(10_000, 10_900), state(10_000, 12_000)), (State::Ok, State::Warning));
        assert!(judge_clock(5_000, 1_000).what.contains("ahead of"));
    }

    #[test]
    fn a_node_that_does_not_answer_is_a_problem_with_how_to_start_it() {
        let found = examine_node(2, "10.0.0.2:7401", &Err(Failure::unavailable("nobody answers")));
        assert_eq!(states(&found), [("node 2", State::Problem)]);
        assert!(found[0].next.contains("holdfast start") && found[0].what.contains("10.0.0.2:7401"), "{found:?}");
    }
}
