//! The bytes of an invalidation: a RESP3 push, or the message that a RESP2 connection gets for others.

use scrubjay_resp::{Protocol, Reply};
use std::cell::OnceCell;
use std::sync::Arc;

/// Keys that are no longer what they were, written once for all who hear of them.
pub(super) struct News<'a> {
    /// `None`: all keys.
    keys: Option<&'a [&'a [u8]]>,
    push: OnceCell<Arc<[u8]>>,
    message: OnceCell<Arc<[u8]>>,
}

impl<'a> News<'a> {
    /// News of some keys.
    pub(super) fn keys(keys: &'a [&'a [u8]]) -> News<'a> {
        News { keys: Some(keys), push: OnceCell::new(), message: OnceCell::new() }
    }

    /// News of a flush.
    pub(super) fn everything() -> News<'static> {
        News { keys: None, push: OnceCell::new(), message: OnceCell::new() }
    }

    /// As a RESP3 client hears it.
    pub(super) fn push(&self) -> &Arc<[u8]> {
        self.push.get_or_init(|| {
            written(Protocol::Resp3, |reply| {
                reply.push(2);
                reply.bulk(b"invalidate");
                self.write_keys(reply);
            })
        })
    }

    /// As a RESP2 client hears it that others redirect to.
    pub(super) fn message(&self) -> &Arc<[u8]> {
        self.message.get_or_init(|| {
            written(Protocol::Resp2, |reply| {
                reply.array(3);
                reply.bulk(b"message");
                reply.bulk(b"__redis__:invalidate");
                self.write_keys(reply);
            })
        })
    }

    fn write_keys(&self, reply: &mut Reply<'_>) {
        let Some(keys) = self.keys else { return reply.null_array() };
        reply.array(keys.len());
        keys.iter().for_each(|key| reply.bulk(key));
    }
}

/// Tells a RESP3 client that the client which it redirects to is gone.
pub(super) fn redirect_broken(redirect: u64) -> Arc<[u8]> {
    written(Protocol::Resp3, |reply| {
        reply.push(2);
        reply.bulk(b"tracking-redir-broken");
        reply.integer(redirect.cast_signed());
    })
}

fn written(protocol: Protocol, write: impl FnOnce(&mut Reply<'_>)) -> Arc<[u8]> {
    let mut bytes = Vec::new();
    write(&mut Reply::new(&mut bytes, protocol));
    bytes.into()
}
