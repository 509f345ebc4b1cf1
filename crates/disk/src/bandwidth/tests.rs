use super::*;

const MS: Duration = Duration::from_millis(1);

/// How long a write waits; then it is made.
fn take(bandwidth: &mut Bandwidth, bytes: u64, now: Duration) -> Duration {
    let wait = bandwidth.wait(now);
    bandwidth.spend(bytes, now.saturating_add(wait));
    wait
}

#[test]
fn a_writer_that_never_rests_has_its_rate() {
    let mut bandwidth = Bandwidth::new(1_000_000);
    let start = 5000 * MS;
    let mut now = start;
    for _ in 0..1000 {
        now += take(&mut bandwidth, 10_000, now);
    }
    // Ten seconds of writing, less what was kept and less the last write, which has only begun.
    assert_eq!(now - start, 10_000 * MS - BURST - 10 * MS);
}

#[test]
fn unused_time_is_kept_for_a_moment_only() {
    let mut bandwidth = Bandwidth::new(1_000_000);
    assert_eq!(take(&mut bandwidth, 1, 60_000 * MS), Duration::ZERO);
    let mut free = 0;
    while take(&mut bandwidth, 1000, 60_000 * MS).is_zero() {
        free += 1;
    }
    assert_eq!(free, 100);
}

#[test]
fn a_write_larger_than_the_bucket_goes_at_once_and_the_next_one_pays_for_it() {
    let mut bandwidth = Bandwidth::new(1000);
    assert_eq!(take(&mut bandwidth, 10_000, 1000 * MS), Duration::ZERO);
    assert_eq!(take(&mut bandwidth, 1, 1000 * MS), 10_000 * MS - BURST);
    assert_eq!(take(&mut bandwidth, 1, 20_000 * MS), Duration::ZERO);
}

#[test]
fn the_first_moments_of_a_clock_and_absurd_numbers_do_no_harm() {
    let mut bandwidth = Bandwidth::new(0);
    assert_eq!(take(&mut bandwidth, 1, Duration::ZERO), Duration::ZERO);
    assert_eq!(take(&mut bandwidth, u64::MAX, Duration::ZERO), 1000 * MS);
    assert!(take(&mut bandwidth, u64::MAX, Duration::ZERO) > 1000 * MS);
    assert!(take(&mut bandwidth, u64::MAX, Duration::MAX).is_zero());
    assert!(take(&mut bandwidth, 1, Duration::ZERO) > 1000 * MS);
}
