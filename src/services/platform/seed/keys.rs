//! The fleet's keys and CSRs, made on all cores at once: RSA takes long.

use std::thread;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData};

use crate::domain::key::KeyAlgorithm;
use crate::domain::secret::Secret;

/// One key with its CSR.
pub(super) struct MadeKey {
    /// The private key, PKCS #8 in PEM.
    pub(super) key_pem: Secret,
    /// The certification request in PEM.
    pub(super) csr_pem: String,
    /// SHA-256 over the SubjectPublicKeyInfo.
    pub(super) spki_sha256: String,
    pub(super) algorithm: KeyAlgorithm,
    names: Vec<String>,
}

impl MadeKey {
    /// A CSR for `names`: the key's own, or another one where the key is shared. The CA takes the
    /// names from the CSR.
    pub(super) fn csr_for(&self, names: &[String]) -> Result<String, rcgen::Error> {
        if self.names == names {
            return Ok(self.csr_pem.clone());
        }
        request(&KeyPair::from_pem(self.key_pem.expose())?, names)
    }
}

fn request(key: &KeyPair, names: &[String]) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = names.first() {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.serialize_request(key)?.pem()
}

/// Makes all of them, in the order given.
pub(super) fn make_all(wanted: &[(KeyAlgorithm, Vec<String>)]) -> Result<Vec<MadeKey>, rcgen::Error> {
    let n = thread::available_parallelism().map_or(2, |n| n.get().min(4));
    let shares: Vec<Vec<usize>> = (0..n)
        .map(|offset| (offset..wanted.len()).step_by(n).collect())
        .collect();
    let mut made: Vec<Option<MadeKey>> = wanted.iter().map(|_| None).collect();
    let done: Vec<Result<Vec<(usize, MadeKey)>, rcgen::Error>> = thread::scope(|scope| {
        let workers: Vec<_> = shares
            .iter()
            .map(|share| {
                scope.spawn(move || {
                    share
                        .iter()
                        .map(|i| make(wanted[*i].0, &wanted[*i].1).map(|key| (*i, key)))
                        .collect()
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or(Err(rcgen::Error::RemoteKeyError)))
            .collect()
    });
    for share in done {
        for (i, key) in share? {
            made[i] = Some(key);
        }
    }
    Ok(made.into_iter().flatten().collect())
}

fn make(algorithm: KeyAlgorithm, names: &[String]) -> Result<MadeKey, rcgen::Error> {
    let key = match algorithm {
        KeyAlgorithm::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        KeyAlgorithm::EcdsaP384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        KeyAlgorithm::Rsa2048 => rsa(rcgen::RsaKeySize::_2048),
        KeyAlgorithm::Rsa3072 => rsa(rcgen::RsaKeySize::_3072),
        KeyAlgorithm::Rsa4096 => rsa(rcgen::RsaKeySize::_4096),
    }?;
    let csr_pem = request(&key, names)?;
    let spki = key.subject_public_key_info();
    Ok(MadeKey {
        names: names.to_vec(),
        key_pem: Secret::new(key.serialize_pem()),
        csr_pem,
        spki_sha256: hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &spki)),
        algorithm,
    })
}

fn rsa(size: rcgen::RsaKeySize) -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::csr::Csr;

    #[test]
    fn each_csr_carries_its_key() {
        let names = vec!["a.example.com".to_owned()];
        let wanted = vec![
            (KeyAlgorithm::EcdsaP256, names.clone()),
            (KeyAlgorithm::EcdsaP384, names.clone()),
            (KeyAlgorithm::EcdsaP256, names),
        ];
        let made = make_all(&wanted).unwrap();
        assert_eq!(made.len(), 3);
        for key in &made {
            assert_eq!(
                Csr::read(&key.csr_pem).unwrap().key.spki_sha256(),
                key.spki_sha256
            );
        }
        assert_ne!(made[0].spki_sha256, made[2].spki_sha256);
    }
}
