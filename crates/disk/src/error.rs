//! The one error of the engine, by what its caller can do about it.
//!
//! A miss, an expired entry, a put that is not admitted or finds the queue full: outcomes, not errors.

use std::fmt;
use std::io;
use std::path::Path;

/// What to do about an [`Error`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The call or an option is wrong: the message names the field and the limit. Fix the call.
    Invalid,
    /// Another process, or another store of this one, has the folder. Close it there, or take another folder.
    InUse,
    /// A newer version of this software wrote what is there. Update, or take another folder.
    Newer,
    /// What is there is damaged, or no store at all. Take another folder, or remove what is in it.
    Corrupt,
    /// The device fails, is full, or does not answer. Retry later.
    Unavailable,
    /// The store is closed.
    Closed,
}

/// Why an operation of the store failed.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<io::Error>,
}

impl Error {
    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), source: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn closed() -> Error {
        Error::new(ErrorKind::Closed, "the store is closed")
    }

    /// What the device said while `what` was done.
    pub(crate) fn device(what: impl Into<String>, source: io::Error) -> Error {
        Error { kind: ErrorKind::Unavailable, message: what.into(), source: Some(source) }
    }

    /// Names the folder that it is about, if it does not yet.
    pub(crate) fn at(self, folder: &Path) -> Error {
        let folder = folder.display().to_string();
        let is_named = self.to_string().contains(&folder);
        if is_named { self } else { Error { message: format!("{folder}: {}", self.message), ..self } }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
