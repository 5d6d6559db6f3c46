//! Addresses where something is served: `host:port` in the notations of URLs, of IPv6, and of command lines.

use std::net::{IpAddr, Ipv6Addr};

/// The port of a scheme that speaks TLS from the first byte on.
fn port_of(scheme: &str) -> Option<u16> {
    Some(match scheme.to_ascii_lowercase().as_str() {
        "https" | "wss" => 443,
        "ldaps" => 636,
        "imaps" => 993,
        "pop3s" => 995,
        "smtps" => 465,
        "mqtts" => 8883,
        "amqps" => 5671,
        "rediss" => 6379,
        _ => return None,
    })
}

/// `host:port` of it.
pub(super) fn of(text: &str) -> Option<String> {
    let text = text.trim();
    let (rest, standard) = match text.split_once("://") {
        Some((scheme, rest)) => (rest, port_of(scheme)),
        None => (text, None),
    };
    let place = rest.split(['/', '?', '#']).next()?;
    let place = place.rsplit_once('@').map_or(place, |(_, host)| host);
    let (host, port) = match place.strip_prefix('[') {
        Some(bracketed) => {
            let (host, port) = bracketed.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (format!("[{host}]"), port.strip_prefix(':'))
        }
        None if place.parse::<Ipv6Addr>().is_ok() => return None,
        None => match place.rsplit_once(':').or_else(|| place.split_once(' ')) {
            Some((host, port)) => (host.trim().to_owned(), Some(port.trim())),
            None => (place.to_owned(), None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().or_else(|| port_of(port))?,
        None => standard?,
    };
    let is_host = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || matches!(c, '=' | ','));
    let is_one = host.starts_with('[') || !host.contains(':');
    (is_host && is_one && port > 0).then(|| format!("{}:{port}", host.trim_end_matches('.')))
}

/// The host of an address, as names and IP addresses are written in certificates.
pub(super) fn host_of(address: &str) -> Option<String> {
    let (host, _) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some(match host.parse::<IpAddr>() {
        Ok(ip) => ip.to_string(),
        Err(_) => host.to_ascii_lowercase(),
    })
}
