//! The network between the processes and their server, with a switch: a relay of TCP connections.
//!
//! It is here so that the example can show what happens while the server is away, whichever server it is.

use crate::Failure;
use std::net::SocketAddr;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A relay that listens on a free port of this machine, as long as this lives.
pub(crate) struct Line {
    address: SocketAddr,
    is_whole: watch::Sender<bool>,
}

impl Line {
    /// To `host:port`.
    pub(crate) async fn to(server: String) -> Result<Line, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (is_whole, seen) = watch::channel(true);
        let line = Line { address: listener.local_addr()?, is_whole };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *seen.borrow() {
                    tokio::spawn(relay(client, server.clone(), seen.clone()));
                }
            }
        });
        Ok(line)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every connection ends, and none is made.
    pub(crate) fn cut(&self) {
        self.is_whole.send_replace(false);
    }

    /// As before.
    pub(crate) fn join(&self) {
        self.is_whole.send_replace(true);
    }
}

/// Until one of the two has enough, or the line is cut.
async fn relay(mut client: TcpStream, server: String, mut is_whole: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = is_whole.wait_for(|is_whole| !is_whole) => {}
    }
}
