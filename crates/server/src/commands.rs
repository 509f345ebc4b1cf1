//! The handlers, a file per group; each file lists its rows.

pub(crate) mod absent;
pub(crate) mod acl;
pub(crate) mod bits;
pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod config;
pub(crate) mod connection;
pub(crate) mod container;
pub(crate) mod debug;
pub(crate) mod keys;
pub(crate) mod latency;
pub(crate) mod memory;
pub(crate) mod monitor;
pub(crate) mod persistence;
pub(crate) mod server;
#[cfg(test)]
pub(crate) mod session;
pub(crate) mod slowlog;
pub(crate) mod strings;
pub(crate) mod transactions;
