//! Checks that the kind of a setting does not make: each says what would be right.

use super::quoting;

/// `name new-name` pairs.
pub(crate) fn renames(text: &str) -> Result<(), String> {
    match quoting::split(text) {
        Some(words) if words.len().is_multiple_of(2) => Ok(()),
        _ => Err("it takes a command's name and its new name".to_owned()),
    }
}

/// `seconds changes` pairs.
pub(crate) fn save_points(text: &str) -> Result<(), String> {
    let words: Vec<&str> = text.split_whitespace().filter(|word| *word != "\"\"").collect();
    let is_pair = |pair: &[&str]| match pair {
        [seconds, changes] => {
            seconds.parse::<i64>().is_ok_and(|seconds| seconds >= 1) && changes.parse::<u32>().is_ok()
        }
        _ => false,
    };
    if words.chunks(2).all(is_pair) { Ok(()) } else { Err("Invalid save parameters".to_owned()) }
}

/// A file's name without a folder.
pub(crate) fn file_name(text: &str) -> Result<(), String> {
    match text {
        "" => Err("dbfilename can't be empty".to_owned()),
        text if text.contains('/') => Err("dbfilename can't be a path, just a filename".to_owned()),
        _ => Ok(()),
    }
}

/// A path that is not empty.
pub(crate) fn directory(text: &str) -> Result<(), String> {
    if text.is_empty() { Err("it takes the path of a directory".to_owned()) } else { Ok(()) }
}

/// Numbers from 0 to 100.
pub(crate) fn percentiles(text: &str) -> Result<(), String> {
    let is_percentile = |word: &str| word.parse::<f64>().is_ok_and(|number| (0.0..=100.0).contains(&number));
    if text.split_whitespace().all(is_percentile) {
        return Ok(());
    }
    Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".to_owned())
}

/// Bytes or a percentage, of which only nothing is accepted.
pub(crate) fn memory_of_clients(text: &str) -> Result<(), String> {
    match text.strip_suffix('%').map_or_else(|| super::value::bytes(text), |percent| percent.parse().ok()) {
        Some(0) => Ok(()),
        Some(percent) if percent > 100 && text.ends_with('%') => {
            Err("percentage argument must be less or equal to 100".to_owned())
        }
        Some(_) => {
            Err("only 0 is accepted: limit clients one by one with client-output-buffer-limit and maxclients"
                .to_owned())
        }
        None => Err("argument must be a memory or percent value".to_owned()),
    }
}

/// Cron fields, or nothing.
pub(crate) fn cron(text: &str) -> Result<(), String> {
    match super::cron::Schedule::parse(text) {
        Ok(_) => Ok(()),
        Err(why) => Err(why),
    }
}
