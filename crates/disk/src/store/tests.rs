//! The store through its front door, on the device that does as it is told.

use super::*;
use crate::simulated::SimulatedDevice;

fn store(options: Options) -> (Arc<SimulatedDevice>, Store) {
    let device = Arc::new(SimulatedDevice::new(1));
    let store = Store::open_on(Arc::clone(&device) as Arc<dyn Device>, options).unwrap();
    (device, store)
}

#[test]
fn what_is_put_is_there_before_and_after_it_is_written() {
    let (_, store) = store(Options::bytes(4 << 20));
    let jays = store.namespace("jays").unwrap();
    assert_eq!(jays.put(b"scrub", b"blue").unwrap(), Put::Stored);
    assert_eq!(&*jays.get(b"scrub").unwrap().unwrap(), b"blue");
    store.flush().unwrap();
    assert_eq!(&*jays.get(b"scrub").unwrap().unwrap(), b"blue");
    store.sync().unwrap();
    assert!(jays.remove(b"scrub").unwrap());
    assert!(!jays.remove(b"scrub").unwrap());
    assert!(jays.get(b"scrub").unwrap().is_none());
    let stats = store.stats();
    assert_eq!((stats.hits, stats.misses, stats.puts, stats.removes), (2, 1, 1, 1));
    store.close().unwrap();
    assert_eq!(jays.get(b"scrub").unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn many_segments_are_filled_and_read() {
    let (_, store) = store(Options::bytes(8 << 20).segment_len(256 << 10));
    let jays = store.namespace("jays").unwrap();
    let value = |n: u32| vec![n.to_le_bytes()[0]; 3000];
    for n in 0..2000_u32 {
        assert_eq!(jays.put(&n.to_le_bytes(), &value(n)).unwrap(), Put::Stored);
    }
    for n in 0..2000_u32 {
        assert_eq!(&*jays.get(&n.to_le_bytes()).unwrap().unwrap(), value(n));
    }
    store.flush().unwrap();
    for n in 0..2000_u32 {
        assert_eq!(&*jays.get(&n.to_le_bytes()).unwrap().unwrap(), value(n));
    }
    assert_eq!(jays.keys().count(), 2000);
}
