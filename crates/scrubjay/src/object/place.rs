//! A store made of a URL and what was said beside it: the one file that knows of clouds.
//!
//! Nothing here waits for the network: a store is a client that has not asked anything yet.

use super::options::Object;
use crate::error::Error;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use std::fmt;
use std::sync::Arc;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
use std::time::Duration;

/// Where the objects are.
#[derive(Clone)]
pub(crate) enum Place {
    Url(String),
    Store(Arc<dyn ObjectStore>, String),
}

/// What was said of how to get there. Never shown.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    pub(super) credentials: Option<(String, String)>,
    pub(super) options: Vec<(String, String)>,
    pub(super) is_http_allowed: bool,
}

/// A store, and below what in it the tier lies.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: Path,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Url(url) => write!(f, "{:?}", shown(url)),
            Place::Store(_, prefix) => write!(f, "a store at {prefix:?}"),
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.options.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Secrets")
            .field("credentials", &self.credentials.as_ref().map(|_| ".."))
            .field("options", &names)
            .field("is_http_allowed", &self.is_http_allowed)
            .finish()
    }
}

/// A URL without what may be secret in it: user, password, query.
fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => "no URL".to_owned(),
    }
}

/// The parts of a URL that are used.
struct Parts<'a> {
    scheme: &'a str,
    bucket: &'a str,
    path: &'a str,
}

impl Object {
    /// The client, made. Waits for nothing but, with a folder, the file system.
    ///
    /// # Errors
    /// `Invalid`: the URL or an option cannot be used; the message says what of it and how it should be.
    pub(super) fn make(&self) -> Result<Made, Error> {
        match &self.place {
            Place::Store(store, prefix) => {
                let prefix = Path::parse(prefix).map_err(|error| invalid(&error.to_string()))?;
                Ok(Made { store: Arc::clone(store), prefix })
            }
            Place::Url(url) => {
                let parts = parts_of(url)?;
                let store = self.client(&parts)?;
                let path = if parts.scheme == "file" { "" } else { parts.path };
                let prefix = Path::from_url_path(path).map_err(|error| invalid(&error.to_string()))?;
                Ok(Made { store, prefix })
            }
        }
    }

    fn client(&self, parts: &Parts<'_>) -> Result<Arc<dyn ObjectStore>, Error> {
        match parts.scheme {
            "file" => self.folder(parts.path),
            "s3" => self.s3(parts.bucket),
            "gs" => self.gcs(parts.bucket),
            _ => self.azure(parts.bucket),
        }
    }

    fn folder(&self, path: &str) -> Result<Arc<dyn ObjectStore>, Error> {
        if let Some((name, _)) = self.secrets.options.first() {
            return Err(invalid(&format!("option {name:?} means nothing to a folder")));
        }
        let path = Path::from_url_path(path).map_err(|error| invalid(&error.to_string()))?;
        let folder = format!("/{path}");
        let unusable = |error: &dyn fmt::Display| invalid(&format!("the folder {folder:?} cannot be used: {error}"));
        std::fs::create_dir_all(&folder).map_err(|error| unusable(&error))?;
        let store = LocalFileSystem::new_with_prefix(&folder).map_err(|error| unusable(&error))?;
        Ok(Arc::new(store.with_fsync(true)))
    }

    /// What every client is told: times, and how often it tries again.
    #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
    fn client_options(&self) -> (ClientOptions, RetryConfig) {
        let client = ClientOptions::new()
            .with_connect_timeout(self.connect_timeout)
            .with_timeout(self.write_timeout)
            .with_allow_http(self.secrets.is_http_allowed);
        // Waits between tries are drawn by chance from up to twice the last.
        let backoff =
            BackoffConfig { init_backoff: Duration::from_millis(50), max_backoff: Duration::from_secs(2), base: 2.0 };
        (client, RetryConfig { backoff, max_retries: 3, retry_timeout: self.write_timeout })
    }

    #[cfg(feature = "s3")]
    fn s3(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, Error> {
        use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
        let (client, retry) = self.client_options();
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
        for (name, value) in &self.secrets.options {
            let key: AmazonS3ConfigKey = name.parse().map_err(|_| unknown_option(name, "s3"))?;
            builder = builder.with_config(key, value);
        }
        if let Some((id, secret)) = &self.secrets.credentials {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        }
        let built = builder.with_client_options(client).with_retry(retry).build();
        Ok(Arc::new(built.map_err(|error| invalid(&error.to_string()))?))
    }

    #[cfg(not(feature = "s3"))]
    fn s3(&self, _bucket: &str) -> Result<Arc<dyn ObjectStore>, Error> {
        Err(no_feature("s3"))
    }

    #[cfg(feature = "gcs")]
    fn gcs(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, Error> {
        use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
        if self.secrets.credentials.is_some() {
            return Err(invalid("credentials mean nothing to gs://, use option(\"service_account_path\", ..)"));
        }
        let (client, retry) = self.client_options();
        let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
        for (name, value) in &self.secrets.options {
            let name = if name == "endpoint" { "google_base_url" } else { name };
            let key: GoogleConfigKey = name.parse().map_err(|_| unknown_option(name, "gs"))?;
            builder = builder.with_config(key, value);
        }
        let built = builder.with_client_options(client).with_retry(retry).build();
        Ok(Arc::new(built.map_err(|error| invalid(&error.to_string()))?))
    }

    #[cfg(not(feature = "gcs"))]
    fn gcs(&self, _bucket: &str) -> Result<Arc<dyn ObjectStore>, Error> {
        Err(no_feature("gcs"))
    }

    #[cfg(feature = "azure")]
    fn azure(&self, container: &str) -> Result<Arc<dyn ObjectStore>, Error> {
        use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
        let (client, retry) = self.client_options();
        let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(container);
        for (name, value) in &self.secrets.options {
            let key: AzureConfigKey = name.parse().map_err(|_| unknown_option(name, "az"))?;
            builder = builder.with_config(key, value);
        }
        if let Some((account, key)) = &self.secrets.credentials {
            builder = builder.with_account(account).with_access_key(key);
        }
        let built = builder.with_client_options(client).with_retry(retry).build();
        Ok(Arc::new(built.map_err(|error| invalid(&error.to_string()))?))
    }

    #[cfg(not(feature = "azure"))]
    fn azure(&self, _container: &str) -> Result<Arc<dyn ObjectStore>, Error> {
        Err(no_feature("azure"))
    }
}

fn parts_of(url: &str) -> Result<Parts<'_>, Error> {
    const FORMS: &str = "s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder";
    let shown = shown(url);
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(invalid(&format!("the URL has no scheme, must be {FORMS}")));
    };
    if rest.contains(['?', '#']) {
        return Err(invalid(&format!("the URL {shown:?} has a query, use option(name, value) for it")));
    }
    let (bucket, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if bucket.contains(['@', ':']) {
        return Err(invalid(&format!("the URL {shown:?} has a user or a port, use credentials() and endpoint()")));
    }
    match scheme {
        "file" if !bucket.is_empty() => {
            Err(invalid(&format!("the URL {shown:?} names the host {bucket:?}, must be file:///folder")))
        }
        "file" if path.len() < 2 => Err(invalid("the URL names no folder, must be file:///folder")),
        "s3" | "gs" | "az" if bucket.is_empty() => {
            Err(invalid(&format!("the URL {shown:?} names no bucket, must be {FORMS}")))
        }
        "file" | "s3" | "gs" | "az" => Ok(Parts { scheme, bucket, path }),
        _ => Err(invalid(&format!("the URL {shown:?} has the scheme {scheme:?}, must be {FORMS}"))),
    }
}

fn invalid(what: &str) -> Error {
    Error::invalid(format!("object: {what}"))
}

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
fn unknown_option(name: &str, scheme: &str) -> Error {
    invalid(&format!("option {name:?} means nothing to {scheme}://"))
}

#[cfg(not(all(feature = "s3", feature = "gcs", feature = "azure")))]
fn no_feature(feature: &str) -> Error {
    invalid(&format!("this build has no such cloud: turn on the feature {feature:?} of the crate scrubjay"))
}

#[cfg(test)]
mod tests;
