//! The path from a certificate up to the last certificate that is there: built by signatures from whatever was
//! given, in whatever order. Each issuer on it is held against the time and its rights as a CA, as clients do; whom to
//! trust is for others to say.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::signature::{CLOCK_AHEAD, Signature};
use super::told::quoted;

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

/// The certificates of `given` that hold the key by which `leaf` verifiably is signed, under the name that it gives; all in
/// DER. There are several where a CA is signed across or has a new certificate for its key.
#[must_use]
pub fn signers(leaf: &[u8], given: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let given = given.iter().take(MAX_GIVEN);
    let is_signer = |issuer: &&Vec<u8>| issuer.as_slice() != leaf && signed_by(leaf, issuer);
    given.filter(is_signer).cloned().collect()
}

/// The certificates of `given` that lead up from `leaf`, in the order in which they were given: those that signed it, those
/// that signed these, and so on, on every path of a CA that is signed across. Above the leaf's own signer a signature of a
/// kind that can't be verified here is followed by the name: servers have to send those, too.
#[must_use]
pub fn leading_up(leaf: &[u8], given: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let given = given.get(..MAX_GIVEN).unwrap_or(given);
    let (mut open, mut rest): (Vec<&Vec<u8>>, Vec<&Vec<u8>>) = given
        .iter()
        .filter(|issuer| issuer.as_slice() != leaf)
        .partition(|issuer| signed_by(leaf, issuer));
    let mut met = open.clone();
    while let Some(below) = open.pop() {
        let (above, others): (Vec<&Vec<u8>>, Vec<&Vec<u8>>) = rest
            .into_iter()
            .partition(|issuer| link(below, issuer).is_some_and(|link| link != Signature::Forged));
        open.extend(&above);
        met.extend(above);
        rest = others;
    }
    let leads_up = |issuer: &&Vec<u8>| met.contains(issuer);
    given.iter().filter(leads_up).cloned().collect()
}

/// Reason that a certificate is not shown to be its CA's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotIssued {
    /// Not a certificate.
    #[error("it is not readable")]
    Unreadable,
    /// Nobody of that name came with it.
    #[error(
        "it says that {} issued it, whose certificate didn't come with it: its signature can't be verified",
        quoted(.0)
    )]
    NoIssuer(String),
    /// The signature is another's.
    #[error("it is not signed by {}, which it says that it is", quoted(.0))]
    Forged(String),
    /// The signature is of a kind that can't be verified here.
    #[error("its signature is of a kind that can't be verified here")]
    Unknown,
    /// Whoever signed it may not.
    #[error("it is signed by {}, which is no CA", quoted(.0))]
    NoCa(String),
    /// The CA isn't valid any more, or not yet.
    #[error("it is signed by {}, whose own certificate is not valid now", quoted(.0))]
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

/// Reason that clients can't build the path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A certificate of the path was not sent.
    #[error("{}, which issued {}, was not sent", quoted(.missing), quoted(.below))]
    Missing {
        /// The issuer's name.
        missing: String,
        /// The last certificate that a client can build a path to.
        below: String,
    },
    /// An issuer that was sent is none that a client goes on with, and no other way leads past it.
    #[error("{}, as it was sent, {why}", quoted(.issuer))]
    Unusable {
        /// The issuer's name.
        issuer: String,
        /// Its fault.
        why: Unusable,
    },
}

/// Fault of an issuer's certificate, as a client sees it (RFC 5280 §6.1.3 and §6.1.4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Its time is over.
    #[error("expired at {}", .0.format("%Y-%m-%d %H:%M:%SZ"))]
    Expired(DateTime<Utc>),
    /// Its time is yet to come.
    #[error("is not valid before {}", .0.format("%Y-%m-%d %H:%M:%SZ"))]
    NotYet(DateTime<Utc>),
    /// It is no CA's, or its key is not for certificates.
    #[error("may not sign certificates")]
    NoCa,
    /// More CAs stand below it than it allows.
    #[error("allows {allowed} CAs below it, and has {below}")]
    TooLong {
        /// Its path length.
        allowed: u32,
        /// CAs on the way to it.
        below: u32,
    },
}

/// Issuers that are known of a certificate, beside what is sent with it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The certificate's chain as its CA gave it: what is in there has to be sent, but for a root.
    pub chain: &'a [Vec<u8>],
    /// Roots that clients have, whether the chain ends at one of them or not.
    pub anchors: &'a [Vec<u8>],
    /// The time that their dates are held against.
    pub now: DateTime<Utc>,
}

/// Check that a client that has only the root can build a path from what was `sent`, the certificate first, in whatever
/// order the rest is. The certificate's own dates are for others to say.
///
/// # Errors
/// The first issuer on the way that is missing, or that was sent and is of no use.
pub fn complete(sent: &[Vec<u8>], known: &Known<'_>) -> Result<(), Fault> {
    match path(sent, known, &[]) {
        // Roots are many, and asked only where they may help.
        Err(fault @ Fault::Unusable { .. }) => path(sent, known, known.anchors).map_err(|_| fault),
        other => other,
    }
}

/// Looks for the shortest path, each certificate once: who is signed across has many.
fn path(sent: &[Vec<u8>], known: &Known<'_>, anchors: &[Vec<u8>]) -> Result<(), Fault> {
    let Some((leaf, rest)) = sent.split_first() else {
        return Ok(());
    };
    let rest = rest.get(..rest.len().min(MAX_GIVEN)).unwrap_or_default();
    let mut open = VecDeque::from([(leaf, 0)]);
    let mut met = vec![leaf];
    let (mut unusable, mut missing) = (None, None);
    while let Some((last, below)) = open.pop_front() {
        let is_anchor = |issuer: &Vec<u8>| {
            signed_by(last, issuer) && is_root(issuer) && held_against(issuer, below, known.now).is_ok()
        };
        if is_root(last) || known.chain.iter().chain(anchors).any(is_anchor) {
            return Ok(());
        }
        let mut goes_on = false;
        for issuer in rest {
            if met.contains(&issuer) || !signed_by(last, issuer) {
                continue;
            }
            goes_on = true;
            match held_against(issuer, below, known.now) {
                Ok(next) => {
                    met.push(issuer);
                    open.push_back((issuer, next));
                }
                Err(why) => {
                    let issuer = subject(issuer);
                    unusable.get_or_insert(Fault::Unusable { issuer, why });
                }
            }
        }
        if goes_on {
            continue;
        }
        // Another path than the one that is known, as with a cross-signed CA, ends elsewhere, and is as good.
        match known.chain.iter().find(|issuer| signed_by(last, issuer)) {
            Some(issuer) if !is_root(issuer) => {
                missing.get_or_insert(Fault::Missing {
                    missing: subject(issuer),
                    below: subject(last),
                });
            }
            _ => return Ok(()),
        }
    }
    unusable.or(missing).map_or(Ok(()), Err)
}

/// Holds an issuer's certificate, with so many CAs `below` it on the way, against what clients ask for. Answers how many
/// CAs are below the next one.
fn held_against(issuer: &[u8], below: u32, now: DateTime<Utc>) -> Result<u32, Unusable> {
    let (_, read) = X509Certificate::from_der(issuer).map_err(|_| Unusable::NoCa)?;
    let validity = read.validity();
    let moment = |at: i64| DateTime::from_timestamp(at, 0).unwrap_or_default();
    let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    if until < now.timestamp() {
        return Err(Unusable::Expired(moment(until)));
    }
    if (now + CLOCK_AHEAD).timestamp() < from {
        return Err(Unusable::NotYet(moment(from)));
    }
    // Old roots have no extensions, and are trusted for being roots.
    if !(may_sign(&read) || read.version().0 == 0 && is_root(issuer)) {
        return Err(Unusable::NoCa);
    }
    let limits = read.basic_constraints().ok().flatten();
    if let Some(allowed) = limits.and_then(|limits| limits.value.path_len_constraint)
        && allowed < below
    {
        return Err(Unusable::TooLong { allowed, below });
    }
    // A certificate that carries its own key on isn't counted.
    let is_self_issued = read.subject().as_raw() == read.issuer().as_raw();
    Ok(below + u32::from(!is_self_issued))
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

/// True if the key of `issuer` verifiably signed `der`, whoever that names as its issuer.
#[must_use]
pub fn is_by_key_of(der: &[u8], issuer: &[u8]) -> bool {
    let (Ok((_, certificate)), Ok((_, issuer))) =
        (X509Certificate::from_der(der), X509Certificate::from_der(issuer))
    else {
        return false;
    };
    Signature::of_certificate(&certificate, issuer.public_key()) == Signature::Verified
}

/// By name and by signature, since two CAs may have one name, and anybody can write a name. A signature of a kind that
/// can't be verified here links nothing.
fn signed_by(der: &[u8], issuer: &[u8]) -> bool {
    link(der, issuer) == Some(Signature::Verified)
}

/// The signature of a certificate held against the key of an issuer, if that has the name which it gives.
fn link(der: &[u8], issuer: &[u8]) -> Option<Signature> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let (_, issuer) = X509Certificate::from_der(issuer).ok()?;
    (certificate.issuer().as_raw() == issuer.subject().as_raw())
        .then(|| Signature::of_certificate(&certificate, issuer.public_key()))
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

    fn now() -> DateTime<Utc> {
        "2026-11-29T00:00:00Z".parse().unwrap()
    }

    /// Now, with this chain as the CA gave it.
    fn known(chain: &[Vec<u8>]) -> Known<'_> {
        Known {
            chain,
            anchors: &[],
            now: now(),
        }
    }

    #[test]
    fn a_path_is_built_from_any_order_and_what_is_missing_is_named() {
        let all = chain();
        let [leaf, lower, upper, root] = all.as_slice() else {
            panic!()
        };
        let above = &all[1..];
        let known = &known(above);
        let sent = |of: &[&Vec<u8>]| of.iter().map(|der| (*der).clone()).collect::<Vec<_>>();
        for good in [
            sent(&[leaf, lower, upper]),
            sent(&[leaf, upper, lower]),
            sent(&[leaf, lower, upper, root]),
        ] {
            assert_eq!(complete(&good, known), Ok(()));
        }
        let missing = |sent: &[Vec<u8>]| match complete(sent, known) {
            Err(Fault::Missing { missing, below }) => (missing, below),
            other => panic!("{other:?}"),
        };
        assert!(missing(&sent(&[leaf])).0.contains("CN=lower"));
        let (gap, below) = missing(&sent(&[leaf, lower]));
        assert!(gap.contains("CN=upper") && below.contains("CN=lower"));
        // What doesn't belong to the path doesn't fill the gap.
        assert!(missing(&sent(&[leaf, upper])).0.contains("CN=lower"));
        // A CA that leaves its root out, as those on the web do.
        let without_root = &self::known(&all[1..3]);
        assert!(complete(&sent(&[leaf, lower]), without_root).is_err());
        assert_eq!(complete(&sent(&[leaf, lower, upper]), without_root), Ok(()));
        assert_eq!(to_send(above), sent(&[lower, upper]));
        assert!(ends_below(&sent(&[leaf])).unwrap().contains("CN=lower"));
        assert_eq!(ends_below(&all), None);
        assert_eq!(complete(&[], known), Ok(()));
    }

    /// A CA of this name that is valid from one year to another, with that many CAs below it at most.
    fn ca(name: &str, from: i32, until: i32, longest: Option<u8>) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = (
            rcgen::date_time_ymd(from, 1, 1),
            rcgen::date_time_ymd(until, 1, 1),
        );
        params.is_ca =
            IsCa::Ca(longest.map_or(BasicConstraints::Unconstrained, BasicConstraints::Constrained));
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        params
    }

    /// A CA's certificate, or another's, by this key and that issuer.
    fn signed(params: &CertificateParams, key: &KeyPair, by: &CertificateParams, with: &KeyPair) -> Vec<u8> {
        let issuer = Issuer::from_params(by, with);
        params.signed_by(key, &issuer).unwrap().der().to_vec()
    }

    #[test]
    fn an_issuer_that_is_sent_counts_as_it_is_sent() {
        let [root_key, key, leaf_key, old_key] = std::array::from_fn(|_| KeyPair::generate().unwrap());
        let top = ca("root", 2020, 2040, None);
        let root = top.self_signed(&root_key).unwrap().der().to_vec();
        let below = ca("issuing", 2025, 2035, Some(0));
        let good = signed(&below, &key, &top, &root_key);
        let leaf = signed(&CertificateParams::default(), &leaf_key, &below, &key);
        let above = [good.clone(), root.clone()];
        let known = known(&above);
        let said = |sent: &[&Vec<u8>]| {
            let sent: Vec<Vec<u8>> = sent.iter().map(|der| (*der).clone()).collect();
            complete(&sent, &known).map_err(|fault| fault.to_string())
        };
        assert_eq!(said(&[&leaf, &good]), Ok(()));

        // This name and key as they were certified before, or for something else.
        let expired = signed(&ca("issuing", 2020, 2026, None), &key, &top, &root_key);
        let early = signed(&ca("issuing", 2030, 2035, None), &key, &top, &root_key);
        let mut no_ca = ca("issuing", 2025, 2035, None);
        no_ca.is_ca = IsCa::NoCa;
        let mut other_use = ca("issuing", 2025, 2035, None);
        other_use.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign];
        for (sent, words) in [
            (&expired, "`CN=issuing`, as it was sent, expired at 2026-01-01"),
            (&early, "is not valid before 2030-01-01"),
            (
                &signed(&no_ca, &key, &top, &root_key),
                "may not sign certificates",
            ),
            (
                &signed(&other_use, &key, &top, &root_key),
                "may not sign certificates",
            ),
        ] {
            let why = said(&[&leaf, sent]).unwrap_err();
            assert!(why.contains(words), "{why}");
            // Clients take the good one of two.
            assert_eq!(said(&[&leaf, sent, &good]), Ok(()));
        }

        // A CA that may have none below it, and has one.
        let lower = ca("lower", 2025, 2035, None);
        let lower_key = KeyPair::generate().unwrap();
        let deep = signed(&CertificateParams::default(), &leaf_key, &lower, &lower_key);
        let lower = signed(&lower, &lower_key, &below, &key);
        let why = said(&[&deep, &lower, &good]).unwrap_err();
        assert!(why.contains("allows 0 CAs below it, and has 1"), "{why}");

        // A root that another one, which has ended, had signed across: the path ends at the root before.
        let old = ca("old root", 2010, 2022, None);
        let across = signed(&top, &root_key, &old, &old_key);
        let expired_across = signed(&ca("root", 2015, 2022, None), &root_key, &old, &old_key);
        assert_eq!(said(&[&leaf, &good, &across]), Ok(()));
        assert_eq!(said(&[&leaf, &good, &expired_across]), Ok(()));
        // As some CAs give it, without the root: then it counts where this machine has the root.
        let sent = [leaf, good.clone(), expired_across.clone()];
        let given = [good, expired_across];
        let mut elsewhere = Known {
            chain: &given,
            ..known
        };
        assert!(complete(&sent, &elsewhere).is_err());
        let anchors = [root];
        elsewhere.anchors = &anchors;
        assert_eq!(complete(&sent, &elsewhere), Ok(()));
    }

    #[test]
    fn a_root_that_is_sent_and_has_ended_is_told() {
        let [root_key, leaf_key] = std::array::from_fn(|_| KeyPair::generate().unwrap());
        let top = ca("root", 2010, 2022, None);
        let root = top.self_signed(&root_key).unwrap().der().to_vec();
        let leaf = signed(&CertificateParams::default(), &leaf_key, &top, &root_key);
        let above = [root.clone()];
        let why = complete(&[leaf, root], &known(&above)).unwrap_err().to_string();
        assert!(why.contains("`CN=root`, as it was sent, expired"), "{why}");
    }

    /// Many CAs of one name and key that sign each other are walked through once each.
    #[test]
    fn a_crowd_of_cas_that_sign_each_other_takes_no_time() {
        let [key, other_key, leaf_key] = std::array::from_fn(|_| KeyPair::generate().unwrap());
        let (one, other) = (ca("one", 2020, 2040, None), ca("other", 2020, 2040, None));
        let mut sent = vec![signed(&CertificateParams::default(), &leaf_key, &one, &key)];
        for _ in 0..20 {
            sent.push(signed(&one, &key, &other, &other_key));
            sent.push(signed(&other, &other_key, &one, &key));
        }
        let began = std::time::Instant::now();
        assert_eq!(complete(&sent, &known(&[])), Ok(()));
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
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
            complete(&[strange.clone(), lower.clone()], &known(&all[1..])),
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
    fn what_leads_up_is_kept_on_every_path_and_nothing_else_is() {
        let [root_key, old_key, key, leaf_key, strange_key] =
            std::array::from_fn(|_| KeyPair::generate().unwrap());
        let (top, old) = (ca("root", 2020, 2040, None), ca("old root", 2010, 2040, None));
        let below = ca("issuing", 2025, 2035, None);
        let own = |params: &CertificateParams, key: &KeyPair| params.self_signed(key).unwrap().der().to_vec();
        let issuing = signed(&below, &key, &top, &root_key);
        let across = signed(&top, &root_key, &old, &old_key);
        let (root, old_root) = (own(&top, &root_key), own(&old, &old_key));
        let leaf = signed(&CertificateParams::default(), &leaf_key, &below, &key);
        let good = [issuing.clone(), across, old_root, root];
        assert_eq!(leading_up(&leaf, &good), good);
        assert_eq!(signers(&leaf, &good), std::slice::from_ref(&issuing));

        // The name of each, with a key of somebody else's.
        let mut given = vec![own(&below, &strange_key), own(&top, &strange_key)];
        given.extend(good.clone());
        given.push(own(&old, &strange_key));
        assert_eq!(leading_up(&leaf, &given), good);
        assert_eq!(signers(&leaf, &given), std::slice::from_ref(&issuing));
        let strangers = signed(&CertificateParams::default(), &leaf_key, &below, &strange_key);
        assert_eq!(leading_up(&strangers, &good), Vec::<Vec<u8>>::new());

        // A link that can't be verified here, above the leaf and at it.
        let strange = by_an_unknown_algorithm(&issuing);
        let given = [strange.clone(), good[3].clone()];
        assert_eq!(leading_up(&leaf, &given), given);
        let leaf = by_an_unknown_algorithm(&leaf);
        assert!(leading_up(&leaf, &good).is_empty() && signers(&leaf, &good).is_empty());
    }

    #[test]
    fn a_certificate_is_its_cas_where_that_ca_signed_it_and_may() {
        let all = chain();
        let [leaf, _, upper, root] = all.as_slice() else {
            panic!()
        };
        let now = now();
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
