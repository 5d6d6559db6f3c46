//! The revocation list that the console reads by itself, beside what is on record of a certificate.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use cmp_console::clients::crl::{Crl, handed_out};
use cmp_console::domain::certificate::{CertificateStatus, Revocation};
use cmp_console::domain::reason::Reason;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

use crate::hands::*;

/// A list of the fixtures' CA with these serials on it.
fn list(serials: &[&str]) -> Arc<Crl> {
    let mut ca = CertificateParams::default();
    ca.distinguished_name = DistinguishedName::new();
    ca.distinguished_name.push(DnType::CommonName, "cmp demo root");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::CrlSign];
    let revoked = serials.iter().map(|serial| RevokedCertParams {
        serial_number: hex::decode(serial.replace(':', "")).unwrap().into(),
        revocation_time: date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    });
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2036, 1, 1),
        crl_number: SerialNumber::from(7_u64),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let issuer = Issuer::new(ca, KeyPair::generate().unwrap());
    let pem = list.signed_by(&issuer).unwrap().pem().unwrap();
    Arc::new(handed_out(pem.as_bytes()).unwrap())
}

/// The page of a revoked certificate that the issuer saw in a list then, while the console reads its own.
fn page(in_crl_at: Option<DateTime<Utc>>, ends: Duration, is_listed: bool) -> String {
    let mut state = night(160, 60);
    press(&mut state, "2 V");
    let mut detail = fixtures::certificate_detail();
    let certificate = &mut detail.certificate;
    certificate.status = CertificateStatus::Revoked;
    certificate.not_after = now() + ends;
    certificate.chain_pem = None;
    certificate.revocation = Some(Revocation {
        reason: Reason::Superseded,
        asked_at: now() - Duration::days(1),
        accepted_at: Some(now() - Duration::days(1)),
        in_crl_by: None,
        in_crl_at,
        without_crl_at: None,
        was_in_crl_at: None,
        left_crl: None,
        refusal: None,
    });
    let serial = certificate.serial.clone();
    let id = state.place().subject.unwrap();
    fixtures::answer(
        &mut state,
        Query::Certificate(id),
        Answer::Certificate(Box::new(detail)),
    );
    let serials: &[&str] = if is_listed { &[&serial] } else { &[] };
    tell(&mut state, Event::Crl(Ok(list(serials))));
    drawn(&state)
}

#[test]
fn a_serial_that_the_record_says_is_listed_and_is_not_is_told_as_a_contradiction() {
    let (seen, days) = (Some(now() - Duration::hours(1)), Duration::days);
    let told = page(seen, days(20), false);
    assert!(told.contains("is not on the list"), "{told}");
    assert!(told.contains("contradicts the record"), "{told}");
    for (in_crl_at, ends, is_listed) in [
        (seen, days(20), true),
        (None, days(20), false),
        // It was listed after this list was read.
        (Some(now() + Duration::hours(1)), days(20), false),
        // A list leaves out what has expired.
        (seen, -days(1), false),
    ] {
        let quiet = page(in_crl_at, ends, is_listed);
        assert!(quiet.contains("on the list"), "{quiet}");
        assert!(!quiet.contains("contradicts"), "{quiet}");
    }
}
