//! Every transcript, against ours with one thread and with four, in RESP2 and RESP3, with the oracle beside it.

use crate::servers::{Oracle, Ours};
use crate::transcript;

fn check(name: &str, text: &str) {
    let oracle = Oracle::start();
    for threads in [1, 4] {
        let ours = Ours::start(threads);
        let differences = transcript::compare(name, text, &ours.address, &oracle.address);
        let count = differences.len();
        assert!(count == 0, "{count} differences, {threads} threads\n{}", differences.join("\n"));
    }
}

macro_rules! transcripts {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name), include_str!(concat!("../transcripts/", stringify!($name), ".txt")));
            }
        )*

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

transcripts! { bits client connection keys server settings strings tracking transactions }

#[test]
fn every_transcript_in_the_folder_is_spoken() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(NAMES.contains(&name), "{name} is not in the list");
    }
}
