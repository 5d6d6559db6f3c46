//! The clients of one context's backends, and whether they may change anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tokio::io::AsyncWriteExt;

use crate::clients::api::{ApiReader, ApiWriter};
use crate::clients::proxy;
use crate::clients::vault::{Login, Place, VaultWriter};
use crate::clock::Clock;
use crate::config::console::{Context, Tokens, VaultKey};
use crate::domain::link::Backend;
use crate::plan::guard::Guard;
use crate::plan::journal::Journal;
use crate::plan::known::KnownAgents;
use crate::plan::one_database;
use crate::plan::outcome::Outcome;
use crate::plan::ports::{Changes, Reads};
use crate::problem::Problem;
use crate::state::effect::Export;
use crate::store::hosts::Hosts;

/// The backends of one context, and what may be changed there.
pub struct Backends {
    /// What can be asked.
    pub reads: Reads,
    pub(super) changes: Changes,
    pub(super) journal: Journal,
    guard: Mutex<Guard>,
    exports: PathBuf,
}

impl Backends {
    /// The proxies of the environment on the way to the API and to Vault, in words.
    pub(super) fn proxies(&self) -> BTreeMap<Backend, String> {
        let api = std::iter::once((Backend::Api, self.reads.api.base()));
        let vault = self.reads.vault.iter();
        let places = api.chain(vault.map(|vault| (Backend::Vault, vault.address())));
        let through = places.filter_map(|(backend, address)| {
            let proxy = proxy::through(address)?;
            Some((backend, format!("through the proxy {}", proxy.words())))
        });
        through.collect()
    }

    /// Clients for a context, entered with `tokens`; connects to nothing yet.
    ///
    /// # Errors
    /// That an address or this machine's TLS can't be used.
    pub fn new(context: &Context, tokens: Tokens, state_dir: &Path, clock: Clock) -> Result<Self, Problem> {
        let ca = context.api_ca.as_deref();
        let api = match tokens.api {
            Ok(token) => ApiReader::trusting(&context.api, Some(token), ca)?,
            Err(why) => ApiReader::trusting(&context.api, None, ca)?.without_token(why),
        };
        let login = match tokens.vault {
            Ok(VaultKey::Nobody) => Login::Nobody,
            Ok(VaultKey::Token(token)) => Login::Token(token),
            Ok(VaultKey::Role(role_id, secret_id)) => Login::of(None, Some(role_id), Some(secret_id)),
            Err(why) => Login::Missing(why),
        };
        let password = tokens.database.unwrap_or_else(|why| {
            // The hosts then say that they refuse us, and the log why.
            tracing::warn!("the database's password is not to be had: {why}");
            None
        });
        let writer = |place: &Place| VaultWriter::new(place, login.clone());
        let (place, nodes) = vault_places(context);
        let vault = place.as_ref().map(writer).transpose()?;
        let nodes: Vec<VaultWriter> = nodes.iter().map(writer).collect::<Result<_, _>>()?;
        let reads = Reads {
            vault: vault.as_ref().map(VaultWriter::reader),
            vault_nodes: nodes.iter().map(VaultWriter::reader).collect(),
            pki_mount: context.pki_mount.clone(),
            pki_test_role: context.pki_test_role.clone(),
            hosts: match &context.database {
                Some(database) => Some(Hosts::new(database, password.as_ref(), clock.clone())?),
                None => None,
            },
            known: KnownAgents::default(),
            clock,
            api: api.clone(),
        };
        Ok(Self {
            reads,
            changes: Changes::new(ApiWriter::new(api), vault).with_vault_nodes(nodes),
            journal: Journal::new(&state_dir.join(journal_of(&context.api))),
            exports: state_dir.join("exports"),
            guard: Mutex::new(Guard::of(context.read_only, context.protected)),
        })
    }
}

/// The places of the context's Vault, if it has one, and of its cluster's nodes.
pub(super) fn vault_places(context: &Context) -> (Option<Place>, Vec<Place>) {
    let place = context.vault.as_ref().map(|address| Place {
        address: address.clone(),
        cluster: context.vault_nodes.clone(),
        ca: context.vault_ca.clone(),
        namespace: context.vault_namespace.clone(),
    });
    let nodes = place.iter().flat_map(|place| {
        let nodes = context.vault_nodes.iter();
        nodes.map(|address| place.node(address))
    });
    let nodes = nodes.collect();
    (place, nodes)
}

/// The local journal of the platform behind this API: what was done to one is never told to another.
fn journal_of(api: &str) -> String {
    format!("journal-{}.jsonl", file_name(api))
}

/// The file with the local snapshot of the platform behind this API.
#[must_use]
pub fn snapshot_of(state_dir: &Path, api: &str) -> PathBuf {
    state_dir.join(format!("snapshot-{}.json", file_name(api)))
}

fn file_name(api: &str) -> String {
    api.trim_end_matches('/')
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect()
}

impl Backends {
    /// Writes an export for its owner alone; gives where it is and what it lacks, or why it could not be written.
    pub(super) async fn write_export(&self, export: &Export) -> Result<String, String> {
        let mut paths = Vec::new();
        for (name, content) in &export.files {
            paths.push(self.write_file(name, content).await?);
        }
        let paths = paths.join(" and ");
        Ok(match export.cut.as_str() {
            "" => paths,
            cut => format!("{paths}: {cut}"),
        })
    }

    async fn write_file(&self, name: &str, content: &str) -> Result<String, String> {
        let path = self.exports.join(name);
        let failed = |error: std::io::Error| format!("`{}` can't be written: {error}", path.display());
        tokio::fs::create_dir_all(&self.exports).await.map_err(failed)?;
        let mut options = tokio::fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&path).await.map_err(failed)?;
        file.write_all(content.as_bytes()).await.map_err(failed)?;
        file.sync_all().await.map_err(failed)?;
        Ok(path.display().to_string())
    }

    /// Whether changes are allowed now.
    pub(super) fn guard(&self) -> Guard {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Unlocks or locks a protected context; one that is read-only stays so.
    pub(super) fn set_guard(&self, guard: Guard) {
        let mut now = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        if *now != Guard::ReadOnly {
            *now = guard;
        }
    }

    /// Hands over what the local journal holds, and gives the ends that the records deny; none when it has to be tried
    /// again.
    pub(super) async fn hand_over_journal(&self) -> Option<Vec<(String, Outcome)>> {
        // What is told to a database that is left behind is told to nobody.
        if let Some(problem) = one_database::not_one(&self.reads).await {
            tracing::debug!(%problem, "the local journal waits");
            return None;
        }
        match self.journal.hand_over(&self.changes).await {
            Ok(denied) => Some(denied),
            Err(problem) => {
                tracing::debug!(%problem, "the local journal is not handed over yet");
                None
            }
        }
    }
}
