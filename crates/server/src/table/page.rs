//! The compatibility page, `docs/commands.md`: what the rows say, for people.
//!
//! A test holds the file in the tree against [`page`]; `UPDATE=1 cargo test -p scrubjay-server commands_page` rewrites it.

#[cfg(test)]
mod tests;

use crate::command::Group;
use crate::table::listing::{self, Listed};
use crate::table::remarks;

const INTRODUCTION: &str = "\
# Commands

Generated from the command table; `UPDATE=1 cargo test -p scrubjay-server commands_page` writes it anew.

Every command takes the options of Redis 7.2 and answers as it does, in RESP2 and RESP3, unless \"differs\" says otherwise. A \
command of Redis that is not listed here does not exist yet and answers `ERR unknown command`.
";

const GROUPS: [(Group, &str); 8] = [
    (Group::String, "Strings"),
    (Group::Bitmap, "Bitmaps"),
    (Group::Generic, "Keys of any type"),
    (Group::Transactions, "Transactions"),
    (Group::Scripting, "Functions"),
    (Group::Connection, "Connections"),
    (Group::Server, "Server"),
    (Group::Cluster, "Cluster"),
];

/// The whole page as Markdown.
pub(crate) fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (group, title) in GROUPS {
        let mut rows: Vec<Listed> = listing::rows_and_subcommands().filter(|one| one.row.group == group).collect();
        if rows.is_empty() {
            continue;
        }
        rows.sort_by(|a, b| a.full_name.cmp(&b.full_name));
        page.push_str(&format!("\n## {title}\n\n| command | since | cost | what it does |\n|---|---|---|---|\n"));
        rows.iter().for_each(|one| page.push_str(&line(one)));
    }
    page
}

fn line(listed: &Listed) -> String {
    let row = listed.row;
    let name = listed.full_name.replace('|', " ").to_uppercase();
    let call = format!("{name} {}", row.syntax);
    let remark = remarks::of(&listed.full_name);
    let mut says = row.summary.to_owned();
    if let Some((since, instead)) = remark.deprecated {
        says.push_str(&format!(" Deprecated since {since}: use {}.", instead.replace('!', "")));
    }
    if !remark.differences.is_empty() {
        says.push_str(&format!(" **Differs:** {}", remark.differences));
    }
    format!("| `{}` | {} | {} | {} |\n", cell(call.trim_end()), row.since, cell(row.complexity), cell(&says))
}

/// Text for a cell of a table: a bar would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
