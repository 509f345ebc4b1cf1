//! Tags and clears across processes: the string of stamps is raised, mirrored, and made anew when it is gone.

use super::super::counters::Count;
use super::super::link::{Link, Trouble};
use super::super::scripts::{self, unexpected};
use super::super::stamps::{self, Caught, HEAD_LEN, Head, Learnt, SHORT_LEN, WHOLE_LEN};
use super::super::transactions::{self, of, server_ms};
use super::{Confirmed, Inner, Mark, RemoteTier};
use redis::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl RemoteTier {
    /// Clears the cache, or invalidates a tag, for everybody. The raw form has no stamps: nothing is done.
    pub(crate) async fn raise(&self, mark: Mark) -> Confirmed {
        let inner = &self.inner;
        if inner.remote.is_raw {
            return Confirmed::Deferred;
        }
        let raising = Raising::new(inner, mark);
        if inner.is_serving(&self.link) && inner.raise_now(&self.link, mark).await.is_ok() {
            raising.close();
            return Confirmed::Yes;
        }
        Confirmed::Deferred
    }
}

/// A raise that is under way. Dropped before it is done, it is done later.
struct Raising<'a> {
    inner: &'a Inner,
    mark: Mark,
    is_done: bool,
}

impl<'a> Raising<'a> {
    fn new(inner: &'a Inner, mark: Mark) -> Raising<'a> {
        inner.mirror.lock().begin(mark);
        // The caller has told the tiers above already; but what a lookup carried up since, and before this, was not judged by it.
        inner.tell_marked(mark);
        Raising { inner, mark, is_done: false }
    }

    fn close(mut self) {
        self.is_done = true;
    }
}

impl Drop for Raising<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.inner.defer_mark(self.mark);
        }
        self.inner.mirror.lock().end(self.mark);
    }
}

impl Inner {
    pub(super) fn defer_mark(&self, mark: Mark) {
        let mut missed = self.missed.lock();
        self.is_anything_missed.store(true, Ordering::Release);
        missed.note_mark(mark);
        drop(missed);
        self.count(Count::Deferred);
    }

    /// Raises, and has the mirror know of it.
    pub(super) async fn raise_now(&self, link: &Link, mark: Mark) -> Result<(), Trouble> {
        let name = self.names.stamps();
        for _ in 0..3 {
            let unix_ms = self.unix_ms();
            let known = self.mirror.lock().born();
            let raised = if link.has_scripts() {
                scripts::raise(link, &name, stamps::place_of(mark), unix_ms, &self.terms(link)).await?
            } else {
                transactions::raise(link, &name, mark, unix_ms, &self.terms(link)).await?
            };
            let Some((generation, sequence)) = raised else {
                self.catch_up(link).await?;
                continue;
            };
            if generation == known.generation && sequence <= known.sequence {
                // That number was given before, so this raise does not concern what was born since.
                self.begin_anew(link, generation).await?;
                self.catch_up(link).await?;
                continue;
            }
            if !self.mirror.lock().raised(mark, generation, sequence, unix_ms) {
                self.catch_up(link).await?;
            }
            return Ok(());
        }
        Err(Trouble::Server("the stamps are gone as soon as they are made".into()))
    }

    /// Reads what others have raised, as far as the mirror has not got it; makes the stamps if they are gone.
    pub(super) async fn catch_up(&self, link: &Link) -> Result<(), Trouble> {
        if self.remote.is_raw {
            return Ok(());
        }
        let _one_at_a_time = self.catching_up.lock().await;
        self.are_stamps_due.store(false, Ordering::Release);
        let name = self.names.stamps();
        let mut len = SHORT_LEN;
        for _ in 0..4 {
            let asked = self.mirror.lock().born();
            let mut read = of("GETRANGE", &name);
            read.arg(0).arg(len - 1);
            let Value::BulkString(bytes) = link.run_idempotent(read).await? else { return Err(unexpected()) };
            if bytes.is_empty() {
                let mut create = of("SET", &name);
                create.arg(stamps::create(self.draw(), self.unix_ms())).arg("NX");
                link.run(create).await?;
                len = WHOLE_LEN;
                continue;
            }
            let was_known = self.mirror.lock().is_known();
            let caught = self.mirror.lock().catch_up(&bytes, len == WHOLE_LEN, asked);
            match caught {
                Caught::Up(learnt) => {
                    self.learnt(learnt, was_known);
                    return Ok(());
                }
                Caught::Behind => len = WHOLE_LEN,
                Caught::Back => {
                    self.begin_anew(link, asked.generation).await?;
                    len = WHOLE_LEN;
                }
                Caught::Broken => break,
            }
        }
        Err(Trouble::Server(format!("what lies under {} is no stamps", String::from_utf8_lossy(&name)).into()))
    }

    /// The server has forgotten raises that it had confirmed. Entries bear their numbers, and what is raised from now on would be below
    /// them. So a new generation begins, if the stamps are still of this one: every entry is a miss, and every process lets go what is
    /// above.
    async fn begin_anew(&self, link: &Link, generation: u64) -> Result<(), Trouble> {
        let (name, terms) = (self.names.stamps(), self.terms(link));
        let (old, new) = (format!("{generation:016x}"), stamps::create(self.draw(), self.unix_ms()));
        let cache = &*self.keeping.namespace;
        tracing::warn!(cache, "the server has lost clears or tags that it had confirmed: all entries there are misses");
        if link.has_scripts() {
            scripts::replace(link, &name, old.as_bytes(), &new, &terms).await
        } else {
            transactions::replace(link, &name, old.as_bytes(), &new, &terms).await
        }
    }

    /// The mirror has it; now the tiers above.
    fn learnt(&self, learnt: Learnt, was_known: bool) {
        if learnt.is_other_generation && was_known {
            self.count(Count::Generation);
            self.distrust();
        }
        for mark in learnt.marks {
            self.count(Count::Mark);
            self.tell_marked(mark);
        }
    }

    /// Looks at the head of the stamps and at the server's clock. A sign of life.
    pub(super) async fn beat(&self, link: &Link) -> Result<(), Trouble> {
        let sent_ms = self.elapsed_ms();
        // Each master of a cluster has a clock of its own.
        let is_cluster = link.is_cluster();
        let mut commands = vec![redis::cmd("TIME")];
        if !self.remote.is_raw {
            let mut head = of("GETRANGE", &self.names.stamps());
            head.arg(0).arg(HEAD_LEN - 1);
            commands.push(head);
        }
        let mut answers = link.run_many(commands).await.into_iter();
        let time = answers.next().ok_or_else(unexpected)??;
        if is_cluster {
            self.ask_clocks(link).await?;
        } else {
            self.note_server_ms(link, b"", server_ms(&time).ok_or_else(unexpected)?, sent_ms);
        }
        let Some(head) = answers.next() else { return Ok(()) };
        let Value::BulkString(head) = head? else { return Err(unexpected()) };
        let is_behind = Head::parse(&head).is_none_or(|head| self.mirror.lock().is_behind(&head));
        if is_behind { self.catch_up(link).await } else { Ok(()) }
    }

    /// Has the stamps read behind, unless that is about to be done.
    pub(super) fn catch_up_behind(self: &Arc<Self>) {
        if self.are_stamps_due.swap(true, Ordering::AcqRel) {
            return;
        }
        let Some(link) = self.link.load_full() else { return };
        let inner = Arc::clone(self);
        drop(self.runtime.spawn(async move {
            if let Err(trouble) = inner.catch_up(&link).await {
                // The next heartbeat tries again.
                tracing::debug!(cache = &*inner.keeping.namespace, %trouble, "the shared stamps are not read");
                inner.are_stamps_due.store(false, Ordering::Release);
            }
        }));
    }

    pub(super) fn unix_ms(&self) -> u64 {
        self.keeping.anchor.unix_ms(self.clock.now_ms())
    }
}
