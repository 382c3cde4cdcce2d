//! `holdfast endpoint`.

use clap::{Args, Subcommand};
use holdfast_proto::v1;
use serde::Serialize;

use crate::connect::ClusterFlags;
use crate::failure::Failure;
use crate::output::{Answer, Format};

/// What the steps of orders may call: a step names one, and never a URL.
#[derive(Debug, Subcommand)]
pub enum Endpoint {
    /// Create an endpoint, or replace what is said of it.
    Put(Put),
    /// Show an endpoint.
    Get(One),
    /// Show the endpoints.
    List(List),
    /// Have an endpoint called no more. Steps that wait for it end by their time.
    Remove(One),
}

/// Create an endpoint, or replace what is said of it.
#[derive(Debug, Args)]
pub struct Put {
    /// Its id.
    #[arg(value_name = "ENDPOINT")]
    id: String,
    /// Where it is: http://HOST:PORT/PATH. For TLS, name a proxy beside the node.
    #[arg(long, value_name = "URL")]
    url: String,
    /// How long an attempt may take.
    #[arg(long, default_value_t = 2_000, value_name = "MS")]
    timeout_ms: u64,
    /// After so many attempts in a row that came to nothing a node leaves it alone.
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    breaker_failures: u32,
    /// For how long; then one attempt shows whether it goes on.
    #[arg(long, default_value_t = 5_000, value_name = "MS")]
    breaker_open_ms: u64,
    /// What stands in for its answer where it has none. Only for steps that are as good undone: a score, not a payment.
    #[arg(long, value_name = "TEXT", conflicts_with = "fallback_last")]
    fallback_answer: Option<String>,
    /// The last answer that the calling node had from it stands in.
    #[arg(long)]
    fallback_last: bool,
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// One endpoint.
#[derive(Debug, Args)]
pub struct One {
    /// Its id.
    #[arg(value_name = "ENDPOINT")]
    id: String,
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// Show the endpoints.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    cluster: ClusterFlags,
}

#[derive(Serialize)]
struct EndpointRow {
    endpoint: String,
    url: String,
    timeout_ms: u64,
    breaker_failures: u32,
    breaker_open_ms: u64,
    /// none, last, or the answer.
    fallback: String,
}

#[derive(Serialize)]
struct Removed {
    removed: String,
}

impl Endpoint {
    /// Shows or changes it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Put(put) => {
                let fallback = match (&put.fallback_answer, put.fallback_last) {
                    (Some(_), _) => v1::EndpointFallback::Answer,
                    (None, true) => v1::EndpointFallback::Last,
                    (None, false) => v1::EndpointFallback::None,
                };
                let endpoint = v1::Endpoint {
                    endpoint_id: put.id,
                    url: put.url,
                    timeout_ms: put.timeout_ms,
                    breaker_failures: put.breaker_failures,
                    breaker_open_ms: put.breaker_open_ms,
                    fallback: fallback.into(),
                    fallback_answer: put.fallback_answer.unwrap_or_default().into_bytes(),
                };
                let stored = put.cluster.put_endpoint(endpoint).await?;
                Answer::record(&EndpointRow::from(stored)).print(format);
            }
            Self::Get(One { id, cluster }) => {
                let found = cluster.endpoints(Some(&id)).await?.into_iter().next().unwrap_or_default();
                Answer::record(&EndpointRow::from(found)).print(format);
            }
            Self::List(List { cluster }) => {
                let rows: Vec<EndpointRow> =
                    cluster.endpoints(None).await?.into_iter().map(EndpointRow::from).collect();
                let row = |row: &EndpointRow| {
                    let breaker = format!("{} failures, {} ms", row.breaker_failures, row.breaker_open_ms);
                    let timeout = format!("{} ms", row.timeout_ms);
                    [row.endpoint.clone(), row.url.clone(), timeout, breaker, row.fallback.clone()]
                };
                let shown: Vec<_> = rows.iter().map(row).collect();
                Answer::rows(&rows, ["endpoint", "url", "timeout", "left alone after", "fallback"], shown)
                    .print(format);
            }
            Self::Remove(One { id, cluster }) => {
                cluster.remove_endpoint(&id).await?;
                Answer::record(&Removed { removed: id }).print(format);
            }
        }
        Ok(())
    }
}

impl From<v1::Endpoint> for EndpointRow {
    fn from(endpoint: v1::Endpoint) -> Self {
        let fallback = match endpoint.fallback() {
            v1::EndpointFallback::Unspecified | v1::EndpointFallback::None => "none".to_owned(),
            v1::EndpointFallback::Last => "last".to_owned(),
            v1::EndpointFallback::Answer => {
                format!("answer {}", String::from_utf8_lossy(&endpoint.fallback_answer))
            }
        };
        Self {
            endpoint: endpoint.endpoint_id,
            url: endpoint.url,
            timeout_ms: endpoint.timeout_ms,
            breaker_failures: endpoint.breaker_failures,
            breaker_open_ms: endpoint.breaker_open_ms,
            fallback,
        }
    }
}
