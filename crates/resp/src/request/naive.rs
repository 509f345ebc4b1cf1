//! The parser as one would write it without a thought for speed: the reference that the real one is compared with, in the
//! tests here and in `fuzz/`. Sees the whole input at once, copies everything, knows only the default limits. Stands alone,
//! so that the fuzz target can include this very file.

/// What a request at the start of some bytes is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A whole request of so many bytes.
    Complete(Vec<Vec<u8>>, usize),
    /// More bytes are needed.
    Incomplete,
    /// The text behind `Protocol error: `, without the byte that `expected '$'` names.
    Error(&'static str),
}

const LINE_MAX: usize = 64 << 10;

/// Parses the request at the start of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Outcome {
    let parsed = match bytes.first() {
        None => return Outcome::Incomplete,
        Some(b'*') => multibulk(bytes),
        Some(_) => inline(bytes),
    };
    match parsed {
        Ok((args, len)) => Outcome::Complete(args, len),
        Err(stop) => stop,
    }
}

type Parsed = Result<(Vec<Vec<u8>>, usize), Outcome>;

fn multibulk(bytes: &[u8]) -> Parsed {
    let (line, mut rest) = line(bytes, b'\r', 1, "too big mbulk count string")?;
    let count = number(&line[1..], i64::from(i32::MIN), i64::from(i32::MAX));
    let count = count.ok_or(Outcome::Error("invalid multibulk length"))?;
    let mut args = Vec::new();
    for _ in 0..count {
        let (header, body) = self::line(rest, b'\r', 1, "too big bulk count string")?;
        if header.first() != Some(&b'$') {
            return Err(Outcome::Error("expected '$'"));
        }
        let len = number(&header[1..], 0, 512 << 20).and_then(|len| usize::try_from(len).ok());
        let len = len.ok_or(Outcome::Error("invalid bulk length"))?;
        if body.len() < len + 2 {
            return Err(Outcome::Incomplete);
        }
        args.push(body[..len].to_vec());
        rest = &body[len + 2..];
    }
    Ok((args, bytes.len() - rest.len()))
}

fn inline(bytes: &[u8]) -> Parsed {
    let (line, rest) = line(bytes, b'\n', 0, "too big inline request")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let args = words(line).ok_or(Outcome::Error("unbalanced quotes in request"))?;
    Ok((args, bytes.len() - rest.len()))
}

fn line<'a>(bytes: &'a [u8], end: u8, skipped: usize, error: &'static str) -> Result<(&'a [u8], &'a [u8]), Outcome> {
    match bytes.iter().position(|byte| *byte == end) {
        Some(at) if at > LINE_MAX => Err(Outcome::Error(error)),
        Some(at) if bytes.len() > at + skipped => Ok((&bytes[..at], &bytes[at + 1 + skipped..])),
        None if bytes.len() > LINE_MAX => Err(Outcome::Error(error)),
        _ => Err(Outcome::Incomplete),
    }
}

fn number(text: &[u8], min: i64, max: i64) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text && (number >= min || min < 0) && number <= max).then_some(number)
}

fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let is_space = |byte: &u8| b" \t\n\x0b\x0c\r".contains(byte);
    let (mut words, mut rest) = (Vec::new(), line.iter().copied().collect::<std::collections::VecDeque<u8>>());
    loop {
        while rest.front().is_some_and(is_space) {
            rest.pop_front();
        }
        if rest.is_empty() {
            return Some(words);
        }
        let (mut word, mut quote) = (Vec::new(), None);
        loop {
            match (quote, rest.pop_front()) {
                (None, None) => break,
                (None, Some(b' ' | b'\t' | b'\n' | b'\r')) => break,
                (None, Some(byte @ (b'"' | b'\''))) => quote = Some(byte),
                (Some(_), None) => return None,
                (Some(open), Some(byte)) if open == byte => {
                    if rest.front().is_some_and(|next| !is_space(next)) {
                        return None;
                    }
                    break;
                }
                (Some(b'\''), Some(b'\\')) if rest.front() == Some(&b'\'') => word.extend(rest.pop_front()),
                (Some(b'"'), Some(b'\\')) if !rest.is_empty() => word.push(escape(&mut rest)),
                (_, Some(byte)) => word.push(byte),
            }
        }
        words.push(word);
    }
}

fn escape(rest: &mut std::collections::VecDeque<u8>) -> u8 {
    let digits: Vec<u8> = rest.iter().skip(1).take(2).copied().collect();
    match rest.pop_front() {
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'b') => 8,
        Some(b'a') => 7,
        Some(b'x') if digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit) => {
            rest.drain(..2);
            u8::from_str_radix(&String::from_utf8_lossy(&digits), 16).unwrap_or_default()
        }
        other => other.unwrap_or_default(),
    }
}
