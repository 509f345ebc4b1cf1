//! Traces, and the capacities at which they say something.

use anyhow::Context;
use std::path::Path;

/// A trace from fewer distinct objects than this is measured at capacities of some percent.
const SMALL: usize = 20_000;

/// The requests of somebody's program.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    pub(super) name: String,
    /// Objects, dense from 0.
    pub(super) requests: Vec<u32>,
    /// How many objects there are.
    pub(super) distinct: usize,
}

impl Trace {
    /// Reads the first `requests_max` requests of a file.
    pub(super) fn read(path: &Path, requests_max: usize) -> anyhow::Result<Trace> {
        let read = || -> anyhow::Result<Vec<u8>> { Ok(zstd::decode_all(std::fs::File::open(path)?)?) };
        let bytes = read().with_context(|| path.display().to_string())?;
        anyhow::ensure!(!bytes.is_empty() && bytes.len() % 4 == 0, "{}: no requests of 4 bytes", path.display());
        let (words, _) = bytes.as_chunks::<4>();
        let requests = words.iter().take(requests_max).map(|word| u32::from_le_bytes(*word)).collect();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Trace::of(name.split('.').next().unwrap_or_default(), requests)
    }

    /// The trace of these requests. Ids that are not dense would make the tables of LRU and the optimum as long as the
    /// largest, so that they are an error.
    pub(super) fn of(name: &str, requests: Vec<u32>) -> anyhow::Result<Trace> {
        let distinct = requests.iter().max().map_or(0, |largest| *largest as usize + 1);
        anyhow::ensure!(distinct <= requests.len(), "{name}: ids up to {distinct} are not dense");
        Ok(Trace { name: name.to_string(), requests, distinct })
    }

    /// Three capacities: 0.1, 1 and 10 % of the objects, or 2, 10 and 50 % of few.
    pub(super) fn capacities(&self) -> [usize; 3] {
        let permille = if self.distinct < SMALL { [20, 100, 500] } else { [1, 10, 100] };
        permille.map(|permille| ((self.distinct * permille + 500) / 1000).max(1))
    }
}

#[cfg(test)]
mod tests;
