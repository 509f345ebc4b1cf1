//! Secrets are hidden, and nothing else.

use super::redacted;
use crate::dispatch;

fn check(full_name: &str, line: &str, want: &str) {
    let Some(row) = dispatch::rows().iter().find(|row| row.full_name == full_name) else { return };
    let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let shown: Vec<_> = redacted(row, &args).iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
    assert_eq!(shown.join(" "), want);
}

#[test]
fn passwords_do_not_show() {
    check("auth", "AUTH secret", "AUTH (redacted)");
    check("auth", "auth default secret", "auth (redacted) (redacted)");
    check("hello", "hello 3 AUTH default secret SETNAME x", "hello 3 AUTH (redacted) (redacted) SETNAME x");
    check("config|set", "config set save x requirepass secret", "config set save x requirepass (redacted)");
    check("config|set", "config set requirepass", "config set requirepass");
    check("set", "set auth secret", "set auth secret");
}
