//! The session of one client: what commands may ask and change about the connection that they came by.

use scrubjay_keyspace::Db;
use scrubjay_resp::Protocol;

/// The session of one client.
pub(crate) struct Client {
    /// Never used twice in the life of a server.
    pub(crate) id: u64,
    pub(crate) db: Db,
    pub(crate) protocol: Protocol,
    pub(crate) is_authenticated: bool,
    pub(crate) name: Vec<u8>,
    /// Set by QUIT, SHUTDOWN and CLIENT KILL of oneself: closed once the output is sent.
    pub(crate) close_after_reply: bool,
}

impl Client {
    pub(crate) fn new(id: u64) -> Client {
        Client {
            id,
            db: Db(0),
            protocol: Protocol::Resp2,
            is_authenticated: true,
            name: Vec::new(),
            close_after_reply: false,
        }
    }
}
