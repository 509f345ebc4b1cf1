//! The checker finds what is wrong in histories made by hand, and nothing in those that are right: each pair differs in the one
//! thing that decides.

use super::checker::{Bounds, check};
use super::story::{End, Event, MILLISECOND, Nanos, What, text_of, value_of};

/// Removals hold elsewhere after 100 ms, expiry may be 10 ms late, calls take 1 s.
const BOUNDS: Bounds = Bounds { foreign: at(100), expiry: at(10), call: at(1000) };

/// A time, in milliseconds.
const fn at(ms: u64) -> Nanos {
    ms * MILLISECOND
}

fn load(begun: u64, ended: u64, value: u64) -> Vec<Event> {
    vec![Event::Loading { at: at(begun), key: 1, value, ttl_ms: 0 }, Event::Loaded { at: at(ended), value }]
}

fn insert(begun: u64, ended: u64, value: u64, end: End) -> Vec<Event> {
    vec![Event::Inserting { at: at(begun), key: 1, value, ttl_ms: 0 }, Event::Inserted { at: at(ended), value, end }]
}

fn remove(begun: u64, ended: u64, what: What, end: End) -> Vec<Event> {
    vec![Event::Removing { at: at(begun), call: begun, what }, Event::Removed { at: at(ended), call: begun, end }]
}

fn read(begun: u64, value: u64) -> Vec<Event> {
    vec![Event::Read { begun: at(begun), at: at(begun + 1), key: 1, value: Some(value) }]
}

fn settled(time: u64) -> Vec<Event> {
    vec![Event::Settled { at: at(time) }]
}

/// Two processes, each with what it did.
#[track_caller]
fn faults(first: &[Vec<Event>], second: &[Vec<Event>]) -> usize {
    let judged = check(&vec![first.concat(), second.concat()], BOUNDS);
    judged.faults.len()
}

const KEY: What = What::Key(1);

#[test]
fn what_a_process_removed_it_never_reads_again() {
    let before = [load(1, 5, 7), remove(10, 12, KEY, End::Confirmed)];
    assert_eq!(faults(&[before.concat(), read(11, 7)], &[]), 0, "it had not returned");
    assert_eq!(faults(&[before.concat(), read(13, 7)], &[]), 1);
    let deferred = [load(1, 5, 7), remove(10, 12, KEY, End::Deferred), read(13, 7)];
    assert_eq!(faults(&deferred, &[]), 1, "it holds here, whatever the server does");
}

#[test]
fn what_another_process_removed_is_read_no_longer_than_the_bound() {
    let remover = [load(1, 5, 7), remove(10, 20, KEY, End::Confirmed)];
    assert_eq!(faults(&remover, &[read(119, 7)]), 0);
    assert_eq!(faults(&remover, &[read(121, 7)]), 1);
}

#[test]
fn a_load_that_began_before_the_removal_is_dead_and_one_that_began_after_is_not() {
    let remover = [remove(10, 20, KEY, End::Confirmed)];
    assert_eq!(faults(&remover, &[load(9, 50, 7), read(300, 7)]), 1, "the slow loader that brings a role back");
    assert_eq!(faults(&remover, &[load(11, 50, 7), read(300, 7)]), 0);
}

#[test]
fn an_insert_is_dead_if_it_had_returned_when_the_removal_began() {
    let remover = [remove(10, 20, KEY, End::Confirmed)];
    assert_eq!(faults(&remover, &[insert(5, 9, 7, End::Confirmed), read(300, 7)]), 1);
    assert_eq!(faults(&remover, &[insert(5, 11, 7, End::Confirmed), read(300, 7)]), 0, "they were at once");
}

#[test]
fn an_insert_removes_what_was_there_before() {
    let writer = [load(1, 2, 7), insert(10, 20, 8, End::Confirmed)];
    assert_eq!(faults(&[writer.concat(), read(21, 7)], &[]), 1, "read your writes");
    assert_eq!(faults(&[writer.concat(), read(21, 8)], &[]), 0);
    assert_eq!(faults(&writer, &[read(119, 7)]), 0);
    assert_eq!(faults(&writer, &[read(121, 7), read(300, 8)]), 1);
}

#[test]
fn a_removal_that_could_not_be_confirmed_holds_elsewhere_once_its_process_has_settled() {
    let remover = [load(1, 5, 7), remove(10, 20, KEY, End::Deferred)];
    assert_eq!(faults(&remover, &[read(900, 7)]), 0, "nobody promised");
    let and_settled = [remover.concat(), settled(500)];
    assert_eq!(faults(&and_settled, &[read(599, 7)]), 0);
    assert_eq!(faults(&and_settled, &[read(601, 7)]), 1);
    assert_eq!(faults(&[remover.concat(), settled(15)], &[read(900, 7)]), 0, "it had settled before");
}

#[test]
fn an_insert_that_was_deferred_may_arrive_after_a_removal_elsewhere_but_not_after_its_own_process_removed_it() {
    let writer = [insert(1, 2, 7, End::Deferred)];
    let remover = [remove(10, 20, KEY, End::Confirmed)];
    assert_eq!(faults(&[writer.concat(), read(900, 7)], &remover), 0);
    assert_eq!(faults(&[writer.concat(), settled(5), read(900, 7)], &remover), 1, "it had arrived");
    assert_eq!(faults(&[writer.concat(), remover.concat(), read(30, 7)], &[]), 1);
}

#[test]
fn an_insert_that_was_deferred_gives_way_to_a_load_that_ends_after_it() {
    let writer = |end| [insert(10, 20, 8, end), settled(30)];
    for (ended, expected) in [(9, 1), (25, 0)] {
        assert_eq!(faults(&writer(End::Deferred), &[load(1, ended, 7), read(300, 7)]), expected, "ended at {ended}");
        assert_eq!(faults(&writer(End::Confirmed), &[load(1, ended, 7), read(300, 7)]), 1, "ended at {ended}");
    }
}

#[test]
fn tags_and_clear_remove_the_keys_that_they_mean() {
    for (what, expected) in [(What::Tag(1), 1), (What::Tag(0), 0), (What::All, 1), (What::Key(3), 0)] {
        let history = [load(1, 5, 7), remove(10, 20, what, End::Confirmed), read(21, 7)];
        assert_eq!(faults(&history, &[]), expected, "{what:?}");
    }
}

#[test]
fn what_nobody_wrote_or_another_key_has_is_wrong() {
    assert_eq!(faults(&[load(1, 5, 7), read(10, 8)], &[]), 1);
    let other = Event::Loading { at: at(1), key: 2, value: 7, ttl_ms: 0 };
    assert_eq!(faults(&[vec![other], read(10, 7)], &[]), 1);
    assert_eq!(faults(&[load(1, 5, 7), load(6, 8, 7)], &[]), 1, "values are unique");
    let wrong = Event::Wrong { at: at(1), text: "a read failed".to_owned() };
    assert_eq!(faults(&[vec![wrong]], &[]), 1);
}

#[test]
fn what_has_expired_is_wrong() {
    let load = vec![Event::Loading { at: at(1), key: 1, value: 7, ttl_ms: 50 }, Event::Loaded { at: at(20), value: 7 }];
    let loaded = [load];
    assert_eq!(faults(&loaded, &[read(79, 7)]), 0);
    assert_eq!(faults(&loaded, &[read(81, 7)]), 1);
}

#[test]
fn a_read_that_takes_too_long_is_wrong_whatever_it_found() {
    let slow = |ms: u64| vec![Event::Read { begun: at(5), at: at(5 + ms), key: 1, value: None }];
    assert_eq!(faults(&[slow(1000)], &[]), 0);
    assert_eq!(faults(&[slow(1001)], &[]), 1);
}

#[test]
fn a_machine_that_stood_still_widens_the_bounds_by_that() {
    let late = vec![Event::Late { at: at(50), by: at(400) }];
    let remover = [load(1, 5, 7), remove(10, 20, KEY, End::Confirmed)];
    assert_eq!(faults(&remover, &[late.clone(), read(519, 7)]), 0);
    assert_eq!(faults(&remover, &[late, read(521, 7)]), 1);
}

#[test]
fn what_was_judged_is_counted() {
    let first = [load(1, 5, 7), remove(10, 20, KEY, End::Deferred)].concat();
    let second = [insert(200, 210, 8, End::Confirmed), read(220, 8), read(230, 7), settled(300)].concat();
    let judged = check(&vec![first, second], BOUNDS);
    let counts =
        (judged.reads, judged.found, judged.shared, judged.loads, judged.inserts, judged.removals, judged.deferred);
    assert_eq!(counts, (2, 2, 1, 1, 1, 1, 1));
    assert_eq!(judged.faults.len(), 1, "the insert of the same process had removed it: {:?}", judged.faults);
}

#[test]
fn a_line_says_what_happened() {
    let events = [
        load(1, 2, 3),
        insert(1, 2, 3, End::Deferred),
        remove(1, 2, KEY, End::Confirmed),
        remove(1, 2, What::Tag(1), End::Deferred),
        remove(1, 2, What::All, End::Confirmed),
        read(5, 6),
        settled(7),
        vec![
            Event::Read { begun: 1, at: 2, key: 3, value: None },
            Event::Wrong { at: 1, text: "a b @ c".to_owned() },
            Event::Late { at: 1, by: 2 },
            Event::Finished { at: 9 },
        ],
    ];
    for event in events.concat() {
        assert_eq!(Event::read(&format!("test child ... {}", event.line())), Some(event.clone()), "{}", event.line());
    }
    assert_eq!(Event::read("@read 1 2"), None);
    assert_eq!(Event::read("running 1 test"), None);
}

#[test]
fn a_value_tells_its_key_and_whether_it_is_whole() {
    for value in [0, 6, 7, 13, (3 << 32) + 41] {
        let text = text_of(4, value);
        assert_eq!(value_of(4, &text), Ok(value));
        assert!(value_of(5, &text).is_err());
        assert!(value_of(4, &text[..text.len() - 1]).is_err());
    }
}
