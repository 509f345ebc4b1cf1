//! The connection commands: who the client is, what it speaks, which database it means.
//!
//! CLIENT has a file of its own. Nothing here touches a key.

use crate::arguments;
use crate::call::Call;
use crate::client::ReplyMode;
use crate::command::{Command, Flags, Group, Reach};
use crate::commands::client;
use crate::error::{self, Error, session};
use crate::registry::HandleFlags;
use crate::server::REDIS_VERSION;
use scrubjay_keyspace::Db;
use scrubjay_resp::Protocol;

#[cfg(test)]
mod tests;
mod wait;

pub(crate) use wait::ROWS as WAIT_ROWS;

/// Handshakes are answered to strangers, at any time, and never in scripts.
const HANDSHAKE: Flags = Flags::NOSCRIPT
    .union(Flags::LOADING)
    .union(Flags::STALE)
    .union(Flags::FAST)
    .union(Flags::NO_AUTH)
    .union(Flags::ALLOW_BUSY);

const CATEGORIES: &[&str] = &["fast", "connection"];

pub(crate) static ROWS: &[Command] = &[
    Command::new("auth", -2, auth).group(Group::Connection, CATEGORIES).flags(HANDSHAKE).docs(
        "1.0.0",
        "O(N) where N is the number of passwords defined for the user",
        "[username] password",
        "Proves who the client is.",
    ),
    Command::new("echo", 2, echo)
        .group(Group::Connection, CATEGORIES)
        .flags(Flags::LOADING.union(Flags::STALE).union(Flags::FAST))
        .docs("1.0.0", "O(1)", "message", "Answers its argument."),
    Command::new("hello", -1, hello).group(Group::Connection, CATEGORIES).flags(HANDSHAKE).docs(
        "6.0.0",
        "O(1)",
        "[protover [AUTH username password] [SETNAME clientname]]",
        "Agrees on a protocol version, and authenticates and names the connection on the way.",
    ),
    Command::new("ping", -1, ping).group(Group::Connection, CATEGORIES).flags(Flags::FAST).docs(
        "1.0.0",
        "O(1)",
        "[message]",
        "Answers PONG, or its argument: shows that the server is there.",
    ),
    Command::new("quit", -1, quit).group(Group::Connection, CATEGORIES).flags(HANDSHAKE).docs(
        "1.0.0",
        "O(1)",
        "",
        "Closes the connection once everything before it is answered.",
    ),
    Command::new("reset", 1, reset).group(Group::Connection, CATEGORIES).flags(HANDSHAKE).reach(Reach::Watched).docs(
        "6.2.0",
        "O(1)",
        "",
        "Takes the connection back to the state of a new one.",
    ),
    Command::new("select", 2, select)
        .group(Group::Connection, CATEGORIES)
        .flags(Flags::LOADING.union(Flags::STALE).union(Flags::FAST))
        .docs("1.0.0", "O(1)", "index", "Changes the database that later commands mean."),
];

fn auth(call: &mut Call<'_>) -> Result<(), Error> {
    match *call.args {
        [_, password] => {
            if call.shared.config.requirepass().is_empty() {
                return Err(session::AUTH_WITHOUT_PASSWORD);
            }
            authenticate(call, b"default", password)?;
        }
        [_, user, password] => authenticate(call, user, password)?,
        _ => return Err(error::SYNTAX),
    }
    call.reply.ok();
    Ok(())
}

/// Lets the client in as `user`. There is one user, and without a password it takes any.
fn authenticate(call: &mut Call<'_>, user: &[u8], password: &[u8]) -> Result<(), Error> {
    let expected = call.shared.config.requirepass();
    if user != b"default" || !(expected.is_empty() || is_same(expected.as_bytes(), password)) {
        return Err(session::WRONG_PASS);
    }
    call.client.is_authenticated = true;
    Ok(())
}

/// Compares in a time that depends on the length of `given` only, so that the time tells nothing of the password.
fn is_same(expected: &[u8], given: &[u8]) -> bool {
    let padded = expected.iter().copied().chain(std::iter::repeat(0));
    let difference = padded.zip(given).fold(0, |difference, (expected, given)| difference | (expected ^ given));
    difference == 0 && expected.len() == given.len()
}

/// What the options of HELLO ask for, checked before any of it is done.
#[derive(Default)]
struct Hello<'a> {
    protocol: Option<Protocol>,
    login: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

impl<'a> Hello<'a> {
    fn parse(args: &[&'a [u8]]) -> Result<Hello<'a>, Error> {
        let mut hello = Hello::default();
        let Some((version, mut options)) = args.split_first() else { return Ok(hello) };
        hello.protocol = match arguments::parse_integer(version) {
            Some(2) => Some(Protocol::Resp2),
            Some(3) => Some(Protocol::Resp3),
            Some(_) => return Err(session::NO_PROTO),
            None => return Err(session::PROTOCOL_NOT_AN_INTEGER),
        };
        loop {
            options = match *options {
                [] => return Ok(hello),
                [option, user, password, ref rest @ ..] if arguments::is(option, "auth") => {
                    hello.login = Some((user, password));
                    rest
                }
                [option, name, ref rest @ ..] if arguments::is(option, "setname") => {
                    check_name(name)?;
                    hello.name = Some(name);
                    rest
                }
                [option, ..] => return Err(session::hello_option(option)),
            }
        }
    }
}

fn hello(call: &mut Call<'_>) -> Result<(), Error> {
    let hello = Hello::parse(&call.args[1..])?;
    if let Some((user, password)) = hello.login {
        authenticate(call, user, password)?;
    }
    if !call.client.is_authenticated {
        return Err(session::HELLO_NO_AUTH);
    }
    if let Some(name) = hello.name {
        set_name(call, name);
    }
    if let Some(protocol) = hello.protocol {
        set_protocol(call, protocol);
    }
    let (id, protocol) = (call.client.id, call.client.protocol);
    let reply = &mut call.reply;
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(protocol_number(protocol));
    reply.bulk(b"id");
    reply.integer(id.cast_signed());
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

/// 2 or 3.
pub(crate) fn protocol_number(protocol: Protocol) -> i64 {
    match protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    }
}

fn set_protocol(call: &mut Call<'_>, protocol: Protocol) {
    call.client.protocol = protocol;
    call.reply.set_protocol(protocol);
}

/// Fails unless `name` is printable ASCII without spaces, so that CLIENT LIST stays one line a client.
pub(crate) fn check_name(name: &[u8]) -> Result<(), Error> {
    if is_printable(name) { Ok(()) } else { Err(session::CLIENT_NAME_HAS_SPACES) }
}

/// Whether every byte is printable ASCII other than the space.
pub(crate) fn is_printable(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

/// Names the connection; an empty name takes the name away.
pub(crate) fn set_name(call: &mut Call<'_>, name: &[u8]) {
    call.client.handle.identity.lock().name = name.to_vec();
}

fn ping(call: &mut Call<'_>) -> Result<(), Error> {
    match *call.args {
        [_] => call.reply.simple("PONG"),
        [_, message] => call.reply.bulk(message),
        _ => return Err(error::wrong_arity(call.command.name)),
    }
    Ok(())
}

fn echo(call: &mut Call<'_>) -> Result<(), Error> {
    call.reply.bulk(call.args[1]);
    Ok(())
}

fn quit(call: &mut Call<'_>) -> Result<(), Error> {
    call.client.close_after_reply = true;
    call.reply.ok();
    Ok(())
}

/// As if the client had just connected, but for its id and what CLIENT SETINFO said.
fn reset(call: &mut Call<'_>) -> Result<(), Error> {
    client::stop_tracking(call.shared, call.client);
    call.client.transaction = None;
    call.client.watching.forget(&mut call.held);
    call.shared.monitors.remove(call.client.id);
    call.client.db = Db(0);
    // As in Redis, CLIENT REPLY SKIP holds for RESET too.
    if call.client.reply_mode != ReplyMode::Skip {
        call.client.reply_mode = ReplyMode::On;
    }
    call.client.is_no_touch = false;
    call.client.handle.set_flag(HandleFlags::NO_TOUCH.union(HandleFlags::NO_EVICT), false);
    call.client.is_authenticated = call.shared.config.requirepass().is_empty();
    set_name(call, b"");
    set_protocol(call, Protocol::Resp2);
    call.reply.simple("RESET");
    Ok(())
}

fn select(call: &mut Call<'_>) -> Result<(), Error> {
    let index = arguments::integer(call.args[1])?;
    if i32::try_from(index).is_err() {
        return Err(session::not_an_int());
    }
    let index = u16::try_from(index).ok().filter(|index| *index < call.shared.keyspace.databases());
    call.client.db = Db(index.ok_or(error::DB_OUT_OF_RANGE)?);
    call.reply.ok();
    Ok(())
}
