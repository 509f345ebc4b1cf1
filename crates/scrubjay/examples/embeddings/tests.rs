use super::*;

#[test]
fn only_what_is_missing_is_embedded() {
    let folder = tempfile::tempdir().unwrap();
    let page = walk(folder.path()).unwrap();
    let numbers = |line: &str| -> Vec<u64> {
        let columns = page.lines().find(|found| found.starts_with(line)).unwrap()[line.len()..].split_whitespace();
        columns.map(|number| number.parse().unwrap()).collect()
    };
    assert_eq!(numbers("nothing is known yet"), [0, 1000, 10]);
    assert_eq!(numbers("the same again"), [1000, 0, 0]);
    assert_eq!(numbers("100 of them are new"), [900, 100, 1]);
    assert_eq!(numbers("after a restart"), [1000, 0, 0]);
    assert_eq!(numbers("a new version of the model"), [0, 1000, 10]);
    assert_eq!(numbers("its vectors, when the old ones are cleared"), [1000, 0, 0]);
    assert!(page.contains("namespaces: [\"jay-embed@2\"]"), "{page}");
    assert!(page.contains("nearest to a question: \"What does a jay do with acorn"), "{page}");
}

#[test]
fn embedded_or_found_a_vector_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = VectorStore::open(folder.path(), VectorOptions::bytes(64 << 20)).unwrap();
    let mut embedder = Embedder::new(&store, Model::new("jay-embed", "1")).unwrap();
    let texts = questions(0, 250);
    let made = embedder.embed(&texts).unwrap();
    assert_eq!(embedder.model.calls, 3);
    let reversed: Vec<String> = texts.iter().rev().cloned().collect();
    let mut found = embedder.embed(&reversed).unwrap();
    found.reverse();
    assert_eq!((made, embedder.model.calls), (found, 3));
}

#[test]
fn the_measurement_ends_with_figures() {
    let folder = tempfile::tempdir().unwrap();
    let page = measure::measure(folder.path(), 200, 3).unwrap();
    assert!(page.contains("get_batch of 100, JSON") && page.contains("1536 dimensions"), "{page}");
}
