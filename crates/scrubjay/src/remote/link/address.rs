//! Addresses as they are written, as they are connected to, and as they may be shown.

use super::trouble::Trouble;
use crate::error::Error;
use crate::remote::Remote;
use redis::{Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, ProtocolVersion, RedisError};
use std::fmt;
use std::sync::Arc;

/// Where a server is, with all that it takes to get in.
#[derive(Clone)]
pub(super) struct Address {
    /// Host and port, for messages.
    pub(super) shown: Arc<str>,
    info: ConnectionInfo,
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
    let place = &remote.place;
    let field = |index| if place.is_cluster { format!("remote.cluster[{index}]") } else { "remote.url".to_owned() };
    let read = |(index, url): (usize, &super::super::Secret)| {
        Address::read(&url.0, remote).map_err(|why| Error::invalid(format!("{} {why}", field(index))))
    };
    place.urls.iter().enumerate().map(read).collect()
}

impl Address {
    fn read(url: &str, remote: &Remote) -> Result<Address, String> {
        let Some((scheme, rest)) = url.split_once("://").or_else(|| url.split_once(':')) else {
            return Err("has no scheme, must begin with redis://, rediss:// or redis+unix://".to_owned());
        };
        let known = ["redis", "rediss", "valkey", "valkeys", "redis+unix", "valkey+unix", "unix"];
        if !known.contains(&scheme) {
            return Err(format!("begins with {scheme:?}, must begin with redis://, rediss:// or redis+unix://"));
        }
        let is_tls = matches!(scheme, "rediss" | "valkeys");
        if is_tls && cfg!(not(feature = "tls")) {
            return Err("asks for TLS, which this program was built without (feature `tls`)".to_owned());
        }
        if rest.ends_with("#insecure") {
            return Err(
                "ends with #insecure: certificates are always checked, name yours in root_certificates".to_owned()
            );
        }
        // What redis says of an address does not repeat it.
        let info = url.into_connection_info().map_err(|error| format!("is no address: {}", without_kind(&error)))?;
        let has_certificates = remote.root_certificates.is_some() || remote.client_certificate.is_some();
        let info = match has_certificates {
            true if is_tls => trusting(info, remote)?,
            true => return Err("is without TLS, must be rediss:// where there are certificates".to_owned()),
            false => info,
        };
        let settings = info.redis_settings().clone().set_skip_set_lib_name();
        // Small commands wait until what is on its way has arrived (no TCP_NODELAY): with 64 callers that makes a third more
        // commands per second at a quarter less CPU, and a caller alone has nothing on its way.
        Ok(Address::of(info.set_redis_settings(settings)))
    }

    fn of(info: ConnectionInfo) -> Address {
        let shown = match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => format!("{host}:{port}"),
            ConnectionAddr::Unix(path) => path.display().to_string(),
            _ => "the server".to_owned(),
        };
        Address { shown: shown.into(), info }
    }

    /// The same way in, to another node of the cluster. An empty host is this one's.
    pub(super) fn elsewhere(&self, host: &str, port: u16) -> Address {
        let or_this = |this: &String| if host.is_empty() { this.clone() } else { host.to_owned() };
        let addr = match self.info.addr() {
            ConnectionAddr::Tcp(this, _) => ConnectionAddr::Tcp(or_this(this), port),
            ConnectionAddr::TcpTls { host: this, insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                host: or_this(this),
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            other => other.clone(),
        };
        Address::of(self.info.clone().set_addr(addr))
    }

    /// Whether this is the node that another names so, when it was asked at `seed`.
    pub(super) fn is(&self, seed: &Address, host: &str, port: u16) -> bool {
        *self.shown == *seed.elsewhere(host, port).shown
    }

    pub(super) fn client(&self, protocol: ProtocolVersion) -> Result<Client, RedisError> {
        let settings = self.info.redis_settings().clone().set_protocol(protocol);
        Client::open(self.info.clone().set_redis_settings(settings))
    }

    /// Why a connection to it is not made.
    pub(super) fn trouble(&self, error: &RedisError) -> Trouble {
        let shown = &self.shown;
        let is_denied = error.kind() == ErrorKind::AuthenticationFailed
            || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"));
        let text = match error.code() {
            _ if error.is_connection_refusal() => format!("{shown} refuses connections"),
            _ if error.is_timeout() => format!("{shown} does not answer"),
            Some(code) => format!("{shown}: {code} {}", error.detail().unwrap_or_default()),
            None => {
                let tls = if matches!(self.info.addr(), ConnectionAddr::TcpTls { .. }) { "TLS: " } else { "" };
                format!("{shown}: {tls}{}", without_kind(error))
            }
        };
        if is_denied { Trouble::Denied(text.into()) } else { Trouble::Away(text.into()) }
    }
}

/// What an error says: of `text - Kind: detail` without the kind.
fn without_kind(error: &RedisError) -> String {
    let text = error.to_string();
    match (text.split_once(" - "), error.detail()) {
        (Some((said, _)), Some(detail)) => format!("{said}: {detail}"),
        (Some((said, _)), None) => said.to_owned(),
        (None, _) => text,
    }
}

/// With the certificates of the configuration.
#[cfg(feature = "tls")]
fn trusting(info: ConnectionInfo, remote: &Remote) -> Result<ConnectionInfo, String> {
    let client_tls = remote.client_certificate.as_ref().map(|(certificate, key)| redis::ClientTlsConfig {
        client_cert: certificate.0.clone().into_bytes(),
        client_key: key.0.clone().into_bytes(),
    });
    let root_cert = remote.root_certificates.as_ref().map(|pem| pem.0.clone().into_bytes());
    let certificates = redis::TlsCertificates { client_tls, root_cert };
    let client = Client::build_with_tls(info, certificates)
        .map_err(|error| format!("cannot be used with the certificates: {}", without_kind(&error)))?;
    Ok(client.get_connection_info().clone())
}

#[cfg(not(feature = "tls"))]
fn trusting(info: ConnectionInfo, _remote: &Remote) -> Result<ConnectionInfo, String> {
    Ok(info)
}

/// Makes sure that there is cryptography, once: rustls asks for it, and where the program has not chosen any, or where what it
/// links has two kinds, it would panic.
#[cfg(feature = "tls")]
pub(super) fn choose_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Somebody else may have been faster.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}

#[cfg(not(feature = "tls"))]
pub(super) fn choose_cryptography() {}
