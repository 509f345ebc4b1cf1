//! Why a command has no answer of use, by what its caller can do about it.

use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use std::fmt;
use std::sync::Arc;

/// Why a command has no answer of use. Texts are for people, and name neither keys nor passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The server is not there, or not ready: the command has not been done.
    Away(Arc<str>),
    /// The connection ended while the command was on its way: it may have been done.
    Lost(Arc<str>),
    /// No answer in time: it may have been done, or be done yet.
    TimedOut,
    /// Too many commands are on their way: it was not sent.
    Full,
    /// The server has no memory for it (`OOM`).
    Oom,
    /// The server takes no writes (`READONLY`).
    ReadOnly,
    /// What lies under the key is of another type.
    WrongType,
    /// This user may not (`NOPERM`, `NOAUTH`, `WRONGPASS`).
    Denied(Arc<str>),
    /// Any other error of the server's, or an answer that nobody expected.
    Server(Arc<str>),
}

impl Trouble {
    /// Whether the same command may succeed in a moment.
    pub(crate) fn is_retryable(&self) -> bool {
        matches!(self, Trouble::Away(_) | Trouble::Lost(_))
    }

    /// Whether it says something about the server, and not about this command or this key.
    pub(crate) fn concerns_the_tier(&self) -> bool {
        matches!(self, Trouble::Away(_) | Trouble::Lost(_) | Trouble::TimedOut | Trouble::ReadOnly)
    }

    /// Whether the command may have been done all the same.
    pub(crate) fn may_be_done(&self) -> bool {
        matches!(self, Trouble::Lost(_) | Trouble::TimedOut)
    }

    /// An error that the server has answered with.
    fn of_server(code: &str, detail: &str) -> Trouble {
        let whole = || Arc::from(format!("{code} {detail}").trim_end());
        match code_within(code, detail).unwrap_or(code) {
            "OOM" => Trouble::Oom,
            "READONLY" => Trouble::ReadOnly,
            "WRONGTYPE" => Trouble::WrongType,
            "NOPERM" | "NOAUTH" | "WRONGPASS" => Trouble::Denied(whole()),
            "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "BUSY" | "MISCONF" | "NOREPLICAS" => {
                Trouble::Away(whole())
            }
            _ => Trouble::Server(whole()),
        }
    }
}

/// The code of what a command within a script has failed with, where the server puts words before it. Redis 6.2 has two such forms,
/// of what a script has not caught and of what it hands on:
///
/// ```text
/// ERR Error running script (call to f_<sha1>): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica.
/// @user_script: 1: -READONLY You can't write against a read only replica.
/// ERR Error running script (call to f_<sha1>): @user_script:1: WRONGTYPE Operation against a key holding the wrong kind of value
/// ```
fn code_within<'a>(code: &str, detail: &'a str) -> Option<&'a str> {
    if code != SCRIPT && !(code == "ERR" && detail.starts_with("Error running script")) {
        return None;
    }
    if detail.contains("The user executing the script can't run this command") {
        return Some("NOPERM");
    }
    let words = detail.rsplit_once(SCRIPT).map_or(detail, |(_, words)| words);
    // A number of a line, and then the error.
    let mut words =
        words.split([' ', ':']).filter(|word| !word.is_empty() && !word.bytes().all(|byte| byte.is_ascii_digit()));
    words.next().map(|word| word.trim_start_matches('-'))
}

/// What the server calls a script.
const SCRIPT: &str = "@user_script:";

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Trouble {
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::ResponseError) | ErrorKind::Extension | ErrorKind::Server(_) => {
                Trouble::of_server(error.code().unwrap_or("ERR"), error.detail().unwrap_or(""))
            }
            ErrorKind::AuthenticationFailed => Trouble::Denied(error.to_string().into()),
            ErrorKind::Io | ErrorKind::Parse | ErrorKind::ClusterConnectionNotFound => {
                Trouble::Lost(error.to_string().into())
            }
            _ => Trouble::Server(error.to_string().into()),
        }
    }
}

/// What came, if it is not an error in the guise of a value.
pub(super) fn sound(answer: Result<Value, RedisError>) -> Result<Value, Trouble> {
    match answer {
        Ok(Value::ServerError(error)) => Err(Trouble::of_server(error.code(), error.details().unwrap_or(""))),
        Ok(value) => Ok(value),
        Err(error) => Err(error.into()),
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Away(why) | Trouble::Lost(why) | Trouble::Denied(why) | Trouble::Server(why) => f.write_str(why),
            Trouble::TimedOut => f.write_str("the server did not answer in time"),
            Trouble::Full => f.write_str("too many commands are on their way"),
            Trouble::Oom => f.write_str("the server is out of memory"),
            Trouble::ReadOnly => f.write_str("the server takes no writes"),
            Trouble::WrongType => f.write_str("the key holds another type"),
        }
    }
}

impl std::error::Error for Trouble {}
