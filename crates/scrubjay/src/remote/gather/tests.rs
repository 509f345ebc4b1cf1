//! Parties, over a server whose answers the tests let go one by one.

use super::*;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

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

    async fn get_many(&self, names: Vec<Vec<u8>>) -> Vec<Answer> {
        self.ask(names).await
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

    /// Starts a read, and lets it go as far as it comes.
    async fn read(&self, name: u8) -> tokio::task::JoinHandle<Answer> {
        let gather = Arc::clone(&self.gather);
        let read = tokio::spawn(async move { gather.get(vec![name]).await });
        tokio::task::yield_now().await;
        read
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

#[tokio::test]
async fn who_is_alone_goes_at_once_and_the_others_go_together() {
    let mut stage = Stage::new(100);
    let first = stage.read(1).await;
    let second = stage.read(2).await;
    let (one, two) = (stage.next().await, stage.next().await);
    assert_eq!((&one.names, &two.names), (&vec![vec![1]], &vec![vec![2]]));
    let others = [stage.read(3).await, stage.read(4).await, stage.read(5).await];
    assert!(stage.asked.try_recv().is_err(), "they wait");
    one.go.send(()).expect("it waits");
    assert_eq!(answer(first).await, itself(1));
    let party = stage.next().await;
    assert_eq!(party.names, [[3], [4], [5]]);
    party.go.send(()).expect("it waits");
    for (name, read) in (3..).zip(others) {
        assert_eq!(answer(read).await, itself(name), "each has its own answer");
    }
    two.go.send(()).expect("it waits");
    assert_eq!(answer(second).await, itself(2));
    let late = stage.read(6).await;
    assert_eq!(stage.next().await.names, [[6]], "nothing is on its way any more");
    late.abort();
}

#[tokio::test]
async fn who_goes_away_harms_nobody_who_waits() {
    let mut stage = Stage::new(100);
    let leaders = [stage.read(1).await, stage.read(2).await];
    let (waits, gone) = (stage.read(3).await, stage.read(4).await);
    gone.abort();
    assert!(gone.await.is_err());
    for leader in leaders {
        leader.abort();
    }
    let _ = (stage.next().await, stage.next().await);
    let party = stage.next().await;
    assert_eq!(party.names, [[3]], "taken along by one that was cancelled, without the one that has gone");
    party.go.send(()).expect("it waits");
    assert_eq!(answer(waits).await, itself(3));
}

#[tokio::test]
async fn parties_are_bounded_and_so_are_those_who_wait() {
    let mut stage = Stage::new(TOGETHER_MAX + 1);
    let leaders = [stage.read(0).await, stage.read(0).await];
    let mut waiting = Vec::new();
    for _ in 0..=TOGETHER_MAX {
        waiting.push(stage.read(7).await);
    }
    assert_eq!(answer(stage.read(8).await).await, Err(Trouble::Full));
    let (one, two) = (stage.next().await, stage.next().await);
    one.go.send(()).expect("it waits");
    let party = stage.next().await;
    assert_eq!(party.names.len(), TOGETHER_MAX);
    two.go.send(()).expect("it waits");
    let rest = stage.next().await;
    assert_eq!(rest.names.len(), 1);
    party.go.send(()).expect("it waits");
    rest.go.send(()).expect("it waits");
    for read in leaders.into_iter().chain(waiting) {
        assert!(answer(read).await.is_ok());
    }
}
