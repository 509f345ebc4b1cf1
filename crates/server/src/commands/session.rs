//! A client for tests of handlers: commands go through the executor into a keyspace of its own, no socket between.
//! The clock stands still unless a test moves it.

use crate::client::Client;
use crate::config::Config;
use crate::exec;
use crate::server::Shared;
use crate::worker::Worker;
use scrubjay_keyspace::{Db, WatchFlag};
use scrubjay_resp::Protocol;
use std::sync::Arc;

/// Where the clock of a new session stands.
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;

pub(crate) struct Session {
    pub(crate) shared: Shared,
    pub(crate) worker: Worker,
    client: Client,
}

impl Session {
    pub(crate) fn new() -> Session {
        let shared = Shared::new(Config::default(), 1).unwrap();
        shared.clock.hold(NOW_MS);
        Session { shared, worker: Worker::new(0), client: Client::new(1) }
    }

    pub(crate) fn resp3(mut self) -> Session {
        self.client.protocol = Protocol::Resp3;
        self
    }

    /// The reply to one request, as it goes over the wire.
    pub(crate) fn run(&mut self, args: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        exec::run(&self.shared, &mut self.worker, &mut self.client, args, &mut out);
        out
    }

    /// The reply to words split at spaces, its line ends as spaces. `""` is an empty word.
    pub(crate) fn line(&mut self, line: &str) -> String {
        let args: Vec<&[u8]> =
            line.split(' ').map(|word| if word == "\"\"" { b"".as_slice() } else { word.as_bytes() }).collect();
        String::from_utf8_lossy(&self.run(&args)).replace("\r\n", " ").trim_end().to_owned()
    }

    /// Runs each line and compares its reply.
    pub(crate) fn check(&mut self, lines: &[(&str, &str)]) {
        for (line, reply) in lines {
            assert_eq!(self.line(line), *reply, "{line}");
        }
    }

    /// When `key` expires and whether its value counts as changed in place; nothing when it is absent.
    pub(crate) fn state(&self, key: &str) -> Option<(Option<u64>, bool)> {
        let key = self.shared.keyspace.key(key.as_bytes());
        let pass = self.shared.keyspace.pass(0);
        let mut held = pass.latch_one(key.hash, self.shared.clock.now_ms());
        held.peek(Db(0), &key).map(|entry| (entry.expires_at_ms, entry.is_raw))
    }

    /// Runs `line` and tells whether it counts as a change of `key`.
    pub(crate) fn changes(&mut self, line: &str, key: &str) -> bool {
        let flag = Arc::new(WatchFlag::default());
        let key = self.shared.keyspace.key(key.as_bytes());
        {
            let pass = self.shared.keyspace.pass(0);
            pass.latch_one(key.hash, NOW_MS).watch(Db(0), &key, &flag);
        }
        self.line(line);
        flag.is_raised()
    }
}
