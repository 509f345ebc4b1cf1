//! INFO, TIME and LOLWUT: what the server says of itself.

use crate::arguments;
use crate::call::Call;
use crate::command::{Command, Flags, Group};
use crate::error::Error;
use crate::info::{self, Facts};
use crate::server::REDIS_VERSION;

#[cfg(test)]
mod tests;

const ALWAYS: Flags = Flags::LOADING.union(Flags::STALE);

pub(crate) static ROWS: &[Command] = &[
    Command::new("info", -1, info).flags(ALWAYS).group(Group::Server, &["slow", "dangerous"]).docs(
        "1.0.0",
        "O(1)",
        "[section [section ...]]",
        "Tells how the server is and what it has done.",
    ),
    Command::new("lolwut", -1, lolwut)
        .flags(Flags::READONLY.union(Flags::FAST))
        .group(Group::Server, &["read", "fast"])
        .docs("5.0.0", "O(1)", "[VERSION version]", "Draws where a jay has hidden its acorns, and tells the version."),
    Command::new("time", 1, time).flags(ALWAYS.union(Flags::FAST)).group(Group::Server, &["fast"]).docs(
        "2.6.0",
        "O(1)",
        "",
        "Tells the time: Unix seconds, and the microseconds of this second.",
    ),
];

fn info(call: &mut Call<'_>) -> Result<(), Error> {
    let text = info::text(&Facts::gather(call.shared), &call.args[1..]);
    call.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn time(call: &mut Call<'_>) -> Result<(), Error> {
    let now_us = call.shared.clock.now_us();
    call.reply.array(2);
    call.reply.bulk((now_us / 1_000_000).to_string().as_bytes());
    call.reply.bulk((now_us % 1_000_000).to_string().as_bytes());
    Ok(())
}

fn lolwut(call: &mut Call<'_>) -> Result<(), Error> {
    if let [_, word, version, ..] = call.args
        && arguments::is(word, "version")
    {
        arguments::integer(version)?;
    }
    let version = env!("CARGO_PKG_VERSION");
    let text =
        format!("{}\nScrubjay ver. {version}, at your service as Redis ver. {REDIS_VERSION}\n", meadow(call.now_ms()));
    call.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// A meadow with acorns, another one for every seed, and a jay that remembers them all.
fn meadow(seed: u64) -> String {
    const WIDTH: usize = 56;
    const JAY: [&str; 5] = ["      __ ", "  ___( o)>", "  \\ <_. ) ", "   `---'  ", "    \" \"   "];
    let mut state = seed | 1;
    let mut text = String::new();
    for row in 0..8 {
        let jay = JAY.get(row).copied().unwrap_or_default();
        text.push_str(&format!("{jay:<12}"));
        for _ in jay.len().max(12)..WIDTH {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push(match state >> 59 {
                0 => 'o',
                1..=3 => '.',
                4 => ',',
                _ => ' ',
            });
        }
        text.push('\n');
    }
    text
}
