//! What needs no cache to be known: LRU, and the most that any policy could reach.

use std::collections::BinaryHeap;

const NOWHERE: u32 = u32::MAX;

/// Hits of a cache that evicts what was asked for longest ago. Objects are dense: `distinct` is one more than the largest.
pub(crate) fn lru_hits(requests: &[u32], distinct: usize, capacity: usize) -> u64 {
    // A ring of neighbours through a sentinel, which stands at `distinct`.
    let sentinel = distinct;
    let mut older = vec![NOWHERE; distinct + 1];
    let mut newer = vec![NOWHERE; distinct + 1];
    let id = |index: usize| u32::try_from(index).unwrap_or(NOWHERE);
    older[sentinel] = id(sentinel);
    newer[sentinel] = id(sentinel);
    let (mut hits, mut resident) = (0, 0);
    for &object in requests {
        let index = object as usize;
        if older[index] != NOWHERE {
            hits += 1;
            unlink(&mut older, &mut newer, index);
        } else {
            resident += 1;
        }
        // Between the sentinel and the newest.
        let newest = older[sentinel];
        (older[index], newer[index]) = (newest, id(sentinel));
        newer[newest as usize] = object;
        older[sentinel] = object;
        if resident > capacity {
            let oldest = newer[sentinel] as usize;
            unlink(&mut older, &mut newer, oldest);
            older[oldest] = NOWHERE;
            resident -= 1;
        }
    }
    hits
}

fn unlink(older: &mut [u32], newer: &mut [u32], index: usize) {
    let (before, after) = (older[index], newer[index]);
    newer[before as usize] = after;
    older[after as usize] = before;
}

/// Hits of Belady's optimum: what is asked for again last of all goes, the object at hand among the candidates.
pub(super) fn optimal_hits(requests: &[u32], distinct: usize, capacity: usize) -> u64 {
    // When the object of each request is asked for again; `NOWHERE` for never.
    let mut next_use = vec![NOWHERE; requests.len()];
    let mut seen = vec![NOWHERE; distinct];
    for (time, &object) in requests.iter().enumerate().rev() {
        next_use[time] = seen[object as usize];
        seen[object as usize] = u32::try_from(time).unwrap_or(NOWHERE);
    }
    // The next use of what is resident. The heap also has entries whose time has passed or that were superseded: their
    // time is not what is noted here.
    let mut noted = vec![None; distinct];
    let mut heap = BinaryHeap::new();
    let (mut hits, mut resident) = (0, 0);
    for (time, &object) in requests.iter().enumerate() {
        if noted[object as usize].is_some() {
            hits += 1;
        } else {
            resident += 1;
        }
        noted[object as usize] = Some(next_use[time]);
        heap.push((next_use[time], object));
        while resident > capacity {
            let Some((last_use, victim)) = heap.pop() else { break };
            if noted[victim as usize] == Some(last_use) {
                noted[victim as usize] = None;
                resident -= 1;
            }
        }
    }
    hits
}

#[cfg(test)]
mod tests;
