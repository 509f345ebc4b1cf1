//! Servers come up on ports of their own, go down with who started them, and do what they are told.

use scrubjay_harness::{Console, RedisCluster, RedisServer, Reply, ScrubjayServer, wait_for};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Set in the process that is killed with its server running.
const CHILD: &str = "SCRUBJAY_HARNESS_CHILD";

#[test]
fn a_redis_server_answers_restarts_empty_on_its_port_and_goes_when_dropped() {
    let mut server = RedisServer::start_with(&["--maxmemory", "7mb"]);
    let address = server.address();
    assert_eq!(server.call(&["CONFIG", "GET", "maxmemory"]).texts()[1], (7 << 20).to_string());
    server.console().ok(&["SET", "a", "1"]);
    server.restart();
    assert_eq!(server.address(), address);
    assert_eq!(server.call(&["GET", "a"]), Reply::Nil);
    server.kill();
    assert!(Console::connect(address).is_err());
    server.start_again();
    let id = server.id();
    drop(server);
    assert!(Console::connect(address).is_err());
    assert!(!Path::new(&format!("/proc/{id}")).exists());
}

#[test]
fn what_was_saved_is_there_after_a_crash_when_an_argument_says_so() {
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    server.console().ok(&["SET", "a", "1"]);
    server.restart();
    assert_eq!(server.call(&["GET", "a"]).text(), "1");
}

#[test]
fn a_paused_server_keeps_its_connections_and_answers_later() {
    let server = RedisServer::start();
    let mut console = server.console();
    server.pause();
    let waiting = std::thread::spawn(move || console.call(&["PING"]).text());
    assert!(!waiting.is_finished());
    server.resume();
    assert_eq!(waiting.join().unwrap(), "PONG");
}

#[test]
fn a_user_with_a_password_is_who_may_speak() {
    let user = ["--user", "ann", "on", ">secret", "~app:*", "&*", "+@all", "--user", "default", "off"];
    let server = RedisServer::start_with(&user);
    let mut console = server.console();
    assert!(matches!(console.call(&["GET", "app:a"]), Reply::Error(text) if text.starts_with("NOAUTH")));
    console.ok(&["AUTH", "ann", "secret"]);
    assert_eq!(console.call(&["GET", "app:a"]), Reply::Nil);
    assert!(matches!(console.call(&["GET", "b"]), Reply::Error(text) if text.starts_with("NOPERM")));
}

#[test]
fn a_server_that_speaks_tls_proves_itself_by_its_authority() {
    let server = RedisServer::start_tls(&[]);
    let authority = server.certificates().unwrap().authority_path();
    let mut client = Command::new("redis-cli");
    client.args(["--tls", "-h", "localhost", "-p", &server.port().to_string(), "--cacert"]).arg(authority).arg("PING");
    let output = client.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "PONG\n", "{output:?}");
    assert!(server.url().starts_with("rediss://127.0.0.1:"));
}

#[test]
fn a_server_ends_with_the_process_that_started_it_even_when_that_is_killed() {
    if std::env::var_os(CHILD).is_some() {
        let server = RedisServer::start();
        println!("@{} {}", server.id(), server.port());
        loop {
            std::thread::park();
        }
    }
    let name = "a_server_ends_with_the_process_that_started_it_even_when_that_is_killed";
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name, "--nocapture"]).env(CHILD, "1").stdout(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find_map(|line| Some(line.split_once('@')?.1.to_owned())).unwrap();
    let (id, _port) = line.split_once(' ').unwrap();
    let process = format!("/proc/{id}");
    assert!(Path::new(&process).exists());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("redis-server to end", || {
        let status = std::fs::read_to_string(format!("{process}/stat")).unwrap_or_default();
        // Who adopts orphans in a container may never ask after them: a zombie has ended.
        (status.is_empty() || status.contains(") Z")).then_some(())
    });
}

#[test]
fn a_cluster_serves_every_slot_moves_them_and_knows_of_a_dead_node() {
    let mut cluster = RedisCluster::start();
    for key in ["a", "users:{42}", "{}b", "{c", ""] {
        let told = cluster.nodes()[0].call(&["CLUSTER", "KEYSLOT", key]).number();
        assert_eq!(i64::from(RedisCluster::slot_of(key)), told, "{key:?}");
    }
    let slot = RedisCluster::slot_of("a");
    let from = cluster.owner_of(slot);
    let to = (from + 1) % 3;
    cluster.node_of("a").console().ok(&["SET", "a", "1"]);
    cluster.begin_move(slot, to);
    assert!(matches!(cluster.nodes()[from].call(&["GET", "{a}other"]), Reply::Error(text) if text.starts_with("ASK")));
    cluster.finish_move(slot, to);
    assert_eq!(cluster.owner_of(slot), to);
    assert!(matches!(cluster.nodes()[from].call(&["GET", "a"]), Reply::Error(text) if text.starts_with("MOVED")));
    assert_eq!(cluster.nodes()[to].call(&["GET", "a"]).text(), "1");
    cluster.kill_node(from);
    wait_for("the others to notice", || {
        cluster.nodes()[to].call(&["CLUSTER", "INFO"]).text().contains("cluster_state:fail").then_some(())
    });
    cluster.node_mut(from).start_again();
    cluster.wait_until_ok();
}

#[test]
fn a_replica_takes_over_from_a_dead_master_and_gives_back_to_one_that_lives() {
    let mut cluster = RedisCluster::start();
    let slot = RedisCluster::slot_of("a");
    let first = cluster.owner_of(slot);
    let second = cluster.add_replica(first);
    let mut console = cluster.nodes()[first].console();
    console.ok(&["SET", "a", "1"]);
    assert_eq!(console.call(&["WAIT", "1", "0"]).number(), 1);
    cluster.kill_node(first);
    cluster.fail_over(second);
    assert_eq!((cluster.owner_of(slot), cluster.nodes()[second].call(&["GET", "a"]).text()), (second, "1".into()));
    cluster.nodes()[second].console().ok(&["SET", "a", "2"]);
    cluster.node_mut(first).start_again();
    cluster.wait_until_replica(first);
    cluster.fail_over(first);
    assert_eq!((cluster.owner_of(slot), cluster.nodes()[first].call(&["GET", "a"]).text()), (first, "2".into()));
}

#[test]
fn our_own_server_answers_and_restarts_on_its_port() {
    let mut server = ScrubjayServer::start();
    let address = server.address();
    let mut console = server.console();
    console.ok(&["SET", "a", "1"]);
    server.kill();
    assert!(console.try_call(&["GET", "a"]).is_err());
    assert!(Console::connect(address).is_err());
    server.start_again();
    assert_eq!(server.call(&["GET", "a"]), Reply::Nil);
}
