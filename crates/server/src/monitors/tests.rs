//! What those who watch see.

use super::line;
use crate::transcript::serve;

#[test]
fn any_bytes_fit_on_a_line() {
    let shown = line(1_700_000_000_000_042, 3, "127.0.0.1:5", &[b"set", b"a \"b\"\\", b"\r\n\t\x07\x08\x00\xff~"]);
    let want = r#"+1700000000.000042 [3 127.0.0.1:5] "set" "a \"b\"\\" "\r\n\t\a\b\x00\xff~""#;
    assert_eq!(String::from_utf8_lossy(&shown), format!("{want}\r\n"));
}

#[test]
fn a_monitor_sees_what_others_do_but_no_secrets() {
    let served = serve(&[("threads", "2")]);
    let (mut watcher, mut other) = (served.peer(), served.peer());
    watcher.check(&[("monitor", "+OK")]);
    other.check(&[("select 2", "+OK"), ("set k v", "+OK"), ("debug sleep 0", "+OK")]);
    other.ask("auth secret");
    let mut seen = |want: &str| {
        let line = watcher.receive();
        assert!(line.ends_with(want), "{line} should end with {want}");
        assert!(line.contains(" [2 127.0.0.1:"), "{line}");
    };
    seen(r#"] "select" "2""#);
    seen(r#"] "set" "k" "v""#);
    seen(r#"] "auth" "(redacted)""#);
    watcher.check(&[("reset", "+RESET")]);
    other.check(&[("get k", "$1 v")]);
    watcher.check(&[("ping", "+PONG")]);
}

#[test]
fn a_monitor_that_left_is_forgotten() {
    let served = serve(&[]);
    let mut watcher = served.peer();
    watcher.check(&[("monitor", "+OK")]);
    drop(watcher);
    served.peer().check(&[("ping", "+PONG"), ("ping", "+PONG")]);
}
