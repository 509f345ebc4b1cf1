//! How many files this process may have open: every connection is one.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors that are not connections: listeners, files, epoll, the admin listener's.
const SPARE: u64 = 128;

/// Raises the process' limit of open files, as far as the system lets it, so that `clients` fit. Returns how many do fit.
pub fn make_room_for_clients(clients: u64) -> u64 {
    let wanted = clients.saturating_add(SPARE);
    let mut limit = getrlimit(Resource::Nofile);
    let allowed = limit.current.unwrap_or(u64::MAX);
    if allowed >= wanted {
        return clients;
    }
    let reachable = limit.maximum.map_or(wanted, |most| most.min(wanted));
    limit.current = Some(reachable.max(allowed));
    let reached = if setrlimit(Resource::Nofile, limit).is_ok() { reachable.max(allowed) } else { allowed };
    reached.saturating_sub(SPARE).min(clients)
}
