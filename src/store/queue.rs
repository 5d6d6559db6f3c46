//! Jobs that are queued: for agents, and for the issuer.

use sqlx::AssertSqlSafe;

use crate::domain::certificate::Certificate;
use crate::domain::id::{EntityKind, new_id};
use crate::domain::installation::Installation;
use crate::domain::request::Request;
use crate::problem::Problem;
use crate::wire::agents::{AgentWork, JobResult};

use super::installations;
use super::keys;
use super::statement::{Json, is_listed, listed, rows_of, sql};
use super::{StoreError, Tx};

/// Has the request's agent make its key and CSR.
pub(super) async fn make_key(tx: &mut Tx, request: &Request) -> Result<Option<String>, StoreError> {
    let Some(agent_id) = &request.agent_id else {
        return Ok(None);
    };
    let work = AgentWork::MakeKey {
        request_id: request.id.clone(),
        key_algorithm: request.key_algorithm.clone(),
        common_name: request.common_name.clone(),
        sans: request.sans.clone(),
    };
    let job = Queued {
        kind: "make_key",
        agent_id: Some(agent_id),
        request_id: Some(&request.id),
        certificate_id: None,
        installation_id: None,
        work: Some(&work),
    };
    queue(tx, job).await.map(Some)
}

/// Has the request's agent answer the CA's challenges.
pub(super) async fn challenge(
    tx: &mut Tx,
    request_id: &str,
    agent_id: &str,
    work: &AgentWork,
) -> Result<String, StoreError> {
    let job = Queued {
        kind: "challenge",
        agent_id: Some(agent_id),
        request_id: Some(request_id),
        certificate_id: None,
        installation_id: None,
        work: Some(work),
    };
    queue(tx, job).await
}

/// From now on the certificate is expected at `path` on the agent, which installs it. Gives the job too.
///
/// # Errors
/// Its key is blocked: nothing with it is installed anywhere any more. Or the database doesn't answer.
pub async fn ask_install(
    tx: &mut Tx,
    agent_id: &str,
    path: &str,
    certificate: &Certificate,
) -> Result<(String, Installation), StoreError> {
    if keys::is_blocked(tx, certificate).await? {
        let what = format!(
            "certificate `{}` is not installed: its key is compromised",
            certificate.id
        );
        return Err(Problem::refused(what)
            .hint("reissue it: the new one has a key of its own")
            .into());
    }
    let installation = installations::expect(tx, agent_id, path, certificate).await?;
    let job = install(tx, &installation, certificate).await?;
    Ok((job, installation))
}

/// Has the agent install what is expected. An older installation at the same place, not done yet, is
/// overtaken by it.
///
/// # Errors
/// The certificate comes without its PEM, or the database doesn't answer.
pub async fn install(
    tx: &mut Tx,
    installation: &Installation,
    certificate: &Certificate,
) -> Result<String, StoreError> {
    let (Some(pem), Some(chain_pem)) = (&certificate.pem, &certificate.chain_pem) else {
        return Err(
            Problem::internal(format!("certificate `{}` came without its PEM", certificate.id)).into(),
        );
    };
    let install = Install {
        installation_id: &installation.id,
        agent_id: &installation.agent_id,
        path: &installation.path,
        certificate_id: &certificate.id,
        pem,
        chain_pem,
        fingerprint_sha256: &certificate.fingerprint_sha256,
        spki_sha256: &certificate.spki_sha256,
    };
    let mut queued = installs(tx, &[install]).await?;
    queued
        .pop()
        .ok_or_else(|| Problem::internal("an installation was not queued").into())
}

/// An installation to be queued, and the certificate.
pub(super) struct Install<'a> {
    pub(super) installation_id: &'a str,
    pub(super) agent_id: &'a str,
    pub(super) path: &'a str,
    pub(super) certificate_id: &'a str,
    pub(super) pem: &'a str,
    pub(super) chain_pem: &'a str,
    pub(super) fingerprint_sha256: &'a str,
    pub(super) spki_sha256: &'a str,
}

/// Queues several, as [`install`] does one; gives the jobs' ids, in their order.
pub(super) async fn installs(tx: &mut Tx, installs: &[Install<'_>]) -> Result<Vec<String>, StoreError> {
    let doing = "queueing an installation";
    let overtaken = JobResult::withdrawn("overtaken by a newer installation at the same path");
    let now = tx.now();
    let places: Vec<String> = installs.iter().map(|it| it.installation_id.to_owned()).collect();
    let text = format!(
        "UPDATE jobs SET status = 'failed', result = $2, ended_at = $3, error_message = $4 \
         WHERE {} AND status = 'queued' RETURNING id",
        is_listed("installation_id", 1)
    );
    let old: Vec<String> = sql(AssertSqlSafe(text))
        .bind(listed(&places))
        .bind(Json(&overtaken))
        .bind(now)
        .bind(&overtaken.error)
        .fetch_all(tx.raw())
        .await
        .map_err(StoreError::because(doing))?;
    for id in old {
        tx.changed(EntityKind::Job, &id);
    }
    let works: Vec<AgentWork> = installs
        .iter()
        .map(|it| AgentWork::Install {
            certificate_id: it.certificate_id.to_owned(),
            path: it.path.to_owned(),
            certificate_pem: it.pem.to_owned(),
            chain_pem: it.chain_pem.to_owned(),
            fingerprint_sha256: it.fingerprint_sha256.to_owned(),
            spki_sha256: it.spki_sha256.to_owned(),
        })
        .collect();
    let jobs: Vec<Queued<'_>> = installs
        .iter()
        .zip(&works)
        .map(|(it, work)| Queued {
            kind: "install",
            agent_id: Some(it.agent_id),
            request_id: None,
            certificate_id: Some(it.certificate_id),
            installation_id: Some(it.installation_id),
            work: Some(work),
        })
        .collect();
    queue_all(tx, &jobs).await
}

/// Has the issuer tell the CA that the certificate is revoked.
pub(super) async fn revoke(tx: &mut Tx, certificate_id: &str) -> Result<String, StoreError> {
    let job = Queued {
        kind: "revoke",
        agent_id: None,
        request_id: None,
        certificate_id: Some(certificate_id),
        installation_id: None,
        work: None,
    };
    queue(tx, job).await
}

struct Queued<'a> {
    kind: &'static str,
    agent_id: Option<&'a str>,
    request_id: Option<&'a str>,
    certificate_id: Option<&'a str>,
    installation_id: Option<&'a str>,
    work: Option<&'a AgentWork>,
}

async fn queue(tx: &mut Tx, job: Queued<'_>) -> Result<String, StoreError> {
    let mut queued = queue_all(tx, &[job]).await?;
    queued
        .pop()
        .ok_or_else(|| Problem::internal("a job was not queued").into())
}

async fn queue_all(tx: &mut Tx, jobs: &[Queued<'_>]) -> Result<Vec<String>, StoreError> {
    let now = tx.now();
    let text = format!(
        "INSERT INTO jobs (id, kind, status, agent_id, request_id, certificate_id, installation_id, work, \
         created_at) VALUES {}",
        rows_of(jobs.len(), 9)
    );
    let mut insert = sql(AssertSqlSafe(text));
    let mut ids = Vec::with_capacity(jobs.len());
    for job in jobs {
        let id = new_id(EntityKind::Job);
        insert = insert
            .bind(&id)
            .bind(job.kind)
            .bind("queued")
            .bind(job.agent_id)
            .bind(job.request_id)
            .bind(job.certificate_id)
            .bind(job.installation_id)
            .bind(job.work.map(Json))
            .bind(now);
        ids.push(id);
    }
    insert
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("queueing a job"))?;
    for id in &ids {
        tx.changed(EntityKind::Job, id);
    }
    Ok(ids)
}
