//! DEBUG DIGEST and DIGEST-VALUE: a hash of what is stored, byte for byte that of Redis, so that the two can be compared.
//!
//! Two acts on a digest of 20 bytes: *xor* with SHA-1 of some bytes, which forgets their order, and *mix*, which then hashes
//! the digest itself, so that order counts. A value mixes its type (0 for strings, four bytes, big endian) and its bytes, and
//! xors a mark when it expires. The data set mixes the number of each database that has keys, and xors the digest of each key
//! with its value.

use crate::call::Call;
use crate::error::Error;
use scrubjay_keyspace::{Db, Entry};
use sha1::{Digest as _, Sha1};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest([u8; 20]);

impl Digest {
    fn xor(&mut self, bytes: &[u8]) {
        let hash: [u8; 20] = Sha1::digest(bytes).into();
        self.0.iter_mut().zip(hash).for_each(|(byte, other)| *byte ^= other);
    }

    fn mix(&mut self, bytes: &[u8]) {
        self.xor(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    pub(super) fn add_value(&mut self, value: &[u8], is_expiring: bool) {
        self.mix(&[0; 4]);
        self.mix(value);
        if is_expiring {
            self.xor(b"!!expire!!");
        }
    }

    pub(super) fn add_database(&mut self, number: u16) {
        self.mix(&u32::from(number).to_be_bytes());
    }

    pub(super) fn add_key(&mut self, key: &[u8], value: &[u8], is_expiring: bool) {
        let mut digest = Digest::default();
        digest.mix(key);
        digest.add_value(value, is_expiring);
        self.xor(&digest.0);
    }

    pub(super) fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

pub(super) fn digest(call: &mut Call<'_>) -> Result<(), Error> {
    let [] = super::arguments(call)?;
    let mut whole = Digest::default();
    for number in 0..call.shared.keyspace.databases() {
        let (mut is_empty, mut database) = (true, whole);
        database.add_database(number);
        call.held.for_each(Db(number), |key, entry| {
            is_empty = false;
            database.add_key(key, entry.value, entry.expires_at_ms.is_some());
        });
        if !is_empty {
            whole = database;
        }
    }
    call.reply.simple(&whole.hex());
    Ok(())
}

pub(super) fn digest_value(call: &mut Call<'_>) -> Result<(), Error> {
    super::permit(call)?;
    let db = call.client.db;
    call.reply.array(call.args.len().saturating_sub(2));
    for index in 2..call.args.len() {
        let key = call.key(index);
        let digest = call.held.peek(db, &key).map(of).unwrap_or_default();
        call.reply.simple(&digest.hex());
    }
    Ok(())
}

fn of(entry: Entry<'_>) -> Digest {
    let mut digest = Digest::default();
    digest.add_value(entry.value, entry.expires_at_ms.is_some());
    digest
}
