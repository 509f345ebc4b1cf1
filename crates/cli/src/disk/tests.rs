//! What is said of a store, and with which status.

use super::*;
use std::fs;
use std::path::PathBuf;

/// A folder with a store: 300 entries, of which 100 were written twice and 50 removed.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options::bytes(16 << 20).segment_len(64 << 10)).unwrap();
    let (jays, stamps) = (store.namespace("jays").unwrap(), store.namespace("jays\0stamps").unwrap());
    for number in (0..300_u32).chain(0..100) {
        jays.put(&number.to_le_bytes(), &[7; 960]).unwrap();
    }
    for number in 250..300_u32 {
        jays.remove(&number.to_le_bytes()).unwrap();
        jays.get(&0_u32.to_le_bytes()).unwrap();
    }
    stamps.clear().unwrap();
    store.close().unwrap();
    folder
}

fn status(tool: &DiskTool) -> String {
    run(tool).map_or_else(|error| format!("{error:#}"), |code| format!("{code:?}"))
}

fn verify(dir: &Path) -> DiskTool {
    DiskTool::Verify { dir: dir.to_path_buf(), json: false }
}

fn success() -> String {
    format!("{:?}", ExitCode::SUCCESS)
}

#[test]
fn a_report_is_said_in_text() {
    let folder = folder();
    let text = report_text(folder.path(), &scrubjay_disk::inspect(folder.path()).unwrap());
    for part in [
        ": store ",
        "in 7 segments\n",
        ", 62 %, in 250 entries\n",
        "\nSegments, oldest first:\n  number  state",
        "\n  1       sealed",
        "\n  jays              250  246.0 KiB\n",
        "\n  jays\\0stamps        0        0 B  was cleared\n",
        "\n  6         1  #\n",
        "\n  pinned    0\n",
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
}

#[test]
fn a_report_is_said_in_json() {
    let folder = folder();
    let value = report_json(&scrubjay_disk::inspect(folder.path()).unwrap());
    assert_eq!((&value["entries"], &value["segment_len"]), (&json!(250), &json!(65_536)));
    assert_eq!(value["namespaces"][1], json!({"name": "jays\0stamps", "entries": 0, "bytes": 0, "was_cleared": true}));
    assert_eq!(value["segments"].as_array().unwrap().len(), 7);
    assert_eq!(value["segments"][0]["state"], "sealed");
    assert_eq!(value["entries_by_heat"], json!([249, 0, 0, 0, 0, 0, 1]));
    let live: u64 =
        value["segments"].as_array().unwrap().iter().map(|segment| segment["live_bytes"].as_u64().unwrap()).sum();
    assert_eq!(value["live_bytes"], json!(live));
    let again: Value = serde_json::from_str(&pretty(&value)).unwrap();
    assert_eq!(again, value);
}

#[test]
fn damage_is_named_and_ends_with_status_1() {
    let folder = folder();
    assert_eq!(status(&verify(folder.path())), success());
    let name = "segment-0000000000000002";
    let mut bytes = fs::read(folder.path().join(name)).unwrap();
    bytes[64 + 1008 + 40] ^= 1;
    fs::write(folder.path().join(name), bytes).unwrap();
    assert_eq!(status(&verify(folder.path())), format!("{:?}", ExitCode::from(1)));
    let verified = scrubjay_disk::verify(folder.path(), |_, _| {}).unwrap();
    let text = verified_text(folder.path(), &verified);
    assert!(
        text.ends_with(&format!("  {name} at 1072: 1008 bytes: what stood there is a miss\ndamaged in one place\n")),
        "{text}"
    );
    let value = verified_json(&verified);
    assert_eq!((&value["is_intact"], &value["damages"][0]["offset"]), (&json!(false), &json!(1072)));
    // Looking at what it holds is no judgement.
    assert_eq!(status(&DiskTool::Inspect { dir: folder.path().to_path_buf(), json: true }), success());
}

#[test]
fn compacting_keeps_what_is_live_and_nothing_else() {
    let folder = folder();
    let before = scrubjay_disk::inspect(folder.path()).unwrap();
    let mut told = Vec::new();
    let (from, to) = compact(folder.path(), |done, total| told.push((done, total))).unwrap();
    let after = scrubjay_disk::inspect(folder.path()).unwrap();
    assert_eq!((from, to), (before.file_bytes, after.file_bytes));
    assert!(to < from * 3 / 4, "{from} before, {to} after");
    assert_eq!((after.entries(), after.live_bytes()), (before.entries(), before.live_bytes()));
    assert!(after.dead_bytes() < 10_000, "{} dead", after.dead_bytes());
    assert_eq!(told.first().map(|(done, _)| *done), Some(0));
    assert!(told.last().is_some_and(|(done, total)| done == total));
    assert_eq!(status(&DiskTool::Compact { dir: folder.path().to_path_buf() }), success());
}

#[test]
fn what_cannot_be_done_is_said_with_the_folder_and_the_reason() {
    let folder = folder();
    let dir = folder.path().display().to_string();
    let missing = PathBuf::from(format!("{dir}/missing"));
    let tools = |dir: &Path| {
        let (dir, json) = (dir.to_path_buf(), false);
        [
            DiskTool::Inspect { dir: dir.clone(), json },
            DiskTool::Verify { dir: dir.clone(), json },
            DiskTool::Compact { dir },
        ]
    };
    for tool in tools(&missing) {
        assert_eq!(status(&tool), format!("{dir}/missing: there is no such folder"));
    }
    fs::create_dir(&missing).unwrap();
    for tool in tools(&missing) {
        assert_eq!(status(&tool), format!("{dir}/missing: there is no store in this folder: it has no manifest"));
    }
    assert_eq!(fs::read_dir(&missing).unwrap().count(), 0);
    let store = Store::open(folder.path(), Options::bytes(16 << 20).segment_len(64 << 10)).unwrap();
    for tool in tools(folder.path()) {
        assert_eq!(status(&tool), format!("{dir}: another store has this folder open"));
    }
    drop(store);
    let mut manifest = fs::read(folder.path().join("manifest")).unwrap();
    manifest[8] = 2;
    manifest[60..64].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
    fs::write(folder.path().join("manifest"), &manifest).unwrap();
    assert_eq!(status(&tools(folder.path())[0]), format!("{dir}: the manifest: its checksum differs"));
    assert_eq!(status(&verify(folder.path())), format!("{:?}", ExitCode::from(1)));
}

#[test]
fn numbers_are_said_for_the_eye() {
    let counts = [0, 999, 1000, 1_234_567].map(count);
    assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
    let lengths = [0, 1023, 1024, 1536, (1 << 30) - 1, 1 << 30, u64::MAX].map(bytes);
    assert_eq!(lengths, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1023.9 MiB", "1.0 GiB", "16777215.9 TiB"]);
    let rows = [["name", "bytes", ""], ["a", "1", "x"], ["longer", "20", ""]].map(|row| row.map(str::to_owned));
    assert_eq!(table(&rows), "  name    bytes\n  a           1  x\n  longer     20\n");
}
