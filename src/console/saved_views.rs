//! Saved views on disk: a JSON file in the state directory, read at the start and replaced as a whole.

use std::path::Path;

use crate::state::saved::SavedViews;

/// The views that were kept in the file at `path`; a file that can't be read is none, and stays as it is.
#[must_use]
pub fn load(path: &Path) -> SavedViews {
    let text = std::fs::read(path).unwrap_or_default();
    match serde_json::from_slice(&text) {
        Ok(views) => views,
        Err(error) => {
            if !text.is_empty() {
                tracing::warn!(path = %path.display(), %error, "the saved views can't be read");
            }
            SavedViews::new()
        }
    }
}

/// Keeps the views; says why it can't.
pub(super) async fn keep(path: &Path, views: &SavedViews) -> Result<(), String> {
    let failed =
        |error: std::io::Error| format!("the saved views can't be kept in `{}`: {error}", path.display());
    let text = serde_json::to_vec_pretty(views).map_err(|error| failed(error.into()))?;
    if let Some(dir) = path.parent() {
        tokio::fs::create_dir_all(dir).await.map_err(failed)?;
    }
    let beside = path.with_extension("new");
    tokio::fs::write(&beside, text).await.map_err(failed)?;
    tokio::fs::rename(&beside, path).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::query::ListQuery;
    use crate::state::saved::SavedView;
    use crate::state::screen::ViewId;

    #[tokio::test]
    async fn what_is_kept_is_loaded_again_and_rubbish_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/views.json");
        assert_eq!(load(&path), SavedViews::new());
        let list = ListQuery {
            q: "expires:<7d !agent:cdn".to_owned(),
            sort: "-not_after".to_owned(),
        };
        let view = ViewId::Certificates;
        let views = SavedViews::from([("week".to_owned(), SavedView { view, list })]);
        keep(&path, &views).await.unwrap();
        assert_eq!(load(&path), views);
        std::fs::write(&path, "{").unwrap();
        assert_eq!(load(&path), SavedViews::new());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{");
    }
}
