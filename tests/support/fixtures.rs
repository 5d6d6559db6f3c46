//! A night's facts at a fixed time, for tests that draw.

use chrono::{DateTime, Duration, Utc};
use cmp_console::domain::agent::{Agent, AgentIdentity, AgentStatus};
use cmp_console::domain::audit::{AuditEntry, AuditOutcome, AuditRow, GENESIS};
use cmp_console::domain::certificate::{Certificate, CertificateStatus, Shown};
use cmp_console::domain::finding::{Finding, FindingKind, Severity};
use cmp_console::domain::id::EntityKind;
use cmp_console::domain::installation::Installation;
use cmp_console::domain::key::{Key, KeyStatus};
use cmp_console::domain::link::{Backend, LinkState};
use cmp_console::domain::renewal::Renewal;
use cmp_console::domain::request::{Request, RequestStatus, WaitingOn};
use cmp_console::domain::role::Role;
use cmp_console::state::link::{Link, Seal};
use cmp_console::state::loaded::Loaded;
use cmp_console::state::query::{Answer, ListQuery, Query, Window};
use cmp_console::state::{ContextInfo, Size, State};
use cmp_console::wire::agents::AgentDetail;
use cmp_console::wire::certs::{CertificateDetail, ChainLink};
use cmp_console::wire::health::Findings;

/// 2026-11-23 03:07:00Z.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_403_220, 0).unwrap()
}

pub(crate) fn certificate(index: i64, name: &str, ends: Duration) -> Certificate {
    Certificate {
        id: format!("crt_{index:04}"),
        version: 1,
        subject: format!("CN={name}"),
        sans: vec![name.to_owned(), format!("www.{name}")],
        issuer: "CN=cmp demo root".to_owned(),
        serial: format!("39:dd:2e:90:b7:23:1f:8d:d3:7d:31:c5:1b:da:84:{index:02x}"),
        fingerprint_sha256: format!("{index:02x}").repeat(32),
        spki_sha256: format!("{:02x}", index + 100).repeat(32),
        key_algorithm: "ecdsa-p256".to_owned(),
        not_before: now() + ends - Duration::days(90),
        not_after: now() + ends,
        status: CertificateStatus::Active,
        revocation: None,
        renewal: None,
        adapter_id: Some("adp_0001".to_owned()),
        request_id: None,
        replaces: None,
        replaced_by: None,
        host: Some("web-01".to_owned()),
        owner: Some("shop".to_owned()),
        n_reissues: 0,
        n_reissuable: 1,
        is_replaced: false,
        is_key_compromised: false,
        n_installations: 1,
        created_at: now() - Duration::days(60),
        updated_at: now() - Duration::days(60),
        pem: None,
        chain_pem: Some("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".to_owned()),
    }
}

pub(crate) fn certificates() -> Vec<Certificate> {
    vec![
        certificate(1, "pay.example.com", -Duration::days(2)),
        certificate(2, "shop.example.com", Duration::hours(5)),
        certificate(3, "api.example.com", Duration::hours(30)),
        certificate(4, "cdn.example.com", Duration::days(4)),
        certificate(5, "mail.example.com", Duration::days(20)),
    ]
}

pub(crate) fn agent(index: i64, hostname: &str, silent: Option<Duration>) -> Agent {
    Agent {
        id: format!("agt_{index:04}"),
        version: 1,
        hostname: hostname.to_owned(),
        address: format!("http://127.0.0.1:{}", 8083 + index),
        tls_address: Some(format!("127.0.0.1:{}", 9442 + index)),
        install_dirs: vec!["/srv/tls".to_owned()],
        agent_version: "0.1.0".to_owned(),
        owner: Some("web".to_owned()),
        status: AgentStatus::Active,
        identity: Some(AgentIdentity {
            serial: format!("5c:1a:90:0e:77:42:3b:d8:66:12:a9:04:ce:31:7f:{index:02x}"),
            not_after: now() + Duration::days(21),
        }),
        next_identity: None,
        last_checkin: Some(now() - silent.unwrap_or(Duration::seconds(20))),
        reported_from: Some(format!("10.20.0.{index}")),
        checkin_interval_s: 60,
        has_no_token: false,
        n_installations: 2,
        enrolled_at: now() - Duration::days(200),
        updated_at: now() - Duration::days(1),
    }
}

pub(crate) fn agents() -> Vec<Agent> {
    vec![
        agent(1, "db-02", Some(Duration::days(2))),
        agent(2, "api-03", Some(Duration::hours(5))),
        agent(3, "web-01", None),
        agent(4, "web-02", None),
    ]
}

pub(crate) fn request(index: i64, name: &str, status: RequestStatus, error: Option<&str>) -> Request {
    Request {
        id: format!("req_{index:04}"),
        version: 3,
        common_name: name.to_owned(),
        sans: vec![name.to_owned()],
        key_algorithm: "ecdsa-p256".to_owned(),
        adapter_id: "adp_0001".to_owned(),
        agent_id: Some("agt_0003".to_owned()),
        install_path: Some("/srv/tls/web.pem".to_owned()),
        replaces: Some("crt_0002".to_owned()),
        certificate_id: None,
        spki_sha256: None,
        status,
        waiting_on: (status == RequestStatus::Pending).then_some(WaitingOn::Ca),
        attempt: 1,
        error_message: error.map(str::to_owned),
        next_attempt_at: None,
        requested_by: "ops".to_owned(),
        created_at: now() - Duration::hours(3),
        updated_at: now() - Duration::hours(3),
    }
}

pub(crate) fn requests() -> Vec<Request> {
    let refusal = "subject alternate name db.internal not allowed by this role";
    vec![
        request(
            1,
            "shop.example.com",
            RequestStatus::Pending,
            Some("Vault is sealed"),
        ),
        request(2, "db.example.com", RequestStatus::Failed, Some(refusal)),
    ]
}

pub(crate) fn audit() -> Vec<AuditRow> {
    let entry = |action: &str, outcome, id: &str| AuditEntry {
        actor: "ops".to_owned(),
        action: action.to_owned(),
        entity_type: EntityKind::Certificate,
        entity_id: id.to_owned(),
        outcome,
        reason: Some("leaked in a paste".to_owned()),
        ticket: Some("INC-1234".to_owned()),
        run_id: Some("run_0001".to_owned()),
        source: "127.0.0.1".to_owned(),
        detail: None,
    };
    let at = now() - Duration::minutes(9);
    let first = AuditRow::chained(
        entry("revoke", AuditOutcome::Asked, "crt_0009"),
        1,
        at,
        GENESIS.to_owned(),
    );
    let second = AuditRow::chained(
        entry("revoke", AuditOutcome::Done, "crt_0009"),
        2,
        at,
        first.hash.clone(),
    );
    vec![second, first]
}

pub(crate) fn findings() -> Vec<Finding> {
    let finding =
        |kind, severity, id: &str, subject: &str, what: &str, due, takes: &[&str], answer: &str| Finding {
            kind,
            severity,
            risk: 100,
            entity: EntityKind::Certificate,
            entity_id: id.to_owned(),
            version: 1,
            subject: subject.to_owned(),
            what: what.to_owned(),
            since: None,
            due: Some(due),
            host: takes.first().map(|host| (*host).to_owned()),
            agent: None,
            matter: if kind == FindingKind::ExpiredInUse {
                "expired"
            } else {
                "ends"
            }
            .to_owned(),
            n_takes_down: i64::try_from(takes.len()).unwrap(),
            takes_down: takes.iter().map(|host| (*host).to_owned()).collect(),
            answer: Some(answer.to_owned()),
            answer_for: Vec::new(),
            under_way: false,
        };
    vec![
        finding(
            FindingKind::ExpiredInUse,
            Severity::Critical,
            "crt_0001",
            "pay.example.com",
            "pay.example.com has expired and is in use on 2 hosts",
            now() - Duration::days(2),
            &["web-01", "web-02"],
            "reissue",
        ),
        finding(
            FindingKind::ExpiringInUse,
            Severity::Warning,
            "crt_0002",
            "shop.example.com",
            "shop.example.com expires and is in use on 1 host",
            now() + Duration::hours(5),
            &["web-01"],
            "reissue",
        ),
    ]
}

pub(crate) fn installation(certificate: &Certificate, served_old: bool) -> Installation {
    let fingerprint = certificate.fingerprint_sha256.clone();
    Installation {
        id: "ins_0001".to_owned(),
        version: 1,
        agent_id: "agt_0003".to_owned(),
        hostname: "web-01".to_owned(),
        owner: Some("web".to_owned()),
        path: "/srv/tls/web.pem".to_owned(),
        tls_address: Some("127.0.0.1:9445".to_owned()),
        certificate_id: certificate.id.clone(),
        subject: certificate.subject.clone(),
        not_after: certificate.not_after,
        expected_sha256: fingerprint.clone(),
        on_disk_sha256: Some(fingerprint.clone()),
        chain_missing: None,
        served_revoked: false,
        failed: false,
        under_way: false,
        served_sha256: Some(if served_old { "ee".repeat(32) } else { fingerprint }),
        error: None,
        checked_at: Some(now() - Duration::minutes(1)),
        is_left_out: false,
    }
}

pub(crate) fn certificate_detail() -> CertificateDetail {
    let mut certificate = certificates().remove(1);
    certificate.renewal = Some(Renewal {
        start: now() - Duration::hours(2),
        end: now() + Duration::hours(22),
        moved_from: Some(now() + Duration::days(3)),
        explanation_url: Some("https://ca.example.test/incidents/7".to_owned()),
        asked_at: now() - Duration::hours(1),
    });
    CertificateDetail {
        key: Some(Key {
            spki_sha256: certificate.spki_sha256.clone(),
            version: 1,
            algorithm: "ecdsa-p256".to_owned(),
            status: KeyStatus::Active,
            agent_id: Some("agt_0003".to_owned()),
            hostname: Some("web-01".to_owned()),
            is_holder_banned: false,
            n_certificates: 2,
            created_at: now() - Duration::days(60),
            compromised_at: None,
        }),
        installations: vec![installation(&certificate, true)],
        found: Vec::new(),
        failed: Vec::new(),
        same_key: vec![certificates().remove(3)],
        chain: vec![
            ChainLink {
                subject: "CN=CMP Demo Issuing CA".to_owned(),
                issuer: "CN=CMP Demo Root CA".to_owned(),
                not_after: now() + Duration::days(700),
                fingerprint_sha256: "aa".repeat(32),
            },
            ChainLink {
                subject: "CN=CMP Demo Root CA".to_owned(),
                issuer: "CN=CMP Demo Root CA".to_owned(),
                not_after: now() + Duration::days(3000),
                fingerprint_sha256: "bb".repeat(32),
            },
        ],
        certificate,
    }
}

pub(crate) fn agent_detail() -> AgentDetail {
    AgentDetail {
        agent: agents().remove(2),
        installations: vec![installation(&certificates()[1], true)],
    }
}

pub(crate) fn link(state: LinkState, note: Option<&str>) -> Link {
    Link {
        state,
        note: note.map(str::to_owned),
        latency_ms: Some(3),
        as_of: now(),
        seal: None,
    }
}

pub(crate) fn sealed(progress: u64) -> Link {
    Link {
        seal: Some(Seal {
            sealed: progress < 3,
            initialized: true,
            threshold: 3,
            shares: 5,
            progress,
            nonce: if progress > 0 {
                "0f1e2d3c-0000-4000-8000-000000000001".to_owned()
            } else {
                String::new()
            },
            version: "1.21.0".to_owned(),
        }),
        ..link(LinkState::Degraded, Some("sealed 0/3"))
    }
}

pub(crate) fn answer(state: &mut State, query: Query, value: Answer) {
    let loaded = Loaded {
        value: Some(value),
        as_of: Some(now()),
        dirty: false,
        rows: 200,
        ..Loaded::default()
    };
    state.data.insert(query, loaded);
}

/// A console that has just been opened and knows nothing yet.
pub(crate) fn blank(width: u16, height: u16) -> State {
    let context = ContextInfo {
        protected: false,
        name: "demo".to_owned(),
        api: "http://127.0.0.1:8082".to_owned(),
        vault: Some("http://127.0.0.1:8200".to_owned()),
        shares_in: Some("/tmp/cmp-demo-1/demo-secrets.json".to_owned()),
        ..ContextInfo::default()
    };
    let mut state = State::new(context, Size { width, height }, now());
    state.clock_label = "03:07Z".to_owned();
    state
}

/// A console with a whole night's facts.
pub(crate) fn night(width: u16, height: u16) -> State {
    let mut state = blank(width, height);
    let all = |rows: Vec<Certificate>| Answer::Certificates(Window { total: 64, rows });
    let list = ListQuery::default();
    state.role = Some(Role::Operator);
    for (backend, is) in [
        (Backend::Api, link(LinkState::Up, None)),
        (Backend::Database, link(LinkState::Up, None)),
        (
            Backend::Issuer,
            link(LinkState::Degraded, Some("paused: Vault is sealed")),
        ),
        (Backend::Vault, sealed(0)),
        (Backend::Cache, link(LinkState::Absent, None)),
        (Backend::Agents, link(LinkState::Degraded, Some("2 of 4 healthy"))),
    ] {
        state.links.insert(backend, is);
    }
    answer(
        &mut state,
        Query::Findings,
        Answer::Findings(Findings {
            findings: findings(),
            ..Findings::default()
        }),
    );
    answer(&mut state, Query::Expiring, all(certificates()));
    answer(&mut state, Query::Certificates(list.clone()), all(certificates()));
    let filtered = |q: &str| ListQuery {
        q: q.to_owned(),
        ..ListQuery::default()
    };
    let ends_soon = |it: &Certificate| it.shown(now()) == Shown::Expiring;
    let expiring: Vec<Certificate> = certificates().into_iter().filter(ends_soon).collect();
    let total = i64::try_from(expiring.len()).unwrap();
    let expiring = Answer::Certificates(Window {
        rows: expiring,
        total,
    });
    answer(
        &mut state,
        Query::Certificates(filtered("status:expiring")),
        expiring,
    );
    let failed = requests()
        .into_iter()
        .filter(|it| it.status == RequestStatus::Failed);
    let rows: Vec<Request> = failed.collect();
    let failed = Answer::Requests(Window { total: 1, rows });
    answer(&mut state, Query::Requests(filtered("status:failed")), failed);
    for query in [Query::AgentHealth, Query::Agents(list.clone())] {
        answer(
            &mut state,
            query,
            Answer::Agents(Window {
                total: 4,
                rows: agents(),
            }),
        );
    }
    for query in [Query::OpenRequests, Query::Requests(list.clone())] {
        answer(
            &mut state,
            query,
            Answer::Requests(Window {
                total: 2,
                rows: requests(),
            }),
        );
    }
    for query in [
        Query::RecentAudit,
        Query::Audit(list),
        Query::AuditOf("req_0001".to_owned()),
    ] {
        answer(
            &mut state,
            query,
            Answer::Audit(Window {
                total: 2,
                rows: audit(),
            }),
        );
    }
    let detail = Answer::Certificate(Box::new(certificate_detail()));
    answer(&mut state, Query::Certificate("crt_0002".to_owned()), detail);
    answer(
        &mut state,
        Query::Agent("agt_0003".to_owned()),
        Answer::Agent(Box::new(agent_detail())),
    );
    answer(
        &mut state,
        Query::Request("req_0001".to_owned()),
        Answer::Request(Box::new(requests().remove(0))),
    );
    state
}
