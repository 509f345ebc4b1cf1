//! What the returns of evicted entries say: how large the small queue should be, and what one hit there is worth.
//!
//! A slot of the cache should hold the entry that will be asked for soonest. Whether the next slot is better spent on
//! the small queue or on the main queue shows in what each of them throws out: of the entries that just left the small
//! queue, a share returns within a while; of those that just left the main queue, another share. The queue whose
//! evicted entries return more often deserves more room. `Tally` keeps both shares, forgetting slowly.
//!
//! Where the main queue refuses to throw anything out, because all that it was asked for had been hit since the last
//! look, it has no evicted entries to watch. The hits themselves then stand for them: an entry hit once in an age `a`
//! would have returned within a while `w` with probability `w / a`.
//!
//! The size follows the ratio of the shares (to the power of `GAIN`, from `START`), in steps that are larger the surer
//! the evidence is. Shares of next to nothing, as in long scans, are no evidence: `NOTHING` is added to both.

use super::ghosts::Left;

/// The small queue's share of the capacity as long as nothing is known.
const START: f64 = 0.12;
const SMALLEST: f64 = 0.01;
const LARGEST: f64 = 0.95;
/// How strongly the share follows the ratio of returns.
const GAIN: f64 = 2.0;
/// What remains of a tally after a period, of which there are eight in the time in which the cache turns over once.
const MEMORY: f64 = 0.985;
/// The least step of the share in a period, and how many of them the surest evidence may take.
const STEP: f64 = 0.005;
const STEPS: f64 = 6.0;
/// What a late return counts beside a soon one: where nothing returns soon, it is all there is to go by.
const LATE: f64 = 0.1;
/// A share of returns that is as good as none. The main queue gets a little more, so that a cache in which nothing
/// returns leans towards keeping what it has.
const NOTHING: f64 = 0.005;
const NOTHING_MAIN: f64 = 0.006_25;
/// Above this share of the capacity the small queue is what the cache lives on, and one hit promotes from it.
const RECENCY: f64 = 0.3;
/// How much more often once-hit entries must return than those of the main queue to be promoted for one hit.
const WORTH: f64 = 1.5;
/// While once-hit entries are promoted, one of so many is evicted, to see whether it returns.
const PROBE: u32 = 8;

/// Evictions of one kind, and how many of them returned.
#[derive(Clone, Copy, Default)]
struct Tally {
    left: f64,
    /// Back before a quarter of the cache was turned over.
    soon: f64,
    /// Back before the whole was.
    later: f64,
}

impl Tally {
    fn fade(&mut self) {
        self.left *= MEMORY;
        self.soon *= MEMORY;
        self.later *= MEMORY;
    }
}

/// The shares of returns, and what follows from them.
pub(super) struct Balance {
    fresh: Tally,
    once: Tally,
    main: Tally,
    /// The small queue's share of the capacity.
    share: f64,
    once_is_enough: bool,
    probes: u32,
    /// Ticks until the next period begins.
    wait: usize,
}

impl Balance {
    pub(super) fn new() -> Balance {
        Balance {
            fresh: Tally::default(),
            once: Tally::default(),
            main: Tally::default(),
            share: START,
            once_is_enough: false,
            probes: 0,
            wait: 8,
        }
    }

    /// The small queue's share of a capacity, but not less than `least`.
    pub(super) fn small_target(&self, capacity: u64, least: u64) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and less than the capacity"
        )]
        let target = (capacity as f64 * self.share) as u64;
        target.max(least)
    }

    fn tally(&mut self, left: Left) -> &mut Tally {
        match left {
            Left::Fresh => &mut self.fresh,
            Left::Once => &mut self.once,
            Left::Main => &mut self.main,
        }
    }

    /// An entry was evicted.
    pub(super) fn evicted(&mut self, left: Left) {
        self.tally(left).left += 1.0;
    }

    /// An evicted entry came back after `absence` ticks, in a cache of `entries` entries.
    pub(super) fn returned(&mut self, left: Left, absence: u32, entries: usize) {
        let absence = absence as usize;
        let tally = self.tally(left);
        tally.soon += f64::from(u8::from(absence <= entries / 4));
        tally.later += f64::from(u8::from(absence <= entries));
    }

    /// The main queue kept all that it was asked for; `rate` is the least of their hits per tick.
    pub(super) fn kept(&mut self, rate: f64, entries: usize) {
        self.main.left += 1.0;
        self.main.soon += (rate * entries as f64 / 4.0).min(1.0);
        self.main.later += (rate * entries as f64).min(1.0);
    }

    /// Hits that promote the entry at the small queue's head which has had `hits`.
    pub(super) fn hits_to_promote(&mut self, hits: u8) -> u8 {
        if hits != 1 || !(self.once_is_enough || self.share > RECENCY) {
            return 2;
        }
        self.probes += 1;
        if self.probes == PROBE {
            self.probes = 0;
            return 2;
        }
        1
    }

    /// An entry was inserted into a full cache. True if a period ended and the share may have changed.
    #[inline]
    pub(super) fn tick(&mut self, entries: usize) -> bool {
        self.wait = self.wait.saturating_sub(1);
        if self.wait > 0 {
            return false;
        }
        self.wait = (entries / 8).max(8);
        self.weigh();
        true
    }

    #[cold]
    fn weigh(&mut self) {
        let returns = |tally: &Tally| (tally.later + 0.5) / (tally.left + 1.0);
        self.once_is_enough = returns(&self.once) > WORTH * returns(&self.main);

        let (fresh, main) = (self.fresh, self.main);
        // One return that never was, at the rate of all, keeps a few evictions from saying much.
        let all = (fresh.soon + main.soon + 0.01) / (fresh.left + main.left + 1.0);
        let of_fresh = (fresh.soon + 1.0) / (fresh.left + 1.0 / all);
        let of_main = (main.soon + 1.0) / (main.left + 1.0 / all);
        let late = |tally: &Tally| LATE * tally.later / (tally.left + 1.0);
        let ratio = ((of_fresh + late(&fresh) + NOTHING) / (of_main + late(&main) + NOTHING_MAIN)).ln();
        let doubt = (1.0 / (fresh.soon + 1.0) + 1.0 / (main.soon + 1.0)).sqrt();
        let step = STEP * (1.0 + (0.4 * ratio / doubt).powi(2)).min(STEPS);
        let goal = (START * (GAIN * ratio).exp()).clamp(SMALLEST, LARGEST);
        self.share += (goal - self.share).clamp(-step, step);

        self.fresh.fade();
        self.once.fade();
        self.main.fade();
    }

    #[cfg(test)]
    pub(super) fn share(&self) -> f64 {
        self.share
    }
}
