//! Why a file was not read, in words for the log.

use crate::rdb::VERSION_MAX;

/// A file that cannot be read, and how far it could.
#[derive(Debug, thiserror::Error)]
#[error("{problem} (at byte {offset})")]
pub(crate) struct Error {
    pub(crate) offset: u64,
    pub(crate) problem: Problem,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("not an RDB file: it does not begin with REDIS and a version")]
    NotRdb,
    #[error("RDB version {0} is newer than {VERSION_MAX}, the newest that can be read")]
    Newer(u16),
    #[error("the file ends too early")]
    Truncated,
    #[error("the file is damaged: {0}")]
    Corrupt(&'static str),
    #[error("the file is damaged: its checksum is {stored:016x}, its content has {computed:016x}")]
    Checksum {
        /// What the file says.
        stored: u64,
        /// What its bytes say.
        computed: u64,
    },
    #[error("the file holds {0}, and only strings can be read")]
    Unsupported(String),
    #[error("the file has keys in database {database}, and `databases` allows {allowed}")]
    Database {
        /// The number in the file.
        database: u64,
        /// How many there are.
        allowed: u16,
    },
    #[error("no memory left for what the file holds")]
    Full,
    #[error(transparent)]
    Io(std::io::Error),
}

/// What the types of Redis 7.2 besides strings are called.
pub(super) fn type_name(kind: u8) -> Option<&'static str> {
    match kind {
        1 | 10 | 14 | 18 => Some("a list"),
        2 | 11 | 20 => Some("a set"),
        3 | 5 | 12 | 17 => Some("a sorted set"),
        4 | 9 | 13 | 16 => Some("a hash"),
        6 | 7 => Some("a value of a module"),
        15 | 19 | 21 => Some("a stream"),
        _ => None,
    }
}
