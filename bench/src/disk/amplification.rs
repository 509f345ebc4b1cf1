//! Bytes that reach the device over bytes that the user wrote, keys and values.
//!
//! Told by the kernel for everybody, since nobody can leave anything out there: what was handed to it (`wchar` of
//! `/proc/self/io`), which does not hang on when it writes pages back. Beside it what became dirty (`write_bytes`: less where
//! an engine writes over pages that are still dirty), and what the engine's own counter says, where it has one.

use super::account;
use super::child::Turn;
use super::engine::Engine;
use super::load::{entry_len, key};
use crate::clock;
use crate::library::Random;
use crate::turns::row;
use crate::values::Values;

const VALUE_LEN: usize = 4096;

/// What the engine may take on the device, where it knows such a bound.
const CAPACITY: u64 = 512 << 20;

/// User bytes that are written while it is measured, in capacities, after one that is not.
const MEASURED: u64 = 3;

/// Overwrites of keys drawn uniformly from as many as make 80 % of the capacity. Before each put one key is read, drawn
/// alike: what nobody reads nobody has to keep.
pub(super) fn uniform(turn: &Turn) -> anyhow::Result<()> {
    let values = Values::of_len(VALUE_LEN);
    let capacity = turn.capacity(CAPACITY);
    let engine = (turn.subject.open)(&turn.setting(capacity))?;
    let engine = engine.as_ref();
    let keys = capacity * 4 / 5 / entry_len(values.value_len());
    for number in 0..keys {
        engine.put(&key(number), values.get(number))?;
    }
    let mut random = Random::new(0xa3f);
    let mut version = keys;
    let mut overwrite = || -> anyhow::Result<()> {
        engine.get(&key(random.next() % keys), &mut |_| ())?;
        version += 1;
        engine.put(&key(random.next() % keys), values.get(version))
    };
    measure("wamp/uniform80", engine, capacity, &values, &mut overwrite)?;
    let mut kept = 0;
    for number in 0..keys {
        kept += u64::from(engine.get(&key(number), &mut |_| ())?);
    }
    row("wamp/uniform80/kept", kept as f64 * 100.0 / keys as f64, "% of keys");
    Ok(())
}

/// Keys that come once and are never read, into a full store: each takes the place of the oldest.
pub(super) fn cold(turn: &Turn) -> anyhow::Result<()> {
    let values = Values::of_len(VALUE_LEN);
    let capacity = turn.capacity(CAPACITY);
    let engine = (turn.subject.open)(&turn.setting(capacity))?;
    let engine = engine.as_ref();
    let window = capacity * 4 / 5 / entry_len(values.value_len());
    let mut number = 0;
    let mut insert = || -> anyhow::Result<()> {
        engine.put(&key(number), values.get(number))?;
        // Who holds itself to no capacity is held to it here.
        if !turn.subject.is_bounded && number >= window {
            engine.remove(&key(number - window))?;
        }
        number += 1;
        Ok(())
    };
    for _ in 0..window {
        insert()?;
    }
    measure("wamp/cold", engine, capacity, &values, &mut insert)
}

fn measure(
    case: &str,
    engine: &dyn Engine,
    capacity: u64,
    values: &Values,
    write: &mut dyn FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let per_capacity = capacity / entry_len(values.value_len());
    for _ in 0..per_capacity {
        write()?;
    }
    engine.settle()?;
    let (handed, dirtied) = (account::handed_bytes()?, account::dirtied_bytes()?);
    let (own, cpu_ns) = (engine.written_bytes(), clock::process_cpu_ns());
    for _ in 0..per_capacity * MEASURED {
        write()?;
    }
    engine.settle()?;
    let writes = (per_capacity * MEASURED) as f64;
    let user = writes * entry_len(values.value_len()) as f64;
    let cpu_ns = clock::process_cpu_ns() - cpu_ns;
    row(case, (account::handed_bytes()? - handed) as f64 / user, "written/user");
    row(&format!("{case}/dirtied"), (account::dirtied_bytes()? - dirtied) as f64 / user, "written/user");
    if let (Some(before), Some(after)) = (own, engine.written_bytes()) {
        row(&format!("{case}/counter"), (after - before) as f64 / user, "written/user");
    }
    row(&format!("{case}/cpu"), cpu_ns as f64 / 1000.0 / writes, "us CPU/op");
    Ok(())
}
