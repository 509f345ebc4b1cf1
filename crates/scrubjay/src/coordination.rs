//! What processes that share a server need beside a cache: locks, rate limits, counters, popularity.
