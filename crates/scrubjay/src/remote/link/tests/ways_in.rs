//! Addresses, and servers that do not let one in.

use super::*;
use scrubjay_harness::{Certificates, RedisServer};

#[track_caller]
fn check_refused(remote: Remote, words: &str) {
    let error = try_start(remote, &Arc::default()).expect_err("a bad configuration");
    let said = error.to_string();
    assert!(said.contains(words), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

#[tokio::test]
async fn an_address_that_is_none_is_an_error_that_says_why_and_not_the_password() {
    check_refused(Remote::url(""), "remote.url has no scheme");
    check_refused(Remote::url("http://me:secret@localhost"), "remote.url begins with \"http\"");
    check_refused(Remote::url("localhost:6379"), "remote.url begins with \"localhost\"");
    check_refused(Remote::url("redis://:secret@/0"), "remote.url is no address");
    check_refused(Remote::url("redis://:secret@localhost/first"), "Invalid database number");
    check_refused(Remote::url("redis://:secret@local host"), "remote.url is no address");
    check_refused(Remote::url("rediss://:secret@localhost#insecure"), "certificates are always checked");
    check_refused(Remote::cluster(["redis://localhost", "tcp://secret"]), "remote.cluster[1] begins with \"tcp\"");
    check_refused(Remote::cluster([""; 0]), "remote.cluster has 0 addresses");
    check_refused(Remote::url("redis://:secret@localhost").root_certificates("secret"), "is without TLS");
    check_refused(Remote::url("rediss://localhost").root_certificates("-----BEGIN CERTIFICATE-----"), "certificates");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_a_reason_and_is_found_when_it_comes() {
    let mut server = RedisServer::start();
    server.kill();
    let (link, ears) = start(Remote::url(server.url()));
    wait_for_reason(&link, "refuses connections");
    let Err(Trouble::Away(why)) = link.run(cmd(&["PING"])).await else { panic!("it is away") };
    assert!(why.contains("refuses connections"), "{why}");
    assert_eq!(ears.count(&Heard::Connected), 0);
    server.start_again();
    wait_until_serving(&link);
    assert!(link.stats().connect_failed >= 1);
    let (link, _) = start(Remote::url("redis://no-such-host.invalid"));
    wait_for_reason(&link, "no-such-host.invalid:6379");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_told_why_without_the_password() {
    let server = RedisServer::start_with(&["--user", "ann", "on", ">secret", "~*", "&*", "+@all"]);
    server.console().ok(&["CONFIG", "SET", "requirepass", "hidden"]);
    let at = |name: &str| format!("redis://{name}127.0.0.1:{}", server.port());
    for (url, words) in [
        (at(""), "NOAUTH"),
        (at("ann:wrong@"), "WRONGPASS"),
        (at(":wrong@"), "WRONGPASS"),
        (at("ann:secret@") + "/77", "DB index is out of range"),
    ] {
        let (link, _) = start(Remote::url(url));
        let why = wait_for_reason(&link, words);
        assert!(!why.contains("wrong@") && !why.contains("secret"), "{why}");
    }
    for url in [at("ann:secret@"), at(":hidden@") + "/3"] {
        serve(Remote::url(url));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_with_those_whom_one_trusts() {
    let server = RedisServer::start_tls(&["--tls-auth-clients", "no"]);
    let authority = server.certificates().expect("certificates").authority_pem();
    let (link, ears) = serve(Remote::url(server.url()).root_certificates(authority));
    assert_eq!(link.run(cmd(&["SET", "jay:a:1", "blue"])).await, Ok(Value::Okay));
    ears.wait_for(&Heard::Changed("jay:a:1".into()));
    let stranger = Certificates::new();
    for remote in [Remote::url(server.url()).root_certificates(stranger.authority_pem()), Remote::url(server.url())] {
        let (link, _) = start(remote);
        wait_for_reason(&link, "TLS");
    }
    let plain = RedisServer::start();
    let url = plain.url().replace("redis://", "rediss://");
    let (link, _) = start(Remote::url(url).root_certificates(authority));
    wait_for_reason(&link, "127.0.0.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_not_used() {
    let master = RedisServer::start();
    let port = master.port().to_string();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    let (link, _) = start(Remote::url(replica.url()));
    wait_for_reason(&link, "read-only replica");
    replica.console().ok(&["REPLICAOF", "NO", "ONE"]);
    wait_until_serving(&link);
    // And one that becomes one is left.
    replica.console().ok(&["REPLICAOF", "127.0.0.1", &port]);
    assert_eq!(link.run(cmd(&["SET", "jay:a:1", "blue"])).await, Err(Trouble::ReadOnly));
    wait_for_reason(&link, "read-only replica");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_without_input_and_output_is_an_error_that_says_so() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("a runtime");
    {
        let _runtime = runtime.enter();
        check_refused(Remote::url("redis://127.0.0.1:1"), "enable_all");
    }
    runtime.shutdown_background();
}
