//! What reclaim may write: a part of what callers write, so that write amplification has a bound that nothing moves.
//!
//! Every byte that callers append earns `ratio` bytes; every byte that is written again spends one. What is not spent is
//! saved, up to a bound, for the segment that is hotter than others.

/// An account of bytes.
#[derive(Debug)]
pub(crate) struct Allowance {
    ratio: f64,
    saved_max: u64,
    saved: u64,
    /// Of what callers appended ever, how much has earned.
    seen_bytes: u64,
}

impl Allowance {
    /// An account that begins empty, when so much has been appended.
    pub(crate) fn new(ratio: f64, saved_max: u64, appended_bytes: u64) -> Allowance {
        Allowance { ratio: ratio.max(0.0), saved_max, saved: 0, seen_bytes: appended_bytes }
    }

    /// What may be written now, given all that callers have appended ever.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share, not a count: within 2^52 bytes it is exact, and it is not negative"
    )]
    pub(crate) fn available(&mut self, appended_bytes: u64) -> u64 {
        let came = appended_bytes.saturating_sub(self.seen_bytes);
        self.seen_bytes = self.seen_bytes.max(appended_bytes);
        let earned = (came as f64 * self.ratio) as u64;
        self.saved = self.saved.saturating_add(earned).min(self.saved_max);
        self.saved
    }

    /// So much was written. What must be, beyond what is there, leaves no debt.
    pub(crate) fn spend(&mut self, bytes: u64) {
        self.saved = self.saved.saturating_sub(bytes);
    }
}
