//! The path from a certificate up to the last certificate that is there: built by signatures from whatever was
//! given, in whatever order. Whom to trust is for others to say.

use chrono::{DateTime, Utc};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::signature::{CLOCK_AHEAD, Signature};

/// More certificates than any path has; so is what is looked through.
const MAX_PATH: usize = 10;
/// How many certificates of what was given are looked at.
const MAX_GIVEN: usize = 32;

/// The certificates above `leaf` in DER, the nearest first, as far as `given` has them.
#[must_use]
pub fn above(leaf: &[u8], given: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut path: Vec<Vec<u8>> = Vec::new();
    while path.len() < MAX_PATH {
        let last = path.last().map_or(leaf, Vec::as_slice);
        let next = given
            .iter()
            .take(MAX_GIVEN)
            .find(|issuer| issuer.as_slice() != leaf && !path.contains(issuer) && signed_by(last, issuer));
        let Some(next) = next else { break };
        path.push(next.clone());
    }
    path
}

/// Why a certificate is not shown to be its CA's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotIssued {
    /// Not a certificate.
    #[error("it is not readable")]
    Unreadable,
    /// Nobody of that name came with it.
    #[error(
        "it says that `{0}` issued it, whose certificate didn't come with it: its signature can't be verified"
    )]
    NoIssuer(String),
    /// The signature is another's.
    #[error("it is not signed by `{0}`, which it says that it is")]
    Forged(String),
    /// The signature is of a kind that can't be verified here.
    #[error("its signature is of a kind that can't be verified here")]
    Unknown,
    /// Whoever signed it may not.
    #[error("it is signed by `{0}`, which is no CA")]
    NoCa(String),
    /// The CA isn't valid any more, or not yet.
    #[error("it is signed by `{0}`, whose own certificate is not valid now")]
    CaNotValid(String),
}

/// Holds a certificate, in DER, against the issuers that came with it: one of them verifiably signed it, may do so, and
/// is valid at `now`.
///
/// # Errors
/// None of them did.
pub fn issued(leaf: &[u8], given: &[Vec<u8>], now: DateTime<Utc>) -> Result<(), NotIssued> {
    issuer(leaf, given, now).map(|_| ())
}

/// The one of the issuers that came with a certificate which verifiably signed it, may do so, and is valid at `now`; all
/// in DER. That it came along doesn't make it one that is trusted.
///
/// # Errors
/// None of them did.
pub fn issuer<'a>(leaf: &[u8], given: &'a [Vec<u8>], now: DateTime<Utc>) -> Result<&'a [u8], NotIssued> {
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|_| NotIssued::Unreadable)?;
    let name = leaf.issuer().to_string();
    let mut why = NotIssued::NoIssuer(name.clone());
    for der in given.iter().take(MAX_GIVEN) {
        let Ok((_, issuer)) = X509Certificate::from_der(der) else {
            continue;
        };
        if leaf.issuer().as_raw() != issuer.subject().as_raw() {
            continue;
        }
        why = match Signature::of_certificate(&leaf, issuer.public_key()) {
            Signature::Forged => NotIssued::Forged(name.clone()),
            Signature::Unknown => NotIssued::Unknown,
            Signature::Verified if !may_sign(&issuer) => NotIssued::NoCa(name.clone()),
            Signature::Verified if !is_valid(&issuer, now) => NotIssued::CaNotValid(name.clone()),
            Signature::Verified => return Ok(der),
        };
    }
    Err(why)
}

/// A CA, whose key is for certificates where it says what it is for (RFC 5280 §4.2.1.3).
fn may_sign(issuer: &X509Certificate<'_>) -> bool {
    issuer.is_ca()
        && match issuer.key_usage() {
            Ok(Some(usage)) => usage.value.key_cert_sign(),
            Ok(None) => true,
            Err(_) => false,
        }
}

fn is_valid(issuer: &X509Certificate<'_>, now: DateTime<Utc>) -> bool {
    let validity = issuer.validity();
    validity.not_before.timestamp() <= (now + CLOCK_AHEAD).timestamp()
        && now.timestamp() <= validity.not_after.timestamp()
}

/// Whether it signed itself: a root, which clients have and nobody has to send.
#[must_use]
pub fn is_root(der: &[u8]) -> bool {
    signed_by(der, der)
}

/// What has to be sent with a certificate: all of its chain but a root, which clients must have already.
#[must_use]
pub fn to_send(chain: &[Vec<u8>]) -> Vec<Vec<u8>> {
    chain.iter().filter(|der| !is_root(der)).cloned().collect()
}

/// A certificate of the path that was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{missing}`, which issued `{below}`, was not sent")]
pub struct Gap {
    /// The issuer's name.
    pub missing: String,
    /// The last certificate that a client can build a path to.
    pub below: String,
}

/// Whether a client that has only the root can build the path from what was `sent`, the certificate first. `known` is
/// the certificate's chain as its CA gave it: what is in there has to be sent, but for a root.
///
/// # Errors
/// The first issuer that is missing.
pub fn complete(sent: &[Vec<u8>], known: &[Vec<u8>]) -> Result<(), Gap> {
    let Some((leaf, rest)) = sent.split_first() else {
        return Ok(());
    };
    let path = above(leaf, rest);
    let last = path.last().unwrap_or(leaf);
    if is_root(last) {
        return Ok(());
    }
    // Another path than the one that is known, as with a cross-signed CA, ends elsewhere, and is as good.
    let next = known.iter().find(|issuer| signed_by(last, issuer));
    match next {
        Some(issuer) if !is_root(issuer) => Err(Gap {
            missing: subject(issuer),
            below: subject(last),
        }),
        _ => Ok(()),
    }
}

/// The issuer that the path of these certificates ends at without having it; nothing where it ends in a root.
#[must_use]
pub fn ends_below(sent: &[Vec<u8>]) -> Option<String> {
    let (leaf, rest) = sent.split_first()?;
    let path = above(leaf, rest);
    let last = path.last().unwrap_or(leaf);
    if is_root(last) {
        return None;
    }
    let (_, read) = X509Certificate::from_der(last).ok()?;
    Some(read.issuer().to_string())
}

/// The subject's distinguished name.
#[must_use]
pub fn subject(der: &[u8]) -> String {
    X509Certificate::from_der(der).map_or_else(
        |_| "something that is no certificate".to_owned(),
        |(_, read)| read.subject().to_string(),
    )
}

/// By name and by signature, since two CAs may have one name, and anybody can write a name. A signature of a kind that
/// can't be verified here links nothing.
fn signed_by(der: &[u8], issuer: &[u8]) -> bool {
    let (Ok((_, certificate)), Ok((_, issuer))) =
        (X509Certificate::from_der(der), X509Certificate::from_der(issuer))
    else {
        return false;
    };
    certificate.issuer().as_raw() == issuer.subject().as_raw()
        && Signature::of_certificate(&certificate, issuer.public_key()) == Signature::Verified
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    /// A root, two CAs below each other, and a certificate, the certificate first.
    fn chain() -> Vec<Vec<u8>> {
        let params = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        };
        let key = KeyPair::generate().unwrap();
        let mut all = vec![params("root").self_signed(&key).unwrap().der().to_vec()];
        let mut issuer = Issuer::new(params("root"), key);
        for name in ["upper", "lower", "leaf"] {
            let key = KeyPair::generate().unwrap();
            all.insert(0, params(name).signed_by(&key, &issuer).unwrap().der().to_vec());
            issuer = Issuer::new(params(name), key);
        }
        all
    }

    #[test]
    fn a_path_is_built_from_any_order_and_what_is_missing_is_named() {
        let all = chain();
        let [leaf, lower, upper, root] = all.as_slice() else {
            panic!()
        };
        let known = &all[1..];
        let sent = |of: &[&Vec<u8>]| of.iter().map(|der| (*der).clone()).collect::<Vec<_>>();
        for good in [
            sent(&[leaf, lower, upper]),
            sent(&[leaf, upper, lower]),
            sent(&[leaf, lower, upper, root]),
        ] {
            assert_eq!(complete(&good, known), Ok(()));
        }
        let gap = complete(&sent(&[leaf]), known).unwrap_err();
        assert!(gap.missing.contains("CN=lower"), "{gap}");
        let gap = complete(&sent(&[leaf, lower]), known).unwrap_err();
        assert!(
            gap.missing.contains("CN=upper") && gap.to_string().contains("CN=lower"),
            "{gap}"
        );
        // What doesn't belong to the path doesn't fill the gap.
        let gap = complete(&sent(&[leaf, upper]), known).unwrap_err();
        assert!(gap.missing.contains("CN=lower"), "{gap}");
        // A CA that leaves its root out, as those on the web do.
        assert!(complete(&sent(&[leaf, lower]), &all[1..3]).is_err());
        assert_eq!(complete(&sent(&[leaf, lower, upper]), &all[1..3]), Ok(()));
        assert_eq!(to_send(known), sent(&[lower, upper]));
        assert!(ends_below(&sent(&[leaf])).unwrap().contains("CN=lower"));
        assert_eq!(ends_below(&all), None);
        assert_eq!(complete(&[], known), Ok(()));
    }

    /// That certificate, said to be signed by an algorithm that nobody knows.
    fn by_an_unknown_algorithm(der: &[u8]) -> Vec<u8> {
        let ecdsa = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
        let mut der = der.to_vec();
        let places: Vec<usize> = der
            .windows(ecdsa.len())
            .enumerate()
            .filter(|(_, bytes)| *bytes == ecdsa)
            .map(|(at, _)| at)
            .collect();
        assert_eq!(places.len(), 2);
        for at in places {
            der[at..at + ecdsa.len()].copy_from_slice(&[0x2a, 3, 4, 5, 6, 7, 8, 9]);
        }
        der
    }

    #[test]
    fn a_signature_that_can_not_be_verified_links_nothing() {
        let all = chain();
        let [leaf, lower, _, root] = all.as_slice() else {
            panic!()
        };
        let strange = by_an_unknown_algorithm(root);
        assert!(is_root(root) && !is_root(&strange));
        let strange = by_an_unknown_algorithm(leaf);
        assert!(above(&strange, &all[1..]).is_empty());
        assert_eq!(
            complete(&[strange.clone(), lower.clone()], &all[1..]),
            Ok(()),
            "nor is it a gap"
        );
        let (_, read) = X509Certificate::from_der(&strange).unwrap();
        let (_, issuer) = X509Certificate::from_der(lower).unwrap();
        assert_eq!(
            Signature::of_certificate(&read, issuer.public_key()),
            Signature::Unknown
        );
    }

    #[test]
    fn a_certificate_is_its_cas_where_that_ca_signed_it_and_may() {
        let all = chain();
        let [leaf, _, upper, root] = all.as_slice() else {
            panic!()
        };
        let now: DateTime<Utc> = "2026-11-29T00:00:00Z".parse().unwrap();
        let given = &all[1..];
        assert_eq!(issued(leaf, given, now), Ok(()));
        assert!(
            matches!(issued(leaf, &[upper.clone(), root.clone()], now), Err(NotIssued::NoIssuer(name)) if name.contains("lower"))
        );
        assert!(matches!(issued(leaf, &[], now), Err(NotIssued::NoIssuer(_))));
        let mut forged = leaf.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert!(matches!(issued(&forged, given, now), Err(NotIssued::Forged(_))));
        assert_eq!(
            issued(&by_an_unknown_algorithm(leaf), given, now),
            Err(NotIssued::Unknown)
        );
        // Others of the same name, which didn't sign it.
        assert!(matches!(
            issued(leaf, &chain()[1..], now),
            Err(NotIssued::Forged(_))
        ));
        let after_all = "4097-01-01T00:00:00Z".parse().unwrap();
        assert!(matches!(
            issued(leaf, given, after_all),
            Err(NotIssued::CaNotValid(_))
        ));

        // Signed by a certificate that is no CA's.
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "no CA");
        let no_ca = params.self_signed(&key).unwrap().der().to_vec();
        let below = CertificateParams::default()
            .signed_by(&KeyPair::generate().unwrap(), &Issuer::new(params, key))
            .unwrap();
        assert!(matches!(
            issued(below.der(), &[no_ca], now),
            Err(NotIssued::NoCa(_))
        ));
    }

    #[test]
    fn a_ca_on_a_larger_curve_is_verified() {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
        let der = CertificateParams::default()
            .self_signed(&key)
            .unwrap()
            .der()
            .to_vec();
        assert!(is_root(&der));
        let mut forged = der;
        *forged.last_mut().unwrap() ^= 1;
        assert!(!is_root(&forged));
    }

    #[test]
    fn what_is_no_certificate_is_no_part_of_a_path() {
        let all = chain();
        assert!(above(&all[0], &[b"nonsense".to_vec()]).is_empty());
        assert_eq!(above(&all[0], &all[1..]), all[1..]);
        assert!(!is_root(b"nonsense"));
    }
}
