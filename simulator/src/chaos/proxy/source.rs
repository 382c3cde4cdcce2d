//! Who has opened a connection on this machine: the system's table of sockets names the socket at its other end, and each
//! process's open files say whose that is. Needs no rights beyond those over processes of one's own.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::rules::End;

/// The table of IPv4 sockets.
const TABLE: &str = "/proc/net/tcp";
/// Where a row of it has the inode.
const INODE_COLUMN: usize = 9;

/// The processes of the nodes, which change with every start.
#[derive(Clone, Debug, Default)]
pub struct Processes(Arc<Mutex<BTreeMap<u64, u32>>>);

impl Processes {
    fn by_node(&self) -> MutexGuard<'_, BTreeMap<u64, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node is that process from now on.
    pub fn is(&self, node: u64, process: u32) {
        self.by_node().insert(node, process);
    }

    /// Whose connection from `dialer` arrived at `listener`. Reads files.
    #[must_use]
    pub fn who(&self, dialer: SocketAddr, listener: SocketAddr) -> End {
        let (SocketAddr::V4(dialer), SocketAddr::V4(listener)) = (dialer, listener) else { return End::SomeNode };
        let table = fs::read_to_string(TABLE).unwrap_or_default();
        let Some(inode) = inode_of(&table, dialer, listener) else { return End::SomeNode };
        let processes = self.by_node().clone();
        let owner = processes.into_iter().find(|(_, process)| has_socket(*process, inode));
        owner.map_or(End::SomeNode, |(node, _)| End::Node(node))
    }
}

/// The inode of the socket with those addresses.
fn inode_of(table: &str, local: SocketAddrV4, remote: SocketAddrV4) -> Option<u64> {
    let (local, remote) = (as_in_table(local), as_in_table(remote));
    let row = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>()).find(|columns| {
        columns.get(1).is_some_and(|own| **own == local) && columns.get(2).is_some_and(|other| **other == remote)
    })?;
    row.get(INODE_COLUMN)?.parse().ok()
}

/// The address as the machine keeps it, the port as people write it, both in hexadecimal.
fn as_in_table(address: SocketAddrV4) -> String {
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}

fn has_socket(process: u32, inode: u64) -> bool {
    let wanted = format!("socket:[{inode}]");
    let Ok(files) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str()))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_is_known_by_the_process_that_opened_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_accepted, dialer) = listener.accept().unwrap();
        let processes = Processes::default();
        assert_eq!(processes.who(dialer, listener.local_addr().unwrap()), End::SomeNode);
        // Another process that has none of it.
        processes.is(1, 1);
        processes.is(2, std::process::id());
        assert_eq!(processes.who(dialer, listener.local_addr().unwrap()), End::Node(2));
        drop(stream);
    }

    #[test]
    fn a_row_of_the_table_is_found_by_both_addresses() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 77 1\n   \
                     1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 78 1\n";
        let (one, other) = ("127.0.0.1:8080".parse().unwrap(), "127.0.0.1:50000".parse().unwrap());
        assert_eq!(inode_of(table, one, other), Some(77));
        assert_eq!(inode_of(table, other, one), Some(78));
        assert_eq!(inode_of(table, one, one), None);
    }
}
