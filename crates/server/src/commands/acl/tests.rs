//! ACL for the one user.

use crate::transcript::{Peer, serve};

#[test]
fn the_default_user_may_do_everything() {
    let mut peer = Peer::connect(serve(&[]));
    peer.check(&[
        ("acl whoami", "$7 default"),
        ("acl users", "*1 $7 default"),
        ("acl list", "*1 $34 user default on nopass ~* &* +@all"),
        (
            "acl getuser default",
            "*12 $5 flags *2 $2 on $6 nopass $9 passwords *0 $8 commands $5 +@all $4 keys $2 ~* $8 channels $2 &* \
             $9 selectors *0",
        ),
        ("acl getuser nope", "$-1"),
        ("acl cat nope", "-ERR Unknown category 'nope'"),
    ]);
    assert!(peer.ask("acl cat").starts_with("*21 $8 keyspace "));
    assert!(peer.ask("acl cat bitmap").contains("$5 bitop"));
}

#[test]
fn a_password_shows_as_its_hash() {
    let mut peer = Peer::connect(serve(&[("requirepass", "foobared")]));
    peer.check(&[
        ("auth foobared", "+OK"),
        (
            "acl list",
            "*1 $93 user default on #1b58ee375b42e41f0e48ef2ff27d10a5b1f6924a9acdcdba7cae868e7adce6bf ~* &* +@all",
        ),
    ]);
}
