//! What must not be shown of a call: passwords, wherever calls are shown (slow log, MONITOR).

#[cfg(test)]
mod tests;

use crate::arguments;
use crate::dispatch::Row;

const HIDDEN: &[u8] = b"(redacted)";
/// Settings whose values are secrets.
const SECRET_SETTINGS: &[&str] = &["requirepass", "masterauth", "masteruser", "tls-key-file-pass"];

/// The arguments of a call, secrets replaced.
pub(crate) fn redacted<'a>(row: &Row, args: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let mut shown = args.to_vec();
    match row.full_name.as_str() {
        "auth" => shown.iter_mut().skip(1).for_each(|arg| *arg = HIDDEN),
        "hello" => hide_behind(&mut shown, 2, "auth", 2),
        "migrate" => {
            hide_behind(&mut shown, 6, "auth", 1);
            hide_behind(&mut shown, 6, "auth2", 2);
        }
        "config|set" => {
            for at in (2..shown.len().saturating_sub(1)).step_by(2) {
                if SECRET_SETTINGS.iter().any(|name| arguments::is(args[at], name)) {
                    shown[at + 1] = HIDDEN;
                }
            }
        }
        _ => {}
    }
    shown
}

/// Hides `count` arguments behind each `word` from argument `first` on.
fn hide_behind(shown: &mut [&[u8]], first: usize, word: &str, count: usize) {
    let words = (first..shown.len()).filter(|at| arguments::is(shown[*at], word)).collect::<Vec<_>>();
    for at in words {
        shown.iter_mut().skip(at + 1).take(count).for_each(|arg| *arg = HIDDEN);
    }
}
