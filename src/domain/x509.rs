//! What a certificate says about itself. Serial and dates are taken from here, never from what a CA's
//! JSON says beside it.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use x509_parser::asn1_rs::Oid;
use x509_parser::extensions::{
    DistributionPointName, ExtendedKeyUsage, GeneralName, KeyUsage, ParsedExtension,
};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::oid_registry::{OID_EC_P256, OID_NIST_EC_P384, OID_X509_COMMON_NAME};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::domain::certificate::normal_serial;
use crate::domain::key::KeyAlgorithm;
use crate::domain::name::is_no_address;

/// The facts of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The subject's distinguished name.
    pub subject: String,
    /// Subject alternative names: DNS names and IP addresses.
    pub sans: Vec<String>,
    /// The issuer's distinguished name.
    pub issuer: String,
    /// Lower-case hex pairs with colons, as Vault writes it.
    pub serial: String,
    /// SHA-256 over the DER.
    pub fingerprint_sha256: String,
    /// SHA-256 over the SubjectPublicKeyInfo DER.
    pub spki_sha256: String,
    /// Such as `ecdsa-p256`.
    pub key_algorithm: String,
    /// First moment of validity.
    pub not_before: DateTime<Utc>,
    /// Last moment of validity.
    pub not_after: DateTime<Utc>,
}

/// Contents of a certificate that are held against what was asked for: subject, names, key, validity, and what it may
/// be used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The subject's common names.
    pub common_names: Vec<String>,
    /// All else in the subject, such as `O=Example`.
    pub beside_common_names: Vec<String>,
    /// All alternative names, those that are neither DNS nor IP with their kind in front.
    pub names: BTreeSet<String>,
    /// The SubjectPublicKeyInfo in DER.
    pub spki_der: Vec<u8>,
    /// Whether it is that of a CA.
    pub is_ca: bool,
    /// First moment of validity.
    pub not_before: DateTime<Utc>,
    /// Last moment of validity.
    pub not_after: DateTime<Utc>,
    /// Usages beyond those of a server or a client, by name.
    pub other_usages: Vec<String>,
}

/// The name of the block that a certificate is in.
const CERTIFICATE: &str = "CERTIFICATE";

/// The certificates of a PEM text, each in DER, and nothing else that is around or between them.
///
/// # Errors
/// A block that is neither base64 nor ends.
pub fn certificates(pem_text: &str) -> Result<Vec<Vec<u8>>, FactsError> {
    let blocks = pem::parse_many(pem_text).map_err(|error| FactsError::NotPem(error.to_string()))?;
    let is_one = |der: &[u8]| X509Certificate::from_der(der).is_ok_and(|(rest, _)| rest.is_empty());
    Ok(blocks
        .into_iter()
        .filter(|block| block.tag() == CERTIFICATE)
        .map(pem::Pem::into_contents)
        .filter(|der| is_one(der))
        .collect())
}

/// A certificate in PEM.
#[must_use]
pub fn pem_of(der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(CERTIFICATE, der), config)
}

/// Usages beyond a signature and the making of a key for a connection.
fn other_key_usages(usage: &KeyUsage) -> Vec<String> {
    [
        (usage.non_repudiation(), "nonRepudiation"),
        (usage.data_encipherment(), "dataEncipherment"),
        (usage.key_cert_sign(), "keyCertSign"),
        (usage.crl_sign(), "cRLSign"),
        (usage.encipher_only(), "encipherOnly"),
        (usage.decipher_only(), "decipherOnly"),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .map(|(_, name)| name.to_owned())
    .collect()
}

/// Purposes beyond those of a TLS server and its client.
fn other_purposes(purposes: &ExtendedKeyUsage<'_>) -> Vec<String> {
    let named = [
        (purposes.any, "anyExtendedKeyUsage"),
        (purposes.code_signing, "codeSigning"),
        (purposes.email_protection, "emailProtection"),
        (purposes.time_stamping, "timeStamping"),
        (purposes.ocsp_signing, "OCSPSigning"),
    ];
    let named = named
        .into_iter()
        .filter(|(set, _)| *set)
        .map(|(_, name)| name.to_owned());
    named
        .chain(purposes.other.iter().map(ToString::to_string))
        .collect()
}

/// Why there are no facts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// Not PEM.
    #[error("not in PEM: {0}")]
    NotPem(String),
    /// Not a certificate.
    #[error("not readable: {0}")]
    NotDer(String),
    /// A date or a serial that can't be.
    #[error("its {0} is out of range")]
    OutOfRange(&'static str),
}

/// Reads the first certificate of a PEM text.
///
/// # Errors
/// It holds none.
pub fn read(pem_text: &str) -> Result<Facts, FactsError> {
    let pem = pem::parse(pem_text).map_err(|error| FactsError::NotPem(error.to_string()))?;
    of_der(pem.contents())
}

/// What the one certificate of a PEM text says of names and key.
///
/// # Errors
/// It holds none, or several.
pub fn content(pem_text: &str) -> Result<Content, FactsError> {
    let blocks = pem::parse_many(pem_text).map_err(|error| FactsError::NotPem(error.to_string()))?;
    let [block] = blocks.as_slice() else {
        return Err(FactsError::NotPem(format!(
            "{} blocks instead of one",
            blocks.len()
        )));
    };
    let unreadable = |why: String| FactsError::NotDer(why);
    let (rest, certificate) =
        X509Certificate::from_der(block.contents()).map_err(|error| unreadable(error.to_string()))?;
    if !rest.is_empty() {
        return Err(unreadable("something follows after its end".to_owned()));
    }
    // Whatever is there twice is read differently by different readers.
    certificate
        .extensions_map()
        .map_err(|error| unreadable(error.to_string()))?;
    let common_names = certificate.subject().iter_common_name().map(|name| {
        name.as_str()
            .map(str::to_owned)
            .map_err(|error| unreadable(error.to_string()))
    });
    let beside_common_names = certificate
        .subject()
        .iter_attributes()
        .filter(|it| *it.attr_type() != OID_X509_COMMON_NAME)
        .map(|it| {
            let kind = abbreviated(it.attr_type());
            format!("{kind}={}", it.as_str().unwrap_or("…"))
        });
    let mut other_usages = Vec::new();
    let mut names = BTreeSet::new();
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(alternative) => {
                names.extend(alternative.general_names.iter().map(|name| match name {
                    // An address that is given as a name is another thing than the address.
                    GeneralName::DNSName(dns) if is_no_address(dns).is_err() => format!("DNS:{dns}"),
                    GeneralName::DNSName(dns) => (*dns).to_owned(),
                    GeneralName::IPAddress(bytes) => ip(bytes).unwrap_or_else(|| name.to_string()),
                    other => other.to_string(),
                }));
            }
            ParsedExtension::KeyUsage(usage) => other_usages.extend(other_key_usages(usage)),
            ParsedExtension::ExtendedKeyUsage(purposes) => other_usages.extend(other_purposes(purposes)),
            ParsedExtension::ParseError { error } => return Err(unreadable(error.to_string())),
            _ => {}
        }
    }
    Ok(Content {
        common_names: common_names.collect::<Result<_, _>>()?,
        beside_common_names: beside_common_names.collect(),
        names,
        spki_der: certificate.public_key().raw.to_vec(),
        is_ca: certificate.is_ca(),
        not_before: moment(certificate.validity().not_before, "first moment")?,
        not_after: moment(certificate.validity().not_after, "last moment")?,
        other_usages,
    })
}

fn abbreviated(kind: &Oid<'_>) -> String {
    oid2abbrev(kind, oid_registry()).map_or_else(|_| kind.to_string(), str::to_owned)
}

fn moment(time: ASN1Time, which: &'static str) -> Result<DateTime<Utc>, FactsError> {
    DateTime::from_timestamp(time.timestamp(), 0).ok_or(FactsError::OutOfRange(which))
}

/// Reads every certificate of a PEM text, in its order.
///
/// # Errors
/// One of them is none.
pub fn read_all(pem_text: &str) -> Result<Vec<Facts>, FactsError> {
    let blocks = pem::parse_many(pem_text).map_err(|error| FactsError::NotPem(error.to_string()))?;
    blocks.iter().map(|block| of_der(block.contents())).collect()
}

/// Where the first certificate of a PEM text says that its CRL is, over HTTP.
#[must_use]
pub fn crl_url(pem_text: &str) -> Option<String> {
    let pem = pem::parse(pem_text).ok()?;
    let (_, certificate) = X509Certificate::from_der(pem.contents()).ok()?;
    certificate.extensions().iter().find_map(|extension| {
        let ParsedExtension::CRLDistributionPoints(points) = extension.parsed_extension() else {
            return None;
        };
        points.iter().find_map(|point| match &point.distribution_point {
            Some(DistributionPointName::FullName(names)) => names.iter().find_map(http_url),
            _ => None,
        })
    })
}

fn http_url(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::URI(url) if url.starts_with("http") => Some((*url).to_owned()),
        _ => None,
    }
}

/// Reads a certificate in DER.
///
/// # Errors
/// It is none.
pub fn of_der(der: &[u8]) -> Result<Facts, FactsError> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|error| FactsError::NotDer(error.to_string()))?;
    let serial = certificate.raw_serial();
    // DER puts a zero before a serial whose first bit is set; Vault doesn't write it.
    let serial = match serial {
        [0, rest @ ..] if !rest.is_empty() => rest,
        whole => whole,
    };
    let validity = certificate.validity();
    Ok(Facts {
        subject: certificate.subject().to_string(),
        sans: sans(&certificate),
        issuer: certificate.issuer().to_string(),
        serial: normal_serial(&hex::encode(serial)).ok_or(FactsError::OutOfRange("serial"))?,
        fingerprint_sha256: hex::encode(digest(&SHA256, der)),
        spki_sha256: hex::encode(digest(&SHA256, certificate.public_key().raw)),
        key_algorithm: key_algorithm(certificate.public_key()),
        not_before: moment(validity.not_before, "first moment")?,
        not_after: moment(validity.not_after, "last moment")?,
    })
}

fn sans(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => ip(bytes),
            _ => None,
        })
        .collect()
}

fn ip(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    <[u8; 16]>::try_from(bytes)
        .ok()
        .map(|v6| std::net::Ipv6Addr::from(v6).to_string())
}

/// The platform's word for it where it has one, else what the certificate holds.
fn key_algorithm(spki: &SubjectPublicKeyInfo<'_>) -> String {
    match spki.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("rsa-{}", rsa.key_size()),
        Ok(PublicKey::EC(_)) => {
            let curve = spki.algorithm.parameters.as_ref().and_then(|it| it.as_oid().ok());
            match curve {
                Some(oid) if oid == OID_EC_P256 => KeyAlgorithm::EcdsaP256.word().to_owned(),
                Some(oid) if oid == OID_NIST_EC_P384 => KeyAlgorithm::EcdsaP384.word().to_owned(),
                Some(oid) => format!("ecdsa-{oid}"),
                None => "ecdsa".to_owned(),
            }
        }
        _ => spki.algorithm.algorithm.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType, SerialNumber};

    use super::*;

    #[test]
    fn facts_come_from_the_certificate_itself() {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(vec!["a.example.com".to_owned(), "192.0.2.7".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "a.example.com");
        params.serial_number = Some(SerialNumber::from_slice(&[0x9f, 0x01, 0x02]));
        let certificate = params.self_signed(&key).unwrap();
        let facts = read(&certificate.pem()).unwrap();
        assert_eq!(facts.subject, "CN=a.example.com");
        assert_eq!(facts.sans, ["a.example.com", "192.0.2.7"]);
        assert_eq!(facts.serial, "9f:01:02");
        assert_eq!(facts.key_algorithm, "ecdsa-p256");
    }

    #[test]
    fn an_address_that_is_given_as_a_name_is_not_the_address() {
        let key = KeyPair::generate().unwrap();
        let names = |san: SanType| {
            let mut params = CertificateParams::default();
            params.subject_alt_names = vec![san];
            content(&params.self_signed(&key).unwrap().pem()).unwrap().names
        };
        let by_name = names(SanType::DnsName("10.0.0.9".try_into().unwrap()));
        let by_address = names(SanType::IpAddress("10.0.0.9".parse().unwrap()));
        assert_eq!(by_name.into_iter().collect::<Vec<_>>(), ["DNS:10.0.0.9"]);
        assert_eq!(by_address.into_iter().collect::<Vec<_>>(), ["10.0.0.9"]);
    }

    #[test]
    fn nothing_but_certificates_comes_out_of_a_text() {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        let given = format!(
            "\u{1b}[2J{}{}trailing\u{1b}]0;x\u{7}\r\n{}",
            certificate.pem(),
            key.serialize_pem(),
            pem::encode(&pem::Pem::new("CERTIFICATE", "nonsense")),
        );
        let kept = certificates(&given).unwrap();
        assert_eq!(kept, [certificate.der().to_vec()]);
        let text = pem_of(&kept[0]);
        assert!(
            text.starts_with("-----BEGIN CERTIFICATE-----\n")
                && text.ends_with("-----END CERTIFICATE-----\n")
        );
        assert!(!text.contains('\r'));
        assert_eq!(certificates(&text).unwrap(), kept);
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        assert!(matches!(read("hello"), Err(FactsError::NotPem(_))));
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(read(pem), Err(FactsError::NotDer(_))));
    }
}
