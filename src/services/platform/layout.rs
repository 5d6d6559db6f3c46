//! Where everything of one run lies: paths under the state directory, addresses on loopback.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::fleet::{HOSTS, Host, Presence, Site};
use super::listeners::{HostPorts, Listeners};
use crate::wire::agents::EnrolBody;

/// The whole platform.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The state directory.
    pub(super) root: PathBuf,
    /// `http://127.0.0.1:8082`
    pub(super) api_address: String,
    /// `http://127.0.0.1:8200`
    pub(super) vault_address: String,
}

impl Layout {
    pub(super) fn new(root: &Path, listeners: &Listeners) -> Self {
        Self {
            root: root.to_owned(),
            api_address: http(listeners.api.address),
            vault_address: http(listeners.vault.address),
        }
    }

    /// The bundled Vault's barrier.
    pub(super) fn vault_dir(&self) -> PathBuf {
        self.root.join("vault")
    }

    /// The database.
    pub(super) fn database_url(&self) -> String {
        format!("sqlite://{}", self.root.join("cmp.db").display())
    }

    /// The CA's certificate, for whoever checks what is served.
    pub(super) fn ca_chain(&self) -> PathBuf {
        self.root.join("ca.pem")
    }
}

/// One host: a directory and two addresses.
#[derive(Clone, Debug)]
pub(super) struct HostPlace {
    /// Its place in the fleet.
    pub(super) index: usize,
    pub(super) host: &'static Host,
    /// The agent's own state.
    pub(super) state_dir: PathBuf,
    /// Where it may install.
    pub(super) install_dir: PathBuf,
    /// Where its server is told to reload.
    pub(super) socket: PathBuf,
    /// `http://127.0.0.1:8084`
    pub(super) wake_address: String,
    /// `127.0.0.1:9443`
    pub(super) tls_address: String,
}

impl HostPlace {
    /// All of them. `sockets` is a directory whose name is short: a socket's path has room for about a
    /// hundred bytes only.
    pub(super) fn all(layout: &Layout, sockets: &Path, listeners: &Listeners) -> Vec<Self> {
        let hosts = HOSTS.iter().zip(&listeners.hosts).enumerate();
        hosts
            .map(|(index, (host, ports))| {
                let (wake, tls) = match ports {
                    HostPorts::Bound { wake, tls } => (wake.address, tls.address),
                    HostPorts::Closed { wake, tls } => (*wake, *tls),
                };
                let root = layout.root.join("agents").join(host.name);
                Self {
                    index,
                    host,
                    state_dir: root.join("state"),
                    install_dir: root.join("tls"),
                    socket: sockets.join(format!("{}.sock", host.name)),
                    wake_address: http(wake),
                    tls_address: tls.to_string(),
                }
            })
            .collect()
    }

    /// Where a site's certificate is.
    pub(super) fn path_of(&self, site: &Site) -> String {
        let file = self.install_dir.join(format!("{}.pem", site.name));
        file.display().to_string()
    }

    /// What the agent says of itself when it enrols.
    pub(super) fn enrol_body(&self) -> EnrolBody {
        EnrolBody {
            hostname: self.host.name.to_owned(),
            address: self.wake_address.clone(),
            tls_address: Some(self.tls_address.clone()),
            install_dirs: vec![self.install_dir.display().to_string()],
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            owner: Some(self.host.owner().to_owned()),
            identity_csr_pem: None,
        }
    }

    /// Whether anything runs there.
    pub(super) fn is_there(&self) -> bool {
        self.host.presence != Presence::Gone
    }
}

/// The hosts to bind ports for, and whether they are there at all.
pub(super) fn wanted_hosts() -> Vec<(&'static str, bool)> {
    let hosts = HOSTS.iter();
    hosts
        .map(|host| (host.name, host.presence != Presence::Gone))
        .collect()
}

fn http(address: SocketAddr) -> String {
    format!("http://{address}")
}
