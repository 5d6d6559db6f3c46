//! Fetches a certificate revocation list and reads it. It says something of a certificate only where the key that
//! verifiably signed that certificate has verifiably signed the list, too, and where the certificate is among those that it
//! is about. A list that the CA itself handed out through its API is taken at its word where the inventory keeps no
//! certificate of the CA; one from anywhere else proves nothing then.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::redirect::Policy;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::body::{self, BodyError, Limit};
use super::crl_scope::Scope;
use super::crl_signature::{By, Signed};
use super::http::client_builder;
use super::proxy::{self, by_environment};
use crate::domain::certificate::{Certificate, normal_serial};
use crate::domain::signature::{CLOCK_AHEAD, Signature};
use crate::domain::x509;
use crate::problem::{Problem, ProblemKind};

/// Time that fetching may take.
const TIME: Duration = Duration::from_secs(10);
/// A million revocations are some 40 MiB.
const LIST: Limit = Limit {
    bytes: 64 << 20,
    time: TIME,
};

/// Redirects that are followed at most; distribution points have one, to a mirror.
const MOST_REDIRECTS: usize = 3;

/// Time after which a revocation is missed in the list of its CA, whatever the CA says of when it makes its lists: public CAs
/// have to make one every seven days (CA/Browser Forum, Baseline Requirements §4.9.7), and so do those of an enterprise as
/// they come. Who stands before a CA could name any time in its place.
pub const LONGEST_WAIT: Duration = Duration::from_hours(7 * 24);

/// A list as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crl {
    /// The distinguished name of the CA that made it.
    pub issuer: String,
    /// When it was made.
    pub this_update: DateTime<Utc>,
    /// When the next one is due.
    pub next_update: Option<DateTime<Utc>>,
    /// Its number (RFC 5280 §5.2.3), if it carries one.
    pub number: Option<String>,
    /// The serials on it, in the platform's notation.
    pub serials: BTreeSet<String>,
    signed: Signed,
    scope: Scope,
    /// The CA's own API gave it, where it also takes the revocations.
    is_handed_out: bool,
}

/// Answer of a list about a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// It is on the list of its CA.
    Listed,
    /// It isn't on it.
    NotListed,
    /// The list is another CA's.
    Another,
    /// Nothing: in words, why.
    Nothing(String),
}

/// Fetches the list at `url`, in DER or PEM.
///
/// # Errors
/// That it can't be reached, was refused, or isn't a CRL.
pub async fn fetch(url: &str) -> Result<Crl, Problem> {
    let unreachable = |error: reqwest::Error| {
        Problem::unavailable(format!(
            "the CRL at `{url}` can't be fetched{}: {}",
            proxy::words(url),
            error.without_url()
        ))
    };
    let http = by_environment(client_builder())
        .timeout(TIME)
        .redirect(Policy::custom(|attempt| {
            let was_secret = attempt.previous().iter().any(|url| url.scheme() == "https");
            match attempt.previous().len() {
                // A list that TLS was wanted for is not taken without it.
                1..=MOST_REDIRECTS if !was_secret || attempt.url().scheme() == "https" => attempt.follow(),
                _ => attempt.stop(),
            }
        }))
        .build()
        .map_err(unreachable)?;
    let response = http.get(url).send().await.map_err(unreachable)?;
    if !response.status().is_success() {
        let status = response.status();
        return Err(Problem::new(
            ProblemKind::BackendFailed,
            format!("the CRL at `{url}` was answered with {status}"),
        ));
    }
    let bytes = body::whole(response, LIST).await.map_err(|error| match error {
        BodyError::Broken(error) => unreachable(error),
        other => Problem::new(
            ProblemKind::BackendFailed,
            format!("the CRL at `{url}` can't be taken: {other}"),
        ),
    })?;
    parse(&bytes).map_err(|error| {
        Problem::new(
            ProblemKind::BackendFailed,
            format!("`{url}` is not a CRL: {error}"),
        )
    })
}

/// Reads a list in DER or PEM that the CA's own API handed out.
///
/// # Errors
/// Fault in the bytes.
pub fn handed_out(bytes: &[u8]) -> Result<Crl, String> {
    parse(bytes).map(|list| Crl {
        is_handed_out: true,
        ..list
    })
}

/// Reads a list in DER or PEM that may be anybody's.
///
/// # Errors
/// Fault in the bytes.
pub fn parse(bytes: &[u8]) -> Result<Crl, String> {
    let from_pem = bytes
        .starts_with(b"-----")
        .then(|| pem::parse(bytes))
        .transpose()
        .map_err(|e| e.to_string())?;
    let der = from_pem.as_ref().map_or(bytes, |pem| pem.contents());
    let (_, list) = CertificateRevocationList::from_der(der).map_err(|error| error.to_string())?;
    let time = |time: x509_parser::time::ASN1Time| DateTime::from_timestamp(time.timestamp(), 0);
    Ok(Crl {
        issuer: list.issuer().to_string(),
        this_update: time(list.last_update()).ok_or("thisUpdate is out of range")?,
        next_update: list.next_update().and_then(time),
        number: list.crl_number().map(|number| number.to_str_radix(10)),
        serials: list
            .iter_revoked_certificates()
            .filter_map(|revoked| normal_serial(&hex::encode(revoked.raw_serial())))
            .map(|serial| serial.strip_prefix("00:").map(str::to_owned).unwrap_or(serial))
            .collect(),
        signed: Signed::new(der),
        scope: Scope::of(&list),
        is_handed_out: false,
    })
}

impl Crl {
    /// Answer about `certificate`, at `now`. That it is on a list stays so when the list has ended; that it isn't says
    /// nothing then.
    #[must_use]
    pub fn says(&self, certificate: &Certificate, now: DateTime<Utc>) -> Says {
        if self.issuer != certificate.issuer {
            return Says::Another;
        }
        if self.this_update > now + CLOCK_AHEAD {
            return Says::Nothing(format!(
                "the list that is published says that it was made at {}, which is yet to come",
                self.this_update.format("%Y-%m-%d %H:%M:%SZ")
            ));
        }
        match self.signed.by_signer_of(certificate) {
            By::Key(Signature::Verified) => {}
            By::NothingKept if self.is_handed_out => {}
            By::NothingKept => {
                return Says::Nothing(format!(
                    "no certificate of {} is kept with it that the signature of the published list could be verified by",
                    self.issuer
                ));
            }
            By::NoSigner => {
                return Says::Nothing(format!(
                    "none of the certificates that are kept with it is shown to have signed it: which key of {} the published list has to be signed by is not known",
                    self.issuer
                ));
            }
            By::Key(Signature::Unknown) => {
                return Says::Nothing(format!(
                    "the signature of the list that is published as that of {} is of a kind that can't be verified here",
                    self.issuer
                ));
            }
            By::Key(Signature::Forged) => {
                return Says::Nothing(format!(
                    "the list that is published as that of {} is signed by somebody else",
                    self.issuer
                ));
            }
        }
        let is_listed = self.lists(&certificate.serial);
        if let Some(why) = self.scope.leaves_out(certificate, is_listed) {
            return Says::Nothing(format!(
                "the list that is published as that of {} {why}",
                self.issuer
            ));
        }
        match self.ended(now) {
            _ if is_listed => Says::Listed,
            Some(end) => Says::Nothing(format!(
                "the list that is published ended at {}",
                end.format("%Y-%m-%d %H:%M:%SZ")
            )),
            None => Says::NotListed,
        }
    }

    /// True if the key of this CA's certificate, in PEM, has verifiably signed it.
    #[must_use]
    pub fn is_signed_by(&self, ca: &str) -> bool {
        let read = x509::certificates(ca).unwrap_or_default();
        read.first()
            .is_some_and(|der| self.signed.by(der) == Signature::Verified)
    }

    /// End of it, if that is past at `now`: those who verify certificates by it may take it no more.
    #[must_use]
    pub fn ended(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.next_update.filter(|end| *end < now)
    }

    /// Words beside what it says, where it has ended; none otherwise.
    #[must_use]
    pub fn end_words(&self, now: DateTime<Utc>) -> String {
        self.ended(now).map_or(String::new(), |end| {
            format!(
                "; that CRL ended at {}, and who verifies by it may take it no more",
                end.format("%Y-%m-%d %H:%M:%SZ")
            )
        })
    }

    /// Words beside what it says of `certificate` where its signature could not be verified, and the word of the CA's API
    /// is taken for it; none otherwise.
    #[must_use]
    pub fn at_its_word(&self, certificate: &Certificate) -> &'static str {
        match self.is_handed_out && self.signed.by_signer_of(certificate) == By::NothingKept {
            true => " (its CA's API says so; no certificate of the CA is kept to verify the signature by)",
            false => "",
        }
    }

    /// True if `serial`, in any notation, is on the list.
    #[must_use]
    pub fn lists(&self, serial: &str) -> bool {
        normal_serial(serial).is_some_and(|serial| {
            self.serials.contains(&serial)
                || serial
                    .strip_prefix("00:")
                    .is_some_and(|s| self.serials.contains(s))
        })
    }
}

#[cfg(test)]
impl Crl {
    /// A list of nobody with nothing on it.
    pub(crate) fn empty() -> Self {
        Self {
            issuer: "CN=CA".to_owned(),
            this_update: DateTime::UNIX_EPOCH,
            next_update: Some(DateTime::UNIX_EPOCH),
            number: None,
            serials: BTreeSet::new(),
            signed: Signed::new(&[]),
            scope: Scope::default(),
            is_handed_out: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
        CrlIssuingDistributionPoint, CrlScope, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
        RevokedCertParams, SerialNumber, date_time_ymd,
    };
    use serde_json::json;

    use super::*;

    const SERIAL: &str = "0a:0b";

    /// A CA of this name, with its certificate in PEM.
    fn ca(name: &str) -> (Issuer<'static, KeyPair>, String) {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::CrlSign, KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        (Issuer::new(params, key), pem)
    }

    /// A list of that CA, with [`SERIAL`] on it or not, which ends with the year 2030.
    fn list(by: &Issuer<'static, KeyPair>, is_listed: bool) -> Crl {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from_slice(&[0x0a, 0x0b]),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2031, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: is_listed.then_some(revoked).into_iter().collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        parse(params.signed_by(by).unwrap().der()).unwrap()
    }

    fn certificate(issuer: &str, chain: &str) -> Certificate {
        let at = "2026-01-01T00:00:00Z";
        serde_json::from_value(json!({
            "id": "crt_1", "version": 1, "subject": "CN=web.example.com", "sans": [], "issuer": issuer,
            "serial": SERIAL, "fingerprint_sha256": "", "spki_sha256": "", "key_algorithm": "ecdsa-p256",
            "not_before": at, "not_after": at, "status": "active", "n_installations": 0, "n_reissuable": 0, "created_at": at,
            "updated_at": at, "chain_pem": chain,
        }))
        .unwrap()
    }

    #[test]
    fn only_the_ca_itself_says_something_of_its_certificates() {
        let now: DateTime<Utc> = "2026-11-29T00:00:00Z".parse().unwrap();
        let (own, chain) = ca("Issuing CA");
        let (strangers, _) = ca("Issuing CA");
        let (another, another_chain) = ca("Another CA");
        let it = at(&own, &chain, None);
        assert_eq!(list(&own, true).says(&it, now), Says::Listed);
        assert_eq!(list(&own, false).says(&it, now), Says::NotListed);
        assert_eq!(list(&another, true).says(&it, now), Says::Another);
        for is_listed in [true, false] {
            let says = list(&strangers, is_listed).says(&it, now);
            assert!(
                matches!(&says, Says::Nothing(why) if why.contains("signed by somebody else")),
                "{says:?}"
            );
        }
        // The CA's own certificate isn't kept, or only those of others are.
        let without = certificate("CN=Issuing CA", "");
        for is_listed in [true, false] {
            let from_anywhere = list(&own, is_listed).says(&without, now);
            assert!(
                matches!(&from_anywhere, Says::Nothing(why) if why.contains("no certificate of CN=Issuing CA")),
                "{from_anywhere:?}"
            );
        }
        let handed_out = Crl {
            is_handed_out: true,
            ..list(&own, true)
        };
        assert_eq!(handed_out.says(&without, now), Says::Listed);
        assert!(handed_out.at_its_word(&without).contains("API says so"));
        assert_eq!(handed_out.at_its_word(&it), "");
        let of_others = at(&own, &another_chain, None);
        assert!(matches!(list(&own, true).says(&of_others, now), Says::Nothing(_)));
        // After its end it says no longer that something isn't on it.
        let later = now + TimeDelta::days(3000);
        assert_eq!(list(&own, true).says(&it, later), Says::Listed);
        let ended = list(&own, false).says(&it, later);
        assert!(
            matches!(&ended, Says::Nothing(why) if why.contains("2031-01-01")),
            "{ended:?}"
        );
    }

    #[test]
    fn a_key_that_stands_beside_the_cas_own_in_the_chain_signs_no_list() {
        let now: DateTime<Utc> = "2026-11-29T00:00:00Z".parse().unwrap();
        let (own, chain) = ca("Issuing CA");
        let (strangers, beside) = ca("Issuing CA");
        for chains in [format!("{chain}{beside}"), format!("{beside}{chain}")] {
            let it = at(&own, &chains, None);
            assert_eq!(list(&own, true).says(&it, now), Says::Listed);
            for is_handed_out in [true, false] {
                let forged = Crl {
                    is_handed_out,
                    ..list(&strangers, true)
                };
                let says = forged.says(&it, now);
                assert!(
                    matches!(&says, Says::Nothing(why) if why.contains("signed by somebody else")),
                    "{says:?}"
                );
            }
        }
        // Alone it is no chain of the certificate, and the API's word is not taken for it.
        let it = at(&own, &beside, None);
        for by in [&own, &strangers] {
            let handed_out = Crl {
                is_handed_out: true,
                ..list(by, true)
            };
            let says = handed_out.says(&it, now);
            assert!(
                matches!(&says, Says::Nothing(why) if why.contains("shown to have signed it")),
                "{says:?}"
            );
            assert_eq!(handed_out.at_its_word(&it), "");
        }
    }

    const URL: &str = "http://ca.example.com/crl/1";

    /// A list for a part of that CA's certificates, with something of what it holds written as something else.
    fn part(
        by: &Issuer<'static, KeyPair>,
        url: &str,
        scope: Option<CrlScope>,
        change: (&[u8], &[u8]),
    ) -> Crl {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from_slice(&[0x0a, 0x0b]),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2031, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: Some(CrlIssuingDistributionPoint {
                distribution_point: CrlDistributionPoint {
                    uris: vec![url.to_owned()],
                },
                scope,
            }),
            revoked_certs: vec![revoked],
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let der = params.signed_by(by).unwrap().der().to_vec();
        let (_, list) = CertificateRevocationList::from_der(&der).unwrap();
        let (what, with) = change;
        let mut signed = list.tbs_cert_list.as_ref().to_vec();
        if let Some(at) = signed.windows(what.len().max(1)).position(|it| it == what) {
            signed.splice(at..at + what.len(), with.iter().copied());
        } else {
            assert!(what.is_empty());
        }
        let at = der
            .windows(10)
            .position(|it| *it == list.tbs_cert_list.as_ref()[..10])
            .unwrap();
        let algorithm = &der[at + signed.len()..][..12];
        let sequence = |tag: u8, content: &[u8]| {
            let n = u16::try_from(content.len()).unwrap().to_be_bytes();
            [&[tag, 0x82, n[0], n[1]], content].concat()
        };
        let signature = rcgen::SigningKey::sign(by.key(), &signed).unwrap();
        let bits = sequence(3, &[vec![0], signature].concat());
        parse(&sequence(0x30, &[&signed, algorithm, &bits].concat())).unwrap()
    }

    /// The certificate with [`SERIAL`], which names its list, or names none.
    fn at(by: &Issuer<'static, KeyPair>, chain: &str, url: Option<&str>) -> Certificate {
        let mut params = CertificateParams::new(vec!["web.example.com".to_owned()]).unwrap();
        let points = url.map(|url| CrlDistributionPoint {
            uris: vec![url.to_owned()],
        });
        params.crl_distribution_points = points.into_iter().collect();
        let pem = params.signed_by(&KeyPair::generate().unwrap(), by).unwrap().pem();
        Certificate {
            pem: Some(pem),
            ..certificate("CN=Issuing CA", chain)
        }
    }

    #[test]
    fn a_list_says_nothing_of_certificates_that_it_is_not_about() {
        let now: DateTime<Utc> = "2026-11-29T00:00:00Z".parse().unwrap();
        let (own, chain) = ca("Issuing CA");
        let it = at(&own, &chain, Some(URL));
        let other = Certificate {
            serial: "0c".to_owned(),
            ..it.clone()
        };
        let as_it_is: (&[u8], &[u8]) = (&[], &[]);
        let whole = part(&own, URL, None, as_it_is);
        assert_eq!(whole.says(&it, now), Says::Listed);
        assert_eq!(whole.says(&other, now), Says::NotListed);
        let of_users = part(&own, URL, Some(CrlScope::UserCertsOnly), as_it_is);
        assert_eq!(of_users.says(&other, now), Says::NotListed);

        let oid = |last: u8| [0x55, 0x1d, last];
        let (idp, number) = (oid(28), oid(20));
        // Flags of the distribution point: of CAs, indirect, of attribute certificates.
        let users = Some(CrlScope::UserCertsOnly);
        let flag = |tag: u8| [tag, 1, 0xff];
        for (list, words) in [
            (
                part(&own, "http://ca.example.com/crl/2", None, as_it_is),
                "those whose list is at URI(http://ca.example.com/crl/2)",
            ),
            (
                part(&own, URL, Some(CrlScope::CaCertsOnly), as_it_is),
                "of CAs only",
            ),
            (part(&own, URL, users, (&flag(0x81), &flag(0x84))), "indirect CRL"),
            (
                part(&own, URL, users, (&flag(0x81), &flag(0x85))),
                "attribute certificates",
            ),
            (part(&own, URL, None, (&number, &oid(27))), "a delta CRL"),
            (
                part(&own, URL, None, (&idp, &oid(99))),
                "2.5.29.99, which is not understood",
            ),
        ] {
            for it in [&it, &other] {
                let says = list.says(it, now);
                assert!(
                    matches!(&says, Says::Nothing(why) if why.contains(words)),
                    "{says:?}"
                );
            }
        }
        // A certificate that names no list is on that of the CA; one that isn't at hand is on none for sure.
        let without = at(&own, &chain, None);
        assert!(matches!(whole.says(&without, now), Says::Nothing(_)));
        assert_eq!(list(&own, false).says(&without, now), Says::NotListed);
        let unread = Certificate {
            pem: None,
            ..it.clone()
        };
        assert!(matches!(whole.says(&unread, now), Says::Nothing(_)));
    }

    /// A certificate on a list of some reasons only is revoked; one that isn't on it may be for another reason.
    #[test]
    fn a_list_with_some_reasons_only_proves_what_is_on_it() {
        let (own, chain) = ca("Issuing CA");
        let scope = Scope::of_some_reasons();
        let it = at(&own, &chain, Some(URL));
        assert_eq!(scope.leaves_out(&it, true), None);
        assert!(scope.leaves_out(&it, false).is_some());
    }

    /// A list as [`list`] makes it, said to be signed by an algorithm that nobody knows, with whatever signature.
    fn by_an_unknown_algorithm(by: &Issuer<'static, KeyPair>, is_listed: bool) -> Crl {
        let ecdsa = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
        let mut der = list(by, is_listed).signed.der().to_vec();
        let mut n = 0;
        for at in 0..der.len() - ecdsa.len() {
            if der[at..].starts_with(&ecdsa) {
                der[at..at + ecdsa.len()].copy_from_slice(&[0x2a, 3, 4, 5, 6, 7, 8, 9]);
                n += 1;
            }
        }
        assert_eq!(n, 2);
        *der.last_mut().unwrap() ^= 1;
        parse(&der).unwrap()
    }

    #[test]
    fn a_signature_that_can_not_be_verified_proves_nothing() {
        let now: DateTime<Utc> = "2026-11-29T00:00:00Z".parse().unwrap();
        let (own, chain) = ca("Issuing CA");
        let it = at(&own, &chain, None);
        for is_listed in [true, false] {
            let strange = by_an_unknown_algorithm(&own, is_listed);
            for strange in [
                strange.clone(),
                Crl {
                    is_handed_out: true,
                    ..strange
                },
            ] {
                let says = strange.says(&it, now);
                assert!(
                    matches!(&says, Says::Nothing(why) if why.contains("can't be verified")),
                    "{says:?}"
                );
            }
        }
    }

    #[test]
    fn a_list_from_the_future_proves_nothing() {
        let (own, chain) = ca("Issuing CA");
        let it = at(&own, &chain, None);
        let made: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        for is_listed in [true, false] {
            let says = |now| list(&own, is_listed).says(&it, now);
            let early = says(made - TimeDelta::minutes(6));
            assert!(
                matches!(&early, Says::Nothing(why) if why.contains("yet to come")),
                "{early:?}"
            );
            assert!(!matches!(says(made - TimeDelta::minutes(4)), Says::Nothing(_)));
        }
    }

    #[test]
    fn a_ca_whose_key_is_not_for_lists_signs_none() {
        let now: DateTime<Utc> = "2026-11-29T00:00:00Z".parse().unwrap();
        let (own, _) = ca("Issuing CA");
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Issuing CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let other = params.self_signed(own.key()).unwrap().pem();
        let says = list(&own, true).says(&at(&own, &other, None), now);
        assert!(matches!(says, Says::Nothing(_)), "{says:?}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_pem_makes_it_panic(text in "-----BEGIN X509 CRL-----\n[A-Za-z0-9+/=\n]{0,200}-----END X509 CRL-----\n") {
            let _ = parse(text.as_bytes());
        }
    }
}
