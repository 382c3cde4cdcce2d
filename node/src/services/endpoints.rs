//! `EndpointService`: what orders' steps may call.

use std::sync::Arc;

use holdfast_inventory::EndpointId;
use holdfast_proto::v1;
use holdfast_proto::v1::endpoint_service_server::EndpointService;
use holdfast_raft::meta::{EndpointSpec, Fallback, Meta, MetaChange};
use tonic::{Request, Response, Status};

use super::cluster::{change_error, present_records};
use super::timeout_of;
use crate::change::propose_change;
use crate::core::Core;
use crate::from_proto;

/// See the module.
#[derive(Debug)]
pub(super) struct EndpointsService {
    core: Arc<Core>,
}

impl EndpointsService {
    pub(super) const fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    async fn change(&self, change: MetaChange) -> Result<(), Status> {
        let routes = self.core.routes()?;
        let changed = propose_change(&self.core, self.core.meta()?, change).await;
        changed.map_err(|error| change_error(&error, &routes))?;
        Ok(())
    }
}

#[tonic::async_trait]
impl EndpointService for EndpointsService {
    async fn put_endpoint(
        &self,
        request: Request<v1::PutEndpointRequest>,
    ) -> Result<Response<v1::PutEndpointResponse>, Status> {
        let (id, spec) = from_proto::endpoint(request.into_inner().endpoint)?;
        self.change(MetaChange::PutEndpoint { id: id.as_str().to_owned(), spec: spec.clone() }).await?;
        Ok(Response::new(v1::PutEndpointResponse { endpoint: Some(endpoint(id.as_str(), &spec)) }))
    }

    async fn list_endpoints(
        &self,
        request: Request<v1::ListEndpointsRequest>,
    ) -> Result<Response<v1::ListEndpointsResponse>, Status> {
        let meta = present_records(&self.core, self.core.deadline(timeout_of(&request))).await?;
        let only = match request.into_inner().endpoint_id.as_str() {
            "" => None,
            text => Some(from_proto::endpoint_id("endpoint_id", text)?),
        };
        let known = |meta: &Meta| {
            let wanted = |id: &&String| only.as_ref().is_none_or(|only| only.as_str() == *id);
            let known = meta.endpoints().iter().filter(|(id, _)| wanted(id));
            known.map(|(id, spec)| endpoint(id, spec)).collect::<Vec<_>>()
        };
        let endpoints = meta.read_meta(known).unwrap_or_default();
        if let Some(unknown) = only.filter(|_| endpoints.is_empty()) {
            return Err(from_proto::unknown_endpoint("endpoint_id", &unknown).into());
        }
        Ok(Response::new(v1::ListEndpointsResponse { endpoints }))
    }

    async fn remove_endpoint(
        &self,
        request: Request<v1::RemoveEndpointRequest>,
    ) -> Result<Response<v1::RemoveEndpointResponse>, Status> {
        let meta = present_records(&self.core, self.core.deadline(timeout_of(&request))).await?;
        let id = from_proto::endpoint_id("endpoint_id", &request.into_inner().endpoint_id)?;
        let is_known = |meta: &Meta| meta.endpoints().contains_key(EndpointId::as_str(&id));
        if meta.read_meta(is_known) == Some(false) {
            return Err(from_proto::unknown_endpoint("endpoint_id", &id).into());
        }
        self.change(MetaChange::RemoveEndpoint { id: id.as_str().to_owned() }).await?;
        Ok(Response::new(v1::RemoveEndpointResponse {}))
    }
}

fn endpoint(id: &str, spec: &EndpointSpec) -> v1::Endpoint {
    let (fallback, fallback_answer) = match &spec.fallback {
        Fallback::None => (v1::EndpointFallback::None, Vec::new()),
        Fallback::Answer(answer) => (v1::EndpointFallback::Answer, answer.clone()),
        Fallback::Last => (v1::EndpointFallback::Last, Vec::new()),
    };
    v1::Endpoint {
        endpoint_id: id.to_owned(),
        url: spec.url.clone(),
        timeout_ms: spec.timeout_ms,
        breaker_failures: spec.breaker_failures,
        breaker_open_ms: spec.breaker_open_ms,
        fallback: fallback.into(),
        fallback_answer,
    }
}
