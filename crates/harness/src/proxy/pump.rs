//! One direction of one connection: reads, waits as long as the toxics say, writes.

use super::commands::{Command, Commands};
use super::rules::{Direction, Rule, Toxic};
use super::{Shared, State};
use crate::random::Random;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;

/// Bytes that are read at once, and that wait in the proxy before it stops reading.
const READ_LEN: usize = 16 << 10;
const WAITING_LEN_MAX: usize = 4 << 20;

/// From where to where.
pub(super) struct Side {
    pub(super) from: OwnedReadHalf,
    pub(super) to: OwnedWriteHalf,
}

/// What waits to be written.
struct Chunk {
    bytes: Vec<u8>,
    due: Instant,
    /// The connection ends once it is written.
    cuts: bool,
}

/// What the rules say just now, beside what they do to a chunk.
#[derive(Clone, Copy, Default)]
struct Mood {
    is_stalled: bool,
    is_half_closed: bool,
    split: Option<u64>,
}

pub(super) struct Pump<'a> {
    number: u64,
    direction: Direction,
    shared: &'a Shared,
    commands: Commands,
    /// Bytes that came so far.
    passed: u64,
    /// What [`Pump::passed`] was when a rule was first seen, by its id.
    since: HashMap<u64, u64>,
    random: Random,
    waiting: VecDeque<Chunk>,
    waiting_len: usize,
}

impl<'a> Pump<'a> {
    pub(super) fn new(number: u64, direction: Direction, shared: &'a Shared) -> Pump<'a> {
        let seed =
            shared.seed ^ number.wrapping_mul(0x9E37_79B9) ^ if direction == Direction::ToServer { 0 } else { 1 << 63 };
        Pump {
            number,
            direction,
            shared,
            commands: Commands::default(),
            passed: 0,
            since: HashMap::new(),
            random: Random(seed),
            waiting: VecDeque::new(),
            waiting_len: 0,
        }
    }

    /// Until the source ends and everything is written, or either side is lost.
    pub(super) async fn run(mut self, mut side: Side) {
        let mut changes = self.shared.changes.subscribe();
        let mut buffer = vec![0; READ_LEN];
        let (mut has_ended, mut is_shut) = (false, false);
        loop {
            let mood = self.mood();
            if mood.is_half_closed && !is_shut {
                is_shut = side.to.shutdown().await.is_ok();
            }
            if has_ended && self.waiting.is_empty() {
                let _ = side.to.shutdown().await;
                return;
            }
            let due = self.waiting.front().filter(|_| !mood.is_stalled).map(|chunk| chunk.due);
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                () = sleep_until(due), if due.is_some() => {
                    let Some(chunk) = self.waiting.pop_front() else { continue };
                    self.waiting_len -= chunk.bytes.len();
                    let is_lost = !is_shut && self.write(&mut side.to, &chunk.bytes, mood.split).await.is_err();
                    if chunk.cuts {
                        self.shared.state().cut(self.number);
                        return;
                    }
                    if is_lost {
                        has_ended = true;
                        self.waiting.clear();
                        // The other side went away: as a network would, its sender hears of it.
                        self.close();
                    }
                }
                read = side.from.read(&mut buffer), if !has_ended && self.waiting_len < WAITING_LEN_MAX => match read {
                    Ok(0) => has_ended = true,
                    Err(_) => self.close(),
                    Ok(len) => {
                        if let Some(chunk) = self.take(buffer[..len].to_vec()) {
                            self.waiting_len += chunk.bytes.len();
                            self.waiting.push_back(chunk);
                        }
                    }
                },
            }
        }
    }

    /// What is on, for this direction. Rules that are new begin to count here.
    fn mood(&mut self) -> Mood {
        let state = self.shared.state();
        let mut mood = Mood::default();
        for rule in self.rules(&state) {
            match rule.toxic {
                Toxic::Stall => mood.is_stalled = true,
                Toxic::HalfClose => mood.is_half_closed = true,
                Toxic::Split(most) => mood.split = Some(most.max(1)),
                _ => {}
            }
        }
        let ids: Vec<u64> = self.rules(&state).map(|rule| rule.id).collect();
        drop(state);
        for id in ids {
            self.since.entry(id).or_insert(self.passed);
        }
        mood
    }

    fn rules<'s>(&self, state: &'s State) -> impl Iterator<Item = &'s Rule> + use<'s> {
        let said = state.connections.get(&self.number).map(|connection| connection.said.as_slice()).unwrap_or_default();
        state.rules.of(said, self.direction)
    }

    /// What of these bytes is to be written, and when; `None` for nothing.
    fn take(&mut self, mut bytes: Vec<u8>) -> Option<Chunk> {
        let mut cut_at = self.note_commands(&bytes);
        let mut due = self.waiting.back().map_or_else(Instant::now, |last| last.due.max(Instant::now()));
        let mut state = self.shared.state();
        if self.direction == Direction::ToClient
            && state.connections.get(&self.number).is_some_and(|connection| connection.loses_reply)
        {
            cut_at = Some(0);
        }
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let (mut is_swallowed, mut garbled) = (false, 0);
        let rules: Vec<Rule> = self.rules(&state).cloned().collect();
        for rule in rules {
            let seen = self.passed - *self.since.entry(rule.id).or_insert(self.passed);
            match rule.toxic {
                Toxic::Delay(delay) => due = due.max(Instant::now() + delay),
                Toxic::Bandwidth(each_second) => {
                    due += Duration::from_micros(len.saturating_mul(1_000_000) / each_second.max(1));
                }
                Toxic::CutAfter(limit) if seen + len > limit => {
                    let rest = usize::try_from(limit.saturating_sub(seen)).unwrap_or(usize::MAX);
                    cut_at = Some(cut_at.map_or(rest, |cut_at| cut_at.min(rest)));
                }
                Toxic::Garble { at } if (seen..seen + len).contains(&at) => {
                    let place = usize::try_from(at - seen).unwrap_or(0);
                    bytes[place] ^= u8::try_from(1 + self.random.below(255)).unwrap_or(1);
                    garbled += 1;
                }
                Toxic::Blackhole => is_swallowed = true,
                _ => {}
            }
        }
        self.passed += len;
        state.counts.garbled += garbled;
        if is_swallowed {
            state.counts.swallowed += len;
            if let Some(connection) = state.connections.get_mut(&self.number) {
                connection.is_broken = true;
            }
            bytes.clear();
        }
        bytes.truncate(cut_at.unwrap_or(usize::MAX));
        (!bytes.is_empty() || cut_at.is_some()).then_some(Chunk { bytes, due, cuts: cut_at.is_some() })
    }

    /// Notes the commands in these bytes; where they are to be cut, if a toxic says so.
    fn note_commands(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.direction == Direction::ToClient {
            return None;
        }
        let found = self.commands.feed(bytes);
        let mut state = self.shared.state();
        let mut cut_at = None;
        for Command { start, words } in found {
            state.counts.commands += 1;
            *state.said.entry(words.clone()).or_default() += 1;
            let State { rules, connections, .. } = &mut *state;
            let Some(connection) = connections.get_mut(&self.number) else { continue };
            if !connection.said.contains(&words) {
                connection.said.push(words.clone());
            }
            for rule in rules.all.iter_mut().filter(|rule| rule.which.means(&connection.said)) {
                let Toxic::CutAt { command, nth } = &rule.toxic else { continue };
                if !command.is_empty() && !super::rules::begins_with(&words, &command.to_ascii_uppercase()) {
                    continue;
                }
                rule.seen += 1;
                if rule.seen == *nth {
                    match rule.direction {
                        Direction::ToServer => cut_at = Some(cut_at.map_or(start, |cut_at: usize| cut_at.min(start))),
                        Direction::ToClient => connection.loses_reply = true,
                    }
                }
            }
        }
        cut_at
    }

    async fn write(&mut self, to: &mut OwnedWriteHalf, bytes: &[u8], split: Option<u64>) -> std::io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let most = split.map_or(usize::MAX, |most| usize::try_from(1 + self.random.below(most)).unwrap_or(1));
            let (piece, others) = rest.split_at(most.min(rest.len()));
            to.write_all(piece).await?;
            rest = others;
            tokio::task::yield_now().await;
        }
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let counts = &mut self.shared.state().counts;
        match self.direction {
            Direction::ToServer => counts.bytes_to_server += len,
            Direction::ToClient => counts.bytes_to_client += len,
        }
        Ok(())
    }

    /// Ends the connection, which one of its sides has left.
    fn close(&self) {
        if let Some(connection) = self.shared.state().connections.get(&self.number) {
            connection.closing.send_replace(true);
        }
    }
}

/// Until then; forever when there is nothing to wait for.
async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
