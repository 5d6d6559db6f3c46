//! Replies in Vault's shapes: `{request_id, …, data}` for success, `{"errors": […]}` for the rest.

use serde_json::{Value, json};

/// What is sent back.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Nothing.
    Empty,
    /// JSON.
    Json(Value),
    /// Bytes with their media type.
    Bytes(&'static str, Vec<u8>),
}

/// Status and body.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// What is sent back.
    pub body: Body,
}

impl Reply {
    /// 204.
    pub(super) fn empty() -> Self {
        Self {
            status: 204,
            body: Body::Empty,
        }
    }

    /// 200 with bare JSON, as `sys/` answers.
    pub(super) fn bare(value: Value) -> Self {
        Self {
            status: 200,
            body: Body::Json(value),
        }
    }

    /// 200 with data in Vault's envelope.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "every caller makes the value for this reply"
    )]
    pub(super) fn data(data: Value) -> Self {
        Self::enveloped(&data, &Value::Null, &Value::Null)
    }

    /// 200 with data in Vault's envelope and beside it, as it was at first.
    pub(super) fn twice(data: Value) -> Self {
        let mut reply = Self::data(data.clone());
        if let (Body::Json(Value::Object(top)), Value::Object(data)) = (&mut reply.body, data) {
            top.extend(data);
        }
        reply
    }

    /// 200 with data, warnings and auth in Vault's envelope.
    pub(super) fn enveloped(data: &Value, warnings: &Value, auth: &Value) -> Self {
        Self::bare(json!({
            "request_id": uuid(),
            "lease_id": "",
            "renewable": false,
            "lease_duration": 0,
            "data": data,
            "wrap_info": null,
            "warnings": warnings,
            "auth": auth,
        }))
    }

    /// A list of names; an empty one is a 404 without words.
    pub(super) fn keys(keys: &[String]) -> Self {
        if keys.is_empty() {
            Self::not_found()
        } else {
            Self::data(json!({"keys": keys}))
        }
    }

    /// 404 without words.
    pub(super) fn not_found() -> Self {
        Self {
            status: 404,
            body: Body::Json(json!({"errors": []})),
        }
    }

    /// A refusal in words.
    pub(super) fn error(status: u16, words: &str) -> Self {
        Self {
            status,
            body: Body::Json(json!({"errors": [words]})),
        }
    }

    /// The token is one, but its policies don't allow that. Who shows no token that lives is told the same in
    /// other words: `permission denied` alone.
    pub(super) fn denied() -> Self {
        Self::error(403, "1 error occurred:\n\t* permission denied\n\n")
    }

    /// No such method, or not for a path that is answered before any token is looked at.
    pub(super) fn wrong_method() -> Self {
        Self {
            status: 405,
            body: Body::Json(json!({"errors": []})),
        }
    }

    /// The path is known, but not for this method.
    pub(super) fn unsupported() -> Self {
        Self::error(405, "1 error occurred:\n\t* unsupported operation\n\n")
    }

    /// The JSON, or null.
    #[must_use]
    pub fn json(&self) -> &Value {
        match &self.body {
            Body::Json(value) => value,
            _ => &Value::Null,
        }
    }
}

/// A random UUID (RFC 9562 §5.4).
pub(super) fn uuid() -> String {
    let mut bytes: [u8; 16] = random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex::encode(bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..]
    )
}

/// Random bytes from the operating system's generator.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(
        clippy::expect_used,
        reason = "aws-lc's generator aborts rather than fails; there is nothing to go on with"
    )]
    aws_lc_rs::rand::fill(&mut bytes).expect("random bytes");
    bytes
}
