//! Threads of their own.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

/// Runs a future where it may block: on a thread of its own in production, as a task of the node in simulation.
pub trait Threads: Send + Sync + Debug {
    /// Starts `work` under `name`; it runs until it returns. It may use channels and the [`crate::Disk`], but neither
    /// timers nor sockets of tokio.
    fn dedicated(&self, name: &str, work: Pin<Box<dyn Future<Output = ()> + Send + 'static>>);
}

/// A thread of the operating system for each piece of work.
#[derive(Debug)]
pub struct RealThreads;

impl Threads for RealThreads {
    fn dedicated(&self, name: &str, work: Pin<Box<dyn Future<Output = ()> + Send + 'static>>) {
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || futures_executor::block_on(work))
            // Without its threads a node cannot keep a promise; this happens at its start, before it has made one.
            .expect("the operating system starts a thread");
    }
}
