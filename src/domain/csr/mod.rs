//! Certification requests (PKCS #10, RFC 2986), read strictly and in one place: by the API, the issuer, the CA for
//! agents and the bundled Vault alike. What two readers could read differently is refused: one subject with one
//! common name, subject alternative names and nothing else, canonical DER, a key in its canonical form, a signature
//! that verifies.

mod key;
mod names;
#[cfg(test)]
mod tests;
mod weak;

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag};

pub use key::PublicKey;

use super::name::NameError;
use super::told::quoted;

/// More than a request with the most names has.
const MAX_PEM: usize = 64 * 1024;

/// Why a text is no certification request that is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Not PEM.
    #[error("it is not in PEM: {0}")]
    NotPem(String),
    /// Too much of it.
    #[error("it is longer than {MAX_PEM} bytes")]
    TooLong,
    /// Another thing in PEM, or several.
    #[error("it has to be one `CERTIFICATE REQUEST`, and is {0}")]
    NotOne(String),
    /// Not canonical DER, or not a request.
    #[error("it is no certification request in canonical DER")]
    NotDer,
    /// A version that there is not.
    #[error("its version is not 0")]
    Version,
    /// A subject of more than one common name.
    #[error("its subject has to be one common name or nothing")]
    Subject,
    /// A common name in a string type that readers disagree about.
    #[error("its common name is no UTF8String or PrintableString")]
    CommonName,
    /// Something else is asked for beside names.
    #[error("it holds the attribute {0}: nothing but one `extensionRequest` is taken")]
    Attribute(String),
    /// Something else is asked for beside names.
    #[error("it asks for the extension {0}: nothing but one `subjectAltName` is taken")]
    Extension(String),
    /// A name of another kind.
    #[error("it asks for a name that is neither DNS nor IP")]
    NameKind,
    /// An address that is given as a DNS name.
    #[error("{0}")]
    NoDnsName(#[from] NameError),
    /// A name that is there twice.
    #[error("it names {} twice", quoted(.0))]
    Twice(String),
    /// A key that nobody certifies.
    #[error("its key is of a kind that is not certified: {0}")]
    KeyKind(String),
    /// A curve that isn't named.
    #[error("its key's curve is not given by its name")]
    Curve,
    /// A compressed, hybrid or wrong point.
    #[error("its key is not given as an uncompressed point")]
    Point,
    /// RSA parameters other than NULL.
    #[error("its RSA key's parameters are not NULL")]
    RsaParameters,
    /// Another exponent.
    #[error("its RSA key's exponent is not 65537")]
    Exponent,
    /// A size that is not certified.
    #[error("its RSA key has {0} bits: 2048, 3072 and 4096 are certified")]
    RsaSize(usize),
    /// A key that can be computed by anybody.
    #[error(
        "its RSA key's modulus is no product of two large primes, so that anybody can compute the key: make a new one"
    )]
    Weak,
    /// A modulus that Fermat's method factors at once.
    #[error("its RSA key's primes are so close to each other that anybody can compute them: make a new key")]
    ClosePrimes,
    /// A key of chips whose primes have too few bits of chance (CVE-2017-15361).
    #[error(
        "its RSA key was made by a chip whose keys can be computed (ROCA, CVE-2017-15361): make it elsewhere"
    )]
    Roca,
    /// A private key that is found by counting.
    #[error("its private key is a small number that anybody can guess: make a new key")]
    SmallPrivateKey,
    /// A signature of another kind.
    #[error("its signature is of a kind that is not taken for its key: {0}")]
    SignatureKind(String),
    /// Wrong parameters of the signature's algorithm.
    #[error("the parameters of its signature's algorithm are wrong")]
    SignatureParameters,
    /// It wasn't made with the key.
    #[error("its signature doesn't fit its key")]
    Signature,
}

impl From<der::Error> for CsrError {
    fn from(_: der::Error) -> Self {
        Self::NotDer
    }
}

/// What a request says, its signature being good: whoever made it had the private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csr {
    /// Its key.
    pub key: PublicKey,
    /// Its common name.
    pub common_name: Option<String>,
    /// Its DNS names, as they are spelt there.
    pub dns: Vec<String>,
    /// Its IP addresses.
    pub ips: Vec<std::net::IpAddr>,
    der: Vec<u8>,
}

impl Csr {
    /// Reads one in PEM.
    ///
    /// # Errors
    /// It isn't exactly as it has to be.
    pub fn read(text: &str) -> Result<Self, CsrError> {
        if text.len() > MAX_PEM {
            return Err(CsrError::TooLong);
        }
        let blocks = pem::parse_many(text).map_err(|error| CsrError::NotPem(error.to_string()))?;
        match blocks.as_slice() {
            [block] if matches!(block.tag(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") => {
                Self::read_der(block.contents())
            }
            [] => Err(CsrError::NotPem("there is no block in it".to_owned())),
            [block] => Err(CsrError::NotOne(format!("a `{}`", block.tag()))),
            blocks => Err(CsrError::NotOne(format!("{} blocks", blocks.len()))),
        }
    }

    fn read_der(whole: &[u8]) -> Result<Self, CsrError> {
        let mut reader = SliceReader::new(whole)?;
        let (info, algorithm, parameters, signature) = reader.sequence(|it: &mut SliceReader<'_>| {
            let info = it.tlv_bytes()?;
            let (algorithm, parameters) = it.sequence(|it: &mut SliceReader<'_>| {
                let algorithm = ObjectIdentifier::decode(it)?;
                Ok::<_, der::Error>((algorithm, Option::<AnyRef<'_>>::decode(it)?))
            })?;
            let signature = BitStringRef::decode(it)?;
            Ok::<_, der::Error>((info, algorithm, parameters, signature))
        })?;
        reader.finish()?;
        let mut reader = SliceReader::new(info)?;
        let (key, common_name, asked) = reader.sequence(|it: &mut SliceReader<'_>| {
            if u8::decode(it)? != 0 {
                return Err(CsrError::Version);
            }
            let common_name = names::subject(it)?;
            let key = PublicKey::read(it.tlv_bytes()?)?;
            let asked = names::attributes(it)?;
            Ok((key, common_name, asked))
        })?;
        reader.finish()?;
        let signature = signature.as_bytes().ok_or(CsrError::NotDer)?;
        key.verify(algorithm, parameters, info, signature)?;
        Ok(Self {
            key,
            common_name,
            dns: asked.dns,
            ips: asked.ips,
            der: whole.to_vec(),
        })
    }

    /// It in PEM, and nothing beside it: what is sent to a CA is what was read.
    #[must_use]
    pub fn pem(&self) -> String {
        let block = pem::Pem::new("CERTIFICATE REQUEST", self.der.clone());
        pem::encode_config(
            &block,
            pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
        )
    }

    /// It in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

/// One element that has to have this tag, with a reader for what is in it.
fn within<'a, T>(
    reader: &mut SliceReader<'a>,
    tag: Tag,
    read: impl FnOnce(&mut SliceReader<'a>) -> Result<T, CsrError>,
) -> Result<T, CsrError> {
    let element = AnyRef::decode(reader)?;
    if element.header().tag() != tag {
        return Err(CsrError::NotDer);
    }
    let mut inner = SliceReader::new(element.value())?;
    let read = read(&mut inner)?;
    inner.finish()?;
    Ok(read)
}
