use super::*;
use std::sync::mpsc;
use std::task::Waker;
use std::thread;
use tokio::runtime::{Builder, Runtime};

const LONG: Duration = Duration::from_secs(3_600);

fn runtimes() -> [Runtime; 2] {
    [
        Builder::new_current_thread().enable_time().build().unwrap(),
        Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap(),
    ]
}

/// Polls it as a thread does that belongs to no runtime.
fn wait<F: Future>(future: F) -> F::Output {
    futures_util::FutureExt::now_or_never(future).expect("it is over at once")
}

#[test]
fn work_that_is_done_in_time_has_its_result_and_other_work_has_none() {
    for runtime in runtimes() {
        let timers = Timers::of(runtime.handle());
        assert_eq!(wait(timers.limit(LONG, async { 7 })), Some(7));
        assert_eq!(runtime.block_on(timers.limit(Duration::from_millis(1), pending::<u8>())), None);
        let mut timer = timers.timer();
        for _ in 0..3 {
            assert_eq!(runtime.block_on(timer.limit(LONG, pin!(async { 7 }))), Some(7));
            assert_eq!(runtime.block_on(timer.limit(Duration::from_millis(1), pin!(pending::<u8>()))), None);
        }
    }
}

#[test]
fn where_the_runtime_has_ended_every_wait_is_over_and_nobody_panics() {
    for runtime in runtimes() {
        let timers = Timers::of(runtime.handle());
        let mut timer = timers.timer();
        let handle = runtime.handle().clone();
        assert!(!timers.have_ended());
        drop(runtime);
        assert!(timers.have_ended());
        wait(timers.pause(LONG));
        assert_eq!(wait(timer.limit(LONG, pin!(pending::<u8>()))), None);
        assert_eq!(wait(timers.timer().limit(LONG, pin!(pending::<u8>()))), None);
        // And those that are asked for only now; and if all else fails.
        let late = Timers::of(&handle);
        wait(late.pause(LONG));
        late.watched.has_ended.store(false, Ordering::Release);
        wait(late.pause(LONG));
    }
}

#[test]
fn who_waits_when_the_runtime_ends_is_woken() {
    for runtime in runtimes() {
        let timers = Timers::of(runtime.handle());
        let (say, said) = mpsc::channel();
        let waiting = thread::spawn(move || {
            let mut pause = pin!(timers.pause(LONG));
            let other = Builder::new_current_thread().build().unwrap();
            assert!(pause.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            say.send(()).unwrap();
            other.block_on(pause);
        });
        said.recv().unwrap();
        drop(runtime);
        waiting.join().unwrap();
    }
}

#[test]
fn nothing_is_left_on_the_runtime_when_they_are_dropped() {
    let [runtime, _] = runtimes();
    let timers = Timers::of(runtime.handle());
    runtime.block_on(tokio::task::yield_now());
    assert_eq!(runtime.metrics().num_alive_tasks(), 1);
    drop(timers);
    runtime.block_on(tokio::task::yield_now());
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
}
