//! Values that can't be, and what the bundled server says that it doesn't do.

use serde_json::json;

use super::server::{Server, csr};

contracts!(times_that_can_not_be_are_refused_and_nothing_falls_over);

async fn times_that_can_not_be_are_refused_and_nothing_falls_over(server: Server) {
    let server = server.with_ca().await;
    let csr = csr("a.example.com", &["a.example.com"]);
    for ttl in [json!("99999999999h"), json!("1x"), json!([])] {
        for (path, body) in [
            ("auth/token/create", json!({"policies": ["x"], "ttl": ttl})),
            (
                "auth/token/create",
                json!({"policies": ["x"], "explicit_max_ttl": ttl}),
            ),
            ("cmp-pki/sign/cmp-role", json!({"csr": csr, "ttl": ttl})),
            ("cmp-pki/roles/odd", json!({"ttl": ttl})),
            ("cmp-pki/roles/odd", json!({"not_before_duration": ttl})),
        ] {
            let (status, answer) = server.post(path, body).await;
            assert_eq!(status, 400, "{path} with {ttl}: {answer}");
        }
    }
    for ttl in [json!(-5), json!("-5"), json!(i64::MAX)] {
        let body = json!({"csr": csr, "ttl": ttl});
        let (status, answer) = server.post("cmp-pki/sign/cmp-role", body).await;
        assert_eq!(status, 400, "{ttl}: {answer}");
    }
    for end in ["0000-00-00", "+99999-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
        let body = json!({"csr": csr, "not_after": end});
        let (status, answer) = server.post("cmp-pki/sign/cmp-role", body).await;
        assert_eq!(status, 400, "{end}: {answer}");
    }
    let (status, _) = server.get("sys/health").await;
    assert_eq!(status, 200);
}

/// What only the bundled server refuses, because it would otherwise do less than it is asked for: a real one does
/// it, so that there is nothing to compare.
mod bundled_only {
    use serde_json::json;

    use super::super::server::{Server, errors};

    #[tokio::test]
    async fn kv_version_1_a_second_issuer_and_parameters_of_policies_are_not_spoken() {
        let server = Server::bundled().await.with_ca().await;
        let parameters = "path \"a\" { allowed_parameters = { \"x\" = [] } }";
        for (path, body, words) in [
            (
                "sys/mounts/one",
                json!({"type": "kv"}),
                "this server speaks KV version 2 only",
            ),
            (
                "cmp-pki/root/generate/internal",
                json!({"common_name": "second"}),
                "this server keeps one issuer a mount",
            ),
            (
                "sys/policies/acl/one",
                json!({"policy": parameters}),
                "this server knows `capabilities` only",
            ),
        ] {
            let (status, answer) = server.post(path, body).await;
            assert_eq!(status, 400, "{path}: {answer}");
            assert!(errors(&answer).contains(words), "{path}: {answer}");
        }
    }
}
