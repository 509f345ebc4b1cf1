use super::*;
use std::collections::{HashMap, VecDeque};

/// Requests over `distinct` objects, some of which are asked for far more often.
fn requests(seed: u64, distinct: u32, count: usize) -> Vec<u32> {
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(state >> 33).unwrap() % distinct
    };
    (0..count).map(|_| draw().min(draw())).collect()
}

fn slow_lru(requests: &[u32], capacity: usize) -> u64 {
    let (mut queue, mut hits) = (VecDeque::new(), 0);
    for object in requests {
        if let Some(index) = queue.iter().position(|other| other == object) {
            queue.remove(index);
            hits += 1;
        }
        queue.push_back(*object);
        if queue.len() > capacity {
            queue.pop_front();
        }
    }
    hits
}

/// The most hits that any sequence of choices reaches, by trying all of them.
fn best_of_all(
    requests: &[u32],
    resident: &mut Vec<u32>,
    capacity: usize,
    known: &mut HashMap<(usize, Vec<u32>), u64>,
) -> u64 {
    let Some((object, rest)) = requests.split_first() else { return 0 };
    if resident.contains(object) {
        return 1 + best_of_all(rest, resident, capacity, known);
    }
    resident.sort_unstable();
    let state = (requests.len(), resident.clone());
    if let Some(hits) = known.get(&state) {
        return *hits;
    }
    let mut best = best_of_all(rest, &mut resident.clone(), capacity, known);
    if resident.len() < capacity {
        let mut with = resident.clone();
        with.push(*object);
        best = best.max(best_of_all(rest, &mut with, capacity, known));
    } else {
        for index in 0..resident.len() {
            let mut with = resident.clone();
            with[index] = *object;
            best = best.max(best_of_all(rest, &mut with, capacity, known));
        }
    }
    known.insert(state, best);
    best
}

#[test]
fn lru_is_what_a_queue_does() {
    for seed in 0..20 {
        let requests = requests(seed, 50, 2000);
        for capacity in [1, 2, 7, 30, 50, 80] {
            assert_eq!(lru_hits(&requests, 50, capacity), slow_lru(&requests, capacity), "capacity {capacity}");
        }
    }
}

#[test]
fn the_optimum_is_the_best_of_all_choices() {
    for seed in 0..50 {
        let requests = requests(seed, 6, 24);
        for capacity in 1..=4 {
            let best = best_of_all(&requests, &mut Vec::new(), capacity, &mut HashMap::new());
            assert_eq!(optimal_hits(&requests, 6, capacity), best, "seed {seed}, capacity {capacity}: {requests:?}");
        }
    }
}

#[test]
fn a_loop_never_hits_in_lru_and_the_optimum_keeps_what_fits() {
    let requests: Vec<u32> = (0..10).cycle().take(1000).collect();
    assert_eq!(lru_hits(&requests, 10, 9), 0);
    assert_eq!(lru_hits(&requests, 10, 10), 990);
    // Nine of ten in each of the 99 rounds after the first, since what is just at hand need not be kept.
    let hits = optimal_hits(&requests, 10, 9);
    assert!((99 * 8..=99 * 9).contains(&hits), "{hits}");
}
