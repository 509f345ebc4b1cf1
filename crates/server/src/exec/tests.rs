//! The checks before a handler and what is counted after it, without sockets.

use super::*;
use crate::client::Transaction;
use crate::config::Config;
use crate::dispatch;

struct Session {
    shared: Shared,
    worker: Worker,
    client: Client,
}

impl Session {
    fn new(settings: &[(&str, &str)]) -> Session {
        let config = Config::with(settings.iter().copied()).unwrap();
        Session { shared: Shared::new(config, 1).unwrap(), worker: Worker::new(0), client: Client::new(1) }
    }

    fn run(&mut self, line: &str) -> String {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut out = Vec::new();
        run(&self.shared, &mut self.worker, &mut self.client, &args, &mut out);
        String::from_utf8(out).unwrap().trim_end_matches("\r\n").to_owned()
    }

    fn check(&mut self, lines: &[(&str, &str)]) {
        for (line, reply) in lines {
            assert_eq!(self.run(line), *reply, "{line}");
        }
    }

    fn stats(&self, name: &str) -> (u64, u64, u64) {
        let row = dispatch::rows().iter().find(|row| row.full_name == name).unwrap();
        let stats = self.worker.stats.command(row.id).unwrap();
        (stats.calls.get(), stats.rejected.get(), stats.failed.get())
    }
}

#[test]
fn what_cannot_run_is_refused_in_the_order_of_redis() {
    let mut session = Session::new(&[]);
    session.check(&[
        ("nothing a b", "-ERR unknown command 'nothing', with args beginning with: 'a' 'b' "),
        ("get", "-ERR wrong number of arguments for 'get' command"),
        ("GET a b", "-ERR wrong number of arguments for 'get' command"),
        ("command nothing", "-ERR unknown subcommand 'nothing'. Try COMMAND HELP."),
        ("command getkeys", "-ERR wrong number of arguments for 'command|getkeys' command"),
    ]);
    session.client.is_authenticated = false;
    session.check(&[
        ("get", "-ERR wrong number of arguments for 'get' command"),
        ("get a", "-NOAUTH Authentication required."),
        ("nothing", "-ERR unknown command 'nothing', with args beginning with: "),
    ]);
}

#[test]
fn refused_and_failed_calls_are_counted_apart_and_errors_by_their_code() {
    let mut session = Session::new(&[]);
    for line in ["set a b", "incr a", "incr", "get a", "get a b", "nothing"] {
        session.run(line);
    }
    assert_eq!(session.stats("incr"), (1, 1, 1));
    assert_eq!(session.stats("get"), (1, 1, 0));
    assert_eq!(session.stats("set"), (1, 0, 0));
    let codes = crate::stats::errors_by_code(std::slice::from_ref(&session.worker.stats));
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), [("ERR".to_owned(), 4)]);
}

#[test]
fn memory_above_its_limit_refuses_what_adds_and_runs_the_rest() {
    let mut session = Session::new(&[]);
    session.run("set a b");
    session.shared.config.set_at_start("maxmemory", "1").unwrap();
    session.check(&[
        ("set a c", "-OOM command not allowed when used memory > 'maxmemory'."),
        ("get a", "$1\r\nb"),
        ("del a", ":1"),
    ]);
}

#[test]
fn after_multi_requests_are_queued_and_a_refused_one_spoils_the_transaction() {
    let mut session = Session::new(&[]);
    session.client.transaction = Some(Transaction::default());
    session.check(&[("set a b", "+QUEUED"), ("get a", "+QUEUED")]);
    let open = session.client.transaction.as_ref().unwrap();
    assert_eq!((open.queued.len(), open.is_aborted), (2, false));
    assert_eq!(open.queued[0].args()[..], [b"set".as_slice(), b"a", b"b"]);
    session.check(&[("get", "-ERR wrong number of arguments for 'get' command")]);
    assert!(session.client.transaction.as_ref().unwrap().is_aborted);
}

#[test]
fn what_is_queued_counts_as_input() {
    let mut session = Session::new(&[("client-query-buffer-limit", "1mb")]);
    session.client.transaction = Some(Transaction::default());
    let line = format!("set a {}", "b".repeat(600_000));
    assert_eq!(session.run(&line), "+QUEUED");
    assert!(!session.client.close_after_reply);
    assert_eq!(session.run(&line), "");
    assert!(session.client.close_after_reply);
}

#[test]
fn a_pause_holds_writes_back_or_everything() {
    let mut session = Session::new(&[]);
    session.shared.clock.hold(1000);
    session.shared.pause.start(2000, false, 1000);
    session.check(&[("get a", "$-1"), ("set a b", "")]);
    let parked = session.client.parked.take().unwrap();
    assert_eq!((parked.deadline_ms, parked.is_paused), (Some(2000), true));
    session.shared.pause.start(1500, true, 1000);
    session.check(&[("get a", "")]);
    assert_eq!(session.client.parked.take().unwrap().deadline_ms, Some(2000));
    session.shared.clock.hold(2000);
    session.check(&[("set a b", "+OK"), ("get a", "$1\r\nb")]);
}

#[test]
fn client_reply_off_mutes_and_skip_mutes_one_command() {
    let mut session = Session::new(&[]);
    session.client.reply_mode = ReplyMode::Off;
    session.check(&[("set a b", ""), ("get a", ""), ("nothing", "")]);
    session.client.reply_mode = ReplyMode::Skip;
    session.check(&[("get a", ""), ("get a", "$1\r\nb")]);
    session.check(&[("client reply skip", ""), ("client reply skip", ""), ("get a", ""), ("get a", "$1\r\nb")]);
    session.check(&[("client reply skip", ""), ("client reply on", "+OK"), ("get a", "$1\r\nb")]);
    session.check(&[("client reply skip", ""), ("reset", ""), ("get a", "$1\r\nb")]);
}

#[test]
fn a_slow_command_is_logged_whatever_its_batch() {
    let mut session = Session::new(&[("slowlog-log-slower-than", "0")]);
    session.run("set a b");
    session.run("get a");
    assert_eq!(session.shared.slowlog.len(), 2);
    session.shared.config.set_at_start("slowlog-log-slower-than", "-1").unwrap();
    session.run("get a");
    assert_eq!(session.shared.slowlog.len(), 2);
}

#[test]
fn nothing_runs_once_the_server_stops() {
    let mut session = Session::new(&[]);
    session.shared.request_stop();
    assert_eq!(session.run("set a b"), "");
    assert_eq!(session.shared.keyspace.len(scrubjay_keyspace::Db(0)), 0);
}

#[test]
fn a_renamed_command_keeps_its_own_name_in_errors() {
    let mut session = Session::new(&[("rename-command", "get fetch")]);
    session.check(&[
        ("get a", "-ERR unknown command 'get', with args beginning with: 'a' "),
        ("fetch", "-ERR wrong number of arguments for 'get' command"),
        ("fetch a", "$-1"),
    ]);
}

#[test]
fn a_batch_that_meets_the_end_of_the_server_runs_nothing_more() {
    let mut session = Session::new(&[]);
    session.shared.request_stop();
    let Session { shared, worker, client } = &mut session;
    let mut batch = Batch::new(shared, 0, shared.clock.now_ms(), shared.clock.instant());
    let mut out = Vec::new();
    for args in [[b"set".as_slice(), b"a", b"1"], [b"set", b"b", b"2"]] {
        let row = shared.dispatch.resolve(&args);
        let request = Request { row, args: &args, first_hash: shared.keyspace.key(args[1]).hash };
        assert_eq!(batch.run(worker, client, &request, &mut out), Ran::Stopped);
    }
    assert!(out.is_empty() && shared.keyspace.is_empty(scrubjay_keyspace::Db(0)));
}

#[test]
fn what_counts_as_changed_since_the_last_save_is_keys_that_changed() {
    let mut session = Session::new(&[]);
    for (request, changes) in [
        ("mset a 1 b 2 c 3", 3),
        ("del a missing", 1),
        ("setbit bits 0 0", 1),
        ("setbit bits 0 0", 0),
        ("setbit bits 9 0", 1),
        ("bitfield bits set u4 0 0", 0),
        ("bitfield bits incrby u4 0 0", 1),
        ("set b 1 nx", 0),
        ("rename b d", 1),
        ("expire d 100", 1),
        ("get d", 0),
        ("flushdb", 3),
        ("flushdb", 0),
    ] {
        let changed =
            |session: &Session| session.shared.persistence.status(session.shared.clock.instant()).changes_since_save;
        let before = changed(&session);
        session.run(request);
        assert_eq!(changed(&session) - before, changes, "{request}");
    }
}
