//! Links to servers that these tests start, and harm.

mod clusters;
mod faults;
mod parts;
mod scripted;
mod serving;
mod ways_in;

use super::{Link, LinkSetup, LinkState, News, Trouble, Watcher};
use crate::clock::Clock;
use crate::remote::Remote;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use redis::{Cmd, Value};
use scrubjay_harness::wait_for;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::Handle;

/// What a watcher was told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Changed(String),
    Flushed,
    Published(String),
    Connected,
    Beat,
    Lost(String),
}

/// A watcher that remembers.
#[derive(Default)]
struct Ears {
    heard: Mutex<Vec<Heard>>,
    /// What `connected` answers.
    refuses: Mutex<Option<Trouble>>,
    /// At the next beat.
    must_panic: AtomicBool,
}

impl Watcher for Ears {
    fn changed(&self, keys: Vec<Vec<u8>>) {
        self.heard.lock().extend(keys.into_iter().map(|key| Heard::Changed(text(key))));
    }

    fn flushed(&self) {
        self.heard.lock().push(Heard::Flushed);
    }

    fn published(&self, message: &[u8]) {
        self.heard.lock().push(Heard::Published(text(message.to_vec())));
    }

    fn connected<'a>(&'a self, link: &'a Link) -> BoxFuture<'a, Result<(), Trouble>> {
        async move {
            // A watcher can ask before anybody else can.
            link.run(cmd(&["PING"])).await?;
            self.heard.lock().push(Heard::Connected);
            self.refuses.lock().clone().map_or(Ok(()), Err)
        }
        .boxed()
    }

    fn heartbeat<'a>(&'a self, link: &'a Link) -> BoxFuture<'a, Result<(), Trouble>> {
        async move {
            link.run(cmd(&["PING"])).await?;
            assert!(!self.must_panic.swap(false, Ordering::AcqRel), "a test makes it panic");
            self.heard.lock().push(Heard::Beat);
            Ok(())
        }
        .boxed()
    }

    fn lost(&self, why: &str) {
        self.heard.lock().push(Heard::Lost(why.to_owned()));
    }
}

impl Ears {
    /// Returns when it was told so.
    fn wait_for(&self, what: &Heard) {
        wait_for(&format!("{what:?}"), || self.heard.lock().contains(what).then_some(()));
    }

    fn wait_until(&self, what: &str, is_it: impl Fn(&Heard) -> bool) {
        wait_for(what, || self.heard.lock().iter().any(&is_it).then_some(()));
    }

    fn count(&self, what: &Heard) -> usize {
        self.heard.lock().iter().filter(|heard| *heard == what).count()
    }

    fn forget(&self) {
        self.heard.lock().clear();
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

fn cmd(words: &[&str]) -> Cmd {
    let mut command = Cmd::new();
    words.iter().for_each(|word| _ = command.arg(*word));
    command
}

fn bulk(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

/// A link, and who listens.
fn start(remote: Remote) -> (Link, Arc<Ears>) {
    let ears = Arc::new(Ears::default());
    let link = try_start(remote, &ears).expect("a good configuration");
    (link, ears)
}

fn try_start(remote: Remote, ears: &Arc<Ears>) -> Result<Link, crate::Error> {
    let setup = LinkSetup {
        remote,
        cache: "users".into(),
        clock: Clock::system(),
        runtime: Handle::current(),
        prefixes: vec![b"jay:a:".to_vec(), b"jay:b:".to_vec()],
        channel: b"jay!changes".to_vec(),
    };
    Link::start(setup, Arc::clone(ears) as Arc<dyn Watcher>)
}

/// Returns when the link serves.
fn wait_until_serving(link: &Link) {
    wait_for("the link to serve", || match link.state() {
        LinkState::Serving { .. } => Some(()),
        _ => None,
    });
}

/// The same, for a link to `remote`.
fn serve(remote: Remote) -> (Link, Arc<Ears>) {
    let (link, ears) = start(remote);
    wait_until_serving(&link);
    (link, ears)
}

/// Why it does not serve, as soon as the words are in the reason.
fn wait_for_reason(link: &Link, words: &str) -> String {
    wait_for(&format!("{words:?} as the reason; it is {:?}", link.state()), || {
        let (LinkState::Connecting { why: Some(why) } | LinkState::Away { why, .. }) = link.state() else {
            return None;
        };
        why.contains(words).then(|| why.to_string())
    })
}
