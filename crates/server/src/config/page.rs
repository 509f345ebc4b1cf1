//! What the rows say for people: the page of settings and the help of the command line.

use super::Config;
use super::rows::{SECTIONS, WITHOUT_EFFECT};
use super::setting::{Change, Kind, Setting};

/// A setting, described for the help of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// As Redis spells it.
    pub name: &'static str,
    /// What stands for its value: `<bytes>`, `yes|no`.
    pub placeholder: String,
    /// As a file would say it; empty for no value.
    pub default: &'static str,
    /// One sentence or more.
    pub doc: &'static str,
}

impl Config {
    /// The settings that something depends on, by section.
    pub fn described() -> Vec<(&'static str, Vec<Described>)> {
        let with_effect = SECTIONS.iter().map(|(title, rows)| {
            let rows = rows.iter().filter(|setting| setting.only.is_none());
            (*title, rows.map(describe).collect::<Vec<_>>())
        });
        with_effect.filter(|(title, rows)| *title != WITHOUT_EFFECT && !rows.is_empty()).collect()
    }

    /// docs/settings.md, as Markdown.
    pub fn settings_page() -> String {
        let mut page = String::from(INTRODUCTION);
        for (title, rows) in SECTIONS {
            page.push_str(&format!("\n## {title}\n\n"));
            if *title == WITHOUT_EFFECT {
                page.push_str(ABOUT_WITHOUT_EFFECT);
            }
            page.push_str("| setting | values | default | changes | |\n|---|---|---|---|---|\n");
            page.extend(rows.iter().map(line));
        }
        page
    }
}

const INTRODUCTION: &str = "\
# Settings

This page is made from the table of settings (`crates/server/src/config/`): change a row there, then run
`UPDATE=1 cargo test -p scrubjay-server settings_page`.

Settings are spelled as in redis.conf. They come from four places, later ones win: the defaults, a file
(`scrubjay serve FILE`), environment variables (`SCRUBJAY_MAXMEMORY=1gb`), arguments (`--maxmemory 1gb`, `--maxmemory=1gb`).
In variables and arguments `_` stands for `-`, so that Dragonfly's flags (`--proactor_threads=4`) work where they mean the same.

- A file has one setting per line, `#` starts a line of comment, words with spaces stand in quotes (`\"a b\"`, with `\\n`, `\\x41`
  and the like, or `'a b'`). `include PATH` reads another file, relative to the one that includes it.
- Bytes take units: `1k` is 1,000 and `1kb` is 1,024; so are `m`, `mb`, `g`, `gb`.
- *live*: CONFIG SET changes it at once. *protected*: so it does for clients that `enable-protected-configs` allows it.
  *at start*: only before the server starts.
- A setting that does not exist, or a value that would promise what this version does not do, is an error, and the server does
  not start. Nothing is accepted and ignored but what the last section lists.
";

const ABOUT_WITHOUT_EFFECT: &str =
    "Kept and answered by CONFIG, for clients, tools and files made for Redis. Nothing here depends on them.\n\n";

fn describe(setting: &Setting) -> Described {
    Described { name: setting.name, placeholder: placeholder(setting.kind), default: setting.default, doc: setting.doc }
}

fn placeholder(kind: Kind) -> String {
    match kind {
        Kind::Int { .. } => "<number>".to_owned(),
        Kind::Octal { .. } => "<octal>".to_owned(),
        Kind::Memory { .. } => "<bytes>".to_owned(),
        Kind::Bool => "yes|no".to_owned(),
        Kind::Enum(names) => names.join("|"),
        Kind::Text => "<text>".to_owned(),
        Kind::Words | Kind::Lines | Kind::OutputLimits => "<words>".to_owned(),
    }
}

/// One line of a section's table.
fn line(setting: &Setting) -> String {
    let values = match (setting.only, setting.kind) {
        (Some(("", _)), _) => "empty only".to_owned(),
        (Some((only, _)), _) => format!("`{only}` only"),
        (None, Kind::Int { min, max: i64::MAX }) => format!("from {min}"),
        (None, Kind::Int { min, max }) => format!("{min} to {max}"),
        (None, Kind::Octal { min, max }) => format!("octal, {min:o} to {max:o}"),
        (None, Kind::Memory { min, max: i64::MAX }) => format!("bytes, from {min}"),
        (None, Kind::Memory { min, max }) => format!("bytes, {min} to {max}"),
        (None, Kind::Bool) => "`yes`, `no`".to_owned(),
        (None, Kind::Enum(names)) => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        (None, Kind::Text) => "text".to_owned(),
        (None, Kind::Words | Kind::Lines | Kind::OutputLimits) => "words".to_owned(),
    };
    let change = match setting.change {
        Change::Live => "live",
        Change::Protected => "protected",
        Change::AtStart => "at start",
    };
    let default = if setting.default.is_empty() { String::new() } else { format!("`{}`", setting.default) };
    let aliases = match setting.aliases {
        [] => String::new(),
        aliases => format!(" Also `{}`.", aliases.join("`, `")),
    };
    let doc = setting.doc.replace('|', "\\|");
    format!("| `{}` | {values} | {default} | {change} | {doc}{aliases} |\n", setting.name)
}
