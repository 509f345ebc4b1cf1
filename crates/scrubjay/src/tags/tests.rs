//! Stamps: what an invalidation reaches, and what the sweep must not bring back.

use super::*;

fn tags(stamps: &Stamps, names: &[&str]) -> Box<TagSet> {
    stamps.tags(names).unwrap().unwrap()
}

#[test]
fn an_invalidation_reaches_what_was_born_before_and_not_what_came_after() {
    let stamps = Stamps::new();
    let held = tags(&stamps, &["a", "b"]);
    let (before, other) = (stamps.born(), tags(&stamps, &["c"]));
    assert!(stamps.is_valid(before, Some(&held)));
    stamps.invalidate("b").unwrap();
    assert!(!stamps.is_valid(before, Some(&held)));
    assert!(stamps.is_valid(before, Some(&other)), "another tag was invalidated");
    assert!(stamps.is_valid(before, None));
    assert!(stamps.is_valid(stamps.born(), Some(&held)), "born after");
}

#[test]
fn a_clear_reaches_everything_born_before() {
    let stamps = Stamps::new();
    let before = stamps.born();
    stamps.clear();
    assert!(!stamps.is_valid(before, None));
    assert!(stamps.is_valid(stamps.born(), None));
    stamps.close();
    assert!(!stamps.is_valid(stamps.born(), None), "after a close nothing counts");
}

#[test]
fn a_tag_twice_is_a_tag_once() {
    let stamps = Stamps::new();
    let held = tags(&stamps, &["a", "a", "b", "a"]);
    assert_eq!(held.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(stamps.tags_len(), 2);
    assert!(stamps.tags(&[""; 0]).unwrap().is_none());
}

#[test]
fn tags_at_their_limits_pass_and_one_above_is_an_error_that_names_the_limit() {
    let stamps = Stamps::new();
    let text = |result: Result<Option<Box<TagSet>>, Error>| result.unwrap_err().to_string();
    assert_eq!(text(stamps.tags(&[""])), "a tag is empty, must be 1..=256 bytes");
    assert!(stamps.tags(&["x".repeat(256)]).is_ok());
    assert_eq!(text(stamps.tags(&["x".repeat(257)])), "a tag is 257 bytes, must be 1..=256");
    let names = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
    assert!(stamps.tags(&names(64)).is_ok());
    assert_eq!(text(stamps.tags(&names(65))), "tags are 65, must be at most 64 per entry");
    assert_eq!(stamps.invalidate("").unwrap_err().to_string(), "a tag is empty, must be 1..=256 bytes");
}

#[test]
fn the_registry_stays_within_twice_what_is_held() {
    let stamps = Stamps::new();
    let held: Vec<_> = (0..2_000).map(|n| tags(&stamps, &[&format!("held-{n}")])).collect();
    for n in 0..100_000 {
        drop(tags(&stamps, &[&format!("gone-{n}")]));
        assert!(stamps.tags_len() <= 4_000 + 1, "{} tags", stamps.tags_len());
    }
    assert_eq!(held.len(), 2_000);
}

#[test]
fn a_swept_tag_does_not_bring_back_what_a_load_began_before_its_invalidation() {
    let stamps = Stamps::new();
    let began = stamps.born();
    stamps.invalidate("role").unwrap();
    for n in 0..3 * SWEEP_MIN {
        drop(tags(&stamps, &[&format!("tag-{n}")]));
    }
    assert!(!stamps.registry.lock().tags.contains_key("role"), "swept");
    assert!(!stamps.is_valid(began, Some(&tags(&stamps, &["role"]))));
    assert!(stamps.is_valid(stamps.born(), Some(&tags(&stamps, &["role"]))));
}

#[test]
fn what_was_stamped_before_a_restart_counts_after_it() {
    let stamps = Stamps::new();
    stamps.load(&Stamped { sequence: 100, cleared_at: 40, floors: vec![(place("a"), 70)] });
    assert_eq!(stamps.born(), 100);
    assert!(!stamps.is_valid(39, None) && stamps.is_valid(40, None));
    assert!(!stamps.is_valid_named(69, ["a"].into_iter()) && stamps.is_valid_named(70, ["a"].into_iter()));
    assert!(!stamps.is_valid(69, Some(&tags(&stamps, &["a"]))) && stamps.is_valid(69, Some(&tags(&stamps, &["b"]))));
    stamps.invalidate("b").unwrap();
    assert!(!stamps.is_valid_named(100, ["b"].into_iter()) && stamps.is_valid_named(100, ["a"].into_iter()));
}

#[test]
fn what_is_loaded_late_reaches_tags_that_are_held_and_takes_nothing_back() {
    let stamps = Stamps::new();
    let held = tags(&stamps, &["a", "b"]);
    stamps.invalidate("b").unwrap();
    stamps.load(&Stamped { sequence: 9, cleared_at: 0, floors: vec![(place("a"), 5)] });
    assert!(!stamps.is_valid(4, Some(&held)) && stamps.is_valid(5, Some(&held)));
    assert!(!stamps.is_valid(0, Some(&tags(&stamps, &["b"]))));
}

#[test]
fn a_raise_is_written_down_before_anybody_is_born_with_it() {
    let written = Arc::new(Mutex::new(Vec::new()));
    let (journal, seen) = (Arc::clone(&written), Arc::new(AtomicU64::new(0)));
    let at_the_time = Arc::clone(&seen);
    let stamps = Stamps::written_down(Box::new(move |mark, to| {
        assert!(at_the_time.load(Ordering::Acquire) < to);
        journal.lock().push((mark, to));
    }));
    stamps.load(&Stamped { sequence: 10, ..Stamped::default() });
    seen.store(stamps.born(), Ordering::Release);
    stamps.clear();
    seen.store(stamps.born(), Ordering::Release);
    stamps.invalidate("a").unwrap();
    assert_eq!(*written.lock(), [(Mark::Cleared, 11), (Mark::Floor(place("a")), 12)]);
    assert_eq!(stamps.born(), 12);
}

#[test]
fn places_are_those_that_were_written_down() {
    assert_eq!([place("a"), place("team:7"), place("")], [7747, 1322, 0]);
}

#[test]
fn a_place_invalidates_every_tag_that_falls_into_it_held_or_not() {
    let stamps = Stamps::new();
    let early = tags(&stamps, &["early"]);
    stamps.share();
    let (late, other) = (tags(&stamps, &["late"]), tags(&stamps, &["other"]));
    assert_eq!(std::collections::HashSet::from([place("early"), place("late"), place("other")]).len(), 3);
    let before = stamps.born();
    stamps.invalidate_place(place("early"));
    stamps.invalidate_place(place("late"));
    stamps.invalidate_place(place("never seen"));
    assert!(!stamps.is_valid(before, Some(&early)), "attached before the registry was shared");
    assert!(!stamps.is_valid(before, Some(&late)));
    assert!(!stamps.is_valid_named(before, std::iter::once("never seen")), "its floor has it");
    assert!(stamps.is_valid(before, Some(&other)) && stamps.is_valid(stamps.born(), Some(&late)));
}

#[test]
fn tags_that_were_swept_are_invalidated_by_their_place_too() {
    let stamps = Stamps::new();
    stamps.share();
    let held = tags(&stamps, &["held"]);
    let before = stamps.born();
    for number in 0..2 * SWEEP_MIN {
        drop(tags(&stamps, &[&format!("swept:{number}")]));
    }
    assert!(stamps.tags_len() <= SWEEP_MIN + 1);
    let names = stamps.registry.lock().by_place.as_ref().unwrap().values().map(Vec::len).sum::<usize>();
    assert_eq!(names, stamps.tags_len(), "places forget with the registry");
    stamps.invalidate_place(place("swept:1"));
    stamps.invalidate_place(place("held"));
    assert!(!stamps.is_valid(before, Some(&tags(&stamps, &["swept:1"]))), "a load that began before brings it back");
    assert!(!stamps.is_valid(before, Some(&held)));
}
