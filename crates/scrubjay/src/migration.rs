//! From one shared store to another, with the cache in use.
