use super::*;

#[test]
fn every_number_lies_in_its_step_and_the_steps_follow_each_other() {
    let mut last = 0;
    for number in (0..100_000).chain([1 << 40, u64::MAX >> 1]) {
        let step = step_of(number);
        assert!(number <= highest_of(step), "{number} in step {step}");
        assert!(step == 0 || number > highest_of(step - 1), "{number} in step {step}");
        assert!(step >= last);
        last = step;
    }
}

#[test]
fn quantiles_are_within_three_percent() {
    let mut latencies = Latencies::new();
    (1..=1000).for_each(|number| latencies.add(Duration::from_micros(number)));
    for (quantile, wanted) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
        let found = latencies.at(quantile);
        assert!((found / wanted - 1.0).abs() < 0.035, "{quantile}: {found}");
    }
    assert_eq!(latencies.longest(), 1000.0);
}

#[test]
fn merged_latencies_are_those_of_both() {
    let (mut one, mut other) = (Latencies::new(), Latencies::new());
    one.add(Duration::from_micros(1));
    other.add(Duration::from_micros(100));
    one.merge(&other);
    assert_eq!(one.count(), 2);
    assert_eq!(one.longest(), 100.0);
    assert!(one.at(0.5) < 1.1);
}
