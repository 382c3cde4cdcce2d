//! The check that a request is for this cluster.
//!
//! An address may become another cluster's: a port is taken again, a container gets the address of one that is gone. A client
//! that went on there would be told of stock that is not its shop's; so it says which cluster it means, and another's nodes refuse.

use std::sync::Arc;

use holdfast_proto::CLUSTER_HEADER;
use holdfast_proto::v1::{CommandError, ErrorReason};
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// Refuses requests that name another cluster. One that names none is taken.
#[derive(Clone, Debug)]
pub(crate) struct OfThisCluster(Arc<str>);

impl OfThisCluster {
    pub(crate) fn new(cluster_id: &str) -> Self {
        Self(Arc::from(cluster_id))
    }
}

impl Interceptor for OfThisCluster {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        match request.metadata().get(CLUSTER_HEADER) {
            Some(named) if named.as_bytes() != self.0.as_bytes() => {
                let message = format!("the request is for the cluster {named:?}; this node is of `{}`", self.0);
                Err(CommandError::of(ErrorReason::WrongCluster, message).at(CLUSTER_HEADER).into())
            }
            _ => Ok(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_another_cluster_is_refused() {
        let ask = |named: Option<&str>| {
            let mut request = Request::new(());
            if let Some(named) = named {
                request.metadata_mut().insert(CLUSTER_HEADER, named.parse().unwrap());
            }
            OfThisCluster::new("shop").call(request).map(|_| ())
        };
        ask(None).unwrap();
        ask(Some("shop")).unwrap();
        let refused = CommandError::from(&ask(Some("shop-2")).unwrap_err());
        assert_eq!((refused.reason(), refused.field.as_str()), (ErrorReason::WrongCluster, CLUSTER_HEADER));
    }
}
