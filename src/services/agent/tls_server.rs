//! A small TLS server that stands where a host's nginx would: it serves what the agent installed,
//! and holds what it loaded until it is told to load again over a Unix socket.
//!
//! It is for the embedded platform and for tests, not for real traffic. With nothing to serve it
//! listens all the same, and handshakes fail until something was installed and loaded.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// More visitors at once wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 64;
/// How long a visitor may take.
const VISIT_LIMIT: Duration = Duration::from_secs(5);
/// How long a reload may take, as seen by who asks for it.
const RELOAD_LIMIT: Duration = Duration::from_secs(10);
/// The longest reply to a reload that is read, in bytes.
const MAX_REPLY: u64 = 4096;
/// After a failed accept (no descriptors left), so that it isn't tried in a tight loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const REPLY: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 3\r\nconnection: close\r\n\r\nok\n";

/// Why the server could not start or load.
#[derive(Debug, thiserror::Error)]
pub enum TlsServerError {
    /// A file can't be used.
    #[error("`{path}`: {why}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The control socket can't be made.
    #[error("the control socket `{path}` can't be made: {source}", path = path.display())]
    Control {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The listener or TLS itself.
    #[error("TLS can't be served: {0}")]
    Serve(String),
}

/// Why a reload that was asked for did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ReloadRefused {
    /// The server isn't there.
    #[error("no TLS server answers at `{socket}`: {why}", socket = socket.display())]
    Unreached {
        /// The control socket.
        socket: PathBuf,
        /// Why.
        why: String,
    },
    /// It said no.
    #[error("{0}")]
    Refused(String),
}

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct TlsServer {
    address: SocketAddr,
    control_socket: PathBuf,
    tasks: [JoinHandle<()>; 2],
}

impl TlsServer {
    /// Serves what `cert_path` holds, as web servers do, with the key beside it; if it is a directory, every set in it,
    /// chosen by the name that a client asks for, the one installed last where several fit.
    pub fn start(
        tcp: TcpListener,
        cert_path: PathBuf,
        control_socket: PathBuf,
    ) -> Result<Self, TlsServerError> {
        let address = tcp
            .local_addr()
            .map_err(|error| TlsServerError::Serve(error.to_string()))?;
        let held = Arc::new(Held::default());
        if let Err(error) = held.load(&cert_path) {
            tracing::warn!(%error, "nothing is served at {address} yet");
        }
        let config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsServerError::Serve(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&held) as Arc<dyn ResolvesServerCert>);
        let control = bind_control(&control_socket).map_err(|source| TlsServerError::Control {
            path: control_socket.clone(),
            source,
        })?;
        let visitors = tokio::spawn(accept(tcp, TlsAcceptor::from(Arc::new(config))));
        let commands = tokio::spawn(obey(control, held, cert_path));
        Ok(Self {
            address,
            control_socket,
            tasks: [visitors, commands],
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        // Best effort: the next start replaces a stale socket anyway.
        let _ = fs::remove_file(&self.control_socket);
    }
}

/// Tells the server behind `socket` to load again, and waits until it has.
pub async fn send_reload(socket: &Path) -> Result<(), ReloadRefused> {
    let unreached = |why: String| ReloadRefused::Unreached {
        socket: socket.to_owned(),
        why,
    };
    let talk = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(b"reload\n").await?;
        let mut reply = String::new();
        BufReader::new(stream.take(MAX_REPLY))
            .read_line(&mut reply)
            .await?;
        io::Result::Ok(reply)
    };
    let reply = timeout(RELOAD_LIMIT, talk)
        .await
        .map_err(|_| unreached(format!("no answer within {} s", RELOAD_LIMIT.as_secs())))?
        .map_err(|error| unreached(error.to_string()))?;
    match reply.trim_end() {
        "ok" => Ok(()),
        "" => Err(unreached("it hung up".to_owned())),
        other => Err(ReloadRefused::Refused(
            other.strip_prefix("error: ").unwrap_or(other).to_owned(),
        )),
    }
}

fn bind_control(socket: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn accept(tcp: TcpListener, acceptor: TlsAcceptor) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match tcp.accept().await {
            Ok((stream, _)) => {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A visitor that breaks off or dawdles is nobody's concern.
                    let _ = timeout(VISIT_LIMIT, greet(acceptor, stream)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a TLS connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn greet(acceptor: TlsAcceptor, stream: TcpStream) -> io::Result<()> {
    let mut tls = acceptor.accept(stream).await?;
    let mut request = [0; 1024];
    if tls.read(&mut request).await? > 0 {
        tls.write_all(REPLY).await?;
    }
    tls.shutdown().await
}

async fn obey(control: UnixListener, held: Arc<Held>, cert_path: PathBuf) {
    loop {
        let Ok((stream, _)) = control.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // One after the other: two reloads at once would race for which is the last.
        let _ = timeout(VISIT_LIMIT, answer(stream, &held, &cert_path)).await;
    }
}

async fn answer(stream: UnixStream, held: &Arc<Held>, cert_path: &Path) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut command = String::new();
    BufReader::new(reading.take(64)).read_line(&mut command).await?;
    let reply = if command.trim_end() == "reload" {
        let (held, path) = (Arc::clone(held), cert_path.to_owned());
        match tokio::task::spawn_blocking(move || held.load(&path)).await {
            Ok(Ok(())) => "ok\n".to_owned(),
            Ok(Err(error)) => format!("error: {}\n", error.to_string().replace('\n', " ")),
            Err(_) => "error: the server is stopping\n".to_owned(),
        }
    } else {
        "error: the only command is `reload`\n".to_owned()
    };
    writing.write_all(reply.as_bytes()).await
}

/// What was loaded last, the set installed last first.
#[derive(Debug, Default)]
struct Held(RwLock<Vec<Loaded>>);

#[derive(Debug)]
struct Loaded {
    names: Vec<String>,
    installed_at: SystemTime,
    key: Arc<CertifiedKey>,
}

impl Held {
    /// All or nothing: what can't be loaded leaves what was held before.
    fn load(&self, path: &Path) -> Result<(), TlsServerError> {
        let certificates = if path.is_dir() {
            sets_in(path)?
        } else {
            vec![path.to_owned()]
        };
        let mut loaded = certificates
            .iter()
            .map(|path| load_set(path))
            .collect::<Result<Vec<_>, _>>()?;
        loaded.sort_by_key(|set| std::cmp::Reverse(set.installed_at));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }
}

impl ResolvesServerCert for Held {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let asked = hello.server_name();
        let fits = asked.and_then(|asked| {
            held.iter()
                .find(|set| set.names.iter().any(|name| fits(name, asked)))
        });
        fits.or_else(|| held.first()).map(|set| Arc::clone(&set.key))
    }
}

/// Certificates in a directory that have a key beside them.
fn sets_in(dir: &Path) -> Result<Vec<PathBuf>, TlsServerError> {
    let entries = fs::read_dir(dir).map_err(|error| unusable(dir, &error))?;
    let mut sets: Vec<_> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            !name.starts_with('.') && !name.ends_with(".key") && !name.ends_with(".chain.pem")
        })
        .filter(|path| path.is_file() && path.with_extension("key").is_file())
        .collect();
    sets.sort();
    Ok(sets)
}

fn load_set(path: &Path) -> Result<Loaded, TlsServerError> {
    let chain = read_certificates(path)?;
    let Some(leaf) = chain.first().cloned() else {
        return Err(unusable(path, &"it holds no certificate"));
    };
    let key_path = path.with_extension("key");
    let key = PrivateKeyDer::from_pem_file(&key_path).map_err(|error| unusable(&key_path, &error))?;
    // Refuses a key that is not the certificate's.
    let key = CertifiedKey::from_der(chain, key, &provider::default_provider())
        .map_err(|error| unusable(path, &error))?;
    Ok(Loaded {
        names: names(&leaf),
        installed_at: installed_at(path),
        key: Arc::new(key),
    })
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsServerError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(path, &error))
}

/// When the set was swapped in: the link `current` is made anew each time.
fn installed_at(path: &Path) -> SystemTime {
    let current = path
        .parent()
        .zip(path.file_stem())
        .map(|(dir, stem)| dir.join(".cmp").join(stem).join("current"));
    current
        .and_then(|link| fs::symlink_metadata(link).ok())
        .or_else(|| fs::metadata(path).ok())
        .and_then(|found| found.modified().ok())
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

fn names(leaf: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else {
        return Vec::new();
    };
    let Ok(Some(sans)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    sans.value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_lowercase()),
            _ => None,
        })
        .collect()
}

fn fits(name: &str, asked: &str) -> bool {
    let asked = asked.to_lowercase();
    match name.strip_prefix("*.") {
        Some(domain) => asked.split_once('.').is_some_and(|(_, rest)| rest == domain),
        None => name == asked,
    }
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> TlsServerError {
    TlsServerError::File {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_cover_one_label() {
        assert!(fits("*.example.com", "WWW.example.com"));
        assert!(!fits("*.example.com", "a.b.example.com"));
        assert!(!fits("*.example.com", "example.com"));
        assert!(fits("example.com", "example.com"));
    }

    #[tokio::test]
    async fn a_socket_that_nobody_listens_on_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let refused = send_reload(&dir.path().join("control")).await.unwrap_err();
        assert!(matches!(refused, ReloadRefused::Unreached { .. }), "{refused}");
    }
}
