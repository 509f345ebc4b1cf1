//! The simplest reactor that works: a thread per connection. The real one takes its place.

use crate::client::Client;
use crate::exec;
use crate::server::Shared;
use crate::worker::Worker;
use scrubjay_resp::{Limits, Parser, Progress};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

pub(crate) fn start(address: SocketAddr, shared: Arc<Shared>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for (id, stream) in (1..).zip(listener.incoming().flatten()) {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || serve(id, stream, &shared));
        }
    });
    Ok(address)
}

fn serve(id: u64, mut stream: TcpStream, shared: &Shared) -> Option<()> {
    let (mut client, mut worker, mut parser) = (Client::new(id), Worker::default(), Parser::default());
    let (mut input, mut out, mut spans) = (Vec::new(), Vec::new(), Vec::new());
    let mut chunk = vec![0; 64 << 10];
    while !client.close_after_reply {
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        input.extend_from_slice(&chunk[..read]);
        let mut start = 0;
        while start < input.len() {
            spans.clear();
            match parser.next(&mut input, start, &Limits::default(), &mut spans) {
                Ok(Progress::Complete { end }) => {
                    let args: Vec<&[u8]> =
                        spans.iter().map(|span| &input[span.start as usize..][..span.len as usize]).collect();
                    exec::run(shared, &mut worker, &mut client, &args, &mut out);
                    start = end;
                }
                Ok(Progress::Incomplete { .. }) => break,
                Err(error) => {
                    out.extend_from_slice(format!("-{error}\r\n").as_bytes());
                    client.close_after_reply = true;
                    break;
                }
            }
        }
        input.drain(..start);
        stream.write_all(&out).ok()?;
        out.clear();
    }
    Some(())
}
