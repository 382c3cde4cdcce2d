//! `holdfast shard`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use holdfast_proto::v1::{self, AuditResult, ShardHalt, ShardStanding};
use serde::Serialize;

use crate::connect::ClusterFlags;
use crate::dates;
use crate::failure::Failure;
use crate::members::Members;
use crate::output::{self, Answer, Format};

/// What looks after the shards: audits of their replicas, and what an audit has halted.
#[derive(Debug, Subcommand)]
pub enum Shard {
    /// Show each shard, whether it takes commands, and what the last audit of each replica found.
    List(List),
    /// Recompute a shard's invariants on every node now; exit 1 if one is broken. A breach halts the shard.
    Audit(Audit),
    /// Have a halted shard take commands again. Who does it and why stands in its change log.
    Resume(Resume),
}

/// Show each shard, whether it takes commands, and what the last audit of each replica found.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// Recompute a shard's invariants on every node now; exit 1 if one is broken. A breach halts the shard.
#[derive(Debug, Args)]
pub struct Audit {
    /// The shard.
    shard: u32,
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// Have a halted shard take commands again. Who does it and why stands in its change log.
///
/// The breach is not mended by it: where the records are still wrong, the next audit halts the shard again.
#[derive(Debug, Args)]
pub struct Resume {
    /// The shard.
    shard: u32,
    /// Why it may go on.
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reason: String,
    /// Who says so.
    #[arg(long, default_value = "", hide_default_value = true)]
    actor: String,
    /// The URI of a document.
    #[arg(long, default_value = "", hide_default_value = true)]
    reference: String,
    #[command(flatten)]
    cluster: ClusterFlags,
}

#[derive(Serialize)]
struct HaltRow {
    invariant: String,
    finding: String,
    /// The node whose replica it was found on.
    node: u64,
    halted_at_ms: u64,
    halted_at: String,
    /// The event of the change log that tells of it.
    seq: u64,
}

#[derive(Serialize)]
struct AuditRow {
    node: u64,
    applied_index: u64,
    change_log_seq: u64,
    audited_at: String,
    took_ms: u64,
    /// How long apply may have waited.
    view_us: u64,
    skus: u64,
    locations: u64,
    reservations: u64,
    results: u64,
    breaches_in_all: u64,
    /// The first of them.
    breaches: Vec<String>,
}

#[derive(Serialize)]
struct ReplicaRow {
    node: u64,
    leads: bool,
    applied_index: u64,
    audits: u64,
    last_audit: Option<AuditRow>,
}

#[derive(Serialize)]
struct ShardRow {
    shard: u32,
    leader: u64,
    halted: bool,
    halt: Option<HaltRow>,
    replicas: Vec<ReplicaRow>,
}

#[derive(Serialize)]
struct ListAnswer {
    shards: Vec<ShardRow>,
    /// Nodes that did not answer, and why.
    unreachable: BTreeMap<u64, String>,
}

#[derive(Serialize)]
struct AuditAnswer {
    shard: u32,
    sound: bool,
    audits: Vec<AuditRow>,
    /// Nodes that did not answer, and why.
    unreachable: BTreeMap<u64, String>,
}

#[derive(Serialize)]
struct ResumeAnswer {
    shard: u32,
    /// What was lifted; nothing where the shard took commands.
    resumed: Option<HaltRow>,
}

impl Shard {
    /// Looks, or lets go on.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::List(List { cluster }) => list(&cluster, format).await,
            Self::Audit(Audit { shard, cluster }) => audit(shard, &cluster, format).await,
            Self::Resume(resume) => resume.run(format).await,
        }
    }
}

impl HaltRow {
    fn of(halt: ShardHalt) -> Self {
        Self {
            invariant: halt.invariant,
            finding: halt.finding,
            node: halt.node_id,
            halted_at_ms: halt.halted_at_ms,
            halted_at: dates::instant_text(halt.halted_at_ms),
            seq: halt.seq,
        }
    }
}

impl AuditRow {
    fn of(node: u64, audit: AuditResult) -> Self {
        let breach = |breach: v1::AuditBreach| format!("[{}] {}", breach.invariant, breach.finding);
        Self {
            node,
            applied_index: audit.applied_index,
            change_log_seq: audit.change_log_seq,
            audited_at: dates::instant_text(audit.audited_at_ms),
            took_ms: audit.took_ms,
            view_us: audit.view_us,
            skus: audit.skus,
            locations: audit.locations,
            reservations: audit.reservations,
            results: audit.results,
            breaches_in_all: audit.breaches_in_all,
            breaches: audit.breaches.into_iter().map(breach).collect(),
        }
    }
}

/// What the nodes say of the shards, by shard.
async fn standings(members: &Members) -> Result<ListAnswer, Failure> {
    let mut shards: BTreeMap<u32, ShardRow> = BTreeMap::new();
    let mut unreachable = BTreeMap::new();
    let nodes: Vec<u64> = members.nodes().map(|(node, _)| node).collect();
    for node in nodes {
        match members.shard_standings(node).await {
            Ok(standings) => standings.into_iter().for_each(|standing| take_in(&mut shards, node, standing)),
            Err(failure) => drop(unreachable.insert(node, failure.to_string())),
        }
    }
    if shards.is_empty() {
        let why: Vec<&str> = unreachable.values().map(String::as_str).collect();
        return Err(Failure::unavailable(format!("no node says anything of its shards: {}", why.join("; "))));
    }
    Ok(ListAnswer { shards: shards.into_values().collect(), unreachable })
}

fn take_in(shards: &mut BTreeMap<u32, ShardRow>, node: u64, standing: ShardStanding) {
    let ShardStanding { shard, leader_node_id, applied_index, halt, last_audit, audits, .. } = standing;
    let row = shards.entry(shard).or_insert_with(|| ShardRow {
        shard,
        leader: leader_node_id,
        halted: false,
        halt: None,
        replicas: Vec::new(),
    });
    let leads = leader_node_id == node;
    // The foremost replica says whether it is halted.
    if row.replicas.iter().all(|other| other.applied_index < applied_index) {
        row.halt = halt.map(HaltRow::of);
        row.halted = row.halt.is_some();
    }
    if leads || row.leader == 0 {
        row.leader = leader_node_id;
    }
    let last_audit = last_audit.map(|audit| AuditRow::of(node, audit));
    row.replicas.push(ReplicaRow { node, leads, applied_index, audits, last_audit });
}

async fn list(cluster: &ClusterFlags, format: Format) -> Result<(), Failure> {
    let answer = standings(&Members::find(&cluster.addresses()).await?).await?;
    let rows = answer.shards.iter().flat_map(|shard| {
        shard.replicas.iter().map(|replica| {
            let state = match &shard.halt {
                Some(halt) => format!("halted: {}", halt.invariant),
                None => "takes commands".to_owned(),
            };
            let role = if replica.leads { "leader" } else { "follower" };
            let audit = replica.last_audit.as_ref();
            let of_audit = |text: fn(&AuditRow) -> String| audit.map_or_else(|| "-".to_owned(), text);
            [
                shard.shard.to_string(),
                state,
                replica.node.to_string(),
                role.to_owned(),
                replica.applied_index.to_string(),
                replica.audits.to_string(),
                of_audit(|audit| audit.applied_index.to_string()),
                of_audit(|audit| audit.audited_at.clone()),
                of_audit(|audit| audit.breaches_in_all.to_string()),
            ]
        })
    });
    let header = ["shard", "state", "node", "role", "applied", "audits", "audited through", "audited at", "breaches"];
    Answer::rows(&answer, header, rows).print(format);
    for shard in &answer.shards {
        if let Some(halt) = &shard.halt {
            let HaltRow { invariant, finding, node, halted_at, seq, .. } = halt;
            let number = shard.shard;
            output::say(&format!(
                "shard {number} takes no commands since {halted_at} (event {seq}): node {node} found {invariant} broken: {finding}"
            ));
        }
    }
    for (node, why) in &answer.unreachable {
        output::say(&format!("node {node}: {why}"));
    }
    Ok(())
}

async fn audit(shard: u32, cluster: &ClusterFlags, format: Format) -> Result<(), Failure> {
    let members = Members::find(&cluster.addresses()).await?;
    check_shard(shard, members.shards().await?)?;
    let (mut audits, mut unreachable) = (Vec::new(), BTreeMap::new());
    let nodes: Vec<u64> = members.nodes().map(|(node, _)| node).collect();
    for node in nodes {
        match members.audit_shard(node, shard).await {
            Ok(audit) => audits.push(AuditRow::of(node, audit)),
            Err(failure) => drop(unreachable.insert(node, failure.to_string())),
        }
    }
    let sound = audits.iter().all(|audit| audit.breaches_in_all == 0);
    let answer = AuditAnswer { shard, sound, audits, unreachable };
    let rows = answer.audits.iter().map(|audit| {
        let n = |number: u64| number.to_string();
        let breaches = if audit.breaches.is_empty() { "none".to_owned() } else { audit.breaches.join("; ") };
        [
            n(audit.node),
            n(audit.applied_index),
            n(audit.skus),
            n(audit.locations),
            n(audit.reservations),
            n(audit.results),
            n(audit.took_ms),
            n(audit.view_us),
            breaches,
        ]
    });
    let header =
        ["node", "applied", "SKUs", "locations", "reservations", "results", "ms", "apply waited us", "breaches"];
    Answer::rows(&answer, header, rows).print(format);
    for (node, why) in &answer.unreachable {
        output::say(&format!("node {node}: {why}"));
    }
    if answer.audits.is_empty() {
        return Err(Failure::unavailable("no replica was audited"));
    }
    if answer.sound {
        return Ok(());
    }
    let failure = Failure::check(format!("an invariant of shard {shard} is broken"));
    Err(failure.hint("docs/operators.md says what to do on a breach"))
}

fn check_shard(shard: u32, shards: u32) -> Result<(), Failure> {
    if shard < shards {
        return Ok(());
    }
    Err(Failure::usage(format!("there is no shard {shard}")).hint(format!("shards are 0 to {}", shards - 1)))
}

impl Resume {
    async fn run(self, format: Format) -> Result<(), Failure> {
        let members = Members::find(&self.cluster.addresses()).await?;
        check_shard(self.shard, members.shards().await?)?;
        let shards = standings(&members).await?.shards;
        let halt = shards.into_iter().find(|row| row.shard == self.shard).and_then(|row| row.halt);
        if let Some(halt) = &halt {
            let cause = v1::Cause { actor: self.actor, reason: self.reason, reference: self.reference };
            members.resume_shard(self.shard, halt.seq, &cause).await?;
        }
        Answer::record(&ResumeAnswer { shard: self.shard, resumed: halt }).print(format);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_foremost_replica_says_whether_a_shard_is_halted() {
        let standing = |leader_node_id, applied_index, halted: bool| {
            let halt = halted.then(|| ShardHalt { invariant: "H-LEDGER".to_owned(), ..ShardHalt::default() });
            ShardStanding { shard: 1, leader_node_id, applied_index, halt, ..ShardStanding::default() }
        };
        let mut shards = BTreeMap::new();
        take_in(&mut shards, 1, standing(0, 7, false));
        take_in(&mut shards, 2, standing(2, 9, true));
        take_in(&mut shards, 3, standing(2, 8, false));
        let row = &shards[&1];
        assert_eq!((row.halted, row.leader, row.replicas.len()), (true, 2, 3));
    }
}
