//! Time is given to the breaker, so these give it.

use super::*;

#[test]
fn it_is_left_alone_after_five_failures_for_a_while_that_doubles() {
    let breaker = Breaker::default();
    (0..4).for_each(|_| breaker.failed(0));
    breaker.succeeded();
    (0..4).for_each(|_| breaker.failed(0));
    assert!(breaker.allows(0) && !breaker.is_open());
    breaker.failed(100);
    breaker.failed(100);
    assert!(breaker.is_open() && !breaker.allows(1_099), "those that set out before say nothing new");
    assert!(breaker.allows(1_100) && !breaker.allows(1_100), "one goes to see");
    breaker.failed(1_200);
    assert!(!breaker.allows(3_199) && breaker.allows(3_200));
    assert!(!breaker.allows(5_199) && breaker.allows(5_200), "the one that went never told");
    breaker.succeeded();
    assert!(breaker.allows(5_201) && breaker.allows(5_201) && !breaker.is_open());
}
