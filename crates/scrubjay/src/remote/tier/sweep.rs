//! Walking through the keys of the cache on the server, over every master.

use super::super::link::{Link, Trouble};
use super::{Confirmed, Inner, RemoteTier, Removal, Swept};
use crate::error::{Error, ErrorKind};
use crate::tags::Mark;
use redis::Value;

/// Keys that the server looks at in a step.
const STEP: usize = 1_000;
/// Steps of one walk: 4 billion keys.
const STEPS_MAX: usize = 4 << 20;

impl RemoteTier {
    /// Removes every key that begins so and is wanted. O(keys on the server). What only the memory of other processes has is not reached,
    /// nor what they have still to store: for that there are tags.
    pub(crate) async fn remove_where(&self, prefix: &[u8], is_wanted: impl Fn(&[u8]) -> bool) -> Swept {
        let inner = &self.inner;
        let mut swept = Swept { removed: 0, confirmed: Confirmed::Yes };
        let mut is_wanted = |key: &[u8]| key.starts_with(prefix) && is_wanted(key);
        // No walk finds what waits to be stored.
        let waiting = inner.missed.lock().keys(&mut is_wanted);
        self.sweep(&waiting, &mut swept).await;
        // Leases first: a load that stores between the two walks is found by the second.
        for pattern in [inner.names.lease_pattern(prefix), inner.names.data_pattern(prefix)] {
            let mut walk = Walk::begin(inner, &self.link, pattern).await;
            loop {
                let keys = match walk.as_mut() {
                    Ok(walk) => walk.next(inner, &self.link).await,
                    Err(trouble) => Err(trouble.clone()),
                };
                let Ok(keys) = keys else { return inner.swept_in_part(swept) };
                let Some(mut keys) = keys else { break };
                keys.retain(|key| is_wanted(key));
                self.sweep(&keys, &mut swept).await;
            }
        }
        swept
    }

    async fn sweep(&self, keys: &[Vec<u8>], swept: &mut Swept) {
        for removal in self.remove_many(keys).await {
            match removal {
                Removal::Gone { was_there } => swept.removed += u64::from(was_there),
                Removal::Deferred => swept.confirmed = Confirmed::Deferred,
            }
        }
    }

    /// The keys that are there, in batches, until `take` says that it has enough. A key may come twice. O(keys on the server).
    ///
    /// # Errors
    /// `Unavailable`: not all could be listed.
    pub(crate) async fn keys(&self, mut take: impl FnMut(Vec<Vec<u8>>) -> bool) -> Result<(), Error> {
        let unavailable = |trouble: Trouble| Error::new(ErrorKind::Unavailable, format!("the remote tier: {trouble}"));
        let inner = &self.inner;
        let mut walk = Walk::begin(inner, &self.link, inner.names.data_pattern(b"")).await.map_err(unavailable)?;
        while let Some(keys) = walk.next(inner, &self.link).await.map_err(unavailable)? {
            let keys: Vec<Vec<u8>> = keys.into_iter().filter(|key| inner.may_read(key)).collect();
            if !keys.is_empty() && !take(keys) {
                break;
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Nobody knows what was not reached, so all of it goes.
    fn swept_in_part(&self, swept: Swept) -> Swept {
        if !self.remote.is_raw {
            self.defer_mark(Mark::Cleared);
        }
        Swept { confirmed: Confirmed::Deferred, ..swept }
    }
}

/// A walk through the keys of all masters that match a pattern.
struct Walk {
    masters: Vec<super::super::link::Master>,
    pattern: Vec<u8>,
    cursor: Vec<u8>,
    steps: usize,
}

impl Walk {
    async fn begin(_inner: &Inner, link: &Link, pattern: Vec<u8>) -> Result<Walk, Trouble> {
        Ok(Walk { masters: link.masters().await?, pattern, cursor: b"0".to_vec(), steps: 0 })
    }

    /// The cache's keys of the next step, perhaps none; `None` at the end.
    async fn next(&mut self, inner: &Inner, link: &Link) -> Result<Option<Vec<Vec<u8>>>, Trouble> {
        let Some(master) = self.masters.last() else { return Ok(None) };
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(Trouble::Server("the walk through the keys does not end".into()));
        }
        let mut scan = redis::cmd("SCAN");
        scan.arg(&self.cursor[..]).arg("MATCH").arg(&self.pattern[..]).arg("COUNT").arg(STEP);
        let answer = link.run_on(master, scan).await?;
        let Value::Array(parts) = answer else { return Err(super::super::scripts::unexpected()) };
        let Ok([Value::BulkString(cursor), Value::Array(names)]) = <[Value; 2]>::try_from(parts) else {
            return Err(super::super::scripts::unexpected());
        };
        if cursor == b"0" {
            self.masters.pop();
        }
        self.cursor = cursor;
        let key = |name| if let Value::BulkString(name) = name { inner.names.key_of_any(&name) } else { None };
        Ok(Some(names.into_iter().filter_map(key).collect()))
    }
}
