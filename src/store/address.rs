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
