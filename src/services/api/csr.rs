//! Certification requests (PKCS #10): read, their signature checked, and held against what was asked
//! for, so that an agent can't have another name certified than an operator wanted.

use std::collections::BTreeSet;
use std::net::IpAddr;

use aws_lc_rs::digest;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::domain::request::Request;
use crate::problem::Problem;

/// What a CSR says, its signature being good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Csr {
    /// The SHA-256 of its SubjectPublicKeyInfo.
    pub(super) spki_sha256: String,
    /// Such as `ecdsa-p256`.
    pub(super) algorithm: String,
    common_name: Option<String>,
    sans: BTreeSet<String>,
}

impl Csr {
    /// Reads it, and checks that whoever made it has the private key.
    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        let unreadable = |why: String| Problem::bad_input(format!("the CSR can't be read: {why}"));
        let block = pem::parse(text).map_err(|error| unreadable(error.to_string()))?;
        if !matches!(block.tag(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
            return Err(unreadable(format!("it is a `{}`", block.tag())));
        }
        let (rest, csr) = X509CertificationRequest::from_der(block.contents())
            .map_err(|error| unreadable(error.to_string()))?;
        if !rest.is_empty() {
            return Err(unreadable("something follows after its end".to_owned()));
        }
        csr.verify_signature()
            .map_err(|_| Problem::refused("the CSR's signature doesn't fit its key"))?;
        let info = &csr.certification_request_info;
        let common_name = info
            .subject
            .iter_common_name()
            .next()
            .map(|name| name.as_str().map(str::to_lowercase))
            .transpose()
            .map_err(|error| unreadable(error.to_string()))?;
        let mut sans = BTreeSet::new();
        for extension in csr.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                for name in &names.general_names {
                    sans.insert(san(name).ok_or_else(|| {
                        Problem::refused("the CSR asks for a name that is neither DNS nor IP")
                    })?);
                }
            }
        }
        Ok(Self {
            spki_sha256: hex::encode(digest::digest(&digest::SHA256, info.subject_pki.raw)),
            algorithm: algorithm(&info.subject_pki),
            common_name,
            sans,
        })
    }

    /// Refuses a CSR for anything else than what was asked for.
    pub(super) fn must_fit(&self, request: &Request) -> Result<(), Problem> {
        let asked: BTreeSet<String> = request
            .sans
            .iter()
            .chain([&request.common_name])
            .map(|name| normal(name))
            .collect();
        if self.algorithm != request.key_algorithm {
            return Err(Problem::refused(format!(
                "the CSR's key is {}, the request asks for {}",
                self.algorithm, request.key_algorithm
            )));
        }
        let common_name = normal(&request.common_name);
        if self.common_name.as_ref().is_some_and(|name| *name != common_name) {
            return Err(Problem::refused("the CSR's common name is not the request's"));
        }
        let mut names = self.sans.clone();
        names.extend(self.common_name.clone());
        if names != asked {
            return Err(Problem::refused(format!(
                "the CSR's names are not the request's: `{}` instead of `{}`",
                joined(&names),
                joined(&asked)
            )));
        }
        Ok(())
    }
}

fn joined(names: &BTreeSet<String>) -> String {
    names.iter().cloned().collect::<Vec<_>>().join(", ")
}

/// One notation for a name: lower case, and addresses as Rust writes them.
fn normal(name: &str) -> String {
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => name.to_lowercase(),
    }
}

fn san(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_lowercase()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes)
                .ok()
                .map(|it| IpAddr::from(it).to_string()),
            16 => <[u8; 16]>::try_from(*bytes)
                .ok()
                .map(|it| IpAddr::from(it).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// The algorithm in the platform's words; another one by what is known of it.
fn algorithm(spki: &SubjectPublicKeyInfo<'_>) -> String {
    match spki.parsed() {
        Ok(PublicKey::RSA(key)) => format!("rsa-{}", key.key_size()),
        Ok(PublicKey::EC(point)) => format!("ecdsa-p{}", point.key_size()),
        Ok(_) | Err(_) => spki.algorithm.algorithm.to_id_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn pem_of(names: &[&str], common_name: &str) -> String {
        let mut params =
            CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        params.serialize_request(&key).unwrap().pem().unwrap()
    }

    #[test]
    fn names_and_key_are_read() {
        let csr = Csr::read(&pem_of(&["A.example.com", "10.0.0.1"], "a.example.com")).unwrap();
        assert_eq!(csr.algorithm, "ecdsa-p256");
        assert_eq!(csr.spki_sha256.len(), 64);
        assert_eq!(joined(&csr.sans), "10.0.0.1, a.example.com");
    }

    #[test]
    fn a_broken_signature_is_refused() {
        let mut block = pem::parse(pem_of(&["a.example.com"], "a.example.com"))
            .unwrap()
            .into_contents();
        let at = block.windows(13).position(|it| it == b"a.example.com").unwrap();
        block[at] = b'b';
        let text = pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", block));
        assert_eq!(Csr::read(&text).unwrap_err().kind.status(), 422);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", bytes));
            prop_assert!(Csr::read(&text).is_err());
        }
    }
}
