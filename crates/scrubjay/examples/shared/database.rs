//! The source of truth that both processes load from: users by id, a while per query.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// How long a query takes.
const QUERY_TIME: Duration = Duration::from_millis(50);

/// Stands for a database that both processes reach.
#[derive(Clone, Default)]
pub(crate) struct Database {
    names: Arc<Mutex<HashMap<String, String>>>,
    queries: Arc<AtomicU64>,
}

impl Database {
    /// The name of a user. The query sees what is there when it begins.
    pub(crate) async fn name(&self, user: String) -> io::Result<String> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        let name = self.names.lock().await.get(&user).cloned();
        tokio::time::sleep(QUERY_TIME).await;
        name.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, user))
    }

    pub(crate) async fn rename(&self, user: &str, name: &str) {
        self.names.lock().await.insert(user.to_owned(), name.to_owned());
    }

    /// Queries so far.
    pub(crate) fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }
}
