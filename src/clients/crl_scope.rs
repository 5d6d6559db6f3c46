//! The scope of a revocation list: which certificates it is about (RFC 5280 §5.2.5 and §6.3.3). A CA may publish many
//! lists, each for a part of its certificates, and a list with something critical that isn't understood says nothing.

use x509_parser::extensions::{
    DistributionPointName, GeneralName, IssuingDistributionPoint, ParsedExtension,
};
use x509_parser::oid_registry::{
    OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER, OID_X509_EXT_CRL_NUMBER, OID_X509_EXT_DELTA_CRL_INDICATOR,
    OID_X509_EXT_INVALIDITY_DATE, OID_X509_EXT_ISSUER_DISTRIBUTION_POINT, OID_X509_EXT_REASON_CODE,
};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate, X509Extension};

use crate::domain::certificate::Certificate;

/// Scope of a list, in its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    /// Reason that it says nothing of any certificate.
    says_nothing: Option<String>,
    /// The names of its distribution point, where it is one of several.
    names: Option<Vec<String>>,
    only: Option<Only>,
    /// It leaves out revocations for some reasons.
    some_reasons: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Only {
    Users,
    Cas,
}

impl Scope {
    pub(super) fn of(list: &CertificateRevocationList<'_>) -> Self {
        let mut scope = Self::default();
        for extension in list.extensions() {
            let oid = &extension.oid;
            if *oid == OID_X509_EXT_DELTA_CRL_INDICATOR {
                scope.says_nothing =
                    Some("tells only what changed since another list (a delta CRL)".to_owned());
            } else if *oid == OID_X509_EXT_ISSUER_DISTRIBUTION_POINT {
                match extension.parsed_extension() {
                    ParsedExtension::IssuingDistributionPoint(point) => scope.narrow(point),
                    _ => scope.not_understood(extension),
                }
            } else if extension.critical
                && ![OID_X509_EXT_CRL_NUMBER, OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER].contains(oid)
            {
                scope.not_understood(extension);
            }
        }
        let known = [OID_X509_EXT_REASON_CODE, OID_X509_EXT_INVALIDITY_DATE];
        let strange = list
            .iter_revoked_certificates()
            .flat_map(|entry| entry.extensions())
            .find(|extension| extension.critical && !known.contains(&extension.oid));
        if let Some(extension) = strange {
            scope.not_understood(extension);
        }
        scope
    }

    fn narrow(&mut self, point: &IssuingDistributionPoint<'_>) {
        self.names = point.distribution_point.as_ref().map(|name| match name {
            DistributionPointName::FullName(names) => names.iter().map(GeneralName::to_string).collect(),
            DistributionPointName::NameRelativeToCRLIssuer(_) => Vec::new(),
        });
        self.only = match (point.only_contains_user_certs, point.only_contains_ca_certs) {
            (false, false) => None,
            (true, false) => Some(Only::Users),
            (_, true) => Some(Only::Cas),
        };
        self.some_reasons = point.only_some_reasons.is_some();
        if point.indirect_crl {
            self.says_nothing = Some("may be about other CAs' certificates (an indirect CRL)".to_owned());
        }
        if point.only_contains_attribute_certs {
            self.says_nothing = Some("is for attribute certificates only".to_owned());
        }
    }

    fn not_understood(&mut self, extension: &X509Extension<'_>) {
        self.says_nothing = Some(format!(
            "has the extension {}, which is not understood here and must be",
            extension.oid
        ));
    }

    /// Reason that it says nothing of this certificate, in the words behind "the list"; that the certificate `is_listed` or not
    /// is what it would say.
    pub(super) fn leaves_out(&self, certificate: &Certificate, is_listed: bool) -> Option<String> {
        if self.says_nothing.is_some() {
            return self.says_nothing.clone();
        }
        if self.some_reasons && !is_listed {
            return Some("leaves out revocations for some reasons".to_owned());
        }
        if self.names.is_none() && self.only.is_none() {
            return None;
        }
        let its = certificate.pem.as_deref().and_then(Its::of_pem);
        let Some(its) = its else {
            return Some(
                "is for a part of the CA's certificates, and this one isn't at hand to see whether it is among them"
                    .to_owned(),
            );
        };
        match self.only {
            Some(Only::Cas) if !its.is_ca => return Some("is for certificates of CAs only".to_owned()),
            Some(Only::Users) if its.is_ca => return Some("leaves out certificates of CAs".to_owned()),
            Some(_) | None => {}
        }
        let names = self.names.as_ref()?;
        let is_its = names.iter().any(|name| its.names.contains(name));
        (!is_its).then(|| match names.first() {
            Some(name) => format!("is for other certificates of the CA: those whose list is at {name}"),
            None => "is for other certificates of the CA".to_owned(),
        })
    }
}

#[cfg(test)]
impl Scope {
    /// A list with some reasons only.
    pub(super) fn of_some_reasons() -> Self {
        Self {
            some_reasons: true,
            ..Self::default()
        }
    }
}

/// List that a certificate may be on, as the certificate says.
struct Its {
    /// Names of its distribution points.
    names: Vec<String>,
    is_ca: bool,
}

impl Its {
    fn of_pem(text: &str) -> Option<Self> {
        let pem = pem::parse(text).ok()?;
        let (_, certificate) = X509Certificate::from_der(pem.contents()).ok()?;
        let mut names = Vec::new();
        for extension in certificate.extensions() {
            let ParsedExtension::CRLDistributionPoints(points) = extension.parsed_extension() else {
                continue;
            };
            for point in points.iter() {
                if let Some(DistributionPointName::FullName(full)) = &point.distribution_point {
                    names.extend(full.iter().map(GeneralName::to_string));
                }
            }
        }
        // A certificate that names none is meant by a list under the CA's own name (RFC 5280 §6.3.3, its last paragraph).
        if names.is_empty() {
            let issuer = certificate.issuer().clone();
            names.push(GeneralName::DirectoryName(issuer).to_string());
        }
        Some(Self {
            names,
            is_ca: certificate.is_ca(),
        })
    }
}
