//! What is connected now.

use super::News;
use super::trouble::{Trouble, sound};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};

/// What is connected now.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) connection: MultiplexedConnection,
    /// News come over it for as long as it is there.
    pub(super) tracking: Option<MultiplexedConnection>,
    pub(super) has_scripts: bool,
    pub(super) news: News,
}

impl Live {
    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, Trouble> {
        sound(self.connection.clone().send_packed_command(command).await)
    }
}
