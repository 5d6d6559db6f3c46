//! What a person at a console sees of it.

use std::fs;
use std::path::Path;

use crate::daemon;
use crate::pty::{self, Line, Pty};

/// The console's services screen over this API.
pub(crate) fn services(home: &Path, api: &str) -> Pty {
    let text = format!("[contexts.night]\napi = \"http://{api}\"\nvault = \"http://127.0.0.1:1\"\n");
    let config = home.join("config.toml");
    fs::write(&config, text).unwrap();
    let (program, config) = (pty::program().display().to_string(), config.display().to_string());
    let env = [("CMP_TOKEN", daemon::TOKEN)];
    let mut pty = Pty::start_over(Line::default(), &env, &program, &["--config", &config], 160, 40);
    pty.wait_for("Findings");
    pty.send("6");
    pty
}
