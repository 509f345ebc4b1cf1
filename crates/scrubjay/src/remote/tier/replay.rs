//! What was missed is done: marks, then keys, the latest of each.

use super::super::counters::Count;
use super::super::link::{Link, Trouble};
use super::super::missed::{Change, Op};
use super::super::names::KeyNames;
use super::super::scripts::{Act, Answer};
use super::Inner;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Changes that are sent together.
const BATCH: usize = 256;
/// What was written longer ago than this is only removed: nobody remembers what was removed since. Shorter than a tombstone lives by
/// more than two clocks can drift meanwhile.
const REPLAY_MS_MAX: u64 = super::super::scripts::TOMBSTONE_MS - 5_000;

impl Inner {
    /// Does what was missed, as far as it may be done yet.
    ///
    /// # Errors
    /// The server is away again.
    pub(super) async fn drain(&self, link: &Link) -> Result<(), Trouble> {
        let _one_at_a_time = self.draining.lock().await;
        self.drain_now(link).await
    }

    /// The same, by whoever has the lock.
    async fn drain_now(&self, link: &Link) -> Result<(), Trouble> {
        if !self.is_anything_missed.load(Ordering::Acquire) {
            return Ok(());
        }
        let marks = self.missed.lock().marks();
        for (mark, number) in marks {
            self.raise_now(link, mark).await?;
            self.missed.lock().mark_done(mark, number);
            self.count(Count::Replayed);
        }
        // What cannot be done for a reason of its own waits for the next time, and holds up nothing behind it.
        let mut after = 0;
        loop {
            let due = self.due(link, after, BATCH);
            let Some((_, last)) = due.last() else { break };
            after = last.number;
            self.replay(link, due).await?;
        }
        let missed = self.missed.lock();
        if missed.is_empty() {
            self.is_anything_missed.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Changes that may be done now, beyond the one of that number.
    pub(super) fn due(&self, link: &Link, after: u64, count: usize) -> Vec<(Vec<u8>, Change)> {
        let alone_ms = (!link.is_cluster()).then(|| self.server_ms(None, b""));
        let server_ms = |key: &[u8]| alone_ms.unwrap_or_else(|| self.server_ms(Some(link), &self.names.data(key)));
        self.missed.lock().due(self.elapsed_ms(), server_ms, after, count)
    }

    /// The same without waiting for it, unless somebody is at it.
    pub(super) fn drain_behind(self: &Arc<Self>) {
        if !self.is_anything_missed.load(Ordering::Acquire) {
            return;
        }
        let Some(link) = self.link.load_full() else { return };
        let Ok(one_at_a_time) = Arc::clone(&self.draining).try_lock_owned() else { return };
        let inner = Arc::clone(self);
        drop(self.runtime.spawn(async move {
            let _one_at_a_time = one_at_a_time;
            if let Err(trouble) = inner.drain_now(&link).await {
                tracing::debug!(cache = &*inner.keeping.namespace, %trouble, "changes wait for the remote tier");
            }
        }));
    }

    /// How many changes wait, and the bytes that they take.
    pub(in crate::remote) fn missed_now(&self) -> (u64, u64) {
        let missed = self.missed.lock();
        let wide = |number| u64::try_from(number).unwrap_or(u64::MAX);
        (wide(missed.len()), wide(missed.bytes()))
    }

    /// Does these, as far as they can be done.
    ///
    /// # Errors
    /// The server is away again.
    async fn replay(&self, link: &Link, due: Vec<(Vec<u8>, Change)>) -> Result<(), Trouble> {
        let due: Vec<(Vec<u8>, Change, KeyNames)> = due
            .into_iter()
            .filter_map(|(key, change)| {
                let names = self.names.of(&key)?;
                Some((key, change, names))
            })
            .collect();
        let mut acts = Vec::with_capacity(due.len());
        for (key, change, names) in &due {
            let act = self.act_of(change);
            self.expect(key, if let Act::Replay { value, .. } = act { Some(value) } else { None });
            acts.push((&key[..], names, act));
        }
        let answers = self.ask_many(link, acts).await;
        let mut worst = None;
        for ((key, change, _), (answer, deadline_ms)) in due.iter().zip(answers) {
            let replayed = self.replayed(key, change, answer, deadline_ms);
            worst = replayed.err().filter(Trouble::concerns_the_tier).or(worst);
        }
        worst.map_or(Ok(()), Err)
    }

    fn act_of<'a>(&self, change: &'a Change) -> Act<'a> {
        let age_ms = self.elapsed_ms().saturating_sub(change.made_ms);
        let fence_ms = change.fence_at(self.elapsed_ms());
        // The act comes later than this is asked: that must not make the change younger.
        let age_ms = age_ms.saturating_add(4 * super::millis(self.remote.command_timeout)).saturating_add(50);
        match &change.op {
            Op::Insert { bytes, stored_at_ms, expires_ms } if age_ms < REPLAY_MS_MAX => Act::Replay {
                value: bytes,
                px: self.px_until(*expires_ms),
                stored_at_ms: *stored_at_ms,
                age_ms,
                fence_ms,
            },
            _ => Act::Remove { fence_ms },
        }
    }

    fn replayed(
        &self,
        key: &[u8],
        change: &Change,
        answer: Result<Answer, Trouble>,
        deadline_ms: u64,
    ) -> Result<(), Trouble> {
        let is_insert = matches!(self.act_of(change), Act::Replay { .. });
        let done = |count| {
            self.missed.lock().done(key, change.number);
            self.count(count);
            Ok(())
        };
        match answer {
            Ok(Answer::Done) => done(Count::Replayed),
            Ok(Answer::Nothing) if !is_insert => done(Count::Replayed),
            Ok(Answer::Nothing | Answer::Unusable) => {
                // Something newer is there, or was removed there: what is above is older.
                self.echo.lock().forget(key);
                self.tell_changed(key);
                done(Count::Outdated)
            }
            Ok(Answer::Oom) if is_insert => {
                self.gone_for_want_of_memory(key);
                done(Count::Replayed)
            }
            Ok(_) => Ok(()),
            Err(trouble) => {
                if is_insert && trouble.may_be_done() {
                    self.missed.lock().doubt(key, change.number, deadline_ms, self.elapsed_ms());
                }
                Err(trouble)
            }
        }
    }
}
