//! Names in their one spelling: lower case, no dot at the end, international names as A-labels (RFC 5890),
//! addresses as RFC 5952 writes them. Two spellings of one name would be two hosts, two certificates, and a
//! check that the CA reads differently.

use super::told::quoted;
use std::net::{IpAddr, Ipv6Addr};

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

/// The most names of one certificate, as public CAs have it.
pub const MAX_NAMES: usize = 100;
/// The longest common name, in characters (`ub-common-name`, RFC 5280 appendix A).
pub const MAX_COMMON_NAME: usize = 64;

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It isn't spelt as names are.
    #[error("{} is neither a DNS name nor an IP address", quoted(.0))]
    Neither(String),
    /// The name is an agent's id, `urn:cmp:agent:…`.
    #[error("`{0}` is an agent's id: no certificate is for that")]
    Agent(String),
    /// An address where a DNS name belongs.
    #[error("`{0}` is given as a DNS name and is an IP address: ask for it as one (`subjectAltName=IP:{1}`)")]
    Address(String, IpAddr),
    /// Its last label is a number, so that some read it as an address (RFC 3696 §2).
    #[error("{} ends in a number as an IP address does, and is none", quoted(.0))]
    Number(String),
}

/// A name of a certificate in its one spelling: a DNS name, with one `*` as its first label at most, or an IP
/// address. Whether it is allowed is the CA's matter.
///
/// # Errors
/// It is neither.
pub fn of_certificate(text: &str) -> Result<String, NameError> {
    let name = dns_or_address(text)?;
    match name.trim_start_matches("*.").starts_with("agt_") {
        true => Err(NameError::Agent(shown(text))),
        false => Ok(name),
    }
}

fn dns_or_address(text: &str) -> Result<String, NameError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    match text.strip_prefix("*.") {
        Some(domain) => dns(domain, text).map(|domain| format!("*.{domain}")),
        None => dns(text, text),
    }
}

/// A host's name in its one spelling.
///
/// # Errors
/// It is none.
pub fn of_host(text: &str) -> Result<String, NameError> {
    dns(text, text)
}

/// The common name of a certificate for this name: none where it would be too long for one, and none for an IPv6
/// address, which Vault takes for no host name.
#[must_use]
pub fn common_name(name: &str) -> Option<&str> {
    let fits = name.chars().count() <= MAX_COMMON_NAME && name.parse::<Ipv6Addr>().is_err();
    fits.then_some(name)
}

fn dns(text: &str, whole: &str) -> Result<String, NameError> {
    let neither = || NameError::Neither(shown(whole));
    // Longer than any name even where each character is one label's `xn--`.
    if text.is_empty() || text.len() > 1024 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(neither());
    }
    let text = text.strip_suffix('.').unwrap_or(text);
    let name = Uts46::new()
        .to_ascii(
            text.as_bytes(),
            AsciiDenyList::EMPTY,
            Hyphens::Allow,
            DnsLength::Verify,
        )
        .map_err(|_| neither())?;
    let is_name = name.len() <= 253 && name.split('.').all(is_label);
    if !is_name {
        return Err(neither());
    }
    if ends_in_number(&name) {
        return Err(NameError::Number(shown(whole)));
    }
    Ok(name.into_owned())
}

/// True if the last label is a number, in decimal or in hex: then some read an IP address (RFC 3696 §2, and the URL
/// standard, which takes `0x7f.1` for one).
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = |digits: &str, is: fn(&u8) -> bool| digits.bytes().all(|byte| is(&byte));
    let in_hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    !last.is_empty() && is_number(last, u8::is_ascii_digit)
        || in_hex.is_some_and(|digits| is_number(digits, u8::is_ascii_hexdigit))
}

/// The address that a DNS name is in truth, written as one or as a name that some read as one: such a name is none
/// (RFC 5280 §4.2.1.6 has a kind of its own for addresses), and who compares texts only takes the one for the other.
///
/// # Errors
/// It is not a name, but an address or a number; the words name it as it was given.
pub fn is_no_address(dns: &str) -> Result<(), NameError> {
    let bare = dns.trim().trim_start_matches("*.").trim_end_matches('.');
    let inside = bare
        .strip_prefix('[')
        .and_then(|it| it.strip_suffix(']'))
        .unwrap_or(bare);
    // A zone is a matter of one host.
    let inside = inside.split('%').next().unwrap_or(inside);
    match inside.parse::<IpAddr>() {
        Ok(address) => Err(NameError::Address(shown(dns), address)),
        Err(_) if ends_in_number(bare) => Err(NameError::Number(shown(dns))),
        Err(_) => Ok(()),
    }
}

/// Letters, digits, inner hyphens (RFC 1123 §2.1) and the underscore that some hosts have.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// What is quoted of something that is no name.
fn shown(text: &str) -> String {
    text.chars()
        .take(80)
        .map(|c| if c.is_control() { '·' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_name_has_one_spelling() {
        for (given, one) in [
            ("a.example.com", "a.example.com"),
            ("A.Example.COM.", "a.example.com"),
            ("*.Example.com", "*.example.com"),
            ("web-01", "web-01"),
            ("_dmarc.example.com", "_dmarc.example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("straße.example", "xn--strae-oqa.example"),
            ("10.0.0.1", "10.0.0.1"),
            ("2001:0db8:0000::0010", "2001:db8::10"),
            ("2001:DB8::10", "2001:db8::10"),
            ("::1", "::1"),
        ] {
            assert_eq!(of_certificate(given).as_deref(), Ok(one), "{given}");
            assert_eq!(of_certificate(one).as_deref(), Ok(one), "{one}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            ".",
            "a..b",
            "-a.example.com",
            "a-.example.com",
            "a b",
            "*.*.x",
            "a.*.x",
            "*",
            "w*.example.com",
            "a.example.com/",
            "a.example.com:443",
            "a@example.com",
            "xn--a",
            "xn--\u{fc}.example",
            "a\0b",
            "[::1]",
            "fe80::1%eth0",
            "1.2.3.4.",
            "10.0.0.256",
            "010.0.0.1",
            "0x7f.1",
            "127.0x1",
            "a.0x",
            "a.example.com\n",
            "agt_01k9",
            "AGT_01K9.",
            "*.agt_01k9",
            "agt_01k9.example.com",
            "urn:cmp:agent:agt_01k9",
        ] {
            assert!(of_certificate(text).is_err(), "{text:?}");
        }
        assert!(of_certificate(&format!("{}.example", "a".repeat(64))).is_err());
        assert!(of_certificate(&"a.".repeat(128)).is_err());
        assert!(of_host("*.example.com").is_err() && of_host("10.0.0.1").is_err());
        assert!(
            of_certificate("10.0.0.256")
                .unwrap_err()
                .to_string()
                .contains("number")
        );
    }

    #[test]
    fn an_address_is_no_dns_name_however_it_is_written() {
        for text in [
            "10.0.0.9",
            "10.0.0.9.",
            "*.10.0.0.9",
            " 10.0.0.9",
            "2001:db8::1",
            "[2001:db8::1]",
            "::ffff:10.0.0.9",
            "fe80::1%eth0",
        ] {
            let said = is_no_address(text).unwrap_err().to_string();
            assert!(said.contains("subjectAltName=IP:"), "{said}");
        }
        for text in [
            "a.10",
            "10.9",
            "0x0a000009",
            "10.0.0.0x9",
            "999.0.0.1",
            "010.0.0.1",
            "12345",
        ] {
            assert_eq!(is_no_address(text), Err(NameError::Number(text.to_owned())));
        }
        for text in [
            "a.example.com",
            "*.example.com",
            "10.example.com",
            "web-01",
            "1.0x.de",
            "2a",
            "xn--p1ai",
            "",
        ] {
            assert_eq!(is_no_address(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_common_name_is_none_where_it_would_be_too_long() {
        let longest = "a".repeat(64);
        assert_eq!(common_name(&longest), Some(longest.as_str()));
        assert_eq!(common_name(&"a".repeat(65)), None);
        assert_eq!(common_name("10.0.0.1"), Some("10.0.0.1"));
        assert_eq!(common_name("2001:db8::10"), None);
    }

    proptest! {
        #[test]
        fn a_spelling_is_its_own(text in "\\PC{0,60}") {
            if let Ok(name) = of_certificate(&text) {
                prop_assert_eq!(of_certificate(&name), Ok(name.clone()));
                prop_assert!(name.is_ascii());
            }
        }
    }
}
