//! Which master of a cluster a command belongs to.
//!
//! A key lies in slot CRC-16(key) % 16,384, and of a key with `{...}` in it only what is between the first `{` and the
//! first `}` after it counts, if that is not empty (Redis Cluster Specification). The table may be behind the cluster: then the
//! node that was asked says where the slot is.

use super::trouble::Trouble;
use redis::{Arg, Cmd, Value};
use std::sync::atomic::{AtomicU16, Ordering};

pub(super) const SLOTS: u16 = 16_384;
/// A slot that nobody serves.
const NOBODY: u16 = u16::MAX;

/// For each slot, the number of the master that serves it.
pub(super) struct Slots {
    masters: Box<[AtomicU16]>,
}

/// What a node of a cluster says about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Topology {
    /// Host (empty: the one that was asked) and port of each master, in a fixed order.
    pub(super) masters: Vec<(String, u16)>,
    /// First slot, last slot, and the index of the master.
    pub(super) ranges: Vec<(u16, u16, usize)>,
}

/// Where a slot has gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    Moved {
        slot: u16,
        host: String,
        port: u16,
    },
    /// For this command alone.
    Ask {
        host: String,
        port: u16,
    },
}

impl Slots {
    pub(super) fn new(topology: &Topology) -> Slots {
        let slots = Slots { masters: (0..SLOTS).map(|_| AtomicU16::new(NOBODY)).collect() };
        slots.update(topology);
        slots
    }

    /// Takes over who serves what. The masters are those that it was made with.
    pub(super) fn update(&self, topology: &Topology) {
        for &(first, last, master) in &topology.ranges {
            (first..=last.min(SLOTS - 1)).for_each(|slot| self.set(slot, master));
        }
    }

    pub(super) fn set(&self, slot: u16, master: usize) {
        if let Some(place) = self.masters.get(usize::from(slot)) {
            place.store(u16::try_from(master).unwrap_or(NOBODY), Ordering::Relaxed);
        }
    }

    /// The master of a slot.
    pub(super) fn master(&self, slot: u16) -> Option<usize> {
        let master = self.masters.get(usize::from(slot))?.load(Ordering::Relaxed);
        (master != NOBODY).then_some(usize::from(master))
    }
}

/// The slot of a command's keys, which lie in one; nothing if it has no key.
pub(super) fn slot_of(command: &Cmd) -> Option<u16> {
    let mut parts = command.args_iter().map(|part| match part {
        Arg::Simple(bytes) => bytes,
        _ => b"",
    });
    let name = parts.next()?;
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    if is(b"EVALSHA") || is(b"EVAL") {
        let count = parts.nth(1)?;
        return (count != b"0").then(|| parts.next().map(slot_of_key)).flatten();
    }
    let has_no_key = [&b"PING"[..], b"PUBLISH", b"SCRIPT", b"CLUSTER", b"INFO", b"SCAN", b"DBSIZE", b"TIME"];
    if has_no_key.into_iter().any(is) {
        return None;
    }
    parts.next().map(slot_of_key)
}

pub(super) fn slot_of_key(key: &[u8]) -> u16 {
    let tag = key.iter().position(|&byte| byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let len = rest.iter().position(|&byte| byte == b'}')?;
        (len > 0).then(|| &rest[..len])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16 with the polynomial 0x1021 from 0 (XMODEM).
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        let index = usize::from((crc >> 8) ^ u16::from(byte));
        (crc << 8) ^ CRC16[index]
    })
}

const CRC16: [u16; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    let mut high: u16 = 0;
    while index < 256 {
        let mut crc = high << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
        high += 1;
    }
    table
};

/// Reads the answer to `CLUSTER SLOTS`.
///
/// # Errors
/// It is none, or the cluster has no slots.
pub(super) fn read_topology(answer: &Value) -> Result<Topology, Trouble> {
    let Value::Array(ranges) = answer else { return Err(Trouble::Server("CLUSTER SLOTS: no list".into())) };
    let mut topology = Topology { masters: Vec::new(), ranges: Vec::with_capacity(ranges.len()) };
    for range in ranges {
        let (first, last, host, port) =
            read_range(range).ok_or_else(|| Trouble::Server("CLUSTER SLOTS: no range".into()))?;
        let address = (host, port);
        let known = topology.masters.iter().position(|master| *master == address);
        let master = known.unwrap_or_else(|| {
            topology.masters.push(address);
            topology.masters.len() - 1
        });
        topology.ranges.push((first, last, master));
    }
    if topology.masters.is_empty() {
        return Err(Trouble::Away("the cluster serves no slots".into()));
    }
    topology.sort();
    Ok(topology)
}

impl Topology {
    fn sort(&mut self) {
        let mut sorted = self.masters.clone();
        sorted.sort_unstable();
        for (_, _, master) in &mut self.ranges {
            *master = sorted.binary_search(&self.masters[*master]).unwrap_or(0);
        }
        self.masters = sorted;
    }

    /// Whether every slot is somebody's.
    pub(super) fn is_whole(&self) -> bool {
        let served: u32 = self.ranges.iter().map(|&(first, last, _)| 1 + u32::from(last.saturating_sub(first))).sum();
        served >= u32::from(SLOTS)
    }
}

fn read_range(range: &Value) -> Option<(u16, u16, String, u16)> {
    let Value::Array(parts) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = &parts[..] else { return None };
    let [host, Value::Int(port), ..] = &master[..] else { return None };
    let host = match host {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok()?,
        Value::SimpleString(host) => host.clone(),
        _ => String::new(),
    };
    // What some servers say of a node whose name they do not know.
    let host = if host == "?" { String::new() } else { host };
    Some((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, host, u16::try_from(*port).ok()?))
}

/// Reads `MOVED 3999 10.0.0.1:6381` and `ASK 3999 10.0.0.1:6381`.
pub(super) fn read_redirect(code: &str, detail: &str) -> Option<Redirect> {
    let (slot, address) = detail.split_once(' ')?;
    let (host, port) = address.trim().rsplit_once(':')?;
    let (slot, host, port) = (slot.parse().ok()?, host.to_owned(), port.parse().ok()?);
    match code {
        "MOVED" => Some(Redirect::Moved { slot, host, port }),
        "ASK" => Some(Redirect::Ask { host, port }),
        _ => None,
    }
}
