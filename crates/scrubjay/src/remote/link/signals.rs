//! What a session hears from its connections: news of changes, and that a connection is gone.
//!
//! Connections call from within their own work, so nothing here waits. What the session's task has not fetched yet is gathered, up to
//! a limit; beyond it the keys are forgotten and everything counts as changed.

use super::watcher::Watcher;
use parking_lot::Mutex;
use redis::{PushInfo, PushKind, Value};
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// Keys and messages that wait to be fetched, and their bytes.
pub(super) const WAITING_MAX: usize = 64 << 10;
pub(super) const WAITING_BYTES_MAX: usize = 16 << 20;

/// What a session hears.
#[derive(Debug)]
pub(super) struct Signals {
    waiting: Mutex<Waiting>,
    bell: Notify,
    broken: watch::Sender<Option<Arc<str>>>,
    /// The breaker has opened.
    pub(super) opened: Notify,
}

#[derive(Default)]
struct Waiting {
    keys: Vec<Vec<u8>>,
    messages: Vec<Vec<u8>>,
    bytes: usize,
    is_flushed: bool,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("keys", &self.keys.len()).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Signals {
    pub(super) fn new() -> Signals {
        Signals {
            waiting: Mutex::default(),
            bell: Notify::new(),
            broken: watch::Sender::new(None),
            opened: Notify::new(),
        }
    }

    /// A connection is gone, or of no use any more. The first reason stays.
    pub(super) fn break_off(&self, why: &str) {
        self.broken.send_if_modified(|broken| {
            let is_first = broken.is_none();
            if is_first {
                *broken = Some(why.into());
            }
            is_first
        });
    }

    /// Returns when a connection is gone, and why.
    pub(super) async fn broken(&self) -> Arc<str> {
        let mut broken = self.broken.subscribe();
        let why = broken.wait_for(Option::is_some).await;
        why.ok().and_then(|why| why.clone()).unwrap_or_else(|| "the connection is gone".into())
    }

    /// What a connection that carries news was sent.
    pub(super) fn pushed(&self, push: PushInfo) {
        match push.kind {
            PushKind::Disconnection => self.break_off("the server has closed the connection"),
            PushKind::Invalidate => {
                for part in push.data {
                    match part {
                        Value::Array(keys) | Value::Set(keys) => self.add(bytes_of(keys), Vec::new(), false),
                        _ => self.add(Vec::new(), Vec::new(), true),
                    }
                }
            }
            // The channel, and what was published.
            PushKind::Message => {
                self.published(bytes_of(push.data).into_iter().nth(1).unwrap_or_default());
            }
            _ => {}
        }
    }

    pub(super) fn published(&self, message: Vec<u8>) {
        self.add(Vec::new(), vec![message], false);
    }

    fn add(&self, keys: Vec<Vec<u8>>, messages: Vec<Vec<u8>>, is_flushed: bool) {
        let mut waiting = self.waiting.lock();
        waiting.is_flushed |= is_flushed;
        waiting.bytes += keys.iter().chain(&messages).map(Vec::len).sum::<usize>();
        waiting.keys.extend(keys);
        waiting.messages.extend(messages);
        let count = waiting.keys.len() + waiting.messages.len();
        if count > WAITING_MAX || waiting.bytes > WAITING_BYTES_MAX {
            *waiting = Waiting { is_flushed: true, ..Waiting::default() };
        }
        drop(waiting);
        self.bell.notify_one();
    }

    /// Passes on what waits.
    pub(super) fn pass_on(&self, watcher: &dyn Watcher) {
        let Waiting { keys, messages, bytes: _, is_flushed } = std::mem::take(&mut *self.waiting.lock());
        if is_flushed {
            watcher.flushed();
        }
        if !keys.is_empty() {
            watcher.changed(keys);
        }
        messages.iter().for_each(|message| watcher.published(message));
    }

    /// Passes on what comes, as long as it is polled: all that came in one turn at once.
    pub(super) async fn pass_on_all(&self, watcher: &dyn Watcher) -> std::convert::Infallible {
        loop {
            self.bell.notified().await;
            self.pass_on(watcher);
        }
    }
}

fn bytes_of(values: Vec<Value>) -> Vec<Vec<u8>> {
    let bytes = |value| match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    };
    values.into_iter().filter_map(bytes).collect()
}
