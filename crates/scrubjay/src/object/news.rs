//! What other processes have written: found by listing, since nobody tells. One listing has packs, clears and leases.
//!
//! A pack that is new is read by its footer alone, the newest first; one that is gone was rewritten or is void. The first
//! time, nothing of the store is served before all footers are read: in a part of them an older version of a key could be the
//! newest. What cannot be read may have hidden something older, so nothing that is older than it is believed any more.

use super::counters::Count;
use super::pack::{Footer, Named, Names, PackName};
use super::reach::Trouble;
use super::tier::{ObjectTier, State};
use futures_util::StreamExt;
use std::collections::HashSet;

/// Footers that are read at a time.
const FOOTERS_AT_ONCE: usize = 16;
/// For so many intervals without news what is known still counts.
const TRUST_INTERVALS: u32 = 10;

/// What a listing found.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    pub(super) packs: Vec<(PackName, u64)>,
    pub(super) clears: Vec<u64>,
    pub(super) leases: Vec<u64>,
    /// Objects whose names are not ours.
    pub(super) foreign: u64,
}

impl Listing {
    /// The latest clear, which is the only one that matters.
    pub(super) fn cleared(&self) -> u64 {
        self.clears.iter().copied().max().unwrap_or(0)
    }
}

impl ObjectTier {
    pub(super) async fn list(&self) -> Result<Listing, Trouble> {
        let latest = self.latest_credible();
        let is_credible = move |stamp: u64| stamp < latest;
        let take = move |listing: &mut Listing, meta: object_store::ObjectMeta| match Names::read(&meta.location) {
            Some(Named::Pack(name)) if is_credible(name.stamp) => listing.packs.push((name, meta.size)),
            Some(Named::Clear(stamp)) if is_credible(stamp) => listing.clears.push(stamp),
            Some(Named::Lease(number)) => listing.leases.push(number),
            Some(Named::Pack(_) | Named::Clear(_)) | None => listing.foreign += 1,
        };
        self.reach.list(self.names.index.clone(), Listing::default(), take).await
    }

    /// Looks once. What was found is told, for the upkeep.
    pub(super) async fn look_for_news(&self) -> Result<Listing, Trouble> {
        let (began_ms, began_unix_ms) = (self.clock.now_ms(), self.unix_ms());
        let turn = {
            let mut state = self.state.lock();
            state.looks_begun += 1;
            state.looks_begun
        };
        let looked = self.look_in_turn(turn).await;
        let mut state = self.state.lock();
        match &looked {
            Ok(_) => {
                state.turn = turn;
                state.is_open = true;
                state.trusted_until_ms = began_ms + millis(self.object.refresh_interval) * u64::from(TRUST_INTERVALS);
                let settled = began_unix_ms.saturating_sub(millis(self.object.write_timeout) * 2);
                let settled = super::tier::floor_of(settled);
                state.masks.retain(|_, heard| *heard >= settled);
                self.counters.one(Count::Refreshes);
            }
            Err(why) if state.look_trouble.is_none() => {
                tracing::warn!(cache = &*self.name, %why, "it is not known what is new in the object store");
            }
            Err(_) => {}
        }
        state.look_trouble = looked.as_ref().err().cloned();
        drop(state);
        if looked.is_ok() {
            self.wakes.looked.send_replace(turn);
        }
        looked
    }

    async fn look_in_turn(&self, turn: u64) -> Result<Listing, Trouble> {
        let listing = self.list().await?;
        let mut news = {
            let mut state = self.state.lock();
            self.follow(&mut state, &listing, turn);
            unknown(&state, &listing)
        };
        news.sort_unstable_by(|one, other| other.cmp(one));
        let read = async |(name, size): (PackName, u64)| {
            let is_wanted = name.stamp > self.state.lock().index.floor;
            let footer = if is_wanted { Some(self.footer(name, size).await) } else { None };
            (name, footer)
        };
        let mut reading = futures_util::stream::iter(news.into_iter().map(read)).buffer_unordered(FOOTERS_AT_ONCE);
        let mut trouble = None;
        while let Some((name, footer)) = reading.next().await {
            let Some(footer) = footer else { continue };
            trouble = self.take_footer(name, footer).err().or(trouble);
        }
        trouble.map_or(Ok(listing), Err)
    }

    /// A clear that others made, and packs that others deleted.
    fn follow(&self, state: &mut State, listing: &Listing, turn: u64) {
        state.void(listing.cleared());
        let listed: HashSet<PackName, ahash::RandomState> = listing.packs.iter().map(|(name, _)| *name).collect();
        // What was written since the listing began is not in it.
        let is_gone = |pack: &&super::index::Pack| pack.turn < turn && !listed.contains(&pack.name);
        let gone: Vec<PackName> = state.index.packs().filter(is_gone).map(|pack| pack.name).collect();
        for name in gone {
            state.index.remove_pack(name);
        }
        state.bad.retain(|name| listed.contains(name));
        // Whatever becomes of them, what is written from now on is later.
        let latest = listing.packs.iter().map(|(name, _)| name.stamp).max().unwrap_or(0);
        self.stamps.saw(latest.max(listing.cleared()));
        state.foreign = listing.foreign;
    }

    /// Takes in what was read of a pack. An error is one that may pass.
    fn take_footer(&self, name: PackName, footer: Result<Footer, Trouble>) -> Result<(), Trouble> {
        let mut state = self.state.lock();
        match footer {
            Ok(footer) => self.take_in(&mut state, name, &footer),
            Err(Trouble::NotFound) => {}
            Err(why @ (Trouble::TimedOut | Trouble::Failed(_))) => return Err(why),
            Err(why) => {
                tracing::warn!(cache = &*self.name, pack = %name, %why, "what is older than this pack is given up");
                state.bad.insert(name);
                let cost = state.index.raise_floor(name.stamp);
                self.counters.add(Count::LeftOut, cost);
                self.counters.one(Count::Forgotten);
            }
        }
        Ok(())
    }
}

fn unknown(state: &State, listing: &Listing) -> Vec<(PackName, u64)> {
    let is_news = |(name, _): &&(PackName, u64)| !state.index.has(*name) && !state.bad.contains(name);
    listing.packs.iter().filter(is_news).copied().collect()
}

pub(super) fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX >> 16)
}
