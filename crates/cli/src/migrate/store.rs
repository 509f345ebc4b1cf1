//! A live store: one server or all masters of a cluster, in one database. Commands go where their key is; a slot that moves, a
//! connection that breaks and a server that is busy are waited for within limits, and everything else is the caller's.
//!
//! **Invariant:** what is sent again may have been done already, since an answer can be lost: callers send only what may be done twice.

use super::reply::{self, Weight};
use super::server::{Facts, Server, about, command};
use super::slots::{SLOTS, slot};
use anyhow::{Result, anyhow, bail};
use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisError, ServerError, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often something is tried that ought to pass, in a row without any progress.
const TRIES: u32 = 12;

/// Commands about one key, which go together.
pub(super) struct Group {
    pub(super) key: Vec<u8>,
    pub(super) commands: Vec<Cmd>,
    /// As one transaction.
    pub(super) is_atomic: bool,
}

impl Group {
    pub(super) fn plain(key: &[u8], commands: Vec<Cmd>) -> Group {
        Group { key: key.to_vec(), commands, is_atomic: false }
    }

    pub(super) fn atomic(key: &[u8], commands: Vec<Cmd>) -> Group {
        Group { key: key.to_vec(), commands, is_atomic: true }
    }
}

/// What became of a group.
#[derive(Debug)]
pub(super) enum Answer {
    /// A reply per command; some may be errors.
    Replies(Vec<Value>),
    /// The transaction was refused, and nothing of it done.
    Refused(ServerError),
    /// A key that the transaction watched had changed, and nothing of it was done.
    Changed,
}

impl Answer {
    /// The replies, or the first error in words.
    pub(super) fn replies(self) -> Result<Vec<Value>> {
        match self {
            Answer::Replies(replies) => match reply::first_error(&replies) {
                Some(error) => Err(anyhow!("{}", reply::said(error))),
                None => Ok(replies),
            },
            Answer::Refused(error) => Err(anyhow!("{}", reply::said(&error))),
            Answer::Changed => Err(anyhow!("it changed meanwhile")),
        }
    }

    /// The first error, if there is one.
    pub(super) fn error(&self) -> Option<&ServerError> {
        match self {
            Answer::Replies(replies) => reply::first_error(replies),
            Answer::Refused(error) => Some(error),
            Answer::Changed => None,
        }
    }
}

/// One master.
pub(super) struct Node {
    server: Server,
    connection: MultiplexedConnection,
    pub(super) facts: Facts,
}

impl Node {
    pub(super) fn address(&self) -> String {
        self.server.address()
    }
}

/// One server, or all masters of a cluster.
pub(super) struct Store {
    seed: Server,
    db: i64,
    pub(super) nodes: Vec<Node>,
    /// The node of each slot; `None` without a cluster.
    owners: Option<Vec<usize>>,
    /// Which commands it has, of those that were asked for.
    known: BTreeMap<&'static str, bool>,
    /// Answers that were errors which pass, moved slots and broken connections.
    pub(super) repeats: u64,
}

/// Why something is sent again.
enum Again {
    Lost(anyhow::Error),
    Moved,
    Ask(Box<Server>),
    Passing(String),
}

impl Store {
    /// Connects to every master.
    pub(super) async fn open(seed: &Server, db: i64) -> Result<Store> {
        let (nodes, owners) = topology(seed, db).await?;
        Ok(Store { seed: seed.clone(), db, nodes, owners, known: BTreeMap::new(), repeats: 0 })
    }

    /// Looks for the masters anew.
    pub(super) async fn refresh(&mut self) -> Result<()> {
        let mut outcome = topology(&self.seed, self.db).await;
        for node in &self.nodes {
            if outcome.is_ok() || self.owners.is_none() {
                break;
            }
            // The node that we know by name may be the one that is gone.
            outcome = topology(&node.server, self.db).await;
        }
        (self.nodes, self.owners) = outcome?;
        Ok(())
    }

    /// The addresses of the masters with their slots, to see whether they moved.
    pub(super) fn layout(&self) -> BTreeMap<String, Vec<usize>> {
        let mut layout: BTreeMap<String, Vec<usize>> =
            self.nodes.iter().map(|node| (node.address(), Vec::new())).collect();
        for (slot, &owner) in self.owners.iter().flatten().enumerate() {
            if let Some(node) = self.nodes.get(owner) {
                layout.entry(node.address()).or_default().push(slot);
            }
        }
        layout
    }

    /// Whether the server has a command. It is asked without arguments: an error that repeats them, when they are no UTF-8,
    /// would end the connection.
    pub(super) async fn knows(&mut self, name: &'static str) -> Result<bool> {
        if let Some(known) = self.known.get(name) {
            return Ok(*known);
        }
        let Some(address) = self.nodes.first().map(Node::address) else { bail!("the {} has no node", self.seed.side) };
        let words: Vec<&str> = name.split(' ').collect();
        let reply = self.on(&address, &command(&words)).await?;
        let is_known = !matches!(&reply, Value::ServerError(error) if reply::is_unknown_command(error));
        self.known.insert(name, is_known);
        Ok(is_known)
    }

    /// One command to the node of that address, whatever its keys.
    pub(super) async fn on(&mut self, address: &str, command: &Cmd) -> Result<Value> {
        let mut tries = 0;
        loop {
            let Some(node) = self.nodes.iter().find(|node| node.address() == address) else {
                bail!("the {} {address} is no master any more", self.seed.side);
            };
            let again = match node.connection.clone().send_packed_command(command).await {
                Ok(Value::ServerError(error)) => match self.concern(&error)? {
                    Some(again) => again,
                    None => return Ok(Value::ServerError(error)),
                },
                Ok(value) => return Ok(value),
                Err(error) if error.is_io_error() || error.is_connection_dropped() => {
                    Again::Lost(node.server.because(&error))
                }
                Err(error) => return Err(node.server.because(&error)),
            };
            tries += 1;
            self.prepare(&again, tries).await?;
        }
    }

    /// Sends every group where its key is, and gives the answers in the order of the groups.
    ///
    /// # Errors
    /// What no other command would fare better with, and what did not pass within the limits.
    pub(super) async fn ask(&mut self, groups: &[Group]) -> Result<Vec<Answer>> {
        let mut answers: Vec<Option<Answer>> = groups.iter().map(|_| None).collect();
        let mut tries = 0;
        loop {
            let open: Vec<usize> = (0..groups.len()).filter(|&at| answers[at].is_none()).collect();
            if open.is_empty() {
                return Ok(answers.into_iter().flatten().collect());
            }
            let before = open.len();
            let mut again = None;
            for (at, outcome) in self.send(groups, &open).await {
                match outcome {
                    Ok(answer) => match self.judged(answer)? {
                        Ok(answer) => answers[at] = Some(answer),
                        Err(Again::Ask(server)) => {
                            answers[at] = asked(&server, &groups[at]).await.ok();
                            again.get_or_insert(Again::Passing("a slot is being moved".to_owned()));
                        }
                        Err(why) => again = Some(why),
                    },
                    Err(error) => again = Some(Again::Lost(error)),
                }
            }
            let left = answers.iter().filter(|answer| answer.is_none()).count();
            if left == 0 {
                continue;
            }
            tries = if left < before { 1 } else { tries + 1 };
            self.prepare(&again.unwrap_or(Again::Moved), tries).await?;
        }
    }

    /// One pipeline per node.
    async fn send(&self, groups: &[Group], open: &[usize]) -> Vec<(usize, Result<Answer>)> {
        let mut by_node: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &at in open {
            let node = self.owners.as_ref().map_or(0, |owners| owners[slot(&groups[at].key)]);
            by_node.entry(node).or_default().push(at);
        }
        let sent = by_node.into_iter().map(async |(node, ats)| {
            let wanted: Vec<&Group> = ats.iter().map(|&at| &groups[at]).collect();
            let outcome = match self.nodes.get(node) {
                None => Err(anyhow!("a slot has no master")),
                Some(node) => {
                    pipelined(&mut node.connection.clone(), &wanted).await.map_err(|error| node.server.because(&error))
                }
            };
            match outcome {
                Ok(answers) => ats.into_iter().zip(answers.into_iter().map(Ok)).collect::<Vec<_>>(),
                Err(error) => ats.into_iter().map(|at| (at, Err(anyhow!("{error}")))).collect(),
            }
        });
        join_all(sent).await.into_iter().flatten().collect()
    }

    /// Whether an answer stands, or is to be had otherwise.
    fn judged(&self, answer: Answer) -> Result<Result<Answer, Again>> {
        Ok(match answer.error().map(|error| self.concern(error)).transpose()?.flatten() {
            Some(again) => Err(again),
            None => Ok(answer),
        })
    }

    /// What an error is to the whole copy: its end, a reason to try again, or nothing.
    fn concern(&self, error: &ServerError) -> Result<Option<Again>> {
        let (side, said) = (self.seed.side, reply::said(error));
        Ok(match reply::weight(error) {
            Weight::OfTheKey => None,
            Weight::Moved => Some(Again::Moved),
            Weight::Passing => Some(Again::Passing(said)),
            Weight::Ask => {
                let address = error.details().and_then(|details| details.split(' ').nth(1)).unwrap_or_default();
                let (host, port) = address.rsplit_once(':').unwrap_or_default();
                Some(Again::Ask(Box::new(self.seed.at(host, port.parse().unwrap_or(0)))))
            }
            Weight::Fatal => match error.code() {
                "OOM" => bail!("the {side} is out of memory, and takes nothing more: {said}"),
                "READONLY" => bail!("the {side} is a replica, and takes no writes: {said}"),
                _ => bail!("the {side} refuses: {said}"),
            },
        })
    }

    /// Waits, and mends what has to be mended before the next try.
    async fn prepare(&mut self, again: &Again, tries: u32) -> Result<()> {
        self.repeats += 1;
        if tries > TRIES {
            return Err(match again {
                Again::Lost(error) => anyhow!("{error}"),
                Again::Passing(said) => anyhow!("the {} still says: {said}", self.seed.side),
                Again::Moved | Again::Ask(_) => anyhow!("the {}'s slots keep moving", self.seed.side),
            });
        }
        if tries > 1 || !matches!(again, Again::Moved) {
            tokio::time::sleep(Duration::from_millis(20 << tries.min(7))).await;
        }
        if matches!(again, Again::Lost(_) | Again::Moved) {
            // Not reached: the next try will say so, and is counted.
            let _ = self.refresh().await;
        }
        Ok(())
    }
}

/// One key's commands at the node that is taking its slot over. There they are no transaction.
async fn asked(server: &Server, group: &Group) -> Result<Answer> {
    let mut connection = server.connect(0).await?;
    let mut pipeline = Pipeline::new();
    for wanted in &group.commands {
        pipeline.add_command(command(&["ASKING"]));
        pipeline.add_command(wanted.clone());
    }
    let replies = connection.send_packed_commands(&pipeline, 0, pipeline.len()).await;
    let replies = replies.map_err(|error| server.because(&error))?;
    let replies: Vec<Value> = replies.into_iter().skip(1).step_by(2).collect();
    match reply::first_error(&replies).map(reply::weight) {
        Some(Weight::Moved | Weight::Ask | Weight::Passing) => bail!("not there yet"),
        _ => Ok(Answer::Replies(replies)),
    }
}

async fn pipelined(connection: &mut MultiplexedConnection, groups: &[&Group]) -> Result<Vec<Answer>, RedisError> {
    let mut pipeline = Pipeline::new();
    for group in groups {
        if group.is_atomic {
            pipeline.add_command(command(&["MULTI"]));
        }
        for wanted in &group.commands {
            pipeline.add_command(wanted.clone());
        }
        if group.is_atomic {
            pipeline.add_command(command(&["EXEC"]));
        }
    }
    let replies = connection.send_packed_commands(&pipeline, 0, pipeline.len()).await?;
    let mut replies = replies.into_iter();
    Ok(groups.iter().map(|group| taken(group, &mut replies)).collect())
}

/// The answer to one group, from the replies to its pipeline.
fn taken(group: &Group, replies: &mut impl Iterator<Item = Value>) -> Answer {
    let len = group.commands.len();
    if !group.is_atomic {
        return Answer::Replies(replies.take(len).collect());
    }
    let queued: Vec<Value> = replies.take(len + 1).collect();
    let executed = replies.next().unwrap_or_default();
    if let Some(error) = reply::first_error(&queued) {
        return Answer::Refused(error.clone());
    }
    match executed {
        Value::Array(replies) => Answer::Replies(replies),
        Value::ServerError(error) => Answer::Refused(error),
        _ => Answer::Changed,
    }
}

/// The masters, and which of them has which slot.
async fn topology(seed: &Server, db: i64) -> Result<(Vec<Node>, Option<Vec<usize>>)> {
    let mut connection = seed.connect(db).await?;
    let facts = seed.facts_on(&mut connection).await?;
    if !facts.is_cluster {
        return Ok((vec![Node { server: seed.clone(), connection, facts }], None));
    }
    let reply = connection.send_packed_command(&command(&["CLUSTER", "SLOTS"])).await;
    let reply = reply.map_err(|error| seed.because(&error))?;
    let mut nodes: Vec<Node> = Vec::new();
    let mut owners = vec![usize::MAX; SLOTS];
    for range in reply::array(reply)? {
        let mut range = reply::array(range)?.into_iter();
        let mut next = || range.next().ok_or_else(|| anyhow!("CLUSTER SLOTS answers too little"));
        let (first, last) = (reply::integer(next()?)?, reply::integer(next()?)?);
        let mut master = reply::array(next()?)?.into_iter();
        let host = master.next().map(reply::optional_bytes).transpose()?.flatten().unwrap_or_default();
        let port = master.next().map_or(Ok(0), reply::integer)?;
        let server = seed.at(&String::from_utf8_lossy(&host), u16::try_from(port)?);
        let at = match nodes.iter().position(|node| node.address() == server.address()) {
            Some(at) => at,
            None => {
                let mut connection = server.connect(0).await?;
                let facts = server.facts_on(&mut connection).await?;
                nodes.push(Node { server, connection, facts });
                nodes.len() - 1
            }
        };
        let slots = usize::try_from(first)?..usize::try_from(last)?.saturating_add(1).min(SLOTS);
        owners.get_mut(slots).into_iter().flatten().for_each(|owner| *owner = at);
    }
    if nodes.is_empty() {
        bail!("the {} is a cluster without slots", seed.side);
    }
    Ok((nodes, Some(owners)))
}

/// A key's time to live, as a command that both sides know asks for it.
pub(super) fn time_to_live(key: &[u8], is_absolute: bool) -> Cmd {
    about(&[if is_absolute { "PEXPIRETIME" } else { "PTTL" }], key)
}
