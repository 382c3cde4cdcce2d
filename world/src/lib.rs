//! The seams between Holdfast and everything outside it: clock, randomness, network, disk, state store, threads, the end of
//! the process, and the collector of traces.
//!
//! A node gets them in one [`World`] when it is built. `holdfast` passes [`World::real`]; the simulator passes its own,
//! and otherwise runs the very same node. Nothing below `node` may read a clock, draw randomness, open a file or a socket
//! by another way.
//!
//! Time: code sleeps and measures time-outs with `tokio::time`, which a simulated world pauses and advances; [`Clock`]
//! gives the two clocks that tokio does not: the wall clock and a monotonic clock of the node.

mod clock;
mod disk;
mod end;
mod entropy;
mod memory;
mod network;
#[cfg(feature = "sled")]
mod sled_store;
mod state_store;
mod threads;
pub mod traces;

use std::sync::Arc;

pub use clock::{Clock, RealClock};
pub use disk::{Disk, DiskFile, IoFuture, OpenMode, RealDisk};
pub use end::{EndReason, ProcessEnd, RealEnd};
pub use entropy::{Entropy, RealEntropy};
pub use memory::resident_bytes;
pub use network::{BoxError, ChannelError, GrpcChannel, Lane, Network, RealNetwork, ServeOptions, Serving, Shutdown};
#[cfg(feature = "sled")]
pub use sled_store::SledStores;
pub use state_store::{StateBatch, StateStore, StateStores};
pub use threads::{RealThreads, Threads};

/// Everything a node knows of the outside, handed to it when it is built. Cheap to clone.
#[derive(Clone, Debug)]
pub struct World {
    /// Wall clock and monotonic clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Files of the log, the control file and the change log.
    pub disk: Arc<dyn Disk>,
    /// gRPC to and from other nodes and clients.
    pub network: Arc<dyn Network>,
    /// The embedded store of checkpoints.
    pub states: Arc<dyn StateStores>,
    /// Threads of their own, for work that blocks.
    pub threads: Arc<dyn Threads>,
    /// How the process ends when it must not go on.
    pub end: Arc<dyn ProcessEnd>,
    /// Where spans of traces go: nowhere, unless somebody sends them on.
    pub tracer: traces::Tracer,
}

impl World {
    /// The real outside: the system's clocks, randomness, sockets and files, sled, and `std::process::exit`. Built without
    /// the feature `sled`, as for a client alone, it opens no state store.
    #[must_use]
    pub fn real() -> Self {
        Self {
            clock: Arc::new(RealClock::new()),
            entropy: Arc::new(RealEntropy),
            disk: Arc::new(RealDisk),
            network: Arc::new(RealNetwork::new()),
            #[cfg(feature = "sled")]
            states: Arc::new(SledStores),
            #[cfg(not(feature = "sled"))]
            states: Arc::new(state_store::NoStores),
            threads: Arc::new(RealThreads),
            end: Arc::new(RealEnd),
            tracer: traces::Tracer::default(),
        }
    }
}
