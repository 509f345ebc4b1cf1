//! The acts of [`scripts`](super::scripts) for servers that run none: what matters is watched, read, decided upon here, and written
//! in one transaction that the server refuses if something watched has changed.
//!
//! They need neither deadlines nor fences against themselves: a transaction that arrives late finds what it has watched
//! changed, since a removal always writes the tombstone, and every write the entry.

use super::link::{Link, Step, Trouble};
use super::names::KeyNames;
use super::scripts::{Act, Answer, Seen, TOMBSTONE_MS, Terms, decimal, raised, unexpected};
use super::stamps::{Head, floor_at, place_of, raise_at};
use crate::tags::Mark;
use redis::{Cmd, Value};

/// Does it as a transaction.
pub(super) async fn act(
    link: &Link,
    act: &Act<'_>,
    key: &[u8],
    names: &KeyNames,
    terms: &Terms,
) -> Result<Answer, Trouble> {
    let KeyNames { data, lease, tombstone, outdated, gone, free } = names;
    let kind = if matches!(act, Act::Release { is_outdated: false, .. }) { b'f' } else { b'k' };
    let told = tell(terms, kind, key);
    let result = match *act {
        Act::Begin { token, lease_ms, seen } => {
            let reads = [get(data), of("PTTL", data), of("PTTL", lease)];
            let decide = |answers| begin(answers, seen, || vec![set(lease, token, Some(lease_ms))]);
            link.transaction(&[data, lease], &reads, decide).await
        }
        Act::Renew { token, lease_ms } => {
            let mut renew = of("PEXPIRE", lease);
            renew.arg(lease_ms);
            owned(link, lease, token, vec![renew]).await
        }
        Act::Release { token, is_outdated } => {
            let mut commands = vec![of("DEL", lease), set(free, b"", None), of("DEL", free)];
            if is_outdated {
                commands.extend([of("UNLINK", data), set(outdated, b"", Some(TOMBSTONE_MS))]);
            }
            commands.extend(told);
            owned(link, lease, token, commands).await
        }
        Act::Fill { token, value, px } => {
            let mut commands = vec![set(data, value, px), of("DEL", lease)];
            commands.extend(told.clone());
            let filled = owned(link, lease, token, commands).await;
            or_give_up(link, names, told, Some(token), filled).await
        }
        Act::Insert { value, px } => {
            let mut commands = vec![set(data, value, px), of("DEL", lease)];
            commands.extend(told.clone());
            let watched: [&[u8]; 3] = [data, lease, tombstone];
            let inserted = link.transaction(&watched, &[of("PTTL", lease)], |_| Ok(commit(&commands))).await;
            or_give_up(link, names, told, None, inserted).await
        }
        Act::Remove { fence_ms } => {
            let reads = [of("EXISTS", data), redis::cmd("TIME")];
            let decide = |answers: Vec<Value>| remove(&answers, fence_ms, [data, lease, gone, tombstone], &told);
            let removed = link.transaction(&[data, lease, tombstone], &reads, decide).await;
            // No memory for the news and the tombstone: what is to go goes all the same.
            or_give_up(link, names, told.clone(), None, removed).await
        }
        Act::Replay { value, px, stored_at_ms, age_ms, fence_ms } => {
            let mut start = of("GETRANGE", data);
            start.arg(0).arg(23);
            let mut commands = vec![set(data, value, px), of("DEL", lease)];
            commands.extend(told);
            let instead: Vec<Cmd> = std::iter::once(of("DEL", data)).chain(commands[1..].iter().cloned()).collect();
            let reads = [start, get(tombstone), redis::cmd("TIME")];
            let decide = |answers: Vec<Value>| replay(&answers, stored_at_ms, age_ms, fence_ms, &commands, &instead);
            link.transaction(&[data, lease, tombstone], &reads, decide).await
        }
    };
    match result {
        Err(Trouble::WrongType) if !matches!(act, Act::Renew { .. }) => Ok(Answer::Unusable),
        Err(trouble) if is_oom(&Err(trouble.clone())) => Ok(Answer::Oom),
        other => other,
    }
}

/// [`raise`](super::scripts::raise) as a transaction.
pub(super) async fn raise(
    link: &Link,
    stamps: &[u8],
    mark: Mark,
    unix_ms: u64,
    terms: &Terms,
) -> Result<Option<(u64, u64)>, Trouble> {
    let mut read = of("GETRANGE", stamps);
    read.arg(0).arg(63);
    let decide = |answers: Vec<Value>| {
        let [Value::BulkString(bytes)] = &answers[..] else { return Err(unexpected()) };
        let Some(head) = Head::parse(bytes) else { return Ok(Step::Done(None)) };
        let number = head.sequence + 1;
        let sequence = format!("{number:016}");
        let cleared_ms = head.cleared_unix_ms.max(unix_ms);
        let mut commands = match mark {
            Mark::Cleared => vec![set_range(stamps, 16, &format!("{sequence}{sequence}{cleared_ms:016}"))],
            Mark::Floor(place) => {
                vec![set_range(stamps, 16, &sequence), set_range(stamps, floor_at(place), &sequence)]
            }
        };
        commands.push(set_range(stamps, raise_at(number), &format!("{sequence}{:08}", place_of(mark))));
        commands.extend(tell(terms, b't', b""));
        Ok(Step::Commit(commands, raised(format!("{:016x}{sequence}", head.generation).as_bytes())))
    };
    link.transaction(&[stamps], &[read], decide).await
}

/// [`replace`](super::scripts::replace) as a transaction.
pub(super) async fn replace(
    link: &Link,
    stamps: &[u8],
    generation: &[u8],
    new: &[u8],
    terms: &Terms,
) -> Result<(), Trouble> {
    let mut read = of("GETRANGE", stamps);
    read.arg(0).arg(15);
    let decide = |answers: Vec<Value>| match &answers[..] {
        [Value::BulkString(there)] if there == generation => {
            let mut commands = vec![set(stamps, new, None)];
            commands.extend(tell(terms, b't', b""));
            Ok(Step::Commit(commands, ()))
        }
        _ => Ok(Step::Done(())),
    };
    link.transaction(&[stamps], &[read], decide).await
}

fn begin(
    answers: Vec<Value>,
    seen: Option<Seen<'_>>,
    take: impl FnOnce() -> Vec<Cmd>,
) -> Result<Step<Answer>, Trouble> {
    let Ok([value, Value::Int(ttl), Value::Int(held)]) = <[Value; 3]>::try_from(answers) else {
        return Err(unexpected());
    };
    if let Value::BulkString(value) = value {
        let is_known = match seen {
            None => false,
            Some(Seen::Tail(tail)) => value[value.len().saturating_sub(4)..] == *tail,
            Some(Seen::Whole(whole)) => value == whole,
        };
        if !is_known {
            return Ok(Step::Done(Answer::Value(value.into(), ttl)));
        }
    }
    match u64::try_from(held) {
        Ok(held) => Ok(Step::Done(Answer::Held(held))),
        Err(_) => Ok(Step::Commit(take(), Answer::Done)),
    }
}

fn remove(
    answers: &[Value],
    fence_ms: u64,
    [data, lease, gone, tombstone]: [&Vec<u8>; 4],
    told: &[Cmd],
) -> Result<Step<Answer>, Trouble> {
    let [Value::Int(existed), time] = answers else { return Err(unexpected()) };
    let time_ms = server_ms(time).ok_or_else(unexpected)?;
    if time_ms <= fence_ms {
        return Ok(Step::Done(Answer::Early(time_ms)));
    }
    let mut commands = vec![of("UNLINK", data), of("DEL", lease)];
    if *existed == 0 {
        commands.extend([set(gone, b"", None), of("DEL", gone)]);
    }
    commands.push(set(tombstone, &decimal(time_ms), Some(TOMBSTONE_MS)));
    commands.extend_from_slice(told);
    Ok(Step::Commit(commands, if *existed == 0 { Answer::Nothing } else { Answer::Done }))
}

fn replay(
    answers: &[Value],
    stored_at_ms: u64,
    age_ms: u64,
    fence_ms: u64,
    commands: &[Cmd],
    instead: &[Cmd],
) -> Result<Step<Answer>, Trouble> {
    let [Value::BulkString(there), removed, time] = answers else { return Err(unexpected()) };
    let time_ms = server_ms(time).ok_or_else(unexpected)?;
    if time_ms <= fence_ms {
        return Ok(Step::Done(Answer::Early(time_ms)));
    }
    if !there.is_empty() {
        let there_ms = there.get(16..24).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        if !there.starts_with(b"SJ") || there_ms.is_none_or(|there_ms| there_ms > stored_at_ms) {
            return Ok(Step::Done(Answer::Nothing));
        }
    }
    if let Value::BulkString(removed) = removed {
        let removed_ms = std::str::from_utf8(removed).ok().and_then(|text| text.parse::<u64>().ok());
        if removed_ms.is_none_or(|removed_ms| removed_ms >= time_ms.saturating_sub(age_ms)) {
            // It is refused, and shows that what is there is older.
            return Ok(match there.is_empty() {
                true => Step::Done(Answer::Nothing),
                false => Step::Commit(instead.to_vec(), Answer::Nothing),
            });
        }
    }
    Ok(commit(commands))
}

/// Does these if the lease is that of `token`.
async fn owned(link: &Link, lease: &[u8], token: &[u8], commands: Vec<Cmd>) -> Result<Answer, Trouble> {
    let decide = |answers: Vec<Value>| match &answers[..] {
        [Value::BulkString(owner)] if owner == token => Ok(commit(&commands)),
        _ => Ok(Step::Done(Answer::Nothing)),
    };
    link.transaction(&[lease], &[get(lease)], decide).await
}

fn commit(commands: &[Cmd]) -> Step<Answer> {
    Step::Commit(commands.to_vec(), Answer::Done)
}

/// The answer; if there was no memory, what is there goes instead, if the lease is still that of `owner` where there is one.
async fn or_give_up(
    link: &Link,
    names: &KeyNames,
    told: Vec<Cmd>,
    owner: Option<&[u8]>,
    answer: Result<Answer, Trouble>,
) -> Result<Answer, Trouble> {
    if !is_oom(&answer) {
        return answer;
    }
    let KeyNames { data, lease, .. } = names;
    let mut commands = vec![of("UNLINK", data), of("DEL", lease)];
    commands.extend(told);
    let answer = match owner {
        Some(token) => owned(link, lease, token, commands).await?,
        None => link.transaction(&[data, lease], &[of("EXISTS", data)], |_| Ok(commit(&commands))).await?,
    };
    Ok(if answer == Answer::Done { Answer::Oom } else { answer })
}

/// A server refuses the transaction as a whole if it has refused a command of it.
fn is_oom(result: &Result<Answer, Trouble>) -> bool {
    match result {
        Err(Trouble::Oom) => true,
        Err(Trouble::Server(why)) => why.contains("EXECABORT") || why.contains("OOM"),
        _ => false,
    }
}

fn tell(terms: &Terms, kind: u8, what: &[u8]) -> Vec<Cmd> {
    let (channel, message) = terms.message(kind, what);
    let mut publish = of("PUBLISH", &channel);
    publish.arg(message);
    if channel.is_empty() { Vec::new() } else { vec![publish] }
}

/// The server's clock in Unix milliseconds.
pub(super) fn server_ms(time: &Value) -> Option<u64> {
    let Value::Array(parts) = time else { return None };
    let [Value::BulkString(seconds), Value::BulkString(micros)] = &parts[..] else { return None };
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<u64>().ok();
    number(seconds)?.checked_mul(1_000)?.checked_add(number(micros)? / 1_000)
}

fn get(name: &[u8]) -> Cmd {
    of("GET", name)
}

pub(super) fn of(command: &str, name: &[u8]) -> Cmd {
    let mut command = redis::cmd(command);
    command.arg(name);
    command
}

fn set(name: &[u8], value: &[u8], px: Option<u64>) -> Cmd {
    let mut command = of("SET", name);
    command.arg(value);
    if let Some(px) = px {
        command.arg("PX").arg(px.max(1));
    }
    command
}

fn set_range(name: &[u8], at: usize, text: &str) -> Cmd {
    let mut command = of("SETRANGE", name);
    command.arg(at).arg(text);
    command
}
