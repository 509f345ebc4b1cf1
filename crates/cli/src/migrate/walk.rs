//! The walk through one database of one master: pages of SCAN, cut into chunks that fit into memory, with what DUMP says.
//!
//! **Invariant:** a chunk says where the walk stands after it only if everything before is in this chunk or an earlier one, so
//! whoever has written all chunks up to that one may go on from there.

use super::content::Expiry;
use super::pace::Pace;
use super::reply;
use super::server::{about, command};
use super::state::Walk;
use super::stop::Stop;
use super::store::{Answer, Group, Store, time_to_live};
use crate::clock::monotonic;
use anyhow::Result;
use redis::Value;
use std::collections::{HashSet, VecDeque};

/// Bytes of values that are read at once, unless a single one is larger.
const CHUNK_BYTES: u64 = 4 << 20;

/// What is to be read of each key.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) pattern: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) batch: u64,
    pub(super) value_bytes_max: u64,
    /// Whether values are read, and not names alone.
    pub(super) reads_values: bool,
    /// Whether times are Unix times.
    pub(super) is_absolute: bool,
}

/// One key of a chunk.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) key: Vec<u8>,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Dump(Vec<u8>, Expiry),
    /// The source has no DUMP that is of use: it is to be read as what it is.
    Unread,
    Gone,
    TooLarge(u64),
    Refused(String),
}

/// Keys that are handled together.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) reads: Vec<Read>,
    pub(super) bytes: u64,
    /// Where the walk stands when this is done.
    pub(super) after: Option<String>,
}

/// Chunk after chunk of a walk.
pub(super) struct Walker<'a> {
    pub(super) store: Store,
    pub(super) choice: Choice,
    pub(super) pace: &'a mut Pace,
    pub(super) stop: &'a Stop,
    address: String,
    run_id: String,
    cursor: String,
    is_over: bool,
    planned: VecDeque<Planned>,
    /// Whether DUMP is of use.
    pub(super) has_dump: bool,
    pub(super) pages: u64,
    /// The source was started anew under way.
    pub(super) restarts: u64,
}

/// Keys that will be a chunk.
struct Planned {
    keys: Vec<(Vec<u8>, Option<What>)>,
    bytes: u64,
    after: Option<String>,
}

impl<'a> Walker<'a> {
    pub(super) fn new(store: Store, walk: &Walk, choice: Choice, pace: &'a mut Pace, stop: &'a Stop) -> Walker<'a> {
        Walker {
            store,
            choice,
            pace,
            stop,
            address: walk.address.clone(),
            run_id: walk.run_id.clone(),
            cursor: walk.cursor.clone(),
            is_over: walk.is_done,
            planned: VecDeque::new(),
            has_dump: true,
            pages: 0,
            restarts: 0,
        }
    }

    /// The next chunk; `None` at the end, or when it is to stop.
    pub(super) async fn next(&mut self) -> Result<Option<Chunk>> {
        while self.planned.is_empty() {
            if self.is_over || self.stop.is_asked() {
                return Ok(None);
            }
            let wait = self.pace.wait(monotonic());
            if !wait.is_zero() && self.stop.asked_within(wait).await {
                return Ok(None);
            }
            self.plan().await?;
        }
        if self.stop.is_asked() {
            return Ok(None);
        }
        let Some(planned) = self.planned.pop_front() else { return Ok(None) };
        let count = u64::try_from(planned.keys.len()).unwrap_or(u64::MAX);
        let mut chunk = Chunk { reads: Vec::new(), bytes: planned.bytes, after: planned.after };
        chunk.reads = self.read(planned.keys).await?;
        let len = |read: &Read| if let What::Dump(dump, _) = &read.what { dump.len() } else { 0 };
        let len = u64::try_from(chunk.reads.iter().map(len).sum::<usize>()).unwrap_or(u64::MAX);
        self.pace.charge(count, len.max(if self.has_dump { 0 } else { planned.bytes }), monotonic());
        Ok(Some(chunk))
    }

    /// One page of SCAN.
    async fn plan(&mut self) -> Result<()> {
        let mut scan = command(&["SCAN", &self.cursor]);
        if let Some(pattern) = &self.choice.pattern {
            scan.arg("MATCH").arg(pattern);
        }
        scan.arg("COUNT").arg(self.pace.batch(self.choice.batch));
        if let Some(kind) = &self.choice.kind {
            scan.arg("TYPE").arg(kind);
        }
        let page = self.store.on(&self.address, &scan).await?;
        let own = self.store.nodes.iter().find(|node| node.address() == self.address);
        if let Some(node) = own.filter(|node| node.facts.run_id != self.run_id) {
            // The cursor was another process': this page, and those before, may lack keys.
            self.run_id.clone_from(&node.facts.run_id);
            "0".clone_into(&mut self.cursor);
            self.restarts += 1;
            return Ok(());
        }
        let mut page = reply::array(page)?.into_iter();
        self.cursor = reply::text(page.next().unwrap_or_default())?;
        self.is_over = self.cursor == "0";
        self.pages += 1;
        let mut known = HashSet::new();
        let keys = reply::array(page.next().unwrap_or_default())?.into_iter().map(reply::bytes);
        let keys: Vec<Vec<u8>> = keys.collect::<Result<_>>()?;
        let keys: Vec<Vec<u8>> = keys.into_iter().filter(|key| known.insert(key.clone())).collect();
        let sizes =
            if self.choice.reads_values { sizes(&mut self.store, &keys).await? } else { vec![Some(0); keys.len()] };
        self.cut(keys, sizes);
        Ok(())
    }

    /// Cuts a page into chunks.
    fn cut(&mut self, keys: Vec<Vec<u8>>, sizes: Vec<Option<u64>>) {
        let new = || Planned { keys: Vec::new(), bytes: 0, after: None };
        let mut planned = new();
        for (key, size) in keys.into_iter().zip(sizes) {
            let what = match size {
                None => Some(What::Gone),
                Some(size) if size > self.choice.value_bytes_max => Some(What::TooLarge(size)),
                Some(_) => None,
            };
            let size = if what.is_some() { 0 } else { size.unwrap_or(0) };
            if !planned.keys.is_empty() && planned.bytes.saturating_add(size) > CHUNK_BYTES {
                self.planned.push_back(std::mem::replace(&mut planned, new()));
            }
            planned.bytes = planned.bytes.saturating_add(size);
            planned.keys.push((key, what));
        }
        planned.after = Some(self.cursor.clone());
        self.planned.push_back(planned);
    }

    async fn read(&mut self, keys: Vec<(Vec<u8>, Option<What>)>) -> Result<Vec<Read>> {
        self.has_dump = self.has_dump && self.store.knows("DUMP").await?;
        if !self.choice.reads_values || !self.has_dump {
            return Ok(keys.into_iter().map(|(key, what)| Read { key, what: what.unwrap_or(What::Unread) }).collect());
        }
        let is_absolute = self.choice.is_absolute;
        let wanted = keys.iter().filter(|(_, what)| what.is_none());
        let groups: Vec<Group> = wanted.map(|(key, _)| dumping(key, is_absolute)).collect();
        let mut answers = self.store.ask(&groups).await?.into_iter();
        let read = |(key, what): (Vec<u8>, Option<What>)| {
            let what =
                what.unwrap_or_else(|| answers.next().map_or(What::Unread, |answer| dumped(answer, is_absolute)));
            Read { key, what }
        };
        Ok(keys.into_iter().map(read).collect())
    }
}

/// About how many bytes each key takes; `None` is gone.
pub(super) async fn sizes(store: &mut Store, keys: &[Vec<u8>]) -> Result<Vec<Option<u64>>> {
    let words: &[&str] = if store.knows("MEMORY USAGE").await? { &["MEMORY", "USAGE"] } else { &["STRLEN"] };
    let groups: Vec<Group> = keys.iter().map(|key| Group::plain(key, vec![about(words, key)])).collect();
    let answers = store.ask(&groups).await?;
    let size = |answer: Answer| match answer.replies().map(|mut replies| replies.pop().unwrap_or_default()) {
        Ok(Value::Nil) => None,
        Ok(reply) => Some(reply::integer(reply).ok().and_then(|size| u64::try_from(size).ok()).unwrap_or(0)),
        // STRLEN of what is no string.
        Err(_) => Some(0),
    };
    Ok(answers.into_iter().map(size).collect())
}

/// Asks for a key's value and time, of one moment.
pub(super) fn dumping(key: &[u8], is_absolute: bool) -> Group {
    Group::atomic(key, vec![about(&["DUMP"], key), time_to_live(key, is_absolute)])
}

/// What [`dumping`] was answered.
pub(super) fn dumped(answer: Answer, is_absolute: bool) -> What {
    let read = answer.replies().and_then(|replies| {
        let mut replies = replies.into_iter();
        let dump = reply::optional_bytes(replies.next().unwrap_or_default())?;
        Ok((dump, Expiry::read(replies.next().unwrap_or_default(), is_absolute)?))
    });
    match read {
        Ok((Some(dump), Some(expiry))) => What::Dump(dump, expiry),
        Ok(_) => What::Gone,
        Err(error) => What::Refused(error.to_string()),
    }
}
