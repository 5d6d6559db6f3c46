//! Agents: enrolled, checked in, banned. What is installed on them is in `installations`.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;

use crate::domain::agent::{Agent, AgentIdentity, AgentStatus};
use crate::domain::id::{EntityKind, new_id};
use crate::domain::name;
use crate::problem::{Denial, Problem};
use crate::wire::agents::EnrolBody;
use crate::wire::filter::Thing;
use crate::wire::page::{Page, PageQuery};

use super::in_use_sql::{has_no_token, in_use, without_token};
use super::row::{FromRow, Row, list, word};
use super::search::{By, Place, Words};
use super::select::{Beside, Field, Is, List, SortColumn, Sorts, Where};
use super::statement::{Json, Value, is_listed, listed, sql};
use super::{Conn, StoreError, Tx, certificate_list};

/// Agents, and the number of their installations.
const FROM: &str = "agents a JOIN agent_places p ON p.id = a.id";

const COLUMNS: &str = concat!(
    "a.*, p.n_installations, CAST(CASE WHEN ",
    has_no_token!("a.id"),
    " THEN 1 ELSE 0 END AS bigint) AS has_no_token"
);

/// Names, addresses and owners.
pub(super) const WORDS: Words = Words {
    kind: EntityKind::Agent,
    from: "agents a",
    are_of: "w.id = a.id",
};

/// The agents that have a certificate `c` of which something holds, in use in one of its three ways.
const fn holding(by: By, ids: &'static [&'static str]) -> Place {
    Place {
        by,
        ids,
        row: concat!(
            "COALESCE((SELECT 1 FROM installations i JOIN certificates c ON ",
            in_use!(),
            " WHERE i.agent_id = a.id AND ?if LIMIT 1), 0) = 1"
        ),
    }
}

/// The ids of those agents, by a condition on `c`.
macro_rules! holders_if {
    ($condition:literal) => {
        &[
            concat!(
                "SELECT i.agent_id AS id FROM certificates c JOIN installations i ON i.certificate_id = c.id WHERE ",
                $condition
            ),
            concat!(
                "SELECT i.agent_id AS id FROM certificates c \
                 JOIN installations i ON i.served_sha256 = c.fingerprint_sha256 WHERE ",
                $condition
            ),
            concat!(
                "SELECT i.agent_id AS id FROM certificates c \
                 JOIN installations i ON i.on_disk_sha256 = c.fingerprint_sha256 WHERE ",
                $condition
            ),
        ]
    };
}

/// The agents of which something holds by itself.
const OWN: &[&str] = &["SELECT a.id FROM agents a WHERE ?if"];

pub(super) const LIST: List = List {
    columns: COLUMNS,
    from: FROM,
    beside: Some(Beside {
        from: "agent_places p",
        columns: "p.",
        id: "p.id",
        others: "a.",
    }),
    id: "a.id",
    number_as_id: false,
    sorts: &[
        SortColumn {
            name: "hostname",
            sql: "a.hostname",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "last_checkin",
            // Those that never checked in come first.
            sql: "COALESCE(a.last_checkin, '1970-01-01T00:00:00+00:00')",
            sorts: Sorts::Time,
        },
        SortColumn {
            name: "silent",
            sql: "COALESCE(a.last_checkin, '1970-01-01T00:00:00+00:00')",
            sorts: Sorts::Time,
        },
        SortColumn {
            name: "health",
            // Each by its own interval. Who is banned is expected to be silent and comes last.
            sql: "CASE WHEN a.status = 'banned' THEN '9999-12-31T00:00:00+00:00' ELSE a.silent_at END",
            sorts: Sorts::Time,
        },
        SortColumn {
            name: "installations",
            sql: "p.n_installations",
            sorts: Sorts::Number,
        },
        SortColumn {
            name: "address",
            // With the collation of the other, which is "C"; it is there always.
            sql: "COALESCE(a.address, a.hostname)",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "owner",
            sql: "COALESCE(a.owner, '')",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "status",
            sql: "a.status",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "id",
            sql: "a.id",
            sorts: Sorts::Text,
        },
    ],
    unsorted: &[],
    default_sort: "hostname",
    words: Is::Text(&[
        Place::own(By::Words(WORDS), &["?words"]),
        Place::own(By::Id("a.id", "agt_"), OWN),
    ]),
    fields: &[
        Field {
            name: "status",
            is: Is::Word("a.status", &["active", "banned"], &[]),
        },
        Field {
            name: "silent",
            is: Is::Ago("COALESCE(a.last_checkin, '1970-01-01T00:00:00+00:00')"),
        },
        Field {
            name: "host",
            is: Is::Text(&[
                Place::own(By::Part(WORDS, "LOWER(a.hostname)"), &["?words"]),
                Place::own(By::Id("a.id", "agt_"), OWN),
            ]),
        },
        Field {
            name: "owner",
            is: Is::Text(&[Place::own(
                By::Part(WORDS, "LOWER(COALESCE(a.owner, ''))"),
                &["?words"],
            )]),
        },
        Field {
            name: "address",
            is: Is::Text(&[Place::own(By::Part(WORDS, "LOWER(a.address)"), &["?words"])]),
        },
        Field {
            name: "cert",
            is: Is::Text(&[
                holding(
                    By::Words(certificate_list::WORDS),
                    holders_if!("c.id IN (?words)"),
                ),
                holding(By::Serial("c.serial"), holders_if!("?if")),
                holding(By::Id("c.id", "crt_"), holders_if!("?if")),
            ]),
        },
    ],
    parameters: &["q", "status"],
    doing: "reading the agents",
};

/// How many agents there are, and how many check in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headcount {
    /// All that are not banned.
    pub n_all: i64,
    /// Those that checked in within the last two intervals.
    pub n_healthy: i64,
}

/// Makes an agent.
///
/// # Errors
/// One of this host name is there already, or the database doesn't answer.
pub async fn insert(tx: &mut Tx, new: &EnrolBody, checkin_interval_s: i64) -> Result<Agent, StoreError> {
    let id = new_id(EntityKind::Agent);
    let now = tx.now();
    sql(
        "INSERT INTO agents (id, hostname, address, tls_address, install_dirs, agent_version, status, \
         checkin_interval_s, enrolled_at, updated_at, owner) \
         VALUES ($1, $2, $3, $4, $5, $6, 'active', $7, $8, $8, $9)",
    )
    .bind(&id)
    .bind(&new.hostname)
    .bind(&new.address)
    .bind(&new.tls_address)
    .bind(Json(&new.install_dirs))
    .bind(&new.agent_version)
    .bind(checkin_interval_s)
    .bind(now)
    .bind(&new.owner)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("enrolling an agent"))?;
    tx.changed(EntityKind::Agent, &id);
    existing(tx, &id).await
}

/// Keeps where an enrolment came from; later ones come with the reports.
///
/// # Errors
/// The database doesn't answer.
pub async fn enrolled_from(tx: &mut Tx, id: &str, from: &str) -> Result<(), StoreError> {
    sql("UPDATE agents SET reported_from = $2 WHERE id = $1")
        .bind(id)
        .bind(from)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("recording where an agent enrolled from"))?;
    Ok(())
}

/// The agent `id` enrols again, as what it says it is now.
///
/// # Errors
/// It is banned or unknown, another one has the host name, or the database doesn't answer.
pub async fn enrol_again(tx: &mut Tx, id: &str, new: &EnrolBody) -> Result<Agent, StoreError> {
    let agent = lock(tx, id).await?;
    if agent.status == AgentStatus::Banned {
        return Err(banned(&agent).into());
    }
    let now = tx.now();
    sql(
        "UPDATE agents SET hostname = $2, address = $3, tls_address = $4, install_dirs = $5, \
         agent_version = $6, enrolled_at = $7, updated_at = $7, owner = $8, version = version + 1 \
         WHERE id = $1",
    )
    .bind(id)
    .bind(&new.hostname)
    .bind(&new.address)
    .bind(&new.tls_address)
    .bind(Json(&new.install_dirs))
    .bind(&new.agent_version)
    .bind(now)
    .bind(&new.owner)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("enrolling an agent again"))?;
    tx.changed(EntityKind::Agent, id);
    existing(tx, id).await
}

/// One.
///
/// # Errors
/// The database doesn't answer.
pub async fn read(conn: &mut Conn, id: &str) -> Result<Option<Agent>, StoreError> {
    let row: Option<Wrapped> = sql(AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE a.id = $1"
    )))
    .bind(id)
    .fetch_optional(conn.raw())
    .await
    .map_err(StoreError::because("reading an agent"))?;
    Ok(row.map(|row| row.0))
}

/// One that has to be there.
///
/// # Errors
/// There is no such agent, or the database doesn't answer.
pub async fn existing(conn: &mut Conn, id: &str) -> Result<Agent, StoreError> {
    read(conn, id)
        .await?
        .ok_or_else(|| StoreError::not_found(EntityKind::Agent, id))
}

/// One that has to be there, kept from others until the transaction ends: what is expected on an agent,
/// and its jobs, are changed by one at a time. Where another one was waited for, the agent is as that one left it, and
/// its number of installations and whether it has a token as they were before.
///
/// # Errors
/// There is no such agent, or the database doesn't answer.
pub async fn lock(tx: &mut Tx, id: &str) -> Result<Agent, StoreError> {
    let row: Option<Wrapped> = sql(AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE a.id = $1"
    )))
    .bind(id)
    .locking("a")
    .fetch_optional(tx.raw())
    .await
    .map_err(StoreError::because("waiting for an agent"))?;
    row.map(|row| row.0)
        .ok_or_else(|| StoreError::not_found(EntityKind::Agent, id))
}

/// Locks it without reading it; nothing if there is no such agent.
pub(super) async fn locked(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    sql("SELECT a.id FROM agents a WHERE a.id = $1")
        .bind(id)
        .locking("a")
        .rows(tx.raw())
        .await
        .map_err(StoreError::because("waiting for an agent"))?;
    Ok(())
}

/// Waits for several, in one order for all who do.
pub(super) async fn all_locked(tx: &mut Tx, ids: &BTreeSet<String>) -> Result<(), StoreError> {
    let text = format!(
        "SELECT a.id FROM agents a WHERE {} ORDER BY a.id",
        is_listed("a.id", 1)
    );
    let ids: Vec<String> = ids.iter().cloned().collect();
    sql(AssertSqlSafe(text))
        .bind(listed(&ids))
        .locking("a")
        .rows(tx.raw())
        .await
        .map_err(StoreError::because("waiting for agents"))?;
    Ok(())
}

/// One page, by host name if nothing else is said.
///
/// # Errors
/// A bad query, or the database doesn't answer.
pub async fn page(conn: &mut Conn, query: &PageQuery) -> Result<Page<Agent>, StoreError> {
    let mut filter = Where::default();
    if let Some(status) = &query.status {
        let status = AgentStatus::from_word(status).ok_or_else(|| {
            Problem::bad_input(format!("`{status}` is not a status of agents"))
                .hint("allowed: active, banned; silence is derived from `last_checkin`")
        })?;
        filter.and("a.status = ?", Value::from(status.word().to_owned()));
    }
    let page: Page<Wrapped> = LIST.page(conn, query, filter).await?;
    Ok(page.map(|row| row.0))
}

/// How many there are, and how many check in.
///
/// # Errors
/// The database doesn't answer.
pub async fn headcount(conn: &mut Conn) -> Result<Headcount, StoreError> {
    let now = conn.now();
    // An agent that never came is not healthy, however long ago it enrolled; nor is one that can't come any more.
    let (n_all, n_healthy): (i64, i64) = sql(concat!(
        "SELECT COUNT(*), COUNT(*) FILTER (WHERE silent_at >= $1 AND last_checkin IS NOT NULL AND id NOT IN ",
        without_token!(),
        ") FROM agents WHERE status = 'active'"
    ))
    .bind(now)
    .fetch_one(conn.raw())
    .await
    .map_err(StoreError::because("counting the agents"))?;
    Ok(Headcount { n_all, n_healthy })
}

/// What an agent is looked up by: its id as it is, or its host's name in its one spelling.
///
/// # Errors
/// It is another thing's id.
pub(super) fn id_or_host(text: &str) -> Result<Value, Problem> {
    Thing::Agent.check("agent", text).map_err(Problem::bad_input)?;
    let looked_up = match text.starts_with("agt_") {
        true => text.to_owned(),
        false => name::of_host(text).unwrap_or_else(|_| text.to_owned()),
    };
    Ok(Value::from(looked_up))
}

pub(super) fn banned(agent: &Agent) -> Problem {
    Problem::new(
        crate::problem::ProblemKind::Forbidden,
        format!("the agent `{}` is banned", agent.hostname),
    )
    .denial(Denial::Banned)
}

pub(super) struct Wrapped(pub(super) Agent);

impl FromRow for Wrapped {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self(Agent {
            id: row.try_get("id")?,
            version: row.try_get("version")?,
            hostname: row.try_get("hostname")?,
            address: row.try_get("address")?,
            tls_address: row.try_get("tls_address")?,
            install_dirs: list(row, "install_dirs")?,
            agent_version: row.try_get("agent_version")?,
            owner: row.try_get("owner")?,
            status: word(row, "status", AgentStatus::from_word)?,
            identity: identity(row, "identity_serial", "identity_not_after")?,
            next_identity: identity(row, "next_identity_serial", "next_identity_not_after")?,
            last_checkin: row.try_get("last_checkin")?,
            reported_from: row.try_get("reported_from")?,
            checkin_interval_s: row.try_get("checkin_interval_s")?,
            has_no_token: row.try_get::<i64>("has_no_token")? == 1,
            n_installations: row.try_get("n_installations")?,
            enrolled_at: row.try_get("enrolled_at")?,
            updated_at: row.try_get("updated_at")?,
        }))
    }
}

fn identity(row: &Row, serial: &str, not_after: &str) -> Result<Option<AgentIdentity>, sqlx::Error> {
    let (serial, not_after) = (row.try_get::<Option<String>>(serial)?, row.try_get(not_after)?);
    Ok(serial
        .zip(not_after)
        .map(|(serial, not_after)| AgentIdentity { serial, not_after }))
}
