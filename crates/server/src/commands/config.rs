//! CONFIG GET, SET, RESETSTAT and REWRITE on the settings in force.

use super::container;
use crate::call::Call;
use crate::command::{Command, Flags, Group};
use crate::error::{self, Error};
use crate::glob::{self, Case};
use crate::log::Level;

#[cfg(test)]
mod tests;

const CONFIG: Flags = Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE);
const CATEGORIES: &[&str] = &["admin", "slow", "dangerous"];

pub(crate) static ROWS: &[Command] = &[Command {
    subcommands: SUBCOMMANDS,
    ..Command::new("config", -2, container::unknown_subcommand).group(Group::Server, &["slow"]).docs(
        "2.0.0",
        "Depends on subcommand.",
        "",
        "Reads and changes settings.",
    )
}];

static SUBCOMMANDS: &[Command] = &[
    Command::new("get", -3, get).flags(CONFIG).group(Group::Server, CATEGORIES).docs(
        "2.0.0",
        "O(N) when N is the number of configuration parameters provided",
        "parameter [parameter ...]",
        "Answers the settings whose names match one of the patterns.",
    ),
    Command::new("help", 2, help).flags(Flags::LOADING.union(Flags::STALE)).group(Group::Server, &["slow"]).docs(
        "5.0.0",
        "O(1)",
        "",
        "Lists the subcommands.",
    ),
    Command::new("resetstat", 2, resetstat).flags(CONFIG).group(Group::Server, CATEGORIES).docs(
        "2.0.0",
        "O(1)",
        "",
        "Sets the counters of INFO back to zero.",
    ),
    Command::new("rewrite", 2, rewrite).flags(CONFIG).group(Group::Server, CATEGORIES).docs(
        "2.8.0",
        "O(1)",
        "",
        "Writes the settings in force to the file that they were loaded from.",
    ),
    Command::new("set", -4, set).flags(CONFIG).group(Group::Server, CATEGORIES).docs(
        "2.0.0",
        "O(N) when N is the number of configuration parameters provided",
        "parameter value [parameter value ...]",
        "Changes settings, all or none.",
    ),
];

fn get(call: &mut Call<'_>) -> Result<(), Error> {
    let patterns = &call.args[2..];
    let asking = |name: &str| patterns.iter().find(|pattern| glob::matches(pattern, name.as_bytes(), Case::Ignored));
    let found = call.shared.config.matching(|name| asking(name).is_some());
    call.reply.map(found.len());
    for (name, value) in found {
        // A name that was asked for in capitals is answered in capitals: clients look it up as they wrote it.
        let spelled = asking(name).filter(|pattern| pattern.eq_ignore_ascii_case(name.as_bytes()));
        call.reply.bulk(spelled.copied().unwrap_or(name.as_bytes()));
        call.reply.bulk(value.as_bytes());
    }
    Ok(())
}

fn set(call: &mut Call<'_>) -> Result<(), Error> {
    let words = &call.args[2..];
    if !words.len().is_multiple_of(2) {
        return Err(error::SYNTAX);
    }
    let pairs: Vec<(&[u8], &[u8])> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    call.shared.config.set_pairs(&pairs, call.client.handle.is_local())?;
    call.shared.settings_changed();
    let names = pairs.iter().map(|(name, _)| String::from_utf8_lossy(name)).collect::<Vec<_>>().join(" ");
    call.shared.log(Level::Verbose, format_args!("CONFIG SET {names} by {}", call.client.handle.address));
    call.reply.ok();
    Ok(())
}

fn resetstat(call: &mut Call<'_>) -> Result<(), Error> {
    call.shared.reset_stats();
    call.reply.ok();
    Ok(())
}

fn rewrite(call: &mut Call<'_>) -> Result<(), Error> {
    let shared = call.shared;
    let Some(file) = shared.config.file() else {
        return Err(Error::new("ERR The server is running without a config file"));
    };
    match shared.config.rewrite(file) {
        Ok(()) => {
            shared.log(Level::Notice, format_args!("CONFIG REWRITE wrote {}", file.display()));
            call.reply.ok();
            Ok(())
        }
        Err(error) => {
            shared.log(Level::Warning, format_args!("CONFIG REWRITE of {} failed: {error}", file.display()));
            Err(Error::new(format!("ERR Rewriting config file: {}", error::io_text(&error))))
        }
    }
}

fn help(call: &mut Call<'_>) -> Result<(), Error> {
    let lines = [
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        "REWRITE",
        "    Rewrite the configuration file.",
    ];
    container::help(call, "CONFIG", &lines)
}
