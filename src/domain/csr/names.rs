//! Subject and attributes of a request: the names that it asks for, and that it asks for nothing else.

use std::collections::BTreeSet;
use std::net::IpAddr;

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, PrintableStringRef, Utf8StringRef};
use der::{Decode, Reader, SliceReader, Tag, TagNumber};

use super::{CsrError, within};
use crate::domain::name;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
/// `attributes [0] IMPLICIT`
const ATTRIBUTES: Tag = context(0, true);
/// `dNSName [2] IMPLICIT IA5String`
const DNS_NAME: Tag = context(2, false);
/// `iPAddress [7] IMPLICIT OCTET STRING`
const IP_ADDRESS: Tag = context(7, false);

const fn context(number: u32, constructed: bool) -> Tag {
    Tag::ContextSpecific {
        number: TagNumber(number),
        constructed,
    }
}

/// The alternative names.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) dns: Vec<String>,
    pub(super) ips: Vec<IpAddr>,
}

/// The subject: one common name, or nothing.
pub(super) fn subject(reader: &mut SliceReader<'_>) -> Result<Option<String>, CsrError> {
    within(reader, Tag::Sequence, |names| {
        if names.is_finished() {
            return Ok(None);
        }
        let name = within(names, Tag::Set, |set| {
            let name = within(set, Tag::Sequence, |pair| {
                if ObjectIdentifier::decode(pair)? != COMMON_NAME {
                    return Err(CsrError::Subject);
                }
                text(AnyRef::decode(pair)?)
            })?;
            is_last(set, CsrError::Subject)?;
            Ok(name)
        })?;
        is_last(names, CsrError::Subject)?;
        Ok(Some(name))
    })
}

fn text(value: AnyRef<'_>) -> Result<String, CsrError> {
    let text = match value.header().tag() {
        Tag::Utf8String => value
            .decode_as::<Utf8StringRef<'_>>()
            .map(|it| it.as_str().to_owned()),
        Tag::PrintableString => value
            .decode_as::<PrintableStringRef<'_>>()
            .map(|it| it.as_str().to_owned()),
        _ => return Err(CsrError::CommonName),
    };
    text.map_err(|_| CsrError::CommonName)
}

/// The attributes: one request for extensions, or nothing.
pub(super) fn attributes(reader: &mut SliceReader<'_>) -> Result<Asked, CsrError> {
    within(reader, ATTRIBUTES, |attributes| {
        if attributes.is_finished() {
            return Ok(Asked::default());
        }
        let asked = within(attributes, Tag::Sequence, |attribute| {
            let kind = ObjectIdentifier::decode(attribute)?;
            if kind != EXTENSION_REQUEST {
                return Err(CsrError::Attribute(kind.to_string()));
            }
            within(attribute, Tag::Set, |values| {
                let asked = within(values, Tag::Sequence, extensions)?;
                is_last(values, CsrError::Attribute(kind.to_string()))?;
                Ok(asked)
            })
        })?;
        if attributes.is_finished() {
            return Ok(asked);
        }
        let next = within(attributes, Tag::Sequence, |attribute| {
            let kind: ObjectIdentifier = ObjectIdentifier::decode(attribute)?;
            while !attribute.is_finished() {
                attribute.tlv_bytes()?;
            }
            Ok(kind)
        })?;
        Err(CsrError::Attribute(next.to_string()))
    })
}

fn extensions(reader: &mut SliceReader<'_>) -> Result<Asked, CsrError> {
    let mut asked = None;
    while !reader.is_finished() {
        within(reader, Tag::Sequence, |extension| {
            let kind = ObjectIdentifier::decode(extension)?;
            if kind != SUBJECT_ALT_NAME || asked.is_some() {
                return Err(CsrError::Extension(kind.to_string()));
            }
            if Tag::peek(extension)? == Tag::Boolean && !bool::decode(extension)? {
                // `DEFAULT FALSE` is not written in DER.
                return Err(CsrError::NotDer);
            }
            let value = <&OctetStringRef>::decode(extension)?;
            let mut inner = SliceReader::new(value.as_bytes())?;
            asked = Some(within(&mut inner, Tag::Sequence, alternative_names)?);
            inner.finish()?;
            Ok(())
        })?;
    }
    // `SIZE (1..MAX)`
    asked.ok_or(CsrError::NotDer)
}

fn alternative_names(reader: &mut SliceReader<'_>) -> Result<Asked, CsrError> {
    let mut asked = Asked::default();
    let mut seen = BTreeSet::new();
    loop {
        let one = AnyRef::decode(reader)?;
        let text = match one.header().tag() {
            DNS_NAME => {
                let text = std::str::from_utf8(one.value())
                    .ok()
                    .filter(|text| text.is_ascii())
                    .ok_or(CsrError::NotDer)?;
                name::is_no_address(text)?;
                asked.dns.push(text.to_owned());
                text.to_owned()
            }
            IP_ADDRESS => {
                let ip = address(one.value()).ok_or(CsrError::NameKind)?;
                asked.ips.push(ip);
                ip.to_string()
            }
            _ => return Err(CsrError::NameKind),
        };
        if seen.contains(&text) {
            return Err(CsrError::Twice(text));
        }
        seen.insert(text);
        if reader.is_finished() {
            return Ok(asked);
        }
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

fn is_last(reader: &SliceReader<'_>, otherwise: CsrError) -> Result<(), CsrError> {
    reader.is_finished().then_some(()).ok_or(otherwise)
}
