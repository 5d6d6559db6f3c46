//! A CA of its own for each test.

use super::*;

/// A CA of its own for each test, below a root.
pub(super) struct Ca {
    pub(super) issuer: Issuer<'static, KeyPair>,
    /// The CA's certificate and its root's.
    pub(super) pem: String,
    pub(super) root_pem: String,
}

/// One certificate as a CA hands it out.
#[derive(Clone)]
pub(super) struct Issued {
    pub(super) pem: String,
    pub(super) fingerprint: String,
}

impl Ca {
    pub(super) fn new() -> Self {
        let params = |name: &str| {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            params.use_authority_key_identifier_extension = name != "Test Root";
            params
        };
        let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let root_pem = params("Test Root").self_signed(&root_key).unwrap().pem();
        let root = Issuer::new(params("Test Root"), root_key);
        let certificate = params("Test CA").signed_by(&key, &root).unwrap();
        Self {
            pem: format!("{}{root_pem}", certificate.pem()),
            issuer: Issuer::new(params("Test CA"), key),
            root_pem,
        }
    }

    pub(super) fn sign(&self, csr_pem: &str, days: i64) -> Issued {
        let mut csr = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
        let now = std::time::SystemTime::now();
        let day = Duration::from_secs(86_400);
        csr.params.not_before = (now - 10 * day).into();
        csr.params.not_after = if days < 0 {
            (now - day * u32::try_from(-days).unwrap()).into()
        } else {
            (now + day * u32::try_from(days).unwrap()).into()
        };
        let certificate = csr.signed_by(&self.issuer).unwrap();
        Issued {
            fingerprint: sha256(certificate.der()),
            pem: certificate.pem(),
        }
    }
}
