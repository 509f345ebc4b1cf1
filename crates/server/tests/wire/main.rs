//! The server on the wire, with Debian's redis-server as the oracle: transcripts, random commands, broken frames, concurrency.
//!
//! Everything here talks to a socket; nothing knows how the server is made.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod client;
mod concurrency;
mod deadline;
mod frame;
mod frames;
mod random;
mod servers;
mod transcript;
mod transcripts;
