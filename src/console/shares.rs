//! Shares of a demo, out of the file that it keeps them in: with one key, so that nobody who tries it out has to
//! copy them. A real platform never keeps them together, and has no such file.

use std::path::Path;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::domain::secret::Secret;

#[derive(Deserialize)]
struct Kept {
    unseal_keys: Vec<Secret>,
}

/// The share at `at`; after the last comes the first again.
///
/// # Errors
/// The file can't be read, or holds none.
pub(super) fn take(path: &Path, at: usize) -> Result<Secret, String> {
    let place = path.display();
    let text = std::fs::read(path).map(Zeroizing::new);
    let text = text.map_err(|error| format!("the demo's shares can't be read from {place}: {error}"))?;
    let kept: Kept = serde_json::from_slice(&text).map_err(|_| format!("{place} holds no shares"))?;
    let share = at
        .checked_rem(kept.unseal_keys.len())
        .and_then(|at| kept.unseal_keys.get(at));
    share.cloned().ok_or_else(|| format!("{place} holds no shares"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_one_after_the_other_and_a_missing_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("demo-secrets.json");
        assert!(take(&path, 0).unwrap_err().contains("can't be read from"));
        std::fs::write(&path, r#"{"unseal_keys": ["one", "two"], "operator_token": "x"}"#).unwrap();
        let taken = [0, 1, 2].map(|at| take(&path, at).unwrap().expose().to_owned());
        assert_eq!(taken, ["one", "two", "one"]);
        std::fs::write(&path, r#"{"unseal_keys": []}"#).unwrap();
        assert!(take(&path, 0).unwrap_err().contains("holds no shares"));
    }
}
