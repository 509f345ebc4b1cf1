//! The one error of the library, by what its caller can do about it.
//!
//! A miss, an expired key, an entry that was not admitted: outcomes, not errors. An [`Error`] is cheap to clone, since
//! everyone who waited for a load gets the same one.

use std::fmt;
use std::sync::Arc;

/// What any source of an error is boxed into.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What to do about an [`Error`].
///
/// ```
/// use scrubjay::{Error, ErrorKind};
///
/// /// What a web service answers with.
/// fn status(error: &Error) -> u16 {
///     match error.kind() {
///         ErrorKind::Absent => 404,
///         ErrorKind::Timeout => 504,
///         ErrorKind::Loader | ErrorKind::Unavailable | ErrorKind::Closed => 503,
///         _ => 500,
///     }
/// }
/// # let error = scrubjay::MemoryCache::<u64, u64>::builder().entries(0).build().unwrap_err();
/// # assert_eq!((error.kind(), status(&error)), (ErrorKind::Invalid, 500));
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The call or the configuration is wrong: the message names the field and the limit. Fix the call.
    Invalid,
    /// A tier or a runtime cannot be reached now. Retry later.
    Unavailable,
    /// The loader failed or panicked; its own error is the [source](std::error::Error::source).
    Loader,
    /// The load took longer than its hard timeout.
    Timeout,
    /// The loader said that the key has no value, and the caller asked for one.
    Absent,
    /// Stored data did not decode. It is lost, the cache is usable.
    Corrupt,
    /// The cache is closed.
    Closed,
}

/// Why an operation of the cache failed. A miss is no error.
///
/// Whoever waits for a load that fails gets the same error, and can have the loader's own:
///
/// ```
/// use scrubjay::{Cache, ErrorKind, Memory};
/// use std::io;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let files: Cache<String, String> =
///     Cache::builder("files").memory(Memory::bytes(1 << 20)).build().await?;
/// let missing = |path: String| io::Error::new(io::ErrorKind::NotFound, path);
/// let read = async move |path| Err::<String, _>(missing(path));
/// let error = files.get_or_load("jay.txt", read).await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Loader);
/// assert_eq!(error.to_string(), "the loader failed: jay.txt");
/// let source: Option<&io::Error> = error.downcast_source();
/// assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::NotFound));
/// # Ok::<(), scrubjay::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<BoxError>,
}

impl Error {
    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The loader's own error, if it is one of type `E`.
    pub fn downcast_source<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.inner.source.as_deref().and_then(|source| source.downcast_ref::<E>())
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { inner: Arc::new(Inner { kind, message: message.into(), source: None }) }
    }

    pub(crate) fn with_source(kind: ErrorKind, message: impl Into<String>, source: impl Into<BoxError>) -> Error {
        Error { inner: Arc::new(Inner { kind, message: message.into(), source: Some(source.into()) }) }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Invalid, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)?;
        match &self.inner.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("message", &self.inner.message)
            .field("source", &self.inner.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}
