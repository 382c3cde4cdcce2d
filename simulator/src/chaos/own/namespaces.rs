//! Each node in a network namespace of its own: what is cut is dropped by the system on its way, as between machines, and TCP
//! itself sends it again.
//!
//! A bridge in a namespace of its own joins them, and one pair of interfaces joins that to the harness, whose customers ask from
//! there. Each namespace lives as long as the process that holds it, which ends with the harness whatever ends that; so no
//! interface and no process is left behind. Needs root, and iproute2 and util-linux.
//!
//! A way is cut where it begins: whoever sends gets a neighbour's entry that leads to nobody. That needs no more of the kernel
//! than bridges do.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::chaos::proxy::rules::{End, Harm, Rule, RuleId};

/// The network of the harness, of the range for benchmarks that no host has (RFC 2544). The third number tells harnesses apart.
const NETWORK: &str = "198.18";
/// The harness's own place in it.
const HARNESS: u64 = 254;
/// How a way is cut: it leads to an address of nobody, administered locally. `{}` stands for the other end.
const CUT: &str = "replace {} lladdr 02:00:00:00:00:ff nud permanent";
/// How it is healed.
const HEAL: &str = "del {}";
/// How long a holder has to come into its namespace.
const HELD_WITHIN: Duration = Duration::from_secs(10);

/// How many this process has made.
static MADE: AtomicU32 = AtomicU32::new(0);

/// The namespaces of a cluster.
#[derive(Debug)]
pub(super) struct Namespaces {
    third: u32,
    /// The interface of the harness.
    interface: String,
    _hub: Holder,
    nodes: BTreeMap<u64, Holder>,
    delays: bool,
    laid_down: BTreeMap<RuleId, Vec<Rule>>,
    next: u64,
    /// The ways that are cut.
    cut: BTreeSet<(End, End)>,
    /// The nodes whose packets take longer, and by how much.
    late: BTreeMap<u64, (Duration, Duration)>,
}

/// A process that holds a namespace: it reads until the harness is gone.
#[derive(Debug)]
struct Holder(Child);

impl Holder {
    async fn new() -> io::Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "--", "cat"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let holder = Self(command.process_group(0).kill_on_drop(true).spawn()?);
        let (own, deadline) = (tokio::fs::read_link("/proc/self/ns/net").await?, Instant::now() + HELD_WITHIN);
        while tokio::fs::read_link(holder.path()?).await? == own {
            if Instant::now() > deadline {
                return Err(io::Error::other("no namespace: `unshare --net` needs root"));
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(holder)
    }

    fn process(&self) -> io::Result<String> {
        let ended = || io::Error::other("the process that holds a namespace has ended: `unshare --net` needs root");
        self.0.id().map(|id| id.to_string()).ok_or_else(ended)
    }

    fn path(&self) -> io::Result<PathBuf> {
        Ok(PathBuf::from(format!("/proc/{}/ns/net", self.process()?)))
    }

    /// The words before a command that is to run in the namespace.
    fn prefix(&self) -> io::Result<Vec<String>> {
        Ok(vec!["nsenter".to_owned(), format!("--net={}", self.path()?.display()), "--".to_owned()])
    }

    /// Runs a command of iproute2 in the namespace.
    async fn run(&self, words: &str) -> io::Result<()> {
        let prefix = self.prefix()?;
        let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
        run(&prefix, words).await
    }
}

/// Runs a command, its words apart by spaces; an error has what it said.
async fn run(prefix: &[&str], words: &str) -> io::Result<()> {
    let all: Vec<&str> = prefix.iter().copied().chain(words.split(' ')).collect();
    let (program, arguments) = all.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output().await?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("`{words}`: {said}")))
}

impl Namespaces {
    /// One for each node.
    ///
    /// # Errors
    /// This user or this machine may not have them.
    pub(super) async fn make(nodes: &[u64]) -> io::Result<Self> {
        let (process, hub) = (std::process::id(), Holder::new().await?);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let (third, interface) = ((process + 97 * number) % 256, format!("hf{process}n{number}"));
        let of_hub = hub.process()?;
        run(&[], &format!("ip link add {interface} type veth peer name harness netns {of_hub}")).await?;
        run(&[], &format!("ip addr add {NETWORK}.{third}.{HARNESS}/24 dev {interface}")).await?;
        run(&[], &format!("ip link set dev {interface} up")).await?;
        hub.run("ip link add bridge type bridge").await?;
        hub.run("ip link set dev bridge up").await?;
        hub.run("ip link set dev harness master bridge up").await?;
        let mut holders = BTreeMap::new();
        for id in nodes {
            let node = Holder::new().await?;
            hub.run(&format!("ip link add node{id} type veth peer name eth0 netns {}", node.process()?)).await?;
            hub.run(&format!("ip link set dev node{id} master bridge up")).await?;
            node.run("ip link set dev lo up").await?;
            node.run(&format!("ip addr add {NETWORK}.{third}.{id}/24 dev eth0")).await?;
            node.run("ip link set dev eth0 up").await?;
            holders.insert(*id, node);
        }
        let mut made = Self {
            third,
            interface,
            _hub: hub,
            nodes: holders,
            delays: false,
            laid_down: BTreeMap::new(),
            next: 0,
            cut: BTreeSet::new(),
            late: BTreeMap::new(),
        };
        made.delays = made.can_delay().await;
        for id in nodes {
            // Better no cluster than one whose first partition cannot be had.
            made.tell_neighbour((End::Node(*id), End::Client), CUT).await?;
            made.tell_neighbour((End::Node(*id), End::Client), HEAL).await?;
        }
        Ok(made)
    }

    /// Where a node listens.
    pub(super) fn address(&self, node: u64, port: u16) -> String {
        format!("{}:{port}", self.host(node))
    }

    fn host(&self, number: u64) -> String {
        format!("{NETWORK}.{}.{number}", self.third)
    }

    /// The words before a command that is to run as that node does.
    pub(super) fn prefix(&self, node: u64) -> io::Result<Vec<String>> {
        self.nodes.get(&node).map_or_else(|| Ok(Vec::new()), Holder::prefix)
    }

    /// Whether packets can be made late.
    pub(super) const fn delays(&self) -> bool {
        self.delays
    }

    async fn can_delay(&self) -> bool {
        let Some(node) = self.nodes.values().next() else { return false };
        let added = node.run("tc qdisc add dev eth0 root netem delay 1ms").await;
        added.is_ok() && node.run("tc qdisc del dev eth0 root").await.is_ok()
    }

    /// From now on these hold too.
    pub(super) async fn lay_down(&mut self, rules: Vec<Rule>) -> io::Result<RuleId> {
        let id = RuleId::numbered(self.next);
        self.next += 1;
        self.laid_down.insert(id, rules);
        self.apply().await.map(|()| id)
    }

    /// They hold no longer.
    pub(super) async fn take_back(&mut self, id: RuleId) -> io::Result<()> {
        self.laid_down.remove(&id);
        self.apply().await
    }

    async fn apply(&mut self) -> io::Result<()> {
        let rules: Vec<Rule> = self.laid_down.values().flatten().copied().collect();
        let held = rules.iter().filter(|rule| rule.harm == Harm::Hold).map(|rule| (rule.from, rule.to));
        let wanted: BTreeSet<(End, End)> = held.collect();
        for way in wanted.difference(&self.cut) {
            self.tell_neighbour(*way, CUT).await?;
        }
        for way in self.cut.difference(&wanted) {
            self.tell_neighbour(*way, HEAL).await?;
        }
        self.cut = wanted;
        let late = rules.iter().filter_map(|rule| match (rule.from, rule.harm) {
            (End::Node(id), Harm::Delay(least, most)) => Some((id, (least, most))),
            _ => None,
        });
        let late: BTreeMap<u64, (Duration, Duration)> = late.collect();
        for (id, node) in &self.nodes {
            match (self.late.get(id), late.get(id)) {
                (None, Some((least, most))) => {
                    let (middle, spread) = ((*least + *most) / 2, (*most - *least) / 2);
                    let (middle, spread) = (middle.as_millis(), spread.as_millis());
                    node.run(&format!("tc qdisc add dev eth0 root netem delay {middle}ms {spread}ms")).await?;
                }
                (Some(_), None) => node.run("tc qdisc del dev eth0 root").await?,
                _ => {}
            }
        }
        self.late = late;
        Ok(())
    }

    /// Changes what the sender of a way knows of the other end; `{}` stands for that.
    async fn tell_neighbour(&self, (from, to): (End, End), what: &str) -> io::Result<()> {
        let other = self.host(if let End::Node(id) = to { id } else { HARNESS });
        match from {
            End::Node(id) => match self.nodes.get(&id) {
                Some(node) => node.run(&format!("ip neigh {} dev eth0", what.replace("{}", &other))).await,
                None => Ok(()),
            },
            _ => run(&[], &format!("ip neigh {} dev {}", what.replace("{}", &other), self.interface)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(400);

    /// Says a word over the connection and hears it again.
    async fn talk(stream: &mut TcpStream) -> bool {
        let mut word = [0; 5];
        let talked = async {
            stream.write_all(b"hello").await.is_ok() && stream.read_exact(&mut word).await.is_ok() && &word == b"hello"
        };
        timeout(SOON, talked).await.unwrap_or(false)
    }

    #[tokio::test]
    async fn a_way_that_is_cut_carries_nothing_and_what_was_sent_arrives_once_it_is_not() {
        let mut namespaces = match Namespaces::make(&[1]).await {
            Ok(made) => made,
            Err(error) => return println!("SKIPPED: this machine gives no network namespaces: {error}"),
        };
        let prefix = namespaces.prefix(1).unwrap();
        // An echo in the namespace, by what every machine has on which the harness is built.
        let script = "import socket\ns=socket.create_server(('0.0.0.0',7000))\nc,_=s.accept()\nwhile True: c.sendall(c.recv(64))";
        let mut echo = Command::new(&prefix[0]);
        echo.args(&prefix[1..]).args(["python3", "-c", script]).kill_on_drop(true).stderr(Stdio::null());
        let Ok(mut echo) = echo.spawn() else { return println!("SKIPPED: no python3") };
        let address = namespaces.address(1, 7_000);
        let deadline = Instant::now() + HELD_WITHIN;
        let mut stream = loop {
            match timeout(SOON, TcpStream::connect(&address)).await {
                Ok(Ok(stream)) => break stream,
                _ if echo.try_wait().unwrap().is_some() => return println!("SKIPPED: no python3 in the namespace"),
                _ => assert!(Instant::now() < deadline, "nobody listens on {address}"),
            }
            sleep(Duration::from_millis(20)).await;
        };
        assert!(talk(&mut stream).await);
        for (from, to) in [(End::Client, End::Node(1)), (End::Node(1), End::Client)] {
            let rules = vec![Rule { from, to, harm: Harm::Hold }];
            let (one, other) =
                (namespaces.lay_down(rules.clone()).await.unwrap(), namespaces.lay_down(rules).await.unwrap());
            assert!(!talk(&mut stream).await, "{from:?} to {to:?} is cut");
            namespaces.take_back(one).await.unwrap();
            assert!(timeout(SOON, stream.readable()).await.is_err(), "another fault still cuts it");
            namespaces.take_back(other).await.unwrap();
            let mut word = [0; 5];
            let heard = timeout(Duration::from_secs(20), stream.read_exact(&mut word)).await;
            assert!(heard.is_ok_and(|heard| heard.is_ok()), "TCP sends it again");
            assert!(talk(&mut stream).await);
        }
    }
}
