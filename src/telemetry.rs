//! Where the programs' log goes: the console's to a private file, the services' to stderr as JSON.
//! It formats; what is said is said by the modules.
//!
//! Libraries that see tokens and shares on their way through (`vaultrs`, `rustify`, the HTTP stack)
//! are cut off here whatever the filter in the environment says, so that no setting can bring a
//! secret into a log.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// The variable with a filter, such as `info,cmp_console::services=debug`.
pub const FILTER_VARIABLE: &str = "CMP_LOG";

/// Targets that may see secrets: never logged.
const SILENT: [&str; 8] = [
    "vaultrs",
    "rustify",
    "hyper",
    "hyper_util",
    "h2",
    "reqwest",
    "rustls",
    "tower",
];
/// Targets that may see data: warnings and errors only.
const QUIET: [&str; 1] = ["sqlx"];

/// The services' log: JSON lines on stderr, from `least` upward unless the environment says otherwise.
pub fn to_stderr(least: Level) {
    let layer = tracing_subscriber::fmt::layer()
        .json()
        .with_span_list(false)
        .with_writer(io::stderr)
        .with_filter(filter(least))
        .with_filter(filter_fn(may_be_logged));
    // A second call, as in tests, keeps the first log.
    let _ = tracing_subscriber::registry().with(layer).try_init();
}

/// The console's log: a file that only its owner reads. Returns where it is.
///
/// # Errors
/// The directory or the file can't be made.
pub fn to_file() -> io::Result<PathBuf> {
    let path = log_path();
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let file = open(&path)?;
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(Mutex::new(file))
        .with_filter(filter(Level::INFO))
        .with_filter(filter_fn(may_be_logged));
    let _ = tracing_subscriber::registry().with(layer).try_init();
    Ok(path)
}

/// `$XDG_STATE_HOME/cmp-console/console.log`, or the same under `~/.local/state`.
#[must_use]
pub fn log_path() -> PathBuf {
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")))
        .unwrap_or_else(std::env::temp_dir);
    state.join("cmp-console").join("console.log")
}

/// A log longer than this is set aside when the next console starts.
const MAX_LOG: u64 = 8 << 20;

fn open(path: &Path) -> io::Result<File> {
    if std::fs::metadata(path).is_ok_and(|file| file.len() > MAX_LOG) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

fn filter(least: Level) -> EnvFilter {
    EnvFilter::builder()
        .with_default_directive(least.into())
        .with_env_var(FILTER_VARIABLE)
        .from_env_lossy()
}

fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    allowed(metadata.target(), *metadata.level())
}

fn allowed(target: &str, level: Level) -> bool {
    let is_of = |krate: &&str| {
        target
            .strip_prefix(*krate)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::") || rest.starts_with('_'))
    };
    !SILENT.iter().any(is_of) && (level <= Level::WARN || !QUIET.iter().any(is_of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sees_secrets_is_silent_at_every_level() {
        for target in [
            "vaultrs::api",
            "rustify::clients::reqwest",
            "hyper::proto",
            "reqwest",
        ] {
            assert!(!allowed(target, Level::ERROR), "{target}");
            assert!(!allowed(target, Level::TRACE), "{target}");
        }
        assert!(allowed("cmp_console::services", Level::DEBUG));
        assert!(!allowed("sqlx::query", Level::DEBUG));
        assert!(allowed("sqlx_core::pool", Level::WARN));
    }
}
