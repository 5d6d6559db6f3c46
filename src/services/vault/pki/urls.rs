//! Where a certificate says that its issuer and its revocation list are found, as `config/urls` has it
//! when it is signed (RFC 5280 §4.2.1.13, §4.2.2.1). It serves none of them.

use rcgen::{CertificateParams, CrlDistributionPoint, CustomExtension};
use serde_json::{Value, json};

use super::super::policy::Capability;
use super::super::{Core, Reply, storage};

/// id-pe-authorityInfoAccess (RFC 5280 §4.2.2.1).
const AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
/// id-ad-ocsp, as DER.
const OCSP: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];
/// id-ad-caIssuers, as DER.
const CA_ISSUERS: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02];

fn path(mount: &str) -> String {
    format!("pki/{mount}/config/urls")
}

/// `config/urls`.
pub(super) fn route(core: &Core, operation: Capability, mount: &str, body: &Value) -> Result<Reply, Reply> {
    let mut urls = json!({
        "issuing_certificates": [], "crl_distribution_points": [], "ocsp_servers": [], "enable_templating": false,
    });
    let kept: Value = core.barrier.read_or_default(&path(mount));
    for (field, value) in kept.as_object().into_iter().flatten() {
        urls[field] = value.clone();
    }
    match operation {
        Capability::Read => return Ok(Reply::data(urls)),
        Capability::Update => {}
        _ => return Err(Reply::unsupported()),
    }
    for (field, value) in body.as_object().into_iter().flatten() {
        let Some(kept) = urls.get_mut(field) else { continue };
        *kept = match (&*kept, value) {
            // Vault takes lists as comma-separated text too.
            (Value::Array(_), Value::String(text)) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                json!(parts.collect::<Vec<_>>())
            }
            _ => value.clone(),
        };
        let bad = kept.as_array().into_iter().flatten().find(|url| !is_url(url));
        if let Some(bad) = bad {
            let bad = bad.as_str().unwrap_or_default();
            let words =
                format!("invalid URL found in Authority Information Access (AIA) parameter {field}: {bad}");
            return Err(Reply::error(400, &words));
        }
    }
    core.barrier
        .write(&path(mount), &urls)
        .map(|()| Reply::data(urls))
        .map_err(|error| storage(&error))
}

/// With a scheme and a host.
fn is_url(value: &Value) -> bool {
    let rest = value.as_str().and_then(|url| url.split_once("://"));
    rest.is_some_and(|(scheme, rest)| {
        !scheme.is_empty() && !rest.is_empty() && !rest.starts_with('/') && !rest.contains(' ')
    })
}

/// Writes the mount's addresses into what is about to be signed.
pub(super) fn apply(core: &Core, mount: &str, params: &mut CertificateParams) {
    let config: Value = core.barrier.read_or_default(&path(mount));
    let list = |name: &str| -> Vec<String> {
        let urls = config[name].as_array().into_iter().flatten();
        let urls = urls.filter_map(Value::as_str).filter(|url| !url.is_empty());
        urls.map(str::to_owned).collect()
    };
    // Each on its own: several addresses in one point would have to give the same list.
    params.crl_distribution_points = list("crl_distribution_points")
        .into_iter()
        .map(|url| CrlDistributionPoint { uris: vec![url] })
        .collect();
    let ocsp = list("ocsp_servers").into_iter().map(|url| (OCSP, url));
    let issuers = list("issuing_certificates")
        .into_iter()
        .map(|url| (CA_ISSUERS, url));
    let access: Vec<u8> = ocsp
        .chain(issuers)
        .flat_map(|(how, url)| description(how, &url))
        .collect();
    if !access.is_empty() {
        let extension = CustomExtension::from_oid_content(AUTHORITY_INFO_ACCESS, tagged(0x30, &access));
        params.custom_extensions.push(extension);
    }
}

/// An AccessDescription with a uniformResourceIdentifier.
fn description(how: &[u8], url: &str) -> Vec<u8> {
    let location = tagged(0x86, url.as_bytes());
    tagged(0x30, &[how, &location].concat())
}

/// A DER value with its tag and its length, in the shortest form.
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => der.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let length: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
            der.push(0x80 | u8::try_from(length.len()).unwrap_or(0));
            der.extend(length);
        }
    }
    der.extend(content);
    der
}

#[cfg(test)]
mod tests {
    use x509_parser::extensions::{AuthorityInfoAccess, GeneralName};
    use x509_parser::prelude::FromDer;

    use super::*;

    #[test]
    fn what_is_written_is_read_by_others_whatever_its_length() {
        for length in [10, 100, 127, 128, 300, 70_000] {
            let url = format!("http://{}", "a".repeat(length));
            let all = [description(CA_ISSUERS, &url), description(OCSP, "http://o")].concat();
            let der = tagged(0x30, &all);
            let (rest, read) = AuthorityInfoAccess::from_der(&der).unwrap();
            assert!(rest.is_empty());
            let first = &read.accessdescs[0];
            assert_eq!(first.access_method.to_id_string(), "1.3.6.1.5.5.7.48.2");
            assert_eq!(first.access_location, GeneralName::URI(&url));
            assert_eq!(
                read.accessdescs[1].access_method.to_id_string(),
                "1.3.6.1.5.5.7.48.1"
            );
        }
    }
}
