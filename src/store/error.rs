//! What can go wrong in the store, and what a person is told about it.

use crate::domain::audit::ChainError;
use crate::domain::id::EntityKind;
use crate::problem::Problem;

use super::dialect::postgres::Upstream;
use super::pools::Kind;
use super::question::TooLong;
use super::{Trouble, constraint, dialect};

/// PostgreSQL: a text isn't what its encoding allows.
const NO_SUCH_CHARACTER: &str = "22021";

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be opened.
    #[error("opening the database `{url}`")]
    Open {
        /// Its address.
        url: String,
        /// Why.
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date.
    #[error("bringing the schema of `{url}` up to date")]
    Migrate {
        /// Its address.
        url: String,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
    /// The schema was made by a newer program.
    #[error(
        "the schema of `{url}` is at version {found}, and this program knows it up to {known}; start the \
         newer `cmp-server`, or go back to a backup from before the upgrade"
    )]
    NewerSchema {
        /// The database's address.
        url: String,
        /// The version that was found.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// The schema has to be changed, and this account may not, or the database only reads.
    #[error(
        "the schema of `{url}` isn't up to date, and can't be changed from here; run \
         `cmp-server --migrate-only` once, against the primary and as the schema's owner"
    )]
    SchemaNotMine {
        /// The database's address.
        url: String,
        /// The database's own words.
        source: sqlx::Error,
    },
    /// PostgreSQL's extension for trigrams can't be had.
    #[error(
        "the extension `pg_trgm`, by which names are searched, can't be added to `{url}`; install PostgreSQL's \
         contrib modules there, or run `CREATE EXTENSION pg_trgm` in it as an account that may, in a schema that is \
         searched, and start again"
    )]
    NoTrigrams {
        /// The database's address.
        url: String,
        /// The database's own words.
        source: sqlx::Error,
    },
    /// The database only follows another one.
    #[error("`{url}` {}", Trouble::replica(.follows))]
    Replica {
        /// The database's address.
        url: String,
        /// How it follows.
        follows: Upstream,
    },
    /// The connection was lost while a change was committed: it may have happened.
    #[error("the connection was lost while a change was committed")]
    CutOff(#[source] sqlx::Error),
    /// No connection could be had.
    #[error("connecting to the database")]
    Connect(#[source] sqlx::Error),
    /// All connections for this kind of work are in use.
    #[error("all connections for `{0}` are in use")]
    Crowded(Kind),
    /// A statement failed.
    #[error("{doing}")]
    Query {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: sqlx::Error,
    },
    /// A row holds something that this program doesn't know.
    #[error("a row of `{table}` holds `{value}`, which means nothing")]
    Row {
        /// Where.
        table: &'static str,
        /// What.
        value: String,
    },
    /// There is no such thing.
    #[error("there is no {kind} `{id}`")]
    NotFound {
        /// What sort.
        kind: EntityKind,
        /// Its id.
        id: String,
    },
    /// A rule says no; nothing was changed.
    #[error("{0}")]
    Refused(Problem),
    /// The audit trail is broken.
    #[error("the audit chain is broken")]
    Chain(#[from] ChainError),
}

impl StoreError {
    /// For `map_err`: a statement failed while `doing` this.
    pub(super) fn because(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Query { doing, source }
    }

    pub(super) fn not_found(kind: EntityKind, id: &str) -> Self {
        Self::NotFound {
            kind,
            id: id.to_owned(),
        }
    }

    /// The constraint that was broken, by name, if that is what happened.
    #[must_use]
    pub fn constraint(&self) -> Option<&'static str> {
        match self {
            Self::Query { source, .. } => constraint::broken(source),
            _ => None,
        }
    }
}

impl From<Problem> for StoreError {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if let Some(name) = error.constraint() {
            return constraint::words(name);
        }
        let trouble = error.trouble();
        match error {
            StoreError::Refused(problem) => problem,
            StoreError::NotFound { kind, id } => Self::not_found(format!("there is no {kind} `{id}`")),
            StoreError::Open { .. } | StoreError::Connect(_) => {
                let (why, hint) = match trouble {
                    Some(trouble) => (format!(": {}", trouble.what), trouble.hint),
                    None => (String::new(), "look at the API's log, then try again".into()),
                };
                Self::unavailable(format!("the database doesn't answer{why}")).hint(hint)
            }
            StoreError::Crowded(kind) => crowded(kind),
            StoreError::Query { doing, source } => match source {
                sqlx::Error::Io(error) if too_long(&error).is_some() => Self::unavailable(format!(
                    "the question was given up while {doing}: {}",
                    too_long(&error).map(ToString::to_string).unwrap_or_default()
                ))
                .hint("ask for less with a filter, or again when the database is less busy"),
                sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::Io(_)
                | sqlx::Error::WorkerCrashed => {
                    Self::unavailable(format!("the database doesn't answer while {doing}"))
                        .hint("nothing was changed; try again")
                }
                sqlx::Error::Database(source) if is_passing(&*source) => Self::unavailable(format!(
                    "the database couldn't take it now, while {doing}: {source}"
                ))
                .hint("nothing was changed; try again"),
                sqlx::Error::Database(source) if source.code().as_deref() == Some(NO_SUCH_CHARACTER) => {
                    Self::bad_input("a text has a character that the database can't keep, such as NUL")
                }
                sqlx::Error::Database(source) => match trouble {
                    Some(trouble) => cant(doing, &trouble),
                    None => Self::unavailable(format!("the database refused while {doing}: {source}"))
                        .hint("nothing was changed; look at the API's log"),
                },
                _ => match trouble {
                    Some(trouble) => cant(doing, &trouble),
                    None => Self::internal(format!("the database gave something unexpected while {doing}")),
                },
            },
            StoreError::Chain(broken) => Self::internal(format!("the audit chain is broken: {broken}"))
                .hint("keep the database as it is and compare it with a backup"),
            StoreError::CutOff(_) => {
                Self::no_answer("the connection to the database was lost while the change was committed")
                    .hint("it may have happened: look, or send it again with the same Idempotency-Key")
            }
            StoreError::Migrate { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::SchemaNotMine { .. }
            | StoreError::NoTrigrams { .. }
            | StoreError::Replica { .. }
            | StoreError::Row { .. } => Self::internal(error.to_string()),
        }
    }
}

/// Something is wrong with the database, of which the cause is known.
fn cant(doing: &str, trouble: &Trouble) -> Problem {
    let what = format!("the database can't do it, while {doing}: {}", trouble.what);
    Problem::unavailable(what).hint(format!("nothing was changed; {}", trouble.hint))
}

/// The database answers others, who have all connections.
fn crowded(kind: Kind) -> Problem {
    let (what, hint) = match kind {
        Kind::Changes => (
            "more changes are sent at once than the server makes at once",
            "nothing was changed; send it again in a moment",
        ),
        Kind::Vital => (
            "more is asked at once than the server answers at once",
            "ask again in a moment",
        ),
        Kind::Screen | Kind::Search | Kind::Background => (
            "more is asked at once than the server answers at once",
            "ask again in a moment; agents and changes go on meanwhile",
        ),
    };
    Problem::unavailable(what).hint(hint)
}

/// That the time of a question was over, if that is what went wrong.
pub(super) fn too_long(error: &std::io::Error) -> Option<&TooLong> {
    error.get_ref()?.downcast_ref()
}

fn is_passing(error: &dyn sqlx::error::DatabaseError) -> bool {
    error
        .code()
        .is_some_and(|code| dialect::postgres::is_passing(&code))
}
