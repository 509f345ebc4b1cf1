//! Where each key's newest entry lies: in memory, compact, and bounded.
//!
//! Each pack has an array of cells of 20 bytes, one per row of its footer; a [`Table`] finds the cell that counts by the key's hash.
//! Together 30 bytes per entry, keys excluded: the entry itself says whose it is.
//!
//! **Invariants**
//! - The table has, for each hash, the offered row that [counts](Index::offer): no lower stamp than any other that was offered.
//!   Removals are such rows, so an older value that turns up later is not believed.
//! - Rows with a stamp up to [`floor`](Index::floor) are not believed. When the index would exceed its limit, the oldest packs leave and
//!   the floor rises to the highest of theirs: what hid in them cannot be missed by what stays.
//! - `live` of a pack is the number of its values and large entries that the table has, `gone` that of its removals.

mod table;
#[cfg(test)]
mod tests;

use super::pack::{Footer, PackName, Row, What};
use std::collections::{BTreeSet, HashMap};
use table::{At, Table};

const LOW_48: u64 = (1 << 48) - 1;
/// Memory that a pack takes beside its cells.
const PACK_BYTES: usize = 256;
/// Packs are fewer.
const PACKS_LIMIT: usize = (1 << 24) - 1;

/// A row, packed: the hash's low 48 bits, the stamp's 48, offset or checksum, and the second in which it expires.
#[derive(Clone, Copy, Debug)]
struct Cell {
    hash_low: u32,
    stamp_low: u32,
    hash_high: u16,
    stamp_high: u16,
    place: u32,
    expires_s: u32,
}

const _: () = assert!(size_of::<Cell>() == 20);

/// What the index knows of a pack.
#[derive(Debug)]
pub(super) struct Pack {
    pub(super) name: PackName,
    cells: Box<[Cell]>,
    /// So many of them are values; then come so many large ones, then removals.
    values: u32,
    larges: u32,
    pub(super) data_len: u32,
    /// Values and large entries that count.
    pub(super) live: u32,
    /// Bytes of the values that count.
    pub(super) live_bytes: u32,
    /// Removals that count.
    pub(super) gone: u32,
    /// Marks of tags, until they went along into another pack.
    pub(super) marks: u32,
    /// The lowest stamp of its values and large entries.
    pub(super) oldest: u64,
    /// When it was offered.
    pub(super) since_ms: u64,
    /// In which turn of looking it was seen last.
    pub(super) turn: u64,
    /// Since when nothing in it counts; 0 if something does.
    pub(super) dead_since_ms: u64,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Located {
    Value { pack: PackName, offset: u32, len: u32 },
    Large { crc: u32 },
}

/// What is known of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) stamp: u64,
    /// Unless it was removed, or its time is over.
    pub(super) located: Option<Located>,
    /// In Unix milliseconds; 0 for never.
    pub(super) expires_ms: u64,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    table: Table,
    packs: Vec<Option<Pack>>,
    free: Vec<u32>,
    by_name: HashMap<PackName, u32, ahash::RandomState>,
    /// By age.
    by_stamp: BTreeSet<(u64, u32)>,
    cells: usize,
    /// Rows with this stamp or a lower one are not believed.
    pub(super) floor: u64,
}

impl Cell {
    fn new(row: &Row) -> Cell {
        let place = match row.what {
            What::Value { offset, .. } => offset,
            What::Large { crc } => crc,
            What::Gone | What::Mark(_) => 0,
        };
        let expires_s = u32::try_from(row.expires_ms.div_ceil(1000)).unwrap_or(u32::MAX);
        Cell {
            hash_low: low_32(row.hash),
            hash_high: low_16(row.hash >> 32),
            stamp_low: low_32(row.stamp),
            stamp_high: low_16(row.stamp >> 32),
            place,
            expires_s,
        }
    }

    fn hash(&self) -> u64 {
        (u64::from(self.hash_high) << 32) | u64::from(self.hash_low)
    }

    fn stamp(&self) -> u64 {
        (u64::from(self.stamp_high) << 32) | u64::from(self.stamp_low)
    }

    fn is_expired(&self, unix_ms: u64) -> bool {
        self.expires_s != 0 && unix_ms >= u64::from(self.expires_s) * 1000
    }
}

impl Pack {
    fn len_of(&self, row: u32) -> u32 {
        let cell = |row: u32| self.cells.get(as_usize(row)).map_or(0, |cell| cell.place);
        let end = if row + 1 < self.values { cell(row + 1) } else { self.data_len };
        end.saturating_sub(cell(row))
    }

    fn is_gone(&self, row: u32) -> bool {
        row >= self.values + self.larges
    }

    /// Counts a row in, or out.
    fn count(&mut self, row: u32, is_live: bool) {
        let step = |count: &mut u32, by: u32| {
            *count = if is_live { count.saturating_add(by) } else { count.saturating_sub(by) };
        };
        if self.is_gone(row) {
            return step(&mut self.gone, 1);
        }
        if row < self.values {
            let len = self.len_of(row);
            step(&mut self.live_bytes, len);
        }
        step(&mut self.live, 1);
    }
}

impl Index {
    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.table.bytes() + self.cells * size_of::<Cell>() + self.by_name.len() * PACK_BYTES
    }

    pub(super) fn pack_count(&self) -> usize {
        self.by_name.len()
    }

    /// Values, large entries and removals that count.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn has(&self, name: PackName) -> bool {
        self.by_name.contains_key(&name)
    }

    pub(super) fn packs(&self) -> impl Iterator<Item = &Pack> {
        self.packs.iter().flatten()
    }

    pub(super) fn packs_mut(&mut self) -> impl Iterator<Item = &mut Pack> {
        self.packs.iter_mut().flatten()
    }

    /// What counts for `hash`.
    pub(super) fn find(&self, hash: u64, unix_ms: u64) -> Option<Known> {
        let at = self.table.find(hash, |at| self.cell(at).map_or(0, Cell::hash))?;
        let (pack, cell) = (self.packs.get(as_usize(at.pack))?.as_ref()?, self.cell(at)?);
        let located = if pack.is_gone(at.row) || cell.is_expired(unix_ms) {
            None
        } else if at.row < pack.values {
            Some(Located::Value { pack: pack.name, offset: cell.place, len: pack.len_of(at.row) })
        } else {
            Some(Located::Large { crc: cell.place })
        };
        Some(Known { stamp: cell.stamp(), located, expires_ms: u64::from(cell.expires_s) * 1000 })
    }

    /// Takes in the rows of a pack that is not known yet; those of tags are the caller's. `is_hidden` says which values are not
    /// believed. Of two rows of a hash the higher stamp counts, then a removal, then the later pack.
    pub(super) fn offer(
        &mut self,
        name: PackName,
        footer: &Footer,
        now_ms: u64,
        turn: u64,
        is_hidden: impl Fn(&Row) -> bool,
    ) {
        if self.has(name) || name.stamp <= self.floor || self.by_name.len() >= PACKS_LIMIT {
            return;
        }
        let rows = footer.rows.iter().filter(|row| !matches!(row.what, What::Mark(_)));
        let cells: Box<[Cell]> = rows.clone().map(Cell::new).collect();
        let count = |is_it: fn(&What) -> bool| {
            u32::try_from(footer.rows.iter().filter(|row| is_it(&row.what)).count()).unwrap_or(u32::MAX)
        };
        let pack = Pack {
            name,
            values: count(|what| matches!(what, What::Value { .. })),
            larges: count(|what| matches!(what, What::Large { .. })),
            data_len: footer.data_len,
            live: 0,
            live_bytes: 0,
            gone: 0,
            marks: count(|what| matches!(what, What::Mark(_))),
            oldest: rows.clone().filter(|row| row.what != What::Gone).map(|row| row.stamp).min().unwrap_or(u64::MAX),
            since_ms: now_ms,
            turn,
            dead_since_ms: 0,
            cells,
        };
        self.cells += pack.cells.len();
        let number = self.free.pop().unwrap_or_else(|| {
            self.packs.push(None);
            u32::try_from(self.packs.len() - 1).unwrap_or(u32::MAX)
        });
        self.packs[as_usize(number)] = Some(pack);
        self.by_name.insert(name, number);
        self.by_stamp.insert((name.stamp, number));
        for (row, offered) in (0_u32..).zip(rows) {
            let is_value = !matches!(offered.what, What::Gone);
            if offered.stamp > self.floor && !(is_value && is_hidden(offered)) {
                self.offer_row(offered, At { pack: number, row });
            }
        }
    }

    fn offer_row(&mut self, row: &Row, at: At) {
        let before = self.table.find(row.hash, |at| self.cell(at).map_or(0, Cell::hash));
        if let Some(before) = before {
            let stamp = self.cell(before).map_or(0, Cell::stamp);
            let wins = row.stamp > stamp || (row.stamp == stamp && self.wins_tie(before, at));
            if !wins {
                return;
            }
            self.count(before, false);
        }
        let packs = &self.packs;
        let low = |at: At| cell_of(packs, at).map_or(0, Cell::hash);
        self.table.put(row.hash, at, low);
        self.count(at, true);
    }

    fn wins_tie(&self, before: At, at: At) -> bool {
        let rank = |at: At| {
            let pack = self.packs.get(as_usize(at.pack)).and_then(Option::as_ref);
            pack.map_or((false, 0, 0), |pack| (pack.is_gone(at.row), pack.name.stamp, pack.name.writer))
        };
        rank(at) > rank(before)
    }

    /// What is known of `hash` does not count any more; whether there was something to serve.
    pub(super) fn forget(&mut self, hash: u64, unix_ms: u64) -> bool {
        let was_there = self.find(hash, unix_ms).is_some_and(|known| known.located.is_some());
        let at = self.table.find(hash, |at| self.cell(at).map_or(0, Cell::hash));
        if let Some(at) = at {
            self.table.take(hash & LOW_48, at);
            self.count(at, false);
        }
        was_there
    }

    /// The pack is gone, and so is what counts in it.
    pub(super) fn remove_pack(&mut self, name: PackName) -> Option<Pack> {
        let number = self.by_name.remove(&name)?;
        let pack = self.packs.get_mut(as_usize(number))?.take()?;
        self.by_stamp.remove(&(name.stamp, number));
        self.cells -= pack.cells.len();
        for (row, cell) in (0_u32..).zip(&pack.cells) {
            self.table.take(cell.hash(), At { pack: number, row });
        }
        self.free.push(number);
        Some(pack)
    }

    /// Lets the oldest packs leave until it is an eighth below `limit`; how many entries that cost.
    pub(super) fn fit(&mut self, limit: usize) -> u64 {
        if self.bytes() <= limit {
            return 0;
        }
        let mut left_out = 0_u64;
        while self.bytes() > limit - limit / 8 {
            let Some(&(stamp, number)) = self.by_stamp.first() else { break };
            let name = self.packs.get(as_usize(number)).and_then(Option::as_ref).map(|pack| pack.name);
            let removed = name.and_then(|name| self.remove_pack(name));
            left_out += removed.map_or(0, |pack| u64::from(pack.live));
            self.floor = self.floor.max(stamp);
        }
        left_out + self.drop_below_floor()
    }

    /// Nothing up to this stamp is believed any more; how many entries that cost.
    pub(super) fn raise_floor(&mut self, stamp: u64) -> u64 {
        if stamp <= self.floor {
            return 0;
        }
        self.floor = stamp;
        let mut cost = 0_u64;
        while let Some(&(oldest, number)) = self.by_stamp.first() {
            let name = self.packs.get(as_usize(number)).and_then(Option::as_ref).map(|pack| pack.name);
            let Some(name) = name.filter(|_| oldest <= stamp) else { break };
            cost += self.remove_pack(name).map_or(0, |pack| u64::from(pack.live));
        }
        cost + self.drop_below_floor()
    }

    fn drop_below_floor(&mut self) -> u64 {
        let floor = self.floor;
        self.drop_where(|cell| cell.stamp() <= floor)
    }

    /// Entries whose time is over leave the table, so that their packs are seen to be dead.
    pub(super) fn drop_expired(&mut self, unix_ms: u64) -> u64 {
        self.drop_where(|cell| cell.is_expired(unix_ms))
    }

    fn drop_where(&mut self, is_it: impl Fn(&Cell) -> bool) -> u64 {
        let mut dropped = 0;
        for (number, pack) in (0_u32..).zip(&mut self.packs) {
            let Some(pack) = pack else { continue };
            for row in 0..u32::try_from(pack.cells.len()).unwrap_or(0) {
                let cell = pack.cells[as_usize(row)];
                if is_it(&cell) && self.table.take(cell.hash(), At { pack: number, row }) {
                    pack.count(row, false);
                    dropped += u64::from(!pack.is_gone(row));
                }
            }
        }
        dropped
    }

    /// What counted in the pack went along into another, or was not needed any more.
    pub(super) fn empty(&mut self, name: PackName) {
        let Some(&number) = self.by_name.get(&name) else { return };
        let Some(Some(pack)) = self.packs.get_mut(as_usize(number)) else { return };
        pack.marks = 0;
        for row in pack.values + pack.larges..u32::try_from(pack.cells.len()).unwrap_or(0) {
            if self.table.take(pack.cells[as_usize(row)].hash(), At { pack: number, row }) {
                pack.count(row, false);
            }
        }
    }

    /// Whether each row of the pack counts, in the order of its footer without marks.
    pub(super) fn living(&self, name: PackName) -> Vec<bool> {
        let Some(&number) = self.by_name.get(&name) else { return Vec::new() };
        let Some(Some(pack)) = self.packs.get(as_usize(number)) else { return Vec::new() };
        let has = |(row, cell): (u32, &Cell)| self.table.has(cell.hash(), At { pack: number, row });
        (0_u32..).zip(&pack.cells).map(has).collect()
    }

    /// Of these removals, by the low 48 bits of their hash and by stamp, those that hide an older row somewhere.
    pub(super) fn hides_something(&self, removals: &mut HashMap<u64, (u64, bool), ahash::RandomState>) {
        for pack in self.packs() {
            for cell in pack.cells.iter().take(as_usize(pack.values + pack.larges)) {
                if let Some((stamp, hides)) = removals.get_mut(&cell.hash()) {
                    *hides |= cell.stamp() <= *stamp;
                }
            }
        }
    }

    fn count(&mut self, at: At, is_live: bool) {
        if let Some(Some(pack)) = self.packs.get_mut(as_usize(at.pack)) {
            pack.count(at.row, is_live);
        }
    }

    fn cell(&self, at: At) -> Option<&Cell> {
        cell_of(&self.packs, at)
    }
}

fn cell_of(packs: &[Option<Pack>], at: At) -> Option<&Cell> {
    packs.get(as_usize(at.pack))?.as_ref()?.cells.get(as_usize(at.row))
}

fn as_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn low_32(number: u64) -> u32 {
    u32::try_from(number & 0xffff_ffff).unwrap_or(0)
}

fn low_16(number: u64) -> u16 {
    u16::try_from(number & 0xffff).unwrap_or(0)
}
