//! Commands by hand: lines that a person can type instead of what a step does. What others named is only a word in
//! them.

use serde_json::Value;

use crate::domain::plain::shell_word;

/// `POST` to a path of the API at `api`, with a body or without.
pub(super) fn post(api: &str, path: &str, body: Option<&Value>) -> String {
    let address = shell_word(&format!("{api}/api/v1/{path}"));
    let body = body.map(|body| format!(" -d {}", shell_word(&body.to_string())));
    format!(
        "curl -X POST {address} -H \"Authorization: Bearer $CMP_TOKEN\"{}",
        body.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_no_command() {
        let body = json!({"path": "/srv/it's $(id).pem"});
        assert_eq!(
            post("http://api", "agents/agt_1/install", Some(&body)),
            r#"curl -X POST http://api/api/v1/agents/agt_1/install -H "Authorization: Bearer $CMP_TOKEN" -d '{"path":"/srv/it'\''s $(id).pem"}'"#
        );
        assert!(post("http://api", "x/y", None).ends_with("$CMP_TOKEN\""));
    }
}
