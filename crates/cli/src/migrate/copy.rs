//! From one store into the other: chunk after chunk, the next one read while one is written.
//!
//! DUMP and RESTORE carry a value in one piece. Where the target does not take the source's form, it goes as what it is.
//! The state is written down after a chunk, never before: what is in the target twice is the same, what was forgotten is not there.

use super::content::{self, Expiry, Written};
use super::options::{Existing, Migrate};
use super::progress::Progress;
use super::reply;
use super::report::Report;
use super::server::about;
use super::state::State;
use super::store::{Answer, Group, Store};
use super::verify::{self, Verdict};
use super::walk::{Chunk, Read, Walker, What};
use crate::clock::monotonic;
use anyhow::Result;
use futures_util::future::join;
use redis::Value;
use std::time::Duration;

/// The state is saved this often at most.
const SAVE_EVERY: Duration = Duration::from_millis(200);

/// A copy of one walk.
pub(super) struct Copy<'a> {
    pub(super) options: &'a Migrate,
    pub(super) state: &'a mut State,
    pub(super) progress: &'a mut Progress,
    pub(super) to: Store,
    /// The walk's place in the state.
    pub(super) at: usize,
    /// Values go as what they are: the target does not take the source's DUMP.
    pub(super) is_by_content: bool,
    pub(super) saved_at: Duration,
}

/// What RESTORE leaves to be done.
#[derive(Default)]
struct Left {
    by_content: Vec<Vec<u8>>,
    existing: Vec<(Vec<u8>, Vec<u8>, Expiry)>,
}

impl Copy<'_> {
    /// Goes on to the end of the walk, or until it is to stop.
    pub(super) async fn run(&mut self, walker: &mut Walker<'_>) -> Result<()> {
        self.is_by_content |= !self.to.knows("RESTORE").await?;
        walker.has_dump &= !self.is_by_content;
        let mut ahead = walker.next().await?;
        while let Some(chunk) = ahead {
            let after = chunk.after.clone();
            let unread = chunk.reads.iter().filter(|read| matches!(read.what, What::Unread));
            let mut unread: Vec<Vec<u8>> = unread.map(|read| read.key.clone()).collect();
            let (next, left) = join(walker.next(), self.write(chunk)).await;
            let left = left?;
            unread.extend(left.by_content);
            self.write_as_they_are(&mut walker.store, &unread, walker.choice.is_absolute).await?;
            self.settle(walker, left.existing).await?;
            self.advance(walker, after)?;
            walker.has_dump &= !self.is_by_content;
            ahead = next?;
        }
        Ok(())
    }

    fn report(&mut self) -> &mut Report {
        &mut self.state.report
    }

    fn fail(&mut self, key: &[u8], reason: impl Into<String>) {
        let (db, list) = (self.state.walks[self.at].db, self.options.list);
        self.state.report.failed.add(db, key, reason, list);
    }

    /// The chunk is done.
    fn advance(&mut self, walker: &Walker<'_>, after: Option<String>) -> Result<()> {
        self.report().batches += 1;
        if let Some(cursor) = after {
            let walk = &mut self.state.walks[self.at];
            walk.is_done = cursor == "0";
            walk.cursor = cursor;
        }
        if walker.restarts > 0 {
            self.report().note("the source was started anew meanwhile: its walk began again");
        }
        self.progress.show(&self.state.report);
        let now = monotonic();
        let is_due = self.saved_at == Duration::ZERO || now.saturating_sub(self.saved_at) >= SAVE_EVERY;
        if let Some(path) = self.options.resume.as_deref().filter(|_| is_due) {
            self.saved_at = now;
            self.state.save(path)?;
        }
        Ok(())
    }

    /// Restores what DUMP gave, and counts the rest.
    async fn write(&mut self, chunk: Chunk) -> Result<Left> {
        self.report().seen += u64::try_from(chunk.reads.len()).unwrap_or(0);
        let mut dumps = Vec::new();
        for Read { key, what } in chunk.reads {
            match what {
                What::Dump(dump, expiry) => dumps.push((key, dump, expiry)),
                What::Unread => {}
                What::Gone => self.report().gone += 1,
                What::TooLarge(size) => {
                    let limit = self.options.value_bytes_max;
                    self.fail(&key, format!("takes {size} bytes, more than --value-bytes-max {limit}"));
                }
                What::Refused(reason) => self.fail(&key, format!("the source answers: {reason}")),
            }
        }
        let mut left = Left::default();
        if self.is_by_content {
            left.by_content.extend(dumps.into_iter().map(|(key, ..)| key));
            return Ok(left);
        }
        let replaces = self.options.replace;
        let restores = dumps.iter().map(|(key, dump, expiry)| restore(key, dump, *expiry, replaces));
        let groups: Vec<Group> = restores.collect();
        let answers = self.to.ask(&groups).await?;
        for ((key, dump, expiry), answer) in dumps.into_iter().zip(answers) {
            match outcome(&answer) {
                Restored::Done => {
                    self.report().copied += 1;
                    self.report().bytes += u64::try_from(dump.len()).unwrap_or(0);
                }
                Restored::Exists => left.existing.push((key, dump, expiry)),
                Restored::Unfit => left.by_content.push(key),
                Restored::NeverFits => {
                    self.is_by_content = true;
                    left.by_content.push(key);
                }
                Restored::Refused(said) => self.fail(&key, format!("the target answers: {said}")),
            }
        }
        Ok(left)
    }

    /// Copies keys as what they are.
    async fn write_as_they_are(&mut self, from: &mut Store, keys: &[Vec<u8>], is_absolute: bool) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        if self.is_by_content {
            self.report().note("the target does not take the source's DUMP: values go as what they are");
        }
        for key in keys {
            let held = content::read(from, std::slice::from_ref(key), is_absolute).await?.pop();
            let held = match held {
                None | Some(Ok(None)) => {
                    self.report().gone += 1;
                    continue;
                }
                Some(Err(error)) => {
                    self.fail(key, error.to_string());
                    continue;
                }
                Some(Ok(Some(held))) => held,
            };
            match content::write(&mut self.to, key, &held, self.options.replace).await? {
                Written::Done => {
                    self.report().copied += 1;
                    self.report().by_content += 1;
                }
                Written::Exists => self.settle_one(from, key, is_absolute).await?,
                Written::Refused(said) => {
                    self.fail(
                        key,
                        format!(
                            "a {} the target takes neither by RESTORE nor as what it is: {said}",
                            held.content.kind()
                        ),
                    );
                }
            }
        }
        Ok(())
    }

    /// What the target had already.
    async fn settle(&mut self, walker: &mut Walker<'_>, existing: Vec<(Vec<u8>, Vec<u8>, Expiry)>) -> Result<()> {
        if self.options.existing() == Existing::Kept {
            self.report().kept += u64::try_from(existing.len()).unwrap_or(0);
            return Ok(());
        }
        let is_absolute = walker.choice.is_absolute;
        let keys: Vec<Vec<u8>> = existing.iter().map(|(key, ..)| key.clone()).collect();
        let (limit, tolerance) = (self.options.value_bytes_max, self.options.ttl_tolerance);
        let others = verify::others(&mut self.to, &keys, limit, is_absolute).await?;
        for ((key, dump, expiry), other) in existing.into_iter().zip(others) {
            match other {
                What::Dump(theirs, at) if theirs == dump && verify::is_near(expiry, at, tolerance) => {
                    self.report().same += 1;
                }
                What::TooLarge(size) => {
                    self.fail(&key, format!("is in the target already, and takes {size} bytes there"));
                }
                _ => self.settle_one(&mut walker.store, &key, is_absolute).await?,
            }
        }
        Ok(())
    }

    async fn settle_one(&mut self, from: &mut Store, key: &[u8], is_absolute: bool) -> Result<()> {
        if self.options.existing() == Existing::Kept {
            self.report().kept += 1;
            return Ok(());
        }
        match verify::values(from, &mut self.to, key, self.options.ttl_tolerance, is_absolute).await? {
            Verdict::Same => self.report().same += 1,
            Verdict::Gone => self.report().gone += 1,
            Verdict::Differs(what) => {
                self.fail(key, format!("is in the target already, and {what}: give --replace or --keep-existing"));
            }
            Verdict::Missing => self.fail(key, "was in the target, and is gone: run it again"),
            Verdict::Unknown(why) => self.fail(key, format!("is in the target already ({why})")),
        }
        Ok(())
    }
}

/// What RESTORE answered.
enum Restored {
    Done,
    Exists,
    /// Not this value.
    Unfit,
    /// No value of this source.
    NeverFits,
    Refused(String),
}

fn restore(key: &[u8], dump: &[u8], expiry: Expiry, replaces: bool) -> Group {
    let (time, is_absolute) = match expiry {
        Expiry::Never => (0, false),
        Expiry::At(at) => (at, true),
        Expiry::In(left) => (left, false),
    };
    let mut command = about(&["RESTORE"], key);
    command.arg(time).arg(dump);
    if replaces {
        command.arg("REPLACE");
    }
    if is_absolute {
        command.arg("ABSTTL");
    }
    Group::plain(key, vec![command])
}

fn outcome(answer: &Answer) -> Restored {
    let error = match answer {
        Answer::Replies(replies) => match replies.first() {
            Some(Value::ServerError(error)) => error,
            Some(_) => return Restored::Done,
            None => return Restored::Refused("nothing".to_owned()),
        },
        Answer::Refused(error) => error,
        Answer::Changed => return Restored::Refused("nothing".to_owned()),
    };
    let said = reply::said(error);
    if error.code() == "BUSYKEY" {
        return Restored::Exists;
    }
    if said.contains("DUMP payload version") {
        return Restored::NeverFits;
    }
    if said.contains("Bad data format") {
        return Restored::Unfit;
    }
    Restored::Refused(said)
}
