//! The path from a certificate up to the last certificate that is there: built by signatures from whatever was
//! given, in whatever order. Whom to trust is for others to say.

use x509_parser::error::X509Error;
use x509_parser::prelude::{FromDer, X509Certificate};

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

/// By name and by signature, since two CAs may have one name; by name alone where the signature is of a kind that
/// can't be checked here.
fn signed_by(der: &[u8], issuer: &[u8]) -> bool {
    let (Ok((_, certificate)), Ok((_, issuer))) =
        (X509Certificate::from_der(der), X509Certificate::from_der(issuer))
    else {
        return false;
    };
    certificate.issuer().as_raw() == issuer.subject().as_raw()
        && matches!(
            certificate.verify_signature(Some(issuer.public_key())),
            Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm)
        )
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

    #[test]
    fn what_is_no_certificate_is_no_part_of_a_path() {
        let all = chain();
        assert!(above(&all[0], &[b"nonsense".to_vec()]).is_empty());
        assert_eq!(above(&all[0], &all[1..]), all[1..]);
        assert!(!is_root(b"nonsense"));
    }
}
