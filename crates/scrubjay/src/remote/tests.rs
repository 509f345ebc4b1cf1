//! What a configuration says, and does not say.

use super::Remote;

#[test]
fn a_password_is_not_shown() {
    let remote = Remote::cluster(["redis://ada:lovelace@localhost", "rediss://:babbage@localhost"])
        .client_certificate("certificate", "boole");
    let shown = format!("{remote:?}");
    for secret in ["lovelace", "babbage", "boole"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
