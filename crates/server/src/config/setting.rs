//! What a setting is: one row, read by the loaders, CONFIG GET/SET/REWRITE and the generated page of settings.
//!
//! A row knows its name, what values it takes and when it may change. It holds no value: those live in
//! [`super::Config`], one cell per row.

use super::value::{self, Value};

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole number.
    Int { min: i64, max: i64 },
    /// Permissions, written in octal.
    Octal { min: i64, max: i64 },
    /// Bytes, with Redis' units: `k`, `kb`, `m`, `mb`, `g`, `gb`.
    Memory { min: i64, max: i64 },
    /// `yes` or `no`.
    Bool,
    /// One of a few names, in any case.
    Enum(&'static [&'static str]),
    /// One string.
    Text,
    /// Several words.
    Words,
    /// Several words, and each line of a file adds to those before it (`save`, `rename-command`).
    Lines,
    /// `class hard soft seconds`, repeated: each class keeps what it had unless named.
    OutputLimits,
}

/// When a setting may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// CONFIG SET changes it at once.
    Live,
    /// As `Live` when `enable-protected-configs` allows it to the client, else only at start.
    Protected,
    /// Only at start.
    AtStart,
}

/// Refuses a value with what would be right.
pub(crate) type Check = fn(&str) -> Result<(), String>;

/// One row of the table of settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// As Redis spells it.
    pub(crate) name: &'static str,
    /// Older or other names of the same setting (`io-threads`, `slave-...`, Dragonfly's).
    pub(crate) aliases: &'static [&'static str],
    pub(crate) kind: Kind,
    /// In the words of a file.
    pub(crate) default: &'static str,
    pub(crate) change: Change,
    /// One sentence for the page of settings.
    pub(crate) doc: &'static str,
    /// The only value that is accepted, and why no other is.
    pub(crate) only: Option<(&'static str, &'static str)>,
    /// Whether errors and the log must not show the value.
    pub(crate) is_secret: bool,
    /// Whether numbers outside of the range become its ends instead of errors, as Redis does it for `hz`.
    pub(crate) is_clamped: bool,
    /// Whether CONFIG GET and SET know nothing of it.
    pub(crate) is_hidden: bool,
    /// What its kind does not say: refuses with what would be right.
    pub(crate) check: Option<Check>,
}

impl Setting {
    const fn new(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Setting {
        Setting {
            name,
            aliases: &[],
            kind,
            default,
            change: Change::Live,
            doc,
            only: None,
            is_secret: false,
            is_clamped: false,
            is_hidden: false,
            check: None,
        }
    }

    /// Changes at start only.
    pub(crate) const fn at_start(mut self) -> Setting {
        self.change = Change::AtStart;
        self
    }

    /// Changes at start, and later only where `enable-protected-configs` allows it.
    pub(crate) const fn protected(mut self) -> Setting {
        self.change = Change::Protected;
        self
    }

    pub(crate) const fn also(mut self, aliases: &'static [&'static str]) -> Setting {
        self.aliases = aliases;
        self
    }

    /// Takes no value but `value`: any other would be a promise that is not kept.
    pub(crate) const fn only(mut self, value: &'static str, why: &'static str) -> Setting {
        self.only = Some((value, why));
        self
    }

    pub(crate) const fn check(mut self, check: Check) -> Setting {
        self.check = Some(check);
        self
    }

    /// Shown by CONFIG GET alone.
    pub(crate) const fn secret(mut self) -> Setting {
        self.is_secret = true;
        self
    }

    /// Numbers outside of the range become its ends.
    pub(crate) const fn clamped(mut self) -> Setting {
        self.is_clamped = true;
        self
    }

    /// Not even shown by CONFIG GET.
    pub(crate) const fn hidden(mut self) -> Setting {
        self.is_hidden = true;
        self
    }

    /// Reads `text` as a value of this setting. The error says what would be right.
    pub(crate) fn parse(&self, text: &str, current: &str) -> Result<Value, String> {
        let value = match (self.kind, text.parse::<i64>()) {
            (Kind::Int { min, max }, Ok(number)) if self.is_clamped => Value::Number(number.clamp(min, max)),
            _ => value::parse(self.kind, text, current)?,
        };
        let shown = value::show(self.kind, &value);
        if let Some((only, why)) = self.only
            && shown != only
        {
            return Err(why.to_owned());
        }
        if let Some(check) = self.check {
            check(&shown)?;
        }
        Ok(value)
    }

    /// Whether `name` is this setting's name or an alias, in any case.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.names().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Its name, then its aliases.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

pub(crate) const fn int(name: &'static str, min: i64, max: i64, default: &'static str, doc: &'static str) -> Setting {
    Setting::new(name, Kind::Int { min, max }, default, doc)
}

pub(crate) const fn octal(name: &'static str, max: i64, default: &'static str, doc: &'static str) -> Setting {
    Setting::new(name, Kind::Octal { min: 0, max }, default, doc)
}

pub(crate) const fn memory(
    name: &'static str,
    min: i64,
    max: i64,
    default: &'static str,
    doc: &'static str,
) -> Setting {
    Setting::new(name, Kind::Memory { min, max }, default, doc)
}

pub(crate) const fn yes_no(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting::new(name, Kind::Bool, default, doc)
}

pub(crate) const fn one_of(
    name: &'static str,
    names: &'static [&'static str],
    default: &'static str,
    doc: &'static str,
) -> Setting {
    Setting::new(name, Kind::Enum(names), default, doc)
}

pub(crate) const fn text(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting::new(name, Kind::Text, default, doc)
}

pub(crate) const fn words(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting::new(name, Kind::Words, default, doc)
}

pub(crate) const fn lines(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting::new(name, Kind::Lines, default, doc)
}

pub(crate) const fn output_limits(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting::new(name, Kind::OutputLimits, default, doc)
}
