//! A CA below a root: made in one mount, certified by the other, and then it signs with its whole chain.

use cmp_console::domain::chain::{self, Known};
use serde_json::{Value, json};
use x509_parser::parse_x509_certificate;

use super::server::{Server, csr, errors};

contracts!(
    an_intermediate_signs_with_the_chain_up_to_its_root,
    an_intermediate_ends_no_later_than_its_root_and_is_for_a_key_of_its_mount,
);

fn der(pem: &Value) -> Vec<u8> {
    pem::parse(pem.as_str().unwrap()).unwrap().into_contents()
}

/// A mount that may keep what it signs for ten years.
async fn mounted(server: &Server, mount: &str) {
    let body = json!({"type": "pki", "config": {"max_lease_ttl": "87600h"}});
    server.must(&format!("sys/mounts/{mount}"), body).await;
}

/// `top` with a root, `below` without any CA.
async fn two_mounts(server: Server) -> Server {
    let server = server.open().await;
    mounted(&server, "top").await;
    mounted(&server, "below").await;
    let root = json!({"common_name": "the root", "ttl": "8760h", "key_type": "ec"});
    server.must("top/root/generate/internal", root).await;
    server
}

/// The request of a new key of `below`.
async fn asked(server: &Server) -> Value {
    let body = json!({"common_name": "below the root", "key_type": "ec"});
    let made = server.must("below/intermediate/generate/internal", body).await;
    let data = &made["data"];
    assert!(
        data["key_id"].is_string() && data["private_key"].is_null(),
        "{made}"
    );
    data["csr"].clone()
}

async fn an_intermediate_signs_with_the_chain_up_to_its_root(server: Server) {
    let server = two_mounts(server).await;
    let csr_pem = asked(&server).await;
    let body = json!({
        "csr": csr_pem, "common_name": "below the root", "ttl": "4380h", "max_path_length": 0, "format": "pem_bundle",
    });
    let signed = server.must("top/root/sign-intermediate", body).await;
    let data = &signed["data"];
    let bundle = data["certificate"].as_str().unwrap();
    let blocks = pem::parse_many(bundle).unwrap();
    let (issuing, root) = (blocks[0].contents().to_vec(), der(&data["issuing_ca"]));
    assert_eq!(blocks[1].contents(), root, "the bundle has the root too");
    assert_eq!(data["ca_chain"], json!([data["issuing_ca"]]));
    assert_eq!(
        server
            .get(&format!("top/cert/{}", data["serial_number"].as_str().unwrap()))
            .await
            .0,
        200
    );
    {
        let (_, read) = parse_x509_certificate(&issuing).unwrap();
        let bounds = read.basic_constraints().unwrap().unwrap();
        assert!(bounds.critical && bounds.value.ca && bounds.value.path_len_constraint == Some(0));
        assert_eq!(read.subject().to_string(), "CN=below the root");
    }
    let answer = server
        .must("below/intermediate/set-signed", json!({"certificate": bundle}))
        .await;
    assert_eq!(
        answer["data"]["imported_issuers"].as_array().map(Vec::len),
        Some(2),
        "{answer}"
    );

    // What it signs comes with its own certificate and the root's, in order.
    let role = json!({"allow_any_name": true, "key_type": "any"});
    server.must("below/roles/web", role).await;
    let body = json!({"csr": csr("a.example.com", &[]), "common_name": "a.example.com", "ttl": "1h"});
    let leaf = server.must("below/sign/web", body).await;
    let data = &leaf["data"];
    let chain: Vec<Vec<u8>> = data["ca_chain"].as_array().unwrap().iter().map(der).collect();
    assert_eq!(chain, [issuing.clone(), root.clone()], "{leaf}");
    assert_eq!(der(&data["issuing_ca"]), issuing);
    let sent = [vec![der(&data["certificate"])], vec![issuing.clone()]].concat();
    let known = Known {
        chain: &chain,
        anchors: &[],
        now: cmp_console::clock::Clock::system().now(),
    };
    assert_eq!(chain::complete(&sent, &known), Ok(()));
    assert!(chain::complete(&sent[..1], &known).is_err());

    let public = server.raw("below/ca_chain").await.2;
    let public = pem::parse_many(public).unwrap();
    let public: Vec<&[u8]> = public.iter().map(pem::Pem::contents).collect();
    assert_eq!(public, [issuing.as_slice(), root.as_slice()]);
    assert_eq!(
        server.raw("below/ca").await.2,
        issuing,
        "`ca` is the one that signs"
    );
    let (_, kept) = server.get("below/cert/ca_chain").await;
    let kept = pem::parse_many(kept["data"]["certificate"].as_str().unwrap()).unwrap();
    assert_eq!(kept.len(), 2);
    // Its CRL is its own.
    let crl = server.raw("below/crl").await.2;
    let (_, crl) = x509_parser::parse_x509_crl(&crl).unwrap();
    assert_eq!(crl.issuer().to_string(), "CN=below the root");
}

async fn an_intermediate_ends_no_later_than_its_root_and_is_for_a_key_of_its_mount(server: Server) {
    let server = two_mounts(server).await;
    let csr_pem = asked(&server).await;
    let (status, answer) = server
        .post("top/root/sign-intermediate", json!({"common_name": "x"}))
        .await;
    assert_eq!(status, 400, "{answer}");
    let body = json!({"csr": csr_pem, "common_name": "below the root", "ttl": "80000h"});
    let signed = server.must("top/root/sign-intermediate", body).await;
    let end = |pem: &Value| {
        let der = der(pem);
        let (_, read) = parse_x509_certificate(&der).unwrap();
        read.validity().not_after.timestamp()
    };
    let data = &signed["data"];
    assert_eq!(
        end(&data["certificate"]),
        end(&data["issuing_ca"]),
        "cut to the root's end"
    );
    // Without its root its chain is itself.
    server
        .must(
            "below/intermediate/set-signed",
            json!({"certificate": data["certificate"]}),
        )
        .await;
    let chain = server.raw("below/ca_chain").await.2;
    assert_eq!(pem::parse_many(chain).unwrap().len(), 1);
    let (status, answer) = server.post("below/intermediate/set-signed", json!({})).await;
    assert_eq!(status, 400, "{answer}");
    assert!(!errors(&answer).is_empty());
}
