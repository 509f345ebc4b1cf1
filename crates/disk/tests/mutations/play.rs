//! A store whose files were changed as an input says, from outside of the engine: nothing panics, nothing takes more memory than
//! the files are long, what is served is what was stored, and what opening found is what looking at it had said.
//!
//! The fuzz target `segment` includes this file and brings the inputs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use scrubjay_disk::{Device, ErrorKind, Namespace, Options, SimulatedDevice, Store, inspect_on, verify_on};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

const STORE_ID: u64 = 0x5c2b_1a90_0000_0001;
const KEYS: u8 = 60;

/// The files of a store in three segments, the last of which has no footer.
fn base() -> &'static BTreeMap<String, Vec<u8>> {
    static BASE: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    BASE.get_or_init(|| {
        let device = SimulatedDevice::new(1);
        // An identity of our own, so that an input means the same in every process.
        let mut manifest = vec![0; 64];
        manifest[..8].copy_from_slice(b"SJ-MANIF");
        manifest[8] = 1;
        manifest[16..24].copy_from_slice(&STORE_ID.to_le_bytes());
        manifest[24] = 7;
        manifest[32..40].copy_from_slice(&(64_u64 << 10).to_le_bytes());
        sign(&mut manifest);
        device.set_contents("manifest", manifest);
        let store = open(&device).unwrap();
        let [jays, crows] = ["jays", "crows"].map(|name| store.namespace(name).unwrap());
        for round in 0..4_u8 {
            for key in 0..KEYS {
                let value = value(key, round);
                jays.put(&[key], &value).unwrap();
                crows.put(&[key], &value[..value.len() / 8]).unwrap();
            }
            crows.clear().unwrap();
            for key in 0..KEYS / 6 {
                jays.remove(&[key * 6]).unwrap();
            }
            store.sync().unwrap();
        }
        let left = device.kill();
        let names = left.list().unwrap().into_iter().map(|(name, _)| name);
        names.map(|name| (name.clone(), left.contents(&name).unwrap())).collect()
    })
}

fn open(device: &SimulatedDevice) -> Result<Store, scrubjay_disk::Error> {
    let options = Options::bytes(4 << 20).segment_len(64 << 10).clock(|| 1000);
    Store::open_on(Arc::new(device.clone()), options)
}

fn value(key: u8, round: u8) -> Vec<u8> {
    let mut value = vec![key, round];
    value.resize(2 + usize::from(key) * 20, round.wrapping_mul(31) ^ key);
    value
}

/// Signs a frame: the last four bytes are the checksum of those before.
fn sign(frame: &mut [u8]) {
    let crc = crc32fast::hash(&frame[..60]);
    frame[60..64].copy_from_slice(&crc.to_le_bytes());
}

/// Reads numbers from an input; zeros when it has ended.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    fn bytes(&mut self) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(usize::from(self.byte()).min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

/// Changes files as the input says, and returns whether a checksum was made to fit what was changed.
fn change(files: &mut BTreeMap<String, Vec<u8>>, mut input: Input<'_>) -> bool {
    let mut is_forged = false;
    while !input.0.is_empty() {
        let act = input.byte();
        let names: Vec<String> = files.keys().cloned().collect();
        let Some(name) = names.get(usize::from(input.byte()) % names.len().max(1)).cloned() else { return is_forged };
        let mut file = files[&name].clone();
        let at = input.number() % (file.len() + 1);
        match act % 8 {
            0 | 1 => {
                let bytes = input.bytes();
                let end = file.len().min(at + bytes.len());
                file[at..end].copy_from_slice(&bytes[..end - at]);
            }
            2 => file.truncate(at),
            3 => {
                let to = input.byte();
                file.resize(file.len() + usize::from(to) * 16, to);
            }
            4 => {
                files.remove(&name);
                continue;
            }
            5 => {
                let to = format!("segment-{:016}", u64::from(input.byte() % 8));
                files.insert(to, file);
                continue;
            }
            6 => {
                // A frame at the beginning, or at the end, that announces something else under a checksum that fits.
                let start = if at.is_multiple_of(2) { 0 } else { file.len().saturating_sub(64) };
                let (field, bytes) = (usize::from(input.byte()), input.bytes());
                let Some(frame) = file.get_mut(start..start + 64) else { continue };
                for (byte, new) in frame.iter_mut().skip(field % 60).zip(bytes) {
                    *byte = *new;
                }
                sign(frame);
                is_forged = true;
            }
            _ => {
                let from = input.number() % (file.len() + 1);
                let part = file[from..].iter().copied().take(usize::from(input.byte()) * 16).collect::<Vec<u8>>();
                let end = file.len().min(at + part.len());
                file[at..end].copy_from_slice(&part[..end - at]);
            }
        }
        files.insert(name, file);
    }
    is_forged
}

/// Plays one input.
pub(crate) fn play(input: &[u8]) {
    let mut files = base().clone();
    let is_forged = change(&mut files, Input(input));
    let device = SimulatedDevice::new(1);
    for (name, bytes) in files {
        device.set_contents(&name, bytes);
    }
    let report = inspect_on(&device);
    let verified = verify_on(&device, |done, total| assert!(done <= total));
    let store = match open(&device) {
        Ok(store) => store,
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Newer | ErrorKind::Corrupt), "{error}");
            return;
        }
    };
    let stats = store.stats();
    if let (Ok(report), Ok(verified)) = (report, verified) {
        assert_eq!((report.entries(), report.distrusted_entries), (stats.entries, stats.distrusted_entries));
        assert!(verified.damages.iter().all(|damage| !damage.what.is_empty()));
    }
    let jays = store.namespace("jays").unwrap();
    let found = contents(&jays, is_forged);
    // It works as any other store does, and what it was is there again the next time.
    jays.put(b"later", b"still works").unwrap();
    assert_eq!(jays.get(b"later").unwrap().as_deref(), Some(&b"still works"[..]));
    store.close().unwrap();
    drop((jays, store));
    let store = open(&device).unwrap();
    let jays = store.namespace("jays").unwrap();
    assert_eq!(contents(&jays, is_forged), found);
    assert_eq!(jays.get(b"later").unwrap().as_deref(), Some(&b"still works"[..]));
}

/// What is there of the keys of the store; no value is one that was never stored under its key.
fn contents(jays: &Namespace, is_forged: bool) -> BTreeMap<u8, Vec<u8>> {
    let mut found = BTreeMap::new();
    for key in 0..KEYS {
        if let Some(there) = jays.get(&[key]).unwrap() {
            assert!(is_forged || (0..4).any(|round| *there == value(key, round)), "key {key} has {:?}", &*there);
            found.insert(key, there.to_vec());
        }
    }
    found
}
