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

        const TRANSCRIPTS: &[(&str, &str)] =
            &[$((stringify!($name), include_str!(concat!("../transcripts/", stringify!($name), ".txt")))),*];
    };
}

transcripts! { bits client connection keys server settings strings tracking transactions }

#[test]
fn every_transcript_in_the_folder_is_spoken() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(TRANSCRIPTS.iter().any(|(listed, _)| *listed == name), "{name} is not in the list");
    }
}

#[test]
fn every_command_has_a_section() {
    let sections: Vec<String> = TRANSCRIPTS.iter().flat_map(|(_, text)| transcript::sections(text)).collect();
    let commands = Ours::start(1).connect().say("COMMAND LIST");
    let names = commands.items().iter().map(|name| String::from_utf8_lossy(name.bytes()).replace('|', " "));
    let missing: Vec<String> = names
        .filter(|name| !sections.iter().any(|section| section == name || section.starts_with(&format!("{name} "))))
        .collect();
    assert!(missing.is_empty(), "no section # for {missing:?}");
}
