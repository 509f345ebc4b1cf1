//! The command line: what is asked for, what is said about it.

use crate::arguments::{self, DiskTool, Order};
use std::ffi::OsString;
use std::path::PathBuf;

fn read(line: &str) -> anyhow::Result<Order> {
    let environment = [("SCRUBJAY_HZ", "20"), ("PATH", "/bin")];
    let environment = environment.into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    arguments::read(line.split_whitespace().map(OsString::from), environment)
}

fn printed(line: &str) -> String {
    match read(line) {
        Ok(Order::Print(text)) => text,
        other => panic!("{line} gave {other:?}"),
    }
}

#[test]
fn serve_takes_a_file_and_settings() {
    let cases: &[(&str, Option<&str>, &[&str])] = &[
        ("serve", None, &[]),
        ("serve my.conf", Some("my.conf"), &[]),
        ("serve --port 7000", None, &["--port", "7000"]),
        ("serve my.conf --port=7000 --save 1 1", Some("my.conf"), &["--port=7000", "--save", "1", "1"]),
        ("serve --slowlog-log-slower-than -1", None, &["--slowlog-log-slower-than", "-1"]),
    ];
    for (line, file, words) in cases {
        let Ok(Order::Serve(sources)) = read(line) else { panic!("{line} is not understood") };
        assert_eq!(sources.file, file.map(PathBuf::from), "{line}");
        assert_eq!(sources.arguments, *words, "{line}");
        assert_eq!(sources.environment, [("SCRUBJAY_HZ".to_owned(), "20".to_owned())]);
    }
}

#[test]
fn help_shows_settings_defaults_and_examples() {
    let long = printed("serve --help");
    for part in ["--maxmemory <bytes>", "[default: 6379]", "Memory and expiry:", "Examples:", "redis.conf"] {
        assert!(long.contains(part), "{part} is missing");
    }
    assert!(!long.contains("hash-max-listpack-entries"));
    assert!(long.lines().all(|line| line.chars().count() <= 120), "{long}");
    assert_eq!(printed("serve --port 7000 --help"), long);
    let short = printed("serve -h");
    assert!(short.contains("--port") && short.lines().count() < 40, "{short}");
    assert!(printed("--help").contains("serve"));
    assert!(printed("").contains("serve"));
}

#[test]
fn version_is_one_line() {
    assert_eq!(printed("--version"), format!("scrubjay {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn mistakes_are_one_line() {
    for (line, part) in [("sevre", "sevre"), ("--nonsense", "--nonsense")] {
        let error = read(line).unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn text_is_wrapped_between_words() {
    assert_eq!(arguments::wrapped("one two three", 9, "  "), "  one two\n  three\n");
    assert_eq!(arguments::wrapped("unbreakable", 4, ""), "unbreakable\n");
}

#[test]
fn disk_takes_a_tool_and_a_folder() {
    let cases = [
        ("disk inspect a", DiskTool::Inspect { dir: "a".into(), json: false }),
        ("disk inspect --json a", DiskTool::Inspect { dir: "a".into(), json: true }),
        ("disk verify a --json", DiskTool::Verify { dir: "a".into(), json: true }),
        ("disk compact a/b", DiskTool::Compact { dir: "a/b".into() }),
    ];
    for (line, tool) in cases {
        assert!(matches!(read(line), Ok(Order::Disk(found)) if found == tool), "{line}");
    }
    for line in ["disk", "disk --help", "disk verify --help"] {
        assert!(printed(line).contains("1  verify found damage"), "{line}");
    }
    for line in ["disk verify", "disk compact a b", "disk inspct a"] {
        assert!(!read(line).unwrap_err().to_string().contains('\n'), "{line}");
    }
}
