//! Why a server's certificate was not trusted, in words that say what to mend. The libraries wrap the reason
//! several times over and name it for programmers.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use super::causes::sources;

/// What is wrong with a server's certificate, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Distrust {
    /// After "the server's certificate".
    pub(crate) what: String,
    /// The next step.
    pub(crate) hint: &'static str,
    /// It is the CA that isn't known: whoever names CA files elsewhere has a better next step.
    pub(crate) is_of_unknown_ca: bool,
}

/// The reason, if a certificate is why `error` happened.
pub(crate) fn distrust(error: &(dyn Error + 'static)) -> Option<Distrust> {
    sources(error).find_map(of_one)
}

fn of_one(error: &(dyn Error + 'static)) -> Option<Distrust> {
    if let Some(rustls::Error::InvalidCertificate(why)) = error.downcast_ref() {
        return Some(in_words(why));
    }
    // An `io::Error` leaves out the one that it wraps when it is asked for its source.
    let wrapped = error.downcast_ref::<io::Error>()?.get_ref()?;
    distrust(wrapped)
}

fn in_words(why: &CertificateError) -> Distrust {
    use CertificateError as Why;
    let (what, hint) = match why {
        Why::UnknownIssuer => (
            "is from a CA that isn't trusted here".to_owned(),
            "is the CA file (`api_ca` of the context, `server_ca` of the agent) the one of the CA that issued it?",
        ),
        Why::Expired | Why::ExpiredContext { .. } => (
            "has expired".to_owned(),
            "renew it on the server, and check this machine's clock",
        ),
        Why::NotValidYet | Why::NotValidYetContext { .. } => (
            "is not valid yet".to_owned(),
            "check the clocks of this machine and of the server",
        ),
        Why::NotValidForName => (
            "is for another name".to_owned(),
            "use the name that is in it, or have one issued for this name",
        ),
        Why::NotValidForNameContext { presented, .. } => (
            format!("is for another name: it is for {}", names(presented)),
            "use the name that is in it, or have one issued for this name",
        ),
        Why::Revoked => ("was revoked".to_owned(), "have a new one issued for the server"),
        // `openssl req -x509` makes such a one, and the library has no word of its own for it here.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => (
            "is that of a CA, which is not accepted for a server".to_owned(),
            "have it issue one for the server, or make one with `-addext basicConstraints=critical,CA:FALSE`",
        ),
        other => (
            format!("is not accepted: {other}"),
            "have a new one issued for the server",
        ),
    };
    Distrust {
        what,
        hint,
        is_of_unknown_ca: *why == Why::UnknownIssuer,
    }
}

/// The libraries write a name as `DnsName("api.example.com")`.
fn names(presented: &[String]) -> String {
    if presented.is_empty() {
        return "no name at all".to_owned();
    }
    let bare = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        inner.unwrap_or(name).trim_matches('"').to_owned()
    };
    presented.iter().map(bare).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_found_however_it_is_wrapped() {
        let why = rustls::Error::InvalidCertificate(CertificateError::Expired);
        let error = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, why));
        assert_eq!(distrust(&error).unwrap().what, "has expired");
        assert_eq!(distrust(&io::Error::other("else")), None);
    }

    #[test]
    fn names_are_told_bare() {
        let presented = [r#"DnsName("a.example.com")"#.to_owned(), "b".to_owned()];
        assert_eq!(names(&presented), "a.example.com, b");
    }
}
