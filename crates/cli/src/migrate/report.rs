//! What was done, in numbers, and what could not be done, by name.

use super::reply::shown;
use crate::disk::words::{bytes, count};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Keys by name with a reason, up to a limit; the others are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) rows: Vec<(i64, String, String)>,
    pub(super) count: u64,
}

impl Listed {
    pub(super) fn add(&mut self, db: i64, key: &[u8], reason: impl Into<String>, rows_max: usize) {
        self.count += 1;
        if self.rows.len() < rows_max {
            self.rows.push((db, shown(key), reason.into()));
        }
    }

    fn json(&self) -> Value {
        let rows: Vec<Value> =
            self.rows.iter().map(|(db, key, reason)| json!({ "db": db, "key": key, "reason": reason })).collect();
        json!({ "count": self.count, "keys": rows })
    }

    fn read(value: &Value) -> Option<Listed> {
        let text = |row: &Value, name: &str| row[name].as_str().map(str::to_owned);
        let row = |row: &Value| Some((row["db"].as_i64()?, text(row, "key")?, text(row, "reason")?));
        let rows = value["keys"].as_array()?.iter().map(row).collect::<Option<_>>()?;
        Some(Listed { rows, count: value["count"].as_u64()? })
    }

    fn text(&self, title: &str, text: &mut String) {
        if self.count == 0 {
            return;
        }
        let _ = writeln!(text, "\n{title}: {}", count(self.count));
        for (db, key, reason) in &self.rows {
            let _ = writeln!(text, "  {key} (db {db}): {reason}");
        }
        let left = self.count - u64::try_from(self.rows.len()).unwrap_or(0).min(self.count);
        if left > 0 {
            let _ = writeln!(text, "  and {} more", count(left));
        }
    }
}

/// What a copy did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// Keys that SCAN named; it may name one twice.
    pub(super) seen: u64,
    pub(super) copied: u64,
    /// Of those, the ones that were copied as what they are and not by DUMP.
    pub(super) by_content: u64,
    pub(super) bytes: u64,
    /// The target had the same value already.
    pub(super) same: u64,
    /// The target had the key already, which was to stay whatever its value.
    pub(super) kept: u64,
    /// Expired or removed between SCAN and the copy.
    pub(super) gone: u64,
    pub(super) batches: u64,
    pub(super) repeats: u64,
    pub(super) runs: u64,
    pub(super) held_back_ms: u64,
    pub(super) took_ms: u64,
    pub(super) failed: Listed,
    pub(super) notes: Vec<String>,
}

impl Report {
    fn numbers(&self) -> [(&'static str, u64); 12] {
        [
            ("seen", self.seen),
            ("copied", self.copied),
            ("by_content", self.by_content),
            ("bytes", self.bytes),
            ("same", self.same),
            ("kept", self.kept),
            ("gone", self.gone),
            ("batches", self.batches),
            ("repeats", self.repeats),
            ("runs", self.runs),
            ("held_back_ms", self.held_back_ms),
            ("took_ms", self.took_ms),
        ]
    }

    pub(super) fn json(&self) -> Value {
        let mut value = json!({ "failed": self.failed.json(), "notes": self.notes });
        for (name, number) in self.numbers() {
            value[name] = number.into();
        }
        value
    }

    pub(super) fn read(value: &Value) -> Option<Report> {
        let number = |name: &str| value[name].as_u64();
        let notes = value["notes"].as_array()?.iter().map(|note| note.as_str().map(str::to_owned));
        Some(Report {
            seen: number("seen")?,
            copied: number("copied")?,
            by_content: number("by_content")?,
            bytes: number("bytes")?,
            same: number("same")?,
            kept: number("kept")?,
            gone: number("gone")?,
            batches: number("batches")?,
            repeats: number("repeats")?,
            runs: number("runs")?,
            held_back_ms: number("held_back_ms")?,
            took_ms: number("took_ms")?,
            failed: Listed::read(&value["failed"])?,
            notes: notes.collect::<Option<_>>()?,
        })
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn text(&self, is_dry: bool) -> String {
        let mut text = String::new();
        let verb = if is_dry { "would be copied" } else { "copied" };
        let _ = writeln!(
            text,
            "{} keys seen, {} {verb} ({}) in {}",
            count(self.seen),
            count(self.copied),
            bytes(self.bytes),
            duration(self.took_ms)
        );
        let rows = [
            (self.by_content, "copied as what they are, since DUMP does not fit"),
            (self.same, "were there already, the same"),
            (self.kept, "were in the target already, the same or not, and stayed as they are"),
            (self.gone, "expired or were removed meanwhile"),
        ];
        for (number, what) in rows.iter().filter(|(number, _)| *number > 0) {
            let _ = writeln!(text, "  {} {what}", count(number));
        }
        for note in &self.notes {
            let _ = writeln!(text, "  note: {note}");
        }
        self.failed.text(if is_dry { "Would not be copied" } else { "Not copied" }, &mut text);
        text
    }
}

fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..10_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} s", count(ms / 1_000)),
    }
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Compared {
    pub(super) compared: u64,
    pub(super) same: u64,
    /// Changed or went while they were compared.
    pub(super) changed: u64,
    pub(super) missing: Listed,
    pub(super) differs: Listed,
    pub(super) extra: Listed,
    /// They could not be compared.
    pub(super) unknown: Listed,
}

impl Compared {
    /// Whether the target has what the source has. What it has besides is no fault.
    pub(super) fn is_whole(&self) -> bool {
        self.missing.count == 0 && self.differs.count == 0 && self.unknown.count == 0
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "compared": self.compared,
            "same": self.same,
            "changed": self.changed,
            "missing": self.missing.json(),
            "differs": self.differs.json(),
            "extra": self.extra.json(),
            "unknown": self.unknown.json(),
        })
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!("{} keys compared, {} the same", count(self.compared), count(self.same));
        if self.changed > 0 {
            let _ = write!(text, ", {} changed meanwhile", count(self.changed));
        }
        text.push('\n');
        self.missing.text("Missing in the target", &mut text);
        self.differs.text("Different", &mut text);
        self.extra.text("In the target alone", &mut text);
        self.unknown.text("Not comparable", &mut text);
        text
    }
}
