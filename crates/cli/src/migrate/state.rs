//! The file by which a copy that ended early goes on: how far each master's walk is, and what was counted. It is replaced as
//! a whole, so that a process that is killed leaves the one or the other.
//!
//! A cursor is good for the process that gave it alone, since the order of its keys hangs on a secret of that process: a
//! source that was started anew is walked from the beginning.

use super::report::Report;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The form of the file.
const FORMAT: u64 = 1;

/// The walk through one database of one master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Walk {
    pub(super) address: String,
    pub(super) run_id: String,
    pub(super) db: i64,
    pub(super) to_db: i64,
    /// Where the next page begins.
    pub(super) cursor: String,
    pub(super) is_done: bool,
}

/// What belongs together: another pair of servers or another choice of keys is another copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) pattern: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) db: Option<i64>,
}

/// What is in the file.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) subject: Subject,
    pub(super) walks: Vec<Walk>,
    pub(super) report: Report,
}

impl Subject {
    fn json(&self) -> Value {
        json!({ "from": self.from, "to": self.to, "match": self.pattern, "type": self.kind, "db": self.db })
    }

    /// Whether a file with `other` in it is of this copy.
    fn check(&self, other: &Value, path: &Path) -> Result<()> {
        let own = self.json();
        let differs = ["from", "to", "match", "type", "db"].into_iter().find(|name| own[name] != other[name]);
        match differs {
            None => Ok(()),
            Some(name) => bail!(
                "--resume: '{}' is of another copy: its --{name} is {}, and here it is {}",
                path.display(),
                other[name],
                own[name]
            ),
        }
    }
}

impl State {
    /// Reads the file; `None` if there is none yet.
    pub(super) fn load(path: &Path, subject: &Subject) -> Result<Option<State>> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => bail!("--resume: '{}' cannot be read: {error}", path.display()),
        };
        let broken = || format!("--resume: '{}' is no file of scrubjay migrate", path.display());
        let value: Value = serde_json::from_slice(&text).with_context(broken)?;
        if value["format"].as_u64() != Some(FORMAT) {
            bail!("{}, or of another version", broken());
        }
        subject.check(&value["subject"], path)?;
        let walks = value["walks"].as_array().with_context(broken)?;
        let walks = walks.iter().map(Walk::read).collect::<Option<Vec<_>>>().with_context(broken)?;
        let report = Report::read(&value["report"]).with_context(broken)?;
        Ok(Some(State { subject: subject.clone(), walks, report }))
    }

    /// Replaces the file.
    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let walks: Vec<Value> = self.walks.iter().map(Walk::json).collect();
        let value = json!({
            "format": FORMAT,
            "subject": self.subject.json(),
            "walks": walks,
            "report": self.report.json(),
        });
        let written = replace(path, format!("{value:#}\n").as_bytes());
        written.with_context(|| format!("--resume: '{}' cannot be written", path.display()))
    }
}

impl Walk {
    fn json(&self) -> Value {
        json!({
            "master": self.address,
            "run_id": self.run_id,
            "db": self.db,
            "to_db": self.to_db,
            "cursor": self.cursor,
            "is_done": self.is_done,
        })
    }

    fn read(value: &Value) -> Option<Walk> {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let cursor = text("cursor").filter(|cursor| cursor.parse::<u64>().is_ok())?;
        Some(Walk {
            address: text("master")?,
            run_id: text("run_id")?,
            db: value["db"].as_i64()?,
            to_db: value["to_db"].as_i64()?,
            cursor,
            is_done: value["is_done"].as_bool()?,
        })
    }
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
