//! Scripts by their hash: the text goes to the server when it does not know the hash.

use redis::{Arg, Cmd};
use std::sync::OnceLock;

/// A script of ours. All keys are declared, and lie in one slot.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) body: &'static str,
    /// Whether it does no harm if it runs twice with the same arguments.
    pub(super) is_idempotent: bool,
    sha: OnceLock<String>,
}

/// A script with its keys and arguments.
#[derive(Clone)]
pub(crate) struct ScriptCall {
    pub(super) script: &'static Script,
    /// The `EVALSHA`.
    pub(super) command: Cmd,
}

impl Script {
    pub(crate) const fn new(body: &'static str) -> Script {
        Script { body, is_idempotent: false, sha: OnceLock::new() }
    }

    /// The same, for a script that may be tried again when it is not known whether it has run.
    pub(crate) const fn idempotent(body: &'static str) -> Script {
        Script { body, is_idempotent: true, sha: OnceLock::new() }
    }

    fn sha(&self) -> &str {
        self.sha.get_or_init(|| redis::Script::new(self.body).get_hash().to_owned())
    }

    /// An `EVALSHA` of it, with the text of the script, which the server then knows.
    pub(super) fn with_text(&self, by_hash: &Cmd) -> Cmd {
        let mut command = Cmd::new();
        command.arg("EVAL").arg(self.body);
        for part in by_hash.args_iter().skip(2) {
            if let Arg::Simple(bytes) = part {
                command.arg(bytes);
            }
        }
        command
    }
}

impl ScriptCall {
    /// Copies keys and arguments once, into the bytes that are sent.
    pub(crate) fn new(script: &'static Script, keys: &[&[u8]], args: &[&[u8]]) -> ScriptCall {
        let len: usize = keys.iter().chain(args).map(|part| part.len()).sum();
        let mut command = Cmd::with_capacity(3 + keys.len() + args.len(), 64 + len);
        command.arg("EVALSHA").arg(script.sha()).arg(keys.len());
        for part in keys.iter().chain(args) {
            command.arg(*part);
        }
        ScriptCall { script, command }
    }
}
