//! One order at an ACME server: its authorizations, their HTTP challenges, its end.

use std::time::Duration;

use instant_acme::{AuthorizationStatus, ChallengeStatus, ChallengeType, Order, RetryPolicy};

use super::error::{AcmeError, words};

pub use instant_acme::OrderStatus;

/// How long the CA's next state is waited for before the order is taken up again later.
const PATIENCE: Duration = Duration::from_secs(8);
/// The first pause between two looks; each further one is half as long again.
const FIRST_LOOK: Duration = Duration::from_millis(100);

/// An order as it was when it was read last.
pub struct OpenOrder(pub(super) Order);

/// What the CA wants to fetch over HTTP to believe in a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpChallenge {
    /// The name.
    pub name: String,
    /// The last part of the path that the CA fetches.
    pub token: String,
    /// What it has to find there.
    pub key_authorization: String,
    /// Whether the CA was told already that it is there.
    pub asked: bool,
}

impl OpenOrder {
    /// Where it stands.
    #[must_use]
    pub fn status(&mut self) -> OrderStatus {
        self.0.state().status
    }

    /// The challenges of the names that are not proven yet. `None` if an authorization is over without
    /// a word (expired, deactivated), so that only a new order helps.
    ///
    /// # Errors
    /// The CA refuses a name, offers no HTTP challenge for it, or can't be reached.
    pub async fn challenges(&mut self) -> Result<Option<Vec<HttpChallenge>>, AcmeError> {
        let mut wanted = Vec::new();
        let mut authorizations = self.0.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            let name = authorization.identifier().to_string();
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Invalid => {
                    let error = authorization.challenges.iter().find_map(|it| it.error.as_ref());
                    let why = error.map_or_else(|| "the CA gave no reason".to_owned(), words);
                    return Err(refused(&name, &why));
                }
                _ => return Ok(None),
            }
            let Some(challenge) = authorization.challenge(ChallengeType::Http01) else {
                return Err(refused(
                    &name,
                    "the CA takes no HTTP challenge for it, and the agent answers no other",
                ));
            };
            wanted.push(HttpChallenge {
                name,
                token: challenge.token.clone(),
                key_authorization: challenge.key_authorization().as_str().to_owned(),
                asked: challenge.status != ChallengeStatus::Pending,
            });
        }
        Ok(Some(wanted))
    }

    /// Tells the CA that the answers to all challenges are in place, and waits, for a while, until it
    /// has looked. The status says whether it has.
    ///
    /// # Errors
    /// The CA refused or can't be reached.
    pub async fn have_it_look(&mut self) -> Result<(), AcmeError> {
        let mut authorizations = self.0.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            if let Some(mut challenge) = authorization.challenge(ChallengeType::Http01)
                && challenge.status == ChallengeStatus::Pending
            {
                challenge.set_ready().await?;
            }
        }
        self.wait_while(OrderStatus::Pending).await
    }

    /// Has the CA sign, and waits for it for a while.
    ///
    /// # Errors
    /// The CA refused or can't be reached.
    pub async fn finalize(&mut self, csr_der: &[u8]) -> Result<(), AcmeError> {
        self.0.finalize_csr(csr_der).await?;
        self.wait_while(OrderStatus::Processing).await
    }

    /// Waits, for a while, until it has left `status`.
    ///
    /// # Errors
    /// The CA can't be reached, or asks to be left alone.
    pub async fn wait_while(&mut self, status: OrderStatus) -> Result<(), AcmeError> {
        let begun = tokio::time::Instant::now();
        let mut pause = FIRST_LOOK;
        while self.status() == status && begun.elapsed() < PATIENCE {
            tokio::time::sleep(pause).await;
            pause = pause.mul_f32(1.5);
            self.0.refresh().await?;
        }
        Ok(())
    }

    /// The certificate and its issuers in PEM, once the order is `Valid`.
    ///
    /// # Errors
    /// It isn't, or the CA can't be reached.
    pub async fn certificate(&mut self) -> Result<String, AcmeError> {
        let patience = RetryPolicy::new().initial_delay(FIRST_LOOK).timeout(PATIENCE);
        Ok(self.0.poll_certificate(&patience).await?)
    }

    /// Why it is invalid, as far as the order itself says so.
    #[must_use]
    pub fn error(&mut self) -> Option<String> {
        self.0.state().error.as_ref().map(words)
    }
}

fn refused(name: &str, why: &str) -> AcmeError {
    AcmeError::Refused {
        kind: String::new(),
        words: format!("{name}: {why}"),
    }
}
