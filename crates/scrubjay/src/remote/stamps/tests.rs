use super::*;

const T: &[&str] = &[];
/// An answer that may be of any time.
const BEFORE: SharedBorn = SharedBorn { generation: 1, sequence: 0 };

/// The string as the server's script writes it.
struct Server(Vec<u8>);

impl Server {
    fn new(generation: u64) -> Server {
        Server(create(generation, 1_000))
    }

    fn set(&mut self, at: usize, text: &str) {
        let end = at + text.len();
        if self.0.len() < end {
            self.0.resize(end, 0);
        }
        self.0[at..end].copy_from_slice(text.as_bytes());
    }

    fn raise(&mut self, mark: Mark) -> u64 {
        let number = Head::parse(&self.0).unwrap().sequence + 1;
        let text = format!("{number:016}");
        self.set(16, &text);
        match mark {
            Mark::Cleared => {
                self.set(32, &text);
                self.set(48, &format!("{:016}", 5_000));
            }
            Mark::Floor(place) => self.set(floor_at(place), &text),
        }
        self.set(raise_at(number), &format!("{text}{:08}", place_of(mark)));
        number
    }

    fn short(&self) -> &[u8] {
        &self.0[..SHORT_LEN]
    }
}

fn mirror_of(server: &Server) -> Mirror {
    let mut mirror = Mirror::default();
    assert!(matches!(mirror.catch_up(&server.0, true, BEFORE), Caught::Up(Learnt { is_other_generation: true, .. })));
    mirror
}

fn caught(mirror: &mut Mirror, bytes: &[u8]) -> Vec<Mark> {
    match mirror.catch_up(bytes, bytes.len() != SHORT_LEN, BEFORE) {
        Caught::Up(learnt) => learnt.marks,
        other => panic!("{other:?}"),
    }
}

fn tag_at(place_wanted: u16) -> String {
    (0_u32..).map(|n| format!("t{n}")).find(|tag| place(tag) == place_wanted).unwrap()
}

#[test]
fn the_layout_is_what_the_page_says() {
    let mut server = Server::new(0xfeed);
    assert_eq!(server.0.len(), SHORT_LEN);
    assert_eq!(&server.0[..64], b"000000000000feed000000000000000000000000000000000000000000001000");
    server.raise(Mark::Floor(7));
    assert_eq!(&server.0[16..32], b"0000000000000001");
    assert_eq!(&server.0[88..112], b"000000000000000100000007");
    assert_eq!(&server.0[6208 + 16 * 7..], b"0000000000000001");
    server.raise(Mark::Cleared);
    assert_eq!(&server.0[32..64], b"00000000000000020000000000005000");
    assert_eq!(&server.0[112..136], b"000000000000000200008192");
    assert_eq!((SHORT_LEN, WHOLE_LEN), (6208, 137_280));
}

#[test]
fn a_raise_of_another_is_learnt_from_the_ring() {
    let mut server = Server::new(1);
    let mut mirror = mirror_of(&server);
    let before = mirror.born();
    let tag = tag_at(9);
    server.raise(Mark::Floor(9));
    assert!(mirror.is_valid(Some(before), 0, [tag.as_str()].into_iter()));
    assert_eq!(caught(&mut mirror, server.short()), [Mark::Floor(9)]);
    assert!(!mirror.is_valid(Some(before), 0, [tag.as_str()].into_iter()));
    assert!(mirror.is_valid(Some(before), 0, T.iter().copied()));
    assert!(mirror.is_valid(Some(mirror.born()), 0, [tag.as_str()].into_iter()));
    server.raise(Mark::Cleared);
    assert_eq!(caught(&mut mirror, server.short()), [Mark::Cleared]);
    assert!(!mirror.is_valid(Some(before), 0, T.iter().copied()));
}

#[test]
fn who_missed_more_than_the_ring_holds_reads_all_of_it() {
    for missed in [RING, RING + 1] {
        let mut server = Server::new(1);
        let mut mirror = mirror_of(&server);
        for n in 0..missed {
            server.raise(Mark::Floor(u16::try_from(n % 100).unwrap()));
        }
        if missed == RING {
            assert_eq!(caught(&mut mirror, server.short()).len(), 100);
        } else {
            assert_eq!(mirror.catch_up(server.short(), false, BEFORE), Caught::Behind);
            assert_eq!(caught(&mut mirror, &server.0).len(), 100);
        }
        assert_eq!(mirror.born().sequence, missed);
    }
}

#[test]
fn an_own_raise_is_not_learnt_again_and_the_others_between_are() {
    let mut server = Server::new(1);
    let mut mirror = mirror_of(&server);
    assert!(mirror.raised(Mark::Floor(1), 1, server.raise(Mark::Floor(1)), 0));
    assert_eq!(caught(&mut mirror, server.short()), []);
    server.raise(Mark::Floor(2));
    assert!(!mirror.raised(Mark::Floor(3), 1, server.raise(Mark::Floor(3)), 0));
    assert_eq!(caught(&mut mirror, server.short()), [Mark::Floor(2)]);
    assert_eq!(mirror.born().sequence, 3);
}

#[test]
fn what_is_pending_does_not_count_whatever_its_number_is() {
    let mut mirror = mirror_of(&Server::new(1));
    let late = SharedBorn { generation: 1, sequence: 99 };
    let tag = tag_at(4);
    mirror.begin(Mark::Floor(4));
    mirror.begin(Mark::Floor(4));
    assert!(!mirror.is_valid(Some(late), 0, [tag.as_str()].into_iter()));
    assert!(mirror.is_valid(Some(late), 0, T.iter().copied()));
    mirror.end(Mark::Floor(4));
    assert!(!mirror.is_valid(Some(late), 0, [tag.as_str()].into_iter()));
    mirror.end(Mark::Floor(4));
    assert!(mirror.is_valid(Some(late), 0, [tag.as_str()].into_iter()));
    mirror.begin(Mark::Cleared);
    assert!(!mirror.is_valid(Some(late), 0, T.iter().copied()));
}

#[test]
fn another_generation_makes_all_that_is_older_a_miss() {
    let mut server = Server::new(1);
    let mut mirror = mirror_of(&server);
    let old = mirror.born();
    let mut other = Server::new(2);
    other.raise(Mark::Floor(3));
    assert_eq!(mirror.catch_up(other.short(), false, BEFORE), Caught::Behind);
    let learnt = Learnt { is_other_generation: true, marks: Vec::new() };
    assert_eq!(mirror.catch_up(&other.0, true, BEFORE), Caught::Up(learnt));
    assert!(!mirror.is_valid(Some(old), 0, T.iter().copied()));
    assert!(mirror.is_valid(Some(mirror.born()), 0, T.iter().copied()));
    // A raise that was done in the old one is of no use.
    assert!(!mirror.raised(Mark::Floor(1), 1, server.raise(Mark::Floor(1)), 0));
}

#[test]
fn a_server_that_has_lost_raises_has_gone_back() {
    let mut server = Server::new(1);
    for place in 0..10 {
        server.raise(Mark::Floor(place));
    }
    let saved = server.0.clone();
    for place in 10..20 {
        server.raise(Mark::Floor(place));
    }
    let mut mirror = mirror_of(&server);
    let asked = mirror.born();
    let mut back = Server(saved);
    assert_eq!(mirror.catch_up(back.short(), false, asked), Caught::Back);
    // Others have raised since, as often and oftener: the numbers are the same, what they stand for is not.
    for place in 10..20 {
        back.raise(Mark::Floor(place + 1));
    }
    assert_eq!(mirror.catch_up(back.short(), false, asked), Caught::Back);
    back.raise(Mark::Cleared);
    assert_eq!(mirror.catch_up(back.short(), false, asked), Caught::Back);
    // Its own raise is known at once.
    assert!(mirror.raised(Mark::Floor(7), 1, server.raise(Mark::Floor(7)), 0));
    assert_eq!(mirror.catch_up(back.short(), false, mirror.born()), Caught::Back);
    assert_eq!(caught(&mut mirror, server.short()), []);
    server.raise(Mark::Floor(8));
    assert_eq!(caught(&mut mirror, server.short()), [Mark::Floor(8)]);
    // Whole, since the ring says nothing any more: it agrees.
    for place in 0..300 {
        server.raise(Mark::Floor(place));
    }
    assert_eq!(mirror.catch_up(server.short(), false, mirror.born()), Caught::Behind);
    for place in 0..270 {
        back.raise(Mark::Floor(place + 300));
        back.raise(Mark::Floor(place + 300));
    }
    assert_eq!(mirror.catch_up(&back.0, true, mirror.born()), Caught::Back, "floors of the first raises");
    assert_eq!(caught(&mut mirror, &server.0).len(), 300);
}

#[test]
fn an_answer_that_was_overtaken_changes_nothing() {
    let mut server = Server::new(1);
    let old = server.0.clone();
    let mut mirror = mirror_of(&server);
    server.raise(Mark::Cleared);
    caught(&mut mirror, server.short());
    assert_eq!(mirror.catch_up(&old, false, BEFORE), Caught::Up(Learnt::default()));
    assert_eq!(mirror.born().sequence, 1);
    assert!(!mirror.is_valid(Some(SharedBorn { generation: 1, sequence: 0 }), 0, T.iter().copied()));
}

#[test]
fn an_entry_of_another_language_counts_without_tags_and_after_the_last_clear() {
    let mut server = Server::new(1);
    let mut mirror = mirror_of(&server);
    assert!(!mirror.is_valid(None, 1_000, T.iter().copied()));
    assert!(mirror.is_valid(None, 1_001, T.iter().copied()));
    assert!(!mirror.is_valid(None, 1_001, ["t"].into_iter()));
    server.raise(Mark::Cleared);
    caught(&mut mirror, server.short());
    assert!(!mirror.is_valid(None, 5_000, T.iter().copied()));
    assert!(mirror.is_valid(None, 5_001, T.iter().copied()));
}

#[test]
fn stamps_in_which_nothing_but_a_clear_was_raised_are_whole() {
    let mut server = Server::new(1);
    server.raise(Mark::Cleared);
    assert_eq!(server.0.len(), SHORT_LEN);
    let mut mirror = Mirror::default();
    assert_eq!(mirror.catch_up(server.short(), false, BEFORE), Caught::Behind);
    let learnt = Learnt { is_other_generation: true, marks: Vec::new() };
    assert_eq!(mirror.catch_up(&server.0, true, BEFORE), Caught::Up(learnt));
    for _ in 0..=RING {
        server.raise(Mark::Cleared);
    }
    assert_eq!(mirror.catch_up(server.short(), false, BEFORE), Caught::Behind);
    let learnt = Learnt { is_other_generation: false, marks: vec![Mark::Cleared] };
    assert_eq!(mirror.catch_up(&server.0, true, BEFORE), Caught::Up(learnt));
}

#[test]
fn what_is_no_stamps_is_not_taken_for_some() {
    let mut mirror = Mirror::default();
    let server = Server::new(1);
    for (at, byte) in [(0, b'x'), (20, b'-'), (40, b' ')] {
        let mut bytes = server.0.clone();
        bytes[at] = byte;
        assert_eq!(mirror.catch_up(&bytes, true, BEFORE), Caught::Broken, "byte {at}");
    }
    assert_eq!(mirror.catch_up(&server.0[..63], true, BEFORE), Caught::Broken);
    assert_eq!(mirror.catch_up(b"", true, BEFORE), Caught::Broken);
    let longer = [server.0.clone(), vec![b'1'; WHOLE_LEN]].concat();
    assert_eq!(mirror.catch_up(&longer, true, BEFORE), Caught::Broken);
    assert!(!mirror.is_known());
    assert!(!mirror.is_valid(Some(SharedBorn::default()), 0, T.iter().copied()));
}
