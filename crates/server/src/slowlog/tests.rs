//! What the slow log keeps, at its limits and one above.

use super::SlowLog;

fn note(log: &SlowLog, args: &[&[u8]], entries_max: usize) {
    log.note(args, 1_700_000_000, 12_345, ("127.0.0.1:1", b"worker"), entries_max);
}

#[test]
fn the_newest_entry_comes_first_and_ids_go_on_after_a_reset() {
    let log = SlowLog::default();
    note(&log, &[b"get", b"a"], 128);
    note(&log, &[b"get", b"b"], 128);
    let ids: Vec<u64> = log.newest(10).iter().map(|entry| entry.id).collect();
    assert_eq!((ids, log.newest(1)[0].args[1].as_slice()), (vec![1, 0], b"b".as_slice()));
    log.reset();
    assert_eq!(log.len(), 0);
    note(&log, &[b"ping"], 128);
    assert_eq!(log.newest(10)[0].id, 2);
}

#[test]
fn the_limit_drops_the_oldest() {
    let log = SlowLog::default();
    for _ in 0..5 {
        note(&log, &[b"ping"], 3);
    }
    assert_eq!(log.newest(10).iter().map(|entry| entry.id).collect::<Vec<_>>(), [4, 3, 2]);
    note(&log, &[b"ping"], 0);
    assert_eq!(log.len(), 0);
}

#[test]
fn long_calls_are_cut_as_redis_cuts_them() {
    let log = SlowLog::default();
    let long = vec![b'x'; 129];
    let exact = vec![b'y'; 128];
    note(&log, &[b"set", &long, &exact], 128);
    let args = &log.newest(1)[0].args;
    assert_eq!(args[1], [&long[..128], b"... (1 more bytes)"].concat());
    assert_eq!(args[2], exact);

    note(&log, &[b"a".as_slice(); 32], 128);
    assert_eq!(log.newest(1)[0].args.len(), 32);
    assert_eq!(log.newest(1)[0].args[31], b"a");
    note(&log, &[b"a".as_slice(); 33], 128);
    assert_eq!(log.newest(1)[0].args.len(), 32);
    assert_eq!(log.newest(1)[0].args[31], b"... (2 more arguments)");
}
