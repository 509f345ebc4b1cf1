//! The command table: every row of every group, found by name.

pub(crate) mod listing;
#[cfg(test)]
mod oracle;
mod page;
pub(crate) mod remarks;
pub(crate) mod syntax;

use crate::command::Command;
use crate::commands;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Rows by group, as the files in `commands/` list them.
pub(crate) static GROUPS: &[&[Command]] = &[
    commands::absent::ROWS,
    commands::acl::ROWS,
    commands::bits::ROWS,
    commands::client::ROWS,
    commands::command::ROWS,
    commands::config::ROWS,
    commands::connection::ROWS,
    commands::connection::WAIT_ROWS,
    commands::debug::ROWS,
    commands::keys::ROWS,
    commands::latency::ROWS,
    commands::memory::ROWS,
    commands::monitor::ROWS,
    commands::persistence::ROWS,
    commands::server::ROWS,
    commands::slowlog::ROWS,
    commands::strings::ROWS,
    commands::transactions::ROWS,
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static Command>> =
    LazyLock::new(|| GROUPS.iter().flat_map(|rows| rows.iter()).map(|row| (row.name, row)).collect());

/// The row of a command, by its name in any case.
pub(crate) fn find(name: &[u8]) -> Option<&'static Command> {
    let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
    BY_NAME.get(name.as_str()).copied()
}

/// The compatibility page as Markdown: every command with its cost and where it differs from Redis.
pub fn commands_page() -> String {
    page::page()
}
