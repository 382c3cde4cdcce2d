//! Endpoints: what the steps of orders may call.

use holdfast_proto::v1;
use holdfast_proto::v1::endpoint_service_client::EndpointServiceClient;
use holdfast_world::GrpcChannel;

use crate::answer::Error;
use crate::call::{Nature, Target};
use crate::client::Client;

fn endpoints(channel: GrpcChannel) -> EndpointServiceClient<GrpcChannel> {
    EndpointServiceClient::new(channel)
}

impl Client {
    /// Creates an endpoint, or replaces what is said of it.
    pub async fn put_endpoint(&self, endpoint: v1::Endpoint) -> Result<v1::Endpoint, Error> {
        let question = v1::PutEndpointRequest { endpoint: Some(endpoint) };
        let ask = |channel, request| async move { endpoints(channel).put_endpoint(request).await };
        let calling = self.at_length(Target::MetaLeader, Nature::Change, self.core().options.deadline);
        let reply: v1::PutEndpointResponse = self.core().call(calling, question, ask).await?;
        Ok(reply.endpoint.unwrap_or_default())
    }

    /// All endpoints, or one that must be there.
    pub async fn endpoints(&self, endpoint_id: Option<&str>) -> Result<Vec<v1::Endpoint>, Error> {
        let calling = self.core().reading(Target::MetaLeader);
        let ask = |channel, request| async move { endpoints(channel).list_endpoints(request).await };
        let question = v1::ListEndpointsRequest { endpoint_id: endpoint_id.unwrap_or_default().to_owned() };
        let reply: v1::ListEndpointsResponse = self.core().call(calling, question, ask).await?;
        Ok(reply.endpoints)
    }

    /// Has an endpoint called no more. `UNKNOWN_ENDPOINT` where there is none.
    pub async fn remove_endpoint(&self, endpoint_id: &str) -> Result<(), Error> {
        let question = v1::RemoveEndpointRequest { endpoint_id: endpoint_id.to_owned() };
        let ask = |channel, request| async move { endpoints(channel).remove_endpoint(request).await };
        let calling = self.at_length(Target::MetaLeader, Nature::Change, self.core().options.deadline);
        let _gone: v1::RemoveEndpointResponse = self.core().call(calling, question, ask).await?;
        Ok(())
    }
}
