//! What a screen's question is asked of: the API, or a host of the database. Both give the same bodies.

use crate::clients::api::ApiReader;
use crate::domain::agent::Agent;
use crate::domain::audit::AuditRow;
use crate::domain::certificate::Certificate;
use crate::domain::database::{self, ReadFrom};
use crate::domain::request::Request;
use crate::plan::ports::Reads;
use crate::problem::Problem;
use crate::store::hosts::Hosts;
use crate::store::{agents, audit, certificates, read, requests, trends};
use crate::wire::agents::AgentDetail;
use crate::wire::certs::{CertificateDetail, KeyDetail};
use crate::wire::health::Findings;
use crate::wire::page::{Page, PageQuery};
use crate::wire::trends::Trends;

/// One place to ask.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// The API.
    Api(&'a ApiReader),
    /// A host of the database, by its number.
    Host(&'a Hosts, usize),
}

/// All places to ask, the best first.
pub(super) async fn sources(reads: &Reads) -> Vec<Source<'_>> {
    let api = Source::Api(&reads.api);
    let Some(hosts) = &reads.hosts else {
        return vec![api];
    };
    let sources = hosts.sources().await.into_iter();
    let place = |source| match source {
        database::Source::Host(index) => Source::Host(hosts, index),
        database::Source::Api => api,
    };
    sources.map(place).collect()
}

impl Source<'_> {
    /// The place as it is now; none of a host that doesn't answer any more.
    pub(super) fn as_read(&self) -> Option<ReadFrom> {
        match *self {
            Self::Api(_) => Some(ReadFrom::Api),
            Self::Host(hosts, at) => hosts.place(at),
        }
    }

    /// A page of certificates.
    pub(super) async fn certificates(&self, query: &PageQuery) -> Result<Page<Certificate>, Problem> {
        match *self {
            Self::Api(api) => api.certificates(query).await,
            Self::Host(hosts, at) => {
                hosts
                    .on(at, "certificates", async |conn| {
                        certificates::page(conn, query).await
                    })
                    .await
            }
        }
    }

    /// A page of agents.
    pub(super) async fn agents(&self, query: &PageQuery) -> Result<Page<Agent>, Problem> {
        match *self {
            Self::Api(api) => api.agents(query).await,
            Self::Host(hosts, at) => {
                hosts
                    .on(at, "agents", async |conn| agents::page(conn, query).await)
                    .await
            }
        }
    }

    /// A page of requests.
    pub(super) async fn requests(&self, query: &PageQuery) -> Result<Page<Request>, Problem> {
        match *self {
            Self::Api(api) => api.requests(query).await,
            Self::Host(hosts, at) => {
                hosts
                    .on(at, "requests", async |conn| requests::page(conn, query).await)
                    .await
            }
        }
    }

    /// A page of audit rows.
    pub(super) async fn audit(&self, query: &PageQuery) -> Result<Page<AuditRow>, Problem> {
        match *self {
            Self::Api(api) => api.audit(query).await,
            Self::Host(hosts, at) => {
                hosts
                    .on(at, "the audit trail", async |conn| audit::page(conn, query).await)
                    .await
            }
        }
    }

    /// One certificate with what it touches.
    pub(super) async fn certificate(&self, id: &str) -> Result<CertificateDetail, Problem> {
        match *self {
            Self::Api(api) => api.certificate(id).await,
            Self::Host(hosts, at) => {
                hosts
                    .on(at, "certificates", async |conn| read::certificate(conn, id).await)
                    .await
            }
        }
    }

    /// One agent with what is expected on it.
    pub(super) async fn agent(&self, id: &str) -> Result<AgentDetail, Problem> {
        match *self {
            Self::Api(api) => api.agent(id).await,
            Self::Host(hosts, at) => {
                hosts
                    .on(at, "agents", async |conn| read::agent(conn, id).await)
                    .await
            }
        }
    }

    /// One request.
    pub(super) async fn request(&self, id: &str) -> Result<Request, Problem> {
        match *self {
            Self::Api(api) => api.request(id).await,
            Self::Host(hosts, at) => {
                hosts
                    .on(at, "requests", async |conn| requests::existing(conn, id).await)
                    .await
            }
        }
    }

    /// One audit row, by its number.
    pub(super) async fn audit_row(&self, seq: i64) -> Result<AuditRow, Problem> {
        match *self {
            Self::Api(api) => api.audit_row(seq).await,
            Self::Host(hosts, at) => {
                hosts
                    .on(at, "the audit trail", async |conn| {
                        read::audit_row(conn, seq).await
                    })
                    .await
            }
        }
    }

    /// One key with its certificates.
    pub(super) async fn key(&self, spki: &str) -> Result<KeyDetail, Problem> {
        match *self {
            Self::Api(api) => api.key(spki).await,
            Self::Host(hosts, at) => {
                hosts
                    .on(at, "keys", async |conn| read::key(conn, spki).await)
                    .await
            }
        }
    }

    /// The findings, the worst first.
    pub(super) async fn findings(&self) -> Result<Findings, Problem> {
        match *self {
            Self::Api(api) => api.findings().await,
            Self::Host(hosts, at) => {
                hosts
                    .on(at, "findings", async |conn| read::findings(conn).await)
                    .await
            }
        }
    }

    /// Counts over time.
    pub(super) async fn trends(&self) -> Result<Trends, Problem> {
        match *self {
            Self::Api(api) => api.trends().await,
            Self::Host(hosts, at) => {
                hosts
                    .on(at, "trends", async |conn| trends::read(conn).await)
                    .await
            }
        }
    }
}
