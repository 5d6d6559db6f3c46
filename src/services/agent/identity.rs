//! Who this agent is: its id, its token and, where the platform certifies agents, the certificate that it
//! proves itself with, all in one file, so that they change together.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::files::{FileError, read_if_there, write_whole};
use crate::domain::secret::Secret;
use crate::domain::x509;

/// An enrolled agent.
#[derive(Clone, Debug, Deserialize)]
pub struct Identity {
    /// `agt_…`
    pub agent_id: String,
    /// The token that it reports with.
    pub token: Secret,
    /// Names the one-time token that it came from, so that a new one is noticed.
    #[serde(default)]
    pub enrolled_with: Option<String>,
    /// What it proves itself with over TLS.
    #[serde(default)]
    pub proof: Option<Proof>,
}

/// A certificate of the agent's own and its key.
#[derive(Clone, Debug, Deserialize)]
pub struct Proof {
    /// The certificate.
    pub certificate_pem: String,
    /// Its key, PKCS #8.
    pub key_pem: Secret,
}

impl Proof {
    /// Whether half of its time is over: late enough not to bother anybody, and early enough to try for days.
    #[must_use]
    pub fn is_to_be_renewed(&self, now: DateTime<Utc>) -> bool {
        // One that can't be read is of no use either.
        x509::read(&self.certificate_pem).map_or(true, |it| {
            now >= it.not_before + (it.not_after - it.not_before) / 2
        })
    }
}

/// What is wrong with the identity's file.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It isn't what this program writes.
    #[error("`{path}` is damaged: {source}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        source: serde_json::Error,
    },
}

impl Identity {
    /// From the state directory, if this agent was enrolled.
    pub fn read(state_dir: &Path) -> Result<Option<Self>, IdentityError> {
        let path = state_dir.join("identity.json");
        let Some(text) = read_if_there(&path)?.map(Zeroizing::new) else {
            return Ok(None);
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| IdentityError::Damaged { path, source })
    }

    /// Into the state directory, readable by the owner alone.
    pub fn write(&self, state_dir: &Path) -> Result<(), FileError> {
        // By hand, because a `Secret` refuses to be serialised by accident.
        let text = Zeroizing::new(
            serde_json::json!({
                "agent_id": self.agent_id,
                "token": self.token.expose(),
                "enrolled_with": self.enrolled_with,
                "proof": self.proof.as_ref().map(|proof| serde_json::json!({
                    "certificate_pem": proof.certificate_pem,
                    "key_pem": proof.key_pem.expose(),
                })),
            })
            .to_string(),
        );
        write_whole(&state_dir.join("identity.json"), text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Identity::read(dir.path()).unwrap().is_none());
        let identity = Identity {
            agent_id: "agt_1".to_owned(),
            token: Secret::new("to\"ken".to_owned()),
            enrolled_with: Some("abc".to_owned()),
            proof: Some(Proof {
                certificate_pem: "certificate".to_owned(),
                key_pem: Secret::new("key".to_owned()),
            }),
        };
        identity.write(dir.path()).unwrap();
        let read = Identity::read(dir.path()).unwrap().unwrap();
        assert_eq!(read.agent_id, "agt_1");
        assert_eq!(read.token, identity.token);
        assert_eq!(read.enrolled_with, identity.enrolled_with);
        assert_eq!(read.proof.unwrap().key_pem.expose(), "key");
        std::fs::write(dir.path().join("identity.json"), "{").unwrap();
        assert!(Identity::read(dir.path()).is_err());
    }
}
