//! `X-Request-Id`: one name for a request in every log line that it causes, on both sides.

use axum::http::{HeaderMap, HeaderName};

use crate::domain::id::{EntityKind, new_id};

/// The header.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// No id is longer.
const MAX: usize = 64;

/// The caller's own, if it can stand in a log line as it is, or a new one.
pub(super) fn of(headers: &HeaderMap) -> String {
    headers
        .get(HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_sane(id))
        .map_or_else(made, str::to_owned)
}

fn is_sane(id: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    (1..=MAX).contains(&id.len()) && id.chars().all(fits)
}

fn made() -> String {
    // The sortable tail of our own ids, under a name that is nobody's: `req_` are issuance requests.
    let id = new_id(EntityKind::Request);
    format!("http_{}", id.trim_start_matches("req_"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn taken(id: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(id).unwrap());
        of(&headers)
    }

    #[test]
    fn a_sane_one_is_kept_and_any_other_replaced() {
        assert_eq!(taken(b"f3a9-1.2:3_x"), "f3a9-1.2:3_x");
        for id in [&b""[..], b"a b", b"\"}", "\u{e4}".as_bytes(), &[b'a'; 65]] {
            assert!(taken(id).starts_with("http_"), "{id:?}");
        }
        assert_ne!(of(&HeaderMap::new()), of(&HeaderMap::new()));
    }
}
