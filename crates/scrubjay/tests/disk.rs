//! The disk tier through the public calls: what is there after a restart, what is not, and what happens when the device does not
//! do what it should.

#![allow(clippy::unwrap_used, reason = "a test may, in its helpers too")]

#[path = "disk/faults.rs"]
mod faults;
#[path = "disk/history.rs"]
mod history;
#[path = "disk/moves.rs"]
mod moves;
#[path = "disk/places.rs"]
mod places;
#[path = "disk/restart.rs"]
mod restart;

use scrubjay::{Cache, CacheBuilder, Clock, Disk, Memory};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

/// A folder of its own for each test.
fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn disk(path: &Path) -> Disk {
    Disk::at(path).bytes(4 << 20)
}

/// A cache of so many numbers in memory, and the rest on disk.
fn builder(entries: u64, disk: Disk, clock: &Clock) -> CacheBuilder<String, u64> {
    Cache::builder("numbers").memory(Memory::entries(entries)).disk(disk).clock(clock.clone())
}

async fn cache(entries: u64, path: &Path, clock: &Clock) -> Cache<String, u64> {
    builder(entries, disk(path), clock).build().await.unwrap()
}

fn key(number: u64) -> String {
    format!("key:{number}")
}

async fn fill(cache: &Cache<String, u64>, numbers: std::ops::Range<u64>) {
    cache.insert_many(numbers.map(|number| (key(number), number))).await.unwrap();
}

async fn count(cache: &Cache<String, u64>, numbers: std::ops::Range<u64>) -> usize {
    let mut count = 0;
    for number in numbers {
        if let Some(found) = cache.get(&key(number)).await {
            assert_eq!(found, number);
            count += 1;
        }
    }
    count
}
