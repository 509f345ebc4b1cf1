use super::*;
use scrubjay_harness::{RedisCluster, RedisServer};

fn all(names: &KeyNames) -> [&[u8]; 6] {
    [&names.data, &names.lease, &names.tombstone, &names.outdated, &names.gone, &names.free]
}

#[test]
fn names_are_what_the_page_says() {
    let names = Names::new(b"scrubjay:", "users", 3, false);
    let of = names.of(b"42").unwrap();
    assert_eq!(of.data, b"scrubjay:users:3:42");
    assert_eq!(of.lease, b"scrubjay:users:3!lease:{scrubjay:users:3:42}");
    assert_eq!(of.gone, b"scrubjay:users:3!gone:{scrubjay:users:3:42}");
    let known = names.clone().of_origin(b"0123456789abcdef").of(b"42").unwrap();
    assert_eq!(known.gone, b"scrubjay:users:3!gone:0123456789abcdef{scrubjay:users:3:42}");
    assert_eq!(names.stamps(), b"scrubjay:users:3!stamps");
    let odd = Names::new(b"p{}:", "a:b!c", 1, false).of(b"{x}%").unwrap();
    assert_eq!(odd.data, b"p%7B%7D:a%3Ab%21c:1:%7Bx%7D%25");
    let raw = Names::new(b"app:", "users", 3, true);
    assert_eq!(raw.of(b"42").unwrap().data, b"app:42");
    assert_eq!(raw.of(b"42").unwrap().lease, b"!app:users:3!lease:{app:42}");
    assert_eq!(raw.of(b"{u}:42").unwrap().lease, b"!app:users:3!lease:{u}app:{u}:42");
}

#[test]
fn what_is_named_is_found_again() {
    let keys: [&[u8]; 9] = [b"", b"42", b"a:b", b"{x}", b"{{x}y}", b"}{", b"%7B", b"\xff\0!lease:", b"!gone:{x}"];
    for is_raw in [false, true] {
        let names = Names::new(b"app:", "users", 3, is_raw).of_origin(b"00000000000000aa");
        let another = Names::new(b"app:", "users", 3, is_raw).of_origin(b"00000000000000bb");
        let nobody = Names::new(b"app:", "users", 3, is_raw);
        for key in keys {
            let Some(of) = names.of(key) else {
                assert!(is_raw, "{key:?}");
                continue;
            };
            assert_eq!(names.parse(&of.data), Named::Key(key.to_vec()));
            assert_eq!(names.parse(&of.gone), Named::Free(key.to_vec()), "own");
            assert_eq!(another.parse(&of.gone), Named::Key(key.to_vec()));
            assert_eq!(nobody.parse(&of.gone), Named::Key(key.to_vec()));
            assert_eq!(names.parse(&nobody.of(key).unwrap().gone), Named::Key(key.to_vec()), "of who does not say");
            assert_eq!(nobody.parse(&nobody.of(key).unwrap().gone), Named::Key(key.to_vec()));
            assert_eq!(names.parse(&of.free), Named::Free(key.to_vec()));
            assert_eq!(names.parse(&of.lease), Named::Other);
            assert_eq!(names.parse(&of.tombstone), Named::Other);
            assert_eq!(names.parse(&of.outdated), Named::Other);
            assert_eq!(names.key_of_any(&of.lease).as_deref(), Some(key));
            assert_eq!(names.key_of_any(&of.data).as_deref(), Some(key));
        }
        assert_eq!(names.parse(b"other:42"), Named::Other);
    }
    let names = Names::new(b"", "users", 3, false);
    assert_eq!(names.parse(&names.stamps()), Named::Stamps);
    assert_eq!(names.parse(b"users:3:%GG"), Named::Other);
}

#[test]
fn the_names_of_a_key_share_a_slot_as_a_server_counts_them() {
    let server = RedisServer::start_with(&["--cluster-enabled", "yes"]);
    let mut console = server.console();
    let mut slot = |name: &[u8]| {
        let slot = console.call(&[b"CLUSTER", b"KEYSLOT", name]).number();
        assert_eq!(slot, i64::from(RedisCluster::slot_of(name)));
        slot
    };
    let keys: [&[u8]; 11] =
        [b"42", b"{u}:1", b"a{u}b{v}", b"{}{x}", b"{}x", b"}{", b"x}", b"{x", b"{{x}y}", b"a:{b}:c%", b"\xff{\0}\r\n"];
    for (prefix, is_raw) in [(&b"scrubjay:"[..], false), (b"{t}:", false), (b"app:", true), (b"", true)] {
        let names = Names::new(prefix, "us{e}rs", 3, is_raw);
        let mut shared = 0;
        for key in keys {
            let Some(of) = names.of(key) else { continue };
            shared += 1;
            let slots = all(&of).map(&mut slot);
            assert!(slots.iter().all(|other| *other == slots[0]), "{key:?}: {slots:?}");
        }
        // In raw mode nothing can share a slot with "{}{x}", "{}x", "}{" and "x}".
        assert_eq!(shared, if is_raw { 7 } else { keys.len() });
    }
}

#[test]
fn prefixes_that_are_tracked_do_not_overlap() {
    let caches = [(&b"scrubjay:"[..], "users"), (b"scrubjay:", "users:3"), (b"scrubjay:", "users!gone"), (b"", "u")];
    for is_raw in [false, true] {
        for (prefix, cache) in caches {
            let tracked = Names::new(prefix, cache, 3, is_raw).tracked();
            for (at, one) in tracked.iter().enumerate() {
                let others = tracked.iter().enumerate().filter(|(other, _)| *other != at);
                for (_, other) in others {
                    assert!(!one.starts_with(other), "{prefix:?} {cache} raw {is_raw}");
                }
            }
        }
    }
    let of = |cache: &str| Names::new(b"scrubjay:", cache, 3, false);
    assert!(!of("users").tracked().iter().any(|prefix| of("users:3").data(b"k").starts_with(prefix)));
}

#[test]
fn a_pattern_matches_what_it_begins_with_and_nothing_else() {
    let names = Names::new(b"a*b:", "users", 3, false);
    assert_eq!(names.data_pattern(b"x[1]?"), b"a\\*b:users:3:x\\[1\\]\\?*");
    assert_eq!(names.lease_pattern(b"x"), b"a\\*b:users:3!lease:{a\\*b:users:3:x*");
}
