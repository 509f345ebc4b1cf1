//! Parties, over a server whose answers the tests let go one by one.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// A command as the server got it, and what lets it be answered.
struct Asked {
    names: Vec<Vec<u8>>,
    go: oneshot::Sender<()>,
}

/// Answers each name with itself, when it is let.
#[derive(Clone)]
struct Slow(UnboundedSender<Asked>);

impl Slow {
    async fn ask(&self, names: Vec<Vec<u8>>) -> Vec<Answer> {
        let (go, let_go) = oneshot::channel();
        let answers = names.iter().map(|name| Ok(Value::BulkString(name.clone()))).collect();
        assert!(self.0.send(Asked { names, go }).is_ok());
        let _ = let_go.await;
        answers
    }
}

impl Server for Slow {
    async fn get(&self, name: Vec<u8>) -> Answer {
        self.ask(vec![name]).await.remove(0)
    }

    async fn get_many(&self, names: NameList) -> Vec<Answer> {
        self.ask(names.iter().map(<[u8]>::to_vec).collect()).await
    }
}

struct Stage {
    gather: Arc<Gather<Slow>>,
    asked: UnboundedReceiver<Asked>,
}

impl Stage {
    fn new(waiting_max: usize) -> Stage {
        let (sender, asked) = unbounded_channel();
        Stage { gather: Arc::new(Gather::new(Slow(sender), Handle::current(), waiting_max)), asked }
    }

    /// Starts a read.
    fn start(&self, name: u8) -> tokio::task::JoinHandle<Answer> {
        let gather = Arc::clone(&self.gather);
        tokio::spawn(async move { gather.get(|out| out.push(name)).await })
    }

    /// Starts a read, and lets it go as far as it comes.
    async fn read(&self, name: u8) -> tokio::task::JoinHandle<Answer> {
        let read = self.start(name);
        let_all_run().await;
        read
    }

    /// Starts reads that are ready to run at once, and lets them go as far as they come.
    async fn read_together(&self, names: impl IntoIterator<Item = u8>) -> Vec<tokio::task::JoinHandle<Answer>> {
        let reads = names.into_iter().map(|name| self.start(name)).collect();
        let_all_run().await;
        reads
    }

    async fn next(&mut self) -> Asked {
        let asked = tokio::time::timeout(Duration::from_secs(30), self.asked.recv()).await;
        asked.expect("the server is asked").expect("the server is there")
    }
}

async fn answer(read: tokio::task::JoinHandle<Answer>) -> Answer {
    tokio::time::timeout(Duration::from_secs(30), read).await.expect("there is an answer").expect("no panic")
}

fn itself(name: u8) -> Answer {
    Ok(Value::BulkString(vec![name]))
}

async fn let_all_run() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_is_alone_goes_at_once_and_the_others_go_together() {
    let mut stage = Stage::new(100);
    let first = stage.read(1).await;
    let second = stage.read(2).await;
    let (one, two) = (stage.next().await, stage.next().await);
    assert_eq!((&one.names, &two.names), (&vec![vec![1]], &vec![vec![2]]));
    let others = stage.read_together([3, 4, 5]).await;
    let party = stage.next().await;
    assert_eq!(party.names, [[3], [4], [5]], "they do not wait for those that are on their way");
    party.go.send(()).expect("it waits");
    for (name, read) in (3..).zip(others) {
        assert_eq!(answer(read).await, itself(name), "each has its own answer");
    }
    one.go.send(()).expect("it waits");
    two.go.send(()).expect("it waits");
    assert_eq!((answer(first).await, answer(second).await), (itself(1), itself(2)));
}

#[tokio::test]
async fn who_was_in_a_party_asks_in_a_party_until_nobody_else_does() {
    let mut stage = Stage::new(100);
    let reads = stage.read_together(0..5).await;
    for _ in 0..3 {
        stage.next().await.go.send(()).expect("it waits");
    }
    for (name, read) in (0..).zip(reads) {
        assert_eq!(answer(read).await, itself(name));
    }
    let reads = stage.read_together([5, 6, 7]).await;
    let party = stage.next().await;
    assert_eq!(party.names, [[5], [6], [7]], "nobody goes ahead");
    party.go.send(()).expect("it waits");
    for (name, read) in (5..).zip(reads) {
        assert_eq!(answer(read).await, itself(name));
    }
    for name in [8, 9] {
        let read = stage.read(name).await;
        let alone = stage.next().await;
        assert_eq!(alone.names, [[name]]);
        alone.go.send(()).expect("it waits");
        assert_eq!(answer(read).await, itself(name));
    }
}

#[tokio::test]
async fn a_large_party_waits_for_nobody_and_the_next_one_gathers_meanwhile() {
    let mut stage = Stage::new(100);
    let last = u8::try_from(ALONE_MAX + LEAVES_AT + 3).expect("few");
    let reads = stage.read_together(0..last).await;
    for len in [1, 1, LEAVES_AT, 3] {
        let party = stage.next().await;
        assert_eq!(party.names.len(), len);
        party.go.send(()).expect("it waits");
    }
    for (name, read) in (0..).zip(reads) {
        assert_eq!(answer(read).await, itself(name));
    }
    let read = stage.read(last).await;
    stage.next().await.go.send(()).expect("it waits");
    assert_eq!(answer(read).await, itself(last), "nobody is forgotten");
}

#[tokio::test]
async fn who_goes_away_harms_nobody_who_waits() {
    let mut stage = Stage::new(100);
    let leaders = stage.read_together([1, 2]).await;
    let reads = stage.read_together([3, 4]).await;
    for gone in leaders.iter().chain(&reads[1..]) {
        gone.abort();
    }
    let _ = (stage.next().await, stage.next().await);
    let party = stage.next().await;
    assert_eq!(party.names, [[3], [4]]);
    party.go.send(()).expect("it waits");
    let mut reads = reads.into_iter();
    assert_eq!(answer(reads.next().expect("two")).await, itself(3));
    let read = stage.read(5).await;
    stage.next().await.go.send(()).expect("it waits");
    assert_eq!(answer(read).await, itself(5));
}

#[tokio::test]
async fn parties_are_bounded_and_so_are_those_who_wait() {
    let mut stage = Stage::new(TOGETHER_MAX + 1);
    let mut reads = stage.read_together([0, 0]).await;
    let mut on_way = vec![stage.next().await, stage.next().await];
    while on_way.len() < ON_WAY_MAX {
        reads.push(stage.read(1).await);
        on_way.push(stage.next().await);
    }
    reads.extend(stage.read_together([7; TOGETHER_MAX + 1]).await);
    assert!(stage.asked.try_recv().is_err(), "enough is on its way");
    assert_eq!(answer(stage.read(8).await).await, Err(Trouble::Full));
    on_way.remove(0).go.send(()).expect("it waits");
    let party = stage.next().await;
    assert_eq!(party.names.len(), TOGETHER_MAX);
    on_way.remove(0).go.send(()).expect("it waits");
    let rest = stage.next().await;
    assert_eq!(rest.names.len(), 1);
    for asked in on_way.into_iter().chain([party, rest]) {
        asked.go.send(()).expect("it waits");
    }
    for read in reads {
        assert!(answer(read).await.is_ok());
    }
}

/// A runtime shuts down while so many reads are under way: those that wait are told. Returns what the server was asked before.
fn shut_down_under(reads: usize, waiting_max: usize) -> UnboundedReceiver<Asked> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (sender, asked) = unbounded_channel();
    let gather = Gather::new(Slow(sender), runtime.handle().clone(), waiting_max);
    let mut waiting = Vec::new();
    for _ in 0..reads {
        let mut read = Box::pin(gather.get(|out: &mut Vec<u8>| out.push(1)));
        assert!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        waiting.push(read);
    }
    drop(runtime);
    for mut read in waiting.drain(ALONE_MAX..) {
        let answer = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(answer, Poll::Ready(Err(Trouble::Lost(_)))));
    }
    asked
}

#[test]
fn whoever_waits_when_the_runtime_shuts_down_is_told() {
    assert!(shut_down_under(8, 100).try_recv().is_ok());
}

/// Values of so many bytes, in parties that are answered in time if they are not larger than that.
#[derive(Clone)]
struct Large {
    value_len: usize,
    bytes_in_time: Arc<AtomicUsize>,
    parties: Arc<Mutex<Vec<usize>>>,
}

impl Large {
    fn new(value_len: usize, bytes_in_time: usize) -> Large {
        Large { value_len, bytes_in_time: Arc::new(AtomicUsize::new(bytes_in_time)), parties: Arc::default() }
    }
}

impl Server for Large {
    async fn get(&self, _name: Vec<u8>) -> Answer {
        tokio::task::yield_now().await;
        Ok(Value::BulkString(vec![0; self.value_len]))
    }

    async fn get_many(&self, names: NameList) -> Vec<Answer> {
        tokio::task::yield_now().await;
        self.parties.lock().push(names.len());
        let is_in_time = names.len() * self.value_len <= self.bytes_in_time.load(Ordering::Relaxed);
        let answer =
            || if is_in_time { Ok(Value::BulkString(vec![0; self.value_len])) } else { Err(Trouble::TimedOut) };
        names.iter().map(|_| answer()).collect()
    }
}

/// How many of 64 reads at once are answered.
async fn answered(gather: &Arc<Gather<Large>>) -> usize {
    let reads: Vec<_> = (0..64)
        .map(|name| {
            let gather = Arc::clone(gather);
            tokio::spawn(async move { gather.get(|out: &mut Vec<u8>| out.push(name)).await })
        })
        .collect();
    let mut count = 0;
    for read in reads {
        count += usize::from(answer(read).await.is_ok());
    }
    count
}

#[tokio::test]
async fn large_values_go_in_small_parties_since_together_they_would_run_out_of_time() {
    let large = Large::new(1 << 20, 4 << 20);
    let gather = Arc::new(Gather::new(large.clone(), Handle::current(), 1_000));
    for _ in 0..8 {
        answered(&gather).await;
    }
    assert_eq!(answered(&gather).await, 64, "parties of {:?}", large.parties.lock());
}

#[tokio::test]
async fn parties_that_are_late_become_smaller_and_grow_again() {
    let large = Large::new(100, 0);
    let gather = Arc::new(Gather::new(large.clone(), Handle::current(), 1_000));
    for _ in 0..8 {
        answered(&gather).await;
    }
    assert!(large.parties.lock().ends_with(&[1, 1, 1]));
    large.bytes_in_time.store(usize::MAX, Ordering::Relaxed);
    assert_eq!(answered(&gather).await, 64);
    assert_eq!(answered(&gather).await, 64);
    // As large as leaves at once, since nothing is on its way for long.
    let largest = large.parties.lock().iter().rev().take(4).max().copied();
    assert_eq!(largest, Some(LEAVES_AT));
}

/// So many times the same name.
fn names(count: usize) -> NameList {
    NameList::of(std::iter::repeat_n(&b"name"[..], count))
}

#[tokio::test]
async fn few_parts_of_a_batch_are_on_their_way_at_once() {
    let mut stage = Stage::new(100);
    let gather = Arc::clone(&stage.gather);
    let batch = tokio::spawn(async move { gather.get_many(names(100)).await });
    let mut asked = 0;
    while asked < 100 {
        let_all_run().await;
        let mut parts = Vec::new();
        while let Ok(part) = stage.asked.try_recv() {
            parts.push(part);
        }
        assert!((1..=PARTS_ON_WAY).contains(&parts.len()), "{} parts", parts.len());
        for part in parts {
            asked += part.names.len();
            part.go.send(()).expect("it waits");
        }
    }
    let answers = tokio::time::timeout(Duration::from_secs(30), batch).await.expect("it ends").expect("no panic");
    assert_eq!(answers, vec![Ok(Value::BulkString(b"name".to_vec())); 100]);
}

#[tokio::test]
async fn the_parts_of_a_batch_are_as_large_as_its_values_are_small() {
    let large = Large::new(1 << 20, 4 << 20);
    let gather = Gather::new(large.clone(), Handle::current(), 1_000);
    gather.get_many(names(100)).await;
    large.parties.lock().clear();
    let answers = gather.get_many(names(100)).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 100);
    assert!(large.parties.lock().iter().all(|len| len << 20 <= 4 << 20), "{:?}", large.parties.lock());

    let small = Large::new(100, usize::MAX);
    let gather = Gather::new(small.clone(), Handle::current(), 1_000);
    assert_eq!(gather.get_many(names(5_000)).await.len(), 5_000);
    let parts = small.parties.lock();
    assert_eq!((parts[0], parts.iter().max()), (PART_MAX_AT_FIRST, Some(&PART_MAX)));
}

#[test]
fn a_shutdown_with_thousands_of_parties_does_not_take_the_stack_for_each() {
    let shutdown = || drop(shut_down_under(TOGETHER_MAX << 11, 1 << 20));
    let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(shutdown).expect("a thread");
    thread.join().expect("it has room enough");
}
