//! `holdfast start`: this process becomes a node.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use holdfast_node::config::{LogFormat, NodeConfig, Overrides};
use holdfast_node::{Node, StartError};
use holdfast_web::WebOptions;
use holdfast_world::World;
use holdfast_world::traces::Tracer;
use holdfast_world::traces::otlp::Exporter;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::exposure;
use crate::failure::Failure;
use crate::output::{Answer, Format};

/// How long a node that has stopped waits for the collector to take its last spans.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// Run one node of a cluster until SIGTERM or Ctrl-C; then hand over its leaderships, finish what is under way, and end.
#[derive(Debug, Args)]
pub struct Start {
    /// The cluster's configuration; see cluster.toml at the root of the sources.
    #[arg(long, value_name = "FILE", env = "HOLDFAST_CONFIG", default_value = "cluster.toml")]
    config: PathBuf,
    /// Which of its nodes this is.
    #[arg(long, value_name = "ID")]
    node: Option<u64>,
    /// Only check the configuration, and print it as it would be used.
    #[arg(long)]
    check: bool,
    /// A setting in place of the file's: `limits.max_streams=256`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Listen on addresses that other machines reach, though nobody is asked who he is: everybody there may do everything.
    #[arg(long, env = "HOLDFAST_INSECURE")]
    insecure: bool,
    /// End when standard input is closed: how the nodes of `up` end when it is gone.
    #[arg(long, hide = true)]
    end_with_parent: bool,
}

impl Start {
    /// Runs the node until it is asked to stop.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let config = self.load()?;
        let open = exposure::check(&config, self.insecure)?;
        if self.check {
            let settings = serde_json::to_value(&config).unwrap_or_default();
            Answer::record(&json!({ "valid": true, "config": settings })).print(format);
            return Ok(());
        }
        log_to_stderr(&config)?;
        for line in open {
            tracing::warn!("{line}");
        }
        let (tracer, exporter) = begin_traces(&config)?;
        let ended = self.run_node(config, tracer).await;
        if let Some(exporter) = exporter {
            exporter.finish(LAST_SPANS).await;
        }
        ended
    }

    async fn run_node(&self, config: NodeConfig, tracer: Tracer) -> Result<(), Failure> {
        let mut end = EndRequest::listen(self.end_with_parent)?;
        let node = tokio::select! {
            biased;
            () = end.asked() => return Ok(()),
            started = start(config, tracer) => started.map_err(|error| start_failure(&error))?,
        };
        tokio::select! {
            biased;
            () = end.asked() => {}
            ended = node.wait() => return ended.map_err(|error| start_failure(&error)),
        }
        end.or_at_once();
        node.stop().await;
        Ok(())
    }

    fn load(&self) -> Result<NodeConfig, Failure> {
        let settings = self
            .settings
            .iter()
            .map(|setting| {
                let (key, value) = setting.split_once('=').ok_or_else(|| {
                    Failure::usage(format!("`--set {setting}` gives no value")).hint("write it as key=value")
                })?;
                Ok((key.trim().to_owned(), value.trim().to_owned()))
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        let flags = Overrides { node_id: self.node, settings, ..Overrides::default() };
        NodeConfig::load(&self.config, &flags).map_err(|error| Failure::usage(error.to_string()).hint(error.hint()))
    }
}

/// Starts the node with the REST API on its HTTP port, if it has one.
async fn start(config: NodeConfig, tracer: Tracer) -> Result<Node, StartError> {
    let routes = match &config.me().http {
        Some(_) => holdfast_web::routes(web_options(&config, tracer.clone())),
        None => axum::Router::new(),
    };
    Node::start_with(World { tracer, ..World::real() }, config, routes).await
}

/// Sends spans of traces to the collector, if there is one.
fn begin_traces(config: &NodeConfig) -> Result<(Tracer, Option<Exporter>), Failure> {
    let Some(address) = config.telemetry.collector() else { return Ok((Tracer::default(), None)) };
    let world = World::real();
    let (tracer, queue) = Tracer::queued(world.entropy, config.telemetry.sample_ratio);
    let resource = vec![
        ("service.name", "holdfast".to_owned()),
        ("service.namespace", config.cluster_id.clone()),
        ("service.instance.id", config.node_id.to_string()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let exporter = Exporter::start(&*world.network, address, resource, queue);
    let exporter = exporter.map_err(|error| {
        Failure::usage(format!("telemetry.otlp_endpoint: {error}")).hint("write it as http://127.0.0.1:4317")
    })?;
    tracing::info!(%address, sample_ratio = config.telemetry.sample_ratio, "spans of traces are sent to a collector");
    Ok((tracer, Some(exporter)))
}

fn web_options(config: &NodeConfig, tracer: Tracer) -> WebOptions {
    let me = &config.me().client;
    let others = config.nodes.iter().map(|node| &node.client).filter(|address| *address != me);
    WebOptions {
        addresses: std::iter::once(me).chain(others).cloned().collect(),
        cluster_id: config.cluster_id.clone(),
        hosts: config.http.hosts.clone(),
        // The configuration was checked: what cannot be read is not shown.
        shown: config.http.availability_shown.parse().unwrap_or_default(),
        desk: None,
        tracer,
        max_connections: config.http.max_connections,
        let_go: holdfast_node::metrics::count_slow_reader,
    }
}

fn start_failure(error: &StartError) -> Failure {
    Failure::unavailable(format!("the node cannot start: {error}")).hint(error.hint())
}

/// openraft tells of every heartbeat, and of each one that does not reach a node that is down: dozens of lines a second.
const DEFAULT_FILTER: &str = "info,openraft=warn,openraft::core::heartbeat=error,openraft::replication=error,\
                              openraft::engine::handler::replication_handler=error";

fn log_to_stderr(config: &NodeConfig) -> Result<(), Failure> {
    let wanted = if config.log.filter.is_empty() { DEFAULT_FILTER } else { config.log.filter.as_str() };
    let filter = EnvFilter::try_new(wanted).map_err(|error| {
        Failure::usage(format!("log.filter: {error}")).hint("write it as `info` or `holdfast_raft=debug,info`")
    })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => lines.with_ansi(crate::output::is_watched()).init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

/// The ways in which a node is asked to end.
struct EndRequest {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    with_parent: bool,
}

impl EndRequest {
    fn listen(with_parent: bool) -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::usage(format!("signals cannot be heard: {error}")));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            with_parent,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => tracing::info!("asked to stop by SIGTERM"),
            _ = self.interrupt.recv() => tracing::info!("asked to stop by Ctrl-C"),
            () = parent_gone(), if self.with_parent => tracing::info!("the process that started this node is gone"),
        }
    }

    /// Ends the process at a second request, without waiting for what is under way.
    fn or_at_once(mut self) {
        self.with_parent = false;
        tokio::spawn(async move {
            self.asked().await;
            std::process::exit(130);
        });
    }
}

/// Returns when the other end of standard input is closed. A thread waits for it, since it may wait for ever.
async fn parent_gone() {
    let (gone, is_gone) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = gone.send(());
    });
    let _ = is_gone.await;
}
