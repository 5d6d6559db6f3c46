//! An external CA behind ACME (RFC 8555). It signs in steps: an order, the proof that the names are ours,
//! given over HTTP by the agent that will serve them, then the signature.
//!
//! The order is what keeps a request from being signed twice: its address is on record before the CA
//! may sign, and whoever goes on after a crash reads it first.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::acme_account::Keeper;
use super::{
    Adapter, AdapterError, Begun, Capabilities, Order, Published, RevocationAnswer, SignedCertificate, Step,
    TakesBack, Withdrawal,
};
use crate::clients::acme::{AcmeAccount, AcmeError, Directory, ExternalAccount, OpenOrder, OrderStatus};
use crate::domain::renewal::Suggestion;
use crate::wire::agents::ChallengeAnswer;

/// The `kind` of such an adapter row.
pub const KIND: &str = "acme";

/// How long one step may take. Less than a claim holds, so that no two workers drive one order.
const STEP_LIMIT: Duration = Duration::from_secs(25);
/// When to look again at an order that the CA is at.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The `config` of an adapter row of kind `acme`. Secrets are never in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Config {
    /// Where the CA's directory is.
    pub directory: String,
    /// The CAs to trust with that address, in PEM; the system's if not given.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How the CA reaches whoever runs this, such as `mailto:pki@example.com`.
    #[serde(default)]
    pub contact: Vec<String>,
    /// Where the issuers keep the account, with its key; made with mode 0600.
    pub account_file: PathBuf,
}

/// One account at one ACME CA.
pub struct Acme {
    url: String,
    ca_file: Option<PathBuf>,
    keeper: Keeper,
    account: Mutex<Option<AcmeAccount>>,
}

impl Acme {
    /// The account is registered when it is needed; `external` binds it to one that the CA knows.
    #[must_use]
    pub fn new(config: Config, external: Option<ExternalAccount>) -> Self {
        Self {
            url: config.directory,
            ca_file: config.ca_file,
            keeper: Keeper {
                file: config.account_file,
                contact: config.contact,
                external,
            },
            account: Mutex::default(),
        }
    }

    async fn account(&self) -> Result<AcmeAccount, AdapterError> {
        let mut kept = self.account.lock().await;
        if let Some(account) = kept.as_ref() {
            return Ok(account.clone());
        }
        // Anew each time, so that a CA file which was mended counts at once.
        let directory = Directory::new(&self.url, self.ca_file.as_deref())?;
        let account = self.keeper.open(&directory).await.map_err(|error| match error {
            // Without an account nothing works, whatever is asked for.
            AcmeError::Refused { words, .. } => {
                AdapterError::Away(format!("the CA gives no account: {words}"))
            }
            other => other.into(),
        })?;
        *kept = Some(account.clone());
        Ok(account)
    }

    async fn one_step(&self, begun: Begun<'_>) -> Result<Step, AdapterError> {
        let account = self.account().await?;
        let Some(url) = begun.ca_order else {
            return order_anew(&account, begun.order).await;
        };
        let mut order = account.order(url).await?;
        if order.status() == OrderStatus::Pending {
            let Some(wanted) = order.challenges().await? else {
                return order_anew(&account, begun.order).await;
            };
            let is_answered = |token: &String| begun.answered.contains(token);
            if wanted.iter().any(|it| !it.asked && !is_answered(&it.token)) {
                let answers = wanted.into_iter().map(|it| ChallengeAnswer {
                    token: it.token,
                    key_authorization: it.key_authorization,
                });
                return Ok(Step::Answer(answers.collect()));
            }
            if let Err(error) = order.have_it_look().await {
                // It may have looked meanwhile, which is an error to some CAs: the order knows.
                order = account.order(url).await?;
                if order.status() == OrderStatus::Pending {
                    order.challenges().await?;
                    return Err(error.into());
                }
            }
        }
        if order.status() == OrderStatus::Ready {
            let finalized = order.finalize(&der(&begun.order.csr_pem)?).await;
            if let Some(pause) = finalized.as_ref().err().and_then(open_for) {
                return Ok(Step::Signing(pause));
            }
            finalized?;
        }
        match order.status() {
            OrderStatus::Valid => match order.certificate().await {
                Ok(chain) => Ok(Step::Signed(split(&chain)?)),
                Err(error) => open_for(&error).map(Step::Signing).ok_or_else(|| error.into()),
            },
            OrderStatus::Processing => Ok(Step::Signing(LOOK_AGAIN)),
            OrderStatus::Invalid => match why_invalid(&mut order).await? {
                Some(words) => Err(AdapterError::Refused(words)),
                None => order_anew(&account, begun.order).await,
            },
            OrderStatus::Pending | OrderStatus::Ready => Ok(Step::Wait(LOOK_AGAIN)),
        }
    }

    /// An account that the CA knows no longer is asked for anew once it is told so.
    async fn checked<T>(&self, result: Result<T, AdapterError>) -> Result<T, AdapterError> {
        if matches!(result, Err(AdapterError::Away(_))) {
            *self.account.lock().await = None;
        }
        result
    }
}

/// When to look again, if the error leaves open whether the CA signs.
fn open_for(error: &AcmeError) -> Option<Duration> {
    match error {
        AcmeError::Busy { pause, .. } => Some(*pause),
        AcmeError::Trouble(_) => Some(LOOK_AGAIN),
        _ => None,
    }
}

async fn order_anew(account: &AcmeAccount, order: &Order) -> Result<Step, AdapterError> {
    let replaces = order.replaces.as_deref().map(der).transpose()?;
    let ordered = account.new_order(&order.sans, replaces.as_deref()).await?;
    Ok(Step::Ordered(ordered))
}

/// The CA's words; `None` if it gave none, as for an order that is too old.
async fn why_invalid(order: &mut OpenOrder) -> Result<Option<String>, AdapterError> {
    match order.challenges().await {
        // What it says of a name tells more than "some challenge failed".
        Err(AcmeError::Refused { words, .. }) => Ok(Some(words)),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(order.error()),
    }
}

fn der(pem_text: &str) -> Result<Vec<u8>, AdapterError> {
    match pem::parse(pem_text) {
        Ok(pem) => Ok(pem.into_contents()),
        Err(error) => Err(AdapterError::Refused(format!("not in PEM: {error}"))),
    }
}

/// The certificate first, then its issuers, as the CA delivers them (RFC 8555 §7.4.2).
fn split(pem_chain: &str) -> Result<SignedCertificate, AdapterError> {
    let garbled = |why: String| AdapterError::Retry(format!("the CA's certificate is not in PEM: {why}"));
    let blocks = pem::parse_many(pem_chain).map_err(|error| garbled(error.to_string()))?;
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let mut texts = blocks.iter().map(|block| pem::encode_config(block, config));
    let pem = texts.next().ok_or_else(|| garbled("it is empty".to_owned()))?;
    Ok(SignedCertificate {
        pem,
        chain_pem: texts.collect(),
    })
}

impl Adapter for Acme {
    fn capabilities(&self) -> BoxFuture<'_, Result<Capabilities, AdapterError>> {
        Box::pin(async {
            // What else it can do is known without asking it, and has to be while it is away.
            let account = self.account.lock().await;
            Ok(Capabilities {
                revoke: TakesBack::ByCertificate,
                reasons: true,
                hold: false,
                // Where there is one, the certificate says where.
                crl: Published::Never,
                list: false,
                renewal_info: account.as_ref().is_some_and(AcmeAccount::has_renewal_info),
            })
        })
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), AdapterError>> {
        Box::pin(async {
            match self.account().await {
                Ok(_) => Ok(()),
                Err(AdapterError::Busy(words, _) | AdapterError::Retry(words)) => {
                    Err(AdapterError::Away(words))
                }
                Err(error) => Err(error),
            }
        })
    }

    /// Somebody else's, who has many customers.
    fn look_every(&self) -> Duration {
        Duration::from_mins(5)
    }

    fn sign<'a>(&'a self, _: &'a Order) -> BoxFuture<'a, Result<SignedCertificate, AdapterError>> {
        Box::pin(async { Err(AdapterError::Refused("an ACME CA signs in steps".to_owned())) })
    }

    fn drive<'a>(&'a self, begun: Begun<'a>) -> BoxFuture<'a, Result<Step, AdapterError>> {
        Box::pin(async move {
            match tokio::time::timeout(STEP_LIMIT, self.one_step(begun)).await {
                Ok(result) => self.checked(result).await,
                // The order is on record: whatever came of it is found there.
                Err(_) => Ok(Step::Signing(LOOK_AGAIN)),
            }
        })
    }

    fn ordered<'a>(
        &'a self,
        ca_order: &'a str,
    ) -> BoxFuture<'a, Result<Option<SignedCertificate>, AdapterError>> {
        Box::pin(async move {
            let look = async {
                let mut order = self.account().await?.order(ca_order).await?;
                match order.status() {
                    OrderStatus::Valid => split(&order.certificate().await?).map(Some),
                    _ => Ok(None),
                }
            };
            match self.checked(look.await).await {
                // What is wrong with the order is said where it is driven on.
                Err(AdapterError::Refused(_)) => Ok(None),
                other => other,
            }
        })
    }

    fn revoke<'a>(&'a self, what: &'a Withdrawal) -> BoxFuture<'a, Result<RevocationAnswer, AdapterError>> {
        Box::pin(async move {
            let revoked = async {
                let account = self.account().await?;
                account.revoke(&der(&what.pem)?, what.reason).await?;
                Ok(RevocationAnswer::Accepted)
            };
            self.checked(revoked.await).await
        })
    }

    fn renewal_info<'a>(&'a self, pem: &'a str) -> BoxFuture<'a, Result<Suggestion, AdapterError>> {
        Box::pin(async move {
            let asked = async { Ok(self.account().await?.renewal_info(&der(pem)?).await?) };
            self.checked(asked.await).await
        })
    }

    fn serials(&self) -> BoxFuture<'_, Result<BTreeSet<String>, AdapterError>> {
        Box::pin(async { Err(AdapterError::Refused("an ACME CA lists nothing".to_owned())) })
    }

    fn find_by_spki<'a>(
        &'a self,
        _: &'a str,
        _: &'a [String],
    ) -> BoxFuture<'a, Result<Option<SignedCertificate>, AdapterError>> {
        Box::pin(async { Ok(None) })
    }

    fn crl(&self) -> BoxFuture<'_, Result<Vec<u8>, AdapterError>> {
        Box::pin(async {
            Err(AdapterError::Refused(
                "the CRL is where the certificate says".to_owned(),
            ))
        })
    }

    fn renew_credential(&self) -> BoxFuture<'_, Result<Option<Duration>, AdapterError>> {
        // An account doesn't expire.
        Box::pin(async { Ok(None) })
    }
}

impl From<AcmeError> for AdapterError {
    fn from(error: AcmeError) -> Self {
        match error {
            AcmeError::Busy { words, pause } => Self::Busy(words, pause),
            AcmeError::Trouble(words) => Self::Retry(words),
            AcmeError::NoAccount(words) | AcmeError::Setup(words) => Self::Away(words),
            // Two steps crossed; the next look at the order tells.
            AcmeError::Refused { kind, words } if kind == "orderNotReady" => Self::Busy(words, LOOK_AGAIN),
            AcmeError::Refused { words, .. } => Self::Refused(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_ca_says_decides_what_is_done_next() {
        let refused = |kind: &str| AcmeError::Refused {
            kind: kind.to_owned(),
            words: "no".to_owned(),
        };
        for final_word in ["rejectedIdentifier", "unauthorized", "caa", "badCSR", ""] {
            assert_eq!(
                AdapterError::from(refused(final_word)),
                AdapterError::Refused("no".to_owned())
            );
        }
        assert!(matches!(
            AdapterError::from(refused("orderNotReady")),
            AdapterError::Busy(..)
        ));
        let busy = AcmeError::Busy {
            words: "later".to_owned(),
            pause: Duration::from_secs(90),
        };
        assert_eq!(
            AdapterError::from(busy),
            AdapterError::Busy("later".to_owned(), Duration::from_secs(90))
        );
        assert!(matches!(
            AdapterError::from(AcmeError::NoAccount(String::new())),
            AdapterError::Away(_)
        ));
    }

    #[test]
    fn the_first_certificate_is_the_leaf() {
        let block = |text: &str| pem::encode(&pem::Pem::new("CERTIFICATE", text));
        let signed = split(&format!("{}{}{}", block("leaf"), block("one"), block("two"))).unwrap();
        assert_eq!(pem::parse(&signed.pem).unwrap().contents(), b"leaf");
        assert_eq!(pem::parse_many(&signed.chain_pem).unwrap().len(), 2);
        assert!(split("").is_err());
    }
}
