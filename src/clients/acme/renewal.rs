//! What an ACME server says of when to renew a certificate (RFC 9773), and how it is told which one is meant.
//! Whether that makes sense is decided in `domain::renewal`.

use chrono::{DateTime, SubsecRound, Utc};
use instant_acme::CertificateIdentifier;
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;

use super::{AcmeAccount, AcmeError};
use crate::domain::renewal::Suggestion;

impl AcmeAccount {
    /// When the CA suggests to renew this certificate, in DER.
    ///
    /// # Errors
    /// The CA says no such thing, doesn't know the certificate, or can't be reached.
    pub async fn renewal_info(&self, der: &[u8]) -> Result<Suggestion, AcmeError> {
        if !self.renewal_info {
            return Err(refused("the ACME server doesn't say when to renew"));
        }
        let (info, again_in) = self.account.renewal_info(&identifier(der)?).await?;
        Ok(Suggestion {
            start: moment(info.suggested_window.start)?,
            end: moment(info.suggested_window.end)?,
            explanation_url: info.explanation_url,
            again_in,
        })
    }
}

/// The name of a certificate in DER: its issuer's key and its serial (RFC 9773 §4.1).
pub(super) fn identifier(der: &[u8]) -> Result<CertificateIdentifier<'static>, AcmeError> {
    let der = CertificateDer::from(der);
    let identifier = CertificateIdentifier::try_from(&der);
    identifier
        .map(CertificateIdentifier::into_owned)
        .map_err(|words| {
            refused(&format!(
                "the CA can't be told which certificate is meant: {words}"
            ))
        })
}

fn refused(words: &str) -> AcmeError {
    AcmeError::Refused {
        kind: String::new(),
        words: words.to_owned(),
    }
}

/// In whole microseconds, as everything that is kept.
fn moment(time: OffsetDateTime) -> Result<DateTime<Utc>, AcmeError> {
    DateTime::from_timestamp(time.unix_timestamp(), time.nanosecond())
        .map(|at| at.trunc_subsecs(6))
        .ok_or_else(|| AcmeError::Trouble(format!("the ACME server: {time} is no time")))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, Issuer, KeyIdMethod, KeyPair, SerialNumber};

    use super::*;

    /// The values of the example in RFC 9773 §4.1.
    #[test]
    fn a_certificate_is_named_as_the_rfc_names_its_example() {
        let issuer_key = hex::decode("69885b6b87464041e1b37b847ba0ae2cde01c8d4").unwrap();
        let mut ca = CertificateParams::default();
        ca.key_identifier_method = KeyIdMethod::PreSpecified(issuer_key);
        let issuer = Issuer::new(ca, KeyPair::generate().unwrap());
        let mut params = CertificateParams::new(["example.com".to_owned()]).unwrap();
        params.use_authority_key_identifier_extension = true;
        // Its first bit is set, so that DER puts a zero before it, which belongs to the name.
        params.serial_number = Some(SerialNumber::from_slice(&[0x87, 0x65, 0x43, 0x21]));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let name = identifier(certificate.der()).unwrap().to_string();
        assert_eq!(name, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
    }

    #[test]
    fn what_names_no_issuers_key_can_not_be_asked_about() {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["example.com".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        for der in [certificate.der().as_ref(), b"nothing"] {
            let error = identifier(der).unwrap_err();
            assert!(matches!(error, AcmeError::Refused { .. }), "{error}");
        }
    }

    #[test]
    fn times_are_cut_to_what_both_databases_keep() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_800_000_000_123_456_789).unwrap();
        assert_eq!(
            moment(at).unwrap().to_rfc3339(),
            "2027-01-15T08:00:00.123456+00:00"
        );
    }
}
