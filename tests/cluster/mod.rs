//! A cluster of real processes on loopback, for the tests beside this folder: each node a `holdfast start` with a folder of its
//! own, its messages in a file. Processes are ended by their own ids, also when a test fails.

#![allow(dead_code, reason = "each test uses its part of the harness")]

mod damage;
mod http;
mod ports;
mod python;
mod raw;
mod shop;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use holdfast_proto::v1::cluster_service_client::ClusterServiceClient;
use holdfast_proto::v1::{self};
use holdfast_world::{GrpcChannel, Lane, Network, RealNetwork};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

#[allow(unused_imports, reason = "each test uses its part of the harness")]
pub use ports::free_addresses;

#[allow(unused_imports, reason = "each test uses its part of the harness")]
pub use damage::{amid_the_used, copy_folder, flip_amid, flip_in_every, last_written, truncate};
#[allow(unused_imports, reason = "each test uses its part of the harness")]
pub use http::{Http, Said};
#[allow(unused_imports, reason = "each test uses its part of the harness")]
pub use python::{python, root};
#[allow(unused_imports, reason = "each test uses its part of the harness")]
pub use raw::{Raw, put_item, receive, reserve};
#[allow(unused_imports, reason = "each test uses its part of the harness")]
pub use shop::{Shop, reservation_id};

/// How long a test waits for what must come; far longer than it takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One node of a test's cluster.
pub struct NodeProcess {
    pub id: u64,
    pub client: String,
    pub peer: String,
    /// Where it serves HTTP, if it does.
    pub http: Option<String>,
    child: Option<Child>,
}

/// A cluster of processes in a temporary folder.
pub struct Cluster {
    dir: TempDir,
    pub nodes: Vec<NodeProcess>,
    shards: u32,
    settings: Vec<String>,
}

impl Cluster {
    /// Three nodes, two shards, small limits that make checkpoints and purges frequent; started and ready.
    pub async fn of_three() -> Self {
        Self::with_settings(&[]).await
    }

    /// The same with so many shards.
    pub async fn of_shards(shards: u32) -> Self {
        let mut cluster = Self::prepared(3, &[]);
        cluster.shards = shards;
        cluster.write_config();
        cluster.start_all();
        cluster.wait_ready().await;
        cluster
    }

    /// The same, with settings in place of the file's, as `--set` takes them.
    pub async fn with_settings(settings: &[&str]) -> Self {
        let mut cluster = Self::prepared(3, settings);
        cluster.start_all();
        cluster.wait_ready().await;
        cluster
    }

    /// The same, whose nodes serve HTTP too.
    pub async fn with_http(settings: &[&str]) -> Self {
        let mut cluster = Self::prepared_with_http(settings);
        cluster.start_all();
        cluster.wait_ready().await;
        cluster
    }

    /// The same, whose nodes are not started.
    pub fn prepared_with_http(settings: &[&str]) -> Self {
        let mut cluster = Self::prepared(3, settings);
        for node in &mut cluster.nodes {
            let [http] = free_addresses();
            node.http = Some(http);
        }
        cluster.write_config();
        cluster
    }

    /// The HTTP port of a node.
    pub fn http(&self, id: u64) -> Http {
        let node = self.nodes.iter().find(|node| node.id == id).expect("a node of this cluster");
        Http { address: node.http.clone().expect("a node that serves HTTP") }
    }

    /// A cluster whose configuration is written and whose nodes are not started.
    pub fn prepared(nodes: u64, settings: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("holdfast-test-").tempdir().expect("a temporary folder");
        let nodes = (1..=nodes)
            .map(|id| {
                let [client, peer] = free_addresses();
                NodeProcess { id, client, peer, http: None, child: None }
            })
            .collect();
        let quiet = ["log.filter=info,openraft=warn"];
        let settings = quiet.iter().chain(settings).map(|setting| (*setting).to_owned()).collect();
        let cluster = Self { dir, nodes, shards: 2, settings };
        cluster.write_config();
        cluster
    }

    /// Writes the configuration as the nodes are now.
    pub fn write_config(&self) {
        let mut text = format!(
            "cluster_id = \"{}\"\nshards = {}\ndata_dir = \"{}/node-{{id}}\"\n",
            self.cluster_id(),
            self.shards,
            self.dir.path().display()
        );
        for node in &self.nodes {
            text += &format!("[[nodes]]\nid = {}\nclient = \"{}\"\npeer = \"{}\"\n", node.id, node.client, node.peer);
            if let Some(http) = &node.http {
                text += &format!("http = \"{http}\"\n");
            }
        }
        fs::write(self.config(), text).expect("the configuration is written");
    }

    /// A name that no other test's cluster has.
    pub fn cluster_id(&self) -> String {
        let name = self.dir.path().file_name().expect("a temporary folder has a name");
        name.to_string_lossy().into_owned()
    }

    /// The path of the configuration.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("cluster.toml")
    }

    /// The folder of a node.
    pub fn folder(&self, id: u64) -> PathBuf {
        self.dir.path().join(format!("node-{id}"))
    }

    /// The test's own folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The addresses for clients.
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.client.clone()).collect()
    }

    /// Adds a node to the configuration, not started.
    pub fn add_node(&mut self, id: u64) {
        let [client, peer] = free_addresses();
        self.nodes.push(NodeProcess { id, client, peer, http: None, child: None });
        self.write_config();
    }

    /// Gives each node an address for health and metrics, before anything is started.
    pub fn serve_http(&mut self) {
        for node in &mut self.nodes {
            let [http] = free_addresses();
            node.http = Some(http);
        }
        self.write_config();
    }

    /// Takes another cluster's addresses in place of its own, before anything is started.
    pub fn take_addresses_of(&mut self, other: &Self) {
        for (mine, other) in self.nodes.iter_mut().zip(&other.nodes) {
            (mine.client, mine.peer) = (other.client.clone(), other.peer.clone());
        }
        self.write_config();
    }

    /// Takes a node that does not run out of the configuration.
    pub fn forget(&mut self, id: u64) {
        assert!(self.node(id).child.is_none(), "node {id} runs");
        self.nodes.retain(|node| node.id != id);
        self.write_config();
    }

    fn node(&mut self, id: u64) -> &mut NodeProcess {
        self.nodes.iter_mut().find(|node| node.id == id).expect("a node of this cluster")
    }

    /// Starts every node that is not running.
    pub fn start_all(&mut self) {
        let ids: Vec<u64> = self.nodes.iter().map(|node| node.id).collect();
        for id in ids {
            if self.node(id).child.is_none() {
                self.start(id);
            }
        }
    }

    /// Starts one node.
    pub fn start(&mut self, id: u64) {
        self.start_with(id, &[]);
    }

    /// Starts one node with settings of its own.
    pub fn start_with(&mut self, id: u64, settings: &[&str]) {
        let messages =
            File::options().create(true).append(true).open(self.messages_path(id)).expect("a file of messages");
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.arg("start").arg("--config").arg(self.config()).arg("--node").arg(id.to_string());
        for setting in self.settings.iter().map(String::as_str).chain(settings.iter().copied()) {
            command.arg("--set").arg(setting);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(messages)
            .spawn()
            .expect("the binary under test starts");
        self.node(id).child = Some(child);
    }

    fn messages_path(&self, id: u64) -> PathBuf {
        self.dir.path().join(format!("node-{id}.log"))
    }

    /// What a node has said so far.
    pub fn messages(&self, id: u64) -> String {
        fs::read_to_string(self.messages_path(id)).unwrap_or_default()
    }

    /// Ends one node by SIGKILL.
    pub fn kill(&mut self, id: u64) {
        if let Some(mut child) = self.node(id).child.take() {
            child.kill().expect("a process of this test is killed");
            child.wait().expect("a killed process ends");
        }
    }

    /// Ends all nodes by SIGKILL and starts them again.
    pub async fn restart_all(&mut self) {
        self.kill_all();
        self.start_all();
        self.wait_ready().await;
    }

    /// Ends all nodes by SIGKILL, as close to one instant as a loop can.
    pub fn kill_all(&mut self) {
        for node in &mut self.nodes {
            if let Some(child) = &mut node.child {
                child.kill().expect("a process of this test is killed");
            }
        }
        for node in &mut self.nodes {
            if let Some(mut child) = node.child.take() {
                child.wait().expect("a killed process ends");
            }
        }
    }

    /// Sends a signal to one node.
    pub fn signal(&self, id: u64, signal: Signal) {
        let node = self.nodes.iter().find(|node| node.id == id).expect("a node of this cluster");
        let child = node.child.as_ref().expect("a node that runs");
        kill_process(Pid::from_child(child), signal).expect("a process of this test hears a signal");
    }

    /// The id of the process of a node that runs.
    pub fn process(&self, id: u64) -> u32 {
        let node = self.nodes.iter().find(|node| node.id == id).expect("a node of this cluster");
        node.child.as_ref().expect("a node that runs").id()
    }

    /// Asks one node to stop by SIGTERM, and waits for its end.
    pub async fn stop(&mut self, id: u64) -> ExitStatus {
        self.signal(id, Signal::TERM);
        let mut child = self.node(id).child.take().expect("a node that runs");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("a child can be asked") {
                return status;
            }
            assert!(Instant::now() < deadline, "node {id} does not stop:\n{}", self.messages(id));
            pause().await;
        }
    }

    /// Waits until a node has ended by itself.
    pub async fn ended(&mut self, id: u64) -> ExitStatus {
        let mut child = self.node(id).child.take().expect("a node that runs");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("a child can be asked") {
                return status;
            }
            if Instant::now() >= deadline {
                child.kill().expect("a process of this test is killed");
                panic!("node {id} goes on:\n{}", self.messages(id));
            }
            pause().await;
        }
    }

    /// Waits until every running node is ready.
    pub async fn wait_ready(&self) {
        for node in &self.nodes {
            if node.child.is_some() {
                self.wait_status(node.id, "ready", |status| status.ready).await;
            }
        }
    }

    /// Waits until each group is led by the node that leads it by preference: nobody hands it over then.
    pub async fn wait_spread(&self) {
        for (at, node) in (0_u64..).zip(&self.nodes) {
            let nodes = self.nodes.len() as u64;
            let leads_its_own = |status: &v1::GetStatusResponse| {
                let mut own = status.replicas.iter().filter(|replica| replica.group % nodes == at);
                own.all(|replica| replica.role() == v1::ReplicaRole::Leader)
            };
            self.wait_status(node.id, "leading its own", leads_its_own).await;
        }
    }

    /// Waits until a node says of itself what is awaited.
    pub async fn wait_status(
        &self,
        id: u64,
        what: &str,
        is_so: impl Fn(&v1::GetStatusResponse) -> bool,
    ) -> v1::GetStatusResponse {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status(id).await;
            match status {
                Ok(status) if is_so(&status) => return status,
                other => {
                    assert!(Instant::now() < deadline, "node {id} is not {what}: {other:?}\n{}", self.messages(id))
                }
            }
            pause().await;
        }
    }

    /// Waits until a node has said something.
    pub async fn wait_message(&self, id: u64, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.messages(id).contains(text) {
            assert!(Instant::now() < deadline, "node {id} has not said `{text}`:\n{}", self.messages(id));
            pause().await;
        }
    }

    /// A client of one node's cluster service.
    pub fn cluster_service(&self, id: u64) -> ClusterServiceClient<GrpcChannel> {
        ClusterServiceClient::new(self.channel(id)).max_decoding_message_size(16 << 20)
    }

    /// A channel to one node.
    pub fn channel(&self, id: u64) -> GrpcChannel {
        let node = self.nodes.iter().find(|node| node.id == id).expect("a node of this cluster");
        RealNetwork::new().channel(&node.client, Lane::Client, Duration::from_secs(1)).expect("a channel")
    }

    /// What a node says of itself.
    pub async fn status(&self, id: u64) -> Result<v1::GetStatusResponse, tonic::Status> {
        let mut request = tonic::Request::new(v1::GetStatusRequest {});
        request.set_timeout(Duration::from_secs(2));
        self.cluster_service(id).get_status(request).await.map(tonic::Response::into_inner)
    }

    /// One replica of a shard, its digest recomputed and its invariants checked.
    pub async fn replica(&self, id: u64, shard: u32, at_least_index: u64) -> v1::GetReplicaResponse {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut request = tonic::Request::new(v1::GetReplicaRequest {
                shard,
                at_least_index,
                verify: true,
                verify_change_log: true,
                chain_at: 0,
                root_at: 0,
            });
            request.set_timeout(Duration::from_secs(10));
            match self.cluster_service(id).get_replica(request).await {
                Ok(response) => return response.into_inner(),
                Err(status) => assert!(Instant::now() < deadline, "node {id}, shard {shard}: {status}"),
            }
            pause().await;
        }
    }

    /// Waits until all running nodes have applied the same of every shard, and checks that their replicas are the same and break
    /// no invariant. Gives each shard's totals.
    pub async fn replicas_agree(&self) -> Vec<v1::ShardTotals> {
        let mut totals = Vec::new();
        for shard in 0..self.shards {
            totals.push(self.shard_agrees(shard).await);
        }
        totals
    }

    async fn shard_agrees(&self, shard: u32) -> v1::ShardTotals {
        let running: Vec<u64> = self.nodes.iter().filter(|node| node.child.is_some()).map(|node| node.id).collect();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut replicas = Vec::new();
            for id in &running {
                replicas.push(self.replica(*id, shard, 0).await);
            }
            let furthest = replicas.iter().map(|replica| replica.applied_index).max().expect("a running node");
            for replica in &replicas {
                assert_eq!(replica.breaches, Vec::<String>::new(), "shard {shard}");
            }
            if replicas.iter().all(|replica| replica.applied_index == furthest) {
                for replica in &replicas {
                    assert_eq!(replica.digest, replicas[0].digest, "shard {shard} at index {furthest}");
                    assert_eq!(replica.change_log_hash, replicas[0].change_log_hash, "shard {shard} at {furthest}");
                }
                return replicas[0].totals.unwrap_or_default();
            }
            assert!(Instant::now() < deadline, "shard {shard}: the replicas do not come together");
            pause().await;
        }
    }

    /// Takes a checkpoint of every shard of a node, and purges its log behind it.
    pub async fn checkpoint(&self, id: u64) {
        let request = v1::CheckpointRequest { shard: 0, all: true };
        self.cluster_service(id).checkpoint(request).await.expect("a checkpoint is taken");
    }

    /// Runs the command line against this cluster, with `-o json`, and gives its exit status, its output and its messages.
    pub async fn holdfast(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.args(arguments).args(["-o", "json"]).env("HOLDFAST_ADDR", self.addresses().join(","));
        let ended = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let ended = tokio::time::timeout(2 * PATIENCE, ended).await;
        let output = ended.expect("the command ends in time").expect("the binary under test starts");
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if let Some(mut child) = node.child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        if std::thread::panicking() {
            let mut stderr = std::io::stderr().lock();
            for node in &self.nodes {
                let messages = self.messages(node.id);
                let from = messages.len().saturating_sub(4_000);
                let tail = messages.get(from..).unwrap_or(&messages);
                let _ = writeln!(stderr, "--- the last messages of node {}:\n{tail}", node.id);
            }
        }
    }
}

/// A short pause between two looks at a condition that is waited for with a deadline.
pub async fn pause() {
    tokio::time::sleep(Duration::from_millis(25)).await;
}
