//! The `Date` of answers. Hyper has one of its own, which it keeps until the system's clock has passed it: after a clock that
//! was ahead was set right, it would go on telling the wrong time, and by it others would find their own clocks wrong.

use axum::http::header::DATE;
use axum::http::{HeaderMap, HeaderValue};
use chrono::{DateTime, Utc};

/// Dates an answer that has no date yet.
pub fn date(at: DateTime<Utc>, headers: &mut HeaderMap) {
    if headers.contains_key(DATE) {
        return;
    }
    let text = at.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(text) = HeaderValue::from_str(&text) {
        headers.insert(DATE, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_http_has_it_and_the_first_one_stays() {
        let mut headers = HeaderMap::new();
        for at in [784_111_777, 0] {
            date(DateTime::from_timestamp(at, 0).unwrap(), &mut headers);
        }
        assert_eq!(headers[DATE], "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
