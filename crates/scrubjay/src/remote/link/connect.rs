//! Making a session: connections to the server or to every master, and finding out what they are.

use super::address::{Address, choose_cryptography};
use super::live::{Abilities, AbortOnDrop, Listening, Live, Node};
use super::signals::Signals;
use super::slots::{Slots, Topology, read_topology};
use super::trouble::{Trouble, sound};
use super::{Inner, News};
use crate::error::Error;
use crate::remote::Coherence;
use futures_util::StreamExt;
use futures_util::future::{try_join, try_join_all};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, ProtocolVersion, PushInfo, Value, cmd};
use std::net::{Ipv4Addr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::runtime::Handle;

/// The oldest version that is of use.
const VERSION_MIN: (u32, u32) = (6, 2);
/// Commands that wait in front of a connection's socket. With 256, each costs a sixth more CPU: fewer go in one write.
const QUEUE_LEN: usize = 50;
/// The masters of a cluster, at most.
const MASTERS_MAX: usize = 1_024;

/// What a server says that it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Greeting {
    pub(super) version: String,
    /// `standalone`, `cluster` or `sentinel`.
    pub(super) mode: String,
    /// `master` or `replica`.
    pub(super) role: String,
}

/// Connects to all that the configuration names.
///
/// # Errors
/// Why that is not possible now, in words for people.
pub(super) async fn connect(inner: &Inner, signals: &Arc<Signals>) -> Result<Live, Trouble> {
    choose_cryptography();
    let (address, connection, protocol) = seed(inner, signals).await?;
    let (nodes, slots) = match &*greeted(inner, &address, &connection, protocol).await?.mode {
        "cluster" => {
            let topology = topology(inner, &connection).await?;
            if !topology.is_whole() {
                return Err(Trouble::Away(
                    format!("{}: the cluster serves only some of its slots", address.shown).into(),
                ));
            }
            let masters = topology.masters.iter().map(|(host, port)| address.elsewhere(host, *port));
            let nodes = try_join_all(masters.map(|master| async move {
                dial(inner, &master, Some(signals)).await.map(|(connection, _)| (master, connection))
            }));
            (nodes.await?, Some(Slots::new(&topology)))
        }
        _ => (vec![(address.clone(), connection)], None),
    };
    let has_scripts = has_scripts(inner, &nodes[0].1, &address, slots.is_some()).await?;
    let (news, listening) = listen(inner, signals, &nodes, protocol).await?;
    let nodes = nodes.into_iter().zip(listening);
    let nodes = nodes.map(|((address, connection), listening)| Node { address, connection, listening }).collect();
    let has_hello = protocol == ProtocolVersion::RESP3;
    Ok(Live::new(nodes, slots, Abilities { has_scripts, has_hello }, news, Arc::clone(signals)))
}

/// The masters of a cluster, as this node sees them.
pub(super) async fn topology(inner: &Inner, connection: &MultiplexedConnection) -> Result<Topology, Trouble> {
    let mut command = cmd("CLUSTER");
    command.arg("SLOTS");
    let topology = read_topology(&ask(inner, connection, &command).await?)?;
    if topology.masters.len() > MASTERS_MAX {
        return Err(Trouble::Away(format!("the cluster has more than {MASTERS_MAX} masters").into()));
    }
    Ok(topology)
}

/// One connection to an address. News go to `signals`, if there are some and the protocol has them.
///
/// # Errors
/// Why there is none, in words for people.
pub(super) async fn dial(
    inner: &Inner,
    address: &Address,
    signals: Option<&Arc<Signals>>,
) -> Result<(MultiplexedConnection, ProtocolVersion), Trouble> {
    match dial_with(inner, address, signals, ProtocolVersion::RESP3).await {
        Err(error) if error.kind() == ErrorKind::RESP3NotSupported => {
            let connection = dial_with(inner, address, None, ProtocolVersion::RESP2).await;
            connection.map(|connection| (connection, ProtocolVersion::RESP2))
        }
        connection => connection.map(|connection| (connection, ProtocolVersion::RESP3)),
    }
    .map_err(|error| address.trouble(&error))
}

async fn dial_with(
    inner: &Inner,
    address: &Address,
    signals: Option<&Arc<Signals>>,
    protocol: ProtocolVersion,
) -> Result<MultiplexedConnection, redis::RedisError> {
    // How long a command may take is the link's business.
    let mut config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(inner.remote.connect_timeout))
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUE_LEN);
    if let Some(signals) = signals {
        let signals = Arc::clone(signals);
        config = config.set_push_sender(move |push: PushInfo| {
            signals.pushed(push);
            Ok::<(), ()>(())
        });
    }
    address.client(protocol)?.get_multiplexed_async_connection_with_config(&config).await
}

/// The first of the named addresses that lets one in; each time another is asked first.
async fn seed(
    inner: &Inner,
    signals: &Arc<Signals>,
) -> Result<(Address, MultiplexedConnection, ProtocolVersion), Trouble> {
    let count = inner.addresses.len();
    let first =
        usize::try_from(inner.counters.connect_failed.load(Ordering::Relaxed) % count.max(1) as u64).unwrap_or(0);
    let mut trouble = Trouble::Away("no address is named".into());
    for index in 0..count {
        let address = &inner.addresses[(first + index) % count];
        match dial(inner, address, Some(signals)).await {
            Ok((connection, protocol)) => return Ok((address.clone(), connection, protocol)),
            Err(why) => trouble = why,
        }
    }
    Err(trouble)
}

/// What the server says that it is, if it is of use.
async fn greeted(
    inner: &Inner,
    address: &Address,
    connection: &MultiplexedConnection,
    protocol: ProtocolVersion,
) -> Result<Greeting, Trouble> {
    let greeting = if protocol == ProtocolVersion::RESP3 {
        let mut hello = cmd("HELLO");
        hello.arg(3);
        read_hello(&ask(inner, connection, &hello).await?)
    } else {
        // A server, or what stands before it, that has no HELLO, and perhaps no INFO either.
        let info = ask(inner, connection, &cmd("INFO")).await;
        info.map(|info| read_info(&info)).unwrap_or_default()
    };
    greeting
        .judge(inner.remote.place.is_cluster)
        .map_err(|why| Trouble::Away(format!("{}: {why}", address.shown).into()))?;
    Ok(greeting)
}

impl Greeting {
    /// Whether it takes no writes, since it has them from another.
    fn is_replica(&self) -> bool {
        matches!(&*self.role, "replica" | "slave")
    }

    /// Whether it is of use; where nothing is said it is believed to be.
    pub(super) fn judge(&self, is_cluster: bool) -> Result<(), String> {
        let mut numbers = self.version.split('.').map(|part| part.parse::<u32>().ok());
        if let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next())
            && (major, minor) < VERSION_MIN
        {
            let (major, minor) = VERSION_MIN;
            return Err(format!("the server is version {}, must be {major}.{minor} or later", self.version));
        }
        match (&*self.mode, &*self.role) {
            ("cluster", _) => Ok(()),
            ("sentinel", _) => Err("this is a Sentinel, not a server that keeps data".to_owned()),
            _ if self.is_replica() => Err("the server is a read-only replica, must be a master".to_owned()),
            ("standalone", _) if is_cluster => Err("the server is no node of a cluster: use Remote::url".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Reads the answer to `HELLO`.
pub(super) fn read_hello(answer: &Value) -> Greeting {
    let mut greeting = Greeting::default();
    let Value::Map(pairs) = answer else { return greeting };
    for (name, value) in pairs {
        let (Some(name), Some(value)) = (text_of(name), text_of(value)) else { continue };
        match &*name {
            "version" => greeting.version = value,
            "mode" => greeting.mode = value,
            "role" => greeting.role = value,
            _ => {}
        }
    }
    greeting
}

/// Reads the answer to `INFO`.
pub(super) fn read_info(answer: &Value) -> Greeting {
    let text = text_of(answer).unwrap_or_default();
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(field, _)| *field == name).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    Greeting { version: field("redis_version"), mode: field("redis_mode"), role: field("role") }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        _ => None,
    }
}

/// Whether scripts run there. A cluster without them is of no use.
async fn has_scripts(
    inner: &Inner,
    connection: &MultiplexedConnection,
    address: &Address,
    is_cluster: bool,
) -> Result<bool, Trouble> {
    let mut eval = cmd("EVAL");
    eval.arg("return 1").arg(0);
    match ask(inner, connection, &eval).await {
        Ok(_) => Ok(true),
        Err(why) if why.concerns_the_tier() => Err(why),
        Err(why) if is_cluster => Err(Trouble::Away(
            format!("{}: a cluster must run scripts, and this one says: {why}", address.shown).into(),
        )),
        Err(_) => Ok(false),
    }
}

type Listeners = Vec<Option<Listening>>;

/// Begins to listen for news, as the configuration wants it or as the server can.
async fn listen(
    inner: &Inner,
    signals: &Arc<Signals>,
    nodes: &[(Address, MultiplexedConnection)],
    protocol: ProtocolVersion,
) -> Result<(News, Listeners), Trouble> {
    let refused =
        |what: &str, why: &Trouble| Trouble::Away(format!("{}: {what} is refused: {why}", nodes[0].0.shown).into());
    let nobody = || nodes.iter().map(|_| None).collect::<Listeners>();
    match inner.remote.coherence {
        Coherence::None => Ok((News::None, nobody())),
        Coherence::PubSub => match subscribe(inner, signals, &nodes[0].0, protocol).await {
            Ok(listening) => Ok((News::PubSub(None), alone(listening, nobody()))),
            Err(why) if why.concerns_the_tier() => Err(why),
            Err(why) => Err(refused("SUBSCRIBE", &why)),
        },
        Coherence::Tracking => match track_all(inner, signals, nodes).await {
            Ok(listening) => Ok((News::Tracking, listening)),
            Err(why) if why.concerns_the_tier() => Err(why),
            Err(why) => Err(refused("CLIENT TRACKING", &why)),
        },
        Coherence::Auto => match track_all(inner, signals, nodes).await {
            Ok(listening) => Ok((News::Tracking, listening)),
            Err(why) if why.concerns_the_tier() => Err(why),
            Err(why) => match subscribe(inner, signals, &nodes[0].0, protocol).await {
                Ok(listening) => Ok((News::PubSub(Some(why.to_string().into())), alone(listening, nobody()))),
                Err(other) if other.concerns_the_tier() => Err(other),
                Err(other) => {
                    Err(refused("CLIENT TRACKING", &Trouble::Server(format!("{why}; SUBSCRIBE: {other}").into())))
                }
            },
        },
    }
}

/// One node listens for all: what is published on a cluster reaches every node.
fn alone(listening: Listening, mut nobody: Listeners) -> Listeners {
    nobody[0] = Some(listening);
    nobody
}

async fn track_all(
    inner: &Inner,
    signals: &Arc<Signals>,
    nodes: &[(Address, MultiplexedConnection)],
) -> Result<Listeners, Trouble> {
    try_join_all(nodes.iter().map(|(address, _)| track(inner, signals, address))).await
}

async fn track(inner: &Inner, signals: &Arc<Signals>, address: &Address) -> Result<Option<Listening>, Trouble> {
    let (connection, protocol) = dial(inner, address, Some(signals)).await?;
    if protocol != ProtocolVersion::RESP3 {
        return Err(Trouble::Server("the server has no RESP3".into()));
    }
    let mut command = cmd("CLIENT");
    command.arg("TRACKING").arg("ON").arg("BCAST");
    for prefix in &inner.prefixes {
        command.arg("PREFIX").arg(&**prefix);
    }
    ask(inner, &connection, &command).await?;
    Ok(Some(Listening::Resp3(connection)))
}

async fn subscribe(
    inner: &Inner,
    signals: &Arc<Signals>,
    address: &Address,
    protocol: ProtocolVersion,
) -> Result<Listening, Trouble> {
    if protocol == ProtocolVersion::RESP3 {
        let (mut connection, _) = dial(inner, address, Some(signals)).await?;
        let subscribed = async { connection.subscribe(&*inner.channel).await.map_err(Trouble::from) };
        inner.in_time(inner.remote.connect_timeout, subscribed).await?;
        return Ok(Listening::Resp3(connection));
    }
    let subscribed = async {
        let client = address.client(protocol).map_err(|error| address.trouble(&error))?;
        let mut connection = client.get_async_pubsub().await.map_err(|error| address.trouble(&error))?;
        connection.subscribe(&*inner.channel).await.map_err(Trouble::from)?;
        Ok(connection)
    };
    let connection = inner.in_time(inner.remote.connect_timeout, subscribed).await?;
    let signals = Arc::clone(signals);
    let task = inner.runtime.spawn(async move {
        let mut messages = connection.into_on_message();
        while let Some(message) = messages.next().await {
            signals.published(message.get_payload_bytes().to_vec());
        }
        signals.break_off("the server has closed the connection");
    });
    Ok(Listening::Resp2(AbortOnDrop(task.abort_handle())))
}

/// Asks while the session is being made.
async fn ask(inner: &Inner, connection: &MultiplexedConnection, command: &redis::Cmd) -> Result<Value, Trouble> {
    let mut connection = connection.clone();
    let answer = async { sound(connection.send_packed_command(command).await) };
    inner.in_time(inner.remote.connect_timeout, answer).await
}

/// Both ends of a node answer, and it is a master yet, as far as it says.
pub(super) async fn ping(node: &Node, has_hello: bool) -> Result<(), Trouble> {
    let ping = cmd("PING");
    let commands = async {
        let question = if has_hello { cmd("HELLO") } else { ping.clone() };
        match sound(node.connection.clone().send_packed_command(&question).await) {
            Ok(answer) if read_hello(&answer).is_replica() => {
                Err(Trouble::Away(format!("{}: the server has become a read-only replica", node.address.shown).into()))
            }
            Err(trouble) if trouble.concerns_the_tier() => Err(trouble),
            // Who may not ask that has an answer, too.
            _ => Ok(()),
        }
    };
    let news = async {
        let Some(Listening::Resp3(listening)) = &node.listening else { return Ok(()) };
        sound(listening.clone().send_packed_command(&ping).await).map(drop)
    };
    try_join(commands, news).await.map(drop)
}

/// Connections need the runtime's I/O. Whether it has any is not to be asked, only to be tried: making a socket where there is
/// none panics (and says so, as panics do).
pub(super) fn check_io(runtime: &Handle) -> Result<(), Error> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
    // That there is no socket to try with says nothing about the runtime.
    let Ok(socket) = socket.and_then(|socket| socket.set_nonblocking(true).map(|()| socket)) else { return Ok(()) };
    let tried = catch_unwind(AssertUnwindSafe(|| {
        let _inside = runtime.enter();
        drop(tokio::net::UdpSocket::from_std(socket));
    }));
    tried.map_err(|_| {
        Error::invalid(
            "runtime has its I/O off, which the remote tier needs, must be built with enable_io or enable_all",
        )
    })
}
