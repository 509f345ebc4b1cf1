//! What servers answer, taken apart. A reply of a form that was not expected is an error with a text, never a panic.

use anyhow::{Result, anyhow};
use redis::{ServerError, Value};

/// What the code in front of an error means for a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// The slot has another master.
    Moved,
    /// The slot is about to have another master, and this key has it already.
    Ask,
    /// It passes: the same again, later.
    Passing,
    /// No other command will fare better.
    Fatal,
    /// It concerns this key.
    OfTheKey,
}

pub(super) fn weight(error: &ServerError) -> Weight {
    match error.code() {
        "MOVED" => Weight::Moved,
        "ASK" => Weight::Ask,
        "LOADING" | "CLUSTERDOWN" | "TRYAGAIN" | "MASTERDOWN" | "BUSY" => Weight::Passing,
        "NOAUTH" | "WRONGPASS" | "OOM" | "READONLY" | "MISCONF" | "NOREPLICAS" => Weight::Fatal,
        _ => Weight::OfTheKey,
    }
}

/// The error as the server put it, without the arguments that some repeat: they are values.
pub(super) fn said(error: &ServerError) -> String {
    let details = error.details().map(|details| details.split(", with args").next().unwrap_or(details));
    match details {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}

/// A command that the server does not have, or does not let us use.
pub(super) fn is_unknown_command(error: &ServerError) -> bool {
    let details = error.details().unwrap_or_default().to_ascii_lowercase();
    details.contains("unknown command")
        || details.contains("unknown subcommand")
        || error.code() == "NOPERM" && details.contains("command")
}

/// The first error in a row of replies.
pub(super) fn first_error(replies: &[Value]) -> Option<&ServerError> {
    replies.iter().find_map(|reply| if let Value::ServerError(error) = reply { Some(error) } else { None })
}

pub(super) fn bytes(value: Value) -> Result<Vec<u8>> {
    optional_bytes(value)?.ok_or_else(|| anyhow!("a value was expected, and none came"))
}

pub(super) fn optional_bytes(value: Value) -> Result<Option<Vec<u8>>> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::SimpleString(text) => Ok(Some(text.into_bytes())),
        Value::Okay => Ok(Some(b"OK".to_vec())),
        Value::Int(number) => Ok(Some(number.to_string().into_bytes())),
        Value::ServerError(error) => Err(anyhow!("{}", said(&error))),
        other => Err(anyhow!("a string was expected, not {}", form(&other))),
    }
}

pub(super) fn text(value: Value) -> Result<String> {
    Ok(String::from_utf8_lossy(&bytes(value)?).into_owned())
}

pub(super) fn integer(value: Value) -> Result<i64> {
    match value {
        Value::Int(number) => Ok(number),
        Value::ServerError(error) => Err(anyhow!("{}", said(&error))),
        other => {
            let digits = text(other)?;
            digits.parse().map_err(|_| anyhow!("a number was expected"))
        }
    }
}

pub(super) fn array(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(items) | Value::Set(items) => Ok(items),
        Value::Map(pairs) => Ok(pairs.into_iter().flat_map(|(name, value)| [name, value]).collect()),
        Value::Nil => Ok(Vec::new()),
        Value::ServerError(error) => Err(anyhow!("{}", said(&error))),
        other => Err(anyhow!("an array was expected, not {}", form(&other))),
    }
}

/// The value of a name in an array of names and values.
pub(super) fn field(pairs: &[Value], name: &str) -> Option<Value> {
    let is_it = |value: &Value| match value {
        Value::BulkString(bytes) => bytes == name.as_bytes(),
        Value::SimpleString(text) => text == name,
        _ => false,
    };
    pairs.chunks_exact(2).find(|pair| is_it(&pair[0])).map(|pair| pair[1].clone())
}

/// A row of strings, two by two.
pub(super) fn pairs(value: Value) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut items = array(value)?.into_iter();
    let mut pairs = Vec::with_capacity(items.len() / 2);
    while let (Some(first), Some(second)) = (items.next(), items.next()) {
        pairs.push((bytes(first)?, bytes(second)?));
    }
    Ok(pairs)
}

/// The value of a line of INFO.
pub(super) fn info<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn form(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::Array(_) | Value::Set(_) => "an array",
        Value::Map(_) => "a map",
        _ => "something else",
    }
}

/// A key for the eye: escaped, and cut where it is long.
pub(super) fn shown(key: &[u8]) -> String {
    const LETTERS_MAX: usize = 200;
    let text = match std::str::from_utf8(key) {
        Ok(text) => text.escape_debug().to_string(),
        Err(_) => key.escape_ascii().to_string(),
    };
    match text.char_indices().nth(LETTERS_MAX) {
        Some((at, _)) => format!("{}... ({} bytes)", &text[..at], key.len()),
        None => text,
    }
}
