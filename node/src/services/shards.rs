//! `ShardService`: what looks after the shards, and how a halted one goes on.

use std::sync::Arc;

use holdfast_inventory::commands::ResumeShard;
use holdfast_inventory::invariants::Breach;
use holdfast_inventory::{Halt, Operation};
use holdfast_proto::v1::shard_service_server::ShardService;
use holdfast_proto::v1::{self, CommandError};
use tonic::{Request, Response, Status};

use super::timeout_of;
use crate::audit::{Audited, audit_now};
use crate::core::Core;
use crate::from_proto::{self, invalid};
use crate::orders::carry_to_shard;
use crate::shard::ShardHandle;
use crate::{refusals, to_proto};

/// See the module.
#[derive(Debug)]
pub(super) struct ShardsService {
    core: Arc<Core>,
}

impl ShardsService {
    pub(super) const fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    fn standing(&self, shard: &ShardHandle) -> v1::ShardStanding {
        let group = shard.group();
        let last = self.core.audits.last(shard.shard());
        v1::ShardStanding {
            shard: shard.shard(),
            leader_node_id: group.leader().unwrap_or(0),
            applied_index: group.status().applied_index,
            halt: group.read_shard(|shard| shard.halt().cloned()).flatten().map(halt),
            audits: last.as_ref().map_or(0, |(audits, _)| *audits),
            last_audit: last.map(|(_, audited)| audit_result(&audited)),
            remembers_ended_since_ms: group.read_shard(|shard| shard.remembers_ended_since().0),
        }
    }
}

fn halt(halt: Halt) -> v1::ShardHalt {
    v1::ShardHalt {
        invariant: halt.invariant.id().to_owned(),
        finding: halt.finding,
        node_id: halt.node,
        halted_at_ms: halt.halted_at.0,
        seq: halt.seq,
    }
}

fn audit_result(audited: &Audited) -> v1::AuditResult {
    let breach = |breach: &Breach| v1::AuditBreach {
        invariant: breach.invariant.id().to_owned(),
        finding: breach.finding.clone(),
    };
    let report = &audited.report;
    let counts = &report.counts;
    v1::AuditResult {
        applied_index: audited.applied_index,
        change_log_seq: report.change_log_seq,
        log_time_ms: report.log_time.0,
        audited_at_ms: audited.audited_at_ms,
        took_ms: u64::try_from(audited.took.as_millis()).unwrap_or(u64::MAX),
        view_us: u64::try_from(audited.view_took.as_micros()).unwrap_or(u64::MAX),
        skus: counts.items,
        locations: counts.locations,
        reservations: counts.live_reservations + counts.ended_reservations,
        results: counts.results,
        breaches: report.breaches.iter().map(breach).collect(),
        breaches_in_all: report.breaches_in_all,
    }
}

#[tonic::async_trait]
impl ShardService for ShardsService {
    async fn list_shards(&self, _: Request<v1::ListShardsRequest>) -> Result<Response<v1::ListShardsResponse>, Status> {
        let shards = self.core.shards().iter().map(|shard| self.standing(shard)).collect();
        Ok(Response::new(v1::ListShardsResponse { node_id: self.core.config.node_id, shards }))
    }

    async fn audit_shard(
        &self,
        request: Request<v1::AuditShardRequest>,
    ) -> Result<Response<v1::AuditShardResponse>, Status> {
        let shard = request.into_inner().shard;
        let routes = self.core.routes()?;
        let handle = self.core.shard(shard, &routes)?;
        let audited = audit_now(&self.core, &handle).await.map_err(|why| refusals::unavailable(shard, why))?;
        Ok(Response::new(v1::AuditShardResponse { audit: Some(audit_result(&audited)) }))
    }

    async fn resume_shard(
        &self,
        request: Request<v1::ResumeShardRequest>,
    ) -> Result<Response<v1::ResumeShardResponse>, Status> {
        let deadline = self.core.deadline(timeout_of(&request));
        let v1::ResumeShardRequest { shard, halted_seq, cause } = request.into_inner();
        let routes = self.core.routes()?;
        if shard >= routes.shards {
            return Err(refusals::no_such_shard(shard, &routes).into());
        }
        let cause = check_resume(halted_seq, cause)?;
        let resume = Operation::ResumeShard(ResumeShard { halted_seq });
        let decided = carry_to_shard(&self.core, shard, resume, Some(cause), deadline).await;
        let decided = decided.map_err(|why| refusals::unavailable(shard, &why))?;
        decided.map_err(|refusal| to_proto::command_error(&refusal))?;
        Ok(Response::new(v1::ResumeShardResponse {}))
    }
}

/// What is wrong with a resume is told before it reaches the log.
fn check_resume(halted_seq: u64, cause: Option<v1::Cause>) -> Result<Box<holdfast_inventory::Cause>, CommandError> {
    if halted_seq == 0 {
        return Err(invalid("halted_seq", "is 0", "`holdfast shard list` names the halt of each shard"));
    }
    let cause = from_proto::cause(cause.unwrap_or_default());
    if cause.reason.is_empty() {
        return Err(invalid("cause.reason", "is empty", "say why the shard may go on: it stands in the change log"));
    }
    for (text, field) in
        [(&cause.actor, "cause.actor"), (&cause.reason, "cause.reason"), (&cause.reference, "cause.reference")]
    {
        if text.len() > holdfast_inventory::MAX_CAUSE_BYTES {
            return Err(invalid(field, &format!("has {} bytes", text.len()), "255 are allowed"));
        }
    }
    Ok(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resume_names_its_halt_and_says_why() {
        let cause = |reason: &str| Some(v1::Cause { reason: reason.to_owned(), ..v1::Cause::default() });
        let field = |halted_seq, cause| check_resume(halted_seq, cause).map(|_| ()).map_err(|error| error.field);
        assert_eq!(field(0, cause("looked at")), Err("halted_seq".to_owned()));
        assert_eq!(field(7, None), Err("cause.reason".to_owned()));
        assert_eq!(field(7, cause(&"x".repeat(256))), Err("cause.reason".to_owned()));
        assert_eq!(field(7, cause("looked at")), Ok(()));
    }
}
