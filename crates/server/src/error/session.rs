//! The error replies of connection, CLIENT and transaction commands.

use super::{Error, fixed};
use std::fmt::Display;

pub(crate) const AUTH_WITHOUT_PASSWORD: Error = fixed(
    "ERR AUTH <password> called without any password configured for the default user. \
     Are you sure your configuration is correct?",
);
pub(crate) const WRONG_PASS: Error = fixed("WRONGPASS invalid username-password pair or user is disabled.");
pub(crate) const NO_PROTO: Error = fixed("NOPROTO unsupported protocol version");
pub(crate) const PROTOCOL_NOT_AN_INTEGER: Error = fixed("ERR Protocol version is not an integer or out of range");
pub(crate) const HELLO_NO_AUTH: Error = fixed(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> \
     option can be used to authenticate the client and select the RESP protocol version at the same time",
);
pub(crate) const CLIENT_NAME_HAS_SPACES: Error =
    fixed("ERR Client names cannot contain spaces, newlines or special characters.");

pub(crate) const NESTED_MULTI: Error = fixed("ERR MULTI calls can not be nested");
pub(crate) const EXEC_WITHOUT_MULTI: Error = fixed("ERR EXEC without MULTI");
pub(crate) const DISCARD_WITHOUT_MULTI: Error = fixed("ERR DISCARD without MULTI");
pub(crate) const WATCH_INSIDE_MULTI: Error = fixed("ERR WATCH inside MULTI is not allowed");

pub(crate) const NO_SUCH_CLIENT: Error = fixed("ERR No such client");
pub(crate) const CLIENT_ID_NOT_POSITIVE: Error = fixed("ERR client-id should be greater than 0");
pub(crate) const INVALID_CLIENT_ID: Error = fixed("ERR Invalid client ID");
pub(crate) const PAUSE_MODE: Error = fixed("ERR CLIENT PAUSE mode must be WRITE or ALL");
pub(crate) const UNBLOCK_REASON: Error = fixed("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
pub(crate) const UNBLOCKED: Error = fixed("UNBLOCKED client unblocked via CLIENT UNBLOCK");

pub(crate) const TIMEOUT_NOT_AN_INTEGER: Error = fixed("ERR timeout is not an integer or out of range");
pub(crate) const TIMEOUT_OUT_OF_RANGE: Error = fixed("ERR timeout is out of range");
pub(crate) const TIMEOUT_NEGATIVE: Error = fixed("ERR timeout is negative");
pub(crate) const NOT_POSITIVE: Error = fixed("ERR value is out of range, must be positive");
pub(crate) const NUMLOCAL_OUT_OF_RANGE: Error = fixed("ERR value is out of range, value must between 0 and 1");
pub(crate) const WAITAOF_WITHOUT_AOF: Error =
    fixed("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");

pub(crate) const ONE_REDIRECT: Error = fixed("ERR A client can only redirect to a single other client");
pub(crate) const NO_REDIRECT: Error = fixed("ERR The client ID you want redirect to does not exist");
pub(crate) const PREFIX_WITHOUT_BCAST: Error = fixed("ERR PREFIX option requires BCAST mode to be enabled");
pub(crate) const BCAST_SWITCH: Error = fixed(
    "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a \
     different mode.",
);
pub(crate) const BCAST_WITH_OPT: Error = fixed("ERR OPTIN and OPTOUT are not compatible with BCAST");
pub(crate) const OPTIN_AND_OPTOUT: Error = fixed("ERR You can't specify both OPTIN mode and OPTOUT mode");
pub(crate) const OPT_SWITCH: Error = fixed(
    "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a \
     different mode.",
);
pub(crate) const CACHING_WITHOUT_TRACKING: Error = fixed(
    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
);
pub(crate) const CACHING_YES: Error =
    fixed("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
pub(crate) const CACHING_NO: Error =
    fixed("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");

/// EXEC that was not even run, because of `reason`: its transaction is over all the same.
pub(crate) fn exec_refused(reason: &Error) -> Error {
    let reason = reason.0.strip_prefix("ERR ").unwrap_or(&reason.0);
    Error::new(format!("EXECABORT Transaction discarded because of: {reason}"))
}

/// `ERR Syntax error in HELLO option '<option>'`.
pub(crate) fn hello_option(option: &[u8]) -> Error {
    Error::new(format!("ERR Syntax error in HELLO option '{}'", shown(option)))
}

/// A number that lies outside of a C `int`.
pub(crate) fn not_an_int() -> Error {
    Error::new(format!("ERR value is out of range, value must between {} and {}", i32::MIN, i32::MAX))
}

/// `ERR Unknown client type '<kind>'`.
pub(crate) fn unknown_client_type(kind: &[u8]) -> Error {
    Error::new(format!("ERR Unknown client type '{}'", shown(kind)))
}

/// `ERR No such user '<user>'`.
pub(crate) fn no_such_user(user: &[u8]) -> Error {
    Error::new(format!("ERR No such user '{}'", shown(user)))
}

/// CLIENT SETINFO with an attribute that it does not know.
pub(crate) fn unrecognized_option(option: &[u8]) -> Error {
    Error::new(format!("ERR Unrecognized option '{}'", shown(option)))
}

/// CLIENT SETINFO with a value that would break a line of CLIENT LIST.
pub(crate) fn attribute_has_spaces(option: &[u8]) -> Error {
    Error::new(format!("ERR {} cannot contain spaces, newlines or special characters.", shown(option)))
}

/// Too many arguments behind a subcommand whose arity is open.
pub(crate) fn subcommand_arguments(container: &str, given: &[u8]) -> Error {
    let container = container.to_ascii_uppercase();
    Error::new(format!(
        "ERR unknown subcommand or wrong number of arguments for '{:.128}'. Try {container} HELP.",
        shown(given).to_string()
    ))
}

/// A prefix of BCAST tracking that covers keys of another: `which` is "an existing" or "another provided".
pub(crate) fn prefix_overlaps(prefix: &[u8], which: &str, other: &[u8]) -> Error {
    Error::new(format!(
        "ERR Prefix '{}' overlaps with {which} prefix '{}'. Prefixes for a single client must not overlap.",
        shown(prefix),
        shown(other)
    ))
}

fn shown(bytes: &[u8]) -> impl Display {
    String::from_utf8_lossy(bytes)
}
