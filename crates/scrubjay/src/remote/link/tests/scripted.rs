//! A server that answers as the test says: what real ones of other versions answer.

use super::*;
use crate::remote::link::Script;
use std::collections::HashMap;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

static WRITE: Script = Script::new("return redis.call('SET', KEYS[1], 'blue')");

/// Answers by the first word of a command; `OK` to all others.
type Answers = Arc<Mutex<HashMap<&'static str, &'static str>>>;

/// The role is what `HELLO` says.
async fn listen(answers: &Answers) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let answers = Arc::clone(answers);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_one(stream, Arc::clone(&answers)));
        }
    });
    format!("redis://127.0.0.1:{port}")
}

async fn serve_one(stream: TcpStream, answers: Answers) {
    let mut stream = BufReader::new(stream);
    while let Some(words) = read_command(&mut stream).await {
        let answer = answers.lock().get(&*words[0].to_uppercase()).copied().unwrap_or("+OK");
        if stream.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read_command(stream: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for _ in 0..read_number(stream).await? {
        let mut word = vec![0; read_number(stream).await? + 2];
        stream.read_exact(&mut word).await.ok()?;
        word.truncate(word.len() - 2);
        words.push(text(word));
    }
    Some(words)
}

/// That of `*3` or `$12`.
async fn read_number(stream: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.get(1..)?.trim_end().parse().ok()
}

const MASTER: &str = "%4\r\n+version\r\n+6.2.14\r\n+proto\r\n:3\r\n+mode\r\n+standalone\r\n+role\r\n+master";
const REPLICA: &str = "%4\r\n+version\r\n+6.2.14\r\n+proto\r\n:3\r\n+mode\r\n+standalone\r\n+role\r\n+replica";
const READONLY: &str = "-ERR Error running script (call to f_d8f2fad9f8e86a53d2a6ebd960b33c4972cacc37): @user_script:1: \
                        @user_script: 1: -READONLY You can't write against a read only replica.";
const OOM: &str = "-@user_script: 12: -OOM command not allowed when used memory > 'maxmemory'.";

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_finds_a_replica_ends_the_session_and_health_says_why() {
    let answers: Answers = Answers::default();
    answers.lock().extend([("HELLO", MASTER), ("EVAL", ":1"), ("EVALSHA", OOM)]);
    let (link, ears) = serve(Remote::url(listen(&answers).await));
    ears.forget();
    // That concerns a key.
    assert_eq!(link.script(&WRITE, &[b"jay:a:1"], &[]).await, Err(Trouble::Oom));
    assert_eq!(ears.count(&Heard::Connected), 0);
    answers.lock().extend([("EVALSHA", READONLY), ("HELLO", REPLICA)]);
    let answer = link.script(&WRITE, &[b"jay:a:1"], &[]).await;
    assert!(matches!(answer, Err(Trouble::ReadOnly | Trouble::Away(_))), "{answer:?}");
    ears.wait_until("the loss", |heard| matches!(heard, Heard::Lost(_)));
    wait_for_reason(&link, "read-only replica, must be a master");
    answers.lock().insert("HELLO", MASTER);
    wait_until_serving(&link);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_becomes_a_replica_is_left_though_nobody_writes() {
    let answers: Answers = Answers::default();
    answers.lock().extend([("HELLO", MASTER), ("EVAL", ":1")]);
    let (link, ears) = serve(Remote::url(listen(&answers).await));
    // Who may not ask what it is finds out when writing.
    answers.lock().insert("HELLO", "-NOPERM this user has no permissions to run the 'hello' command");
    ears.forget();
    ears.wait_for(&Heard::Beat);
    assert!(matches!(link.state(), LinkState::Serving { .. }));
    answers.lock().insert("HELLO", REPLICA);
    ears.wait_until(
        "the loss",
        |heard| matches!(heard, Heard::Lost(why) if why.contains("become a read-only replica")),
    );
    wait_for_reason(&link, "read-only replica");
}
