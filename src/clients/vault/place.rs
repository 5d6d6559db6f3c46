//! Where a Vault is, how it is reached, and as whom; how one logs in is in `session`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, StatusCode, Url};

use super::error::VaultError;
use crate::clients::exchange::Http;
use crate::clients::proxy::by_environment;
use crate::domain::secret::Secret;

/// No call takes longer.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(10);
/// No connection takes longer to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// Where one Vault, or one node of its cluster, is. No credential is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its address, such as `http://127.0.0.1:8200`.
    pub address: String,
    /// The addresses of its cluster's nodes: a standby may send a call on to them, and to nobody else.
    pub cluster: Vec<String>,
    /// The file with the CA that its certificate comes from, in PEM; the system's roots without it.
    pub ca: Option<PathBuf>,
    /// The namespace that everything is in.
    pub namespace: Option<String>,
}

impl Place {
    /// An address alone.
    #[must_use]
    pub fn at(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            ..Self::default()
        }
    }

    /// Another node of the same cluster.
    #[must_use]
    pub fn node(&self, address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            ..self.clone()
        }
    }

    pub(super) fn url(&self) -> Result<Url, VaultError> {
        let url = Url::parse(&self.address).ok();
        url.filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some())
            .ok_or_else(|| VaultError::Address(self.address.clone()))
    }

    /// Standbys that can't forward a call answer 307 with the active node's address. The token would go there with
    /// it, so that it is followed to an origin that the configuration names, and to no other. A share never is: it
    /// is for the seal of the node that was asked.
    fn redirects(&self) -> Result<Policy, VaultError> {
        let named = [&self.address].into_iter().chain(&self.cluster);
        let named: Vec<_> = named
            .map(|address| Self::at(address).url())
            .collect::<Result<_, VaultError>>()?;
        Ok(Policy::custom(move |attempt| {
            let moves = attempt.status() == StatusCode::TEMPORARY_REDIRECT;
            // To the active node and no further: two that name each other would go on for ever.
            let may = match attempt.previous() {
                [from] => may_lead(from, attempt.url(), &named),
                _ => false,
            };
            if moves && may {
                attempt.follow()
            } else {
                attempt.stop()
            }
        }))
    }

    /// A client that trusts whom this says and nobody else. No VAULT_… variable of the surroundings changes
    /// whom we talk to; VAULT_CACERT alone counts where no CA is configured, as for `vault` itself.
    pub(super) fn http(&self) -> Result<Http, VaultError> {
        // It becomes a header.
        if let Some(namespace) = &self.namespace
            && (namespace.is_empty() || !namespace.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(VaultError::Namespace(namespace.clone()));
        }
        let from_env = || std::env::var_os("VAULT_CACERT").map(PathBuf::from);
        let mut addresses = [&self.address].into_iter().chain(&self.cluster);
        let is_plain = addresses.all(|address| address.starts_with("http://"));
        // Without TLS there is no need to load the system's roots, which takes long.
        let roots = match self.ca.clone().or_else(from_env) {
            _ if is_plain => Some(Vec::new()),
            Some(file) => Some(certificates(&file)?),
            None => None,
        };
        Http::new(|builder| {
            let builder = by_environment(builder)
                .timeout(TIME_LIMIT)
                .connect_timeout(CONNECT_LIMIT)
                .redirect(self.redirects()?);
            match &roots {
                Some(roots) => builder.tls_certs_only(roots.clone()),
                None => builder,
            }
            .build()
            .map_err(|error| VaultError::Garbled(error.to_string()))
        })
    }
}

/// True if a redirect may be followed: it leads to a node that is named, not out of TLS, and the call is not about
/// one node's own seal.
fn may_lead(from: &Url, to: &Url, named: &[Url]) -> bool {
    // A gateway may have the whole API below a path.
    let path = from.path();
    let of_node = is_of_node(path.rsplit_once("/v1/").map_or(path, |(_, path)| path));
    let stays_secret = from.scheme() != "https" || to.scheme() == "https";
    stays_secret && !of_node && named.iter().any(|node| node.origin() == to.origin())
}

/// True if the path is about each node's own seal, which no other node answers for.
pub(super) fn is_of_node(path: &str) -> bool {
    ["sys/seal-status", "sys/health", "sys/unseal"].contains(&path)
}

fn certificates(file: &Path) -> Result<Vec<Certificate>, VaultError> {
    let unusable = |why: String| VaultError::Ca(file.display().to_string(), why);
    crate::clients::http::roots_in(file).map_err(unusable)
}

/// As whom one calls.
#[derive(Clone, Debug, Default)]
pub enum Login {
    /// As nobody: what is public.
    #[default]
    Nobody,
    /// As somebody whose credential is not to be had, and why: only what is public works.
    Missing(String),
    /// With a token that somebody made.
    Token(Secret),
    /// As a program, with tokens that it gets itself.
    AppRole {
        /// Where the auth method is mounted, such as `approle`.
        mount: String,
        /// The role's id.
        role_id: Secret,
        /// The secret id.
        secret_id: Secret,
    },
}

impl Login {
    /// From what was given, if anything: AppRole where both of its ids are there, or else the token.
    #[must_use]
    pub fn of(token: Option<Secret>, role_id: Option<Secret>, secret_id: Option<Secret>) -> Self {
        match (role_id, secret_id, token) {
            (Some(role_id), Some(secret_id), _) => Self::AppRole {
                mount: "approle".to_owned(),
                role_id,
                secret_id,
            },
            (_, _, Some(token)) => Self::Token(token),
            _ => Self::Nobody,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_that_is_none_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let place = Place {
            ca: Some(file.clone()),
            ..Place::at("https://127.0.0.1:8200")
        };
        for content in [None, Some("nonsense")] {
            if let Some(content) = content {
                std::fs::write(&file, content).unwrap();
            }
            let words = place.http().unwrap_err().to_string();
            assert!(words.contains("ca.pem"), "{words}");
        }
        assert!(Place::at("127.0.0.1").http().is_err());
        let namespace = Some("team a".to_owned());
        let place = Place::at("http://127.0.0.1:8200");
        assert!(Place { namespace, ..place }.http().is_err());
    }

    #[test]
    fn a_call_goes_on_to_named_nodes_in_tls_and_never_with_a_share() {
        let url = |text: &str| Url::parse(text).unwrap();
        let named = [
            "https://a:8200",
            "https://b:8200",
            "http://b:8201",
            "http://c:8200",
        ];
        let named = named.map(url);
        for (from, to, may) in [
            (
                "https://a:8200/v1/pki/issue/r",
                "https://b:8200/v1/pki/issue/r",
                true,
            ),
            (
                "http://c:8200/v1/pki/issue/r",
                "http://b:8201/v1/pki/issue/r",
                true,
            ),
            // Out of TLS, though it is named.
            (
                "https://a:8200/v1/pki/issue/r",
                "http://b:8201/v1/pki/issue/r",
                false,
            ),
            (
                "https://a:8200/v1/auth/approle/login",
                "http://c:8200/v1/auth/approle/login",
                false,
            ),
            // Another port, another host.
            (
                "https://a:8200/v1/pki/issue/r",
                "https://b:443/v1/pki/issue/r",
                false,
            ),
            (
                "https://a:8200/v1/auth/approle/login",
                "https://evil:8200/v1/auth/approle/login",
                false,
            ),
            // Shares, also behind a gateway with a path.
            (
                "https://a:8200/v1/sys/unseal",
                "https://b:8200/v1/sys/unseal",
                false,
            ),
            (
                "https://a:8200/vault/v1/sys/unseal",
                "https://b:8200/v1/sys/unseal",
                false,
            ),
        ] {
            assert_eq!(may_lead(&url(from), &url(to), &named), may, "{from} to {to}");
        }
    }

    #[test]
    fn both_ids_are_stronger_than_a_token() {
        let secret = |text: &str| Some(Secret::new(text.to_owned()));
        assert!(matches!(
            Login::of(secret("t"), secret("r"), secret("s")),
            Login::AppRole { .. }
        ));
        assert!(matches!(
            Login::of(secret("t"), secret("r"), None),
            Login::Token(_)
        ));
        assert!(matches!(Login::of(None, None, None), Login::Nobody));
    }
}
