//! `scrubjay disk`: what a disk store holds, whether it is intact, and making it smaller. The engine looks; here it is said, in
//! text or in JSON.

#[cfg(test)]
mod tests;
pub(crate) mod words;

use crate::arguments::DiskTool;
use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use scrubjay_disk::{Options, Report, SegmentState, Store, Verified};
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;
use words::{bytes, count, table};

/// Segments that a store may have.
const SEGMENTS_MAX: u64 = 16_384;

/// Segments of room that compacting works with, beyond what is there.
const ROOM: u64 = 16;

/// Does what is asked, and says it.
pub(crate) fn run(tool: &DiskTool) -> anyhow::Result<ExitCode> {
    // The engine's errors say their source themselves.
    run_tool(tool).map_err(|error| match error.downcast::<scrubjay_disk::Error>() {
        Ok(error) => anyhow!("{error}"),
        Err(error) => error,
    })
}

fn run_tool(tool: &DiskTool) -> anyhow::Result<ExitCode> {
    match tool {
        DiskTool::Inspect { dir, json } => {
            let report = scrubjay_disk::inspect(dir)?;
            crate::print(&if *json { pretty(&report_json(&report)) } else { report_text(dir, &report) })?;
            Ok(ExitCode::SUCCESS)
        }
        DiskTool::Verify { dir, json } => {
            let bar = bar(!json, "{bar:40} {percent:>3} %  {bytes} of {total_bytes}, {bytes_per_sec}, {eta} to go");
            let verified = scrubjay_disk::verify(dir, |done, total| show(&bar, done, total))?;
            bar.finish_and_clear();
            crate::print(&if *json { pretty(&verified_json(&verified)) } else { verified_text(dir, &verified) })?;
            Ok(ExitCode::from(u8::from(!verified.damages.is_empty())))
        }
        DiskTool::Compact { dir } => {
            let bar = bar(true, "{bar:40} {percent:>3} %  {pos} of {len} segments, {eta} to go");
            let (before, after) = compact(dir, |done, total| show(&bar, done, total))?;
            bar.finish_and_clear();
            let (before, after) = (bytes(before), bytes(after));
            crate::print(&format!("{}: {before} before, {after} now\n", dir.display()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A bar on standard error, if that is a terminal.
fn bar(is_shown: bool, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    if !is_shown {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template(template).map(|style| style.progress_chars("=> "));
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, done: u64, total: u64) {
    bar.set_length(total);
    bar.set_position(done);
}

/// Bytes of all files before and after.
fn compact(dir: &Path, progress: impl FnMut(u64, u64)) -> anyhow::Result<(u64, u64)> {
    let before = scrubjay_disk::inspect(dir)?;
    // The bound of the store is for whoever opens it next: here it only must not be in the way.
    let wanted = before.file_bytes.saturating_mul(2).saturating_add(ROOM * before.segment_len);
    let capacity = wanted.min(SEGMENTS_MAX.saturating_mul(before.segment_len));
    let store = Store::open(dir, Options::bytes(capacity).segment_len(before.segment_len))?;
    store.compact(progress)?;
    store.sync()?;
    store.close()?;
    drop(store);
    Ok((before.file_bytes, scrubjay_disk::inspect(dir)?.file_bytes))
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn state(state: SegmentState) -> &'static str {
    match state {
        SegmentState::Sealed => "sealed",
        SegmentState::Unsealed => "unsealed",
        SegmentState::Damaged => "damaged",
        SegmentState::Foreign => "foreign",
        _ => "unknown",
    }
}

fn report_json(report: &Report) -> Value {
    let segments = report.segments.iter().map(|segment| {
        json!({
            "number": segment.number,
            "state": state(segment.state),
            "file_bytes": segment.file_bytes,
            "created_ms": segment.created_ms,
            "entries": segment.entries,
            "live_bytes": segment.live_bytes,
            "dead_bytes": segment.dead_bytes,
            "tombstones": segment.tombstones,
        })
    });
    let namespaces = report.namespaces.iter().map(|namespace| {
        json!({
            "name": namespace.name,
            "entries": namespace.entries,
            "bytes": namespace.bytes,
            "was_cleared": namespace.was_cleared,
        })
    });
    json!({
        "store_id": format!("{:016x}", report.store_id),
        "created_ms": report.created_ms,
        "segment_len": report.segment_len,
        "file_bytes": report.file_bytes,
        "entries": report.entries(),
        "live_bytes": report.live_bytes(),
        "dead_bytes": report.dead_bytes(),
        "torn_bytes": report.torn_bytes,
        "distrusted_entries": report.distrusted_entries,
        "segments": segments.collect::<Vec<_>>(),
        "namespaces": namespaces.collect::<Vec<_>>(),
        "entries_by_heat": report.entries_by_heat[..7],
        "pinned_entries": report.entries_by_heat[7],
    })
}

fn report_text(dir: &Path, report: &Report) -> String {
    let mut text = format!("{}: store {:016x}\n", dir.display(), report.store_id);
    let records = report.live_bytes() + report.dead_bytes();
    let percent = (100 * report.live_bytes()).checked_div(records).unwrap_or(0);
    text += &format!("  files  {} in {} segments\n", bytes(report.file_bytes), count(report.segments.len()));
    text += &format!("  live   {}, {percent} %, in {} entries\n", bytes(report.live_bytes()), count(report.entries()));
    text += &format!("  dead   {}\n", bytes(report.dead_bytes()));
    if report.torn_bytes > 0 {
        text += &format!(
            "  torn   {} of a write that was cut short; the next opening cuts it off\n",
            bytes(report.torn_bytes)
        );
    }
    if report.distrusted_entries > 0 {
        let entries = count(report.distrusted_entries);
        text += &format!("  lost   {entries} entries, which the next opening drops: see scrubjay disk verify\n");
    }
    text += "\nSegments, oldest first:\n";
    let mut rows = vec![["number", "state", "file", "entries", "live", "dead", "tombstones"].map(str::to_owned)];
    rows.extend(report.segments.iter().map(|segment| {
        [
            segment.number.to_string(),
            state(segment.state).to_owned(),
            bytes(segment.file_bytes),
            count(segment.entries),
            bytes(segment.live_bytes),
            bytes(segment.dead_bytes),
            count(segment.tombstones),
        ]
    }));
    text += &table(&rows);
    text += "\nNamespaces:\n";
    let mut rows = vec![["name", "entries", "bytes", ""].map(str::to_owned)];
    rows.extend(report.namespaces.iter().map(|namespace| {
        let cleared = if namespace.was_cleared { "was cleared" } else { "" };
        let name = namespace.name.escape_debug().to_string();
        [name, count(namespace.entries), bytes(namespace.bytes), cleared.to_owned()]
    }));
    text += &table(&rows);
    text += "\nEntries by heat:\n";
    let most = report.entries_by_heat.iter().copied().max().unwrap_or(0);
    let mut rows: Vec<[String; 3]> = Vec::new();
    for (heat, &entries) in report.entries_by_heat.iter().enumerate() {
        let name = if heat == 7 { "pinned".to_owned() } else { heat.to_string() };
        let len = (entries.saturating_mul(40)).div_ceil(most.max(1));
        rows.push([name, count(entries), "#".repeat(usize::try_from(len).unwrap_or(0))]);
    }
    text + &table(&rows)
}

fn verified_json(verified: &Verified) -> Value {
    let damages = verified
        .damages
        .iter()
        .map(|damage| json!({ "file": damage.file, "offset": damage.offset, "what": damage.what }));
    json!({
        "is_intact": verified.damages.is_empty(),
        "segments": verified.segments,
        "records": verified.records,
        "bytes": verified.bytes,
        "torn_bytes": verified.torn_bytes,
        "damages": damages.collect::<Vec<_>>(),
    })
}

fn verified_text(dir: &Path, verified: &Verified) -> String {
    let Verified { segments, records, bytes: read, torn_bytes, .. } = verified;
    let (segments, records, read) = (count(*segments), count(*records), bytes(*read));
    let mut text = format!("{}: {records} records in {segments} segments, {read} read\n", dir.display());
    if *torn_bytes > 0 {
        text += &format!("  {} of a write that was cut short: no damage\n", bytes(*torn_bytes));
    }
    for damage in &verified.damages {
        text += &format!("  {} at {}: {}\n", damage.file, damage.offset, damage.what);
    }
    match verified.damages.len() {
        0 => text + "intact\n",
        1 => text + "damaged in one place\n",
        many => text + &format!("damaged in {} places\n", count(many)),
    }
}
