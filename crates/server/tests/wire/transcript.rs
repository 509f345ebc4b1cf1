//! Transcripts: what they look like, and how one is spoken to two servers.
//!
//! A section per command row, `# name`, starts on empty databases with new connections. A line is a command, quoted as
//! redis-cli takes it (`"\x00"` in double quotes), and both servers must give the same reply, byte by byte. `2> command`
//! speaks on a second connection (`3>`, ...). Lines whose replies may differ start with a mark:
//!
//! - `~ttl` integers may lie 2 apart, or 2,000 if both are beyond 10,000
//! - `~any` the same types at every level, whatever the values
//! - `~kind` the same type at the top
//! - `~unordered` the same items in any order
//! - `~push` is no command: the next out-of-band push, in RESP3 only
//! - `~closed` is no command: the connection is closed by the server
//! - `~ignored` whatever comes
//! - `~7.2`, `~ours` and `~skip-oracle`: the reply is what the line `= reply` behind it says (as the failure of a test prints
//!   it); `=2` and `=3` are for one protocol. After `~7.2` the oracle (7.0) is older, after `~ours` we differ for the reason
//!   in the comment above: it must answer something else. It does not hear the command after `~skip-oracle`.
//!
//! `;` starts a comment.

use crate::client::Client;
use crate::frame::Frame;
use crate::servers::Address;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Exact,
    Ttl,
    Any,
    Kind,
    Unordered,
    Push,
    Closed,
    Ignored,
    Differs,
    SkipOracle,
}

const MARKS: &[(&str, Mark)] = &[
    ("~ttl", Mark::Ttl),
    ("~any", Mark::Any),
    ("~kind", Mark::Kind),
    ("~unordered", Mark::Unordered),
    ("~push", Mark::Push),
    ("~closed", Mark::Closed),
    ("~ignored", Mark::Ignored),
    ("~7.2", Mark::Differs),
    ("~ours", Mark::Differs),
    ("~skip-oracle", Mark::SkipOracle),
];

struct Line {
    number: usize,
    mark: Mark,
    connection: u8,
    text: String,
    args: Vec<Vec<u8>>,
    /// For RESP2 and RESP3.
    expected: [Option<String>; 2],
}

struct Section {
    name: String,
    lines: Vec<Line>,
}

/// Speaks the transcript to both servers in both protocols and says where they differ.
pub(crate) fn compare(name: &str, text: &str, ours: &Address, oracle: &Address) -> Vec<String> {
    let mut differences = Vec::new();
    for section in parse(text) {
        for protocol in [2, 3] {
            let mut talk = Talk { protocol, ours: Side::new(ours), oracle: Side::new(oracle) };
            for line in &section.lines {
                if let Err(difference) = talk.speak(line) {
                    differences.push(format!(
                        "{name}.txt:{} ({}, RESP{protocol}) {}\n{difference}",
                        line.number, section.name, line.text
                    ));
                }
            }
        }
    }
    differences
}

/// The names of the sections of a transcript.
pub(crate) fn sections(text: &str) -> Vec<String> {
    parse(text).into_iter().map(|section| section.name).collect()
}

struct Talk {
    protocol: usize,
    ours: Side,
    oracle: Side,
}

/// The connections to one of the servers.
struct Side {
    address: Address,
    connections: BTreeMap<u8, Client>,
}

impl Side {
    fn new(address: &Address) -> Side {
        let mut cleaner = Client::connect(address);
        assert_eq!(cleaner.say("FLUSHALL").bytes(), b"OK");
        Side { address: address.clone(), connections: BTreeMap::new() }
    }

    fn connection(&mut self, number: u8, protocol: usize) -> &mut Client {
        self.connections.entry(number).or_insert_with(|| {
            let mut client = Client::connect(&self.address);
            if protocol == 3 {
                assert_eq!(client.say("HELLO 3").kind(), b'%', "HELLO 3");
            }
            client
        })
    }

    fn call(&mut self, line: &Line, protocol: usize) -> Result<Frame, String> {
        let client = self.connection(line.connection, protocol);
        let mut bytes = Vec::new();
        crate::client::encode(&line.args, &mut bytes);
        if !client.send_raw(&bytes) {
            return Err("the connection is closed".into());
        }
        client.try_receive().map_err(|error| error.to_string())
    }
}

impl Talk {
    fn speak(&mut self, line: &Line) -> Result<(), String> {
        let protocol = self.protocol;
        match line.mark {
            Mark::Push if protocol == 2 => return Ok(()),
            Mark::Push => {
                let ours = self.ours.connection(line.connection, protocol).receive_push();
                let oracle = self.oracle.connection(line.connection, protocol).receive_push();
                return check(
                    line.mark,
                    ours.map_err(|error| error.to_string()),
                    oracle.map_err(|error| error.to_string()),
                );
            }
            Mark::Closed => {
                let ours = self.ours.connection(line.connection, protocol).is_closed();
                let oracle = self.oracle.connection(line.connection, protocol).is_closed();
                self.ours.connections.remove(&line.connection);
                self.oracle.connections.remove(&line.connection);
                return if ours && oracle { Ok(()) } else { Err(format!("  closed: ours {ours}, oracle {oracle}")) };
            }
            _ => {}
        }
        let ours = self.ours.call(line, protocol);
        if line.mark == Mark::SkipOracle {
            return check_expected(line, protocol, &ours, None);
        }
        let oracle = self.oracle.call(line, protocol);
        if line.mark == Mark::Differs {
            return check_expected(line, protocol, &ours, Some(&oracle));
        }
        check(line.mark, ours, oracle)
    }
}

fn check(mark: Mark, ours: Result<Frame, String>, oracle: Result<Frame, String>) -> Result<(), String> {
    let is_alike = match (&ours, &oracle) {
        (Ok(ours), Ok(oracle)) => match mark {
            Mark::Ttl => ours.is_near(oracle),
            Mark::Any => ours.is_shaped_like(oracle),
            Mark::Kind => ours.kind() == oracle.kind(),
            Mark::Ignored => true,
            Mark::Unordered => ours.sorted() == oracle.sorted(),
            _ => ours == oracle,
        },
        _ => false,
    };
    if is_alike { Ok(()) } else { Err(format!("  ours:   {}\n  oracle: {}", show(&ours), show(&oracle))) }
}

fn check_expected(
    line: &Line,
    protocol: usize,
    ours: &Result<Frame, String>,
    oracle: Option<&Result<Frame, String>>,
) -> Result<(), String> {
    let Some(expected) = &line.expected[protocol - 2] else { return Err("  no line `= reply`".into()) };
    if show(ours) != *expected {
        return Err(format!("  ours:     {}\n  expected: {expected}", show(ours)));
    }
    match oracle {
        Some(oracle) if show(oracle) == *expected => Err("  the oracle agrees: the mark is not needed".into()),
        _ => Ok(()),
    }
}

fn show(reply: &Result<Frame, String>) -> String {
    match reply {
        Ok(frame) => format!("{frame:?}"),
        Err(error) => format!("({error})"),
    }
}

fn parse(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with(';') {
            continue;
        }
        if let Some(name) = line.strip_prefix("# ") {
            sections.push(Section { name: name.into(), lines: Vec::new() });
            continue;
        }
        let section = sections.last_mut().unwrap_or_else(|| panic!("line {number}: no section yet"));
        match (line.strip_prefix('='), section.lines.last_mut()) {
            (Some(expected), Some(before)) => {
                let (digit, reply) = expected.split_once(' ').unwrap();
                for (protocol, place) in ["2", "3"].into_iter().zip(&mut before.expected) {
                    if digit.is_empty() || digit == protocol {
                        *place = Some(reply.trim().to_owned());
                    }
                }
            }
            _ => section.lines.push(parse_line(number, line)),
        }
    }
    sections
}

fn parse_line(number: usize, text: &str) -> Line {
    let (mut rest, mut mark, mut connection) = (text, Mark::Exact, 1);
    loop {
        let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        if let Some((_, found)) = MARKS.iter().find(|(name, _)| *name == word) {
            mark = *found;
        } else if let Some(Ok(found)) = word.strip_suffix('>').map(str::parse) {
            connection = found;
        } else {
            assert!(!word.starts_with('~'), "line {number}: no such mark as {word}");
            break;
        }
        rest = behind.trim_start();
    }
    let args = words(rest).unwrap_or_else(|| panic!("line {number}: unbalanced quotes"));
    Line { number, mark, connection, text: text.to_owned(), args, expected: [None, None] }
}

/// Splits as redis-cli does; `\x` escapes in double quotes. `{a*100}` in a word repeats a byte.
fn words(text: &str) -> Option<Vec<Vec<u8>>> {
    let (mut words, mut chars) = (Vec::new(), text.chars().peekable());
    loop {
        while chars.next_if_eq(&' ').is_some() {}
        let Some(first) = chars.peek().copied() else { return Some(words) };
        let mut word = Vec::new();
        let quote = (first == '"' || first == '\'').then_some(first);
        if quote.is_some() {
            chars.next();
        }
        loop {
            match (chars.next(), quote) {
                (None | Some(' '), None) => break,
                (None, Some(_)) => return None,
                (Some(end), Some(quote)) if end == quote => break,
                (Some('\\'), Some('"')) => word.push(match chars.next()? {
                    'n' => b'\n',
                    'r' => b'\r',
                    't' => b'\t',
                    'x' => u8::try_from(chars.next()?.to_digit(16)? * 16 + chars.next()?.to_digit(16)?).ok()?,
                    other => u8::try_from(other).ok()?,
                }),
                (Some(other), _) => word.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        words.push(repeated(&word).unwrap_or(word));
    }
}

fn repeated(word: &[u8]) -> Option<Vec<u8>> {
    let inner = std::str::from_utf8(word).ok()?.strip_prefix('{')?.strip_suffix('}')?;
    let (unit, count) = inner.split_once('*')?;
    Some(unit.repeat(count.parse().ok()?).into_bytes())
}
