//! Many clients at once on four threads: single keys are linearizable, and what is one step is never seen half done.

use crate::client::{Client, encode};
use crate::frame::Frame;
use crate::servers::Ours;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;

const CLIENTS: usize = 8;

/// Runs `act` on `CLIENTS` connections at once, and hands out what each returned.
fn at_once<T: Send>(ours: &Ours, act: impl Fn(usize, Client) -> T + Sync) -> Vec<T> {
    let act = &act;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS).map(|index| scope.spawn(move || act(index, ours.connect()))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn pipeline(client: &mut Client, commands: &[&[&str]]) -> Vec<Frame> {
    let mut bytes = Vec::new();
    commands.iter().for_each(|command| encode(command, &mut bytes));
    assert!(client.send_raw(&bytes));
    commands.iter().map(|_| client.receive()).collect()
}

#[test]
fn every_increment_is_answered_once() {
    let ours = Ours::start(4);
    let answers = at_once(&ours, |_, mut client| {
        let mut answers = Vec::new();
        for _ in 0..20 {
            let replies = pipeline(&mut client, &[["INCR", "counter"].as_slice(); 50]);
            answers.extend(replies.iter().map(|frame| frame.number().unwrap()));
        }
        assert!(answers.is_sorted(), "one client saw the counter go back");
        answers
    });
    let answers: HashSet<i64> = answers.concat().into_iter().collect();
    assert_eq!(answers, (1..).take(CLIENTS * 1000).collect());
}

/// A register that only grows: a read answers nothing older than what was known to be written when it began, and nothing
/// newer than what was begun to be written when it ended.
#[test]
fn reads_are_neither_stale_nor_from_the_future() {
    let ours = Ours::start(4);
    let (begun, done) = (AtomicI64::new(0), AtomicI64::new(0));
    at_once(&ours, |index, mut client| {
        let mut last = 0;
        for _ in 0..2_000 {
            if index == 0 {
                let next = begun.fetch_add(1, Ordering::SeqCst) + 1;
                assert_eq!(client.call(&["SET", "register", &next.to_string()]).bytes(), b"OK");
                done.store(next, Ordering::SeqCst);
                assert_eq!(client.say("GET register").number(), Some(next), "a write was not read by its writer");
                continue;
            }
            let known = done.load(Ordering::SeqCst);
            let read = client.say("GET register").number().unwrap_or_default();
            let possible = begun.load(Ordering::SeqCst);
            assert!(known <= read && read <= possible, "read {read}, {known} was written and {possible} begun");
            assert!(last <= read, "read {read} after {last}");
            last = read;
        }
    });
}

/// Writers write one value to all keys in one step; whoever reads all keys in one step must see one value.
fn check_never_torn(write: impl Fn(&mut Client, &str) + Sync, read: impl Fn(&mut Client) -> Vec<Frame> + Sync) {
    let ours = Ours::start(4);
    write(&mut ours.connect(), "start");
    at_once(&ours, |index, mut client| {
        for round in 0..500 {
            if index % 2 == 0 {
                write(&mut client, &format!("{index}-{round}"));
            } else {
                let values = read(&mut client);
                assert!(
                    values.len() == KEYS.len() && values.iter().all(|value| *value == values[0]),
                    "torn: {values:?}"
                );
            }
        }
    });
}

const KEYS: [&str; 6] = ["a", "bb", "ccc", "dddd", "eeeee", "ffffff"];

fn mset(client: &mut Client, value: &str) {
    let pairs = KEYS.iter().flat_map(|key| [key, value]);
    assert_eq!(client.call(&["MSET"].into_iter().chain(pairs).collect::<Vec<_>>()).bytes(), b"OK");
}

fn mget(client: &mut Client) -> Vec<Frame> {
    client.call(&["MGET"].iter().chain(&KEYS).collect::<Vec<_>>()).items().to_vec()
}

fn set_in_transaction(client: &mut Client, value: &str) {
    let sets: Vec<_> = KEYS.iter().map(|key| ["SET", *key, value]).collect();
    let mut commands: Vec<&[&str]> = vec![&["MULTI"]];
    commands.extend(sets.iter().map(<[&str; 3]>::as_slice));
    commands.push(&["EXEC"]);
    assert_eq!(pipeline(client, &commands).last().unwrap().items().len(), KEYS.len());
}

fn get_in_transaction(client: &mut Client) -> Vec<Frame> {
    let gets = KEYS.map(|key| ["GET", key]);
    let mut commands: Vec<&[&str]> = vec![&["MULTI"]];
    commands.extend(gets.iter().rev().map(<[&str; 2]>::as_slice));
    commands.push(&["EXEC"]);
    pipeline(client, &commands).last().unwrap().items().to_vec()
}

#[test]
fn mset_is_one_step_for_mget() {
    check_never_torn(mset, mget);
}

#[test]
fn mset_is_one_step_for_transactions() {
    check_never_torn(mset, get_in_transaction);
}

#[test]
fn a_transaction_is_one_step_for_mget() {
    check_never_torn(set_in_transaction, mget);
}

#[test]
fn a_transaction_is_one_step_for_transactions() {
    check_never_torn(set_in_transaction, get_in_transaction);
}

#[test]
fn swapdb_is_one_step_for_mget() {
    let ours = Ours::start(4);
    let mut client = ours.connect();
    mset(&mut client, "zero");
    assert_eq!(client.say("SELECT 1").bytes(), b"OK");
    mset(&mut client, "one");
    let is_over = AtomicBool::new(false);
    at_once(&ours, |index, mut client| {
        if index == 0 {
            for _ in 0..300 {
                assert_eq!(client.say("SWAPDB 0 1").bytes(), b"OK");
            }
            is_over.store(true, Ordering::SeqCst);
        }
        while !is_over.load(Ordering::SeqCst) {
            let values = mget(&mut client);
            assert!(!values[0].is_null() && values.iter().all(|value| *value == values[0]), "torn: {values:?}");
        }
    });
}

/// The lost update that WATCH is for: read, then write what was read plus one, if nobody else wrote.
#[test]
fn watch_lets_no_update_be_lost() {
    let ours = Ours::start(4);
    let successes = at_once(&ours, |_, mut client| {
        let mut successes = 0;
        while successes < 100 {
            assert_eq!(client.say("WATCH counter").bytes(), b"OK");
            let next = (client.say("GET counter").number().unwrap_or_default() + 1).to_string();
            let replies = pipeline(&mut client, &[&["MULTI"], &["SET", "counter", &next], &["EXEC"]]);
            if !replies[2].is_null() {
                assert_eq!(format!("{replies:?}"), r#"[+OK, +QUEUED, *[+OK]]"#);
                successes += 1;
            }
        }
        successes
    });
    assert_eq!(ours.connect().say("GET counter").number(), Some(successes.iter().sum()));
}

#[test]
fn setnx_lets_one_in() {
    let ours = Ours::start(4);
    for round in 0..200 {
        let name = format!("lock:{round}");
        let winners =
            at_once(&ours, |_, mut client| client.call(&["SET", &name, "me", "NX", "EX", "100"]).bytes() == b"OK");
        assert_eq!(winners.iter().filter(|won| **won).count(), 1, "round {round}");
    }
}

/// Renames move one value around; whoever looks at all places in one step sees it in exactly one of them.
#[test]
fn a_renamed_key_is_in_one_place() {
    let ours = Ours::start(4);
    assert_eq!(ours.connect().say("SET a v").bytes(), b"OK");
    at_once(&ours, |index, mut client| {
        for round in 0..500 {
            if index < 2 {
                client.call(&["RENAME", KEYS[round % 3], KEYS[(round + 1 + index) % 3]]);
            } else {
                assert_eq!(client.say("EXISTS a bb ccc").number(), Some(1));
            }
        }
    });
}
