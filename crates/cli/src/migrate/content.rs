//! Values as what they are, for servers that do not understand each other's DUMP, and to tell whether two values are the
//! same: DUMP of the same set may have its members in another order.

use super::reply;
use super::server::{about, command};
use super::store::{Answer, Group, Store, time_to_live};
use super::stream::{self, Stream};
use anyhow::{Result, anyhow, bail};
use redis::{Cmd, Value};

/// Arguments of a command at most: a value goes in pieces.
const PIECE: usize = 512;

/// What a key holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    String(Vec<u8>),
    List(Vec<Vec<u8>>),
    /// In the order of the bytes.
    Set(Vec<Vec<u8>>),
    /// In the order of the fields; with the time at which a field expires.
    Hash(Vec<(Vec<u8>, Vec<u8>, Option<i64>)>),
    /// In the order of the members.
    SortedSet(Vec<(Vec<u8>, Score)>),
    Stream(Box<Stream>),
}

/// A score, as its server wrote it; equal if the number is.
#[derive(Clone, Debug)]
pub(super) struct Score(Vec<u8>);

impl PartialEq for Score {
    fn eq(&self, other: &Score) -> bool {
        let number = |score: &Score| std::str::from_utf8(&score.0).ok()?.parse::<f64>().ok();
        self.0 == other.0 || number(self).is_some_and(|own| number(other) == Some(own))
    }
}

/// When a key expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    Never,
    /// Unix time in milliseconds.
    At(i64),
    /// Milliseconds from when it was read.
    In(i64),
}

impl Expiry {
    /// What PTTL or PEXPIRETIME answered; `None` is a key that is gone.
    pub(super) fn read(reply: Value, is_absolute: bool) -> Result<Option<Expiry>> {
        Ok(match reply::integer(reply)? {
            -2 => None,
            at if at < 0 => Some(Expiry::Never),
            at if is_absolute => Some(Expiry::At(at)),
            // Less than a millisecond is left; 0 would mean for ever.
            left => Some(Expiry::In(left.max(1))),
        })
    }
}

/// A value with its time.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) content: Content,
    pub(super) expiry: Expiry,
}

impl Content {
    /// The name of its type, as TYPE has it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Content::String(_) => "string",
            Content::List(_) => "list",
            Content::Set(_) => "set",
            Content::Hash(_) => "hash",
            Content::SortedSet(_) => "zset",
            Content::Stream(_) => "stream",
        }
    }

    /// The command without which it cannot be made.
    fn maker(&self) -> &'static str {
        match self {
            Content::String(_) => "SET",
            Content::List(_) => "RPUSH",
            Content::Set(_) => "SADD",
            Content::Hash(fields) if fields.iter().any(|(.., at)| at.is_some()) => "HPEXPIREAT",
            Content::Hash(_) => "HSET",
            Content::SortedSet(_) => "ZADD",
            Content::Stream(_) => "XADD",
        }
    }

    /// The commands that make it.
    fn commands(&self, key: &[u8]) -> Vec<Cmd> {
        let mut commands = Vec::new();
        let mut pieces = |name: &str, items: &mut dyn Iterator<Item = &[u8]>| {
            let items: Vec<&[u8]> = items.collect();
            for piece in items.chunks(PIECE) {
                let mut command = about(&[name], key);
                piece.iter().for_each(|item| {
                    command.arg(*item);
                });
                commands.push(command);
            }
        };
        match self {
            Content::String(value) => {
                let mut set = about(&["SET"], key);
                set.arg(value.as_slice());
                commands.push(set);
            }
            Content::List(items) => pieces("RPUSH", &mut items.iter().map(Vec::as_slice)),
            Content::Set(items) => pieces("SADD", &mut items.iter().map(Vec::as_slice)),
            Content::Hash(fields) => {
                let items = fields.iter().flat_map(|(field, value, _)| [field.as_slice(), value.as_slice()]);
                pieces("HSET", &mut { items });
                for (field, _, at) in fields {
                    let Some(at) = at else { continue };
                    let mut expire = about(&["HPEXPIREAT"], key);
                    expire.arg(*at).arg("FIELDS").arg(1).arg(field.as_slice());
                    commands.push(expire);
                }
            }
            Content::SortedSet(members) => {
                let items = members.iter().flat_map(|(member, score)| [score.0.as_slice(), member.as_slice()]);
                pieces("ZADD", &mut { items });
            }
            Content::Stream(stream) => commands.extend(stream.commands(key)),
        }
        commands
    }
}

/// Reads keys as what they are; `None` is a key that is gone. With `is_absolute` the times are Unix times.
///
/// # Errors
/// What ends the whole copy. What concerns one key is in its place.
pub(super) async fn read(store: &mut Store, keys: &[Vec<u8>], is_absolute: bool) -> Result<Vec<Result<Option<Held>>>> {
    let groups: Vec<Group> = keys.iter().map(|key| Group::plain(key, vec![about(&["TYPE"], key)])).collect();
    let kinds = store.ask(&groups).await?;
    let mut held = Vec::with_capacity(keys.len());
    for (key, kind) in keys.iter().zip(kinds) {
        let kind = kind.replies().and_then(|mut replies| reply::text(replies.pop().unwrap_or_default()));
        held.push(match kind {
            Ok(kind) => read_one(store, key, &kind, is_absolute).await?,
            Err(error) => Err(error),
        });
    }
    Ok(held)
}

async fn read_one(store: &mut Store, key: &[u8], kind: &str, is_absolute: bool) -> Result<Result<Option<Held>>> {
    let command = match kind {
        "none" => return Ok(Ok(None)),
        "string" => about(&["GET"], key),
        "list" => ranged(about(&["LRANGE"], key), &["0", "-1"]),
        "set" => about(&["SMEMBERS"], key),
        "hash" => about(&["HGETALL"], key),
        "zset" => ranged(about(&["ZRANGE"], key), &["0", "-1", "WITHSCORES"]),
        "stream" => ranged(about(&["XRANGE"], key), &["-", "+"]),
        other => return Ok(Err(anyhow!("the type {other} can be copied by DUMP alone, which does not fit here"))),
    };
    let groups = [Group::atomic(key, vec![command, time_to_live(key, is_absolute)])];
    let Some(answer) = store.ask(&groups).await?.pop() else { bail!("no answer came") };
    let held = match held(answer, kind, is_absolute) {
        Ok(Some(held)) => held,
        other => return Ok(other),
    };
    let content = match held.content {
        Content::Stream(stream) => stream::with_groups(store, key, *stream).await?.map(Content::Stream),
        Content::Hash(fields) => with_times_of_fields(store, key, fields).await?.map(Content::Hash),
        content => Ok(content),
    };
    Ok(content.map(|content| Some(Held { content, ..held })))
}

fn ranged(mut command: Cmd, words: &[&str]) -> Cmd {
    words.iter().for_each(|word| {
        command.arg(*word);
    });
    command
}

fn held(answer: Answer, kind: &str, is_absolute: bool) -> Result<Option<Held>> {
    let mut replies = answer.replies()?.into_iter();
    let (value, expiry) = (replies.next().unwrap_or_default(), replies.next().unwrap_or_default());
    let Some(expiry) = Expiry::read(expiry, is_absolute)? else { return Ok(None) };
    let strings = |value: Value| reply::array(value)?.into_iter().map(reply::bytes).collect::<Result<Vec<_>>>();
    let content = match kind {
        "string" => Content::String(reply::bytes(value)?),
        "list" => Content::List(strings(value)?),
        "set" => {
            let mut members = strings(value)?;
            members.sort_unstable();
            Content::Set(members)
        }
        "hash" => {
            let mut fields: Vec<_> =
                reply::pairs(value)?.into_iter().map(|(field, value)| (field, value, None)).collect();
            fields.sort_unstable();
            Content::Hash(fields)
        }
        "zset" => {
            let mut members: Vec<_> =
                reply::pairs(value)?.into_iter().map(|(member, score)| (member, Score(score))).collect();
            members.sort_unstable_by(|one, other| one.0.cmp(&other.0));
            Content::SortedSet(members)
        }
        _ => Content::Stream(Box::new(Stream::of_entries(value)?)),
    };
    Ok(Some(Held { content, expiry }))
}

type Fields = Vec<(Vec<u8>, Vec<u8>, Option<i64>)>;

/// Servers since Redis 7.4 let single fields expire; others do not know the question.
async fn with_times_of_fields(store: &mut Store, key: &[u8], mut fields: Fields) -> Result<Result<Fields>> {
    if !store.knows("HPEXPIRETIME").await? {
        return Ok(Ok(fields));
    }
    for piece in fields.chunks_mut(PIECE) {
        let mut ask = about(&["HPEXPIRETIME"], key);
        ask.arg("FIELDS").arg(piece.len());
        piece.iter().for_each(|(field, ..)| {
            ask.arg(field.as_slice());
        });
        let Some(answer) = store.ask(&[Group::plain(key, vec![ask])]).await?.pop() else { bail!("no answer came") };
        let times = answer.replies().and_then(|mut replies| {
            let times = reply::array(replies.pop().unwrap_or_default())?;
            times.into_iter().map(reply::integer).collect::<Result<Vec<_>>>()
        });
        match times {
            Ok(times) => piece.iter_mut().zip(times).for_each(|((.., at), time)| *at = (time > 0).then_some(time)),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(fields))
}

/// What became of writing a key.
#[derive(Debug)]
pub(super) enum Written {
    Done,
    /// The target has the key already, and it was left alone.
    Exists,
    Refused(String),
}

/// Writes one key as what it is, whole or not at all.
pub(super) async fn write(store: &mut Store, key: &[u8], held: &Held, replaces: bool) -> Result<Written> {
    let maker = held.content.maker();
    if !store.knows(maker).await? {
        return Ok(Written::Refused(format!("it has no {maker}")));
    }
    if !replaces {
        let watched = [Group::plain(key, vec![about(&["WATCH"], key), about(&["EXISTS"], key)])];
        let Some(answer) = store.ask(&watched).await?.pop() else { bail!("no answer came") };
        let exists = answer.replies().and_then(|mut replies| reply::integer(replies.pop().unwrap_or_default()));
        match exists {
            Ok(0) => {}
            Ok(_) => {
                store.ask(&[Group::plain(key, vec![command(&["UNWATCH"])])]).await?;
                return Ok(Written::Exists);
            }
            Err(error) => return Ok(Written::Refused(error.to_string())),
        }
    }
    let mut commands = if replaces { vec![about(&["DEL"], key)] } else { Vec::new() };
    commands.extend(held.content.commands(key));
    let (name, time) = match held.expiry {
        Expiry::Never => ("", 0),
        Expiry::At(at) => ("PEXPIREAT", at),
        Expiry::In(left) => ("PEXPIRE", left),
    };
    if !name.is_empty() {
        let mut expire = about(&[name], key);
        expire.arg(time);
        commands.push(expire);
    }
    let Some(answer) = store.ask(&[Group::atomic(key, commands)]).await?.pop() else { bail!("no answer came") };
    Ok(match answer {
        Answer::Changed => Written::Exists,
        Answer::Refused(error) => Written::Refused(reply::said(&error)),
        Answer::Replies(replies) => match reply::first_error(&replies).map(reply::said) {
            None => Written::Done,
            Some(said) => {
                // Half of it is there, which nobody wants.
                store.ask(&[Group::plain(key, vec![about(&["DEL"], key)])]).await?;
                Written::Refused(said)
            }
        },
    })
}
