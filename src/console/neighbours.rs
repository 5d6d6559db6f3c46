//! The other contexts of the configuration, for the screen that shows them all: who is asked there, as whom, and
//! for how long. It only reads, and it runs no command for a token: that is done for the context that is opened.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::backends::vault_places;
use super::links;
use crate::clients::api::ApiReader;
use crate::clients::vault::{Login, Place, VaultError, VaultReader};
use crate::clock::Clock;
use crate::config::console::Context;
use crate::domain::link::{Backend, LinkState};
use crate::problem::Problem;
use crate::state::figures::{EXPIRING, FAILED, Figures, Lists};
use crate::state::link::Link;
use crate::state::query::{Answer, Query};
use crate::wire::page::PageQuery;

/// How long one context may take to answer; another one doesn't wait for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The contexts, each with its clients once it was asked.
pub struct Neighbours {
    of: BTreeMap<String, Arc<Neighbour>>,
    clock: Clock,
}

struct Neighbour {
    context: Context,
    clients: OnceLock<Clients>,
}

#[derive(Clone)]
struct Clients {
    api: ApiReader,
    vault: Option<VaultReader>,
    nodes: Vec<VaultReader>,
}

impl Neighbours {
    /// These; nobody is asked yet.
    #[must_use]
    pub fn new(contexts: BTreeMap<String, Context>, clock: Clock) -> Self {
        let of = contexts.into_iter().map(|(name, context)| {
            let clients = OnceLock::new();
            (name, Arc::new(Neighbour { context, clients }))
        });
        Self {
            of: of.collect(),
            clock,
        }
    }

    /// Asks one of them.
    ///
    /// # Errors
    /// Why there is no answer; that backends are away is one.
    pub(super) async fn ask(&self, query: &Query) -> Result<Answer, Problem> {
        match query {
            Query::LinksOf(name) => Ok(Answer::Links(self.links(name).await)),
            Query::FiguresOf(name) => Ok(Answer::Figures(self.figures(name).await?)),
            other => Err(Problem::internal(format!(
                "{other:?} is no question to another context"
            ))),
        }
    }

    async fn links(&self, name: &str) -> BTreeMap<Backend, Link> {
        let clients = match self.clients(name).await {
            Ok(clients) => clients,
            Err(problem) => return [(Backend::Api, self.down(problem.to_string()))].into(),
        };
        let vault = links::vault(clients.vault.as_ref(), &clients.nodes, &self.clock);
        let (platform, vault) = tokio::join!(
            links::platform(&clients.api, &self.clock, None, true),
            tokio::time::timeout(PATIENCE, vault)
        );
        let vault = vault.unwrap_or_else(|_| self.down(VaultError::late().to_string()));
        platform
            .links
            .into_iter()
            .chain([(Backend::Vault, vault)])
            .collect()
    }

    fn down(&self, why: String) -> Link {
        Link {
            state: LinkState::Down,
            note: Some(why),
            latency_ms: None,
            as_of: self.clock.now(),
            seal: None,
        }
    }

    /// Counted as the console counts them for the open context: lists by their total, of which one row is asked.
    async fn figures(&self, name: &str) -> Result<Figures, Problem> {
        let api = self.clients(name).await?.api;
        let neighbour = self.named(name)?;
        // Each time, since a file may have another one by now; on a thread that may wait for a disk.
        let api = match apart(move || Ok(neighbour.context.quiet_api_token())).await? {
            Ok(token) => api.with_token(token),
            Err(why) => api.without_token(why),
        };
        let counted = |filter: &str| PageQuery {
            filter: Some(filter.to_owned()),
            limit: Some(1),
            ..PageQuery::default()
        };
        let (expiring, failed) = (counted(EXPIRING), counted(FAILED));
        let open = PageQuery {
            open: Some(true),
            limit: Some(1),
            ..PageQuery::default()
        };
        let (me, findings, expiring, open, failed) = tokio::try_join!(
            api.me(),
            api.findings(),
            api.certificates(&expiring),
            api.requests(&open),
            api.requests(&failed)
        )?;
        let lists = Lists {
            expiring: expiring.counted(),
            requests: open.counted(),
            failed: failed.counted(),
        };
        Ok(Figures {
            role: Some(me.role),
            ..Figures::of(&findings.findings, &findings.more, lists)
        })
    }

    fn named(&self, name: &str) -> Result<Arc<Neighbour>, Problem> {
        let found = self.of.get(name).cloned();
        found.ok_or_else(|| Problem::not_found(format!("no context is called `{name}`")))
    }

    /// Reading a CA or the system's roots takes a while, and the console's one thread has keys to hear.
    async fn clients(&self, name: &str) -> Result<Clients, Problem> {
        let neighbour = self.named(name)?;
        match neighbour.clients.get() {
            Some(clients) => Ok(clients.clone()),
            None => apart(move || neighbour.connect()).await,
        }
    }
}

impl Neighbour {
    /// What can't be used is tried again the next time: somebody may have mended it.
    fn connect(&self) -> Result<Clients, Problem> {
        let Context { api, api_ca, .. } = &self.context;
        let (place, nodes) = vault_places(&self.context);
        // How it is sealed is told to everybody.
        let reader = |place: &Place| VaultReader::new(place, Login::Nobody);
        let nodes: Result<Vec<VaultReader>, VaultError> = nodes.iter().map(reader).collect();
        let clients = Clients {
            api: ApiReader::trusting(api, None, api_ca.as_deref())?.within(PATIENCE),
            vault: place.as_ref().map(reader).transpose()?,
            nodes: nodes?,
        };
        Ok(self.clients.get_or_init(|| clients).clone())
    }
}

/// Does what may wait for a disk on a thread of its own.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Problem::internal("a background task crashed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbours(context: Context) -> Neighbours {
        Neighbours::new([("x".to_owned(), context)].into(), Clock::system())
    }

    #[tokio::test]
    async fn a_ca_that_is_not_there_is_told_in_its_row_until_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.pem");
        let there = neighbours(Context {
            api: "https://127.0.0.1:1".to_owned(),
            api_ca: Some(ca.clone()),
            vault: Some("http://127.0.0.1:1".to_owned()),
            ..Context::default()
        });
        let api = async || match there.ask(&Query::LinksOf("x".to_owned())).await {
            Ok(Answer::Links(links)) => links[&Backend::Api].clone(),
            other => panic!("{other:?}"),
        };
        let link = api().await;
        let note = link.note.unwrap();
        assert!(link.state == LinkState::Down && note.contains("ca.pem"), "{note}");
        let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(&ca, pair.cert.pem()).unwrap();
        let note = api().await.note.unwrap();
        assert!(note.contains("can't be reached"), "{note}");
    }

    #[tokio::test]
    async fn a_context_without_vault_has_none_that_is_down() {
        let there = neighbours(Context {
            api: "http://127.0.0.1:1".to_owned(),
            ..Context::default()
        });
        let Ok(Answer::Links(links)) = there.ask(&Query::LinksOf("x".to_owned())).await else {
            panic!("no links");
        };
        assert_eq!(links[&Backend::Vault].state, LinkState::Absent);
        assert_eq!(links[&Backend::Api].state, LinkState::Down);
    }

    #[tokio::test]
    async fn the_usual_token_is_for_the_open_context_alone() {
        let there = neighbours(Context {
            api: "http://127.0.0.1:1".to_owned(),
            vault: Some("http://127.0.0.1:1".to_owned()),
            ..Context::default()
        });
        let problem = there.ask(&Query::FiguresOf("x".to_owned())).await.unwrap_err();
        assert_eq!(
            problem.what,
            "there is no API token: its `api_token` is not set, and `CMP_TOKEN` is used only for the context that is \
             opened"
        );
        let gone = there.ask(&Query::FiguresOf("y".to_owned())).await.unwrap_err();
        assert_eq!(gone.what, "no context is called `y`");
    }
}
