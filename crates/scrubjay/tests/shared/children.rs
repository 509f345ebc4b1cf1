//! The parent's side of the processes: starting and killing them, and what they tell.

use super::checker::History;
use super::child::{ENTRY, SETUP, Setup};
use super::story::Event;
use scrubjay_harness::wait_for;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all processes of a history have told so far.
#[derive(Default)]
pub(crate) struct Told {
    events: Mutex<Vec<Vec<Event>>>,
    more: Condvar,
}

impl Told {
    /// Waits until `condition` holds of what was told. Panics after a minute.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, condition: impl Fn(&[Vec<Event>]) -> bool) {
        let events = self.events.lock().unwrap();
        let waited = self.more.wait_timeout_while(events, PATIENCE, |events| !condition(events)).unwrap();
        assert!(!waited.1.timed_out(), "waited {PATIENCE:?} in vain until {what}");
    }

    /// Waits for so many further events of any process: how a history passes its time.
    #[track_caller]
    pub(crate) fn wait_for_more(&self, count: usize) {
        let total = |events: &[Vec<Event>]| events.iter().map(Vec::len).sum::<usize>();
        let until = total(&self.events.lock().unwrap()) + count;
        self.wait("more has happened", |events| total(events) >= until);
    }

    /// All of it.
    pub(crate) fn history(&self) -> History {
        self.events.lock().unwrap().clone()
    }

    /// Writes it to a file, for whoever looks for the reason of a fault: lines of a process, in the order of their times.
    pub(crate) fn write_down(&self, seed: u64) -> std::path::PathBuf {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("history-{seed}"));
        let mut lines: Vec<(u64, String)> = Vec::new();
        for (process, events) in self.history().iter().enumerate() {
            lines.extend(events.iter().map(|event| (event.at(), format!("{process} {}", event.line()))));
        }
        lines.sort();
        let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
        std::fs::write(&path, lines.join("\n")).unwrap();
        path
    }

    fn add(&self, process: usize, event: Event) {
        self.events.lock().unwrap()[process].push(event);
        self.more.notify_all();
    }
}

/// A process at work. Ended when dropped, and by itself when the parent is gone: its input ends then.
pub(crate) struct Process {
    /// Its number in the history.
    pub(crate) number: usize,
    child: Child,
    input: Option<ChildStdin>,
    reader: Option<std::thread::JoinHandle<()>>,
    told: Arc<Told>,
}

impl Process {
    /// Starts one that works; `urls` are those of the server, as this process sees it.
    pub(crate) fn start(told: &Arc<Told>, hears: bool, seed: u64, folder: &str, urls: Vec<String>) -> Process {
        Process::launch(told, Setup { hears, process: 0, seed, works: true, folder: folder.to_owned(), urls })
    }

    /// Starts one that waits for what it is told.
    pub(crate) fn start_idle(told: &Arc<Told>, url: String) -> Process {
        Process::launch(
            told,
            Setup { hears: true, process: 0, seed: 1, works: false, folder: "-".to_owned(), urls: vec![url] },
        )
    }

    fn launch(told: &Arc<Told>, setup: Setup) -> Process {
        let number = {
            let mut events = told.events.lock().unwrap();
            events.push(Vec::new());
            events.len() - 1
        };
        // Values begin with it, and 0 is none.
        let process = u64::try_from(number).unwrap() + 1;
        let setup = Setup { process, ..setup };
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", ENTRY, "--nocapture", "--test-threads", "1"]).env(SETUP, setup.line());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        let listening = Arc::clone(told);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(event) = Event::read(&line) {
                    listening.add(number, event);
                }
            }
        });
        Process { number, child, input, reader: Some(reader), told: Arc::clone(told) }
    }

    /// Says one line.
    pub(crate) fn say(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Has it stop changing things, and waits until all that it missed is on the server.
    pub(crate) fn settle(&mut self) {
        self.say("settle");
    }

    /// Waits until this process has told something of the kind.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, is_meant: impl Fn(&Event) -> bool) {
        let what = format!("process {} {what}", self.number);
        self.told.wait(&what, |events| events[self.number].iter().any(&is_meant));
    }

    /// SIGKILL, in the middle of whatever it does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.join();
    }

    /// Ends it in order.
    pub(crate) fn end(mut self) {
        drop(self.input.take());
        let status = wait_for("a child to end", || self.child.try_wait().unwrap());
        assert!(status.success(), "process {}: {status}", self.number);
        self.join();
    }

    fn join(&mut self) {
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        self.join();
    }
}
