//! A real and hostile ACME server: `pebble`, with the name server that comes with it, on loopback; Debian's,
//! or another one that `CMP_TEST_PEBBLE` names. One in five good nonces is refused, and every authorization has
//! to be proven.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use super::world::{Running, eventually};
use crate::port::free_port;

/// Refused by the CA, whoever asks.
pub(crate) const BLOCKED: &str = "blocked.example.test";
/// An external account that the CA knows.
pub(crate) const EAB_KEY_ID: &str = "kid-1";
pub(crate) const EAB_HMAC: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// Names another `pebble`; a path, or a name on PATH.
const NAMED: &str = "CMP_TEST_PEBBLE";

fn program() -> OsString {
    let named = std::env::var_os(NAMED).filter(|named| !named.is_empty());
    named.unwrap_or_else(|| "pebble".into())
}

/// Whether the tests here can run. On a user's machine they say that they can't; in CI that is a failure.
pub(crate) fn is_there() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Joined with a folder, a whole path stays itself.
    let has = |program: &OsString| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    let missing = [program(), "pebble-challtestsrv".into(), "openssl".into()]
        .into_iter()
        .find(|program| !has(program));
    let Some(missing) = missing else {
        return true;
    };
    let missing = missing.display();
    assert!(
        std::env::var_os("CI").is_none(),
        "`{missing}` is not installed, and CI needs it"
    );
    eprintln!("skipped: the ACME tests need `{missing}` (Debian: apt install pebble openssl)");
    false
}

pub(crate) struct Pebble {
    pub(crate) directory: String,
    pub(crate) ca_file: PathBuf,
    pub(crate) http: reqwest::Client,
    management: String,
    names: String,
    log: PathBuf,
    _processes: [Running; 2],
}

impl Pebble {
    /// Looks for challenges on `http_port`; `bound` demands an external account.
    pub(crate) async fn start(dir: &Path, http_port: u16, bound: bool) -> Self {
        let (ca_file, certificate, key) = certificates(dir);
        let [acme, management, dns, names] = [free_port(), free_port(), free_port(), free_port()];
        let mut config = json!({
            "listenAddress": format!("127.0.0.1:{acme}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": certificate, "privateKey": key,
            "httpPort": http_port, "tlsPort": free_port(),
            "ocspResponderURL": "", "externalAccountBindingRequired": bound,
            "domainBlocklist": [BLOCKED],
        });
        if bound {
            config["externalAccountMACKeys"] = json!({ EAB_KEY_ID: EAB_HMAC });
        }
        let file = dir.join("pebble.json");
        std::fs::write(&file, json!({ "pebble": config }).to_string()).unwrap();
        let log = dir.join("pebble.log");
        let mut pebble = Command::new(program());
        pebble
            .args([
                "-config",
                file.to_str().unwrap(),
                "-dnsserver",
                &format!("127.0.0.1:{dns}"),
            ])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "20")
            .env("PEBBLE_AUTHZREUSE", "0");
        let mut dns_server = Command::new("pebble-challtestsrv");
        dns_server.args(["-dns01", &format!("127.0.0.1:{dns}")]);
        dns_server.args(["-management", &format!("127.0.0.1:{names}"), "-defaultIPv6", ""]);
        dns_server.args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        let root = reqwest::Certificate::from_pem(&std::fs::read(&ca_file).unwrap()).unwrap();
        let this = Self {
            directory: format!("https://127.0.0.1:{acme}/dir"),
            management: format!("https://127.0.0.1:{management}"),
            names: format!("http://127.0.0.1:{names}"),
            ca_file,
            http: reqwest::Client::builder()
                .tls_certs_only([root])
                .user_agent("acme-tests")
                .timeout(Duration::from_secs(10))
                .build()
                .unwrap(),
            _processes: [
                Running::start(pebble, &log),
                Running::start(dns_server, &dir.join("names.log")),
            ],
            log,
        };
        eventually("pebble answers", async || {
            this.http.get(&this.directory).send().await.ok()
        })
        .await;
        eventually("its name server answers", async || {
            this.http.get(&this.names).send().await.ok()
        })
        .await;
        this
    }

    /// From now on this name leads to that address instead of to 127.0.0.1.
    pub(crate) async fn point(&self, name: &str, address: &str) {
        // Added to what is there, it would be one of several.
        let clear = ("clear-a", json!({ "host": name }));
        let add = ("add-a", json!({ "host": name, "addresses": [address] }));
        for (what, body) in [clear, add] {
            let call = self.http.post(format!("{}/{what}", self.names)).json(&body);
            assert!(call.send().await.unwrap().status().is_success(), "{what}");
        }
    }

    /// What the CA itself says of a serial.
    pub(crate) async fn status(&self, serial: &str) -> Value {
        let serial = serial.replace(':', "");
        let url = format!("{}/cert-status-by-serial/{serial}", self.management);
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// The root that everything of this CA leads to, in PEM.
    pub(crate) async fn root(&self) -> String {
        let url = format!("{}/roots/0", self.management);
        self.http.get(url).send().await.unwrap().text().await.unwrap()
    }

    /// Whether it says when to renew: Debian's doesn't.
    pub(crate) async fn has_renewal_info(&self) -> bool {
        let directory: Value = self
            .http
            .get(&self.directory)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        !directory["renewalInfo"].is_null()
    }

    /// From now on it says this when it is asked when to renew the certificate.
    pub(crate) async fn suggest(&self, certificate: &str, answer: &str) {
        let url = format!("{}/set-renewal-info/", self.management);
        let body = json!({ "Certificate": certificate, "ARIResponse": answer });
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// How many orders it took that say what they replace, as it logs them.
    pub(crate) fn n_replacing(&self) -> usize {
        let log = std::fs::read_to_string(&self.log).unwrap();
        log.matches("is a replacement of").count()
    }

    /// How many certificates it has signed, as it logs them.
    pub(crate) fn n_issued(&self) -> usize {
        let log = std::fs::read_to_string(&self.log).unwrap();
        log.matches("Issued certificate serial").count()
    }
}

/// A CA for pebble's own HTTPS, and what it signed.
fn certificates(dir: &Path) -> (PathBuf, PathBuf, PathBuf) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&key, &Issuer::new(params, ca_key))
        .unwrap();
    let files = ["https-ca.pem", "https.pem", "https.key"].map(|name| dir.join(name));
    for (file, text) in files.iter().zip([ca.pem(), leaf.pem(), key.serialize_pem()]) {
        std::fs::write(file, text).unwrap();
    }
    let [ca, leaf, key] = files;
    (ca, leaf, key)
}
