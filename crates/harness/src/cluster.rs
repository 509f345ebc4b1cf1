//! Three masters of `redis-server` that share the slots, and replicas where a test wants some.

use crate::clock::wait_for;
use crate::console::{Console, Reply};
use crate::redis::RedisServer;

const SLOTS: u16 = 16_384;
/// Milliseconds after which a silent node counts as failed.
const NODE_TIMEOUT_MS: &str = "2000";

/// A Redis Cluster of three masters, ready when each of them says so (about two seconds). Replicas come with
/// [`RedisCluster::add_replica`].
///
/// ```no_run
/// use scrubjay_harness::RedisCluster;
/// let cluster = RedisCluster::start();
/// let slot = RedisCluster::slot_of("users:{42}");
/// let owner = cluster.owner_of(slot);
/// cluster.move_slot(slot, (owner + 1) % 3);
/// ```
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    arguments: Vec<String>,
}

impl RedisCluster {
    /// Three masters, each with a third of the slots.
    pub fn start() -> RedisCluster {
        RedisCluster::start_with(&[])
    }

    /// With further arguments for each node.
    pub fn start_with(arguments: &[&str]) -> RedisCluster {
        let fixed = ["--cluster-enabled", "yes", "--cluster-node-timeout", NODE_TIMEOUT_MS];
        let arguments = [&fixed, arguments].concat();
        let nodes: Vec<RedisServer> = (0..3).map(|_| RedisServer::start_with(&arguments)).collect();
        for (number, node) in (0..3_u16).zip(&nodes) {
            let (first, last) =
                (SLOTS / 3 * number, if number == 2 { SLOTS - 1 } else { SLOTS / 3 * (number + 1) - 1 });
            let mut console = node.console();
            // Redis 6.2 has no ADDSLOTSRANGE.
            let slots: Vec<String> = (first..=last).map(|slot| slot.to_string()).collect();
            let words = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str));
            console.ok(&words.collect::<Vec<_>>());
            console.ok(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
        }
        // Each knows each from the start: gossip would take a second more.
        for node in &nodes {
            for other in nodes.iter().filter(|other| other.port() != node.port()) {
                node.console().ok(&["CLUSTER", "MEET", "127.0.0.1", &other.port().to_string()]);
            }
        }
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let cluster = RedisCluster { nodes, arguments };
        cluster.wait_until_ok();
        cluster
    }

    /// Returns when every node that runs knows all nodes and says `cluster_state:ok`.
    pub fn wait_until_ok(&self) {
        let known = format!("cluster_known_nodes:{}", self.nodes.len());
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            wait_for("the cluster to be ok", || {
                let info = node.call(&["CLUSTER", "INFO"]).text();
                (info.contains("cluster_state:ok") && info.contains(&known)).then_some(())
            });
        }
    }

    /// All nodes: the three that begin as masters, then replicas.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// One of them, to kill, pause or start again.
    pub fn node_mut(&mut self, number: usize) -> &mut RedisServer {
        &mut self.nodes[number]
    }

    /// `redis://127.0.0.1:port` of each.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// The slot of a key: CRC16 (XMODEM) of its hash tag, or of the whole of it, modulo 16,384.
    pub fn slot_of(key: impl AsRef<[u8]>) -> u16 {
        let key = key.as_ref();
        let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
            let rest = &key[open + 1..];
            rest.iter().position(|byte| *byte == b'}').filter(|len| *len > 0).map(|len| &rest[..len])
        });
        let crc =
            tag.unwrap_or(key).iter().fold(0_u16, |crc, byte| {
                (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
                    if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
                })
            });
        crc % SLOTS
    }

    /// The number of the node that serves `slot`, as the first node that runs tells it.
    pub fn owner_of(&self, slot: u16) -> usize {
        let node = self.nodes.iter().find(|node| node.is_running()).expect("a node that runs");
        let Reply::List(ranges) = node.call(&["CLUSTER", "SLOTS"]) else { panic!("CLUSTER SLOTS answers a list") };
        for range in &ranges {
            let Reply::List(range) = range else { continue };
            let [first, last, Reply::List(master), ..] = &range[..] else { continue };
            if (first.number()..=last.number()).contains(&i64::from(slot)) {
                let port = master[1].number();
                return self.nodes.iter().position(|node| i64::from(node.port()) == port).expect("a node of ours");
            }
        }
        panic!("nobody serves slot {slot}");
    }

    /// The node that serves the slot of `key`.
    pub fn node_of(&self, key: impl AsRef<[u8]>) -> &RedisServer {
        &self.nodes[self.owner_of(RedisCluster::slot_of(key))]
    }

    /// Moves `slot` with its keys to node `to`: clients see MOVED.
    pub fn move_slot(&self, slot: u16, to: usize) {
        self.begin_move(slot, to);
        self.finish_move(slot, to);
    }

    /// The first half: the slot is open, and keys that are not in its old place any more are asked for (ASK) at node `to`.
    pub fn begin_move(&self, slot: u16, to: usize) {
        let from = self.owner_of(slot);
        assert_ne!(from, to, "the slot is there");
        let id = |number: usize| self.nodes[number].call(&["CLUSTER", "MYID"]).text();
        self.nodes[to].console().ok(&["CLUSTER", "SETSLOT", &slot.to_string(), "IMPORTING", &id(from)]);
        self.nodes[from].console().ok(&["CLUSTER", "SETSLOT", &slot.to_string(), "MIGRATING", &id(to)]);
    }

    /// The second half: the keys go, and every node learns who serves the slot.
    pub fn finish_move(&self, slot: u16, to: usize) {
        let from = self.owner_of(slot);
        let mut source = self.nodes[from].console();
        let (slot, id) = (slot.to_string(), self.nodes[to].call(&["CLUSTER", "MYID"]).text());
        // A key that is made in the meantime is made at the new place.
        loop {
            let keys = source.call(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]).texts();
            if keys.is_empty() {
                break;
            }
            migrate(&mut source, self.nodes[to].port(), &keys);
        }
        // The new owner first: it must know before the old one sends anybody to it.
        let others = (0..self.nodes.len()).filter(|number| *number != to && *number != from);
        for number in [to, from].into_iter().chain(others).filter(|number| self.nodes[*number].is_running()) {
            self.nodes[number].console().ok(&["CLUSTER", "SETSLOT", &slot, "NODE", &id]);
        }
    }

    /// Starts a replica of node `of`; returns its number when it has all that its master has.
    pub fn add_replica(&mut self, of: usize) -> usize {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let replica = RedisServer::start_with(&arguments);
        for node in &self.nodes {
            replica.console().ok(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string()]);
        }
        let number = self.nodes.len();
        self.nodes.push(replica);
        self.wait_until_ok();
        let master = self.nodes[of].call(&["CLUSTER", "MYID"]).text();
        self.nodes[number].console().ok(&["CLUSTER", "REPLICATE", &master]);
        self.wait_until_replica(number);
        number
    }

    /// Returns when node `number` is a replica that has what its master has, also one that was a master before it was killed.
    pub fn wait_until_replica(&self, number: usize) {
        let replication = |node: &RedisServer| node.call(&["INFO", "replication"]).text();
        let online = format!("port={},state=online", self.nodes[number].port());
        wait_for("the replica to follow its master", || {
            let info = replication(&self.nodes[number]);
            if !info.contains("role:slave") || !info.contains("master_link_status:up") {
                return None;
            }
            // The master says so later, and hands over to none before that.
            let mut running = self.nodes.iter().filter(|node| node.is_running());
            running.any(|node| replication(node).contains(&online)).then_some(())
        });
    }

    /// A replica becomes the master of its slots; returns when every node that runs knows. The old master, if it runs, hands
    /// over first, so that nothing is lost, and is a replica then.
    pub fn fail_over(&self, replica: usize) {
        let id = self.nodes[replica].call(&["CLUSTER", "MYID"]).text();
        // Who still takes it for something else does not vote for it.
        let line = self.wait_until_all_see(&id, |line| line.contains("slave"));
        let master_id = line.split(' ').nth(3).expect("its master").to_owned();
        let mut running = self.nodes.iter().filter(|node| node.is_running());
        let has_master = running.any(|node| node.call(&["CLUSTER", "MYID"]).text() == master_id);
        // Without its consent the others are told, and not asked.
        let words: &[&str] = if has_master { &["CLUSTER", "FAILOVER"] } else { &["CLUSTER", "FAILOVER", "TAKEOVER"] };
        self.nodes[replica].console().ok(words);
        // Its slots come last in the line.
        self.wait_until_all_see(&id, |line| line.contains("master") && line.split(' ').count() > 8);
        self.wait_until_ok();
    }

    /// Returns when every node that runs says that of the node with this id, with the line of the last.
    fn wait_until_all_see(&self, id: &str, is_so: impl Fn(&str) -> bool) -> String {
        let see = |node: &RedisServer| {
            let shown = node.call(&["CLUSTER", "NODES"]).text();
            shown.lines().find(|line| line.starts_with(id) && is_so(line)).map(str::to_owned)
        };
        let running = self.nodes.iter().filter(|node| node.is_running());
        let lines = running.map(|node| wait_for("all nodes to know what one is", || see(node)));
        lines.fold(None, |_, line| Some(line)).expect("a node that runs")
    }

    /// Ends node `number` at once, as a crash would.
    pub fn kill_node(&mut self, number: usize) {
        self.nodes[number].kill();
    }
}

fn migrate(source: &mut Console, port: u16, keys: &[String]) {
    let port = port.to_string();
    let fixed = ["MIGRATE", "127.0.0.1", &port, "", "0", "10000", "KEYS"];
    let words: Vec<&str> = fixed.into_iter().chain(keys.iter().map(String::as_str)).collect();
    let reply = source.call(&words);
    // NOKEY: all of them expired meanwhile.
    assert!(matches!(&reply, Reply::Text(text) if text == b"OK" || text == b"NOKEY"), "MIGRATE: {reply:?}");
}
