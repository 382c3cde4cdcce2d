//! The way to the cluster: a client that connects in the background, and again until there is a cluster.

use std::time::Duration;

use holdfast_client::{Client, ClientOptions};
use tokio::sync::watch;

/// Between two attempts to find the cluster.
const AGAIN: Duration = Duration::from_millis(500);

/// How long a request waits for the cluster to be found: a node is ready a moment before its HTTP interface has found it.
const FOUND_WITHIN: Duration = Duration::from_secs(3);

/// The client, once it is connected. The attempts end when this is dropped.
#[derive(Debug)]
pub(crate) struct Link(watch::Receiver<Option<Client>>);

impl Link {
    /// Begins to connect to the cluster of that id.
    pub(crate) fn to(options: ClientOptions, cluster_id: String) -> Self {
        let (connected, link) = watch::channel(None);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = connected.closed() => {}
                client = connect(&options, &cluster_id) => {
                    connected.send_replace(Some(client));
                    // The client lives as long as somebody may ask for it.
                    connected.closed().await;
                }
            }
        });
        Self(link)
    }

    /// One that never connects.
    #[cfg(test)]
    pub(crate) fn to_nothing() -> Self {
        Self(watch::channel(None).1)
    }

    /// Waits until there is a cluster, but not for long.
    pub(crate) async fn found(&self) {
        let mut link = self.0.clone();
        let _ = tokio::time::timeout(FOUND_WITHIN, link.wait_for(Option::is_some)).await;
    }

    /// The client, if there is a cluster.
    pub(crate) fn client(&self) -> Option<Client> {
        self.0.borrow().clone()
    }
}

async fn connect(options: &ClientOptions, cluster_id: &str) -> Client {
    loop {
        match Client::connect(options.clone()).await {
            Ok(client) if client.routing().cluster_id == cluster_id => return client,
            Ok(other) => {
                tracing::warn!(found = other.routing().cluster_id, expected = cluster_id, "another cluster answers");
            }
            Err(error) => tracing::debug!(%error, "no cluster yet for the HTTP interface"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}
