//! The words of Vault's policies for what may be done at a path. Which of them holds is decided in `policy`.

use serde::{Deserialize, Serialize};

/// What may be done at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Capability {
    Create,
    Read,
    Update,
    Patch,
    Delete,
    List,
    Sudo,
    Deny,
}
