//! `GET /openapi.json`: what the API is, made from the handlers themselves, and the answers that many
//! routes share. A route that isn't in it isn't served: both come from the same registration.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::response::Response;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoParams, IntoResponses, Modify, OpenApi};

use super::reply::Made;
use crate::wire::page::Change;
use crate::wire::problem_json::{MEDIA_TYPE, ProblemJson};

/// What is said once for all routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Certificate Management Platform",
        description = "Certificates, their keys, the agents that hold them, and what is done about them. Every change leaves an audit row. Errors are application/problem+json with a sentence and the next step. Every request may carry an X-Request-Id; the answer carries it back."
    ),
    components(schemas(ProblemJson, Change)),
    modifiers(&BearerTokens)
)]
pub(super) struct Base;

/// How callers prove who they are.
struct BearerTokens;

impl Modify for BearerTokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A token of the role viewer reads, operator and admin act, an agent's own token reports; \
                 enrolling takes a one-time token.",
            ))
            .build();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The header that makes a change safe to send again.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(
    dead_code,
    reason = "it only describes the header, `idempotency_key` reads it"
)]
pub(super) struct IdempotencyKey {
    /// 1 to 200 printable characters. Sent again with the same key and body, the request is answered again
    /// and carried out once. One that begins with a run's id and `/` puts a change on that run: it has to be of the run's
    /// action and about one of its things, while the run is under way.
    #[param(rename = "Idempotency-Key", required = false, pattern = "^[!-~]{1,200}$")]
    idempotency_key: Option<String>,
}

/// The document, which all answers share: it is large, and anybody may ask for it without a token.
fn document() -> &'static Made {
    static DOCUMENT: OnceLock<Made> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let (_, document) = super::routes().split_for_parts();
        // Names and numbers only: it can always be written.
        Made::of(serde_json::to_string(&document).unwrap_or_default())
    })
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "health",
    operation_id = "openapi",
    responses((status = 200, body = Object, description = "An OpenAPI 3.1 document"), Limits),
)]
pub(super) async fn openapi() -> Response {
    document().answer()
}

type Responses = BTreeMap<String, RefOr<utoipa::openapi::Response>>;

fn problems(all: &[(u16, &str)]) -> Responses {
    let one = |(status, why): &(u16, &str)| {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("ProblemJson")))
            .build();
        let response = ResponseBuilder::new()
            .description(*why)
            .content(MEDIA_TYPE, content)
            .build();
        (status.to_string(), response.into())
    };
    all.iter().map(one).collect()
}

/// What any route can answer.
pub(super) struct Limits;

impl IntoResponses for Limits {
    fn responses() -> Responses {
        problems(&[
            (
                500,
                "A defect of the server; the log has more under the request's id",
            ),
            (
                503,
                "The database or the server isn't available now, or took too long",
            ),
        ])
    }
}

/// What every route with a token can answer.
pub(super) struct Refused;

impl IntoResponses for Refused {
    fn responses() -> Responses {
        let mut all = Limits::responses();
        all.extend(problems(&[
            (401, "No token, an unknown one, or one that isn't good any more"),
            (403, "The token's role doesn't allow it"),
            (429, "The token asked too often; `Retry-After` says when to go on"),
        ]));
        all
    }
}

/// What can be wrong with parameters.
pub(super) struct BadInput;

impl IntoResponses for BadInput {
    fn responses() -> Responses {
        problems(&[(400, "A parameter is unknown or malformed")])
    }
}

/// What reading one thing can answer.
pub(super) struct NoSuch;

impl IntoResponses for NoSuch {
    fn responses() -> Responses {
        problems(&[(400, "The id is malformed"), (404, "There is no such thing")])
    }
}

/// What a change can answer.
pub(super) struct Changes;

impl IntoResponses for Changes {
    fn responses() -> Responses {
        problems(&[
            (400, "The body, a header or the id is malformed"),
            (404, "There is no such thing"),
            (408, "The body didn't arrive in time; nothing was done"),
            (409, "It contradicts the present state"),
            (413, "The body is larger than 1 MiB; nothing was done"),
            (422, "Understood, and refused for the reason given"),
            (
                504,
                "Not finished in time; it may still happen: send it again with the same Idempotency-Key",
            ),
        ])
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    #[tokio::test]
    async fn all_answers_share_the_document() {
        let body = async || to_bytes(openapi().await.into_body(), usize::MAX).await.unwrap();
        let [one, other] = [body().await, body().await];
        assert!(one.len() > 100_000);
        assert_eq!(one.as_ptr(), other.as_ptr());
    }
}
