//! Who asks: a bearer token into a name, a role and a place. What a role may do is asked of `domain`.

use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock, PoisonError};

use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::Response;

use crate::domain::role::Role;
use crate::domain::secret::Secret;
use crate::problem::{Problem, ProblemKind};
use crate::services::serve::Peer;
use crate::store::tokens::{self, Purpose, Token};

use super::limits::{Asks, admit};
use super::reply::{Refusal, problem_of};
use super::{ApiState, denial, idempotency_key, identity, input};

/// Who asks, and from where.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The token's row.
    pub(super) token: Token,
    /// The peer's address.
    pub(super) source: String,
    /// Whether it proved to be the agent that the token is of; nothing is asked of others.
    pub(super) proven: Result<(), Problem>,
}

/// A caller who may read.
pub(super) struct Reader(pub(super) Caller);

impl FromRequestParts<ApiState> for Reader {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &ApiState) -> Result<Self, Response> {
        let secret = bearer(&parts.headers)?;
        let caller = known(api, &secret, parts).await?;
        caller.token.good(api.store.now())?;
        bears(&caller.token)?;
        if !caller.token.role.may_read() {
            return Err(Problem::new(
                ProblemKind::Forbidden,
                "an agent's token doesn't read the inventory",
            )
            .hint("use a token of the role viewer or operator")
            .into());
        }
        admit(api, &caller.token, Asks::Read).await?;
        Ok(Self(caller))
    }
}

/// A request for a change: who, what exactly, and under which key it may be sent again. Whether the caller may is
/// decided where it leaves an audit row, and the body is read after that: who may not holds no connection with one.
pub(super) struct Call {
    /// Who.
    pub(super) caller: Caller,
    /// The `Idempotency-Key`.
    pub(super) key: Option<String>,
    /// Method and path.
    target: String,
    unread: Mutex<Option<Request>>,
    read: OnceLock<Read>,
}

struct Read {
    body: Bytes,
    request_hash: String,
}

impl Call {
    /// Reads the body of who may; once.
    ///
    /// # Errors
    /// The body is too long, or doesn't come in time.
    pub(super) async fn read(&self, api: &ApiState) -> Result<(), Refusal> {
        if self.read.get().is_some() {
            return Ok(());
        }
        let unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let unread = unread.ok_or_else(|| Problem::internal("the body was to be read twice"))?;
        let body = input::body(unread, api).await?;
        let request_hash = idempotency_key::hash(&self.target, &body);
        let _ = self.read.set(Read { body, request_hash });
        Ok(())
    }

    /// The body, once it was read.
    pub(super) fn body(&self) -> &[u8] {
        self.read.get().map_or(&[], |read| &read.body)
    }

    /// SHA-256 over method, path and body.
    pub(super) fn request_hash(&self) -> &str {
        self.read.get().map_or("", |read| &read.request_hash)
    }
}

impl FromRequest<ApiState> for Call {
    type Rejection = Response;

    async fn from_request(request: Request, api: &ApiState) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let secret = bearer(&parts.headers)?;
        let caller = known(api, &secret, &parts)
            .await
            .map_err(|problem| denial::of_unknown(problem, &parts.extensions))?;
        // Before the write lock is waited for.
        let asks = match caller.proven {
            Ok(()) => Asks::Change,
            Err(_) => Asks::Unproven,
        };
        admit(api, &caller.token, asks).await?;
        let key = idempotency_key::key(&parts.headers)?;
        let target = format!("{} {}", parts.method, parts.uri.path());
        Ok(Self {
            caller,
            key,
            target,
            unread: Mutex::new(Some(Request::from_parts(parts, body))),
            read: OnceLock::new(),
        })
    }
}

/// The token in the header.
fn bearer(headers: &HeaderMap) -> Result<Secret, Problem> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        })
        .filter(|token| !token.is_empty())
        .map(|token| Secret::new(token.to_owned()))
        .ok_or_else(|| {
            Problem::new(ProblemKind::NotAuthenticated, "the request carries no token")
                .hint("send the header `Authorization: Bearer <token>`")
        })
}

async fn known(api: &ApiState, secret: &Secret, parts: &Parts) -> Result<Caller, Problem> {
    let found = async {
        let mut conn = api.store.read().await?;
        tokens::find(&mut conn, secret.expose()).await
    };
    match found.await.map_err(problem_of)? {
        Some(known) => {
            tracing::Span::current().record("token", known.token.name.as_str());
            let proven = identity::prove(api, &known, parts.extensions.get::<Peer>()).await;
            Ok(Caller {
                token: known.token,
                source: source(parts),
                proven,
            })
        }
        None => Err(
            Problem::new(ProblemKind::NotAuthenticated, "the token is unknown")
                .hint("check that the whole token was copied, and that it is this environment's"),
        ),
    }
}

fn source(parts: &Parts) -> String {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map_or_else(
        || "unknown".to_owned(),
        |peer| peer.0.ip().to_canonical().to_string(),
    )
}

/// Whether it is a token for requests at all.
pub(super) fn bears(token: &Token) -> Result<(), Problem> {
    if token.purpose == Purpose::Bearer {
        return Ok(());
    }
    Err(
        Problem::new(ProblemKind::Forbidden, "an enrolment token only enrols an agent")
            .hint("`POST /api/v1/agents/enrol`"),
    )
}

/// What a caller must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// One who carries out actions.
    Operator,
    /// One who decides who else may.
    Admin,
    /// This agent.
    Agent(String),
    /// One who holds an enrolment token.
    Enrolment,
}

impl Needs {
    /// Whether the caller will do.
    pub(super) fn allow(&self, caller: &Caller) -> Result<(), Problem> {
        let token = &caller.token;
        let no = |what: String| Err(Problem::new(ProblemKind::Forbidden, what));
        match self {
            Self::Enrolment if token.purpose == Purpose::Enrol => Ok(()),
            Self::Enrolment => no("enrolling needs an enrolment token".to_owned()),
            Self::Operator | Self::Admin | Self::Agent(_) if token.purpose == Purpose::Enrol => bears(token),
            Self::Operator if token.role.may_operate() => Ok(()),
            Self::Operator => no(format!(
                "the token `{}` may not change anything: its role is {}",
                token.name,
                token.role.word()
            ))
            .map_err(|problem| problem.hint("use a token of the role operator")),
            Self::Admin if token.role.may_administer() => Ok(()),
            Self::Admin => no(format!(
                "the token `{}` has nothing to do with tokens: its role is {}",
                token.name,
                token.role.word()
            ))
            .map_err(|problem| problem.hint("use a token of the role admin")),
            Self::Agent(id) if token.role == Role::Agent && token.agent_id.as_ref() == Some(id) => {
                caller.proven.clone()
            }
            Self::Agent(_) => no("this is for the agent itself, with its own token".to_owned()),
        }
    }
}
