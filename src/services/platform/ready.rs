//! The line that `demo --headless` prints when everything answers: one JSON object, for scripts and
//! tests. It holds the demo's secrets on purpose; it is printed, never logged.

use std::path::Path;

use serde::Serialize;

use super::secrets::DemoSecrets;
use crate::domain::secret::Secret;

/// An agent as the line names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReadyAgent {
    /// `agt_…`
    pub id: String,
    /// The host's name.
    pub hostname: String,
    /// Where its wake-up listens, or listened.
    pub checkin: String,
    /// Where it serves what is installed on it.
    pub tls: String,
    /// The directory that it may install in.
    pub install_dir: String,
}

#[derive(Serialize)]
struct Line<'a> {
    ready: bool,
    api: &'a str,
    vault: &'a str,
    vault_root_token: &'a str,
    unseal_keys: Vec<&'a str>,
    unseal_threshold: u64,
    operator_token: &'a str,
    viewer_token: &'a str,
    database_url: &'a str,
    ca_chain: String,
    agents: &'a [ReadyAgent],
}

/// What the line says.
pub(super) struct Ready<'a> {
    pub(super) api: &'a str,
    pub(super) vault: &'a str,
    pub(super) secrets: &'a DemoSecrets,
    pub(super) database_url: &'a str,
    pub(super) ca_chain: &'a Path,
    pub(super) agents: &'a [ReadyAgent],
}

impl Ready<'_> {
    /// The line, without its end.
    pub(super) fn line(&self) -> Secret {
        let line = Line {
            ready: true,
            api: self.api,
            vault: self.vault,
            vault_root_token: self.secrets.vault_root_token.expose(),
            unseal_keys: self.secrets.unseal_keys.iter().map(Secret::expose).collect(),
            unseal_threshold: self.secrets.unseal_threshold,
            operator_token: self.secrets.operator_token.expose(),
            viewer_token: self.secrets.viewer_token.expose(),
            database_url: self.database_url,
            ca_chain: self.ca_chain.display().to_string(),
            agents: self.agents,
        };
        // A struct of strings and numbers always has a JSON form.
        Secret::new(serde_json::to_string(&line).unwrap_or_default())
    }
}
