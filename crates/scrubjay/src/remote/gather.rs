//! Reads of single keys that meet on their way to the server, and go on together; and batches, which go in parts.
//!
//! A read sets out at once as long as few are on their way. Where there are more they form a **party**: it leaves when whoever is
//! ready to run on the runtime has run, so that those who were answered together ask together again, and costs both sides a
//! fraction of what it costs to ask for each. It takes no timer, and a caller who is alone pays nothing for it.
//!
//! A party is as large as its answers are small: large values that went together would be one answer, which takes longer than any
//! command may, so that nobody got any of them. So is a part of a batch, and few parts are on their way at once.
//!
//! The names of a party stand one behind the other in one buffer, and its answers in one place that all of them have: nobody in
//! it allocates anything of its own.
//!
//! **Invariants**
//! - For each party that forms there is a task that is about to take one along, or enough is on its way, and whatever comes back sees
//!   to it. So nobody waits for what does not come: what is on its way has its limit.
//! - A party that ends, however it does, answers everybody in it.
//! - However many parties wait when the runtime shuts down, that is one step: none starts the next from within its end.

use super::link::{Link, Trouble};
use super::transactions::of;
use futures_util::future::join_all;
use parking_lot::Mutex;
use redis::{Cmd, Value};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::runtime::Handle;

#[cfg(test)]
mod tests;

/// So many commands are on their way before parties wait for one to come back.
const ON_WAY_MAX: usize = 8;
/// So many reads set out by themselves before they form parties.
const ALONE_MAX: usize = 2;
/// A party of so many waits for nobody else, unless it has to wait for what is on its way: the next one gathers meanwhile, and is
/// served meanwhile.
const LEAVES_AT: usize = 16;
/// Keys that go together, so that no answer grows without bound.
const TOGETHER_MAX: usize = 64;
/// What the answers of a party, or of a part of a batch, come to, about.
const TOGETHER_BYTES: usize = 1 << 20;
/// Keys of a batch that go together.
const PART_MAX: usize = 256;
/// The same as long as nothing is known of how large the values are.
const PART_MAX_AT_FIRST: usize = 16;
/// Parts of a batch that are on their way at once. What has to wait behind their answers, on the same connection, is not only the
/// commands of others, but also the question whether the connection lives.
const PARTS_ON_WAY: usize = 4;

/// What a read comes to.
pub(super) type Answer = Result<Value, Trouble>;

/// Names of keys, one behind the other.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct NameList {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Who is asked.
pub(super) trait Server: Clone + Send + Sync + 'static {
    /// What there is under the name.
    fn get(&self, name: Vec<u8>) -> impl Future<Output = Answer> + Send;

    /// What there is under the names, in their order.
    fn get_many(&self, names: NameList) -> impl Future<Output = Vec<Answer>> + Send;
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

struct Gathered {
    /// Commands, and tasks that are about to take a party along.
    on_way: usize,
    /// Those tasks.
    leaving: usize,
    /// In the order in which they leave; only the last one has room.
    parties: VecDeque<Forming>,
    /// Of all parties.
    waiting: usize,
    /// How many the last party was.
    crowd: usize,
    /// How many the next one may be.
    room: usize,
    /// How many keys of a batch go together.
    part_max: usize,
}

/// What has come back of a command.
#[derive(Clone, Copy)]
struct Load {
    keys: usize,
    bytes: usize,
    is_late: bool,
}

/// A party that has not left.
struct Forming {
    names: NameList,
    party: Arc<Party>,
}

/// Where those who go together find their answers.
#[derive(Default)]
struct Party {
    seats: Mutex<Seats>,
}

#[derive(Default)]
struct Seats {
    wakers: Vec<Option<Waker>>,
    answers: Vec<Option<Answer>>,
    is_over: bool,
}

/// How a read sets out.
enum Start<S: Server> {
    /// By itself.
    Now(Vec<u8>, OnWay<S>),
    /// With others, and in this place.
    Later(Arc<Party>, usize),
    /// Too many wait.
    Never,
}

/// A command on its way. When it comes back, a party that waits for that leaves.
struct OnWay<S: Server> {
    inner: Arc<Inner<S>>,
    load: Option<Load>,
}

/// A party that is to leave, or is on its way. Dropped, it is over for everybody in it.
struct Departure<S: Server> {
    party: Option<Arc<Party>>,
    has_left: bool,
    on_way: OnWay<S>,
}

impl NameList {
    /// Appends the name that `write` appends.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    fn of<'a>(names: impl Iterator<Item = &'a [u8]>) -> NameList {
        let mut list = NameList::default();
        names.for_each(|name| list.push(|bytes| bytes.extend_from_slice(name)));
        list
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

impl Server for Link {
    async fn get(&self, name: Vec<u8>) -> Answer {
        self.run_idempotent(of("GET", &name)).await
    }

    async fn get_many(&self, names: NameList) -> Vec<Answer> {
        if names.len() == 1 {
            return vec![self.get(names.bytes).await];
        }
        if self.is_cluster() {
            return self.run_many(names.iter().map(|name| of("GET", name)).collect()).await;
        }
        // What is of another type is nothing here, and not an error.
        let mut all = Cmd::with_capacity(names.len() + 1, names.bytes.len() + 4);
        all.arg("MGET");
        for name in names.iter() {
            all.arg(name);
        }
        match self.run_idempotent(all).await {
            Ok(Value::Array(values)) if values.len() == names.len() => values.into_iter().map(Ok).collect(),
            Ok(_) => vec![Err(Trouble::Server("the server has answered something else".into())); names.len()],
            Err(trouble) => vec![Err(trouble); names.len()],
        }
    }
}

impl<S: Server> Gather<S> {
    pub(super) fn new(server: S, runtime: Handle, waiting_max: usize) -> Gather<S> {
        let gathered = Mutex::new(Gathered::new());
        Gather { inner: Arc::new(Inner { server, runtime, waiting_max, gathered }) }
    }

    /// What there is under the name that `write` appends. Harmless to drop at any point.
    pub(super) async fn get(&self, write: impl FnOnce(&mut Vec<u8>)) -> Answer {
        match self.inner.set_out(write) {
            // Apart, since few go this way, and it is large.
            Start::Now(name, on_way) => Box::pin(on_way.travel_alone(name)).await,
            Start::Later(party, seat) => poll_fn(|context| party.poll(seat, context)).await,
            Start::Never => Err(Trouble::Full),
        }
    }

    /// What there is under the names of a batch, in their order. Each of its parts has its own time.
    pub(super) async fn get_many(&self, names: NameList) -> Vec<Answer> {
        if names.len() <= self.part_max() {
            return self.ask(names).await;
        }
        let mut answers = Vec::with_capacity(names.len());
        let mut left = names.iter();
        loop {
            let part_max = self.part_max();
            let parts = (0..PARTS_ON_WAY).map(|_| NameList::of(left.by_ref().take(part_max)));
            let asked: Vec<_> = parts.filter(|part| part.len() > 0).map(|part| self.ask(part)).collect();
            if asked.is_empty() {
                return answers;
            }
            answers.extend(join_all(asked).await.into_iter().flatten());
        }
    }

    /// So many keys of a batch go together now.
    pub(super) fn part_max(&self) -> usize {
        self.inner.gathered.lock().part_max
    }

    /// Answers that others have asked for show how large values are, too.
    pub(super) fn learn(&self, answers: &[Answer]) {
        self.inner.gathered.lock().learn(Some(Load::of(answers)));
    }

    async fn ask(&self, names: NameList) -> Vec<Answer> {
        let answers = self.inner.server.get_many(names).await;
        self.learn(&answers);
        answers
    }
}

impl<S: Server> Inner<S> {
    fn set_out(self: &Arc<Self>, write: impl FnOnce(&mut Vec<u8>)) -> Start<S> {
        let mut gathered = self.gathered.lock();
        if gathered.on_way < ALONE_MAX && gathered.crowd <= ALONE_MAX && gathered.parties.is_empty() {
            gathered.on_way += 1;
            drop(gathered);
            let mut name = Vec::new();
            write(&mut name);
            return Start::Now(name, OnWay::new(self));
        }
        if gathered.waiting >= self.waiting_max {
            return Start::Never;
        }
        let (party, seat) = gathered.join(write);
        let full = gathered.leave_at_once();
        let is_due = full.is_none() && gathered.depart();
        drop(gathered);
        if full.is_some() || is_due {
            self.start(full);
        }
        Start::Later(party, seat)
    }

    /// Something has come back.
    fn come_back(self: &Arc<Self>, load: Option<Load>) {
        let is_due = {
            let mut gathered = self.gathered.lock();
            gathered.on_way -= 1;
            gathered.learn(load);
            gathered.depart()
        };
        if is_due {
            self.start(None);
        }
    }

    /// Starts the task that takes a party along: this one, which has left, or the one that is the next by then.
    fn start(self: &Arc<Self>, left: Option<Forming>) {
        let (names, party) = left.map(|Forming { names, party }| (names, party)).unzip();
        let departure = Departure { has_left: names.is_some(), party, on_way: OnWay::new(self) };
        drop(self.runtime.spawn(departure.travel(names)));
    }

    /// The runtime has dropped a task that was to take a party along: no other will.
    fn give_up(&self) {
        let parties = {
            let mut gathered = self.gathered.lock();
            gathered.leaving -= 1;
            gathered.waiting = 0;
            std::mem::take(&mut gathered.parties)
        };
        parties.into_iter().for_each(|Forming { party, .. }| party.end(Vec::new()));
    }
}

impl Load {
    fn of(answers: &[Answer]) -> Load {
        let len = |answer: &Answer| if let Ok(Value::BulkString(bytes)) = answer { bytes.len() } else { 0 };
        Load {
            keys: answers.len(),
            bytes: answers.iter().map(len).sum(),
            is_late: answers.iter().any(|answer| matches!(answer, Err(Trouble::TimedOut))),
        }
    }
}

impl Gathered {
    fn new() -> Gathered {
        Gathered {
            on_way: 0,
            leaving: 0,
            parties: VecDeque::new(),
            waiting: 0,
            crowd: 0,
            room: TOGETHER_MAX,
            part_max: PART_MAX_AT_FIRST,
        }
    }

    /// Parties and parts become smaller at once, and larger by and by.
    fn learn(&mut self, load: Option<Load>) {
        let Some(Load { keys, bytes, is_late }) = load else { return };
        let room = if is_late { keys / 2 } else { keys.saturating_mul(TOGETHER_BYTES) / bytes.max(1) };
        self.room = room.clamp(1, TOGETHER_MAX.min(2 * self.room));
        self.part_max = room.clamp(1, PART_MAX.min(2 * self.part_max));
    }

    fn join(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> (Arc<Party>, usize) {
        if self.parties.back().is_none_or(|last| last.names.len() >= self.room) {
            self.parties.push_back(Forming { names: NameList::default(), party: Arc::default() });
        }
        let last = self.parties.len() - 1;
        let forming = &mut self.parties[last];
        let seat = forming.names.len();
        forming.names.push(write);
        self.waiting += 1;
        (Arc::clone(&forming.party), seat)
    }

    /// Whether one more task is to be started, and then that is noted.
    fn depart(&mut self) -> bool {
        let is_due = self.parties.len() > self.leaving && self.on_way < ON_WAY_MAX;
        if is_due {
            self.on_way += 1;
            self.leaving += 1;
        }
        is_due
    }

    /// The party that forms, if there are enough in it and it need not wait.
    fn leave_at_once(&mut self) -> Option<Forming> {
        let is_due = self.parties.len() == 1 && self.on_way < ON_WAY_MAX && self.parties[0].names.len() >= LEAVES_AT;
        self.on_way += usize::from(is_due);
        if is_due { self.pop() } else { None }
    }

    /// The party of a task that was to take one along. One that was in a hurry may have left instead.
    fn leave(&mut self) -> Option<Forming> {
        self.leaving -= 1;
        self.pop()
    }

    fn pop(&mut self) -> Option<Forming> {
        let forming = self.parties.pop_front()?;
        self.waiting -= forming.names.len();
        self.crowd = forming.names.len();
        Some(forming)
    }
}

impl<S: Server> OnWay<S> {
    fn new(inner: &Arc<Inner<S>>) -> OnWay<S> {
        OnWay { inner: Arc::clone(inner), load: None }
    }

    async fn travel_alone(mut self, name: Vec<u8>) -> Answer {
        let answer = self.inner.server.get(name).await;
        self.load = Some(Load::of(std::slice::from_ref(&answer)));
        answer
    }
}

impl<S: Server> Drop for OnWay<S> {
    fn drop(&mut self) {
        self.inner.come_back(self.load);
    }
}

impl<S: Server> Departure<S> {
    async fn travel(mut self, mut names: Option<NameList>) {
        if names.is_none() {
            // Whoever is ready to run asks first, and comes along.
            tokio::task::yield_now().await;
            names = self.leave();
        }
        let Some(names) = names else { return };
        let answers = self.on_way.inner.server.get_many(names).await;
        self.on_way.load = Some(Load::of(&answers));
        if let Some(party) = self.party.take() {
            party.end(answers);
        }
    }

    fn leave(&mut self) -> Option<NameList> {
        self.has_left = true;
        let Forming { names, party } = self.on_way.inner.gathered.lock().leave()?;
        self.party = Some(party);
        Some(names)
    }
}

impl<S: Server> Drop for Departure<S> {
    fn drop(&mut self) {
        if !self.has_left {
            self.on_way.inner.give_up();
        }
        if let Some(party) = self.party.take() {
            party.end(Vec::new());
        }
    }
}

impl Party {
    fn poll(&self, seat: usize, context: &mut Context<'_>) -> Poll<Answer> {
        let mut seats = self.seats.lock();
        if seats.is_over {
            let answer = seats.answers.get_mut(seat).and_then(Option::take);
            return Poll::Ready(answer.unwrap_or_else(|| Err(Trouble::Lost("the runtime has shut down".into()))));
        }
        if seats.wakers.len() <= seat {
            seats.wakers.resize(seat + 1, None);
        }
        match &mut seats.wakers[seat] {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// From now on there is an answer for everybody.
    fn end(&self, answers: Vec<Answer>) {
        let wakers = {
            let mut seats = self.seats.lock();
            seats.is_over = true;
            seats.answers = answers.into_iter().map(Some).collect();
            std::mem::take(&mut seats.wakers)
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}
