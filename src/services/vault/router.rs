//! HTTP in front of the server: method, path, token and body out of a request, a reply back into one.

use std::collections::HashMap;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::Value;

use super::{Body, Reply, Vault, path};

/// Vault's own limit is 32 MiB; nothing that the platform sends comes near this one.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// How a body has to be called that is merged (RFC 7396).
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Everything below `/v1/`.
pub(super) fn router(vault: Vault) -> Router {
    Router::new().route("/v1/{*path}", any(answer)).with_state(vault)
}

async fn answer(
    State(vault): State<Vault>,
    Path(given): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let path = path::normal(&given);
    let listing = query.get("list").is_some_and(|value| value == "true");
    let method = if listing && request.method() == "GET" {
        "LIST".to_owned()
    } else {
        request.method().to_string()
    };
    if method == "PATCH" {
        let kind = headers
            .get("content-type")
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default();
        if !kind.starts_with(MERGE_PATCH) {
            let words = format!("PATCH requires Content-Type of {MERGE_PATCH}, provided {kind}");
            return into_response(Reply::error(415, &words));
        }
    }
    let Ok(bytes) = to_bytes(request.into_body(), MAX_BODY).await else {
        return into_response(Reply::error(413, "request body too large"));
    };
    let body = match parse(&bytes) {
        Ok(Value::Null) => query_body(&query),
        Ok(body) => body,
        Err(error) => return into_response(Reply::error(400, &format!("error parsing JSON: {error}"))),
    };
    let token = token(&headers);
    if let Some(refusal) = namespace(&headers, &path)
        && !(refusal.status == 404 && vault.is_sealed().await)
    {
        return into_response(refusal);
    }
    let mut reply = vault.handle(&method, &path, token.as_deref(), body).await;
    if path == "sys/health" {
        reply = with_chosen_codes(reply, &query).unwrap_or_else(|refusal| refusal);
    }
    into_response(reply)
}

fn parse(bytes: &Bytes) -> Result<Value, serde_json::Error> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        Ok(Value::Null)
    } else {
        serde_json::from_slice(bytes)
    }
}

/// Without a body the query's parameters are the fields, as for KV's `version`.
fn query_body(query: &HashMap<String, String>) -> Value {
    query
        .iter()
        .map(|(name, value)| (name.clone(), Value::String(value.clone())))
        .collect()
}

fn token(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
    text("x-vault-token").or(bearer).map(str::to_owned)
}

/// There is one namespace, the root; who names another finds nothing in it rather than this one's things.
fn namespace(headers: &HeaderMap, path: &str) -> Option<Reply> {
    let named = headers.get("x-vault-namespace")?.to_str().ok()?;
    match path.trim_matches('/') {
        _ if named.is_empty() => None,
        "sys/seal-status" => None,
        "sys/health" | "sys/init" | "sys/seal" | "sys/unseal" => {
            Some(Reply::error(400, "operation unavailable in namespaces"))
        }
        _ if matches!(named.trim_matches('/'), "" | "root") => None,
        _ => Some(Reply::error(404, "namespace not found")),
    }
}

/// `sys/health` lets the asker choose the status codes.
fn with_chosen_codes(mut reply: Reply, query: &HashMap<String, String>) -> Result<Reply, Reply> {
    for name in ["uninitcode", "sealedcode", "activecode", "standbycode"] {
        if query.get(name).is_some_and(|code| code.parse::<u16>().is_err()) {
            return Err(Reply::error(400, ""));
        }
    }
    let name = match reply.status {
        200 => "activecode",
        501 => "uninitcode",
        503 => "sealedcode",
        _ => return Ok(reply),
    };
    if let Some(code) = query.get(name).and_then(|code| code.parse().ok()) {
        reply.status = code;
    }
    Ok(reply)
}

fn into_response(reply: Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match reply.body {
        Body::Empty => status.into_response(),
        Body::Json(value) => (status, axum::Json(value)).into_response(),
        Body::Bytes(kind, bytes) => (status, [(header::CONTENT_TYPE, kind)], bytes).into_response(),
    };
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
