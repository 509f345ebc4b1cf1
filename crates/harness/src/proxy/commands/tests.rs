use super::{Command, Commands};

const PIPELINE: &[u8] = b"*2\r\n$3\r\nget\r\n$1\r\na\r\n*4\r\n$6\r\nCLIENT\r\n$8\r\ntracking\r\n$2\r\nON\r\n$0\r\n\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n";

fn words(commands: &[Command]) -> Vec<&str> {
    commands.iter().map(|command| command.words.as_str()).collect()
}

#[test]
fn commands_are_told_apart_wherever_the_bytes_are_split() {
    let expected = ["GET", "CLIENT TRACKING", "PING", "QUIT"];
    for len in 1..=PIPELINE.len() {
        let mut commands = Commands::default();
        let found: Vec<Command> = PIPELINE.chunks(len).flat_map(|chunk| commands.feed(chunk)).collect();
        assert_eq!(words(&found), expected, "in pieces of {len}");
    }
}

#[test]
fn a_command_tells_where_it_began_in_these_bytes() {
    let found = Commands::default().feed(PIPELINE);
    assert_eq!(found[0].start, 0);
    assert!(PIPELINE[found[1].start..].starts_with(b"*4"));
    assert!(PIPELINE[found[3].start..].starts_with(b"*1"));
    let mut commands = Commands::default();
    assert_eq!(commands.feed(&PIPELINE[..10]), []);
    assert_eq!(commands.feed(&PIPELINE[10..])[0].start, 0);
}

#[test]
fn long_words_and_many_of_them_are_passed_over() {
    let mut bytes = b"*5\r\n$3\r\nSET\r\n".to_vec();
    for _ in 0..4 {
        bytes.extend_from_slice(format!("$100000\r\n{}\r\n", "\n*1\r\n".repeat(20000)).as_bytes());
    }
    bytes.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    assert_eq!(words(&Commands::default().feed(&bytes)), ["SET", "PING"]);
}

#[test]
fn what_is_no_command_is_left_alone() {
    for bytes in [&b"*x\r\nPING\r\n"[..], b"*1\r\n+4\r\nPING\r\n", &[0x16; 4000], b"*-1\r\nPING\r\n"] {
        assert_eq!(Commands::default().feed(bytes), []);
    }
}
