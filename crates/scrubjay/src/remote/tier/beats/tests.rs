//! Beats, by times that the tests say.

use super::*;

#[test]
fn who_hears_a_beat_each_second_is_never_late() {
    let beats = Beats::default();
    beats.begin(5_000);
    for second in 6..1_000 {
        assert!(!beats.may_be_late(second * 1_000));
        beats.beat(second * 1_000);
    }
}

#[test]
fn after_a_standstill_news_may_be_late_whether_a_beat_or_they_come_first() {
    let beats = Beats::default();
    beats.begin(1_000);
    assert!(beats.may_be_late(41_000), "the news come first");
    beats.beat(41_000);
    assert!(beats.may_be_late(41_001), "the beat has come first");
    beats.beat(41_000 + TOMBSTONE_MS / 2);
    assert!(beats.may_be_late(41_000 + TOMBSTONE_MS));
}

#[test]
fn who_is_awake_for_long_or_has_begun_anew_is_late_no_more() {
    let beats = Beats::default();
    beats.begin(1_000);
    for second in 41..=72 {
        beats.beat(second * 1_000);
    }
    assert!(!beats.may_be_late(72_000));
    beats.begin(500_000);
    assert!(!beats.may_be_late(500_001));
}
