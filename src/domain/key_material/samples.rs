//! Secrets in every form and wrapping that somebody tried, for the tests.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::KeyPair;

/// Bytes that look random, from a seed.
pub(super) fn bytes(seed: u8, n: usize) -> Vec<u8> {
    let hash = |i: usize| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &[seed, i.to_le_bytes()[0]]);
    (0..n.div_ceil(32))
        .flat_map(|i| hash(i).as_ref().to_vec())
        .take(n)
        .collect()
}

const ASCII85: &str = concat!(
    "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`",
    "abcdefghijklmnopqrstu"
);
pub(super) const BASE85: &str = concat!(
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "!#$%&()*+-;<=>?@^_`{|}~"
);

pub(super) fn base85(bytes: &[u8], alphabet: &str) -> String {
    let of = |four: &[u8]| -> String {
        let mut whole = [0; 4];
        whole[..four.len()].copy_from_slice(four);
        let mut number = u32::from_be_bytes(whole);
        let mut letters = [0; 5];
        for letter in letters.iter_mut().rev() {
            *letter = alphabet.as_bytes()[number as usize % 85];
            number /= 85;
        }
        String::from_utf8_lossy(&letters[..=four.len()]).into_owned()
    };
    bytes.chunks(4).map(of).collect()
}

fn uuencode(bytes: &[u8]) -> String {
    let letter = |bits: u8| char::from(if bits == 0 { b'`' } else { b' ' + bits });
    let line = |line: &[u8]| -> String {
        let of = |three: &[u8]| {
            let at = |i: usize| three.get(i).copied().unwrap_or_default();
            [
                at(0) >> 2,
                (at(0) & 3) << 4 | at(1) >> 4,
                (at(1) & 15) << 2 | at(2) >> 6,
                at(2) & 63,
            ]
            .map(letter)
        };
        let length = letter(u8::try_from(line.len()).unwrap());
        [length].into_iter().chain(line.chunks(3).flat_map(of)).collect()
    };
    bytes.chunks(45).map(line).collect::<Vec<_>>().join("\n")
}

/// Secrets in every form and wrapping that somebody tried.
pub(super) fn secrets() -> Vec<(String, String)> {
    let pair = KeyPair::generate().unwrap();
    let pkcs8 = pair.serialized_der().to_vec();
    let body = STANDARD.encode(&pkcs8);
    let hex = hex::encode(&pkcs8);
    let pairs: Vec<&str> = (0..hex.len() / 2).map(|i| &hex[2 * i..2 * i + 2]).collect();
    let chunks = |n: usize, between: &str| -> String {
        let chunks = body
            .as_bytes()
            .chunks(n)
            .map(|it| String::from_utf8_lossy(it).into_owned());
        chunks.collect::<Vec<_>>().join(between)
    };
    let percent = |text: &str| text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let ed25519 = STANDARD.encode(
        KeyPair::generate_for(&rcgen::PKCS_ED25519)
            .unwrap()
            .serialized_der(),
    );
    let wide = |text: &str| -> String {
        let wide = |c: char| char::from_u32(u32::from(c) + 0xfee0).unwrap();
        text.chars().map(wide).collect()
    };
    // SEC1 as a PKCS#8 holds it.
    let at = pkcs8.windows(3).position(|it| it == [2, 1, 1]).unwrap() - 2;
    let sec1 = &pkcs8[at..];
    let d = URL_SAFE_NO_PAD.encode(bytes(7, 32));
    let printed = |bytes: &[u8]| -> Vec<(&'static str, String)> {
        let all = |print: &dyn Fn(u8) -> String| bytes.iter().map(|byte| print(*byte)).collect::<String>();
        let repr = all(&|byte| match byte {
            b'\\' | b'\'' => format!("\\{}", char::from(byte)),
            b' '..=b'~' => char::from(byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        });
        vec![
            ("od -An -tu1", all(&|byte| format!(" {byte:3}"))),
            ("od -An -td1", all(&|byte| format!(" {:4}", byte.cast_signed()))),
            ("od -An -to1", all(&|byte| format!(" {byte:03o}"))),
            (
                "od -c",
                all(&|byte| match byte {
                    0 => "  \\0".to_owned(),
                    b' '..=b'~' => format!("   {}", char::from(byte)),
                    _ => format!(" {byte:03o}"),
                }),
            ),
            (
                "hexdump",
                bytes
                    .chunks(16)
                    .enumerate()
                    .map(|(n, line)| {
                        let pairs = line.chunks(2).map(|it| match it {
                            [one, two] => format!(" {two:02x}{one:02x}"),
                            _ => format!(" 00{:02x}", it[0]),
                        });
                        format!("{:07x}{}\n", n * 16, pairs.collect::<String>())
                    })
                    .collect(),
            ),
            ("numpy", format!("{bytes:?}").replace(',', "")),
            ("octal escapes", all(&|byte| format!("\\{byte:03o}"))),
            ("escapes where they are needed", format!("b'{repr}'")),
            (
                "escapes in JSON",
                serde_json::json!({ "k": format!("b'{repr}'") }).to_string(),
            ),
            ("escapes without quotes", repr),
            ("bytes in percent", all(&|byte| format!("%{byte:02x}"))),
            ("ascii85", base85(bytes, ASCII85)),
            ("base85", base85(bytes, BASE85)),
            ("uuencode", uuencode(bytes)),
            ("uuencode, one line", uuencode(bytes).replace('\n', " ")),
            (
                "uuencode with its file",
                format!("begin 644 key\n{}\n`\nend", uuencode(bytes)),
            ),
        ]
    };
    let token = "AbC1dEf2GhI3jKl4MnO5pQr6StU7vWx8YzA9bCd0";
    let mut all = vec![
        ("percent", percent(&body)),
        (
            "percent, with line breaks",
            percent(&chunks(64, "%0A")).replace("%250A", "%0A"),
        ),
        ("percent, twice", percent(&body).replace('%', "%25")),
        ("zero width", chunks(30, "\u{200b}")),
        ("soft hyphens", chunks(30, "\u{ad}")),
        ("full width", wide(&ed25519)),
        ("base32 of SEC1", data_encoding::BASE32_NOPAD.encode(sec1)),
        ("base32, cut off", data_encoding::BASE32_NOPAD.encode(&sec1[20..])),
        ("C", pairs.iter().map(|it| format!("0x{it},")).collect()),
        (
            "C, from the middle",
            pairs[40..60].iter().map(|it| format!("0x{it}, ")).collect(),
        ),
        ("backslashes", pairs.iter().map(|it| format!("\\x{it}")).collect()),
        (
            "backslashes, from the middle",
            pairs[40..60].iter().map(|it| format!("\\x{it}")).collect(),
        ),
        ("numbers", format!("{pkcs8:?}")),
        (
            "xxd",
            format!(
                "00000000: {}  0....*.H",
                hex.as_bytes()[..32]
                    .chunks(4)
                    .map(|it| String::from_utf8_lossy(it).into_owned())
                    .collect::<Vec<_>>()
                    .join(" ")
            ),
        ),
        (
            "xxd, from the middle",
            format!(
                "00000020: {}  ........",
                hex.as_bytes()[64..96]
                    .chunks(4)
                    .map(|it| String::from_utf8_lossy(it).into_owned())
                    .collect::<Vec<_>>()
                    .join(" ")
            ),
        ),
        (
            "hexdump",
            format!("00000020  {}  |................|", pairs[32..48].join(" ")),
        ),
        ("pairs from the middle", pairs[40..73].join(":")),
        ("d alone", format!("\"d\":\"{d}\"")),
        ("d with its name", format!("d={d}")),
        ("single quotes", format!("{{'kty':'EC','d':'{d}'}}")),
        ("no quotes", format!("{{kty: EC, d: {d}}}")),
        ("the middle", body[60..120].to_owned()),
        ("first 40", body[..40].to_owned()),
        ("second half", body[100..].to_owned()),
        ("backwards", body.chars().rev().collect()),
        ("commas", chunks(48, ",")),
        ("bars", chunks(40, "|")),
        ("groups of eight", chunks(8, " ")),
        ("groups from the middle", chunks(8, " ")[80..160].to_owned()),
        ("a diff", chunks(64, "\n+")),
        ("numbered lines", chunks(64, "\n  2\t")),
        ("quoted printable", chunks(60, "=\n").replace("==", "=3D=3D")),
        (
            "UTF-16",
            STANDARD.encode(
                pair.serialize_pem()
                    .encode_utf16()
                    .flat_map(u16::to_le_bytes)
                    .collect::<Vec<_>>(),
            ),
        ),
        ("decimal", "7".repeat(77)),
        (
            "JWT",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
                .to_owned(),
        ),
        ("old token", "s.AbC1dEf2GhI3jKl4MnO5pQr6".to_owned()),
        ("token in words", format!("X-Vault-Token: hvs.{token}")),
        (
            "token in a URL",
            format!("https://vault:8200/v1/?token=hvs.{token}"),
        ),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), text))
    .collect::<Vec<_>>();
    for begins in ["hvs.", "hvb.", "hvr.", "cmp_"] {
        all.push((format!("{begins} token"), format!("{begins}{token}")));
    }
    for n in [
        17, 18, 19, 21, 24, 25, 28, 30, 31, 33, 34, 47, 48, 49, 64, 65, 128, 129,
    ] {
        let share = bytes(u8::try_from(n).unwrap(), n);
        all.push((format!("{n} bytes in base64"), STANDARD.encode(&share)));
        if n > 20 {
            all.push((format!("{n} bytes in hex"), hex::encode(&share)));
            all.push((format!("{n} bytes in HEX"), hex::encode_upper(&share)));
        }
    }
    let mut printed_all = printed(&pkcs8);
    for seed in 0..12 {
        printed_all.extend(printed(&bytes(seed, 33)));
    }
    all.extend(
        printed_all
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text)),
    );
    let share = STANDARD.encode(bytes(33, 33));
    for (name, text) in [("a share", &share), ("a key", &body)] {
        let apart = |n: usize, by: &str| -> String {
            let groups = text.as_bytes().chunks(n).map(String::from_utf8_lossy);
            groups.collect::<Vec<_>>().join(by)
        };
        for (n, by) in [
            (1, " "),
            (1, ","),
            (1, ", "),
            (1, "-"),
            (1, "\n"),
            (2, " "),
            (3, " "),
        ] {
            all.push((format!("{name}, {n} by {n} with {by:?}"), apart(n, by)));
        }
    }
    all.push((
        "the secret of an AppRole".to_owned(),
        "secret_id: 6a174c20-f6de-a53c-74d2-6018fcceff64".to_owned(),
    ));
    all.push((
        "a share with its label".to_owned(),
        format!("Unseal Key 1: {share}"),
    ));
    all.push(("a share in percent".to_owned(), percent(&share)));
    all.push(("a share in full width".to_owned(), wide(&share)));
    all
}
