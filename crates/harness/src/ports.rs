//! Ports that nobody listens on.
//!
//! From 10,000 to 22,000: below what the system gives to outgoing connections, so that a server that is down for a moment finds
//! its port again, and with room for the bus port of a cluster node, 10,000 above.

use crate::random::Random;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;

const FIRST: u64 = 10_000;
const COUNT: u64 = 12_000;
/// From a node's port to that of its bus.
pub(crate) const TO_BUS: u16 = 10_000;

/// A port that was free a moment ago, with its bus port. Another process may be faster: who takes it tries again.
pub(crate) fn free() -> u16 {
    let mut random = Random(RandomState::new().hash_one(std::process::id()));
    for _ in 0..1000 {
        let port = u16::try_from(FIRST + random.below(COUNT)).expect("fits");
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + TO_BUS) {
            return port;
        }
    }
    panic!("no free port of 127.0.0.1 in a thousand attempts");
}
