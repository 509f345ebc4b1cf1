//! Reading every byte of a store that has a checksum.

use std::path::Path;

use super::{enter, folder, read_manifest};
use crate::device::Device;
use crate::error::{Error, ErrorKind};
use crate::heat;
use crate::index::Index;
use crate::manifest;
use crate::open::{Chain, Found, list};
use crate::segment::{self, Identity, RECORDS_START, Refused, check_records, read_footer};

/// What reading everything came to.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Segments that were read.
    pub segments: u64,
    /// Records that are as they were written.
    pub records: u64,
    /// Bytes of segments that were read.
    pub bytes: u64,
    /// Bytes of writes that did not come to their end. Nobody was promised them; this is no damage.
    pub torn_bytes: u64,
    /// What is not as it was written.
    pub damages: Vec<Damage>,
}

/// Something that is not as it was written.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file's name.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// What is wrong, and what it means.
    pub what: String,
}

impl Verified {
    fn damage(&mut self, file: &str, offset: u64, what: impl Into<String>) {
        self.damages.push(Damage { file: file.to_owned(), offset, what: what.into() });
    }
}

/// Reads every checksum of the store in a folder. `progress` is told bytes done and bytes to do. Writes nothing.
///
/// # Errors
/// As [`inspect`](super::inspect); damage is none.
pub fn verify(path: impl AsRef<Path>, progress: impl FnMut(u64, u64)) -> Result<Verified, Error> {
    let path = path.as_ref();
    verify_on(&folder(path)?, progress).map_err(|error| error.at(path))
}

/// The same on a device of one's own.
///
/// # Errors
/// As [`verify`].
pub fn verify_on(device: &dyn Device, mut progress: impl FnMut(u64, u64)) -> Result<Verified, Error> {
    let files = enter(device)?;
    let mut verified = Verified::default();
    let contents = match read_manifest(device) {
        Ok(contents) => contents,
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            verified.damage(manifest::FILE, 0, format!("{error}: nothing in the store can be found without it"));
            return Ok(verified);
        }
        Err(error) => return Err(error),
    };
    verified.torn_bytes += contents.torn_bytes;
    if contents.is_damaged {
        verified.damage(manifest::FILE, 0, "a record and its copy are damaged: some namespaces will be empty");
    } else if contents.made_good_bytes > 0 {
        verified.damage(manifest::FILE, 0, "a record is damaged, and its copy makes it good");
    }
    let store_id = contents.identity.store_id;
    let total = files.iter().filter(|(name, _)| segment::seq_of_name(name).is_some()).map(|(_, len)| len).sum();
    let mut chain = Chain::default();
    for seq in list(device)? {
        let before = verified.bytes;
        let mut found = verify_segment(device, Identity { store_id, seq }, &mut verified, |done| {
            progress(before + done, total);
        })?;
        verified.segments += 1;
        verified.bytes += found.len;
        progress(verified.bytes, total);
        if !found.is_foreign() {
            found.items = Vec::new();
            chain.push(found);
        }
    }
    if let Some(floor) = chain.floor() {
        let name = segment::file_name(floor.seq);
        let what = "something durable is lost before this: opening drops everything older";
        verified.damage(&name, floor.offset, what);
    }
    let heat = heat::load(device, store_id, &Index::new(1));
    if heat.damaged_blocks > 0 {
        verified.damage("heat", 0, format!("{} blocks are damaged: a hint is lost, and no entry", heat.damaged_blocks));
    }
    Ok(verified)
}

fn verify_segment(
    device: &dyn Device,
    identity: Identity,
    verified: &mut Verified,
    mut progress: impl FnMut(u64),
) -> Result<Found, Error> {
    let name = segment::file_name(identity.seq);
    let failed = |error| Error::device(format!("{name} cannot be read"), error);
    let found = Found::read(device, identity)?;
    if found.is_foreign() {
        let why = found.header.err().map_or_else(String::new, |refused| refused.to_string());
        verified.damage(&name, 0, format!("{why}: opening removes it"));
        return Ok(found);
    }
    match found.header {
        // It was made, and nothing written yet.
        Err(Refused::Blank) if found.items.is_empty() => {}
        Err(refused) => verified.damage(&name, 0, format!("its header: {refused}")),
        Ok(_) => {}
    }
    let Some(scan) = &found.scan else {
        let all = RECORDS_START..found.end;
        let checked = check_records(&*found.file, identity, all, &found.items, &mut progress).map_err(failed)?;
        verified.records += checked.records;
        for gap in checked.damaged {
            verified.damage(&name, gap.start, format!("{} bytes: what stood there is a miss", gap.end - gap.start));
        }
        return Ok(found);
    };
    if let Err(segment::NoFooter::Refused(refused)) = read_footer(&*found.file, identity) {
        verified.damage(&name, found.end, format!("its footer: {refused}; the records are read instead"));
    } else {
        verified.torn_bytes += scan.torn_bytes;
    }
    verified.records += u64::try_from(found.items.len()).unwrap_or(u64::MAX);
    for gap in &scan.gaps {
        verified.damage(&name, gap.start, format!("{} bytes between records do not verify", gap.end - gap.start));
    }
    progress(found.len);
    Ok(found)
}
