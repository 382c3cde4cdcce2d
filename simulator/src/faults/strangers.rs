//! Clients that vanish, that do not read, and that ask for more than a node takes.

use super::{Fault, Field};
use crate::run::cluster::Cluster;
use crate::workloads::{ask_and_not_read, flood};
use crate::{Crash, HostId};

/// The first hosts of each kind, and how many there are at most in one run: what vanished customers asked for stays unknown
/// for ever, which makes a history hard to judge.
const VANISHING: (u64, u64) = (300, 8);
const DEAF: (u64, u64) = (400, 12);
const FLOODING: (u64, u64) = (500, 6);

/// Within so many polls of its tasks a customer vanishes: most often in the middle of a call.
const MOST_POLLS: u64 = 3_000;

fn new_host(field: &mut Field<'_>, (first, most): (u64, u64)) -> Option<HostId> {
    field.street.host(field.simulation, first, most)
}

/// Cuts a client off from all nodes.
fn cut_off(field: &Field<'_>, client: HostId) {
    for node in field.cluster.nodes() {
        field.simulation.net().cut(client, node);
    }
}

/// One customer more comes, and vanishes for good with what it asked for under way: its connections are reset, or nothing
/// more is heard of it.
#[derive(Debug, Default)]
pub(super) struct Vanish {
    client: Option<HostId>,
    is_silent: bool,
}

impl Fault for Vanish {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        self.client = new_host(field, VANISHING);
        let Some(client) = self.client else { return false };
        field.street.shop.let_in(field.simulation, client);
        self.is_silent = field.dice.below(2) == 0;
        if !self.is_silent {
            let nth = field.dice.below(MOST_POLLS);
            field.simulation.crash_in_poll(client, nth, Crash::Kill);
        }
        true
    }

    fn end(&mut self, field: &mut Field<'_>) {
        let Some(client) = self.client else { return };
        if self.is_silent {
            cut_off(field, client);
        }
        field.simulation.crash(client, Crash::PowerLoss);
    }
}

/// A client sends and does not read. In the end its connection is reset, or it vanishes, or it goes on until the run is over.
#[derive(Debug, Default)]
pub(super) struct Deaf {
    client: Option<HostId>,
}

impl Fault for Deaf {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        self.client = new_host(field, DEAF);
        let Some(client) = self.client else { return false };
        let address = Cluster::client_address(field.node());
        field.simulation.start(client, |world| ask_and_not_read(world, address));
        true
    }

    fn end(&mut self, field: &mut Field<'_>) {
        let Some(client) = self.client else { return };
        match field.dice.below(3) {
            0 => field.simulation.crash(client, Crash::Kill),
            1 => {
                cut_off(field, client);
                field.simulation.crash(client, Crash::PowerLoss);
            }
            _ => {}
        }
    }
}

/// Far more is asked for at once than may wait.
#[derive(Debug)]
pub(super) struct Flood;

impl Fault for Flood {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let Some(client) = new_host(field, FLOODING) else { return false };
        let complaints = field.street.complaints.clone();
        field.simulation.start(client, |world| flood(world, Cluster::client_addresses(), complaints));
        true
    }
}
