//! A CA of one's own, and the certificates of servers that it issues.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) file: PathBuf,
    /// Its key, in PEM.
    #[allow(dead_code, reason = "not every test binary has it sign by itself")]
    pub(crate) key: String,
}

impl Ca {
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        Self::until(dir, name, 4096)
    }

    /// Until the first of January of that year.
    #[allow(dead_code, reason = "not every test binary has one that ends")]
    pub(crate) fn until(dir: &Path, name: &str, year: i32) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let file = dir.join(format!("{name}.pem"));
        fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self {
            key: key.serialize_pem(),
            issuer: Issuer::new(params, key),
            file,
        }
    }

    /// A CA below this one, and a certificate of its for `name` with the key, all in PEM.
    #[allow(dead_code, reason = "not every test binary has a CA between")]
    pub(crate) fn issue_below(&self, ca: &str, name: &str) -> (String, String, String) {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, ca);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().unwrap();
        let intermediate = params.signed_by(&key, &self.issuer).unwrap().pem();
        let below = Self {
            key: key.serialize_pem(),
            issuer: Issuer::new(params, key),
            file: PathBuf::new(),
        };
        let (leaf, key) = below.issue_for(name, 2090);
        (intermediate, leaf, key)
    }

    /// Certificate and key in PEM, for 127.0.0.1.
    pub(crate) fn issue(&self, ends: i32) -> (String, String) {
        self.issue_for("127.0.0.1", ends)
    }

    /// The same for another name.
    pub(crate) fn issue_for(&self, name: &str, ends: i32) -> (String, String) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(ends, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}
