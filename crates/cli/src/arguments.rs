//! The command line: which tool is asked for, and with what. The settings of `serve` belong to the server; here they are
//! words that are handed on, and rows that make up the help.

use crate::migrate::{Migrate, Passwords, Secret, redacted};
use anyhow::{Context, anyhow};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use scrubjay_server::{Config, Sources};
use std::ffi::OsString;
use std::path::PathBuf;

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Order {
    /// Print this and be done.
    Print(String),
    /// Run a server.
    Serve(Sources),
    /// Look at a disk store.
    Disk(DiskTool),
    /// Copy a live store.
    Migrate(Box<Migrate>),
}

/// A Redis-compatible, multi-threaded data store.
#[derive(Parser, Debug)]
#[command(name = "scrubjay", version, arg_required_else_help = true, disable_help_subcommand = true)]
struct CommandLine {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand, Debug)]
enum Tool {
    /// Runs the server.
    Serve(Serve),
    /// Looks at the folder of a disk tier while nothing has it open.
    #[command(after_help = DISK_HELP, disable_help_subcommand = true, arg_required_else_help = true)]
    Disk {
        #[command(subcommand)]
        tool: DiskTool,
    },
    #[command(after_help = crate::migrate::HELP, arg_required_else_help = true)]
    Migrate(Box<Migrate>),
}

/// What is to be done with a disk store.
#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub(crate) enum DiskTool {
    /// Says what a store holds: segments with live and dead bytes, namespaces, heat. Writes nothing.
    #[command(after_help = DISK_HELP)]
    Inspect {
        /// The store's folder.
        dir: PathBuf,
        /// Says it in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Reads every checksum, and names what is damaged. Writes nothing.
    #[command(after_help = DISK_HELP)]
    Verify {
        /// The store's folder.
        dir: PathBuf,
        /// Says it in JSON, without a progress bar.
        #[arg(long)]
        json: bool,
    },
    /// Writes what is live anew and drops the rest, so that dead bytes take no space. Takes as much time as copying what is live.
    #[command(after_help = DISK_HELP)]
    Compact {
        /// The store's folder.
        dir: PathBuf,
    },
}

const DISK_HELP: &str = "\
Exit status:
  0  done, and nothing is damaged
  1  verify found damage
  2  it could not be done: no such folder, no store in it, open elsewhere, a newer format, a device that fails
";

#[derive(Args, Debug)]
#[command(override_usage = "scrubjay serve [FILE] [--SETTING VALUE ...]")]
struct Serve {
    /// A file of settings in the manner of redis.conf, then settings that win over it.
    #[arg(value_name = "FILE | --SETTING VALUE", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// The settings that `-h` shows; `--help` shows all.
const FIRST: &[&str] =
    &["bind", "port", "unixsocket", "threads", "requirepass", "maxmemory", "dir", "save", "logfile", "admin-port"];

const EXAMPLES: &str = "\
Examples:
  scrubjay serve                                    127.0.0.1:6379, data in ./scrubjay-data
  scrubjay serve --port 7000 --maxmemory 4gb
  scrubjay serve /etc/scrubjay.conf --threads 4     arguments win over the file
  SCRUBJAY_REQUIREPASS=secret scrubjay serve        the environment stands between them
";

/// Reads the words after the program's name, and the environment for `serve`.
pub(crate) fn read(
    words: impl Iterator<Item = OsString>,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> anyhow::Result<Order> {
    let line = CommandLine::command()
        .mut_subcommand("serve", |serve| serve.after_help(short_help()).after_long_help(long_help()));
    // Not `no_binary_name`: the usage of a subcommand would lack it.
    let parsed = line.clone().try_get_matches_from(std::iter::once(OsString::from("scrubjay")).chain(words));
    let parsed = parsed.and_then(|matches| CommandLine::from_arg_matches(&matches));
    let tool = match parsed {
        Ok(CommandLine { tool }) => tool,
        Err(error) => return print_or_fail(&error),
    };
    match tool {
        Tool::Serve(Serve { words }) if words.iter().any(|word| word == "--help" || word == "-h") => {
            let help = line.try_get_matches_from(["scrubjay", "serve", "--help"]);
            help.map_or_else(|error| print_or_fail(&error), |_| Err(anyhow!("there is no help")))
        }
        Tool::Serve(Serve { words }) => Ok(Order::Serve(sources(words, environment)?)),
        Tool::Disk { tool } => Ok(Order::Disk(tool)),
        Tool::Migrate(mut options) => {
            options.passwords = passwords(environment);
            Ok(Order::Migrate(options))
        }
    }
}

/// Help and version are printed; anything else is an error of one line.
fn print_or_fail(error: &clap::Error) -> anyhow::Result<Order> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Ok(Order::Print(error.to_string()))
        }
        _ => {
            let text = error.to_string();
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let said = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
            let line = said.collect::<Vec<_>>().join("; ").replace(":; ", ": ");
            Err(anyhow!("{}; see --help", redacted(line.trim_start_matches("error: "))))
        }
    }
}

/// The passwords of `migrate`, where nobody else sees them.
fn passwords(environment: impl Iterator<Item = (OsString, OsString)>) -> Passwords {
    let mut passwords = Passwords::default();
    for (name, value) in environment {
        let place = match name.to_str() {
            Some("SCRUBJAY_FROM_PASSWORD") => &mut passwords.from,
            Some("SCRUBJAY_TO_PASSWORD") => &mut passwords.to,
            _ => continue,
        };
        *place = value.into_string().ok().map(Secret::from);
    }
    passwords
}

fn sources(words: Vec<String>, environment: impl Iterator<Item = (OsString, OsString)>) -> anyhow::Result<Sources> {
    let mut arguments = words;
    let has_file = arguments.first().is_some_and(|first| !first.starts_with("--"));
    let file = has_file.then(|| PathBuf::from(arguments.remove(0)));
    let mut ours = Vec::new();
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with("SCRUBJAY_")) else { continue };
        let value = value.into_string().ok().with_context(|| format!("environment variable {name} is not UTF-8"))?;
        ours.push((name.to_owned(), value));
    }
    Ok(Sources { file, environment: ours, arguments })
}

fn short_help() -> String {
    let mut help = String::from("Settings most often given (all of them: scrubjay serve --help):\n");
    for setting in Config::described().into_iter().flat_map(|(_, settings)| settings) {
        if FIRST.contains(&setting.name) {
            let option = format!("--{} {}", setting.name, setting.placeholder);
            let sentence = setting.doc.split_inclusive(['.', ';', ',']).next().unwrap_or_default();
            help.push_str(&format!("  {option:<24} {}\n", sentence.trim_end_matches(['.', ';', ','])));
        }
    }
    format!("{help}\n{EXAMPLES}")
}

fn long_help() -> String {
    let mut help = String::from(
        "Settings are spelled as in redis.conf. They come from the file, from environment variables (SCRUBJAY_MAXMEMORY=1gb)\n\
and from arguments (--maxmemory 1gb or --maxmemory=1gb); later ones win. Bytes take units: kb, mb, gb.\n",
    );
    for (title, settings) in Config::described() {
        help.push_str(&format!("\n{title}:\n"));
        for setting in settings {
            help.push_str(&format!("  --{} {}\n", setting.name, setting.placeholder));
            help.push_str(&wrapped(setting.doc, 96, "          "));
            if !setting.default.is_empty() {
                help.push_str(&format!("          [default: {}]\n", setting.default));
            }
        }
    }
    format!("{help}\n{EXAMPLES}")
}

/// `text` in lines of at most `width` letters, each behind `indent`.
pub(crate) fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from(indent);
    for word in text.split_whitespace() {
        if line.len() > indent.len() && line.len() + 1 + word.len() > width {
            lines.push_str(&line);
            lines.push('\n');
            line.truncate(indent.len());
        }
        if line.len() > indent.len() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines + &line + "\n"
}
