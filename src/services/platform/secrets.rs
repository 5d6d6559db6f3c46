//! The demo's own secrets, so that a state directory comes up again after a SIGKILL: unseal keys and
//! tokens, in one file that only its owner reads.
//!
//! No real platform keeps its unseal keys beside its data. The demo does, says so in the file, and
//! nothing but the demo reads it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::domain::secret::Secret;

/// The file's name in the state directory.
pub(super) const FILE: &str = "demo-secrets.json";
const WARNING: &str = "Secrets of a DEMO: unseal keys and tokens in clear text, so that the demo can \
                       be started again. Never keep a real platform's unseal keys beside its data.";

/// All that the ready line and a restart need.
#[derive(Clone, Deserialize)]
pub(super) struct DemoSecrets {
    /// Vault's root token.
    pub(super) vault_root_token: Secret,
    /// The issuer's token at Vault.
    pub(super) issuer_token: Secret,
    /// The console's token at Vault: test issuance and reading mounts.
    pub(super) console_token: Secret,
    /// The five shares.
    pub(super) unseal_keys: Vec<Secret>,
    /// How many of them open Vault.
    pub(super) unseal_threshold: u64,
    /// An API token that may operate.
    pub(super) operator_token: Secret,
    /// An API token that may look.
    pub(super) viewer_token: Secret,
}

impl DemoSecrets {
    /// Reads them back.
    ///
    /// # Errors
    /// The file is gone or damaged.
    pub(super) fn load(dir: &Path) -> io::Result<Self> {
        let text = Zeroizing::new(fs::read(dir.join(FILE))?);
        // The parser's words could quote a secret, so they are left out.
        serde_json::from_slice(&text)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("`{FILE}` is damaged")))
    }

    /// Writes them durably.
    ///
    /// # Errors
    /// The disk refused.
    pub(super) fn save(&self, dir: &Path) -> io::Result<()> {
        let exposed: Vec<&str> = self.unseal_keys.iter().map(Secret::expose).collect();
        let text = json!({
            "_": WARNING,
            "vault_root_token": self.vault_root_token.expose(),
            "issuer_token": self.issuer_token.expose(),
            "console_token": self.console_token.expose(),
            "unseal_keys": exposed,
            "unseal_threshold": self.unseal_threshold,
            "operator_token": self.operator_token.expose(),
            "viewer_token": self.viewer_token.expose(),
        });
        let text = Zeroizing::new(serde_json::to_vec_pretty(&text)?);
        let staged = dir.join(format!("{FILE}.new"));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&staged)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&staged, dir.join(FILE))?;
        File::open(dir)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn they_come_back_and_only_the_owner_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let secret = |text: &str| Secret::new(text.to_owned());
        let secrets = DemoSecrets {
            vault_root_token: secret("root"),
            issuer_token: secret("issuer"),
            console_token: secret("console"),
            unseal_keys: vec![secret("a"), secret("b")],
            unseal_threshold: 1,
            operator_token: secret("operator"),
            viewer_token: secret("viewer"),
        };
        secrets.save(dir.path()).unwrap();
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        let back = DemoSecrets::load(dir.path()).unwrap();
        assert_eq!(back.unseal_keys, secrets.unseal_keys);
        assert_eq!(back.viewer_token.expose(), "viewer");
    }
}
