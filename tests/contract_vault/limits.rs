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

    use super::super::server::{Server, csr, errors};

    /// `not_after` goes past `max_ttl` unless the role says otherwise, as it does in Vault.
    #[tokio::test]
    async fn a_role_bounds_what_not_after_may_say() {
        let server = Server::bundled().await.with_ca().await;
        let csr = csr("a.example.com", &["a.example.com"]);
        let in_h = |hours: i64| {
            let at = cmp_console::clock::Clock::system().now() + chrono::Duration::hours(hours);
            at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        };
        let before = in_h(48);
        for (bound, end, is_allowed) in [
            ("permit", in_h(48), true),
            ("forbid", in_h(1), false),
            ("ttl-limited", in_h(23), true),
            ("ttl-limited", in_h(25), false),
            (before.as_str(), in_h(47), true),
            (before.as_str(), in_h(49), false),
        ] {
            let role = json!({
                "allowed_domains": "example.com", "allow_subdomains": true, "key_type": "any", "max_ttl": "24h",
                "not_after_bound": bound,
            });
            server.must("cmp-pki/roles/bound", role).await;
            let body = json!({"csr": csr, "common_name": "a.example.com", "not_after": end});
            let (status, answer) = server.post("cmp-pki/sign/bound", body).await;
            assert_eq!(status == 200, is_allowed, "{bound} {end}: {answer}");
        }
        let odd = json!({"allow_any_name": true, "not_after_bound": "sometimes"});
        assert_eq!(server.post("cmp-pki/roles/odd", odd).await.0, 400);
    }

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
