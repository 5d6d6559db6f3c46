//! Binds every port of the platform at once, before anything else is done, so that a port in use is
//! told before a screen is painted or a file is written. It serves nothing.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::port_owner::port_owner;

/// The ports of the platform; 0 picks a free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The HTTP API.
    pub api: u16,
    /// The bundled Vault.
    pub vault: u16,
    /// The first agent's wake-up; the others follow.
    pub agents: u16,
    /// The first agent's TLS; the others follow.
    pub tls: u16,
}

impl Ports {
    /// Free ones for everything.
    pub const FREE: Self = Self {
        api: 0,
        vault: 0,
        agents: 0,
        tls: 0,
    };
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            api: 8082,
            vault: 8200,
            agents: 8084,
            tls: 9443,
        }
    }
}

/// Why a port could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("port {port} for {service} is in use{by}; choose another with {option} N, or {option} 0 for a free one", by = by_whom(.owner))]
    InUse {
        /// Which port.
        port: u16,
        /// What was to listen there.
        service: String,
        /// The option that chooses another.
        option: &'static str,
        /// Who listens there, if that could be found out.
        owner: Option<String>,
    },
    /// The system refused.
    #[error(
        "port {port} for {service} can't be had: {source}; choose another with {option} N, or {option} 0 for a free one"
    )]
    Refused {
        /// Which port.
        port: u16,
        /// What was to listen there.
        service: String,
        /// The option that chooses another.
        option: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The numbers end at 65535.
    #[error("{option} {base} leaves no room for {n} agents; choose a lower one, or {option} 0 for free ones")]
    NoRoom {
        /// The option.
        option: &'static str,
        /// Its value.
        base: u16,
        /// How many ports are needed.
        n: usize,
    },
}

fn by_whom(owner: &Option<String>) -> String {
    owner
        .as_ref()
        .map_or_else(String::new, |owner| format!(" by {owner}"))
}

/// A bound port.
#[derive(Debug)]
pub(super) struct Listener {
    /// Bound and listening, not blocking.
    pub(super) socket: TcpListener,
    /// Where.
    pub(super) address: SocketAddr,
}

/// One host's two ports.
#[derive(Debug)]
pub(super) enum HostPorts {
    /// The agent's wake-up and its TLS.
    Bound {
        /// `POST /checkin`.
        wake: Listener,
        /// What it serves.
        tls: Listener,
    },
    /// The numbers of a host that is gone: nobody listens there.
    Closed {
        /// Where the wake-up was.
        wake: SocketAddr,
        /// Where TLS was.
        tls: SocketAddr,
    },
}

/// All ports, bound.
#[derive(Debug)]
pub(super) struct Listeners {
    /// The HTTP API.
    pub(super) api: Listener,
    /// The bundled Vault.
    pub(super) vault: Listener,
    /// One entry a host, in the order given.
    pub(super) hosts: Vec<HostPorts>,
}

/// Binds everything on loopback. `hosts` are names, and whether the host is there at all.
pub(super) fn bind_all(ports: Ports, hosts: &[(&str, bool)]) -> Result<Listeners, BindError> {
    let api = bind(ports.api, "the API", "--api-port")?;
    let vault = bind(ports.vault, "Vault", "--vault-port")?;
    let mut bound = Vec::with_capacity(hosts.len());
    for (i, (name, present)) in hosts.iter().enumerate() {
        let wake_port = nth(ports.agents, i, hosts.len(), "--agent-port")?;
        let tls_port = nth(ports.tls, i, hosts.len(), "--tls-port")?;
        bound.push(if *present {
            HostPorts::Bound {
                wake: bind(wake_port, &format!("agent {name}"), "--agent-port")?,
                tls: bind(tls_port, &format!("TLS of {name}"), "--tls-port")?,
            }
        } else {
            HostPorts::Closed {
                wake: closed(wake_port),
                tls: closed(tls_port),
            }
        });
    }
    Ok(Listeners {
        api,
        vault,
        hosts: bound,
    })
}

fn nth(base: u16, i: usize, n: usize, option: &'static str) -> Result<u16, BindError> {
    if base == 0 {
        return Ok(0);
    }
    u16::try_from(i)
        .ok()
        .and_then(|i| base.checked_add(i))
        .ok_or(BindError::NoRoom { option, base, n })
}

/// Where nobody listens: the number in the row, or `discard`, which nobody has listened on for decades.
fn closed(port: u16) -> SocketAddr {
    let port = if port == 0 { 9 } else { port };
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn bind(port: u16, service: &str, option: &'static str) -> Result<Listener, BindError> {
    let refused = |source: io::Error| {
        if source.kind() == io::ErrorKind::AddrInUse {
            BindError::InUse {
                port,
                service: service.to_owned(),
                option,
                owner: port_owner(port),
            }
        } else {
            BindError::Refused {
                port,
                service: service.to_owned(),
                option,
                source,
            }
        }
    };
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(refused)?;
    socket.set_nonblocking(true).map_err(refused)?;
    let address = socket.local_addr().map_err(refused)?;
    Ok(Listener { socket, address })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_names_service_owner_and_way_out() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let ports = Ports {
            vault: port,
            ..Ports::FREE
        };
        let words = bind_all(ports, &[]).unwrap_err().to_string();
        let me = format!("process {}", std::process::id());
        for part in [&port.to_string(), "Vault", "--vault-port 0", me.as_str()] {
            assert!(words.contains(part), "{words}");
        }
    }

    #[test]
    fn free_ports_are_all_different_and_a_gone_host_has_none() {
        let bound = bind_all(Ports::FREE, &[("a", true), ("b", false)]).unwrap();
        assert_ne!(bound.api.address, bound.vault.address);
        assert!(matches!(bound.hosts[0], HostPorts::Bound { .. }));
        assert!(matches!(bound.hosts[1], HostPorts::Closed { .. }));
    }

    #[test]
    fn numbers_end_at_65535() {
        let ports = Ports {
            agents: 65535,
            ..Ports::FREE
        };
        let error = bind_all(ports, &[("a", false), ("b", false)]).unwrap_err();
        assert!(matches!(error, BindError::NoRoom { .. }));
    }
}
