use super::*;

#[test]
fn the_median_is_the_middle_or_the_mean_of_the_two_in_the_middle() {
    assert_eq!(median(vec![]), 0.0);
    assert_eq!(median(vec![7.0]), 7.0);
    assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
    assert_eq!(median(vec![9.0, 1.0, 2.0, 4.0]), 3.0);
}

#[test]
fn the_table_shows_each_figure_with_its_ratio_to_the_first_column() {
    let mut report = Report::default();
    report.add("hit/u64/1", "ours", "ns/op", 50.0);
    report.add("hit/u64/1", "peer", "ns/op", 100.0);
    report.add("bytes/1M", "peer", "bytes/entry", 12345.0);
    let table = report.table();
    assert!(table.contains("| hit/u64/1 | ns/op | 50.000 | 100.0 (2.00x) |"), "{table}");
    assert!(table.contains("| bytes/1M | bytes/entry |  | 12345 |"), "{table}");
}
