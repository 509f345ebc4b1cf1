use super::*;

fn device(io: Io) -> (tempfile::TempDir, FileDevice) {
    // Beside the test's binary rather than in /tmp, which may be a file system in memory that takes no direct I/O.
    let folder = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
    let device = FileDevice::open(folder.path(), io).unwrap();
    (folder, device)
}

/// Runs a test buffered, and direct where the file system takes it.
fn on_both(run: impl Fn(&FileDevice)) {
    for io in [Io::Buffered, Io::Direct] {
        let (_folder, device) = device(io);
        match device.create("probe", 0) {
            Ok(_) => device.remove("probe").unwrap(),
            Err(error) if error.kind() == ErrorKind::Unsupported => continue,
            Err(error) => panic!("{error}"),
        }
        run(&device);
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect()
}

#[test]
fn what_is_written_is_read_at_any_offset_and_length() {
    on_both(|device| {
        let file = device.create("a", 64 << 10).unwrap();
        assert_eq!(file.len().unwrap(), 64 << 10);
        let bytes = pattern(64 << 10);
        let mut aligned = AlignedBuffer::default();
        aligned.extend_from_slice(&bytes);
        file.write_at(aligned.as_slice(), 0).unwrap();
        file.sync().unwrap();
        for (offset, len) in [(0, 10), (1, 4095), (4090, 12), (5000, 20_000), (65_535, 1), (0, 65_536), (4096, 0)] {
            let mut read = vec![0; len];
            file.read_at(&mut read, offset as u64).unwrap();
            assert_eq!(read, bytes[offset..offset + len]);
        }
        let mut read = vec![0; 2];
        assert_eq!(file.read_at(&mut read, 65_535).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(file.read_at(&mut read, 1 << 30).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn small_writes_work_in_every_mode_and_grow_the_file() {
    on_both(|device| {
        let file = device.create("a", 0).unwrap();
        let bytes = pattern(10_000);
        for (at, chunk) in bytes.chunks(33).enumerate() {
            file.write_at(chunk, at as u64 * 33).unwrap();
        }
        assert_eq!(file.len().unwrap(), 10_000);
        let mut read = vec![0; 10_000];
        file.read_at(&mut read, 0).unwrap();
        assert_eq!(read, bytes);
        // Pages at an address that is none.
        let pages = [&[1][..], &pattern(300 << 10)].concat();
        file.write_at(&pages[1..], 4096).unwrap();
        let mut read = vec![0; 300 << 10];
        file.read_at(&mut read, 4096).unwrap();
        assert_eq!(read, pages[1..]);
        file.set_len(5000).unwrap();
        assert_eq!(file.len().unwrap(), 5000);
        assert_eq!(file.read_at(&mut [0; 10], 4995).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        file.read_at(&mut [0; 10], 4990).unwrap();
    });
}

#[test]
fn a_read_that_must_not_wait_is_served_by_the_page_cache_or_says_so() {
    let (_folder, device) = device(Io::Buffered);
    let file = device.create("a", 0).unwrap();
    file.write_at(&pattern(5000), 0).unwrap();
    let mut read = vec![0; 4000];
    match file.try_read_at(&mut read, 1000) {
        Ok(()) => assert_eq!(read, pattern(5000)[1000..]),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
    }
    let past = file.try_read_at(&mut read, 1001).unwrap_err().kind();
    assert!(matches!(past, ErrorKind::UnexpectedEof | ErrorKind::WouldBlock));
}

#[test]
fn a_direct_read_always_waits() {
    on_both(|device| {
        if device.alignment() > 1 {
            let file = device.create("a", 4096).unwrap();
            assert_eq!(file.try_read_at(&mut [0; 10], 0).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
    });
}

#[test]
fn files_are_listed_renamed_and_removed() {
    on_both(|device| {
        drop(device.create("a", 100).unwrap());
        drop(device.create("b", 0).unwrap());
        assert_eq!(device.create("a", 1).unwrap_err().kind(), ErrorKind::AlreadyExists);
        device.rename("a", "b").unwrap();
        device.sync_folder().unwrap();
        assert_eq!(device.list().unwrap(), [("b".to_string(), 100)]);
        assert_eq!(device.open("a").unwrap_err().kind(), ErrorKind::NotFound);
        let file = device.open("b").unwrap();
        device.remove("b").unwrap();
        file.write_at(b"still", 0).unwrap();
        let mut read = [0; 5];
        file.read_at(&mut read, 0).unwrap();
        assert_eq!(&read, b"still");
        assert_eq!(device.list().unwrap(), []);
        assert_eq!(device.remove("b").unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_folder_has_one_owner_at_a_time() {
    let (folder, device) = device(Io::Buffered);
    device.lock().unwrap();
    device.lock().unwrap();
    let other = FileDevice::open(folder.path(), Io::Buffered).unwrap();
    let error = other.lock().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
    device.unlock();
    other.lock().unwrap();
    device.unlock();
    assert!(device.lock().is_err());
    drop(other);
    device.lock().unwrap();
}

#[test]
fn a_file_that_no_disk_can_hold_is_refused_and_not_left_behind() {
    let (_folder, device) = device(Io::Buffered);
    let error = device.create("huge", 1 << 46).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::FileTooLarge), "{error:?}");
    assert!(error.to_string().contains("huge"), "{error}");
    assert_eq!(device.list().unwrap(), []);
}

#[test]
fn errors_name_the_path() {
    let (folder, device) = device(Io::Buffered);
    let says = |error: io::Error, kind: ErrorKind, name: &str| {
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(folder.path().join(name).to_str().unwrap()), "{error}");
    };
    says(device.open("missing").unwrap_err(), ErrorKind::NotFound, "missing");
    drop(device.create("plain", 0).unwrap());
    let plain = folder.path().join("plain");
    says(FileDevice::open(&plain, Io::Buffered).unwrap_err(), ErrorKind::NotADirectory, "plain");
    says(FileDevice::open(plain.join("below"), Io::Buffered).unwrap_err(), ErrorKind::NotADirectory, "plain");
    let none = folder.path().join("none");
    says(FileDevice::open_existing(&none, Io::Buffered).unwrap_err(), ErrorKind::NotFound, "none");
    for name in ["", ".", "..", "a/b"] {
        assert_eq!(device.create(name, 0).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_folder_is_made_with_its_parents() {
    let (folder, _device) = device(Io::Buffered);
    let below = folder.path().join("x/y/z");
    let device = FileDevice::open(&below, Io::Buffered).unwrap();
    assert_eq!((device.path(), device.list().unwrap()), (below.as_path(), Vec::new()));
    device.sync_folder().unwrap();
}
