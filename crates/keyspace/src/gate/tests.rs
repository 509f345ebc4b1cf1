//! The gate under shuttle: the same source with primitives whose every step is a point where another thread may go on.

#[allow(clippy::duplicate_mod, reason = "the same source over other primitives is the point")]
#[path = "door.rs"]
mod door;

use shuttle::sync::Arc;
use shuttle::sync::atomic::AtomicUsize;
use shuttle::thread;

/// What `door.rs` asks of its parent, in the form of `parking_lot` and made of shuttle.
mod sync {
    pub(super) use shuttle::sync::atomic::{AtomicBool, Ordering};

    pub(super) struct Mutex<T>(shuttle::sync::Mutex<T>);
    pub(super) struct MutexGuard<'a, T>(Option<shuttle::sync::MutexGuard<'a, T>>);
    pub(super) struct Condvar(shuttle::sync::Condvar);

    impl<T> Mutex<T> {
        pub(super) fn new(value: T) -> Mutex<T> {
            Mutex(shuttle::sync::Mutex::new(value))
        }

        pub(super) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(self.0.lock().unwrap()))
        }
    }

    impl<T> std::ops::Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().unwrap()
        }
    }

    impl<T> std::ops::DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().unwrap()
        }
    }

    impl Condvar {
        pub(super) fn new() -> Condvar {
            Condvar(shuttle::sync::Condvar::new())
        }

        pub(super) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            guard.0 = guard.0.take().map(|held| self.0.wait(held).unwrap());
        }

        pub(super) fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}

fn batches_and_closers() {
    const BATCHES: u32 = 2;
    let gate = Arc::new(door::Gate::new(BATCHES));
    let inside = Arc::new(AtomicUsize::new(0));
    let mut threads = Vec::new();
    for slot in 0..BATCHES {
        let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
        threads.push(thread::spawn(move || {
            for _ in 0..2 {
                gate.enter(slot);
                inside.fetch_add(1, sync::Ordering::SeqCst);
                thread::yield_now();
                inside.fetch_sub(1, sync::Ordering::SeqCst);
                gate.leave(slot);
            }
        }));
    }
    for _ in 0..2 {
        let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
        threads.push(thread::spawn(move || {
            let turn = gate.close();
            assert_eq!(inside.load(sync::Ordering::SeqCst), 0, "nobody is inside while the gate is closed");
            // Counts as two, so that a batch or another closer inside would be seen by either side.
            assert_eq!(inside.fetch_add(2, sync::Ordering::SeqCst), 0);
            thread::yield_now();
            assert_eq!(inside.fetch_sub(2, sync::Ordering::SeqCst), 2, "nobody came in meanwhile");
            gate.open();
            drop(turn);
        }));
    }
    // A lost wake-up is a deadlock, which shuttle reports.
    for thread in threads {
        thread.join().unwrap();
    }
}

/// A batch that waits gets in before the gate is closed again, even by one who does nothing else.
fn one_who_closes_twice() {
    let gate = Arc::new(door::Gate::new(1));
    let was_inside = Arc::new(AtomicUsize::new(0));
    let turn = gate.close();
    let batch = {
        let (gate, was_inside) = (Arc::clone(&gate), Arc::clone(&was_inside));
        thread::spawn(move || {
            gate.enter(0);
            was_inside.fetch_add(1, sync::Ordering::SeqCst);
            gate.leave(0);
        })
    };
    while gate.waiting() == 0 {
        thread::yield_now();
    }
    gate.open();
    drop(turn);
    let turn = gate.close();
    assert_eq!(was_inside.load(sync::Ordering::SeqCst), 1);
    gate.open();
    drop(turn);
    batch.join().unwrap();
}

#[test]
fn nobody_who_waits_is_overtaken_twice() {
    shuttle::check_random(one_who_closes_twice, 2_000);
}

#[test]
fn nobody_is_inside_a_closed_gate_and_nobody_waits_for_ever() {
    shuttle::check_random(batches_and_closers, 5_000);
    shuttle::check_pct(batches_and_closers, 5_000, 3);
}
