//! Which name a TLS client asks a server for (SNI, RFC 6066 §3) to be shown a certificate. It resolves
//! and connects nothing.

use std::net::IpAddr;

/// The first of `names` that can be asked for; `None` when there is none, and the address alone has to
/// do. A wildcard can't be asked for; any label in its place is shown the same certificate
/// (RFC 6125 §6.4.3).
#[must_use]
pub fn server_name<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    names.into_iter().find_map(|name| {
        let asked = match name.strip_prefix("*.") {
            Some(domain) => format!("cmp-probe.{domain}"),
            None => name.to_owned(),
        };
        is_host_name(&asked).then_some(asked)
    })
}

fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    name.len() <= 253 && name.parse::<IpAddr>().is_err() && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_that_can_be_asked_for() {
        assert_eq!(
            server_name(["10.0.0.1", "*.example.com", "a.example.com"]).as_deref(),
            Some("cmp-probe.example.com")
        );
        assert_eq!(server_name(["web-01"]).as_deref(), Some("web-01"));
        assert_eq!(server_name(["ops@example.com", "::1", "an odd name"]), None);
    }
}
