//! What this process has used up: resident memory, bytes handed to the device. Read from the kernel, so that it is
//! the same for every subject.

use anyhow::Context;

/// Resident memory of this process.
pub(super) fn resident_bytes() -> anyhow::Result<u64> {
    Ok(1024 * number("/proc/self/smaps_rollup", "Rss:")?)
}

/// Bytes that this process handed to the system to write, to files above all.
pub(super) fn handed_bytes() -> anyhow::Result<u64> {
    number("/proc/self/io", "wchar:")
}

/// Bytes that this process made the device write: pages of files when they become dirty, and direct writes. A page that is
/// written again while it is still dirty counts once.
pub(super) fn dirtied_bytes() -> anyhow::Result<u64> {
    number("/proc/self/io", "write_bytes:")
}

/// The number after `label`, at the beginning of a line of `file`.
fn number(file: &str, label: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(label)).with_context(|| format!("{file}: no {label}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
