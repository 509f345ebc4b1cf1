//! What the grammar makes of the syntax lines that are in use, and of broken ones.

use super::{Argument, Kind, parse};

/// An argument on one line: `name:kind`, the token before it, `?` optional, `*` multiple, parts in parentheses.
fn shown(arguments: &[Argument]) -> String {
    let one = |argument: &Argument| {
        let token = argument.token.as_ref().map(|token| format!("{token}=")).unwrap_or_default();
        let marks = [(argument.is_optional, "?"), (argument.is_multiple, "*"), (argument.is_multiple_token, "t")];
        let marks: String = marks.iter().filter(|(is_on, _)| *is_on).map(|(_, mark)| *mark).collect();
        let parts = if argument.parts.is_empty() { String::new() } else { format!("({})", shown(&argument.parts)) };
        format!("{token}{}:{}{marks}{parts}", argument.name, argument.kind.name())
    };
    arguments.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check(syntax: &str, want: &str) {
    assert_eq!(parse(syntax).map(|arguments| shown(&arguments)).as_deref(), Ok(want), "{syntax}");
}

#[test]
fn values_tokens_and_options() {
    check("", "");
    check("key value", "key:key value:string");
    check("key [GET]", "key:key GET=get:pure-token?");
    check("cursor [MATCH pattern] [COUNT count]", "cursor:integer MATCH=pattern:pattern? COUNT=count:integer?");
    check("[username] password", "username:string? password:string");
    check(
        "key [NX | XX] [EX seconds | KEEPTTL]",
        "key:key condition:oneof?(NX=nx:pure-token XX=xx:pure-token) \
         seconds-keepttl:oneof?(EX=seconds:integer KEEPTTL=keepttl:pure-token)",
    );
}

#[test]
fn repetitions() {
    check("key [key ...]", "key:key*");
    check("key value [key value ...]", "data:block*(key:key value:string)");
    check("[PREFIX prefix [PREFIX prefix ...]]", "PREFIX=prefix:string?*t");
    check("[section [section ...]]", "section:string?*");
    check("<AND | OR> destkey key [key ...]", "and-or:oneof(AND=and:pure-token OR=or:pure-token) destkey:key key:key*");
}

#[test]
fn nesting() {
    check(
        "key [start end [BYTE | BIT]]",
        "key:key start-end-unit:block?(start:integer end:integer unit:oneof?(BYTE=byte:pure-token BIT=bit:pure-token))",
    );
    check(
        "<host port | NO ONE>",
        "host-port-no-one:oneof(host-port:block(host:string port:integer) no-one:block(NO=no:pure-token ONE=one:pure-token))",
    );
    check(
        "key [GET encoding offset | [OVERFLOW <WRAP | SAT>] SET encoding offset value \
         [GET encoding offset | [OVERFLOW <WRAP | SAT>] SET encoding offset value ...]]",
        "key:key encoding-offset-wrap-sat-encoding-offset-value:oneof?*(GET=encoding-offset:block(encoding:string offset:integer) \
         wrap-sat-encoding-offset-value:block(OVERFLOW=wrap-sat:oneof?(WRAP=wrap:pure-token SAT=sat:pure-token) \
         SET=encoding:string offset:integer value:string))",
    );
    check("[LIMIT offset count]", "LIMIT=offset-count:block?(offset:integer count:integer)");
}

#[test]
fn broken_syntax_is_an_error() {
    for syntax in ["[key", "key]", "<a | >", "key ...", "[a > b]", "a [b ...]", "[]"] {
        assert!(parse(syntax).is_err(), "{syntax}");
    }
}

#[test]
fn kinds_by_name() {
    let arguments = parse("unix-time-seconds pattern newkey member").unwrap();
    let kinds: Vec<Kind> = arguments.iter().map(|argument| argument.kind).collect();
    assert_eq!(kinds, [Kind::UnixTime, Kind::Pattern, Kind::Key, Kind::String]);
}
