//! Ports for the nodes of a test.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Addresses on loopback that nobody listens on now, each given out once. They lie below the ports that the system gives to those
/// who ask for any, so that no connection takes one before its node is started; each process of tests has a range of its own.
pub fn free_addresses<const N: usize>() -> [String; N] {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 100) as u16 * 200;
    std::array::from_fn(|_| {
        let address = (0..200).find_map(|_| {
            let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 200;
            TcpListener::bind(("127.0.0.1", port)).ok()?.local_addr().ok()
        });
        address.expect("a free port among two hundred").to_string()
    })
}
