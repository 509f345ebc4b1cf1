//! That somebody wants it to stop: asked between chunks, so that what is begun is finished and written down.

use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// A wish to stop, once uttered never taken back.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    asked: watch::Receiver<bool>,
    ask: Arc<watch::Sender<bool>>,
}

impl Stop {
    pub(super) fn new() -> Stop {
        let (ask, asked) = watch::channel(false);
        Stop { asked, ask: Arc::new(ask) }
    }

    /// From now on Ctrl-C and SIGTERM ask; a second one ends the process.
    pub(super) fn listen(&self) -> std::io::Result<()> {
        let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let stop = self.clone();
        tokio::spawn(async move {
            for is_last in [false, true] {
                tokio::select! {
                    _ = interrupted.recv() => {}
                    _ = terminated.recv() => {}
                }
                if is_last {
                    std::process::exit(130);
                }
                stop.ask();
            }
        });
        Ok(())
    }

    pub(super) fn ask(&self) {
        self.ask.send_replace(true);
    }

    pub(super) fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Waits so long, or until it is asked; whether it is.
    pub(super) async fn asked_within(&self, wait: Duration) -> bool {
        let mut asked = self.asked.clone();
        let _ = tokio::time::timeout(wait, asked.wait_for(|&asked| asked)).await;
        self.is_asked()
    }
}
