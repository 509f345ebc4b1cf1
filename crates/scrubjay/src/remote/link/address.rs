//! Addresses as they are written, and as they may be shown.

use crate::error::Error;
use crate::remote::Remote;
use redis::{Client, ConnectionAddr, IntoConnectionInfo};
use std::fmt;

/// Where a server is, with all that it takes to get in.
pub(super) struct Address {
    /// Host and port, for messages.
    pub(super) shown: String,
    pub(super) client: Client,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The addresses of a configuration.
///
/// # Errors
/// `Invalid`: what is wrong with which, without the address, which may have a password in it.
pub(super) fn read(remote: &Remote) -> Result<Vec<Address>, Error> {
    let mut addresses = Vec::with_capacity(remote.place.urls.len());
    for url in &remote.place.urls {
        let invalid = |error: redis::RedisError| Error::invalid(format!("remote.url: {error}"));
        let info = url.0.as_str().into_connection_info().map_err(invalid)?;
        let settings = info.redis_settings().clone().set_protocol(redis::ProtocolVersion::RESP3);
        let info = info.set_redis_settings(settings);
        let shown = match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => format!("{host}:{port}"),
            ConnectionAddr::Unix(path) => path.display().to_string(),
            _ => "the server".to_owned(),
        };
        addresses.push(Address { shown, client: Client::open(info).map_err(invalid)? });
    }
    Ok(addresses)
}
