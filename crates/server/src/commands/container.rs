//! What every command with subcommands shares: the reply to an unknown subcommand, and HELP.

use crate::call::Call;
use crate::error::Error;

/// The handler of a container's own row: dispatch comes here only when no subcommand has the name.
pub(crate) fn unknown_subcommand(call: &mut Call<'_>) -> Result<(), Error> {
    let word = call.args.get(1).copied().unwrap_or_default();
    let word = String::from_utf8_lossy(&word[..word.len().min(128)]);
    Err(Error::new(format!("ERR unknown subcommand '{word}'. Try {} HELP.", call.command.name.to_uppercase())))
}

/// Answers HELP of the container `name`: `lines` are `SUBCOMMAND <arg>` and, indented by four blanks, what it does.
pub(crate) fn help(call: &mut Call<'_>, name: &str, lines: &[&str]) -> Result<(), Error> {
    call.reply.array(lines.len() + 3);
    call.reply.simple(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for line in lines {
        call.reply.simple(line);
    }
    call.reply.simple("HELP");
    call.reply.simple("    Prints this help.");
    Ok(())
}

/// The error of a container's handler that counts arguments itself: `name` is the container's, `word` what was typed.
pub(crate) fn wrong_arguments(name: &str, word: &str) -> Error {
    let word: String = word.chars().take(128).collect();
    Error::new(format!("ERR unknown subcommand or wrong number of arguments for '{word}'. Try {name} HELP."))
}
