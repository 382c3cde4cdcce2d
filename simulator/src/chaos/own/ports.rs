//! Addresses on loopback for a cluster of one's own.

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// The ports that are tried lie below those that the system gives to whoever asks for any, so that no connection takes one
/// before its node listens there.
const FIRST: u16 = 11_000;
const LAST: u16 = 31_900;

/// How far the searches of this process have come: an address is given out once, since the node that it was for may be down when
/// the next cluster looks for some.
static SEARCHED: AtomicU32 = AtomicU32::new(0);

/// So many addresses on which nobody listens now. Where the search begins depends on the process, so that several harnesses
/// on one machine seldom meet.
pub(super) fn free_addresses(count: usize) -> io::Result<Vec<String>> {
    let span = u32::from(LAST - FIRST);
    let begin = (std::process::id() * 97) % span;
    let mut held = Vec::new();
    for _ in 0..span {
        if held.len() == count {
            break;
        }
        let port = FIRST + ((begin + SEARCHED.fetch_add(1, Ordering::Relaxed)) % span) as u16;
        held.extend(TcpListener::bind(("127.0.0.1", port)));
    }
    if held.len() < count {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "no free ports on this machine"));
    }
    held.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_given_out_once_though_nobody_listens_there_yet() {
        let (one, other) = (free_addresses(8).unwrap(), free_addresses(8).unwrap());
        assert!(one.iter().all(|address| !other.contains(address)), "{one:?} {other:?}");
    }
}
