//! One side of a copy: where it is, and what it says of itself. An address is shown without user and password.

use super::options::Secret;
use super::reply;
use anyhow::{Context, Result, anyhow, bail};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, ProtocolVersion,
    RedisError,
};
use std::time::Duration;

/// How long a server may take to let us in.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long it may take to answer one pipeline.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Where one side is.
#[derive(Clone)]
pub(super) struct Server {
    /// `source` or `target`.
    pub(super) side: &'static str,
    info: ConnectionInfo,
    /// The database in the URL's path.
    pub(super) db: Option<i64>,
}

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Changes with every start: a cursor of SCAN means nothing to another process.
    pub(super) run_id: String,
    pub(super) version: (u32, u32),
    pub(super) is_cluster: bool,
    pub(super) is_replica: bool,
    /// Databases that have keys, and how many.
    pub(super) keys_by_db: Vec<(i64, u64)>,
    /// Its Unix time less that of the asker's reading, in milliseconds.
    pub(super) unix_ms: i64,
}

impl Server {
    /// Reads the URL of `side`. No error repeats it.
    pub(super) fn parse(side: &'static str, url: &Secret, password: Option<&Secret>) -> Result<Server> {
        let option = if side == "source" { "--from" } else { "--to" };
        let Some((scheme, rest)) = url.0.split_once("://") else {
            bail!("{option}: not a URL; it should be like redis://host:6379 or rediss://user@host:6379/0");
        };
        if !["redis", "rediss", "valkey", "valkeys", "redis+unix", "unix"].contains(&scheme) {
            bail!("{option}: '{scheme}' is no scheme of a Redis URL; it is redis:// or, with TLS, rediss://");
        }
        let parsed = url.0.as_str().into_connection_info();
        let info = parsed.map_err(|error| {
            let why = error.detail().filter(|detail| !url.0.contains(detail)).map(str::to_owned);
            anyhow!("{option}: {}", why.unwrap_or_else(|| format!("not a URL of a Redis server: {}", kind_of(&error))))
        })?;
        let path = rest.split('?').next().and_then(|rest| rest.split_once('/')).map_or("", |(_, path)| path);
        let has_db = !scheme.ends_with("unix") && !path.is_empty() || url.0.contains("db=");
        let mut settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
        if let (None, Some(password)) = (settings.password(), password) {
            settings = settings.set_password(&password.0);
        }
        let db = has_db.then(|| settings.db());
        Ok(Server { side, info: info.set_redis_settings(settings.set_db(0)), db })
    }

    /// Where it is, for the eye.
    pub(super) fn address(&self) -> String {
        self.info.addr().to_string()
    }

    /// The same with the database that the URL names: what a run that goes on is about.
    pub(super) fn name(&self) -> String {
        self.db.map_or_else(|| self.address(), |db| format!("{}/{db}", self.address()))
    }

    /// The same server's other node: what lets us in here does so there.
    pub(super) fn at(&self, host: &str, port: u16) -> Server {
        let addr = match self.info.addr().clone() {
            ConnectionAddr::TcpTls { host: own, insecure, tls_params, .. } => {
                let host = if host.is_empty() { own } else { host.to_owned() };
                ConnectionAddr::TcpTls { host, port, insecure, tls_params }
            }
            ConnectionAddr::Tcp(own, _) if host.is_empty() => ConnectionAddr::Tcp(own, port),
            _ => ConnectionAddr::Tcp(host.to_owned(), port),
        };
        Server { info: self.info.clone().set_addr(addr), ..self.clone() }
    }

    /// A connection to one of its databases.
    pub(super) async fn connect(&self, db: i64) -> Result<MultiplexedConnection> {
        let settings = self.info.redis_settings().clone().set_db(db);
        let client = Client::open(self.info.clone().set_redis_settings(settings));
        let client = client.map_err(|error| self.because(&error))?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN));
        let connected = client.get_multiplexed_async_connection_with_config(&config).await;
        connected.map_err(|error| self.because(&error))
    }

    /// What it says of itself.
    pub(super) async fn facts(&self) -> Result<Facts> {
        let mut connection = self.connect(0).await?;
        self.facts_on(&mut connection).await
    }

    pub(super) async fn facts_on(&self, connection: &mut MultiplexedConnection) -> Result<Facts> {
        let asked = connection.send_packed_command(&command(&["INFO"])).await;
        let text = match asked {
            Ok(redis::Value::ServerError(error)) if error.code() == "NOAUTH" => return Err(self.wants_a_password()),
            // It may be forbidden. Then nothing is known.
            Ok(redis::Value::ServerError(_)) => String::new(),
            Ok(reply) => reply::text(reply).context("INFO")?,
            Err(error) => return Err(self.because(&error)),
        };
        let mut facts = Facts::read(&text);
        if let Ok(time) = connection.send_packed_command(&command(&["TIME"])).await {
            facts.unix_ms = unix_ms(time).unwrap_or(0);
        }
        Ok(facts)
    }

    fn wants_a_password(&self) -> anyhow::Error {
        anyhow!("the {} {} wants a password: put it into the URL or the environment", self.side, self.address())
    }

    /// An error of the client, in words that say what to do.
    pub(super) fn because(&self, error: &RedisError) -> anyhow::Error {
        let (side, address) = (self.side, self.address());
        let detail = error.detail().unwrap_or_default();
        if error.code() == Some("NOAUTH") || detail.contains("NOAUTH") || detail.contains("Authentication required") {
            return self.wants_a_password();
        }
        if error.kind() == ErrorKind::AuthenticationFailed || error.code() == Some("WRONGPASS") {
            return anyhow!("the {side} {address} does not take this user and password");
        }
        if error.is_connection_refusal() {
            return anyhow!("the {side} {address} cannot be reached: connection refused");
        }
        if error.is_timeout() {
            return anyhow!("the {side} {address} does not answer in time");
        }
        anyhow!("the {side} {address}: {error}")
    }
}

impl Facts {
    fn read(text: &str) -> Facts {
        let version = reply::info(text, "redis_version").unwrap_or("0.0");
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        let databases = text.lines().filter_map(|line| {
            let (db, rest) = line.strip_prefix("db")?.split_once(":keys=")?;
            let keys = rest.split(',').next()?;
            Some((db.parse().ok()?, keys.trim().parse().ok()?))
        });
        Facts {
            run_id: reply::info(text, "run_id").unwrap_or_default().to_owned(),
            version: (parts.next().unwrap_or(0), parts.next().unwrap_or(0)),
            is_cluster: reply::info(text, "cluster_enabled") == Some("1"),
            is_replica: reply::info(text, "role") == Some("slave"),
            keys_by_db: databases.collect(),
            unix_ms: 0,
        }
    }
}

/// A command of these words.
pub(super) fn command(words: &[&str]) -> Cmd {
    let mut command = Cmd::new();
    words.iter().for_each(|word| {
        command.arg(*word);
    });
    command
}

/// A command about a key.
pub(super) fn about(words: &[&str], key: &[u8]) -> Cmd {
    let mut command = command(words);
    command.arg(key);
    command
}

fn unix_ms(time: redis::Value) -> Result<i64> {
    let mut parts = reply::array(time)?.into_iter();
    let mut next = || parts.next().map_or(Ok(0), reply::integer);
    let (seconds, micros) = (next()?, next()?);
    Ok(seconds.saturating_mul(1_000).saturating_add(micros / 1_000))
}

fn kind_of(error: &RedisError) -> String {
    error.category().to_owned()
}
