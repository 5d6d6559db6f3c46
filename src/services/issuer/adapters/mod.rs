//! The issuer's plug for one CA. An adapter speaks to its CA and says what came of it; which request,
//! which retry and which row in the database is the issuer's matter.

pub mod acme;
mod acme_account;
pub mod vault_pki;

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use futures::future::BoxFuture;

pub use acme::Acme;
pub use vault_pki::VaultPki;

use crate::domain::adapter::Ca;
use crate::domain::chain;
use crate::domain::reason::Reason;
use crate::domain::renewal::Suggestion;
use crate::domain::x509::{self, FactsError};
use crate::wire::agents::ChallengeAnswer;

/// The most that is taken of a CA that isn't told how long: 60 months, the longest that the CA/Browser Forum ever
/// allowed, and what some private CAs still sign for.
pub const LONGEST: TimeDelta = TimeDelta::days(1827);

/// What a CA can do for us, as it is configured now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether and how it takes certificates back.
    pub revoke: TakesBack,
    /// It keeps the reason of a revocation; where it doesn't, only our tables do.
    pub reasons: bool,
    /// It can put a certificate on hold, and give it free again.
    pub hold: bool,
    /// When a revocation is in its CRL.
    pub crl: Published,
    /// What it signed can be listed, so that a lost answer can be found again.
    pub list: bool,
    /// It says when to renew what it signed, as far as is known: once it was ready.
    pub renewal_info: bool,
}

/// Whether a CA takes certificates back, and what it has to be given for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakesBack {
    /// It doesn't.
    Never,
    /// It is told the serial.
    BySerial,
    /// It keeps nothing of what it signs, and has to be given the certificate itself.
    ByCertificate,
}

/// When a revocation that a CA accepted is in its CRL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It says that it has no CRL.
    Never,
    /// The platform's own configuration says that it has none.
    SwitchedOff,
    /// With the revocation.
    AtOnce,
    /// When the CA makes its next one by itself: after this long at the latest.
    Within(Duration),
}

/// What is to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// Its serial, in the platform's notation.
    pub serial: String,
    /// The certificate in PEM.
    pub pem: String,
    /// Why.
    pub reason: Reason,
}

/// What is to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The certification request in PEM.
    pub csr_pem: String,
    /// The common name; empty where the name is too long for one.
    pub common_name: String,
    /// All names, the common name included.
    pub sans: Vec<String>,
    /// The certificate of this CA that it is to replace, in PEM, for a CA that wants to know.
    pub replaces: Option<String>,
}

/// What was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCertificate {
    /// The certificate in PEM.
    pub pem: String,
    /// Its issuers in PEM, the nearest first.
    pub chain_pem: String,
}

impl SignedCertificate {
    /// This answer, made anew from the certificates that are read in it, and of the issuers from those that lead up from the
    /// certificate: nothing else that a CA, or somebody before it, put into its answer is kept.
    ///
    /// # Errors
    /// There is no certificate in it.
    pub fn made_anew(&self) -> Result<Self, FactsError> {
        let leaf = x509::certificates(&self.pem)?;
        let leaf = leaf
            .first()
            .ok_or_else(|| FactsError::NotDer("there is none in it".to_owned()))?;
        let chain = chain::leading_up(leaf, &x509::certificates(&self.chain_pem)?);
        Ok(Self {
            pem: x509::pem_of(leaf),
            chain_pem: chain.iter().map(|der| x509::pem_of(der)).collect(),
        })
    }
}

/// How far an order is at a CA that signs in steps.
#[derive(Clone, Copy, Debug)]
pub struct Begun<'a> {
    /// What is to be signed.
    pub order: &'a Order,
    /// What finds the order again, once there is one.
    pub ca_order: Option<&'a str>,
    /// The tokens of challenges that the request's agent answers.
    pub answered: &'a [String],
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it is signed.
    Signed(SignedCertificate),
    /// This has to be durable before the CA may sign; then it goes on at once.
    Ordered(String),
    /// The agent has to answer these challenges first.
    Answer(Vec<ChallengeAnswer>),
    /// The CA still looks whether the names are ours; nothing is signed yet.
    Wait(Duration),
    /// The CA was told to sign, and whether it has is not known yet: look again then.
    Signing(Duration),
}

/// What the CA said to a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationAnswer {
    /// It is revoked and belongs into the next CRL.
    Accepted,
    /// It had expired; the CA puts it on no CRL.
    AlreadyExpired,
}

/// Why a call came to nothing, told apart by what the issuer does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdapterError {
    /// The CA can't work at all for now, such as a sealed Vault. Nothing happened; the adapter pauses.
    #[error("{0}")]
    Away(String),
    /// Its Vault is sealed; as [`Self::Away`].
    #[error("{0}")]
    Sealed(String),
    /// The CA can't sign for now, such as without a role to sign with; all else it can do. Nothing happened; the
    /// adapter pauses for signatures alone.
    #[error("{0}")]
    Unsigned(String),
    /// Its clock and ours differ, so that nothing is signed; else as [`Self::Unsigned`]. Which of the two is off tells who
    /// knows a third one.
    #[error("{words}")]
    ClockOff {
        /// Time that ours is ahead of its.
        ahead: TimeDelta,
        /// The difference in words.
        words: String,
    },
    /// Nothing happened: our credential may do other things, but not this one. It is tried again until it may.
    #[error("{0}")]
    Denied(String),
    /// Nothing happened; later it may.
    #[error("{0}")]
    Retry(String),
    /// Nothing happened; the CA asks to be left alone for so long. That is nobody's failure.
    #[error("{0}")]
    Busy(String, Duration),
    /// It may or may not have happened: look before asking again.
    #[error("{0}")]
    Unknown(String),
    /// The CA said no, in its own words; asking again gives the same answer.
    #[error("{0}")]
    Refused(String),
}

/// One CA.
pub trait Adapter: Send + Sync {
    /// What it can do; asked before every use, so that the adapter may remember it for a while.
    fn capabilities(&self) -> BoxFuture<'_, Result<Capabilities, AdapterError>>;

    /// Whether it can work now; cheap, asked every second or two while it is paused.
    fn ready(&self) -> BoxFuture<'_, Result<(), AdapterError>>;

    /// The CA that it would sign with, as its own address shows it now; `None` where that can't be seen, and for one that has
    /// many and changes them without a word, as those on the web do: there its address is what is trusted.
    fn ca(&self) -> BoxFuture<'_, Option<Ca>> {
        Box::pin(async { None })
    }

    /// True if only CAs that are known may sign its certificates.
    fn keeps_ca(&self) -> bool {
        false
    }

    /// Time between two calls of [`Self::ready`] while it works.
    fn look_every(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// Has a CSR signed.
    fn sign<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<SignedCertificate, AdapterError>>;

    /// The longest time that what it signs may be valid: what it is asked for, where it is asked for one.
    fn longest(&self) -> TimeDelta {
        LONGEST
    }

    /// Brings an order one step further. Most CAs sign in one.
    fn drive<'a>(&'a self, begun: Begun<'a>) -> BoxFuture<'a, Result<Step, AdapterError>> {
        Box::pin(async move { Ok(Step::Signed(self.sign(begun.order).await?)) })
    }

    /// What came of an order that [`Step::Ordered`] named, if it was signed.
    fn ordered<'a>(
        &'a self,
        _ca_order: &'a str,
    ) -> BoxFuture<'a, Result<Option<SignedCertificate>, AdapterError>> {
        Box::pin(async { Ok(None) })
    }

    /// Takes a certificate back. Twice is once.
    fn revoke<'a>(&'a self, what: &'a Withdrawal) -> BoxFuture<'a, Result<RevocationAnswer, AdapterError>>;

    /// The serials of everything that it signed and keeps.
    fn serials(&self) -> BoxFuture<'_, Result<BTreeSet<String>, AdapterError>>;

    /// Looks among `serials` for a certificate with this key.
    fn find_by_spki<'a>(
        &'a self,
        spki_sha256: &'a str,
        serials: &'a [String],
    ) -> BoxFuture<'a, Result<Option<SignedCertificate>, AdapterError>>;

    /// The CRL as it is published now, in PEM or DER.
    fn crl(&self) -> BoxFuture<'_, Result<Vec<u8>, AdapterError>>;

    /// When it suggests to renew this certificate of its own, in PEM. Most CAs have no opinion.
    fn renewal_info<'a>(&'a self, _pem: &'a str) -> BoxFuture<'a, Result<Suggestion, AdapterError>> {
        Box::pin(async {
            Err(AdapterError::Refused(
                "this CA doesn't say when to renew".to_owned(),
            ))
        })
    }

    /// Keeps its credential alive; says how long it lasts now, if it ends at all.
    fn renew_credential(&self) -> BoxFuture<'_, Result<Option<Duration>, AdapterError>>;
}
