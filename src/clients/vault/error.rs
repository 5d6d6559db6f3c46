//! How a call to Vault can go wrong, told apart by what the caller does next; no words for people but
//! the CA's own.

use std::error::Error as _;

use reqwest::Url;

use crate::clients::distrust::distrust;
use crate::clients::proxy;
use crate::domain::told::{SAID, cited, said_by, told};
use crate::problem::{Problem, ProblemKind};

/// Why a call did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// 503: sealed or not initialised. Nothing happened; wait for the unseal, burn no attempt.
    #[error("Vault is sealed")]
    Sealed,
    /// 403: the token may not do this, or is no longer valid.
    #[error("Vault denied it: {0}")]
    Denied(String),
    /// 400 and other refusals, in the CA's own words. Asking again gives the same answer.
    #[error("{0}")]
    Refused(String),
    /// 404: no such thing, or no such path.
    #[error("Vault knows no such thing: {0}")]
    NotFound(String),
    /// Nothing happened now; later it may: no connection, 429.
    #[error("{0}")]
    Retry(String),
    /// It may or may not have happened: no answer in time, the connection broke, 5xx.
    #[error("{0}")]
    Unknown(String),
    /// Somebody before Vault doesn't let calls of this sort through: nothing happened, and later it is the same.
    #[error("{0}")]
    Gateway(String),
    /// It answered something that it never should; nobody knows what it did.
    #[error("Vault answered something unexpected: {0}")]
    Garbled(String),
    /// We are not, or no longer, let in; nothing happened. A matter of our credential, not of the call.
    #[error("{0}")]
    Login(String),
    /// The token that was given is no longer taken; nothing happened. Whoever gave it knows whose it is.
    #[error("Vault no longer takes the token: it has ended or was revoked")]
    TokenOver,
    /// The address that was asked sends us on to another one, which nobody named: it did not do it itself.
    #[error("Vault at `{0}` sends the call on to `{1}`, which isn't named here: nothing was sent there")]
    Elsewhere(String, String),
    /// The address that was given is none.
    #[error("`{0}` is not an address of Vault")]
    Address(String),
    /// The namespace that was given is none.
    #[error("`{0}` is not a namespace of Vault")]
    Namespace(String),
    /// The file with Vault's CA, and why it can't be used.
    #[error("the CA file `{0}` can't be used: {1}")]
    Ca(String, String),
}

impl VaultError {
    /// Nobody answered in time.
    #[must_use]
    pub fn late() -> Self {
        Self::Unknown("Vault did not answer in time".to_owned())
    }

    /// Somebody answered in Vault's place: a gateway, a portal. What Vault did nobody knows.
    pub(super) fn foreign(code: u16) -> Self {
        // The method itself is refused, which Vault never does in other words than its own.
        if matches!(code, 405 | 501) {
            return Self::Gateway(format!(
                "a gateway between here and Vault refuses the call's method (status {code}): have it let GET, POST, \
                 PUT and LIST through to Vault"
            ));
        }
        Self::Unknown(format!(
            "there is no answer of Vault: what came (status {code}) is not its own; something between here and \
             Vault answered in its place"
        ))
    }

    /// A redirect to an address that the configuration doesn't name: our token is not sent there.
    pub(super) fn elsewhere(from: &Url, to: Option<&Url>) -> Self {
        let origin = |url: &Url| told(&url.origin().ascii_serialization());
        Self::Elsewhere(origin(from), to.map_or_else(|| "nowhere".to_owned(), origin))
    }

    /// Whether asking again later, with nothing changed, can help.
    #[must_use]
    pub fn may_be_retried(&self) -> bool {
        matches!(
            self,
            Self::Sealed | Self::Retry(_) | Self::Unknown(_) | Self::Garbled(_) | Self::Elsewhere(..)
        )
    }

    /// Whether the token lives and only its policy doesn't allow that.
    pub(super) fn is_of_policy(&self) -> bool {
        matches!(self, Self::Denied(words) if words == NOT_IN_POLICY)
    }

    /// From a status and the `errors` of the body.
    pub(super) fn from_status(code: u16, errors: &[String]) -> Self {
        let words: Vec<String> = errors.iter().map(|words| plain(words)).collect();
        let words = if words.is_empty() {
            format!("Vault answered with status {code} and no words")
        } else {
            told(&words.join("; "))
        };
        // Words of others, which stand in sentences of ours.
        let said = match errors.is_empty() {
            true => words.clone(),
            false => cited(&words, SAID),
        };
        let says = match errors.is_empty() {
            true => words.clone(),
            false => said_by("Vault", &words),
        };
        match code {
            403 if errors.iter().any(|words| is_of_policy(words)) => Self::Denied(NOT_IN_POLICY.to_owned()),
            // A proxy's 503 says nothing of what Vault did with the call.
            503 if says_sealed(&words) => Self::Sealed,
            403 => Self::Denied(said),
            404 => Self::NotFound(said),
            429 => Self::Retry(says),
            // Vault answers 400 "Vault is not initialized" for some paths and 503 for others.
            400 if words.to_lowercase().contains("not initialized") => Self::Sealed,
            // A proxy that waited in vain; Vault may go on with it.
            408 | 499 => Self::Unknown(says),
            400..=499 => Self::Refused(words),
            _ => Self::Unknown(says),
        }
    }

    /// From a call through `reqwest`. Only where no connection came about is it certain that nothing
    /// happened.
    pub(super) fn from_reqwest(error: &reqwest::Error) -> Self {
        if let Some(it) = distrust(error) {
            return Self::Retry(format!("no connection to Vault: its certificate {}", it.what));
        }
        let mut words = String::new();
        let mut cause = error.source();
        while let Some(inner) = cause {
            words = inner.to_string();
            cause = inner.source();
        }
        if error.is_connect() {
            let through = error
                .url()
                .map(|url| proxy::words(url.as_str()))
                .unwrap_or_default();
            Self::Retry(format!("no connection to Vault{through}: {words}"))
        } else if error.is_timeout() {
            Self::late()
        } else {
            Self::Unknown(format!("the connection to Vault broke: {words}"))
        }
    }
}

/// What a denial by policy is told as.
const NOT_IN_POLICY: &str = "the token's policy does not allow it";

/// Whether a denial is a policy's, and not of a token that is none any more. Vault says `permission denied` to both;
/// of a token that it let in so far it counts what else went wrong, and of one that it didn't it may count that.
fn is_of_policy(words: &str) -> bool {
    counted(words).is_some_and(|them| them.trim() == "* permission denied")
}

/// What follows where Vault counts errors: `1 error occurred:` and each on a line of its own.
fn counted(words: &str) -> Option<&str> {
    let (count, them) = words.split_once(" occurred:")?;
    let (n, what) = count.trim().split_once(' ')?;
    (n.parse::<u32>().is_ok() && what.starts_with("error")).then_some(them)
}

/// Vault's words on one line.
fn plain(words: &str) -> String {
    let them = counted(words).unwrap_or(words);
    let lines = them.lines().map(|line| line.trim().trim_start_matches("* "));
    let line = lines
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    told(&line)
}

fn says_sealed(words: &str) -> bool {
    let words = words.to_lowercase();
    words.contains("sealed") || words.contains("not initialized")
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        let what = error.to_string();
        let is_strange = what.contains("certificate");
        let is_ended = what.contains("its certificate has expired");
        match error {
            VaultError::Sealed => Self::unavailable(what).hint("unseal it with `u`"),
            VaultError::Denied(_) => {
                Self::new(ProblemKind::Forbidden, what).hint("give a token whose policy allows it")
            }
            VaultError::Refused(_) => Self::refused(what),
            VaultError::NotFound(_) => Self::not_found(what),
            VaultError::Retry(_) if is_ended => Self::unavailable(what)
                .hint("have Vault's certificate renewed, and check this machine's clock"),
            VaultError::Retry(_) if is_strange => Self::unavailable(what)
                .hint("name the file with its CA: `vault_ca` in the context, `vault.ca` of cmp-server"),
            VaultError::Retry(_) => Self::unavailable(what),
            VaultError::Unknown(_) | VaultError::Garbled(_) | VaultError::Gateway(_) => Self::no_answer(what),
            VaultError::Elsewhere(..) => Self::no_answer(what).hint(
                "give the address of the active node or of what forwards to it; the console follows to `vault_nodes`",
            ),
            VaultError::Login(_) | VaultError::TokenOver => Self::new(ProblemKind::Forbidden, what)
                .hint("give a new token, or the role's id and a new secret id, and start again"),
            VaultError::Address(_) => Self::bad_input(what).hint("such as http://127.0.0.1:8200"),
            VaultError::Namespace(_) => Self::bad_input(what).hint("such as team-a/pki"),
            VaultError::Ca(..) => Self::bad_input(what).hint("it holds certificates in PEM"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, words: &[&str]) -> VaultError {
        VaultError::from_status(code, &words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn each_status_says_what_to_do_next() {
        assert_eq!(status(503, &["Vault is sealed"]), VaultError::Sealed);
        assert_eq!(
            status(503, &["backend busy"]),
            VaultError::Unknown("Vault says `backend busy`".to_owned())
        );
        assert_eq!(
            status(403, &["permission denied"]),
            VaultError::Denied("`permission denied`".to_owned())
        );
        assert_eq!(
            status(400, &["common name x not allowed by this role"]),
            VaultError::Refused("common name x not allowed by this role".to_owned())
        );
        assert!(matches!(status(503, &[]), VaultError::Unknown(_)));
        assert!(matches!(status(408, &[]), VaultError::Unknown(_)));
        assert!(matches!(status(429, &[]), VaultError::Retry(_)));
        assert!(matches!(status(500, &["boom"]), VaultError::Unknown(_)));
        assert!(matches!(status(404, &[]), VaultError::NotFound(_)));
    }

    #[test]
    fn what_is_not_vaults_says_nothing_of_what_vault_did() {
        for status in [400, 401, 403, 404, 429, 500, 502, 503, 504] {
            for body in ["<html>no</html>", "", "{}", r#"{"error":"upstream"}"#] {
                let error = super::super::request::refusal(status, body.as_bytes());
                assert!(
                    matches!(error, VaultError::Unknown(_)),
                    "{status} {body}: {error:?}"
                );
                assert_eq!(Problem::from(error).kind, ProblemKind::NoAnswer);
            }
        }
    }

    #[test]
    fn a_gateway_that_refuses_a_method_is_called_one() {
        for status in [405, 501] {
            for body in ["<html>no</html>", "", r#"{"message":"no"}"#] {
                let error = super::super::request::refusal(status, body.as_bytes());
                assert!(
                    matches!(&error, VaultError::Gateway(words) if words.contains("gateway")),
                    "{error:?}"
                );
                assert!(!error.may_be_retried());
            }
            let own = super::super::request::refusal(status, br#"{"errors":["unsupported operation"]}"#);
            assert!(!matches!(own, VaultError::Gateway(_)), "{own:?}");
        }
    }

    #[test]
    fn a_policy_s_denial_is_told_apart_from_a_token_that_is_none() {
        assert!(status(403, &["1 error occurred:\n\t* permission denied\n\n"]).is_of_policy());
        for none in [
            "permission denied",
            "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n",
            "bad token",
        ] {
            assert!(!status(403, &[none]).is_of_policy(), "{none}");
        }
    }

    #[test]
    fn words_are_one_line() {
        assert_eq!(
            status(400, &["2 errors occurred:\n\t* this\n\t* that\n\n"]),
            VaultError::Refused("this; that".to_owned())
        );
        let unlike = "what occurred: nobody knows";
        assert_eq!(status(400, &[unlike]), VaultError::Refused(unlike.to_owned()));
    }

    #[test]
    fn what_may_be_retried_is_what_time_can_cure() {
        assert!(VaultError::Sealed.may_be_retried());
        assert!(!VaultError::Refused(String::new()).may_be_retried());
        assert!(!VaultError::Denied(String::new()).may_be_retried());
    }
}
