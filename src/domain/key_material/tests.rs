//! Keys in every wrapping, and what is none.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use rcgen::{KeyPair, PublicKeyData as _};

use super::samples::{BASE85, base85, bytes, secrets};
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

#[test]
fn secrets_are_known_in_every_wrapping() {
    let mut shown = Vec::new();
    for (name, text) in secrets() {
        for around in [
            text.clone(),
            format!("find {text}"),
            format!("it leaked: {text} in a chat"),
        ] {
            if material_in(&around).is_none() {
                shown.push(name.clone());
            }
        }
    }
    assert!(shown.is_empty(), "{shown:?}");
}

#[test]
fn what_grows_is_refused_before_it_is_whole_unless_it_may_become_a_hash() {
    for (name, text) in secrets() {
        let chars: Vec<char> = text.chars().collect();
        let so_far = |n: usize| material_so_far(&chars[..n].iter().collect::<String>());
        let is_refused = (1..=chars.len()).rev().any(|n| so_far(n).is_some());
        // Short ones can't be told from the beginning of a fingerprint.
        let is_short = chars.len() < 64 && name.contains("bytes in") || chars.len() < 44;
        assert!(is_refused || is_short, "{name}");
    }
    for clue in clues(2) {
        let chars: Vec<char> = clue.chars().collect();
        for n in 1..=chars.len() {
            let so_far: String = chars[..n].iter().collect();
            assert_eq!(material_so_far(&so_far), None, "{so_far}");
        }
    }
}

/// Texts that people look for, and texts that they write beside a change.
fn clues(seeds: u8) -> Vec<String> {
    let mut clues: Vec<String> = [
        "crt_01KBCD9XQ2Y7Z8W3V4T5S6R7N8",
        "run_01kbcd9xq2y7z8w3v4t5s6r7n8",
        "550E8400-e29b-41d4-a716-446655440000",
        "/C=DE/O=Example Organisation/OU=WebServices01/CN=shop.example.com",
        "CN=DigiCert Global G2 TLS RSA SHA256 2020 CA1",
        "CN=DigiCertGlobalG2TLSRSASHA2562020CA1",
        "https://Shop.example.com:8443/Cart/Checkout/Item-1234567890?Session=ABC",
        "openssl s_client -connect web-01.example.com:443 -servername shop.example.com",
        "web-01 web-02 web-03 web-04 web-05 web-06 web-07 web-08 web-09 web-10",
        "the key leaked in a chat on 2026-11-29 at 14:05, INC-20261129-1, see Jira OPS-12345",
        "status:valid issuer:\"Example Issuing CA 3\" expires<30d",
        "100% of web-01, 50%25",
        "DNS:a.example.com, DNS:*.b.example.com, IP Address:2001:db8::10",
        "00:f4:2a:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11",
        "4660 (0x1234)",
        "serial: 1234567890123456789012345678901234567890123456789",
        "workers 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
        "C:\\001\\002\\certs and \\n in between, 20% of 100%",
        "https://de.wikipedia.org/wiki/%C3%84%C3%96%C3%9C%C3%A4%C3%B6%C3%BC%C3%9F",
        "{\"id\":\"crt_01KBCD9XQ2Y7Z8W3V4T5S6R7N8\",\"version\":3,\"subject\":\"CN=Shop\"}",
        "role_id: 6a174c20-f6de-a53c-74d2-6018fcceff64",
        "THE SERVICE WEB-01 (SHOP) IS DOWN SINCE 03:12, SEE INC-4711: BEGIN AT ONCE",
        "a b c d e f g h i j k l m n o p q r s t u v w x y z",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    for seed in 0..seeds {
        let (sha1, sha256) = (bytes(seed, 20), bytes(seed, 32));
        for hash in [&sha1, &sha256] {
            let pairs: Vec<String> = hash.iter().map(|byte| format!("{byte:02X}")).collect();
            clues.extend([
                hex::encode(hash),
                hex::encode_upper(hash),
                pairs.join(":"),
                pairs.join(" "),
                format!("sha256/{}", STANDARD.encode(hash)),
                format!("sha256//{}", STANDARD.encode(hash)),
                format!("pin-sha256=\"{}\"", STANDARD.encode(hash)),
                format!("SHA256:{}", STANDARD.encode(hash).trim_end_matches('=')),
                format!("SHA256 Fingerprint={}", pairs.join(":")),
                format!(
                    "SHA256 Fingerprint={}",
                    [&pairs[..12], &pairs[12..]].map(|it| it.join(":")).join(":\n")
                ),
            ]);
        }
    }
    clues
}

#[test]
fn a_share_without_a_letter_is_no_pin_and_a_pin_says_that_it_is_one() {
    for seed in 0..40 {
        // 44 letters, without a `=`.
        let share = STANDARD.encode(bytes(seed, 33));
        for cut in [&share[..43], &share[1..]] {
            for around in [
                cut.to_owned(),
                format!("Unseal Key 1: {cut}"),
                format!("find {cut}"),
            ] {
                assert!(material_in(&around).is_some(), "{around}");
            }
            let is_wiped = (1..=cut.len()).any(|n| material_so_far(&cut[..n]).is_some());
            assert!(is_wiped, "{cut}");
        }
    }
}

/// Lines that OpenSSL writes of an RSA key between two of its words.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, behind) = text.split_once(from).unwrap();
    behind.split_once(to).unwrap().0
}

#[test]
fn lines_of_a_private_key_in_words_are_no_serials() {
    let pem = openssl(&["genrsa", "2048"], "").unwrap();
    let rsa = openssl(&["rsa", "-text", "-noout"], &pem).unwrap();
    let exponent = between(&rsa, "privateExponent:\n", "prime1");
    let lines: Vec<&str> = exponent.trim_end().lines().collect();
    let whole = &lines[..lines.len() - 1];
    for line in whole {
        for text in [*line, line.trim(), &line.trim()[18..], &format!("find {line}\n")] {
            assert_eq!(material_in(text), Some(Material::Piece), "{text}");
        }
    }
    assert_eq!(material_in(&whole[..2].join("\n")), Some(Material::Piece));
    let last = format!("coefficient:\n    {}", lines[0].trim().trim_end_matches(':'));
    assert_eq!(material_in(&last), Some(Material::Piece));
    let pem = openssl(&["ecparam", "-genkey", "-name", "prime256v1", "-noout"], "").unwrap();
    let ec = openssl(&["ec", "-text", "-noout"], &pem).unwrap();
    let private = between(&ec, "priv:\n", "pub:");
    for text in [
        private.to_owned(),
        format!("priv:\n{private}"),
        format!("priv:\n{private}pub:"),
    ] {
        assert_eq!(material_in(&text), Some(Material::Piece), "{text}");
    }
}

/// A percent sign and two hex digits are an escape elsewhere, mostly of a byte that is no text.
#[test]
fn base85_with_a_percent_sign_in_it_is_still_base85() {
    let is_escape = |three: &[u8]| three[0] == b'%' && three[1..].iter().all(u8::is_ascii_hexdigit);
    let keys = (0..=u8::MAX).map(|seed| base85(&bytes(seed, 121), BASE85));
    let keys: Vec<String> = keys
        .filter(|key| key.as_bytes().windows(3).any(is_escape))
        .collect();
    assert!(keys.len() > 5, "{}", keys.len());
    for key in keys {
        for text in [key.replacen('%', "\u{200b}%", 1), format!("k {key}"), key] {
            assert_eq!(material_in(&text), Some(Material::Piece), "{text}");
        }
    }
}

#[test]
fn what_openssl_writes_of_a_certificate_is_shown() {
    let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let params = rcgen::CertificateParams::new(vec!["a.example.com".to_owned()]).unwrap();
    let pem = params.self_signed(&pair).unwrap().pem();
    let text = openssl(&["x509", "-text", "-noout", "-fingerprint", "-sha256"], &pem).unwrap();
    assert_eq!(material_in(&text), None, "{text}");
    let serial = text.lines().find(|line| line.matches(':').count() > 10).unwrap();
    assert_eq!(material_in(serial), None, "{serial}");
}

#[test]
fn clues_may_be_shown() {
    let mut refused = clues(40);
    // In base64 nobody types them, and while they grow they are what a share is.
    refused.extend((0..40).flat_map(|seed| [20, 32].map(|n| STANDARD.encode(bytes(seed, n)))));
    refused.retain(|clue| material_in(clue).is_some());
    assert!(refused.is_empty(), "{refused:#?}");
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
