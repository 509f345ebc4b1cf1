//! The Redis-compatible server: reactor, connections, command table, persistence, admin HTTP.
//!
//! [`Server::start`] is the only way in. The life of a command: `reactor` reads bytes, `exec` checks and latches, the row
//! of the command `table` names the handler in `commands`, which works on the keyspace and writes the reply.

mod admin;
mod arguments;
mod call;
mod client;
mod clock;
mod command;
mod commands;
mod config;
mod descriptors;
mod dispatch;
mod error;
mod exec;
mod glob;
mod info;
mod latency;
mod log;
mod monitors;
#[cfg(test)]
mod oracle;
mod pause;
mod persistence;
mod rdb;
mod reactor;
mod redaction;
mod registry;
mod server;
mod slowlog;
mod stats;
mod table;
mod tracking;
#[cfg(test)]
mod transcript;
mod watching;
mod worker;

pub use config::{Config, ConfigError, Described, OutputLimit, Schedule, Sources};
pub use descriptors::make_room_for_clients;
pub use server::Server;
pub use table::commands_page;
