//! Addresses as text: what is one, and what its parts are. Whether anybody listens there is not asked.

/// The longest address, in bytes.
const LONGEST: usize = 4096;

/// `host:port` apart, `[::1]:443` too.
#[must_use]
pub fn split_host_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    (!host.is_empty()).then_some((host, port))
}

/// Whether it is an `http:` or `https:` address without anything that a shell or an HTTP client takes for
/// something else; a path may follow, where something stands before the server.
#[must_use]
pub fn is_http_url(text: &str) -> bool {
    let Some(rest) = ["http://", "https://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
    else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]%".contains(c);
    text.len() <= LONGEST
        && rest.chars().all(fits)
        && (is_host_port(authority) || is_host_port(&format!("{authority}:80")))
}

/// Whether it is a `host:port` of letters, digits, `.`, `-` and `_`, or an IPv6 address in brackets.
#[must_use]
pub fn is_host_port(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    text.len() <= LONGEST
        && split_host_port(text)
            .is_some_and(|(host, port)| port > 0 && !host.starts_with('-') && host.chars().all(fits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_addresses() {
        for text in [
            "http://web-01:8084",
            "https://web_01.example.com/agent",
            "http://[::1]:8084",
            "http://[::1]",
            "http://10.0.0.1:8084/",
        ] {
            assert!(is_http_url(text), "{text}");
        }
        for text in [
            "",
            "web-01:8084",
            "file:///etc/shadow",
            "http://",
            "http://:80",
            "http://-o",
            "http://a:99999",
            "http://a b",
            "http://a';id;'",
            "http://a/$(id)",
            "http://a\n",
            "http://a\u{202e}",
            "http://user@a",
        ] {
            assert!(!is_http_url(text), "{text}");
        }
        assert!(is_host_port("web-01:443") && is_host_port("[::1]:443"));
        for text in [
            "web-01",
            "a:0",
            "a b:443",
            "a;id:443",
            "-a:443",
            "::1:443",
            "http://a:443",
        ] {
            assert!(!is_host_port(text), "{text}");
        }
    }

    #[test]
    fn hosts_and_ports_come_apart() {
        assert_eq!(split_host_port("web-01:443"), Some(("web-01", 443)));
        assert_eq!(split_host_port("[::1]:8443"), Some(("::1", 8443)));
        assert_eq!(split_host_port("::1:8443"), None);
        assert_eq!(split_host_port("web-01"), None);
        assert_eq!(split_host_port(":443"), None);
    }
}
