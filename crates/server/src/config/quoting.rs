//! Redis' quoting: a line of a file into words, and a word back into a line.
//!
//! Words are separated by white space. Inside double quotes `\n`, `\r`, `\t`, `\b`, `\a`, `\xHH` and `\<any>` are escapes;
//! inside single quotes only `\'` is. A closing quote ends its word.

use std::iter::Peekable;
use std::str::Bytes;

/// The words of `line`; `None` when its quotes are unbalanced or a word is not UTF-8.
pub(crate) fn split(line: &str) -> Option<Vec<String>> {
    let mut letters = line.bytes().peekable();
    let mut words = Vec::new();
    loop {
        while letters.next_if(u8::is_ascii_whitespace).is_some() {}
        if letters.peek().is_none() {
            return Some(words);
        }
        words.push(String::from_utf8(word(&mut letters)?).ok()?);
    }
}

fn word(letters: &mut Peekable<Bytes<'_>>) -> Option<Vec<u8>> {
    let mut word = Vec::new();
    while let Some(letter) = letters.next_if(|letter| !letter.is_ascii_whitespace()) {
        match letter {
            b'"' | b'\'' => {
                quoted(letters, letter, &mut word)?;
                return letters.peek().is_none_or(u8::is_ascii_whitespace).then_some(word);
            }
            letter => word.push(letter),
        }
    }
    Some(word)
}

fn quoted(letters: &mut Peekable<Bytes<'_>>, quote: u8, word: &mut Vec<u8>) -> Option<()> {
    loop {
        let letter = letters.next()?;
        match letter {
            b'\\' if quote == b'"' => word.push(escaped(letters)?),
            b'\\' if letters.next_if_eq(&b'\'').is_some() => word.push(b'\''),
            letter if letter == quote => return Some(()),
            letter => word.push(letter),
        }
    }
}

fn escaped(letters: &mut Peekable<Bytes<'_>>) -> Option<u8> {
    Some(match letters.next()? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        b'x' => {
            let mut ahead = letters.clone();
            match (ahead.next().and_then(hex), ahead.next().and_then(hex)) {
                (Some(high), Some(low)) => {
                    *letters = ahead;
                    high << 4 | low
                }
                _ => b'x',
            }
        }
        letter => letter,
    })
}

fn hex(letter: u8) -> Option<u8> {
    char::from(letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// `word` as [`split`] reads it back: bare where it can be.
pub(crate) fn quote(word: &str) -> String {
    let is_plain = |letter: char| !letter.is_whitespace() && !letter.is_control() && !"\"'\\#".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    let mut quoted = String::from("\"");
    for letter in word.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            letter if letter.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(letter))),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}
