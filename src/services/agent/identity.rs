//! Who this agent is: its id and its token, as the platform gave them.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use zeroize::Zeroizing;

use super::files::{FileError, read_if_there, write_whole};
use crate::domain::secret::Secret;

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
        };
        identity.write(dir.path()).unwrap();
        let read = Identity::read(dir.path()).unwrap().unwrap();
        assert_eq!(read.agent_id, "agt_1");
        assert_eq!(read.token, identity.token);
        assert_eq!(read.enrolled_with, identity.enrolled_with);
        std::fs::write(dir.path().join("identity.json"), "{").unwrap();
        assert!(Identity::read(dir.path()).is_err());
    }
}
