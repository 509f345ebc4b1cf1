//! COMMAND and its subcommands, as bytes.

use crate::command::{Command, Flags, Group, KeyAccess, Keys, Reach};
use crate::table::listing;
use crate::table::syntax;
use crate::transcript::serve;
use scrubjay_resp::{Protocol, Reply};

fn written(protocol: Protocol, write: impl FnOnce(&mut Reply<'_>)) -> String {
    let mut out = Vec::new();
    write(&mut Reply::new(&mut out, protocol));
    String::from_utf8_lossy(&out).replace("\r\n", " ")
}

#[test]
fn every_syntax_line_parses() {
    for listed in listing::rows_and_subcommands() {
        let parsed = syntax::parse(listed.row.syntax);
        assert!(parsed.is_ok(), "{}: {parsed:?}", listed.full_name);
    }
}

#[test]
fn info_has_ten_fields_in_both_protocols() {
    let get = |protocol| written(protocol, |reply| super::info::describe_named(reply, &[listing::find(b"GET"), None]));
    assert_eq!(
        get(Protocol::Resp3),
        "*2 *10 $3 get :2 ~2 +readonly +fast :1 :1 :1 ~3 +@read +@string +@fast ~0 ~1 %3 $5 flags ~2 +RO +access \
         $12 begin_search %2 $4 type $5 index $4 spec %1 $5 index :1 $9 find_keys %2 $4 type $5 range $4 spec %3 \
         $7 lastkey :0 $7 keystep :1 $5 limit :0 ~0 _ "
    );
    assert_eq!(
        get(Protocol::Resp2),
        "*2 *10 $3 get :2 *2 +readonly +fast :1 :1 :1 *3 +@read +@string +@fast *0 *1 *6 $5 flags *2 +RO +access \
         $12 begin_search *4 $4 type $5 index $4 spec *2 $5 index :1 $9 find_keys *4 $4 type $5 range $4 spec *6 \
         $7 lastkey :0 $7 keystep :1 $5 limit :0 *0 $-1 "
    );
}

#[test]
fn a_subcommand_is_found_by_its_full_name() {
    let text = written(Protocol::Resp3, |reply| super::info::describe_named(reply, &[listing::find(b"Command|Count")]));
    assert!(
        text.starts_with("*1 *10 $13 command|count :2 ~2 +loading +stale :0 :0 :0 ~2 +@slow +@connection ~0 ~0 ~0")
    );
}

const KEYED: Command = Command {
    name: "bitop",
    arity: -4,
    flags: Flags::WRITE,
    keys: Keys::FirstAndRest {
        first: 2,
        first_access: KeyAccess::OverwriteUpdate,
        rest_last: -1,
        rest_access: KeyAccess::ReadOnlyAccess,
    },
    reach: Reach::Keys,
    group: Group::Bitmap,
    since: "2.6.0",
    complexity: "",
    summary: "",
    categories: &["bitmap"],
    syntax: "<AND | OR> destkey key [key ...]",
    handler: crate::commands::container::unknown_subcommand,
    subcommands: &[],
};

#[test]
fn two_key_specifications_count_from_their_own_first_key() {
    let specs = listing::key_specs(KEYED.keys);
    assert_eq!(specs.iter().map(|spec| (spec.first, spec.last)).collect::<Vec<_>>(), [(2, 2), (3, -1)]);
    assert_eq!(listing::categories(&KEYED), ["write", "bitmap", "slow"]);
}

#[test]
fn the_options_of_set_decide_its_access() {
    let set = listing::find(b"set").unwrap().row;
    let access = |words: &[&str]| {
        let args: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        listing::access_of_call(set, KeyAccess::ReadWriteAccessUpdate, &args)
    };
    assert_eq!(access(&["set", "k", "get"]), KeyAccess::OverwriteUpdate);
    assert_eq!(access(&["set", "k", "v", "EX", "1", "GET"]), KeyAccess::ReadWriteAccessUpdate);
}

#[test]
fn command_answers_on_the_wire() {
    serve(&[]).peer().check(&[
        ("command getkeys mset a 1 b 2", "*2 $1 a $1 b"),
        ("command getkeys memory usage k", "*1 $1 k"),
        ("command getkeys nope x", "-ERR Invalid command specified"),
        ("command getkeys ping", "-ERR The command has no key arguments"),
        ("command getkeys get", "-ERR Invalid number of arguments specified for command"),
        ("command getkeysandflags bitop and d k", "*2 *2 $1 d *2 +OW +update *2 $1 k *2 +RO +access"),
        ("command getkeysandflags set k v get", "*1 *2 $1 k *3 +RW +access +update"),
        (
            "command list filterby pattern slowlog*",
            "*5 $7 slowlog $11 slowlog|get $12 slowlog|help $11 slowlog|len $13 slowlog|reset",
        ),
        ("command list filterby module x", "*0"),
        ("command list filterby foo x", "-ERR syntax error"),
        ("command list x", "-ERR syntax error"),
        ("command nope", "-ERR unknown subcommand 'nope'. Try COMMAND HELP."),
        ("command info nope", "*1 $-1"),
        ("command docs nope", "*0"),
    ]);
}

#[test]
fn a_command_that_was_taken_away_is_not_told_of() {
    let served = serve(&[("rename-command", "debug \"\"")]);
    served.peer().check(&[
        ("command info debug", "*1 $-1"),
        ("command docs debug", "*0"),
        ("command list filterby pattern debug", "*0"),
    ]);
}
