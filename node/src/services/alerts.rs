//! `AlertService`: what this node found abnormal.

use std::sync::Arc;

use holdfast_proto::v1;
use holdfast_proto::v1::alert_service_server::AlertService;
use tonic::{Request, Response, Status};

use crate::alerts::Alert;
use crate::config::AlertsConfig;
use crate::core::Core;
use crate::refusals;

/// See the module.
#[derive(Debug)]
pub(super) struct AlertsService {
    core: Arc<Core>,
}

impl AlertsService {
    pub(super) const fn new(core: Arc<Core>) -> Self {
        Self { core }
    }
}

#[tonic::async_trait]
impl AlertService for AlertsService {
    async fn list_alerts(
        &self,
        request: Request<v1::ListAlertsRequest>,
    ) -> Result<Response<v1::ListAlertsResponse>, Status> {
        let shard = request.into_inner().shard;
        if let Some(shard) = shard {
            let routes = self.core.routes()?;
            if shard >= routes.shards {
                return Err(refusals::no_such_shard(shard, &routes).into());
            }
        }
        let (alerts, forgotten) = self.core.alerts.list(shard);
        let AlertsConfig { units, percent, corrections, window_min } = self.core.config.alerts.clone();
        Ok(Response::new(v1::ListAlertsResponse {
            node_id: self.core.config.node_id,
            alerts: alerts.into_iter().map(alert).collect(),
            forgotten,
            thresholds: Some(v1::AlertThresholds { units, percent, corrections, window_min }),
        }))
    }
}

fn alert((shard, alert): (u32, Alert)) -> v1::Alert {
    v1::Alert {
        shard,
        seq: alert.seq,
        time_ms: alert.time.0,
        rule: alert.rule.name().to_owned(),
        sku: alert.sku,
        location_id: alert.location,
        actors: alert.actors,
        units: alert.units,
        on_hand: alert.on_hand,
        corrections: alert.corrections,
        sentence: alert.sentence,
    }
}
