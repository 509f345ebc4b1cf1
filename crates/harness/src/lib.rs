//! For tests alone: servers as child processes on free ports, and a proxy that harms connections on purpose.
