//! A TCP proxy before every address of a cluster, so that what goes wrong between machines can go wrong between processes,
//! without rights over the system's network.
//!
//! Promises that bytes are neither changed nor reordered, and that what is held back arrives once it is held no longer, as
//! what TCP sends again does. Knows nothing of what the bytes say.

mod pump;
pub mod rules;
pub mod source;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use rules::{End, Rules};
use source::Processes;

/// Connections of one listener at once.
const MAX_CONNECTIONS: usize = 1_024;

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    #[default]
    Lives,
    /// Both ends are reset, in the middle of whatever is sent next.
    CutInFrame,
    /// Both ends are reset at once.
    Cut,
    /// The end that was dialled is gone, and the dialler does not hear of it.
    OnlyDialerLeft,
    /// The other way round.
    OnlyListenerLeft,
}

#[derive(Debug)]
struct Connection {
    from: End,
    fate: watch::Sender<Fate>,
}

#[derive(Debug, Default)]
struct Shared {
    rules: Rules,
    processes: Processes,
    connections: Mutex<BTreeMap<u64, Connection>>,
    carried: AtomicU64,
    of_unknown_nodes: AtomicU64,
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, BTreeMap<u64, Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All proxies of a cluster. They end when it is dropped.
#[derive(Debug, Default)]
pub struct Proxies {
    shared: Arc<Shared>,
    listeners: Vec<AbortHandle>,
}

/// Who is expected at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialers {
    /// Clients.
    Clients,
    /// Nodes: who it is, is found out.
    Nodes,
}

impl Proxies {
    /// What holds between whom.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.shared.rules
    }

    /// The processes of the nodes, by which their connections are known.
    #[must_use]
    pub fn processes(&self) -> &Processes {
        &self.shared.processes
    }

    /// Listens on `public`, and carries what comes to the node that listens on `behind`.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn add(&mut self, public: &str, dialers: Dialers, node: u64, behind: SocketAddr) -> io::Result<()> {
        let listener = TcpListener::bind(public).await?;
        let shared = self.shared.clone();
        let listening = tokio::spawn(listen(listener, dialers, node, behind, shared));
        self.listeners.push(listening.abort_handle());
        Ok(())
    }

    /// Connections so far of which nobody knows which node has opened them: partitions hold them as if it were any.
    #[must_use]
    pub fn of_unknown_nodes(&self) -> u64 {
        self.shared.of_unknown_nodes.load(Ordering::Relaxed)
    }

    /// The connections that there are between nodes, or between clients and nodes.
    #[must_use]
    pub fn connections(&self, of: Dialers) -> Vec<u64> {
        let is_wanted = |from: End| (from == End::Client) == (of == Dialers::Clients);
        self.shared.connections().iter().filter(|(_, it)| is_wanted(it.from)).map(|(id, _)| *id).collect()
    }

    /// Cuts a connection in the middle of what is sent next.
    pub fn cut_in_frame(&self, connection: u64) {
        self.decide(connection, Fate::CutInFrame);
    }

    /// Lets one end of a connection go; the other does not hear of it.
    pub fn half_open(&self, connection: u64, only_dialer_left: bool) {
        self.decide(connection, if only_dialer_left { Fate::OnlyDialerLeft } else { Fate::OnlyListenerLeft });
    }

    /// Resets what is left of connections.
    pub fn cut(&self, connections: &[u64]) {
        for connection in connections {
            self.decide(*connection, Fate::Cut);
        }
    }

    fn decide(&self, connection: u64, fate: Fate) {
        if let Some(connection) = self.shared.connections().get(&connection) {
            connection.fate.send_replace(fate);
        }
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.abort();
        }
        for connection in self.shared.connections().values() {
            connection.fate.send_replace(Fate::Cut);
        }
    }
}

async fn listen(listener: TcpListener, dialers: Dialers, node: u64, behind: SocketAddr, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok((inbound, dialer)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let (shared, listened) = (shared.clone(), listener.local_addr());
        tokio::spawn(async move {
            let from = match (dialers, listened) {
                (Dialers::Clients, _) => End::Client,
                (Dialers::Nodes, Err(_)) => End::SomeNode,
                (Dialers::Nodes, Ok(listened)) => {
                    let processes = shared.processes.clone();
                    let who = tokio::task::spawn_blocking(move || processes.who(dialer, listened)).await;
                    who.unwrap_or(End::SomeNode)
                }
            };
            if from == End::SomeNode {
                shared.of_unknown_nodes.fetch_add(1, Ordering::Relaxed);
            }
            carry(inbound, from, End::Node(node), behind, &shared).await;
            drop(place);
        });
    }
}

/// Carries one connection to its end.
async fn carry(inbound: TcpStream, from: End, to: End, behind: SocketAddr, shared: &Shared) {
    let (fate, decided) = watch::channel(Fate::default());
    let id = shared.carried.fetch_add(1, Ordering::Relaxed);
    shared.connections().insert(id, Connection { from, fate });
    if join(inbound, (from, to), behind, shared, decided).await.is_err() {
        tracing::debug!(?from, ?to, "a connection has broken");
    }
    shared.connections().remove(&id);
}

async fn join(
    mut inbound: TcpStream,
    (from, to): (End, End),
    behind: SocketAddr,
    shared: &Shared,
    mut decided: watch::Receiver<Fate>,
) -> io::Result<()> {
    let rules = &shared.rules;
    inbound.set_nodelay(true)?;
    // Whatever ends it, the other side is reset rather than told of an orderly end that there was not.
    inbound.set_zero_linger()?;
    let dialled = async {
        // As a first packet that is lost.
        rules.passes(from, to).await;
        TcpStream::connect(behind).await
    };
    let mut outbound = tokio::select! {
        biased;
        _ = decided.wait_for(|fate| *fate != Fate::Lives) => return Ok(()),
        outbound = dialled => outbound?,
    };
    outbound.set_nodelay(true)?;
    outbound.set_zero_linger()?;
    let seen = decided.clone();
    let fate = {
        let (inbound_from, inbound_to) = inbound.split();
        let (outbound_from, outbound_to) = outbound.split();
        let both = async {
            tokio::try_join!(
                pump::pump(inbound_from, outbound_to, (from, to), rules, &seen),
                pump::pump(outbound_from, inbound_to, (to, from), rules, &seen),
            )
        };
        tokio::select! {
            biased;
            fate = decided.wait_for(|fate| !matches!(fate, Fate::Lives | Fate::CutInFrame)) => {
                fate.map_or(Fate::Cut, |fate| *fate)
            }
            carried = both => return orderly(carried, &inbound, &outbound),
        }
    };
    match fate {
        Fate::Lives | Fate::CutInFrame | Fate::Cut => return Ok(()),
        Fate::OnlyDialerLeft => drop(outbound),
        Fate::OnlyListenerLeft => drop(inbound),
    }
    // Nobody reads what the end that is left sends, until the fault is over.
    let _ = decided.wait_for(|fate| *fate == Fate::Cut).await;
    Ok(())
}

/// Both ends have said that they are done: then neither is reset.
#[expect(deprecated, reason = "taking the lingering back does not block")]
fn orderly(carried: io::Result<((), ())>, inbound: &TcpStream, outbound: &TcpStream) -> io::Result<()> {
    carried?;
    inbound.set_linger(None)?;
    outbound.set_linger(None)
}

#[cfg(test)]
mod tests;
