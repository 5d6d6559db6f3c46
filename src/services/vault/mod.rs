//! The bundled Vault-compatible server: what the platform needs of Vault's HTTP API, with its shapes,
//! status codes and refusals, over a real seal, a real barrier and a real CA. It is no replacement for
//! Vault in production: one node, no audit devices, no leases.

mod approle;
mod auth;
mod barrier;
mod capability;
mod kv;
mod lifetime;
mod mounts;
mod path;
mod pki;
mod policy;
mod reply;
mod router;
mod seal;
mod sys;
mod token;

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Mutex;

use crate::clock::Clock;

use barrier::Barrier;
use policy::Capability;
pub use reply::{Body, Reply};
use seal::Seal;

/// Why the server can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The state directory can't be used.
    #[error("Vault's storage can't be used: {0}")]
    Storage(#[from] std::io::Error),
    /// What is stored can't be read.
    #[error("Vault's storage is damaged: {0}")]
    Damaged(String),
}

/// The server. Clones are one server.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    clock: Clock,
    /// One request at a time changes state: what Vault does with finer locks, a bundled server can do
    /// with one, and no interleaving has to be thought of.
    core: Mutex<Core>,
}

/// All state behind the lock.
struct Core {
    clock: Clock,
    seal: Seal,
    barrier: Barrier,
}

/// One request.
struct Request<'a> {
    operation: Capability,
    path: &'a str,
    body: &'a Value,
}

impl Vault {
    /// Opens the server on its state directory; it is sealed.
    ///
    /// # Errors
    /// The directory can't be used, or what is in it is damaged.
    pub fn open(dir: &Path, clock: Clock) -> Result<Self, VaultError> {
        barrier::sweep(dir)?;
        let core = Core {
            clock: clock.clone(),
            seal: Seal::open(dir)?,
            barrier: Barrier::open(&dir.join("barrier"))?,
        };
        Ok(Self(Arc::new(Inner {
            clock,
            core: Mutex::new(core),
        })))
    }

    /// One request, as the HTTP layer makes it: `path` is without `/v1/`.
    pub async fn handle(&self, method: &str, path: &str, token: Option<&str>, body: Value) -> Reply {
        let operation = match method.to_ascii_uppercase().as_str() {
            "GET" | "HEAD" => Capability::Read,
            "LIST" => Capability::List,
            "POST" | "PUT" => Capability::Update,
            "PATCH" => Capability::Patch,
            "DELETE" => Capability::Delete,
            _ => return Reply::wrong_method(),
        };
        let path = &path::normal(path);
        let mut core = self.0.core.lock().await;
        core.handle(
            &Request {
                operation,
                path,
                body: &body,
            },
            token,
        )
    }

    /// Whether nothing behind the barrier can be told.
    async fn is_sealed(&self) -> bool {
        !self.0.core.lock().await.barrier.is_open()
    }

    /// The routes below `/v1/`.
    pub fn router(&self) -> axum::Router {
        router::router(self.clone())
    }

    /// The clock that everything is dated by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }
}

impl Core {
    fn handle(&mut self, request: &Request<'_>, token: Option<&str>) -> Reply {
        if let Some(reply) = self.without_barrier(request, token) {
            return reply;
        }
        if !self.barrier.is_open() {
            return Reply::error(503, "Vault is sealed");
        }
        // Who logs in has no token yet.
        if let Some(reply) = auth::login(self, request) {
            return reply;
        }
        // Certificates, chains and revocation lists are public in Vault too.
        if request.operation == Capability::Read
            && let Some(reply) = pki::public(self, request.path)
        {
            return reply;
        }
        let Some(mut caller) = token.and_then(|token| token::find(self, token)) else {
            return Reply::error(403, "permission denied");
        };
        // A use is one whatever comes of it.
        let is_last = match token::count_use(self, &mut caller) {
            Ok(is_last) => is_last,
            Err(error) => return storage(&error),
        };
        let may = caller.is_root() || policy::allows(self, &caller.policies, request.path, request.operation);
        let reply = if may {
            self.route(request, &caller)
        } else {
            Reply::denied()
        };
        match is_last.then(|| token::end(self, &caller)) {
            Some(Err(error)) => storage(&error),
            _ => reply,
        }
    }

    fn route(&mut self, request: &Request<'_>, caller: &token::Token) -> Reply {
        if let Some(reply) = sys::route(self, request, caller) {
            return reply;
        }
        if let Some(rest) = request.path.strip_prefix("auth/token/") {
            return token::route(self, request, rest, caller).unwrap_or_else(|| no_handler(request.path));
        }
        if let Some(rest) = request.path.strip_prefix("auth/") {
            return auth::method(self, request, rest).unwrap_or_else(|| no_handler(request.path));
        }
        let Some((mount, kind)) = mounts::mount_of(self, request.path) else {
            return no_handler(request.path);
        };
        let rest = request
            .path
            .strip_prefix(mount.as_str())
            .unwrap_or_default()
            .trim_start_matches('/');
        let reply = match kind.as_str() {
            "pki" => pki::route(self, request, &mount, rest),
            _ => kv::route(self, request, &mount, rest),
        };
        // The mount is there, but it knows no such path.
        reply.unwrap_or_else(|| Reply::error(404, "1 error occurred:\n\t* unsupported path\n\n"))
    }
}

fn no_handler(path: &str) -> Reply {
    Reply::error(
        404,
        &format!("no handler for route \"{path}\". route entry not found."),
    )
}

/// Answers a failed write to storage as Vault does: a 500 that names no secret.
fn storage(error: &std::io::Error) -> Reply {
    Reply::error(
        500,
        &format!("1 error occurred:\n\t* storage failed: {error}\n\n"),
    )
}
