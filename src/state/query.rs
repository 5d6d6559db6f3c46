//! The questions that a console asks, and their answers. A question is data and the key of its answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::figures::Figures;
use super::link::Link;
use crate::domain::agent::Agent;
use crate::domain::audit::AuditRow;
use crate::domain::certificate::Certificate;
use crate::domain::id::EntityKind;
use crate::domain::link::Backend;
use crate::domain::request::Request;
use crate::wire::agents::AgentDetail;
use crate::wire::certs::{CertificateDetail, KeyDetail};
use crate::wire::filter::{CERTIFICATE_FIELDS, Filter};
use crate::wire::health::Findings;
use crate::wire::page::{Change, PageQuery};
use crate::wire::trends::Trends;

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Query {
    /// The ranked findings.
    Findings,
    /// Certificates that end within the next thirty days, the first to end first.
    Expiring,
    /// Agents, those longest silent first.
    AgentHealth,
    /// Requests that are not at their end, or failed.
    OpenRequests,
    /// The newest audit rows.
    RecentAudit,
    /// A list of certificates; replaced ones are left out unless its filter asks for a status.
    Certificates(ListQuery),
    /// How many that leaves out.
    Replaced(ListQuery),
    /// A list of agents.
    Agents(ListQuery),
    /// A list of requests.
    Requests(ListQuery),
    /// A list of audit rows.
    Audit(ListQuery),
    /// One certificate.
    Certificate(String),
    /// One agent.
    Agent(String),
    /// One request.
    Request(String),
    /// The audit rows about one thing.
    AuditOf(String),
    /// One audit row, by its number.
    AuditRow(i64),
    /// One key, by the SHA-256 of its SubjectPublicKeyInfo.
    Key(String),
    /// Counts over time.
    Trends,
    /// The end of the console's own log.
    Logs,
    /// How the backends of the other context with this name are.
    LinksOf(String),
    /// What burns in the other context with this name.
    FiguresOf(String),
}

impl Query {
    /// Subject of the question, in words.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self {
            Self::Findings => "the findings",
            Self::Expiring => "the certificates that end soon",
            Self::AgentHealth => "the agents' health",
            Self::OpenRequests => "the open requests",
            Self::RecentAudit | Self::Audit(_) | Self::AuditOf(_) => "the audit rows",
            Self::Certificates(_) | Self::Replaced(_) => "the certificates",
            Self::Agents(_) => "the agents",
            Self::Requests(_) => "the requests",
            Self::Certificate(_) => "the certificate",
            Self::Agent(_) => "the agent",
            Self::Request(_) => "the request",
            Self::AuditRow(_) => "the audit row",
            Self::Key(_) => "the key",
            Self::Trends => "the trends",
            Self::Logs => "this console's log",
            Self::LinksOf(_) | Self::FiguresOf(_) => "another context",
        }
    }
}

/// What a list is filtered and sorted by.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ListQuery {
    /// The filter that rows must pass (see [`crate::wire::filter`]).
    pub q: String,
    /// The column, with `-` for descending; the list's own order if empty.
    pub sort: String,
}

impl ListQuery {
    /// The query with this in its filter too.
    #[must_use]
    pub fn with(&self, term: &str) -> Self {
        Self {
            q: format!("{} {term}", self.q).trim_start().to_owned(),
            sort: self.sort.clone(),
        }
    }

    /// Whether replaced certificates are among its rows: its filter says which status they have, or it looks for
    /// something by a word, which is to be found whatever became of it.
    #[must_use]
    pub fn has_replaced(&self) -> bool {
        Filter::read(&self.q, CERTIFICATE_FIELDS).is_ok_and(|filter| filter.chooses_status())
    }

    /// True if it leaves out what is replaced or revoked by itself: it asks for ends, and for no status.
    #[must_use]
    pub fn is_by_end(&self) -> bool {
        let is = |filter: Filter| filter.names("expires") && !filter.chooses_status();
        Filter::read(&self.q, CERTIFICATE_FIELDS).is_ok_and(is)
    }

    /// As the API takes it.
    #[must_use]
    pub fn page(&self, default_sort: &str) -> PageQuery {
        let sort = if self.sort.is_empty() {
            default_sort
        } else {
            &self.sort
        };
        PageQuery {
            sort: Some(sort.to_owned()),
            filter: Some(self.q.clone()).filter(|q| !q.is_empty()),
            ..PageQuery::default()
        }
    }
}

/// A window over a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window<T> {
    /// The rows from the beginning as far as they were asked for.
    pub rows: Vec<T>,
    /// Number of all, as [`crate::wire::page::Page::counted`] says it.
    pub total: i64,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Findings.
    Findings(Findings),
    /// Certificates.
    Certificates(Window<Certificate>),
    /// Agents.
    Agents(Window<Agent>),
    /// Requests.
    Requests(Window<Request>),
    /// Audit rows.
    Audit(Window<AuditRow>),
    /// One certificate.
    Certificate(Box<CertificateDetail>),
    /// One agent.
    Agent(Box<AgentDetail>),
    /// One request.
    Request(Box<Request>),
    /// One key.
    Key(Box<KeyDetail>),
    /// Counts over time.
    Trends(Box<Trends>),
    /// The end of the console's own log, the newest line last.
    Logs(Vec<LogLine>),
    /// How another context's backends are.
    #[serde(skip)]
    Links(BTreeMap<Backend, Link>),
    /// What burns in another context.
    #[serde(skip)]
    Figures(Figures),
}

/// A line of the console's own log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Where it begins in the file, which is the line's name.
    pub at: u64,
    /// All of it.
    pub text: String,
}

impl Answer {
    /// Number of rows at the server, for an answer that is a window over a list, as
    /// [`crate::wire::page::Page::counted`] says it.
    #[must_use]
    pub fn total(&self) -> Option<i64> {
        match self {
            Self::Certificates(window) => Some(window.total),
            Self::Agents(window) => Some(window.total),
            Self::Requests(window) => Some(window.total),
            Self::Audit(window) => Some(window.total),
            _ => None,
        }
    }
}

impl Answer {
    /// Rows of a window over a list: how many there are here, and how many at the server.
    #[must_use]
    pub fn extent(&self) -> Option<(usize, i64)> {
        match self {
            Self::Certificates(window) => Some((window.rows.len(), window.total)),
            Self::Agents(window) => Some((window.rows.len(), window.total)),
            Self::Requests(window) => Some((window.rows.len(), window.total)),
            Self::Audit(window) => Some((window.rows.len(), window.total)),
            _ => None,
        }
    }
}

impl Query {
    /// The other context that it is asked of, if it is.
    #[must_use]
    pub fn neighbour(&self) -> Option<&str> {
        match self {
            Self::LinksOf(name) | Self::FiguresOf(name) => Some(name),
            _ => None,
        }
    }

    /// Whether the answer may be another one after `change`.
    #[must_use]
    pub fn concerns(&self, change: &Change) -> bool {
        use EntityKind as Kind;
        if change.routine {
            return match self {
                Self::AgentHealth | Self::Agents(_) => true,
                Self::Agent(id) => change.is_about(id),
                _ => false,
            };
        }
        match self {
            Self::Findings => change.entity != Kind::Audit && change.entity != Kind::Run,
            Self::Expiring
            | Self::Certificates(_)
            | Self::Replaced(_)
            | Self::Certificate(_)
            | Self::Key(_) => {
                matches!(change.entity, Kind::Certificate | Kind::Installation | Kind::Key)
            }
            Self::AgentHealth | Self::Agents(_) => change.entity == Kind::Agent,
            Self::OpenRequests | Self::Requests(_) => change.entity == Kind::Request,
            Self::RecentAudit | Self::Audit(_) | Self::AuditOf(_) => change.entity == Kind::Audit,
            // Every minute is often enough; an audit row never changes, and nothing at the server is in the
            // console's log or in another context.
            Self::Trends | Self::AuditRow(_) | Self::Logs | Self::LinksOf(_) | Self::FiguresOf(_) => false,
            // What is served there may be revoked.
            Self::Agent(id) => {
                matches!(change.entity, Kind::Certificate | Kind::Installation) || change.is_about(id)
            }
            Self::Request(id) => change.is_about(id),
        }
    }
}
