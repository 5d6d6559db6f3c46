//! Tokens: made here, kept only as SHA-256. The token itself is told once, to whoever asked for it.

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};

use crate::domain::id::{EntityKind, new_id};
use crate::domain::role::Role;
use crate::domain::secret::Secret;
use crate::problem::Problem;

use super::row::{FromRow, Row, word};
use super::statement::sql;
use super::{Conn, StoreError, Tx};

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Sent with every request.
    Bearer,
    /// Spent in the transaction that enrols an agent.
    Enrol,
}

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Enrol => "enrol",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Bearer, Self::Enrol]
            .into_iter()
            .find(|purpose| purpose.word() == word)
    }
}

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
    /// Until when it is good.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// `tok_…`
    pub id: String,
    /// See [`NewToken::name`].
    pub name: String,
    /// See [`NewToken::purpose`].
    pub purpose: Purpose,
    /// See [`NewToken::role`].
    pub role: Role,
    /// See [`NewToken::agent_id`].
    pub agent_id: Option<String>,
    /// See [`NewToken::expires_at`].
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was spent, if it is of the kind that is.
    pub spent_at: Option<DateTime<Utc>>,
    /// When it was taken back.
    pub revoked_at: Option<DateTime<Utc>>,
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
        "INSERT INTO tokens (id, name, purpose, role, hash, agent_id, expires_at, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING *",
    )
    .bind(&id)
    .bind(&new.name)
    .bind(new.purpose.word())
    .bind(new.role.word())
    .bind(hash(secret.expose()))
    .bind(&new.agent_id)
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

/// The token, whatever has become of it.
///
/// # Errors
/// The database doesn't answer.
pub async fn find(conn: &mut Conn, secret: &str) -> Result<Option<Token>, StoreError> {
    // Looked up by its hash, so that nothing about the token can be learnt from the time it takes.
    sql("SELECT * FROM tokens WHERE hash = $1")
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

/// Takes back all tokens of an agent.
///
/// # Errors
/// The database doesn't answer.
pub async fn revoke_of_agent(tx: &mut Tx, agent_id: &str) -> Result<(), StoreError> {
    let now = tx.now();
    sql("UPDATE tokens SET revoked_at = $2 WHERE agent_id = $1 AND revoked_at IS NULL")
        .bind(agent_id)
        .bind(now)
        .execute(tx.raw())
        .await
        .map_err(StoreError::because("taking an agent's tokens back"))?;
    Ok(())
}

fn hash(secret: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, secret.as_bytes()))
}

impl FromRow for Token {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            purpose: word(row, "purpose", Purpose::from_word)?,
            role: word(row, "role", Role::from_word)?,
            agent_id: row.try_get("agent_id")?,
            expires_at: row.try_get("expires_at")?,
            spent_at: row.try_get("spent_at")?,
            revoked_at: row.try_get("revoked_at")?,
        })
    }
}
