//! Where a host of the database is and how one gets in.

use std::path::PathBuf;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::config::console::{DatabaseConfig, SslMode};
use crate::domain::secret::Secret;

/// PostgreSQL's usual port.
const PORT: u16 = 5432;

/// One host of a database.
pub(super) struct Place {
    host: String,
    port: u16,
}

impl Place {
    /// `host`, `host:port`, `[::1]:port`, or the folder of a Unix socket.
    pub(super) fn read(text: &str) -> Self {
        let split = text.rsplit_once(':').and_then(|(host, port)| {
            let is_whole = !host.contains(':') || host.ends_with(']');
            Some((host, port.parse().ok()?)).filter(|_| is_whole)
        });
        let (host, port) = split.unwrap_or((text, PORT));
        Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
        }
    }

    /// What people call it: host and port, so that no two are called alike; of a folder its last part, and the
    /// port only where it is not the usual one.
    pub(super) fn name(&self) -> String {
        let folder = self
            .host
            .strip_prefix('/')
            .map(|it| it.rsplit('/').next().unwrap_or(it));
        match (folder, self.port) {
            (Some(folder), PORT) => folder.to_owned(),
            (Some(folder), port) => format!("{folder}:{port}"),
            (None, port) if self.host.contains(':') => format!("[{}]:{port}", self.host),
            (None, port) => format!("{}:{port}", self.host),
        }
    }

    pub(super) fn options(&self, config: &DatabaseConfig, password: Option<&Secret>) -> PgConnectOptions {
        let ca: Option<&PathBuf> = config.ca.as_ref();
        let mode = match (config.sslmode, ca) {
            (None, None) | (Some(SslMode::Prefer), _) => PgSslMode::Prefer,
            (None, Some(_)) | (Some(SslMode::VerifyFull), _) => PgSslMode::VerifyFull,
            (Some(SslMode::Disable), _) => PgSslMode::Disable,
            (Some(SslMode::Require), _) => PgSslMode::Require,
            (Some(SslMode::VerifyCa), _) => PgSslMode::VerifyCa,
        };
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .username(&config.user)
            .database(&config.name)
            .ssl_mode(mode)
            .application_name("cmp-console");
        if let Some(ca) = ca {
            options = options.ssl_root_cert(ca);
        }
        if let Some(password) = password {
            options = options.password(password.expose());
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_in_every_form() {
        for (text, host, port, name) in [
            ("db-1:5432", "db-1", 5432, "db-1:5432"),
            ("db-1", "db-1", 5432, "db-1:5432"),
            ("db-1:6000", "db-1", 6000, "db-1:6000"),
            ("[::1]:6000", "::1", 6000, "[::1]:6000"),
            ("::1", "::1", 5432, "[::1]:5432"),
            ("/run/postgresql", "/run/postgresql", 5432, "postgresql"),
            ("/run/pg-2:6000", "/run/pg-2", 6000, "pg-2:6000"),
        ] {
            let place = Place::read(text);
            assert_eq!((place.host.as_str(), place.port), (host, port), "{text}");
            assert_eq!(place.name(), name);
        }
    }
}
