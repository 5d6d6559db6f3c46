//! Tokens: made here, kept only as SHA-256. The token itself is told once, to whoever asked for it.

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};

use crate::domain::id::{EntityKind, new_id};
use crate::domain::role::Role;
use crate::domain::secret::Secret;
pub use crate::domain::token::{Purpose, Token};
use crate::domain::token::{looks_like, may_be_one_person};
use crate::problem::Problem;
use crate::wire::page::{Page, PageQuery};

use super::row::{FromRow, Row, word};
use super::search::{By, Place};
use super::select::{Field, Is, List, SortColumn, Sorts, Where};
use super::statement::sql;
use super::{Conn, StoreError, Tx};

const LIST: List = List {
    // Never `t.*`: the hash is for looking a token up, and for nothing else.
    columns: "t.id, t.name, t.purpose, t.role, t.agent_id, t.parent, t.created_at, t.expires_at, t.spent_at, t.revoked_at",
    from: "tokens t",
    beside: None,
    id: "t.id",
    number_as_id: false,
    sorts: &[
        SortColumn {
            name: "created_at",
            sql: "t.created_at",
            sorts: Sorts::Time,
        },
        SortColumn {
            name: "name",
            // With the collation of the other, which is "C"; it is there always.
            sql: "COALESCE(t.name, t.id)",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "id",
            sql: "t.id",
            sorts: Sorts::Text,
        },
    ],
    unsorted: &[],
    default_sort: "-created_at",
    words: Is::Like("LOWER(t.name) LIKE ? ESCAPE '\\' OR t.id LIKE ? ESCAPE '\\'"),
    fields: &[
        Field {
            name: "role",
            is: Is::Word("t.role", &["agent", "viewer", "operator", "admin"], &[]),
        },
        Field {
            name: "purpose",
            is: Is::Word("t.purpose", &["bearer", "enrol"], &[]),
        },
        Field {
            name: "name",
            is: Is::Like("LOWER(t.name) LIKE ? ESCAPE '\\'"),
        },
        Field {
            name: "parent",
            is: Is::Text(&[Place::own(
                By::Id("t.parent", "tok_"),
                &["SELECT t.id FROM tokens t WHERE ?if"],
            )]),
        },
    ],
    parameters: &["q"],
    doing: "reading the tokens",
};

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The name that audit rows carry.
    pub name: String,
    /// What for.
    pub purpose: Purpose,
    /// What it may do.
    pub role: Role,
    /// The agent that it belongs to, or that may enrol again with it.
    pub agent_id: Option<String>,
    /// The token that it is made with.
    pub parent: Option<String>,
    /// Until when it is good.
    pub expires_at: Option<DateTime<Utc>>,
}

/// 256 random bits, with a prefix by which a leaked one is found.
///
/// # Errors
/// The system gives no random bytes.
pub fn mint() -> Result<Secret, StoreError> {
    let mut bytes = [0_u8; 32];
    rand::fill(&mut bytes).map_err(|_| Problem::internal("the system gives no random bytes"))?;
    Ok(Secret::new(format!("cmp_{}", URL_SAFE_NO_PAD.encode(bytes))))
}

/// Keeps the hash of `secret` as a token.
///
/// # Errors
/// The database doesn't answer.
pub async fn create(tx: &mut Tx, new: &NewToken, secret: &Secret) -> Result<Token, StoreError> {
    let id = new_id(EntityKind::Token);
    let now = tx.now();
    let row: Token = sql(
        "INSERT INTO tokens (id, name, purpose, role, hash, agent_id, parent, looks_like, expires_at, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING *",
    )
    .bind(&id)
    .bind(&new.name)
    .bind(new.purpose.word())
    .bind(new.role.word())
    .bind(hash(secret.expose()))
    .bind(&new.agent_id)
    .bind(&new.parent)
    .bind(looks_like(&new.name))
    .bind(new.expires_at)
    .bind(now)
    .fetch_one(tx.raw())
    .await
    .map_err(StoreError::because("making a token"))?;
    tx.changed(EntityKind::Token, &id);
    Ok(row)
}

/// Makes the token `name`, or lets it have another secret: for the demo's tokens, which are made anew
/// at each start.
///
/// # Errors
/// The database doesn't answer.
pub async fn replace(tx: &mut Tx, new: &NewToken, secret: &Secret) -> Result<Token, StoreError> {
    tx.alone(&format!("token {}", new.name)).await?;
    let now = tx.now();
    sql("UPDATE tokens SET revoked_at = $2 WHERE name = $1 AND purpose = $3 AND revoked_at IS NULL")
        .bind(&new.name)
        .bind(now)
        .bind(new.purpose.word())
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("replacing a token"))?;
    create(tx, new, secret).await
}

/// Makes a token whose name no other living one has, since audit rows know a caller by that name.
///
/// # Errors
/// A living token has the name, or the database doesn't answer.
pub async fn create_named(tx: &mut Tx, new: &NewToken, secret: &Secret) -> Result<Token, StoreError> {
    tx.alone(&format!("token {}", new.name)).await?;
    let now = tx.now();
    let living: Option<String> = sql(
        "SELECT id FROM tokens WHERE name = $1 AND revoked_at IS NULL AND spent_at IS NULL \
         AND (expires_at IS NULL OR expires_at > $2)",
    )
    .bind(&new.name)
    .bind(now)
    .fetch_optional(tx.raw())
    .await
    .map_err(StoreError::because("looking for a token of that name"))?;
    if let Some(id) = living {
        let taken = Problem::conflict(format!("the token `{id}` is called `{}` already", new.name));
        return Err(taken
            .hint("choose another name, or take that one back first")
            .into());
    }
    // Also one that is no more: its rows are in the audit, and stay.
    let like: Option<String> = sql("SELECT name FROM tokens WHERE looks_like = $1 AND name <> $2 LIMIT 1")
        .bind(looks_like(&new.name))
        .bind(&new.name)
        .fetch_optional(tx.raw())
        .await
        .map_err(StoreError::because("looking for a token of a name like that"))?;
    let like = match like {
        Some(like) => Some(like),
        None => one_person(tx, &new.name).await?,
    };
    if let Some(like) = like {
        let alike = Problem::conflict(format!(
            "`{}` looks like `{like}`, which names a token already: audit rows of the two would be mixed up",
            new.name
        ));
        return Err(alike
            .hint("choose a name that nobody mistakes for another")
            .into());
    }
    create(tx, new, secret).await
}

/// A token's name that is this one with a realm or a tag, or without.
async fn one_person(tx: &mut Tx, name: &str) -> Result<Option<String>, StoreError> {
    let person = name.split(['@', '+']).next().unwrap_or(name);
    let like = match person == name {
        // Of those with more behind it, how they look is known only as a whole.
        true => sql("SELECT name FROM tokens WHERE name LIKE '%@%' OR name LIKE '%+%'"),
        false => sql("SELECT name FROM tokens WHERE looks_like = $1").bind(looks_like(person)),
    };
    let rows: Vec<String> = like
        .fetch_all(tx.raw())
        .await
        .map_err(StoreError::because("looking for a token of a name like that"))?;
    Ok(rows.into_iter().find(|other| may_be_one_person(name, other)))
}

/// One page, the latest first if nothing else is said.
///
/// # Errors
/// A bad query, or the database doesn't answer.
pub async fn page(conn: &mut Conn, query: &PageQuery) -> Result<Page<Token>, StoreError> {
    LIST.page(conn, query, Where::default()).await
}

/// Takes one token back. Returns it, and whether it was not taken back before.
///
/// # Errors
/// There is no such token, or the database doesn't answer.
pub async fn revoke(tx: &mut Tx, id: &str) -> Result<(Token, bool), StoreError> {
    let now = tx.now();
    let done = sql("UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
        .bind(id)
        .bind(now)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("taking a token back"))?;
    let token: Option<Token> = sql("SELECT * FROM tokens WHERE id = $1")
        .bind(id)
        .fetch_optional(tx.raw())
        .await
        .map_err(StoreError::because("reading a token"))?;
    let token = token.ok_or_else(|| StoreError::not_found(EntityKind::Token, id))?;
    if done == 1 {
        tx.changed(EntityKind::Token, id);
        // Without one, that is how its agent is.
        if let Some(agent) = &token.agent_id {
            tx.changed(EntityKind::Agent, agent);
        }
    }
    Ok((token, done == 1))
}

/// One.
///
/// # Errors
/// The database doesn't answer.
pub async fn read(conn: &mut Conn, id: &str) -> Result<Option<Token>, StoreError> {
    sql("SELECT * FROM tokens WHERE id = $1")
        .bind(id)
        .fetch_optional(conn.raw())
        .await
        .map_err(StoreError::because("reading a token"))
}

/// The tokens that still let somebody in and were made with this one, or with one that was made with it, and so on.
///
/// # Errors
/// The database doesn't answer.
pub async fn made_with(conn: &mut Conn, id: &str) -> Result<Vec<Token>, StoreError> {
    let now = conn.now();
    sql(
        "WITH RECURSIVE made (id) AS (SELECT id FROM tokens WHERE parent = $1 \
         UNION SELECT t.id FROM tokens t JOIN made m ON t.parent = m.id) \
         SELECT t.* FROM tokens t JOIN made m ON m.id = t.id \
         WHERE t.revoked_at IS NULL AND t.spent_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $2) \
         ORDER BY t.created_at, t.id",
    )
    .bind(id)
    .bind(now)
    .fetch_all(conn.raw())
    .await
    .map_err(StoreError::because("reading what a token made"))
}

/// Another token for an agent whose own one was never used, since the answer that told it was lost: that one is
/// taken back. Nothing when it was used, or was made with another one-time token than `parent`, so that whoever has
/// a spent one gets no further one.
///
/// # Errors
/// The database doesn't answer.
pub async fn replace_unused(
    tx: &mut Tx,
    agent_id: &str,
    parent: &str,
    secret: &Secret,
) -> Result<Option<Token>, StoreError> {
    let unused: Option<Token> = sql(
        "SELECT t.* FROM tokens t JOIN agents a ON a.id = t.agent_id \
         WHERE t.agent_id = $1 AND t.purpose = 'bearer' AND t.parent = $2 AND t.revoked_at IS NULL AND a.status = 'active' \
         AND (a.last_checkin IS NULL OR a.last_checkin < t.created_at) ORDER BY t.created_at DESC, t.id DESC LIMIT 1",
    )
    .bind(agent_id)
    .bind(parent)
    .fetch_optional(tx.raw())
    .await
    .map_err(StoreError::because("looking for an agent's token"))?;
    let Some(before) = unused else { return Ok(None) };
    revoke(tx, &before.id).await?;
    let new = NewToken {
        name: before.name,
        purpose: before.purpose,
        role: before.role,
        agent_id: before.agent_id,
        parent: before.parent,
        expires_at: before.expires_at,
    };
    create(tx, &new, secret).await.map(Some)
}

/// Takes back the one-time tokens of an agent that nobody has spent.
///
/// # Errors
/// The database doesn't answer.
pub async fn revoke_unspent(tx: &mut Tx, agent_id: &str) -> Result<(), StoreError> {
    let now = tx.now();
    sql(
        "UPDATE tokens SET revoked_at = $2 WHERE agent_id = $1 AND purpose = 'enrol' AND revoked_at IS NULL \
         AND spent_at IS NULL",
    )
    .bind(agent_id)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("taking an agent's one-time tokens back"))?;
    Ok(())
}

/// A token, and what else its bearer has to show.
#[derive(Clone, Debug)]
pub struct Known {
    /// The token.
    pub token: Token,
    /// The serial of the certificate that its agent has to prove itself with, if it is an agent's.
    pub identity: Option<String>,
    /// The serial of the one that may follow.
    pub next_identity: Option<String>,
}

/// The token, whatever has become of it.
///
/// # Errors
/// The database doesn't answer.
pub async fn find(conn: &mut Conn, secret: &str) -> Result<Option<Known>, StoreError> {
    // Looked up by its hash, so that nothing about the token can be learnt from the time it takes.
    sql(
        "SELECT t.*, a.identity_serial, a.next_identity_serial FROM tokens t \
         LEFT JOIN agents a ON a.id = t.agent_id WHERE t.hash = $1",
    )
    .bind(hash(secret))
    .fetch_optional(conn.raw())
    .await
    .map_err(StoreError::because("looking a token up"))
}

/// Spends a one-time token. Returns whether it was still good.
///
/// # Errors
/// The database doesn't answer.
pub async fn spend(tx: &mut Tx, id: &str) -> Result<bool, StoreError> {
    let now = tx.now();
    let done = sql(
        "UPDATE tokens SET spent_at = $2 WHERE id = $1 AND purpose = 'enrol' AND spent_at IS NULL \
         AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
    )
    .bind(id)
    .bind(now)
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("spending a token"))?;
    Ok(done == 1)
}

/// Takes back all tokens of an agent and the one-time tokens that it ever enrolled with, whose answers end with them;
/// but for the one that it enrols with now.
///
/// # Errors
/// The database doesn't answer.
pub async fn revoke_of_agent(tx: &mut Tx, agent_id: &str, but: Option<&str>) -> Result<(), StoreError> {
    let now = tx.now();
    sql(
        "UPDATE tokens SET revoked_at = $2 WHERE revoked_at IS NULL AND id <> $3 AND (agent_id = $1 OR purpose = 'enrol') \
         AND id IN (SELECT o.id FROM tokens o WHERE o.agent_id = $1 UNION SELECT t.parent FROM tokens t WHERE t.agent_id = $1)",
    )
    .bind(agent_id)
    .bind(now)
    .bind(but.unwrap_or_default())
    .execute(tx.raw())
    .await
    .map_err(StoreError::because("taking an agent's tokens back"))?;
    Ok(())
}

fn hash(secret: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, secret.as_bytes()))
}

impl FromRow for Known {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            token: Token::from_row(row)?,
            identity: row.try_get("identity_serial")?,
            next_identity: row.try_get("next_identity_serial")?,
        })
    }
}

impl FromRow for Token {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            purpose: word(row, "purpose", Purpose::from_word)?,
            role: word(row, "role", Role::from_word)?,
            agent_id: row.try_get("agent_id")?,
            parent: row.try_get("parent")?,
            created_at: row.try_get("created_at")?,
            expires_at: row.try_get("expires_at")?,
            spent_at: row.try_get("spent_at")?,
            revoked_at: row.try_get("revoked_at")?,
        })
    }
}
