//! Directories of the person who uses the console, by the XDG rules.

use std::path::PathBuf;

/// `$XDG_CONFIG_HOME/cmp-console/config.toml`, or under `~/.config`.
#[must_use]
pub fn default_path() -> PathBuf {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    base.unwrap_or_else(|| home().join(".config"))
        .join("cmp-console/config.toml")
}

/// `$XDG_STATE_HOME/cmp-console`, or under `~/.local/state`: logs, reports, the local journal.
#[must_use]
pub fn state_dir() -> PathBuf {
    let base = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    base.unwrap_or_else(|| home().join(".local/state"))
        .join("cmp-console")
}

fn home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
}
