//! Waiting on every kind of thread: it returns, or says why it must not.

use super::*;
use std::sync::atomic::AtomicUsize;
use tokio::sync::oneshot;

/// A future that another thread completes.
fn completed_elsewhere() -> impl Future<Output = u64> {
    let (sender, receiver) = oneshot::channel();
    thread::spawn(move || sender.send(7).unwrap());
    async move { receiver.await.unwrap() }
}

/// A runtime that many threads drive.
fn many() -> &'static Handle {
    static MANY: std::sync::OnceLock<tokio::runtime::Runtime> = std::sync::OnceLock::new();
    MANY.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap()).handle()
}

fn single_threaded() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[test]
fn a_thread_without_a_runtime_waits() {
    for _ in 0..1_000 {
        assert_eq!(now_or_wait(completed_elsewhere(), many()).unwrap(), 7);
        assert_eq!(now_or_park(completed_elsewhere()), 7);
    }
}

#[test]
fn what_is_ready_is_polled_once() {
    let polls = AtomicUsize::new(0);
    let ready = std::future::poll_fn(|_| {
        polls.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(7)
    });
    assert_eq!(now_or_wait(ready, many()).unwrap(), 7);
    assert_eq!(polls.load(Ordering::Relaxed), 1);
}

#[test]
fn a_future_that_parks_its_thread_itself_does_not_lose_the_wake_up() {
    let mut steps = 0;
    let parks_itself = std::future::poll_fn(|context| {
        steps += 1;
        if steps == 4 {
            return Poll::Ready(steps);
        }
        context.waker().wake_by_ref();
        if steps > 1 {
            // Takes the token that the waker has left; that of the first poll does nothing.
            thread::park();
        }
        Poll::Pending
    });
    assert_eq!(now_or_wait(parks_itself, many()).unwrap(), 4);
}

#[test]
fn the_thread_that_drives_a_single_threaded_runtime_gets_an_error_that_says_what_to_do() {
    let error = single_threaded().block_on(async { now_or_wait(std::future::pending::<u64>(), many()).unwrap_err() });
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("spawn_blocking"), "{error}");
}

#[test]
fn the_thread_that_drives_a_single_threaded_runtime_gets_what_is_ready() {
    assert_eq!(single_threaded().block_on(async { now_or_wait(async { 7 }, many()).unwrap() }), 7);
}

#[test]
fn a_thread_of_the_pool_of_a_single_threaded_runtime_waits() {
    let waited = single_threaded()
        .block_on(async { tokio::task::spawn_blocking(|| now_or_wait(completed_elsewhere(), many())).await.unwrap() });
    assert_eq!(waited.unwrap(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_worker_of_many_waits_and_others_do_its_work_meanwhile() {
    // The only worker waits for a task that somebody else has to run.
    let waited = tokio::spawn(async {
        let (sender, receiver) = oneshot::channel();
        tokio::spawn(async move { sender.send(7).unwrap() });
        now_or_wait(receiver, &Handle::current())
    });
    assert_eq!(waited.await.unwrap().unwrap().unwrap(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_thread_of_the_pool_of_many_waits() {
    let waited = tokio::task::spawn_blocking(|| now_or_wait(completed_elsewhere(), many()));
    assert_eq!(waited.await.unwrap().unwrap(), 7);
}

#[test]
fn a_runtime_that_has_ended_does_not_keep_anybody_from_waiting() {
    let runtime = single_threaded();
    let handle = runtime.handle().clone();
    drop(runtime);
    let _around = handle.enter();
    assert_eq!(now_or_wait(completed_elsewhere(), many()).unwrap(), 7);
}

#[test]
fn the_thread_that_should_drive_the_runtime_of_a_server_gets_an_error() {
    let never = std::future::pending::<u64>;
    let runtime = single_threaded();
    let error = runtime.block_on(async { now_or_hear(never(), || Some(runtime.handle())).unwrap_err() });
    assert!(error.to_string().contains("spawn_blocking"), "{error}");
    assert_eq!(runtime.block_on(async { now_or_hear(async { 7 }, || Some(runtime.handle())).unwrap() }), 7);
}

#[test]
fn where_nobody_drives_the_runtime_that_is_waited_for_there_is_an_error() {
    let never = std::future::pending::<u64>;
    let (runtime, other) = (single_threaded(), single_threaded());
    for error in [
        now_or_hear(never(), || Some(runtime.handle())).unwrap_err(),
        now_or_wait(never(), runtime.handle()).unwrap_err(),
        other.block_on(async { now_or_hear(never(), || Some(runtime.handle())).unwrap_err() }),
        many().block_on(async { now_or_wait(never(), runtime.handle()).unwrap_err() }),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("build_blocking"), "{error}");
    }
}

#[test]
fn where_another_thread_drives_the_runtime_that_is_waited_for_one_waits() {
    let (runtime, other) = (single_threaded(), single_threaded());
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let driving = thread::spawn(move || runtime.block_on(stopped));
    // Longer than one waits without a sign of life.
    let slow = || async {
        let (sender, receiver) = oneshot::channel();
        thread::spawn(move || {
            (0..3).for_each(|_| thread::park_timeout(SIGN_OF_LIFE));
            sender.send(7).unwrap();
        });
        receiver.await.unwrap()
    };
    assert_eq!(other.block_on(async { now_or_hear(slow(), || Some(&handle)).unwrap() }), 7);
    assert_eq!(now_or_hear(slow(), || Some(&handle)).unwrap(), 7);
    assert_eq!(now_or_wait(slow(), &handle).unwrap(), 7);
    stop.send(()).unwrap();
    driving.join().unwrap().unwrap();
}
