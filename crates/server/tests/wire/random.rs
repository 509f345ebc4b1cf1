//! Commands made up at random, spoken to ours and to the oracle: every reply is compared, and at the end every key.
//!
//! Reproducible: `SCRUBJAY_SEED` is printed when a run fails and taken from the environment; `SCRUBJAY_COMMANDS` makes a run
//! long. Nothing depends on when a command runs: what expires does so far in the future or is over already.

use crate::client::Client;
use crate::frame::Frame;
use crate::servers::{Address, Oracle, Ours};
use std::collections::VecDeque;

/// How the replies to a command must be alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alike {
    Exact,
    /// Times may lie a little apart.
    Near,
    Unordered,
    /// Only the type must be the same.
    Kind,
}

use Alike::{Exact, Kind, Near, Unordered};

/// Weight, comparison and form of a command. A word is `|` between alternatives, each of them `:` between arguments; `?` before
/// it leaves it out half the time, `*` repeats it up to four times. `%` and a letter stand for a random argument, see
/// [`Random::argument`].
const FORMS: &[(u32, Alike, &str)] = &[
    (20, Exact, "SET %k %v"),
    (10, Exact, "SET %k %i"),
    (20, Exact, "SET %k %v ?NX|XX ?GET ?EX:%s|PX:%m|EXAT:%S|PXAT:%M|PXAT:%P|EXAT:%p|KEEPTTL"),
    (5, Exact, "SETNX %k %v"),
    (3, Exact, "SETEX %k %s %v"),
    (3, Exact, "PSETEX %k %m %v"),
    (20, Exact, "GET %k"),
    (5, Exact, "GETSET %k %v"),
    (8, Exact, "GETEX %k ?EX:%s|PX:%m|EXAT:%S|PXAT:%M|PXAT:%P|PERSIST"),
    (5, Exact, "GETDEL %k"),
    (8, Exact, "APPEND %k %v"),
    (5, Exact, "STRLEN %k"),
    (6, Exact, "GETRANGE|SUBSTR %k %n %n"),
    (6, Exact, "SETRANGE %k %o %v"),
    (6, Exact, "INCR|DECR %k"),
    (8, Exact, "INCRBY|DECRBY %k %i"),
    (6, Exact, "INCRBYFLOAT %k %f"),
    (6, Exact, "MGET *%k"),
    (6, Exact, "MSET *%k:%v"),
    (4, Exact, "MSETNX *%k:%v"),
    (4, Exact, "LCS %k %k ?LEN|IDX|IDX:WITHMATCHLEN|IDX:MINMATCHLEN:%n"),
    (8, Exact, "SETBIT %k %o 0|1"),
    (5, Exact, "GETBIT %k %o"),
    (6, Exact, "BITCOUNT %k ?%n:%n|%n:%n:BYTE|%n:%n:BIT"),
    (6, Exact, "BITPOS %k 0|1 ?%n|%n:%n|%n:%n:BYTE|%n:%n:BIT"),
    (6, Exact, "BITOP AND|OR|XOR %k *%k"),
    (3, Exact, "BITOP NOT %k %k"),
    (8, Exact, "BITFIELD %k ?OVERFLOW:WRAP|OVERFLOW:SAT|OVERFLOW:FAIL *GET:%t:%b|SET:%t:%b:%h|INCRBY:%t:%b:%i"),
    (3, Exact, "BITFIELD_RO %k *GET:%t:%b"),
    (6, Exact, "DEL|UNLINK *%k"),
    (5, Exact, "EXISTS|TOUCH *%k"),
    (3, Exact, "TYPE %k"),
    (6, Near, "TTL|PTTL|EXPIRETIME|PEXPIRETIME %k"),
    (5, Exact, "EXPIRE %k %s ?NX|XX|GT|LT"),
    (5, Exact, "PEXPIRE %k %m ?NX|XX|GT|LT"),
    (5, Exact, "EXPIREAT %k %S|%S|%S|%p ?NX|XX|GT|LT"),
    (5, Exact, "PEXPIREAT %k %M|%M|%M|%P ?NX|XX|GT|LT"),
    (4, Exact, "PERSIST %k"),
    (4, Exact, "RENAME|RENAMENX %k %k"),
    (5, Exact, "COPY %k %k ?DB:%d ?REPLACE"),
    (4, Exact, "MOVE %k %d"),
    (3, Kind, "RANDOMKEY"),
    (3, Unordered, "KEYS %g"),
    (3, Unordered, "SCAN 0 COUNT:10000 ?MATCH:%g ?TYPE:string"),
    // Keys that are over and were not met yet count.
    (3, Kind, "DBSIZE"),
    (6, Exact, "SELECT %d"),
    (2, Exact, "SWAPDB %d %d"),
    (1, Exact, "FLUSHDB"),
    (1, Exact, "FLUSHALL ?SYNC|ASYNC"),
    (3, Kind, "DUMP %k"),
    (8, Exact, "MULTI"),
    (12, Exact, "EXEC"),
    (3, Exact, "DISCARD"),
    (6, Exact, "WATCH *%k"),
    (2, Exact, "UNWATCH"),
    (2, Exact, "PING|ECHO %v"),
    (1, Exact, "nonsense %v"),
];

const KEYS: &[&[u8]] = &[
    b"a",
    b"b",
    b"counter",
    b"counter:2",
    b"bits",
    b"",
    b"with space",
    b"\x00\xff\r\n",
    b"a-longer-key-than-the-others-0123456789",
    b"[x]*",
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let at = self.below(choices.len() as u64);
        &choices[usize::try_from(at).unwrap()]
    }

    fn command(&mut self) -> (Vec<Vec<u8>>, Alike) {
        let total: u32 = FORMS.iter().map(|(weight, ..)| weight).sum();
        let mut at = self.below(u64::from(total));
        let (_, alike, form) = FORMS
            .iter()
            .find(|(weight, ..)| match at.checked_sub(u64::from(*weight)) {
                Some(rest) => {
                    at = rest;
                    false
                }
                None => true,
            })
            .unwrap();
        let mut args = form.split(' ').flat_map(|word| self.word(word)).collect::<Vec<_>>();
        // A walk in small steps depends on how keys lie in memory.
        if self.one_in(25) && args[0] != b"SCAN" {
            self.damage(&mut args);
        }
        (args, *alike)
    }

    fn word(&mut self, word: &str) -> Vec<Vec<u8>> {
        let (rest, times) = match word.split_at(1) {
            ("?", rest) => (rest, self.below(2)),
            ("*", rest) => (rest, 1 + self.below(4)),
            _ => (word, 1),
        };
        let mut args = Vec::new();
        for _ in 0..times {
            let choice = *self.of(&rest.split('|').collect::<Vec<_>>());
            args.extend(choice.split(':').map(|part| match part.strip_prefix('%') {
                Some(letter) => self.argument(letter),
                None => part.as_bytes().to_vec(),
            }));
        }
        args
    }

    fn argument(&mut self, letter: &str) -> Vec<u8> {
        const FAR_MS: u64 = 33_177_117_420_000;
        match letter {
            "k" => self.of(KEYS).to_vec(),
            "v" => self.value(),
            "i" => self.integer().to_string().into_bytes(),
            // Redis saturates numbers near -2^63 to the largest value of the type, since it overflows while it compares.
            "h" => (self.integer() / 2).to_string().into_bytes(),
            // An index from either end, a bit offset, a bitfield offset, a bitfield type.
            "n" => (self.below(60).cast_signed() - 30).to_string().into_bytes(),
            "o" => self.below(200).to_string().into_bytes(),
            "b" => format!("{}{}", self.of(&["", "#"]), self.below(40)).into_bytes(),
            "t" => format!("{}{}", self.of(&["u", "i"]), 1 + self.below(64)).into_bytes(),
            "f" => self.float().into_bytes(),
            "d" => self.below(3).to_string().into_bytes(),
            "g" => self.of(&["*", "a*", "*[a-c]*", "?", "counter*", "\\[x]\\*"]).as_bytes().to_vec(),
            // Relative and absolute times far ahead, absolute times in the past. In seconds, then in milliseconds.
            "s" => (10_000 + self.below(1_000_000_000)).to_string().into_bytes(),
            "m" => (10_000_000 + self.below(1_000_000_000_000)).to_string().into_bytes(),
            "S" => (FAR_MS / 1000 + self.below(3)).to_string().into_bytes(),
            "M" => (FAR_MS + self.below(3000)).to_string().into_bytes(),
            "p" => (1 + self.below(1_000_000_000)).to_string().into_bytes(),
            "P" => (1 + self.below(1_000_000_000_000)).to_string().into_bytes(),
            _ => panic!("no such argument as %{letter}"),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.below(8) {
            0 | 1 => self.integer().to_string().into_bytes(),
            2 => self.float().into_bytes(),
            3 => Vec::new(),
            4 => {
                let len = if self.one_in(10) { self.below(20_000) } else { self.below(300) };
                (0..len).map(|at| at.to_le_bytes()[0]).collect()
            }
            5 => b"hello world".to_vec(),
            _ => (0..self.below(20)).map(|_| self.next().to_le_bytes()[0]).collect(),
        }
    }

    fn integer(&mut self) -> i64 {
        match self.below(10) {
            0 => *self.of(&[i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1]),
            1 => self.next().cast_signed(),
            _ => self.below(200).cast_signed() - 100,
        }
    }

    fn float(&mut self) -> String {
        match self.below(8) {
            0 => (*self.of(&["3.0e3", "1e-5", "inf", "nan", "-0", "0x1p3", ".5", "5.", "1e300", "abc"])).into(),
            1 => self.integer().to_string(),
            _ => format!("{}.{:03}", self.below(2000).cast_signed() - 1000, self.below(1000)),
        }
    }

    /// Makes a mistake, as clients do.
    fn damage(&mut self, args: &mut Vec<Vec<u8>>) {
        let at = usize::try_from(self.below(args.len() as u64)).unwrap();
        match self.below(4) {
            0 if args.len() > 1 => drop(args.pop()),
            1 => args.push(self.value()),
            2 if at > 0 => args[at] = self.value(),
            _ => args.extend(args.last().cloned()),
        }
    }
}

/// One connection to each server that hear the same, and what their transaction has queued.
struct Pair {
    ours: Client,
    oracle: Client,
    queued: Vec<Alike>,
}

impl Pair {
    fn connect(ours: &Address, oracle: &Address, protocol: &str) -> Pair {
        let connect = |address| {
            let mut client = Client::connect(address);
            assert_ne!(client.call(&["HELLO", protocol]).kind(), b'-', "HELLO {protocol}");
            client
        };
        Pair { ours: connect(ours), oracle: connect(oracle), queued: Vec::new() }
    }

    fn call(&mut self, args: &[Vec<u8>], alike: Alike) -> Result<(), String> {
        let (ours, oracle) = (self.ours.call(args), self.oracle.call(args));
        let is_exec = args[0] == b"EXEC" && oracle.items().len() == self.queued.len();
        let is_alike = if oracle.bytes() == b"QUEUED" {
            self.queued.push(alike);
            ours == oracle
        } else if is_exec && !oracle.items().is_empty() {
            let queued = std::mem::take(&mut self.queued);
            let mut pairs = ours.items().iter().zip(oracle.items()).zip(queued);
            ours.items().len() == oracle.items().len()
                && pairs.all(|((ours, oracle), alike)| is(alike, ours, oracle) || is_same_error(ours, oracle))
        } else {
            if matches!(args[0].as_slice(), b"EXEC" | b"DISCARD" | b"MULTI") && oracle.kind() != b'-'
                || oracle.bytes().starts_with(b"EXECABORT")
            {
                self.queued.clear();
            }
            is(alike, &ours, &oracle) || is_same_error(&ours, &oracle)
        };
        if is_alike { Ok(()) } else { Err(format!("ours:   {ours:?}\noracle: {oracle:?}")) }
    }
}

fn is(alike: Alike, ours: &Frame, oracle: &Frame) -> bool {
    match alike {
        Exact => ours == oracle,
        Near => ours.is_near(oracle),
        Unordered => ours.sorted() == oracle.sorted(),
        Kind => ours.kind() == oracle.kind() && ours.is_null() == oracle.is_null(),
    }
}

/// An error may quote what the client sent. We answer UTF-8, Redis answers the bytes up to the first zero: from the first byte
/// on that is not printable, anything goes.
fn is_same_error(ours: &Frame, oracle: &Frame) -> bool {
    let printable = ours.bytes().split(|byte| !(b' '..=b'~').contains(byte)).next().unwrap_or_default();
    ours.kind() == b'-'
        && oracle.kind() == b'-'
        && printable.len() < ours.bytes().len()
        && oracle.bytes().starts_with(printable)
}

fn show(args: &[Vec<u8>]) -> String {
    args.iter().map(|arg| format!("\"{}\"", arg.escape_ascii())).collect::<Vec<_>>().join(" ")
}

/// Every key of every database: its value, and when it expires.
fn compare_keys(pair: &mut Pair) -> Result<(), String> {
    let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    for db in 0..3 {
        pair.call(&words(&format!("SELECT {db}")), Exact)?;
        pair.call(&words("KEYS *"), Unordered).map_err(|difference| format!("keys of database {db}\n{difference}"))?;
        for key in KEYS {
            for (name, alike) in [("TYPE", Exact), ("GET", Exact), ("PEXPIRETIME", Near)] {
                let args = [name.as_bytes().to_vec(), key.to_vec()];
                pair.call(&args, alike)
                    .map_err(|difference| format!("database {db}, {}\n{difference}", show(&args)))?;
            }
        }
        pair.call(&words("DBSIZE"), Exact)?;
    }
    Ok(())
}

fn number_from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

fn check(seed: u64, threads: usize) {
    let seed = number_from_environment("SCRUBJAY_SEED").unwrap_or(seed);
    let count = number_from_environment("SCRUBJAY_COMMANDS").unwrap_or(4_000);
    let (ours, oracle) = (Ours::start(threads), Oracle::start());
    let mut random = Random(seed);
    let mut pairs = ["2", "3", "3"].map(|protocol| Pair::connect(&ours.address, &oracle.address, protocol));
    let mut history = VecDeque::new();
    for number in 0..count {
        let (args, alike) = random.command();
        let at = usize::try_from(random.below(pairs.len() as u64)).unwrap();
        history.push_back(format!("{at}> {}", show(&args)));
        if history.len() > 25 {
            history.pop_front();
        }
        if let Err(difference) = pairs[at].call(&args, alike) {
            let history: Vec<String> = history.into();
            panic!("SCRUBJAY_SEED={seed}, command {number}\n{}\n{difference}", history.join("\n"));
        }
    }
    let mut pair = Pair::connect(&ours.address, &oracle.address, "3");
    compare_keys(&mut pair).unwrap_or_else(|difference| panic!("SCRUBJAY_SEED={seed}, at the end: {difference}"));
}

#[test]
fn random_commands_are_answered_as_redis_does_on_one_thread() {
    check(20_261_121, 1);
}

#[test]
fn random_commands_are_answered_as_redis_does_on_four_threads() {
    check(4_711, 4);
}
