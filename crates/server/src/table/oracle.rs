//! Every row against the table of a real redis-server: the rows are data, and this is where the data is checked.
//!
//! redis-server 7.0 is what Debian has; what 7.2 changed is listed here by name.

use crate::commands::command::info;
use crate::table::listing;
use scrubjay_resp::{Protocol, Reply};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

/// Commands that came with 7.2.
const SINCE_7_2: &[&str] = &["client|no-touch", "client|setinfo", "waitaof"];

/// Fields that 7.2 changed: full name and field.
const CHANGED_IN_7_2: &[(&str, &str)] = &[
    ("command|getkeys", "arity"),
    ("command|getkeysandflags", "arity"),
    ("randomkey", "tips"),
    ("scan", "tips"),
    ("wait", "flags"),
    ("wait", "categories"),
];

/// A reply as a tree; sets and maps are arrays in RESP2.
#[derive(Debug)]
enum Value {
    Text(String),
    Number(i64),
    List(Vec<Value>),
}

impl Value {
    fn read(input: &mut impl BufRead) -> Value {
        let mut line = String::new();
        input.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            ":" => Value::Number(rest.parse().unwrap()),
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                input.read_exact(&mut bytes).unwrap();
                Value::Text(String::from_utf8_lossy(&bytes[..bytes.len() - 2]).into_owned())
            }
            "*" => Value::List((0..rest.parse::<usize>().unwrap_or(0)).map(|_| Value::read(input)).collect()),
            _ => Value::Text(rest.to_owned()),
        }
    }

    fn list(&self) -> &[Value] {
        if let Value::List(values) = self { values } else { panic!("not a list: {self:?}") }
    }

    fn text(&self) -> &str {
        if let Value::Text(text) = self { text } else { panic!("not a text: {self:?}") }
    }

    fn number(&self) -> i64 {
        if let Value::Number(number) = self { *number } else { panic!("not a number: {self:?}") }
    }

    fn names(&self) -> BTreeSet<String> {
        self.list().iter().map(|value| value.text().to_owned()).collect()
    }
}

/// What both tables say of a command, field by field.
type Fields = BTreeMap<&'static str, String>;

/// Reads one entry of COMMAND INFO and those of its subcommands.
fn collect(entry: &Value, into: &mut BTreeMap<String, Fields>) {
    let parts = entry.list();
    let key_flags: Vec<BTreeSet<String>> = parts[8].list().iter().map(key_spec_flags).collect();
    let positions: Vec<i64> = parts[3..6].iter().map(Value::number).collect();
    let fields = [
        ("arity", parts[1].number().to_string()),
        ("flags", format!("{:?}", parts[2].names())),
        ("keys", format!("{positions:?}")),
        ("categories", format!("{:?}", parts[6].names())),
        ("tips", format!("{:?}", parts[7].names())),
        ("key flags", format!("{key_flags:?}")),
    ];
    into.insert(parts[0].text().to_owned(), fields.into());
    for subcommand in parts[9].list() {
        collect(subcommand, into);
    }
}

fn key_spec_flags(spec: &Value) -> BTreeSet<String> {
    let parts = spec.list();
    let at = parts.iter().position(|part| matches!(part, Value::Text(text) if text == "flags")).unwrap();
    parts[at + 1].names()
}

fn table_of(mut input: impl BufRead) -> BTreeMap<String, Fields> {
    let mut table = BTreeMap::new();
    for entry in Value::read(&mut input).list() {
        collect(entry, &mut table);
    }
    table
}

/// A redis-server on a socket of its own, ended with the test.
struct Oracle {
    process: Child,
    folder: tempfile::TempDir,
}

impl Oracle {
    /// `None` where redis-server is missing: fails under CI, where it must be there.
    fn start() -> Option<Oracle> {
        let folder = tempfile::tempdir().unwrap();
        let started = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket", "oracle.sock", "--dir"])
            .arg(folder.path())
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut process) = started else {
            assert!(std::env::var_os("CI").is_none(), "redis-server is missing: the rows cannot be checked");
            eprintln!("skipped: redis-server is missing, so the rows are not compared with it");
            return None;
        };
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("ready to accept"))).unwrap().unwrap();
        Some(Oracle { process, folder })
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn every_row_agrees_with_redis() {
    let Some(oracle) = Oracle::start() else { return };
    let mut stream = UnixStream::connect(oracle.folder.path().join("oracle.sock")).unwrap();
    stream.write_all(b"COMMAND\r\n").unwrap();
    let theirs = table_of(BufReader::new(stream));

    let mut written = Vec::new();
    let rows: Vec<_> = listing::rows().collect();
    info::describe_all(&mut Reply::new(&mut written, Protocol::Resp2), &rows);
    let ours = table_of(written.as_slice());

    let mut differences = Vec::new();
    for (name, fields) in &ours {
        let Some(wanted) = theirs.get(name) else {
            if !SINCE_7_2.contains(&name.as_str()) {
                differences.push(format!("{name}: not a command of Redis"));
            }
            continue;
        };
        for (field, value) in fields {
            if *value != wanted[field] && !CHANGED_IN_7_2.contains(&(name, field)) {
                differences.push(format!("{name}: {field} is {value}, in Redis {}", wanted[field]));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_row_is_documented_and_listed_once() {
    let mut seen = BTreeSet::new();
    for listed in listing::rows_and_subcommands() {
        let (name, row) = (listed.full_name, listed.row);
        assert!(seen.insert(name.clone()), "{name} is there twice");
        assert!(!row.since.is_empty() && !row.complexity.is_empty(), "{name} lacks since or complexity");
        assert!(row.summary.ends_with('.') && row.summary.len() > 10, "{name}: '{}' is no sentence", row.summary);
        assert_eq!(row.name, row.name.to_ascii_lowercase());
    }
}
