//! Texts that people paste and type, which are shown, and keys in wrappings that nobody has named, which aren't.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::samples::bytes;
use super::super::{Material, material_in, material_so_far};

const ORDINARY: &[&str] = &[
    "web-01.example.com",
    "api-gateway-internal-production-eu-central-1.payments.example.com",
    "pay-7d9f8b6c5d-x2kqz",
    "kubectl logs -n payments pay-7d9f8b6c5d-x2kqz -c nginx",
    "550e8400-e29b-41d4-a716-446655440000",
    "550E8400-e29b-41d4-a716-446655440000",
    "arn:aws:acm:eu-central-1:123456789012:certificate/12345678-1234-1234-1234-123456789012",
    "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/my-lb/50dc6c495c0c9188",
    "https://Shop.example.com:8443/Cart/Checkout/Item-1234567890?Session=ABC",
    "https://grafana.example.com/d/rYdddlPWk/node-exporter-full?orgId=1&from=now-6h&to=now",
    "https://de.wikipedia.org/wiki/ÄÖÜäöüß",
    "alice.van.der.berg@payments.example.co.uk",
    "CN=shop.example.com, O=Example Organisation GmbH, L=München, C=DE",
    "/C=DE/O=Example Organisation/OU=WebServices01/CN=shop.example.com",
    "subject=C = US, ST = California, L = San Francisco, O = \"Cloudflare, Inc.\", CN = sni.cloudflaressl.com",
    "CN=DigiCert Global G2 TLS RSA SHA256 2020 CA1,O=DigiCert Inc,C=US",
    "CN=DigiCertGlobalG2TLSRSASHA2562020CA1",
    "issuer=C = US, O = Let's Encrypt, CN = R11",
    "00:f4:2a:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11",
    "4f2a001122334455",
    "4F 2A 00 11 22 33 44 55 66 77 88 99 AA BB CC DD EE FF 00 11",
    "4f-2a-00-11-22-33-44-55-66-77-88-99-aa-bb-cc-dd-ee-ff-00-11",
    "0x4f2a0011223344556677",
    "serial: 1234567890123456789012345678901234567890123456789",
    "4660 (0x1234)",
    "Serial Number: 5704371951606383701 (0x4f2a001122334455)",
    "2026-11-29T14:05:33.123456+01:00",
    "Nov 29 14:05:33 web-01 nginx[12345]: SSL_do_handshake() failed serial 4f2a0011223344556677",
    "2026-11-29 14:05:33,123 ERROR [http-nio-8443-exec-10] c.e.tls.CertificateValidator - certificate expired: serial=4f:2a:00:11:22:33:44:55",
    "10.0.0.1 - - [29/Nov/2026:14:05:33 +0100] \"GET /api/v1/certs/crt_01KBCD9XQ2Y7Z8W3V4T5S6R7N8 HTTP/1.1\" 200 1234",
    "/etc/letsencrypt/live/shop.example.com/fullchain.pem",
    "C:\\Program Files\\nginx\\conf\\certs\\shop.example.com.pem",
    "/var/lib/kubelet/pods/550e8400-e29b-41d4-a716-446655440000/volumes/kubernetes.io~secret/tls-certs",
    "~/.config/cmp-console/config.toml",
    "INC-20261129-1 and OPS-12345, CHG0034567",
    "Zertifikatsverwaltungsstelle der Donaudampfschifffahrtsgesellschaft",
    "läuft morgen ab, bitte sofort erneuern: Schlüssel liegt auf web-01",
    "сертификат истекает завтра, обновите пожалуйста",
    "O=Общество с ограниченной ответственностью Ромашка",
    "xn--bcher-kva.example.com",
    "xn--80aesfpebagmfblc0a.xn--p1ai",
    "xn--mnchner-rathaus-3vb.example.de",
    "株式会社サンプル.example.jp",
    "crt_01KBCD9XQ2Y7Z8W3V4T5S6R7N8",
    "run_01kbcd9xq2y7z8w3v4t5s6r7n8",
    "agt_01KBCD9XQ2Y7Z8W3V4T5S6R7N8 req_01KBCD9XQ2Y7Z8W3V4T5S6R7N9",
    "openssl s_client -connect web-01.example.com:443 -servername shop.example.com </dev/null | openssl x509 -noout -text",
    "web-01 web-02 web-03 web-04 web-05 web-06 web-07 web-08 web-09 web-10",
    "workers 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
    "status:valid issuer:\"Example Issuing CA 3\" expires<30d",
    "100% of web-01, 50%25",
    "DNS:a.example.com, DNS:*.b.example.com, IP Address:2001:db8::10",
    "DNS:shop.example.com, IP Address:10.0.0.1, IP Address:10.0.0.2, IP Address:10.0.0.3, IP Address:192.168.178.21",
    "C:\\001\\002\\certs and \\n in between, 20% of 100%",
    "{\"id\":\"crt_01KBCD9XQ2Y7Z8W3V4T5S6R7N8\",\"version\":3,\"subject\":\"CN=Shop\"}",
    "role_id: 6a174c20-f6de-a53c-74d2-6018fcceff64",
    "THE SERVICE WEB-01 (SHOP) IS DOWN SINCE 03:12, SEE INC-4711: BEGIN AT ONCE",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",
    "the key leaked in a chat on 2026-11-29 at 14:05, INC-20261129-1, see Jira OPS-12345",
    "sorry, try again: the certificate of web-01 could not be renewed yesterday.\\n  /usr/bin/openssl s_client -connect web-01:443 | head\\n:quit, :unlock 15m INC-1 because\\nX yes y",
    "[2001:db8::10]:443",
    "error:0A000415:SSL routines::sslv3 alert certificate expired:ssl/record/rec_layer_s3.c:1584:SSL alert number 45",
    "ingress-nginx-controller-6d5f55986b-9z7xk",
    "gke-prod-cluster-default-pool-3c2f1a9d-x7k2",
    "ip-10-0-12-34.eu-central-1.compute.internal",
    "ec2-3-120-45-67.eu-central-1.compute.amazonaws.com",
    "sha256:0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "registry.example.com/team/app@sha256:0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "commit 4f2a00112233445566778899aabbccddeeff0011",
    "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "SHA256 Fingerprint=0A:1B:2C:3D:4E:5F:60:71:82:93:A4:B5:C6:D7:E8:F9:0A:1B:2C:3D:4E:5F:60:71:82:93:A4:B5:C6:D7:E8:F9",
    "OU=Network Operations Center,O=Deutsche Telekom Security GmbH,C=DE,serialNumber=HRB 15241",
    "notBefore=Nov 29 14:05:33 2026 GMT notAfter=Feb 27 14:05:33 2027 GMT",
    "Cluster01-Node17.dc2.fra.example.net",
    "smtp01.mail.protection.outlook.com:25",
    "vpn-gw-03a.fra2.example.com|vpn-gw-03b.fra2.example.com",
    "urn:cmp:agent:agt_01KBCD9XQ2Y7Z8W3V4T5S6R7N8",
    "spiffe://cluster.local/ns/payments/sa/checkout-service",
    "s3://example-backups-eu/2026/11/29/inventory.csv.gz",
    "git@github.com:example-org/cert-manager-config.git",
    "{\"level\":\"error\",\"ts\":1764423933.123,\"msg\":\"tls handshake failed\",\"serial\":\"4f2a001122334455\",\"host\":\"web-01\"}",
    "level=warn ts=2026-11-29T14:05:33Z caller=handshake.go:123 msg=\"remote error: tls: expired certificate\" addr=10.0.0.1:51234",
    "Zażółć gęślą jaźń, Société Générale, Łódź",
    "Ελληνική Δημοκρατία",
    "/api/v1/keys/0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "RITM0012345 / CTASK0045678 / PRB0001234",
    "QWERTZ Kundenportal Nordrhein-Westfalen GmbH & Co. KG",
    "_acme-challenge.www.shop.example.com. 300 IN TXT",
    "1.3.6.1.4.1.311.21.8 and 2.23.140.1.2.1",
    "ISRG Root X1, GlobalSign GCC R3 DV TLS CA 2020, Amazon RSA 2048 M03",
    "pg_dump -h db-01 -U cmp -d cmp_production > /backup/cmp_2026-11-29.sql",
    "x509: certificate has expired or is not yet valid: current time 2026-11-29T14:05:33Z is after 2026-11-28T23:59:59Z",
    "PKIX path building failed: sun.security.provider.certpath.SunCertPathBuilderException",
    "NET::ERR_CERT_DATE_INVALID SSL_ERROR_RX_RECORD_TOO_LONG MOZILLA_PKIX_ERROR_REQUIRED_TLS_FEATURE_MISSING",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 ECDHE-RSA-AES128-GCM-SHA256",
];

/// A number in an alphabet, the first digit in front.
fn number(bytes: &[u8], alphabet: &str) -> String {
    let letters = alphabet.as_bytes();
    let mut octets = bytes.to_vec();
    let mut digits = Vec::new();
    while octets.iter().any(|octet| *octet > 0) {
        let mut carried = 0;
        for octet in &mut octets {
            carried = carried * 256 + usize::from(*octet);
            *octet = u8::try_from(carried / letters.len()).unwrap();
            carried %= letters.len();
        }
        digits.push(char::from(letters[carried]));
    }
    digits.iter().rev().collect()
}

const DIGITS: &str = "0123456789";
const BASE36: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const CROCKFORD: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BASE45: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const BASE58: &str = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";
const Z85: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

fn base45(bytes: &[u8]) -> String {
    let letter = |at: usize| char::from(BASE45.as_bytes()[at % 45]);
    let of = |two: &[u8]| -> String {
        match two {
            [one, two] => {
                let n = usize::from(*one) * 256 + usize::from(*two);
                [n, n / 45, n / 2025].map(letter).iter().collect()
            }
            _ => [usize::from(two[0]), usize::from(two[0]) / 45]
                .map(letter)
                .iter()
                .collect(),
        }
    };
    bytes.chunks(2).map(of).collect()
}

fn z85(bytes: &[u8]) -> String {
    super::super::samples::base85(bytes, Z85)
}

/// Those bytes as programs and people write them.
fn wrappings(bytes: &[u8]) -> Vec<(&'static str, String)> {
    let each = |print: &dyn Fn(&u8) -> String, between: &str| -> String {
        bytes.iter().map(print).collect::<Vec<_>>().join(between)
    };
    let words = |n: usize, print: &dyn Fn(&[u8]) -> String, between: &str| -> String {
        bytes.chunks(n).map(print).collect::<Vec<_>>().join(between)
    };
    let hex = |byte: &u8| format!("{byte:02x}");
    let capital = |byte: &u8| format!("{byte:02X}");
    let decimal = |byte: &u8| byte.to_string();
    let od = |n: usize, width: usize| -> String {
        let word = |word: &[u8]| {
            let reversed: Vec<u8> = word.iter().rev().copied().collect();
            match width {
                0 => hex::encode(reversed),
                width => format!("{:>width$}", number(&reversed, DIGITS)),
            }
        };
        let line = |(at, line): (usize, &[u8])| {
            let words: Vec<String> = line.chunks(n).map(word).collect();
            format!("{:07o} {}", at * 16, words.join(" "))
        };
        bytes
            .chunks(16)
            .enumerate()
            .map(line)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let body = STANDARD.encode(bytes);
    let lines = |n: usize| -> String {
        let line = |(at, line): (usize, &[u8])| format!("{at:02}: {}", String::from_utf8_lossy(line));
        let lines = body.as_bytes().chunks(n).enumerate().map(line);
        lines.collect::<Vec<_>>().join("\n")
    };
    let base32hex = data_encoding::BASE32HEX.encode(bytes);
    let crockford = number(bytes, CROCKFORD);
    let groups = |text: &str, n: usize, between: &str| -> String {
        let groups = text.as_bytes().chunks(n).map(String::from_utf8_lossy);
        groups.collect::<Vec<_>>().join(between)
    };
    vec![
        ("bytea", format!("\\x{}", hex::encode(bytes))),
        (
            "16 bits a word",
            words(2, &|it| format!("0x{}", hex::encode(it)), ", "),
        ),
        (
            "32 bits a word",
            words(4, &|it| format!("0x{}", hex::encode(it)), ", "),
        ),
        ("decimals with |", each(&decimal, "|")),
        ("decimals with spaces and |", each(&decimal, " | ")),
        ("decimals with ;", each(&decimal, ";")),
        ("decimals with .", each(&decimal, ".")),
        ("decimals in YAML", each(&|byte| format!("- {byte}"), "\n")),
        ("hex with .", each(&hex, ".")),
        ("hex with /", each(&hex, "/")),
        ("hex with _", each(&hex, "_")),
        ("hex in capitals with .", each(&capital, ".")),
        ("hex behind =", each(&|byte| format!("={byte:02X}"), "")),
        ("hex behind $", each(&|byte| format!("${byte:02X}"), ",")),
        ("hex before h", each(&|byte| format!("{byte:02X}h"), " ")),
        ("bits", each(&|byte| format!("{byte:08b}"), " ")),
        ("octal numbers", each(&|byte| format!("0o{byte:o}"), ", ")),
        ("HTML", each(&|byte| format!("&#{byte};"), "")),
        ("od -t x8", od(8, 0)),
        ("od -t u4", od(4, 10)),
        ("numbered lines of 64", lines(64)),
        ("numbered lines of 16", lines(16)),
        ("base32hex", base32hex.clone()),
        ("base32hex in small letters", base32hex.to_lowercase()),
        ("Crockford", crockford.clone()),
        ("Crockford in small letters", crockford.to_lowercase()),
        ("Crockford in groups", groups(&crockford, 5, "-")),
        ("base36", number(bytes, BASE36)),
        ("base36 in small letters", number(bytes, BASE36).to_lowercase()),
        ("base45", base45(bytes)),
        ("base58", number(bytes, BASE58)),
        ("base62", number(bytes, BASE62)),
        ("letters alone", number(bytes, LETTERS)),
        ("z85", z85(bytes)),
    ]
}

/// A P-256 key in PKCS#8, and its number.
fn key() -> (Vec<u8>, Vec<u8>) {
    let number = bytes(9, 32);
    let begins =
        hex::decode("308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420").unwrap();
    let behind = hex::decode("a144034200").unwrap();
    let whole = [begins, number.clone(), behind, vec![4], bytes(10, 64)].concat();
    (whole, number)
}

/// Output of `openssl asn1parse` for such a key, and the line that has its number.
fn asn1parse(number: &[u8]) -> [String; 2] {
    let line = format!(
        "    5:d=1  hl=2 l=  32 prim: OCTET STRING      [HEX DUMP]:{}",
        hex::encode_upper(number)
    );
    let whole = format!(
        "    0:d=0  hl=2 l= 119 cons: SEQUENCE          \n    2:d=1  hl=2 l=   1 prim: INTEGER           :01\n{line}\n   39:d=1  hl=2 l=  10 cons: cont [ 0 ]        \n   41:d=2  hl=2 l=   8 prim: OBJECT            :prime256v1\n"
    );
    [whole, line]
}

#[test]
fn what_people_look_for_is_shown_whole_and_while_it_is_typed() {
    assert!(ORDINARY.len() >= 60);
    for text in ORDINARY {
        for around in [(*text).to_owned(), format!("find {text}"), format!("  {text}\n")] {
            assert_eq!(material_in(&around), None, "{around}");
        }
        for (at, _) in text.char_indices() {
            assert_eq!(material_so_far(&text[..at]), None, "{}", &text[..at]);
        }
    }
}

#[test]
fn a_key_is_not_shown_in_any_wrapping_though_nobody_has_named_it() {
    let (whole, scalar) = key();
    let mut all: Vec<(String, String)> = Vec::new();
    for (what, bytes) in [("key", &whole), ("scalar", &scalar)] {
        let wrappings = wrappings(bytes).into_iter();
        all.extend(wrappings.map(|(name, text)| (format!("{what}: {name}"), text)));
    }
    all.extend(asn1parse(&scalar).map(|text| ("asn1parse".to_owned(), text)));
    // The bare number in base64 is as long as a hash, and so written that it can't be told from one.
    all.retain(|(name, _)| name != "scalar: numbered lines of 64");
    assert!(all.len() >= 60);
    for (name, text) in &all {
        for around in [
            text.clone(),
            format!("find {text}"),
            format!("it leaked: {text} in a chat"),
        ] {
            assert!(material_in(&around).is_some(), "{name}: {around}");
        }
    }
}

/// Alphabets have letters that are words by chance; a key is long enough that it doesn't matter.
#[test]
fn it_does_not_depend_on_the_key() {
    let names = [
        "base32hex",
        "Crockford",
        "base36",
        "base45",
        "base58",
        "z85",
        "letters alone",
        "hex with .",
        "od -t x8",
    ];
    let mut shown = Vec::new();
    for seed in 20..120 {
        for (name, text) in wrappings(&bytes(seed, 32)) {
            if names.contains(&name) && material_in(&text).is_none() {
                shown.push((seed, name, text));
            }
        }
    }
    assert!(shown.is_empty(), "{shown:#?}");
}

#[test]
fn what_says_that_it_is_public_hides_nothing_behind_it() {
    let (_, scalar) = key();
    let base32hex = data_encoding::BASE32HEX.encode(&scalar);
    for text in [
        format!(
            "-----BEGIN OpenVPN Static key V1-----\n{}\n-----END OpenVPN Static key V1-----",
            hex::encode(bytes(3, 256))
        ),
        format!("-----BEGIN CERTIFICATE-----\n{base32hex}\n-----END CERTIFICATE-----"),
        format!("-----BEGIN CERTIFICATE-----\n{base32hex}"),
        format!("Certificate:\n{base32hex}"),
    ] {
        assert!(material_in(&text).is_some(), "{text}");
    }
}

#[test]
fn a_long_text_costs_what_its_length_is() {
    let (whole, _) = key();
    for text in [
        "ab ".repeat(200_000),
        "30 ".repeat(200_000),
        "word, ".repeat(100_000),
        hex::encode(&whole).repeat(2_000),
    ] {
        let _ = super::reads(&text, true);
        let _ = super::reads(&text, false);
    }
    assert_eq!(
        material_in(&"the certificate of web-01 expired. ".repeat(300)),
        None
    );
    assert!(!matches!(material_in("a word "), Some(Material::Piece)));
}
