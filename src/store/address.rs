//! A database's address: which kind it is, and how it is told without its password.

use crate::domain::secret::Secret;

/// The address without its password, for logs and messages.
#[must_use]
pub fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (before, query) = match rest.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (rest, None),
    };
    // The last `@` ends the credentials: a password that isn't escaped may hold one itself.
    let place = match before.rsplit_once('@') {
        Some((who, place)) => {
            let user = who.split(':').next().unwrap_or_default();
            let hidden = if who.contains(':') { ":…" } else { "" };
            format!("{user}{hidden}@{place}")
        }
        None => before.to_owned(),
    };
    let query = query.map_or_else(String::new, |query| {
        let parts: Vec<String> = query
            .split('&')
            .map(|part| match part.split_once('=') {
                Some((name, _)) if is_secret(name) => format!("{name}=…"),
                _ => part.to_owned(),
            })
            .collect();
        format!("?{}", parts.join("&"))
    });
    format!("{scheme}://{place}{query}")
}

/// Whether there is a password in it.
#[must_use]
pub fn has_password(url: &str) -> bool {
    redacted(url) != url
}

/// The address with this password, where it has none.
#[must_use]
pub fn with_password(url: &str, password: &Secret) -> String {
    if !is_postgres(url) || has_password(url) {
        return url.to_owned();
    }
    let mut escaped = String::new();
    for byte in password.expose().bytes() {
        if byte.is_ascii_alphanumeric() {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    let sign = if url.contains('?') { '&' } else { '?' };
    format!("{url}{sign}password={escaped}")
}

/// The address with another host: `host`, `host:port`, `[::1]:5432`, or the directory of a socket. Without a
/// port the one before stays. A file has no host and stays as it is.
///
/// # Errors
/// That `host` is none.
pub fn with_host(url: &str, host: &str) -> Result<String, String> {
    let (Some((scheme, rest)), true) = (url.split_once("://"), is_postgres(url)) else {
        return Ok(url.to_owned());
    };
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (who, place) = match before.rsplit_once('@') {
        Some((who, place)) => (format!("{who}@"), place),
        None => (String::new(), before),
    };
    let (old, name) = match place.split_once('/') {
        Some((old, name)) => (old, format!("/{name}")),
        None => (place, String::new()),
    };
    let is_socket = host.starts_with('/');
    // An address needs some host; the socket's directory is what counts.
    let (new, port) = if is_socket {
        ("localhost", None)
    } else {
        host_and_port(host)?
    };
    let (_, old_port) = host_and_port(old).unwrap_or_default();
    let mut parts: Vec<String> = query
        .split('&')
        .filter(|part| !part.is_empty())
        .filter(|part| {
            let key = part.split('=').next().unwrap_or_default();
            !(key == "host" || key == "hostaddr" || key == "port" && port.is_some())
        })
        .map(str::to_owned)
        .collect();
    if is_socket {
        parts.push(format!("host={}", host.replace('%', "%25").replace('&', "%26")));
    }
    let port = port
        .or(old_port)
        .map_or_else(String::new, |port| format!(":{port}"));
    let sign = if parts.is_empty() { "" } else { "?" };
    Ok(format!(
        "{scheme}://{who}{new}{port}{name}{sign}{}",
        parts.join("&")
    ))
}

fn host_and_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let wrong =
        || format!("is no host of a database: `{text}`; give a host, or host:port, such as db-2:5432");
    let (host, port) = match text.rsplit_once(':') {
        // The colons within an address in brackets are its own.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().map_err(|_| wrong())?)),
        _ => (text, None),
    };
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let fine = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(is_name),
    };
    if fine { Ok((host, port)) } else { Err(wrong()) }
}

/// Whether it is a PostgreSQL's.
#[must_use]
pub fn is_postgres(url: &str) -> bool {
    ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
}

fn is_secret(name: &str) -> bool {
    name.eq_ignore_ascii_case("password")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_told() {
        for (url, told) in [
            ("sqlite:///var/lib/cmp/cmp.db", "sqlite:///var/lib/cmp/cmp.db"),
            ("postgres://db/cmp", "postgres://db/cmp"),
            ("postgres://cmp@db:5432/cmp", "postgres://cmp@db:5432/cmp"),
            ("postgres://cmp:s3cret@db/cmp", "postgres://cmp:…@db/cmp"),
            ("postgresql://cmp:s3:cr@et@db/cmp", "postgresql://cmp:…@db/cmp"),
            (
                "postgres://cmp@db/cmp?sslmode=require&password=s3cret",
                "postgres://cmp@db/cmp?sslmode=require&password=…",
            ),
            (
                "postgres:///cmp?host=/run&Password=x",
                "postgres:///cmp?host=/run&Password=…",
            ),
        ] {
            assert_eq!(redacted(url), told);
            assert_eq!(has_password(url), url != told, "{url}");
        }
    }

    #[test]
    fn another_host_takes_the_place_of_the_one_before() {
        for (url, host, made) in [
            (
                "postgres://cmp:p@ss@db-1:6432/cmp?sslmode=require",
                "db-2",
                "postgres://cmp:p@ss@db-2:6432/cmp?sslmode=require",
            ),
            (
                "postgres://cmp@db-1:6432/cmp",
                "db-2:5432",
                "postgres://cmp@db-2:5432/cmp",
            ),
            ("postgres://db-1", "db-2", "postgres://db-2"),
            (
                "postgres://cmp@db-1/cmp",
                "[::1]:5433",
                "postgres://cmp@[::1]:5433/cmp",
            ),
            ("postgres://cmp@[::1]/cmp", "[::2]", "postgres://cmp@[::2]/cmp"),
            (
                "postgres:///cmp?host=/run/a&user=x",
                "db-2",
                "postgres://db-2/cmp?user=x",
            ),
            (
                "postgres://cmp@db-1/cmp?user=x",
                "/run/pg",
                "postgres://cmp@localhost/cmp?user=x&host=/run/pg",
            ),
            ("sqlite:///var/lib/cmp.db", "db-2", "sqlite:///var/lib/cmp.db"),
        ] {
            assert_eq!(with_host(url, host).as_deref(), Ok(made));
        }
        for host in ["db-2/cmp", "a@b", "db:port", "::1", "db 2", ":5432"] {
            assert!(with_host("postgres://db/cmp", host).is_err(), "{host}");
        }
    }

    #[test]
    fn a_password_is_put_where_none_is() {
        let password = Secret::new("a&b=c@ü".to_owned());
        let url = with_password("postgres://cmp@db/cmp?sslmode=require", &password);
        assert_eq!(
            url,
            "postgres://cmp@db/cmp?sslmode=require&password=a%26b%3Dc%40%C3%BC"
        );
        assert_eq!(with_password(&url, &Secret::new("other".to_owned())), url);
        assert_eq!(
            with_password("sqlite://x", &password),
            "sqlite://x",
            "a file has no password"
        );
    }
}
