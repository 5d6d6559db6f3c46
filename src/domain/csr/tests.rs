//! Requests as they come, and as somebody makes them who wants the CA to read another thing than the API.

use aws_lc_rs::agreement::{ECDH_P256, ECDH_P384, PrivateKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use proptest::prelude::*;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use x509_parser::num_bigint::BigUint;

use super::*;
use crate::domain::key::KeyAlgorithm;

const SAN: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x11];
const CN: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x0a];
const BASIC_CONSTRAINTS: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x13];
const EXTENSION_REQUEST: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
const CHALLENGE_PASSWORD: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07];
const EC: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const ECDSA_SHA256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = match content.len() {
        n @ 0..=0x7f => vec![n as u8],
        n @ 0x80..=0xff => vec![0x81, n as u8],
        n => vec![0x82, (n >> 8) as u8, n as u8],
    };
    [&[tag], length.as_slice(), content].concat()
}

fn seq(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

fn rdn(kind: &[u8], tag: u8, text: &str) -> Vec<u8> {
    seq(&[kind, &tlv(tag, text.as_bytes())])
}

fn bits(bytes: &[u8]) -> Vec<u8> {
    tlv(3, &[&[0], bytes].concat())
}

fn san(names: &[&str]) -> Vec<u8> {
    let names: Vec<u8> = names.iter().flat_map(|name| tlv(0x82, name.as_bytes())).collect();
    seq(&[SAN, &tlv(4, &tlv(0x30, &names))])
}

fn asked(extensions: &[&[u8]]) -> Vec<u8> {
    seq(&[EXTENSION_REQUEST, &tlv(0x31, &seq(extensions))])
}

/// The parts that most requests here have in common.
struct Parts {
    pair: EcdsaKeyPair,
    algorithm: Vec<u8>,
    subject: Vec<u8>,
    spki: Vec<u8>,
    attributes: Vec<u8>,
}

impl Parts {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self {
            subject: seq(&[&tlv(0x31, &rdn(CN, 0x0c, "a.example.com"))]),
            spki: seq(&[&seq(&[EC, P256]), &bits(pair.public_key().as_ref())]),
            attributes: asked(&[&san(&["a.example.com"])]),
            algorithm: ECDSA_SHA256.to_vec(),
            pair,
        }
    }

    fn der(&self) -> Vec<u8> {
        let info = seq(&[
            &[2, 1, 0],
            &self.subject,
            &self.spki,
            &tlv(0xa0, &self.attributes),
        ]);
        let signature = self.pair.sign(&SystemRandom::new(), &info).unwrap();
        seq(&[&info, &seq(&[&self.algorithm]), &bits(signature.as_ref())])
    }

    fn read(&self) -> Result<Csr, CsrError> {
        Csr::read(&pem_of(self.der()))
    }
}

fn pem_of(der: Vec<u8>) -> String {
    pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", der))
}

#[test]
fn names_and_key_are_read_and_come_out_as_they_were() {
    let mut params = CertificateParams::new(vec!["a.example.com".to_owned(), "10.0.0.1".to_owned()]).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "a.example.com");
    let ec = KeyPair::generate().unwrap();
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    for (key, algorithm) in [(&ec, KeyAlgorithm::EcdsaP256), (&rsa, KeyAlgorithm::Rsa2048)] {
        let made = params.serialize_request(key).unwrap();
        let csr = Csr::read(&made.pem().unwrap()).unwrap();
        assert_eq!(csr.key.algorithm, algorithm);
        assert_eq!(csr.common_name.as_deref(), Some("a.example.com"));
        assert_eq!((csr.dns.len(), csr.ips.len()), (1, 1));
        assert_eq!(csr.der(), made.der().as_ref());
        assert_eq!(
            csr.key.spki_der,
            rcgen::PublicKeyData::subject_public_key_info(key)
        );
        assert_eq!(Csr::read(&csr.pem()).unwrap(), csr);
    }
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names.clear();
    let bare = params.serialize_request(&ec).unwrap().pem().unwrap();
    assert_eq!(Csr::read(&bare).unwrap().common_name, None);
    assert_eq!(Parts::new().read().unwrap().dns, ["a.example.com"]);
}

#[test]
fn a_p384_key_may_sign_with_sha256_and_stays_a_p384_key() {
    // `openssl req -new -sha256` with a key on secp384r1.
    let csr = Csr::read(include_str!("p384_sha256.pem")).unwrap();
    assert_eq!(csr.key.algorithm, KeyAlgorithm::EcdsaP384);
    assert!(csr.key.spki_der.windows(P384.len()).any(|it| it == P384));
}

#[test]
fn a_subject_is_one_common_name() {
    let name = rdn(CN, 0x0c, "a.example.com");
    let evil = rdn(CN, 0x0c, "evil.example.com");
    let mut parts = Parts::new();
    for subject in [
        seq(&[&tlv(0x31, &name), &tlv(0x31, &evil)]),
        seq(&[&tlv(0x31, &[name.clone(), evil].concat())]),
        seq(&[&tlv(0x31, &rdn(ORGANISATION, 0x0c, "Example")), &tlv(0x31, &name)]),
        seq(&[&tlv(0x31, &name), &tlv(0x31, &rdn(ORGANISATION, 0x0c, "Example"))]),
    ] {
        parts.subject = subject;
        assert_eq!(parts.read(), Err(CsrError::Subject));
    }
    parts.subject = seq(&[&tlv(0x31, &rdn(CN, 0x1e, "\0a"))]);
    assert_eq!(parts.read(), Err(CsrError::CommonName));
    parts.subject = seq(&[&tlv(0x31, &[])]);
    assert_eq!(parts.read(), Err(CsrError::NotDer));
}

#[test]
fn nothing_is_asked_for_but_names() {
    let names = san(&["a.example.com"]);
    let ca = seq(&[BASIC_CONSTRAINTS, &[1, 1, 0xff], &tlv(4, &seq(&[&[1, 1, 0xff]]))]);
    let mut parts = Parts::new();
    for (attributes, error) in [
        (
            asked(&[&names, &names]),
            CsrError::Extension("2.5.29.17".to_owned()),
        ),
        (asked(&[&names, &ca]), CsrError::Extension("2.5.29.19".to_owned())),
        (
            asked(&[&san(&["a.example.com", "a.example.com"])]),
            CsrError::Twice("a.example.com".to_owned()),
        ),
        (asked(&[]), CsrError::NotDer),
        (asked(&[&san(&[])]), CsrError::NotDer),
        (
            asked(&[&seq(&[SAN, &tlv(4, &seq(&[&tlv(0x81, b"a@example.com")]))])]),
            CsrError::NameKind,
        ),
        (
            asked(&[&seq(&[SAN, &tlv(4, &seq(&[&tlv(0x87, &[1, 2, 3])]))])]),
            CsrError::NameKind,
        ),
        // `DEFAULT FALSE`, and a `TRUE` that is no 0xff.
        (
            asked(&[&seq(&[SAN, &[1, 1, 0], &tlv(4, &seq(&[&tlv(0x82, b"a")]))])]),
            CsrError::NotDer,
        ),
        (
            asked(&[&seq(&[SAN, &[1, 1, 1], &tlv(4, &seq(&[&tlv(0x82, b"a")]))])]),
            CsrError::NotDer,
        ),
        (
            [asked(&[&names]), asked(&[&names])].concat(),
            CsrError::Attribute("1.2.840.113549.1.9.14".to_owned()),
        ),
        (
            [
                seq(&[CHALLENGE_PASSWORD, &tlv(0x31, &tlv(0x0c, b"x"))]),
                asked(&[&names]),
            ]
            .concat(),
            CsrError::Attribute("1.2.840.113549.1.9.7".to_owned()),
        ),
        (
            seq(&[
                EXTENSION_REQUEST,
                &tlv(0x31, &[seq(&[&names]), seq(&[&names])].concat()),
            ]),
            CsrError::Attribute("1.2.840.113549.1.9.14".to_owned()),
        ),
    ] {
        parts.attributes = attributes;
        assert_eq!(parts.read(), Err(error));
    }
}

#[test]
fn an_address_is_asked_for_as_one() {
    let mut parts = Parts::new();
    for (name, said) in [
        (
            "10.0.0.9",
            "`10.0.0.9` is given as a DNS name and is an IP address: ask for it as one (`subjectAltName=IP:10.0.0.9`)",
        ),
        ("2001:DB8::9", "(`subjectAltName=IP:2001:db8::9`)"),
        ("host.10", "`host.10` ends in a number"),
    ] {
        parts.attributes = asked(&[&san(&["a.example.com", name])]);
        let error = parts.read().unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    parts.attributes = asked(&[&seq(&[SAN, &tlv(4, &seq(&[&tlv(0x87, &[10, 0, 0, 9])]))])]);
    assert_eq!(parts.read().unwrap().ips, [std::net::IpAddr::from([10, 0, 0, 9])]);
}

#[test]
fn a_key_has_one_form() {
    let mut parts = Parts::new();
    let point = parts.pair.public_key().as_ref().to_vec();
    let odd = point.last().unwrap() & 1;
    let compressed = [&[2 + odd], &point[1..33]].concat();
    let hybrid = [&[6 + odd], &point[1..]].concat();
    let algorithm = seq(&[EC, P256]);
    for (spki, error) in [
        (seq(&[&algorithm, &bits(&compressed)]), CsrError::Point),
        (seq(&[&algorithm, &bits(&hybrid)]), CsrError::Point),
        (seq(&[&seq(&[EC, P384]), &bits(&point)]), CsrError::Point),
        (seq(&[&seq(&[EC]), &bits(&point)]), CsrError::Curve),
        (
            seq(&[&seq(&[EC, &tlv(0x30, &[2, 1, 1])]), &bits(&point)]),
            CsrError::Curve,
        ),
        (
            seq(&[&algorithm, &tlv(3, &[&[1], point.as_slice()].concat())]),
            CsrError::NotDer,
        ),
    ] {
        parts.spki = spki;
        assert_eq!(parts.read(), Err(error));
    }
}

#[test]
fn an_rsa_key_has_one_form() {
    let key = |modulus: &[u8], exponent: &[u8], parameters: &[u8]| {
        let key = seq(&[&tlv(2, modulus), &tlv(2, exponent)]);
        PublicKey::read(&seq(&[&seq(&[RSA, parameters]), &bits(&key)]))
    };
    let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let good = PublicKey::read(&rcgen::PublicKeyData::subject_public_key_info(&pair)).unwrap();
    // Behind the heads of the key and of the modulus.
    let at = good.spki_der.len() - (4 + 257 + 5) + 4;
    let modulus = good.spki_der[at..at + 257].to_vec();
    let (exponent, null) = (&[1, 0, 1][..], &[5, 0][..]);
    assert_eq!(key(&modulus, exponent, null), Ok(good));
    assert_eq!(key(&modulus, &[3], null), Err(CsrError::Exponent));
    assert_eq!(key(&modulus, &[0, 1, 0, 1], null), Err(CsrError::NotDer));
    assert_eq!(key(&modulus, exponent, &[]), Err(CsrError::RsaParameters));
    assert_eq!(key(&modulus[..129], exponent, null), Err(CsrError::RsaSize(1024)));
    assert_eq!(
        key(&[&[0], modulus.as_slice()].concat(), exponent, null),
        Err(CsrError::NotDer)
    );
    let mut even = modulus.clone();
    even[256] &= 0xfe;
    assert_eq!(key(&even, exponent, null), Err(CsrError::Weak));
}

/// The outcome of reading an RSA key of 2048 bits with the product of these as its modulus.
fn rsa_of(p: &BigUint, q: &BigUint) -> Result<PublicKey, CsrError> {
    let mut modulus = vec![0];
    modulus.extend((p * q).to_bytes_be());
    let key = seq(&[&tlv(2, &modulus), &tlv(2, &[1, 0, 1])]);
    PublicKey::read(&seq(&[&seq(&[RSA, &[5, 0]]), &bits(&key)]))
}

/// The next odd number from `from` in steps of `by` that none of the small primes divides.
fn without_small_factors(from: BigUint, by: &BigUint) -> BigUint {
    let mut n = from;
    while weak::has_small_factor(&n.to_bytes_be()) {
        n += by;
    }
    n
}

#[test]
fn a_modulus_that_is_no_product_of_two_large_primes_is_refused() {
    let one = BigUint::from(1_u8);
    let two = BigUint::from(2_u8);
    let p = without_small_factors((BigUint::from(3_u8) << 1022_u32) + 1_u8, &two);
    // So much more has 2048 bits.
    for factor in [751_u32, 757, 65521] {
        let large = without_small_factors((&one << 2047_u32) / factor + 1_u8, &one);
        assert_eq!(
            rsa_of(&large, &BigUint::from(factor)),
            Err(CsrError::Weak),
            "{factor}"
        );
    }
    // 2²⁰⁴⁸ - 1557, which is prime.
    let prime = (&one << 2048_u32) - 1557_u32;
    assert_eq!(rsa_of(&prime, &one), Err(CsrError::Weak));
    let other = without_small_factors(&p + (&one << 600_u32), &two);
    assert!(rsa_of(&p, &other).is_ok());
}

#[test]
fn a_modulus_that_is_factored_at_once_is_refused() {
    let two = BigUint::from(2_u8);
    // 1024 bits whose square has 2048.
    let p = without_small_factors((BigUint::from(3_u8) << 1022_u32) + 1_u8, &two);
    let near = |distance: u32| without_small_factors(&p + (BigUint::from(1_u8) << distance), &two);
    assert_eq!(rsa_of(&p, &p), Err(CsrError::ClosePrimes));
    assert_eq!(rsa_of(&p, &near(1)), Err(CsrError::ClosePrimes));
    assert_eq!(rsa_of(&p, &near(500)), Err(CsrError::ClosePrimes));
    // Fermat's method takes 2¹⁷⁰ steps and more to these.
    assert!(rsa_of(&p, &near(600)).is_ok());
}

#[test]
fn a_modulus_with_the_mark_of_roca_is_refused() {
    // Primes of such chips are k·M + 65537ᵃ mod M, M being the product of the first primes.
    let first = (2_u32..168).filter(|n| (2..*n).all(|by| n % by != 0));
    let product = first.fold(BigUint::from(1_u8), |product, prime| product * prime);
    let prime = |a: u32, k: u32| {
        let rest = BigUint::from(65537_u32).modpow(&BigUint::from(a), &product);
        let multiples = ((BigUint::from(3_u8) << 1022_u32) / &product) + k;
        without_small_factors(multiples * &product + rest, &product)
    };
    assert_eq!(
        rsa_of(&prime(1234, 0), &prime(98765, 1 << 30)),
        Err(CsrError::Roca)
    );
}

#[test]
fn a_point_whose_private_key_is_found_by_counting_is_refused() {
    for (curve, word, size) in [(&ECDH_P256, P256, 32), (&ECDH_P384, P384, 48)] {
        let read = |number: u64| {
            let mut private = vec![0; size - 8];
            private.extend(number.to_be_bytes());
            let private = PrivateKey::from_private_key(curve, &private).unwrap();
            let point = private.compute_public_key().unwrap();
            PublicKey::read(&seq(&[&seq(&[EC, word]), &bits(point.as_ref())]))
        };
        for small in [1, 2, 3, 500, 1000] {
            assert_eq!(read(small), Err(CsrError::SmallPrivateKey), "{small}");
        }
        assert!(read(0x0123_4567_89ab_cdef).is_ok());
    }
    // Its mirror image: the curve's order less one.
    let order_less_one = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550";
    let private = PrivateKey::from_private_key(&ECDH_P256, &hex::decode(order_less_one).unwrap()).unwrap();
    let point = private.compute_public_key().unwrap();
    assert_eq!(
        PublicKey::read(&seq(&[&seq(&[EC, P256]), &bits(point.as_ref())])),
        Err(CsrError::SmallPrivateKey)
    );
}

#[test]
fn only_canonical_der_is_read_and_only_as_one_block() {
    let parts = Parts::new();
    let der = parts.der();
    let after = [der.as_slice(), &[0]].concat();
    // The outermost length in one byte more than it needs.
    let long = [&[0x30, 0x83, 0], &der[2..]].concat();
    let indefinite = [&[0x30, 0x80], &der[4..], &[0, 0]].concat();
    for odd in [after, long, indefinite] {
        assert_eq!(Csr::read(&pem_of(odd)), Err(CsrError::NotDer));
    }
    let text = pem_of(der.clone());
    assert!(matches!(Csr::read(&text.repeat(2)), Err(CsrError::NotOne(_))));
    assert!(matches!(
        Csr::read(&text.replace("CERTIFICATE REQUEST", "CERTIFICATE")),
        Err(CsrError::NotOne(_))
    ));
    assert!(matches!(Csr::read("nonsense"), Err(CsrError::NotPem(_))));
    assert_eq!(Csr::read(&"x".repeat(100_000)), Err(CsrError::TooLong));
    assert_eq!(
        Csr::read(&format!("beside it\n{text}\n"))
            .unwrap()
            .pem()
            .lines()
            .count(),
        text.lines().count()
    );
}

#[test]
fn a_signature_has_to_fit_in_kind_and_bytes() {
    let mut parts = Parts::new();
    let mut der = parts.der();
    let at = der.windows(13).rposition(|it| it == b"a.example.com").unwrap();
    der[at] = b'b';
    assert_eq!(Csr::read(&pem_of(der)), Err(CsrError::Signature));
    parts.algorithm = [ECDSA_SHA256, &[5, 0]].concat();
    assert_eq!(parts.read(), Err(CsrError::SignatureParameters));
    // ecdsa-with-SHA1
    parts.algorithm = vec![0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01];
    assert!(matches!(parts.read(), Err(CsrError::SignatureKind(_))));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Csr::read(&pem_of(bytes)).is_err());
    }

    #[test]
    fn no_byte_may_be_another_one(at in 0_usize..330, by in 1_u8..=255) {
        let mut der = Parts::new().der();
        let at = at % der.len();
        der[at] ^= by;
        prop_assert!(Csr::read(&pem_of(der)).is_err());
    }
}
