//! The remote tier: a Redis-compatible server that processes share.
