//! One login at Vault: the token in use, how long it lasts, and how it is kept alive. A token that was given
//! is renewed while it can be; with AppRole another one is taken when it can't.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustify::endpoint::Endpoint;
use tokio::time::Instant;
use vaultrs::api::auth::approle::requests::LoginWithApproleRequest;
use vaultrs::api::token::requests::RenewTokenSelfRequest;
use vaultrs::api::{AuthInfo, EndpointMiddleware, EndpointResult};

use super::error::VaultError;
use super::place::{Login, Place};
use super::request::{Request, parse, read, refusal};
use crate::clients::exchange::Http;

/// After a login that Vault refused, how long it isn't tried again. Vault locks a role out after five
/// refusals within a quarter of an hour, and would then refuse the right secret too.
const AFTER_REFUSAL: Duration = Duration::from_secs(300);

/// How long the credential in use lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// It has no end.
    Endless,
    /// This long from now, and then it can be renewed again.
    For(Duration),
    /// This long from now, and nothing prolongs it.
    Only(Duration),
}

/// A token in use.
pub(super) struct Session {
    http: Http,
    base: String,
    middle: EndpointMiddleware,
    /// How long it lasted when it was got, and until when that is; `None` for a token that was given.
    lease: Option<(Duration, Instant)>,
}

impl Session {
    fn is_over(&self) -> bool {
        self.lease.is_some_and(|(_, end)| end <= Instant::now())
    }

    pub(super) fn token(&self) -> &str {
        &self.middle.token
    }

    /// Makes one of `vaultrs`' calls; the status and the body. Its own client would read a body of any size.
    pub(super) async fn send<E: Endpoint>(&self, endpoint: E) -> Result<(u16, Vec<u8>), VaultError> {
        let unmade = |error: String| VaultError::Garbled(format!("the call to Vault can't be made: {error}"));
        let call = endpoint.with_middleware(&self.middle).request(&self.base);
        let call = reqwest::Request::try_from(call.map_err(|error| unmade(error.to_string()))?)
            .map_err(|error| unmade(error.to_string()))?;
        let reply = self.http.execute(call).await;
        read(reply.map_err(|error| VaultError::from_reqwest(&error))?).await
    }

    /// A call, and the answer to it.
    pub(super) async fn ask<E: Endpoint>(
        &self,
        endpoint: E,
    ) -> Result<EndpointResult<E::Response>, VaultError> {
        let path = endpoint.path();
        let (code, body) = self.send(endpoint).await?;
        match code {
            200..300 => parse(&path, &body),
            _ => Err(refusal(code, &body)),
        }
    }

    /// The login that the answer to `endpoint` tells of.
    async fn login<E: Endpoint>(&self, endpoint: E) -> Result<AuthInfo, VaultError> {
        let path = endpoint.path();
        let answer = self.ask(endpoint).await?;
        let nothing = || VaultError::Garbled(format!("`{path}` tells of no login"));
        answer.auth.ok_or_else(nothing)
    }
}

/// The session of one address.
pub(super) struct Sessions {
    place: Place,
    http: Http,
    pub(super) login: Login,
    current: RwLock<Option<Arc<Session>>>,
    /// One logs in at a time; the others use what it got.
    turn: tokio::sync::Mutex<()>,
    refused: Mutex<Option<(Instant, VaultError)>>,
}

impl Sessions {
    pub(super) fn new(place: Place, http: Http, login: Login) -> Result<Self, VaultError> {
        let it = Self {
            place,
            http,
            login,
            current: RwLock::default(),
            turn: tokio::sync::Mutex::default(),
            refused: Mutex::default(),
        };
        let given = match &it.login {
            Login::Nobody => Some(""),
            Login::Token(token) => Some(token.expose()),
            Login::AppRole { .. } | Login::Missing(_) => None,
        };
        if let Some(token) = given {
            it.keep(it.with_token(token, None)?);
        }
        Ok(it)
    }

    /// The session to call with; logs in where there is none, or where it is over.
    pub(super) async fn get(&self) -> Result<Arc<Session>, VaultError> {
        match self.now() {
            Some(session) if !session.is_over() => Ok(session),
            before => self.another(before.as_ref()).await,
        }
    }

    /// Another session instead of `before`, unless somebody got one meanwhile.
    pub(super) async fn another(&self, before: Option<&Arc<Session>>) -> Result<Arc<Session>, VaultError> {
        let _turn = self.turn.lock().await;
        if let Some(now) = self.now()
            && before.is_none_or(|before| !Arc::ptr_eq(before, &now))
        {
            return Ok(now);
        }
        let (mount, role_id, secret_id) = match &self.login {
            Login::AppRole {
                mount,
                role_id,
                secret_id,
            } => (mount, role_id, secret_id),
            Login::Missing(why) => {
                return Err(VaultError::Login(format!(
                    "there is no credential for Vault: {why}"
                )));
            }
            Login::Nobody | Login::Token(_) => {
                return Err(VaultError::TokenOver);
            }
        };
        if let Some(error) = self.refused_lately() {
            return Err(error);
        }
        let nobody = self.with_token("", None)?;
        let login = LoginWithApproleRequest {
            mount: mount.clone(),
            role_id: role_id.expose().to_owned(),
            secret_id: secret_id.expose().to_owned(),
        };
        let auth = match nobody.login(login).await {
            Ok(auth) => auth,
            Err(VaultError::Refused(words) | VaultError::Denied(words) | VaultError::NotFound(words)) => {
                let error = VaultError::Login(format!("Vault refused the login with AppRole: {words}"));
                self.remember_refusal(&error);
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        // An endless token would be Vault's choice; it is then used like one that was given.
        let lasts = Duration::from_secs(auth.lease_duration);
        let lease = (!lasts.is_zero()).then(|| (lasts, Instant::now() + lasts));
        let session = self.with_token(&auth.client_token, lease)?;
        tracing::info!(address = %self.place.address, lasts_s = auth.lease_duration, "logged in at Vault with AppRole");
        Ok(self.keep(session))
    }

    /// Prolongs the token; with AppRole, takes another one where that is no longer worth it.
    pub(super) async fn keep_alive(&self) -> Result<Lasts, VaultError> {
        let session = self.get().await?;
        let renewed = session.login(RenewTokenSelfRequest::default()).await;
        // The answer repeats the token; it is dropped here.
        let renewed = renewed.map(|auth| Duration::from_secs(auth.lease_duration));
        match (renewed, session.lease) {
            (Ok(left), None) if left.is_zero() => Ok(Lasts::Endless),
            (Ok(left), None) => Ok(Lasts::For(left)),
            // Near its very end each renewal gives less.
            (Ok(left), Some((whole, _))) if left >= whole / 2 => {
                self.prolong(&session, left)?;
                Ok(Lasts::For(left))
            }
            (Err(VaultError::Refused(_) | VaultError::Denied(_)) | Ok(_), Some(_)) => {
                let session = self.another(Some(&session)).await?;
                Ok(session
                    .lease
                    .map_or(Lasts::Endless, |(lasts, _)| Lasts::For(lasts)))
            }
            (Err(VaultError::Refused(_)), None) => self.left(&session).await,
            (Err(VaultError::Denied(_)), None) if self.is_dead(&session).await => {
                self.another(Some(&session)).await.map(|_| Lasts::Endless)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Whether Vault no longer takes the session's token; what can't be found out is no.
    pub(super) async fn is_dead(&self, session: &Arc<Session>) -> bool {
        match self.look(session).await {
            // One that was made without the policy `default` may not look at itself, and lives.
            Err(error @ VaultError::Denied(_)) => !error.is_of_policy(),
            _ => false,
        }
    }

    /// How long a token that can't be renewed lasts.
    async fn left(&self, session: &Arc<Session>) -> Result<Lasts, VaultError> {
        Ok(match self.look(session).await? {
            0 => Lasts::Endless,
            seconds => Lasts::Only(Duration::from_secs(seconds)),
        })
    }

    /// The seconds that a token has left.
    async fn look(&self, session: &Arc<Session>) -> Result<u64, VaultError> {
        #[derive(serde::Deserialize)]
        struct Own {
            ttl: u64,
        }
        let request = Request {
            http: &self.http,
            place: &self.place,
            path: "auth/token/lookup-self",
        };
        let own: Own = request.data(session.token()).await?;
        Ok(own.ttl)
    }

    /// Keeps the token for longer.
    fn prolong(&self, session: &Arc<Session>, left: Duration) -> Result<(), VaultError> {
        let whole = session.lease.map_or(left, |(whole, _)| whole);
        let lease = Some((whole, Instant::now() + left));
        self.keep(self.with_token(session.token(), lease)?);
        Ok(())
    }

    fn with_token(&self, token: &str, lease: Option<(Duration, Instant)>) -> Result<Session, VaultError> {
        Ok(Session {
            http: self.http.clone(),
            base: self.place.url()?.into(),
            middle: EndpointMiddleware {
                token: token.to_owned(),
                version: "v1".to_owned(),
                wrap: None,
                namespace: self.place.namespace.clone(),
            },
            lease,
        })
    }

    fn now(&self) -> Option<Arc<Session>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn keep(&self, session: Session) -> Arc<Session> {
        let session = Arc::new(session);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&session));
        session
    }

    fn refused_lately(&self) -> Option<VaultError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = refused.as_ref().filter(|(at, _)| at.elapsed() < AFTER_REFUSAL);
        lately.map(|(_, error)| error.clone())
    }

    fn remember_refusal(&self, error: &VaultError) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused = Some((Instant::now(), error.clone()));
    }
}
