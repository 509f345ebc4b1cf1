use super::*;

#[test]
fn the_worst_cell_stands_last_and_is_measured_against_the_best_peer() {
    let subject = |name, kind| Subject { name, kind, hits: |_, _| Ok(0) };
    let subjects = [
        subject("scrubjay", Kind::Ours),
        subject("a", Kind::Peer),
        subject("b", Kind::Peer),
        subject("opt", Kind::Bound),
    ];
    let traces = [Trace::of("web", vec![0]).unwrap()];
    let cells = [
        Cell { trace: 0, capacity: 1, ratios: vec![10.0, 11.5, 3.0, 90.0] },
        Cell { trace: 0, capacity: 2, ratios: vec![20.0, 1.0, 19.5, 90.0] },
    ];
    let text = of(&traces, &subjects.iter().collect::<Vec<_>>(), &cells);
    assert!(text.contains("| web | 1 | 10.0 | 11.5 | 3.0 | 90.0 |"), "{text}");
    assert!(text.contains("| mean | | 15.0 | 6.2 | 11.2 | 90.0 |"), "{text}");
    let lines: Vec<&str> = text.lines().rev().take(2).collect();
    assert!(lines[0].contains("-1.5") && lines[0].contains("web 1 ") && lines[0].ends_with("best: a"), "{text}");
    assert!(lines[1].contains("+0.5") && lines[1].ends_with("best: b"), "{text}");
}
