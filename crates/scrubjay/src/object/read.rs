//! Lookups that ask the store: by range out of packs, whole where an entry is an object of its own, and the keys.

use super::counters::Count;
use super::hash::hash_of;
use super::index::Located;
use super::pack::{Footer, PackName, What};
use super::reach::Trouble;
use super::tier::{Found, Looked, ObjectTier};
use bytes::Bytes;
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::ops::Range;

/// Entries of a pack that are no further apart than this are read with one request.
const GAP_MAX: u64 = 64 << 10;
/// What one request reads of a pack at most.
const SPAN_MAX: u64 = 8 << 20;
/// Requests of one call at a time.
const AT_ONCE: usize = 16;

/// A part of a pack with entries that several keys of a call want: which key, its stamp, and where in the pack.
#[derive(Debug)]
pub(super) struct Span {
    pack: PackName,
    pub(super) range: Range<u64>,
    pub(super) wanted: Vec<(usize, u64, Range<u64>)>,
}

impl ObjectTier {
    /// Looks the key up. What is not there costs no request. A miss as well: the store fails, or takes too long; each is
    /// counted.
    pub(crate) async fn get(&self, key: &[u8]) -> Option<Found> {
        let hash = hash_of(key);
        self.judged(&[hash]).await;
        match self.look(hash) {
            Looked::Here(found) => Some(found),
            Looked::There(stamp, located) => {
                let bytes = self.fetch(hash, stamp, located).await;
                self.judged(&[hash]).await;
                self.settle_read(hash, stamp, bytes)
            }
            Looked::Miss => None,
            Looked::Skipped => {
                self.counters.one(Count::Skipped);
                None
            }
        }
    }

    async fn fetch(&self, hash: u64, stamp: u64, located: Located) -> Result<Bytes, Trouble> {
        let len_max = self.entry_len_max();
        match located {
            Located::Value { pack, offset, len } => {
                let range = u64::from(offset)..u64::from(offset) + u64::from(len);
                self.reach.get_for_caller(self.names.pack(pack), Some(range), len_max).await
            }
            Located::Large { crc } => {
                self.reach.get_for_caller(self.names.large(hash, stamp, crc), None, len_max).await
            }
        }
    }

    /// What was read, if it still counts.
    fn settle_read(&self, hash: u64, stamp: u64, bytes: Result<Bytes, Trouble>) -> Option<Found> {
        match bytes {
            Ok(bytes) => match self.look(hash) {
                Looked::There(now, _) if now == stamp => Some(Found { bytes, stamp }),
                // Written here while it was read.
                Looked::Here(found) => Some(found),
                _ => None,
            },
            Err(Trouble::NotFound) => {
                self.counters.one(Count::Vanished);
                self.forget(hash, stamp);
                self.wakes.news.notify_one();
                None
            }
            Err(Trouble::Odd(_) | Trouble::Exists) => {
                self.counters.one(Count::Corrupt);
                self.forget(hash, stamp);
                None
            }
            // Counted where it happened, and well again later.
            Err(Trouble::TimedOut | Trouble::Failed(_)) => None,
        }
    }

    /// The same for many keys, in their order; what lies close together is read in one go.
    pub(crate) async fn get_many(&self, keys: &[Vec<u8>]) -> Vec<Option<Found>> {
        let mut found: Vec<Option<Found>> = vec![None; keys.len()];
        let mut in_packs: BTreeMap<PackName, Vec<(usize, u64, Range<u64>)>> = BTreeMap::new();
        let mut alone = Vec::new();
        let hashes: Vec<u64> = keys.iter().map(|key| hash_of(key)).collect();
        self.judged(&hashes).await;
        for (at, hash) in hashes.iter().enumerate() {
            match self.look(*hash) {
                Looked::Here(here) => found[at] = Some(here),
                Looked::There(stamp, Located::Value { pack, offset, len }) => {
                    let range = u64::from(offset)..u64::from(offset) + u64::from(len);
                    in_packs.entry(pack).or_default().push((at, stamp, range));
                }
                Looked::There(..) => alone.push(at),
                Looked::Miss => {}
                Looked::Skipped => self.counters.one(Count::Skipped),
            }
        }
        let spans = in_packs.into_iter().flat_map(|(pack, wanted)| spans_of(pack, wanted));
        let read_span = async |span: Span| {
            let bytes = self.reach.get_for_caller(self.names.pack(span.pack), Some(span.range.clone()), SPAN_MAX).await;
            (span, bytes)
        };
        let mut reading = futures_util::stream::iter(spans.map(read_span)).buffer_unordered(AT_ONCE);
        while let Some((span, bytes)) = reading.next().await {
            for (at, stamp, range) in span.wanted {
                let part = bytes.as_ref().map(|bytes| part_of(bytes, span.range.start, &range));
                found[at] = self.settle_read(hash_of(&keys[at]), stamp, part.map_err(Clone::clone));
            }
        }
        drop(reading);
        let read_alone = async |at: usize| (at, self.get(&keys[at]).await);
        let mut reading = futures_util::stream::iter(alone.into_iter().map(read_alone)).buffer_unordered(AT_ONCE);
        while let Some((at, one)) = reading.next().await {
            found[at] = one;
        }
        drop(reading);
        found
    }

    /// Keys that are there, as far as this process knows, a batch at a time to `take`, in no order, some twice. Whether all could
    /// be read. Costs a request per pack.
    pub(crate) async fn keys(&self, mut take: impl FnMut(Vec<Vec<u8>>)) -> bool {
        let (names, waiting) = {
            let state = self.state.lock();
            let names: Vec<_> =
                state.index.packs().filter(|pack| pack.live > 0).map(|pack| (pack.name, pack.data_len)).collect();
            (names, state.pending.keys())
        };
        take(waiting.into_iter().filter(|key| self.holds(key)).collect());
        let mut is_whole = true;
        let read = async |(name, data_len): (PackName, u32)| {
            self.footer(name, u64::from(data_len) + u64::from(name.footer_len)).await
        };
        let mut reading = futures_util::stream::iter(names.into_iter().map(read)).buffer_unordered(AT_ONCE);
        while let Some(footer) = reading.next().await {
            let Ok(footer) = footer else {
                is_whole = false;
                continue;
            };
            let with_key = footer.rows.iter().filter(|row| matches!(row.what, What::Value { .. } | What::Large { .. }));
            let rows = with_key.zip(footer.keys);
            let counts = |hash: u64, row_stamp: u64| match self.look(hash) {
                Looked::There(stamp, _) => stamp == row_stamp,
                _ => false,
            };
            take(rows.filter(|(row, _)| counts(row.hash, row.stamp)).map(|(_, key)| key.into_vec()).collect());
        }
        is_whole
    }

    /// The footer of a pack of so many bytes.
    pub(super) async fn footer(&self, name: PackName, size: u64) -> Result<Footer, Trouble> {
        let footer_len = u64::from(name.footer_len);
        let start = size.checked_sub(footer_len).ok_or(Trouble::Odd("a pack is shorter than its footer"))?;
        let bytes = self.reach.get(self.names.pack(name), Some(start..size), super::pack::FOOTER_LEN_MAX).await?;
        Footer::read(name, size, &bytes).map_err(|_| Trouble::Odd("a pack is torn, or of a later version"))
    }
}

/// The requests for what is wanted of a pack.
pub(super) fn spans_of(pack: PackName, mut wanted: Vec<(usize, u64, Range<u64>)>) -> Vec<Span> {
    wanted.sort_by_key(|(_, _, range)| range.start);
    let mut spans: Vec<Span> = Vec::new();
    for one in wanted {
        let range = one.2.clone();
        match spans.last_mut() {
            Some(span)
                if range.start <= span.range.end + GAP_MAX
                    && range.end.max(span.range.end) - span.range.start <= SPAN_MAX =>
            {
                span.range.end = span.range.end.max(range.end);
                span.wanted.push(one);
            }
            _ => spans.push(Span { pack, range, wanted: vec![one] }),
        }
    }
    spans
}

pub(super) fn part_of(bytes: &Bytes, start: u64, range: &Range<u64>) -> Bytes {
    let at = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(at(range.start)..at(range.end))
}
