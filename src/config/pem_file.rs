//! The one strict reader of PEM files that people name in options: certificates, and the key of one. What other
//! readers pass over in silence, so that a certificate is missing in the end, is refused by name, with what to do.

use crate::domain::told::quoted;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use zeroize::Zeroizing;

/// No file is larger: the CAs of a whole system are a quarter of a megabyte.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// RSA with fewer bits can be broken, and is refused by those who are to trust it.
const LEAST_RSA_BITS: usize = 2048;
/// Opens a pipe without waiting for its writer.
const WITHOUT_WAITING: i32 = OFlags::NONBLOCK.bits().cast_signed();

/// Why a file is of no use, in words that follow its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemRefusal {
    /// The system refused.
    #[error("can't be read: {0}")]
    Unreadable(String),
    /// It isn't a file.
    #[error("is not a plain file; name the PEM file itself")]
    NotPlain,
    /// It is too large.
    #[error("is larger than 4 MiB, which no such file is; name the right one")]
    Large,
    /// UTF-8 with a byte order mark.
    #[error(
        "begins with a byte order mark (BOM), which hides its first block from others; save it without: `sed -i '1s/^\\xef\\xbb\\xbf//' FILE`"
    )]
    ByteOrderMark,
    /// UTF-16.
    #[error("is UTF-16 text, as some editors save it; convert it: `iconv -f UTF-16 -t ASCII FILE`")]
    Utf16,
    /// Binary.
    #[error(
        "is DER, not PEM; convert it: `openssl x509 -inform der -in FILE` (a key: `openssl pkey -inform der -in FILE`)"
    )]
    Der,
    /// `-----END …----------BEGIN …-----`
    #[error(
        "has two blocks joined in line {line}, where a line end is missing; put `-----BEGIN` on a line of its own"
    )]
    Joined {
        /// Counted from 1.
        line: usize,
    },
    /// A block without end, an end without begin, or one within another.
    #[error("is damaged in line {line}: {what}")]
    Damaged {
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// Something that has no business in it.
    #[error("has a block `{label}` in line {line}, which is neither a certificate nor a key; take it out")]
    Foreign {
        /// What it says that it is.
        label: String,
        /// Counted from 1.
        line: usize,
    },
    /// openssl's own form of a certificate.
    #[error(
        "has a `TRUSTED CERTIFICATE` in line {line}, openssl's own form; convert it: `openssl x509 -in FILE`"
    )]
    Trusted {
        /// Counted from 1.
        line: usize,
    },
    /// The key is encrypted.
    #[error(
        "has an encrypted private key in line {line}, and nobody is there to type its passphrase; write it without one: \
         `openssl pkey -in FILE -out NEW`, and let the file's rights guard it (0600)"
    )]
    Encrypted {
        /// Counted from 1.
        line: usize,
    },
    /// No certificate.
    #[error("holds no certificate in PEM")]
    NoCertificate,
    /// No key.
    #[error("holds no private key in PEM")]
    NoKey,
    /// More than one key.
    #[error("holds {0} private keys; leave one")]
    Keys(usize),
    /// A weak certificate.
    #[error(
        "has a certificate with an RSA key of {bits} bits in line {line} ({}), which nobody trusts any more; make one with {LEAST_RSA_BITS} or more", quoted(.subject)
    )]
    Weak {
        /// The key's length.
        bits: usize,
        /// Counted from 1.
        line: usize,
        /// Whose it is.
        subject: String,
    },
}

/// All certificates of a file in DER, in its order; there is at least one.
///
/// # Errors
/// The file can't be read, or not all of it is what belongs there.
pub fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, PemRefusal> {
    certificates_of(&read(path)?)
}

/// The private key of a file, as PEM with nothing beside it.
///
/// # Errors
/// The file can't be read, holds no key or several, or an encrypted one.
pub fn private_key(path: &Path) -> Result<Zeroizing<String>, PemRefusal> {
    private_key_of(&read(path)?)
}

/// The certificates of a file's content.
///
/// # Errors
/// See [`certificates`].
pub fn certificates_of(content: &[u8]) -> Result<Vec<Vec<u8>>, PemRefusal> {
    let mut found = Vec::new();
    for block in blocks(content)? {
        if block.label == "CERTIFICATE" {
            let der = block.der()?;
            check(&block, &der)?;
            found.push(der);
        }
    }
    if found.is_empty() {
        return Err(PemRefusal::NoCertificate);
    }
    Ok(found)
}

/// The private key of a file's content.
///
/// # Errors
/// See [`private_key`].
pub fn private_key_of(content: &[u8]) -> Result<Zeroizing<String>, PemRefusal> {
    let blocks = blocks(content)?;
    let mut keys = blocks.iter().filter(|block| block.is_key());
    let Some(key) = keys.next() else {
        return Err(PemRefusal::NoKey);
    };
    if key.label == "ENCRYPTED PRIVATE KEY" || key.text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(PemRefusal::Encrypted { line: key.line });
    }
    match keys.count() {
        0 => Ok(Zeroizing::new(key.text.to_string())),
        more => Err(PemRefusal::Keys(1 + more)),
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, PemRefusal> {
    let unreadable = |error: io::Error| PemRefusal::Unreadable(error.to_string());
    let open = || {
        OpenOptions::new()
            .read(true)
            .custom_flags(WITHOUT_WAITING)
            .open(path)
    };
    let file: File = open().map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err(PemRefusal::NotPlain);
    }
    // With room for all, so that no copy of a key stays behind when it grows.
    let room = usize::try_from(found.len().min(MAX_BYTES)).unwrap_or_default() + 1;
    let mut content = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut content)
        .map_err(unreadable)?;
    if content.len() as u64 > MAX_BYTES {
        return Err(PemRefusal::Large);
    }
    Ok(content)
}

/// One block, its two lines included.
struct Block {
    label: String,
    line: usize,
    text: Zeroizing<String>,
}

impl Block {
    fn is_key(&self) -> bool {
        self.label.ends_with("PRIVATE KEY")
    }

    fn damaged(&self, what: impl Into<String>) -> PemRefusal {
        PemRefusal::Damaged {
            line: self.line,
            what: what.into(),
        }
    }

    fn der(&self) -> Result<Vec<u8>, PemRefusal> {
        pem::parse(self.text.as_str())
            .map(pem::Pem::into_contents)
            .map_err(|error| self.damaged(format!("the block that begins there can't be decoded: {error}")))
    }
}

/// What may stand in such a file: certificates, a key, and the parameters that openssl writes before one.
fn is_known(label: &str) -> bool {
    matches!(
        label,
        "CERTIFICATE"
            | "PRIVATE KEY"
            | "RSA PRIVATE KEY"
            | "EC PRIVATE KEY"
            | "ENCRYPTED PRIVATE KEY"
            | "EC PARAMETERS"
            | "DH PARAMETERS"
    )
}

/// Every block, in order. What stands between blocks is a comment, as openssl writes them.
fn blocks(content: &[u8]) -> Result<Vec<Block>, PemRefusal> {
    match content {
        [0xef, 0xbb, 0xbf, ..] => return Err(PemRefusal::ByteOrderMark),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Err(PemRefusal::Utf16),
        [0x30, 0x80..=0x84, ..] => return Err(PemRefusal::Der),
        _ if content.contains(&0) => return Err(PemRefusal::Utf16),
        _ => {}
    }
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (index, bytes) in content.split(|byte| *byte == b'\n').enumerate() {
        let line = index + 1;
        let damaged = |what: &str| PemRefusal::Damaged {
            line,
            what: what.to_owned(),
        };
        // A comment may be in any encoding.
        let text = Zeroizing::new(String::from_utf8_lossy(bytes).into_owned());
        let text = text.trim_end();
        let marks = text.matches("-----BEGIN ").count() + text.matches("-----END ").count();
        if marks > 1 {
            return Err(PemRefusal::Joined { line });
        }
        let begins = text
            .strip_prefix("-----BEGIN ")
            .and_then(|rest| rest.strip_suffix("-----"));
        let ends = text
            .strip_prefix("-----END ")
            .and_then(|rest| rest.strip_suffix("-----"));
        if marks == 1 && begins.is_none() && ends.is_none() {
            return Err(damaged(
                "`-----BEGIN …-----` and `-----END …-----` have to stand on lines of their own",
            ));
        }
        match (&mut open, begins, ends) {
            (Some(block), Some(_), _) => {
                return Err(damaged(&format!(
                    "the block that begins in line {} has no end",
                    block.line
                )));
            }
            (None, Some(label), _) => {
                if label == "TRUSTED CERTIFICATE" {
                    return Err(PemRefusal::Trusted { line });
                }
                if !is_known(label) {
                    let label = label.chars().filter(|c| !c.is_control()).take(40).collect();
                    return Err(PemRefusal::Foreign { label, line });
                }
                open = Some(Block {
                    label: label.to_owned(),
                    line,
                    text: Zeroizing::new(format!("{text}\n")),
                });
            }
            (None, _, Some(_)) => return Err(damaged("a block ends that didn't begin")),
            (Some(block), _, Some(label)) => {
                if block.label != label {
                    return Err(damaged(&format!(
                        "a `{}` can't end as another block",
                        block.label
                    )));
                }
                block.text.push_str(text);
                block.text.push('\n');
                found.extend(open.take());
            }
            (Some(block), None, None) => {
                block.text.push_str(text);
                block.text.push('\n');
            }
            (None, None, None) => {}
        }
    }
    match open {
        Some(block) => Err(block.damaged("the block that begins there has no end")),
        None => Ok(found),
    }
}

fn check(block: &Block, der: &[u8]) -> Result<(), PemRefusal> {
    let (rest, read) = X509Certificate::from_der(der).map_err(|error| {
        block.damaged(format!(
            "the certificate that begins there can't be read: {error}"
        ))
    })?;
    if !rest.is_empty() {
        return Err(block.damaged("bytes follow the certificate that begins there"));
    }
    match read.public_key().parsed() {
        Ok(PublicKey::RSA(key)) if key.key_size() < LEAST_RSA_BITS => Err(PemRefusal::Weak {
            bits: key.key_size(),
            line: block.line,
            subject: read.subject().to_string(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn certificate() -> String {
        let key = KeyPair::generate().unwrap();
        CertificateParams::new(vec!["a.example".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap()
            .pem()
    }

    fn refusal(content: &[u8]) -> PemRefusal {
        certificates_of(content).unwrap_err()
    }

    #[test]
    fn what_others_pass_over_is_refused_by_name() {
        let one = certificate();
        let two = certificate();
        let bom = [b"\xef\xbb\xbf".as_slice(), one.as_bytes(), two.as_bytes()].concat();
        assert_eq!(refusal(&bom), PemRefusal::ByteOrderMark);
        let utf16: Vec<u8> = one.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(refusal(&utf16), PemRefusal::Utf16);
        assert_eq!(
            refusal(&[b"\xff\xfe".as_slice(), &utf16].concat()),
            PemRefusal::Utf16
        );
        let n_lines = one.lines().count();
        let joined = format!("{}{two}", one.trim_end());
        assert_eq!(refusal(joined.as_bytes()), PemRefusal::Joined { line: n_lines });
        let der = pem::parse(&one).unwrap().into_contents();
        assert_eq!(refusal(&der), PemRefusal::Der);
        let cut = format!("{}\n{two}", one.lines().take(3).collect::<Vec<_>>().join("\n"));
        assert!(refusal(cut.as_bytes()).to_string().contains("line 1 has no end"));
        let indented = format!("  {one}");
        assert!(matches!(
            refusal(indented.as_bytes()),
            PemRefusal::Damaged { line: 1, .. }
        ));
        let swapped = one.replacen("END CERTIFICATE", "END PRIVATE KEY", 1);
        assert!(matches!(refusal(swapped.as_bytes()), PemRefusal::Damaged { .. }));
        for (label, is) in [
            ("TRUSTED CERTIFICATE", "openssl's own form"),
            ("X509 CRL", "neither"),
        ] {
            let other = one.replace(" CERTIFICATE-", &format!(" {label}-"));
            let words = refusal(other.as_bytes()).to_string();
            assert!(words.contains(label) && words.contains(is), "{words}");
        }
        let broken = one.replacen("\nM", "\nM*", 1);
        assert!(matches!(
            refusal(broken.as_bytes()),
            PemRefusal::Damaged { line: 1, .. }
        ));
        assert_eq!(refusal(b""), PemRefusal::NoCertificate);
        assert_eq!(
            refusal(KeyPair::generate().unwrap().serialize_pem().as_bytes()),
            PemRefusal::NoCertificate
        );
    }

    #[test]
    fn what_is_good_is_read_whole() {
        let all = [certificate(), "subject=CN = \u{fc}\n".to_owned(), certificate()].concat();
        let latin1 = [b"# gr\xfc\xdfe\n".as_slice(), all.as_bytes()].concat();
        for text in [
            all.clone().into_bytes(),
            all.replace('\n', "\r\n").into_bytes(),
            latin1,
        ] {
            assert_eq!(certificates_of(&text).unwrap().len(), 2);
        }
        // Combined with its key, as HAProxy reads it.
        let key = KeyPair::generate().unwrap().serialize_pem();
        let combined = [all.as_str(), &key].concat();
        assert_eq!(certificates_of(combined.as_bytes()).unwrap().len(), 2);
        assert_eq!(
            private_key_of(combined.as_bytes()).unwrap().trim(),
            key.replace("\r\n", "\n").trim()
        );
    }

    #[test]
    fn a_key_is_one_and_in_the_clear() {
        let key = KeyPair::generate().unwrap().serialize_pem();
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
                   -----END RSA PRIVATE KEY-----\n";
        for text in [encrypted.as_str(), old] {
            let words = private_key_of(text.as_bytes()).unwrap_err().to_string();
            assert!(
                words.contains("encrypted") && words.contains("openssl pkey"),
                "{words}"
            );
        }
        let twice = format!("{key}{key}");
        assert_eq!(private_key_of(twice.as_bytes()), Err(PemRefusal::Keys(2)));
        assert_eq!(private_key_of(certificate().as_bytes()), Err(PemRefusal::NoKey));
    }

    #[test]
    fn a_weak_certificate_is_refused_with_its_name_and_line() {
        // `openssl req -x509 -newkey rsa:1024`, behind a good one.
        let weak = include_str!("weak_rsa_1024.pem");
        let good = certificate();
        let line = good.lines().count() + 1;
        let refused = refusal(format!("{good}{weak}").as_bytes());
        let PemRefusal::Weak {
            bits,
            line: at,
            subject,
        } = &refused
        else {
            panic!("{refused}")
        };
        assert_eq!((*bits, *at), (1024, line));
        assert!(subject.contains("weak.example"), "{subject}");
        assert!(
            refused.to_string().contains("make one with 2048 or more"),
            "{refused}"
        );
    }

    #[test]
    fn what_is_no_plain_file_is_not_read() {
        assert_eq!(certificates(Path::new("/")), Err(PemRefusal::NotPlain));
        assert_eq!(certificates(Path::new("/dev/null")), Err(PemRefusal::NotPlain));
        assert!(matches!(
            certificates(Path::new("/no/such")),
            Err(PemRefusal::Unreadable(_))
        ));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(content in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = (certificates_of(&content), private_key_of(&content));
        }
    }
}
