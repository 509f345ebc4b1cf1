//! What the keyspace says it takes against what the system says the process has: resident pages, read from /proc.
//!
//! One test in a process of its own, since every other thread's memory would be counted with it. Knows the public interface
//! only. At full size the two agree within a tenth; after deletes both have fallen to at most one and a half shares.
#![cfg(target_os = "linux")]
#![allow(clippy::cast_possible_truncation, reason = "test data is cut to size")]

use scrubjay_keyspace::{Db, Expiry, Keyspace, Options};

const KEYS: u64 = 1_000_000;
/// For the cases that do not need so many.
const FEWER_KEYS: u64 = 400_000;
const NOW_MS: u64 = 1_800_000_000_000;
/// What the process itself may take on the side.
const SLACK: usize = 4 << 20;

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm.split_whitespace().nth(1).expect("the second field is the resident size");
    pages.parse::<usize>().expect("a number") * 4096
}

struct Subject {
    space: Keyspace,
    base: usize,
    case: &'static str,
}

impl Subject {
    fn new(case: &'static str, stripes: u32) -> Subject {
        let base = resident_bytes();
        let space = Keyspace::new(Options { stripes, hash_seed: Some(7), ..Options::default() })
            .expect("the options are in range");
        Subject { space, base, case }
    }

    fn each(
        &self,
        indices: impl Iterator<Item = u64>,
        mut act: impl FnMut(&mut scrubjay_keyspace::Held<'_>, &[u8], u64),
    ) {
        for index in indices {
            let name = format!("{:016}", index * 7919);
            let pass = self.space.pass(0);
            act(&mut pass.latch_one(self.space.key(name.as_bytes()).hash, NOW_MS), name.as_bytes(), index);
        }
    }

    /// Stores `keys` values, then notes how large they are as a server would from time to time.
    fn fill(&self, keys: u64, expiry: Expiry, len_of: impl Fn(u64) -> usize) {
        let value = vec![7; 64 << 10];
        self.each(0..keys, |held, name, index| {
            let key = held.key(name);
            held.set(Db(0), &key, &value[..len_of(index)], expiry).expect("there is room");
        });
        self.give_back();
    }

    /// Deletes nine of ten.
    fn thin_out(&self, keys: u64) {
        self.each((0..keys).filter(|index| index % 10 != 3), |held, name, _| {
            let key = held.key(name);
            assert!(held.remove(Db(0), &key));
        });
        self.give_back();
    }

    /// As a server does from time to time.
    fn give_back(&self) {
        if self.space.is_worth_giving_back() {
            self.space.give_back();
        }
    }

    fn resident(&self) -> usize {
        resident_bytes().saturating_sub(self.base)
    }

    /// The two accounts agree within a tenth. Returns the resident one.
    fn agree(&self, when: &str) -> usize {
        let (used, resident) = (self.space.memory_used(), self.resident());
        let spread = used / 10 + SLACK / 4;
        let case = self.case;
        assert!(resident.abs_diff(used) <= spread, "{case}, {when}: {used} bytes used, {resident} are resident");
        resident
    }

    /// What is left after [`Subject::thin_out`] costs at most one and a half times its share.
    fn has_fallen(&self, full: usize) {
        let (used, resident, share) = (self.space.memory_used(), self.resident(), full / 10);
        let case = self.case;
        assert!(used <= share * 3 / 2 + SLACK, "{case}: {used} bytes used where {share} are the share");
        assert!(resident <= share * 3 / 2 + SLACK, "{case}: {resident} bytes are resident where {share} are the share");
    }
}

fn filled_and_thinned_out(case: &'static str, keys: u64, expiry: Expiry, value_len: usize) {
    let subject = Subject::new(case, 32);
    subject.fill(keys, expiry, |_| value_len);
    let full = subject.agree("full");
    subject.thin_out(keys);
    subject.has_fallen(full);
}

fn overwritten() {
    let subject = Subject::new("overwritten", 32);
    for (from, to) in [(32, 33), (10, 300), (100, 101), (20, 60)] {
        subject.fill(FEWER_KEYS, Expiry::Clear, |index| (from + index % (to - from)) as usize);
        subject.agree("overwritten");
    }
    let full = subject.resident();
    subject.thin_out(FEWER_KEYS);
    subject.has_fallen(full);
}

/// Huge pages must not come back whole where a few small ones are touched.
fn gathered() {
    let subject = Subject::new("gathered", 4);
    subject.fill(FEWER_KEYS, Expiry::Clear, |_| 32);
    while subject.space.gather_some(0, 1, 64) > 0 {}
    let full = subject.agree("gathered");
    subject.thin_out(FEWER_KEYS);
    subject.has_fallen(full);
    subject.fill(FEWER_KEYS / 5, Expiry::Clear, |_| 100);
    subject.agree("filled again");
    while subject.space.gather_some(0, 1, 64) > 0 {}
    subject.space.exclusive().hold_all(NOW_MS).flush(Db(0));
    subject.fill(100, Expiry::Clear, |_| 32);
    subject.agree("filled after a flush");
}

fn flushed() {
    let subject = Subject::new("flushed", 32);
    subject.fill(FEWER_KEYS, Expiry::Clear, |_| 32);
    subject.space.exclusive().hold_all(NOW_MS).flush(Db(0));
    assert_eq!(subject.space.memory_used(), 0);
    assert!(subject.resident() <= SLACK, "{} bytes are resident after a flush", subject.resident());
}

#[test]
fn what_is_charged_is_what_is_resident() {
    let expiry = Expiry::At(NOW_MS + 1_000_000);
    filled_and_thinned_out("32 bytes", KEYS, Expiry::Clear, 32);
    filled_and_thinned_out("32 bytes with an expiry", KEYS, expiry, 32);
    filled_and_thinned_out("256 bytes", KEYS, Expiry::Clear, 256);
    filled_and_thinned_out("20,000 bytes", 10_000, Expiry::Clear, 20_000);
    overwritten();
    gathered();
    flushed();
}
