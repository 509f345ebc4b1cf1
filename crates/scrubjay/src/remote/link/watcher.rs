//! Who is told what is heard of the server.

use super::{Link, Trouble};
use futures_util::future::BoxFuture;

/// Who is told what is heard of the server. Nothing here may block, but for what returns a future, which has a limit.
///
/// The order is: [`connected`](Watcher::connected), when news of changes already come in; then the link serves; then
/// [`lost`](Watcher::lost), and so on. The breaker, when it closes again, calls `connected` without a `lost` before it: the news
/// never stopped.
pub(crate) trait Watcher: Send + Sync {
    /// These keys were changed by somebody, perhaps by ourselves. Full names, as the server sent them, several at once.
    fn changed(&self, keys: Vec<Vec<u8>>);

    /// Everything was: the server was flushed, or more came than could be kept.
    fn flushed(&self);

    /// Somebody published this on our channel.
    fn published(&self, message: &[u8]);

    /// News come in; commands can be sent over this very `link`, though nobody else's are yet. After `Ok` the link serves.
    fn connected<'a>(&'a self, link: &'a Link) -> BoxFuture<'a, Result<(), Trouble>>;

    /// Every second while connected, over this very `link`. An error is a lost connection.
    fn heartbeat<'a>(&'a self, link: &'a Link) -> BoxFuture<'a, Result<(), Trouble>>;

    /// Nothing is heard any more. Also if `connected` has failed or panicked, and when the link's runtime shuts down.
    fn lost(&self, why: &str);
}
