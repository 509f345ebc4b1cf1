//! Values of settings: from the words of a file or a client to a number or a text, and back, with Redis' error texts.
//!
//! Knows kinds, not settings; the texts say what would be right and leave it to the caller to name the setting.

use super::setting::Kind;

/// A parsed value. Enums are the index of their name, booleans 0 and 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Number(i64),
    Text(String),
}

/// A limit of one class of clients in `client-output-buffer-limit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes above which the client is disconnected at once; 0 is no limit.
    pub hard_bytes: u64,
    /// Bytes above which it is disconnected after `soft_seconds`; 0 is no limit.
    pub soft_bytes: u64,
    /// How long the output may stay above `soft_bytes`.
    pub soft_seconds: u64,
}

/// The classes as Redis shows them, in the order of [`parse_output_limits`].
const CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

/// Reads `text` as a value of `kind`; `current` is the value so far, for kinds that change in parts.
pub(crate) fn parse(kind: Kind, text: &str, current: &str) -> Result<Value, String> {
    match kind {
        Kind::Int { min, max } => {
            let number = text.parse().map_err(|_| "argument couldn't be parsed into an integer".to_owned())?;
            within(number, min, max)
        }
        Kind::Octal { min, max } => {
            let number = i64::from_str_radix(text, 8)
                .map_err(|_| "argument couldn't be parsed as an octal number".to_owned())?;
            if (min..=max).contains(&number) {
                Ok(Value::Number(number))
            } else {
                Err(format!("argument must be between {min:o} and {max:o} inclusive"))
            }
        }
        Kind::Memory { min, max } => {
            within(bytes(text).ok_or_else(|| "argument must be a memory value".to_owned())?, min, max)
        }
        Kind::Bool if text.eq_ignore_ascii_case("yes") => Ok(Value::Number(1)),
        Kind::Bool if text.eq_ignore_ascii_case("no") => Ok(Value::Number(0)),
        Kind::Bool => Err("argument must be 'yes' or 'no'".to_owned()),
        Kind::Enum(names) => match names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            Some(index) => Ok(Value::Number(i64::try_from(index).unwrap_or(0))),
            None => Err(format!("argument(s) must be one of the following: {}", names.join(", "))),
        },
        Kind::Text | Kind::Lines => Ok(Value::Text(text.to_owned())),
        Kind::Words => Ok(Value::Text(text.split_whitespace().collect::<Vec<_>>().join(" "))),
        Kind::OutputLimits => {
            let mut limits = parse_output_limits(current, [OutputLimit::default(); 3])?;
            limits = parse_output_limits(text, limits)?;
            Ok(Value::Text(show_output_limits(limits)))
        }
    }
}

/// The value as CONFIG GET answers it.
pub(crate) fn show(kind: Kind, value: &Value) -> String {
    match (value, kind) {
        (Value::Text(text), _) => text.clone(),
        (Value::Number(number), Kind::Bool) => if *number == 0 { "no" } else { "yes" }.to_owned(),
        (Value::Number(number), Kind::Octal { .. }) => format!("{number:o}"),
        (Value::Number(number), Kind::Enum(names)) => {
            usize::try_from(*number).ok().and_then(|index| names.get(index)).copied().unwrap_or_default().to_owned()
        }
        (Value::Number(number), _) => number.to_string(),
    }
}

fn within(number: i64, min: i64, max: i64) -> Result<Value, String> {
    if (min..=max).contains(&number) {
        return Ok(Value::Number(number));
    }
    Err(format!("argument must be between {min} and {max} inclusive"))
}

/// Bytes with Redis' units: `1k` is 1,000, `1kb` is 1,024.
pub(crate) fn bytes(text: &str) -> Option<i64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}

/// Reads `class hard soft seconds` groups over `limits`.
pub(crate) fn parse_output_limits(text: &str, mut limits: [OutputLimit; 3]) -> Result<[OutputLimit; 3], String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
    }
    for group in words.chunks_exact(4) {
        let [class, hard, soft, seconds] = group else { continue };
        let class = if class.eq_ignore_ascii_case("replica") { "slave" } else { class };
        let index = CLASSES
            .iter()
            .position(|name| name.eq_ignore_ascii_case(class))
            .ok_or_else(|| "Invalid client class specified in buffer limit configuration.".to_owned())?;
        let number = |word: Option<i64>| word.and_then(|number| u64::try_from(number).ok());
        let wrong = || "Error in hard, soft or soft_seconds setting in buffer limit configuration.".to_owned();
        limits[index] = OutputLimit {
            hard_bytes: number(bytes(hard)).ok_or_else(wrong)?,
            soft_bytes: number(bytes(soft)).ok_or_else(wrong)?,
            soft_seconds: number(seconds.parse().ok()).ok_or_else(wrong)?,
        };
    }
    Ok(limits)
}

fn show_output_limits(limits: [OutputLimit; 3]) -> String {
    let shown = CLASSES.iter().zip(limits);
    shown
        .map(|(class, limit)| format!("{class} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_seconds))
        .collect::<Vec<_>>()
        .join(" ")
}
