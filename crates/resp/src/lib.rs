//! RESP2 and RESP3: requests and replies as bytes, under limits. Knows nothing of commands, sockets or keys.

mod reply;
mod request;

pub use reply::{Protocol, Reply};
pub use request::{Limits, Parser, Progress, ProtocolError, Span};
