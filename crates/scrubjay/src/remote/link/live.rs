//! What is connected now: one session with the server, or with all masters of a cluster.
//!
//! Each master has a connection for commands, shared by all callers, and one over which news come. In a cluster the link itself
//! knows which slot is where, and follows redirections to masters that it knows; one that it does not know ends the session, since
//! nobody has listened to that master so far.

use super::News;
use super::address::Address;
use super::breaker::Breaker;
use super::signals::Signals;
use super::slots::{Redirect, Slots, read_redirect, slot_of};
use super::transaction::Pool;
use super::trouble::{Trouble, sound};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisError, Value};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// So often a command is sent on to another master.
const REDIRECTS_MAX: usize = 4;

/// What is connected now.
pub(super) struct Live {
    /// At least one.
    pub(super) nodes: Vec<Node>,
    /// Where the slots are, in a cluster.
    pub(super) slots: Option<Slots>,
    pub(super) has_scripts: bool,
    /// Whether it says what it is when it is asked by `HELLO`.
    pub(super) has_hello: bool,
    pub(super) news: News,
    pub(super) breaker: Breaker,
    pub(super) signals: Arc<Signals>,
    pub(super) pool: Pool,
    /// Whether everybody's commands are sent, and not only the watcher's.
    is_open: AtomicBool,
    has_ended: AtomicBool,
}

/// What a server can do, as it was found when it was connected.
pub(super) struct Abilities {
    pub(super) has_scripts: bool,
    pub(super) has_hello: bool,
}

/// A master.
pub(super) struct Node {
    pub(super) address: Address,
    pub(super) connection: MultiplexedConnection,
    /// News come over it for as long as it is there.
    pub(super) listening: Option<Listening>,
}

/// A connection over which news come.
pub(super) enum Listening {
    /// It answers commands, too.
    Resp3(MultiplexedConnection),
    /// It does not: its task ends with it.
    Resp2(AbortOnDrop),
}

/// A task that ends with whoever has this.
pub(super) struct AbortOnDrop(pub(super) tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<&Address> = self.nodes.iter().map(|node| &node.address).collect();
        f.debug_struct("Live").field("nodes", &nodes).field("news", &self.news).finish_non_exhaustive()
    }
}

impl Live {
    pub(super) fn new(
        nodes: Vec<Node>,
        slots: Option<Slots>,
        Abilities { has_scripts, has_hello }: Abilities,
        news: News,
        signals: Arc<Signals>,
    ) -> Live {
        Live {
            nodes,
            slots,
            has_scripts,
            has_hello,
            news,
            breaker: Breaker::default(),
            signals,
            pool: Pool::new(),
            is_open: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        }
    }

    /// Whether everybody's commands are sent.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    pub(super) fn set_open(&self, is_open: bool) {
        if is_open {
            self.breaker.succeeded();
        }
        self.is_open.store(is_open, Ordering::Release);
    }

    /// Whether nothing will be sent over it any more.
    #[inline]
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    pub(super) fn end(&self) {
        self.set_open(false);
        self.has_ended.store(true, Ordering::Release);
    }

    /// The number of the master that a command belongs to.
    #[inline]
    pub(super) fn node_of(&self, command: &Cmd) -> usize {
        let Some(slots) = &self.slots else { return 0 };
        // Of a slot that nobody serves any master may say so.
        slot_of(command).and_then(|slot| slots.master(slot)).unwrap_or(0)
    }

    /// Goes after a command that was sent to a master of a cluster, as far as the answers send it on.
    pub(super) async fn follow(
        &self,
        mut node: usize,
        command: &Cmd,
        mut answer: Result<Value, RedisError>,
    ) -> Result<Value, Trouble> {
        for _ in 0..REDIRECTS_MAX {
            match redirect_of(&answer) {
                None => return sound(answer),
                Some(Redirect::Moved { slot, host, port }) => node = self.moved(slot, node, &host, port)?,
                Some(Redirect::Ask { host, port }) => return self.ask(node, &host, port, command).await,
            }
            answer = self.connection(node).send_packed_command(command).await;
        }
        Err(Trouble::Away("the cluster sends commands in a circle".into()))
    }

    /// Sends commands together to one master. An answer may be a redirection.
    pub(super) async fn send_together(&self, node: usize, pipeline: &Pipeline) -> Result<Vec<Value>, Trouble> {
        let answers = self.connection(node).send_packed_commands(pipeline, 0, pipeline.len()).await?;
        match answers.len() == pipeline.len() {
            true => Ok(answers),
            false => Err(Trouble::Server("the server has answered something else".into())),
        }
    }

    /// Whether an answer of this master says that the command belongs to another; if for good, that is noted.
    pub(super) fn is_redirected(&self, node: usize, answer: &Value) -> bool {
        let Value::ServerError(error) = answer else { return false };
        if self.slots.is_none() {
            return false;
        }
        let redirect = error.details().and_then(|detail| read_redirect(error.code(), detail));
        if let Some(Redirect::Moved { slot, host, port }) = &redirect {
            // To a master that is not known, it is said by the one who tries again.
            let _ = self.moved(*slot, node, host, *port);
        }
        redirect.is_some()
    }

    fn connection(&self, node: usize) -> MultiplexedConnection {
        self.nodes[node].connection.clone()
    }

    /// Notes that a slot is another master's, and says which.
    fn moved(&self, slot: u16, from: usize, host: &str, port: u16) -> Result<usize, Trouble> {
        let Some(to) = self.find(from, host, port) else {
            let why = "a slot of the cluster has moved to a master that is not connected yet";
            self.signals.break_off(why);
            return Err(Trouble::Away(why.into()));
        };
        if let Some(slots) = &self.slots {
            slots.set(slot, to);
        }
        Ok(to)
    }

    fn find(&self, seed: usize, host: &str, port: u16) -> Option<usize> {
        let seed = &self.nodes[seed].address;
        self.nodes.iter().position(|node| node.address.is(seed, host, port))
    }

    /// Asks the master to which a slot is moving just now. It listens to the command right after `ASKING`, so both are sent as one.
    async fn ask(&self, from: usize, host: &str, port: u16, command: &Cmd) -> Result<Value, Trouble> {
        let Some(to) = self.find(from, host, port) else {
            // The slot is that master's soon, and then the session is made anew.
            return Err(Trouble::Server("the key is on its way to a master that is not connected yet".into()));
        };
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("ASKING").add_command(command.clone());
        let answer = self.send_together(to, &pipeline).await?.pop();
        sound(Ok(answer.unwrap_or_default()))
    }
}

/// Where an answer says that the command belongs.
pub(super) fn redirect_of(answer: &Result<Value, RedisError>) -> Option<Redirect> {
    match answer {
        Ok(Value::ServerError(error)) => read_redirect(error.code(), error.details()?),
        Ok(_) => None,
        Err(error) => read_redirect(error.code()?, error.detail()?),
    }
}
