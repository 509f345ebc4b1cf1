//! Indices are unique among the living, and come back when their threads end.

use super::*;
use std::collections::HashSet;
use std::sync::Barrier;
use std::thread;

#[test]
fn a_thread_keeps_its_index() {
    assert_eq!(index(), index());
    assert!(index() < UNKNOWN);
}

#[test]
fn threads_that_live_at_once_have_different_indices() {
    const THREADS: usize = 16;
    let all_have_one = Barrier::new(THREADS);
    let indices: HashSet<usize> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let index = index();
                    all_have_one.wait();
                    index
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(indices.len(), THREADS);
}

#[test]
fn a_thousand_threads_one_after_the_other_share_few_indices() {
    let indices: HashSet<usize> = (0..1_000).map(|_| thread::spawn(index).join().unwrap()).collect();
    // Other tests of this process take some meanwhile.
    assert!(indices.len() < 200, "{} indices", indices.len());
}

#[test]
fn an_ending_thread_has_no_index_of_its_own() {
    struct AsksWhenDropped(std::sync::mpsc::Sender<usize>);
    impl Drop for AsksWhenDropped {
        fn drop(&mut self) {
            self.0.send(index()).unwrap();
        }
    }
    thread_local! {
        static LATE: Cell<Option<AsksWhenDropped>> = const { Cell::new(None) };
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    let own = thread::spawn(move || {
        // Registered before the lease, so dropped before or after it: either answer is safe, a live index or none.
        LATE.set(Some(AsksWhenDropped(sender)));
        index()
    });
    let own = own.join().unwrap();
    let late = receiver.recv().unwrap();
    assert!(late == own || late == ENDING, "{late}");
}
