use super::*;

#[test]
fn ranks_come_as_often_as_zipf_says() {
    const DRAWS: usize = 1_000_000;
    for exponent in [0.99, 0.5] {
        let zipf = Zipf::new(1000, exponent);
        let total: f64 = (1..=1000).map(|rank| f64::from(rank).powf(-exponent)).sum();
        let mut counts = vec![0_u32; 1000];
        let mut random = Random::new(7);
        for _ in 0..DRAWS {
            counts[usize::try_from(zipf.draw(&mut random)).unwrap()] += 1;
        }
        for rank in [0, 1, 2, 9, 99, 500, 999] {
            let expected = ((rank + 1) as f64).powf(-exponent) / total * DRAWS as f64;
            let deviation = (f64::from(counts[rank]) - expected).abs();
            assert!(deviation < 5.0 * expected.sqrt(), "rank {rank}: {} drawn, {expected:.0} expected", counts[rank]);
        }
    }
}

#[test]
fn a_single_rank_is_always_drawn() {
    let (zipf, mut random) = (Zipf::new(1, 0.99), Random::new(1));
    assert!((0..1000).all(|_| zipf.draw(&mut random) == 0));
}

#[test]
fn the_same_seed_draws_the_same_and_another_seed_does_not() {
    let draws = |seed| {
        let mut random = Random::new(seed);
        [random.next(), random.next(), random.next()]
    };
    assert_eq!(draws(1), draws(1));
    assert_ne!(draws(1), draws(2));
}

#[test]
fn mixing_keeps_numbers_apart() {
    let mut seen: Vec<u64> = (0..100_000).map(mixed).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 100_000);
}
