//! Reads of single keys that meet on their way to the server, and go on together.
//!
//! A read sets out at once as long as few are on their way. The others wait for the first of those to come back, and then set
//! out as one command, which costs both sides a fraction of what it costs to ask for each. So a caller who is alone pays nothing
//! for it, and the more there are the larger the parties get: it takes no time of its own, and no timer.
//!
//! **Invariant:** whoever waits is taken along by the next that comes back, or has no answer: nobody waits when nothing is on
//! its way. What is on its way has its limit, so waiting has one, too.

use super::link::{Link, Trouble};
use super::transactions::of;
use parking_lot::Mutex;
use redis::{Cmd, Value};
use std::future::Future;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

#[cfg(test)]
mod tests;

/// So many commands are on their way before reads wait to go together. Two, so that one party gathers while another is served.
const ON_WAY_MAX: usize = 2;
/// Keys that go together, so that no answer grows without bound.
const TOGETHER_MAX: usize = 64;

/// What a read comes to.
pub(super) type Answer = Result<Value, Trouble>;

/// Who is asked.
pub(super) trait Server: Clone + Send + Sync + 'static {
    /// What there is under the name.
    fn get(&self, name: Vec<u8>) -> impl Future<Output = Answer> + Send;

    /// What there is under the names, in their order.
    fn get_many(&self, names: Vec<Vec<u8>>) -> impl Future<Output = Vec<Answer>> + Send;
}

impl Server for Link {
    async fn get(&self, name: Vec<u8>) -> Answer {
        self.run_idempotent(of("GET", &name)).await
    }

    async fn get_many(&self, names: Vec<Vec<u8>>) -> Vec<Answer> {
        if self.is_cluster() {
            return self.run_many(names.iter().map(|name| of("GET", name)).collect()).await;
        }
        // What is of another type is nothing here, and not an error.
        let mut all = Cmd::new();
        all.arg("MGET").arg(&names);
        match self.run_idempotent(all).await {
            Ok(Value::Array(values)) if values.len() == names.len() => values.into_iter().map(Ok).collect(),
            Ok(_) => vec![Err(Trouble::Server("the server has answered something else".into())); names.len()],
            Err(trouble) => vec![Err(trouble); names.len()],
        }
    }
}

/// Who waits to set out.
struct Waiting {
    name: Vec<u8>,
    answer: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct Gathered {
    on_way: usize,
    waiting: Vec<Waiting>,
}

/// Reads on their way to one server.
pub(super) struct Gather<S: Server> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    server: S,
    runtime: Handle,
    /// Who may wait, at most.
    waiting_max: usize,
    gathered: Mutex<Gathered>,
}

/// How a read sets out.
enum Start<S: Server> {
    /// By itself.
    Now(Vec<u8>, OnWay<S>),
    /// With others, and this is where its answer comes.
    Later(oneshot::Receiver<Answer>),
    /// Too many wait.
    Never,
}

/// A command on its way. Whoever has this takes along who waits when it comes back.
struct OnWay<S: Server> {
    inner: Arc<Inner<S>>,
}

impl<S: Server> Gather<S> {
    pub(super) fn new(server: S, runtime: Handle, waiting_max: usize) -> Gather<S> {
        Gather { inner: Arc::new(Inner { server, runtime, waiting_max, gathered: Mutex::default() }) }
    }

    /// What there is under the name. Harmless to drop at any point.
    pub(super) async fn get(&self, name: Vec<u8>) -> Answer {
        match self.set_out(name) {
            Start::Now(name, on_way) => on_way.inner.server.get(name).await,
            Start::Later(answer) => {
                answer.await.unwrap_or_else(|_| Err(Trouble::Lost("the runtime has shut down".into())))
            }
            Start::Never => Err(Trouble::Full),
        }
    }

    fn set_out(&self, name: Vec<u8>) -> Start<S> {
        let mut gathered = self.inner.gathered.lock();
        if gathered.on_way < ON_WAY_MAX {
            gathered.on_way += 1;
            return Start::Now(name, OnWay { inner: Arc::clone(&self.inner) });
        }
        if gathered.waiting.len() >= self.inner.waiting_max {
            return Start::Never;
        }
        let (sender, answer) = oneshot::channel();
        gathered.waiting.push(Waiting { name, answer: sender });
        Start::Later(answer)
    }
}

impl<S: Server> Inner<S> {
    /// Something has come back: who sets out instead. `None` if nobody waits, and then less is on its way.
    fn come_back(&self) -> Option<Vec<Waiting>> {
        let mut gathered = self.gathered.lock();
        if gathered.waiting.is_empty() {
            gathered.on_way -= 1;
            return None;
        }
        let count = gathered.waiting.len().min(TOGETHER_MAX);
        Some(gathered.waiting.drain(..count).collect())
    }
}

impl<S: Server> Drop for OnWay<S> {
    fn drop(&mut self) {
        let Some(party) = self.inner.come_back() else { return };
        let on_way = OnWay { inner: Arc::clone(&self.inner) };
        drop(self.inner.runtime.spawn(on_way.travel(party)));
    }
}

impl<S: Server> OnWay<S> {
    async fn travel(self, party: Vec<Waiting>) {
        let party = party.into_iter().filter(|waiting| !waiting.answer.is_closed());
        let (names, callers): (Vec<_>, Vec<_>) = party.map(|waiting| (waiting.name, waiting.answer)).unzip();
        let answers = match <[Vec<u8>; 1]>::try_from(names) {
            Ok([name]) => vec![self.inner.server.get(name).await],
            Err(names) if names.is_empty() => Vec::new(),
            Err(names) => self.inner.server.get_many(names).await,
        };
        for (caller, answer) in callers.into_iter().zip(answers) {
            // Who has gone away meanwhile needs none.
            drop(caller.send(answer));
        }
    }
}
