//! Commands that are sent together, each to the master that it belongs to.

use super::live::Live;
use super::script::{Script, ScriptCall};
use super::trouble::{Trouble, sound};
use super::{Inner, Link};
use futures_util::future::join_all;
use redis::{Arg, Cmd, Pipeline, Value};

/// So many commands are sent as one, so that other callers' come in between.
const TOGETHER_MAX: usize = 256;
/// And so many bytes.
const TOGETHER_BYTES_MAX: usize = 1 << 20;

type Answer = Result<Value, Trouble>;

/// A command among others.
struct Item {
    index: usize,
    command: Cmd,
    len: usize,
    script: Option<&'static Script>,
}

impl Link {
    /// Sends commands together. The answers are in their order. On a cluster those of each master go together.
    pub(crate) async fn run_many(&self, commands: Vec<Cmd>) -> Vec<Answer> {
        self.send_many(commands.into_iter().map(|command| (command, None)).collect()).await
    }

    /// Runs scripts together. The answers are in their order.
    pub(crate) async fn script_many(&self, calls: Vec<ScriptCall>) -> Vec<Answer> {
        self.send_many(calls.into_iter().map(|call| (call.command, Some(call.script))).collect()).await
    }

    async fn send_many(&self, commands: Vec<(Cmd, Option<&'static Script>)>) -> Vec<Answer> {
        let count = commands.len();
        let live = match self.live() {
            Ok(live) => live,
            Err(trouble) => return vec![Err(trouble); count],
        };
        let mut answers: Vec<Option<Answer>> = vec![None; count];
        let items = commands.into_iter().enumerate();
        let items = items.map(|(index, (command, script))| Item::new(index, command, script)).collect();
        let again = self.send_parts(&live, items, &mut answers).await;
        // By now it is known where the slots are, and the scripts have their texts.
        let rest = self.send_parts(&live, again, &mut answers).await;
        if !rest.is_empty() {
            let one_by_one = async {
                for item in rest {
                    answers[item.index] = Some(self.send_one(&item.command).await);
                }
                Ok(())
            };
            // Whatever is not sent until then has no answer.
            let _ = self.inner.in_time(self.inner.remote.command_timeout, one_by_one).await;
        }
        answers.into_iter().map(|answer| answer.unwrap_or(Err(Trouble::TimedOut))).collect()
    }

    /// What must be sent again is returned.
    async fn send_parts(&self, live: &Live, items: Vec<Item>, answers: &mut [Option<Answer>]) -> Vec<Item> {
        let parts = part(live, items).into_iter().map(|(node, part)| self.send_part(live, node, part));
        let mut again = Vec::new();
        for outcome in join_all(parts).await.into_iter().flatten() {
            match outcome {
                Ok((index, answer)) => answers[index] = Some(answer),
                Err(item) => again.push(item),
            }
        }
        again
    }

    /// The answers, and in their places what must be sent again.
    async fn send_part(&self, live: &Live, node: usize, items: Vec<Item>) -> Vec<Result<(usize, Answer), Item>> {
        let len: usize = items.iter().map(|item| item.len).sum();
        let mut pipeline = Pipeline::with_capacity(items.len());
        let mut senders = Vec::with_capacity(items.len());
        for Item { index, command, script, .. } in items {
            pipeline.add_command(command);
            senders.push((index, script));
        }
        let sent = async {
            let _lane = self.lane()?;
            let time = Inner::time_for(self.inner.remote.command_timeout, len);
            self.inner.in_time(time, live.send_together(node, &pipeline)).await
        };
        let answers = match self.settle(live, sent.await) {
            Ok(answers) => answers,
            Err(trouble) => return senders.iter().map(|&(index, _)| Ok((index, Err(trouble.clone())))).collect(),
        };
        let mut outcomes = Vec::with_capacity(senders.len());
        for (((index, script), answer), command) in senders.into_iter().zip(answers).zip(pipeline.cmd_iter()) {
            if live.is_redirected(node, &answer) {
                outcomes.push(Err(Item::new(index, command.clone(), script)));
                continue;
            }
            let answer = self.settle(live, sound(Ok(answer)));
            outcomes.push(match script {
                Some(script) if is_unknown(&answer) => Err(Item::new(index, script.with_text(command), None)),
                _ => Ok((index, answer)),
            });
        }
        outcomes
    }
}

impl Item {
    fn new(index: usize, command: Cmd, script: Option<&'static Script>) -> Item {
        Item { index, len: len_of(&command), command, script }
    }
}

/// The bytes of a command's parts.
#[inline]
pub(super) fn len_of(command: &Cmd) -> usize {
    command.args_iter().map(|part| if let Arg::Simple(bytes) = part { bytes.len() } else { 0 }).sum()
}

/// Whether the server does not know the script by its hash.
pub(super) fn is_unknown(answer: &Answer) -> bool {
    matches!(answer, Err(Trouble::Server(why)) if why.starts_with("NOSCRIPT"))
}

/// What goes together: by master, and not too much at once.
fn part(live: &Live, items: Vec<Item>) -> Vec<(usize, Vec<Item>)> {
    let mut parts: Vec<(usize, Vec<Item>)> = Vec::new();
    // For each master the part that is being filled, and its bytes.
    let mut filling: Vec<Option<(usize, usize)>> = vec![None; live.nodes.len()];
    for item in items {
        let node = live.node_of(&item.command);
        let has_room = |&(part, bytes): &(usize, usize)| {
            parts[part].1.len() < TOGETHER_MAX && bytes + item.len <= TOGETHER_BYTES_MAX
        };
        let (part, bytes) = filling[node].filter(has_room).unwrap_or_else(|| {
            parts.push((node, Vec::new()));
            (parts.len() - 1, 0)
        });
        filling[node] = Some((part, bytes + item.len));
        parts[part].1.push(item);
    }
    parts
}
