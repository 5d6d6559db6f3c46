//! Whether a role allows a name, in Vault's own words when not.

use std::net::IpAddr;

use super::role::Role;
use crate::domain::name::is_no_address;

/// Checks the common name and the alternative names; the refusal names the first that isn't allowed.
pub(super) fn check(role: &Role, common_name: &str, dns: &[String], ips: &[IpAddr]) -> Result<(), String> {
    if !common_name.is_empty() && !allowed(role, common_name) {
        return Err(format!("common name {common_name} not allowed by this role"));
    }
    // Vault makes a DNS name of an address, which no reader takes for the address.
    if let Some(error) = dns.iter().find_map(|name| is_no_address(name).err()) {
        return Err(format!(
            "subject alternate name not allowed: {error}, or in \"ip_sans\""
        ));
    }
    if let Some(name) = dns.iter().find(|name| !allowed(role, name)) {
        return Err(format!("subject alternate name {name} not allowed by this role"));
    }
    match ips.first() {
        Some(ip) if !role.allow_ip_sans => Err(format!(
            "IP Subject Alternative Names are not allowed in this role, but was provided {ip}"
        )),
        _ => Ok(()),
    }
}

fn allowed(role: &Role, name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let bare = lower.strip_prefix("*.").unwrap_or(&lower);
    if role.enforce_hostnames && !is_hostname(bare) {
        return false;
    }
    if role.allow_any_name {
        return true;
    }
    if role.allow_localhost && (lower == "localhost" || lower == "localdomain") {
        return true;
    }
    role.allowed_domains
        .iter()
        .map(|domain| domain.to_ascii_lowercase())
        .any(|domain| {
            let below = || {
                lower
                    .strip_suffix(&domain)
                    .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
            };
            (role.allow_bare_domains && lower == domain)
                || (role.allow_subdomains && below())
                || (role.allow_glob_domains && domain.contains('*') && glob(&domain, &lower))
        })
}

/// Letters, digits and inner hyphens in labels of 1 to 63 (RFC 1123 §2.1).
fn is_hostname(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn role() -> Role {
        Role {
            allowed_domains: vec!["example.com".to_owned()],
            allow_subdomains: true,
            ..Role::default()
        }
    }

    #[test]
    fn refusals_name_the_name() {
        let role = role();
        assert_eq!(
            check(&role, "a.example.com", &["b.example.com".to_owned()], &[]),
            Ok(())
        );
        assert_eq!(
            check(&role, "example.com", &[], &[]).unwrap_err(),
            "common name example.com not allowed by this role"
        );
        assert_eq!(
            check(&role, "a.example.com", &["db.internal".to_owned()], &[]).unwrap_err(),
            "subject alternate name db.internal not allowed by this role"
        );
        let any = Role {
            allow_any_name: true,
            enforce_hostnames: false,
            ..Role::default()
        };
        let error = check(&any, "", &["10.0.0.9".to_owned()], &[]).unwrap_err();
        assert!(
            error.contains("`10.0.0.9` is given as a DNS name") && error.contains("ip_sans"),
            "{error}"
        );
        assert!(check(&role, "aexample.com", &[], &[]).is_err());
        assert!(check(&role, "*.example.com", &[], &[]).is_ok());
        assert!(check(&role, "a b.example.com", &[], &[]).is_err());
    }

    #[test]
    fn globs_match() {
        assert!(glob("web-*.example.com", "web-01.example.com"));
        assert!(!glob("web-*.example.com", "db-01.example.com"));
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name in "\\PC{0,60}", pattern in "[a-z*.]{0,12}") {
            let _ = check(&role(), &name, std::slice::from_ref(&name), &[]);
            let _ = glob(&pattern, &name);
        }
    }
}
