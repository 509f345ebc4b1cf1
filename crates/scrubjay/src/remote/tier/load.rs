//! Loads across processes: one has the lease and stores, the others wait for what it stores.

use super::super::counters::Count;
use super::super::lease::RemoteLease;
use super::super::link::{Link, LinkState, News, Trouble};
use super::super::missed::Op;
use super::super::names::KeyNames;
use super::super::scripts::{Act, Answer, Seen};
use super::read::{raw_value, raw_with_ttl};
use super::write::Open;
use super::{Begun, Encoded, Filled, Inner, RemoteTier, millis};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Beyond the end of another's lease one waits so much longer at most, so that not all come at once.
const JITTER_MS: u64 = 50;
/// Where there are no news, who waits asks again after so long, then twice as long, and so on.
const POLL_MIN: Duration = Duration::from_millis(20);
const POLL_MAX: Duration = Duration::from_millis(500);

impl RemoteTier {
    /// Asks for the right to load the key, having found nothing of use there; `seen` is what was of no use. Waits for another
    /// that loads it, `until` so much time has passed at most.
    pub(crate) async fn begin(&self, key: &[u8], seen: Option<&Bytes>, until: Duration) -> Begun {
        let inner = &self.inner;
        // Before it asks: what happens from now on wakes it.
        let waiter = inner.waiters.register(key);
        let began_ms = inner.elapsed_ms();
        let (mut has_waited, mut poll) = (false, POLL_MIN);
        while let Some(names) = inner.names(key).filter(|_| inner.may_ask(&self.link, key)) {
            let mut lease = RemoteLease::new(inner, key, names, inner.token());
            let act = Act::Begin {
                token: &lease.token,
                lease_ms: millis(inner.remote.lease_time),
                seen: seen.map(|seen| inner.seen(seen)),
            };
            let (answer, _) = inner.ask(&self.link, key, &lease.names, act).await;
            let held_ms = match answer {
                Ok(Answer::Done) => return Begun::Granted(inner.granted(&self.link, lease)),
                Ok(Answer::Value(bytes, ttl_ms)) => {
                    lease.forget();
                    inner.count(Count::SharedLoad);
                    let is_raw = inner.remote.is_raw;
                    return Begun::Filled(if is_raw { raw_with_ttl(bytes.to_vec(), ttl_ms).into() } else { bytes });
                }
                Ok(Answer::Held(held_ms)) => {
                    lease.forget();
                    held_ms
                }
                answer => {
                    inner.not_begun(lease, &answer);
                    break;
                }
            };
            let left = until.saturating_sub(Duration::from_millis(inner.elapsed_ms().saturating_sub(began_ms)));
            let Some(waiter) = waiter.as_ref().filter(|_| !left.is_zero()) else { break };
            if !std::mem::replace(&mut has_waited, true) {
                inner.count(Count::Wait);
            }
            let mut pause = left.min(Duration::from_millis(held_ms + 1 + inner.draw() % JITTER_MS));
            if inner.has_no_news(&self.link) {
                pause = pause.min(poll);
                poll = POLL_MAX.min(poll * 2);
            }
            tokio::select! {
                () = waiter.wait() => {}
                () = self.link.pause(pause) => {}
            }
        }
        inner.count(Count::Alone);
        Begun::Alone
    }

    /// The same for many keys, without waiting: `None` where it is not granted.
    pub(crate) async fn begin_many(&self, keys: &[Vec<u8>]) -> Vec<Option<RemoteLease>> {
        let inner = &self.inner;
        let mut leases: Vec<Option<RemoteLease>> = keys
            .iter()
            .map(|key| {
                let names = inner.names(key).filter(|_| inner.may_ask(&self.link, key))?;
                Some(RemoteLease::new(inner, key, names, inner.token()))
            })
            .collect();
        let lease_ms = millis(inner.remote.lease_time);
        let asked = leases.iter().flatten();
        let acts = asked
            .map(|lease| (&lease.key[..], &*lease.names, Act::Begin { token: &lease.token, lease_ms, seen: None }));
        let mut answers = inner.ask_many(&self.link, acts.collect()).await.into_iter();
        for place in &mut leases {
            let Some(mut lease) = place.take() else {
                inner.count(Count::Alone);
                continue;
            };
            match answers.next().map(|(answer, _)| answer) {
                Some(Ok(Answer::Done)) => *place = Some(inner.granted(&self.link, lease)),
                Some(Ok(Answer::Value(..) | Answer::Held(_))) => {
                    lease.forget();
                    inner.count(Count::Alone);
                }
                answer => {
                    inner.not_begun(lease, &answer.unwrap_or_else(|| Err(Trouble::Lost("no answer".into()))));
                    inner.count(Count::Alone);
                }
            }
        }
        leases
    }

    /// Ends a load that succeeded: stores its result, if the lease holds. `None`: the result is not to be kept, or cannot be; then
    /// what is there goes, being older. For a load that failed drop the lease, or [`release`](RemoteTier::release) it: what is
    /// there stays.
    pub(crate) async fn fill(&self, lease: RemoteLease, entry: Option<&Encoded>) -> Filled {
        self.fill_many(vec![(lease, entry.cloned())]).await.pop().unwrap_or(Filled::Unknown)
    }

    /// The same for many.
    pub(crate) async fn fill_many(&self, fills: Vec<(RemoteLease, Option<Encoded>)>) -> Vec<Filled> {
        let inner = &self.inner;
        let mut filled = vec![Filled::Revoked; fills.len()];
        let mut open = Open::new(inner);
        let mut sent = Vec::with_capacity(fills.len());
        for (at, (mut lease, entry)) in fills.into_iter().enumerate() {
            if lease.is_lost() || inner.is_missed(&lease.key) {
                inner.count(Count::Revoked);
                continue;
            }
            if let Some(renewal) = lease.renewal.take() {
                renewal.abort();
            }
            inner.expect(&lease.key, entry.as_ref().map(|entry| &entry.bytes[..]));
            open.add(&lease.key);
            sent.push((at, lease, entry));
        }
        let acts = sent.iter().map(|(_, lease, entry)| {
            let token = &lease.token;
            let act = match entry {
                Some(entry) => Act::Fill { token, value: &entry.bytes, px: inner.px(entry) },
                None => Act::Release { token, is_outdated: true },
            };
            (&lease.key[..], &*lease.names, act)
        });
        let answers = inner.ask_many(&self.link, acts.collect()).await;
        for ((at, lease, entry), (answer, _)) in sent.iter_mut().zip(answers) {
            filled[*at] = inner.filled(lease, entry.is_some(), &answer);
        }
        open.close();
        filled
    }

    /// Ends a load that failed: who waits elsewhere may load now. Dropping the lease does the same behind.
    pub(crate) async fn release(&self, mut lease: RemoteLease) {
        let inner = &self.inner;
        let act = Act::Release { token: &lease.token, is_outdated: false };
        let (answer, _) = inner.ask(&self.link, &lease.key, &lease.names, act).await;
        if answer.is_ok() {
            lease.forget();
        }
    }
}

impl Inner {
    fn may_ask(&self, link: &Link, key: &[u8]) -> bool {
        self.is_serving(link) && self.may_read(key)
    }

    fn has_no_news(&self, link: &Link) -> bool {
        matches!(link.state(), LinkState::Serving { coherence: News::None })
    }

    fn seen<'a>(&self, seen: &'a Bytes) -> Seen<'a> {
        if self.remote.is_raw {
            Seen::Whole(raw_value(seen))
        } else {
            Seen::Tail(&seen[seen.len().saturating_sub(4)..])
        }
    }

    /// The lease was taken: from now on it is renewed.
    fn granted(self: &Arc<Self>, link: &Link, mut lease: RemoteLease) -> RemoteLease {
        self.count(Count::Lease);
        let (inner, link) = (Arc::downgrade(self), link.clone());
        let (key, names, token) = (lease.key.clone(), Arc::clone(&lease.names), lease.token);
        let is_lost = Arc::clone(&lease.is_lost);
        let time = self.remote.lease_time;
        let renew = async move {
            loop {
                tokio::time::sleep(time / 3).await;
                let Some(inner) = inner.upgrade() else { return };
                let act = Act::Renew { token: &token, lease_ms: millis(time) };
                if let (Ok(Answer::Nothing), _) = inner.ask(&link, &key, &names, act).await {
                    is_lost.store(true, Ordering::Release);
                    return;
                }
            }
        };
        lease.renewal = Some(self.runtime.spawn(renew).abort_handle());
        lease
    }

    /// The lease was not given, or nobody knows.
    fn not_begun(&self, mut lease: RemoteLease, answer: &Result<Answer, Trouble>) {
        match answer {
            // Dropped, it is given back, should it have been taken.
            Err(trouble) if trouble.may_be_done() => {}
            _ => lease.forget(),
        }
        match answer {
            Ok(Answer::Unusable) => self.count(Count::Foreign),
            answer => self.not_done(answer),
        }
    }

    fn filled(&self, lease: &mut RemoteLease, has_entry: bool, answer: &Result<Answer, Trouble>) -> Filled {
        match answer {
            Ok(Answer::Done) => {
                lease.forget();
                if has_entry {
                    self.count(Count::Stored);
                }
                Filled::Stored
            }
            Ok(Answer::Nothing) => {
                lease.forget();
                self.count(Count::Revoked);
                self.echo.lock().forget(&lease.key);
                Filled::Revoked
            }
            Ok(Answer::Oom) => {
                lease.forget();
                self.gone_for_want_of_memory(&lease.key);
                Filled::Stored
            }
            answer => {
                self.not_done(answer);
                self.defer(&lease.key, Op::Removed, 0);
                Filled::Unknown
            }
        }
    }

    /// Gives a lease back without waiting. If that fails, it expires.
    pub(in crate::remote) fn release_behind(self: &Arc<Self>, key: Vec<u8>, names: Arc<KeyNames>, token: [u8; 16]) {
        let Some(link) = self.link.load_full() else { return };
        let inner = Arc::clone(self);
        drop(self.runtime.spawn(async move {
            let act = Act::Release { token: &token, is_outdated: false };
            drop(inner.ask(&link, &key, &names, act).await);
        }));
    }
}
