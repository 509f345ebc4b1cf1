//! The command table: every row of every group. [`crate::dispatch`] finds them by name.

pub(crate) mod listing;
#[cfg(test)]
mod oracle;
mod page;
pub(crate) mod remarks;
pub(crate) mod syntax;

use crate::command::Command;
use crate::commands;

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

/// The compatibility page as Markdown: every command with its cost and where it differs from Redis.
pub fn commands_page() -> String {
    page::page()
}
