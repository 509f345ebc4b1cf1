//! Read, decide and write as one, for servers without scripts: `WATCH`, `MULTI`, `EXEC` on connections of their own.
//!
//! What a connection watches is the connection's, so no two transactions may share one at a time. Connections are kept for the next;
//! one whose transaction was given up in the middle is not.

use super::live::Live;
use super::trouble::{Trouble, sound};
use super::{Link, connect};
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, Value, cmd};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A transaction is tried so often.
const TRIES_MAX: u32 = 16;
/// So many run at once.
const CONNECTIONS_MAX: usize = 16;

/// What a transaction does with what it has read.
pub(crate) enum Step<T> {
    /// Nothing more.
    Done(T),
    /// These commands at once, if nothing that is watched has changed.
    Commit(Vec<Cmd>, T),
}

/// Connections for transactions.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Vec<MultiplexedConnection>>,
    seats: Semaphore,
}

impl Pool {
    pub(super) fn new() -> Pool {
        Pool { idle: Mutex::default(), seats: Semaphore::new(CONNECTIONS_MAX) }
    }
}

impl Link {
    /// Reads, decides and writes, as one: `decide` gets the answers to `reads`, and is asked again if something in `watched` has
    /// changed before what it wants is done, 16 times at most. Not on a cluster.
    ///
    /// # Errors
    /// Why it is not done.
    pub(crate) async fn transaction<T>(
        &self,
        watched: &[&[u8]],
        reads: &[Cmd],
        mut decide: impl FnMut(Vec<Value>) -> Result<Step<T>, Trouble> + Send,
    ) -> Result<T, Trouble> {
        let live = self.live()?;
        let _lane = self.lane()?;
        let whole = async {
            let Ok(_turn) = live.pool.seats.acquire().await else {
                return Err(Trouble::Away("the cache is closed".into()));
            };
            for _ in 0..TRIES_MAX {
                let mut connection = self.connection_for_transaction(&live).await?;
                let answers = watch(&mut connection, watched, reads).await?;
                let (commands, answer) = match decide(answers)? {
                    Step::Done(answer) => {
                        sound(connection.send_packed_command(&cmd("UNWATCH")).await)?;
                        live.pool.idle.lock().push(connection);
                        return Ok(answer);
                    }
                    Step::Commit(commands, answer) => (commands, answer),
                };
                let is_done = commit(&mut connection, commands).await?;
                live.pool.idle.lock().push(connection);
                if is_done {
                    return Ok(answer);
                }
            }
            Err(Trouble::Server("others have changed the key again and again".into()))
        };
        let answer = self.inner.in_time(self.inner.remote.command_timeout, whole).await;
        self.settle(&live, answer)
    }

    async fn connection_for_transaction(&self, live: &Live) -> Result<MultiplexedConnection, Trouble> {
        let idle = live.pool.idle.lock().pop();
        if let Some(connection) = idle {
            return Ok(connection);
        }
        // Not where the caller is: that may be no runtime, or one that ends while the connection is kept for others.
        let (inner, address) = (Arc::clone(&self.inner), live.nodes[0].address.clone());
        let dialled = self.inner.runtime.spawn(async move { connect::dial(&inner, &address, None).await });
        match dialled.await {
            Ok(dialled) => dialled.map(|(connection, _)| connection),
            Err(_) => Err(Trouble::Away("the runtime of the cache has shut down".into())),
        }
    }
}

/// Begins to watch, and reads.
async fn watch(
    connection: &mut MultiplexedConnection,
    watched: &[&[u8]],
    reads: &[Cmd],
) -> Result<Vec<Value>, Trouble> {
    let mut pipeline = Pipeline::with_capacity(1 + reads.len());
    pipeline.cmd("WATCH").arg(watched);
    reads.iter().for_each(|read| _ = pipeline.add_command(read.clone()));
    let answers = connection.send_packed_commands(&pipeline, 0, pipeline.len()).await?;
    let mut answers = answers.into_iter().map(|answer| sound(Ok(answer)));
    answers.next().unwrap_or(Err(Trouble::Server("the server has not answered".into())))?;
    answers.collect()
}

/// Whether it is done: not if something that is watched has changed.
async fn commit(connection: &mut MultiplexedConnection, commands: Vec<Cmd>) -> Result<bool, Trouble> {
    let mut pipeline = Pipeline::with_capacity(2 + commands.len());
    pipeline.cmd("MULTI");
    commands.into_iter().for_each(|command| _ = pipeline.add_command(command));
    pipeline.cmd("EXEC");
    let mut answers = connection.send_packed_commands(&pipeline, 0, pipeline.len()).await?;
    let done = answers.pop().unwrap_or_default();
    // The reason why a command was not even queued says more than what becomes of the whole.
    answers.into_iter().try_for_each(|answer| sound(Ok(answer)).map(drop))?;
    match sound(Ok(done))? {
        Value::Nil => Ok(false),
        Value::Array(answers) => {
            answers.into_iter().try_for_each(|answer| sound(Ok(answer)).map(drop))?;
            Ok(true)
        }
        _ => Err(Trouble::Server("EXEC: no list".into())),
    }
}
