//! Streams with what hangs on them: the last id, consumer groups, their consumers, and what these have not acknowledged.

use super::reply;
use super::server::about;
use super::store::{Group, Store};
use anyhow::{Result, bail};
use redis::{Cmd, Value};

/// Unacknowledged entries of one group that are read at once.
const PENDING_AT_ONCE: usize = 1_000;

/// A stream. Two are equal if all is but how long ago somebody took an entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stream {
    entries: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
    last_id: Vec<u8>,
    /// How many were ever added and the highest id that was removed, where the server keeps that (since Redis 7).
    added: Option<(i64, Vec<u8>)>,
    groups: Vec<ConsumerGroup>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct ConsumerGroup {
    name: Vec<u8>,
    last_id: Vec<u8>,
    read: Option<i64>,
    consumers: Vec<Vec<u8>>,
    pending: Vec<Pending>,
}

#[derive(Clone, Debug)]
struct Pending {
    id: Vec<u8>,
    consumer: Vec<u8>,
    idle_ms: i64,
    deliveries: i64,
}

impl PartialEq for Pending {
    fn eq(&self, other: &Pending) -> bool {
        (&self.id, &self.consumer, self.deliveries) == (&other.id, &other.consumer, other.deliveries)
    }
}

impl Stream {
    /// What XRANGE answered.
    pub(super) fn of_entries(value: Value) -> Result<Stream> {
        let entry = |entry: Value| {
            let mut parts = reply::array(entry)?.into_iter();
            let id = reply::bytes(parts.next().unwrap_or_default())?;
            let fields = reply::array(parts.next().unwrap_or_default())?;
            Ok((id, fields.into_iter().map(reply::bytes).collect::<Result<_>>()?))
        };
        let entries = reply::array(value)?.into_iter().map(entry).collect::<Result<_>>()?;
        Ok(Stream { entries, ..Stream::default() })
    }

    /// The commands that make it.
    pub(super) fn commands(&self, key: &[u8]) -> Vec<Cmd> {
        let mut commands = Vec::new();
        for (id, fields) in &self.entries {
            let mut add = about(&["XADD"], key);
            add.arg(id.as_slice());
            fields.iter().for_each(|field| {
                add.arg(field.as_slice());
            });
            commands.push(add);
        }
        if self.entries.is_empty() {
            // A group makes a stream without entries, and may go again.
            let mut create = about(&["XGROUP", "CREATE"], key);
            create.arg("scrubjay").arg(0).arg("MKSTREAM");
            let mut destroy = about(&["XGROUP", "DESTROY"], key);
            destroy.arg("scrubjay");
            commands.extend([create, destroy]);
        }
        if self.last_id != b"0-0" {
            let mut set_id = about(&["XSETID"], key);
            set_id.arg(self.last_id.as_slice());
            if let Some((added, deleted)) = &self.added {
                set_id.arg("ENTRIESADDED").arg(*added).arg("MAXDELETEDID").arg(deleted.as_slice());
            }
            commands.push(set_id);
        }
        self.groups.iter().for_each(|group| group.make(key, &mut commands));
        commands
    }
}

impl ConsumerGroup {
    fn make(&self, key: &[u8], commands: &mut Vec<Cmd>) {
        let mut create = about(&["XGROUP", "CREATE"], key);
        create.arg(self.name.as_slice()).arg(self.last_id.as_slice());
        if let Some(read) = self.read {
            create.arg("ENTRIESREAD").arg(read);
        }
        commands.push(create);
        for consumer in &self.consumers {
            let mut create = about(&["XGROUP", "CREATECONSUMER"], key);
            create.arg(self.name.as_slice()).arg(consumer.as_slice());
            commands.push(create);
        }
        for Pending { id, consumer, idle_ms, deliveries } in &self.pending {
            let mut claim = about(&["XCLAIM"], key);
            claim.arg(self.name.as_slice()).arg(consumer.as_slice()).arg(0).arg(id.as_slice());
            claim.arg("IDLE").arg(*idle_ms).arg("RETRYCOUNT").arg(*deliveries).arg("FORCE").arg("JUSTID");
            commands.push(claim);
        }
    }
}

/// Reads what hangs on a stream. It is no transaction with its entries: a group that is made meanwhile may be missing.
pub(super) async fn with_groups(store: &mut Store, key: &[u8], mut stream: Stream) -> Result<Result<Box<Stream>>> {
    let info = Group::plain(key, vec![about(&["XINFO", "STREAM"], key), about(&["XINFO", "GROUPS"], key)]);
    let Some(answer) = store.ask(&[info]).await?.pop() else { bail!("no answer came") };
    let read = answer.replies().and_then(|replies| described(&mut stream, replies));
    let groups = match read {
        Ok(groups) => groups,
        Err(error) => return Ok(Err(error)),
    };
    for mut group in groups {
        match members(store, key, &mut group).await? {
            Ok(()) => stream.groups.push(group),
            Err(error) => return Ok(Err(error)),
        }
    }
    stream.groups.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Ok(Box::new(stream)))
}

fn described(stream: &mut Stream, replies: Vec<Value>) -> Result<Vec<ConsumerGroup>> {
    let mut replies = replies.into_iter();
    let about = reply::array(replies.next().unwrap_or_default())?;
    let field = |name: &str| reply::field(&about, name);
    stream.last_id = field("last-generated-id").map_or(Ok(b"0-0".to_vec()), reply::bytes)?;
    if let (Some(added), Some(deleted)) = (field("entries-added"), field("max-deleted-entry-id")) {
        stream.added = Some((reply::integer(added)?, reply::bytes(deleted)?));
    }
    let group = |value: Value| {
        let about = reply::array(value)?;
        let field = |name: &str| reply::field(&about, name).unwrap_or_default();
        Ok(ConsumerGroup {
            name: reply::bytes(field("name"))?,
            last_id: reply::bytes(field("last-delivered-id"))?,
            read: reply::integer(field("entries-read")).ok(),
            ..ConsumerGroup::default()
        })
    };
    reply::array(replies.next().unwrap_or_default())?.into_iter().map(group).collect()
}

/// The consumers of a group and what they have not acknowledged.
async fn members(store: &mut Store, key: &[u8], group: &mut ConsumerGroup) -> Result<Result<()>> {
    let mut consumers = about(&["XINFO", "CONSUMERS"], key);
    consumers.arg(group.name.as_slice());
    let Some(answer) = store.ask(&[Group::plain(key, vec![consumers])]).await?.pop() else { bail!("no answer came") };
    let names = answer.replies().and_then(|mut replies| {
        let rows = reply::array(replies.pop().unwrap_or_default())?;
        let name = |row| reply::bytes(reply::field(&reply::array(row)?, "name").unwrap_or_default());
        rows.into_iter().map(name).collect::<Result<Vec<_>>>()
    });
    match names {
        Ok(names) => group.consumers = names,
        Err(error) => return Ok(Err(error)),
    }
    group.consumers.sort_unstable();
    let mut from = b"-".to_vec();
    loop {
        let mut ask = about(&["XPENDING"], key);
        ask.arg(group.name.as_slice()).arg(from.as_slice()).arg("+").arg(PENDING_AT_ONCE);
        let Some(answer) = store.ask(&[Group::plain(key, vec![ask])]).await?.pop() else { bail!("no answer came") };
        let rows = answer.replies().and_then(|mut replies| {
            reply::array(replies.pop().unwrap_or_default())?.into_iter().map(pending).collect::<Result<Vec<_>>>()
        });
        match rows {
            Ok(rows) => {
                let is_last = rows.len() < PENDING_AT_ONCE;
                group.pending.extend(rows);
                let Some(last) = group.pending.last().filter(|_| !is_last) else { return Ok(Ok(())) };
                from = [b"(", last.id.as_slice()].concat();
            }
            Err(error) => return Ok(Err(error)),
        }
    }
}

fn pending(row: Value) -> Result<Pending> {
    let mut parts = reply::array(row)?.into_iter();
    let mut next = || parts.next().unwrap_or_default();
    Ok(Pending {
        id: reply::bytes(next())?,
        consumer: reply::bytes(next())?,
        idle_ms: reply::integer(next())?,
        deliveries: reply::integer(next())?,
    })
}
