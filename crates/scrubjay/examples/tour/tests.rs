use super::*;

#[test]
fn every_feature_does_what_the_tour_says() {
    let mut page = Page::default();
    walk(&mut page).unwrap();
    assert_eq!(page.wrong(), 0);
    assert!(page.checks() > 100, "{} lines were checked", page.checks());
}
