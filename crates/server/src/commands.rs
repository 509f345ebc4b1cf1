//! The handlers, a file per group; each file lists its rows.

pub(crate) mod bits;
pub(crate) mod command;
pub(crate) mod connection;
pub(crate) mod container;
pub(crate) mod keys;
pub(crate) mod persistence;
pub(crate) mod strings;
