//! Whether the target has what the source has: type, value and time of every key, and what it has besides.
//!
//! The same bytes of DUMP are the same value. Other bytes may be, too, so the values are compared as what they are. What differs
//! is looked at once more: both stores are in use.

use super::content::{self, Content, Expiry, Held};
use super::options::Migrate;
use super::progress::Progress;
use super::reply;
use super::report::Compared;
use super::server::about;
use super::store::{Group, Store};
use super::walk::{Chunk, Read, Walker, What, dumped, dumping, sizes};
use anyhow::Result;
use futures_util::future::join;

/// Bytes of the target's values that are read at once; the source's are cut so before.
const TOGETHER_BYTES: u64 = 32 << 20;

/// What is found about one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    /// The source has it no more.
    Gone,
    Missing,
    Differs(String),
    Unknown(String),
}

/// A comparison of one walk.
pub(super) struct Comparison<'a> {
    pub(super) options: &'a Migrate,
    pub(super) found: &'a mut Compared,
    pub(super) progress: &'a mut Progress,
    pub(super) to: Store,
    pub(super) db: i64,
}

impl Comparison<'_> {
    /// Compares every key of the source's walk.
    pub(super) async fn run(&mut self, walker: &mut Walker<'_>) -> Result<()> {
        while let Some(chunk) = walker.next().await? {
            self.compare(walker, chunk).await?;
            self.progress.count(self.found.compared);
        }
        Ok(())
    }

    async fn compare(&mut self, walker: &mut Walker<'_>, chunk: Chunk) -> Result<()> {
        let is_absolute = walker.choice.is_absolute;
        let keys: Vec<Vec<u8>> = chunk.reads.iter().map(|read| read.key.clone()).collect();
        let others = others(&mut self.to, &keys, self.options.value_bytes_max, is_absolute).await?;
        for (Read { key, what: own }, other) in chunk.reads.into_iter().zip(others) {
            self.found.compared += 1;
            match (&own, &other) {
                (What::Gone, _) => {
                    self.found.changed += 1;
                    continue;
                }
                (What::TooLarge(size), _) | (_, What::TooLarge(size)) => {
                    let why = format!("takes {size} bytes, more than --value-bytes-max");
                    self.found.unknown.add(self.db, &key, why, self.options.list);
                    continue;
                }
                (What::Dump(one, at), What::Dump(other, other_at))
                    if one == other && is_near(*at, *other_at, self.options.ttl_tolerance) =>
                {
                    self.found.same += 1;
                    continue;
                }
                _ => {}
            }
            self.look_again(walker, &key, &own, is_absolute).await?;
        }
        Ok(())
    }

    async fn look_again(&mut self, walker: &mut Walker<'_>, key: &[u8], own: &What, is_absolute: bool) -> Result<()> {
        let (from, list) = (&mut walker.store, self.options.list);
        let verdict = values(from, &mut self.to, key, self.options.ttl_tolerance, is_absolute).await?;
        let is_fault = !matches!(verdict, Verdict::Same | Verdict::Gone);
        if is_fault && has_changed(from, key, own, is_absolute).await? {
            self.found.changed += 1;
            return Ok(());
        }
        match verdict {
            Verdict::Same => self.found.same += 1,
            Verdict::Gone => self.found.changed += 1,
            Verdict::Missing => self.found.missing.add(self.db, key, "is not there", list),
            Verdict::Differs(why) => self.found.differs.add(self.db, key, why, list),
            Verdict::Unknown(why) => self.found.unknown.add(self.db, key, why, list),
        }
        Ok(())
    }

    /// Counts what the target has and the source has not. `walker` goes through the target, `from` is the source.
    pub(super) async fn run_extra(&mut self, walker: &mut Walker<'_>, from: &mut Store) -> Result<()> {
        while let Some(chunk) = walker.next().await? {
            let exists = |keys: &[Vec<u8>]| {
                keys.iter().map(|key| Group::plain(key, vec![about(&["EXISTS"], key)])).collect::<Vec<_>>()
            };
            let keys: Vec<Vec<u8>> = chunk.reads.into_iter().map(|read| read.key).collect();
            let mut extra = Vec::new();
            for (key, answer) in keys.iter().zip(from.ask(&exists(&keys)).await?) {
                let count = answer.replies().map(|mut replies| reply::integer(replies.pop().unwrap_or_default()));
                if matches!(count, Ok(Ok(0))) {
                    extra.push(key.clone());
                }
            }
            // It may have expired on both sides by now.
            for (key, answer) in extra.iter().zip(self.to.ask(&exists(&extra)).await?) {
                let count = answer.replies().map(|mut replies| reply::integer(replies.pop().unwrap_or_default()));
                if matches!(count, Ok(Ok(1))) {
                    self.found.extra.add(self.db, key, "is not in the source", self.options.list);
                }
            }
        }
        Ok(())
    }
}

/// What a store has under these keys. What is too large, or too much together, is not read.
pub(super) async fn others(
    store: &mut Store,
    keys: &[Vec<u8>],
    value_bytes_max: u64,
    is_absolute: bool,
) -> Result<Vec<What>> {
    let sizes = sizes(store, keys).await?;
    let has_dump = store.knows("DUMP").await?;
    let is_too_much = !has_dump || sizes.iter().flatten().sum::<u64>() > TOGETHER_BYTES;
    let limit = value_bytes_max.saturating_mul(2);
    let is_read = |size: Option<u64>| !is_too_much && size.is_none_or(|size| size <= limit);
    let wanted = keys.iter().zip(&sizes).filter(|(_, size)| is_read(**size));
    let groups: Vec<Group> = wanted.map(|(key, _)| dumping(key, is_absolute)).collect();
    let mut answers = store.ask(&groups).await?.into_iter();
    let other = |size: Option<u64>| match size {
        Some(size) if size > limit => What::TooLarge(size),
        size if is_read(size) => answers.next().map_or(What::Unread, |answer| dumped(answer, is_absolute)),
        _ => What::Unread,
    };
    Ok(sizes.into_iter().map(other).collect())
}

/// Whether the source's value is another than when it was read first.
async fn has_changed(from: &mut Store, key: &[u8], own: &What, is_absolute: bool) -> Result<bool> {
    let What::Dump(before, at) = own else { return Ok(false) };
    let answer = from.ask(&[dumping(key, is_absolute)]).await?.pop();
    Ok(match answer.map(|answer| dumped(answer, is_absolute)) {
        Some(What::Dump(now, now_at)) => now != *before || !is_near(*at, now_at, 1_000),
        _ => true,
    })
}

/// Compares one key as what it is.
pub(super) async fn values(
    from: &mut Store,
    to: &mut Store,
    key: &[u8],
    tolerance_ms: u64,
    is_absolute: bool,
) -> Result<Verdict> {
    let key = [key.to_vec()];
    let (own, other) = join(content::read(from, &key, is_absolute), content::read(to, &key, is_absolute)).await;
    let (own, other) = (own?.pop().unwrap_or(Ok(None)), other?.pop().unwrap_or(Ok(None)));
    Ok(match (own, other) {
        (Err(error), _) | (_, Err(error)) => Verdict::Unknown(error.to_string()),
        (Ok(None), _) => Verdict::Gone,
        (_, Ok(None)) => Verdict::Missing,
        (Ok(Some(own)), Ok(Some(other))) => judged(&own, &other, tolerance_ms),
    })
}

fn judged(own: &Held, other: &Held, tolerance_ms: u64) -> Verdict {
    if own.content.kind() != other.content.kind() {
        return Verdict::Differs(format!("it is a {} there and a {} here", other.content.kind(), own.content.kind()));
    }
    if own.content != other.content {
        return Verdict::Differs(difference(&own.content, &other.content));
    }
    if !is_near(own.expiry, other.expiry, tolerance_ms) {
        let times = format!("it expires {} there and {} here", when(other.expiry), when(own.expiry));
        return Verdict::Differs(times);
    }
    Verdict::Same
}

/// In what two values differ, without showing them.
fn difference(own: &Content, other: &Content) -> String {
    let len = |content: &Content| match content {
        Content::String(value) => Some((value.len(), "bytes")),
        Content::List(items) => Some((items.len(), "items")),
        Content::Set(items) => Some((items.len(), "members")),
        Content::Hash(fields) => Some((fields.len(), "fields")),
        Content::SortedSet(members) => Some((members.len(), "members")),
        Content::Stream(_) => None,
    };
    match (len(own), len(other)) {
        (Some((own, _)), Some((other, unit))) if own != other => format!("it has {other} {unit} there and {own} here"),
        _ => format!("its {} is another", own.kind()),
    }
}

/// Whether two times are the same within a tolerance.
pub(super) fn is_near(one: Expiry, other: Expiry, tolerance_ms: u64) -> bool {
    match (one, other) {
        (Expiry::Never, Expiry::Never) => true,
        (Expiry::At(one), Expiry::At(other)) | (Expiry::In(one), Expiry::In(other)) => {
            one.abs_diff(other) <= tolerance_ms
        }
        _ => false,
    }
}

fn when(expiry: Expiry) -> String {
    match expiry {
        Expiry::Never => "never".to_owned(),
        Expiry::At(at) => format!("at {at}"),
        Expiry::In(left) => format!("in {left} ms"),
    }
}
