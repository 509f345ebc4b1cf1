//! Settings: values, quoting, sources and their order, CONFIG SET and REWRITE.

use super::setting::{Change, Kind};
use super::{Config, Sources, quoting, rows, value};
use std::path::PathBuf;

/// A file of settings in a folder that goes away with the test.
struct File {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn file(content: &str) -> File {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.conf");
    std::fs::write(&path, content).unwrap();
    File { _folder: folder, path }
}

fn load(content: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Result<Config, String> {
    let file = file(content);
    let sources = Sources {
        file: Some(file.path.clone()),
        environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
    };
    let folder = file.path.parent().unwrap().display().to_string();
    Config::load(&sources).map_err(|error| error.to_string().replace(&format!("{folder}/"), ""))
}

fn get(config: &Config, name: &str) -> String {
    config.matching(|known| known == name).into_iter().map(|(_, value)| value).collect()
}

#[test]
fn names_and_aliases_are_unique_lower_case_and_documented() {
    let mut names: Vec<_> = rows::all().flat_map(|(_, setting)| setting.names()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    for (_, setting) in rows::all() {
        assert!(setting.names().all(|name| name == name.to_ascii_lowercase()), "{}", setting.name);
        assert!(setting.doc.ends_with('.'), "{}", setting.name);
    }
}

#[test]
fn every_default_is_a_value_of_its_setting_and_reads_back_as_shown() {
    let config = Config::default();
    for (index, setting) in rows::all() {
        assert!(setting.parse(setting.default, "").is_ok(), "{}", setting.name);
        let shown = config.shown(index, setting);
        let again = setting.parse(&shown, "").unwrap();
        assert_eq!(value::show(setting.kind, &again), shown, "{}", setting.name);
    }
}

#[test]
fn memory_takes_units_of_a_thousand_and_of_1024() {
    let cases = [("100", 100), ("1k", 1000), ("1KB", 1024), ("2m", 2_000_000), ("2mb", 2 << 20), ("3Gb", 3 << 30)];
    for (text, bytes) in cases {
        assert_eq!(value::bytes(text), Some(bytes), "{text}");
    }
    for text in ["", "k", "-1", "1.5gb", "1tb", "99999999999gb", "1 k"] {
        assert_eq!(value::bytes(text), None, "{text}");
    }
}

#[test]
fn lines_split_as_redis_splits_them() {
    let cases: &[(&str, Option<&[&str]>)] = &[
        ("", Some(&[])),
        ("save 900  1\t300 10 ", Some(&["save", "900", "1", "300", "10"])),
        (r#"requirepass "a b" "#, Some(&["requirepass", "a b"])),
        (r#"a "\x41\n\t\"\q""#, Some(&["a", "A\n\t\"q"])),
        (r#"a "\xzz""#, Some(&["a", "xzz"])),
        (r"a 'it\'s' 'b\n'", Some(&["a", "it's", r"b\n"])),
        (r#"save """#, Some(&["save", ""])),
        (r#"a "b"c"#, None),
        (r#"a "b"#, None),
        ("a 'b", None),
        (r#"a "b\"#, None),
        (r#"a "\xff""#, None),
    ];
    for (line, words) in cases {
        let expected = words.map(|words| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(quoting::split(line), expected, "{line}");
    }
}

#[test]
fn quoted_words_read_back() {
    for word in ["", "plain", "two words", "\"", "\\", "a#b", "tab\tnew\nline", "\u{7}", "käse", "it's"] {
        assert_eq!(quoting::split(&quoting::quote(word)), Some(vec![word.to_owned()]), "{word:?}");
    }
}

/// File, environment, arguments, and what is said about them.
type Mistake = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str], &'static str);

const MISTAKES: &[Mistake] = &[
    ("maxmemory lots", &[], &[], "test.conf:1: maxmemory: 'lots' is refused: argument must be a memory value"),
    (
        "\n# comment\nport 70000",
        &[],
        &[],
        "test.conf:3: port: '70000' is refused: argument must be between 0 and 65535 inclusive",
    ),
    ("port x", &[], &[], "test.conf:1: port: 'x' is refused: argument couldn't be parsed into an integer"),
    ("port", &[], &[], "test.conf:1: port: a value is missing"),
    (
        "port 1 2",
        &[],
        &[],
        "test.conf:1: port: '1 2' is refused: it takes one value, in quotes if there are spaces in it",
    ),
    ("maxmemroy 1gb", &[], &[], "test.conf:1: unknown setting 'maxmemroy'; did you mean 'maxmemory'?"),
    ("loadmodule x.so", &[], &[], "test.conf:1: unknown setting 'loadmodule'"),
    ("dir \"x", &[], &[], "test.conf:1: the line of 'dir' has unbalanced quotes"),
    (
        "protected-mode maybe",
        &[],
        &[],
        "test.conf:1: protected-mode: 'maybe' is refused: argument must be 'yes' or 'no'",
    ),
    (
        "loglevel loud",
        &[],
        &[],
        "test.conf:1: loglevel: 'loud' is refused: argument(s) must be one of the following: debug, verbose, notice, \
             warning, nothing",
    ),
    ("save 900", &[], &[], "test.conf:1: save: '900' is refused: Invalid save parameters"),
    ("save 0 1", &[], &[], "test.conf:1: save: '0 1' is refused: Invalid save parameters"),
    (
        "client-output-buffer-limit normal 1 2",
        &[],
        &[],
        "test.conf:1: client-output-buffer-limit: 'normal 1 2' is refused: Wrong number of arguments in buffer limit \
             configuration.",
    ),
    (
        "unixsocketperm 888",
        &[],
        &[],
        "test.conf:1: unixsocketperm: '888' is refused: argument couldn't be parsed as an octal number",
    ),
    (
        "dbfilename a/b",
        &[],
        &[],
        "test.conf:1: dbfilename: 'a/b' is refused: dbfilename can't be a path, just a filename",
    ),
    (
        "include missing.conf",
        &[],
        &[],
        "test.conf:1: cannot read the settings of 'missing.conf': No such file or directory (os error 2)",
    ),
    (
        "",
        &[("SCRUBJAY_TIMEOUT", "-1")],
        &[],
        "environment variable SCRUBJAY_TIMEOUT: timeout: '-1' is refused: argument must be between 0 and 2147483647 inclusive",
    ),
    (
        "",
        &[("SCRUBJAY_TIMOUT", "1")],
        &[],
        "environment variable SCRUBJAY_TIMOUT: unknown setting 'timout'; did you mean 'timeout'?",
    ),
    ("", &[], &["--prot", "1"], "argument --prot: unknown setting 'prot'; did you mean 'port'?"),
    ("", &[], &["port", "1"], "argument 'port' is not of the form --name value"),
    (
        "",
        &[],
        &["--requirepass", "a", "b"],
        "argument --requirepass: requirepass: the value is refused: it takes one value, in quotes if there are spaces in it",
    ),
];

#[test]
fn errors_name_the_place_the_setting_the_value_and_what_would_be_right() {
    for (content, environment, arguments, expected) in MISTAKES {
        assert_eq!(load(content, environment, arguments).err().as_deref(), Some(*expected), "{content} {arguments:?}");
    }
}

#[test]
fn what_would_be_a_lie_is_refused_with_its_reason() {
    let cases = [
        ("maxmemory-policy allkeys-lru", "only 'noeviction' works in this version"),
        ("appendonly yes", "the append-only file comes in a later version"),
        ("daemonize yes", "use a service manager"),
        ("cluster-enabled yes", "cluster mode is not part of this version"),
        ("replicaof 127.0.0.1 6379", "replication is not part of this version"),
        ("notify-keyspace-events KEA", "keyspace notifications come later"),
        ("cache-mode yes", "cache mode needs an evicting 'maxmemory-policy'"),
        ("snapshot-cron sometimes", "it takes five cron fields"),
    ];
    for (line, reason) in cases {
        let error = load(line, &[], &[]).err().unwrap_or_default();
        assert!(error.contains(reason), "{line}: {error}");
    }
}

#[test]
fn an_argument_wins_over_a_line_that_would_be_refused() {
    assert!(load("daemonize yes\nhz 20", &[], &["--daemonize", "no"]).is_ok_and(|config| config.hz() == 20));
    assert!(load("appendonly yes", &[], &["--appendonly=no"]).is_ok());
    assert!(load("daemonize no", &[], &["--daemonize", "yes"]).is_err());
    assert!(load("timeout x", &[], &["--timeout", "1"]).is_err(), "a mistake is a mistake");
}

#[test]
fn later_sources_win() {
    let none = load("", &[], &[]).unwrap();
    assert_eq!(none.timeout_seconds(), 0);
    let content = "timeout 1\nhz 20\nmaxclients 30\nsave 10 1\nsave 20 2";
    let environment = [("SCRUBJAY_TIMEOUT", "2"), ("SCRUBJAY_HZ", "21"), ("HOME", "/root"), ("SCRUBJAY_SAVE", "5 5")];
    let config = load(content, &environment, &["--timeout", "3"]).unwrap();
    assert_eq!((config.timeout_seconds(), config.hz(), config.maxclients()), (3, 21, 30));
    assert_eq!(config.save_points(), [(5, 5)]);
}

#[test]
fn lines_of_one_file_add_up_and_replace_the_default() {
    let config =
        load("save 10 1\nsave 20 2 30 3\nrename-command CONFIG \"\"\nrename-command get fetch", &[], &[]).unwrap();
    assert_eq!(config.save_points(), [(10, 1), (20, 2), (30, 3)]);
    let renamed = [("config".to_owned(), String::new()), ("get".to_owned(), "fetch".to_owned())];
    assert_eq!(config.renamed_commands(), renamed);
    assert_eq!(load("save \"\"", &[], &[]).unwrap().save_points(), []);
    assert_eq!(load("", &[], &["--save", ""]).unwrap().save_points(), []);
}

#[test]
fn output_limits_change_class_by_class() {
    let content = "client-output-buffer-limit normal 1gb 1mb 5\nclient-output-buffer-limit replica 0 0 0";
    let config = load(content, &[], &[]).unwrap();
    let normal = config.output_limit_normal();
    assert_eq!((normal.hard_bytes, normal.soft_bytes, normal.soft_seconds), (1 << 30, 1 << 20, 5));
    assert_eq!(
        get(&config, "client-output-buffer-limit"),
        "normal 1073741824 1048576 5 slave 0 0 0 pubsub 33554432 8388608 60"
    );
}

#[test]
fn dragonfly_spellings_mean_the_same() {
    let arguments =
        ["--proactor_threads=3", "--maxmemory=1gb", "--maxmemory_policy=noeviction", "--dbfilename", "x.rdb"];
    let config = load("", &[], &arguments).unwrap();
    assert_eq!((config.threads(), config.maxmemory()), (3, 1 << 30));
    assert_eq!(get(&config, "io-threads"), "3");
    assert_eq!(&*config.dbfilename(), "x.rdb");
    let config = load("", &[], &["--cache_mode=false", "--protected_mode", "--snapshot_cron=*/5 * * * *"]).unwrap();
    assert!(config.protected_mode() && config.snapshot_cron().is_some());
    assert!(load("", &[], &["--cache_mode"]).err().unwrap_or_default().contains("maxmemory-policy"));
}

#[test]
fn variables_of_a_kubernetes_service_are_not_settings() {
    let environment = [
        ("SCRUBJAY_PORT", "tcp://10.0.0.1:6379"),
        ("SCRUBJAY_PORT_6379_TCP_ADDR", "10.0.0.1"),
        ("SCRUBJAY_SERVICE_HOST", "10.0.0.1"),
        ("SCRUBJAY_SERVICE_PORT_REDIS", "6379"),
    ];
    assert_eq!(load("", &environment, &[]).unwrap().port(), 6379);
    assert_eq!(load("", &[("SCRUBJAY_PORT", "7000")], &[]).unwrap().port(), 7000);
}

#[test]
fn one_value_of_a_variable_is_taken_as_it_is() {
    let environment =
        [("SCRUBJAY_REQUIREPASS", "a \"b' #"), ("SCRUBJAY_SAVE", "\"\""), ("SCRUBJAY_BIND", "127.0.0.1 ::1")];
    let config = load("", &environment, &[]).unwrap();
    assert_eq!(&*config.requirepass(), "a \"b' #");
    assert_eq!(config.save_points(), []);
    assert_eq!(config.listen_addresses().unwrap().len(), 2);
}

#[test]
fn a_file_that_includes_itself_is_refused() {
    let error = load("include test.conf", &[], &[]).err().unwrap_or_default();
    assert!(error.ends_with("include: 'test.conf' is more than 16 files deep"), "{error}");
}

#[test]
fn included_settings_are_relative_to_the_file_and_in_its_order() {
    let file = file("timeout 1\ninclude other.conf\nhz 50");
    std::fs::write(file.path.with_file_name("other.conf"), "timeout 2\nhz 40").unwrap();
    let config = Config::load(&Sources { file: Some(file.path.clone()), ..Sources::default() }).unwrap();
    assert_eq!((config.timeout_seconds(), config.hz()), (2, 50));
}

fn set(config: &Config, pairs: &[(&str, &str)]) -> Result<(), String> {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    config.set_pairs(&pairs, false).map_err(|error| error.0.into_owned())
}

#[test]
fn config_set_changes_all_or_nothing() {
    let config = Config::default();
    assert_eq!(set(&config, &[("timeout", "5"), ("MaxMemory", "1mb")]), Ok(()));
    assert_eq!((config.timeout_seconds(), config.maxmemory()), (5, 1 << 20));
    let cases = [
        (
            vec![("timeout", "6"), ("maxmemory", "x")],
            "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value",
        ),
        (vec![("timeout", "6"), ("nope", "1")], "ERR Unknown option or number of arguments for CONFIG SET - 'nope'"),
        (
            vec![("timeout", "6"), ("databases", "1")],
            "ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config",
        ),
        (
            vec![("timeout", "6"), ("TIMEOUT", "7")],
            "ERR CONFIG SET failed (possibly related to argument 'TIMEOUT') - duplicate parameter",
        ),
        (
            vec![("timeout", "6"), ("dir", "/tmp")],
            "ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config",
        ),
        (
            vec![("rename-command", "get x")],
            "ERR Unknown option or number of arguments for CONFIG SET - 'rename-command'",
        ),
    ];
    for (pairs, expected) in cases {
        assert_eq!(set(&config, &pairs), Err(expected.to_owned()), "{pairs:?}");
        assert_eq!(config.timeout_seconds(), 5);
    }
}

#[test]
fn protected_settings_change_where_the_file_allows_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let config = Config::with([("enable-protected-configs", "local")]).unwrap();
    assert!(config.set_pairs(&[(b"dir", path.as_bytes())], false).is_err());
    assert!(config.set_pairs(&[(b"dir", path.as_bytes())], true).is_ok());
    assert_eq!(config.dir(), std::fs::canonicalize(path).unwrap());
    let error = config.set_pairs(&[(b"dir", b"/nowhere/at/all")], true).unwrap_err();
    assert!(error.0.ends_with("Changing directory: No such file or directory"), "{}", error.0);
}

#[test]
fn rewriting_keeps_comments_order_and_what_is_still_true() {
    let old = "# my server\nport 7000\n\ntimeout   5  \n#timeout 9\nsave 10 1\nsave 20 2\nhz 20\n";
    let config = load(old, &[], &[]).unwrap();
    assert_eq!(config.rewritten(old), old);
    set(&config, &[("timeout", "6"), ("save", "1 1 2 2 3 3"), ("maxmemory", "1mb"), ("requirepass", "a b")]).unwrap();
    let new = "# my server\nport 7000\n\ntimeout 6\n#timeout 9\nsave 1 1\nsave 2 2\nsave 3 3\nhz 20\n\
               # Generated by CONFIG REWRITE\nrequirepass \"a b\"\nmaxmemory 1048576\n";
    assert_eq!(config.rewritten(old), new);
    assert_eq!(config.rewritten(new), new);
}

#[test]
fn a_rewritten_file_loads_to_the_same_settings() {
    let file = file("bind 127.0.0.1 ::1\nrename-command get \"\"\nclient-output-buffer-limit normal 1 2 3\n");
    let config = Config::load(&Sources { file: Some(file.path.clone()), ..Sources::default() }).unwrap();
    for (_, setting) in rows::all().filter(|(_, setting)| setting.change == Change::Live && setting.only.is_none()) {
        let changed = match setting.kind {
            Kind::Bool => "yes",
            // The system may not be able to handle the most.
            _ if setting.name == "maxclients" => "9999",
            Kind::Int { max, .. } | Kind::Memory { max, .. } => &max.to_string(),
            Kind::Text if setting.check.is_none() => "two \"words\" # and more",
            _ => continue,
        };
        set(&config, &[(setting.name, changed)]).unwrap();
    }
    config.rewrite(&file.path).unwrap();
    let again = Config::load(&Sources { file: Some(file.path.clone()), ..Sources::default() }).unwrap();
    for (index, setting) in rows::all() {
        assert_eq!(again.shown(index, setting), config.shown(index, setting), "{}", setting.name);
    }
}

#[test]
fn addresses_come_from_bind_and_port_or_bring_their_own_port() {
    let addresses = |bind: &str, port: &str| {
        let config = Config::with([("bind", bind), ("port", port)]).unwrap();
        let found = config.listen_addresses().map_err(|error| error.to_string());
        found.map(|found| found.into_iter().map(|(address, spare)| format!("{address} {spare}")).collect::<Vec<_>>())
    };
    assert_eq!(addresses("127.0.0.1 -::1", "7").unwrap(), ["127.0.0.1:7 false", "[::1]:7 true"]);
    assert_eq!(addresses("* ::*", "7").unwrap(), ["0.0.0.0:7 false", "[::]:7 false"]);
    assert_eq!(addresses("127.0.0.1", "0").unwrap(), [""; 0]);
    assert_eq!(addresses("127.0.0.1:0", "0").unwrap(), ["127.0.0.1:0 false"]);
    assert!(addresses("no.such.host.invalid", "7").unwrap_err().starts_with("bind: 'no.such.host.invalid'"));
}

#[test]
fn a_schedule_says_when_it_matches_next() {
    let config = Config::with([("snapshot-cron", "30 4 * * *")]).unwrap();
    let schedule = config.snapshot_cron().unwrap();
    let day_ms = 24 * 3600 * 1000;
    let due_ms = (4 * 60 + 30) * 60 * 1000;
    assert_eq!(schedule.next_ms(0), Some(due_ms));
    assert_eq!(schedule.next_ms(due_ms), Some(due_ms + day_ms));
    assert!(!schedule.is_due(0, due_ms - 1));
    assert!(schedule.is_due(due_ms - 1, due_ms) && schedule.is_due(0, due_ms + 5 * day_ms));
    assert!(!schedule.is_due(due_ms, due_ms + 1) && !schedule.is_due(due_ms + 1, due_ms));
}

#[test]
fn settings_page_in_the_tree_is_up_to_date() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, Config::settings_page()).unwrap();
    }
    let in_tree = std::fs::read_to_string(&path).unwrap_or_default();
    let command = "UPDATE=1 cargo test -p scrubjay-server settings_page";
    assert!(
        in_tree == Config::settings_page(),
        "docs/settings.md is not what the rows say; rewrite it with `{command}`"
    );
}

/// What stands uncommented in the redis.conf that Redis 7.2 is delivered with, apart from paths.
const DELIVERED: &str = r#"
bind 127.0.0.1 -::1
protected-mode yes
port 6379
tcp-backlog 511
timeout 0
tcp-keepalive 300
daemonize no
pidfile /var/run/redis_6379.pid
loglevel notice
logfile ""
databases 16
always-show-logo no
set-proc-title yes
proc-title-template "{title} {listen-addr} {server-mode}"
locale-collate ""
stop-writes-on-bgsave-error yes
rdbcompression yes
rdbchecksum yes
dbfilename dump.rdb
rdb-del-sync-files no
dir ./
replica-serve-stale-data yes
replica-read-only yes
repl-diskless-sync yes
repl-diskless-sync-delay 5
repl-diskless-sync-max-replicas 0
repl-diskless-load disabled
repl-disable-tcp-nodelay no
replica-priority 100
acllog-max-len 128
lazyfree-lazy-eviction no
lazyfree-lazy-expire no
lazyfree-lazy-server-del no
replica-lazy-flush no
lazyfree-lazy-user-del no
lazyfree-lazy-user-flush no
oom-score-adj no
oom-score-adj-values 0 200 800
disable-thp yes
appendonly no
appendfilename "appendonly.aof"
appenddirname "appendonlydir"
appendfsync everysec
no-appendfsync-on-rewrite no
auto-aof-rewrite-percentage 100
auto-aof-rewrite-min-size 64mb
aof-load-truncated yes
aof-use-rdb-preamble yes
aof-timestamp-enabled no
slowlog-log-slower-than 10000
slowlog-max-len 128
latency-monitor-threshold 0
notify-keyspace-events ""
hash-max-listpack-entries 512
hash-max-listpack-value 64
list-max-listpack-size -2
list-compress-depth 0
set-max-intset-entries 512
set-max-listpack-entries 128
set-max-listpack-value 64
zset-max-listpack-entries 128
zset-max-listpack-value 64
hll-sparse-max-bytes 3000
stream-node-max-bytes 4096
stream-node-max-entries 100
activerehashing yes
client-output-buffer-limit normal 0 0 0
client-output-buffer-limit replica 256mb 64mb 60
client-output-buffer-limit pubsub 32mb 8mb 60
hz 10
dynamic-hz yes
aof-rewrite-incremental-fsync yes
rdb-save-incremental-fsync yes
jemalloc-bg-thread yes
"#;

#[test]
fn the_file_that_redis_is_delivered_with_loads_and_changes_next_to_nothing() {
    let (config, defaults) = (load(DELIVERED, &[], &[]).unwrap(), Config::default());
    for (index, setting) in rows::all().filter(|(_, setting)| !["dir", "pidfile"].contains(&setting.name)) {
        assert_eq!(config.shown(index, setting), defaults.shown(index, setting), "{}", setting.name);
    }
}

proptest::proptest! {
    #[test]
    fn any_line_is_a_setting_or_an_error(line in ".*", word in "\\PC*") {
        let _ = super::load::read_lines(&Config::default(), &[line.as_str()]);
        proptest::prop_assert_eq!(quoting::split(&quoting::quote(&word)), Some(vec![word]));
    }
}
