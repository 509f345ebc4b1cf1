//! How long to wait before the next try: a while that doubles, and is not the same for all who wait.
//!
//! The while is between half and the whole of what it could be, so that a hundred processes whose server comes back do not
//! knock together, and none of them knocks at once.

/// The first while, and the longest.
pub(super) const WHILE_MIN_MS: u64 = 250;
pub(super) const WHILE_MAX_MS: u64 = 10_000;
/// Whoever has served for so long begins anew.
const STEADY_MS: u64 = WHILE_MAX_MS;

/// How long to wait before the next try.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    while_ms: u64,
    count: u64,
    hasher: ahash::RandomState,
}

impl Backoff {
    /// How long to wait now. Each time twice as long as before, within the limits.
    pub(super) fn next_ms(&mut self) -> u64 {
        self.while_ms = (2 * self.while_ms).clamp(WHILE_MIN_MS, WHILE_MAX_MS);
        let half = self.while_ms / 2;
        half + self.random() % (half + 1)
    }

    /// A little, for the first try after a connection that was good.
    pub(super) fn little_ms(&mut self) -> u64 {
        self.random() % (WHILE_MIN_MS / 5)
    }

    /// It has served for so long until now.
    pub(super) fn served(&mut self, time_ms: u64) {
        if time_ms >= STEADY_MS {
            self.while_ms = 0;
        }
    }

    fn random(&mut self) -> u64 {
        self.count = self.count.wrapping_add(1);
        self.hasher.hash_one(self.count)
    }
}
