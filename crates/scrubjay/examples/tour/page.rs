//! What the tour prints: numbered sections of aligned lines, each compared with what it must say.

use std::fmt;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::time::Duration;

/// Where the figures end.
const LABEL_WIDTH: usize = 64;
const FIGURE_WIDTH: usize = 14;

/// The page so far.
#[derive(Default)]
pub(crate) struct Page {
    sections: usize,
    checks: usize,
    wrong: usize,
}

impl Page {
    /// A new section.
    pub(crate) fn section(&mut self, title: &str) {
        self.sections += 1;
        println!("\n{:>2}  {title}", self.sections);
    }

    /// A line that explains.
    pub(crate) fn note(&self, text: &str) {
        println!("    {text}");
    }

    /// A figure that is shown and may be anything: what was put in, or measured.
    pub(crate) fn shows(&self, what: &str, seen: impl Into<Figure>) {
        line(what, &seen.into().to_string(), "");
    }

    /// A figure that must be this one.
    pub(crate) fn holds(&mut self, what: &str, seen: impl Into<Figure>, must_be: impl Into<Figure>) {
        let (seen, must_be) = (seen.into(), must_be.into());
        self.check(what, &seen.to_string(), seen == must_be, || must_be.to_string());
    }

    /// A figure that must lie within limits.
    pub(crate) fn within(&mut self, what: &str, seen: f64, unit: &str, limits: RangeInclusive<f64>) {
        let shown = format!("{seen:.1}{unit}");
        self.check(what, &shown, limits.contains(&seen), || {
            format!("{:.1}..={:.1}{unit}", limits.start(), limits.end())
        });
    }

    /// A text that must hold these words, on lines of its own.
    pub(crate) fn says(&mut self, what: &str, text: &str, must_hold: &str) {
        self.check(what, "", text.contains(must_hold), || format!("something with {must_hold:?}"));
        println!("        {text}");
    }

    fn check(&mut self, what: &str, seen: &str, is_right: bool, must_be: impl FnOnce() -> String) {
        self.checks += 1;
        let mark = if is_right { "ok".to_owned() } else { format!("WRONG, must be {}", must_be()) };
        self.wrong += usize::from(!is_right);
        line(what, seen, &mark);
    }

    /// Lines that were compared.
    #[cfg(test)]
    pub(crate) fn checks(&self) -> usize {
        self.checks
    }

    /// Of those, the ones that were not as they must be.
    #[cfg(test)]
    pub(crate) fn wrong(&self) -> usize {
        self.wrong
    }

    /// The last line.
    pub(crate) fn end(&self, took: Duration) -> ExitCode {
        let Page { sections, checks, wrong } = self;
        println!("\n{sections} features, {checks} lines checked, {wrong} wrong, {:.1} s", took.as_secs_f64());
        if *wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn line(what: &str, seen: &str, mark: &str) {
    println!("{}", format!("    {what:<LABEL_WIDTH$}{seen:>FIGURE_WIDTH$}  {mark}").trim_end());
}

/// What stands in the column of figures.
#[derive(PartialEq, Eq)]
pub(crate) enum Figure {
    Count(u64),
    Text(String),
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Figure::Count(count) => f.write_str(&grouped(*count)),
            Figure::Text(text) => f.write_str(text),
        }
    }
}

/// With a comma between thousands.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl From<u64> for Figure {
    fn from(count: u64) -> Figure {
        Figure::Count(count)
    }
}

impl From<usize> for Figure {
    fn from(count: usize) -> Figure {
        Figure::Count(count.try_into().unwrap_or(u64::MAX))
    }
}

impl From<i32> for Figure {
    fn from(count: i32) -> Figure {
        Figure::Count(count.try_into().unwrap_or(u64::MAX))
    }
}

impl From<bool> for Figure {
    fn from(is_so: bool) -> Figure {
        Figure::Text(if is_so { "yes" } else { "no" }.to_owned())
    }
}

impl From<&str> for Figure {
    fn from(text: &str) -> Figure {
        Figure::Text(text.to_owned())
    }
}

impl From<String> for Figure {
    fn from(text: String) -> Figure {
        Figure::Text(text)
    }
}

impl<T: Into<Figure>> From<Option<T>> for Figure {
    fn from(value: Option<T>) -> Figure {
        value.map_or_else(|| Figure::Text("nothing".to_owned()), Into::into)
    }
}
