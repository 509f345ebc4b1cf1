//! Listeners, and the choice of the thread that serves a new connection: the one with the fewest.

use super::mailbox::{Mailbox, Message};
use super::poll::{Listener, Moved, Poller, Socket};
use crate::registry::{ClientHandle, HandleFlags};
use crate::server::Shared;
use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, TcpKeepalive, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Connections accepted in one turn.
const ACCEPTS_MAX: usize = 256;

const PROTECTED: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is enabled and no password is set \
for the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from \
external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command \
'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is running, \
however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change \
permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration file, and setting the \
protected mode option to 'no', and then restarting the server. 3) If you started the server manually just for testing, \
restart it with the '--protected-mode no' option. 4) Setup a an authentication password for the default user. NOTE: You only \
need to do one of the above things in order for the server to start accepting connections from the outside.\r\n";
const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

/// A connection on its way to its thread.
pub(crate) struct Accepted {
    pub(super) socket: Socket,
    pub(super) handle: Arc<ClientHandle>,
}

/// The listeners of a server; one thread has them.
pub(super) struct Acceptor {
    listeners: Vec<Listener>,
    mailboxes: Vec<Arc<Mailbox>>,
    /// Listeners whose readiness is not used up.
    ready: Vec<usize>,
    unix_path: Option<PathBuf>,
}

struct Peer {
    socket: Socket,
    address: String,
    local_address: String,
    fd: i32,
    is_local: bool,
}

impl Acceptor {
    /// Binds what the settings name.
    pub(super) fn bind(shared: &Shared, mailboxes: &[Arc<Mailbox>]) -> io::Result<Acceptor> {
        let config = &shared.config;
        let mut listeners = Vec::new();
        let addresses = config.listen_addresses().map_err(io::Error::other)?;
        for (address, may_be_missing) in addresses {
            match listen(address, config.tcp_backlog()) {
                Ok(listener) => listeners.push(Listener::Tcp(mio::net::TcpListener::from_std(listener))),
                Err(_) if may_be_missing => {}
                Err(error) => return Err(io::Error::new(error.kind(), format!("bind {address}: {error}"))),
            }
        }
        if let Some(path) = config.unixsocket() {
            listeners.push(bind_unix(&path, config.unixsocketperm())?);
        }
        if listeners.is_empty() {
            return Err(io::Error::new(
                ErrorKind::AddrNotAvailable,
                "nothing to listen on: see bind, port, unixsocket",
            ));
        }
        let unix_path = config.unixsocket();
        Ok(Acceptor { listeners, mailboxes: mailboxes.to_vec(), ready: Vec::new(), unix_path })
    }

    /// The TCP addresses that it listens on.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let tcp = |listener: &Listener| match listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(_) => None,
        };
        self.listeners.iter().filter_map(tcp).collect()
    }

    /// Watches every listener.
    pub(super) fn watch(&mut self, poller: &Poller) -> io::Result<()> {
        for (number, listener) in self.listeners.iter_mut().enumerate() {
            poller.watch_listener(listener, number)?;
        }
        Ok(())
    }

    /// The listener with this number has connections.
    pub(super) fn note_ready(&mut self, number: usize) {
        if !self.ready.contains(&number) {
            self.ready.push(number);
        }
    }

    /// Tries every listener again: some readiness may have been left over for lack of file descriptors.
    pub(super) fn look_again(&mut self) {
        (0..self.listeners.len()).for_each(|number| self.note_ready(number));
    }

    /// Whether a call of [`Acceptor::accept`] may find something.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Accepts what waits, up to a limit, and hands it out. Returns what belongs to thread `slot`, the caller's.
    pub(super) fn accept(&mut self, shared: &Shared, slot: u32) -> Vec<Accepted> {
        let mut own = Vec::new();
        let mut budget = ACCEPTS_MAX;
        while let Some(number) = self.ready.last().copied() {
            if budget == 0 {
                break;
            }
            budget -= 1;
            match self.listeners.get(number).map(accept_one) {
                Some(Ok(peer)) => self.admit(shared, slot, peer, &mut own),
                Some(Err(error)) if is_transient(&error) => {}
                Some(Err(error)) if is_exhausted(&error) => {
                    // Out of file descriptors: the readiness stays noted, and the next tick tries again.
                    break;
                }
                _ => drop(self.ready.pop()),
            }
        }
        own
    }

    fn admit(&mut self, shared: &Shared, slot: u32, mut peer: Peer, own: &mut Vec<Accepted>) {
        let Some(stats) = shared.workers.get(slot as usize) else { return };
        stats.connections_received.add(1);
        let refusal = if shared.registry.len() >= shared.maxclients() {
            Some(TOO_MANY)
        } else if !peer.is_local && shared.is_protected() {
            Some(PROTECTED)
        } else {
            None
        };
        if let Some(text) = refusal {
            stats.connections_rejected.add(1);
            // A new socket has room for a line; if not, the close says enough.
            let _: Moved = peer.socket.write(text);
            return;
        }
        let load = |(_, mailbox): &(u32, &Arc<Mailbox>)| mailbox.connections.load(Ordering::Relaxed);
        let Some((worker, mailbox)) = (0_u32..).zip(&self.mailboxes).min_by_key(load) else { return };
        mailbox.connections.fetch_add(1, Ordering::Relaxed);
        let (id, now_ms) = (shared.registry.next_id(), shared.clock.now_ms());
        let handle = Arc::new(ClientHandle::new(id, peer.address, peer.local_address, peer.fd, worker, now_ms));
        handle.set_flag(HandleFlags::UNIX_SOCKET, matches!(peer.socket, Socket::Unix(_)));
        set_options(&peer.socket, shared.config.tcp_keepalive_seconds());
        shared.registry.insert(Arc::clone(&handle));
        let accepted = Accepted { socket: peer.socket, handle };
        if worker == slot {
            own.push(accepted);
        } else {
            mailbox.send(Message::Serve(Box::new(accepted)));
        }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        if let Some(path) = &self.unix_path {
            // It may be gone already; nothing depends on it any more.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}

fn is_exhausted(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE, rustix::io::Errno::NOBUFS, rustix::io::Errno::NOMEM]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

fn listen(address: SocketAddr, backlog: i32) -> io::Result<std::net::TcpListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn bind_unix(path: &Path, mode: u32) -> io::Result<Listener> {
    // The file of a server that is gone is in the way; that of a living one is taken over, as Redis does.
    let _ = std::fs::remove_file(path);
    let listener = mio::net::UnixListener::bind(path)?;
    if mode != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(Listener::Unix(listener))
}

fn accept_one(listener: &Listener) -> io::Result<Peer> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, address) = listener.accept()?;
            let local_address = stream.local_addr()?.to_string();
            let is_local = is_loopback(address.ip());
            let (address, fd) = (address.to_string(), stream.as_raw_fd());
            Ok(Peer { socket: Socket::Tcp(stream), address, local_address, fd, is_local })
        }
        Listener::Unix(listener) => {
            let (stream, _) = listener.accept()?;
            let local = listener.local_addr()?;
            let path = local.as_pathname().map(|path| path.display().to_string()).unwrap_or_default();
            let (address, fd) = (format!("{path}:0"), stream.as_raw_fd());
            Ok(Peer { socket: Socket::Unix(stream), local_address: address.clone(), address, fd, is_local: true })
        }
    }
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.to_ipv4_mapped().is_some_and(|mapped| mapped.is_loopback())
        }
    }
}

fn set_options(socket: &Socket, keepalive_seconds: u64) {
    let Socket::Tcp(stream) = socket else { return };
    // A connection works without either; an error here shows up at the first read.
    let _ = stream.set_nodelay(true);
    if keepalive_seconds > 0 {
        let interval = Duration::from_secs((keepalive_seconds / 3).max(1));
        let probes = TcpKeepalive::new().with_time(Duration::from_secs(keepalive_seconds));
        let _ = SockRef::from(stream).set_tcp_keepalive(&probes.with_interval(interval).with_retries(3));
    }
}
