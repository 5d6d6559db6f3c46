//! `/openapi.json` and the routes are one: nothing is served that isn't described, and nothing described
//! that isn't served.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::Value;

use super::support::Server;

const METHODS: [&str; 7] = ["get", "post", "put", "delete", "patch", "head", "options"];

async fn document(it: &Server) -> Value {
    let (status, document) = it.call(Method::GET, "/openapi.json", "", "", None).await;
    assert_eq!(status, 200);
    document
}

fn operations(document: &Value) -> BTreeMap<String, BTreeMap<String, Value>> {
    serde_json::from_value(document["paths"].clone()).unwrap()
}

#[tokio::test]
async fn every_path_of_the_router_is_described_and_the_other_way_round() {
    let Some(it) = Server::start().await else { return };
    let described: BTreeSet<String> = operations(&document(&it).await).into_keys().collect();
    // The router tells its paths only to who debugs it: every text in it that begins with a slash.
    let routed: BTreeSet<String> = it
        .debugged
        .split('"')
        .skip(1)
        .step_by(2)
        // `/` alone and the router's own pattern are where it answers what it doesn't know.
        .filter(|text| text.len() > 1 && text.starts_with('/') && !text.contains("__private"))
        .map(str::to_owned)
        .collect();
    assert!(routed.len() > 30, "{routed:?}");
    assert_eq!(routed, described);
}

#[tokio::test]
async fn every_method_is_described_and_no_other_is_answered() {
    let Some(it) = Server::start().await else { return };
    for (path, described) in operations(&document(&it).await) {
        for method in METHODS {
            let url = format!("{}{}", it.base, path.replace(['{', '}'], ""));
            let request = it.http.request(method.to_uppercase().parse().unwrap(), url);
            let response = request.send().await.unwrap();
            // Who answers GET answers HEAD as well, which needs no words.
            let is_described = described.contains_key(if method == "head" { "get" } else { method });
            assert_eq!(response.status() != 405, is_described, "{method} {path}");
            if !is_described {
                assert!(response.headers().contains_key("allow"), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn every_operation_says_who_may_and_how_it_refuses() {
    let Some(it) = Server::start().await else { return };
    for (path, described) in operations(&document(&it).await) {
        for (method, operation) in described {
            let said = |status: &str| operation["responses"].get(status).is_some();
            assert!(said("500") || path == "/readyz", "{method} {path}");
            let is_open = !path.starts_with("/api/v1/");
            assert_eq!(operation.get("security").is_none(), is_open, "{method} {path}");
            assert_eq!(said("401") && said("403"), !is_open, "{method} {path}");
            assert_eq!(said("413") && said("408"), method == "post", "{method} {path}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let is_problem = response["content"].get("application/problem+json").is_some();
                assert_eq!(is_problem, status.as_str() >= "400", "{method} {path} {status}");
            }
        }
    }
}
