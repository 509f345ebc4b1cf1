//! The error replies, in Redis' words. Handlers return them; the executor writes them.

use std::borrow::Cow;

/// An error reply: its text starts with the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub Cow<'static, str>);

impl Error {
    /// An error whose text is made up on the spot.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Error {
        Error(text.into())
    }
}

impl From<scrubjay_keyspace::Full> for Error {
    fn from(_: scrubjay_keyspace::Full) -> Error {
        OOM
    }
}

const fn fixed(text: &'static str) -> Error {
    Error(Cow::Borrowed(text))
}

pub const SYNTAX: Error = fixed("ERR syntax error");
pub const NOT_AN_INTEGER: Error = fixed("ERR value is not an integer or out of range");
pub const NOT_A_FLOAT: Error = fixed("ERR value is not a valid float");
pub const OUT_OF_RANGE: Error = fixed("ERR value is out of range");
pub const NO_SUCH_KEY: Error = fixed("ERR no such key");
pub const DB_OUT_OF_RANGE: Error = fixed("ERR DB index is out of range");
pub const OOM: Error = fixed("OOM command not allowed when used memory > 'maxmemory'.");
pub const NO_AUTH: Error = fixed("NOAUTH Authentication required.");
pub const EXEC_ABORT: Error = fixed("EXECABORT Transaction discarded because of previous errors.");

/// `ERR wrong number of arguments for '<command>' command`.
pub fn wrong_arity(command: &str) -> Error {
    Error::new(format!("ERR wrong number of arguments for '{command}' command"))
}

/// `ERR invalid expire time in '<command>' command`.
pub fn invalid_expire(command: &str) -> Error {
    Error::new(format!("ERR invalid expire time in '{command}' command"))
}
