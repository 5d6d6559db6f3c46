//! Keys in every wrapping, and what is none.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use rcgen::{KeyPair, PublicKeyData as _};

use super::*;

fn spki_of_pair(key: &KeyPair) -> String {
    hex::encode(aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        &key.subject_public_key_info(),
    ))
}

/// A key's PEM in many wrappings.
fn wrapped(pem: &str) -> Vec<String> {
    let body: Vec<&str> = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(body.concat()).unwrap();
    let pairs: Vec<String> = der.iter().map(|byte| format!("{byte:02x}")).collect();
    let in_json = serde_json::json!({ "key": pem }).to_string();
    vec![
        pem.to_owned(),
        pem.replace('\n', ""),
        pem.replace('\n', "\r\n"),
        format!("some words before\n{pem}"),
        STANDARD.encode(pem),
        format!("tls.key: {}", STANDARD.encode(pem)),
        body.join("\n"),
        body.concat(),
        body.join(" "),
        URL_SAFE_NO_PAD.encode(&der),
        hex::encode(&der),
        pairs.join(":"),
        in_json.clone(),
        serde_json::json!(in_json).to_string(),
        pem.lines().map(|line| format!("> {line}\n")).collect(),
    ]
}

fn openssl(arguments: &[&str], input: &str) -> Option<String> {
    use std::io::Write as _;
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(input.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).ok())?
}

#[test]
fn a_private_key_is_known_in_every_wrapping_and_its_public_half_is_made() {
    let pair = KeyPair::generate().unwrap();
    let expected = Some(Material::PrivateKey(Some(spki_of_pair(&pair))));
    for text in wrapped(&pair.serialize_pem()) {
        assert_eq!(material_in(&text), expected, "{text}");
    }
}

#[test]
fn other_forms_are_known_too() {
    let pair = KeyPair::generate().unwrap();
    let pkcs8 = pair.serialize_pem();
    let spki = spki_of_pair(&pair);
    let Some(sec1) = openssl(&["ec"], &pkcs8) else {
        eprintln!("skipped: openssl is not here");
        return;
    };
    assert!(sec1.contains("EC PRIVATE KEY"));
    for text in wrapped(&sec1) {
        assert_eq!(
            material_in(&text),
            Some(Material::PrivateKey(Some(spki.clone()))),
            "{text}"
        );
    }
    let rsa = openssl(&["genrsa", "-traditional", "2048"], "").unwrap();
    let public = openssl(&["rsa", "-pubout", "-outform", "PEM"], &rsa).unwrap();
    let public = pem::parse(public).unwrap();
    let spki = hex::encode(aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        public.contents(),
    ));
    for text in wrapped(&rsa) {
        assert_eq!(
            material_in(&text),
            Some(Material::PrivateKey(Some(spki.clone()))),
            "{text}"
        );
    }
    let encrypted = openssl(&["pkcs8", "-topk8", "-passout", "pass:x"], &rsa).unwrap();
    for text in wrapped(&encrypted) {
        assert_eq!(material_in(&text), Some(Material::PrivateKey(None)), "{text}");
    }
    let in_words = openssl(&["rsa", "-text", "-noout"], &rsa).unwrap();
    assert_eq!(material_in(&in_words), Some(Material::PrivateKey(None)));
}

#[test]
fn a_jwk_an_openssh_key_and_a_ppk_have_their_public_half_beside_them() {
    let pair = KeyPair::generate().unwrap();
    let spki = spki_of_pair(&pair);
    let expected = Some(Material::PrivateKey(Some(spki)));
    let point = pair.der_bytes();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwk = serde_json::json!({
        "kty": "EC", "crv": "P-256", "d": encode(&[7; 32]),
        "x": encode(&point[1..33]), "y": encode(&point[33..]),
    });
    assert_eq!(material_in(&jwk.to_string()), expected);
    assert_eq!(
        material_in(&serde_json::json!({ "keys": [jwk] }).to_string()),
        expected
    );
    let cut = jwk.to_string();
    assert_eq!(
        material_in(&cut[..cut.len() - 5]),
        Some(Material::PrivateKey(None))
    );
    let public = serde_json::json!({ "kty": "EC", "crv": "P-256", "x": jwk["x"], "y": jwk["y"] });
    assert_eq!(material_in(&public.to_string()), None);

    let string = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&length, bytes].concat()
    };
    let wire = [string(b"ecdsa-sha2-nistp256"), string(b"nistp256"), string(point)].concat();
    let openssh = [
        b"openssh-key-v1\0".to_vec(),
        string(b"aes256-ctr"),
        string(b"bcrypt"),
        string(&[1; 24]),
        1_u32.to_be_bytes().to_vec(),
        string(&wire),
        string(&[9; 200]),
    ]
    .concat();
    let pem = pem::encode(&pem::Pem::new("OPENSSH PRIVATE KEY", openssh));
    for text in wrapped(&pem) {
        assert_eq!(material_in(&text), expected, "{text}");
    }
    let public = STANDARD.encode(&wire);
    let (one, two) = public.split_at(64);
    let ppk = format!(
        "PuTTY-User-Key-File-3: ecdsa-sha2-nistp256\nEncryption: none\nComment: x\nPublic-Lines: 2\n{one}\n{two}\nPrivate-Lines: 1\n{}\nPrivate-MAC: 00\n",
        STANDARD.encode([7; 33])
    );
    assert_eq!(material_in(&ppk), expected);
}

#[test]
fn what_may_be_shown_is_no_key_material() {
    let pair = KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["a.example.com".to_owned()]).unwrap();
    let certificate = params.self_signed(&pair).unwrap().pem();
    let request = params.serialize_request(&pair).unwrap().pem().unwrap();
    for text in [
        wrapped(&certificate),
        wrapped(&request),
        wrapped(&pair.public_key_pem()),
    ]
    .concat()
    {
        assert_eq!(material_in(&text), None, "{text}");
    }
    for text in [
        "a host name that is long: a-very-long-host-name-that-goes-on-and-on-and-on.example.com",
        "39:dd:2e:90:b7:23:1f:8d:d3:7d:31:c5:1b:da:84:01",
        &"ab".repeat(32),
        &vec!["AB"; 32].join(":"),
        &"0f".repeat(64),
        "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "sorry, try again: the certificate of web-01 expired yesterday, and nobody noticed it",
    ] {
        assert_eq!(material_in(text), None, "{text}");
    }
}

#[test]
fn a_piece_of_a_key_is_not_shown_either() {
    let pem = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)
        .unwrap()
        .serialize_pem();
    let lines: Vec<&str> = pem.lines().collect();
    assert_eq!(material_in(lines[2]), Some(Material::Piece));
    assert_eq!(
        material_in(&lines[2..lines.len() - 1].join("\n")),
        Some(Material::Piece)
    );
    assert_eq!(
        material_in(lines[1]),
        Some(Material::PrivateKey(None)),
        "its first line"
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,300}|[A-Za-z0-9+/=]{0,600}") {
        let _ = material_in(&text);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (der::is_private(&bytes), der::is_public(&bytes), der::spki_of(&bytes));
        let _ = (ssh::is_private(&bytes), ssh::spki_of(&bytes));
    }
}
