//! A TCP proxy that harms what passes, when told to.
//!
//! It runs on a thread of its own and knows two things of what it carries: bytes, and (towards the server) the commands of
//! RESP that they form, so that harm can be done at "the third EVALSHA" or to "the connection that asked for tracking".
//! **Invariant:** without a toxic every byte passes unchanged and in order; what is random hangs on the seed, the number of the
//! connection and the number of the byte alone.

mod commands;
mod pump;
mod rules;

pub use rules::{Direction, Toxic, Which};

use crate::ports;
use pump::{Pump, Side};
use rules::Rules;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What a proxy has seen.
///
/// ```
/// assert_eq!(scrubjay_harness::Counts::default().accepted, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections of clients.
    pub accepted: u64,
    /// Those among them that found no server.
    pub refused: u64,
    /// Those that are open now.
    pub open: u64,
    /// Those that a toxic or [`Proxy::cut`] ended.
    pub cut: u64,
    /// Commands towards the server, whether they arrived or not.
    pub commands: u64,
    /// Bytes that the server got.
    pub bytes_to_server: u64,
    /// Bytes that the clients got.
    pub bytes_to_client: u64,
    /// Bytes that went into a black hole.
    pub swallowed: u64,
    /// Bytes that arrived as others.
    pub garbled: u64,
}

/// What the proxy's owner, its listener and its connections share.
struct Shared {
    upstream: SocketAddr,
    seed: u64,
    /// Every change of the rules raises the number; who waits for one subscribes.
    changes: watch::Sender<u64>,
    is_refusing: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rules: Rules,
    counts: Counts,
    /// How often each command came, by its words in capitals (one, or two for `CLIENT TRACKING` and its like).
    said: BTreeMap<String, u64>,
    connections: BTreeMap<u64, Connection>,
}

/// One client with its server.
struct Connection {
    /// As [`State::said`], of this connection.
    said: Vec<String>,
    /// Bytes of it went into a black hole: what would follow makes no sense.
    is_broken: bool,
    /// Whatever the server sends next is not delivered, and ends the connection.
    loses_reply: bool,
    closing: watch::Sender<bool>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|number| *number += 1);
    }
}

impl State {
    /// Ends connection `number`; counted once.
    fn cut(&mut self, number: u64) {
        if let Some(connection) = self.connections.get(&number)
            && !connection.closing.send_replace(true)
        {
            self.counts.cut += 1;
        }
    }
}

/// A proxy in front of one server, on a port of its own.
///
/// ```
/// use scrubjay_harness::{Direction, Proxy, ScrubjayServer, Toxic, Which};
/// use std::time::Duration;
///
/// let server = ScrubjayServer::start();
/// let proxy = Proxy::in_front_of(server.address());
/// assert_eq!(proxy.console().call(&["PING"]).text(), "PONG");
/// // The second GET of any connection does not arrive, and its connection ends.
/// proxy.add(Which::All, Direction::ToServer, Toxic::CutAt { command: "GET".into(), nth: 2 });
/// let mut console = proxy.console();
/// console.call(&["GET", "a"]);
/// assert!(console.try_call(&["GET", "a"]).is_err());
/// proxy.heal();
/// assert_eq!(proxy.said("GET"), 2);
/// ```
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and passes what comes to `upstream`; nothing has to listen there yet.
    pub fn in_front_of(upstream: SocketAddr) -> Proxy {
        Proxy::with_seed(upstream, 1)
    }

    /// With a seed for what the toxics choose.
    pub fn with_seed(upstream: SocketAddr, seed: u64) -> Proxy {
        let shared = Arc::new(Shared {
            upstream,
            seed,
            changes: watch::Sender::new(0),
            is_refusing: watch::Sender::new(false),
            state: Mutex::default(),
        });
        let (port, listener) = std::iter::repeat_with(ports::free)
            .take(10)
            .find_map(|port| Some((port, std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?)))
            .expect("a free port");
        let stop = watch::Sender::new(false);
        let (run_shared, run_stop) = (Arc::clone(&shared), stop.subscribe());
        let thread = std::thread::Builder::new().name("proxy".into());
        let thread = thread.spawn(move || run(listener, run_shared, run_stop)).expect("a thread");
        Proxy { port, shared, stop, thread: Some(thread) }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// 127.0.0.1 and the port.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// `redis://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A connection through it. Panics when it refuses.
    #[track_caller]
    pub fn console(&self) -> crate::Console {
        crate::Console::connect(self.address()).unwrap_or_else(|error| panic!("proxy on {}: {error}", self.port))
    }

    /// From now on `toxic` works on the connections that are meant, those to come included.
    pub fn add(&self, which: Which, direction: Direction, toxic: Toxic) {
        self.shared.state().rules.add(which, direction, toxic);
        self.shared.changed();
    }

    /// As [`Proxy::add`], in both directions.
    pub fn add_both(&self, which: Which, toxic: Toxic) {
        self.add(which.clone(), Direction::ToServer, toxic.clone());
        self.add(which, Direction::ToClient, toxic);
    }

    /// Nobody hears of anybody: both directions of all connections are a black hole.
    pub fn partition(&self) {
        self.add_both(Which::All, Toxic::Blackhole);
    }

    /// Ends all harm: toxics are gone, connections are accepted, what was stalled is delivered. A connection of which bytes are lost ends.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.rules.clear();
        let broken: Vec<u64> = state
            .connections
            .iter()
            .filter(|(_, connection)| connection.is_broken)
            .map(|(number, _)| *number)
            .collect();
        broken.into_iter().for_each(|number| state.cut(number));
        drop(state);
        self.shared.changed();
        self.refuse(false);
    }

    /// Whether a connection to the port is refused, as if nobody listened there; nobody does. Those that are open stay.
    pub fn refuse(&self, is_refusing: bool) {
        self.shared.is_refusing.send_replace(is_refusing);
        crate::wait_for("the proxy's port to follow", || {
            let is_open = std::net::TcpListener::bind(self.address()).is_err();
            (is_open != is_refusing).then_some(())
        });
    }

    /// Ends the connections that are meant, at once. Returns how many.
    pub fn cut(&self, which: &Which) -> usize {
        let mut state = self.shared.state();
        let numbers: Vec<u64> = state
            .connections
            .iter()
            .filter(|(_, connection)| which.means(&connection.said))
            .map(|(number, _)| *number)
            .collect();
        numbers.iter().for_each(|number| state.cut(*number));
        numbers.len()
    }

    /// What it has seen so far.
    pub fn counts(&self) -> Counts {
        let state = self.shared.state();
        Counts { open: u64::try_from(state.connections.len()).unwrap_or(u64::MAX), ..state.counts }
    }

    /// How often the command came, by its first word, or the first two: `GET`, `CLIENT TRACKING`.
    pub fn said(&self, words: &str) -> u64 {
        let words = words.to_ascii_uppercase();
        let state = self.shared.state();
        state.said.iter().filter(|(said, _)| rules::begins_with(said, &words)).map(|(_, count)| count).sum()
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("port", &self.port).field("counts", &self.counts()).finish()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(listener: std::net::TcpListener, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        tokio::select! {
            () = listen(listener, shared) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    });
}

/// Accepts while nobody says not to.
async fn listen(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let address = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("a socket");
    let mut listener = Some(TcpListener::from_std(listener).expect("a listener"));
    let mut is_refusing = shared.is_refusing.subscribe();
    loop {
        match &listener {
            None => {
                let _ = is_refusing.wait_for(|refusing| !refusing).await;
                // Refused when another test looks for a port just now; once more then.
                listener = TcpListener::bind(address).await.ok();
                tokio::task::yield_now().await;
            }
            Some(open) => tokio::select! {
                _ = is_refusing.wait_for(|refusing| *refusing) => listener = None,
                accepted = open.accept() => if let Ok((client, _)) = accepted {
                    let mut state = shared.state();
                    state.counts.accepted += 1;
                    let number = state.counts.accepted;
                    drop(state);
                    tokio::spawn(serve(number, client, Arc::clone(&shared)));
                },
            },
        }
    }
}

async fn serve(number: u64, client: TcpStream, shared: Arc<Shared>) {
    let closing = watch::Sender::new(false);
    let mut closed = closing.subscribe();
    let connection = Connection { said: Vec::new(), is_broken: false, loses_reply: false, closing };
    shared.state().connections.insert(number, connection);
    let passing = async {
        let Ok(server) = TcpStream::connect(shared.upstream).await else {
            shared.state().counts.refused += 1;
            return;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        let up = Pump::new(number, Direction::ToServer, &shared).run(Side { from: from_client, to: to_server });
        let down = Pump::new(number, Direction::ToClient, &shared).run(Side { from: from_server, to: to_client });
        tokio::join!(up, down);
    };
    tokio::select! {
        () = passing => {}
        _ = closed.wait_for(|closing| *closing) => {}
    }
    shared.state().connections.remove(&number);
}
