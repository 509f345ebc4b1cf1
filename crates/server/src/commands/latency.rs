//! LATENCY: what the latency monitor saw, and the per-command histograms.

mod doctor;
mod histogram;

#[cfg(test)]
mod tests;

use crate::call::Call;
use crate::command::{Command, Flags, Group, Keys, Reach};
use crate::commands::container;
use crate::error::Error;

const ALWAYS: Flags = Flags::LOADING.union(Flags::STALE);

/// What the rows of this file have in common.
const ROW: Command = Command {
    name: "",
    arity: 2,
    flags: Flags::ADMIN.union(Flags::NOSCRIPT).union(ALWAYS),
    keys: Keys::None,
    reach: Reach::Keys,
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(1)",
    summary: "",
    categories: &["admin", "slow", "dangerous"],
    syntax: "",
    handler: container::unknown_subcommand,
    subcommands: &[],
};

pub(crate) static ROWS: &[Command] = &[Command {
    name: "latency",
    arity: -2,
    flags: Flags::empty(),
    complexity: "Depends on the subcommand.",
    summary: "Holds the commands of the latency monitor.",
    categories: &["slow"],
    subcommands: &[
        Command { name: "doctor", summary: "Explains the latency that was seen.", handler: doctor::doctor, ..ROW },
        Command {
            name: "graph",
            arity: 3,
            summary: "Draws the latency of an event over time.",
            syntax: "event",
            handler: graph,
            ..ROW
        },
        Command {
            name: "help",
            flags: ALWAYS,
            categories: &["slow"],
            summary: "Lists the subcommands.",
            handler: help,
            ..ROW
        },
        Command {
            name: "histogram",
            arity: -2,
            since: "7.0.0",
            complexity: "O(N) where N is the number of commands answered",
            summary: "Answers how many calls of a command took how long.",
            syntax: "[command [command ...]]",
            handler: histogram::histogram,
            ..ROW
        },
        Command {
            name: "history",
            arity: 3,
            summary: "Answers the samples of an event.",
            syntax: "event",
            handler: history,
            ..ROW
        },
        Command { name: "latest", summary: "Answers the latest sample of every event.", handler: latest, ..ROW },
        Command {
            name: "reset",
            arity: -2,
            summary: "Forgets the samples of some events, or all.",
            syntax: "[event [event ...]]",
            handler: reset,
            ..ROW
        },
    ],
    ..ROW
}];

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn latest(call: &mut Call<'_>) -> Result<(), Error> {
    let events = call.shared.latency.all();
    call.reply.array(events.len());
    for (event, history) in events {
        let last = history.samples.back();
        call.reply.array(4);
        call.reply.bulk(event.as_bytes());
        call.reply.integer(integer(last.map_or(0, |sample| sample.at_seconds)));
        call.reply.integer(integer(last.map_or(0, |sample| sample.latency_ms)));
        call.reply.integer(integer(history.worst_ms));
    }
    Ok(())
}

fn history(call: &mut Call<'_>) -> Result<(), Error> {
    let samples = call.shared.latency.history(call.args[2]).map(|(_, history)| history.samples).unwrap_or_default();
    call.reply.array(samples.len());
    for sample in samples {
        call.reply.array(2);
        call.reply.integer(integer(sample.at_seconds));
        call.reply.integer(integer(sample.latency_ms));
    }
    Ok(())
}

fn graph(call: &mut Call<'_>) -> Result<(), Error> {
    let event = call.args[2];
    let Some((name, history)) = call.shared.latency.history(event) else {
        let event = String::from_utf8_lossy(event);
        return Err(Error::new(format!("ERR No samples available for event '{event}'")));
    };
    let graph = history.graph(name, call.now_ms() / 1000);
    call.reply.verbatim("txt", graph.as_bytes());
    Ok(())
}

fn reset(call: &mut Call<'_>) -> Result<(), Error> {
    let count = call.shared.latency.reset(call.args.get(2..).unwrap_or_default());
    call.reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
    Ok(())
}

fn help(call: &mut Call<'_>) -> Result<(), Error> {
    container::help(
        call,
        "LATENCY",
        &[
            "DOCTOR",
            "    Explain the latency that was seen.",
            "GRAPH <event>",
            "    Draw the latency of an event over time.",
            "HISTOGRAM [<command> ...]",
            "    Answer how many calls of the commands (or of all) took at most how many microseconds.",
            "HISTORY <event>",
            "    Answer time and milliseconds of the samples of an event.",
            "LATEST",
            "    Answer the latest sample of every event.",
            "RESET [<event> ...]",
            "    Forget the samples of some events, or all.",
        ],
    )
}
