//! For tests alone: servers as child processes on free ports, and a proxy that harms connections on purpose.
//!
//! - [`RedisServer`]: Debian's `redis-server`; [`RedisCluster`]: three masters of it; [`ScrubjayServer`]: our own.
//! - [`Console`]: a blocking client of a few lines, for what a test does behind the back of the library.
//! - [`Proxy`]: stands between a client and a server, and delays, cuts, swallows or garbles what passes, when told to.
//!
//! Everything is blocking and needs no runtime, so that tests with and without one use it alike. What goes wrong here is a
//! panic with the reason: there is no test without its servers. **Invariant:** what is started here is ended when it is
//! dropped, and when the test's process is killed too.

mod certificates;
mod clock;
mod cluster;
mod console;
mod ours;
mod ports;
mod process;
mod proxy;
mod random;
mod redis;

pub use certificates::Certificates;
pub use clock::wait_for;
pub use cluster::RedisCluster;
pub use console::{Console, Reply};
pub use ours::ScrubjayServer;
pub use proxy::{Counts, Direction, Proxy, Toxic, Which};
pub use random::Random;
pub use redis::RedisServer;
