//! Public keys in their one canonical form: an uncompressed point on a named curve (RFC 5480), an RSA modulus with the
//! exponent 65537 and `NULL` parameters (RFC 3279 §2.3.1). A key that could be written in two ways would have two
//! hashes, and a blocked one would be certified under the other.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey,
    VerificationAlgorithm,
};
use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, UintRef};
use der::{Decode, Reader, SliceReader};

use super::{CsrError, weak};
use crate::domain::key::KeyAlgorithm;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");

/// The primes that the curves' coordinates are counted by (FIPS 186-4, D.1.2.3 and D.1.2.4).
const P256_PRIME: &[u8] = &[
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
];
const P384_PRIME: &[u8] = &[
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff,
];
/// 65537, the one exponent.
const EXPONENT: &[u8] = &[1, 0, 1];
/// Before the two halves of a point that is not compressed (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;
/// A public key as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// Its SubjectPublicKeyInfo in DER, byte for byte.
    pub spki_der: Vec<u8>,
    /// Its algorithm and size.
    pub algorithm: KeyAlgorithm,
    /// What signatures are verified with: the point, or the `RSAPublicKey`.
    bits: Vec<u8>,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo that has to be in its canonical form.
    ///
    /// # Errors
    /// It isn't, or the key is of no sort and size that is certified.
    pub fn read(spki_der: &[u8]) -> Result<Self, CsrError> {
        let mut reader = SliceReader::new(spki_der)?;
        let (oid, parameters, bits) = reader.sequence(|spki| {
            let (oid, parameters) = spki.sequence(|it: &mut SliceReader<'_>| {
                let oid = ObjectIdentifier::decode(it)?;
                let parameters = Option::<AnyRef<'_>>::decode(it)?;
                Ok::<_, der::Error>((oid, parameters))
            })?;
            let bits = BitStringRef::decode(spki)?;
            Ok::<_, der::Error>((oid, parameters, bits))
        })?;
        reader.finish()?;
        let bits = bits.as_bytes().ok_or(CsrError::NotDer)?;
        let algorithm = match oid {
            EC_PUBLIC_KEY => point(parameters, bits)?,
            RSA => modulus(parameters, bits)?,
            other => return Err(CsrError::KeyKind(other.to_string())),
        };
        Ok(Self {
            spki_der: spki_der.to_vec(),
            algorithm,
            bits: bits.to_vec(),
        })
    }

    /// The SHA-256 of its SubjectPublicKeyInfo, lower-case hex: the name that the key is known by.
    #[must_use]
    pub fn spki_sha256(&self) -> String {
        hex::encode(digest(&SHA256, &self.spki_der))
    }

    /// The name of its mirror image: of the point with the same x and the other y, whose private key is this one's
    /// taken from the curve's order. Whoever has one has both, so that they are blocked together. RSA has none.
    #[must_use]
    pub fn mirror_sha256(&self) -> Option<String> {
        let prime = match self.algorithm {
            KeyAlgorithm::EcdsaP256 => P256_PRIME,
            KeyAlgorithm::EcdsaP384 => P384_PRIME,
            KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => return None,
        };
        let mut mirrored = self.spki_der.clone();
        // The point is the end of it, and y the second half of that.
        let start = mirrored.len().checked_sub(prime.len())?;
        let y = mirrored.get_mut(start..)?;
        let mut borrow = false;
        for (byte, of_prime) in y.iter_mut().zip(prime).rev() {
            let (rest, first) = of_prime.overflowing_sub(*byte);
            let (rest, second) = rest.overflowing_sub(u8::from(borrow));
            *byte = rest;
            borrow = first || second;
        }
        Some(hex::encode(digest(&SHA256, &mirrored)))
    }

    /// Verifies a signature over `message` by this key.
    pub(super) fn verify(
        &self,
        algorithm: ObjectIdentifier,
        parameters: Option<AnyRef<'_>>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CsrError> {
        let is_rsa = matches!(
            self.algorithm,
            KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096
        );
        let with: &'static dyn VerificationAlgorithm = match (self.algorithm, algorithm) {
            (KeyAlgorithm::EcdsaP256, ECDSA_SHA256) => &ECDSA_P256_SHA256_ASN1,
            (KeyAlgorithm::EcdsaP256, ECDSA_SHA384) => &ECDSA_P256_SHA384_ASN1,
            (KeyAlgorithm::EcdsaP384, ECDSA_SHA256) => &ECDSA_P384_SHA256_ASN1,
            (KeyAlgorithm::EcdsaP384, ECDSA_SHA384) => &ECDSA_P384_SHA384_ASN1,
            (_, RSA_SHA256) if is_rsa => &RSA_PKCS1_2048_8192_SHA256,
            (_, RSA_SHA384) if is_rsa => &RSA_PKCS1_2048_8192_SHA384,
            (_, RSA_SHA512) if is_rsa => &RSA_PKCS1_2048_8192_SHA512,
            (_, other) => return Err(CsrError::SignatureKind(other.to_string())),
        };
        // RFC 4055 §5 wants a NULL, RFC 5758 §3.2 nothing.
        let fits = match parameters {
            Some(parameters) => is_rsa && parameters.is_null(),
            None => !is_rsa,
        };
        if !fits {
            return Err(CsrError::SignatureParameters);
        }
        UnparsedPublicKey::new(with, &self.bits)
            .verify(message, signature)
            .map_err(|_| CsrError::Signature)
    }
}

fn point(parameters: Option<AnyRef<'_>>, bits: &[u8]) -> Result<KeyAlgorithm, CsrError> {
    let curve = parameters.ok_or(CsrError::Curve)?;
    let curve: ObjectIdentifier = curve.decode_as().map_err(|_| CsrError::Curve)?;
    let (algorithm, half) = match curve {
        P256 => (KeyAlgorithm::EcdsaP256, 32),
        P384 => (KeyAlgorithm::EcdsaP384, 48),
        other => return Err(CsrError::KeyKind(other.to_string())),
    };
    if bits.first() != Some(&UNCOMPRESSED) || bits.len() != 1 + 2 * half {
        return Err(CsrError::Point);
    }
    if bits
        .get(1..=half)
        .is_some_and(|x| weak::is_counted_out(algorithm, x))
    {
        return Err(CsrError::SmallPrivateKey);
    }
    Ok(algorithm)
}

fn modulus(parameters: Option<AnyRef<'_>>, bits: &[u8]) -> Result<KeyAlgorithm, CsrError> {
    if !parameters.is_some_and(AnyRef::is_null) {
        return Err(CsrError::RsaParameters);
    }
    let mut reader = SliceReader::new(bits)?;
    let (modulus, exponent) = reader.sequence(|key| {
        let modulus = UintRef::decode(key)?;
        let exponent = UintRef::decode(key)?;
        Ok::<_, der::Error>((modulus, exponent))
    })?;
    reader.finish()?;
    if exponent.as_bytes() != EXPONENT {
        return Err(CsrError::Exponent);
    }
    let modulus = modulus.as_bytes();
    let has_its_first_bit = modulus.first().is_some_and(|byte| byte & 0x80 != 0);
    let algorithm = match modulus.len() {
        256 if has_its_first_bit => KeyAlgorithm::Rsa2048,
        384 if has_its_first_bit => KeyAlgorithm::Rsa3072,
        512 if has_its_first_bit => KeyAlgorithm::Rsa4096,
        bytes => {
            let free = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
            return Err(CsrError::RsaSize(bytes * 8 - free));
        }
    };
    if weak::has_small_factor(modulus) || weak::is_power_of_prime(modulus) {
        return Err(CsrError::Weak);
    }
    if weak::is_of_roca(modulus) {
        return Err(CsrError::Roca);
    }
    if weak::has_close_primes(modulus) {
        return Err(CsrError::ClosePrimes);
    }
    Ok(algorithm)
}

pub(super) fn remainder(number: &[u8], by: u32) -> u32 {
    number
        .iter()
        .fold(0, |rest, byte| (rest << 8 | u32::from(*byte)) % by)
}
