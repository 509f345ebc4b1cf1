//! What needs no server: slots, paces, states, and what may be said of a URL.

use super::options::{Secret, redacted};
use super::pace::Pace;
use super::report::{Listed, Report};
use super::server::Server;
use super::slots::slot;
use super::state::{State, Subject, Walk};
use std::time::Duration;

#[test]
fn slots_are_those_of_the_cluster_specification() {
    // CLUSTER KEYSLOT of redis-server 7.0.15.
    let cases: &[(&[u8], usize)] =
        &[(b"123456789", 0x31c3), (b"foo", 12_182), (b"{foo}.bar", 12_182), (b"a{foo}{bar}", 12_182), (b"", 0)];
    for (key, expected) in cases {
        assert_eq!(slot(key), *expected, "{key:?}");
    }
    // An empty tag, and one without an end, are no tags.
    for key in [b"{}foo".as_slice(), b"{foo"] {
        assert_ne!(slot(key), slot(b"foo"));
    }
}

#[test]
fn a_pace_holds_back_what_exceeds_it_and_forgets_idle_time() {
    let at = Duration::from_millis;
    let mut pace = Pace::new(Some(100), Some(1_000));
    assert_eq!(pace.batch(256), 10);
    assert_eq!(pace.wait(at(0)), at(0));
    pace.charge(10, 0, at(0));
    assert_eq!(pace.wait(at(40)), at(60));
    pace.charge(10, 500, at(100));
    assert_eq!(pace.wait(at(100)), at(500));
    // A second of which nothing was used is not made up for.
    pace.charge(10, 0, at(2_000));
    assert_eq!(pace.wait(at(2_000)), at(100));
    assert_eq!(pace.held_back, at(660));
    let mut free = Pace::new(None, None);
    free.charge(1_000_000, 1 << 40, at(0));
    assert_eq!((free.wait(at(0)), free.batch(256)), (at(0), 256));
    assert_eq!(Pace::new(Some(3), None).batch(256), 1);
}

fn state() -> State {
    let subject = Subject { from: "a:1".into(), to: "b:2".into(), pattern: Some("x*".into()), kind: None, db: Some(3) };
    let walk = Walk {
        address: "a:1".into(),
        run_id: "abc".into(),
        db: 3,
        to_db: 3,
        cursor: "1234567890123456789".into(),
        is_done: false,
    };
    let mut failed = Listed::default();
    for number in 0..5 {
        failed.add(3, format!("key\n{number}").as_bytes(), "why", 2);
    }
    let report = Report { seen: 9, copied: 4, failed, notes: vec!["n".into()], ..Report::default() };
    State { subject, walks: vec![walk], report }
}

#[test]
fn a_state_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let state = state();
    assert!(State::load(&path, &state.subject).unwrap().is_none());
    state.save(&path).unwrap();
    state.save(&path).unwrap();
    let loaded = State::load(&path, &state.subject).unwrap().unwrap();
    assert_eq!((&loaded.walks, &loaded.report), (&state.walks, &state.report));
    assert_eq!((loaded.report.failed.count, loaded.report.failed.rows.len()), (5, 2));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_state_of_another_copy_or_of_no_copy_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let state = state();
    state.save(&path).unwrap();
    let other = Subject { to: "c:3".into(), ..state.subject.clone() };
    let error = State::load(&path, &other).unwrap_err().to_string();
    assert!(error.contains(r#"its --to is "b:2", and here it is "c:3""#), "{error}");
    let text = std::fs::read_to_string(&path).unwrap();
    for broken in ["", "{}", "[1]", &text.replace("\"format\": 1", "\"format\": 2"), &text.replace("1234567", "x")] {
        std::fs::write(&path, broken).unwrap();
        let error = State::load(&path, &state.subject).unwrap_err().to_string();
        assert!(error.contains("is no file of scrubjay migrate"), "{broken}: {error}");
    }
}

#[test]
fn a_url_is_shown_without_user_and_password() {
    let server = Server::parse("source", &Secret::from("redis://ann:pass@host:7000/4".to_owned()), None).unwrap();
    assert_eq!((server.address().as_str(), server.name().as_str(), server.db), ("host:7000", "host:7000/4", Some(4)));
    let server = Server::parse("target", &Secret::from("redis://host".to_owned()), None).unwrap();
    assert_eq!((server.name().as_str(), server.db), ("host:6379", None));
    for url in ["ann:pass@host", "redis:/ann:pass@host", "redis://ann:pass@host:port", "redis://ann:pass@host/four"] {
        let error = Server::parse("target", &Secret::from(url.to_owned()), None).err().map(|error| error.to_string());
        let error = error.unwrap_or_else(|| panic!("{url} is taken"));
        assert!(error.starts_with("--to: ") && !error.contains("pass"), "{error}");
    }
    assert_eq!(format!("{:?}", Secret::from("pass".to_owned())), "(hidden)");
    let said = "unexpected argument 'redis://ann:p@ss@host/1' found, rediss://:x@y and http://z";
    assert_eq!(redacted(said), "unexpected argument 'redis://...@host/1' found, rediss://...@y and http://z");
}
