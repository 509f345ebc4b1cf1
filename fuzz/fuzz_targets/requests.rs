//! Any bytes in pieces of any size: the parser does not panic, takes no more memory than the bytes that it was given, and
//! finds what the naive parser finds in the same bytes at once.
#![no_main]

#[path = "../../crates/resp/src/request/naive.rs"]
mod naive;

use libfuzzer_sys::fuzz_target;
use naive::Outcome;
use scrubjay_resp::{Limits, Parser, Progress, Span};

fuzz_target!(|input: &[u8]| {
    let Some((piece_len, bytes)) = input.split_first() else { return };
    let piece_len = usize::from(*piece_len).max(1);
    let (mut parser, mut spans) = (Parser::default(), Vec::new());
    let (mut buffer, mut start, mut arrived) = (bytes.to_vec(), 0, 0);
    loop {
        spans.clear();
        let parsed = parser.next(&mut buffer[..arrived], start, &Limits::default(), &mut spans);
        assert!(spans.capacity() <= 8 + 2 * bytes.len());
        match (parsed, naive::parse(&bytes[start..])) {
            (Ok(Progress::Complete { end }), Outcome::Complete(args, len)) => {
                assert_eq!(end, start + len);
                let found = |span: &Span| &buffer[span.start as usize..][..span.len as usize];
                assert!(spans.iter().map(found).eq(args.iter().map(Vec::as_slice)));
                start = end;
            }
            (Ok(Progress::Incomplete { missing }), expected) => {
                assert!(missing > 0 && spans.is_empty());
                if arrived == bytes.len() {
                    return assert_eq!(expected, Outcome::Incomplete);
                }
                arrived = (arrived + piece_len).min(bytes.len());
            }
            (Err(error), Outcome::Error(text)) => return assert!(error.to_string().contains(text)),
            differs => panic!("{differs:?}"),
        }
    }
});
