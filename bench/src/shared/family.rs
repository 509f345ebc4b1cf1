//! Several processes that take part in one turn, each with the program's other end of its pipes.
//!
//! They are told what to do in lines, and say what they saw in lines. **Invariant:** they are gone when this is dropped.

use super::Stand;
use super::subject::Subject;
use anyhow::Context;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// How many processes share the server.
pub(super) const PROCESSES: usize = 8;

/// A process that says nothing for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(60);

pub(super) struct Family {
    members: Vec<(Child, ChildStdin)>,
    heard: Receiver<(usize, String)>,
}

/// A line that a process said, in words.
pub(super) struct Said {
    pub(super) member: usize,
    words: Vec<String>,
}

impl Said {
    /// What it is about.
    pub(super) fn verb(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The number at this place after the verb.
    pub(super) fn number(&self, place: usize) -> anyhow::Result<u64> {
        let word = self.words.get(place + 1).with_context(|| format!("{:?}: too short", self.words))?;
        Ok(word.parse()?)
    }
}

impl Family {
    /// Starts the processes and waits until each has said that it is ready.
    pub(super) fn start(stand: &Stand, group: &str, subject: &Subject) -> anyhow::Result<Family> {
        let (sender, heard) = channel();
        let mut family = Family { members: Vec::new(), heard };
        for index in 0..PROCESSES {
            let mut command = stand.turn(group, subject)?;
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start")?;
            let (input, output) = (child.stdin.take(), child.stdout.take());
            family.members.push((child, input.context("no input")?));
            let (sender, output) = (sender.clone(), output.context("no output")?);
            std::thread::spawn(move || forward(index, output, &sender));
        }
        family.hear_of_all("ready")?;
        Ok(family)
    }

    pub(super) fn tell(&mut self, member: usize, line: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.members[member].1, "{line}")?)
    }

    /// The next line of any of them.
    pub(super) fn hear(&self) -> anyhow::Result<Said> {
        self.hear_within(SILENCE_MAX)?.context("the processes are silent")
    }

    /// The same, or nothing when the time is over.
    pub(super) fn hear_within(&self, limit: Duration) -> anyhow::Result<Option<Said>> {
        let Ok((member, line)) = self.heard.recv_timeout(limit) else { return Ok(None) };
        let said = Said { member, words: line.split(' ').map(str::to_owned).collect() };
        anyhow::ensure!(said.verb() != "failed", "process {member}: {line}");
        anyhow::ensure!(said.verb() != "ended", "process {member} has ended");
        Ok(Some(said))
    }

    /// What each says once, all beginning with `verb`.
    pub(super) fn hear_of_all(&self, verb: &str) -> anyhow::Result<Vec<Said>> {
        let mut all = Vec::new();
        while all.len() < PROCESSES {
            let said = self.hear()?;
            anyhow::ensure!(said.verb() == verb, "{:?}: {verb} was wanted", said.words);
            all.push(said);
        }
        Ok(all)
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        for (child, _) in &mut self.members {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn forward(index: usize, output: impl std::io::Read, sender: &Sender<(usize, String)>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if sender.send((index, line)).is_err() {
            return;
        }
    }
    let _ = sender.send((index, "ended".to_owned()));
}
