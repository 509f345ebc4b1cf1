//! `cargo xtask bench`: builds what is measured and the program in `bench/` that measures it, and runs it.

use crate::process::{self, cargo, command};
use crate::tools;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    suite: Suite,
}

#[derive(clap::Subcommand)]
enum Suite {
    /// Server CPU time per operation, throughput, memory per key, growth, and a reader that does not read.
    Server(ServerArguments),
    /// The library's memory tier beside moka, quick_cache and foyer: time per hit, miss, insert and mix, bytes per entry.
    Memory(Selection),
    /// The library's hit ratios on traces, beside the peers', LRU's and the optimum's.
    Hitratio(HitratioArguments),
    /// The disk engine beside fjall, redb and foyer: CPU time per operation, write amplification, hit ratios, opening.
    Disk(DiskArguments),
    /// The shared tier beside the redis crate, fred, moka before redis, and multi-tier-cache: calls over the wire, invalidation
    /// of other processes, stampedes.
    Shared(SharedArguments),
}

#[derive(clap::Args)]
struct ServerArguments {
    /// Where to write the rows.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A further server that speaks Redis' protocol, by the path of its binary. Repeatable.
    #[arg(long, value_name = "NAME=PATH")]
    peer: Vec<String>,
    /// Runs only cases whose name starts with this. Repeatable.
    #[arg(long, value_name = "PREFIX")]
    case: Vec<String>,
    /// A smoke run: small, short, and no figures to quote.
    #[arg(long)]
    quick: bool,
}

/// What of a suite is run, and where its rows go.
#[derive(clap::Args)]
struct Selection {
    /// Where to write the rows.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Runs only cases whose name starts with this. Repeatable.
    #[arg(long, value_name = "PREFIX")]
    case: Vec<String>,
    /// Runs only this subject. Repeatable.
    #[arg(long, value_name = "NAME")]
    subject: Vec<String>,
    /// A smoke run: small, short, and no figures to quote.
    #[arg(long)]
    quick: bool,
}

#[derive(clap::Args)]
struct HitratioArguments {
    /// Traces, or folders of them: zstd-compressed, one little-endian u32 per request. By default ../shared/traces.
    #[arg(value_name = "TRACE")]
    traces: Vec<PathBuf>,
    /// Where to write the rows.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Runs only this subject: ours, a peer, `lru` or `opt`. Repeatable.
    #[arg(long, alias = "peers", value_name = "NAME", value_delimiter = ',')]
    subject: Vec<String>,
    /// A smoke run: the beginnings of the traces, and no figures to quote.
    #[arg(long)]
    quick: bool,
}

#[derive(clap::Args)]
struct DiskArguments {
    #[command(flatten)]
    selection: Selection,
    /// How often each subject has its turn in the cases that measure time; 3 unless said.
    #[arg(long)]
    rounds: Option<usize>,
    /// Where the data goes; by default the build's folder. The device under it is what is measured.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Builds RocksDB too, which takes a quarter of an hour once and wants libclang, and measures it.
    #[arg(long)]
    rocksdb: bool,
    /// Reads and writes past the page cache, with the subjects that can.
    #[arg(long)]
    direct: bool,
}

#[derive(clap::Args)]
struct SharedArguments {
    #[command(flatten)]
    selection: Selection,
    /// How often each subject has its turn; 3 unless said.
    #[arg(long)]
    rounds: Option<usize>,
    /// Against our own server instead of Debian's redis-server.
    #[arg(long, conflicts_with = "url")]
    scrubjay_server: bool,
    /// Against a server that is there already. Keys are written to it, which go after an hour.
    #[arg(long)]
    url: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.suite {
        Suite::Server(arguments) => server(arguments),
        Suite::Memory(arguments) => memory(arguments),
        Suite::Hitratio(arguments) => hitratio(arguments),
        Suite::Disk(arguments) => disk(arguments),
        Suite::Shared(arguments) => shared(arguments),
    }
}

fn server(arguments: &ServerArguments) -> anyhow::Result<()> {
    tools::memcached()?;
    process::run(cargo().args(["build", "--release", "--package", "scrubjay-cli"]))?;
    let mut bench = built("server", &[])?;
    bench.arg("--scrubjay").arg(process::root().join("target/release/scrubjay"));
    repeated(&mut bench, "--peer", &arguments.peer);
    repeated(&mut bench, "--case", &arguments.case);
    finish(bench, arguments.json.as_deref(), arguments.quick)
}

fn memory(selection: &Selection) -> anyhow::Result<()> {
    selected(built("memory", &["--features", "peers"])?, selection)
}

fn hitratio(arguments: &HitratioArguments) -> anyhow::Result<()> {
    let mut bench = built("hitratio", &["--features", "peers"])?;
    repeated(&mut bench, "--subject", &arguments.subject);
    for trace in &arguments.traces {
        bench.arg(std::path::absolute(trace)?);
    }
    finish(bench, arguments.json.as_deref(), arguments.quick)
}

fn disk(arguments: &DiskArguments) -> anyhow::Result<()> {
    let features = if arguments.rocksdb { "disk-peers,rocksdb" } else { "disk-peers" };
    let mut bench = built("disk", &["--features", features])?;
    if let Some(rounds) = arguments.rounds {
        bench.args(["--rounds", &rounds.to_string()]);
    }
    let folder = arguments.folder.clone().unwrap_or_else(|| process::root().join("target"));
    bench.arg("--folder").arg(std::path::absolute(folder)?);
    if arguments.direct {
        bench.arg("--direct");
    }
    selected(bench, &arguments.selection)
}

fn shared(arguments: &SharedArguments) -> anyhow::Result<()> {
    let mut bench = built("shared", &["--features", "shared-peers"])?;
    if let Some(rounds) = arguments.rounds {
        bench.args(["--rounds", &rounds.to_string()]);
    }
    match &arguments.url {
        Some(url) => {
            bench.args(["--url", url]);
        }
        None if arguments.scrubjay_server => {
            process::run(cargo().args(["build", "--release", "--package", "scrubjay-cli"]))?;
            bench.arg("--scrubjay").arg(process::root().join("target/release/scrubjay"));
        }
        None => tools::redis_server()?,
    }
    selected(bench, &arguments.selection)
}

/// The program for `suite`, built with `features`.
fn built(suite: &str, features: &[&str]) -> anyhow::Result<Command> {
    let target = process::root().join("target/bench");
    let mut build = cargo();
    build.args(["build", "--release", "--manifest-path", "bench/Cargo.toml", "--target-dir"]).arg(&target);
    process::run(build.args(features))?;
    let mut bench = command(target.join("release/scrubjay-bench"));
    bench.arg(suite);
    Ok(bench)
}

/// Runs of the suite what was selected.
fn selected(mut bench: Command, selection: &Selection) -> anyhow::Result<()> {
    repeated(&mut bench, "--case", &selection.case);
    repeated(&mut bench, "--subject", &selection.subject);
    finish(bench, selection.json.as_deref(), selection.quick)
}

fn repeated(bench: &mut Command, option: &str, values: &[String]) {
    for value in values {
        bench.args([option, value]);
    }
}

fn finish(mut bench: Command, json: Option<&Path>, is_quick: bool) -> anyhow::Result<()> {
    if let Some(json) = json {
        // Relative to where the user stands, not to the root that the bench runs in.
        bench.arg("--json").arg(std::path::absolute(json)?);
    }
    if is_quick {
        bench.arg("--quick");
    }
    process::run(&mut bench)
}
