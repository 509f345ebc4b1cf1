//! A lock that this process holds: its renewal, how it is lost, and how it is let go.

use super::super::{Shared, names, number};
use super::{Keys, random};
use crate::error::Error;
use crate::remote::{LinkState, News, Script};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Key: the lock. Arguments: token, time to live.
static RENEW: Script = Script::idempotent(
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])",
);
/// Keys: the lock, and the one whose change tells those who wait. Arguments: token, and the channel where nobody hears of changes.
static RELEASE: Script = Script::new(
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], '', 'PX', 1000)
redis.call('DEL', KEYS[2])
if ARGV[2] ~= '' then redis.pcall('PUBLISH', ARGV[2], KEYS[2]) end
return 1",
);

/// What is left of the time to live is divided by this between attempts to renew it, when one has failed.
const HURRY: u32 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Held,
    Lost,
    Released,
}

/// A lock that this process holds.
pub(super) struct Held {
    shared: Arc<Shared>,
    keys: Arc<Keys>,
    token: String,
    pub(super) fence: u64,
    time_to_live_ms: AtomicU64,
    /// By our clock, from when the last confirmed request was sent.
    valid_until_ms: AtomicU64,
    state: watch::Sender<State>,
}

impl Held {
    /// It was taken by a request that was sent at `sent_ms`. A task renews it from now on.
    pub(super) fn begin(
        shared: &Arc<Shared>,
        keys: &Arc<Keys>,
        token: &str,
        fence: u64,
        time_to_live: Duration,
        sent_ms: u64,
    ) -> Arc<Held> {
        let time_to_live_ms = u64::try_from(time_to_live.as_millis()).unwrap_or(u64::MAX);
        let held = Arc::new(Held {
            shared: Arc::clone(shared),
            keys: Arc::clone(keys),
            token: token.to_owned(),
            fence,
            time_to_live_ms: AtomicU64::new(time_to_live_ms),
            valid_until_ms: AtomicU64::new(sent_ms.saturating_add(time_to_live_ms)),
            state: watch::Sender::new(State::Held),
        });
        shared.runtime.spawn(Arc::clone(&held).keep());
        held
    }

    pub(super) fn is_held(&self) -> bool {
        *self.state.borrow() == State::Held && !self.is_over()
    }

    fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// For how long it is ours yet, unless it is renewed.
    fn left(&self) -> Duration {
        let until_ms = self.valid_until_ms.load(Ordering::Acquire);
        Duration::from_millis(until_ms.saturating_sub(self.shared.clock.now_ms()))
    }

    /// Returns when it is lost or released.
    pub(super) async fn lost(&self) {
        let mut state = self.state.subscribe();
        // It never fails: the sender is here.
        let _ = state.wait_for(|state| *state != State::Held).await;
    }

    /// Renews it until it is lost or let go.
    async fn keep(self: Arc<Held>) {
        let mut pause = self.third();
        loop {
            tokio::select! {
                () = self.lost() => return,
                () = self.shared.pause(pause) => {}
            }
            // Bound by what is left: what is answered later says nothing.
            let renewal = tokio::time::timeout(self.left(), self.renew()).await;
            pause = match renewal {
                Ok(Ok(true)) => self.third(),
                Ok(Ok(false)) => return self.lose(),
                Ok(Err(_)) | Err(_) if self.is_over() => return self.lose(),
                Ok(Err(_)) | Err(_) => (self.left() / HURRY).max(Duration::from_millis(5)),
            };
        }
    }

    /// A third of its time to live, and not all at once.
    fn third(&self) -> Duration {
        let third_ms = self.time_to_live_ms.load(Ordering::Acquire) / 3;
        Duration::from_millis(third_ms - random() % (third_ms / 8 + 1))
    }

    fn lose(&self) {
        self.state.send_if_modified(|state| {
            let is_held = *state == State::Held;
            if is_held {
                *state = State::Lost;
            }
            is_held
        });
    }

    async fn renew(&self) -> Result<bool, Error> {
        let sent_ms = self.shared.clock.now_ms();
        let time_to_live_ms = self.time_to_live_ms.load(Ordering::Acquire);
        let digits = time_to_live_ms.to_string();
        let answer =
            self.shared.script(&RENEW, &[&self.keys.lock], &[self.token.as_bytes(), digits.as_bytes()]).await?;
        let is_ours = number(&answer)? == 1;
        if is_ours {
            self.valid_until_ms.store(sent_ms.saturating_add(time_to_live_ms), Ordering::Release);
        }
        Ok(is_ours)
    }

    pub(super) async fn extend(&self, time_to_live: Duration) -> Result<bool, Error> {
        if *self.state.borrow() != State::Held {
            return Ok(false);
        }
        let time_to_live_ms = u64::try_from(time_to_live.as_millis()).unwrap_or(u64::MAX);
        self.time_to_live_ms.store(time_to_live_ms, Ordering::Release);
        let is_ours = self.renew().await?;
        if !is_ours {
            self.lose();
        }
        Ok(is_ours)
    }

    pub(super) async fn release(&self) -> Result<bool, Error> {
        let was_held = self.state.send_replace(State::Released) == State::Held;
        let is_let_go = let_go(&self.shared, &self.keys, &self.token).await?;
        Ok(was_held && is_let_go)
    }

    /// Lets it go behind, if that was not done.
    pub(super) fn abandon(&self) {
        if self.state.send_replace(State::Released) != State::Released {
            let_go_behind(&self.shared, &self.keys, &self.token);
        }
    }
}

/// Lets go what the token holds; whether it held it.
async fn let_go(shared: &Shared, keys: &Keys, token: &str) -> Result<bool, Error> {
    let is_published = matches!(shared.link.state(), LinkState::Serving { coherence: News::PubSub(_) });
    let channel = if is_published { names::channel(&shared.prefix) } else { Vec::new() };
    let answer = shared.script(&RELEASE, &[&keys.lock, &keys.freed], &[token.as_bytes(), &channel]).await?;
    Ok(number(&answer)? == 1)
}

/// The same without waiting for it. If it fails, the lock expires.
pub(super) fn let_go_behind(shared: &Arc<Shared>, keys: &Arc<Keys>, token: &str) {
    let (shared, keys, token) = (Arc::clone(shared), Arc::clone(keys), token.to_owned());
    let runtime = shared.runtime.clone();
    drop(runtime.spawn(async move {
        if let Err(error) = let_go(&shared, &keys, &token).await {
            tracing::debug!(%error, "a lock is not let go, and expires");
        }
    }));
}
