//! Inserts and removals: at once, or noted for later.

use super::super::counters::Count;
use super::super::echo::Sum;
use super::super::link::{Link, Trouble};
use super::super::missed::Op;
use super::super::names::KeyNames;
use super::super::scripts::{self, Act, Answer};
use super::super::transactions;
use super::{Encoded, Inner, RemoteTier, Removal, millis};
use crate::entry::SharedBorn;
use crate::error::BoxError;
use crate::kept::{NewKept, NotKept};
use bytes::Bytes;
use std::sync::Arc;

/// Keys that are sent together.
const BATCH: usize = 512;
/// Of a value that is on its way, at least: half of what the link expects.
const BYTES_PER_MS: usize = 8 << 10;

impl RemoteTier {
    /// Writes and packs an entry with the payload that `write` appends, or one of a key that has no value. `None` if it cannot be
    /// kept, which is counted by reason.
    pub(crate) fn encode(
        &self,
        new: &NewKept<'_>,
        born: SharedBorn,
        write: Option<impl FnOnce(&mut Vec<u8>) -> Result<(), BoxError>>,
    ) -> Option<Encoded> {
        let inner = &self.inner;
        // Which of two entries is the later one hangs on it, whether they expire or not.
        let mut new = *new;
        if new.times.stored_at_ms == 0 {
            new.times.stored_at_ms = inner.clock.now_ms();
        }
        let new = &new;
        let bytes = if inner.remote.is_raw {
            let mut value = Vec::new();
            let write = write.ok_or(NotKept::NotEncoded);
            write.and_then(|write| write(&mut value).map_err(|_| NotKept::NotEncoded)).map(|()| Bytes::from(value))
        } else {
            inner.keeping.write_shared(new, born, write, |written| Bytes::copy_from_slice(written.bytes))
        };
        let why = match bytes {
            Ok(bytes) if bytes.len() <= inner.remote.value_bytes_max => {
                let stored_at_ms = inner.keeping.anchor.to_unix(new.times).stored_at_ms;
                let may_wait = !inner.remote.is_raw && born.generation != 0 && stored_at_ms != 0;
                return Some(Encoded { bytes, expires_ms: inner.expires_ms(new), stored_at_ms, may_wait });
            }
            Ok(_) | Err(NotKept::TooLarge) => Count::TooLarge,
            Err(NotKept::NotEncoded) => Count::NotEncoded,
        };
        inner.count(why);
        None
    }

    /// Stores a value that its caller has brought: every load that is running loses its lease. `None`: it is not to be kept, or
    /// cannot be, and what is there goes, being older. What the server does not take now it gets later.
    pub(crate) async fn insert(&self, key: &[u8], entry: Option<&Encoded>) {
        self.insert_some(vec![(key.to_vec(), entry.cloned())]).await;
    }

    /// The same for many keys.
    pub(crate) async fn insert_many(&self, entries: Vec<(Vec<u8>, Option<Encoded>)>) {
        let mut entries = entries.into_iter().peekable();
        while entries.peek().is_some() {
            self.insert_some(entries.by_ref().take(BATCH).collect()).await;
        }
    }

    async fn insert_some(&self, entries: Vec<(Vec<u8>, Option<Encoded>)>) {
        let inner = &self.inner;
        let keys: Vec<Vec<u8>> = entries.iter().map(|(key, _)| key.clone()).collect();
        let changing = inner.changing(&keys);
        let mut open = Open::new(inner);
        let mut sent = Vec::with_capacity(entries.len());
        for (key, entry) in entries {
            let Some(names) = inner.names(&key) else { continue };
            if !inner.is_serving(&self.link) || inner.is_missed(&key) {
                inner.defer(&key, later(entry.as_ref()), 0);
                continue;
            }
            inner.expect(&key, entry.as_ref().map(|entry| &entry.bytes[..]));
            open.add(&key);
            sent.push((key, names, entry));
        }
        let mut acts = Vec::with_capacity(sent.len());
        for (key, names, entry) in &sent {
            let act = match entry {
                Some(entry) => Act::Insert { value: &entry.bytes, px: inner.px(entry) },
                None => Act::Remove { fence_ms: 0 },
            };
            acts.push((&key[..], names, act));
        }
        open.more_ms = time_of(&acts);
        let answers = inner.ask_many(&self.link, acts).await;
        for ((key, _, entry), (answer, deadline_ms)) in sent.iter().zip(answers) {
            inner.inserted(key, entry.as_ref(), answer, deadline_ms);
        }
        open.close();
        drop(changing);
    }

    /// Removes the key for everybody.
    pub(crate) async fn remove(&self, key: &[u8]) -> Removal {
        self.remove_some(&[key.to_vec()]).await.pop().unwrap_or(Removal::Deferred)
    }

    /// The same for many keys.
    pub(crate) async fn remove_many(&self, keys: &[Vec<u8>]) -> Vec<Removal> {
        let mut removals = Vec::with_capacity(keys.len());
        for keys in keys.chunks(BATCH) {
            removals.append(&mut self.remove_some(keys).await);
        }
        removals
    }

    async fn remove_some(&self, keys: &[Vec<u8>]) -> Vec<Removal> {
        let inner = &self.inner;
        let changing = inner.changing(keys);
        let mut removals = vec![Removal::Deferred; keys.len()];
        let mut open = Open::new(inner);
        let mut sent = Vec::with_capacity(keys.len());
        for (at, key) in keys.iter().enumerate() {
            // Whatever a lookup carried up since the caller removed it there, and before this.
            inner.tell_changed(key);
            let Some(names) = inner.names(key) else {
                removals[at] = Removal::Gone { was_there: false };
                continue;
            };
            if !inner.is_serving(&self.link) || inner.is_missed(key) {
                inner.defer(key, Op::Removed, 0);
                continue;
            }
            inner.expect(key, None);
            open.add(key);
            sent.push((at, names));
        }
        let acts = sent.iter().map(|(at, names)| (&keys[*at][..], names, Act::Remove { fence_ms: 0 })).collect();
        let answers = inner.ask_many(&self.link, acts).await;
        for ((at, _), (answer, _)) in sent.iter().zip(answers) {
            removals[*at] = match answer {
                Ok(Answer::Done) => Removal::Gone { was_there: true },
                Ok(Answer::Nothing) => Removal::Gone { was_there: false },
                other => {
                    inner.not_done(&other);
                    inner.defer(&keys[*at], Op::Removed, 0);
                    continue;
                }
            };
            if removals[*at] == (Removal::Gone { was_there: true }) {
                inner.count(Count::Removed);
            }
        }
        open.close();
        drop(changing);
        removals
    }
}

impl Inner {
    /// This process is about to write that, or to remove what is there.
    pub(super) fn expect(&self, key: &[u8], bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.echo.lock().expect(key, self.sum(bytes), self.elapsed_ms()),
            None => self.echo.lock().forget(key),
        }
    }

    /// What tells a value of the server's, or its last bytes, from others of the key.
    pub(super) fn sum(&self, bytes: &[u8]) -> Sum {
        match bytes.last_chunk() {
            Some(tail) if !self.remote.is_raw => Sum(u32::from_le_bytes(*tail)),
            _ => Sum(crc32fast::hash(bytes)),
        }
    }

    fn inserted(&self, key: &[u8], entry: Option<&Encoded>, answer: Result<Answer, Trouble>, deadline_ms: u64) {
        match answer {
            Ok(Answer::Done) if entry.is_some() => self.count(Count::Stored),
            Ok(Answer::Done | Answer::Nothing) if entry.is_none() => {}
            Ok(Answer::Oom) if entry.is_some() => self.gone_for_want_of_memory(key),
            // It was refused, so it is not done.
            Ok(Answer::Late(_)) | Err(Trouble::Away(_) | Trouble::Full | Trouble::ReadOnly) => {
                self.not_done(&answer);
                self.defer(key, later(entry), 0);
            }
            _ => {
                self.not_done(&answer);
                self.defer(key, Op::Removed, deadline_ms);
            }
        }
    }

    /// What was to be stored is not, and what was there is gone.
    pub(super) fn gone_for_want_of_memory(&self, key: &[u8]) {
        self.count(Count::OutOfMemory);
        self.expect(key, None);
    }

    pub(super) fn not_done(&self, answer: &Result<Answer, Trouble>) {
        match answer {
            Ok(Answer::Oom) | Err(Trouble::Oom) => self.count(Count::OutOfMemory),
            Err(Trouble::Away(_)) => {}
            _ => self.count(Count::Failed),
        }
    }

    /// When an entry leaves the server, by the cache's clock.
    fn expires_ms(&self, new: &NewKept<'_>) -> u64 {
        let own = new.times.ordered().stale_until_ms;
        let Some(longest) = self.remote.time_to_live_max else { return own };
        let latest = self.clock.now_ms().saturating_add(millis(longest).max(1));
        if own == 0 { latest } else { own.min(latest) }
    }

    /// How long it has to live from now on.
    pub(super) fn px(&self, entry: &Encoded) -> Option<u64> {
        self.px_until(entry.expires_ms)
    }

    pub(super) fn px_until(&self, expires_ms: u64) -> Option<u64> {
        (expires_ms != 0).then(|| expires_ms.saturating_sub(self.clock.now_ms()).max(1))
    }

    /// Does one thing on the server.
    pub(super) async fn ask(
        &self,
        link: &Link,
        key: &[u8],
        names: &KeyNames,
        act: Act<'_>,
    ) -> (Result<Answer, Trouble>, u64) {
        let lost = (Err(Trouble::Lost("no answer".into())), self.deadline_ms(Some(link), &names.data));
        self.ask_many(link, vec![(key, names, act)]).await.pop().unwrap_or(lost)
    }

    /// Does things on the server, together if it runs scripts. Each answer with the time of the server's clock after which the act
    /// is not done any more.
    pub(super) async fn ask_many(
        &self,
        link: &Link,
        acts: Vec<(&[u8], &KeyNames, Act<'_>)>,
    ) -> Vec<(Result<Answer, Trouble>, u64)> {
        if acts.is_empty() {
            return Vec::new();
        }
        let more_ms = time_of(&acts);
        let mut answers = self.ask_once(link, &acts, more_ms).await;
        // The server's clock was not where it was thought to be.
        let late: Vec<usize> = (0..answers.len()).filter(|at| matches!(answers[*at].0, Ok(Answer::Late(_)))).collect();
        if late.is_empty() {
            return answers;
        }
        let now_ms = self.elapsed_ms();
        for at in &late {
            if let Ok(Answer::Late(server_ms)) = answers[*at].0 {
                self.note_server_ms(link, &acts[*at].1.data, server_ms, now_ms);
            }
        }
        let again: Vec<_> = late.iter().map(|at| acts[*at]).collect();
        for (at, answer) in late.into_iter().zip(self.ask_once(link, &again, more_ms).await) {
            answers[at] = answer;
        }
        answers
    }

    async fn ask_once(
        &self,
        link: &Link,
        acts: &[(&[u8], &KeyNames, Act<'_>)],
        more_ms: u64,
    ) -> Vec<(Result<Answer, Trouble>, u64)> {
        let mut terms = self.terms(link);
        let deadline = |names: &KeyNames| self.deadline_ms(Some(link), &names.data).saturating_add(more_ms);
        let mut answers = Vec::with_capacity(acts.len());
        if link.has_scripts() {
            let (mut calls, mut deadlines) = (Vec::with_capacity(acts.len()), Vec::with_capacity(acts.len()));
            for (key, names, act) in acts {
                terms.deadline_ms = deadline(names);
                calls.push(act.call(key, names, &terms));
                deadlines.push(terms.deadline_ms);
            }
            let replies = link.script_many(calls).await;
            let replies = replies.into_iter().map(|reply| reply.and_then(scripts::answer));
            answers.extend(replies.zip(deadlines));
        } else {
            for (key, names, act) in acts {
                terms.deadline_ms = deadline(names);
                answers.push((transactions::act(link, act, key, names, &terms).await, terms.deadline_ms));
            }
        }
        answers
    }
}

/// Milliseconds that values may be on their way beyond the time of a command: the link waits for them longer, too.
fn time_of(acts: &[(&[u8], &KeyNames, Act<'_>)]) -> u64 {
    let len = |act: &Act<'_>| match act {
        Act::Fill { value, .. } | Act::Insert { value, .. } | Act::Replay { value, .. } => value.len(),
        _ => 0,
    };
    let bytes: usize = acts.iter().map(|(_, _, act)| len(act)).sum();
    u64::try_from(bytes / BYTES_PER_MS).unwrap_or(0)
}

/// What is to be done later about an insert that was not sent.
fn later(entry: Option<&Encoded>) -> Op {
    match entry {
        Some(entry) if entry.may_wait => {
            Op::Insert { bytes: entry.bytes.clone(), stored_at_ms: entry.stored_at_ms, expires_ms: entry.expires_ms }
        }
        _ => Op::Removed,
    }
}

/// Changes that are on their way: if their caller goes away, nobody knows whether they were done.
pub(super) struct Open {
    inner: Arc<Inner>,
    keys: Vec<Vec<u8>>,
    /// How much longer large values may be on their way.
    more_ms: u64,
}

impl Open {
    pub(super) fn new(inner: &Arc<Inner>) -> Open {
        Open { inner: Arc::clone(inner), keys: Vec::new(), more_ms: 0 }
    }

    pub(super) fn add(&mut self, key: &[u8]) {
        self.keys.push(key.to_vec());
    }

    /// The answers are in the books.
    pub(super) fn close(mut self) {
        self.keys.clear();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let link = self.inner.link.load_full();
        for key in &self.keys {
            let deadline_ms = self.inner.deadline_ms(link.as_deref(), &self.inner.names.data(key));
            self.inner.defer(key, Op::Removed, deadline_ms.saturating_add(self.more_ms));
        }
    }
}
