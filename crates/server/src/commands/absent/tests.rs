//! What a server that stands alone answers.

use crate::transcript::{Peer, serve};

#[test]
fn there_is_no_replication_no_cluster_no_module_and_no_function() {
    let mut peer = Peer::connect(serve(&[]));
    peer.check(&[
        ("role", "*3 $6 master :0 *0"),
        ("replicaof no one", "+OK"),
        ("slaveof NO ONE", "+OK"),
        ("cluster info", "-ERR This instance has cluster support disabled"),
        ("function list withcode libraryname x", "*0"),
        ("function list withcode withcode", "-ERR Unknown argument withcode"),
        ("function flush", "+OK"),
        ("module list", "*0"),
        ("module load x", "-ERR unknown subcommand 'load'. Try MODULE HELP."),
    ]);
    assert!(peer.ask("replicaof 127.0.0.1 6379").starts_with("-ERR replication is not part of this version"));
}
