//! Fills a host's directories as its agent would have: keys in the agent's own store, certificate, key
//! and chain where the server reads them, and what the agent remembers. The agent adopts files that
//! were put in place by hand, so plain files are all that is needed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Duration, Utc};

use super::book::{CHECKIN_INTERVAL_S, Enrolled};
use super::history::{Certified, History};
use super::keys::MadeKey;
use crate::domain::certificate::Certificate;
use crate::domain::chain;
use crate::domain::secret::Secret;
use crate::services::agent::keys::KeyStore;
use crate::services::agent::managed::{Managed, ManagedPath};
use crate::services::agent::{Identity, Schedule};
use crate::services::platform::error::PlatformError;
use crate::services::platform::fleet::{Presence, Trouble};
use crate::services::platform::layout::HostPlace;
use crate::services::platform::state_dir::private_dir;
use crate::wire::agents::{Report, ReportedInstallation};

/// How long an agent that backed off won't check in by itself.
const BACKED_OFF_FOR: Duration = Duration::hours(6);
/// After so many failures in a row.
const N_FAILURES: u32 = 12;

/// Certificate, key and chain at one path.
pub(super) struct Set {
    state_dir: PathBuf,
    path: PathBuf,
    certificate_pem: String,
    chain_pem: String,
    key_pem: Secret,
    remembered: ManagedPath,
}

impl Set {
    pub(super) fn of(
        place: &HostPlace,
        certified: &Certified,
        key: &MadeKey,
        certificate: &Certificate,
    ) -> Self {
        Self {
            state_dir: place.state_dir.clone(),
            path: PathBuf::from(place.path_of(certified.site())),
            certificate_pem: certificate.pem.clone().unwrap_or_default(),
            chain_pem: certificate.chain_pem.clone().unwrap_or_default(),
            key_pem: key.key_pem.clone(),
            remembered: ManagedPath {
                spki_sha256: key.spki_sha256.clone(),
                fingerprint_sha256: certificate.fingerprint_sha256.clone(),
            },
        }
    }

    /// Puts the three files in place, each whole.
    pub(super) fn install(&self) -> Result<(), PlatformError> {
        self.write_files()
            .map_err(PlatformError::io(format!("installing `{}`", self.path.display())))?;
        self.remember(&Managed::open(&self.state_dir).map_err(part)?)
    }

    fn write_files(&self) -> io::Result<()> {
        let key = self.path.with_extension("key");
        put(&key, 0o600, self.key_pem.expose().as_bytes())?;
        put(
            &self.path.with_extension("chain.pem"),
            0o644,
            self.chain_pem.as_bytes(),
        )?;
        let sent = full_chain(&self.certificate_pem, &self.chain_pem);
        put(&self.path, 0o644, sent.as_bytes())
    }

    fn remember(&self, managed: &Managed) -> Result<(), PlatformError> {
        managed
            .set(&self.path.display().to_string(), self.remembered.clone())
            .map_err(part)
    }

    /// The agent has the key of a set that isn't installed yet.
    pub(super) fn keep_key(&self) -> Result<(), PlatformError> {
        let keys = KeyStore::open(&self.state_dir).map_err(part)?;
        keys.adopt(&self.key_pem).map_err(part)?;
        Ok(())
    }
}

/// Makes one host: who its agent is, what is installed, which keys wait for a certificate, and when it
/// checks in next.
pub(super) fn furnish(
    place: &HostPlace,
    presence: Presence,
    enrolled: &Enrolled,
    sets: &[Set],
    waiting: &[&MadeKey],
    now: DateTime<Utc>,
) -> Result<(), PlatformError> {
    private_dir(&place.state_dir)?;
    private_dir(&place.install_dir)?;
    let identity = Identity {
        agent_id: enrolled.agent.id.clone(),
        token: enrolled.token.clone(),
        enrolled_with: None,
        proof: None,
    };
    identity.write(&place.state_dir).map_err(part)?;
    let keys = KeyStore::open(&place.state_dir).map_err(part)?;
    let managed = Managed::open(&place.state_dir).map_err(part)?;
    for set in sets {
        keys.adopt(&set.key_pem).map_err(part)?;
        set.write_files()
            .map_err(PlatformError::io(format!("installing `{}`", set.path.display())))?;
        set.remember(&managed)?;
    }
    for key in waiting {
        keys.adopt(&key.key_pem).map_err(part)?;
    }
    schedule(place, presence, now)
        .write(&place.state_dir)
        .map_err(part)
}

fn schedule(place: &HostPlace, presence: Presence, now: DateTime<Utc>) -> Schedule {
    let mut schedule = Schedule {
        interval_s: CHECKIN_INTERVAL_S,
        ..Schedule::default()
    };
    match presence {
        Presence::BackedOff => {
            schedule.due_at = Some(now + BACKED_OFF_FOR);
            schedule.n_failures = N_FAILURES;
        }
        // Spread over one interval, so that the fleet doesn't speak with one voice.
        Presence::Reports | Presence::Gone => {
            let index = i64::try_from(place.index).unwrap_or(0);
            schedule.due_at = Some(now + Duration::milliseconds(2000 + index * 1900));
        }
    }
    schedule
}

/// What the agent said when it checked in last.
pub(super) fn report(
    place: &HostPlace,
    history: &History,
    keys: &[MadeKey],
    certificates: &[Certificate],
) -> Report {
    let body = place.enrol_body();
    let mine = |i: &usize| history.certificates[*i].host == place.index;
    let mut installations = Vec::new();
    let mut held: Vec<String> = Vec::new();
    for i in (0..certificates.len()).filter(mine) {
        let certified = &history.certificates[i];
        if certified.past {
            continue;
        }
        let on_disk = certificates[i].fingerprint_sha256.clone();
        let served = match (certified.site().trouble, certified.replaces) {
            (Trouble::NotReloaded, Some(old)) => certificates[old].fingerprint_sha256.clone(),
            _ => on_disk.clone(),
        };
        installations.push(ReportedInstallation {
            path: place.path_of(certified.site()),
            on_disk_sha256: Some(on_disk),
            served_sha256: Some(served),
            chain_missing: None,
            error: None,
        });
        held.push(keys[certified.key].spki_sha256.clone());
    }
    let waiting = history.requests.iter().filter(|asked| mine(&asked.replaces));
    held.extend(waiting.map(|asked| keys[asked.key].spki_sha256.clone()));
    held.sort_unstable();
    held.dedup();
    Report {
        agent_version: body.agent_version,
        owner: body.owner,
        address: body.address,
        tls_address: body.tls_address,
        install_dirs: body.install_dirs,
        layout: None,
        installations,
        keys: held,
        proofs: Vec::new(),
        identity_csr_pem: None,
    }
}

/// The certificate and what has to be sent with it, as the agent lays it out.
fn full_chain(certificate_pem: &str, chain_pem: &str) -> String {
    let above = pem::parse_many(chain_pem).unwrap_or_default();
    let to_send = above.iter().filter(|it| !chain::is_root(it.contents()));
    std::iter::once(certificate_pem.to_owned())
        .chain(to_send.map(pem::encode))
        .collect()
}

/// A file that is whole or absent.
fn put(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let staged = path.with_extension("staged");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(mode)
        .open(&staged)?;
    file.write_all(content)?;
    fs::rename(&staged, path)
}

fn part(error: impl std::error::Error) -> PlatformError {
    PlatformError::Part(format!("filling a host's directory: {error}"))
}
