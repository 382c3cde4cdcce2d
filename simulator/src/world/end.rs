//! The end of a simulated process: it is marked as dead, and the simulation drops its runtime as soon as it is back in
//! control. What still runs until then meets parts of the world that do nothing any more.

use std::sync::Arc;

use holdfast_world::{EndReason, ProcessEnd};

use super::{Death, Life};
use crate::Trace;

#[derive(Debug)]
pub(super) struct SimEnd {
    life: Arc<Life>,
    trace: Arc<Trace>,
}

impl SimEnd {
    pub(super) fn new(life: Arc<Life>, trace: Arc<Trace>) -> Self {
        Self { life, trace }
    }
}

impl ProcessEnd for SimEnd {
    fn end(&self, reason: EndReason) {
        self.trace.record(self.life.now(), self.life.host(), format_args!("ends itself: {reason}"));
        self.life.die(Death::Ended(reason));
    }
}
