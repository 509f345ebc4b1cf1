//! The binary as it is started: its lines, its status, its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};

fn scrubjay(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scrubjay"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn mistakes_end_with_status_1_and_one_line() {
    let cases: &[(&[&str], &str)] = &[
        (&["serve", "--prot", "1"], "scrubjay: argument --prot: unknown setting 'prot'; did you mean 'port'?\n"),
        (&["serve", "missing.conf"], "scrubjay: cannot read the settings of 'missing.conf': "),
        (&["serve", "--maxmemory-policy", "allkeys-lru"], "scrubjay: argument --maxmemory-policy: maxmemory-policy: "),
        (&["serve", "--logfile", "/nowhere/at/all.log"], "scrubjay: cannot start: logfile: '/nowhere/at/all.log': "),
        (&["serve", "--dir", "/proc/nowhere"], "scrubjay: cannot start: dir: '/proc/nowhere' cannot be used: "),
        (&["sevre"], "scrubjay: unrecognized subcommand 'sevre'"),
    ];
    for (arguments, start) in cases {
        let Output { status, stdout, stderr } = scrubjay(arguments).output().unwrap();
        let said = text(&stderr);
        assert_eq!(status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with(start) && said.lines().count() == 1, "{arguments:?}: {said}");
        assert_eq!(text(&stdout), "", "{arguments:?}");
    }
}

#[test]
fn a_server_says_where_it_is_serves_and_stops_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let (data, pidfile) = (folder.path().join("new/data"), folder.path().join("pid"));
    let mut server = scrubjay(&["serve", "--bind", "127.0.0.1:0", "--admin-bind", "127.0.0.1:0"])
        .args(["--dir", data.to_str().unwrap(), "--pidfile", pidfile.to_str().unwrap(), "--logfile"])
        .arg(folder.path().join("log"))
        .env("SCRUBJAY_THREADS", "2")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), format!("scrubjay {} is ready", env!("CARGO_PKG_VERSION")));
    let address = lines.next().unwrap().trim().strip_prefix("listening").unwrap().trim().to_owned();
    assert!(lines.next().unwrap().starts_with("  admin      http://127.0.0.1:"));
    assert_eq!(lines.next().unwrap(), "  threads    2");
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"SET k v\r\nQUIT\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "+OK\r\n+OK\r\n");
    assert_eq!(std::fs::read_to_string(&pidfile).unwrap().trim(), server.id().to_string());
    let killed = Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert!(server.wait().unwrap().success());
    assert!(data.join("dump.rdb").exists() && !pidfile.exists());
}

#[test]
fn what_a_disk_tool_cannot_do_ends_with_status_2_and_one_line() {
    let cases: &[(&[&str], &str)] = &[
        (&["disk", "inspect", "/nowhere"], "scrubjay: /nowhere: there is no such folder\n"),
        (&["disk", "verify", "/proc/self/status", "--json"], "scrubjay: /proc/self/status: is no folder\n"),
        (&["disk", "compact"], "scrubjay: the following required arguments were not provided"),
    ];
    for (arguments, start) in cases {
        let Output { status, stdout, stderr } = scrubjay(arguments).output().unwrap();
        let said = text(&stderr);
        assert_eq!(status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.starts_with(start) && said.lines().count() == 1, "{arguments:?}: {said}");
        assert_eq!(text(&stdout), "", "{arguments:?}");
    }
}
