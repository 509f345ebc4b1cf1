//! INFO: the server as sections of fields, for tools that know Redis, and as JSON for the admin listener.
//!
//! Sections read a [`Facts`] that was gathered once, so that the fields of one answer agree with each other.

mod facts;
mod process;
mod sections;
#[cfg(test)]
mod tests;
mod vitals;

pub(crate) use facts::{CommandFacts, Facts};
pub(crate) use vitals::Vitals;

use sections::Fields;
use serde_json::{Map, Value};

/// When a section is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// In plain INFO.
    Default,
    /// In `INFO all`.
    All,
}

struct Section {
    name: &'static str,
    title: &'static str,
    shown: Shown,
    fields: fn(&Facts) -> Fields,
}

const fn section(name: &'static str, title: &'static str, shown: Shown, fields: fn(&Facts) -> Fields) -> Section {
    Section { name, title, shown, fields }
}

/// In Redis' order.
static SECTIONS: &[Section] = &[
    section("server", "Server", Shown::Default, sections::server),
    section("clients", "Clients", Shown::Default, sections::clients),
    section("memory", "Memory", Shown::Default, sections::memory),
    section("persistence", "Persistence", Shown::Default, sections::persistence),
    section("stats", "Stats", Shown::Default, sections::stats),
    section("replication", "Replication", Shown::Default, sections::replication),
    section("cpu", "CPU", Shown::Default, sections::cpu),
    section("modules", "Modules", Shown::Default, |_| Vec::new()),
    section("commandstats", "Commandstats", Shown::All, sections::commandstats),
    section("errorstats", "Errorstats", Shown::Default, sections::errorstats),
    section("latencystats", "Latencystats", Shown::All, sections::latencystats),
    section("cluster", "Cluster", Shown::Default, sections::cluster),
    section("keyspace", "Keyspace", Shown::Default, sections::keyspace),
];

/// The text of INFO for the sections that are asked for; none are the default ones. Unknown names show nothing.
pub(crate) fn text(facts: &Facts, asked: &[&[u8]]) -> String {
    let is_asked = |section: &Section| {
        let is_default = section.shown == Shown::Default;
        let by_word = |word: &[u8]| match word.to_ascii_lowercase().as_slice() {
            b"default" => is_default,
            b"all" | b"everything" => true,
            word => word == section.name.as_bytes(),
        };
        if asked.is_empty() { is_default } else { asked.iter().any(|word| by_word(word)) }
    };
    let mut text = String::new();
    for section in SECTIONS.iter().filter(|section| is_asked(section)) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        text.push_str(&format!("# {}\r\n", section.title));
        for (name, value) in (section.fields)(facts) {
            text.push_str(&format!("{name}:{value}\r\n"));
        }
    }
    text
}

/// Every section as a JSON object. Numbers are numbers, `a=1,b=2` is an object.
pub(crate) fn json(facts: &Facts) -> Value {
    let sections = SECTIONS.iter().map(|section| {
        let fields = (section.fields)(facts);
        let fields: Map<String, Value> =
            fields.into_iter().map(|(name, value)| (name.into_owned(), json_of(&value))).collect();
        (section.name.to_owned(), Value::Object(fields))
    });
    Value::Object(sections.collect())
}

fn json_of(text: &str) -> Value {
    let pairs: Option<Map<String, Value>> = text
        .split(',')
        .map(|part| part.split_once('=').map(|(name, value)| (name.to_owned(), number_or_text(value))))
        .collect();
    pairs.map_or_else(|| number_or_text(text), Value::Object)
}

/// Texts of digits alone that are no numbers (ids of 40 digits, leading zeros) stay texts.
fn number_or_text(text: &str) -> Value {
    let has_leading_zero = text.len() > 1 && text.starts_with('0') && !text.starts_with("0.");
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-');
    match text.parse::<i64>() {
        _ if has_leading_zero || !is_plain => text.into(),
        Ok(number) => number.into(),
        Err(_) => text.parse::<f64>().map_or_else(|_| text.into(), Value::from),
    }
}
