//! A certificate authority for one test, and what it signed for 127.0.0.1 and `localhost`.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// PEM files in a folder that goes with this.
///
/// ```
/// let certificates = scrubjay_harness::Certificates::new();
/// assert!(certificates.authority_pem().starts_with("-----BEGIN CERTIFICATE-----"));
/// ```
#[derive(Debug)]
pub struct Certificates {
    folder: TempDir,
    authority_pem: String,
}

impl Default for Certificates {
    fn default() -> Certificates {
        Certificates::new()
    }
}

impl Certificates {
    /// An authority of its own each time: what one test trusts, no other does.
    pub fn new() -> Certificates {
        let folder = tempfile::tempdir().expect("a folder for certificates");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "scrubjay tests");
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let server_key = KeyPair::generate().expect("a key");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server = CertificateParams::new(names).and_then(|params| params.signed_by(&server_key, &authority));
        let certificates = Certificates { folder, authority_pem: authority.pem() };
        let write = |name: &str, text: &str| {
            std::fs::write(certificates.folder.path().join(name), text).expect("a file of a certificate");
        };
        write("ca.pem", &certificates.authority_pem);
        write("server.pem", &server.expect("a certificate").pem());
        write("server.key", &server_key.serialize_pem());
        certificates
    }

    /// What a client trusts.
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// The file of [`Certificates::authority_pem`].
    pub fn authority_path(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The server's certificate.
    pub fn server_path(&self) -> PathBuf {
        self.path("server.pem")
    }

    /// The server's private key.
    pub fn server_key_path(&self) -> PathBuf {
        self.path("server.key")
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::join(self.folder.path(), name)
    }
}
