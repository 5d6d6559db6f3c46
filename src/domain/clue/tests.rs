//! Clues in every notation that people come with.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use rcgen::PublicKeyData as _;

use super::*;

const SERIAL: &str = "4f:2a:00:11:22:33:44:55";

fn has(clue: &str, wanted: &Clue) -> bool {
    readings(clue).iter().any(|reading| reading.clue == *wanted)
}

#[track_caller]
fn reads(clue: &str, wanted: &Clue) {
    assert!(
        has(clue, wanted),
        "{clue}: {:?} has no {wanted:?}",
        readings(clue)
    );
}

fn first(clue: &str) -> Option<Clue> {
    readings(clue).into_iter().next().map(|reading| reading.clue)
}

#[test]
fn serials_are_read_in_every_notation() {
    for clue in [
        SERIAL,
        "4F:2A:00:11:22:33:44:55",
        "4F2A001122334455",
        "0x4f2a001122334455",
        "4f-2a-00-11-22-33-44-55",
        " 4f 2a 00 11 22 33 44 55 ",
        "4f2a 0011 2233 4455",
        "00:4f:2a:00:11:22:33:44:55",
        "004F2A001122334455",
        "serial=4F2A001122334455",
        "Serial Number: 4f:2a:00:11:22:33:44:55",
        "Serial Number:\n            4f:2a:00:11:22:33:44:55",
        "        Serial Number: 5704371951606383701 (0x4f2a001122334455)",
        "serialNumber=0x4F2A001122334455",
        "SN: 4F2A001122334455",
        "\"4f:2a:00:11:22:33:44:55\",",
        "`4F2A001122334455`",
        "5704371951606383701",
        "serial: 5704371951606383701",
        "Certificate Serial Number: 4F2A001122334455",
        "\u{200e}4f 2a 00 11 22 33 44 55",
    ] {
        reads(clue, &Clue::Serial(SERIAL.to_owned()));
    }
    reads("f:45:85", &Clue::Serial("0f:45:85".to_owned()));
    reads("0f4585", &Clue::Serial("0f:45:85".to_owned()));
}

#[test]
fn hashes_are_read_in_every_notation() {
    let bytes: [u8; 32] = std::array::from_fn(|n| u8::try_from(n * 7).unwrap());
    let sha256 = hex::encode(bytes);
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    let colons = pairs.join(":");
    let pin = STANDARD.encode(bytes);
    for clue in [
        sha256.clone(),
        sha256.to_uppercase(),
        colons.clone(),
        colons.replace(':', " "),
        format!("SHA256 Fingerprint={colons}"),
        format!("sha256 Fingerprint={colons}"),
        format!("Fingerprint (SHA-256): {colons}"),
        format!("sha256:{sha256}"),
        format!("SHA-256: {sha256}"),
        pin.clone(),
        format!("sha256/{pin}"),
        format!("sha256//{pin}"),
        format!("pin-sha256=\"{pin}\""),
        format!("pin-sha256=\"{pin}\";"),
        format!("x5t#S256: {}", URL_SAFE_NO_PAD.encode(bytes)),
        format!("SHA256:{}", STANDARD.encode(bytes).trim_end_matches('=')),
    ] {
        assert_eq!(first(&clue), Some(Clue::Sha256(sha256.clone())), "{clue}");
    }
    let slashes = STANDARD.encode([0xff_u8; 32]);
    assert!(slashes.starts_with('/'));
    reads(
        &format!("sha256/{slashes}x").replace('x', ""),
        &Clue::Sha256("ff".repeat(32)),
    );
    let sha1 = "cd".repeat(20);
    let colons = vec!["CD"; 20].join(":");
    for clue in [
        sha1.clone(),
        colons.clone(),
        colons.replace(':', " "),
        format!("SHA1 Fingerprint={colons}"),
        format!("sha1 Fingerprint={colons}"),
        format!("Thumbprint: {}", sha1.to_uppercase()),
        format!("Cert Hash(sha1): {sha1}"),
    ] {
        assert_eq!(first(&clue), Some(Clue::Sha1(sha1.clone())), "{clue}");
    }
    // A serial may be as long.
    reads(&colons, &Clue::Serial(colons.to_lowercase()));
}

#[test]
fn addresses_are_read_in_every_notation() {
    for (clue, address) in [
        ("web-01:443", "web-01:443"),
        ("db-01:5432", "db-01:5432"),
        ("cafe:8443", "cafe:8443"),
        ("fe:80", "fe:80"),
        ("10.0.0.1:8443", "10.0.0.1:8443"),
        ("[2001:db8::10]:443", "[2001:db8::10]:443"),
        ("https://[2001:db8::10]/x", "[2001:db8::10]:443"),
        ("https://shop.example.com/cart?x=1", "shop.example.com:443"),
        ("https://shop.example.com:8443", "shop.example.com:8443"),
        ("https://kim@shop.example.com", "shop.example.com:443"),
        ("ldaps://dc.example.com", "dc.example.com:636"),
        ("shop.example.com:https", "shop.example.com:443"),
        ("shop.example.com 443", "shop.example.com:443"),
        ("shop.example.com.:443", "shop.example.com:443"),
        ("-connect web-01:443", "web-01:443"),
        ("openssl s_client -connect web-01:443 -servername x", "web-01:443"),
        ("host: web-01:443", "web-01:443"),
    ] {
        reads(clue, &Clue::Address(address.to_owned()));
    }
    // Without a handshake its host is the clue.
    reads("db-01:5432", &Clue::Name("db-01".to_owned()));
    reads("[2001:0db8:0::10]:443", &Clue::Name("2001:db8::10".to_owned()));
    assert_eq!(first("db-01:5432"), Some(Clue::Address("db-01:5432".to_owned())));
}

#[test]
fn names_are_read_in_every_notation() {
    for (clue, name) in [
        ("shop.example.com", "shop.example.com"),
        ("SHOP.Example.com.", "shop.example.com"),
        ("DNS:shop.example.com", "shop.example.com"),
        ("DNS:a.example.com, DNS:shop.example.com", "shop.example.com"),
        ("CN=shop.example.com", "shop.example.com"),
        ("CN = shop.example.com", "shop.example.com"),
        ("subject=C = DE, O = x, CN = shop.example.com", "shop.example.com"),
        ("/C=DE/CN=shop.example.com", "shop.example.com"),
        ("IP Address:10.0.0.1", "10.0.0.1"),
        ("IP:2001:0db8:0000::0010", "2001:db8::10"),
        ("2001:0db8::10", "2001:db8::10"),
        ("*.example.com", "*.example.com"),
        ("<shop.example.com>", "shop.example.com"),
        ("shop.example.com", "*.example.com"),
        ("web-01", "web-01"),
        ("cafe", "cafe"),
        ("crt_0001", "crt_0001"),
        ("a b", "a b"),
    ] {
        reads(clue, &Clue::Name(name.to_owned()));
    }
    assert_eq!(first("web-01"), Some(Clue::Name("web-01".to_owned())));
    assert_eq!(first("cafe"), Some(Clue::Name("cafe".to_owned())));
    assert!(readings("  ").is_empty());
    assert!(readings("\"\"").is_empty());
}

fn certificate(name: &str) -> (String, String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec![name.to_owned()])
        .and_then(|params| params.self_signed(&key))
        .unwrap();
    let spki = sha256(&key.subject_public_key_info());
    (certificate.pem(), spki, sha256(certificate.der()))
}

#[test]
fn a_certificate_is_known_by_its_key_in_every_wrapping() {
    let (pem, spki, _) = certificate("a.example.com");
    let der = pem::parse(&pem).unwrap().into_contents();
    let body: Vec<&str> = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let trusted = pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE");
    for clue in [
        pem.clone(),
        pem.replace('\n', ""),
        pem.replace('\n', " "),
        pem.replace('\n', "\r\n"),
        format!("subject=CN = a.example.com\nissuer=CN = x\n{pem}"),
        trusted,
        STANDARD.encode(&pem),
        STANDARD.encode(&der),
        body.join("\n"),
        body.join(" "),
        hex::encode(&der),
        serde_json::json!({ "certificate": pem }).to_string(),
        pem.replace('\n', "\\n"),
        pem.lines().map(|line| format!("> {line}\n")).collect(),
        pem.lines().map(|line| format!("> {line} ")).collect(),
    ] {
        assert_eq!(first(&clue), Some(Clue::Key(spki.clone())), "{clue}");
    }
    let broken = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
    assert_eq!(first(broken), Some(Clue::Sha256(sha256(&[1, 2, 3]))));
}

#[test]
fn several_certificates_are_all_of_them_whichever_comes_first() {
    let [root, leaf] = ["root.example.com", "leaf.example.com"].map(certificate);
    for clue in [
        format!("{}{}", root.0, leaf.0),
        format!("{}{}", root.0, leaf.0).replace('\n', " "),
    ] {
        let expected = Clue::Several(vec![root.2.clone(), leaf.2.clone()]);
        assert_eq!(first(&clue), Some(expected.clone()));
        assert_eq!(
            expected.filter(),
            (format!("{}|{}", &root.2[..16], &leaf.2[..16]), 0)
        );
    }
    let many = Clue::Several(vec![root.2; 30]);
    let (filter, left_out) = many.filter();
    assert!(filter.len() <= 200 && left_out == 19, "{filter} {left_out}");
}

#[test]
fn a_request_and_a_public_key_lead_to_the_key() {
    let key = rcgen::KeyPair::generate().unwrap();
    let spki = sha256(&key.subject_public_key_info());
    let params = rcgen::CertificateParams::new(vec!["a.example.com".to_owned()]).unwrap();
    let request = params.serialize_request(&key).unwrap().pem().unwrap();
    for clue in [request, key.public_key_pem()] {
        assert_eq!(first(&clue), Some(Clue::Key(spki.clone())));
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_or_ask_for_too_much(text in "\\PC{0,300}|[0-9a-fA-F: -]{0,100}") {
        for reading in readings(&text) {
            prop_assert!(reading.clue.filter().0.chars().count() <= 200, "{:?}", reading);
        }
    }
}

#[test]
fn a_number_with_0x_before_it_is_no_hash() {
    let clue = "0x43aee434d19c5a0b7f2e11223344556677889900";
    let words: Vec<String> = readings(clue).into_iter().map(|reading| reading.words).collect();
    assert_eq!(words.first().map(String::as_str), Some("a serial"), "{words:?}");
    assert!(!words.iter().any(|words| words.contains("SHA")), "{words:?}");
}
