//! Errors of Vault by what the issuer does next.

use super::AdapterError;
use crate::clients::vault::VaultError;

/// Vault's words say that it keeps no certificate with this serial, whatever their status: Vault's own is 400.
pub(super) fn is_of_serial(words: &str, serial: &str) -> bool {
    let words = words.to_lowercase();
    words.contains("not found") && (words.contains("serial") || words.contains(&serial.to_lowercase()))
}

impl From<VaultError> for AdapterError {
    fn from(error: VaultError) -> Self {
        let words = error.to_string();
        match error {
            // Whoever reads it has a token of their own, and another program before them.
            VaultError::TokenOver => Self::Away(
                "Vault no longer takes the issuer's token (CMP_VAULT_TOKEN, or `vault.token` of the file): it has \
                 ended or was revoked; give cmp-server another one, and restart it"
                    .to_owned(),
            ),
            VaultError::Login(_) => Self::Away(format!(
                "{words}; that is the issuer's (CMP_VAULT_ROLE_ID and CMP_VAULT_SECRET_ID, or `vault.role_id` and \
                 `vault.secret_id` of the file): give cmp-server a new secret id, and restart it"
            )),
            VaultError::Sealed => Self::Sealed(words),
            VaultError::Gateway(_) => Self::Away(words),
            VaultError::Retry(_) => Self::Retry(words),
            // A path that isn't there says nothing of the certificate or the request: the mount is being moved, or a
            // gateway knows only some of its paths. Nothing happened, and whoever mends it asks nobody to begin anew.
            VaultError::NotFound(_) => Self::Retry(words),
            VaultError::Unknown(_) | VaultError::Garbled(_) | VaultError::Elsewhere(..) => {
                Self::Unknown(words)
            }
            VaultError::Denied(_) => Self::Denied(words),
            VaultError::Refused(_)
            | VaultError::Address(_)
            | VaultError::Namespace(_)
            | VaultError::Ca(..) => Self::Refused(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_told_apart_from_a_serial_that_nobody_knows() {
        let serial = "00:11:22";
        for words in [
            "certificate with serial 00:11:22 not found.",
            "certificate with serial 00:11:22 not found",
        ] {
            assert!(is_of_serial(words, serial), "{words}");
        }
        for words in [
            "1 error occurred: * unsupported path",
            "no handler for route \"pki/revoke\". route entry not found.",
            "namespace not found",
            "Vault answered with status 404 and no words",
        ] {
            assert!(!is_of_serial(words, serial), "{words}");
            let error = AdapterError::from(VaultError::NotFound(words.to_owned()));
            assert!(matches!(error, AdapterError::Retry(_)), "{error:?}");
        }
    }

    #[test]
    fn the_cas_own_words_reach_the_request() {
        let words = "common name x not allowed by this role".to_owned();
        assert_eq!(
            AdapterError::from(VaultError::Refused(words.clone())),
            AdapterError::Refused(words)
        );
        assert!(matches!(
            AdapterError::from(VaultError::Sealed),
            AdapterError::Sealed(_)
        ));
        for (error, named) in [
            (VaultError::TokenOver, "CMP_VAULT_TOKEN"),
            (
                VaultError::Login("Vault refused the login".to_owned()),
                "CMP_VAULT_SECRET_ID",
            ),
        ] {
            // Whose it is, where it comes from, and what to do.
            let error = AdapterError::from(error);
            let AdapterError::Away(words) = &error else {
                panic!("{error:?}");
            };
            for part in ["the issuer's", named, "and restart it"] {
                assert!(words.contains(part), "{words}");
            }
        }
        assert!(matches!(
            AdapterError::from(VaultError::Unknown(String::new())),
            AdapterError::Unknown(_)
        ));
    }
}
