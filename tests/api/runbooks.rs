//! The runbooks' lines, run by `curl` exactly as they are written, with host, id and token filled in.

use tokio::process::Command;

use super::support::Server;

async fn curl(line: &str) -> serde_json::Value {
    let out = Command::new("sh")
        .arg("-c")
        .arg(format!("{line} -s"))
        .output()
        .await
        .unwrap();
    assert!(out.status.success(), "{line}: {out:?}");
    serde_json::from_slice(&out.stdout).unwrap()
}

#[tokio::test]
async fn revoke_and_install_as_written() {
    if Command::new("curl").arg("--version").output().await.is_err() {
        return;
    }
    let Some(it) = Server::start().await else { return };
    let (base, token, agent, cert) = (&it.base, &it.operator, &it.agent, &it.cert);
    let installed = curl(&format!(
        r#"curl -X POST {base}/api/v1/agents/{agent}/install \
     -H "Authorization: Bearer {token}" \
     -d '{{"cert_id": "{cert}", "path": "/srv/tls/cert.pem"}}'"#
    ))
    .await;
    assert_eq!(installed["installation"]["certificate_id"], *cert, "{installed}");
    let revoked = curl(&format!(
        r#"curl -X POST {base}/api/v1/certs/{cert}/revoke \
     -H "Authorization: Bearer {token}" \
     -d '{{"reason": "keyCompromise"}}'"#
    ))
    .await;
    assert_eq!(
        revoked["certificate"]["status"], "revocation_pending",
        "{revoked}"
    );
    let checked_in = curl(&format!(
        r#"curl -X POST {base}/api/v1/agents/{agent}/checkin -H "Authorization: Bearer {token}""#
    ))
    .await;
    assert_eq!(checked_in["reached"], true, "{checked_in}");
}
