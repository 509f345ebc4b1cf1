//! The error replies, in Redis' words. Handlers return them; the executor writes them.

use std::borrow::Cow;

pub(crate) mod session;

/// An error reply: its text starts with the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error(pub(crate) Cow<'static, str>);

impl Error {
    /// An error whose text is made up on the spot.
    pub(crate) fn new(text: impl Into<Cow<'static, str>>) -> Error {
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

pub(crate) const SYNTAX: Error = fixed("ERR syntax error");
pub(crate) const NOT_AN_INTEGER: Error = fixed("ERR value is not an integer or out of range");
pub(crate) const NOT_A_FLOAT: Error = fixed("ERR value is not a valid float");
pub(crate) const OUT_OF_RANGE: Error = fixed("ERR value is out of range");
pub(crate) const TOO_LONG: Error = fixed("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
pub(crate) const OFFSET_OUT_OF_RANGE: Error = fixed("ERR offset is out of range");
pub(crate) const INCREMENT_OVERFLOW: Error = fixed("ERR increment or decrement would overflow");
pub(crate) const DECREMENT_OVERFLOW: Error = fixed("ERR decrement would overflow");
pub(crate) const NAN_OR_INFINITY: Error = fixed("ERR increment would produce NaN or Infinity");
pub(crate) const LCS_LEN_AND_IDX: Error = fixed("ERR If you want both the length and indexes, please just use IDX.");
pub(crate) const LCS_TOO_LARGE: Error =
    fixed("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
pub(crate) const LCS_NO_MEMORY: Error = fixed("ERR Insufficient memory, failed allocating transient memory for LCS");
pub(crate) const BIT_OFFSET: Error = fixed("ERR bit offset is not an integer or out of range");
pub(crate) const BIT_VALUE: Error = fixed("ERR bit is not an integer or out of range");
pub(crate) const BIT_ARGUMENT: Error = fixed("ERR The bit argument must be 1 or 0.");
pub(crate) const BITOP_NOT: Error = fixed("ERR BITOP NOT must be called with a single source key.");
pub(crate) const BITFIELD_TYPE: Error =
    fixed("ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.");
pub(crate) const BITFIELD_OVERFLOW: Error = fixed("ERR Invalid OVERFLOW type specified");
pub(crate) const BITFIELD_READ_ONLY: Error = fixed("ERR BITFIELD_RO only supports the GET subcommand");
pub(crate) const NO_SUCH_KEY: Error = fixed("ERR no such key");
pub(crate) const DB_OUT_OF_RANGE: Error = fixed("ERR DB index is out of range");
pub(crate) const OOM: Error = fixed("OOM command not allowed when used memory > 'maxmemory'.");
pub(crate) const NO_AUTH: Error = fixed("NOAUTH Authentication required.");
pub(crate) const EXEC_ABORT: Error = fixed("EXECABORT Transaction discarded because of previous errors.");

/// `ERR wrong number of arguments for '<command>' command`.
pub(crate) fn wrong_arity(command: &str) -> Error {
    Error::new(format!("ERR wrong number of arguments for '{command}' command"))
}

/// `ERR invalid expire time in '<command>' command`.
pub(crate) fn invalid_expire(command: &str) -> Error {
    Error::new(format!("ERR invalid expire time in '{command}' command"))
}

/// CONFIG SET of a name that no setting has.
pub(crate) fn unknown_setting(name: &str) -> Error {
    Error::new(format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'"))
}

/// CONFIG SET that was refused: nothing has changed.
pub(crate) fn config_set_failed(name: &str, why: &str) -> Error {
    Error::new(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"))
}

/// An error of the operating system in the words of C's `strerror`, without Rust's number behind it.
pub(crate) fn io_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
