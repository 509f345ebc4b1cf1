//! A process that works on a store is killed at random instants, again and again on one folder, and everything is checked after each:
//! what was handed over (`flush`) is there, what was removed stays away, and what was under way is there whole or not at all.
//!
//! The process is this test's binary once more, with [`FOLDER`] set. It tells on its standard output what it is about to do and
//! what was done, and the parent takes it down: a line that says what was done stands for a call that had returned.
//!
//! A few rounds by default, `SCRUBJAY_KILL_ROUNDS=300` for many.

#![allow(clippy::unwrap_used, reason = "a test may, in its helpers too")]

#[path = "model/reference.rs"]
mod reference;

use reference::{End, Key, Lengths, NAMESPACES, Random, Reference, Seen, value};
use scrubjay_disk::{Io, Namespace, Options, Put, PutOptions, Store, Sync};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where the child works; unset in the parent.
const FOLDER: &str = "SCRUBJAY_KILL_FOLDER";
/// With what seed, at what time, and from which version on.
const SEED: &str = "SCRUBJAY_KILL_SEED";
const NOW_MS: &str = "SCRUBJAY_KILL_NOW_MS";
const VERSION: &str = "SCRUBJAY_KILL_VERSION";

const SEGMENT_LEN: u64 = 64 << 10;
const SEGMENTS: u64 = 12;
/// Calls after which a child that nobody killed closes its store.
const CALLS_MAX: u64 = 6000;

fn options(seed: u64, clock: &Arc<AtomicU64>) -> Options {
    let clock = Arc::clone(clock);
    Options::bytes(SEGMENTS * SEGMENT_LEN)
        .segment_len(SEGMENT_LEN)
        .io(if seed % 4 == 3 { Io::Direct } else { Io::Buffered })
        .sync(if seed % 5 == 4 { Sync::Each } else { Sync::None })
        .flush_interval(Duration::from_millis(1 + seed % 20))
        .heat_interval(Duration::from_millis(50))
        .clock(move || clock.load(Ordering::Relaxed))
}

fn namespaces(store: &Store) -> Vec<Namespace> {
    (0..NAMESPACES).map(|number| store.namespace(&number.to_string()).unwrap()).collect()
}

/// What the child does, and whether it is done; one line each.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Line {
    Put { key: Key, version: u32, expires_ms: u64 },
    Remove { key: Key },
    Clear { namespace: usize },
    Flush,
    Sync,
    Time { now_ms: u64 },
    Done,
    Dropped,
    Closed,
}

impl Line {
    fn write(self) {
        let text = match self {
            Line::Put { key, version, expires_ms } => {
                format!("@put {} {} {version} {expires_ms}\n", key.namespace, key.number)
            }
            Line::Remove { key } => format!("@remove {} {}\n", key.namespace, key.number),
            Line::Clear { namespace } => format!("@clear {namespace}\n"),
            Line::Flush => "@flush\n".to_string(),
            Line::Sync => "@sync\n".to_string(),
            Line::Time { now_ms } => format!("@time {now_ms}\n"),
            Line::Done => "@done\n".to_string(),
            Line::Dropped => "@dropped\n".to_string(),
            Line::Closed => "@closed\n".to_string(),
        };
        // One write of a short line to a pipe is whole or not there.
        std::io::stdout().lock().write_all(text.as_bytes()).unwrap();
        std::io::stdout().lock().flush().unwrap();
    }

    fn read(text: &str) -> Option<Line> {
        let (_, text) = text.split_once('@')?;
        let mut words = text.split(' ');
        let what = words.next()?;
        let numbers: Vec<u64> = words.map(|word| word.parse().unwrap()).collect();
        let size = |at: usize| usize::try_from(numbers[at]).unwrap();
        let key = || Key { namespace: size(0), number: size(1) };
        Some(match what {
            "put" => Line::Put { key: key(), version: u32::try_from(numbers[2]).unwrap(), expires_ms: numbers[3] },
            "remove" => Line::Remove { key: key() },
            "clear" => Line::Clear { namespace: size(0) },
            "flush" => Line::Flush,
            "sync" => Line::Sync,
            "time" => Line::Time { now_ms: numbers[0] },
            "done" => Line::Done,
            "dropped" => Line::Dropped,
            "closed" => Line::Closed,
            _ => return None,
        })
    }
}

/// Works on the store until it is killed, or has done enough.
fn work(folder: &str) {
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let seed = number(SEED);
    let clock = Arc::new(AtomicU64::new(number(NOW_MS)));
    let mut version = u32::try_from(number(VERSION)).unwrap();
    let mut random = Random(seed);
    let store = Store::open(folder, options(seed, &clock)).unwrap();
    let namespaces = namespaces(&store);
    for _ in 0..CALLS_MAX {
        let key = Key::random(&mut random);
        let namespace = &namespaces[key.namespace];
        let now_ms = clock.load(Ordering::Relaxed);
        match random.below(1000) {
            0..650 => {
                version += 1;
                let expires_ms = if random.is_one_in(4) { now_ms + 1 + random.below(2000) } else { 0 };
                Line::Put { key, version, expires_ms }.write();
                let options = PutOptions { expires_ms, ..PutOptions::default() };
                let put = namespace.put_with(&key.bytes(), &value(key, version, Lengths::Mixed), options).unwrap();
                if put == Put::Stored { Line::Done.write() } else { Line::Dropped.write() }
            }
            650..850 => {
                Line::Remove { key }.write();
                namespace.remove(&key.bytes()).unwrap();
                Line::Done.write();
            }
            850..853 => {
                Line::Clear { namespace: key.namespace }.write();
                namespace.clear().unwrap();
                Line::Done.write();
            }
            853..900 => {
                Line::Flush.write();
                store.flush().unwrap();
                Line::Done.write();
            }
            900..903 => {
                Line::Sync.write();
                store.sync().unwrap();
                Line::Done.write();
            }
            903..950 => drop(namespace.get(&key.bytes()).unwrap()),
            _ => {
                let now_ms = now_ms + random.below(200);
                Line::Time { now_ms }.write();
                clock.store(now_ms, Ordering::Relaxed);
            }
        }
    }
    store.close().unwrap();
    Line::Closed.write();
}

/// What a round came to.
#[derive(Default)]
struct Outcome {
    calls: u64,
    was_closed: bool,
}

/// Lets a child work, kills it when it has told `lines_max` things, and takes down what it told.
fn let_work(folder: &str, seed: u64, lines_max: u64, reference: &mut Reference, version: &mut u32) -> Outcome {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "everything_handed_over_survives_a_kill", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(SEED, seed.to_string())
        .env(NOW_MS, reference.now_ms.to_string())
        .env(VERSION, version.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut outcome = Outcome::default();
    let mut under_way = None;
    let mut lines = 0;
    for text in BufReader::new(child.stdout.take().unwrap()).split(b'\n') {
        let Some(line) = Line::read(&String::from_utf8(text.unwrap()).unwrap()) else { continue };
        lines += 1;
        if lines == lines_max {
            // What it told until now is still in the pipe and is read on.
            child.kill().unwrap();
        }
        match line {
            Line::Done | Line::Dropped => {
                outcome.calls += 1;
                let call = under_way.take().unwrap();
                done(reference, call, line, seed);
            }
            Line::Closed => outcome.was_closed = true,
            Line::Time { now_ms } => reference.now_ms = now_ms,
            call => {
                if let Line::Put { version: newest, .. } = call {
                    *version = newest;
                }
                under_way = Some(call);
            }
        }
    }
    let status = child.wait().unwrap();
    assert_eq!(outcome.was_closed, status.success(), "{status:?}");
    match under_way {
        // It may be there or not: it is in the reference, and nothing says that it was handed over.
        Some(Line::Put { key, version, expires_ms }) => reference.put(key, version, expires_ms, false),
        Some(Line::Remove { key }) => reference.remove(key),
        Some(Line::Clear { namespace }) => reference.clear(namespace, false, false),
        _ => {}
    }
    outcome
}

/// Takes down a call that has returned.
fn done(reference: &mut Reference, call: Line, how: Line, seed: u64) {
    if seed % 4 == 3 {
        // Direct: what is handed over is padded to a page, and any call may be followed by that.
        reference.appended += 4096 + 48;
    }
    match call {
        Line::Put { key, version, expires_ms } if how == Line::Done => {
            reference.put(key, version, expires_ms, false);
            if seed % 5 == 4 {
                reference.sync();
            }
        }
        Line::Put { key, .. } | Line::Remove { key } => {
            reference.remove(key);
            if seed % 5 == 4 && how == Line::Done {
                reference.sync();
            }
        }
        Line::Clear { namespace } => reference.clear(namespace, true, false),
        Line::Flush => reference.flush(),
        Line::Sync => reference.sync(),
        _ => unreachable!("{call:?} is no call"),
    }
}

/// Opens the store and checks every key.
fn check(folder: &str, seed: u64, reference: &mut Reference, end: End) {
    let clock = Arc::new(AtomicU64::new(reference.now_ms));
    let store = Store::open(folder, options(seed, &clock)).unwrap();
    let bytes: u64 = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes <= SEGMENTS * SEGMENT_LEN, "{bytes} bytes");
    for (key, namespace) in Key::all().zip(namespaces(&store).iter().flat_map(|name| vec![name; reference::KEYS])) {
        let found = namespace.get(&key.bytes()).unwrap();
        if let Err(wrong) = reference.check_reopened(key, end, found.as_ref().map(Seen::from)) {
            panic!("{wrong}\nseed {seed}, {end:?}; stats {:?}", store.stats());
        }
    }
    store.close().unwrap();
    reference.sync();
}

#[test]
fn everything_handed_over_survives_a_kill() {
    if let Ok(folder) = std::env::var(FOLDER) {
        return work(&folder);
    }
    let rounds = std::env::var("SCRUBJAY_KILL_ROUNDS").map_or(8, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let folder = folder.path().to_str().unwrap();
    let mut reference = Reference::new(SEGMENTS * SEGMENT_LEN, SEGMENT_LEN, Lengths::Mixed);
    let mut version = 0;
    let (mut calls, mut kills) = (0, 0);
    for seed in 0..rounds {
        let mut random = Random(seed);
        let magnitude = 4 + random.below(9);
        let lines_max = 1 + random.below(1 << magnitude);
        let outcome = let_work(folder, seed, lines_max, &mut reference, &mut version);
        let end = if outcome.was_closed { End::Closed } else { End::Killed };
        check(folder, seed, &mut reference, end);
        calls += outcome.calls;
        kills += u64::from(!outcome.was_closed);
    }
    println!("{rounds} rounds, {kills} kills, {calls} calls");
    assert!(kills > rounds / 2, "{kills} kills of {rounds} rounds");
}
