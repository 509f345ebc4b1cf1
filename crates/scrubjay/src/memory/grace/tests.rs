use super::{Grace, Published, is_pinned, pin, prepare};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

#[test]
fn grace_lasts_until_the_reader_that_was_there_has_left() {
    prepare();
    let (tell, is_told) = channel();
    let (go, may_go) = channel::<()>();
    let reader = thread::spawn(move || {
        let _pin = pin();
        tell.send(()).unwrap();
        may_go.recv().unwrap();
    });
    is_told.recv().unwrap();
    let mut grace = Grace::begin();
    assert!(!grace.is_over());
    go.send(()).unwrap();
    reader.join().unwrap();
    assert!(grace.is_over());
}

#[test]
fn reader_that_came_later_is_not_waited_for() {
    prepare();
    let mut grace = Grace::begin();
    let _pin = pin();
    // Other tests of this process may read meanwhile, but this thread was not there when it began.
    while !grace.is_over() {
        thread::yield_now();
    }
}

#[test]
fn inner_pin_does_not_end_the_outer_one() {
    prepare();
    let outer = pin();
    let mut grace = Grace::begin();
    drop(pin());
    assert!(is_pinned() && !grace.is_over());
    drop(outer);
    assert!(!is_pinned());
    while !grace.is_over() {
        thread::yield_now();
    }
}

#[test]
fn records_of_ended_threads_serve_again() {
    prepare();
    for _ in 0..200 {
        thread::spawn(|| drop(pin())).join().unwrap();
    }
    let mut blocks = 0;
    let mut block = super::FIRST.get();
    while let Some(here) = block {
        blocks += 1;
        block = here.next.get().map(|next| &**next);
    }
    assert!(blocks <= 2, "{blocks} blocks of 32 records for 200 threads, one after another");
}

#[test]
fn replaced_value_lives_until_its_readers_are_gone() {
    prepare();
    let published = Published::new(Arc::new(1));
    let guard = pin();
    let seen = published.load(guard.pinned());
    let old = published.replace(Arc::new(2));
    assert_eq!((*seen, *published.load(pin().pinned()), *old), (1, 2, 1));
    drop(guard);
}
