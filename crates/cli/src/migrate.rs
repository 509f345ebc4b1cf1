//! `scrubjay migrate`: copies a live Redis-compatible store to another, and compares the two.
//!
//! `server.rs` is where a side is, `store.rs` a server or a cluster of which commands are asked, `walk.rs` the pages of SCAN,
//! `copy.rs` the way of a chunk, `content.rs` and `stream.rs` values as what they are, `verify.rs` the comparison, `state.rs` the
//! file by which a run goes on. Nothing is ever removed from the source, nor from the target but what a copy replaces.

mod content;
mod copy;
mod options;
mod pace;
mod progress;
mod reply;
mod report;
mod server;
mod slots;
mod state;
mod stop;
mod store;
mod stream;
#[cfg(test)]
mod tests;
mod verify;
mod walk;

pub(crate) use options::{HELP, Migrate, Passwords, Secret, redacted};

use crate::clock::monotonic;
use anyhow::{Context, Result, anyhow, bail};
use copy::Copy;
use futures_util::future::join;
use pace::Pace;
use progress::Progress;
use report::{Compared, Report};
use serde_json::json;
use server::{Facts, Server, about};
use state::{State, Subject, Walk};
use std::process::ExitCode;
use std::time::Duration;
use stop::Stop;
use store::{Group, Store};
use verify::Comparison;
use walk::{Choice, Chunk, Walker};

/// Two clocks further apart than this do not mean the same by a Unix time.
const SKEW_MS_MAX: u64 = 1_000;
/// How often slots may move before it is given up.
const ROUNDS: u32 = 3;

/// Does what is asked, and says it.
pub(crate) fn run(options: &Migrate) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(Box::pin(async {
        let stop = Stop::new();
        stop.listen().context("cannot listen for signals")?;
        migrate(options, &stop).await
    }));
    runtime.shutdown_timeout(Duration::from_secs(1));
    let outcome = outcome?;
    crate::print(&outcome.said(options))?;
    match outcome.failure {
        Some(error) => Err(error),
        None if outcome.is_stopped => Ok(ExitCode::from(3)),
        None => Ok(ExitCode::from(u8::from(!outcome.is_whole()))),
    }
}

/// How it ended.
struct Outcome {
    report: Report,
    compared: Option<Compared>,
    is_stopped: bool,
    failure: Option<anyhow::Error>,
    from: String,
    to: String,
}

impl Outcome {
    fn is_whole(&self) -> bool {
        self.report.failed.count == 0 && self.compared.as_ref().is_none_or(Compared::is_whole)
    }

    fn said(&self, options: &Migrate) -> String {
        let outcome = match (&self.failure, self.is_stopped, self.is_whole()) {
            (Some(_), ..) => "failed",
            (None, true, _) => "stopped",
            (None, false, true) => "complete",
            (None, false, false) => "incomplete",
        };
        if options.json {
            let mut value = json!({ "from": self.from, "to": self.to, "outcome": outcome, "dry_run": options.dry_run });
            if !options.verify_only {
                value["copy"] = self.report.json();
            }
            value["verify"] = self.compared.as_ref().map_or(serde_json::Value::Null, Compared::json);
            return format!("{value:#}\n");
        }
        let mut text = format!("{} to {}: {outcome}\n", self.from, self.to);
        if !options.verify_only {
            text += &self.report.text(options.dry_run);
        }
        if let Some(compared) = &self.compared {
            text += &compared.text();
        }
        let is_early = self.is_stopped || self.failure.is_some();
        if let Some(path) = options.resume.as_deref().filter(|_| is_early) {
            text += &format!("The same command goes on from {}\n", path.display());
        }
        text
    }
}

/// Both sides, and what is known of them.
struct Migration<'a> {
    options: &'a Migrate,
    stop: &'a Stop,
    from: Server,
    to: Server,
    from_facts: Facts,
    to_facts: Facts,
    is_absolute: bool,
    pace: Pace,
}

async fn migrate(options: &Migrate, stop: &Stop) -> Result<Outcome> {
    let from = Server::parse("source", &options.from, options.passwords.from.as_ref())?;
    let to = Server::parse("target", &options.to, options.passwords.to.as_ref())?;
    let (from_facts, to_facts) = join(from.facts(), to.facts()).await;
    let (from_facts, to_facts) = (from_facts?, to_facts?);
    let pace = Pace::new(options.rate, options.bytes_rate);
    let mut migration = Migration { options, stop, from, to, from_facts, to_facts, is_absolute: false, pace };
    let databases = migration.databases()?;
    migration.check(&databases)?;
    migration.choose_times().await?;
    let subject = Subject {
        from: migration.from.name(),
        to: migration.to.name(),
        pattern: options.pattern.clone(),
        kind: options.kind.clone(),
        db: options.db,
    };
    let loaded = options.resume.as_deref().map(|path| State::load(path, &subject)).transpose()?.flatten();
    let new = State { subject, walks: Vec::new(), report: Report::default() };
    let mut state = loaded.unwrap_or(new);
    state.report.runs += 1;
    let (began, took_ms, held_back) = (monotonic(), state.report.took_ms, state.report.held_back_ms);
    let copied = if options.verify_only { Ok(()) } else { migration.copy(&databases, &mut state).await };
    state.report.took_ms = took_ms.saturating_add(ms(monotonic().saturating_sub(began)));
    state.report.held_back_ms = held_back.saturating_add(ms(migration.pace.held_back));
    if let Some(path) = &options.resume {
        state.save(path)?;
    }
    let mut compared = None;
    let mut failure = copied.err();
    let wants = options.verify || options.verify_only;
    if failure.is_none() && wants && !stop.is_asked() {
        let mut found = Compared::default();
        failure = migration.verify(&databases, &mut found).await.err();
        compared = Some(found);
    }
    Ok(Outcome {
        report: state.report,
        compared,
        is_stopped: stop.is_asked(),
        failure,
        from: migration.from.name(),
        to: migration.to.name(),
    })
}

impl Migration<'_> {
    /// Databases of the source, each with that of the target.
    fn databases(&self) -> Result<Vec<(i64, i64)>> {
        let named = self.from.db.is_some() || self.to.db.is_some();
        if let Some(db) = self.options.db {
            if named {
                bail!("--db: the URLs name databases already");
            }
            return Ok(vec![(db, db)]);
        }
        if named {
            return Ok(vec![(self.from.db.unwrap_or(0), self.to.db.unwrap_or(0))]);
        }
        let mut databases: Vec<(i64, i64)> = self.from_facts.keys_by_db.iter().map(|(db, _)| (*db, *db)).collect();
        if self.options.verify || self.options.verify_only {
            databases.extend(self.to_facts.keys_by_db.iter().map(|(db, _)| (*db, *db)));
            databases.sort_unstable();
            databases.dedup();
        }
        if databases.is_empty() {
            databases.push((0, 0));
        }
        Ok(databases)
    }

    /// What can be known to fail before it begins.
    fn check(&self, databases: &[(i64, i64)]) -> Result<()> {
        let same = !self.from_facts.run_id.is_empty() && self.from_facts.run_id == self.to_facts.run_id;
        if same && databases.iter().any(|(from, to)| from == to) {
            bail!("--from and --to are the same server");
        }
        if self.to_facts.is_replica && !self.to_facts.is_cluster && !self.options.dry_run && !self.options.verify_only {
            bail!("the target {} is a replica, and takes no writes: name its master", self.to.address());
        }
        for (facts, server) in [(&self.from_facts, &self.from), (&self.to_facts, &self.to)] {
            let db = |pair: &(i64, i64)| if server.side == "source" { pair.0 } else { pair.1 };
            if let Some(db) = databases.iter().map(db).find(|&db| db != 0 && facts.is_cluster) {
                bail!("the {} is a cluster, which has no database {db}: choose one with --db 0", server.side);
            }
        }
        Ok(())
    }

    /// Whether times to live go as Unix times, which lose nothing on the way.
    async fn choose_times(&mut self) -> Result<()> {
        let skew = self.from_facts.unix_ms.abs_diff(self.to_facts.unix_ms);
        self.is_absolute = skew <= SKEW_MS_MAX && self.to_facts.version >= (5, 0);
        for server in [&self.from, &self.to] {
            self.is_absolute = self.is_absolute && Store::open(server, 0).await?.knows("PEXPIRETIME").await?;
        }
        Ok(())
    }

    fn choice(&self, reads_values: bool) -> Choice {
        Choice {
            pattern: self.options.pattern.clone(),
            kind: self.options.kind.clone(),
            batch: self.options.batch,
            value_bytes_max: self.options.value_bytes_max,
            reads_values,
            is_absolute: self.is_absolute,
        }
    }

    async fn copy(&mut self, databases: &[(i64, i64)], state: &mut State) -> Result<()> {
        if self.from_facts.unix_ms.abs_diff(self.to_facts.unix_ms) > SKEW_MS_MAX {
            state.report.note("the clocks of the two servers differ: times to live go as what is left of them");
        }
        for round in 0..=ROUNDS {
            let mut layouts = Vec::new();
            for &(db, to_db) in databases {
                let store = Store::open(&self.from, db).await?;
                layouts.push(store.layout());
                plan(state, &store, db, to_db);
            }
            self.copy_walks(state).await?;
            if self.stop.is_asked() || !self.from_facts.is_cluster {
                return Ok(());
            }
            // Who has slots now that another had may have keys that neither walk came across.
            let now = Store::open(&self.from, 0).await?.layout();
            let mut is_whole = true;
            for (address, slots) in &now {
                let before = layouts.first().and_then(|layout| layout.get(address));
                if before.is_none_or(|before| slots.iter().any(|slot| before.binary_search(slot).is_err())) {
                    is_whole = false;
                    state.walks.retain(|walk| walk.address != *address);
                }
            }
            if is_whole {
                return Ok(());
            }
            if round == ROUNDS {
                return Err(anyhow!("the source's slots keep moving: run it again when they rest"));
            }
            state.report.note("slots of the source moved meanwhile: their new masters were walked again");
        }
        Ok(())
    }

    async fn copy_walks(&mut self, state: &mut State) -> Result<()> {
        let total = self.keys_about(state).await?;
        let mut progress = Progress::new(if self.options.dry_run { "looked at" } else { "copied" }, total);
        let mut is_by_content = false;
        let mut outcome = Ok(());
        for at in 0..state.walks.len() {
            if state.walks[at].is_done || self.stop.is_asked() {
                continue;
            }
            outcome = self.copy_walk(state, at, &mut progress, &mut is_by_content).await;
            if outcome.is_err() {
                break;
            }
        }
        progress.finish();
        outcome
    }

    async fn copy_walk(
        &mut self,
        state: &mut State,
        at: usize,
        progress: &mut Progress,
        is_by_content: &mut bool,
    ) -> Result<()> {
        let walk = state.walks[at].clone();
        let from = Store::open(&self.from, walk.db).await?;
        let mut to = Store::open(&self.to, walk.to_db).await?;
        let target_runs = run_ids(&to);
        let choice = self.choice(true);
        let mut walker = Walker::new(from, &walk, choice, &mut self.pace, self.stop);
        if self.options.dry_run {
            walker.has_dump = false;
            while let Some(chunk) = walker.next().await? {
                look(self.options, &mut to, &chunk, walk.db, &mut state.report).await?;
                state.report.batches += 1;
                progress.show(&state.report);
            }
            return Ok(());
        }
        walker.has_dump = !*is_by_content;
        let mut copy = Copy {
            options: self.options,
            state,
            progress,
            to,
            at,
            is_by_content: *is_by_content,
            saved_at: Duration::ZERO,
        };
        let outcome = copy.run(&mut walker).await;
        *is_by_content = copy.is_by_content;
        let (repeats, runs) = (walker.store.repeats + copy.to.repeats, run_ids(&copy.to));
        state.report.repeats += repeats;
        if runs != target_runs {
            state.report.note(
                "the target was started anew meanwhile, or its masters changed: --verify tells whether it lost keys",
            );
        }
        outcome
    }

    /// About how many keys the walks have before them and behind them.
    async fn keys_about(&self, state: &State) -> Result<u64> {
        let mut total = 0_u64;
        let mut databases: Vec<i64> = state.walks.iter().map(|walk| walk.db).collect();
        databases.dedup();
        let store = Store::open(&self.from, 0).await?;
        for (db, keys) in store.nodes.iter().flat_map(|node| &node.facts.keys_by_db) {
            total = total.saturating_add(if databases.contains(db) { *keys } else { 0 });
        }
        Ok(total)
    }

    async fn verify(&mut self, databases: &[(i64, i64)], found: &mut Compared) -> Result<()> {
        let total = self.from_facts.keys_by_db.iter().map(|(_, keys)| *keys).sum();
        let mut progress = Progress::new("compared", total);
        for &(db, to_db) in databases {
            let walks = walks_of(&Store::open(&self.from, db).await?, db, to_db);
            for walk in &walks {
                let from = Store::open(&self.from, db).await?;
                let to = Store::open(&self.to, to_db).await?;
                let choice = self.choice(true);
                let mut walker = Walker::new(from, walk, choice, &mut self.pace, self.stop);
                let mut comparison = Comparison { options: self.options, found, progress: &mut progress, to, db };
                comparison.run(&mut walker).await?;
            }
            for walk in walks_of(&Store::open(&self.to, to_db).await?, to_db, to_db) {
                let target = Store::open(&self.to, to_db).await?;
                let choice = self.choice(false);
                let mut walker = Walker::new(target, &walk, choice, &mut self.pace, self.stop);
                let mut comparison = Comparison {
                    options: self.options,
                    found,
                    progress: &mut progress,
                    to: Store::open(&self.to, to_db).await?,
                    db: to_db,
                };
                comparison.run_extra(&mut walker, &mut Store::open(&self.from, db).await?).await?;
            }
        }
        progress.finish();
        Ok(())
    }
}

/// Whether the keys of a chunk would be copied, as far as can be told without reading them.
async fn look(options: &Migrate, to: &mut Store, chunk: &Chunk, db: i64, report: &mut Report) -> Result<()> {
    let groups = chunk.reads.iter().map(|read| Group::plain(&read.key, vec![about(&["EXISTS"], &read.key)]));
    let answers = to.ask(&groups.collect::<Vec<_>>()).await?;
    for (read, answer) in chunk.reads.iter().zip(answers) {
        report.seen += 1;
        let exists = answer.replies().map(|mut replies| replies.pop() == Some(redis::Value::Int(1)));
        match (&read.what, exists, options.existing()) {
            (walk::What::Gone, ..) => report.gone += 1,
            (walk::What::TooLarge(size), ..) => {
                report.failed.add(
                    db,
                    &read.key,
                    format!("takes {size} bytes, more than --value-bytes-max"),
                    options.list,
                );
            }
            (_, Ok(true), options::Existing::Kept) => report.kept += 1,
            (_, Ok(true), options::Existing::Refused) => {
                let why = "is in the target already: unless it is the same, give --replace or --keep-existing";
                report.failed.add(db, &read.key, why, options.list);
            }
            _ => report.copied += 1,
        }
    }
    report.bytes += chunk.bytes;
    Ok(())
}

/// The walks of a store from their beginning.
fn walks_of(store: &Store, db: i64, to_db: i64) -> Vec<Walk> {
    let walk = |node: &store::Node| Walk {
        address: node.address(),
        run_id: node.facts.run_id.clone(),
        db,
        to_db,
        cursor: "0".to_owned(),
        is_done: false,
    };
    store.nodes.iter().map(walk).collect()
}

/// Adds what the state does not have yet, and begins anew what another process began.
fn plan(state: &mut State, store: &Store, db: i64, to_db: i64) {
    let found = walks_of(store, db, to_db);
    state.walks.retain(|walk| walk.db != db || found.iter().any(|new| new.address == walk.address));
    for new in found {
        match state.walks.iter_mut().find(|walk| walk.db == db && walk.address == new.address) {
            Some(walk) if walk.is_done || walk.run_id == new.run_id => {}
            Some(walk) => *walk = new,
            None => state.walks.push(new),
        }
    }
}

fn run_ids(store: &Store) -> Vec<(String, String)> {
    let mut ids: Vec<_> = store.nodes.iter().map(|node| (node.address(), node.facts.run_id.clone())).collect();
    ids.sort_unstable();
    ids
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
