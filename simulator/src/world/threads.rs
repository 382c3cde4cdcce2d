//! The threads of a simulated process: tasks of its runtime.

use std::future::Future;
use std::pin::Pin;

use holdfast_world::Threads;

#[derive(Debug)]
pub(super) struct SimThreads;

impl Threads for SimThreads {
    fn dedicated(&self, _name: &str, work: Pin<Box<dyn Future<Output = ()> + Send + 'static>>) {
        tokio::spawn(work);
    }
}
