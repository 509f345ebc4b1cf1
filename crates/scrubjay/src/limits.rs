//! What both faces of the library demand of their settings and entries: each message names the field, its value and the limit.

use crate::clock::TIME_MS_MAX;
use crate::error::Error;
use crate::memory::{Budget, Memory};
use std::time::Duration;

/// The least budget in bytes: below, an entry would hardly have room beside the tier's own structures.
const BYTES_MIN: u64 = 4096;
/// Partitions, at most.
const PARTITIONS_MAX: usize = 255;
/// Shards, at most.
const SHARDS_MAX: usize = 1024;
/// From these costs on, the classes 1, 2 and 3: a lookup in memory elsewhere, a query, a slow query.
const COST_CLASSES: [Duration; 3] = [Duration::from_millis(1), Duration::from_millis(10), Duration::from_millis(100)];

/// Who says to which partition a key belongs; `None` is to none.
pub(crate) type Partitioner<K> = Box<dyn for<'a> Fn(&'a K) -> Option<&'a str> + Send + Sync>;

impl Memory {
    /// Whether a tier can be made of it.
    ///
    /// # Errors
    /// `Invalid`: which part of it is beyond which limit.
    pub(crate) fn validate(&self, has_partitioner: bool) -> Result<(), Error> {
        let (unit, capacity) = match self.budget {
            Budget::Bytes(bytes) => ("bytes", bytes),
            Budget::Entries(entries) => ("entries", entries),
        };
        check_capacity(&format!("memory.{unit}"), capacity, self.capacity_min())?;
        check_shards(self.shards)?;
        check_partitions(&self.partitions, capacity, has_partitioner)
    }

    /// The least budget.
    pub(crate) fn capacity_min(&self) -> u64 {
        match self.budget {
            Budget::Bytes(_) => BYTES_MIN,
            Budget::Entries(_) => 1,
        }
    }
}

/// Whether a budget can hold anything.
pub(crate) fn check_capacity(field: &str, capacity: u64, capacity_min: u64) -> Result<(), Error> {
    if capacity < capacity_min {
        return Err(Error::invalid(format!("{field} is {capacity}, must be at least {capacity_min}")));
    }
    Ok(())
}

/// The partition that a key was said to belong to, as the tier counts them (from 1 on, 0 for none), and its quota.
pub(crate) fn partition(name: Option<&str>, partitions: &[(String, u64)]) -> Result<(u16, Option<u64>), Error> {
    let Some(name) = name else { return Ok((0, None)) };
    match (1_u16..).zip(partitions).find(|(_, (other, _))| other == name) {
        Some((number, (_, quota))) => Ok((number, Some(*quota))),
        None => {
            let names: Vec<&str> = partitions.iter().map(|(name, _)| name.as_str()).collect();
            Err(Error::invalid(format!("partition of the key is {name:?}, must be one of {names:?}")))
        }
    }
}

/// A time in milliseconds, one begun counting whole.
///
/// # Errors
/// `Invalid`: it is zero, or beyond the clock.
pub(crate) fn milliseconds(field: &str, time: Duration) -> Result<u64, Error> {
    match u64::try_from(time.as_nanos().div_ceil(1_000_000)) {
        Ok(ms) if (1..=TIME_MS_MAX).contains(&ms) => Ok(ms),
        _ => Err(Error::invalid(format!("{field} is {time:?}, must be 1ns..={TIME_MS_MAX}ms"))),
    }
}

/// What it costs to load an entry again, as the eviction policy knows it.
pub(crate) fn cost_class(cost: Duration) -> u8 {
    COST_CLASSES.iter().map(|from| u8::from(cost >= *from)).sum()
}

fn check_shards(shards: Option<usize>) -> Result<(), Error> {
    match shards {
        Some(shards) if !shards.is_power_of_two() || shards > SHARDS_MAX => {
            Err(Error::invalid(format!("memory.shards is {shards}, must be a power of two, at most {SHARDS_MAX}")))
        }
        _ => Ok(()),
    }
}

fn check_partitions(partitions: &[(String, u64)], capacity: u64, has_partitioner: bool) -> Result<(), Error> {
    let count = partitions.len();
    if count > PARTITIONS_MAX {
        return Err(Error::invalid(format!("memory.partitions are {count}, must be at most {PARTITIONS_MAX}")));
    }
    if count > 0 && !has_partitioner {
        return Err(Error::invalid(format!("memory.partitions are {count}, must be 0 without partition_by")));
    }
    for (index, (name, quota)) in partitions.iter().enumerate() {
        if name.is_empty() {
            return Err(Error::invalid("memory.partition has the name \"\", must not be empty"));
        }
        if partitions[..index].iter().any(|(other, _)| other == name) {
            return Err(Error::invalid(format!("memory.partition {name:?} is there twice, must be there once")));
        }
        if *quota == 0 || *quota > capacity {
            return Err(Error::invalid(format!(
                "memory.partition {name:?} has the quota {quota}, must be 1..={capacity}"
            )));
        }
    }
    Ok(())
}
