//! What `scrubjay migrate` can be told. Passwords are in here, so nothing of it is ever printed but by `Debug`, which
//! leaves them out.

use clap::{ArgAction, Args, ValueEnum};
use std::fmt;
use std::path::PathBuf;

pub(crate) const HELP: &str = "\
What is copied: keys with values and times to live, of one database or all. What is not: functions, scripts, users and
settings; and a key that only the target has is never removed.
Both servers stay in use: a key that changes after it was read is not copied again, and one that expires meanwhile is no error.
Passwords may stand in the URLs, or in SCRUBJAY_FROM_PASSWORD and SCRUBJAY_TO_PASSWORD, where other users cannot see them.

Exit status:
  0  everything is there (and nothing differs, with --verify)
  1  some keys could not be copied, or differ: they are listed
  2  it could not be done, or not to its end: with --resume the same command goes on
  3  it was stopped by a signal: with --resume the same command goes on

Examples:
  scrubjay migrate --from redis://old:6379 --to redis://new:6379 --resume move.json --verify
  scrubjay migrate --from redis://old/3 --to rediss://user@new/0 --match 'session:*' --rate 5000
";

/// Copies every key of a Redis-compatible server to another, while both are in use.
#[derive(Args, Clone, Debug)]
pub(crate) struct Migrate {
    /// The server that has the keys; any node of a cluster. A path is a database: redis://host:6379/3.
    #[arg(long, value_name = "URL")]
    pub(crate) from: Secret,
    /// The server that gets them; any node of a cluster.
    #[arg(long, value_name = "URL")]
    pub(crate) to: Secret,
    /// Only keys of this form, as in SCAN.
    #[arg(long = "match", value_name = "PATTERN")]
    pub(crate) pattern: Option<String>,
    /// Only keys of this type: string, list, set, hash, zset, stream, or a module's.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<String>,
    /// One database, of the same number on both sides [default: all, or those that the URLs name].
    #[arg(long, value_name = "NUMBER")]
    pub(crate) db: Option<i64>,
    /// Keys that are read and written at once.
    #[arg(long, value_name = "KEYS", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) batch: u64,
    /// Keys per second at most.
    #[arg(long, value_name = "KEYS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: Option<u64>,
    /// Bytes per second at most, with units kb, mb, gb.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) bytes_rate: Option<u64>,
    /// Keys that take more memory than this are listed and not copied. What is in memory here at once is some four times this.
    #[arg(long, value_name = "BYTES", default_value = "256mb", value_parser = bytes)]
    pub(crate) value_bytes_max: u64,
    /// What the target has under the same key is replaced. Otherwise, unless it is the same value, it stays and is listed.
    #[arg(long, conflicts_with = "keep_existing")]
    pub(crate) replace: bool,
    /// What the target has under the same key stays, and is no error.
    #[arg(long)]
    pub(crate) keep_existing: bool,
    /// Writes nothing: counts the keys, and lists those that would not be copied.
    #[arg(long, conflicts_with_all = ["verify", "verify_only", "resume"])]
    pub(crate) dry_run: bool,
    /// Writes down in this file how far it is, and goes on from there if the file exists.
    #[arg(long, value_name = "FILE")]
    pub(crate) resume: Option<PathBuf>,
    /// Then reads both sides, and lists what differs, is missing or is there besides.
    #[arg(long)]
    pub(crate) verify: bool,
    /// Copies nothing, and compares.
    #[arg(long, conflicts_with_all = ["replace", "keep_existing", "resume"])]
    pub(crate) verify_only: bool,
    /// Milliseconds that two times to live may be apart for --verify.
    #[arg(long, value_name = "MS", default_value_t = 1_000)]
    pub(crate) ttl_tolerance: u64,
    /// Keys that are listed at most, of each kind; the others are counted.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub(crate) list: usize,
    /// Says the outcome in JSON.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) json: bool,
    #[arg(skip)]
    pub(crate) passwords: Passwords,
}

impl Migrate {
    /// What happens to a key that the target has.
    pub(super) fn existing(&self) -> Existing {
        match (self.replace, self.keep_existing) {
            (true, _) => Existing::Replaced,
            (_, true) => Existing::Kept,
            _ => Existing::Refused,
        }
    }
}

/// What happens to a key that the target has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Existing {
    /// The source's value takes its place.
    Replaced,
    /// It stays, and that is as it should be.
    Kept,
    /// It stays, and is listed unless it is the same.
    Refused,
}

/// A text that may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(super) String);

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// What the environment says, for URLs that have none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passwords {
    pub(crate) from: Option<Secret>,
    pub(crate) to: Option<Secret>,
}

/// `text` without what stands before the `@` of a URL, for messages that quote what was typed.
pub(crate) fn redacted(text: &str) -> String {
    let mut left = text;
    let mut out = String::new();
    while let Some(at) = left.find("://") {
        let (head, rest) = left.split_at(at + 3);
        out.push_str(head);
        let end = rest.find(|c: char| c.is_whitespace() || c == '\'').unwrap_or(rest.len());
        let (url, tail) = rest.split_at(end);
        match url.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str("...@");
                out.push_str(host);
            }
            None => out.push_str(url),
        }
        left = tail;
    }
    out + left
}

/// A number of bytes, with or without a unit.
fn bytes(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let at = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let (digits, unit) = lower.split_at(at);
    let shift = match unit {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        _ => return Err(format!("'{unit}' is no unit: kb, mb, gb")),
    };
    let number: u64 = digits.parse().map_err(|_| "not a number of bytes".to_owned())?;
    number.checked_mul(1 << shift).filter(|&bytes| bytes > 0).ok_or_else(|| "out of range".to_owned())
}
