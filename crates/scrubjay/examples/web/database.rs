//! The database of the example: a map in this process that takes its time, can be away, and can hang.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a query takes.
const QUERY: Duration = Duration::from_millis(20);

/// A row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) id: u64,
    pub(crate) name: String,
}

/// What becomes of queries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Switch {
    On,
    Off,
    Hangs,
}

impl FromStr for Switch {
    type Err = ();

    fn from_str(text: &str) -> Result<Switch, ()> {
        match text {
            "on" => Ok(Switch::On),
            "off" => Ok(Switch::Off),
            "hangs" => Ok(Switch::Hangs),
            _ => Err(()),
        }
    }
}

/// The database does not answer.
#[derive(Debug, thiserror::Error)]
#[error("the database refuses connections")]
pub(crate) struct Gone;

/// A handle on the database.
#[derive(Clone)]
pub(crate) struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    switch: Mutex<Switch>,
    names: Mutex<BTreeMap<u64, String>>,
    queries: AtomicU64,
}

impl Default for Database {
    /// Users 1 to 1,000.
    fn default() -> Database {
        let names = (1..=1_000).map(|id| (id, format!("user {id}"))).collect();
        let shared = Shared { switch: Mutex::new(Switch::On), names: Mutex::new(names), queries: AtomicU64::new(0) };
        Database { shared: Arc::new(shared) }
    }
}

impl Database {
    /// The user of that number, if there is one.
    pub(crate) async fn user(&self, id: u64) -> Result<Option<User>, Gone> {
        self.query().await?;
        Ok(lock(&self.shared.names).get(&id).map(|name| User { id, name: name.clone() }))
    }

    /// Gives a user another name.
    pub(crate) async fn rename(&self, id: u64, name: String) -> Result<(), Gone> {
        self.query().await?;
        lock(&self.shared.names).insert(id, name);
        Ok(())
    }

    /// What becomes of queries from now on.
    pub(crate) fn switch(&self, to: Switch) {
        *lock(&self.shared.switch) = to;
    }

    /// How often it was asked, whatever came of it.
    pub(crate) fn queries(&self) -> u64 {
        self.shared.queries.load(Ordering::Relaxed)
    }

    async fn query(&self) -> Result<(), Gone> {
        self.shared.queries.fetch_add(1, Ordering::Relaxed);
        let switch = *lock(&self.shared.switch);
        match switch {
            Switch::On => tokio::time::sleep(QUERY).await,
            Switch::Off => return Err(Gone),
            Switch::Hangs => std::future::pending().await,
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
