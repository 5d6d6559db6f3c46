//! The configuration of `cmp-agent`: what it is, where it reports, where it may write and what it
//! runs after an installation. The one-time token comes from elsewhere.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::secret::SecretSource;
use super::{ConfigError, Misfit, Source, read};
use crate::domain::endpoint::{is_host_port, is_http_url};
pub use crate::domain::layout::Layout;
use crate::domain::plain::is_hidden;

/// Where the wake-up listens unless told otherwise.
pub const DEFAULT_PORT: u16 = 8084;

/// One agent's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// The host's name; the system's own without it.
    #[serde(default = "system_hostname")]
    pub hostname: String,
    /// Where identity, keys and schedule are kept; made with mode 0700.
    pub state_dir: PathBuf,
    /// The platform's API, e.g. `https://cmp.example.com:8082`.
    pub api: String,
    /// A PEM file with the certificate of the CA that issued the API's; then only that CA is trusted. The
    /// system's trust store without it.
    #[serde(default)]
    pub server_ca: Option<PathBuf>,
    /// Where the wake-up listens.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// How others reach the wake-up; `http://{hostname}:{port}` without it.
    #[serde(default)]
    pub advertise: Option<String>,
    /// Whose host this is, for people who look for whom to call: a team, a rota.
    #[serde(default)]
    pub owner: Option<String>,
    /// The only directories that certificates may be installed in.
    pub install_dirs: Vec<PathBuf>,
    /// How the files are laid out that servers read.
    #[serde(default)]
    pub layout: Layout,
    /// Where what it installs is served, `host:port`, for the handshake that proves an installation.
    #[serde(default)]
    pub tls_address: Option<String>,
    /// What makes the server load the new files: a program and its arguments, no shell.
    #[serde(default)]
    pub reload: Option<Vec<String>>,
    /// How long the reload may take before it is killed.
    #[serde(default = "default_reload_timeout_s")]
    pub reload_timeout_s: u64,
    /// How long after the reload the new certificate may take to be served.
    #[serde(default = "default_handshake_timeout_s")]
    pub handshake_timeout_s: u64,
    /// How long one attempt at a handshake may take.
    #[serde(default = "default_handshake_attempt_s")]
    pub handshake_attempt_s: u64,
    /// Over how long the connections of a proof are spread, so that workers that are slow to follow are met.
    #[serde(default = "default_handshake_spread_s")]
    pub handshake_spread_s: u64,
    /// By how many per cent the interval between check-ins varies, so that a fleet spreads out.
    #[serde(default = "default_checkin_jitter_percent")]
    pub checkin_jitter_percent: u8,
    /// Where an external CA's challenges for this host's names are answered over plain HTTP, e.g.
    /// `0.0.0.0:80`, or a port that the web server passes `/.well-known/acme-challenge/` on to. Needed
    /// only for certificates from an ACME CA.
    #[serde(default)]
    pub acme_listen: Option<SocketAddr>,
    /// Where a one-time token comes from, such as `{ file = "/etc/cmp/enrol-token" }`; looked at at the start, and
    /// again while the agent may not report. It may be gone once it was spent.
    #[serde(default)]
    pub enrol_token: Option<SecretSource>,
}

impl AgentConfig {
    /// Reads a file and refuses what isn't allowed, with the line.
    ///
    /// # Errors
    /// What is wrong, where, and what is allowed.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let (config, source): (Self, Source) = read(path)?;
        config.check().map_err(|misfit| source.place(misfit))?;
        source.keeps(&config.enrol_token)?;
        Ok(config)
    }

    /// Which value isn't allowed, and what is; also for a configuration made in code.
    ///
    /// # Errors
    /// The first value that isn't allowed.
    pub fn check(&self) -> Result<(), Misfit> {
        if self.hostname.trim().is_empty() {
            return Err(Misfit::new(
                "hostname",
                "must not be empty; write the name of this host".to_owned(),
            ));
        }
        if self.owner.as_ref().is_some_and(|owner| {
            owner.trim().is_empty() || owner.chars().count() > 100 || owner.chars().any(is_hidden)
        }) {
            return Err(Misfit::new(
                "owner",
                "must be a name of at most 100 characters, none of them a control character".to_owned(),
            ));
        }
        if let Some(address) = self.advertise.as_ref().filter(|address| !is_http_url(address)) {
            return Err(Misfit::new(
                "advertise",
                format!("must be `http://host:port` or `https://host:port`, not `{address}`"),
            ));
        }
        if !(self.api.starts_with("http://") || self.api.starts_with("https://")) {
            return Err(Misfit::new(
                "api",
                format!("must start with `http://` or `https://`, not `{}`", self.api),
            ));
        }
        if !self.state_dir.is_absolute() {
            return Err(Misfit::new("state_dir", must_be_absolute(&self.state_dir)));
        }
        if let Some(ca) = self.server_ca.as_ref().filter(|ca| !ca.is_absolute()) {
            return Err(Misfit::new("server_ca", must_be_absolute(ca)));
        }
        if self.install_dirs.is_empty() {
            return Err(Misfit::new(
                "install_dirs",
                "must name at least one directory; nothing can be installed without".to_owned(),
            ));
        }
        if let Some(dir) = self.install_dirs.iter().find(|dir| !dir.is_absolute()) {
            return Err(Misfit::new("install_dirs", must_be_absolute(dir)));
        }
        if let Some(address) = &self.tls_address
            && !is_host_port(address)
        {
            return Err(Misfit::new(
                "tls_address",
                format!("must be `host:port` such as `web-01:443`, not `{address}`"),
            ));
        }
        if self.reload.as_ref().is_some_and(Vec::is_empty) {
            return Err(Misfit::new(
                "reload",
                "must hold a program and its arguments, e.g. `[\"systemctl\", \"reload\", \"nginx\"]`"
                    .to_owned(),
            ));
        }
        for (field, seconds) in [
            ("reload_timeout_s", self.reload_timeout_s),
            ("handshake_timeout_s", self.handshake_timeout_s),
            ("handshake_attempt_s", self.handshake_attempt_s),
        ] {
            if !(1..=300).contains(&seconds) {
                return Err(Misfit::new(
                    field,
                    format!("must be from 1 to 300 seconds, not {seconds}"),
                ));
            }
        }
        if self.handshake_spread_s > 60 {
            return Err(Misfit::new(
                "handshake_spread_s",
                format!("must be from 0 to 60 seconds, not {}", self.handshake_spread_s),
            ));
        }
        if self.checkin_jitter_percent > 50 {
            return Err(Misfit::new(
                "checkin_jitter_percent",
                format!("must be from 0 to 50, not {}", self.checkin_jitter_percent),
            ));
        }
        Ok(())
    }

    /// How others reach the wake-up that listens on `port`.
    #[must_use]
    pub fn advertised(&self, port: u16) -> String {
        self.advertise
            .clone()
            .unwrap_or_else(|| format!("http://{}:{port}", self.hostname))
    }

    /// How long the reload may take.
    #[must_use]
    pub fn reload_timeout(&self) -> Duration {
        Duration::from_secs(self.reload_timeout_s)
    }

    /// How long the handshake is tried.
    #[must_use]
    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_secs(self.handshake_timeout_s)
    }

    /// How long one handshake may take.
    #[must_use]
    pub fn handshake_attempt(&self) -> Duration {
        Duration::from_secs(self.handshake_attempt_s)
    }

    /// Over how long a proof looks.
    #[must_use]
    pub fn handshake_spread(&self) -> Duration {
        Duration::from_secs(self.handshake_spread_s)
    }

    /// A configuration with the defaults of a file that says no more than this.
    #[must_use]
    pub fn new(
        hostname: impl Into<String>,
        state_dir: impl Into<PathBuf>,
        api: impl Into<String>,
        install_dirs: Vec<PathBuf>,
    ) -> Self {
        Self {
            hostname: hostname.into(),
            state_dir: state_dir.into(),
            api: api.into(),
            server_ca: None,
            listen: default_listen(),
            advertise: None,
            owner: None,
            install_dirs,
            layout: Layout::default(),
            tls_address: None,
            reload: None,
            reload_timeout_s: default_reload_timeout_s(),
            handshake_timeout_s: default_handshake_timeout_s(),
            handshake_attempt_s: default_handshake_attempt_s(),
            handshake_spread_s: default_handshake_spread_s(),
            checkin_jitter_percent: default_checkin_jitter_percent(),
            acme_listen: None,
            enrol_token: None,
        }
    }
}

fn must_be_absolute(path: &Path) -> String {
    format!("must be an absolute path, not `{}`", path.display())
}

fn system_hostname() -> String {
    // Not out of /proc, which a hardened unit doesn't show.
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn default_listen() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, DEFAULT_PORT))
}

fn default_reload_timeout_s() -> u64 {
    30
}

fn default_handshake_timeout_s() -> u64 {
    15
}

fn default_handshake_attempt_s() -> u64 {
    5
}

fn default_handshake_spread_s() -> u64 {
    2
}

fn default_checkin_jitter_percent() -> u8 {
    10
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GOOD: &str = "hostname = \"web-01\"\nstate_dir = \"/var/lib/cmp-agent\"\n\
        api = \"http://api:8082\"\ninstall_dirs = [\"/etc/ssl/cmp\"]\n";

    fn load(text: &str) -> Result<AgentConfig, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.toml");
        fs::write(&path, text).unwrap();
        AgentConfig::load(&path)
    }

    fn refusal(text: &str) -> String {
        load(text).unwrap_err().to_string()
    }

    #[test]
    fn the_least_file_gets_the_defaults() {
        let config = load(GOOD).unwrap();
        assert_eq!(
            config,
            AgentConfig::new(
                "web-01",
                "/var/lib/cmp-agent",
                "http://api:8082",
                vec!["/etc/ssl/cmp".into()]
            )
        );
        assert_eq!(config.advertised(8084), "http://web-01:8084");
    }

    #[test]
    fn every_line_that_the_seed_shows_is_known() {
        let seed = include_str!("../../deploy/config/cmp-agent.toml");
        let shown = |line: &&str| !line.starts_with("# ") || line.contains(" = ");
        let lines = seed
            .lines()
            .filter(shown)
            .map(|line| line.trim_start_matches("# "));
        let config = load(&lines.collect::<Vec<_>>().join("\n")).unwrap();
        let usual = load(GOOD).unwrap();
        assert_eq!(config.owner.as_deref(), Some("team-web"));
        assert_eq!(
            (
                config.reload_timeout_s,
                config.handshake_timeout_s,
                config.handshake_attempt_s
            ),
            (
                usual.reload_timeout_s,
                usual.handshake_timeout_s,
                usual.handshake_attempt_s
            )
        );
        assert_eq!(config.checkin_jitter_percent, usual.checkin_jitter_percent);
        assert_eq!(config.listen, usual.listen);
        assert_eq!(
            (config.layout, config.handshake_spread_s),
            (usual.layout, usual.handshake_spread_s)
        );
    }

    #[test]
    fn an_unknown_field_is_named_with_its_line() {
        let refusal = refusal(&format!("{GOOD}relaod = [\"true\"]\n"));
        assert!(refusal.contains("agent.toml` is wrong in line 5: "), "{refusal}");
        assert!(
            refusal.contains("relaod") && refusal.contains("`reload`"),
            "{refusal}"
        );
    }

    #[test]
    fn a_bad_value_is_named_with_its_line() {
        let said = refusal(&GOOD.replace("/etc/ssl/cmp", "ssl"));
        assert!(
            said.ends_with("line 4: `install_dirs` must be an absolute path, not `ssl`"),
            "{said}"
        );
        assert!(refusal(&format!("{GOOD}reload = []\n")).contains("line 5: `reload` must hold"));
        assert!(refusal(&format!("{GOOD}tls_address = \"web\"\n")).contains("host:port"));
    }

    #[test]
    fn what_the_platform_would_refuse_is_refused_before() {
        for (line, said) in [
            (
                "advertise = \"web-01:8084\"\n",
                "line 5: `advertise` must be `http://host:port`",
            ),
            (
                "advertise = \"http://web-01/;id\"\n",
                "line 5: `advertise` must be",
            ),
            (
                "tls_address = \"web-01;id:443\"\n",
                "line 5: `tls_address` must be `host:port`",
            ),
            ("owner = \"web\\u001b[2J\"\n", "line 5: `owner` must be a name"),
        ] {
            let refusal = refusal(&format!("{GOOD}{line}"));
            assert!(refusal.contains(said), "{refusal}");
        }
    }
}
