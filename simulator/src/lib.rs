//! Deterministic simulation: several nodes and their clients run on one thread, outside of which nothing is real. Clock,
//! randomness, network, disk, state store and the life of each process are simulated; the node itself is the one that
//! ships, built by the same constructor.
//!
//! Promises that one seed replays one run, to the same [`Trace`]. What its clients do is drawn from the seed (`workloads`),
//! what they saw is kept (`history`) and judged (`checkers`).
//!
//! The same customers and the same judges also go to clusters of real processes (`chaos`), where nothing is simulated.

// tokio's own randomness (which waiter of a `watch` is woken first) can be seeded only in a build with this flag.
#[cfg(not(tokio_unstable))]
compile_error!(
    "the simulator needs `--cfg tokio_unstable`, which .cargo/config.toml sets: \
     a RUSTFLAGS in the environment overrides that file; unset it, or add the flag to it"
);

pub mod chaos;
pub mod checkers;
mod dice;
mod faults;
pub mod history;
mod messages;
pub mod run;
pub mod shrink;
mod simulation;
pub mod timeline;
mod trace;
pub mod workloads;
pub mod world;

pub use dice::Dice;
pub use messages::Messages;
pub use simulation::{Crash, HostId, Simulation, TICK};
pub use trace::Trace;
