//! Commands that go through a database: KEYS, SCAN, RANDOMKEY.

use crate::arguments::{integer, is};
use crate::call::Call;
use crate::error::{self, Error};
use crate::glob::{self, Case};
use scrubjay_keyspace::Cursor;
use scrubjay_resp::{Protocol, Reply};
use std::hash::{BuildHasher, RandomState};

const COUNT_DEFAULT: usize = 10;

pub(super) fn randomkey(call: &mut Call<'_>) -> Result<(), Error> {
    // Hashing nothing with fresh keys: the randomness of the standard library.
    let random = RandomState::new().hash_one(());
    match call.held.random_key(call.client.db, random) {
        Some(key) => call.reply.bulk(&key),
        None => call.reply.null(),
    }
    Ok(())
}

pub(super) fn keys(call: &mut Call<'_>) -> Result<(), Error> {
    let mut found = Found::new(Some(call.args[1]));
    call.held.for_each(call.client.db, |key, _| found.note(key));
    found.answer(&mut call.reply);
    Ok(())
}

pub(super) fn scan(call: &mut Call<'_>) -> Result<(), Error> {
    let cursor = parse_cursor(call.args[1]).ok_or_else(|| Error::new("ERR invalid cursor"))?;
    let (mut count, mut pattern, mut is_wanted_type) = (COUNT_DEFAULT, None, true);
    for pair in call.args[2..].chunks(2) {
        let &[option, value] = pair else { return Err(error::SYNTAX) };
        if is(option, "count") {
            count = usize::try_from(integer(value)?).ok().filter(|count| *count > 0).ok_or(error::SYNTAX)?;
        } else if is(option, "match") {
            pattern = Some(value);
        } else if is(option, "type") {
            is_wanted_type = is(value, "string");
        } else {
            return Err(error::SYNTAX);
        }
    }
    let mut found = Found::new(pattern);
    let next = call.held.scan(call.client.db, cursor, count, |key, _| {
        if is_wanted_type {
            found.note(key);
        }
    });
    call.reply.array(2);
    call.reply.bulk(next.0.to_string().as_bytes());
    found.answer(&mut call.reply);
    Ok(())
}

/// A cursor as Redis has `strtoul` read it: a sign is allowed, a minus wraps around, and nothing at all is the start.
fn parse_cursor(text: &[u8]) -> Option<Cursor> {
    if text.is_empty() {
        return Some(Cursor::START);
    }
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number: u64 = std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()?;
    Some(Cursor(if is_negative { number.wrapping_neg() } else { number }))
}

/// Keys that match, as the replies that they become: their number comes before them and is known after them.
struct Found<'p> {
    pattern: Option<&'p [u8]>,
    replies: Vec<u8>,
    count: usize,
}

impl<'p> Found<'p> {
    fn new(pattern: Option<&'p [u8]>) -> Found<'p> {
        Found { pattern: pattern.filter(|pattern| *pattern != b"*"), replies: Vec::new(), count: 0 }
    }

    fn note(&mut self, key: &[u8]) {
        if self.pattern.is_none_or(|pattern| glob::matches(pattern, key, Case::Sensitive)) {
            // Bulk strings are the same in both protocols.
            Reply::new(&mut self.replies, Protocol::Resp2).bulk(key);
            self.count += 1;
        }
    }

    fn answer(&self, reply: &mut Reply<'_>) {
        reply.array(self.count);
        reply.raw(&self.replies);
    }
}
