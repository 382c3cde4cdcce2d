//! The simulated outside of a process: every seam of [`holdfast_world`], without a clock, a file, a socket or a thread of
//! the operating system.

mod clock;
mod disk;
mod end;
mod entropy;
mod life;
mod network;
mod states;
mod threads;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use holdfast_world::World;

pub use clock::WALL_AT_ZERO_MS;
pub use disk::{DriveCopy, FileCopy, ReadFailure, SimDrive};
pub use life::{Death, Life};
pub use network::{Decay, DelayRange, Net, Weather};

use crate::{Dice, Trace};

/// The parts of a host that outlive its processes, and what they share with the other hosts.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The host's drive.
    pub drive: Arc<SimDrive>,
    /// By how many milliseconds the host's wall clock is ahead of simulated time.
    pub wall_offset_ms: Arc<AtomicI64>,
    /// The network between all hosts.
    pub net: Arc<Net>,
    /// The record of the run.
    pub trace: Arc<Trace>,
}

impl Surroundings {
    /// The outside of one process on this host.
    #[must_use]
    pub fn world(&self, life: &Arc<Life>, dice: Dice) -> World {
        let disk = disk::SimDisk::new(self.drive.clone(), life.clone(), self.trace.clone());
        World {
            clock: Arc::new(clock::SimClock::new(life.clone(), self.wall_offset_ms.clone())),
            entropy: Arc::new(entropy::SimEntropy::new(dice)),
            network: Arc::new(network::SimNetwork::new(self.net.clone(), life.clone())),
            states: Arc::new(states::SimStates::new(disk.clone())),
            disk: Arc::new(disk),
            threads: Arc::new(threads::SimThreads),
            end: Arc::new(end::SimEnd::new(life.clone(), self.trace.clone())),
            tracer: holdfast_world::traces::Tracer::default(),
        }
    }
}
